#include "config/loader_overrides.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "config/key_table.h"
#include "config/loader_yaml.h"
#include "config/suggest.h"

namespace sluice {
namespace {

using Kind = ConfigNode::Kind;

constexpr size_t kMaxSteps = 32;

std::vector<std::string> Split(std::string_view path) {
  std::vector<std::string> steps;
  while (true) {
    const size_t dot = path.find('.');
    steps.emplace_back(path.substr(0, dot));
    if (dot == std::string_view::npos) return steps;
    path.remove_prefix(dot + 1);
  }
}

bool IsIndex(std::string_view step) {
  return !step.empty() && step.size() <= 6 &&
         step.find_first_not_of("0123456789") == std::string_view::npos;
}

// What an element of a list is called: its name, its address, or itself.
std::vector<std::string> Labels(const ConfigNode& element) {
  std::vector<std::string> labels;
  if (element.kind == Kind::kScalar) labels.push_back(element.text);
  for (const std::string_view key : {"name", "address"}) {
    const ConfigNode* label = element.Find(key);
    if (label != nullptr && label->kind == Kind::kScalar) labels.push_back(label->text);
  }
  return labels;
}

// Walks one override's path down the document, making what is missing on the way.
class Walk {
 public:
  Walk(std::vector<std::string> steps, const ConfigPosition& at)
      : steps_(std::move(steps)), at_(at) {}

  // Where the value goes, or nullptr; then problem() says why.
  ConfigNode* Down(ConfigNode* node) {
    while (node != nullptr && next_ < steps_.size()) {
      const ConfigKey* key = FindConfigKey(path_);
      const bool list = node->kind == Kind::kSequence ||
                        (key != nullptr && key->shape == ConfigKey::Shape::kList);
      node = list ? IntoList(node) : IntoSection(node, key);
    }
    return node;
  }

  const std::string& problem() const { return problem_; }

 private:
  ConfigNode* IntoSection(ConfigNode* node, const ConfigKey* key) {
    if (node->kind == Kind::kNull) *node = Made(Kind::kMapping);
    if (node->kind == Kind::kScalar) {
      if (key == nullptr || key->shorthand.empty()) {
        problem_ = "'" + Join(0, next_) + "' is a value, not a section";
        return nullptr;
      }
      // A section written short: the value becomes the key it stands for.
      ConfigNode section = Made(Kind::kMapping);
      section.entries.push_back({key->shorthand, node->at, *node});
      *node = std::move(section);
    }
    const std::string& step = steps_[next_++];
    path_ = ConfigKeyPath(path_, step);
    if (ConfigNode* value = node->Find(step)) return value;
    node->entries.push_back({step, at_, Made(Kind::kNull)});
    return &node->entries.back().value;
  }

  ConfigNode* IntoList(ConfigNode* node) {
    path_ += "[]";
    if (node->kind == Kind::kNull) *node = Made(Kind::kSequence);
    if (node->kind != Kind::kSequence) {
      problem_ = "'" + Join(0, next_) + "' is not written as a list";
      return nullptr;
    }
    // The label first: an address starts like a position.
    if (ConfigNode* item = AtLabel(node)) return item;
    if (IsIndex(steps_[next_])) return AtIndex(node);
    ReportLabel(*node);
    return nullptr;
  }

  ConfigNode* AtIndex(ConfigNode* node) {
    const std::string& step = steps_[next_++];
    size_t index = 0;
    std::from_chars(step.data(), step.data() + step.size(), index);
    if (index > node->items.size()) {
      const size_t size = node->items.size();
      problem_ = "there is no element " + step + "; expected " +
                 (size == 0 ? "0" : "0 to " + std::to_string(size)) + " (" + std::to_string(size) +
                 " appends)";
      return nullptr;
    }
    if (index == node->items.size()) node->items.push_back(Made(Kind::kNull));
    return &node->items[index];
  }

  // A label may hold dots ("clusters.app.endpoints.127.0.0.1:80.weight"): the longest that fits.
  ConfigNode* AtLabel(ConfigNode* node) {
    for (size_t end = steps_.size(); end > next_; --end) {
      const std::string label = Join(next_, end);
      for (ConfigNode& item : node->items) {
        const auto labels = Labels(item);
        if (std::find(labels.begin(), labels.end(), label) == labels.end()) continue;
        next_ = end;
        return &item;
      }
    }
    return nullptr;
  }

  void ReportLabel(const ConfigNode& list) {
    const std::string& step = steps_[next_];
    std::vector<std::string> known;
    for (const ConfigNode& item : list.items) {
      for (std::string& label : Labels(item)) known.push_back(std::move(label));
    }
    const std::string nearest = NearestName(step, known);
    problem_ =
        "there is no element named " + QuotedForMessage(step) + "; expected a name or an index";
    if (!nearest.empty()) problem_ += "; did you mean '" + nearest + "'";
  }

  std::string Join(size_t begin, size_t end) const {
    std::string text = steps_[begin];
    for (size_t i = begin + 1; i < end; ++i) text += "." + steps_[i];
    return text;
  }

  ConfigNode Made(Kind kind) const {
    ConfigNode node;
    node.kind = kind;
    node.at = at_;
    return node;
  }

  const std::vector<std::string> steps_;
  const ConfigPosition at_;
  size_t next_ = 0;
  std::string path_;  // as in the table of keys
  std::string problem_;
};

// "[::1]:80" is an address, though to YAML a bracket opens a list.
bool IsBracketedAddress(const std::string& value) {
  return value.starts_with('[') && value.find("]:") != std::string::npos && value.back() != ']';
}

bool ParseValue(const std::string& text, int source, ConfigNode* value, ConfigProblems* problems) {
  if (!IsBracketedAddress(text)) return ParseYaml(text, source, value, problems);
  ConfigNode quoted;
  // Through the same checks of size and bytes.
  if (!ParseYaml("'" + text + "'", source, &quoted, problems)) return false;
  *value = std::move(quoted);
  return true;
}

void ApplyOverride(const std::string& text, int source, ConfigNode* root,
                   ConfigProblems* problems) {
  const ConfigPosition at{source, 0, 0};
  const size_t equals = text.find('=');
  const std::vector<std::string> steps = Split(std::string_view(text).substr(0, equals));
  const bool empty_step = std::find(steps.begin(), steps.end(), "") != steps.end();
  if (equals == std::string::npos || empty_step || steps.size() > kMaxSteps) {
    return problems->Add(at,
                         "not an override; expected KEY.PATH=VALUE, such as drain.deadline=10s");
  }
  ConfigNode value;
  if (!ParseValue(text.substr(equals + 1), source, &value, problems)) return;
  // Missing sections are made on the way, also on a way that ends nowhere: so walk a copy first.
  ConfigNode trial = *root;
  Walk walk(steps, at);
  ConfigNode* target = walk.Down(&trial);
  if (target == nullptr) return problems->Add(at, walk.problem());
  *target = std::move(value);
  *root = std::move(trial);
}

}  // namespace

void ApplyOverrides(const std::vector<std::string>& overrides, ConfigNode* root,
                    ConfigProblems* problems) {
  // The file is no configuration at all, as will be said.
  if (root->kind == Kind::kScalar || root->kind == Kind::kSequence) return;
  for (size_t i = 0; i < overrides.size(); ++i) {
    ApplyOverride(overrides[i], static_cast<int>(i) + 1, root, problems);
  }
}

}  // namespace sluice

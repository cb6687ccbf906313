#include "config/loader_reader.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "config/byte_size.h"
#include "config/duration.h"
#include "config/suggest.h"

namespace sluice {
namespace {

using Kind = ConfigNode::Kind;

constexpr size_t kMaxShownKey = 64;

// What stands there instead of what was expected.
std::string KindName(const ConfigNode& node) {
  switch (node.kind) {
    case Kind::kNull:
      return "has no value";
    case Kind::kScalar:
      return QuotedForMessage(node.text);
    case Kind::kSequence:
      return "a list";
    case Kind::kMapping:
      return "a section";
  }
  return {};
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string nearest = NearestName(word, candidates);
  return nearest.empty() ? std::string() : "; did you mean '" + nearest + "'";
}

// Reads a number by its rule; says what is wrong, or "".
std::string ReadNumber(const std::string& text, const NumberRule& rule, uint64_t* value) {
  const bool bytes = rule.unit == NumberUnit::kBytes;
  const auto shown = [&](uint64_t n) { return bytes ? FormatByteSize(n) : std::to_string(n); };
  std::string expected = bytes ? "a size" : "a whole number";
  if (rule.max < std::numeric_limits<uint64_t>::max()) {
    expected += " from " + shown(rule.min) + " to " + shown(rule.max);
  } else if (rule.min > 0) {
    expected += " of at least " + shown(rule.min);
  }
  if (!rule.word_for_zero.empty()) expected += ", or " + std::string(rule.word_for_zero);

  uint64_t number = 0;
  if (bytes) {
    const auto size = ParseByteSize(text);
    if (!size) return size.error().message;
    number = *size;
  } else {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc::result_out_of_range) {
      return QuotedForMessage(text) + " is out of range; expected " + expected;
    }
    if (error != std::errc() || end != text.data() + text.size()) {
      return QuotedForMessage(text) + " is not a number; expected " + expected;
    }
  }
  if (number < rule.min || number > rule.max) {
    return QuotedForMessage(text) + " is out of range; expected " + expected;
  }
  *value = number;
  return {};
}

}  // namespace

ConfigPosition ConfigPositions::Of(const void* field) const {
  const auto found = positions_.find(field);
  return found == positions_.end() ? ConfigPosition{} : found->second;
}

ConfigReader::ConfigReader(const ConfigNode& root, ConfigProblems* problems,
                           ConfigPositions* positions)
    : problems_(problems), positions_(positions) {
  sections_.push_back({nullptr, "", root.at, false, {}});
  if (root.kind == Kind::kNull) {
    sections_.back().at = {root.at.source, 0, 0};
  } else if (root.kind == Kind::kMapping) {
    sections_.back().node = &root;
  } else {
    problems_->Add(root.at, KindName(root) +
                                " is not a configuration; expected keys such as "
                                "'listeners:'");
    sections_.back().refused = true;
  }
}

void ConfigReader::Finish() { EndSection(); }

void ConfigReader::Time(std::string_view name, Duration& value, Duration min) {
  const ConfigNode* node = FindScalar(name, "a duration such as 500ms or 10s", &value);
  if (node == nullptr) return;
  const auto duration = ParseDuration(node->text);
  if (!duration) {
    Report(node->at, PathOf(name), duration.error().message);
  } else if (*duration < min) {
    Report(
        node->at, PathOf(name),
        QuotedForMessage(node->text) + " is too short; expected at least " + FormatDuration(min));
  } else {
    value = *duration;
  }
}

void ConfigReader::Flag(std::string_view name, bool& value) {
  const ConfigNode* node = FindScalar(name, "true or false", &value);
  if (node == nullptr) return;
  if (node->text == "true" || node->text == "on") {
    value = true;
  } else if (node->text == "false" || node->text == "off") {
    value = false;
  } else {
    Report(
        node->at, PathOf(name),
        QuotedForMessage(node->text) + " is neither yes nor no; expected true, false, on or off");
  }
}

void ConfigReader::Text(std::string_view name, std::string& value, const TextRule& rule,
                        const FieldOptions& options) {
  const ConfigNode* node = Find(name);
  if (node == nullptr) {
    if (options.required) ReportMissing(name);
    return;
  }
  positions_->Set(&value, node->at);
  if (!ReadText(*node, PathOf(name), rule, &value)) positions_->SetRefused(&value);
}

void ConfigReader::Texts(std::string_view name, std::vector<std::string>& values,
                         const TextRule& rule, const FieldOptions& options) {
  const ConfigNode* node = Find(name);
  if (node == nullptr) {
    if (options.required) ReportMissing(name);
    return;
  }
  positions_->Set(&values, node->at);
  if (node->kind == Kind::kMapping) {
    return Report(node->at, PathOf(name),
                  "a section; expected a list of " + std::string(rule.type));
  }
  // One alone needs no brackets.
  const size_t count = node->kind == Kind::kScalar ? 1 : node->items.size();
  if (count == 0 && options.required) {
    return Report(node->at, PathOf(name), "an empty list; expected at least one element");
  }
  values.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const ConfigNode& item = node->kind == Kind::kScalar ? *node : node->items[i];
    positions_->Set(&values[i], item.at);
    if (!ReadText(item, PathOf(name) + "[" + std::to_string(i) + "]", rule, &values[i])) {
      positions_->SetRefused(&values[i]);
    }
  }
}

void ConfigReader::Fields(std::string_view name,
                          std::vector<std::pair<std::string, std::string>>& fields, bool repeat,
                          const TextRule& rule) {
  const ConfigNode* node = Find(name);
  if (node == nullptr || node->kind == Kind::kNull) return;
  if (node->kind != Kind::kMapping) {
    return Report(node->at, PathOf(name), KindName(*node) + "; expected 'Name: value' pairs");
  }
  for (const ConfigNode::Entry& entry : node->entries) {
    const std::string path = PathOf(name) + "." + entry.key.substr(0, kMaxShownKey);
    if (repeat && entry.value.kind == Kind::kSequence) {
      for (const ConfigNode& item : entry.value.items) ReadField(entry, item, path, rule, &fields);
    } else {
      ReadField(entry, entry.value, path, rule, &fields);
    }
  }
}

void ConfigReader::ReadField(const ConfigNode::Entry& entry, const ConfigNode& node,
                             const std::string& path, const TextRule& rule,
                             std::vector<std::pair<std::string, std::string>>* fields) {
  std::string key = entry.key;
  const std::string problem = kEditedFieldName.check(key);
  if (!problem.empty()) return Report(entry.at, path, problem);
  std::string value;
  if (ReadText(node, path, rule, &value)) fields->emplace_back(key, value);
}

void ConfigReader::DoNumber(std::string_view name, uint64_t& value, const NumberRule& rule,
                            const void* at) {
  const bool bytes = rule.unit == NumberUnit::kBytes;
  const ConfigNode* node = FindScalar(name, bytes ? "a size such as 64KiB" : "a number", at);
  if (node == nullptr) return;
  if (!rule.word_for_zero.empty() && node->text == rule.word_for_zero) {
    value = 0;
    return;
  }
  const std::string problem = ReadNumber(node->text, rule, &value);
  if (problem.empty()) return;
  positions_->SetRefused(at);
  Report(node->at, PathOf(name), problem);
}

void ConfigReader::DoWord(std::string_view name, size_t& index,
                          std::span<const std::string_view> words, const void* at) {
  const std::vector<std::string> known(words.begin(), words.end());
  const ConfigNode* node = FindScalar(name, Joined(known), at);
  if (node == nullptr) return;
  const auto found = std::find(known.begin(), known.end(), node->text);
  if (found != known.end()) {
    index = static_cast<size_t>(found - known.begin());
    return;
  }
  Report(node->at, PathOf(name),
         QuotedForMessage(node->text) + " is unknown; expected " +
             (known.size() > 1 ? "one of " : "") + Joined(known) + DidYouMean(node->text, known));
}

bool ConfigReader::Wants(std::string_view name, bool, const void* at) {
  const ConfigNode* node = Find(name);
  if (node != nullptr) positions_->Set(at, node->at);
  return node != nullptr;
}

void ConfigReader::BeginSection(std::string_view name, std::string_view shorthand) {
  Enter(Find(name), PathOf(name), shorthand);
}

void ConfigReader::EndSection() {
  const Section section = std::move(sections_.back());
  sections_.pop_back();
  if (section.node == nullptr) return;
  for (const ConfigNode::Entry& entry : section.node->entries) {
    if (std::find(section.asked.begin(), section.asked.end(), entry.key) == section.asked.end()) {
      ReportUnknownKey(section, entry);
    }
  }
}

size_t ConfigReader::BeginList(std::string_view name, size_t, const FieldOptions& options,
                               const void* at) {
  const ConfigNode* node = Find(name);
  lists_.push_back({nullptr, PathOf(name)});
  if (node == nullptr) {
    if (options.required) ReportMissing(name);
    return 0;
  }
  positions_->Set(at, node->at);
  if (node->kind == Kind::kScalar || node->kind == Kind::kMapping) {
    positions_->SetRefused(at);
    Report(node->at, PathOf(name), KindName(*node) + "; expected a list ('- ...' or [...])");
    return 0;
  }
  if (node->items.empty() && options.required) {
    positions_->SetRefused(at);
    Report(node->at, PathOf(name), "an empty list; expected at least one element");
  }
  lists_.back().node = node;
  return node->items.size();
}

void ConfigReader::BeginElement(size_t index, std::string_view shorthand, const void* at) {
  const List& list = lists_.back();
  const ConfigNode& item = list.node->items[index];
  positions_->Set(at, item.at);
  const std::string path = list.path + "[" + std::to_string(index) + "]";
  Enter(&item, path, shorthand);
  if (item.kind != Kind::kNull) return;
  Report(item.at, path, "an empty element; expected a section");
  sections_.back().refused = true;
}

std::vector<size_t> ConfigReader::Choose(const std::vector<Alternative>& alternatives, size_t,
                                         bool required) {
  std::vector<size_t> present;
  std::vector<std::string> names;
  const ConfigNode* second = nullptr;
  for (size_t i = 0; i < alternatives.size(); ++i) {
    names.emplace_back(alternatives[i].name);
    const ConfigNode* node = Find(alternatives[i].name);
    if (node == nullptr) continue;
    present.push_back(i);
    if (present.size() == 2) second = node;
  }
  const Section& section = sections_.back();
  if (present.empty() && required && !section.refused) {
    Report(section.at, section.path, "nothing to do; expected one of " + Joined(names));
  }
  if (second != nullptr) {
    Report(second->at, section.path,
           QuotedForMessage(names[present[1]]) + " stands beside " +
               QuotedForMessage(names[present[0]]) + "; expected only one of " + Joined(names));
    present.resize(1);
  }
  return present;
}

const ConfigNode* ConfigReader::Find(std::string_view name) {
  Section& section = sections_.back();
  if (std::find(section.asked.begin(), section.asked.end(), name) == section.asked.end()) {
    section.asked.emplace_back(name);
  }
  return section.node == nullptr ? nullptr : section.node->Find(name);
}

const ConfigNode* ConfigReader::FindScalar(std::string_view name, std::string_view expected,
                                           const void* field) {
  const ConfigNode* node = Find(name);
  if (node == nullptr) return nullptr;
  if (field != nullptr) positions_->Set(field, node->at);
  if (node->kind == Kind::kScalar) return node;
  Report(node->at, PathOf(name), KindName(*node) + "; expected " + std::string(expected));
  return nullptr;
}

void ConfigReader::Enter(const ConfigNode* node, std::string path, std::string_view shorthand) {
  Section section{nullptr,
                  std::move(path),
                  node == nullptr ? sections_.back().at : node->at,
                  node == nullptr,
                  {}};
  if (node != nullptr && node->kind == Kind::kMapping) {
    section.node = node;
  } else if (node != nullptr && node->kind == Kind::kScalar && !shorthand.empty()) {
    made_.push_back({});
    made_.back().kind = Kind::kMapping;
    made_.back().at = node->at;
    made_.back().entries.push_back({std::string(shorthand), node->at, *node});
    section.node = &made_.back();
  } else if (node != nullptr && node->kind != Kind::kNull) {
    section.refused = true;
    const std::string lone =
        shorthand.empty() ? std::string() : " or its " + std::string(shorthand) + " alone";
    Report(node->at, section.path, KindName(*node) + "; expected a section ('key: value')" + lone);
  }
  sections_.push_back(std::move(section));
}

void ConfigReader::ReportUnknownKey(const Section& section, const ConfigNode::Entry& entry) {
  if (problems_->full()) return problems_->Add(entry.at, {});
  const std::string where = section.path.empty() ? std::string() : " in " + section.path;
  problems_->Add(entry.at, "unknown key " + QuotedForMessage(entry.key) + where +
                               "; expected one of " + Joined(section.asked) +
                               DidYouMean(entry.key, section.asked));
}

void ConfigReader::ReportMissing(std::string_view name) {
  const Section& section = sections_.back();
  if (section.refused) return;
  const std::string key = QuotedForMessage(name) + " is missing";
  problems_->Add(section.at, section.path.empty() ? key : section.path + ": " + key);
}

void ConfigReader::Report(const ConfigPosition& at, const std::string& path,
                          const std::string& problem) {
  problems_->Add(at, path.empty() ? problem : path + ": " + problem);
}

bool ConfigReader::ReadText(const ConfigNode& node, const std::string& path, const TextRule& rule,
                            std::string* value) {
  if (node.kind != Kind::kScalar) {
    const bool address = rule.type.starts_with("address");
    Report(
        node.at, path,
        KindName(node) + "; expected " + std::string(rule.type) +
            (address && node.kind != Kind::kNull ? ", in quotes if it starts with a bracket" : ""));
    return false;
  }
  std::string text = node.text;
  const std::string problem = rule.check(text);
  if (!problem.empty()) {
    Report(node.at, path, problem);
    return false;
  }
  *value = std::move(text);
  return true;
}

std::string ConfigReader::PathOf(std::string_view name) const {
  const Section& section = sections_.back();
  return section.path.empty() ? std::string(name) : section.path + "." + std::string(name);
}

}  // namespace sluice

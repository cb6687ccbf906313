#include "config/loader_yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {
namespace {

// yaml-cpp reports by exceptions; this one joins them, and ParseYaml catches them all.
[[noreturn]] void Refuse(const YAML::Mark& mark, const std::string& why) {
  throw YAML::ParserException(mark, why);
}

// Length of the UTF-8 sequence at the start of `text`, or 0 when it is none (RFC 3629 section 4).
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies above U+10FFFF.
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) >= 0xa0) ||
      (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) >= 0x90)) {
    return 0;
  }
  return length;
}

// yaml-cpp takes byte 4 for the end of the text, guesses UTF-16 from NULs and passes bad UTF-8 on:
// such text never reaches it. Returns what is wrong, or "", and where.
std::string CheckText(std::string_view text, ConfigPosition* at) {
  at->line = 1;
  at->column = 1;
  while (!text.empty()) {
    const auto byte = static_cast<unsigned char>(text[0]);
    const size_t length = Utf8Length(text);
    if (length == 0) return "this is not UTF-8; expected YAML in UTF-8";
    if ((byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7f) {
      return "a control byte; expected YAML in UTF-8, with control characters written as escapes "
             "in double quotes";
    }
    at->line += byte == '\n' ? 1 : 0;
    at->column = byte == '\n' ? 1 : at->column + 1;
    text.remove_prefix(length);
  }
  return {};
}

// Builds the tree from the parser's events. yaml-cpp recurses once for each level and calls here on
// the way down, so refusing a level bounds its stack too.
class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(int source, ConfigNode* root, ConfigProblems* problems)
      : source_(source), root_(root), problems_(problems) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) Refuse(mark, "a second document; expected one");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    ConfigNode node;
    node.at = At(mark);
    Charge(mark, 0);
    Finish(mark, std::move(node), anchor, 0);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) Refuse(mark, "an alias inside what it stands for");
    CheckNesting(mark, found->second.height);
    ChargeCopy(mark, found->second.node);
    Finish(mark, found->second.node, 0, found->second.height);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    CheckTag(mark, tag);
    Charge(mark, value.size());
    ConfigNode node;
    node.kind = ConfigNode::Kind::kScalar;
    node.at = At(mark);
    node.text = value;
    Finish(mark, std::move(node), anchor, 0);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, ConfigNode::Kind::kSequence);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, ConfigNode::Kind::kMapping);
  }
  void OnMapEnd() override { Close(); }

 private:
  // A sequence or mapping whose end has not been seen.
  struct Level {
    ConfigNode node;
    YAML::Mark mark;
    YAML::anchor_t anchor = 0;
    int height = 0;                                 // levels below this one
    std::map<std::string, int, std::less<>> lines;  // of the keys so far
    bool has_key = false;
    bool duplicate = false;
    std::string key;
    ConfigPosition key_at;
  };
  struct Anchored {
    ConfigNode node;
    int height = 0;
  };

  ConfigPosition At(const YAML::Mark& mark) const {
    return {source_, mark.line + 1, mark.column + 1};
  }

  void CheckNesting(const YAML::Mark& mark, int height) const {
    if (static_cast<int>(levels_.size()) + height > kMaxConfigNesting) {
      Refuse(mark, "nested more than " + std::to_string(kMaxConfigNesting) + " deep");
    }
  }

  // An application's tag (!include, !env) asks for something nobody here would do.
  static void CheckTag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!" || tag.starts_with("tag:yaml.org,2002:")) return;
    Refuse(mark, "the tag " + QuotedForMessage(tag) + " is not supported");
  }

  void Open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            ConfigNode::Kind kind) {
    CheckTag(mark, tag);
    CheckNesting(mark, 1);
    Charge(mark, 0);
    Level level;
    level.node.kind = kind;
    level.node.at = At(mark);
    level.mark = mark;
    level.anchor = anchor;
    levels_.push_back(std::move(level));
  }

  void Close() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    Finish(level.mark, std::move(level.node), level.anchor, level.height + 1);
  }

  void Charge(const YAML::Mark& mark, size_t text_bytes) {
    ++nodes_;
    text_bytes_ += text_bytes;
    if (nodes_ > kMaxConfigNodes || text_bytes_ > kMaxConfigTextBytes) {
      Refuse(mark, "the document is too large, or grows too large by its aliases");
    }
  }

  // For a copy of `node`, before it is made.
  void ChargeCopy(const YAML::Mark& mark, const ConfigNode& node) {
    Charge(mark, node.text.size());
    for (const ConfigNode& item : node.items) ChargeCopy(mark, item);
    for (const ConfigNode::Entry& entry : node.entries) {
      Charge(mark, entry.key.size());
      ChargeCopy(mark, entry.value);
    }
  }

  void Finish(const YAML::Mark& mark, ConfigNode node, YAML::anchor_t anchor, int height) {
    if (anchor != 0) {
      ChargeCopy(mark, node);
      anchors_[anchor] = {node, height};
    }
    if (levels_.empty()) {
      *root_ = std::move(node);
      return;
    }
    Level& parent = levels_.back();
    parent.height = std::max(parent.height, height);
    if (parent.node.kind == ConfigNode::Kind::kMapping && !parent.has_key) {
      TakeKey(mark, std::move(node));
    } else {
      TakeValue(std::move(node));
    }
  }

  void TakeKey(const YAML::Mark& mark, ConfigNode node) {
    Level& level = levels_.back();
    if (node.kind != ConfigNode::Kind::kScalar) {
      Refuse(mark, node.kind == ConfigNode::Kind::kNull ? "an empty key"
                                                        : "a key that is not a plain word");
    }
    if (node.text == "<<") Refuse(mark, "merge keys (<<) are not supported: repeat the keys");
    level.has_key = true;
    level.key = std::move(node.text);
    level.key_at = node.at;
    const auto [first, fresh] = level.lines.emplace(level.key, node.at.line);
    level.duplicate = !fresh;
    if (fresh) return;
    problems_->Add(node.at, "duplicate key " + QuotedForMessage(level.key) + "; it is on line " +
                                std::to_string(first->second) + " already");
  }

  void TakeValue(ConfigNode node) {
    Level& level = levels_.back();
    // Where nothing is written, the mark is wherever the parser noticed.
    if (node.kind == ConfigNode::Kind::kNull)
      node.at = level.has_key ? level.key_at : level.node.at;
    if (level.node.kind == ConfigNode::Kind::kSequence) {
      level.node.items.push_back(std::move(node));
      return;
    }
    if (!level.duplicate) {
      level.node.entries.push_back({std::move(level.key), level.key_at, std::move(node)});
    }
    level.has_key = false;
  }

  const int source_;
  ConfigNode* const root_;
  ConfigProblems* const problems_;
  std::vector<Level> levels_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  int documents_ = 0;
  size_t nodes_ = 0;
  size_t text_bytes_ = 0;
};

// What the parser's words do not say. "[::1]:80" without quotes is a broken list to YAML.
std::string SyntaxHint(const std::string& text, const YAML::Exception& error) {
  if (error.msg == YAML::ErrorMsg::DOC_IN_SCALAR || error.msg == YAML::ErrorMsg::EOF_IN_SCALAR) {
    return "; a quote is not closed";
  }
  if (error.msg == YAML::ErrorMsg::UNKNOWN_TOKEN) {
    return "; put a text in quotes that starts with % or @, or has a ? inside braces";
  }
  const YAML::Mark& mark = error.mark;
  std::istringstream lines(text);
  std::string line;
  // The parser may notice only on the line after.
  for (int number = 0; number <= mark.line && std::getline(lines, line); ++number) {
    if (number + 1 < mark.line) continue;
    if (line.find("]:") != std::string::npos)
      return "; write an address such as '[::1]:80' in quotes";
    if (line.find('\t') != std::string::npos) return "; indent with spaces, not with tabs";
  }
  return {};
}

}  // namespace

bool ParseYaml(const std::string& text, int source, ConfigNode* root, ConfigProblems* problems) {
  ConfigPosition at{source, 0, 0};
  if (text.size() > kMaxConfigBytes) {
    problems->Add(at, "larger than " + std::to_string(kMaxConfigBytes) + " bytes");
    return false;
  }
  const std::string bad_text = CheckText(text, &at);
  if (!bad_text.empty()) {
    problems->Add(at, bad_text);
    return false;
  }
  try {
    // yaml-cpp takes the end of the text for the end of a quoted scalar, but not an end marker.
    std::istringstream stream(text + (text.empty() || text.ends_with('\n') ? "...\n" : "\n...\n"));
    YAML::Parser parser(stream);
    TreeBuilder builder(source, root, problems);
    while (parser.HandleNextDocument(builder)) {
    }
    return true;
  } catch (const YAML::Exception& error) {
    at.line = error.mark.is_null() ? 0 : error.mark.line + 1;
    at.column = error.mark.is_null() ? 0 : error.mark.column + 1;
    problems->Add(at, "not valid YAML: " + error.msg + SyntaxHint(text, error));
    return false;
  }
}

}  // namespace sluice

#include "config/key_table.h"

#include <algorithm>
#include <set>
#include <utility>

#include "config/byte_size.h"
#include "config/duration.h"
#include "config/schema.h"

namespace sluice {
namespace {

using Shape = ConfigKey::Shape;

class KeyCollector final : public FieldVisitor {
 public:
  std::vector<ConfigKey> TakeKeys() { return std::move(keys_); }

  void Time(std::string_view name, Duration& value, Duration) override {
    Add(name, "duration", FormatDuration(value));
  }
  void Flag(std::string_view name, bool& value) override {
    Add(name, "flag", value ? "true" : "false");
  }
  void Text(std::string_view name, std::string& value, const TextRule& rule,
            const FieldOptions& options) override {
    Add(name, std::string(rule.type), Default(value.empty() ? "\"\"" : value, options));
  }
  void Texts(std::string_view name, std::vector<std::string>&, const TextRule& rule,
             const FieldOptions& options) override {
    Add(name, "list of " + std::string(rule.type), Default("[]", options), Shape::kList);
  }
  void Fields(std::string_view name, std::vector<std::pair<std::string, std::string>>&, bool repeat,
              const TextRule& rule) override {
    Add(name, "map of " + std::string(rule.type) + (repeat ? " or list" : ""), "{}", Shape::kMap);
  }

 protected:
  void DoNumber(std::string_view name, uint64_t& value, const NumberRule& rule,
                const void*) override {
    const bool bytes = rule.unit == NumberUnit::kBytes;
    std::string shown = bytes ? FormatByteSize(value) : std::to_string(value);
    std::string type = bytes ? "size" : "number";
    if (!rule.word_for_zero.empty()) {
      type += " or " + std::string(rule.word_for_zero);
      if (value == 0) shown = rule.word_for_zero;
    }
    Add(name, std::move(type), std::move(shown));
  }

  void DoWord(std::string_view name, size_t& index, std::span<const std::string_view> words,
              const void*) override {
    std::string type;
    for (const std::string_view word : words) {
      type += (type.empty() ? "" : ", ") + std::string(word);
    }
    Add(name, std::move(type), std::string(words[index]));
  }

  bool Wants(std::string_view, bool, const void*) override { return optional_ = true; }
  void BeginSection(std::string_view name, std::string_view shorthand) override {
    const char* absent = std::exchange(optional_, false) ? "none" : "{}";
    Add(name, "section", absent, Shape::kSection, shorthand);
    Enter(ConfigKeyPath(section(), name));
  }
  void EndSection() override { levels_.pop_back(); }

  size_t BeginList(std::string_view name, size_t, const FieldOptions& options,
                   const void*) override {
    Add(name, "list", Default("[]", options), Shape::kList);
    Enter(ConfigKeyPath(section(), name) + "[]");
    return 1;
  }
  void BeginElement(size_t, std::string_view shorthand, const void*) override {
    Put({section(), Shape::kSection, "section", "", std::string(shorthand)});
    Enter(section());
  }
  void EndElement() override { levels_.pop_back(); }
  void EndList() override { levels_.pop_back(); }

  std::vector<size_t> Choose(const std::vector<Alternative>& alternatives, size_t current,
                             bool required) override {
    std::vector<size_t> all;
    for (size_t i = 0; i < alternatives.size(); ++i) {
      all.push_back(i);
      if (required || i != current) {
        levels_.back().no_default.insert(std::string(alternatives[i].name));
      }
    }
    return all;
  }

 private:
  struct Level {
    std::string section;
    std::set<std::string, std::less<>> no_default;
  };

  const std::string& section() const { return levels_.back().section; }
  void Enter(std::string section) { levels_.push_back({std::move(section), {}}); }

  static std::string Default(std::string value, const FieldOptions& options) {
    if (options.required) return "required";
    return options.default_words.empty() ? value : std::string(options.default_words);
  }

  void Add(std::string_view name, std::string type, std::string default_value,
           Shape shape = Shape::kScalar, std::string_view shorthand = {}) {
    if (levels_.back().no_default.contains(name)) default_value = "-";
    Put({ConfigKeyPath(section(), name), shape, std::move(type), std::move(default_value),
         std::string(shorthand)});
  }

  void Put(ConfigKey key) {
    if (seen_.insert(key.path).second) keys_.push_back(std::move(key));
  }

  std::vector<Level> levels_{Level{}};
  bool optional_ = false;  // the section that begins next
  std::vector<ConfigKey> keys_;
  std::set<std::string> seen_;
};

}  // namespace

const std::vector<ConfigKey>& ConfigKeys() {
  static const std::vector<ConfigKey> keys = [] {
    KeyCollector collector;
    Config config;
    VisitConfig(collector, config);
    return collector.TakeKeys();
  }();
  return keys;
}

const ConfigKey* FindConfigKey(std::string_view path) {
  const auto& keys = ConfigKeys();
  const auto found = std::find_if(keys.begin(), keys.end(),
                                  [&](const ConfigKey& key) { return key.path == path; });
  return found == keys.end() ? nullptr : &*found;
}

std::string ConfigKeyPath(std::string_view section, std::string_view name) {
  if (section.empty() || name == "routes") return std::string(name);
  return std::string(section) + "." + std::string(name);
}

}  // namespace sluice

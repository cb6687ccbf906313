// Every key of the configuration, once. A visitor walks them in the order of the documentation; the
// same walk reads a document (loader_reader.h), writes one (dump.cc) and lists the keys with their
// types and defaults (key_table.h), so that the three cannot disagree.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "config/config.h"
#include "config/text_rules.h"

namespace sluice {

enum class NumberUnit : uint8_t { kCount, kBytes };

struct NumberRule {
  uint64_t min = 0;
  uint64_t max = std::numeric_limits<uint64_t>::max();
  NumberUnit unit = NumberUnit::kCount;
  std::string_view word_for_zero = {};  // written instead of 0, which is then no number to write
};

inline constexpr NumberRule kWeightRule = {.max = 1'000'000};

struct FieldOptions {
  bool required = false;
  std::string_view default_words = {};  // a default that depends on other keys, in words
};

// One of several keys of a section, of which only one may stand there.
struct Alternative {
  std::string_view name;
  std::function<void()> visit;
};

class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;

  // Fields of the current section. A reader changes the value, the others only look; `value` must
  // stay where it is until the visit is over, because problems are located by its address.
  virtual void Time(std::string_view name, Duration& value, Duration min = Duration::zero()) = 0;
  virtual void Flag(std::string_view name, bool& value) = 0;
  virtual void Text(std::string_view name, std::string& value, const TextRule& rule,
                    const FieldOptions& options = {}) = 0;
  virtual void Texts(std::string_view name, std::vector<std::string>& values, const TextRule& rule,
                     const FieldOptions& options = {}) = 0;
  // Header fields: name -> value by `rule`, or with `repeat` a list of values.
  virtual void Fields(std::string_view name,
                      std::vector<std::pair<std::string, std::string>>& fields, bool repeat,
                      const TextRule& rule) = 0;

  template <typename T>
  void Number(std::string_view name, T& value, NumberRule rule = {}) {
    rule.max = std::min<uint64_t>(rule.max, std::numeric_limits<T>::max());
    auto number = static_cast<uint64_t>(value);
    DoNumber(name, number, rule, &value);
    value = static_cast<T>(number);
  }

  // `words[i]` is the word for the enumerator of value i.
  template <typename E>
  void Word(std::string_view name, E& value, std::initializer_list<std::string_view> words) {
    auto index = static_cast<size_t>(value);
    DoWord(name, index, {words.begin(), words.size()}, &value);
    value = static_cast<E>(index);
  }

  // A nested section. With a `shorthand`, a lone scalar stands for that one key of it.
  template <typename T>
  void Section(std::string_view name, T& value, void (*visit)(FieldVisitor&, T&),
               std::string_view shorthand = {}) {
    BeginSection(name, shorthand);
    visit(*this, value);
    EndSection();
  }

  // A section that may be absent, and then means something else than its defaults.
  template <typename T>
  void Optional(std::string_view name, std::optional<T>& value, void (*visit)(FieldVisitor&, T&)) {
    if (!Wants(name, value.has_value(), &value)) return;
    if (!value) value.emplace();
    Section(name, *value, visit);
  }

  // A list of sections.
  template <typename T>
  void List(std::string_view name, std::vector<T>& values, void (*visit)(FieldVisitor&, T&),
            const FieldOptions& options = {}, std::string_view shorthand = {}) {
    values.resize(BeginList(name, values.size(), options, &values));
    for (size_t i = 0; i < values.size(); ++i) {
      BeginElement(i, shorthand, &values[i]);
      visit(*this, values[i]);
      EndElement();
    }
    EndList();
  }

  // `current`: which one the value has; a reader finds that out for itself.
  void OneOf(const std::vector<Alternative>& alternatives, size_t current, bool required) {
    for (const size_t chosen : Choose(alternatives, current, required)) {
      alternatives[chosen].visit();
    }
  }

 protected:
  virtual void DoNumber(std::string_view name, uint64_t& value, const NumberRule& rule,
                        const void* at) = 0;
  virtual void DoWord(std::string_view name, size_t& index, std::span<const std::string_view> words,
                      const void* at) = 0;
  // Whether to visit the optional section that begins next; `present`: the value has one.
  virtual bool Wants(std::string_view name, bool present, const void* at) = 0;
  virtual void BeginSection(std::string_view name, std::string_view shorthand) = 0;
  virtual void EndSection() = 0;
  // Returns how many elements there are to visit.
  virtual size_t BeginList(std::string_view name, size_t size, const FieldOptions& options,
                           const void* at) = 0;
  virtual void BeginElement(size_t index, std::string_view shorthand, const void* at) = 0;
  virtual void EndElement() = 0;
  virtual void EndList() = 0;
  virtual std::vector<size_t> Choose(const std::vector<Alternative>& alternatives, size_t current,
                                     bool required) = 0;
};

// The whole configuration, as the top-level section.
void VisitConfig(FieldVisitor& visitor, Config& config);

}  // namespace sluice

// A document -> Config: the visitor that reads. Every value is checked where it stands; what only
// shows when all are known (names that point at each other) is validate.h's.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/node.h"
#include "config/problems.h"
#include "config/schema.h"

namespace sluice {

// Where the fields of a Config were read, by their addresses: valid while the Config stays put.
class ConfigPositions {
 public:
  void Set(const void* field, const ConfigPosition& at) { positions_[field] = at; }
  // Of a field, a list, or an element of one; of the whole file for what was not written.
  ConfigPosition Of(const void* field) const;

  // A value that was refused: its problem is known, and its field still has the default.
  void SetRefused(const void* field) { refused_[field] = true; }
  bool Refused(const void* field) const { return refused_.contains(field); }

 private:
  std::unordered_map<const void*, ConfigPosition> positions_;
  std::unordered_map<const void*, bool> refused_;
};

class ConfigReader final : public FieldVisitor {
 public:
  // All of them must outlive this reader.
  ConfigReader(const ConfigNode& root, ConfigProblems* problems, ConfigPositions* positions);

  // Ends the top-level section: reports its unknown keys. Call once, after the visit.
  void Finish();

  void Time(std::string_view name, Duration& value, Duration min) override;
  void Flag(std::string_view name, bool& value) override;
  void Text(std::string_view name, std::string& value, const TextRule& rule,
            const FieldOptions& options) override;
  void Texts(std::string_view name, std::vector<std::string>& values, const TextRule& rule,
             const FieldOptions& options) override;
  void Fields(std::string_view name, std::vector<std::pair<std::string, std::string>>& fields,
              bool repeat, const TextRule& rule) override;

 protected:
  void DoNumber(std::string_view name, uint64_t& value, const NumberRule& rule,
                const void* at) override;
  void DoWord(std::string_view name, size_t& index, std::span<const std::string_view> words,
              const void* at) override;
  bool Wants(std::string_view name, bool present, const void* at) override;
  void BeginSection(std::string_view name, std::string_view shorthand) override;
  void EndSection() override;
  size_t BeginList(std::string_view name, size_t size, const FieldOptions& options,
                   const void* at) override;
  void BeginElement(size_t index, std::string_view shorthand, const void* at) override;
  void EndElement() override { EndSection(); }
  void EndList() override { lists_.pop_back(); }
  std::vector<size_t> Choose(const std::vector<Alternative>& alternatives, size_t current,
                             bool required) override;

 private:
  struct Section {
    const ConfigNode* node;  // a mapping; nullptr when absent or refused
    std::string path;        // "listeners[0].timeouts"
    ConfigPosition at;
    bool refused = false;            // what it lacks is not worth saying
    std::vector<std::string> asked;  // every key it can have
  };
  struct List {
    const ConfigNode* node;  // a sequence; nullptr when absent or refused
    std::string path;
  };

  // The value of that key, or nullptr; from then on the key is known.
  const ConfigNode* Find(std::string_view name);
  // The same for a scalar: anything else is a problem, and nullptr.
  const ConfigNode* FindScalar(std::string_view name, std::string_view expected, const void* field);
  void Enter(const ConfigNode* node, std::string path, std::string_view shorthand);
  void ReportUnknownKey(const Section& section, const ConfigNode::Entry& entry);
  void ReportMissing(std::string_view name);
  // "path: problem" at `at`.
  void Report(const ConfigPosition& at, const std::string& path, const std::string& problem);
  bool ReadText(const ConfigNode& node, const std::string& path, const TextRule& rule,
                std::string* value);
  void ReadField(const ConfigNode::Entry& entry, const ConfigNode& node, const std::string& path,
                 const TextRule& rule, std::vector<std::pair<std::string, std::string>>* fields);
  std::string PathOf(std::string_view name) const;

  ConfigProblems* const problems_;
  ConfigPositions* const positions_;
  std::vector<Section> sections_;
  std::vector<List> lists_;
  std::deque<ConfigNode> made_;  // sections that were written as their shorthand
};

}  // namespace sluice

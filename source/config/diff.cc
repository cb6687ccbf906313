// Config -> values by path: the visitor that flattens.
#include "config/diff.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>

#include "config/byte_size.h"
#include "config/duration.h"
#include "config/schema.h"

namespace sluice {
namespace {

struct Flat {
  std::string value;
  bool whole = false;  // an element of a list, say: what is in it comes and goes with it
  std::vector<std::string> names = {};  // of a list: those of its elements
};
using FlatConfig = std::map<std::string, Flat>;

class Flattener final : public FieldVisitor {
 public:
  FlatConfig Take() { return std::move(flat_); }

  void Time(std::string_view name, Duration& value, Duration) override {
    Put(name, FormatDuration(value));
  }
  void Flag(std::string_view name, bool& value) override { Put(name, value ? "true" : "false"); }
  void Text(std::string_view name, std::string& value, const TextRule&,
            const FieldOptions&) override {
    if (unnamed_ && (name == "name" || name == "address" || name == "cert")) {
      NameElement(value);
      if (name != "cert") return;
    }
    Put(name, value);
  }
  void Texts(std::string_view name, std::vector<std::string>& values, const TextRule&,
             const FieldOptions&) override {
    std::string list;
    for (const std::string& value : values) list += (list.empty() ? "" : ", ") + value;
    Put(name, "[" + list + "]");
  }
  void Fields(std::string_view name, std::vector<std::pair<std::string, std::string>>& fields, bool,
              const TextRule&) override {
    std::string list;
    for (const auto& [field, value] : fields) {
      list += (list.empty() ? "" : ", ") + field + ": " + value;
    }
    Put(name, "{" + list + "}");
  }

 protected:
  void DoNumber(std::string_view name, uint64_t& value, const NumberRule& rule,
                const void*) override {
    if (value == 0 && !rule.word_for_zero.empty())
      return Put(name, std::string(rule.word_for_zero));
    Put(name, rule.unit == NumberUnit::kBytes ? FormatByteSize(value) : std::to_string(value));
  }
  void DoWord(std::string_view name, size_t& index, std::span<const std::string_view> words,
              const void*) override {
    Put(name, std::string(words[index]));
  }
  bool Wants(std::string_view name, bool present, const void*) override {
    if (present) flat_[Path(name)] = {"", true};
    return present;
  }
  void BeginSection(std::string_view name, std::string_view) override { Push(Path(name)); }
  void EndSection() override { Pop(); }

  size_t BeginList(std::string_view name, size_t size, const FieldOptions&, const void*) override {
    Push(Path(name));
    lists_.emplace_back();
    return size;
  }
  void BeginElement(size_t, std::string_view, const void*) override { unnamed_ = true; }
  void EndElement() override { Pop(); }
  // Their order matters in most lists, and is nothing that its elements would tell.
  void EndList() override {
    std::string list;
    for (const std::string& name : lists_.back()) list += (list.empty() ? "" : ", ") + name;
    flat_[path_] = {"[" + list + "]", false, std::move(lists_.back())};
    lists_.pop_back();
    Pop();
  }
  std::vector<size_t> Choose(const std::vector<Alternative>& alternatives, size_t current,
                             bool) override {
    Put("kind", std::string(alternatives[current].name));
    return {current};
  }

 private:
  std::string Path(std::string_view name) const {
    return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
  }
  void Put(std::string_view name, std::string value) {
    flat_[Path(name)] = {std::move(value), false};
  }
  void Push(std::string path) { outer_.push_back(std::exchange(path_, std::move(path))); }
  void Pop() {
    path_ = std::move(outer_.back());
    outer_.pop_back();
  }
  // Every element begins with what names it.
  void NameElement(const std::string& name) {
    unnamed_ = false;
    lists_.back().push_back(name);
    std::string path = path_ + "[" + name + "]";
    // Two tests of one header field, say.
    for (int i = 2; flat_.contains(path); ++i) {
      path = path_ + "[" + name + "#" + std::to_string(i) + "]";
    }
    flat_[path] = {"", true};
    Push(std::move(path));
  }

  FlatConfig flat_;
  std::string path_;
  std::vector<std::string> outer_;
  std::vector<std::vector<std::string>> lists_;  // names of elements, of the lists around
  bool unnamed_ = false;                         // an element has begun, and not said its name
};

FlatConfig Flatten(const Config& config) {
  Config copy = config;
  Flattener flattener;
  VisitConfig(flattener, copy);
  return flattener.Take();
}

bool NeedsRestart(std::string_view path) {
  if (path == "workers" || path == "pid_file" || path.starts_with("admin.") ||
      path.starts_with("restart.")) {
    return true;
  }
  return path.starts_with("listeners[") && path.ends_with("].direction");
}

// A list whose elements came or went says so by them.
bool SameButForOrder(const Flat& a, const Flat& b) {
  return a.names.size() == b.names.size() &&
         std::is_permutation(a.names.begin(), a.names.end(), b.names.begin());
}

// Walks over one side of the comparison: elements that the other does not have stand for all that
// is in them.
void AddMissing(const FlatConfig& from, const FlatConfig& other, ConfigChange::Kind kind,
                ConfigDiff* diff) {
  std::string inside;  // what begins with it is told already
  for (const auto& [path, flat] : from) {
    if (!inside.empty() && path.starts_with(inside)) continue;
    inside.clear();
    if (other.contains(path)) continue;
    if (flat.whole) inside = path;
    diff->push_back({kind, path, "", "", false});
  }
}

}  // namespace

std::string_view ConfigChangeName(ConfigChange::Kind kind) {
  switch (kind) {
    case ConfigChange::Kind::kAdded:
      return "added";
    case ConfigChange::Kind::kRemoved:
      return "removed";
    case ConfigChange::Kind::kChanged:
      return "changed";
  }
  return "";
}

ConfigDiff DiffConfigs(const Config& before, const Config& after) {
  const FlatConfig was = Flatten(before);
  const FlatConfig is = Flatten(after);
  ConfigDiff diff;
  AddMissing(was, is, ConfigChange::Kind::kRemoved, &diff);
  AddMissing(is, was, ConfigChange::Kind::kAdded, &diff);
  for (const auto& [path, flat] : is) {
    const auto found = was.find(path);
    if (found == was.end() || found->second.value == flat.value) continue;
    if (!SameButForOrder(found->second, flat)) continue;
    diff.push_back(
        {ConfigChange::Kind::kChanged, path, found->second.value, flat.value, NeedsRestart(path)});
  }
  std::sort(diff.begin(), diff.end(), [](const ConfigChange& a, const ConfigChange& b) {
    return std::tie(a.path, a.kind) < std::tie(b.path, b.kind);
  });
  return diff;
}

void KeepUntilRestart(const Config& before, Config* after) {
  after->workers = before.workers;
  after->pid_file = before.pid_file;
  after->admin = before.admin;
  after->restart = before.restart;
  for (ListenerConfig& listener : after->listeners) {
    for (const ListenerConfig& old : before.listeners) {
      if (old.name == listener.name) listener.direction = old.direction;
    }
  }
}

void KeepDiscovered(const Config& before, Config* after) {
  for (ClusterConfig& cluster : after->clusters) {
    for (const ClusterConfig& old : before.clusters) {
      if (cluster.dns && old.name == cluster.name) cluster.endpoints = old.endpoints;
    }
  }
}

}  // namespace sluice

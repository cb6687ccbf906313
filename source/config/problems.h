// What is wrong with a configuration, and where: collected, so that a person sees all of it at
// once.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/result.h"

namespace sluice {

// A place in the configuration.
struct ConfigPosition {
  int source = 0;  // 0: the file; n: the nth override
  int line = 0;    // from 1; 0: the file as a whole
  int column = 0;  // from 1, in characters
};

// 'text' as a message shows it: on one line, at most 64 bytes of it.
std::string QuotedForMessage(std::string_view text);

class ConfigProblems {
 public:
  // Kept; more are only counted.
  static constexpr size_t kMax = 10;

  // `name` stands for the file in messages.
  ConfigProblems(std::string name, const std::vector<std::string>& overrides);

  // `message`: what is wrong; what was expected; perhaps a hint.
  void Add(const ConfigPosition& at, std::string message);

  bool empty() const { return count_ == 0; }
  // More problems will only be counted: a costly hint is not worth finding.
  bool full() const { return count_ >= kMax; }

  // One problem to a line, in the order of the file, then of the overrides.
  Error ToError() const;

  // "file:line:column", or "--set KEY.PATH=VALUE".
  std::string Where(const ConfigPosition& at) const;

 private:
  struct Problem {
    ConfigPosition at;
    std::string message;
  };

  std::string name_;
  std::vector<std::string> overrides_;
  std::vector<Problem> problems_;
  size_t count_ = 0;
};

}  // namespace sluice

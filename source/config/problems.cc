#include "config/problems.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace sluice {
namespace {

constexpr size_t kMaxQuoted = 200;

// On one line and of bounded length: an override may be a whole document.
std::string Shortened(const std::string& text) {
  std::string shortened = text.substr(0, text.find('\n'));
  if (shortened.size() > kMaxQuoted) shortened.resize(kMaxQuoted);
  return shortened.size() == text.size() ? shortened : shortened + "...";
}

}  // namespace

std::string QuotedForMessage(std::string_view text) {
  constexpr size_t kMaxBytes = 64;
  std::string quoted = "'";
  for (const char c : text.substr(0, kMaxBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    quoted += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  return quoted + (text.size() > kMaxBytes ? "...'" : "'");
}

ConfigProblems::ConfigProblems(std::string name, const std::vector<std::string>& overrides)
    : name_(std::move(name)), overrides_(overrides) {}

void ConfigProblems::Add(const ConfigPosition& at, std::string message) {
  if (!full()) problems_.push_back({at, std::move(message)});
  ++count_;
}

Error ConfigProblems::ToError() const {
  std::vector<Problem> sorted = problems_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.at.source, a.at.line, a.at.column) <
           std::tie(b.at.source, b.at.line, b.at.column);
  });
  std::string text;
  for (const Problem& problem : sorted) {
    if (!text.empty()) text += '\n';
    text += Where(problem.at) + ": " + problem.message;
  }
  if (count_ > kMax) text += "\nand " + std::to_string(count_ - kMax) + " more";
  return Error{text};
}

std::string ConfigProblems::Where(const ConfigPosition& at) const {
  if (at.source > 0) return "--set " + Shortened(overrides_[static_cast<size_t>(at.source) - 1]);
  if (at.line == 0) return name_;
  return name_ + ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
}

}  // namespace sluice

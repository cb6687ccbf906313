#include "config/duration.h"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>

namespace sluice {
namespace {

struct Unit {
  std::string_view name;
  int64_t nanoseconds;
};

// Longest first, so that they can be asked to appear in this order.
constexpr std::array<Unit, 5> kUnits = {{{"h", 3'600'000'000'000},
                                         {"m", 60'000'000'000},
                                         {"s", 1'000'000'000},
                                         {"ms", 1'000'000},
                                         {"us", 1'000}}};
constexpr int64_t kLongest = 8760 * kUnits[0].nanoseconds;
constexpr std::string_view kExpected = "; expected a duration such as 500ms, 10s or 1m30s";
constexpr size_t kMaxText = 64;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

size_t CountDigits(std::string_view text) {
  size_t count = 0;
  while (count < text.size() && IsDigit(text[count])) ++count;
  return count;
}

// Reads "12" or "1.5" and the unit that follows, and takes them off the front of `rest`.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text), rest_(text) {}

  Result<Duration> Read() {
    if (text_.empty()) return Bad("an empty text is not a duration");
    if (text_.size() > kMaxText) return Bad("this is too long for a duration");
    while (!rest_.empty()) {
      if (!ReadPart()) return Bad(problem_);
    }
    if (total_ % 1'000 != 0) return Bad(Quoted() + " is finer than a microsecond");
    return Duration(total_);
  }

 private:
  bool ReadPart() {
    const std::string_view whole = rest_.substr(0, CountDigits(rest_));
    if (whole.empty()) return Problem(Quoted() + " is not a duration");
    rest_.remove_prefix(whole.size());
    std::string_view fraction;
    if (!rest_.empty() && rest_[0] == '.') {
      rest_.remove_prefix(1);
      fraction = rest_.substr(0, CountDigits(rest_));
      // Six digits of an hour still fit 64 bits.
      if (fraction.empty() || fraction.size() > 6) return Problem(Quoted() + " is not a duration");
      rest_.remove_prefix(fraction.size());
    }
    const Unit* unit = ReadUnit();
    return unit != nullptr && Add(whole, fraction, unit->nanoseconds);
  }

  const Unit* ReadUnit() {
    size_t length = 0;
    while (length < rest_.size() && !IsDigit(rest_[length])) ++length;
    const std::string_view name = rest_.substr(0, length);
    rest_.remove_prefix(length);
    if (name.empty()) {
      Problem(Quoted() + " has no unit");
      if (text_.size() == CountDigits(text_)) hint_ = "; did you mean " + std::string(text_) + "s";
      return nullptr;
    }
    for (; next_unit_ < kUnits.size(); ++next_unit_) {
      if (kUnits[next_unit_].name == name) return &kUnits[next_unit_++];
    }
    bool known = false;
    for (const Unit& unit : kUnits) known = known || unit.name == name;
    Problem(Quoted() + (known ? " does not have its units once each, the largest first"
                              : " has the unknown unit '" + std::string(name) +
                                    "' (known are h, m, s, ms, us)"));
    return nullptr;
  }

  bool Add(std::string_view whole, std::string_view fraction, int64_t unit) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(whole.data(), whole.data() + whole.size(), number);
    if (error != std::errc() || number > kLongest / unit) return TooLong();
    int64_t part = 0;
    int64_t scale = 1;
    for (const char digit : fraction) {
      part = part * 10 + (digit - '0');
      scale *= 10;
    }
    if (part * unit % scale != 0) return Problem(Quoted() + " is finer than a microsecond");
    total_ += number * unit + part * unit / scale;
    return total_ <= kLongest || TooLong();
  }

  bool TooLong() { return Problem(Quoted() + " is longer than 8760h"); }
  bool Problem(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }
  std::string Quoted() const { return "'" + std::string(text_) + "'"; }
  tl::unexpected<Error> Bad(const std::string& problem) const {
    return Fail(problem + std::string(kExpected) + hint_);
  }

  std::string_view text_;
  std::string_view rest_;
  size_t next_unit_ = 0;
  int64_t total_ = 0;
  std::string problem_;
  std::string hint_;
};

}  // namespace

Result<Duration> ParseDuration(std::string_view text) { return Reader(text).Read(); }

std::string FormatDuration(Duration duration) {
  int64_t left = duration.count();
  if (left % 1'000'000'000 != 0) {
    return left % 1'000'000 == 0 ? std::to_string(left / 1'000'000) + "ms"
                                 : std::to_string(left / 1'000) + "us";
  }
  std::string text;
  for (size_t i = 0; i < 3; ++i) {
    const int64_t count = left / kUnits[i].nanoseconds;
    left %= kUnits[i].nanoseconds;
    if (count != 0) text += std::to_string(count) + std::string(kUnits[i].name);
  }
  return text.empty() ? "0s" : text;
}

}  // namespace sluice

#include "http/http_date.h"

#include <chrono>
#include <cstring>

namespace sluice {
namespace {

constexpr char kTemplate[] = "Sun, 00 Jan 0000 00:00:00 GMT";
constexpr char kDays[] = "SunMonTueWedThuFriSat";
constexpr char kMonths[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

void PutTwoDigits(char* at, unsigned value) {
  at[0] = static_cast<char>('0' + value / 10 % 10);
  at[1] = static_cast<char>('0' + value % 10);
}

}  // namespace

std::string_view HttpDate(WallTime time, char* out) {
  namespace chrono = std::chrono;
  const auto day = chrono::floor<chrono::days>(time);
  const chrono::year_month_day date(day);
  const chrono::hh_mm_ss clock(chrono::floor<chrono::seconds>(time - day));
  const auto year = static_cast<unsigned>(static_cast<int>(date.year()));

  static_assert(sizeof(kTemplate) - 1 == kHttpDateLength);
  std::memcpy(out, kTemplate, kHttpDateLength);
  std::memcpy(out, kDays + static_cast<size_t>(3) * chrono::weekday(day).c_encoding(), 3);
  PutTwoDigits(out + 5, static_cast<unsigned>(date.day()));
  std::memcpy(out + 8, kMonths + static_cast<size_t>(3) * (static_cast<unsigned>(date.month()) - 1),
              3);
  PutTwoDigits(out + 12, year / 100);
  PutTwoDigits(out + 14, year % 100);
  PutTwoDigits(out + 17, static_cast<unsigned>(clock.hours().count()));
  PutTwoDigits(out + 20, static_cast<unsigned>(clock.minutes().count()));
  PutTwoDigits(out + 23, static_cast<unsigned>(clock.seconds().count()));
  return {out, kHttpDateLength};
}

}  // namespace sluice

// The process's own log: one structured line for each lifecycle event. Not the access log, and not
// for the request path.
//
//   LogEvent(Level::kInfo, "phase", {{"phase", "draining"}, {"in_flight", 12}});
//   {"time":"2026-01-01T00:00:00.000Z","level":"info","event":"phase","phase":"draining",...}
//
// Written at once and thread safe (spdlog underneath). A reader of the log that has stopped reading
// holds a caller up for a fraction of a second once; from then on lines are lost, and counted,
// until it reads again.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

namespace sluice {

enum class Level : uint8_t { kDebug, kInfo, kWarning, kError };

struct LogField {
  std::string_view key;
  std::variant<std::string, int64_t, double, bool> value;

  LogField(std::string_view k, std::string_view v) : key(k), value(std::string(v)) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string(v)) {}
  LogField(std::string_view k, bool v) : key(k), value(v) {}
  LogField(std::string_view k, double v) : key(k), value(v) {}
  template <typename Integer>
  requires std::is_integral_v<Integer> LogField(std::string_view k, Integer v)
      : key(k), value(static_cast<int64_t>(v)) {}
};

struct LogOptions {
  Level level = Level::kInfo;
  bool json = true;  // otherwise "time level event key=value ..."; colours only on a terminal, and
                     // not when NO_COLOR is set (no-color.org)
  std::string path = "stderr";  // or "stdout", or a file
};

// (Re)configures the log; before the first call it writes text to stderr. False when the file
// cannot be opened: the log then stays as it was, and `error` says why.
bool ConfigureLog(const LogOptions& options, std::string* error);

// Re-opens the file after a rotation (SIGUSR1). When that fails the old file stays in use, and a
// line says so.
void ReopenLog();

// Returns when every line logged so far is with the kernel; they are anyway, unless lost.
void FlushLog();

// Lines that could not be written since the process started: disk full, reader gone or stuck.
uint64_t LogLinesLost();

// One line. Strings may hold any bytes: they are escaped, and what is not UTF-8 is replaced. Not a
// number and infinity become null.
void LogEvent(Level level, std::string_view event, std::initializer_list<LogField> fields = {});

// As LogEvent, with a value that is valid JSON already (the drain report). It is put on one line.
void LogJson(Level level, std::string_view event, std::string_view key, std::string_view json);

}  // namespace sluice

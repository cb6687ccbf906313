#include "base/log.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>

#include "base/escape.h"
#include "base/log_file.h"

namespace sluice {
namespace {

// How long one line may wait for a reader that does not read. Lines are few, a drain has budgets.
constexpr int kPatienceMilliseconds = 250;

constexpr const char* kJsonPattern = R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})";
constexpr const char* kTextPattern = "%Y-%m-%dT%H:%M:%S.%eZ %^%-7l%$ %v";

std::atomic<uint64_t> lines_lost{0};

const char* ColourOf(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::debug:
      return "\033[36m";
    case spdlog::level::info:
      return "\033[32m";
    case spdlog::level::warn:
      return "\033[33m";
    default:
      return "\033[31m";
  }
}

// Writes each line at once, by way of a LogFile. spdlog's own sinks would do, but block for ever
// behind a full pipe, create missing directories, and cannot be re-opened.
class FileSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  FileSink(std::unique_ptr<LogFile> file, const char* pattern) : file_(std::move(file)) {
    set_formatter(
        std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
    // As https://no-color.org: present and not empty, whatever its value.
    const char* no_color = std::getenv("NO_COLOR");
    colours_ = file_->is_terminal() && (no_color == nullptr || *no_color == '\0');
  }

  bool Reopen(std::string* error) {
    const std::lock_guard lock(mutex_);
    return file_->Reopen(error);
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    if (colours_ && message.color_range_end > message.color_range_start) {
      const std::string_view whole(line.data(), line.size());
      Write(fmt::format("{}{}{}\033[0m{}", whole.substr(0, message.color_range_start),
                        ColourOf(message.level),
                        whole.substr(message.color_range_start,
                                     message.color_range_end - message.color_range_start),
                        whole.substr(message.color_range_end)));
    } else {
      Write({line.data(), line.size()});
    }
  }

  void flush_() override {}

 private:
  void Write(std::string_view line) {
    for (;;) {
      const LogFile::Written written = file_->Write(line);
      line.remove_prefix(written.count);
      if (written.status == LogFile::Status::kWritten) {
        stuck_ = false;
        return;
      }
      if (written.status == LogFile::Status::kFailed || stuck_) break;
      pollfd ready = {file_->fd(), POLLOUT, 0};
      if (poll(&ready, 1, kPatienceMilliseconds) == 0) stuck_ = true;
    }
    file_->AbandonLine();
    lines_lost.fetch_add(1, std::memory_order_relaxed);
  }

  std::unique_ptr<LogFile> file_;
  bool colours_ = false;
  bool stuck_ = false;  // the last line found no reader: the next does not wait for one
};

spdlog::level::level_enum SpdlogLevel(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

// One configuration of the log. Immutable: a line being written keeps the one it began with.
struct Log {
  bool json;
  std::shared_ptr<FileSink> sink;
  spdlog::logger logger;

  Log(std::unique_ptr<LogFile> file, const LogOptions& options)
      : json(options.json),
        sink(std::make_shared<FileSink>(std::move(file), json ? kJsonPattern : kTextPattern)),
        logger("sluice", sink) {
    logger.set_level(SpdlogLevel(options.level));
  }
};

struct Current {
  std::mutex mutex;
  std::shared_ptr<Log> log;
};

// Never destroyed, so that the last line of a process may come from anywhere.
Current& TheCurrent() {
  static Current* current = new Current;
  return *current;
}

std::shared_ptr<Log> CurrentLog() {
  Current& current = TheCurrent();
  const std::lock_guard lock(current.mutex);
  if (!current.log) {
    std::string error;
    LogOptions options;
    options.json = false;
    current.log = std::make_shared<Log>(LogFile::Open("stderr", &error), options);
  }
  return current.log;
}

// A text value is quoted where it could be taken for something else.
bool NeedsQuotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 0x7f || c == '"' || c == '=' || c == '\\') return true;
  }
  return false;
}

void AppendValue(LineBuffer& out, const LogField& field, bool json) {
  if (const auto* text = std::get_if<std::string>(&field.value)) {
    if (json || NeedsQuotes(*text)) {
      AppendJsonString(out, *text);
    } else {
      Append(out, *text);
    }
  } else if (const auto* integer = std::get_if<int64_t>(&field.value)) {
    fmt::format_to(std::back_inserter(out), "{}", *integer);
  } else if (const auto* number = std::get_if<double>(&field.value)) {
    if (std::isfinite(*number)) {
      fmt::format_to(std::back_inserter(out), "{}", *number);
    } else {
      Append(out, "null");
    }
  } else {
    Append(out, std::get<bool>(field.value) ? "true" : "false");
  }
}

void AppendKey(LineBuffer& out, std::string_view key, bool json) {
  if (json) {
    out.push_back(',');
    AppendJsonString(out, key);
    out.push_back(':');
  } else {
    out.push_back(' ');
    AppendTextEscaped(out, key);
    out.push_back('=');
  }
}

void AppendEventName(LineBuffer& out, std::string_view event, bool json) {
  if (json) {
    Append(out, R"("event":)");
    AppendJsonString(out, event);
  } else {
    AppendTextEscaped(out, event);
  }
}

void Submit(Log& log, Level level, const LineBuffer& line) {
  log.logger.log(SpdlogLevel(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

bool ConfigureLog(const LogOptions& options, std::string* error) {
  std::unique_ptr<LogFile> file = LogFile::Open(options.path, error);
  if (!file) return false;
  auto log = std::make_shared<Log>(std::move(file), options);
  Current& current = TheCurrent();
  const std::lock_guard lock(current.mutex);
  current.log.swap(log);
  return true;
}

void ReopenLog() {
  std::string error;
  if (!CurrentLog()->sink->Reopen(&error)) {
    LogEvent(Level::kError, "log_reopen_failed", {{"error", error}});
  }
}

void FlushLog() { CurrentLog()->logger.flush(); }

uint64_t LogLinesLost() { return lines_lost.load(std::memory_order_relaxed); }

void LogEvent(Level level, std::string_view event, std::initializer_list<LogField> fields) {
  const std::shared_ptr<Log> log = CurrentLog();
  if (!log->logger.should_log(SpdlogLevel(level))) return;
  LineBuffer line;
  AppendEventName(line, event, log->json);
  for (const LogField& field : fields) {
    AppendKey(line, field.key, log->json);
    AppendValue(line, field, log->json);
  }
  Submit(*log, level, line);
}

void LogJson(Level level, std::string_view event, std::string_view key, std::string_view json) {
  const std::shared_ptr<Log> log = CurrentLog();
  if (!log->logger.should_log(SpdlogLevel(level))) return;
  LineBuffer line;
  AppendEventName(line, event, log->json);
  AppendKey(line, key, log->json);
  // Inside its strings JSON has no raw line breaks (RFC 8259 7), so these only lay it out.
  for (const char c : json) line.push_back(c == '\n' || c == '\r' ? ' ' : c);
  Submit(*log, level, line);
}

}  // namespace sluice

#include "proxy/access_log_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

namespace sluice {

enum class LogCommand : uint8_t {
  kLiteral,
  kStartTime,
  kMethod,
  kPath,
  kAuthority,
  kScheme,
  kProtocol,
  kKind,
  kStatus,
  kGrpcStatus,
  kBytesIn,
  kBytesOut,
  kDurationMs,
  kUpstreamMs,
  kAttempts,
  kRoute,
  kCluster,
  kEndpoint,
  kListener,
  kPeer,
  kRequestId,
  kUserAgent,
  kEnd,
  kDetail,
  kHeader,
  kFact,
};

namespace {

constexpr size_t kMaxValueBytes = 4096;

struct Name {
  std::string_view name;
  LogCommand command;
};

// In the order in which JSON has them.
constexpr Name kNames[] = {
    {"START_TIME", LogCommand::kStartTime},
    {"METHOD", LogCommand::kMethod},
    {"PATH", LogCommand::kPath},
    {"AUTHORITY", LogCommand::kAuthority},
    {"SCHEME", LogCommand::kScheme},
    {"PROTOCOL", LogCommand::kProtocol},
    {"KIND", LogCommand::kKind},
    {"STATUS", LogCommand::kStatus},
    {"GRPC_STATUS", LogCommand::kGrpcStatus},
    {"BYTES_IN", LogCommand::kBytesIn},
    {"BYTES_OUT", LogCommand::kBytesOut},
    {"DURATION_MS", LogCommand::kDurationMs},
    {"UPSTREAM_MS", LogCommand::kUpstreamMs},
    {"ATTEMPTS", LogCommand::kAttempts},
    {"ROUTE", LogCommand::kRoute},
    {"CLUSTER", LogCommand::kCluster},
    {"ENDPOINT", LogCommand::kEndpoint},
    {"LISTENER", LogCommand::kListener},
    {"PEER", LogCommand::kPeer},
    {"REQUEST_ID", LogCommand::kRequestId},
    {"USER_AGENT", LogCommand::kUserAgent},
    {"END", LogCommand::kEnd},
    {"DETAIL", LogCommand::kDetail},
};

// RFC 9110 5.6.2.
bool IsToken(std::string_view text) {
  constexpr std::string_view kSymbols = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kSymbols.find(c) != std::string_view::npos;
  });
}

bool IsControl(char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7f; }

bool IsCommandLetter(char c) { return (c >= 'A' && c <= 'Z') || c == '_'; }

std::string_view ProtocolOf(const HttpVersion& version) {
  if (version.major == 1) return version.minor == 0 ? "HTTP/1.0" : "HTTP/1.1";
  return version.major == 2 ? "HTTP/2" : "HTTP/3";
}

// What a command stands for in one line; nothing when that is not known.
using Value = std::variant<std::monostate, std::string_view, uint64_t, Duration, WallTime>;

Value KnownText(std::string_view text) {
  if (text.empty()) return {};
  return text;
}

Value ValueOf(LogCommand command, const LoggedRequest& logged) {
  const auto& [request, record, downstream, started, duration] = logged;
  switch (command) {
    case LogCommand::kStartTime:
      return started;
    case LogCommand::kMethod:
      return KnownText(request.method_name);
    case LogCommand::kPath:
      return KnownText(request.path);
    case LogCommand::kAuthority:
      return KnownText(request.authority);
    case LogCommand::kScheme:
      return KnownText(request.scheme);
    case LogCommand::kProtocol:
      return ProtocolOf(request.version);
    case LogCommand::kKind:
      return ProtocolName(record.protocol);
    case LogCommand::kStatus:
      return static_cast<uint64_t>(record.status);
    case LogCommand::kGrpcStatus:
      return record.grpc_status >= 0 ? Value(static_cast<uint64_t>(record.grpc_status)) : Value();
    case LogCommand::kBytesIn:
      return record.bytes_in;
    case LogCommand::kBytesOut:
      return record.bytes_out;
    case LogCommand::kDurationMs:
      return duration;
    case LogCommand::kUpstreamMs:
      return record.attempts > 0 ? Value(record.upstream_time) : Value();
    case LogCommand::kAttempts:
      return uint64_t{record.attempts};
    case LogCommand::kRoute:
      return KnownText(record.route);
    case LogCommand::kCluster:
      return KnownText(record.cluster);
    case LogCommand::kEndpoint:
      return KnownText(record.endpoint);
    case LogCommand::kListener:
      return KnownText(downstream.listener);
    case LogCommand::kPeer:
      return KnownText(downstream.peer);
    case LogCommand::kRequestId:
      return KnownText(request.headers.Value(HeaderId::kXRequestId));
    case LogCommand::kUserAgent:
      return KnownText(request.headers.Value(HeaderId::kUserAgent));
    case LogCommand::kEnd:
      return StreamEndName(record.end);
    case LogCommand::kDetail:
      return KnownText(record.detail);
    case LogCommand::kLiteral:
    case LogCommand::kHeader:
    case LogCommand::kFact:
      break;  // these need their piece
  }
  return {};
}

void AppendInteger(uint64_t number, LineBuffer& out) {
  const fmt::format_int digits(number);
  out.append(digits.data(), digits.data() + digits.size());
}

void AppendMilliseconds(Duration time, LineBuffer& out) {
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  const auto count = static_cast<uint64_t>(std::max<int64_t>(microseconds, 0));
  AppendInteger(count / 1000, out);
  const char fraction[] = {'.', static_cast<char>('0' + count / 100 % 10),
                           static_cast<char>('0' + count / 10 % 10),
                           static_cast<char>('0' + count % 10)};
  out.append(fraction, fraction + sizeof(fraction));
}

// Appends a value that is known, in JSON between quotation marks where it is not a number.
void AppendValue(const Value& value, bool json, TimestampWriter& timestamps, LineBuffer& out) {
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    const std::string_view kept = text->substr(0, kMaxValueBytes);
    if (json) {
      out.push_back('"');
      AppendJsonEscaped(out, kept);
    } else {
      AppendTextEscaped(out, kept);
    }
    if (kept.size() < text->size()) Append(out, "...");
    if (json) out.push_back('"');
  } else if (const auto* integer = std::get_if<uint64_t>(&value)) {
    AppendInteger(*integer, out);
  } else if (const auto* time = std::get_if<Duration>(&value)) {
    AppendMilliseconds(*time, out);
  } else if (const auto* wall = std::get_if<WallTime>(&value)) {
    if (json) out.push_back('"');
    timestamps.Append(*wall, out);
    if (json) out.push_back('"');
  }
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return lower;
}

tl::unexpected<Error> FailAt(size_t offset, std::string_view what) {
  return Fail(fmt::format("access log format, column {}: {}", offset + 1, what));
}

}  // namespace

void TimestampWriter::Append(WallTime time, LineBuffer& out) {
  const auto second = std::chrono::floor<std::chrono::seconds>(time);
  if (second != second_) {
    second_ = second;
    const auto day = std::chrono::floor<std::chrono::days>(second);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(second - day);
    fmt::format_to_n(text_.data(), text_.size(), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.",
                     static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count());
  }
  const auto count = std::chrono::floor<std::chrono::milliseconds>(time - second).count();
  out.append(text_.data(), text_.data() + text_.size());
  const char fraction[] = {static_cast<char>('0' + count / 100),
                           static_cast<char>('0' + count / 10 % 10),
                           static_cast<char>('0' + count % 10), 'Z'};
  out.append(fraction, fraction + sizeof(fraction));
}

Result<AccessLogLine> AccessLogLine::FromConfig(const AccessLogConfig& config) {
  if (config.format == AccessLogFormat::kJson) return Json();
  return Compile(config.text_format);
}

AccessLogLine AccessLogLine::Json() {
  AccessLogLine line;
  line.json_ = true;
  for (const Name& name : kNames) {
    // The first one is always known, so that the others can begin with a comma.
    const char* before = line.pieces_.empty() ? "" : ",";
    line.pieces_.push_back({name.command, fmt::format("{}\"{}\":", before, Lower(name.name)), {}});
  }
  for (size_t i = 0; i < kConnectionFactCount; ++i) {
    const auto fact = static_cast<ConnectionFact>(i);
    line.pieces_.push_back(
        {LogCommand::kFact, fmt::format(",\"{}\":", Lower(ConnectionFactName(fact))), {}, fact});
  }
  return line;
}

Result<AccessLogLine> AccessLogLine::Compile(std::string_view format) {
  if (format.ends_with('\n')) format.remove_suffix(1);
  if (format.empty()) return Fail("access log format is empty");
  AccessLogLine line;
  std::string literal;
  const auto end_literal = [&] {
    if (!literal.empty()) line.pieces_.push_back({LogCommand::kLiteral, literal, {}});
    literal.clear();
  };
  for (size_t at = 0; at < format.size();) {
    if (IsControl(format[at]) && format[at] != '\t') {
      return FailAt(at, "control character; a line of the log is one line");
    }
    if (format[at] != '%') {
      literal.push_back(format[at++]);
    } else if (format.substr(at).starts_with("%%")) {
      literal.push_back('%');
      at += 2;
    } else {
      end_literal();
      Result<size_t> next = line.TakeCommand(format, at);
      if (!next) return tl::unexpected(std::move(next.error()));
      at = *next;
    }
  }
  end_literal();
  return line;
}

// Compiles the command whose first '%' is at `start`; returns where the format goes on.
Result<size_t> AccessLogLine::TakeCommand(std::string_view format, size_t start) {
  constexpr std::string_view kHelp = "; write %% for a percent sign";
  size_t end = start + 1;
  while (end < format.size() && IsCommandLetter(format[end])) ++end;
  const std::string_view name = format.substr(start + 1, end - start - 1);

  if (name == "REQ" && format.substr(end).starts_with("(")) {
    const size_t close = format.find(")%", end);
    if (close == std::string_view::npos) return FailAt(start, "%REQ( without )%");
    const std::string_view header = format.substr(end + 1, close - end - 1);
    if (!IsToken(header)) return FailAt(end + 1, "not the name of a header field");
    // A codec moves Host from the fields to the head's authority.
    const HeaderId id = LookupHeader(header);
    const bool host = id == HeaderId::kHost;
    pieces_.push_back(
        {host ? LogCommand::kAuthority : LogCommand::kHeader, std::string(header), id});
    return close + 2;
  }

  const auto fact = FindConnectionFact(name);
  const auto* known = std::find_if(std::begin(kNames), std::end(kNames),
                                   [&](const Name& entry) { return entry.name == name; });
  if (known == std::end(kNames) && !fact) {
    return FailAt(start,
                  fmt::format("unknown command %{}, see docs/configuration.md{}", name, kHelp));
  }
  if (end == format.size() || format[end] != '%') {
    return FailAt(start, fmt::format("%{} without a closing %{}", name, kHelp));
  }
  if (fact) {
    pieces_.push_back({LogCommand::kFact, {}, {}, *fact});
  } else {
    pieces_.push_back({known->command, {}, {}});
  }
  return end + 1;
}

void AccessLogLine::Append(const LoggedRequest& logged, TimestampWriter& timestamps,
                           LineBuffer& out) const {
  if (json_) out.push_back('{');
  for (const Piece& piece : pieces_) {
    if (piece.command == LogCommand::kLiteral) {
      sluice::Append(out, piece.text);
      continue;
    }
    Value value;
    if (piece.command == LogCommand::kHeader) {
      const HeaderList& headers = logged.request.headers;
      value = KnownText(piece.header == HeaderId::kOther ? headers.Value(piece.text)
                                                         : headers.Value(piece.header));
    } else if (piece.command == LogCommand::kFact) {
      value = KnownText(ValueOf(piece.fact, logged.downstream));
    } else {
      value = ValueOf(piece.command, logged);
    }
    const bool known = !std::holds_alternative<std::monostate>(value);
    if (known && json_) sluice::Append(out, piece.text);
    if (known) {
      AppendValue(value, json_, timestamps, out);
    } else if (!json_) {
      out.push_back('-');
    }
  }
  sluice::Append(out, json_ ? "}\n" : "\n");
}

}  // namespace sluice

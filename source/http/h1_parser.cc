#include "http/h1_parser.h"

#include <algorithm>

#include "http/h1_fields.h"
#include "http/h1_llhttp.h"

namespace sluice {

H1Parser::H1Parser(H1Events& events, const HttpLimits& limits)
    : events_(events), limits_(limits), lines_() {}

void H1Parser::BeginRequest(RequestHead& head) {
  head.Reset();
  request_ = &head;
  response_ = nullptr;
  Begin(HTTP_REQUEST);
  lines_.Begin({.bytes = limits_.header_bytes,
                .lines = limits_.header_count + 1,
                .first_line = limits_.uri_bytes + kMaxAroundUri});
}

void H1Parser::BeginResponse(ResponseHead& head, bool to_head, bool to_connect) {
  head.Reset();
  request_ = nullptr;
  response_ = &head;
  to_head_ = to_head;
  to_connect_ = to_connect;
  Begin(HTTP_RESPONSE);
  lines_.Begin({.bytes = limits_.header_bytes, .lines = limits_.header_count + 1});
}

void H1Parser::Begin(llhttp_type_t type) {
  if (state_ == State::kFailed) return;
  llhttp_init(&llhttp_, type, &kLlhttpSettings);
  std::construct_at(&lines_);
  trailers_.reset();
  text_ = {};
  received_ = 0;
  if (state_ != State::kStart) {
    empty_lines_ = 0;
    saw_cr_ = false;
  }
  state_ = State::kStart;
}

size_t H1Parser::Execute(std::string_view bytes) {
  const size_t size = bytes.size();
  stopped_ = false;
  while (!stopped_ && Step(bytes)) {
  }
  return size - bytes.size();
}

bool H1Parser::Step(std::string_view& bytes) {
  if (state_ == State::kMessageEnd) return EndMessage();
  if (bytes.empty()) return false;
  switch (state_) {
    case State::kStart:
      return SkipEmptyLines(bytes);
    case State::kHead:
      return ReadHead(bytes);
    case State::kLength:
      return ReadLength(bytes);
    case State::kUntilClose:
      return ReadUntilClose(bytes);
    case State::kChunkLine:
      return ReadChunkLine(bytes);
    case State::kChunkData:
      return ReadChunkData(bytes);
    case State::kChunkEnd:
      return ReadChunkEnd(bytes);
    case State::kTrailers:
      return ReadTrailers(bytes);
    case State::kBetween:
    case State::kMessageEnd:
    case State::kFailed:
      return false;
  }
  return false;
}

// RFC 9112 2.2: a server should ignore at least one empty line before a request line.
bool H1Parser::SkipEmptyLines(std::string_view& bytes) {
  const char c = bytes.front();
  if (saw_cr_) {
    if (c != '\n') return Fail({400, "bare_cr"});
    saw_cr_ = false;
  } else if (c == '\r' && is_request() && empty_lines_ < kMaxEmptyLines) {
    saw_cr_ = true;
    ++empty_lines_;
  } else if (c == '\r' || c == '\n' || c == ' ' || c == '\t') {
    return Fail({400, c == '\n' ? "bare_lf" : is_request() ? "request_line" : "status_line"});
  } else {
    state_ = State::kHead;
    return true;
  }
  bytes.remove_prefix(1);
  return true;
}

bool H1Parser::ReadHead(std::string_view& bytes) {
  size_t used = 0;
  H1Error error;
  const H1LineScanner::Result result = lines_.Scan(bytes, &used, &error);
  Arena& arena = is_request() ? request_->arena : response_->arena;
  text_ = arena.Append(text_, bytes.substr(0, used));
  bytes.remove_prefix(used);
  if (result == H1LineScanner::Result::kError) return Fail(error);
  return result == H1LineScanner::Result::kEnd && FinishHead();
}

bool H1Parser::FinishHead() {
  H1HeadInfo info;
  if (std::optional<H1Error> error = JudgeHead(info)) return Fail(*error);
  return StartBody(info);
}

std::optional<H1Error> H1Parser::JudgeHead(H1HeadInfo& info) {
  const std::string_view line = text_.substr(0, text_.find('\r'));
  std::optional<H1Error> error;
  if (is_request()) {
    error = ReadRequestLine(line, limits_, *request_);
    if (!error) error = ReadFields(request_->headers);
    if (!error) error = FinishRequestHead(limits_, *request_, info);
  } else {
    error = ReadStatusLine(line, *response_);
    if (!error) error = ReadFields(response_->headers);
    if (!error) error = FinishResponseHead(to_head_, to_connect_, *response_, info);
  }
  return error;
}

std::optional<H1Error> H1Parser::ReadFields(HeaderList& fields) {
  LlhttpSink sink;
  sink.fields = &fields;
  const llhttp_errno_t result = RunLlhttp(text_, sink);
  if (result != HPE_PAUSED) return LlhttpRefusal(result);
  // It must see the end of the head where it is; it may leave the last LF for later.
  const char* const end = text_.data() + text_.size();
  const char* const stopped_at = llhttp_get_error_pos(&llhttp_);
  if (stopped_at + 1 < end || stopped_at > end) return H1Error{400, "syntax"};
  sink.AddField();
  // One field for each line: llhttp passes over a line without a name, for one.
  if (fields.size() != limits_.header_count - lines_.lines_left()) {
    return H1Error{400, "header_field"};
  }
  return std::nullopt;
}

bool H1Parser::StartBody(const H1HeadInfo& info) {
  switch (info.framing) {
    case H1Framing::kNone:
      state_ = State::kMessageEnd;
      break;
    case H1Framing::kLength:
      left_ = *(is_request() ? request_->content_length : response_->content_length);
      state_ = State::kLength;
      break;
    case H1Framing::kUntilClose:
      state_ = State::kUntilClose;
      break;
    case H1Framing::kChunked: {
      LlhttpSink sink;
      const char* const end = text_.data() + text_.size();
      const char* const stopped_at = llhttp_get_error_pos(&llhttp_);
      llhttp_.upgrade = 0;  // whether this is a tunnel is decided by the response
      llhttp_resume(&llhttp_);
      const std::string_view rest(stopped_at, static_cast<size_t>(end - stopped_at));
      if ((llhttp_.flags & F_CHUNKED) == 0 || RunLlhttp(rest, sink) != HPE_OK) {
        return Fail({400, "transfer_encoding"});
      }
      if (!info.connection.empty()) {
        trailers_ = std::make_unique<Trailers>();
        trailers_->connection = info.connection;
      }
      std::construct_at(&chunk_line_);
      state_ = State::kChunkLine;
      break;
    }
  }
  events_.OnHead(info.framing, info.keep_alive);
  return true;
}

bool H1Parser::ReadLength(std::string_view& bytes) {
  const std::string_view body = bytes.substr(0, std::min<uint64_t>(left_, bytes.size()));
  bytes.remove_prefix(body.size());
  left_ -= body.size();
  if (left_ == 0) state_ = State::kMessageEnd;
  events_.OnBody(body);
  return true;
}

bool H1Parser::ReadUntilClose(std::string_view& bytes) {
  const std::string_view body = bytes;
  bytes = {};
  events_.OnBody(body);
  return false;
}

bool H1Parser::ReadChunkLine(std::string_view& bytes) {
  size_t used = 0;
  std::string_view digits;
  const H1LineScanner::Result result = chunk_line_.Scan(bytes, &used, &digits);
  if (result == H1LineScanner::Result::kError) return Fail({400, chunk_line_.detail()});
  LlhttpSink sink;
  bool accepted = RunLlhttp(digits, sink) == HPE_OK;
  bytes.remove_prefix(used);
  if (accepted && result == H1LineScanner::Result::kMore) return false;
  accepted = accepted && RunLlhttp("\r\n", sink) == HPE_OK && sink.chunk_size.has_value();
  if (!accepted) return Fail({400, "chunk_size"});

  left_ = *sink.chunk_size;
  if (left_ == 0) {
    std::construct_at(&lines_);
    lines_.Begin({.bytes = limits_.header_bytes, .lines = limits_.header_count});
    state_ = State::kTrailers;
    return true;
  }
  if (is_request() && limits_.body_bytes != 0 && left_ > limits_.body_bytes - received_) {
    return Fail({413, "body_bytes"});
  }
  received_ += left_;
  state_ = State::kChunkData;
  return true;
}

bool H1Parser::ReadChunkData(std::string_view& bytes) {
  const std::string_view data = bytes.substr(0, std::min<uint64_t>(left_, bytes.size()));
  LlhttpSink sink;
  if (RunLlhttp(data, sink) != HPE_OK || sink.body.size() != data.size()) {
    return Fail({400, "chunk_data"});
  }
  bytes.remove_prefix(data.size());
  left_ -= data.size();
  if (left_ == 0) state_ = State::kChunkEnd;
  events_.OnBody(data);
  return true;
}

bool H1Parser::ReadChunkEnd(std::string_view& bytes) {
  LlhttpSink sink;
  const bool right = bytes.front() == (saw_cr_ ? '\n' : '\r');
  if (!right || RunLlhttp(bytes.substr(0, 1), sink) != HPE_OK) return Fail({400, "chunk_end"});
  bytes.remove_prefix(1);
  if (saw_cr_) {
    std::construct_at(&chunk_line_);
    state_ = State::kChunkLine;
  }
  saw_cr_ = !saw_cr_;
  return true;
}

bool H1Parser::ReadTrailers(std::string_view& bytes) {
  const bool any = trailers_ != nullptr && !trailers_->text.empty();
  const bool begins = bytes.front() != '\r' && bytes.front() != '\n';
  size_t used = 0;
  H1Error error;
  const H1LineScanner::Result result = lines_.Scan(bytes, &used, &error);
  if (any || begins) {
    if (trailers_ == nullptr) trailers_ = std::make_unique<Trailers>();
    trailers_->text = trailers_->arena.Append(trailers_->text, bytes.substr(0, used));
  }
  bytes.remove_prefix(used);
  if (result == H1LineScanner::Result::kError) return Fail(error);
  return result == H1LineScanner::Result::kEnd && FinishTrailers();
}

bool H1Parser::FinishTrailers() {
  const bool any = trailers_ != nullptr && !trailers_->text.empty();
  LlhttpSink sink;
  if (any) sink.fields = &trailers_->fields;
  const llhttp_errno_t result = RunLlhttp(any ? trailers_->text : "\r\n", sink);
  const bool accepted = result == HPE_OK || result == HPE_PAUSED_UPGRADE;
  if (!accepted || !sink.message_complete) {
    return Fail({400, result == HPE_OK ? "syntax" : LlhttpRefusal(result).detail});
  }
  if (any) {
    sink.AddField();
    if (trailers_->fields.size() != limits_.header_count - lines_.lines_left()) {
      return Fail({400, "header_field"});
    }
    FilterTrailers(trailers_->connection, trailers_->fields);
  }
  state_ = State::kMessageEnd;
  if (any && !trailers_->fields.empty()) events_.OnTrailers(trailers_->fields);
  return true;
}

bool H1Parser::EndMessage() {
  state_ = State::kBetween;
  trailers_.reset();
  text_ = {};
  events_.OnMessageEnd();
  return true;
}

bool H1Parser::FinishAtEof() {
  if (state_ == State::kUntilClose || state_ == State::kMessageEnd) EndMessage();
  return state_ == State::kBetween || state_ == State::kStart;
}

std::string H1Parser::Begun() const {
  std::string bytes;
  if (state_ != State::kStart && state_ != State::kHead) return bytes;
  for (uint8_t i = 0; i < empty_lines_; ++i) bytes += "\r\n";
  if (saw_cr_) bytes.pop_back();  // half of the last one
  bytes += text_;
  return bytes;
}

bool H1Parser::Fail(H1Error error) {
  error_ = error;
  state_ = State::kFailed;
  return false;
}

llhttp_errno_t H1Parser::RunLlhttp(std::string_view bytes, LlhttpSink& sink) {
  llhttp_.data = &sink;
  const llhttp_errno_t result = llhttp_execute(&llhttp_, bytes.data(), bytes.size());
  llhttp_.data = nullptr;
  return result;
}

}  // namespace sluice

// HTTP/1.x bytes in, message events out, on llhttp. Strict where llhttp is lenient: what RFC 9112
// calls invalid is an error here, never something to guess about, because a guess that differs from
// the next hop's is a smuggled request.
//
// One parser serves one direction of one connection, message after message. It keeps no bytes of
// its own beyond the head's arena, and no memory between messages beyond itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/arena.h"
#include "http/h1_head.h"
#include "http/h1_syntax.h"
#include "http/http_options.h"
#include "llhttp.h"
#include "sluice/message.h"

namespace sluice {

struct LlhttpSink;  // http/h1_parser.cc

// Told in this order: OnHead, OnBody..., OnTrailers (if any), OnMessageEnd. A callback may destroy
// neither parser nor events, but may call Stop.
class H1Events {
 public:
  // The head given to Begin is filled in. `framing` is kNone also for a body of length 0.
  // `keep_alive`: the peer's side allows the connection to persist after this message; never after
  // CONNECT, a 101, or a response that ends with its connection.
  virtual void OnHead(H1Framing framing, bool keep_alive) = 0;
  virtual void OnBody(std::string_view bytes) = 0;  // a slice of Execute's bytes; not empty
  virtual void OnTrailers(const HeaderList& trailers) = 0;
  virtual void OnMessageEnd() = 0;

 protected:
  ~H1Events() = default;
};

class H1Parser {
 public:
  H1Parser(H1Events& events, const HttpLimits& limits);  // both must outlive it
  H1Parser(const H1Parser&) = delete;

  // Starts on the next request, which will be written to `head` (reset here). `head` must live
  // until OnMessageEnd, or the next Begin. Begun again before the first byte of the request, it
  // only takes another head: empty lines go on being counted.
  void BeginRequest(RequestHead& head);

  // Starts on the next response. `to_head` / `to_connect`: the request was HEAD / CONNECT, which
  // decides whether there is a body. After a 1xx other than 101 the caller begins again.
  void BeginResponse(ResponseHead& head, bool to_head, bool to_connect);

  // Feeds bytes. Returns how many were consumed: all of them, unless the message ended, Stop was
  // called, or there is an error(). After OnMessageEnd nothing is consumed until the next Begin;
  // for a head that begins a tunnel (101, 2xx to CONNECT) OnMessageEnd follows OnHead, and what
  // was not consumed is not HTTP.
  size_t Execute(std::string_view bytes);

  // The peer half-closed. True when that is a proper end: between messages, or of a body that is
  // delimited by it (OnMessageEnd is then called).
  bool FinishAtEof();

  // From inside a callback: Execute returns after it. An OnMessageEnd that was due behind it is
  // made up for by the next Execute, for which no bytes are enough, or FinishAtEof.
  void Stop() { stopped_ = true; }

  // Set once the message is found to be invalid; the parser is of no use any more.
  const std::optional<H1Error>& error() const { return error_; }

  // True after the first byte of a message (empty lines before a request line do not count) and
  // before its end.
  bool in_message() const { return state_ > State::kStart; }
  bool in_head() const { return state_ == State::kHead; }

  // What was read of the next message, as it came, as long as nothing behind its head was: another
  // parser that is fed with it stands where this one does.
  std::string Begun() const;

 private:
  //   kBetween -Begin-> kStart -> kHead -.-> kMessageEnd --> kBetween
  //                                      |-> kLength ------> kMessageEnd
  //                                      |-> kUntilClose --> (end of input) kMessageEnd
  //                                      '-> kChunkLine -> kChunkData -> kChunkEnd -.
  //                                            |   '---------------<----------------'
  //                                            '-- size 0 -> kTrailers -> kMessageEnd
  //   any -> kFailed
  enum class State : uint8_t {
    kBetween,  // nothing begun, or the message has ended
    kStart,    // begun, no byte of the message yet
    kHead,
    kLength,
    kUntilClose,
    kChunkLine,
    kChunkData,
    kChunkEnd,  // the CRLF behind the data
    kTrailers,
    kMessageEnd,  // OnMessageEnd is due
    kFailed,
  };

  // Kept for the few messages that have trailers, or may have some that are to be removed.
  struct Trailers {
    Arena arena;
    HeaderList fields;
    std::string_view text;        // as received
    std::string_view connection;  // as in H1HeadInfo
  };

  static constexpr uint8_t kMaxEmptyLines = 4;
  static constexpr uint32_t kMaxAroundUri = 64;  // method, version and spaces

  void Begin(llhttp_type_t type);
  bool is_request() const { return request_ != nullptr; }

  // Each takes what it can from the front of `bytes`; false when there is nothing more to do.
  bool Step(std::string_view& bytes);
  bool SkipEmptyLines(std::string_view& bytes);
  bool ReadHead(std::string_view& bytes);
  bool ReadLength(std::string_view& bytes);
  bool ReadUntilClose(std::string_view& bytes);
  bool ReadChunkLine(std::string_view& bytes);
  bool ReadChunkData(std::string_view& bytes);
  bool ReadChunkEnd(std::string_view& bytes);
  bool ReadTrailers(std::string_view& bytes);

  bool FinishHead();
  std::optional<H1Error> JudgeHead(H1HeadInfo& info);
  std::optional<H1Error> ReadFields(HeaderList& fields);
  bool StartBody(const H1HeadInfo& info);
  bool FinishTrailers();
  bool EndMessage();
  bool Fail(H1Error error);
  llhttp_errno_t RunLlhttp(std::string_view bytes, LlhttpSink& sink);

  H1Events& events_;
  const HttpLimits& limits_;
  RequestHead* request_ = nullptr;  // one of the two
  ResponseHead* response_ = nullptr;
  std::string_view text_;  // of the head as far as it has come
  uint64_t left_ = 0;      // of the body, or of the chunk
  uint64_t received_ = 0;  // of a chunked body, present chunk included
  std::unique_ptr<Trailers> trailers_;
  std::optional<H1Error> error_;
  llhttp_t llhttp_;
  union {  // lines of a head or of trailers; or of a chunk
    H1LineScanner lines_;
    H1ChunkLineScanner chunk_line_;
  };
  State state_ = State::kBetween;
  uint8_t empty_lines_ = 0;
  bool to_head_ : 1 = false;
  bool to_connect_ : 1 = false;
  bool saw_cr_ : 1 = false;  // of an empty line, or of the CRLF behind a chunk
  bool stopped_ : 1 = false;
};

// There is one for every idle connection.
static_assert(sizeof(H1Parser) <= 224);

}  // namespace sluice

#include "http/h1_writer.h"

#include <charconv>
#include <cstring>

#include "http/http_date.h"
#include "http/websocket_handshake.h"

namespace sluice {
namespace {

// Appends to a block of scratch that was measured beforehand.
class ScratchWriter {
 public:
  ScratchWriter(Loop& loop, size_t capacity)
      : loop_(loop), begin_(loop.Scratch(capacity)), at_(begin_), capacity_(capacity) {}

  ScratchWriter& operator<<(std::string_view text) {
    if (!text.empty()) std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
    return *this;
  }

  ScratchWriter& operator<<(uint64_t number) {
    at_ = std::to_chars(at_, at_ + 20, number).ptr;
    return *this;
  }

  void Hex(uint64_t number) { at_ = std::to_chars(at_, at_ + 16, number, 16).ptr; }

  ScratchWriter& Field(std::string_view name, std::string_view value) {
    return *this << name << ": " << value << "\r\n";
  }

  // What was written; the rest of the block goes back.
  std::string_view Done() {
    const auto used = static_cast<size_t>(at_ - begin_);
    loop_.ReturnScratch(capacity_ - used);
    return {begin_, used};
  }

 private:
  Loop& loop_;
  char* begin_;
  char* at_;
  size_t capacity_;
};

size_t FieldsSize(const HeaderList& fields) {
  size_t size = 0;
  for (const HeaderField& field : fields) size += field.name.size() + field.value.size() + 4;
  return size;
}

void WriteFields(ScratchWriter& out, const HeaderList& fields) {
  for (const HeaderField& field : fields) out.Field(field.name, field.value);
}

void WriteBodyFields(ScratchWriter& out, const H1BodyFields& body) {
  if (body.chunked) {
    out << "Transfer-Encoding: chunked\r\n";
  } else if (body.content_length) {
    out << "Content-Length: " << *body.content_length << "\r\n";
  }
}

// Room for the fields that the writer itself adds, numbers included.
constexpr size_t kOwnFields = 256;

}  // namespace

std::string_view WriteH1ResponseHead(Loop& loop, const ResponseHead& head, H1BodyFields body,
                                     H1Persistence persistence, std::string_view websocket_accept) {
  const std::string_view reason = head.reason.empty() ? ReasonPhrase(head.status) : head.reason;
  ScratchWriter out(loop,
                    reason.size() + FieldsSize(head.headers) + head.upgrade.size() + kOwnFields);
  out << "HTTP/1.1 " << static_cast<uint64_t>(head.status) << " " << reason << "\r\n";
  WriteFields(out, head.headers);
  if (!head.informational() && head.headers.Find(HeaderId::kDate) == nullptr) {
    char date[kHttpDateLength];
    out.Field("Date", HttpDate(loop.WallNow(), date));
  }
  if (!websocket_accept.empty()) out.Field(kSecWebSocketAccept, websocket_accept);
  WriteBodyFields(out, body);
  if (!head.upgrade.empty()) {
    out << "Connection: Upgrade\r\n";
    out.Field("Upgrade", head.upgrade);
  } else if (persistence == H1Persistence::kClose) {
    out << "Connection: close\r\n";
  } else if (persistence == H1Persistence::kKeepAlive) {
    out << "Connection: keep-alive\r\n";
  }
  out << "\r\n";
  return out.Done();
}

std::string_view WriteH1RequestHead(Loop& loop, const RequestHead& head, H1BodyFields body,
                                    std::string_view websocket_key) {
  ScratchWriter out(loop, head.method_name.size() + head.path.size() + head.authority.size() +
                              FieldsSize(head.headers) + head.upgrade.size() + kOwnFields);
  out << head.method_name << " " << head.path << " HTTP/1.1\r\n";
  // RFC 9110 7.2: Host first, and always, even when it is empty.
  out.Field("Host", head.authority);
  WriteFields(out, head.headers);
  if (!websocket_key.empty()) {
    out.Field(kSecWebSocketKey, websocket_key);
    if (head.headers.Find(kSecWebSocketVersion) == nullptr) {
      out.Field(kSecWebSocketVersion, kWebSocketVersion);
    }
  }
  WriteBodyFields(out, body);
  if (head.expects_continue) out << "Expect: 100-continue\r\n";
  // RFC 9110 10.1.4: TE is hop-by-hop; we do understand trailers, so we say it for ourselves.
  if (head.accepts_trailers) out << "TE: trailers\r\n";
  if (!head.upgrade.empty()) {
    out << (head.accepts_trailers ? "Connection: Upgrade, TE\r\n" : "Connection: Upgrade\r\n");
    out.Field("Upgrade", head.upgrade);
  } else if (head.accepts_trailers) {
    out << "Connection: TE\r\n";
  }
  out << "\r\n";
  return out.Done();
}

std::string_view WriteH1ChunkSize(Loop& loop, uint64_t size) {
  ScratchWriter out(loop, 24);
  out.Hex(size);
  out << "\r\n";
  return out.Done();
}

std::string_view WriteH1Trailers(Loop& loop, const HeaderList& trailers) {
  ScratchWriter out(loop, FieldsSize(trailers) + 16);
  out << "0\r\n";
  WriteFields(out, trailers);
  out << "\r\n";
  return out.Done();
}

}  // namespace sluice

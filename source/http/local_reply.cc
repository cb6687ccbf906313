#include "http/local_reply.h"

#include <chrono>
#include <cstring>
#include <string>

#include "http/grpc.h"

namespace sluice {
namespace {

// `status` as HTTP says it, with a body of `length`.
void MakeHead(int status, size_t length, ResponseHead& head) {
  head.status = status;
  head.content_length = length;
  if (length > 0) head.headers.Add(HeaderId::kContentType, "Content-Type", "text/plain");
  if (status == 503) head.headers.Add(HeaderId::kRetryAfter, "Retry-After", "1");
}

}  // namespace

std::string_view BehindStatus(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  const size_t colon = text.find(": ");
  return colon == std::string_view::npos ? text : text.substr(colon + 2);
}

void SendLocalReply(ServerStream& stream, int status, std::string_view text, Duration retry_after) {
  if (AsksForGrpc(stream)) {
    SendGrpcError(stream, GrpcStatusFor(status), BehindStatus(text));
    return;
  }
  ResponseHead head;
  MakeHead(status, text.size(), head);
  if (retry_after != Duration::zero()) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(retry_after).count();
    head.headers.Set(HeaderId::kRetryAfter, "Retry-After",
                     head.arena.Copy(std::to_string(seconds)));
  }
  const bool head_only = text.empty() || stream.request().method == Method::kHead;
  stream.SendHead(head, head_only);
  if (!head_only) stream.SendBody(text, true);
}

std::string_view MakeRefusal(ServerStream& stream, Loop& loop, int status, std::string_view detail,
                             ResponseHead& head) {
  if (AsksForGrpc(stream)) {
    const GrpcStatus code = GrpcStatusFor(status);
    MakeGrpcError(code, detail == "drain_deadline" ? "draining" : detail, head);
    head.content_length = 0;
    stream.record().grpc_status = static_cast<int8_t>(code);
    return {};
  }
  if (status == 405) head.headers.Add("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");
  const std::string_view reason = ReasonPhrase(status);
  const size_t size = reason.size() + detail.size() + 3;
  char* const body = loop.Scratch(size);
  char* at = body;
  for (const std::string_view part :
       {reason, std::string_view(": "), detail, std::string_view("\n")}) {
    std::memcpy(at, part.data(), part.size());
    at += part.size();
  }
  MakeHead(status, size, head);
  return {body, size};
}

}  // namespace sluice

#include "http/websocket_handshake.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace sluice {
namespace {

// RFC 6455 1.3.
constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

struct Request : RequestHead {
  Request() {
    upgrade = "websocket";
    headers.Add("Sec-WebSocket-Key", kKey);
    headers.Add("Sec-WebSocket-Version", "13");
  }
};

struct Response : ResponseHead {
  Response() {
    status = 101;
    upgrade = "websocket";
    headers.Add("Sec-WebSocket-Accept", kAccept);
  }
};

TEST(WebSocketHandshake, IsKnownInAnyCase) {
  Request request;
  EXPECT_TRUE(IsWebSocketHandshake(request));
  for (const std::string_view upgrade :
       {"WebSocket", "WEBSOCKET", "foo, websocket", "websocket,"}) {
    request.upgrade = upgrade;
    EXPECT_TRUE(IsWebSocketHandshake(request)) << upgrade;
  }
}

TEST(WebSocketHandshake, IsAboutTheWebSocketProtocol) {
  Request request;
  for (const std::string_view upgrade : {"", "websockets", "websocket/1", "web, socket", "h2c"}) {
    request.upgrade = upgrade;
    EXPECT_FALSE(IsWebSocketHandshake(request)) << upgrade;
  }
}

TEST(WebSocketHandshake, IsAGet) {
  Request request;
  for (const Method method : {Method::kPost, Method::kConnect, Method::kHead, Method::kOther}) {
    request.method = method;
    EXPECT_FALSE(IsWebSocketHandshake(request));
  }
}

TEST(WebSocketHandshake, HasVersion13) {
  Request request;
  for (const std::string_view version : {"", "8", "12", "013", "13, 8"}) {
    request.headers.Set("Sec-WebSocket-Version", version);
    EXPECT_FALSE(IsWebSocketHandshake(request)) << version;
  }
  request.headers.Remove("Sec-WebSocket-Version");
  EXPECT_FALSE(IsWebSocketHandshake(request));
}

TEST(WebSocketHandshake, HasOneKeyOf16Bytes) {
  Request request;
  request.headers.Set("sec-websocket-key", "+/AZaz09+/AZaz09+/AZaw==");
  EXPECT_TRUE(IsWebSocketHandshake(request));
  for (const std::string_view key :
       {"", "==", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZ===", "dGhlIHNhbXBsZSBub25jZQAA",
        "dGhlIHNhbXBsZ_Bub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="}) {
    request.headers.Set("sec-websocket-key", key);
    EXPECT_FALSE(IsWebSocketHandshake(request)) << key;
  }
  request.headers.Remove("sec-websocket-key");
  EXPECT_FALSE(IsWebSocketHandshake(request));
  request.headers.Add("Sec-WebSocket-Key", kKey);
  request.headers.Add("sec-websocket-KEY", kKey);
  EXPECT_FALSE(IsWebSocketHandshake(request)) << "twice";
}

TEST(WebSocketHandshake, IsAcceptedByTheAnswerToItsKey) {
  Response response;
  EXPECT_TRUE(AcceptsWebSocket(response, kKey));
  EXPECT_FALSE(AcceptsWebSocket(response, "AAAAAAAAAAAAAAAAAAAAAA=="));
  EXPECT_FALSE(AcceptsWebSocket(response, ""));
  response.upgrade = "WebSocket";
  EXPECT_TRUE(AcceptsWebSocket(response, kKey));
}

TEST(WebSocketHandshake, IsNotAcceptedByAnythingLess) {
  Response ok;
  ok.status = 200;
  EXPECT_FALSE(AcceptsWebSocket(ok, kKey));
  Response other;
  other.upgrade = "h2c";
  EXPECT_FALSE(AcceptsWebSocket(other, kKey));
  Response lower;
  lower.headers.Set("Sec-WebSocket-Accept", "S3PPLMBITXAQ9KYGZZHZRBK+XOO=");
  EXPECT_FALSE(AcceptsWebSocket(lower, kKey)) << "base64 is case-sensitive";
  Response silent;
  silent.headers.Remove("Sec-WebSocket-Accept");
  EXPECT_FALSE(AcceptsWebSocket(silent, kKey));
}

TEST(WebSocketHandshake, TellsExtensions) {
  Response response;
  EXPECT_FALSE(HasWebSocketExtensions(response));
  response.headers.Add("sec-websocket-extensions", "permessage-deflate; client_max_window_bits");
  EXPECT_TRUE(HasWebSocketExtensions(response));
}

TEST(WebSocketHandshake, AnswersAKey) {
  Arena arena;
  EXPECT_EQ(WebSocketAccept(kKey, arena), kAccept);
}

TEST(WebSocketHandshake, MakesAKey) {
  Arena arena;
  std::array<uint8_t, 16> bytes;
  const std::string_view nonce = "the sample nonce";
  std::copy(nonce.begin(), nonce.end(), bytes.begin());
  EXPECT_EQ(WebSocketKey(bytes, arena), kKey);
  bytes.fill(0xff);
  EXPECT_EQ(WebSocketKey(bytes, arena), "/////////////////////w==");

  Request request;
  request.headers.Set("sec-websocket-key", WebSocketKey(bytes, arena));
  EXPECT_TRUE(IsWebSocketHandshake(request));
}

}  // namespace
}  // namespace sluice

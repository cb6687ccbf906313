#include "http/websocket_frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/websocket_frames.h"

namespace sluice {
namespace {

using namespace std::string_literals;
using test::CloseText;
using test::Frame;
using test::FrameHeader;
using test::kFinBit;
using test::Opcode;
using test::PayloadOf;
using test::ReadWebSocket;
using test::WebSocketReading;

constexpr auto kClient = WebSocketSender::kClient;
constexpr auto kServer = WebSocketSender::kServer;
constexpr auto kFrame = WebSocketBoundary::kFrame;
constexpr auto kMessage = WebSocketBoundary::kMessage;

constexpr uint8_t kRsv1 = 0x40;
constexpr uint8_t kFragment = 0;  // FIN is not set

bool Contains(const std::vector<size_t>& ends, size_t at) {
  return std::find(ends.begin(), ends.end(), at) != ends.end();
}

size_t NextAfter(const std::vector<size_t>& ends, size_t at, size_t otherwise) {
  const auto next = std::upper_bound(ends.begin(), ends.end(), at);
  return next == ends.end() ? otherwise : *next;
}

// All that `follower` tells is what `reading`, of the whole text, says of its first `at` bytes.
void ExpectAgreement(const WebSocketFollower& follower, const WebSocketReading& reading,
                     size_t at) {
  const bool invalid = reading.invalid_after && at >= *reading.invalid_after;
  EXPECT_EQ(follower.invalid(), invalid);
  EXPECT_EQ(follower.error() != WebSocketError::kNone, invalid);
  EXPECT_EQ(follower.at_frame_boundary(),
            !invalid && (at == 0 || Contains(reading.frame_ends, at)));
  EXPECT_EQ(follower.at_message_boundary(),
            !invalid && (at == 0 || Contains(reading.message_ends, at)));
  EXPECT_EQ(follower.close_begun(), reading.close_begins && at > *reading.close_begins);
  const bool closed = reading.close_ends && at >= *reading.close_ends;
  EXPECT_EQ(follower.close_seen(), closed);
  EXPECT_EQ(follower.close_code(), closed ? reading.close_code : 0);
}

void ExpectSame(const WebSocketFollower& a, const WebSocketFollower& b) {
  EXPECT_TRUE(a.state() == b.state());
}

// Every prefix, every cut into two, and every boundary from every place: as the parser in
// test/support says, which sees it all at once.
void ExpectFollows(WebSocketSender sender, bool extensions, const std::string& text) {
  const WebSocketReading reading = ReadWebSocket(sender, extensions, text);
  WebSocketFollower whole(sender, extensions);
  whole.Feed(text);
  ExpectAgreement(whole, reading, text.size());
  EXPECT_EQ(whole.frames(), reading.frames);
  EXPECT_EQ(whole.pings(), reading.pings);
  EXPECT_EQ(whole.pongs(), reading.pongs);

  WebSocketFollower bytewise(sender, extensions);
  for (size_t at = 0; at <= text.size(); ++at) {
    SCOPED_TRACE("after " + std::to_string(at) + " bytes of " + testing::PrintToString(text));
    ExpectAgreement(bytewise, reading, at);

    WebSocketFollower begun(sender, extensions);
    begun.Feed(text.substr(0, at));
    ExpectSame(begun, bytewise);
    WebSocketFollower elsewhere(begun.state());
    elsewhere.Feed(text.substr(at));
    ExpectSame(elsewhere, whole);

    const std::string_view rest = std::string_view(text).substr(at);
    WebSocketFollower to_frame = begun;
    EXPECT_EQ(at + to_frame.FeedToBoundary(rest, kFrame),
              NextAfter(reading.frame_ends, at, text.size()));
    WebSocketFollower to_message = begun;
    EXPECT_EQ(at + to_message.FeedToBoundary(rest, kMessage),
              NextAfter(reading.message_ends, at, text.size()));
    if (at < text.size()) bytewise.Feed(text.substr(at, 1));
  }
}

class Follower : public testing::TestWithParam<WebSocketSender> {
 protected:
  std::string Make(Opcode opcode, std::string_view payload, uint8_t flags = kFinBit) const {
    return Frame(GetParam(), opcode, payload, flags);
  }
  WebSocketFollower Fed(std::string_view text, bool extensions = false) const {
    WebSocketFollower follower(GetParam(), extensions);
    follower.Feed(text);
    return follower;
  }
  void ExpectFollows(const std::string& text, bool extensions = false) const {
    sluice::ExpectFollows(GetParam(), extensions, text);
  }
  // It is an error as soon as all of `text` is there, and remains one whatever follows.
  void ExpectError(const std::string& text, WebSocketError error, bool extensions = false) const {
    SCOPED_TRACE(WebSocketErrorName(error));
    EXPECT_FALSE(Fed(text.substr(0, text.size() - 1), extensions).invalid());
    WebSocketFollower follower = Fed(text, extensions);
    EXPECT_EQ(WebSocketErrorName(follower.error()), WebSocketErrorName(error));
    const std::string more = Make(Opcode::kText, "more");
    EXPECT_EQ(follower.FeedToBoundary(more, kFrame), more.size());
    EXPECT_EQ(follower.error(), error);
    EXPECT_FALSE(follower.at_frame_boundary());
    EXPECT_FALSE(follower.at_message_boundary());
    ExpectFollows(text + more, extensions);
  }
  // A header of which only the length is wrong.
  std::string Lengths(std::string_view bytes) const {
    std::string header(1, static_cast<char>(kFinBit | 2));
    header += bytes;
    if (GetParam() == kClient) header[1] = static_cast<char>(header[1] | 0x80);
    return header;
  }
};

INSTANTIATE_TEST_SUITE_P(Of, Follower, testing::Values(kClient, kServer),
                         [](const auto& of) { return of.param == kClient ? "Client" : "Server"; });

TEST_P(Follower, BeginsBetweenFrames) {
  const WebSocketFollower follower = Fed("");
  EXPECT_TRUE(follower.at_frame_boundary());
  EXPECT_TRUE(follower.at_message_boundary());
  EXPECT_FALSE(follower.close_begun());
  EXPECT_EQ(follower.error(), WebSocketError::kNone);
}

TEST_P(Follower, FindsTheEndOfEveryFrame) {
  for (const size_t size : {0, 1, 5, 124, 125, 126, 127, 300}) {
    ExpectFollows(Make(Opcode::kText, std::string(size, 'x')) + Make(Opcode::kBinary, "y"));
  }
  for (const size_t size : {65535, 65536, 70000}) {
    const std::string long_one = Make(Opcode::kBinary, std::string(size, 'x'));
    WebSocketFollower follower = Fed("");
    EXPECT_EQ(follower.FeedToBoundary(long_one + "\x81", kFrame), long_one.size());
    EXPECT_TRUE(follower.at_message_boundary());
  }
}

TEST_P(Follower, ReadsEachHeaderAnew) {
  const std::string medium = Make(Opcode::kBinary, std::string(126, 'x'));
  const std::string close = Make(Opcode::kClose, CloseText(1001, ""));
  ExpectFollows(medium + medium + close);
  WebSocketFollower follower = Fed(Make(Opcode::kBinary, std::string(65536, 'x')) + medium + close);
  EXPECT_EQ(follower.frames(), 3u);
  EXPECT_EQ(follower.close_code(), 1001);
}

TEST_P(Follower, TellsFragmentsFromMessages) {
  const std::string first = Make(Opcode::kText, "one ", kFragment);
  const std::string ping = Make(Opcode::kPing, "?");
  const std::string second = Make(Opcode::kContinuation, "two", kFragment);
  const std::string last = Make(Opcode::kContinuation, "");
  const std::string text = first + ping + second + last + Make(Opcode::kText, "next");
  ExpectFollows(text);

  WebSocketFollower follower = Fed("");
  EXPECT_EQ(follower.FeedToBoundary(text, kFrame), first.size());
  EXPECT_TRUE(follower.at_frame_boundary());
  EXPECT_FALSE(follower.at_message_boundary());
  EXPECT_EQ(follower.FeedToBoundary(text.substr(first.size()), kMessage),
            ping.size() + second.size() + last.size());
  EXPECT_TRUE(follower.at_message_boundary());
}

TEST_P(Follower, CountsWhatArrives) {
  const WebSocketFollower follower =
      Fed(Make(Opcode::kPing, "a") + Make(Opcode::kPong, "a") + Make(Opcode::kPong, "") +
          Make(Opcode::kText, "t") + Make(Opcode::kBinary, "b").substr(0, 1));
  EXPECT_EQ(follower.frames(), 5u);
  EXPECT_EQ(follower.pings(), 1u);
  EXPECT_EQ(follower.pongs(), 2u);
}

TEST_P(Follower, ReadsTheStatusOfAClose) {
  for (const uint16_t code : {1000, 1001, 1006, 3000, 4999, 0, 65535, 255, 256}) {
    const std::string close = Make(Opcode::kClose, CloseText(code, "a reason"));
    ExpectFollows(Make(Opcode::kText, "before") + close);
    EXPECT_EQ(Fed(close).close_code(), code);
    EXPECT_EQ(Fed(Make(Opcode::kClose, CloseText(code, ""))).close_code(), code);
  }
  ExpectFollows(Make(Opcode::kClose, CloseText(1001, std::string(123, 'r'))));
}

TEST_P(Follower, TakesACloseWithoutStatus) {
  const std::string close = Make(Opcode::kClose, "");
  ExpectFollows(close);
  EXPECT_TRUE(Fed(close).close_seen());
  EXPECT_EQ(Fed(close).close_code(), 0);
}

TEST_P(Follower, TellsACloseThatHasBegunFromOneThatIsThere) {
  const std::string close = Make(Opcode::kClose, CloseText(1000, "bye"));
  EXPECT_TRUE(Fed(close.substr(0, 1)).close_begun());
  EXPECT_FALSE(Fed(close.substr(0, close.size() - 1)).close_seen());
  EXPECT_EQ(Fed(close.substr(0, close.size() - 1)).close_code(), 0);
  EXPECT_TRUE(Fed(close).close_seen());
  EXPECT_TRUE(Fed(close).at_frame_boundary());
}

TEST_P(Follower, GivesUpTheMessageThatACloseCutsShort) {
  const std::string text =
      Make(Opcode::kText, "half", kFragment) + Make(Opcode::kClose, CloseText(1001, ""));
  ExpectFollows(text);
  EXPECT_TRUE(Fed(text).at_message_boundary());
}

TEST_P(Follower, RemembersTheCloseWhenMoreFollows) {
  const std::string close = Make(Opcode::kClose, CloseText(1000, ""));
  ExpectError(close + "\x81", WebSocketError::kAfterClose);
  EXPECT_TRUE(Fed(close + "\x81").close_seen());
  EXPECT_EQ(Fed(close + "\x81").close_code(), 1000);
}

TEST_P(Follower, TakesReservedBitsFromExtensionsOnly) {
  const std::string compressed = Make(Opcode::kText, "z", kRsv1) +
                                 Make(Opcode::kPing, "z", kFinBit | 0x20) +
                                 Make(Opcode::kContinuation, "z", kFinBit | 0x10);
  ExpectFollows(compressed, true);
  EXPECT_FALSE(Fed(compressed, true).invalid());
  for (const char bits : {'\xc1', '\xa1', '\x91', '\xc8', '\xc9'}) {
    ExpectError(std::string(1, bits), WebSocketError::kReservedBits);
  }
}

TEST_P(Follower, RefusesReservedOpcodes) {
  for (const int opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15}) {
    const std::string first(1, static_cast<char>(kFinBit | opcode));
    ExpectError(first, WebSocketError::kReservedOpcode);
    ExpectError(first, WebSocketError::kReservedOpcode, true);
  }
}

TEST_P(Follower, RefusesControlFramesThatAreNone) {
  for (const int opcode : {8, 9, 10}) {
    ExpectError(std::string(1, static_cast<char>(opcode)), WebSocketError::kFragmentedControl);
    const std::string header = FrameHeader(GetParam(), static_cast<uint8_t>(kFinBit | opcode), 126);
    ExpectError(header.substr(0, 2), WebSocketError::kLongControl);
  }
  ExpectError(Make(Opcode::kClose, "x").substr(0, 2), WebSocketError::kClosePayload);
}

TEST_P(Follower, RefusesFragmentsOutOfOrder) {
  ExpectError("\x80", WebSocketError::kNoMessage);
  ExpectError("\0"s, WebSocketError::kNoMessage);
  ExpectError(Make(Opcode::kText, "whole") + "\x80", WebSocketError::kNoMessage);
  const std::string open = Make(Opcode::kText, "half", kFragment) + Make(Opcode::kPing, "");
  ExpectError(open + "\x81", WebSocketError::kOpenMessage);
  ExpectError(open + "\x02", WebSocketError::kOpenMessage);
}

TEST_P(Follower, RefusesTheMaskOfTheOtherSide) {
  const WebSocketSender other = GetParam() == kClient ? kServer : kClient;
  for (const size_t size : {0, 5, 126, 65536}) {
    ExpectError(FrameHeader(other, kFinBit | 1, size).substr(0, 2), WebSocketError::kMasking);
  }
}

TEST_P(Follower, RefusesLengthsThatAreNotTheShortest) {
  ExpectError(Lengths("\x7e\0\0"s), WebSocketError::kLength);
  ExpectError(Lengths("\x7e\0\x7d"s), WebSocketError::kLength);
  ExpectError(Lengths("\x7f\0\0\0\0\0\0\xff\xff"s), WebSocketError::kLength);
  ExpectError(Lengths("\x7f\0\0\0\0\0\0\0\x05"s), WebSocketError::kLength);
  ExpectFollows(Lengths("\x7e\0\x7e"s));
  ExpectFollows(Lengths("\x7f\0\0\0\0\0\x01\0\0"s));
}

TEST_P(Follower, TakesTheLongestLengthAndNoLonger) {
  ExpectError(Lengths("\x7f\x80\0\0\0\0\0\0\0"s), WebSocketError::kLength);
  ExpectError(Lengths("\x7f\xff\xff\xff\xff\xff\xff\xff\xff"s), WebSocketError::kLength);
  WebSocketFollower follower = Fed(FrameHeader(GetParam(), kFinBit | 2, INT64_MAX));
  follower.Feed(std::string(100000, '\x88'));
  EXPECT_FALSE(follower.invalid());
  EXPECT_FALSE(follower.close_begun());
  EXPECT_EQ(follower.state().left, uint64_t{INT64_MAX} - 100000);
}

TEST(WebSocketErrorName, IsAWordForEach) {
  EXPECT_EQ(WebSocketErrorName(WebSocketError::kNone), "none");
  EXPECT_EQ(WebSocketErrorName(WebSocketError::kAfterClose), "after_close");
}

class Control : public testing::Test {
 protected:
  std::string Close(uint16_t code, std::string_view reason, std::optional<uint32_t> mask = {}) {
    return std::string(WriteWebSocketClose(code, reason, mask, out_.data()));
  }
  std::string Ping(std::string_view payload, std::optional<uint32_t> mask = {}) {
    return std::string(WriteWebSocketPing(payload, mask, out_.data()));
  }

 private:
  std::array<char, kWebSocketControlBytes> out_;
};

TEST_F(Control, IsWrittenAsTheStandardSays) {
  EXPECT_EQ(Close(kWebSocketGoingAway, "draining"), "\x88\x0a\x03\xe9"s + "draining");
  EXPECT_EQ(Close(kWebSocketNormal, ""), "\x88\x02\x03\xe8"s);
  EXPECT_EQ(Ping("Hello"), "\x89\x05Hello");
  EXPECT_EQ(Ping(""), "\x89\0"s);
}

TEST_F(Control, IsMaskedForAServer) {
  // The mask of the example in RFC 6455 5.7, in whatever order this machine keeps it.
  uint32_t mask = 0;
  std::memcpy(&mask, "\x37\xfa\x21\x3d", sizeof(mask));
  EXPECT_EQ(Ping("Hello", mask), "\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");

  const std::string close = Close(1001, "going", mask);
  EXPECT_EQ(PayloadOf(close), CloseText(1001, "going"));
  WebSocketFollower follower(kClient, false);
  follower.Feed(close);
  EXPECT_EQ(follower.close_code(), 1001);
}

TEST_F(Control, IsNeverLongerThanAllowed) {
  EXPECT_EQ(PayloadOf(Close(1001, std::string(123, 'r'))), CloseText(1001, std::string(123, 'r')));
  EXPECT_EQ(Close(1001, std::string(124, 'r')), Close(1001, std::string(123, 'r')));
  EXPECT_EQ(Close(1001, std::string(500, 'r'), 7).size(), kWebSocketControlBytes);
  EXPECT_EQ(Ping(std::string(500, 'p'), 7).size(), kWebSocketControlBytes);
}

TEST_F(Control, ReasonsAreCutBetweenCharacters) {
  const std::string pad(121, 'r');
  EXPECT_EQ(PayloadOf(Close(1001, pad + "\u00e9")), CloseText(1001, pad + "\u00e9"));
  EXPECT_EQ(PayloadOf(Close(1001, pad + "\u20ac")), CloseText(1001, pad));
  EXPECT_EQ(PayloadOf(Close(1001, pad + "r\u00e9")), CloseText(1001, pad + "r"));
  EXPECT_EQ(PayloadOf(Close(1001, "good \xff bad")), CloseText(1001, "good "));
  EXPECT_EQ(PayloadOf(Close(1001, "half \xe2\x82")), CloseText(1001, "half "));
}

}  // namespace
}  // namespace sluice

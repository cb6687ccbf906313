#include "http/event_stream.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <type_traits>

#include "support/event_stream.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using test::EventBoundaries;

static_assert(std::is_trivially_copyable_v<EventStreamFollower>);

constexpr std::string_view kMark = "\xef\xbb\xbf";

bool IsBoundaryAfter(std::string_view text) {
  EventStreamFollower follower;
  follower.Feed(text);
  return follower.at_event_boundary();
}

// Every prefix, every cut into two, and every boundary from every place: as the reader in
// test/support says, which sees it all at once.
void ExpectFollows(const std::string& text) {
  SCOPED_TRACE(testing::PrintToString(text));
  const EventBoundaries boundaries(text);
  EventStreamFollower bytewise;
  for (size_t at = 0; at <= text.size(); ++at) {
    SCOPED_TRACE(at);
    const std::string_view begin = std::string_view(text).substr(0, at);
    const std::string_view rest = std::string_view(text).substr(at);
    EventStreamFollower follower;
    follower.Feed(begin);
    EXPECT_EQ(follower.at_event_boundary(), boundaries.At(at));
    EXPECT_EQ(bytewise.at_event_boundary(), boundaries.At(at));
    EXPECT_EQ(follower.lf_may_follow(), begin.ends_with('\r'));
    EXPECT_EQ(bytewise.lf_may_follow(), begin.ends_with('\r'));

    EventStreamFollower to_boundary = follower;
    EXPECT_EQ(at + to_boundary.FeedToBoundary(rest), boundaries.After(at));
    follower.Feed(rest);
    EXPECT_EQ(follower.at_event_boundary(), boundaries.At(text.size()));
    if (at < text.size()) bytewise.Feed(rest.substr(0, 1));
  }
}

// Replaces LF by another line end.
std::string With(std::string_view line_end, std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '\n') {
      result += line_end;
    } else {
      result += c;
    }
  }
  return result;
}

TEST(EventStream, IsKnownByItsContentType) {
  for (const std::string_view type :
       {"text/event-stream", "Text/Event-Stream", "text/event-stream;charset=utf-8",
        "text/event-stream ; charset=utf-8"}) {
    EXPECT_TRUE(IsEventStreamContentType(type)) << type;
  }
  for (const std::string_view type :
       {"", "text/event-strea", "text/event-streams", "text/plain",
        "text/plain; x=text/event-stream", "text/event-stream+json"}) {
    EXPECT_FALSE(IsEventStreamContentType(type)) << type;
  }
}

TEST(EventStream, FollowsEveryCutOfEveryLineEnd) {
  const std::string_view text =
      "data: one\nid: 1\n\n"
      ": keep-alive\n\n"
      ": keep-alive\n"
      "event: x\n: within\ndata:\ndata: two\n\n\n"
      "data\n\n"
      "retry: 10\n\n"
      ":\n\n:\n"
      "data: not complete\n";
  for (const std::string_view line_end : {"\n", "\r", "\r\n"}) {
    ExpectFollows(With(line_end, text));
    ExpectFollows(std::string(kMark) + With(line_end, text));
  }
}

TEST(EventStream, FollowsLineEndsThatAreMixed) {
  // All texts of up to five of these pieces.
  const std::array<std::string_view, 5> pieces = {"\r", "\n", "a", ":", kMark};
  size_t texts = 1;
  for (size_t length = 1; length <= 5; ++length) {
    texts *= pieces.size();
    for (size_t number = 0; number < texts; ++number) {
      std::string text;
      for (size_t i = 0, left = number; i < length; ++i, left /= pieces.size()) {
        text += pieces[left % pieces.size()];
      }
      ExpectFollows(text);
    }
  }
}

TEST(EventStream, BeginsBetweenEvents) {
  EXPECT_TRUE(IsBoundaryAfter(""));
  EXPECT_FALSE(IsBoundaryAfter(kMark.substr(0, 1)));
  EXPECT_FALSE(IsBoundaryAfter(kMark.substr(0, 2)));
  EXPECT_TRUE(IsBoundaryAfter(kMark));
  EXPECT_FALSE(IsBoundaryAfter("\xef\xbb\xbf\xef\xbb\xbf")) << "the second one is text";
  EXPECT_FALSE(IsBoundaryAfter("\n\xef\xbb\xbf")) << "this is no beginning";
}

TEST(EventStream, EndsAnEventWithABlankLine) {
  EXPECT_FALSE(IsBoundaryAfter("data: x"));
  EXPECT_FALSE(IsBoundaryAfter("data: x\n"));
  EXPECT_FALSE(IsBoundaryAfter("data: x\r\n"));
  EXPECT_TRUE(IsBoundaryAfter("data: x\n\n"));
  EXPECT_TRUE(IsBoundaryAfter("data: x\r\r"));
  EXPECT_TRUE(IsBoundaryAfter("data: x\r\n\r"));
  EXPECT_TRUE(IsBoundaryAfter("data: x\r\n\r\n"));
  EXPECT_FALSE(IsBoundaryAfter("data: x\n \n")) << "a space is a line";
}

TEST(EventStream, CommentsBetweenEventsBelongToNone) {
  EXPECT_FALSE(IsBoundaryAfter(": keep"));
  EXPECT_TRUE(IsBoundaryAfter(": keep-alive\n"));
  EXPECT_TRUE(IsBoundaryAfter("data: x\n\n:\n:\n"));
  EXPECT_FALSE(IsBoundaryAfter("data: x\n: comment\n"));
}

TEST(EventStream, TakesTheLineFeedThatBelongsToTheBlankLine) {
  EventStreamFollower follower;
  EXPECT_EQ(follower.FeedToBoundary("data: x\r\n\r\ndata: y"), 11u);
  EXPECT_TRUE(follower.at_event_boundary());
  EXPECT_FALSE(follower.lf_may_follow());

  EventStreamFollower cut;
  EXPECT_EQ(cut.FeedToBoundary("data: x\r\n\r"), 10u);
  EXPECT_TRUE(cut.at_event_boundary());
  EXPECT_TRUE(cut.lf_may_follow());
  EXPECT_EQ(cut.FeedToBoundary("\ndata: y"), 1u);
  EXPECT_FALSE(cut.lf_may_follow());
}

TEST(EventStream, SkipsLongLines) {
  for (const size_t size : {255, 256, 257, 511, 512, 513, 100000}) {
    for (const std::string_view line_end : {"\n", "\r", "\r\n"}) {
      std::string text = "data: " + std::string(size, 'x');
      text += line_end;
      text += "data: " + std::string(size, 'y');
      text += line_end;
      text += line_end;
      EventStreamFollower follower;
      EXPECT_EQ(follower.FeedToBoundary(text + "data: z"), text.size());
      EXPECT_TRUE(follower.at_event_boundary());
      EXPECT_EQ(follower.FeedToBoundary("data: z"), 7u);
      EXPECT_FALSE(follower.at_event_boundary());
    }
  }
}

TEST(EventStreamRetry, IsAFieldAndABlankLine) {
  std::array<char, kEventStreamRetryBytes> out;
  EXPECT_EQ(WriteEventStreamRetry(1500ms, out.data()), "retry: 1500\n\n");
  EXPECT_EQ(WriteEventStreamRetry(0ms, out.data()), "retry: 0\n\n");
  EXPECT_EQ(WriteEventStreamRetry(-5ms, out.data()), "retry: 0\n\n");
  EXPECT_EQ(WriteEventStreamRetry(std::chrono::milliseconds::max(), out.data()),
            "retry: 9223372036854775807\n\n");
}

TEST(EventStreamRetry, IsUnderstoodAtABoundary) {
  std::array<char, kEventStreamRetryBytes> out;
  EventStreamFollower follower;
  follower.Feed("data: x\r\n\r");
  follower.Feed(WriteEventStreamRetry(1s, out.data()));
  EXPECT_TRUE(follower.at_event_boundary());
}

}  // namespace
}  // namespace sluice

#include "base/escape.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/random.h"

namespace sluice {
namespace {

using namespace std::string_view_literals;

std::string Json(std::string_view text) {
  LineBuffer out;
  AppendJsonEscaped(out, text);
  return fmt::to_string(out);
}

std::string Text(std::string_view text) {
  LineBuffer out;
  AppendTextEscaped(out, text);
  return fmt::to_string(out);
}

TEST(EscapeTest, PlainTextStaysAsItIs) {
  EXPECT_EQ(Json("GET /a?b=c&d=%20 ~"), "GET /a?b=c&d=%20 ~");
  EXPECT_EQ(Text("GET /a?b=c&d=%20 ~"), "GET /a?b=c&d=%20 ~");
  EXPECT_EQ(Json(""), "");
  EXPECT_EQ(Text(""), "");
}

TEST(EscapeTest, JsonEscapesWhatItMust) {
  EXPECT_EQ(Json("a\"b\\c"), R"(a\"b\\c)");
  EXPECT_EQ(Json("\n\r\t"), R"(\n\r\t)");
  EXPECT_EQ(Json("\0\x01\x1b[31m\x7f"sv), R"(\u0000\u0001\u001b[31m\u007f)");
}

TEST(EscapeTest, JsonKeepsUtf8) {
  const std::string text = "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9a\xb0";
  EXPECT_EQ(Json(text), text);
}

TEST(EscapeTest, JsonReplacesWhatIsNotUtf8) {
  EXPECT_EQ(Json("a\xff z"), R"(a\ufffd z)");
  EXPECT_EQ(Json("\xc3"), R"(\ufffd)");  // cut off
  EXPECT_EQ(Json("\xe2\x82"), R"(\ufffd\ufffd)");
  EXPECT_EQ(Json("\xc0\xaf"), R"(\ufffd\ufffd)");  // overlong '/'
  EXPECT_EQ(Json("\xe0\x80\xaf"), R"(\ufffd\ufffd\ufffd)");
  EXPECT_EQ(Json("\xed\xa0\x80"), R"(\ufffd\ufffd\ufffd)");            // a surrogate
  EXPECT_EQ(Json("\xf4\x90\x80\x80"), R"(\ufffd\ufffd\ufffd\ufffd)");  // above U+10FFFF
  EXPECT_EQ(Json("\xc3\"x"), R"(\ufffd\"x)");  // the lead byte does not swallow the mark
}

TEST(EscapeTest, JsonEscapesTheSecondControlBlock) {
  EXPECT_EQ(Json("\xc2\x9b"), R"(\u009b)");  // CSI, as good as ESC [ to some terminals
  EXPECT_EQ(Json("\xc2\xa0"), "\xc2\xa0");
}

TEST(EscapeTest, TextEscapesEverythingElse) {
  EXPECT_EQ(Text("a\"b\\c"), R"(a\x22b\x5cc)");
  EXPECT_EQ(Text("a\r\nb\0\x1b\x7f\xff"sv), R"(a\x0d\x0ab\x00\x1b\x7f\xff)");
}

TEST(EscapeTest, Utf8LengthsAtTheirEdges) {
  EXPECT_EQ(Utf8SequenceLength("a"), 1u);
  EXPECT_EQ(Utf8SequenceLength("\xc2\x80"), 2u);
  EXPECT_EQ(Utf8SequenceLength("\xdf\xbf"), 2u);
  EXPECT_EQ(Utf8SequenceLength("\xe0\xa0\x80"), 3u);
  EXPECT_EQ(Utf8SequenceLength("\xed\x9f\xbf"), 3u);
  EXPECT_EQ(Utf8SequenceLength("\xee\x80\x80"), 3u);
  EXPECT_EQ(Utf8SequenceLength("\xf0\x90\x80\x80"), 4u);
  EXPECT_EQ(Utf8SequenceLength("\xf4\x8f\xbf\xbf"), 4u);
  EXPECT_EQ(Utf8SequenceLength("\xf0\x8f\xbf\xbf"), 0u);
  EXPECT_EQ(Utf8SequenceLength("\xf5\x80\x80\x80"), 0u);
  EXPECT_EQ(Utf8SequenceLength("\x80"), 0u);
}

// A parser that is not ours accepts whatever comes out, and no raw control byte ever does.
TEST(EscapeTest, AnyBytesMakeValidJson) {
  Random random(1);
  // Bytes that begin, continue and break sequences, as often as random ones.
  constexpr std::string_view kInteresting = "\"\\\n\x00\x1f\x7f\x80\xbf\xc2\xe0\xed\xf0\xf4\xff"sv;
  for (int round = 0; round < 5000; ++round) {
    std::string text(random.Below(20), '\0');
    for (char& byte : text) {
      byte = random.Chance(0.5) ? kInteresting[random.Below(kInteresting.size())]
                                : static_cast<char>(random.Below(256));
    }
    const std::string json = "\"" + Json(text) + "\"";
    ASSERT_TRUE(nlohmann::json::accept(json)) << Text(text) << " became " << Text(json);
    for (const char byte : json + Text(text)) {
      ASSERT_TRUE(static_cast<uint8_t>(byte) >= 0x20 && byte != 0x7f) << Text(text);
    }
  }
}

}  // namespace
}  // namespace sluice

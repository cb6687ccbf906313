#include "base/wire.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace sluice {
namespace {

std::string Everything() {
  WireWriter out;
  out.Number(uint8_t{7});
  out.Number(std::numeric_limits<uint16_t>::max());
  out.Number(uint32_t{0x01020304});
  out.Number(std::numeric_limits<uint64_t>::max());
  out.Text("name");
  out.Text("");
  return out.Take();
}

TEST(WireTest, ReadsWhatWasWritten) {
  const std::string bytes = Everything();
  WireReader in(bytes);
  EXPECT_EQ(in.Number<uint8_t>(), 7);
  EXPECT_EQ(in.Number<uint16_t>(), 0xffff);
  EXPECT_EQ(in.Number<uint32_t>(), 0x01020304u);
  EXPECT_EQ(in.Number<uint64_t>(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(in.Text(), "name");
  EXPECT_EQ(in.Text(), "");
  EXPECT_TRUE(in.finished());
}

TEST(WireTest, IsLittleEndian) {
  WireWriter out;
  out.Number(uint32_t{0x01020304});
  EXPECT_EQ(out.Take(), "\x04\x03\x02\x01");
}

TEST(WireTest, WhereverBytesEndNothingIsReadBeyond) {
  const std::string bytes = Everything();
  for (size_t size = 0; size < bytes.size(); ++size) {
    WireReader in(std::string_view(bytes).substr(0, size));
    in.Number<uint8_t>();
    in.Number<uint16_t>();
    in.Number<uint32_t>();
    in.Number<uint64_t>();
    in.Text();
    in.Text();
    EXPECT_FALSE(in.ok()) << size;
    EXPECT_EQ(in.Number<uint32_t>(), 0u) << "zeros from there on";
  }
}

TEST(WireTest, ALengthBeyondTheEndIsAnError) {
  WireWriter out;
  out.Number(uint32_t{0xffffffff});
  const std::string bytes = out.Take() + "abc";
  WireReader in(bytes);
  EXPECT_EQ(in.Text(), "");
  EXPECT_FALSE(in.ok());
}

TEST(WireTest, LeftOversAreSeen) {
  WireReader in("\x01\x02");
  in.Number<uint8_t>();
  EXPECT_TRUE(in.ok());
  EXPECT_FALSE(in.finished());
}

}  // namespace
}  // namespace sluice

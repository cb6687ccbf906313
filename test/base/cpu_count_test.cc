#include "base/cpu_count.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <thread>

#include "base/temp_dir.h"

namespace sluice {
namespace {

class CgroupTest : public testing::Test {
 protected:
  // `membership` is the text of /proc/self/cgroup.
  std::optional<double> Quota(const std::string& membership) {
    directory_.Write("membership", membership);
    return CgroupCpuQuota(directory_ / "mount", directory_ / "membership");
  }
  void Write(const std::string& name, const std::string& text) {
    directory_.Write("mount/" + name, text);
  }

  TempDir directory_;
};

TEST_F(CgroupTest, NoCgroupsNoQuota) {
  EXPECT_EQ(Quota(""), std::nullopt);
  EXPECT_EQ(Quota("0::/\n"), std::nullopt);
  EXPECT_EQ(CgroupCpuQuota("/does/not/exist", "/does/not/exist"), std::nullopt);
}

TEST_F(CgroupTest, V2InAContainer) {
  Write("cpu.max", "150000 100000\n");
  EXPECT_EQ(Quota("0::/\n"), 1.5);
}

TEST_F(CgroupTest, V2Unlimited) {
  Write("cpu.max", "max 100000\n");
  EXPECT_EQ(Quota("0::/\n"), std::nullopt);
}

TEST_F(CgroupTest, V2TheTightestAncestorBinds) {
  Write("a.slice/cpu.max", "200000 100000\n");
  Write("a.slice/b.service/cpu.max", "800000 100000\n");
  EXPECT_EQ(Quota("0::/a.slice/b.service\n"), 2.0);
  Write("a.slice/b.service/cpu.max", "50000 100000\n");
  EXPECT_EQ(Quota("0::/a.slice/b.service\n"), 0.5);
  Write("a.slice/b.service/cpu.max", "max 100000\n");
  EXPECT_EQ(Quota("0::/a.slice/b.service\n"), 2.0);
  EXPECT_EQ(Quota("0::/other\n"), std::nullopt);
}

TEST_F(CgroupTest, V1ByItsControllers) {
  Write("cpu,cpuacct/docker/1/cpu.cfs_quota_us", "250000\n");
  Write("cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n");
  const std::string membership = "5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n1:name=systemd:/\n";
  EXPECT_EQ(Quota(membership), 2.5);
}

TEST_F(CgroupTest, V1SeenFromInsideAContainer) {
  // The membership names the host's path, the mount shows the container's own cgroup as its root.
  Write("cpu/cpu.cfs_quota_us", "300000\n");
  Write("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Quota("4:cpuacct,cpu:/docker/1\n"), 3.0);
}

TEST_F(CgroupTest, V1Unlimited) {
  Write("cpu/cpu.cfs_quota_us", "-1\n");
  Write("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Quota("4:cpu:/\n"), std::nullopt);
}

TEST_F(CgroupTest, OtherControllersDoNotCount) {
  Write("cpuset/cpu.cfs_quota_us", "100000\n");
  Write("cpuset/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Quota("4:cpuset:/\n"), std::nullopt);
}

TEST_F(CgroupTest, NonsenseIsNoQuota) {
  Write("cpu.max", "lots\n");
  EXPECT_EQ(Quota("0::/\n"), std::nullopt);
  Write("cpu.max", "100000 0\n");
  EXPECT_EQ(Quota("0::/\n"), std::nullopt);
  Write("cpu.max", "0 100000\n");
  EXPECT_EQ(Quota("0::/\n"), std::nullopt);
  EXPECT_EQ(Quota("no colons\n0:one colon\n"), std::nullopt);
}

TEST(UsableCpusTest, IsWithinTheMachine) {
  EXPECT_GE(UsableCpus(), 1u);
  EXPECT_LE(UsableCpus(), static_cast<unsigned>(sysconf(_SC_NPROCESSORS_CONF)));
}

TEST(UsableCpusTest, HonoursAffinity) {
  unsigned seen = 0;
  // The mask is the thread's, so only a thread of our own is confined.
  std::thread confined([&seen] {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<size_t>(sched_getcpu()), &set);
    if (sched_setaffinity(0, sizeof(set), &set) == 0) seen = UsableCpus();
  });
  confined.join();
  EXPECT_EQ(seen, 1u);
}

}  // namespace
}  // namespace sluice

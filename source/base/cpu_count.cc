#include "base/cpu_count.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <string_view>

namespace sluice {
namespace {

// CPUs in the affinity mask; 0 when the kernel does not say.
unsigned AffinityCpus() {
  // The kernel refuses a mask smaller than its own (EINVAL), and tells its size in no other way.
  for (size_t cpus = 1024; cpus <= 1024 * 1024; cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (set == nullptr) return 0;
    const size_t size = CPU_ALLOC_SIZE(cpus);
    const bool known = sched_getaffinity(0, size, set) == 0;
    const int error = errno;
    const int count = known ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (known) return static_cast<unsigned>(count);
    if (error != EINVAL) return 0;
  }
  return 0;
}

std::optional<double> Quota(double quota, double period) {
  if (!(quota > 0) || !(period > 0)) return std::nullopt;  // v1 writes -1 for no quota
  return quota / period;
}

// "max 100000" or "150000 100000", in microseconds.
std::optional<double> QuotaV2(const std::string& directory) {
  std::ifstream file(directory + "/cpu.max");
  double quota = 0;
  double period = 0;
  if (!(file >> quota >> period)) return std::nullopt;
  return Quota(quota, period);
}

std::optional<double> QuotaV1(const std::string& directory) {
  std::ifstream quota_file(directory + "/cpu.cfs_quota_us");
  std::ifstream period_file(directory + "/cpu.cfs_period_us");
  double quota = 0;
  double period = 0;
  if (!(quota_file >> quota) || !(period_file >> period)) return std::nullopt;
  return Quota(quota, period);
}

using ReadQuota = std::optional<double> (*)(const std::string& directory);

// The smallest quota from the cgroup `path` up to the root of `mount`: an ancestor's binds as well.
// In a container `path` may be that of the host and not exist here; the container's own cgroup is
// then the root.
void TakeSmallest(const std::string& mount, std::string path, ReadQuota read,
                  std::optional<double>& smallest) {
  for (;;) {
    if (const std::optional<double> quota = read(mount + path)) {
      smallest = std::min(smallest.value_or(*quota), *quota);
    }
    const size_t slash = path.rfind('/');
    if (path.empty() || slash == std::string::npos) return;
    path.resize(slash);
  }
}

// True when `controller` is in the comma-separated `list`.
bool Lists(std::string_view list, std::string_view controller) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (list.substr(0, comma) == controller) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

}  // namespace

std::optional<double> CgroupCpuQuota(const std::string& mount, const std::string& membership) {
  std::optional<double> smallest;
  std::ifstream file(membership);
  std::string line;
  while (std::getline(file, line)) {
    // "hierarchy:controllers:path" (cgroups(7)); v2 is "0::path".
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      TakeSmallest(mount, path, QuotaV2, smallest);
    } else if (Lists(controllers, "cpu")) {
      // Mounted under the name of the controller, of all it shares a hierarchy with, or both.
      TakeSmallest(mount + "/" + controllers, path, QuotaV1, smallest);
      TakeSmallest(mount + "/cpu", path, QuotaV1, smallest);
    }
  }
  return smallest;
}

unsigned UsableCpus() {
  unsigned cpus = AffinityCpus();
  if (cpus == 0) cpus = 1;
  if (const auto quota = CgroupCpuQuota("/sys/fs/cgroup", "/proc/self/cgroup")) {
    cpus = std::min(cpus, static_cast<unsigned>(std::min(std::ceil(*quota), 1e6)));
  }
  return std::max(cpus, 1u);
}

}  // namespace sluice

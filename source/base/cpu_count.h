// How many CPUs the process may use, which is rarely how many the machine has.
#pragma once

#include <optional>
#include <string>

namespace sluice {

// The smaller of the affinity mask (sched_getaffinity(2)) and the cgroup's CPU quota rounded up; at
// least 1.
unsigned UsableCpus();

// The CPUs that the quotas of a process's cgroup and its ancestors allow, nothing when there is no
// quota. `mount` is where cgroups are mounted (/sys/fs/cgroup), `membership` the process's list of
// them (/proc/self/cgroup). Understands cgroup v2 (cpu.max) and v1 (cpu.cfs_quota_us).
std::optional<double> CgroupCpuQuota(const std::string& mount, const std::string& membership);

}  // namespace sluice

// What `sluice` tells the shell. Documented in `sluice --help` and docs/operations.md.
#pragma once

namespace sluice {

inline constexpr int kExitOk = 0;       // done; after a drain: nothing was cut
inline constexpr int kExitFailure = 1;  // could not start, could not reach the admin, ...
inline constexpr int kExitUsage = 2;    // the command line or the configuration is wrong
inline constexpr int kExitCut = 3;      // drained, but work was cut: see the drain report

}  // namespace sluice

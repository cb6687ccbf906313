// PID 1 of a container. The process that serves is its child, so that one generation of it can
// replace another: the kernel ends a container with its PID 1, whatever else runs in it.
//
// It keeps to itself: it forwards signals to the generation that serves, reaps whoever ends, and
// ends when nobody is left. A new generation names itself by MAINPID, as it would to systemd.
#pragma once

#include <functional>

namespace sluice {

// True in PID 1 of a container, or of any other PID namespace.
bool IsInitProcess();

// Runs `serve` in a child and looks after it; returns its exit code, or of its last successor the
// one that it ended with. 128 and the signal's number when a signal ended it. There must not be any
// threads yet.
int RunAsInit(const std::function<int()>& serve);

}  // namespace sluice

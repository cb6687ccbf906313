// Starts a program that outlives us, and hears when it ends before we do.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/uv_loop.h"
#include "sluice/result.h"

namespace sluice {

class ChildProcess {
 public:
  struct Program {
    std::string path;
    std::vector<std::string> arguments;    // the name first
    std::vector<std::string> environment;  // "NAME=value", in addition to ours
    int descriptor = -1;                   // becomes kDescriptor there; -1: none
  };
  static constexpr int kDescriptor = 3;

  // "exit code 2", "signal 9": how it has ended. Called on the loop, at most once.
  using OnExit = std::function<void(const std::string& how)>;

  // Fails when the program cannot be started. Standard input, output and error are ours.
  static Result<std::unique_ptr<ChildProcess>> Start(UvLoop& loop, const Program& program,
                                                     OnExit on_exit);

  // The program goes on, unless it was killed, and nothing is heard of it any more.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  int pid() const;
  // SIGKILL.
  void Kill();

 private:
  struct Handle;
  explicit ChildProcess(Handle* handle) : handle_(handle) {}

  Handle* handle_;  // libuv's, which outlives us until libuv has let go of it
};

}  // namespace sluice

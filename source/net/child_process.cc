#include "net/child_process.h"

#include <unistd.h>

#include <csignal>

namespace sluice {

struct ChildProcess::Handle {
  uv_process_t process;
  UvLoop* loop;
  OnExit on_exit;
  bool killed = false;
  bool ended = false;
  bool orphaned = false;  // closes itself

  void Close() {
    uv_close(reinterpret_cast<uv_handle_t*>(&process),
             [](uv_handle_t* handle) { delete static_cast<Handle*>(handle->data); });
  }
};

Result<std::unique_ptr<ChildProcess>> ChildProcess::Start(UvLoop& loop, const Program& program,
                                                          OnExit on_exit) {
  std::vector<char*> arguments;
  for (const std::string& argument : program.arguments) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  // The first of two entries of a name is the one that getenv finds.
  std::vector<char*> environment;
  for (const std::string& entry : program.environment) {
    environment.push_back(const_cast<char*>(entry.c_str()));
  }
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);

  uv_stdio_container_t files[kDescriptor + 1];
  for (int i = 0; i < kDescriptor; ++i) {
    files[i].flags = UV_INHERIT_FD;
    files[i].data.fd = i;
  }
  files[kDescriptor].flags = program.descriptor < 0 ? UV_IGNORE : UV_INHERIT_FD;
  files[kDescriptor].data.fd = program.descriptor;

  auto* const handle = new Handle{.process = {}, .loop = &loop, .on_exit = std::move(on_exit)};
  uv_process_options_t options{};
  options.file = program.path.c_str();
  options.args = arguments.data();
  options.env = environment.data();
  options.stdio = files;
  options.stdio_count = kDescriptor + 1;
  options.exit_cb = [](uv_process_t* process, int64_t code, int signal) {
    auto* const self = static_cast<Handle*>(process->data);
    self->ended = true;
    if (self->orphaned) return self->Close();
    UvLoop::Dispatch dispatch(*self->loop);
    if (!self->on_exit) return;
    self->on_exit(signal != 0 ? "signal " + std::to_string(signal)
                              : "exit code " + std::to_string(code));
  };
  handle->process.data = handle;
  const int error = uv_spawn(loop.uv(), &handle->process, &options);
  std::unique_ptr<ChildProcess> child(new ChildProcess(handle));
  if (error != 0) {
    handle->on_exit = nullptr;
    return Fail("cannot start " + program.path + ": " + uv_strerror(error));
  }
  return child;
}

ChildProcess::~ChildProcess() {
  handle_->on_exit = nullptr;
  // libuv waits for the end of a process only while there is a handle: without one that was killed
  // would stay a zombie. It ends in a moment.
  handle_->orphaned = handle_->killed && !handle_->ended;
  if (!handle_->orphaned) handle_->Close();
}

int ChildProcess::pid() const { return handle_->process.pid; }

void ChildProcess::Kill() {
  if (handle_->ended) return;
  handle_->killed = uv_process_kill(&handle_->process, SIGKILL) == 0;
}

}  // namespace sluice

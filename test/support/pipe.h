// Pipe: two Transports joined in memory over a SimLoop, keeping the whole contract of
// sluice/transport.h and behaving as a TCP connection does where that hurts:
//
//   - bytes lent to Write are read only when the dispatch ends; bytes given to OnData are
//     overwritten then. Code that keeps or frees a slice too early sends or reads garbage;
//   - a closed end answers what still arrives with a reset, a close with unread input resets at
//     once, and a reset destroys what the other side has not read yet (RFC 9112 9.6);
//   - a frozen end has a descriptor, which may be duplicated and adopted as in another process: the
//     connection ends when all who hold it have closed it;
//   - PipeFaults adds what a seed decides: pieces down to one byte, delay, short writes, stalls and
//     a reset in the middle.
//
// Destroying a transport inside one of its own events aborts: owners must use Loop::DeleteLater.
// The loop must outlive both ends. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_queue.h"
#include "base/random.h"
#include "base/time.h"
#include "sluice/moved_connection.h"
#include "sluice/transport.h"
#include "support/sim_loop.h"

namespace sluice {

struct PipeFaults {
  uint64_t seed = 1;
  Duration min_delay{};  // from one kernel to the other, for each piece
  Duration max_delay{};
  size_t max_chunk = 64 * 1024;  // pieces have 1..max_chunk bytes, small ones as often as large
  bool random_chunks = false;    // otherwise each piece is as large as max_chunk lets it be
  size_t socket_buffer = 256 * 1024;  // of each kernel, each way; a write is short above it
  double stall_chance = 0;            // that nothing moves for a while, drawn before each piece
  Duration max_stall{};
  std::optional<uint64_t> reset_after{};  // bytes carried both ways together
  bool hide_errors_while_paused = false;  // a reader that does not read does not see a reset

  // Some of everything; `resets` allows reset_after.
  static PipeFaults Draw(Random& random, bool resets);
};

// What one end did and saw; readable after its death.
struct PipeAccount {
  bool open = true;
  uint64_t written = 0;    // bytes accepted by Write
  uint64_t delivered = 0;  // bytes given to OnData
  size_t peak_queued = 0;  // the most that queued_bytes() was after a flush
  // `delivered` when this end first said that it will write no more (ShutdownWrite, Close, Reset).
  std::optional<uint64_t> delivered_at_goodbye;
  uint64_t unread_at_goodbye = 0;  // what HasUnreadInput could have told it then
  bool shut_write = false;
  bool reset_by_us = false;      // Reset, or Close over unread input
  bool broken_by_fault = false;  // by PipeFaults::reset_after
  bool eof_seen = false;
  int error = 0;  // as given to OnError
};

class Pipe final : public Transport, private Flushable {
 public:
  struct Pair {
    std::unique_ptr<Transport> client;
    std::unique_ptr<Transport> server;
    std::shared_ptr<const PipeAccount> client_account;
    std::shared_ptr<const PipeAccount> server_account;
  };

  static Pair Make(SimLoop& loop, const PipeFaults& faults = {},
                   const std::string& client_address = "10.0.0.1:40000",
                   const std::string& server_address = "10.0.0.2:80");

  // What the kernel does when a descriptor is passed to another process and closed there.
  static int Duplicate(int descriptor);
  static void CloseDuplicate(int descriptor);
  // A transport that holds the connection of `descriptor` once more.
  static std::unique_ptr<Transport> Adopt(int descriptor, const std::string& peer);

  ~Pipe() override;

  void SetEvents(TransportEvents* events) override;
  void Write(std::string_view bytes) override;
  void FlushNow() override;
  size_t queued_bytes() const override { return gathered_bytes_ + queue_.size(); }
  size_t untaken_bytes() const override;
  void ShutdownWrite() override;
  void Close() override;
  void Reset() override;
  void PauseReading() override { paused_ = true; }
  void ResumeReading() override;
  bool HasUnreadInput() override;
  std::optional<FrozenTransport> Freeze() override;
  void Thaw() override;
  std::string PeerAddress() const override { return peer_address_; }
  std::string LocalAddress() const override { return local_address_; }

 private:
  struct Lane;
  struct Wire;
  struct Held {
    std::shared_ptr<Wire> wire;
    int index;
    std::string local;
  };
  static std::map<int, Held>& Descriptors();
  static int NewDescriptor(const Held& held);
  static constexpr size_t kReadSize = 64 * 1024;

  Pipe(std::shared_ptr<Wire> wire, int index, std::string local_address, std::string peer_address);

  Lane& outgoing();
  Lane& incoming();
  void Flush() override;
  void Pump();
  void ScheduleWritable();
  void OnWritableEvent();
  void AnnounceWriteShut();
  void ScheduleRead();
  void OnReadEvent();
  void Break(int error);
  void ScheduleError();
  void SayGoodbye();
  void CloseHere(bool reset);

  const std::shared_ptr<Wire> wire_;
  const int index_;
  const std::string local_address_;
  const std::string peer_address_;
  PipeAccount& account_;
  TransportEvents* events_ = nullptr;
  std::vector<std::string_view> gathered_;  // lent to us until the end of the dispatch
  size_t gathered_bytes_ = 0;
  ByteQueue queue_;  // what the kernel did not take
  int& pending_error_;
  int descriptor_ = -1;
  bool was_congested_ = false;
  bool had_to_wait_ = false;  // bytes outlived the dispatch they were written in
  bool paused_ = false;
  bool frozen_ = false;
  bool closed_ = false;
  bool shut_ = false;
  bool writable_scheduled_ = false;
  bool read_scheduled_ = false;
};

class PipeAdopter final : public TransportAdopter {
 public:
  std::unique_ptr<Transport> Adopt(int descriptor, const std::string& peer) override {
    return Pipe::Adopt(descriptor, peer);
  }
};

}  // namespace sluice

#include "support/pipe.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <utility>

namespace sluice {

// One direction, from the kernel of end `i` to that of the other.
struct Pipe::Lane {
  ByteQueue in_transit;
  ByteQueue arrived;
  bool fin_sent = false;
  bool fin_arrived = false;
  bool arrival_scheduled = false;

  // What is under way is lost, and so is an end that would make the rest look whole.
  void Lose() {
    in_transit.Clear();
    fin_sent = fin_arrived;
  }
};

// What both ends, and the events under way between them, share.
struct Pipe::Wire : std::enable_shared_from_this<Pipe::Wire> {
  Wire(SimLoop& sim_loop, const PipeFaults& pipe_faults)
      : loop(sim_loop), faults(pipe_faults), random(pipe_faults.seed) {}

  Duration Delay() {
    const auto spread = static_cast<uint64_t>((faults.max_delay - faults.min_delay).count());
    return faults.min_delay + Duration(static_cast<Duration::rep>(random.Below(spread + 1)));
  }

  // Draws a piece of at most `available` bytes: the exponent first, so that sizes of every order
  // occur.
  size_t Piece(size_t available) {
    size_t most = faults.max_chunk;
    if (faults.random_chunks) {
      uint64_t orders = 1;
      while ((size_t{1} << orders) <= faults.max_chunk) ++orders;
      most = std::min<size_t>(most, 1 + random.Below(size_t{1} << random.Below(orders)));
    }
    return std::min(available, most);
  }

  bool Listening(int end) const { return ends[end] != nullptr && !ends[end]->closed_; }
  bool Held(int end) const { return holders[end] > 0; }

  // Runs `event` for an end that is still there, with its transport protected from destruction.
  template <typename Call>
  void Protect(int end, Call call) {
    in_event[end] = true;
    call(*ends[end]);
    in_event[end] = false;
  }

  void ScheduleArrival(int from) {
    Lane& lane = lanes[from];
    const bool something = !lane.in_transit.empty() || (lane.fin_sent && !lane.fin_arrived);
    const bool room = !Held(1 - from) || lane.arrived.size() < faults.socket_buffer;
    if (dead || lane.arrival_scheduled || !something || !room) return;
    lane.arrival_scheduled = true;
    Duration wait = Delay();
    if (faults.stall_chance > 0 && random.Chance(faults.stall_chance)) {
      const auto most = static_cast<uint64_t>(faults.max_stall.count());
      wait += Duration(static_cast<Duration::rep>(random.Below(most + 1)));
    }
    loop.After(wait, [self = shared_from_this(), from] { self->Arrive(from); });
  }

  void Arrive(int from) {
    const int to = 1 - from;
    Lane& lane = lanes[from];
    lane.arrival_scheduled = false;
    if (dead) return;
    if (!Held(to)) {
      // Data for a closed socket is answered by a reset; its FIN alone is not.
      const bool data = !lane.in_transit.empty();
      lane.in_transit.Clear();
      lane.fin_arrived = lane.fin_sent;
      if (data) SendReset(from);
      return;
    }
    const size_t room = faults.socket_buffer - std::min(faults.socket_buffer, lane.arrived.size());
    const size_t count = Piece(std::min(lane.in_transit.size(), room));
    if (count > 0) {
      lane.arrived.Append(lane.in_transit.view().substr(0, count));
      lane.in_transit.Consume(count);
      carried += count;
    }
    if (lane.in_transit.empty() && lane.fin_sent && (count == 0 || random.Chance(0.5))) {
      lane.fin_arrived = true;
    }
    if (faults.reset_after && carried >= *faults.reset_after) {
      Kill();
      accounts[from]->broken_by_fault = accounts[to]->broken_by_fault = true;
      SendReset(from);
      SendReset(to);
      return;
    }
    ScheduleArrival(from);
    if (Listening(to)) ends[to]->ScheduleRead();
    if (Listening(from) && !ends[from]->queue_.empty()) ends[from]->ScheduleWritable();
  }

  // Nothing moves any more.
  void Kill() {
    dead = true;
    for (Lane& lane : lanes) lane.Lose();
  }

  void SendReset(int to) {
    loop.After(Delay(), [self = shared_from_this(), to] {
      if (self->Listening(to)) {
        self->ends[to]->Break(ECONNRESET);
      } else {
        self->pending_error[to] = ECONNRESET;
      }
    });
  }

  SimLoop& loop;
  const PipeFaults faults;
  Random random;
  Pipe* ends[2] = {nullptr, nullptr};
  bool in_event[2] = {false, false};
  int holders[2] = {1, 1};  // transports and descriptors, of all processes
  int pending_error[2] = {0, 0};
  Lane lanes[2];
  std::shared_ptr<PipeAccount> accounts[2] = {std::make_shared<PipeAccount>(),
                                              std::make_shared<PipeAccount>()};
  uint64_t carried = 0;
  bool dead = false;
};

PipeFaults PipeFaults::Draw(Random& random, bool resets) {
  static constexpr size_t kChunks[] = {16, 512, 1460, 16 * 1024, 64 * 1024};
  static constexpr size_t kBuffers[] = {600, 4096, 64 * 1024, 1024 * 1024};
  PipeFaults faults;
  faults.seed = random.Next();
  faults.max_chunk = kChunks[random.Below(std::size(kChunks))];
  faults.random_chunks = random.Chance(0.7);
  faults.socket_buffer = kBuffers[random.Below(std::size(kBuffers))];
  if (random.Chance(0.7)) {
    faults.max_delay = std::chrono::microseconds(random.Below(5000));
    faults.min_delay = faults.max_delay / 4;
  }
  if (random.Chance(0.2)) {
    faults.stall_chance = 0.02;
    faults.max_stall = std::chrono::milliseconds(random.Below(2000));
  }
  if (resets && random.Chance(0.15)) faults.reset_after = 1 + random.Below(20'000);
  faults.hide_errors_while_paused = random.Chance(0.5);
  return faults;
}

Pipe::Pair Pipe::Make(SimLoop& loop, const PipeFaults& faults, const std::string& client_address,
                      const std::string& server_address) {
  auto wire = std::make_shared<Wire>(loop, faults);
  auto client = std::unique_ptr<Pipe>(new Pipe(wire, 0, client_address, server_address));
  auto server = std::unique_ptr<Pipe>(new Pipe(wire, 1, server_address, client_address));
  return {std::move(client), std::move(server), wire->accounts[0], wire->accounts[1]};
}

Pipe::Pipe(std::shared_ptr<Wire> wire, int index, std::string local_address,
           std::string peer_address)
    : wire_(std::move(wire)),
      index_(index),
      local_address_(std::move(local_address)),
      peer_address_(std::move(peer_address)),
      account_(*wire_->accounts[index]),
      pending_error_(wire_->pending_error[index]) {
  if (wire_->ends[index_] == nullptr) wire_->ends[index_] = this;
}

Pipe::~Pipe() {
  if (wire_->in_event[index_]) {
    std::fprintf(stderr, "Pipe: a transport was destroyed inside its own event\n");
    std::abort();
  }
  Close();
  if (wire_->ends[index_] == this) wire_->ends[index_] = nullptr;
}

// ---- descriptors

std::map<int, Pipe::Held>& Pipe::Descriptors() {
  static std::map<int, Held> descriptors;
  return descriptors;
}

int Pipe::NewDescriptor(const Held& held) {
  static int next = 1000;
  Descriptors()[++next] = held;
  return next;
}

int Pipe::Duplicate(int descriptor) {
  const Held held = Descriptors().at(descriptor);
  ++held.wire->holders[held.index];
  return NewDescriptor(held);
}

void Pipe::CloseDuplicate(int descriptor) {
  const Held held = Descriptors().at(descriptor);
  const std::unique_ptr<Transport> last = Adopt(descriptor, {});
  Descriptors().erase(descriptor);
  --held.wire->holders[held.index];
  last->Close();
}

std::unique_ptr<Transport> Pipe::Adopt(int descriptor, const std::string& peer) {
  const auto found = Descriptors().find(descriptor);
  if (found == Descriptors().end()) return nullptr;
  const Held held = found->second;
  ++held.wire->holders[held.index];
  return std::unique_ptr<Transport>(new Pipe(held.wire, held.index, held.local, peer));
}

std::optional<FrozenTransport> Pipe::Freeze() {
  if (closed_ || frozen_ || shut_ || account_.eof_seen || pending_error_ != 0) return std::nullopt;
  Flush();
  Unlink();
  frozen_ = true;
  descriptor_ = NewDescriptor({wire_, index_, local_address_});
  return FrozenTransport{descriptor_, std::string(queue_.view())};
}

void Pipe::Thaw() {
  if (!std::exchange(frozen_, false) || closed_) return;
  Descriptors().erase(std::exchange(descriptor_, -1));
  ScheduleRead();
  ScheduleWritable();
  if (pending_error_ != 0) ScheduleError();
}

Pipe::Lane& Pipe::outgoing() { return wire_->lanes[index_]; }
Pipe::Lane& Pipe::incoming() { return wire_->lanes[1 - index_]; }

void Pipe::SetEvents(TransportEvents* events) {
  events_ = events;
  wire_->ends[index_] = this;
  if (pending_error_ != 0) ScheduleError();
  ScheduleRead();
}

void Pipe::Write(std::string_view bytes) {
  if (closed_ || shut_ || bytes.empty()) return;
  if (pending_error_ != 0) {
    // A write to a connection that was reset is how one that does not read learns of it.
    ScheduleError();
    return;
  }
  account_.written += bytes.size();
  gathered_.push_back(bytes);
  gathered_bytes_ += bytes.size();
  if (congested()) was_congested_ = true;
  wire_->loop.FlushLater(*this);
}

size_t Pipe::untaken_bytes() const {
  return queued_bytes() + wire_->lanes[index_].in_transit.size();
}

void Pipe::ShutdownWrite() {
  if (closed_ || shut_) return;
  SayGoodbye();
  shut_ = true;
  account_.shut_write = true;
  wire_->loop.FlushLater(*this);
}

void Pipe::FlushNow() {
  if (!closed_ && !frozen_) Flush();
}

void Pipe::Flush() {
  for (const std::string_view bytes : gathered_) queue_.Append(bytes);
  gathered_.clear();
  gathered_bytes_ = 0;
  Pump();
  account_.peak_queued = std::max(account_.peak_queued, queue_.size());
  if (!queue_.empty()) had_to_wait_ = true;
  if (was_congested_ && queue_.size() <= kLowWatermark) ScheduleWritable();
}

void Pipe::Pump() {
  Lane& lane = outgoing();
  const size_t buffer = wire_->faults.socket_buffer;
  const size_t count = std::min(queue_.size(), buffer - std::min(buffer, lane.in_transit.size()));
  if (count > 0) {
    lane.in_transit.Append(queue_.view().substr(0, count));
    queue_.Consume(count);
  }
  if (shut_ && queue_.empty() && !lane.fin_sent && !wire_->dead) {
    lane.fin_sent = true;
    AnnounceWriteShut();
  }
  wire_->ScheduleArrival(index_);
}

void Pipe::ScheduleWritable() {
  if (writable_scheduled_) return;
  writable_scheduled_ = true;
  wire_->loop.After(Duration{}, [wire = wire_, index = index_] {
    if (wire->ends[index] != nullptr) wire->ends[index]->OnWritableEvent();
  });
}

void Pipe::OnWritableEvent() {
  writable_scheduled_ = false;
  if (closed_ || frozen_) return;
  Pump();
  const bool low_again = was_congested_ && queue_.size() <= kLowWatermark;
  const bool empty_again = had_to_wait_ && queue_.empty();
  if (low_again) was_congested_ = false;
  if (empty_again) had_to_wait_ = false;
  if ((!low_again && !empty_again) || events_ == nullptr) return;
  wire_->Protect(index_, [](Pipe& pipe) { pipe.events_->OnWritable(); });
}

void Pipe::AnnounceWriteShut() {
  wire_->loop.After(Duration{}, [wire = wire_, index = index_] {
    if (!wire->Listening(index) || wire->ends[index]->events_ == nullptr) return;
    wire->Protect(index, [](Pipe& pipe) { pipe.events_->OnWriteShut(); });
  });
}

void Pipe::ScheduleRead() {
  const Lane& lane = incoming();
  const bool something = !lane.arrived.empty() || (lane.fin_arrived && !account_.eof_seen);
  if (read_scheduled_ || closed_ || paused_ || frozen_ || events_ == nullptr || !something) return;
  read_scheduled_ = true;
  // Later, so that there is a time in which only HasUnreadInput knows.
  wire_->loop.After(Duration{}, [wire = wire_, index = index_] {
    if (wire->ends[index] != nullptr) wire->ends[index]->OnReadEvent();
  });
}

void Pipe::OnReadEvent() {
  read_scheduled_ = false;
  if (closed_ || paused_ || frozen_ || events_ == nullptr) return;
  Lane& lane = incoming();
  if (!lane.arrived.empty()) {
    const std::string_view taken = lane.arrived.view().substr(0, kReadSize);
    const std::string_view lent = wire_->loop.Lend(std::string(taken));
    lane.arrived.Consume(taken.size());
    account_.delivered += lent.size();
    wire_->ScheduleArrival(1 - index_);
    ScheduleRead();
    wire_->Protect(index_, [lent](Pipe& pipe) { pipe.events_->OnData(lent); });
  } else if (lane.fin_arrived && !account_.eof_seen) {
    account_.eof_seen = true;
    wire_->Protect(index_, [](Pipe& pipe) { pipe.events_->OnEof(); });
  }
}

void Pipe::ResumeReading() {
  paused_ = false;
  if (pending_error_ != 0) ScheduleError();
  ScheduleRead();
}

bool Pipe::HasUnreadInput() {
  if (closed_) return false;
  const Lane& lane = incoming();
  return !lane.arrived.empty() || (lane.fin_arrived && !account_.eof_seen) || pending_error_ != 0;
}

void Pipe::Break(int error) {
  wire_->Kill();
  incoming().arrived.Clear();
  const bool looks = !paused_ || !queue_.empty() || !wire_->faults.hide_errors_while_paused;
  if (events_ == nullptr || frozen_ || !looks) {
    pending_error_ = error;
    return;
  }
  SayGoodbye();
  CloseHere(false);
  account_.error = error;
  wire_->Protect(index_, [error](Pipe& pipe) { pipe.events_->OnError(error); });
}

void Pipe::ScheduleError() {
  wire_->loop.After(Duration{}, [wire = wire_, index = index_] {
    if (!wire->Listening(index) || wire->ends[index]->pending_error_ == 0) return;
    if (wire->ends[index]->frozen_) return;
    Pipe& pipe = *wire->ends[index];
    pipe.paused_ = false;
    pipe.Break(std::exchange(pipe.pending_error_, 0));
  });
}

void Pipe::SayGoodbye() {
  if (wire_->holders[index_] > 1 || account_.delivered_at_goodbye) return;
  account_.delivered_at_goodbye = account_.delivered;
  account_.unread_at_goodbye = incoming().arrived.size();
}

void Pipe::CloseHere(bool reset) {
  closed_ = true;
  Unlink();
  gathered_.clear();
  gathered_bytes_ = 0;
  queue_.Clear();
  if (descriptor_ >= 0) Descriptors().erase(descriptor_);
  if (--wire_->holders[index_] > 0) return;  // it lives on
  account_.open = false;
  Lane& lane = outgoing();
  if (reset) {
    account_.reset_by_us = true;
    lane.Lose();
    wire_->SendReset(1 - index_);
  } else if (!wire_->dead) {
    lane.fin_sent = true;
    wire_->ScheduleArrival(index_);
  }
  incoming().arrived.Clear();
  // What is under way to us is answered as it arrives.
  wire_->ScheduleArrival(1 - index_);
}

void Pipe::Close() {
  if (closed_) return;
  SayGoodbye();
  CloseHere(!incoming().arrived.empty());
}

void Pipe::Reset() {
  if (closed_) return;
  SayGoodbye();
  CloseHere(true);
}

}  // namespace sluice

// A client over HTTP/2 in cleartext, with several requests under way on its connection: that of the
// drain bench, which obeys a GOAWAY and goes on over a new connection.

#include "disruption_client.h"
#include "h2_drain_connection.h"

namespace bench {
namespace {

constexpr uint64_t kBytes = 1024;  // of every answer

class H2Visitor final : public Visitor, private H2Load {
 public:
  H2Visitor(const DisruptionGroup& group, Recorder& recorder, int epoll)
      : group_{group.port, 1, group.streams, group.pause, kBytes, group.path},
        recorder_(recorder),
        epoll_(epoll),
        connection_(group_, *this) {}

  void Connect() override { connection_.Connect(); }
  void OnEvent(uint32_t events) override {
    connection_.OnEvent(events);
    Account();
  }
  void Tick(Clock::time_point now, bool ending) override {
    ending_ = ending;
    connection_.Tick(now);
    Account();
  }
  bool stopped() const override { return connection_.stopped(); }
  uint64_t outstanding() const override { return connection_.outstanding(); }

 private:
  void Watch(int fd, H2Connection&) override {
    epoll_data data = {};
    data.ptr = static_cast<Visitor*>(this);
    bench::Watch(epoll_, fd, data);
  }
  void OnAnswered(Clock::time_point begun) override { recorder_.OnAnswered(begun); }
  bool ending() const override { return ending_; }
  bool port_returns() const override { return true; }

  // Carries over what has been counted since.
  void Account() {
    const H2Counts now = std::exchange(counts, {});
    DisruptionCounts& to = recorder_.counts;
    to.sent += now.sent - now.refused;  // those are sent again, as others
    to.not_ok += now.not_ok;
    to.failed_connect += now.connect_refused;
    to.failed_fresh += now.failed_fresh;
    to.failed_reused += now.failed_reused;
    to.failed_midway += now.failed_midway + now.reset;
    to.connected += now.connected;
    to.connections_reset += now.closed_by_reset;
    to.told += now.goaways;
    to.closed_idle += now.closed_untold;
  }

  const H2Group group_;
  Recorder& recorder_;
  const int epoll_;
  H2Connection connection_;
  bool ending_ = false;
};

}  // namespace

std::unique_ptr<Visitor> MakeH2Visitor(const DisruptionGroup& group, Recorder& recorder,
                                       int epoll) {
  return std::make_unique<H2Visitor>(group, recorder, epoll);
}

}  // namespace bench

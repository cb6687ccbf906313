// A small name server for tests, on a thread of its own: answers over UDP, and over TCP where an
// answer was truncated.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace sluice {

// A record as a test writes it.
struct DnsRecord {
  uint16_t type;  // 1 A, 28 AAAA, 5 CNAME, 33 SRV
  uint32_t ttl;
  std::string data;  // as on the wire
};

std::string DnsName(std::string_view name);  // as on the wire
DnsRecord DnsA(uint32_t ttl, std::string_view address);
DnsRecord DnsAaaa(uint32_t ttl, std::string_view address);
DnsRecord DnsSrv(uint32_t ttl, uint16_t priority, uint16_t weight, uint16_t port,
                 std::string_view target);

// A whole answer to `query`. `code`: 0 no error, 2 SERVFAIL, 3 NXDOMAIN.
std::string DnsReply(std::string_view query, const std::vector<DnsRecord>& records, int code = 0);

class DnsServer {
 public:
  DnsServer();
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  // Records of a name and type; none: NXDOMAIN.
  void Set(const std::string& name, uint16_t type, std::vector<DnsRecord> records);

  // How a query is answered instead: with these bytes, or, if there are none, not at all. Called on
  // the thread of the server.
  using Answer = std::function<std::string(std::string_view query, bool tcp)>;
  void SetAnswer(Answer answer);

  // A connection over TCP ends with its first answer, as it may (RFC 7766 6.2.4).
  void CloseAfterAnswers() { closes_ = true; }

  int queries() const { return queries_; }

 private:
  struct TcpPeer {
    int fd;
    std::string received;
  };
  void Run();
  std::string AnswerTo(std::string_view query, bool tcp);
  std::string AnswerOfZone(std::string_view query, bool tcp) const;
  void ServeUdp();
  bool ServeTcp(TcpPeer& peer);

  int udp_ = -1;
  int tcp_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> closes_ = false;
  std::atomic<int> queries_ = 0;
  std::mutex mutex_;
  std::map<std::pair<std::string, uint16_t>, std::vector<DnsRecord>> zone_;
  Answer answer_;
  std::thread thread_;
};

}  // namespace sluice

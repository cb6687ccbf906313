#include "support/dns_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace sluice {
namespace {

constexpr size_t kHeader = 12;
constexpr size_t kMostUdp = 512;

std::string U16(unsigned value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value)};
}
std::string U32(uint32_t value) { return U16(value >> 16) + U16(value & 0xffff); }

// The name and type that are asked for, and where the question ends.
struct Question {
  std::string name;
  uint16_t type = 0;
  size_t end = 0;
};

Question QuestionIn(std::string_view query) {
  Question question;
  size_t at = kHeader;
  while (at < query.size() && query[at] != 0) {
    const auto length = static_cast<unsigned char>(query[at]);
    if (!question.name.empty()) question.name += '.';
    question.name += query.substr(at + 1, length);
    at += 1 + length;
  }
  if (query.size() >= at + 5) {
    question.type = static_cast<uint16_t>(static_cast<unsigned char>(query[at + 1]) << 8 |
                                          static_cast<unsigned char>(query[at + 2]));
  }
  question.end = at + 5;
  return question;
}

int Bound(int type, uint16_t* port) {
  const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(*port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(fd, generic, length) != 0) {
    close(fd);
    return -1;
  }
  getsockname(fd, generic, &length);
  *port = ntohs(address.sin_port);
  return fd;
}

}  // namespace

std::string DnsName(std::string_view name) {
  std::string wire;
  while (!name.empty()) {
    const size_t dot = std::min(name.find('.'), name.size());
    wire += static_cast<char>(dot);
    wire += name.substr(0, dot);
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  return wire + '\0';
}

DnsRecord DnsA(uint32_t ttl, std::string_view address) {
  std::string data(4, '\0');
  inet_pton(AF_INET, std::string(address).c_str(), data.data());
  return {1, ttl, data};
}

DnsRecord DnsAaaa(uint32_t ttl, std::string_view address) {
  std::string data(16, '\0');
  inet_pton(AF_INET6, std::string(address).c_str(), data.data());
  return {28, ttl, data};
}

DnsRecord DnsSrv(uint32_t ttl, uint16_t priority, uint16_t weight, uint16_t port,
                 std::string_view target) {
  return {33, ttl, U16(priority) + U16(weight) + U16(port) + DnsName(target)};
}

std::string DnsReply(std::string_view query, const std::vector<DnsRecord>& records, int code) {
  const Question question = QuestionIn(query);
  std::string reply(query.substr(0, 2));
  reply += U16(0x8180U | static_cast<unsigned>(code));
  reply += U16(1) + U16(static_cast<unsigned>(records.size())) + U16(0) + U16(0);
  reply += query.substr(kHeader, question.end - kHeader);
  for (const DnsRecord& record : records) {
    reply += U16(0xc00c) + U16(record.type) + U16(1) + U32(record.ttl) +
             U16(static_cast<unsigned>(record.data.size())) + record.data;
  }
  return reply;
}

DnsServer::DnsServer() {
  // The same port for both, which may be taken for the second.
  for (int tries = 0; tries < 50 && tcp_ < 0; ++tries) {
    if (udp_ >= 0) close(udp_);
    port_ = 0;
    udp_ = Bound(SOCK_DGRAM, &port_);
    tcp_ = Bound(SOCK_STREAM, &port_);
  }
  EXPECT_GE(tcp_, 0);
  listen(tcp_, 16);
  thread_ = std::thread([this] { Run(); });
}

DnsServer::~DnsServer() {
  stop_ = true;
  thread_.join();
  close(udp_);
  close(tcp_);
}

void DnsServer::Set(const std::string& name, uint16_t type, std::vector<DnsRecord> records) {
  const std::lock_guard lock(mutex_);
  zone_[{name, type}] = std::move(records);
}

void DnsServer::SetAnswer(Answer answer) {
  const std::lock_guard lock(mutex_);
  answer_ = std::move(answer);
}

std::string DnsServer::AnswerTo(std::string_view query, bool tcp) {
  ++queries_;
  const std::lock_guard lock(mutex_);
  return answer_ ? answer_(query, tcp) : AnswerOfZone(query, tcp);
}

std::string DnsServer::AnswerOfZone(std::string_view query, bool tcp) const {
  const Question question = QuestionIn(query);
  const auto found = zone_.find({question.name, question.type});
  if (found != zone_.end()) {
    std::string reply = DnsReply(query, found->second);
    if (tcp || reply.size() <= kMostUdp) return reply;
    reply = DnsReply(query, {});
    reply[2] = static_cast<char>(reply[2] | 0x02);  // truncated
    return reply;
  }
  // Of another type there may be something.
  for (const auto& [key, records] : zone_) {
    if (key.first == question.name) return DnsReply(query, {});
  }
  return DnsReply(query, {}, 3);
}

void DnsServer::ServeUdp() {
  std::array<char, 4096> buffer{};
  sockaddr_in peer{};
  socklen_t length = sizeof(peer);
  auto* const generic = reinterpret_cast<sockaddr*>(&peer);
  const ssize_t got = recvfrom(udp_, buffer.data(), buffer.size(), 0, generic, &length);
  if (got < static_cast<ssize_t>(kHeader)) return;
  const std::string reply = AnswerTo({buffer.data(), static_cast<size_t>(got)}, /*tcp=*/false);
  if (!reply.empty()) sendto(udp_, reply.data(), reply.size(), 0, generic, length);
}

// Whatever whole queries have come (RFC 1035 4.2.2). False when the peer has gone.
bool DnsServer::ServeTcp(TcpPeer& peer) {
  std::array<char, 4096> buffer{};
  const ssize_t got = recv(peer.fd, buffer.data(), buffer.size(), 0);
  if (got <= 0) return false;
  peer.received.append(buffer.data(), static_cast<size_t>(got));
  while (peer.received.size() > 2) {
    const auto size = static_cast<size_t>(static_cast<unsigned char>(peer.received[0]) << 8 |
                                          static_cast<unsigned char>(peer.received[1]));
    if (peer.received.size() < 2 + size) break;
    const std::string reply = AnswerTo(peer.received.substr(2, size), /*tcp=*/true);
    peer.received.erase(0, 2 + size);
    const std::string framed = U16(static_cast<unsigned>(reply.size())) + reply;
    if (!reply.empty()) send(peer.fd, framed.data(), framed.size(), MSG_NOSIGNAL);
    if (closes_) return false;
  }
  return true;
}

void DnsServer::Run() {
  std::vector<TcpPeer> peers;
  while (!stop_) {
    std::vector<pollfd> ready = {{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}};
    for (const TcpPeer& peer : peers) ready.push_back({peer.fd, POLLIN, 0});
    if (poll(ready.data(), ready.size(), 20) <= 0) continue;
    if ((ready[0].revents & POLLIN) != 0) ServeUdp();
    for (size_t i = peers.size(); i-- > 0;) {
      if (ready[2 + i].revents == 0 || ServeTcp(peers[i])) continue;
      close(peers[i].fd);
      peers.erase(peers.begin() + static_cast<ptrdiff_t>(i));
    }
    if ((ready[1].revents & POLLIN) != 0) {
      peers.push_back({accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC), {}});
    }
  }
  for (const TcpPeer& peer : peers) close(peer.fd);
}

}  // namespace sluice

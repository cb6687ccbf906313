// A language for tests of TLS: certificates in files, contexts, and ends that write down what they
// are told, over pipes on simulated time.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/metrics.h"
#include "base/temp_dir.h"
#include "net/tls_transport.h"
#include "support/pipe.h"
#include "support/sim_loop.h"
#include "support/tls_certs.h"
#include "support/tls_peer.h"

namespace sluice {

// One end, and its owner.
class TlsEnd final : public TransportEvents {
 public:
  explicit TlsEnd(std::unique_ptr<Transport> made) : transport(std::move(made)) {
    transport->SetEvents(this);
  }

  void OnData(std::string_view bytes) override {
    EXPECT_TRUE(ready) << "data before OnReady";
    EXPECT_FALSE(eof) << "data after the end";
    data += bytes;
    ++deliveries;
    if (on_data) on_data();
  }
  void OnReady() override {
    EXPECT_TRUE(transport->ready());
    ready = true;
    if (on_ready) on_ready();
  }
  void OnEof() override { eof = true; }
  void OnWritable() override {
    ++writable;
    if (on_writable) on_writable();
  }
  void OnWriteShut() override { write_shut = true; }
  void OnError(int code) override { error = code; }

  bool over() const { return ready || error != 0; }

  std::unique_ptr<Transport> transport;
  std::string data;
  int deliveries = 0;
  int writable = 0;
  bool ready = false;
  bool eof = false;
  bool write_shut = false;
  int error = 0;
  std::function<void()> on_data, on_ready, on_writable;
};

class TlsTest : public ::testing::Test {
 protected:
  static constexpr Duration kBound = std::chrono::hours(1);

  TlsTest() { dir_.Write("ca.pem", ca_.cert()); }

  // Writes NAME.pem and NAME.key.
  TlsKeyPair Issue(const std::string& name, const CertSpec& spec, const TestCa& ca) const {
    const CertPem pem = ca.Issue(spec);
    dir_.Write(name + ".pem", pem.cert);
    dir_.Write(name + ".key", pem.key);
    return {dir_ / (name + ".pem"), dir_ / (name + ".key"), {}};
  }
  TlsKeyPair Issue(const std::string& name, const CertSpec& spec) const {
    return Issue(name, spec, ca_);
  }

  // For "server.test".
  TlsServerOptions ServerOptions() const {
    TlsServerOptions options;
    options.where = "listeners.test.tls";
    options.certificates = {
        Issue("server", {.common_name = "server", .dns_names = {"server.test"}})};
    options.alpn = {"h2", "http/1.1"};
    return options;
  }
  TlsClientOptions ClientOptions() const {
    TlsClientOptions options;
    options.where = "clusters.test.tls";
    options.ca = dir_ / "ca.pem";
    options.server_name = "server.test";
    options.alpn = {"http/1.1"};
    return options;
  }

  static std::shared_ptr<const TlsServerContext> Build(
      const TlsServerOptions& options,
      std::shared_ptr<TlsTicketKeys> keys = std::make_shared<TlsTicketKeys>()) {
    auto built = TlsServerContext::Build(options, std::move(keys));
    EXPECT_TRUE(built) << built.error().message;
    return built.value_or(nullptr);
  }
  static std::shared_ptr<const TlsClientContext> Build(const TlsClientOptions& options) {
    auto built = TlsClientContext::Build(options);
    EXPECT_TRUE(built) << built.error().message;
    return built.value_or(nullptr);
  }

  std::unique_ptr<TlsEnd> Server(std::unique_ptr<Transport> inner,
                                 std::shared_ptr<const TlsServerContext> context) {
    return std::make_unique<TlsEnd>(
        TlsTransport::Accept(loop_, std::move(inner), std::move(context), server_metrics_));
  }
  std::unique_ptr<TlsEnd> Client(std::unique_ptr<Transport> inner,
                                 std::shared_ptr<const TlsClientContext> context) {
    return std::make_unique<TlsEnd>(
        TlsTransport::Connect(loop_, std::move(inner), std::move(context), slot_, client_metrics_));
  }

  bool Until(const std::function<bool()>& predicate) { return loop_.RunUntil(predicate, kBound); }
  // Whatever still moves has moved.
  void Settle() { loop_.RunFor(std::chrono::seconds(1)); }

  int64_t Failures(const std::string& reason) {
    return shard_
        .Counter("sluice_tls_handshake_failures_total", "",
                 {{"listener", "test"}, {"reason", reason}})
        .value();
  }
  int64_t ClientFailures(const std::string& reason) {
    return shard_
        .Counter("sluice_upstream_tls_handshake_failures_total", "",
                 {{"cluster", "test"}, {"reason", reason}})
        .value();
  }

  TempDir dir_;
  TestCa ca_;
  SimLoop loop_;
  Metrics metrics_;
  MetricShard& shard_ = metrics_.AddShard();
  TlsHandshakeMetrics server_metrics_ = TlsHandshakeMetrics::OfListener(shard_, "test");
  TlsHandshakeMetrics client_metrics_ = TlsHandshakeMetrics::OfCluster(shard_, "test");
  std::shared_ptr<TlsSessionSlot> slot_ = std::make_shared<TlsSessionSlot>();
};

}  // namespace sluice

// Gives the transports of another dialer an ALPN result, as TLS would.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "sluice/tls_info.h"
#include "sluice/transport.h"

namespace sluice {

// `under` must outlive it, and it its transports.
class AlpnDialer final : public Dialer {
 public:
  AlpnDialer(Dialer& under, std::string_view alpn) : under_(under) { info_.alpn = alpn; }

  std::unique_ptr<Attempt> Dial(const std::string& address, Done done) override {
    return under_.Dial(address, [this, done = std::move(done)](auto transport, int error) {
      if (error != 0) return done(nullptr, error);
      done(std::make_unique<WithTls>(std::move(transport), info_), 0);
    });
  }

 private:
  class WithTls final : public Transport {
   public:
    WithTls(std::unique_ptr<Transport> under, const TlsInfo& info)
        : under_(std::move(under)), info_(info) {}
    const TlsInfo* tls() const override { return &info_; }
    void SetEvents(TransportEvents* events) override { under_->SetEvents(events); }
    void Write(std::string_view bytes) override { under_->Write(bytes); }
    void FlushNow() override { under_->FlushNow(); }
    size_t queued_bytes() const override { return under_->queued_bytes(); }
    void ShutdownWrite() override { under_->ShutdownWrite(); }
    void Close() override { under_->Close(); }
    void Reset() override { under_->Reset(); }
    void PauseReading() override { under_->PauseReading(); }
    void ResumeReading() override { under_->ResumeReading(); }
    bool HasUnreadInput() override { return under_->HasUnreadInput(); }
    std::string PeerAddress() const override { return under_->PeerAddress(); }
    std::string LocalAddress() const override { return under_->LocalAddress(); }

   private:
    std::unique_ptr<Transport> under_;
    const TlsInfo& info_;
  };

  Dialer& under_;
  TlsInfo info_;
};

}  // namespace sluice

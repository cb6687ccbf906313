#include "net/tls_dialer.h"

#include <utility>

namespace sluice {
namespace {

class TlsAttempt final : public Dialer::Attempt, private TransportEvents {
 public:
  // Makes a TLS transport of a connection.
  using Wrap = std::function<std::unique_ptr<Transport>(std::unique_ptr<Transport>)>;

  TlsAttempt(Loop& loop, Wrap wrap, Dialer::Done done)
      : loop_(loop), wrap_(std::move(wrap)), done_(std::move(done)) {}

  ~TlsAttempt() override { Discard(); }

  void Begin(Dialer& inner, const std::string& address) {
    dialling_ = inner.Dial(address, [this](std::unique_ptr<Transport> connected, int error) {
      if (error != 0) {
        Tell(nullptr, error);
        return;
      }
      transport_ = wrap_(std::move(connected));
      transport_->SetEvents(this);
    });
  }

 private:
  void OnReady() override { Tell(std::move(transport_), 0); }
  void OnError(int error) override {
    Discard();
    Tell(nullptr, error);
  }
  // Nothing else comes before OnReady.
  void OnData(std::string_view) override {}
  void OnEof() override {}
  void OnWritable() override {}

  void Tell(std::unique_ptr<Transport> transport, int error) {
    const auto done = std::move(done_);  // `this` may be destroyed by it
    done(std::move(transport), error);
  }

  // The transport may be what is calling.
  void Discard() {
    if (transport_ == nullptr) return;
    transport_->Close();
    loop_.DeleteLater(std::move(transport_));
  }

  Loop& loop_;
  Wrap wrap_;
  Dialer::Done done_;
  std::unique_ptr<Dialer::Attempt> dialling_;
  std::unique_ptr<Transport> transport_;
};

}  // namespace

TlsDialer::TlsDialer(Loop& loop, Dialer& inner, std::shared_ptr<const TlsClientContext> context,
                     TlsHandshakeMetrics& metrics)
    : loop_(loop), inner_(inner), context_(std::move(context)), metrics_(metrics) {}

std::unique_ptr<Dialer::Attempt> TlsDialer::Dial(const std::string& address, Done done) {
  std::shared_ptr<TlsSessionSlot>& slot = slots_[address];
  if (slot == nullptr) slot = std::make_shared<TlsSessionSlot>();
  auto wrap = [&loop = loop_, &metrics = metrics_, context = context_,
               slot](std::unique_ptr<Transport> connected) {
    return TlsTransport::Connect(loop, std::move(connected), context, slot, metrics);
  };
  auto attempt = std::make_unique<TlsAttempt>(loop_, std::move(wrap), std::move(done));
  attempt->Begin(inner_, address);
  return attempt;
}

void TlsDialer::SetContext(std::shared_ptr<const TlsClientContext> context) {
  context_ = std::move(context);
  slots_.clear();
}

}  // namespace sluice

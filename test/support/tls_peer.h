// The other end of a TlsTransport, as a test wants to have it: OpenSSL with its own buffers over
// any Transport, record by record, well or badly behaved.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

#include "sluice/transport.h"
#include "support/sim_loop.h"

namespace sluice {

class TlsPeer final : private TransportEvents {
 public:
  // Takes the transport, and `ssl` in its connect or accept state. Begins at once.
  TlsPeer(SimLoop& loop, std::unique_ptr<Transport> transport, SSL* ssl);
  ~TlsPeer();

  // A client that trusts everybody; `version` 0: whatever both can.
  static SSL* NewClient(int version = 0);

  SSL* ssl() { return ssl_; }
  bool done() const { return SSL_is_init_finished(ssl_) == 1; }

  // Each in a record of its own.
  void Send(const std::string& text);
  // The ciphertext of such a record, which is not sent.
  std::string Record(const std::string& text);
  void SendRaw(const std::string& bytes);
  void RequestKeyUpdate();
  void SendCloseNotify();
  void SendFin() { transport_->ShutdownWrite(); }
  void Pause() { transport_->PauseReading(); }
  void Resume() { transport_->ResumeReading(); }

  std::string data;             // plaintext that came
  std::vector<size_t> records;  // sizes of the records it came in
  bool close_notify = false;
  bool fin = false;
  int error = 0;      // of the transport
  int ssl_error = 0;  // reason code of OpenSSL's first error

 private:
  void OnData(std::string_view bytes) override;
  void OnEof() override { fin = true; }
  void OnWritable() override {}
  void OnError(int code) override { error = code; }

  void Step();
  void Flush();

  SimLoop& loop_;
  std::unique_ptr<Transport> transport_;
  SSL* const ssl_;
  BIO* const in_;
  BIO* const out_;
};

}  // namespace sluice

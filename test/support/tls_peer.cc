#include "support/tls_peer.h"

#include <openssl/err.h>

#include <utility>

namespace sluice {

TlsPeer::TlsPeer(SimLoop& loop, std::unique_ptr<Transport> transport, SSL* ssl)
    : loop_(loop),
      transport_(std::move(transport)),
      ssl_(ssl),
      in_(BIO_new(BIO_s_mem())),
      out_(BIO_new(BIO_s_mem())) {
  SSL_set_bio(ssl_, in_, out_);
  transport_->SetEvents(this);
  Step();
}

TlsPeer::~TlsPeer() {
  SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);  // its session stays good
  SSL_free(ssl_);
}

SSL* TlsPeer::NewClient(int version) {
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  if (version != 0) {
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
  }
  SSL* const ssl = SSL_new(context);
  SSL_CTX_free(context);
  SSL_set_connect_state(ssl);
  return ssl;
}

void TlsPeer::Send(const std::string& text) {
  SSL_write(ssl_, text.data(), static_cast<int>(text.size()));
  Flush();
}

std::string TlsPeer::Record(const std::string& text) {
  SSL_write(ssl_, text.data(), static_cast<int>(text.size()));
  std::string bytes(BIO_ctrl_pending(out_), '\0');
  BIO_read(out_, bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

void TlsPeer::SendRaw(const std::string& bytes) { transport_->Write(loop_.Lend(bytes)); }

void TlsPeer::RequestKeyUpdate() {
  SSL_key_update(ssl_, SSL_KEY_UPDATE_REQUESTED);
  SSL_do_handshake(ssl_);
  Flush();
}

void TlsPeer::SendCloseNotify() {
  SSL_shutdown(ssl_);
  Flush();
}

void TlsPeer::OnData(std::string_view bytes) {
  BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
  Step();
}

void TlsPeer::Step() {
  char buffer[SSL3_RT_MAX_PLAIN_LENGTH];
  while (true) {
    ERR_clear_error();
    const int got = SSL_read(ssl_, buffer, sizeof(buffer));
    if (got > 0) {
      data.append(buffer, static_cast<size_t>(got));
      records.push_back(static_cast<size_t>(got));
      continue;
    }
    const int why = SSL_get_error(ssl_, got);
    if (why == SSL_ERROR_ZERO_RETURN) close_notify = true;
    if (why == SSL_ERROR_SSL && ssl_error == 0) ssl_error = ERR_GET_REASON(ERR_peek_error());
    break;
  }
  ERR_clear_error();
  Flush();
}

void TlsPeer::Flush() {
  const size_t pending = BIO_ctrl_pending(out_);
  if (pending == 0) return;
  std::string bytes(pending, '\0');
  BIO_read(out_, bytes.data(), static_cast<int>(bytes.size()));
  SendRaw(bytes);
}

}  // namespace sluice

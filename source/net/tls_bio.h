// What OpenSSL has instead of a socket: it reads ciphertext that the transport below has lent, and
// what it writes goes through Loop::Scratch to that transport. There is no buffer between the two.
// Only for TlsTransport.
#pragma once

#include <cstddef>
#include <string_view>

#include "net/tls_handles.h"
#include "sluice/loop.h"
#include "sluice/transport.h"

namespace sluice {

class TlsBio {
 public:
  // Both must outlive it.
  TlsBio(Loop& loop, Transport& inner) : loop_(loop), inner_(inner) {}
  TlsBio(const TlsBio&) = delete;
  TlsBio& operator=(const TlsBio&) = delete;

  // Becomes both ends of `ssl`, which it must outlive.
  void Attach(SSL* ssl);

  // Ciphertext for OpenSSL, lent until the next call; and what of it has not been read.
  void SetInput(std::string_view ciphertext) { input_ = ciphertext; }
  std::string_view input() const { return input_; }

  // Bytes written so far.
  size_t written() const { return written_; }

  // Bytes written of OpenSSL's own accord, outside of an Asked, since the peer last took
  // everything: handshakes, alerts, key updates.
  size_t unasked() const { return unasked_; }

  // While it lives, what is written was asked for.
  class Asked {
   public:
    explicit Asked(TlsBio& bio) : bio_(bio) { bio_.asked_ = true; }
    ~Asked() { bio_.asked_ = false; }
    Asked(const Asked&) = delete;
    Asked& operator=(const Asked&) = delete;

   private:
    TlsBio& bio_;
  };

 private:
  static const BIO_METHOD* Method();
  int Read(BIO* bio, char* out, size_t size);
  void Write(std::string_view bytes);

  Loop& loop_;
  Transport& inner_;
  std::string_view input_;
  size_t written_ = 0;
  size_t unasked_ = 0;
  bool asked_ = false;
};

}  // namespace sluice

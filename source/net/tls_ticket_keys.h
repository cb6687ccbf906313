// The keys that session tickets are sealed with. Who has them can read and make tickets, so they
// change with time; and every worker, process and generation that shall resume each other's
// sessions has the same ones.
//
// The first key seals, all of them open: a ticket sealed shortly before a change is still good, and
// is then renewed. One object for each listener, shared by all workers: they read it without a
// lock, one thread (the control thread) changes it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "net/tls_handles.h"
#include "sluice/result.h"

namespace sluice {

class TlsTicketKeys {
 public:
  // 80 bytes in a file: the name in the ticket, then the secrets for HMAC and AES.
  struct Key {
    std::array<unsigned char, 16> name;
    std::array<unsigned char, 32> hmac;
    std::array<unsigned char, 32> aes;
  };
  static constexpr size_t kKeyBytes = 80;
  static constexpr size_t kMaxKeys = 16;

  // One random key.
  TlsTicketKeys();
  ~TlsTicketKeys();
  TlsTicketKeys(const TlsTicketKeys&) = delete;
  TlsTicketKeys& operator=(const TlsTicketKeys&) = delete;

  // Puts a new random key in front and forgets the oldest, so that each seals for one interval and
  // opens for another.
  void Rotate(WallTime now);

  // Takes the keys of these files, 80 bytes each. When one is not right nothing changes. `where` is
  // how errors call the list.
  Result<void> LoadFiles(const std::vector<std::string>& files, const std::string& where,
                         WallTime now);

  // All keys as bytes, and back, for a process that takes over. Bytes that are not from Export
  // change nothing.
  std::string Export() const;
  Result<void> Import(std::string_view bytes, WallTime now);

  // OpenSSL's question for a key (SSL_CTX_set_tlsext_ticket_key_evp_cb), from any thread.
  int Setup(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
            bool seal) const;

 private:
  using Keys = std::vector<Key>;
  struct Retired {
    std::unique_ptr<const Keys> keys;
    WallTime since;
  };

  void Publish(Keys keys, WallTime now);

  const CipherPtr aes_;
  std::atomic<const Keys*> current_;
  std::unique_ptr<const Keys> owned_;  // what current_ points to
  // A handshake may be reading them: it is over in far less time than they are kept here.
  std::vector<Retired> retired_;
};

}  // namespace sluice

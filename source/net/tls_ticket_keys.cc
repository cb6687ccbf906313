#include "net/tls_ticket_keys.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "net/tls_certificate.h"

namespace sluice {
namespace {

static_assert(sizeof(TlsTicketKeys::Key) == TlsTicketKeys::kKeyBytes);

constexpr char kExportVersion = 1;

// Without randomness nothing here is secret.
void FillRandom(void* bytes, size_t size) {
  if (RAND_bytes(static_cast<unsigned char*>(bytes), static_cast<int>(size)) != 1) std::abort();
}

TlsTicketKeys::Key RandomKey() {
  TlsTicketKeys::Key key;
  FillRandom(&key, sizeof(key));
  return key;
}

TlsTicketKeys::Key KeyFrom(std::string_view bytes) {
  TlsTicketKeys::Key key;
  std::memcpy(&key, bytes.data(), sizeof(key));
  return key;
}

}  // namespace

TlsTicketKeys::TlsTicketKeys() : aes_(EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr)) {
  owned_ = std::make_unique<const Keys>(Keys{RandomKey()});
  current_.store(owned_.get(), std::memory_order_release);
}

TlsTicketKeys::~TlsTicketKeys() = default;

void TlsTicketKeys::Rotate(WallTime now) {
  Keys keys = *owned_;
  keys.resize(1);
  keys.insert(keys.begin(), RandomKey());
  Publish(std::move(keys), now);
}

Result<void> TlsTicketKeys::LoadFiles(const std::vector<std::string>& files,
                                      const std::string& where, WallTime now) {
  Keys keys;
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string key_where = where + "[" + std::to_string(i) + "]";
    auto bytes = ReadTlsFile(files[i], key_where);
    if (!bytes) return tl::unexpected(bytes.error());
    if (bytes->size() != kKeyBytes) {
      return Fail(key_where + ": " + files[i] + ": has " + std::to_string(bytes->size()) +
                  " bytes; expected 80 random ones (openssl rand 80 > FILE)");
    }
    keys.push_back(KeyFrom(*bytes));
  }
  Publish(std::move(keys), now);
  return {};
}

std::string TlsTicketKeys::Export() const {
  std::string bytes;
  bytes += kExportVersion;
  bytes += static_cast<char>(owned_->size());
  for (const Key& key : *owned_) bytes.append(reinterpret_cast<const char*>(&key), sizeof(key));
  return bytes;
}

Result<void> TlsTicketKeys::Import(std::string_view bytes, WallTime now) {
  constexpr size_t kHeader = 2;
  if (bytes.size() < kHeader || bytes[0] != kExportVersion) {
    return Fail("ticket keys of an unknown version");
  }
  const size_t count = static_cast<unsigned char>(bytes[1]);
  if (count == 0 || count > kMaxKeys || bytes.size() != kHeader + count * kKeyBytes) {
    return Fail("ticket keys that are cut short or too many");
  }
  Keys keys;
  for (size_t i = 0; i < count; ++i) {
    keys.push_back(KeyFrom(bytes.substr(kHeader + i * kKeyBytes, kKeyBytes)));
  }
  Publish(std::move(keys), now);
  return {};
}

void TlsTicketKeys::Publish(Keys keys, WallTime now) {
  auto fresh = std::make_unique<const Keys>(std::move(keys));
  current_.store(fresh.get(), std::memory_order_release);
  retired_.push_back({std::exchange(owned_, std::move(fresh)), now});
  std::erase_if(retired_,
                [&](const Retired& old) { return now - old.since > std::chrono::hours(1); });
}

int TlsTicketKeys::Setup(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                         EVP_MAC_CTX* mac, bool seal) const {
  const Keys& keys = *current_.load(std::memory_order_acquire);
  auto key = keys.begin();
  if (seal) {
    std::copy(key->name.begin(), key->name.end(), name);
    FillRandom(iv, static_cast<size_t>(EVP_CIPHER_get_iv_length(aes_.get())));
  } else {
    key = std::find_if(keys.begin(), keys.end(), [&](const Key& candidate) {
      return std::equal(candidate.name.begin(), candidate.name.end(), name);
    });
    if (key == keys.end()) return 0;  // a full handshake, then
  }
  char digest[] = "SHA256";
  OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(
          OSSL_MAC_PARAM_KEY, const_cast<unsigned char*>(key->hmac.data()), key->hmac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end()};
  const bool ok =
      EVP_MAC_CTX_set_params(mac, params) == 1 &&
      EVP_CipherInit_ex2(cipher, aes_.get(), key->aes.data(), iv, seal ? 1 : 0, nullptr) == 1;
  if (!ok) return -1;
  return seal || key == keys.begin() ? 1 : 2;  // 2: still good, and to be renewed
}

}  // namespace sluice

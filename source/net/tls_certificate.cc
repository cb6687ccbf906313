#include "net/tls_certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <utility>

namespace sluice {
namespace {

constexpr size_t kMaxFileBytes = 1024 * 1024;

BioPtr MemoryOf(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// True when reading stopped because nothing more of the kind follows, not because it is broken.
bool AtEndOfPem() {
  const unsigned long error = ERR_peek_last_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

Result<std::vector<X509Ptr>> ReadCertificates(const std::string& file, const std::string& where) {
  auto text = ReadTlsFile(file, where);
  if (!text) return tl::unexpected(text.error());
  const BioPtr memory = MemoryOf(*text);
  std::vector<X509Ptr> found;
  ERR_clear_error();
  while (X509Ptr one{PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr)}) {
    found.push_back(std::move(one));
  }
  if (!AtEndOfPem()) return Fail(where + ": " + file + ": " + TakeTlsError());
  ERR_clear_error();
  if (found.empty()) {
    return Fail(where + ": " + file +
                ": holds no certificate in PEM form (-----BEGIN CERTIFICATE)");
  }
  return found;
}

// There is nobody to ask for a passphrase.
int NoPassphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

Result<KeyPtr> ReadKey(const std::string& file, const std::string& where) {
  auto text = ReadTlsFile(file, where);
  if (!text) return tl::unexpected(text.error());
  const BioPtr memory = MemoryOf(*text);
  bool asked = false;
  ERR_clear_error();
  KeyPtr key(PEM_read_bio_PrivateKey(memory.get(), nullptr, NoPassphrase, &asked));
  const bool none = text->find("PRIVATE KEY-----") == std::string::npos;
  OPENSSL_cleanse(text->data(), text->size());
  if (key != nullptr) return key;
  std::string why = TakeTlsError();
  if (asked) why = "the key is protected by a passphrase; expected one without";
  if (none) why = "holds no private key in PEM form (-----BEGIN PRIVATE KEY)";
  return Fail(where + ": " + file + ": " + why);
}

std::string Lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return text;
}

WallTime TimeOf(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return std::chrono::system_clock::from_time_t(timegm(&parts));
}

TlsCertificateInfo InfoOf(const TlsKeyPair& pair, const X509* leaf) {
  TlsCertificateInfo info;
  info.file = pair.cert;
  info.subject = TlsNameText(X509_get_subject_name(leaf));
  info.names = pair.server_names;
  if (info.names.empty()) info.names = TlsAlternativeNames(leaf, GEN_DNS);
  for (std::string& name : info.names) name = Lower(std::move(name));
  info.not_before = TimeOf(X509_get0_notBefore(leaf));
  info.not_after = TimeOf(X509_get0_notAfter(leaf));
  return info;
}

}  // namespace

Result<std::string> ReadTlsFile(const std::string& file, const std::string& where) {
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  std::string text(kMaxFileBytes + 1, '\0');
  if (stream.is_open()) stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!stream.is_open() || stream.bad()) {
    const char* why = errno == 0 ? "it cannot be read" : std::strerror(errno);
    return Fail(where + ": " + file + ": " + why);
  }
  text.resize(static_cast<size_t>(stream.gcount()));
  if (text.size() > kMaxFileBytes) return Fail(where + ": " + file + ": larger than 1 MiB");
  return text;
}

Result<TlsCertificate> LoadTlsCertificate(const TlsKeyPair& pair, const std::string& where) {
  TlsCertificate loaded;
  auto chain = ReadCertificates(pair.cert, where + ".cert");
  if (!chain) return tl::unexpected(chain.error());
  loaded.chain = std::move(*chain);
  auto key = ReadKey(pair.key, where + ".key");
  if (!key) return tl::unexpected(key.error());
  loaded.key = std::move(*key);
  const X509* leaf = loaded.chain.front().get();
  if (X509_check_private_key(leaf, loaded.key.get()) != 1) {
    ERR_clear_error();
    return Fail(where + ".key: " + pair.key + ": is not the key of the certificate in " +
                pair.cert);
  }
  loaded.info = InfoOf(pair, leaf);
  return loaded;
}

Result<std::vector<X509Ptr>> LoadTlsAuthorities(const std::string& file, const std::string& where) {
  return ReadCertificates(file, where);
}

std::string TlsNameText(const X509_NAME* name) {
  const BioPtr memory(BIO_new(BIO_s_mem()));
  // RFC 2253 escapes control characters; UTF-8 is left as it is.
  X509_NAME_print_ex(memory.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &text);
  return {text, static_cast<size_t>(std::max(size, 0L))};
}

std::vector<std::string> TlsAlternativeNames(const X509* certificate, int type) {
  std::vector<std::string> found;
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != type) continue;
    const ASN1_STRING* value =
        type == GEN_URI ? name->d.uniformResourceIdentifier : name->d.dNSName;
    std::string text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                     static_cast<size_t>(ASN1_STRING_length(value)));
    const bool clean = std::all_of(text.begin(), text.end(), [](char c) {
      return static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
    });
    if (clean && !text.empty()) found.push_back(std::move(text));
  }
  GENERAL_NAMES_free(names);
  return found;
}

std::string TakeTlsError() {
  const unsigned long error = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(error);
  std::string text = reason == nullptr ? "unknown error" : reason;
  if (error != 0 && ERR_SYSTEM_ERROR(error)) text = std::strerror(ERR_GET_REASON(error));
  ERR_clear_error();
  return text;
}

}  // namespace sluice

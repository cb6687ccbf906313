// Certificates and keys from PEM files, with errors that name the file and say why.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "net/tls_handles.h"
#include "net/tls_options.h"
#include "sluice/result.h"

namespace sluice {

// What there is to tell about a certificate in use.
struct TlsCertificateInfo {
  std::string file;
  std::string subject;             // RFC 2253: "CN=example.com,O=Example"
  std::vector<std::string> names;  // what it answers to, in lower case; may have wildcards
  WallTime not_before{};
  WallTime not_after{};
};

struct TlsCertificate {
  std::vector<X509Ptr> chain;  // the certificate itself first
  KeyPtr key;
  TlsCertificateInfo info;
};

// `where` is how errors call the pair: "listeners.public.tls.certificates[0]".
Result<TlsCertificate> LoadTlsCertificate(const TlsKeyPair& pair, const std::string& where);

// The certificates of a file of CAs, at least one.
Result<std::vector<X509Ptr>> LoadTlsAuthorities(const std::string& file, const std::string& where);

// The text of a file, at most a megabyte.
Result<std::string> ReadTlsFile(const std::string& file, const std::string& where);

// Of a name of a subject or an issuer, RFC 2253.
std::string TlsNameText(const X509_NAME* name);

// The alternative names of a certificate of one type, GEN_DNS or GEN_URI, as they stand; what holds
// a NUL or a control character is left out.
std::vector<std::string> TlsAlternativeNames(const X509* certificate, int type);

// What OpenSSL has to say about its last failure, in a few words; forgets it.
std::string TakeTlsError();

}  // namespace sluice

// What a TLS context is built from, in plain words: server/ fills it in from the configuration.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"

namespace sluice {

enum class TlsVersion : uint8_t { kTls12, kTls13 };

// A certificate with its chain and its key, in PEM files.
struct TlsKeyPair {
  std::string cert;                       // the certificate, then its intermediates
  std::string key;                        // may be the same file
  std::vector<std::string> server_names;  // empty: those the certificate is made out to
};

enum class TlsClientAuth : uint8_t { kOff, kOptional, kRequired };

// What both sides have.
struct TlsCommonOptions {
  std::string where;  // how errors call it: "listeners.public.tls"
  TlsVersion min_version = TlsVersion::kTls12;
  std::string ciphers;            // of TLS 1.2, as OpenSSL writes a list; empty: our own
  std::string cipher_suites;      // of TLS 1.3; empty: our own
  std::string ca;                 // PEM file of those we trust
  std::vector<std::string> alpn;  // "h2", "http/1.1", in order of preference
};

struct TlsServerOptions : TlsCommonOptions {
  std::vector<TlsKeyPair> certificates;  // at least one; the first is for clients that name nobody
  TlsClientAuth client_auth = TlsClientAuth::kOff;
  bool session_tickets = true;
  Duration session_lifetime = std::chrono::hours(2);
};

struct TlsClientOptions : TlsCommonOptions {
  bool verify = true;
  std::string server_name;  // for SNI, and what the certificate must be made out to: a name or an
                            // address; empty: neither, which only goes with verify == false
  TlsKeyPair certificate;   // empty: none is sent
};

}  // namespace sluice

#include "support/tls_certs.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>

namespace sluice {
namespace {

constexpr long kDay = 24 * 60 * 60;

void Need(bool ok) {
  if (ok) return;
  std::fprintf(stderr, "a test certificate could not be made\n");
  std::abort();
}

std::string TextOf(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(memory);
  return text;
}

std::string PemOf(X509* certificate) {
  BIO* memory = BIO_new(BIO_s_mem());
  Need(PEM_write_bio_X509(memory, certificate) == 1);
  return TextOf(memory);
}

std::string PemOf(EVP_PKEY* key) {
  BIO* memory = BIO_new(BIO_s_mem());
  Need(PEM_write_bio_PrivateKey(memory, key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return TextOf(memory);
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  Need(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

X509* NewCertificate(const CertSpec& spec, EVP_PKEY* key) {
  static long serial = 0x1000;
  X509* certificate = X509_new();
  Need(certificate != nullptr && X509_set_version(certificate, 2) == 1);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), spec.valid_from_days * kDay);
  X509_gmtime_adj(X509_getm_notAfter(certificate), spec.valid_to_days * kDay);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(spec.common_name.c_str()), -1,
                             -1, 0);
  Need(X509_set_pubkey(certificate, key) == 1);
  return certificate;
}

std::string AlternativeNames(const CertSpec& spec) {
  std::string names;
  const auto add = [&](const std::string& kind, const std::string& name) {
    names += (names.empty() ? "" : ",") + kind + ":" + name;
  };
  for (const std::string& name : spec.dns_names) add("DNS", name);
  for (const std::string& uri : spec.uris) add("URI", uri);
  for (const std::string& address : spec.addresses) add("IP", address);
  return names;
}

}  // namespace

struct TestCa::State {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = nullptr;
};

TestCa::TestCa(const std::string& common_name) : state_(std::make_unique<State>()) {
  CertSpec spec;
  spec.common_name = common_name;
  X509* const certificate = state_->certificate = NewCertificate(spec, state_->key);
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  AddExtension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate, certificate, NID_subject_key_identifier, "hash");
  Need(X509_sign(certificate, state_->key, EVP_sha256()) > 0);
  cert_ = PemOf(certificate);
}

TestCa::~TestCa() {
  X509_free(state_->certificate);
  EVP_PKEY_free(state_->key);
}

CertPem TestCa::Issue(const CertSpec& spec) const {
  EVP_PKEY* const key = spec.rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
  Need(key != nullptr);
  X509* const certificate = NewCertificate(spec, key);
  X509_set_issuer_name(certificate, X509_get_subject_name(state_->certificate));
  const std::string names = AlternativeNames(spec);
  if (!names.empty()) {
    AddExtension(certificate, state_->certificate, NID_subject_alt_name, names);
  }
  Need(X509_sign(certificate, state_->key, EVP_sha256()) > 0);
  CertPem pem{PemOf(certificate), PemOf(key)};
  X509_free(certificate);
  EVP_PKEY_free(key);
  return pem;
}

}  // namespace sluice

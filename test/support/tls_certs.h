// Certificates for tests, made at run time: a CA, and what it signs.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace sluice {

struct CertSpec {
  std::string common_name = "test";
  std::vector<std::string> dns_names = {};
  std::vector<std::string> uris = {};
  std::vector<std::string> addresses = {};
  bool rsa = false;          // otherwise P-256
  int valid_from_days = -1;  // from now
  int valid_to_days = 30;
};

// PEM texts.
struct CertPem {
  std::string cert;
  std::string key;
};

class TestCa {
 public:
  explicit TestCa(const std::string& common_name = "test CA");
  ~TestCa();

  CertPem Issue(const CertSpec& spec) const;
  const std::string& cert() const { return cert_; }  // PEM

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::string cert_;
};

}  // namespace sluice

#include "admin/tls_json.h"

#include <fmt/chrono.h>

#include <nlohmann/json.hpp>

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

Json CertificateJson(const TlsReport::Certificate& certificate) {
  const auto expiry = std::chrono::system_clock::to_time_t(certificate.not_after);
  return {{"file", certificate.file},
          {"subject", certificate.subject},
          {"names", certificate.names},
          {"not_after", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(expiry))}};
}

}  // namespace

std::string TlsJson(const TlsReport& report) {
  Json list = Json::array();
  for (const TlsReport::Entry& entry : report.entries) {
    Json one = {{"owner", entry.where}};
    if (!entry.error.empty()) one["error"] = entry.error;
    one["certificates"] = Json::array();
    for (const auto& certificate : entry.certificates) {
      one["certificates"].push_back(CertificateJson(certificate));
    }
    list.push_back(std::move(one));
  }
  return Json({{"tls", std::move(list)}}).dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sluice

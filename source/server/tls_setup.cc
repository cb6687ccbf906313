#include "server/tls_setup.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <utility>

namespace sluice {
namespace {

TlsVersion VersionOf(TlsMinVersion version) {
  return version == TlsMinVersion::k13 ? TlsVersion::kTls13 : TlsVersion::kTls12;
}

TlsClientAuth AuthOf(ClientAuth auth) {
  switch (auth) {
    case ClientAuth::kOff:
      return TlsClientAuth::kOff;
    case ClientAuth::kOptional:
      return TlsClientAuth::kOptional;
    case ClientAuth::kRequired:
      return TlsClientAuth::kRequired;
  }
  return TlsClientAuth::kRequired;
}

std::vector<std::string> AlpnOf(UpstreamProtocol protocol) {
  switch (protocol) {
    case UpstreamProtocol::kHttp1:
      return {"http/1.1"};
    case UpstreamProtocol::kHttp2:
      return {"h2"};
    case UpstreamProtocol::kAuto:
      return {"h2", "http/1.1"};
  }
  return {};
}

std::string DateOf(WallTime time) {
  return fmt::format("{:%Y-%m-%d %H:%M} UTC",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

void WarnOfDates(const std::string& where, const TlsCertificateInfo& info, WallTime now,
                 std::vector<std::string>* warnings) {
  if (now > info.not_after) {
    warnings->push_back(where + ": the certificate in " + info.file + " has expired on " +
                        DateOf(info.not_after) + ": clients will refuse it; renew it");
  } else if (now < info.not_before) {
    warnings->push_back(where + ": the certificate in " + info.file + " is not valid before " +
                        DateOf(info.not_before) + ": clients will refuse it until then");
  }
}

}  // namespace

TlsServerOptions TlsOptionsOf(const ListenerConfig& listener, bool http2_enabled) {
  const ListenerTlsConfig& tls = *listener.tls;
  TlsServerOptions options;
  options.where = "listeners." + listener.name + ".tls";
  options.min_version = VersionOf(tls.min_version);
  options.ciphers = tls.ciphers;
  options.cipher_suites = tls.cipher_suites;
  options.ca = tls.ca;
  if (http2_enabled) options.alpn.push_back("h2");
  options.alpn.push_back("http/1.1");
  for (const CertificateConfig& pair : tls.certificates) {
    options.certificates.push_back({pair.cert, pair.key, pair.server_names});
  }
  options.client_auth = AuthOf(tls.client_auth);
  options.session_tickets = tls.session_tickets;
  options.session_lifetime = tls.session_lifetime;
  return options;
}

TlsClientOptions TlsOptionsOf(const ClusterConfig& cluster) {
  const ClusterTlsConfig& tls = *cluster.tls;
  TlsClientOptions options;
  options.where = "clusters." + cluster.name + ".tls";
  options.min_version = VersionOf(tls.min_version);
  options.ciphers = tls.ciphers;
  options.cipher_suites = tls.cipher_suites;
  options.ca = tls.ca;
  options.alpn = AlpnOf(cluster.protocol);
  options.verify = tls.verify;
  options.server_name = tls.server_name;
  options.certificate = {tls.cert, tls.key, {}};
  return options;
}

Result<std::shared_ptr<TlsTicketKeys>> MakeTicketKeys(const ListenerConfig& listener,
                                                      WallTime now) {
  auto keys = std::make_shared<TlsTicketKeys>();
  if (listener.tls->ticket_key_files.empty()) return keys;
  if (auto loaded = LoadTicketKeys(listener, now, keys.get()); !loaded) {
    return tl::unexpected(loaded.error());
  }
  return keys;
}

Result<void> LoadTicketKeys(const ListenerConfig& listener, WallTime now, TlsTicketKeys* keys) {
  const std::string where = "listeners." + listener.name + ".tls.ticket_key_files";
  return keys->LoadFiles(listener.tls->ticket_key_files, where, now);
}

Result<std::vector<std::string>> CheckTls(const Config& config, WallTime now) {
  std::vector<std::string> warnings;
  for (const ListenerConfig& listener : config.listeners) {
    if (!listener.tls) continue;
    const TlsServerOptions options = TlsOptionsOf(listener, true);
    auto keys = MakeTicketKeys(listener, now);
    if (!keys) return tl::unexpected(keys.error());
    auto context = TlsServerContext::Build(options, *keys);
    if (!context) return tl::unexpected(context.error());
    for (size_t i = 0; i < (*context)->certificates().size(); ++i) {
      WarnOfDates(fmt::format("{}.certificates[{}]", options.where, i),
                  (*context)->certificates()[i], now, &warnings);
    }
  }
  for (const ClusterConfig& cluster : config.clusters) {
    if (!cluster.tls) continue;
    const TlsClientOptions options = TlsOptionsOf(cluster);
    auto context = TlsClientContext::Build(options);
    if (!context) return tl::unexpected(context.error());
    if ((*context)->certificate()) {
      WarnOfDates(options.where, *(*context)->certificate(), now, &warnings);
    }
  }
  return warnings;
}

}  // namespace sluice

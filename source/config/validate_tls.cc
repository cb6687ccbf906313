#include "config/validate_tls.h"

#include <functional>
#include <string>

namespace sluice {
namespace {

constexpr size_t kMaxTicketKeys = 16;

// Adds a problem: the field at fault, and what is wrong with it.
using Add = std::function<void(const void* field, std::string message)>;

Add AddTo(const ConfigPositions& positions, ConfigProblems* problems) {
  return [&positions, problems](const void* field, std::string message) {
    problems->Add(positions.Of(field), std::move(message));
  };
}

void ValidateTickets(const ListenerTlsConfig& tls, const Add& add) {
  if (!tls.session_tickets && !tls.ticket_key_files.empty()) {
    add(&tls.ticket_key_files, "ticket_key_files does nothing without session_tickets");
  }
  if (tls.ticket_key_files.size() > kMaxTicketKeys) {
    add(&tls.ticket_key_files,
        std::to_string(tls.ticket_key_files.size()) + " ticket_key_files; expected at most 16");
  }
}

}  // namespace

void ValidateListenerTls(const ListenerConfig& listener, const ConfigPositions& positions,
                         ConfigProblems* problems) {
  const Add add = AddTo(positions, problems);
  if (listener.forward_client_cert != ForwardClientCert::kOff &&
      (!listener.tls || listener.tls->client_auth == ClientAuth::kOff)) {
    add(&listener.forward_client_cert,
        "forward_client_cert has nothing to forward without tls.client_auth; expected off");
  }
  if (!listener.tls) return;
  const ListenerTlsConfig& tls = *listener.tls;
  if (tls.client_auth == ClientAuth::kOff && !tls.ca.empty()) {
    add(&tls.ca,
        "tls.ca does nothing without client_auth; expected client_auth: optional or "
        "required, or no ca");
  }
  if (tls.client_auth != ClientAuth::kOff && tls.ca.empty()) {
    add(&tls.client_auth, "tls.client_auth needs to know whom to trust; expected a file in tls.ca");
  }
  ValidateTickets(tls, add);
}

void ValidateClusterTls(const ClusterConfig& cluster, const ConfigPositions& positions,
                        ConfigProblems* problems) {
  const Add add = AddTo(positions, problems);
  if (!cluster.tls) return;
  const ClusterTlsConfig& tls = *cluster.tls;
  const std::string where = "cluster '" + cluster.name + "': ";
  if (tls.verify && tls.server_name.empty() && !positions.Refused(&tls.server_name)) {
    add(&cluster.tls,
        where + "tls.server_name is missing: " +
            (cluster.dns ? "SRV records may name any host" : "endpoints are addresses") +
            ", so it says whose certificate to expect; expected it, or verify: false");
  }
  if (!tls.verify && !tls.ca.empty()) {
    add(&tls.ca, where + "tls.ca does nothing without verify");
  }
  if (tls.cert.empty() != tls.key.empty()) {
    add(tls.cert.empty() ? &tls.key : &tls.cert,
        where + "tls.cert and tls.key go together; expected both or neither");
  }
}

}  // namespace sluice

// The admin endpoints: what an orchestrator asks (is it alive, is it ready), what a person wants to
// see, and the drain on request.
//
//   GET  /live           200 as long as the process answers at all
//   GET  /ready          200 in ready, 503 otherwise, with the phase
//   GET  /metrics        Prometheus text format
//   GET  /config         the configuration in force, as YAML
//   GET  /connections    open downstream connections, as JSON
//   GET  /clusters       clusters and how their endpoints are, as JSON
//   GET  /tls            certificates in use, as JSON
//   POST /tls/reload     reads the files of TLS again
//   GET  /reload         how the last reload went, as JSON; POST reads the configuration again
//   GET  /drain          phase and progress, as JSON: the drain report so far
//   POST /drain          begin a drain; DELETE takes it back, while lame duck
//   POST /drain?route=x  drain a part: listener, route, cluster or endpoint; DELETE undrains it
//   GET, POST /drain/prestop   begin a drain, answer when the news has spread: for a preStop hook
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "admin/admin_sources.h"
#include "admin/drain_query.h"
#include "lifecycle/drain.h"
#include "lifecycle/part_drain.h"
#include "sluice/handler.h"
#include "sluice/loop.h"

namespace sluice {

// Control thread only.
class AdminHandler : public Handler {
 public:
  // All must outlive this object, which in turn must outlive the streams given to it and the last
  // phase change of `drain`.
  AdminHandler(Loop& loop, DrainController& drain, PartDrainController& part_drain,
               AdminSources sources);
  ~AdminHandler() override;
  AdminHandler(const AdminHandler&) = delete;
  AdminHandler& operator=(const AdminHandler&) = delete;

  void OnRequest(ServerStream& stream, bool end_stream) override;

 private:
  class Request;
  struct Answer;
  struct Endpoint;
  static const Endpoint kEndpoints[];

  void Dispatch(Request& request);
  void Index(Request& request);
  void Live(Request& request);
  void Ready(Request& request);
  void Metrics(Request& request);
  void ShowConfig(Request& request);
  void Connections(Request& request);
  void Clusters(Request& request);
  void Tls(Request& request);
  void ReloadTls(Request& request);
  void Reload(Request& request);
  void Restart(Request& request);
  void Drain(Request& request);
  void Prestop(Request& request);

  void BeginDrain(Request& request, DrainTrigger trigger);
  void UndoDrain(Request& request);
  void ChangePart(Request& request, const Part& part);
  void SendReport(Request& request);
  void Reply(uint64_t id, Answer answer);
  void Refuse(Request& request, int status, std::string_view why);
  void OnPhase(Phase from, Phase to);
  void Forget(uint64_t id);

  Loop& loop_;
  DrainController& drain_;
  PartDrainController& part_drain_;
  const AdminSources sources_;
  // By a number that an answer which comes late can ask for in vain.
  std::unordered_map<uint64_t, std::unique_ptr<Request>> requests_;
  uint64_t next_id_ = 0;
};

}  // namespace sluice

// An HTTP/1.1 origin in a simulation that does what a test tells it to: the test is given every
// request and writes the bytes of the answer.
//
//   ScriptOrigin a(loop, network, "a");
//   a.on_message = [](ScriptOrigin::Connection& connection) {
//     connection.Respond("503 Service Unavailable");
//   };
//
// One thread; loop and network must outlive it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "sluice/transport.h"
#include "support/sim_http.h"
#include "support/sim_loop.h"
#include "support/sim_network.h"

namespace sluice {

class ScriptOrigin {
 public:
  class Connection final : private TransportEvents {
   public:
    Connection(ScriptOrigin& origin, std::unique_ptr<Transport> transport);

    void Write(std::string bytes) { transport_->Write(origin_.loop_.Lend(std::move(bytes))); }
    // A whole response; `fields` are lines that end in CRLF.
    void Respond(const std::string& status, const std::string& fields = {},
                 const std::string& body = {});
    void Close();
    void Reset();
    void PauseReading() { transport_->PauseReading(); }
    void ResumeReading() { transport_->ResumeReading(); }
    bool open() const { return open_; }

    // The present request, and what has come of its body, which must not be chunked.
    const SimMessage& request() const { return reader_.messages().back(); }
    std::string body() const { return raw_.substr(raw_.find("\r\n\r\n") + 4); }

   private:
    void OnData(std::string_view bytes) override;
    void OnEof() override { Close(); }
    void OnWritable() override {}
    void OnError(int) override { open_ = false; }

    ScriptOrigin& origin_;
    std::unique_ptr<Transport> transport_;
    SimReader reader_{SimReader::Kind::kRequests};
    std::string raw_;  // of the present request
    bool open_ = true;
  };

  ScriptOrigin(SimLoop& loop, SimNetwork& network, std::string address);
  ~ScriptOrigin() { Stop(); }

  // A head has come; more of a body has come; a request is whole. Empty ones do nothing, but that a
  // whole request is answered 200 with the origin's address.
  std::function<void(Connection&)> on_head;
  std::function<void(Connection&)> on_body;
  std::function<void(Connection&)> on_message;

  void Listen();
  // Refuses connections from now on.
  void Stop() { network_.At(address_).accept = nullptr; }
  // As a process that is killed.
  void Kill();

  size_t heads() const { return heads_; }        // requests that began
  size_t messages() const { return messages_; }  // and those that came whole
  std::deque<std::unique_ptr<Connection>> connections;

 private:
  SimLoop& loop_;
  SimNetwork& network_;
  const std::string address_;
  size_t heads_ = 0;
  size_t messages_ = 0;
};

}  // namespace sluice

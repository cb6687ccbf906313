#include "support/script_origin.h"

#include <utility>

namespace sluice {

ScriptOrigin::Connection::Connection(ScriptOrigin& origin, std::unique_ptr<Transport> transport)
    : origin_(origin), transport_(std::move(transport)) {
  reader_.on_head = [this](const SimMessage&) {
    ++origin_.heads_;
    if (origin_.on_head) origin_.on_head(*this);
  };
  reader_.on_message = [this](const SimMessage&) {
    ++origin_.messages_;
    if (origin_.on_body) origin_.on_body(*this);
    if (origin_.on_message) {
      origin_.on_message(*this);
    } else if (open_) {
      Respond("200 OK", {}, origin_.address_);
    }
    raw_.clear();
  };
  transport_->SetEvents(this);
}

void ScriptOrigin::Connection::OnData(std::string_view bytes) {
  raw_ += bytes;
  reader_.Feed(bytes);
  const bool in_body = !raw_.empty() && raw_.find("\r\n\r\n") != std::string::npos;
  if (in_body && open_ && origin_.on_body) origin_.on_body(*this);
}

void ScriptOrigin::Connection::Respond(const std::string& status, const std::string& fields,
                                       const std::string& body) {
  Write("HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
        fields + "\r\n" + body);
}

void ScriptOrigin::Connection::Close() {
  if (std::exchange(open_, false)) transport_->Close();
}

void ScriptOrigin::Connection::Reset() {
  if (std::exchange(open_, false)) transport_->Reset();
}

ScriptOrigin::ScriptOrigin(SimLoop& loop, SimNetwork& network, std::string address)
    : loop_(loop), network_(network), address_(std::move(address)) {
  Listen();
}

void ScriptOrigin::Listen() {
  network_.At(address_).accept = [this](std::unique_ptr<Transport> transport) {
    connections.push_back(std::make_unique<Connection>(*this, std::move(transport)));
  };
}

void ScriptOrigin::Kill() {
  Stop();
  for (const auto& connection : connections) connection->Reset();
}

}  // namespace sluice

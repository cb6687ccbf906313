#include "http/h2_client_stream.h"

#include "http/h2_client_connection.h"
#include "http/websocket_handshake.h"

namespace sluice {

void H2ClientStream::Start(H2ClientConnection& connection, const RequestHead& request,
                           ResponseReceiver& receiver) {
  connection_ = &connection;
  receiver_ = &receiver;
  to_websocket_ = OffersWebSocket(request);
  to_connect_ = to_websocket_ || request.method == Method::kConnect;
}

void H2ClientStream::Recycle() {
  RecycleStream();
  unsent_.clear();
  head_.Reset();
  trailers_.Clear();
  connection_ = nullptr;
  receiver_ = nullptr;
  block_bytes_ = block_fields_ = 0;
  response_ = Response::kAwaited;
  to_connect_ = to_websocket_ = request_ended_ = false;
}

void H2ClientStream::BeginBlock() {
  block_bytes_ = block_fields_ = 0;
  if (response_ == Response::kAwaited) {
    response_ = Response::kBegun;
  } else if (response_ == Response::kBegun) {
    head_.Reset();  // an interim one was delivered
  } else {
    trailers_.Clear();
  }
}

void H2ClientStream::SendBody(std::string_view bytes, bool end_stream) {
  if (end_stream) {
    connection_->EndRequest(*this, bytes);
  } else {
    connection_->session_.SendBody(*this, bytes, false);
  }
}

void H2ClientStream::SendTrailers(const HeaderList& trailers) {
  connection_->SendTrailers(*this, trailers);
}

bool H2ClientStream::congested() const { return connection_->session_.Congested(*this); }

void H2ClientStream::PauseResponse() { connection_->session_.PauseStream(*this); }

void H2ClientStream::ResumeResponse() { connection_->session_.ResumeStream(*this); }

void H2ClientStream::Cancel() { connection_->Cancel(*this); }

void H2ClientStream::Leave() { connection_->Leave(*this); }

}  // namespace sluice

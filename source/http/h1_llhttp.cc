#include "http/h1_llhttp.h"

namespace sluice {

namespace {

LlhttpSink& Sink(llhttp_t* parser) { return *static_cast<LlhttpSink*>(parser->data); }

int OnHeaderField(llhttp_t* parser, const char* at, size_t length) {
  Sink(parser).OnFieldName({at, length});
  return 0;
}

int OnHeaderValue(llhttp_t* parser, const char* at, size_t length) {
  Sink(parser).OnFieldValue({at, length});
  return 0;
}

int OnHeadersComplete(llhttp_t*) { return HPE_PAUSED; }

int OnChunkHeader(llhttp_t* parser) {
  Sink(parser).chunk_size = parser->content_length;
  return 0;
}

int OnBody(llhttp_t* parser, const char* at, size_t length) {
  Sink(parser).body = {at, length};
  return 0;
}

int OnMessageComplete(llhttp_t* parser) {
  Sink(parser).message_complete = true;
  return 0;
}

llhttp_settings_t MakeSettings() {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_header_field = OnHeaderField;
  settings.on_header_value = OnHeaderValue;
  settings.on_headers_complete = OnHeadersComplete;
  settings.on_chunk_header = OnChunkHeader;
  settings.on_body = OnBody;
  settings.on_message_complete = OnMessageComplete;
  return settings;
}

}  // namespace

const llhttp_settings_t kLlhttpSettings = MakeSettings();

H1Error LlhttpRefusal(llhttp_errno_t error) {
  switch (error) {
    case HPE_INVALID_METHOD:
    case HPE_INVALID_CONSTANT:  // a method of RTSP or ICE
      return {501, "method"};
    case HPE_INVALID_URL:
      return {400, "target"};
    case HPE_INVALID_HEADER_TOKEN:
    case HPE_UNEXPECTED_SPACE:
      return {400, "header_field"};
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
      return {400, "content_length"};
    case HPE_INVALID_TRANSFER_ENCODING:
      return {400, "transfer_encoding"};
    default:
      return {400, "syntax"};
  }
}

}  // namespace sluice

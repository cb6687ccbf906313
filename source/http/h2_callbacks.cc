#include "http/h2_callbacks.h"

namespace sluice {
namespace {

H2Session& Of(void* user) { return *static_cast<H2Session*>(user); }

std::string_view Text(const uint8_t* bytes, size_t length) {
  return {reinterpret_cast<const char*>(bytes), length};
}

}  // namespace

const nghttp2_session_callbacks* H2Session::Callbacks::All() {
  static const nghttp2_session_callbacks* const callbacks = [] {
    nghttp2_session_callbacks* all = nullptr;
    nghttp2_session_callbacks_new(&all);
    nghttp2_session_callbacks_set_on_begin_frame_callback(
        all, [](nghttp2_session*, const nghttp2_frame_hd* header, void* user) {
          Of(user).OnFrameHeader(*header);
          return 0;
        });
    nghttp2_session_callbacks_set_on_begin_headers_callback(
        all, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
          return Of(user).OnBlockBegin(frame->hd.stream_id, frame->headers.cat);
        });
    nghttp2_session_callbacks_set_on_header_callback(
        all, [](nghttp2_session*, const nghttp2_frame*, const uint8_t* name, size_t name_length,
                const uint8_t* value, size_t value_length, uint8_t, void* user) {
          return Of(user).OnField(Text(name, name_length), Text(value, value_length));
        });
    // Without this nghttp2 would pass over a field that is not valid; RFC 9113 8.2.1 calls the
    // message malformed.
    nghttp2_session_callbacks_set_on_invalid_header_callback(
        all,
        [](nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t, const uint8_t*, size_t,
           uint8_t, void*) -> int { return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        all, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
          Of(user).OnFrame(*frame);
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        all,
        [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* bytes, size_t length, void* user) {
          Of(user).OnData(id, Text(bytes, length));
          return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        all, [](nghttp2_session*, int32_t id, uint32_t error, void* user) {
          Of(user).OnStreamClosed(id, error);
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_send_callback(
        all, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
          Of(user).OnFrameSent(*frame);
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_not_send_callback(
        all, [](nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
          Of(user).OnFrameNotSent(*frame);
          return 0;
        });
    nghttp2_session_callbacks_set_send_data_callback(
        all, [](nghttp2_session*, nghttp2_frame*, const uint8_t* header, size_t length,
                nghttp2_data_source* source, void* user) {
          Of(user).WriteBody(*static_cast<H2Stream*>(source->ptr), header, length);
          return 0;
        });
    return all;
  }();
  return callbacks;
}

nghttp2_data_provider H2Session::Callbacks::BodyOf(H2Stream& stream) {
  nghttp2_data_provider provider{};
  provider.source.ptr = &stream;
  provider.read_callback = [](nghttp2_session*, int32_t, uint8_t*, size_t most, uint32_t* flags,
                              nghttp2_data_source* source, void* user) -> ssize_t {
    return Of(user).ReadBody(*static_cast<H2Stream*>(source->ptr), most, flags);
  };
  return provider;
}

}  // namespace sluice

#include "net/tls_bio.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace sluice {
namespace {

TlsBio& Of(BIO* bio) { return *static_cast<TlsBio*>(BIO_get_data(bio)); }

}  // namespace

const BIO_METHOD* TlsBio::Method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice");
    if (made == nullptr) std::abort();
    BIO_meth_set_read(made, [](BIO* bio, char* out, int size) {
      return Of(bio).Read(bio, out, static_cast<size_t>(size));
    });
    BIO_meth_set_write(made, [](BIO* bio, const char* bytes, int size) {
      BIO_clear_retry_flags(bio);
      Of(bio).Write({bytes, static_cast<size_t>(size)});
      return size;
    });
    BIO_meth_set_ctrl(
        made, [](BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1L : 0L; });
    return made;
  }();
  return method;
}

void TlsBio::Attach(SSL* ssl) {
  BIO* const bio = BIO_new(Method());
  if (ssl == nullptr || bio == nullptr) std::abort();  // out of memory
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
}

int TlsBio::Read(BIO* bio, char* out, size_t size) {
  BIO_clear_retry_flags(bio);
  const size_t count = std::min(input_.size(), size);
  if (count == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  std::memcpy(out, input_.data(), count);
  input_.remove_prefix(count);
  return static_cast<int>(count);
}

void TlsBio::Write(std::string_view bytes) {
  if (!asked_) {
    if (inner_.queued_bytes() == 0) unasked_ = 0;
    unasked_ += bytes.size();
  }
  written_ += bytes.size();
  char* const copy = loop_.Scratch(bytes.size());
  std::memcpy(copy, bytes.data(), bytes.size());
  inner_.Write({copy, bytes.size()});
}

}  // namespace sluice

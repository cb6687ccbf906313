// Gathers the plaintext of a dispatch and makes records of it at the end: what is large is
// encrypted where it lies, small slices (a head and its body) are put together in one record of up
// to 16 KiB. Empty it holds no memory.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "net/tls_handles.h"

namespace sluice {

class TlsRecordWriter {
 public:
  // `bytes` is lent until the next Write or Clear.
  void Add(std::string_view bytes);

  // Bytes gathered.
  size_t size() const { return size_; }

  // Gives all of it to `ssl`, whose BIO takes every byte. False when OpenSSL would not; the
  // connection cannot go on then.
  bool Write(SSL* ssl);

  void Clear();

 private:
  bool WriteSmall(SSL* ssl, size_t* next);

  std::vector<std::string_view> slices_;
  size_t size_ = 0;
};

}  // namespace sluice

#include "net/tls_record_writer.h"

#include <openssl/err.h>

#include <algorithm>
#include <cstring>

namespace sluice {
namespace {

constexpr size_t kRecord = SSL3_RT_MAX_PLAIN_LENGTH;

// The room of the last writer of this thread that was emptied, for the next one.
thread_local std::vector<std::string_view> spare_room;

bool WriteSlice(SSL* ssl, std::string_view bytes) {
  size_t written = 0;
  if (SSL_write_ex(ssl, bytes.data(), bytes.size(), &written) == 1) return true;
  ERR_clear_error();
  return false;
}

}  // namespace

void TlsRecordWriter::Add(std::string_view bytes) {
  if (slices_.empty()) slices_.swap(spare_room);
  slices_.push_back(bytes);
  size_ += bytes.size();
}

bool TlsRecordWriter::Write(SSL* ssl) {
  if (slices_.empty()) return true;
  ERR_clear_error();
  bool ok = true;
  for (size_t next = 0; ok && next < slices_.size();) {
    std::string_view& slice = slices_[next];
    if (slice.size() >= kRecord) {
      const size_t whole = slice.size() - slice.size() % kRecord;
      ok = WriteSlice(ssl, slice.substr(0, whole));
      slice.remove_prefix(whole);
      if (slice.empty()) ++next;
    } else if (next + 1 == slices_.size()) {
      ok = WriteSlice(ssl, slice);
      ++next;
    } else {
      ok = WriteSmall(ssl, &next);
    }
  }
  Clear();
  return ok;
}

// One record of slices from `*next` on, the last of them perhaps in part.
bool TlsRecordWriter::WriteSmall(SSL* ssl, size_t* next) {
  char record[kRecord];
  size_t size = 0;
  while (*next < slices_.size() && size < kRecord) {
    std::string_view& slice = slices_[*next];
    const size_t count = std::min(slice.size(), kRecord - size);
    std::memcpy(record + size, slice.data(), count);
    size += count;
    slice.remove_prefix(count);
    if (slice.empty()) ++*next;
  }
  return WriteSlice(ssl, {record, size});
}

void TlsRecordWriter::Clear() {
  if (slices_.capacity() == 0) return;
  slices_.clear();
  size_ = 0;
  if (spare_room.capacity() == 0) {
    slices_.swap(spare_room);
  } else {
    std::vector<std::string_view>().swap(slices_);
  }
}

}  // namespace sluice

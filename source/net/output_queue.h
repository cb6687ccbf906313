// What a socket still has to write: slices lent for the present dispatch, after bytes kept from
// earlier ones that the kernel did not take.
#pragma once

#include <sys/uio.h>

#include <string_view>
#include <vector>

#include "base/byte_queue.h"

namespace sluice {

class OutputQueue {
 public:
  bool empty() const { return lent_bytes_ == 0 && kept_.empty(); }
  size_t size() const { return lent_bytes_ + kept_.size(); }

  // True when bytes wait for the kernel: writability must be watched.
  bool waiting() const { return !kept_.empty(); }

  // After a Send, all there is. Valid until the next call that is not const.
  std::string_view kept() const { return kept_.view(); }

  // `bytes` is lent until the next Send.
  void Add(std::string_view bytes);

  // Sends what the socket takes and copies the rest of what was lent. 0, or an errno value other
  // than EAGAIN; the queue is then as it was.
  int Send(int fd);

  void Clear();

 private:
  int SendKept(int fd);
  int SendLent(int fd);

  ByteQueue kept_;
  std::vector<iovec> lent_;
  size_t lent_bytes_ = 0;
};

}  // namespace sluice

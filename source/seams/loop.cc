#include "sluice/loop.h"

#include <algorithm>

namespace sluice {

void Loop::EndDispatch() {
  while (!flush_.empty() || !doomed_.empty()) {
    while (!flush_.empty()) {
      Flushable* flushable = flush_.front();
      flushable->Unlink();
      flushable->Flush();
    }
    // Destructors may doom further objects; those go in the next round.
    std::vector<std::unique_ptr<Deferred>> doomed;
    doomed.swap(doomed_);
    doomed.clear();
    if (doomed_.empty()) doomed_.swap(doomed);  // keeps the capacity
  }
  if (scratch_.size() > 1) {
    scratch_.resize(1);
    scratch_size_ = kScratchBlock;
  }
  scratch_used_ = 0;
}

void Loop::AddScratch(size_t at_least) {
  // The first block has the standard size and is kept; larger or further ones go at the end of the
  // dispatch.
  if (scratch_.empty()) {
    scratch_.push_back(std::make_unique_for_overwrite<char[]>(kScratchBlock));
    scratch_size_ = kScratchBlock;
    scratch_used_ = 0;
    if (at_least <= kScratchBlock) return;
  }
  scratch_size_ = std::max(kScratchBlock, at_least);
  scratch_.push_back(std::make_unique_for_overwrite<char[]>(scratch_size_));
  scratch_used_ = 0;
}

}  // namespace sluice

// Asks a Drainable how it stands, without ever waiting for one that does not answer.
#pragma once

#include <functional>
#include <list>
#include <memory>

#include "base/time.h"
#include "sluice/drainable.h"
#include "sluice/loop.h"

namespace sluice {

// Control thread only.
class Inspector {
 public:
  // Both must outlive this object.
  Inspector(Loop& loop, Drainable& target);
  ~Inspector();
  Inspector(const Inspector&) = delete;
  Inspector& operator=(const Inspector&) = delete;

  // Calls `then` exactly once: with the progress, or with nullptr when there was none after `bound`
  // (a worker that hangs must not hang the admin, nor the drain). It may be called from here. Not
  // called after this object was destroyed.
  void Ask(Duration bound, std::function<void(const DrainProgress*)> then);

 private:
  class Question;
  using Questions = std::list<std::shared_ptr<Question>>;

  void Answer(std::shared_ptr<Question> question, const DrainProgress* progress);

  Loop& loop_;
  Drainable& target_;
  Questions open_;
};

}  // namespace sluice

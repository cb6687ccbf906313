// A resolver that answers what a test tells it to.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sluice/resolver.h"

namespace sluice {

class FakeResolver final : public Resolver {
 public:
  struct Asked {
    DnsQuestion question;
    TimePoint at;
    std::function<void(Result<DnsAnswer>)> answered;  // empty: withdrawn, or told
  };

  explicit FakeResolver(Loop& loop) : loop_(loop) {}

  std::unique_ptr<Lookup> Resolve(const DnsQuestion& question,
                                  std::function<void(Result<DnsAnswer>)> answered) override {
    asked.push_back({question, loop_.Now(), std::move(answered)});
    const size_t place = asked.size() - 1;
    if (answer) loop_.Post([this, place] { Tell(place, *answer); });
    return std::make_unique<Pending>(*this, place);
  }

  void Tell(size_t place, const Result<DnsAnswer>& what) {
    const auto answered = std::exchange(asked[place].answered, nullptr);
    if (answered) answered(what);
  }

  std::deque<Asked> asked;
  std::optional<Result<DnsAnswer>> answer;  // of every question from now on; none: silence

 private:
  class Pending final : public Lookup {
   public:
    Pending(FakeResolver& resolver, size_t place) : resolver_(resolver), place_(place) {}
    ~Pending() override { resolver_.asked[place_].answered = nullptr; }

   private:
    FakeResolver& resolver_;
    const size_t place_;
  };

  Loop& loop_;
};

}  // namespace sluice

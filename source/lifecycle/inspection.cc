#include "lifecycle/inspection.h"

#include <utility>

namespace sluice {

class Inspector::Question : public std::enable_shared_from_this<Question> {
 public:
  using Then = std::function<void(const DrainProgress*)>;

  Question(Inspector& inspector, Duration bound, Then then)
      : inspector_(inspector),
        then_(std::move(then)),
        timer_(inspector.loop_.timers(), Delegate::Bind<&Question::OnTimer>(this)) {
    timer_.Set(inspector.loop_.Now() + bound);
  }

  // Forgets the asker.
  Then Take() {
    timer_.Stop();
    return std::exchange(then_, nullptr);
  }

  // Answers, unless that has happened already or the inspector is gone.
  void OnReport(const DrainProgress& progress) {
    if (then_) inspector_.Answer(shared_from_this(), &progress);
  }

 private:
  void OnTimer() { inspector_.Answer(shared_from_this(), nullptr); }

  Inspector& inspector_;
  Then then_;
  Timer timer_;
};

Inspector::Inspector(Loop& loop, Drainable& target) : loop_(loop), target_(target) {}

Inspector::~Inspector() {
  for (const auto& question : open_) question->Take();
}

void Inspector::Ask(Duration bound, std::function<void(const DrainProgress*)> then) {
  auto question = std::make_shared<Question>(*this, bound, std::move(then));
  open_.push_back(question);
  // The report may come long after the question was given up: it then finds nobody.
  target_.Inspect([asked = std::weak_ptr<Question>(question)](const DrainProgress& progress) {
    if (auto still_open = asked.lock()) still_open->OnReport(progress);
  });
}

void Inspector::Answer(std::shared_ptr<Question> question, const DrainProgress* progress) {
  open_.remove(question);
  if (auto then = question->Take()) then(progress);
}

}  // namespace sluice

// An admin that answers from a script, for commands that talk to a running process.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "cli/admin_client.h"

namespace sluice {

class ScriptedAdmin {
 public:
  void Answer(int status, std::string body) {
    script_.push_back(AdminResponse{status, std::move(body)});
  }
  void Fail(AdminError::Kind kind, std::string message) {
    script_.push_back(tl::unexpected(AdminError{kind, std::move(message)}));
  }

  // What it was asked, "METHOD path" each.
  std::vector<std::string> asked;

  AdminCaller Caller() {
    return [this](std::string_view method, std::string_view path) -> AdminResult {
      asked.push_back(std::string(method) + " " + std::string(path));
      if (script_.empty()) {
        return tl::unexpected(AdminError{AdminError::Kind::kOther, "the script is over"});
      }
      AdminResult next = std::move(script_.front());
      script_.pop_front();
      return next;
    };
  }

 private:
  std::deque<AdminResult> script_;
};

}  // namespace sluice

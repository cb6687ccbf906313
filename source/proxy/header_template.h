// The value of a header rule with placeholders between percent signs, as in the access log's text
// format: "%CLIENT_SUBJECT%" and the other facts of proxy/connection_facts.h; %% is a percent sign.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "proxy/connection_facts.h"
#include "sluice/result.h"

namespace sluice {

// Immutable.
class HeaderTemplate {
 public:
  // Fails on an unknown placeholder, and on a percent sign that stands alone.
  static Result<HeaderTemplate> Compile(std::string_view text);

  // The value for one connection; it lives in `arena`, in this object, or as long as the
  // connection. Within other text, what is not known is "-"; a value that is one placeholder alone
  // is nothing then.
  std::optional<std::string_view> Render(const DownstreamInfo& downstream, Arena& arena) const;

 private:
  struct Piece {
    std::string literal;
    std::optional<ConnectionFact> fact;  // after the literal
  };
  std::vector<Piece> pieces_;
};

}  // namespace sluice

#include "proxy/header_template.h"

#include <fmt/format.h>

namespace sluice {

Result<HeaderTemplate> HeaderTemplate::Compile(std::string_view text) {
  HeaderTemplate compiled;
  std::string literal;
  while (!text.empty()) {
    const size_t percent = text.find('%');
    literal += text.substr(0, percent);
    if (percent == std::string_view::npos) break;
    text.remove_prefix(percent + 1);
    const size_t end = text.find('%');
    if (end == std::string_view::npos) {
      return Fail("a percent sign without a second one; write %% for a percent sign");
    }
    if (end == 0) {
      literal += '%';
    } else {
      const auto fact = FindConnectionFact(text.substr(0, end));
      if (!fact) {
        return Fail(fmt::format("unknown placeholder %{}%; write %% for a percent sign",
                                text.substr(0, end)));
      }
      compiled.pieces_.push_back({std::move(literal), fact});
      literal.clear();
    }
    text.remove_prefix(end + 1);
  }
  if (!literal.empty()) compiled.pieces_.push_back({std::move(literal), std::nullopt});
  return compiled;
}

std::optional<std::string_view> HeaderTemplate::Render(const DownstreamInfo& downstream,
                                                       Arena& arena) const {
  if (pieces_.empty()) return std::string_view();
  const Piece& first = pieces_.front();
  if (pieces_.size() == 1 && !first.fact) return first.literal;
  if (pieces_.size() == 1 && first.literal.empty()) {
    const std::string_view value = ValueOf(*first.fact, downstream);
    if (value.empty()) return std::nullopt;
    return value;
  }
  std::string_view whole;
  for (const Piece& piece : pieces_) {
    whole = arena.Append(whole, piece.literal);
    if (!piece.fact) continue;
    const std::string_view value = ValueOf(*piece.fact, downstream);
    whole = arena.Append(whole, value.empty() ? "-" : value);
  }
  return whole;
}

}  // namespace sluice

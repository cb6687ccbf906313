// Where a command writes, and whether a person reads it.
#pragma once

#include <ostream>
#include <string>
#include <string_view>

namespace sluice {

struct Terminal {
  std::ostream& out;  // what was asked for
  std::ostream& err;  // everything else
  bool out_colours = false;
  bool err_colours = false;
  bool interactive = false;  // `err` is a terminal: a person looks on

  // The standard streams. Colours only on a terminal, and not when NO_COLOR is set
  // (https://no-color.org) or TERM is "dumb".
  static Terminal Standard();

  // "error: ..." and "warning: ..." on `err`, one line for each line of `message`.
  void Error(std::string_view message) const;
  void Warning(std::string_view message) const;
};

enum class Colour { kRed, kGreen, kYellow, kBold };

// `text`, coloured if `wanted`.
std::string Coloured(Colour colour, std::string_view text, bool wanted);

}  // namespace sluice

#include "cli/terminal.h"

#include <unistd.h>

#include <cstdlib>
#include <iostream>

namespace sluice {
namespace {

bool WantsColours(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return isatty(fd) == 1 && (no_color == nullptr || *no_color == '\0') &&
         (term == nullptr || std::string_view(term) != "dumb");
}

void Say(std::ostream& out, const std::string& label, std::string_view message) {
  while (!message.empty()) {
    const size_t end = message.find('\n');
    out << label << ": " << message.substr(0, end) << '\n';
    message.remove_prefix(end == std::string_view::npos ? message.size() : end + 1);
  }
}

}  // namespace

Terminal Terminal::Standard() {
  return {.out = std::cout,
          .err = std::cerr,
          .out_colours = WantsColours(STDOUT_FILENO),
          .err_colours = WantsColours(STDERR_FILENO),
          .interactive = isatty(STDERR_FILENO) == 1};
}

void Terminal::Error(std::string_view message) const {
  Say(err, Coloured(Colour::kRed, "error", err_colours), message);
}

void Terminal::Warning(std::string_view message) const {
  Say(err, Coloured(Colour::kYellow, "warning", err_colours), message);
}

std::string Coloured(Colour colour, std::string_view text, bool wanted) {
  if (!wanted) return std::string(text);
  const char* code = "1";
  switch (colour) {
    case Colour::kRed:
      code = "31";
      break;
    case Colour::kGreen:
      code = "32";
      break;
    case Colour::kYellow:
      code = "33";
      break;
    case Colour::kBold:
      break;
  }
  return "\033[" + std::string(code) + "m" + std::string(text) + "\033[0m";
}

}  // namespace sluice

// sluice: arguments -> command -> exit code.

#include "cli/cli.h"

int main(int argc, char** argv) {
  const sluice::Terminal terminal = sluice::Terminal::Standard();
  const auto command = sluice::ParseCommandLine(argc, argv, terminal);
  if (!command) return command.error();
  return sluice::RunCommand(*command, terminal);
}

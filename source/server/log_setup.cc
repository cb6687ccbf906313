#include "server/log_setup.h"

namespace sluice {
namespace {

Level LevelOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return Level::kDebug;
    case LogLevel::kInfo:
      return Level::kInfo;
    case LogLevel::kWarning:
      return Level::kWarning;
    case LogLevel::kError:
      return Level::kError;
  }
  return Level::kInfo;
}

}  // namespace

LogOptions LogOptionsOf(const LogConfig& config) {
  return {LevelOf(config.level), config.format == LogFormat::kJson, config.path};
}

}  // namespace sluice

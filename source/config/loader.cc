#include "config/loader.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "config/loader_overrides.h"
#include "config/loader_reader.h"
#include "config/loader_yaml.h"
#include "config/problems.h"
#include "config/schema.h"
#include "config/validate.h"

namespace sluice {
// One byte more than is allowed tells that there is too much.
Result<std::string> ReadConfigFile(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxConfigBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (!file.is_open() || file.bad()) {
    const char* why = errno == 0 ? "it cannot be read" : std::strerror(errno);
    return Fail(path + ": " + why + "; expected a configuration file");
  }
  return text;
}

Result<Config> LoadConfig(const ConfigSource& source) {
  if (source.file.empty()) return ParseConfig("", "configuration", source.overrides);
  auto text = ReadConfigFile(source.file);
  if (!text) return tl::unexpected<Error>(std::move(text.error()));
  return ParseConfig(*text, source.file, source.overrides);
}

Result<Config> ParseConfig(const std::string& text, const std::string& name,
                           const std::vector<std::string>& overrides) {
  ConfigProblems problems(name, overrides);
  ConfigNode root;
  if (!ParseYaml(text, 0, &root, &problems)) {
    return tl::unexpected<Error>(problems.ToError());
  }
  ApplyOverrides(overrides, &root, &problems);

  Config config;
  ConfigPositions positions;
  ConfigReader reader(root, &problems, &positions);
  VisitConfig(reader, config);
  reader.Finish();
  FillIn(&config);
  ValidateConfig(config, positions, &problems);
  if (!problems.empty()) return tl::unexpected<Error>(problems.ToError());
  return config;
}

}  // namespace sluice

// docs/configuration.md says what the code does: every key, with its type and default, and no
// other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "config/key_table.h"
#include "config/load.h"
#include "proxy/access_log_format.h"

namespace sluice {
namespace {

using testing::HasSubstr;

std::string ReadDocument() {
  std::ifstream file(std::string(SLUICE_SOURCE_DIR) + "/docs/configuration.md");
  EXPECT_TRUE(file.is_open());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

struct Row {
  std::string type;
  std::string default_value;
  std::string meaning;
};

// The rows of the tables of keys: | `key` | type | `default` | meaning |
std::map<std::string, Row> DocumentedKeys(const std::string& document) {
  static const std::regex kRow(R"(\| `([a-z0-9_.\[\]]+)` \| ([^|]+) \| `([^`|]+)` \| ([^|]+) \|)");
  std::map<std::string, Row> rows;
  for (std::sregex_iterator row(document.begin(), document.end(), kRow), end; row != end; ++row) {
    const auto [at, fresh] = rows.emplace((*row)[1], Row{(*row)[2], (*row)[3], (*row)[4]});
    EXPECT_TRUE(fresh) << at->first << " is documented twice";
  }
  return rows;
}

// The elements of a list are documented as the list.
std::vector<ConfigKey> KeysToDocument() {
  std::vector<ConfigKey> keys = ConfigKeys();
  std::erase_if(keys, [](const ConfigKey& key) { return key.path.ends_with("[]"); });
  return keys;
}

TEST(Documentation, HasEveryKeyWithItsTypeAndDefault) {
  const auto rows = DocumentedKeys(ReadDocument());
  for (const ConfigKey& key : KeysToDocument()) {
    const auto row = rows.find(key.path);
    if (row == rows.end()) {
      ADD_FAILURE() << "missing: | `" << key.path << "` | " << key.type << " | `"
                    << key.default_value << "` | ... |";
      continue;
    }
    EXPECT_EQ(row->second.type, key.type) << key.path;
    EXPECT_EQ(row->second.default_value, key.default_value) << key.path;
    EXPECT_FALSE(row->second.meaning.empty()) << key.path;
  }
}

TEST(Documentation, HasNoKeyThatIsUnknown) {
  const auto rows = DocumentedKeys(ReadDocument());
  EXPECT_EQ(rows.size(), KeysToDocument().size());
  for (const auto& [path, row] : rows) {
    EXPECT_NE(FindConfigKey(path), nullptr) << path << " is documented, but unknown";
  }
}

TEST(Documentation, IsCheckedByATestThatCanFail) {
  const auto rows = DocumentedKeys("| `a.b[].c` | number | `1` | what it is |\n| `d` | text |\n");
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows.at("a.b[].c").default_value, "1");
  EXPECT_EQ(FindConfigKey("drain.no_such_key"), nullptr);
}

// The blocks of YAML: pieces of a file, which are completed with what they leave out.
TEST(Documentation, HasExamplesThatWork) {
  const std::string document = ReadDocument();
  static const std::regex kBlock("```yaml\n([^`]*)```");
  size_t count = 0;
  for (std::sregex_iterator block(document.begin(), document.end(), kBlock), end; block != end;
       ++block) {
    std::string text = (*block)[1];
    const bool routes = text.starts_with("routes:") || text.starts_with("virtual_hosts:");
    if (routes) {
      text = "  " + std::regex_replace(text, std::regex("\n(?=.)"), "\n  ");
      text = "listeners:\n- address: 127.0.0.1:1\n" + text;
    }
    if (text.find("listeners:") == std::string::npos) {
      text += "listeners: [{address: '127.0.0.1:1', routes: [{direct_response: {}}]}]\n";
    }
    if (text.find("clusters:\n") == std::string::npos) {
      text += "clusters:\n";
      for (const std::string name : {"app", "api", "api-next", "shop"}) {
        text += "- {name: " + name + ", endpoints: ['127.0.0.1:2']}\n";
      }
    }
    Load(text);
    ++count;
  }
  EXPECT_GE(count, 10U);
}

TEST(Documentation, HasTheLineAndTheCommandsOfTheAccessLog) {
  const std::string document = ReadDocument();
  const Config config = Load(std::string(kBase) + "access_log: {format: text}\n");
  EXPECT_THAT(document, HasSubstr("```\n" + config.access_log.text_format + "\n```"));
  static const std::regex kCommand("`%([A-Z_]+)%`");
  size_t count = 0;
  for (std::sregex_iterator command(document.begin(), document.end(), kCommand), end;
       command != end; ++command, ++count) {
    const std::string text = "%" + (*command)[1].str() + "%";
    EXPECT_TRUE(AccessLogLine::Compile(text)) << text;
    Load(std::string(kBase) + "access_log: {text_format: '" + text + "'}\n");
  }
  EXPECT_EQ(count, 34U) << "as many as there are";
}

}  // namespace
}  // namespace sluice

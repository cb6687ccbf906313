// A language for tests of the configuration: text in, a Config or the lines of the error out.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "config/loader.h"

namespace sluice {

// What is not under test: one cluster, used by one listener. Lines 1 to 5.
inline const char kBase[] =
    "listeners:\n"
    "- {name: front, address: '127.0.0.1:8080', cluster: app}\n"
    "clusters:\n"
    "- name: app\n"
    "  endpoints: [127.0.0.1:3000]\n";

inline Config Load(const std::string& text, const std::vector<std::string>& overrides = {}) {
  auto config = ParseConfig(text, "test.yaml", overrides);
  if (config) return *std::move(config);
  ADD_FAILURE() << "refused:\n" << config.error().message << "\nin:\n" << text;
  return {};
}

// The lines of the error; empty when the text was accepted.
inline std::vector<std::string> Problems(const std::string& text,
                                         const std::vector<std::string>& overrides = {}) {
  std::vector<std::string> lines;
  const auto config = ParseConfig(text, "test.yaml", overrides);
  if (config) return lines;
  const std::string& message = config.error().message;
  for (size_t begin = 0; begin <= message.size();) {
    const size_t end = std::min(message.find('\n', begin), message.size());
    lines.push_back(message.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

// The single problem of a text that has one.
inline std::string Problem(const std::string& text,
                           const std::vector<std::string>& overrides = {}) {
  const std::vector<std::string> problems = Problems(text, overrides);
  EXPECT_THAT(problems, testing::SizeIs(1)) << text;
  return problems.empty() ? "accepted" : problems[0];
}

}  // namespace sluice

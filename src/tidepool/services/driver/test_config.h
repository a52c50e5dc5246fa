#pragma once
// For tests of what a driver is told: configurations as a file would give them, and what is said of them.

#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 takes the unused members of a variant that it moves for uninitialised ones.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tidepool/services/driver/config.h"

namespace tidepool::driver::testing {

// A tree as a file would give it: dotted keys in order, each on a line of its own.
class Tree {
 public:
  Tree() : root_(ConfigTable{}, "lab.toml") {}
  Tree& set(std::string_view key, const ConfigValue::Data& data, std::string origin = {}) {
    ++line_;
    ConfigValue* at = &root_;
    while (true) {
      const auto dot = key.find('.');
      const std::string name(key.substr(0, dot));
      auto& table = *at->as_table();
      if (dot == std::string_view::npos) {
        table.add(name, ConfigValue(data, origin.empty() ? "lab.toml:" + std::to_string(line_) : origin));
        return *this;
      }
      const auto known = table.entries.find(name);
      at = known != table.entries.end() ? &known->second
                                        : &table.add(name, ConfigValue(ConfigTable{}, "lab.toml:" + std::to_string(line_)));
      key = key.substr(dot + 1);
    }
  }
  ConfigValue value(ConfigValue::Data data) const { return ConfigValue(std::move(data), "lab.toml:" + std::to_string(line_ + 1)); }
  const ConfigValue& root() const { return root_; }

 private:
  ConfigValue root_;
  int line_ = 0;
};

inline int64_t i(int64_t v) { return v; }
inline std::string s(std::string v) { return v; }

inline ConfigValue::Data pools(std::initializer_list<std::pair<int64_t, int64_t>> list) {
  ConfigArray array;
  for (const auto& [id, stride] : list) {
    ConfigTable pool;
    pool.add("pool_id", ConfigValue(id, "lab.toml:99"));
    pool.add("stride_bytes", ConfigValue(stride, "lab.toml:99"));
    array.push_back(ConfigValue(ConfigValue::Data(pool), "lab.toml:99"));
  }
  return array;
}

inline Tree good() {
  Tree tree;
  tree.set("profiles.small.header_nslots", i(128));
  tree.set("profiles.small.payload_pools", pools({{1, 262144}}));
  tree.set("streams.left.stream_id", i(10010));
  tree.set("streams.left.profile", s("small"));
  return tree;
}

inline Environment environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    const auto at = values.find(name);
    return at == values.end() ? std::nullopt : std::optional(at->second);
  };
}
inline const Environment kEmpty = environment({});

inline std::string all_text(const LoadedConfig& loaded) {
  std::string text;
  for (const auto& problem : loaded.problems) text += (problem.fatal ? "E " : "W ") + problem.line() + "\n";
  return text;
}

inline void expect_error(const LoadedConfig& loaded, const std::string& line) {
  EXPECT_FALSE(loaded.ok());
  EXPECT_NE(("\n" + loaded.error_text() + "\n").find("\n" + line), std::string::npos) << "wanted: " << line << "\ngot:\n"
                                                                                      << all_text(loaded);
}
inline void expect_warning(const LoadedConfig& loaded, const std::string& line) {
  EXPECT_TRUE(loaded.ok()) << loaded.error_text();
  EXPECT_NE(("\n" + all_text(loaded)).find("\nW " + line), std::string::npos) << "wanted: " << line << "\ngot:\n"
                                                                              << all_text(loaded);
}

class ConfigDirTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tidepool-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = std::filesystem::canonical(name).string();
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string dir_;
};

}  // namespace tidepool::driver::testing

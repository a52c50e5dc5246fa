#include "tidepool/base/config.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tidepool {
namespace {

ConfigValue integer(int64_t value, std::string origin) { return {value, std::move(origin)}; }

ConfigValue sample() {
  ConfigTable policies;
  policies.add("announce_period_ms", integer(1000, "lab.toml:4"));
  ConfigTable root;
  root.add("policies", {std::move(policies), "lab.toml:3"});
  root.add("name", {std::string("lab"), "lab.toml:1"});
  return {std::move(root), "lab.toml"};
}

TEST(ConfigValueTest, IsFoundByItsDottedKeyAndKnowsWhereItWasWritten) {
  const ConfigValue config = sample();
  const auto* period = config.find("policies.announce_period_ms");
  ASSERT_NE(period, nullptr);
  EXPECT_EQ(*period->as_integer(), 1000);
  EXPECT_EQ(period->origin(), "lab.toml:4");
  EXPECT_EQ(config.find(""), &config);
}

TEST(ConfigValueTest, IsNotFoundByAKeyThatLeadsNowhere) {
  const ConfigValue config = sample();
  for (const auto* key : {"absent", "policies.absent", "name.below", "policies.announce_period_ms.below", ".", ".name", "polic"}) {
    EXPECT_EQ(config.find(key), nullptr) << key;
  }
}

TEST(ConfigValueTest, IsReadOnlyAsWhatItIs) {
  const ConfigValue text(std::string("x"), "");
  EXPECT_EQ(text.as_integer(), nullptr);
  EXPECT_EQ(text.as_bool(), nullptr);
  EXPECT_EQ(text.as_table(), nullptr);
  EXPECT_EQ(text.as_array(), nullptr);
  EXPECT_EQ(*text.as_string(), "x");
}

TEST(ConfigValueTest, NamesItsTypeForMessages) {
  EXPECT_EQ(ConfigValue(true, "").type_name(), "boolean");
  EXPECT_EQ(ConfigValue(int64_t{1}, "").type_name(), "integer");
  EXPECT_EQ(ConfigValue(1.5, "").type_name(), "float");
  EXPECT_EQ(ConfigValue(std::string(), "").type_name(), "string");
  EXPECT_EQ(ConfigValue(ConfigArray(), "").type_name(), "array");
  EXPECT_EQ(ConfigValue().type_name(), "table");
}

TEST(ConfigTableTest, KeepsTheOrderOfTheFileAndTheLastOfTwo) {  // config.md 2.3
  ConfigTable table;
  table.add("b", integer(1, "a:1"));
  table.add("a", integer(2, "a:2"));
  table.add("b", integer(3, "a:3"));
  EXPECT_EQ(table.order, (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(*table.entries.at("b").as_integer(), 3);
  EXPECT_EQ(table.entries.at("b").origin(), "a:3");
}

}  // namespace
}  // namespace tidepool

#include "tidepool/base/config_reader.h"

#include <gtest/gtest.h>

#include <map>

namespace tidepool {
namespace {

struct Tree {
  ConfigValue root;
  std::map<std::string, std::string> variables;
  std::vector<ConfigProblem> problems;

  // tree.put("a", "x", int64_t{3}): [a] x = 3
  void put(const std::string& table, const std::string& key, ConfigValue::Data value, const std::string& origin = "lab.toml:1") {
    ConfigTable& top = *root.as_table();
    if (!top.entries.contains(table)) top.add(table, ConfigValue(ConfigTable{}, origin));
    top.entries.at(table).as_table()->add(key, ConfigValue(std::move(value), origin));
  }
  Environment environment() {
    return [this](const std::string& name) -> std::optional<std::string> {
      const auto at = variables.find(name);
      return at == variables.end() ? std::nullopt : std::optional(at->second);
    };
  }
};

TEST(ConfigReaderTest, TakesTheCommandLineBeforeTheEnvironmentBeforeTheFileBeforeTheDefault) {  // CFG-1, P-12
  Tree tree;
  uint32_t value = 7;
  const Environment environment = tree.environment();
  const auto read = [&] {
    ConfigReader in(tree.root, environment, tree.problems);
    in.read("a.x", value, 1, 100);
    return in.origin_of("a.x");
  };
  EXPECT_EQ(read(), "");
  EXPECT_EQ(value, 7u);
  tree.put("a", "x", int64_t{1});
  EXPECT_EQ(read(), "lab.toml:1");
  EXPECT_EQ(value, 1u);
  tree.variables["A_X"] = "2";
  EXPECT_EQ(read(), "environment A_X");
  EXPECT_EQ(value, 2u);
  tree.root.as_table()->entries.at("a").as_table()->entries.at("x") = ConfigValue(int64_t{3}, "--x");
  EXPECT_EQ(read(), "--x");
  EXPECT_EQ(value, 3u);
  EXPECT_TRUE(tree.problems.empty());
}

TEST(ConfigReaderTest, UsesAnAliasOnlyWhenThePrimaryNameIsUnset) {  // CFG-1
  Tree tree;
  tree.variables = {{"AERON_DIR", "/second"}, {"A_DIR", ""}};  // set but empty counts as unset
  std::string dir;
  const Environment environment = tree.environment();
  ConfigReader in(tree.root, environment, tree.problems, {{"a.dir", "AERON_DIR"}});
  EXPECT_TRUE(in.read("a.dir", dir));
  EXPECT_EQ(dir, "/second");
  tree.variables["A_DIR"] = "/first";
  EXPECT_TRUE(in.read("a.dir", dir));
  EXPECT_EQ(dir, "/first");
}

TEST(ConfigReaderTest, CollectsEveryProblemWithItsPlaceAndLeavesTheDefaults) {  // CFG-1
  Tree tree;
  tree.put("a", "number", std::string("many"), "lab.toml:2");
  tree.put("a", "flag", int64_t{1}, "lab.toml:3");
  tree.put("a", "small", int64_t{-4}, "lab.toml:4");
  tree.put("a", "range", std::string("9-x"), "lab.toml:5");
  tree.put("a", "spelled", int64_t{1}, "lab.toml:6");
  tree.put("a", "mode", std::string("9"), "lab.toml:7");
  uint16_t number = 5, small = 6;
  bool flag = true;
  mode_t mode = 0660;
  std::vector<IdRange> range;
  const Environment environment = tree.environment();
  ConfigReader in(tree.root, environment, tree.problems);
  EXPECT_FALSE(in.read("a.number", number, 1, 9));
  EXPECT_FALSE(in.read("a.flag", flag));
  EXPECT_FALSE(in.read("a.small", small, 1, 9));
  EXPECT_FALSE(in.read("a.range", range));
  EXPECT_FALSE(in.read_mode("a.mode", mode));
  in.warn_unknown("a", in.table("a"));
  EXPECT_EQ(number, 5);
  EXPECT_EQ(small, 6);
  EXPECT_TRUE(flag);
  EXPECT_EQ(mode, mode_t{0660});
  EXPECT_TRUE(range.empty());
  ASSERT_EQ(tree.problems.size(), 6u);
  for (size_t i = 0; i < 4; ++i) EXPECT_NE(tree.problems[i].line().find("lab.toml:" + std::to_string(i + 2) + ": a."), std::string::npos) << tree.problems[i].line();
  EXPECT_FALSE(tree.problems[5].fatal);
  EXPECT_EQ(tree.problems[5].key, "a.spelled");
  EXPECT_TRUE(any_fatal(tree.problems));
  EXPECT_EQ(fatal_text(tree.problems).find("spelled"), std::string::npos);
}

TEST(ConfigReaderTest, ReadsARangeInEachOfItsForms) {  // config.md 1
  const std::vector<IdRange> one = {{20000, 29999}};
  Tree tree;
  const Environment environment = tree.environment();
  const auto read = [&](ConfigValue::Data data) {
    tree.put("a", "r", std::move(data));
    std::vector<IdRange> out;
    ConfigReader in(tree.root, environment, tree.problems);
    in.read("a.r", out);
    tree.root = ConfigValue();
    return out;
  };
  const auto text = [](const char* value) { return ConfigValue(std::string(value), "o"); };
  EXPECT_EQ(read(std::string(" 20000 - 29999 ")), one);
  EXPECT_EQ(read(std::string("20000,29999")), one);
  EXPECT_EQ(read(ConfigArray{ConfigValue(int64_t{20000}, "o"), ConfigValue(int64_t{29999}, "o")}), one);
  EXPECT_EQ(read(std::string("5")), (std::vector<IdRange>{{5, 5}}));
  EXPECT_EQ(read(ConfigArray{text("1-2"), text("7-9")}), (std::vector<IdRange>{{1, 2}, {7, 9}}));
  EXPECT_TRUE(read(std::string("")).empty());
  EXPECT_TRUE(tree.problems.empty());
  EXPECT_TRUE(read(ConfigArray{text("1-2"), ConfigValue(int64_t{3}, "o")}).empty());
  EXPECT_EQ(tree.problems.size(), 1u);
}

TEST(ConfigReaderTest, OfTwoSpellingsTakesTheStrongerSourceAndWantsEqualOnesToAgree) {  // CFG-17, P-12
  Tree tree;
  const Environment environment = tree.environment();
  uint32_t value = 7;
  const auto read = [&] {
    ConfigReader in(tree.root, environment, tree.problems);
    const bool found = in.read_either("a.first", "a.second", value, 1, 100);
    EXPECT_EQ(in.origin_of("a.first"), in.origin_of("a.second"));
    return found;
  };
  EXPECT_FALSE(read());
  EXPECT_EQ(value, 7u);
  tree.put("a", "second", int64_t{2}, "lab.toml:2");
  EXPECT_TRUE(read());
  EXPECT_EQ(value, 2u);
  tree.put("a", "first", int64_t{2}, "lab.toml:1");
  EXPECT_TRUE(read());
  tree.variables["A_SECOND"] = "5";
  EXPECT_TRUE(read());
  EXPECT_EQ(value, 5u) << "the environment's spelling before the file's";
  EXPECT_TRUE(tree.problems.empty());
  tree.variables["A_FIRST"] = "6";
  read();
  ASSERT_EQ(tree.problems.size(), 1u);
  EXPECT_EQ(tree.problems[0].line(),
            "environment A_SECOND: a.second and a.first (environment A_FIRST) differ: expected one of these spellings, or the same value");
}

TEST(ConfigReaderTest, ReadsEachTableOfAnArrayUnderItsNameAndWithoutVariables) {  // CFG-1
  Tree tree;
  ConfigTable left, right;
  left.add("id", ConfigValue(int64_t{10}, "lab.toml:3"));
  ConfigArray tags = {ConfigValue(std::string("raw"), "lab.toml:4"), ConfigValue(int64_t{5}, "lab.toml:4")};
  left.add("tags", ConfigValue(tags, "lab.toml:4"));
  right.add("id", ConfigValue(int64_t{0}, "lab.toml:6"));
  right.add("ids", ConfigValue(int64_t{0}, "lab.toml:7"));
  tree.put("a", "streams",
           ConfigArray{ConfigValue(left, "lab.toml:2"), ConfigValue(int64_t{1}, "lab.toml:4"), ConfigValue(right, "lab.toml:5")},
           "lab.toml:2");
  tree.variables["A_STREAMS[0]_ID"] = "99";
  const Environment environment = tree.environment();
  ConfigReader in(tree.root, environment, tree.problems);
  std::vector<std::string> names, texts;
  std::vector<uint32_t> ids;
  in.for_each_table("a.streams", [&](const std::string& name) {
    names.push_back(name);
    uint32_t id = 0;
    if (in.read(name + ".id", id, 1, 100)) ids.push_back(id);
    in.read_texts(name + ".tags", texts);
  });
  EXPECT_EQ(names, (std::vector<std::string>{"a.streams[0]", "a.streams[2]"}));
  EXPECT_EQ(ids, std::vector<uint32_t>{10});
  EXPECT_EQ(texts, std::vector<std::string>{"raw"});
  EXPECT_EQ(in.origin_of("a.streams[2]"), "lab.toml:5");
  std::string said;
  for (const ConfigProblem& problem : tree.problems) said += problem.line() + "\n";
  EXPECT_EQ(said,
            "lab.toml:4: a.streams[0].tags is a value of type integer: expected a string\n"
            "lab.toml:4: a.streams[1] is a value of type integer: expected a table\n"
            "lab.toml:6: a.streams[2].id is 0: expected 1 to 100\n"
            "lab.toml:7: a.streams[2].ids is unknown and ignored: is it spelled right?\n");
}

}  // namespace
}  // namespace tidepool

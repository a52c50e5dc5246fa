#include "tidepool/cli/toml_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tidepool/base/error.h"

namespace tidepool::cli::toml_file_test {
namespace {

std::string error_of(std::string_view text) {
  try {
    parse_toml(text, "lab.toml");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    return error.what();
  }
  return "(no error)";
}

class TomlFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tidepool-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string write(const std::string& name, std::string_view text) {
    const std::string path = dir_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  std::string dir_;
};

TEST(TomlTest, KeepsTypesAndLinesOfEveryValue) {  // CFG-1
  const auto tree = parse_toml(
      "[driver]\n"
      "instance_id = \"lab-a\"\n"
      "control_stream_id = 1000\n"
      "stream_id_range = [20000,\n"
      "  29999]\n"
      "[policies]\n"
      "prefault_shm = false\n"
      "ratio = 0.5\n",
      "lab.toml");
  ASSERT_NE(tree.find("driver.instance_id"), nullptr);
  EXPECT_EQ(*tree.find("driver.instance_id")->as_string(), "lab-a");
  EXPECT_EQ(tree.find("driver.instance_id")->origin(), "lab.toml:2");
  EXPECT_EQ(*tree.find("driver.control_stream_id")->as_integer(), 1000);
  EXPECT_EQ(tree.find("driver")->origin(), "lab.toml:1");
  const auto* range = tree.find("driver.stream_id_range")->as_array();
  ASSERT_NE(range, nullptr);
  ASSERT_EQ(range->size(), 2u);
  EXPECT_EQ((*range)[0].origin(), "lab.toml:4");
  EXPECT_EQ((*range)[1].origin(), "lab.toml:5");
  EXPECT_EQ(*tree.find("policies.prefault_shm")->as_bool(), false);
  EXPECT_EQ(tree.find("policies.prefault_shm")->type_name(), "boolean");
  EXPECT_EQ(tree.find("policies.ratio")->type_name(), "float");
  EXPECT_EQ(tree.origin(), "lab.toml");
}

TEST(TomlTest, KeepsTheOrderOfTheFile) {  // CFG-7: "the first profile in the file" is not the first by name
  const auto tree = parse_toml("[profiles.zebra]\na = 1\n[profiles.ant]\nb = 2\n[profiles]\nmiddle = {c = 3}\n[driver]\nz = 1\na = 2\n", "lab.toml");
  const auto* profiles = tree.find("profiles")->as_table();
  ASSERT_NE(profiles, nullptr);
  EXPECT_EQ(profiles->order, (std::vector<std::string>{"zebra", "ant", "middle"}));
  EXPECT_EQ(tree.find("driver")->as_table()->order, (std::vector<std::string>{"z", "a"}));
  EXPECT_EQ(tree.as_table()->order, (std::vector<std::string>{"profiles", "driver"}));
}

TEST(TomlTest, KeepsTheOrderOfDottedAndInlineTables) {
  const auto tree = parse_toml("profiles = { zebra = {a = 1}, ant = {a = 2} }\nstreams.y.stream_id = 1\nstreams.x.stream_id = 2\n", "lab.toml");
  EXPECT_EQ(tree.find("profiles")->as_table()->order, (std::vector<std::string>{"zebra", "ant"}));
  EXPECT_EQ(tree.find("streams")->as_table()->order, (std::vector<std::string>{"y", "x"}));
  EXPECT_EQ(tree.find("streams.x.stream_id")->origin(), "lab.toml:3");
}

TEST(TomlTest, TurnsDatesIntoTheirText) {
  const auto tree = parse_toml("day = 2024-02-29\nwhen = 2024-02-29T10:42:00Z\nat = 10:42:00\n", "lab.toml");
  EXPECT_EQ(*tree.find("day")->as_string(), "2024-02-29");
  EXPECT_EQ(*tree.find("when")->as_string(), "2024-02-29T10:42:00Z");
  EXPECT_EQ(*tree.find("at")->as_string(), "10:42:00");
}

TEST(TomlTest, NamesLineColumnAndCauseOfASyntaxError) {  // CFG-1
  const auto text = error_of("[driver]\ncontrol_stream_id = = 3\n");
  EXPECT_EQ(text.rfind("lab.toml:2:", 0), 0u) << text;
  const auto after = text.substr(std::string("lab.toml:2:").size());
  EXPECT_GE(std::stoi(after), 19) << text;
  EXPECT_GT(text.size(), 30u) << text;
}

TEST(TomlTest, RefusesDuplicateKeysUnclosedTablesBadUtf8AndControlBytes) {
  EXPECT_EQ(error_of("[driver]\na = 1\na = 2\n").rfind("lab.toml:3:", 0), 0u);
  EXPECT_EQ(error_of("[driver\na = 1\n").rfind("lab.toml:1:", 0), 0u);
  EXPECT_NE(error_of("a = \"\xff\xfe\"\n"), "(no error)");
  EXPECT_NE(error_of(std::string_view("a = \"x\0y\"\n", 10)), "(no error)");
  EXPECT_NE(error_of("a = 99999999999999999999999\n"), "(no error)");
}

TEST(TomlTest, SurvivesDeepNesting) {
  std::string deep = "a = ";
  for (int i = 0; i < 100'000; ++i) deep += '[';
  EXPECT_NE(error_of(deep), "(no error)");
}

TEST(TomlTest, EscapesTextOfTheFileInItsMessages) {
  for (const char c : error_of("a = \x1b[31m\n")) EXPECT_TRUE(c >= 0x20 && c < 0x7f);
}

TEST(TomlTest, ReadsNothingAsAnEmptyTree) {
  EXPECT_TRUE(parse_toml("", "lab.toml").as_table()->entries.empty());
  EXPECT_TRUE(parse_toml("\xef\xbb\xbf# only a mark\n", "lab.toml").as_table()->entries.empty());
}

TEST_F(TomlFileTest, ReadsAFile) {
  const auto path = write("a.toml", "[driver]\ninstance_id = \"x\"\n");
  EXPECT_EQ(read_toml_file(path).find("driver.instance_id")->origin(), path + ":2");
}

TEST_F(TomlFileTest, SaysWhyAFileCannotBeRead) {  // CFG-1
  const auto code_of = [](const std::string& path) {
    try {
      read_toml_file(path);
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
      return error.code();
    }
    return Code::kInternal;
  };
  EXPECT_EQ(code_of(dir_ + "/missing.toml"), Code::kNotFound);
  EXPECT_EQ(code_of(dir_), Code::kInvalidArgument);
  EXPECT_EQ(code_of(write("bad.toml", "a = \n")), Code::kInvalidArgument);
  EXPECT_EQ(code_of(write("big.toml", std::string(kMaxTomlBytes + 1, '#'))), Code::kInvalidArgument);
  const auto secret = write("secret.toml", "a = 1\n");
  ASSERT_EQ(::chmod(secret.c_str(), 0), 0);
  if (::geteuid() != 0) {  // root may read anything
    EXPECT_EQ(code_of(secret), Code::kPermission);
  }
}

}  // namespace
}  // namespace tidepool::cli::toml_file_test

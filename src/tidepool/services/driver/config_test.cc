#include "tidepool/services/driver/config.h"

#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 takes the unused members of a variant that it moves for uninitialised ones.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <map>

#include "tidepool/base/clock.h"
#include "tidepool/shm/region.h"

namespace tidepool::driver {
namespace {

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

int64_t i(int64_t v) { return v; }
std::string s(std::string v) { return v; }

ConfigValue::Data pools(std::initializer_list<std::pair<int64_t, int64_t>> list) {
  ConfigArray array;
  for (const auto& [id, stride] : list) {
    ConfigTable pool;
    pool.add("pool_id", ConfigValue(id, "lab.toml:99"));
    pool.add("stride_bytes", ConfigValue(stride, "lab.toml:99"));
    array.push_back(ConfigValue(ConfigValue::Data(pool), "lab.toml:99"));
  }
  return array;
}

Tree good() {
  Tree tree;
  tree.set("profiles.small.header_nslots", i(128));
  tree.set("profiles.small.payload_pools", pools({{1, 262144}}));
  tree.set("streams.left.stream_id", i(10010));
  tree.set("streams.left.profile", s("small"));
  return tree;
}

Environment environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    const auto at = values.find(name);
    return at == values.end() ? std::nullopt : std::optional(at->second);
  };
}
const Environment kEmpty = environment({});

std::string all_text(const LoadedConfig& loaded) {
  std::string text;
  for (const auto& problem : loaded.problems) text += (problem.fatal ? "E " : "W ") + problem.line() + "\n";
  return text;
}

void expect_error(const LoadedConfig& loaded, const std::string& line) {
  EXPECT_FALSE(loaded.ok());
  EXPECT_NE(("\n" + loaded.error_text() + "\n").find("\n" + line), std::string::npos) << "wanted: " << line << "\ngot:\n"
                                                                                      << all_text(loaded);
}
void expect_warning(const LoadedConfig& loaded, const std::string& line) {
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

// ---- values, defaults, precedence -----------------------------------------------------------------------------------------

TEST(ConfigTest, ASmallFileLoadsWithTheDocumentedDefaults) {  // CFG-1, CFG-14, P-9
  const auto loaded = load_driver_config(good().root(), kEmpty);
  ASSERT_TRUE(loaded.ok()) << loaded.error_text();
  EXPECT_TRUE(loaded.problems.empty()) << all_text(loaded);
  const auto& c = loaded.config;
  EXPECT_EQ(c.instance_id, "driver-01");
  EXPECT_EQ(c.control_channel, "aeron:ipc?term-length=4m");
  EXPECT_EQ(c.control_stream_id, 1000);
  EXPECT_EQ(c.effective_announce_channel(), c.control_channel);
  EXPECT_EQ(c.effective_announce_stream_id(), 1000);
  EXPECT_EQ(c.qos_stream_id, 1200);
  EXPECT_EQ(c.base_dir, "/dev/shm");
  EXPECT_EQ(c.name_space, "default");
  EXPECT_EQ(c.permissions_mode, 0660u);
  EXPECT_EQ(c.lease_lifetime_ns(), 3 * kNsPerSecond);
  EXPECT_EQ(c.effective_gc_min_age_ns(), 3 * kNsPerSecond);
  EXPECT_EQ(c.epoch_gc_keep, 2u);
  EXPECT_TRUE(c.prefault_shm);
  EXPECT_TRUE(c.epoch_gc_on_startup);
  EXPECT_TRUE(c.notify_unknown_lease);
  ASSERT_EQ(c.profiles.size(), 1u);
  EXPECT_EQ(c.profiles[0].geometry, (pool::Geometry{128, {{1, 262144}}}));
  ASSERT_EQ(c.streams.size(), 1u);
  EXPECT_EQ(c.streams[0].stream_id, 10010u);
}

TEST(ConfigTest, AProfileThatNamesNoSlotsGets64) {  // P-9
  Tree tree;
  tree.set("profiles.small.payload_pools", pools({{1, 4096}}));
  tree.set("streams.left.stream_id", i(1)).set("streams.left.profile", s("small"));
  EXPECT_EQ(load_driver_config(tree.root(), kEmpty).config.profiles.at(0).geometry.slot_count, 64u);
}

TEST(ConfigTest, TheEnvironmentWinsOverTheFile) {  // CFG-1, P-12
  auto tree = good();
  tree.set("driver.control_stream_id", i(1500)).set("policies.prefault_shm", true).set("shm.namespace", s("lab"));
  const auto loaded = load_driver_config(tree.root(), environment({{"DRIVER_CONTROL_STREAM_ID", "1600"},
                                                                   {"POLICIES_PREFAULT_SHM", "False"},
                                                                   {"SHM_NAMESPACE", "other"},
                                                                   {"POLICIES_EPOCH_GC_MIN_AGE_NS", "5"}}));
  ASSERT_TRUE(loaded.ok()) << loaded.error_text();
  EXPECT_EQ(loaded.config.control_stream_id, 1600);
  EXPECT_FALSE(loaded.config.prefault_shm);
  EXPECT_EQ(loaded.config.name_space, "other");
  EXPECT_EQ(loaded.config.effective_gc_min_age_ns(), 5u);
  EXPECT_EQ(loaded.origins.at("driver.control_stream_id"), "environment DRIVER_CONTROL_STREAM_ID");
}

TEST(ConfigTest, AFlagWinsOverTheEnvironment) {  // CFG-1, P-12
  auto tree = good();
  tree.set("driver.control_stream_id", i(1700), "--control-stream");
  const auto loaded = load_driver_config(tree.root(), environment({{"DRIVER_CONTROL_STREAM_ID", "1600"}}));
  EXPECT_EQ(loaded.config.control_stream_id, 1700);
  EXPECT_EQ(loaded.origins.at("driver.control_stream_id"), "--control-stream");
}

TEST(ConfigTest, AliasesServeOnlyWhenThePrimaryNameIsUnset) {  // CFG-1
  const auto by_alias = load_driver_config(
      good().root(),
      environment({{"AERON_DIR", "/a"}, {"TP_CONTROL_CHANNEL", "aeron:udp?endpoint=h:1"}, {"TP_CONTROL_STREAM_ID", "7"}}));
  EXPECT_EQ(by_alias.config.aeron_dir, "/a");
  EXPECT_EQ(by_alias.config.control_channel, "aeron:udp?endpoint=h:1");
  EXPECT_EQ(by_alias.config.control_stream_id, 7);
  const auto by_name = load_driver_config(
      good().root(),
      environment(
          {{"AERON_DIR", "/a"}, {"DRIVER_AERON_DIR", "/b"}, {"TP_CONTROL_STREAM_ID", "7"}, {"DRIVER_CONTROL_STREAM_ID", "8"}}));
  EXPECT_EQ(by_name.config.aeron_dir, "/b");
  EXPECT_EQ(by_name.config.control_stream_id, 8);
}

TEST(ConfigTest, AnEmptyVariableCountsAsUnset) {  // CFG-1
  auto tree = good();
  tree.set("driver.aeron_dir", s("/file"));
  EXPECT_EQ(load_driver_config(tree.root(), environment({{"DRIVER_AERON_DIR", ""}})).config.aeron_dir, "/file");
  EXPECT_EQ(load_driver_config(tree.root(), environment({{"DRIVER_AERON_DIR", ""}, {"AERON_DIR", "/alias"}})).config.aeron_dir,
            "/alias");
}

TEST(ConfigTest, ProfilesAndStreamsHaveNoEnvironmentNames) {  // CFG-1
  const auto loaded =
      load_driver_config(good().root(), environment({{"PROFILES_SMALL_HEADER_NSLOTS", "3"}, {"STREAMS_LEFT_STREAM_ID", "0"}}));
  EXPECT_TRUE(loaded.ok());
  EXPECT_EQ(loaded.config.profiles[0].geometry.slot_count, 128u);
}

TEST(ConfigTest, BooleansOfTheEnvironmentAreReadInAnyCaseAndNothingElseIs) {  // CFG-1
  for (const char* text : {"true", "TRUE", "True", "1"})
    EXPECT_TRUE(load_driver_config(good().root(), environment({{"POLICIES_MLOCK_SHM", text}})).config.mlock_shm) << text;
  for (const char* text : {"false", "FALSE", "0"})
    EXPECT_FALSE(load_driver_config(good().root(), environment({{"POLICIES_PREFAULT_SHM", text}})).config.prefault_shm) << text;
  for (const char* text : {"yes", "on", "2", "tru", " true"})
    expect_error(
        load_driver_config(good().root(), environment({{"POLICIES_MLOCK_SHM", text}})),
        "environment POLICIES_MLOCK_SHM: policies.mlock_shm is \"" + std::string(text) + "\": expected true, false, 1 or 0");
}

TEST(ConfigTest, NumbersOfTheEnvironmentAreDecimalAndInRange) {  // CFG-1
  for (const char* text : {"0x10", "1e3", "-1", "+5", " 5", "5 ", "99999999999999999999999", "five"})
    expect_error(load_driver_config(good().root(), environment({{"DRIVER_CONTROL_STREAM_ID", text}})),
                 "environment DRIVER_CONTROL_STREAM_ID: driver.control_stream_id is \"" + std::string(text) +
                     "\": expected a decimal number");
  for (const char* text : {"0", "2147483648", "4294967296"})
    expect_error(
        load_driver_config(good().root(), environment({{"DRIVER_CONTROL_STREAM_ID", text}})),
        "environment DRIVER_CONTROL_STREAM_ID: driver.control_stream_id is " + std::string(text) + ": expected 1 to 2147483647");
}

TEST(ConfigTest, AWrongTypeIsAnErrorWithItsLine) {  // CFG-1
  const std::vector<std::pair<std::string, ConfigValue::Data>> wrong = {
      {"driver.control_stream_id", s("1000")}, {"driver.control_stream_id", 1000.0}, {"driver.instance_id", i(1)},
      {"policies.prefault_shm", i(1)},         {"policies.prefault_shm", s("true")}, {"shm.permissions_mode", i(660)},
      {"shm.allowed_base_dirs", s("/")},       {"driver.stream_id_range", true},     {"policies.announce_period_ms", ConfigTable{}},
      {"policies.shutdown_token", i(123456)}};
  for (const auto& [key, data] : wrong) {
    auto tree = good();
    tree.set(key, data);
    const auto loaded = load_driver_config(tree.root(), kEmpty);
    expect_error(loaded,
                 "lab.toml:5: " + key + " is a value of type " + std::string(ConfigValue(data, "").type_name()) + ": expected");
    EXPECT_EQ(loaded.error_text().find("123456"), std::string::npos);  // a token is never repeated
  }
  auto tree = good();
  tree.set("driver", s("x"));
  expect_error(load_driver_config(tree.root(), kEmpty), "lab.toml:5: driver is a value of type string: expected a table");
}

TEST(ConfigTest, EveryProblemIsReportedAtOnceEachWithItsKey) {  // CFG-1
  auto tree = good();
  tree.set("driver.control_stream_id", i(-5)).set("policies.announce_period_ms", i(9)).set("shm.namespace", s("a/b"));
  const auto loaded = load_driver_config(tree.root(), kEmpty);
  expect_error(loaded, "lab.toml:5: driver.control_stream_id is -5: expected 1 to 2147483647");
  expect_error(loaded, "lab.toml:6: policies.announce_period_ms is 9: expected 10 to");
  expect_error(loaded, "lab.toml:7: shm.namespace is \"a/b\": expected");
}

TEST(ConfigTest, UnknownKeysAreWarnings) {  // CFG-1
  auto tree = good();
  tree.set("driver.contorl_stream_id", i(1))
      .set("shm.base", s("/"))
      .set("policies.x", true)
      .set("profiles.small.nslots", i(4))
      .set("streams.left.id", i(4))
      .set("drivers", ConfigTable{});
  const auto loaded = load_driver_config(tree.root(), kEmpty);
  expect_warning(loaded, "lab.toml:5: driver.contorl_stream_id is unknown and ignored");
  expect_warning(loaded, "lab.toml:6: shm.base is unknown");
  expect_warning(loaded, "lab.toml:7: policies.x is unknown");
  expect_warning(loaded, "lab.toml:8: profiles.small.nslots is unknown");
  expect_warning(loaded, "lab.toml:9: streams.left.id is unknown");
  expect_warning(loaded, "lab.toml:10: drivers is unknown");
}

TEST(ConfigTest, TablesOfOtherProgramsAreNobodysBusiness) {  // CFG-1: one file may hold several programs' tables
  auto tree = good();
  for (const char* name : {"bridge", "discovery", "rate_limiter", "client", "producer", "consumer", "mappings"})
    tree.set(std::string(name) + ".whatever", i(1));
  EXPECT_TRUE(load_driver_config(tree.root(), kEmpty).problems.empty());
}

TEST(ConfigTest, ThePortableFileOfTheSpecificationLoads) {  // config.md 2.5
  Tree tree;
  tree.set("driver.instance_id", s("lab-a"))
      .set("driver.aeron_dir", s(""))
      .set("driver.control_channel", s("aeron:ipc?term-length=4m"))
      .set("driver.control_stream_id", i(1000));
  tree.set("driver.announce_channel", s("aeron:ipc?term-length=4m"))
      .set("driver.announce_stream_id", i(1001))
      .set("driver.qos_channel", s("aeron:ipc?term-length=4m"));
  tree.set("driver.qos_stream_id", i(1200))
      .set("driver.descriptor_stream_id_range", s("31000-31099"))
      .set("driver.control_stream_id_range", s("32000-32099"));
  tree.set("shm.base_dir", s("/dev/shm")).set("shm.namespace", s("lab")).set("shm.permissions_mode", s("660"));
  tree.set("shm.allowed_base_dirs", ConfigArray{ConfigValue(s("/dev/shm"), "lab.toml:14")});
  tree.set("policies.default_profile", s("small"))
      .set("profiles.small.header_nslots", i(128))
      .set("profiles.small.payload_pools", pools({{1, 262144}, {2, 2097152}}));
  tree.set("streams.left.stream_id", i(10010)).set("streams.left.profile", s("small"));
  const auto loaded = load_driver_config(tree.root(), kEmpty);
  EXPECT_TRUE(loaded.ok()) << loaded.error_text();
  EXPECT_EQ(loaded.config.descriptor_stream_id_range, (std::vector<IdRange>{{31000, 31099}}));
  EXPECT_EQ(loaded.config.effective_descriptor_ranges(), (std::vector<IdRange>{{31000, 31099}}));
}

// ---- ranges ------------------------------------------------------------------------------------------------------------------

TEST(ConfigTest, RangesComeInEveryForm) {  // CFG-8, config.md 1
  const auto array = [](std::initializer_list<ConfigValue::Data> items) {
    ConfigArray out;
    for (const auto& item : items) out.emplace_back(item, "lab.toml:5");
    return out;
  };
  const std::vector<std::pair<ConfigValue::Data, std::vector<IdRange>>> forms = {
      {s("20000-29999"), {{20000, 29999}}},
      {s("20000,29999"), {{20000, 29999}}},
      {s(" 20000 - 29999 "), {{20000, 29999}}},
      {s("20000"), {{20000, 20000}}},
      {array({i(20000), i(29999)}), {{20000, 29999}}},
      {array({s("20000-20999"), s("25000,25999"), s("27000")}), {{20000, 20999}, {25000, 25999}, {27000, 27000}}},
      {s(""), {}},
      {s("  "), {}},
      {array({}), {}},
  };
  for (const auto& [data, ranges] : forms) {
    auto tree = good();
    tree.set("driver.stream_id_range", data);
    const auto loaded = load_driver_config(tree.root(), kEmpty);
    EXPECT_TRUE(loaded.ok()) << loaded.error_text();
    EXPECT_EQ(loaded.config.stream_id_range, ranges);
  }
  for (const char* text : {"20000-29999", "20000,29999"})
    EXPECT_EQ(load_driver_config(good().root(), environment({{"DRIVER_STREAM_ID_RANGE", text}})).config.stream_id_range,
              (std::vector<IdRange>{{20000, 29999}}));
}

TEST(ConfigTest, OtherFormsOfRangesAreErrors) {  // CFG-8
  const auto array = [](std::initializer_list<ConfigValue::Data> items) {
    ConfigArray out;
    for (const auto& item : items) out.emplace_back(item, "lab.toml:5");
    return out;
  };
  for (const ConfigValue::Data& data : std::initializer_list<ConfigValue::Data>{
           s("a-b"), s("1-2-3"), s("1-"), s("-2"), s("1 2"), s("0x10-0x20"), s("5000000000-5000000001"), s("1.5"), i(20000), true,
           array({i(1)}), array({i(1), i(2), i(3)}), array({i(1), s("2")}), array({true, false})}) {
    auto tree = good();
    tree.set("driver.stream_id_range", data);
    expect_error(load_driver_config(tree.root(), kEmpty), "lab.toml:5: driver.stream_id_range ");
  }
}

TEST(ConfigTest, RangesAreOrderedNonzeroAndBelowNull) {  // CFG-8, D-48
  const std::vector<std::pair<std::string, std::string>> bad = {{"0-5", "is 0-5: expected ids from 1 up"},
                                                                {"9-5", "is 9-5: expected the smaller id first"},
                                                                {"5-4294967295", "is 5-4294967295: expected ids up to 4294967294"}};
  for (const auto& [text, complaint] : bad) {
    auto tree = good();
    tree.set("driver.stream_id_range", text);
    expect_error(load_driver_config(tree.root(), kEmpty), "lab.toml:5: driver.stream_id_range " + complaint);
  }
  auto tree = good();
  tree.set("driver.descriptor_stream_id_range", s("5-2147483648"));
  expect_error(load_driver_config(tree.root(), kEmpty),
               "lab.toml:5: driver.descriptor_stream_id_range is 5-2147483648: expected ids up to 2147483647");
}

TEST(ConfigTest, RangesAreDisjointIdenticalOnesIncluded) {  // CFG-8, D-48
  const char* keys[] = {"driver.stream_id_range", "driver.descriptor_stream_id_range", "driver.control_stream_id_range"};
  for (const char* a : keys) {
    for (const char* b : keys) {
      if (std::string_view(a) == b) continue;
      for (const char* other : {"20000-29999", "29999-30000", "19000-20000", "22000-23000"}) {
        auto tree = good();
        tree.set(a, s("20000-29999")).set(b, s(other));
        const auto loaded = load_driver_config(tree.root(), kEmpty);
        EXPECT_FALSE(loaded.ok());
        EXPECT_NE(loaded.error_text().find("expected disjoint ranges"), std::string::npos) << all_text(loaded);
      }
      auto tree = good();
      tree.set(a, s("20000-29999")).set(b, s("30000-30001"));
      EXPECT_TRUE(load_driver_config(tree.root(), kEmpty).ok());
    }
  }
  auto tree = good();
  tree.set("driver.stream_id_range", ConfigArray{ConfigValue(s("200-300"), "lab.toml:5"), ConfigValue(s("300-400"), "lab.toml:5")});
  EXPECT_FALSE(load_driver_config(tree.root(), kEmpty).ok());
}

TEST(ConfigTest, RangesContainNoIdInUse) {  // CFG-8, D-48
  for (const char* key : {"driver.stream_id_range", "driver.descriptor_stream_id_range", "driver.control_stream_id_range"}) {
    for (const auto& [text, culprit] : std::map<std::string, std::string>{{"1000", "driver.control_stream_id"},
                                                                          {"1001-1002", "driver.announce_stream_id"},
                                                                          {"1100-1300", "driver.qos_stream_id"},
                                                                          {"10000-10010", "streams.left.stream_id"}}) {
      auto tree = good();
      tree.set(key, text).set("driver.announce_stream_id", i(1001));
      const auto loaded = load_driver_config(tree.root(), kEmpty);
      EXPECT_FALSE(loaded.ok());
      EXPECT_NE(loaded.error_text().find(culprit), std::string::npos) << all_text(loaded);
    }
  }
}

// ---- profiles and streams ------------------------------------------------------------------------------------------------------

TEST(ConfigTest, AProfileIsNeededAndAPoolInIt) {  // CFG-2
  Tree none;
  none.set("policies.allow_dynamic_streams", true);
  expect_error(load_driver_config(none.root(), kEmpty), "profiles is empty: expected at least one profile");
  auto tree = good();
  tree.set("profiles.bare.header_nslots", i(64));
  expect_error(load_driver_config(tree.root(), kEmpty),
               "lab.toml:5: profiles.bare.payload_pools is missing or empty: expected at least one pool");
}

TEST(ConfigTest, PoolIdsAreUniqueAndInRange) {  // CFG-2, P-14
  for (const int64_t id : {0, 65535}) {
    auto tree = good();
    tree.set("profiles.small.payload_pools", pools({{id, 64}}));
    expect_error(load_driver_config(tree.root(), kEmpty),
                 "lab.toml:99: profiles.small.payload_pools[0].pool_id is " + std::to_string(id) + ": expected 1 to 65534");
  }
  auto tree = good();
  tree.set("profiles.small.payload_pools", pools({{65536, 64}}));
  expect_error(load_driver_config(tree.root(), kEmpty),
               "lab.toml:99: profiles.small.payload_pools[0].pool_id is 65536: expected 0 to 65535");
  tree.set("profiles.small.payload_pools", pools({{1, 64}, {2, 64}, {1, 128}}));
  expect_error(load_driver_config(tree.root(), kEmpty), "lab.toml:99: profiles.small.payload_pools[2].pool_id is 1 again");
  tree.set("profiles.small.payload_pools", pools({{1, 64}, {65534, 64}}));
  EXPECT_TRUE(load_driver_config(tree.root(), kEmpty).ok());
}

TEST(ConfigTest, MissingPoolFieldsAreNamed) {  // CFG-2
  auto tree = good();
  ConfigTable no_stride;
  no_stride.add("pool_id", tree.value(i(1)));
  tree.set("profiles.small.payload_pools", ConfigArray{ConfigValue(no_stride, "lab.toml:5")});
  const auto loaded = load_driver_config(tree.root(), kEmpty);
  expect_error(loaded, "lab.toml:5: profiles.small.payload_pools[0].stride_bytes is missing");
  EXPECT_EQ(loaded.error_text().find("missing or empty"), std::string::npos) << "a consequence is not a second problem";
}

TEST(ConfigTest, SlotCountsArePowersOfTwo) {  // CFG-3
  for (const int64_t bad : std::initializer_list<int64_t>{0, 3, 100, 4294967295}) {
    auto tree = good();
    tree.set("profiles.small.header_nslots", i(bad));
    expect_error(load_driver_config(tree.root(), kEmpty),
                 "lab.toml:5: profiles.small.header_nslots is " + std::to_string(bad) + ": expected a power of two");
  }
  for (const int64_t fine : {1, 2, 64, 1024}) {
    auto tree = good();
    tree.set("profiles.small.header_nslots", i(fine));
    EXPECT_TRUE(load_driver_config(tree.root(), kEmpty).ok());
  }
}

TEST(ConfigTest, HeaderSlotsHave256Bytes) {  // CFG-3
  auto tree = good();
  tree.set("profiles.small.header_slot_bytes", i(256));
  EXPECT_TRUE(load_driver_config(tree.root(), kEmpty).ok());
  tree.set("profiles.small.header_slot_bytes", i(512));
  expect_error(load_driver_config(tree.root(), kEmpty), "lab.toml:6: profiles.small.header_slot_bytes is 512: expected 256");
}

TEST(ConfigTest, WhatTheFileSystemCannotHoldIsRefusedNamingTheLimit) {  // CFG-4, P-9, R-24
  auto tree = good();
  tree.set("profiles.small.header_nslots", i(1 << 30)).set("profiles.small.payload_pools", pools({{1, int64_t{1} << 31}}));
  const auto loaded = load_driver_config(tree.root(), kEmpty);
  expect_error(
      loaded,
      "lab.toml:3: streams.left takes 2305843284091601024 bytes an epoch by profile \"small\"; the file system of /dev/shm holds ");
  EXPECT_NE(loaded.error_text().find("remount,size="), std::string::npos);
}

TEST(ConfigTest, SizesThatOverflow64BitsAreRefused) {  // CFG-4
  DriverConfig c;
  Profile huge{"huge", {uint32_t{1} << 31, {}}};
  for (uint16_t id = 1; id <= 3; ++id) huge.geometry.pools.push_back({id, uint32_t{1} << 31});  // 2^62 bytes each
  c.profiles = {huge};
  c.streams = {{"left", 10, "huge"}};
  EXPECT_TRUE(check_driver_config(c).empty());
  ASSERT_EQ(check_capacity(c).size(), 1u);
  c.profiles[0].geometry.pools.push_back({4, uint32_t{1} << 31});
  const auto problems = check_driver_config(c);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].line(),
            "profiles.huge.payload_pools adds up to more than 2^64 bytes: expected fewer slots or smaller strides");
  // Streams that fit alone and not together.
  const uint64_t capacity = shm::file_system_of("/dev/shm").capacity_bytes;
  c.profiles = {{"big", {1, {{1, 1 << 30}}}}};
  c.streams.clear();
  for (uint32_t id = 1; id <= capacity / (1 << 30) + 2; ++id) c.streams.push_back({"s" + std::to_string(id), id, "big"});
  const auto together = check_capacity(c);
  ASSERT_EQ(together.size(), 1u);
  EXPECT_EQ(together[0].key, "streams");
}

TEST(ConfigTest, StreamsNameAProfileAndHaveIdsOfTheirOwn) {  // CFG-5
  auto tree = good();
  tree.set("streams.right.stream_id", i(10010)).set("streams.right.profile", s("small"));
  expect_error(load_driver_config(tree.root(), kEmpty), "lab.toml:5: streams.right.stream_id is 10010 like that of streams.left");
  for (const int64_t bad : {int64_t{0}, int64_t{4294967295}}) {
    auto other = good();
    other.set("streams.left.stream_id", i(bad));
    expect_error(load_driver_config(other.root(), kEmpty),
                 "lab.toml:5: streams.left.stream_id is " + std::to_string(bad) + ": expected 1 to 4294967294");
  }
  auto lost = good();
  lost.set("streams.left.profile", s("big"));
  expect_error(load_driver_config(lost.root(), kEmpty),
               "lab.toml:5: streams.left.profile is \"big\": expected the name of a profile");
  Tree bare;
  bare.set("profiles.small.payload_pools", pools({{1, 64}})).set("streams.left.stream_id", i(5));
  expect_error(load_driver_config(bare.root(), kEmpty), "lab.toml:2: streams.left.profile is missing");
  Tree nameless;
  nameless.set("profiles.small.payload_pools", pools({{1, 64}})).set("streams.left.profile", s("small"));
  const auto loaded = load_driver_config(nameless.root(), kEmpty);
  expect_error(loaded, "lab.toml:2: streams.left.stream_id is missing");
  EXPECT_EQ(loaded.error_text().find("streams is empty"), std::string::npos);
}

TEST(ConfigTest, WithoutDynamicStreamsThereIsAStaticOne) {  // CFG-6
  Tree tree;
  tree.set("profiles.small.payload_pools", pools({{1, 64}}));
  expect_error(load_driver_config(tree.root(), kEmpty), "streams is empty: expected at least one stream");
  tree.set("policies.allow_dynamic_streams", true).set("driver.stream_id_range", s("20000-29999"));
  EXPECT_TRUE(load_driver_config(tree.root(), kEmpty).problems.empty());
}

TEST(ConfigTest, DynamicStreamsNeedTheirProfileAndShouldHaveARange) {  // CFG-7
  auto tree = good();
  tree.set("policies.allow_dynamic_streams", true);
  expect_warning(load_driver_config(tree.root(), kEmpty),
                 "driver.stream_id_range is missing while policies.allow_dynamic_streams is true");
  tree.set("policies.default_profile", s("gone"));
  expect_error(load_driver_config(tree.root(), kEmpty), "lab.toml:6: policies.default_profile is \"gone\"");
  tree.set("policies.default_profile", s("small"));
  EXPECT_EQ(load_driver_config(tree.root(), kEmpty).config.dynamic_profile()->name, "small");
}

TEST(ConfigTest, TheDefaultProfileIsTheFirstOfTheFileNotTheFirstByName) {  // CFG-7
  Tree tree;
  tree.set("profiles.zebra.payload_pools", pools({{1, 64}})).set("profiles.ant.payload_pools", pools({{1, 64}}));
  tree.set("policies.allow_dynamic_streams", true).set("driver.stream_id_range", s("5-6"));
  EXPECT_EQ(load_driver_config(tree.root(), kEmpty).config.dynamic_profile()->name, "zebra");
}

TEST(ConfigTest, StridesAreMultiplesOf64AndPowersOfTwoUnlessToldOtherwise) {  // CFG-9
  for (const int64_t bad : std::initializer_list<int64_t>{0, 32, 100, 4294967295}) {
    auto tree = good();
    tree.set("profiles.small.payload_pools", pools({{1, bad}}));
    expect_error(load_driver_config(tree.root(), kEmpty), "lab.toml:99: profiles.small.payload_pools[0].stride_bytes is " +
                                                              std::to_string(bad) + ": expected at least 64 and a multiple of 64");
  }
  auto tree = good();
  tree.set("profiles.small.payload_pools", pools({{1, 192}}));
  expect_error(load_driver_config(tree.root(), kEmpty),
               "lab.toml:99: profiles.small.payload_pools[0].stride_bytes is 192: expected a power of two");
  tree.set("policies.require_power_of_two_stride", false);
  EXPECT_TRUE(load_driver_config(tree.root(), kEmpty).ok());
  for (const int64_t fine : {64, 128, 1 << 20}) {
    tree.set("policies.require_power_of_two_stride", true).set("profiles.small.payload_pools", pools({{1, fine}}));
    EXPECT_TRUE(load_driver_config(tree.root(), kEmpty).ok());
  }
}

// ---- directories, modes, intervals, channels --------------------------------------------------------------------------------------

TEST_F(ConfigDirTest, DirectoriesAreAbsoluteExistAndContainEachOther) {  // CFG-10
  std::filesystem::create_directories(dir_ + "/base/below");
  std::filesystem::create_directories(dir_ + "/other");
  std::ofstream(dir_ + "/file") << "x";
  const auto load = [](const std::string& base, const std::vector<std::string>& allowed) {
    auto tree = good();
    tree.set("shm.base_dir", base);
    ConfigArray array;
    for (const auto& path : allowed) array.emplace_back(path, "lab.toml:6");
    if (!allowed.empty()) tree.set("shm.allowed_base_dirs", array);
    return load_driver_config(tree.root(), kEmpty);
  };
  EXPECT_TRUE(load(dir_ + "/base", {}).ok());
  EXPECT_TRUE(load(dir_ + "/base/below", {dir_ + "/base"}).ok());
  EXPECT_TRUE(load(dir_ + "/new", {}).ok());  // made at start
  EXPECT_TRUE(load(dir_ + "/new", {dir_ + "/new"}).ok());
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/new"));  // and not by looking
  expect_error(load("relative", {}), "lab.toml:5: shm.base_dir is \"relative\": expected an absolute path");
  expect_error(load(dir_ + "/no/such", {}), "lab.toml:5: shm.base_dir is");
  expect_error(load(dir_ + "/file", {}), "lab.toml:5: shm.base_dir is");
  expect_error(load(dir_ + "/base", {"relative"}), "lab.toml:6: shm.allowed_base_dirs holds \"relative\": expected absolute paths");
  expect_error(load(dir_ + "/base", {dir_ + "/gone"}), "lab.toml:6: shm.allowed_base_dirs holds");
  expect_error(load(dir_ + "/base", {dir_ + "/other"}),
               "lab.toml:5: shm.base_dir is \"" + dir_ + "/base\": expected it to be below one of shm.allowed_base_dirs");
  expect_error(load(dir_ + "/other", {dir_ + "/oth"}), "lab.toml:6: shm.allowed_base_dirs");
  std::filesystem::create_directories(dir_ + "/oth");
  expect_error(load(dir_ + "/other", {dir_ + "/oth"}), "lab.toml:5: shm.base_dir");  // on component boundaries
  std::filesystem::create_directory_symlink(dir_ + "/other", dir_ + "/base/link");
  expect_error(load(dir_ + "/base/link", {dir_ + "/base"}), "lab.toml:5: shm.base_dir");  // where it leads counts
}

TEST_F(ConfigDirTest, TheEnvironmentsListOfDirectoriesIsSeparatedByColons) {  // CFG-1, CFG-10
  std::filesystem::create_directories(dir_ + "/a");
  auto tree = good();
  tree.set("shm.base_dir", dir_ + "/a");
  const auto loaded = load_driver_config(tree.root(), environment({{"SHM_ALLOWED_BASE_DIRS", "/dev/shm:" + dir_}}));
  EXPECT_TRUE(loaded.ok()) << loaded.error_text();
  EXPECT_EQ(loaded.config.allowed_base_dirs, (std::vector<std::string>{"/dev/shm", dir_}));
}

TEST(ConfigTest, NamespacesAndModesAreChecked) {  // CFG-11, D-37
  for (const std::string& bad :
       {std::string(), std::string("a/b"), std::string(".."), std::string("a b"), std::string("\xc3\xa4"), std::string(256, 'a')}) {
    auto tree = good();
    tree.set("shm.namespace", bad);
    expect_error(load_driver_config(tree.root(), kEmpty), "lab.toml:5: shm.namespace is ");
  }
  for (const std::string& fine : {std::string("lab-A_1"), std::string(255, 'a')}) {
    auto tree = good();
    tree.set("shm.namespace", fine);
    EXPECT_TRUE(load_driver_config(tree.root(), kEmpty).ok());
  }
  for (const char* bad : {"664", "666", "661", "77777", "88", "", "u=rw", "-660", "440", "060", "770", "4660"}) {
    auto tree = good();
    tree.set("shm.permissions_mode", s(bad));
    expect_error(load_driver_config(tree.root(), kEmpty), "lab.toml:5: shm.permissions_mode ");
  }
  for (const auto& [text, mode] :
       std::map<std::string, mode_t>{{"660", 0660}, {"0660", 0660}, {"600", 0600}, {"640", 0640}, {"2660", 02660}}) {
    auto tree = good();
    tree.set("shm.permissions_mode", text);
    const auto loaded = load_driver_config(tree.root(), kEmpty);
    EXPECT_TRUE(loaded.ok()) << loaded.error_text();
    EXPECT_EQ(loaded.config.permissions_mode, mode);
  }
}

TEST(ConfigTest, HugepagesNeedABaseDirectoryOnHugetlbfs) {  // CFG-12
  auto tree = good();
  tree.set("shm.require_hugepages", true);
  expect_error(load_driver_config(tree.root(), kEmpty),
               "lab.toml:5: shm.require_hugepages is true, but \"/dev/shm\" (shm.base_dir) is not on hugetlbfs");
}

TEST(ConfigTest, PageSizesArePowersOfTwoAndComparedWithTheSystem) {  // config.md 2.2
  auto tree = good();
  tree.set("shm.page_size_bytes", i(5000));
  expect_error(load_driver_config(tree.root(), kEmpty), "lab.toml:5: shm.page_size_bytes is 5000: expected a power of two");
  tree.set("shm.page_size_bytes", i(1 << 21));
  expect_warning(load_driver_config(tree.root(), kEmpty),
                 "lab.toml:6: shm.page_size_bytes is 2097152, but this system has pages of");
}

TEST(ConfigTest, IntervalsHaveTheirMinimum) {  // CFG-13
  for (const char* key : {"policies.announce_period_ms", "policies.lease_keepalive_interval_ms"}) {
    for (const int64_t bad : {0, 9}) {
      auto tree = good();
      tree.set(key, i(bad));
      expect_error(load_driver_config(tree.root(), kEmpty),
                   "lab.toml:5: " + std::string(key) + " is " + std::to_string(bad) + ": expected 10 to");
    }
    auto tree = good();
    tree.set(key, i(10));
    EXPECT_TRUE(load_driver_config(tree.root(), kEmpty).problems.empty());
  }
  auto tree = good();
  tree.set("policies.lease_expiry_grace_intervals", i(0));
  expect_error(load_driver_config(tree.root(), kEmpty), "lab.toml:5: policies.lease_expiry_grace_intervals is 0: expected 1 to");
  tree.set("policies.lease_expiry_grace_intervals", i(1));
  expect_warning(load_driver_config(tree.root(), kEmpty), "lab.toml:6: policies.lease_expiry_grace_intervals is 1");
}

TEST(ConfigTest, TheLongestLeaseDoesNotOverflowTheClock) {  // CFG-13
  DriverConfig c;
  c.lease_keepalive_interval_ms = c.lease_expiry_grace_intervals = 0xFFFFFFFF;
  EXPECT_LT(c.lease_lifetime_ns(), std::numeric_limits<uint64_t>::max() / 4);
  EXPECT_GT(c.lease_lifetime_ns(), kNsPerSecond * 1'000'000'000);
}

TEST(ConfigTest, TheMinimumAgeOfEpochsIsThreePeriodsUnlessSet) {  // CFG-14
  auto tree = good();
  tree.set("policies.announce_period_ms", i(200)).set("policies.epoch_gc_min_age_ns", i(0));
  EXPECT_EQ(load_driver_config(tree.root(), kEmpty).config.effective_gc_min_age_ns(), 600 * kNsPerMs);
  tree.set("policies.epoch_gc_min_age_ns", i(7));
  EXPECT_EQ(load_driver_config(tree.root(), kEmpty).config.effective_gc_min_age_ns(), 7u);
}

TEST(ConfigTest, ChannelsParse) {  // CFG-15
  for (const char* fine : {"aeron:ipc", "aeron:ipc?term-length=4m", "aeron:udp?endpoint=localhost:40123",
                           "aeron:udp?control=h:1|control-mode=dynamic|mtu=1408", "aeron-spy:aeron:udp?endpoint=h:1"}) {
    auto tree = good();
    tree.set("driver.qos_channel", s(fine));
    EXPECT_TRUE(load_driver_config(tree.root(), kEmpty).ok()) << fine;
  }
  for (const char* bad :
       {"", "ipc", "aeron:", "aeron:tcp?endpoint=h:1", "aeron:ipc?", "aeron:ipc?term-length", "aeron:ipc?=4m",
        "aeron:ipc?term-length=", "aeron:ipc?a=1|a=2", "aeron:udp", "aeron:udp?mtu=1408", "aeron:ipc?x=1 2", "aeron:ipc?x=\x01"}) {
    auto tree = good();
    tree.set("driver.control_channel", s(bad));
    const auto loaded = load_driver_config(tree.root(), kEmpty);
    expect_error(loaded, "lab.toml:5: driver.control_channel is ");
    EXPECT_EQ(loaded.error_text().find('\x01'), std::string::npos);
    EXPECT_EQ(loaded.error_text().find("announce_channel"), std::string::npos);  // it follows control: one complaint is enough
  }
}

TEST(ConfigTest, OneStreamHasOneTermLengthAndMtu) {  // CFG-15
  const auto load = [](const char* control, const char* announce, int announce_stream) {
    auto tree = good();
    tree.set("driver.control_channel", s(control))
        .set("driver.announce_channel", s(announce))
        .set("driver.announce_stream_id", i(announce_stream));
    return load_driver_config(tree.root(), kEmpty);
  };
  expect_warning(load("aeron:ipc?term-length=4m", "aeron:ipc?term-length=1m", 1000),
                 "lab.toml:6: driver.announce_channel is \"aeron:ipc?term-length=1m\" and shares stream id 1000");
  expect_warning(load("aeron:udp?endpoint=h:1|mtu=1408", "aeron:udp?endpoint=h:1|mtu=8k", 1000),
                 "lab.toml:6: driver.announce_channel is ");
  EXPECT_TRUE(load("aeron:ipc?term-length=4m", "aeron:ipc?term-length=4194304", 1000).problems.empty());
  EXPECT_TRUE(load("aeron:ipc?term-length=4m", "aeron:ipc", 1000).problems.empty());
  EXPECT_TRUE(load("aeron:ipc?term-length=4m", "aeron:ipc?term-length=1m", 1001).problems.empty());
  EXPECT_TRUE(load("aeron:udp?endpoint=h:1|mtu=1408", "aeron:udp?endpoint=h:2|mtu=8k", 1000).problems.empty());
}

// ---- supervisor -------------------------------------------------------------------------------------------------------------------

TEST(ConfigTest, TheSupervisorsTableIsChecked) {  // CFG-16
  auto tree = good();
  tree.set("supervisor.force_mode", i(2))
      .set("supervisor.per_consumer_descriptor_base", i(31000))
      .set("supervisor.per_consumer_descriptor_range", i(100))
      .set("supervisor.consumer_capacity", i(8));
  tree.set("supervisor.force_no_shm", true)
      .set("supervisor.per_consumer_enabled", false)
      .set("supervisor.payload_fallback_uri", s("bridge://b1"))
      .set("supervisor.per_consumer_control_channel", s("aeron:ipc?term-length=64k"));
  const auto loaded = load_driver_config(tree.root(), kEmpty);
  EXPECT_TRUE(loaded.problems.empty());
  const supervisor::ConsumerPolicy& consumers = loaded.config.consumers;
  EXPECT_EQ(consumers.force_mode, wire::Mode::rate_limited);
  EXPECT_EQ(consumers.consumer_capacity, 8u);
  EXPECT_EQ(consumers.descriptor_ids, (std::vector<IdRange>{{31000, 31099}}));
  EXPECT_TRUE(consumers.force_no_shm);
  EXPECT_EQ(consumers.per_consumer_enabled, false);
  EXPECT_EQ(consumers.payload_fallback_uri, "bridge://b1");
  EXPECT_EQ(consumers.per_consumer_control_channel, "aeron:ipc?term-length=64k");

  auto elsewhere = good();
  elsewhere.set("supervisor.control_stream_id", i(1400)).set("supervisor.consumer_stale_ms", i(20));
  const auto warned = load_driver_config(elsewhere.root(), kEmpty);
  expect_warning(warned, "lab.toml:5: supervisor.control_stream_id differs from driver.control_stream_id");

  const std::vector<std::tuple<std::string, ConfigValue::Data, std::string>> bad = {
      {"force_mode", i(3), "is 3: expected 0 to 2"},
      {"consumer_capacity", i(0), "is 0: expected 1 to"},
      {"force_no_shm", i(1), "is a value of type integer"},
      {"payload_fallback_uri", s("http://x"), "is \"http://x\": expected aeron:... or bridge://..."},
      {"qos_channel", s("ipc"), "is \"ipc\": expected an Aeron channel"},
      {"metadata_stream_id", i(0), "is 0: expected 1 to"},
  };
  for (const auto& [key, data, complaint] : bad) {
    auto spoiled = good();
    spoiled.set("supervisor." + key, data);
    expect_error(load_driver_config(spoiled.root(), kEmpty), "lab.toml:5: supervisor." + key + " " + complaint);
  }
  expect_error(load_driver_config(good().root(), environment({})).ok()
                   ? load_driver_config(Tree(good()).set("supervisor.force_mode", i(0)).root(),
                                        environment({{"SUPERVISOR_FORCE_MODE", "7"}}))
                   : LoadedConfig{},
               "environment SUPERVISOR_FORCE_MODE: supervisor.force_mode is 7");
}

TEST(ConfigTest, ASupervisorsBaseNeedsItsCountAndKeepsOutOfOtherRanges) {  // CFG-16, CFG-8
  for (const char* kind : {"descriptor", "control"}) {
    const std::string base = std::string("supervisor.per_consumer_") + kind + "_base";
    const std::string count = std::string("supervisor.per_consumer_") + kind + "_range";
    auto tree = good();
    tree.set(base, i(31000));
    expect_error(load_driver_config(tree.root(), kEmpty), "lab.toml:5: " + count + " is missing");
    auto reverse = good();
    reverse.set(count, i(5));
    expect_error(load_driver_config(reverse.root(), kEmpty), "lab.toml:5: " + base + " is missing");
    auto beyond = good();
    beyond.set(base, i(2147483647)).set(count, i(2));
    expect_error(load_driver_config(beyond.root(), kEmpty), "lab.toml:6: " + count + " is 2");
    auto collides = good();
    collides.set(base, i(10000)).set(count, i(100));
    expect_error(load_driver_config(collides.root(), kEmpty), "lab.toml:5: " + base + " is 10000-10099 and contains 10010");
    auto overlaps = good();
    overlaps.set(base, i(20000)).set(count, i(100)).set("driver.stream_id_range", s("20050-20060"));
    expect_error(load_driver_config(overlaps.root(), kEmpty), "lab.toml:5: " + base + " is 20000-20099 and overlaps 20050-20060");
    // It stands in for the driver's own range of its kind, so that one may be the same.
    auto override_own = good();
    override_own.set(base, i(31000)).set(count, i(100)).set(std::string("driver.") + kind + "_stream_id_range", s("31000-31099"));
    EXPECT_TRUE(load_driver_config(override_own.root(), kEmpty).ok());
  }
  auto both = good();
  both.set("supervisor.per_consumer_descriptor_base", i(31000)).set("supervisor.per_consumer_descriptor_range", i(100));
  both.set("supervisor.per_consumer_control_base", i(31099)).set("supervisor.per_consumer_control_range", i(100));
  expect_error(load_driver_config(both.root(), kEmpty),
               "lab.toml:7: supervisor.per_consumer_control_base is 31099-31198 and overlaps");
}

TEST(ConfigTest, ATreeThatIsNoTableIsOneClearError) {  // CFG-1
  const auto loaded = load_driver_config(ConfigValue(i(3), "lab.toml:1"), kEmpty);
  expect_error(loaded, "lab.toml:1: configuration is no table");
}

TEST(ConfigTest, KeysOfTheOtherImplementationsAreAccepted) {  // config.md 2.3, D-42
  auto tree = good();
  tree.set("policies.reuse_existing_shm", true)
      .set("policies.cleanup_shm_on_exit", true)
      .set("policies.node_id_reuse_cooldown_ms", i(0));
  const auto loaded = load_driver_config(tree.root(), kEmpty);
  expect_warning(loaded, "lab.toml:5: policies.reuse_existing_shm is true and has no effect");
  EXPECT_EQ(loaded.problems.size(), 1u) << all_text(loaded);
}

TEST(ConfigTest, NamesInMessagesAreEscaped) {  // driver.md 17
  auto tree = good();
  tree.set("driver.bad\x1b[31mkey", i(1)).set("profiles.p\x1b.header_nslots", i(3));
  for (const char c : all_text(load_driver_config(tree.root(), kEmpty)))
    EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << int(c);
}

}  // namespace
}  // namespace tidepool::driver

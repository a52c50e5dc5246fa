// Values: where they come from and which win.
#include "tidepool/services/driver/config.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <map>

#include "tidepool/base/clock.h"
#include "tidepool/services/driver/test_config.h"
#include "tidepool/shm/region.h"

namespace tidepool::driver::config_test {
namespace {

using namespace testing;

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
  EXPECT_EQ(loaded.config.effective_consumers().descriptor_ids, (std::vector<IdRange>{{31000, 31099}}));
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

}  // namespace
}  // namespace tidepool::driver::config_test

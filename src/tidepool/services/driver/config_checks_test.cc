// What is held against values, each alone and all together.
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

namespace tidepool::driver {
namespace {

using namespace testing;

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

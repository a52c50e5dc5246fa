#include "tidepool/services/supervisor/config.h"

#include <gtest/gtest.h>

namespace tidepool::supervisor {
namespace {

const Environment kNoEnvironment;

class SupervisorConfigTest : public ::testing::Test {
 protected:
  void put(const std::string& table, const std::string& key, ConfigValue::Data value) {
    ConfigTable& top = *root_.as_table();
    if (!top.entries.contains(table)) top.add(table, ConfigValue(ConfigTable{}, "lab.toml:1"));
    top.entries.at(table).as_table()->add(key, ConfigValue(std::move(value), "lab.toml:2"));
  }
  LoadedConfig load() { return load_supervisor_config(root_, kNoEnvironment); }
  void expect_problem(const std::string& key, const std::string& part) {
    const LoadedConfig loaded = load();
    EXPECT_FALSE(loaded.ok());
    const std::string text = fatal_text(loaded.problems);
    EXPECT_NE(text.find(key), std::string::npos) << text;
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
  ConfigValue root_;
};

TEST_F(SupervisorConfigTest, IsAbsentWithoutItsTable) {  // config.md 3
  EXPECT_FALSE(load().present);
  put("supervisor", "consumer_capacity", int64_t{8});
  EXPECT_TRUE(load().present);
  EXPECT_EQ(load().config.consumers.consumer_capacity, 8u);
}

TEST_F(SupervisorConfigTest, TakesTheDriversEndpointsAndRangesAsDefaults) {  // config.md 3, 11 row 8
  put("driver", "control_channel", std::string("aeron:udp?endpoint=localhost:4000"));
  put("driver", "control_stream_id", int64_t{1500});
  put("driver", "announce_stream_id", int64_t{1501});
  put("driver", "qos_stream_id", int64_t{1502});
  put("driver", "descriptor_stream_id_range", std::string("31000-31009"));
  put("shm", "base_dir", std::string("/tmp"));
  put("supervisor", "qos_stream_id", int64_t{1600});
  const LoadedConfig loaded = load();
  EXPECT_TRUE(loaded.ok()) << fatal_text(loaded.problems);
  const SupervisorConfig& c = loaded.config;
  EXPECT_EQ(c.control, (Endpoint{"aeron:udp?endpoint=localhost:4000", 1500}));
  EXPECT_EQ(c.announce, (Endpoint{"aeron:udp?endpoint=localhost:4000", 1501}));
  EXPECT_EQ(c.metadata, (Endpoint{"aeron:udp?endpoint=localhost:4000", 1300}));
  EXPECT_EQ(c.qos.stream_id, 1600);
  EXPECT_EQ(c.consumers.descriptor_ids, (std::vector<IdRange>{{31000, 31009}}));
  EXPECT_TRUE(c.consumers.assigns());
  EXPECT_EQ(c.allowed_base_dirs, (std::vector<std::string>{"/tmp"}));
}

TEST_F(SupervisorConfigTest, ReplacesTheDriversRangeByBaseAndCountWhichNeedEachOther) {  // CFG-16
  put("driver", "descriptor_stream_id_range", std::string("31000-31009"));
  put("supervisor", "per_consumer_descriptor_base", int64_t{32000});
  expect_problem("supervisor.per_consumer_descriptor_range", "is missing");
  put("supervisor", "per_consumer_descriptor_range", int64_t{4});
  EXPECT_EQ(load().config.consumers.descriptor_ids, (std::vector<IdRange>{{32000, 32003}}));
}

TEST_F(SupervisorConfigTest, RefusesIdsThatAreInUseAndRangesThatOverlap) {  // CFG-16, CFG-8
  put("supervisor", "per_consumer_descriptor_base", int64_t{1195});
  put("supervisor", "per_consumer_descriptor_range", int64_t{10});
  expect_problem("supervisor.per_consumer_descriptor_base", "qos");
  root_ = ConfigValue();
  put("supervisor", "per_consumer_descriptor_base", int64_t{32000});
  put("supervisor", "per_consumer_descriptor_range", int64_t{10});
  put("supervisor", "per_consumer_control_base", int64_t{32009});
  put("supervisor", "per_consumer_control_range", int64_t{10});
  expect_problem("supervisor.per_consumer_control_base", "overlaps");
  root_ = ConfigValue();
  put("driver", "stream_id_range", std::string("20000-29999"));
  put("supervisor", "per_consumer_control_base", int64_t{29999});
  put("supervisor", "per_consumer_control_range", int64_t{1});
  expect_problem("supervisor.per_consumer_control_base", "driver.stream_id_range");
}

TEST_F(SupervisorConfigTest, KnowsTwoModesAndTwoSchemes) {  // CFG-16, W-77
  put("supervisor", "force_mode", int64_t{2});
  EXPECT_EQ(load().config.consumers.force_mode, wire::Mode::rate_limited);
  root_ = ConfigValue();
  put("supervisor", "force_mode", int64_t{0});
  EXPECT_EQ(load().config.consumers.force_mode, std::nullopt);
  root_ = ConfigValue();
  put("supervisor", "force_mode", int64_t{3});
  expect_problem("supervisor.force_mode", "expected 0 to 2");
  root_ = ConfigValue();
  put("supervisor", "payload_fallback_uri", std::string("http://elsewhere"));
  expect_problem("supervisor.payload_fallback_uri", "bridge://");
}

}  // namespace
}  // namespace tidepool::supervisor

// `tidepool config check`: every fault with its line, not only the first (CFG-1, CFG-21).

#include "tidepool/cli/config_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tidepool/cli/client_flags.h"
#include "tidepool/cli/test_command.h"
#include "tidepool/cli/toml_file.h"

namespace tidepool::cli::config_check_test {
namespace {

using namespace test;
using testing::AllOf;
using testing::HasSubstr;

class ConfigCheckTest : public ::testing::Test {
 protected:
  TemporaryDirectory directory_;
  WithEnvironment log_{"TIDEPOOL_LOG", "error"};
  std::string file_ = directory_ / "lab.toml";

  std::string driver_tables() const {
    return "[shm]\nbase_dir = \"" + directory_.path() +
           "\"\n[profiles.small]\nheader_nslots = 8\npayload_pools = [{ pool_id = 1, stride_bytes = 4096 }]\n"
           "[streams.cam1]\nstream_id = 10000\nprofile = \"small\"\n";
  }
  Ran check(const std::string& text, std::vector<std::string> more = {}) {
    write_file(file_, text);
    std::vector<std::string> args = {"config", "check", file_, "--no-environment"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  std::string at(int line) const { return concat(file_, ":", line, ": "); }
};

TEST_F(ConfigCheckTest, SaysThatAFileCanBeUsed) {  // CFG-1
  const Ran ran = check(driver_tables());
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.err, "");
  EXPECT_THAT(ran.out, HasSubstr("ok (driver): 0 errors, 0 warnings"));
  const Ran both = check(driver_tables() + "[client]\nattach_timeout_ms = 100\n[consumer]\nmode = \"rate_limited\"\n", {"--json"});
  EXPECT_EQ(both.exit, 0) << both.err;
  EXPECT_EQ(both.json()["ok"], true);
  EXPECT_EQ(both.json()["roles"], nlohmann::json({"driver", "client"}));
}

TEST_F(ConfigCheckTest, NamesEveryFaultWithItsLineKeyAndWhatWasExpected) {  // CFG-1, CFG-2, CFG-3, CFG-5, CFG-9, CFG-13
  const Ran ran = check(
      "[driver]\n"                                                        // 1
      "control_stream_id = \"many\"\n"                                    // 2
      "stream_id_range = \"9-3\"\n"                                       // 3
      "[shm]\n"                                                           // 4
      "namespace = \"a/b\"\n"                                             // 5
      "[policies]\n"                                                      // 6
      "announce_period_ms = 1\n"                                          // 7
      "[profiles.small]\n"                                                // 8
      "header_nslots = 100\n"                                             // 9
      "payload_pools = [{ pool_id = 1, stride_bytes = 100 }]\n"           // 10
      "[streams.cam1]\n"                                                  // 11
      "stream_id = 10000\n"                                               // 12
      "profile = \"big\"\n"                                               // 13
      "[client]\n"                                                        // 14
      "attach_timeout_ms = 0\n"                                           // 15
      "control_channel = \"tcp:x\"\n"                                     // 16
      "enforce_permissions = 1\n"                                         // 17
      "forbidden_mode = \"9\"\n"                                          // 18
      "allowed_base_dirs = [\"relative\"]\n"                              // 19
      "[consumer]\n"                                                      // 20
      "mode = \"fast\"\n"                                                 // 21
      "requested_descriptor_channel = \"aeron:ipc\"\n"                    // 22
      "payload_fallback_uri = \"http://x\"\n");                           // 23
  EXPECT_EQ(ran.exit, 1);
  const std::pair<int, const char*> expected[] = {
      {2, "error: driver.control_stream_id is a value of type string: expected an integer"},
      {3, "error: driver.stream_id_range"},
      {5, "error: shm.namespace is \"a/b\": expected"},
      {7, "error: policies.announce_period_ms is 1: expected 10"},
      {9, "error: profiles.small.header_nslots is 100: expected a power of two"},
      {10, "error: profiles.small.payload_pools[0].stride_bytes is 100: expected at least 64 and a multiple of 64"},
      {13, "error: streams.cam1.profile is \"big\": expected the name of a profile"},
      {15, "error: client.attach_timeout_ms is 0: expected 1 to 4294967295"},
      {16, "error: client.control_channel is \"tcp:x\": expected"},
      {17, "error: client.enforce_permissions is a value of type integer: expected true or false"},
      {18, "error: client.forbidden_mode is \"9\": expected an octal string"},
      {19, "error: client.allowed_base_dirs expected an array of absolute paths"},
      {21, "error: consumer.mode is \"fast\": expected stream, rate_limited"},
      {22, "error: consumer.requested_descriptor_stream_id is missing: consumer.requested_descriptor_channel needs it"},
      {23, "error: consumer.payload_fallback_uri is \"http://x\": expected aeron:... or bridge://..."},
  };
  size_t before = 0;
  for (const auto& [line, text] : expected) {
    const size_t found = ran.err.find(at(line) + text);
    EXPECT_NE(found, std::string::npos) << at(line) << text << "\nis not in\n" << ran.err;
    if (found == std::string::npos) continue;
    EXPECT_GE(found, before) << "in the order of the file: " << text;
    before = found;
  }
  EXPECT_THAT(ran.out, HasSubstr("cannot be used (driver, client)"));
}

TEST_F(ConfigCheckTest, UnknownKeysAndTablesAreWarningsUnlessOneIsStrict) {  // config.md 1.6
  const std::string text =
      driver_tables() +
      "[policies]\nepoch_gc_kept = 3\n[client]\nattach_time_out_ms = 5\n[monitor]\nlisten = \"x\"\n[bridge]\nmtu_bytes = 5\n";
  const Ran ran = check(text, {"--json"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.json()["errors"], 0);
  std::map<std::string, std::string> found;
  const auto report = ran.json();
  for (const auto& problem : report["problems"]) {
    EXPECT_EQ(problem["severity"], "warning");
    found[problem["key"]] = problem["origin"];
  }
  EXPECT_EQ(found["policies.epoch_gc_kept"], file_ + ":10");
  EXPECT_EQ(found["client.attach_time_out_ms"], file_ + ":12");
  EXPECT_TRUE(found.contains("monitor"));
  EXPECT_TRUE(found.contains("bridge")) << "known, but nobody here checks it: said";
  EXPECT_EQ(found.size(), 4u);
  EXPECT_EQ(check(text, {"--strict"}).exit, 1);
}

TEST_F(ConfigCheckTest, ShowsEveryValueInForceAndWhereItComesFrom) {  // CFG-21
  write_file(file_, driver_tables() + "[policies]\nshutdown_token = \"secret\"\n[producer]\nstream_id = 7\n");
  const WithEnvironment period("POLICIES_ANNOUNCE_PERIOD_MS", "250"), mode("PRODUCER_PUBLISH_MODE", "require_existing");
  const Ran ran = run({"config", "check", file_, "--show", "--json"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  const auto values = ran.json()["values"];
  EXPECT_EQ(values["policies.announce_period_ms"],
            nlohmann::json({{"value", "250"}, {"origin", "environment POLICIES_ANNOUNCE_PERIOD_MS"}}));
  EXPECT_EQ(values["producer.stream_id"], nlohmann::json({{"value", "7"}, {"origin", file_ + ":12"}}));
  EXPECT_EQ(values["producer.publish_mode"]["origin"], "environment PRODUCER_PUBLISH_MODE");
  EXPECT_EQ(values["driver.instance_id"]["origin"], "default");
  EXPECT_EQ(ran.out.find("secret"), std::string::npos);
  const Ran text = run({"config", "check", file_, "--show", "--no-environment"});
  EXPECT_THAT(text.out, AllOf(HasSubstr("policies.announce_period_ms"), HasSubstr("default"), HasSubstr(file_ + ":12")));
}

TEST_F(ConfigCheckTest, TheEnvironmentIsJudgedToo) {  // CFG-1, P-12
  write_file(file_, "[consumer]\nstream_id = 5\n");
  const WithEnvironment id("CONSUMER_STREAM_ID", "zero"), shm("CONSUMER_USE_SHM", "maybe");
  const Ran ran = run({"config", "check", file_});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("environment CONSUMER_STREAM_ID: error: consumer.stream_id is \"zero\""),
                             HasSubstr("environment CONSUMER_USE_SHM: error:")));
  EXPECT_EQ(run({"config", "check", file_, "--no-environment"}).exit, 0);
}

TEST_F(ConfigCheckTest, ChecksOneRoleAlone) {
  const std::string text = driver_tables() + "[client]\nattach_timeout_ms = 0\n";
  EXPECT_EQ(check(text, {"--role", "driver"}).exit, 0);
  EXPECT_EQ(check(text, {"--role", "client"}).exit, 1);
  const Ran unknown = check(text, {"--role", "cook"});
  EXPECT_EQ(unknown.exit, 2);
  EXPECT_THAT(unknown.err, HasSubstr("expected driver, supervisor, discovery, client"));
}

TEST_F(ConfigCheckTest, AFileThatIsNoneIsOneError) {  // CFG-1
  EXPECT_EQ(check("").exit, 1);
  const Ran broken = check("[driver\n", {"--json"});
  EXPECT_EQ(broken.exit, 1);
  EXPECT_THAT(broken.err, HasSubstr(file_ + ":1:"));
  EXPECT_EQ(broken.json()["error"]["code"], "invalid argument");
  EXPECT_EQ(run({"config", "check"}).exit, 2);
  EXPECT_EQ(run({"config", "polish", file_}).exit, 2);
  EXPECT_EQ(check("driver = 5\n").exit, 1);
  EXPECT_EQ(check("client = 5\n").exit, 1);
}

TEST_F(ConfigCheckTest, WhatItAcceptsTheClientsAccept) {  // one truth: the checker's ranges are those of the reader
  const std::string text =
      "[client]\ncontrol_channel = \"aeron:ipc\"\ncontrol_stream_id = 1\nattach_timeout_ms = 1\nkeepalive_interval_ms = "
      "1\nlease_expiry_grace_intervals = 1\n"
      "reattach_backoff_min_ms = 1\nreattach_backoff_max_ms = 1\nannounce_period_ms = 1\nforbidden_mode = "
      "\"007\"\nenforce_permissions = true\nexpected_uid = 0\n"
      "[producer]\nstream_id = 1\nproducer_id = 0\npublish_mode = \"require_existing\"\nexpected_layout_version = "
      "0\nrequire_hugepages = \"standard\"\nqos_interval_ms = 1\n"
      "[consumer]\nstream_id = 4294967294\nconsumer_id = 1\nmax_outstanding_seq_gap = 0\nannounce_freshness_ms = "
      "1\nhello_interval_ms = 1\n";
  EXPECT_EQ(check(text).exit, 0);
  const ConfigValue file = read_toml_file(file_);
  const client::Environment none = [](const std::string&) { return std::optional<std::string>(); };
  EXPECT_NO_THROW(client_options({}, file, none));
  EXPECT_NO_THROW(producer_options("", file, none));
  EXPECT_NO_THROW(consumer_options("", file, none));
}

}  // namespace
}  // namespace tidepool::cli::config_check_test

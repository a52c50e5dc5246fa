#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tidepool/base/clock.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/test_command.h"
#include "tidepool/client/client.h"

namespace tidepool::cli::test::up_test {
namespace {

using ::testing::HasSubstr;

class UpTest : public ::testing::Test {
 protected:
  std::string path() const { return directory_ / "lab.toml"; }
  void write(const std::string& text) { write_file(path(), text); }
  std::string shm() const { return "[shm]\nbase_dir = \"" + directory_.path() + "\"\n"; }
  static constexpr const char* kStream =
      "[profiles.small]\nheader_nslots = 8\npayload_pools = [{ pool_id = 1, stride_bytes = 4096 }]\n[streams.one]\nstream_id = 10000\nprofile = \"small\"\n";

  WithEnvironment log_{"TIDEPOOL_LOG", "error"}, aeron_{"AERON_DIR", nullptr}, driver_{"DRIVER_AERON_DIR", nullptr};
  TemporaryDirectory directory_{"/dev/shm"};
};

TEST_F(UpTest, RunsMediaDriverDriverAndSupervisorInOneProcess) {  // config.md 3, D-69, P-12
  const std::string aeron_dir = directory_ / "aeron";
  write("[aeron]\nembedded = true\ndir = \"" + aeron_dir + "\"\n[driver]\ninstance_id = \"up\"\n" + shm() + kStream + "[supervisor]\nforce_mode = 1\n");
  Ran ran;
  std::thread command([&] { ran = run({"up", path(), "--json"}); });
  {
    client::ClientOptions options;
    options.aeron_dir = aeron_dir;
    options.attach_timeout_ms = 30'000;
    options.map_policy.allowed_base_dirs = {directory_.path()};
    client::Client client = client::Client::connect(options);
    client::Producer producer = client.producer({.stream = "10000"});
    client::ConsumerOptions follow;
    follow.hello_interval_ms = 10;
    client::Consumer consumer = client.consumer(follow);
    const wire::TensorHeader tensor = wire::contiguous(wire::DType::u8, std::array<int32_t, 1>{8});
    const std::byte payload[8] = {};
    const uint64_t deadline_ns = monotonic_ns() + 30 * kNsPerSecond;
    auto seen = client::PollResult::kEmpty;
    while (seen != client::PollResult::kFrame && monotonic_ns() < deadline_ns) {
      EXPECT_EQ(producer.offer(tensor, payload), pool::ClaimError::kNone);
      seen = consumer.wait(std::chrono::milliseconds(5));
    }
    EXPECT_EQ(seen, client::PollResult::kFrame);
  }
  request_stop();
  command.join();
  EXPECT_EQ(ran.exit, 0) << ran.err;
  const auto json = ran.json();
  EXPECT_EQ(json["driver"]["attach_responses"]["ok"], 2);
  EXPECT_GE(json["supervisor"]["hellos"], 1);
  EXPECT_EQ(json["supervisor"]["configs_sent"], 0);  // the driver answers
}

TEST_F(UpTest, NamesEveryProblemOfEveryRoleBeforeItStartsAny) {  // CFG-1, CFG-16
  write("[driver]\ncontrol_stream_id = \"x\"\n" + shm() + kStream + "[supervisor]\nforce_mode = 7\n");
  const Ran ran = run({"up", path()});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_THAT(ran.err, HasSubstr("lab.toml:2: driver.control_stream_id"));
  EXPECT_THAT(ran.err, HasSubstr("supervisor.force_mode is 7: expected 0 to 2"));
}

TEST_F(UpTest, SaysWhatIsMissingFromAFileWithoutARole) {
  write("[client]\n");
  const Ran ran = run({"up", path()});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_THAT(ran.err, HasSubstr("names no role: expected a table [driver]"));
}

TEST_F(UpTest, TakesAFlagOverTheFileForEveryRole) {  // P-12
  write(std::string("[driver]\ncontrol_stream_id = 1500\n") + shm() + kStream + "[supervisor]\ncontrol_stream_id = 1600\n");
  const Ran ran = run({"up", path(), "--check", "--control-stream", "1700", "--json"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.json()["values"]["driver.control_stream_id"]["value"], "1700");
}

TEST_F(UpTest, ChecksTheExamples) {
  for (const char* example : {"minimal.toml", "full.toml", "driver.toml"}) {
    const Ran ran = run({"up", std::string(TIDEPOOL_SOURCE_DIR) + "/examples/" + example, "--check"});
    EXPECT_EQ(ran.exit, 0) << example << ": " << ran.err;
    EXPECT_EQ(ran.err, "") << example;
  }
}

}  // namespace
}  // namespace tidepool::cli::test::up_test

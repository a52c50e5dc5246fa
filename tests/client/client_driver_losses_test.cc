// Client and driver together: refusals, every loss, and that all come back by themselves; the examples; what is left behind.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "driver_lab.h"
#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/process.h"
#include "tidepool/base/test_error.h"
#include "tidepool/client.h"
#include "tidepool/services/driver/driver.h"
#include "tidepool/transport/test_counters.h"
#include "tidepool/transport/test_media_driver.h"

namespace tidepool {
namespace {

using namespace driver_lab;
using ::testing::AllOf;
using ::testing::HasSubstr;

// ---- refusals ------------------------------------------------------------------------------------------------------------

TEST(ClientWithDriverTest, ASecondProducerIsRefusedAndWelcomeWhenTheFirstHasGone) {  // W-35, D-22, D-65, P-13
  const Lab lab;
  Client client = lab.connect();
  std::optional<Producer> first(client.producer());
  client::ClientOptions hasty = lab.options();
  hasty.attach_timeout_ms = 300;
  Client other = Client::connect(hasty);
  const Error error = thrown_by([&] { (void)other.producer(); });
  EXPECT_EQ(error.code(), Code::kRejected);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("cannot attach to stream 10000 as its producer: the driver refused (rejected): producer already attached\n"),
                                  HasSubstr("one producer at a time")));
  EXPECT_EQ(publish(*first), CommitResult::kOk) << "nothing happened to the first";
  first.reset();
  Producer second = lab.connect().producer();
  EXPECT_EQ(publish(second), CommitResult::kOk);
}

TEST(ClientWithDriverTest, AStreamThatTheDriverDoesNotKnowIsRefusedAtOnce) {  // D-8
  const Lab lab;
  Client client = lab.connect();
  const Error error = thrown_by([&] { (void)client.consumer({.stream = "10555"}); });
  EXPECT_EQ(error.code(), Code::kRejected);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("stream not provisioned"), HasSubstr("[streams.NAME]")));
}

TEST(ClientWithDriverTest, WithoutADriverTheErrorSaysWhatWasFound) {  // P-13
  Lab lab(false);
  lab.start_media_driver();
  client::ClientOptions hasty = lab.options();
  hasty.attach_timeout_ms = 200;
  Client client = Client::connect(hasty);
  const Error error = thrown_by([&] { (void)client.producer(); });
  EXPECT_EQ(error.code(), Code::kUnavailable);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("cannot attach to stream 10000: no driver answered within 200 ms"), HasSubstr("is alive (heartbeat"),
                                  HasSubstr("tidepool driver --config FILE")));
}

TEST(ClientWithDriverTest, OutsideTheAllowedDirectoriesNothingIsMapped) {  // W-24, D-54
  const Lab lab;
  const TestDir elsewhere;
  client::ClientOptions strict = lab.options();
  strict.map_policy.allowed_base_dirs = {elsewhere.path()};
  Client client = Client::connect(strict);
  const Error error = thrown_by([&] { (void)client.consumer(); });
  EXPECT_EQ(error.code(), Code::kPermission);
  EXPECT_THAT(error.what(), HasSubstr("allowed_base_dirs"));
  ASSERT_TRUE(poll_until([&] { return lab.driver->locked([](auto& d) { return d.leases().empty(); }); })) << "the lease was given back";
}

TEST(ClientWithDriverTest, OneProcessMayHoldManyLeases) {  // D-52, D-66
  const Lab lab;
  Client client = lab.connect();
  Producer one = client.producer();
  Producer two = client.producer({.stream = "10001"});
  Consumer of_one = client.consumer();
  Consumer of_two = client.consumer({.stream = "10001"});
  ASSERT_TRUE(meet(one, of_one));
  ASSERT_TRUE(meet(two, of_two));
  EXPECT_EQ(lab.driver->locked([](auto& d) { return d.leases().size(); }), 4u);
  EXPECT_EQ(of_two.frame().stream_id(), 10001u) << "though all share one descriptor stream (W-10)";
}

// ---- losses --------------------------------------------------------------------------------------------------------------

TEST_P(BothWays, AConsumerFollowsFromProducerToProducer) {  // W-59, D-59, R-04
  const Lab lab;
  Client client = lab.connect();
  Consumer consumer = client.consumer(following());
  uint64_t epoch = 0;
  for (int i = 0; i < 5; ++i) {
    Client producing = lab.connect();
    Producer producer = producing.producer();
    EXPECT_GT(producer.epoch(), epoch);
    EXPECT_EQ(producer.next_seq(), 0u);
    epoch = producer.epoch();
    ASSERT_TRUE(meet(producer, consumer)) << i << ": " << consumer.status_text();
    EXPECT_TRUE(holds(consumer.frame().bytes(), consumer.frame().seq()));
  }
  EXPECT_GE(consumer.counters().remaps, 5u);
}

TEST_P(BothWays, ADriverThatIsRestartedIsFollowedToAHigherEpoch) {  // D-61, driver.md 14
  Lab lab;
  Client client = lab.connect();
  Consumer consumer = client.consumer(following());
  Producer producer = client.producer();
  ASSERT_TRUE(meet(producer, consumer));
  const uint64_t epoch = producer.epoch();
  auto claim = producer.claim(kFrame);
  ASSERT_TRUE(claim);
  lab.driver.reset();  // its notice ends all leases
  ASSERT_TRUE(poll_until([&] { return producer.state() != State::kAttached && consumer.poll() == PollResult::kDetached; }));
  EXPECT_EQ(producer.commit(*claim), CommitResult::kDetached);
  EXPECT_EQ(producer.claim(kFrame).error(), ClaimError::kDetached);
  lab.start_driver();
  ASSERT_TRUE(meet(producer, consumer)) << producer.status_text() << "; " << consumer.status_text();
  EXPECT_GT(producer.epoch(), epoch);
  EXPECT_GE(producer.counters().attaches, 2u);
}

TEST_P(BothWays, ADriverThatDiesWithoutAWordIsFoundOutBySilence) {  // D-61
  Lab lab;
  Client client = lab.connect();
  Consumer consumer = client.consumer(following());
  Producer producer = client.producer();
  ASSERT_TRUE(meet(producer, consumer));
  const uint64_t epoch = producer.epoch();
  // Both have heard it once; only then does silence count.
  const auto announces = [&] { return lab.driver->locked([](auto& d) { return d.counts().announces; }); };
  const uint64_t before = announces();
  ASSERT_TRUE(poll_until([&] { return announces() >= before + 4; }));
  lab.driver->freeze();
  ASSERT_TRUE(poll_until([&] { return producer.state() != State::kAttached && consumer.state() != State::kAttached; }));
  driver::DriverConfig next = lab.config("next");  // the frozen one still holds its namespace
  DriverAtWork successor(next);
  ASSERT_TRUE(meet(producer, consumer)) << producer.status_text() << "; " << consumer.status_text();
  EXPECT_GT(producer.epoch(), epoch);
}

TEST_P(BothWays, ADriverThatIsReplacedAtOnceTellsThatItDoesNotKnowTheLease) {  // D-58, D-28
  Lab lab;
  Client client = lab.connect();
  Consumer consumer = client.consumer(following());
  Producer producer = client.producer();
  ASSERT_TRUE(meet(producer, consumer));
  const uint64_t epoch = producer.epoch();
  lab.driver->freeze();
  DriverAtWork successor(lab.config("next"));
  ASSERT_TRUE(poll_until([&] { return producer.epoch() > epoch && consumer.epoch() > epoch; })) << producer.status_text();
  ASSERT_TRUE(meet(producer, consumer));
}

TEST_P(BothWays, AMediaDriverThatIsRestartedTakesNothingForGood) {  // driver.md 14
  Lab lab;
  Client client = lab.connect();
  Consumer consumer = client.consumer(following());
  Producer producer = client.producer();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(meet(producer, consumer)) << producer.status_text() << "; " << consumer.status_text();
    const uint64_t epoch = producer.epoch();
    lab.media.reset();
    ASSERT_TRUE(poll_until([&] { return producer.state() == State::kConnecting && consumer.poll() == PollResult::kDetached; })) << producer.status_text();
    EXPECT_EQ(producer.claim(kFrame).error(), ClaimError::kDetached);
    lab.start_media_driver();
    ASSERT_TRUE(poll_until([&] { return producer.epoch() > epoch; })) << producer.status_text();
  }
  ASSERT_TRUE(meet(producer, consumer)) << producer.status_text() << "; " << consumer.status_text();
}

TEST(ClientWithDriverTest, AProducerWhoseConductorStandsStillLosesItsLeaseAndWritesNothingMore) {  // D-57, D-58, P-4
  Lab lab(false);
  lab.start_media_driver();
  Client client = lab.connect_undriven();
  Producer producer = client.producer();
  const uint64_t epoch = producer.epoch();
  auto claim = producer.claim(kFrame);
  // Nobody polls: the driver ends the lease.
  ASSERT_TRUE(lab.ends_all_leases());
  EXPECT_EQ(producer.claim(kFrame).error(), ClaimError::kDetached);
  if (claim) {
    fill(claim->bytes(), 7);
    EXPECT_EQ(producer.commit(*claim), CommitResult::kDetached);
  }
  ASSERT_TRUE(poll_until([&] {
    client.poll();
    return producer.epoch() > epoch && publish(producer) == CommitResult::kOk;
  })) << producer.status_text();
}

TEST(ClientWithDriverTest, AConsumerWhoseConductorStandsStillComesBack) {  // D-57, D-58
  Lab lab(false);
  lab.start_media_driver();
  Client client = lab.connect_undriven();
  Consumer consumer = client.consumer();
  ASSERT_TRUE(lab.ends_all_leases());
  ASSERT_TRUE(poll_until([&] {
    client.poll();
    return consumer.poll() == PollResult::kDetached;
  }));
  ASSERT_TRUE(poll_until([&] {
    client.poll();
    return consumer.poll() == PollResult::kEmpty;
  })) << consumer.status_text();
}

TEST(ClientWithDriverTest, AStreamMayBeTheDriversChoice) {  // driver.md 12
  Lab lab(false);
  lab.start_media_driver();
  driver::DriverConfig config = lab.config();
  config.allow_dynamic_streams = true;
  config.stream_id_range = {{20000, 20009}};
  lab.driver = std::make_unique<DriverAtWork>(config);
  Client client = lab.connect();
  Producer producer = client.producer({.stream = "0"});
  EXPECT_GE(producer.stream_id(), 20000u);
  EXPECT_LE(producer.stream_id(), 20009u);
  Consumer consumer = client.consumer({.stream = std::to_string(producer.stream_id())});
  ASSERT_TRUE(meet(producer, consumer));
}

// ---- the examples --------------------------------------------------------------------------------------------------------

#ifdef TIDEPOOL_EXAMPLE_PRODUCE
// A program of its own that finds this lab by its environment (P-12).
pid_t run(const Lab& lab, const char* program, std::vector<std::string> arguments, const std::string& output) {
  arguments.insert(arguments.begin(), program);
  std::vector<std::string> environment = {
      "CLIENT_AERON_DIR=" + lab.directory.aeron(),        "CLIENT_ALLOWED_BASE_DIRS=" + lab.directory.path(),
      concat("CLIENT_CONTROL_CHANNEL=", kChannel),        concat("CLIENT_ANNOUNCE_PERIOD_MS=", kPeriodMs),
      concat("CLIENT_KEEPALIVE_INTERVAL_MS=", kPeriodMs), "CLIENT_ATTACH_TIMEOUT_MS=30000",
      "PRODUCER_SHM_BASE_DIR=" + lab.directory.path()};
  for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH"}) {
    if (const char* value = ::getenv(name)) environment.push_back(concat(name, "=", value));
  }
  std::vector<char*> argv, envp;
  for (auto& text : arguments) argv.push_back(text.data());
  for (auto& text : environment) envp.push_back(text.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = -1;
  EXPECT_EQ(::posix_spawn(&pid, program, &actions, nullptr, argv.data(), envp.data()), 0);
  ::posix_spawn_file_actions_destroy(&actions);
  return pid;
}
int exit_code(pid_t pid) {
  int status = 0;
  if (!poll_until([&] { return ::waitpid(pid, &status, WNOHANG) == pid; })) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, &status, 0);
    return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ExamplesTest, ProduceAndConsumeUnderstandEachOther) {  // P-12
  Lab lab(false);
  lab.start_media_driver();
  driver::DriverConfig config = lab.config();
  config.profiles.push_back({"camera", {.slot_count = 8, .pools = {{.pool_id = 1, .stride_bytes = 1 << 20}}}});
  config.streams.push_back({"front", 10010, "camera"});
  lab.driver = std::make_unique<DriverAtWork>(config);
  const std::string produced = lab.directory.path() + "/produced", consumed = lab.directory.path() + "/consumed";
  const pid_t producer = run(lab, TIDEPOOL_EXAMPLE_PRODUCE, {"10010"}, produced);
  const pid_t consumer = run(lab, TIDEPOOL_EXAMPLE_CONSUME, {"10010", "20"}, consumed);
  EXPECT_EQ(exit_code(consumer), 0) << text_of(consumed);
  ::kill(producer, SIGKILL);
  ::waitpid(producer, nullptr, 0);
  EXPECT_THAT(text_of(consumed), HasSubstr(": 614400 bytes, mean "));
}

TEST(ExamplesTest, ADeviceFillsSlotsThatItWasTold) {  // W-41, P-1, issue 4
  Lab lab(false);
  lab.start_media_driver();
  const std::string produced = lab.directory.path() + "/produced";
  const pid_t device = run(lab, TIDEPOOL_EXAMPLE_DEVICE, {"10000"}, produced);
  {
    Client client = lab.connect();
    Consumer consumer = client.consumer({.announce_only = true});
    for (int frames = 0; frames < 40; ++frames) {
      ASSERT_TRUE(poll_until([&] { return consumer.wait(100ms) == PollResult::kFrame; }))
          << consumer.status_text() << text_of(produced);
      const Bytes bytes = consumer.frame().bytes();
      ASSERT_EQ(bytes.size(), 614400u);
      EXPECT_TRUE(bytes[0] == bytes[614399] || !consumer.frame().still_valid());
    }
  }
  ::kill(device, SIGKILL);
  ::waitpid(device, nullptr, 0);
}

TEST(ExamplesTest, SayWhatIsWrong) {  // R-15, P-13
  const Lab lab;
  const std::string said = lab.directory.path() + "/said";
  EXPECT_EQ(exit_code(run(lab, TIDEPOOL_EXAMPLE_PRODUCE, {"10000"}, said)), 1);
  EXPECT_THAT(text_of(said), HasSubstr("needs a stride of 1048576 bytes"));
  EXPECT_EQ(exit_code(run(lab, TIDEPOOL_EXAMPLE_CONSUME, {"10555"}, said)), 1);
  EXPECT_THAT(text_of(said), HasSubstr("stream not provisioned"));
}
#endif

// ---- leaks ---------------------------------------------------------------------------------------------------------------

size_t mapped_regions() {
  size_t count = 0;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    count += line.find("/header.ring") != std::string::npos || line.find(".pool") != std::string::npos;
  }
  return count;
}
size_t open_files() {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) count += entry.is_symlink();
  return count;
}

TEST(ClientWithDriverTest, AHundredProducersLeaveNothingBehind) {  // R-04, P-8, D-65
  const Lab lab;
  Client client = lab.connect();
  Consumer consumer = client.consumer();
  size_t regions = 0, files = 0;
  for (int i = 0; i < 100; ++i) {
    {
      Producer producer = client.producer();
      ASSERT_EQ(publish(producer), CommitResult::kOk);
      // Followed to the last one's epoch: what is held of the others is let go.
      ASSERT_TRUE(poll_until([&] { return consumer.poll() != PollResult::kDetached && consumer.epoch() == producer.epoch(); }));
    }
    if (i == 10) {
      regions = mapped_regions();
      files = open_files();
    }
  }
  ASSERT_TRUE(poll_until([&] {
    (void)consumer.poll();
    return mapped_regions() <= regions;
  })) << mapped_regions() << " regions mapped, " << regions << " after the tenth";
  EXPECT_LE(open_files(), files);
  EXPECT_EQ(lab.driver->locked([](auto& d) { return d.leases().size(); }), 1u) << "the consumer's";
  size_t epochs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(lab.stream_path())) epochs += entry.is_directory();
  EXPECT_LE(epochs, 4u);
}

}  // namespace
}  // namespace tidepool

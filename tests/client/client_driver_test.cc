// Client and driver together, over a media driver and shared memory of the test's own: every order of starting, every loss,
// and that all come back by themselves. The client alone, against peers that say odd things: src/tidepool/client/.

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

using namespace std::chrono_literals;
using transport::testing::poll_until;
using transport::testing::TestDir;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kChannel = "aeron:ipc?term-length=1m";
constexpr uint32_t kStream = 10000;
constexpr uint32_t kSlots = 64;
// Leases live 5 s here and silence is long, so that a busy machine ends none of them; tests about the end say otherwise.
constexpr uint32_t kPeriodMs = 250;
constexpr uint64_t kMediaDriverTimeoutMs = 2'000;

// A driver on a thread of its own, which may be frozen as a crash would.
class DriverAtWork {
 public:
  template <typename Look>
  auto locked(Look&& look) {
    const std::lock_guard lock(mutex_);
    return look(driver_);
  }
  explicit DriverAtWork(const driver::DriverConfig& config)
      : driver_(config, SystemClock::instance(), {.media_driver_timeout_ms = kMediaDriverTimeoutMs}), thread_([this](const std::stop_token& stop) {
          Idler idler(Idle::kBackoff);
          while (!stop.stop_requested()) idler.idle(frozen_ ? 0 : locked([](driver::Driver& d) { return d.poll(); }));
        }) {}
  void freeze() { frozen_ = true; }
 private:
  std::mutex mutex_;
  driver::Driver driver_;
  std::atomic<bool> frozen_{false};
  std::jthread thread_;
};

class Lab {
 public:
  explicit Lab(bool start = true) {
    if (!start) return;
    start_media_driver();
    start_driver();
  }
  ~Lab() {
    driver.reset();
    media.reset();
  }
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  void start_media_driver() { media = std::make_unique<transport::MediaDriver>(transport::testing::driver_options(directory.aeron())); }
  driver::DriverConfig config(const std::string& name_space = "default") const {
    driver::DriverConfig out;
    out.aeron_dir = directory.aeron();
    out.control_channel = kChannel;
    out.qos_channel = kChannel;
    out.base_dir = directory.path();
    out.name_space = name_space;
    out.announce_period_ms = kPeriodMs;
    out.lease_keepalive_interval_ms = kPeriodMs;
    out.lease_expiry_grace_intervals = 20;
    out.node_id_reuse_cooldown_ms = 0;
    out.epoch_gc_min_age_ns = 1;
    out.prefault_shm = false;
    out.shutdown_timeout_ms = 1;
    out.profiles = {{"small", {.slot_count = kSlots, .pools = {{.pool_id = 1, .stride_bytes = 1024}, {.pool_id = 2, .stride_bytes = 65536}}}}};
    out.streams = {{"cam1", kStream, "small"}, {"cam2", kStream + 1, "small"}};
    return out;
  }
  void start_driver() { driver = std::make_unique<DriverAtWork>(config()); }

  client::ClientOptions options() const {
    client::ClientOptions out;
    out.aeron_dir = directory.aeron();
    out.control = {kChannel, 1000};
    out.announce = {kChannel, 1000};
    out.descriptor = {kChannel, 1100};
    out.qos = {kChannel, 1200};
    out.metadata = {kChannel, 1300};
    out.attach_timeout_ms = 30'000;
    out.attach_retry_interval_ms = 50;
    out.keepalive_interval_ms = kPeriodMs;
    out.announce_period_ms = kPeriodMs;
    out.reattach_backoff_min_ms = 20;
    out.reattach_backoff_max_ms = 100;
    out.media_driver_timeout_ms = kMediaDriverTimeoutMs;
    out.map_policy.allowed_base_dirs = {directory.path()};
    return out;
  }
  Client connect() const { return Client::connect(options()); }
  std::string stream_path(const std::string& name_space = "default") const {
    return concat(directory.path(), "/tensorpool-", sanitised_user_name(), "/", name_space, "/", kStream);
  }

  TestDir directory;
  std::unique_ptr<transport::MediaDriver> media;
  std::unique_ptr<DriverAtWork> driver;
};

// Every 8 bytes tell frame and place.
void fill(MutableBytes to, uint64_t seq) {
  for (size_t at = 0; at + 8 <= to.size(); at += 8) {
    const uint64_t word = seq * 0x9E3779B97F4A7C15u + at;
    std::memcpy(to.data() + at, &word, sizeof word);
  }
}
::testing::AssertionResult holds(Bytes bytes, uint64_t seq) {
  for (size_t at = 0; at + 8 <= bytes.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    if (word != seq * 0x9E3779B97F4A7C15u + at) return ::testing::AssertionFailure() << "frame " << seq << " differs at byte " << at;
  }
  return ::testing::AssertionSuccess();
}

const wire::TensorHeader kFrame = wire::contiguous(DType::u16, std::vector<int32_t>{16, 16});

CommitResult publish(Producer& producer) {
  auto claim = producer.claim(kFrame);
  if (!claim) return CommitResult::kDetached;
  fill(claim->bytes(), claim->seq());
  return producer.commit(*claim);
}

// Publishes now and then until the consumer sees a frame of the producer's epoch. True when it did.
bool meet(Producer& producer, Consumer& consumer) {
  return poll_until([&] {
    (void)publish(producer);
    return consumer.wait(2ms) == PollResult::kFrame && consumer.frame().epoch() == producer.epoch();
  });
}

// Takes everything that is there.
void drain(Consumer& consumer) {
  for (auto result = consumer.poll(); result == PollResult::kFrame || result == PollResult::kDropped; result = consumer.poll()) {
  }
}

class BothWays : public ::testing::TestWithParam<Follow> {
 protected:
  ConsumerOptions following() const { return {.follow = GetParam()}; }
};
INSTANTIATE_TEST_SUITE_P(ClientWithDriver, BothWays, ::testing::Values(Follow::kDescriptors, Follow::kRing),
                         [](const auto& way) { return std::string(way.param == Follow::kRing ? "Ring" : "Descriptors"); });

// ---- attach ----------------------------------------------------------------------------------------------------------------

TEST(ClientWithDriverTest, AnEpochThatTakesLongerThanTheAttachTimeOutIsMadeOnceAndServed) {  // D-17, D-56, driver.md 5.4
  Lab lab(false);
  lab.start_media_driver();
  auto config = lab.config();
  config.prefault_shm = true;
  // Hundreds of megabytes to touch: far longer than the 30 ms of an attempt.
  config.profiles.push_back({"vast", {.slot_count = 64, .pools = {{.pool_id = 1, .stride_bytes = 4 << 20}}}});
  config.streams = {{"cam1", kStream, "vast"}};
  lab.driver = std::make_unique<DriverAtWork>(config);
  auto options = lab.options();
  options.attach_timeout_ms = 30;
  options.attach_retry_interval_ms = 10;
  options.wait = true;
  Client client = Client::connect(options);
  Producer producer = client.producer();
  EXPECT_EQ(producer.counters().attaches, 1u);
  lab.driver->locked([&](driver::Driver& driver) {
    EXPECT_EQ(driver.counts().epochs_created, 1u);
    EXPECT_EQ(driver.counts().detach_responses, 0u);
    EXPECT_EQ(driver.leases().size(), 1u);
  });
}

// ---- frames --------------------------------------------------------------------------------------------------------------

TEST_P(BothWays, EveryFrameArrivesAsItWasWritten) {  // W-36, W-42, W-52
  const Lab lab;
  Client producing = lab.connect();
  Client consuming = lab.connect();
  Consumer consumer = consuming.consumer(following());
  Producer producer = producing.producer();
  ASSERT_TRUE(meet(producer, consumer));
  drain(consumer);
  const auto before = consumer.counters();
  std::vector<std::byte> copy(65536);
  for (int i = 0; i < 500; ++i) {
    const uint64_t seq = producer.next_seq();
    ASSERT_EQ(publish(producer), CommitResult::kOk);
    ASSERT_TRUE(poll_until([&] { return consumer.wait(100ms) == PollResult::kFrame; }));
    const FrameView& frame = consumer.frame();
    ASSERT_EQ(frame.seq(), seq);
    ASSERT_EQ(frame.epoch(), producer.epoch());
    ASSERT_EQ(frame.bytes().size(), 512u);
    ASSERT_EQ(frame.tensor().dims[1], 16);
    ASSERT_TRUE(frame.copy_to(copy));
    ASSERT_TRUE(holds(Bytes(copy).first(512), seq));
    ASSERT_TRUE(frame.still_valid());
  }
  EXPECT_EQ(consumer.counters().frames, before.frames + 500);
  EXPECT_EQ(consumer.counters().drops.drops_gap, before.drops.drops_gap);
  EXPECT_EQ(consumer.counters().drops.drops_late, before.drops.drops_late);
}

// Every file of the stream with its size, identity and superblock but for the activity (the last 8 of its 64 bytes).
std::map<std::string, std::string> files_of(const std::string& stream_path) {
  std::map<std::string, std::string> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(stream_path)) {
    if (!entry.is_regular_file()) continue;
    struct stat status {};
    EXPECT_EQ(::stat(entry.path().c_str(), &status), 0);
    std::string superblock(56, '\0');
    const bool region = entry.path().filename() != "doorbell";
    if (region) std::ifstream(entry.path(), std::ios::binary).read(superblock.data(), 56);
    out[entry.path()] = concat(status.st_size, " ", status.st_ino, " ", status.st_mode, " ", status.st_uid, " ", superblock);
  }
  return out;
}

TEST_P(BothWays, FilesAndSuperblocksStayAsTheDriverMadeThem) {  // D-64, W-30, W-62
  const Lab lab;
  Client client = lab.connect();
  Consumer consumer = client.consumer(following());
  Producer producer = client.producer();
  ASSERT_TRUE(meet(producer, consumer));
  const auto before = files_of(lab.stream_path());
  EXPECT_GE(before.size(), 4u);  // header ring, two pools, doorbell; perhaps an epoch that has passed
  const auto attaches = producer.counters().attaches;
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(publish(producer), CommitResult::kOk);
    (void)consumer.wait(1ms);
  }
  const uint64_t epoch = producer.epoch();
  auto after = files_of(lab.stream_path());
  // Old epochs may be collected meanwhile, by the driver.
  for (const auto& [path, what] : after) {
    ASSERT_TRUE(before.contains(path)) << path;
    EXPECT_EQ(before.at(path), what) << path;
  }
  EXPECT_TRUE(after.contains(concat(lab.stream_path(), "/", epoch, "/header.ring")));
  EXPECT_EQ(producer.counters().attaches, attaches);
}

TEST_P(BothWays, WhatRolesCountShowsInTheMediaDriversCounters) {  // operations.md 3; docs/formats/counters.md
  const Lab lab;
  // Somebody must listen for QoS, or none is published.
  const auto ears = transport::Connection::open(transport::testing::connection_options(lab.directory.aeron()));
  const auto qos = ears->add_subscription(kChannel, 1200);
  Client client = lab.connect();
  Consumer consumer = client.consumer({.follow = GetParam(), .client_id = 70'001});
  Producer producer = client.producer({.client_id = 131'072});  // its low 15 bits are 0
  ASSERT_TRUE(meet(producer, consumer));
  drain(consumer);
  // More than the ring holds: the consumer loses some.
  for (int i = 0; i < 200; ++i) ASSERT_EQ(publish(producer), CommitResult::kOk);
  const uint64_t last = producer.next_seq() - 1;
  ASSERT_TRUE(poll_until([&] { return consumer.poll() == PollResult::kFrame && consumer.frame().seq() == last; }));
  const std::string producer_name = concat("Producer stream=", kStream, " instance=131072");
  const std::string consumer_name = concat("Consumer stream=", kStream, " instance=70001");
  const auto value = [&](const std::string& name, const char* label) {
    return transport::testing::counter_value(lab.directory.aeron(), name, label);
  };
  const auto published = static_cast<int64_t>(producer.counters().frames);
  const auto drops = consumer.counters().drops;
  ASSERT_TRUE(poll_until([&] {
    ears->poll();
    qos->poll([](Bytes, const transport::MessageInfo&) {}, 10);
    return value(producer_name, "FramesPublished") == published &&
           value(consumer_name, "DropsGap") == static_cast<int64_t>(drops.drops_gap) &&
           value(consumer_name, "DropsLate") == static_cast<int64_t>(drops.drops_late) && value(consumer_name, "HelloPublished") >= 1 &&
           value(consumer_name, "QosPublished") >= 1 && value(producer_name, "QosPublished") >= 1;
  }));
  EXPECT_GT(drops.drops_gap + drops.drops_late, 0u);
  const auto of_producer = transport::testing::counters_named(lab.directory.aeron(), producer_name);
  const auto of_consumer = transport::testing::counters_named(lab.directory.aeron(), consumer_name);
  ASSERT_EQ(of_producer.size(), 11u);
  ASSERT_EQ(of_consumer.size(), 13u);
  for (size_t i = 0; i < of_producer.size(); ++i) EXPECT_EQ(of_producer[i].type_id, static_cast<int32_t>(32766u << 16 | (i + 1)));
  for (size_t i = 0; i < of_consumer.size(); ++i)
    EXPECT_EQ(of_consumer[i].type_id, static_cast<int32_t>((70'001u & 0x7FFF) << 16 | (i + 1)));
  EXPECT_EQ(of_producer[2].label, concat("FramesPublished: NodeId=32766 Name=", producer_name));
  EXPECT_EQ(of_producer[2].key_id, 131'072u);
  EXPECT_EQ(of_consumer[0].key_name, consumer_name);
  EXPECT_EQ(value(consumer_name, "Remaps"), static_cast<int64_t>(consumer.counters().remaps));
  EXPECT_EQ(value(consumer_name, "DropsLate"), value(consumer_name, "DropsOdd") + value(consumer_name, "DropsChanged") +
                                                   value(consumer_name, "DropsFrameIdMismatch") +
                                                   value(consumer_name, "DropsHeaderInvalid") +
                                                   value(consumer_name, "DropsPayloadInvalid"));
}

TEST_P(BothWays, AStalledConsumerLosesFramesCountsEachOnceAndHoldsNobodyUp) {  // W-82, W-84, W-53, P-6, R-07
  const Lab lab;
  Client client = lab.connect();
  Consumer stalled = client.consumer(following());
  Consumer attentive = client.consumer(following());
  Producer producer = client.producer();
  ASSERT_TRUE(meet(producer, stalled) && meet(producer, attentive));
  drain(stalled);
  drain(attentive);
  const auto before = stalled.counters();
  const auto attentive_before = attentive.counters();
  const uint64_t first = producer.next_seq();
  constexpr uint64_t kFrames = 500;
  uint64_t attentive_frames = 0;
  for (uint64_t i = 0; i < kFrames; ++i) {
    ASSERT_EQ(publish(producer), CommitResult::kOk);
    ASSERT_TRUE(poll_until([&] { return attentive.poll() == PollResult::kFrame; }));
    ++attentive_frames;
  }
  EXPECT_EQ(attentive_frames, kFrames);
  EXPECT_EQ(attentive.counters().drops.drops_gap + attentive.counters().drops.drops_late,
            attentive_before.drops.drops_gap + attentive_before.drops.drops_late);

  uint64_t last = first;
  ASSERT_TRUE(poll_until([&] {
    if (stalled.poll() == PollResult::kFrame) {
      EXPECT_TRUE(holds(stalled.frame().bytes(), stalled.frame().seq()));
      last = stalled.frame().seq();
    }
    return last == first + kFrames - 1;
  }));
  const auto after = stalled.counters();
  const uint64_t frames = after.frames - before.frames;
  const uint64_t gap = after.drops.drops_gap - before.drops.drops_gap;
  const uint64_t late = after.drops.drops_late - before.drops.drops_late;
  EXPECT_EQ(frames, kSlots) << "as many as the ring holds";
  EXPECT_EQ(frames + gap + late, kFrames);
}

TEST_P(BothWays, AParkedConsumerIsWokenByItsProducer) {  // P-3, R-41
  const Lab lab;
  Client client = lab.connect();
  Consumer consumer = client.consumer(following());
  Producer producer = client.producer();
  ASSERT_TRUE(meet(producer, consumer));
  drain(consumer);

  // The doorbell says that somebody is parked: docs/formats/doorbell.md.
  const int fd = ::open((lab.stream_path() + "/doorbell").c_str(), O_RDONLY);
  ASSERT_GE(fd, 0);
  auto* const page = static_cast<std::byte*>(::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0));
  ::close(fd);
  ASSERT_NE(page, MAP_FAILED);
  const auto parked_until = [&] { return std::atomic_ref(*reinterpret_cast<uint64_t*>(page + 128)).load(); };
  const auto rings = [&] { return std::atomic_ref(*reinterpret_cast<uint32_t*>(page + 64)).load(); };

  for (int i = 0; i < 20; ++i) {
    std::atomic<bool> seen{false};
    const uint64_t seq = producer.next_seq();
    std::jthread waiting([&] { seen = poll_until([&] { return consumer.wait(30s) == PollResult::kFrame && consumer.frame().seq() == seq; }); });
    ASSERT_TRUE(poll_until([&] { return parked_until() > monotonic_ns(); }));
    const uint32_t rings_before = rings();
    ASSERT_EQ(publish(producer), CommitResult::kOk);
    EXPECT_EQ(rings(), rings_before + 1);
    waiting.join();
    EXPECT_TRUE(seen);
  }
  ::munmap(page, 4096);
}

TEST_P(BothWays, AConsumerOfAStreamWithoutAProducerStaysAttached) {  // W-62, W-63, D-41, D-61
  const Lab lab;
  Client client = lab.connect();
  Consumer consumer = client.consumer(following());
  const uint64_t epoch = consumer.epoch();
  ASSERT_NE(epoch, 0u);
  const uint64_t end = monotonic_ns() + 7 * kPeriodMs * kNsPerMs;  // longer than any patience with stale activity
  while (monotonic_ns() < end) ASSERT_EQ(consumer.wait(20ms), PollResult::kEmpty);
  EXPECT_EQ(consumer.epoch(), epoch);
  EXPECT_EQ(consumer.counters().remaps, 0u);
}

// ---- every order of starting ---------------------------------------------------------------------------------------------

class StartOrder : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(ClientWithDriver, StartOrder,
                         ::testing::Values("MDPC", "MDCP", "MPDC", "MCDP", "MPCD", "MCPD", "PMDC", "CMDP", "PCMD", "CPMD", "PMCD", "CMPD"),
                         [](const auto& order) { return std::string(order.param); });

TEST_P(StartOrder, EndsWithFramesArriving) {  // P-13, D-56: M media driver, D driver, P producer, C consumer
  Lab lab(false);
  std::atomic<bool> done{false};
  std::atomic<int> ready{0};
  client::ClientOptions options = lab.options();
  options.wait = true;
  options.keep_waiting = [&] {
    ++ready;  // waits, or has waited
    return !done;
  };
  std::vector<std::jthread> threads;
  const auto produce = [&] {
    Client client = Client::connect(options);
    Producer producer = client.producer();
    while (!done) {
      (void)publish(producer);
      std::this_thread::sleep_for(1ms);
    }
  };
  std::atomic<bool> arrived{false};
  const auto consume = [&] {
    Client client = Client::connect(options);
    Consumer consumer = client.consumer();
    arrived = poll_until([&] { return consumer.wait(10ms) == PollResult::kFrame && holds(consumer.frame().bytes(), consumer.frame().seq()); });
    done = true;
  };
  for (const char who : std::string(GetParam())) {
    const int before = ready;
    switch (who) {
      case 'M': lab.start_media_driver(); break;
      case 'D': lab.start_driver(); break;
      case 'P': threads.emplace_back(produce); break;
      case 'C': threads.emplace_back(consume); break;
    }
    // Who must wait for another is seen waiting, before that one comes.
    const bool blocks = who == 'P' || who == 'C';
    EXPECT_TRUE(!blocks || poll_until([&] { return ready != before; }));
  }
  threads.clear();
  EXPECT_TRUE(arrived);
}

class NoDriverStartOrder : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(ClientWithDriver, NoDriverStartOrder, ::testing::Values("MPC", "MCP", "PMC", "CMP", "PCM", "CPM"),
                         [](const auto& order) { return std::string(order.param); });

TEST_P(NoDriverStartOrder,
       EndsWithFramesArriving) {  // W-14, W-15, W-55, P-13: M media driver, P producer, C consumer; no driver at all
  Lab lab(false);
  std::atomic<bool> done{false}, arrived{false};
  std::atomic<int> ready{0};
  client::ClientOptions options = lab.options();
  options.wait = true;
  options.keep_waiting = [&] {
    ++ready;
    return !done;
  };
  std::vector<std::jthread> threads;
  for (const char who : std::string(GetParam())) {
    const int before = ready;
    switch (who) {
      case 'M': lab.start_media_driver(); break;
      case 'P':
        threads.emplace_back([&] {
          Client client = Client::connect(options);
          client::OwnPools pools{
              .slot_count = kSlots, .pools = {{.pool_id = 1, .stride_bytes = 1024}}, .base_dir = lab.directory.path()};
          Producer producer = client.producer({.own_pools = pools});
          while (!done) {
            (void)publish(producer);
            std::this_thread::sleep_for(1ms);
          }
        });
        break;
      case 'C':
        threads.emplace_back([&] {
          Client client = Client::connect(options);
          Consumer consumer = client.consumer({.announce_only = true});
          arrived = poll_until(
              [&] { return consumer.wait(10ms) == PollResult::kFrame && holds(consumer.frame().bytes(), consumer.frame().seq()); });
          done = true;
        });
        break;
    }
    // Who must wait for another is seen waiting, before that one comes.
    EXPECT_TRUE(who == 'M' || poll_until([&] { return ready != before; }));
  }
  threads.clear();
  EXPECT_TRUE(arrived);
}

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
  driver::DriverConfig config = lab.config();
  config.lease_keepalive_interval_ms = 100;
  config.lease_expiry_grace_intervals = 3;
  lab.driver = std::make_unique<DriverAtWork>(config);
  client::ClientOptions options = lab.options();
  options.invoker = true;
  Client client = Client::connect(options);
  Producer producer = client.producer();
  const uint64_t epoch = producer.epoch();
  auto claim = producer.claim(kFrame);
  // Nobody polls: the driver ends the lease.
  ASSERT_TRUE(poll_until([&] { return lab.driver->locked([](auto& d) { return d.leases().empty(); }); }));
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
  driver::DriverConfig config = lab.config();
  config.lease_keepalive_interval_ms = 100;
  config.lease_expiry_grace_intervals = 3;
  lab.driver = std::make_unique<DriverAtWork>(config);
  client::ClientOptions options = lab.options();
  options.invoker = true;
  Client client = Client::connect(options);
  Consumer consumer = client.consumer();
  ASSERT_TRUE(poll_until([&] { return lab.driver->locked([](auto& d) { return d.leases().empty(); }); }));
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

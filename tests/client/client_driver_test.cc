// Client and driver together: attaching, frames, every order of starting. The client alone, against peers that say odd things:
// src/tidepool/client/.

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
  // The media driver makes counters one by one.
  const auto all_there = [&] {
    return transport::testing::counters_named(lab.directory.aeron(), producer_name).size() == 11 &&
           transport::testing::counters_named(lab.directory.aeron(), consumer_name).size() == 13;
  };
  const auto published = static_cast<int64_t>(producer.counters().frames);
  const auto drops = consumer.counters().drops;
  ASSERT_TRUE(poll_until([&] {
    ears->poll();
    qos->poll([](Bytes, const transport::MessageInfo&) {}, 10);
    return value(producer_name, "FramesPublished") == published &&
           value(consumer_name, "DropsGap") == static_cast<int64_t>(drops.drops_gap) &&
           value(consumer_name, "DropsLate") == static_cast<int64_t>(drops.drops_late) && value(consumer_name, "HelloPublished") >= 1 &&
           value(consumer_name, "QosPublished") >= 1 && value(producer_name, "QosPublished") >= 1 && all_there();
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

}  // namespace
}  // namespace tidepool

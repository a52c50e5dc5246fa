// Streams of single consumers, rates, progress and fallback with the real driver over a real media driver: every role on a thread
// of its own. Whether the driver answers a Hello or the producer does a second later (D-67) is all the same here.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "tidepool/base/agent.h"
#include "tidepool/base/clock.h"
#include "tidepool/client.h"
#include "tidepool/services/driver/driver.h"
#include "tidepool/transport/test_media_driver.h"

namespace tidepool {
namespace {

using namespace std::chrono_literals;
using transport::testing::poll_until;
using transport::testing::TestDir;

constexpr const char* kChannel = "aeron:ipc?term-length=1m";
constexpr uint32_t kPeriodMs = 250;

class Lab {
 public:
  // `ranges`: the driver may hand out 31000 to 31099 and 32000 to 32099.
  explicit Lab(bool ranges) : media_(media_options(directory_.aeron())) {
    driver::DriverConfig config;
    config.aeron_dir = directory_.aeron();
    config.control_channel = kChannel;
    config.qos_channel = kChannel;
    config.base_dir = directory_.path();
    config.announce_period_ms = kPeriodMs;
    config.lease_keepalive_interval_ms = kPeriodMs;
    config.lease_expiry_grace_intervals = 20;
    config.prefault_shm = false;
    config.shutdown_timeout_ms = 1;
    if (ranges) {
      config.descriptor_stream_id_range = {{31000, 31099}};
      config.control_stream_id_range = {{32000, 32099}};
    }
    config.profiles = {{"small", {.slot_count = 64, .pools = {{.pool_id = 1, .stride_bytes = 1 << 20}}}}};
    config.streams = {{"cam1", 10000, "small"}};
    driver_ =
        std::make_unique<driver::Driver>(config, SystemClock::instance(), driver::DriverOptions{.media_driver_timeout_ms = 5'000});
    thread_ = std::jthread([this](const std::stop_token& stop) {
      Idler idler(Idle::kBackoff);
      while (!stop.stop_requested()) idler.idle(driver_->poll());
    });
  }
  ~Lab() {
    thread_.request_stop();
    thread_.join();
    driver_.reset();
  }
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;
  // A reader that a busy machine stops for a while shall not lose its place in the log.
  static transport::MediaDriverOptions media_options(const std::string& dir) {
    auto out = transport::testing::driver_options(dir);
    out.untethered_window_limit_ms = 20'000;
    return out;
  }
  Client connect() const {
    ClientOptions out;
    out.aeron_dir = directory_.aeron();
    out.control = out.announce = {kChannel, 1000};
    out.descriptor = {kChannel, 1100};
    out.qos = {kChannel, 1200};
    out.metadata = {kChannel, 1300};
    out.attach_timeout_ms = 30'000;
    out.attach_retry_interval_ms = 50;
    out.keepalive_interval_ms = kPeriodMs;
    out.announce_period_ms = kPeriodMs;
    out.map_policy.allowed_base_dirs = {directory_.path()};
    return Client::connect(out);
  }

 private:
  TestDir directory_;
  transport::MediaDriver media_;
  std::unique_ptr<driver::Driver> driver_;
  std::jthread thread_;
};

const wire::TensorHeader kFrame = wire::contiguous(DType::u8, std::vector<int32_t>{64, 1000});

void fill(MutableBytes to, uint64_t seq) {
  for (size_t i = 0; i < to.size(); ++i) to[i] = static_cast<std::byte>(seq * 7 + i);
}
bool holds(Bytes bytes, uint64_t seq) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != static_cast<std::byte>(seq * 7 + i)) return false;
  }
  return true;
}

bool publish(Producer& producer) {
  auto claim = producer.claim(kFrame);
  if (!claim) return false;
  fill(claim->bytes(), claim->seq());
  return producer.commit(*claim) == CommitResult::kOk;
}

// A producer on a thread of its own, a frame each millisecond or so.
class Camera {
 public:
  explicit Camera(Client& client, ProducerOptions options = {})
      : producer_(client.producer(std::move(options))), thread_([this](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            {
              const std::lock_guard lock(mutex_);
              (void)publish(producer_);
            }
            std::this_thread::sleep_for(1ms);
          }
        }) {}
  client::ProducerCounters counters() const { return producer_.counters(); }
  // The frames to come go nowhere else meanwhile.
  template <typename Call>
  auto paused(Call&& call) {
    const std::lock_guard lock(mutex_);
    return call(producer_);
  }

 private:
  std::mutex mutex_;
  Producer producer_;
  std::jthread thread_;
};

// Reads on, judging every frame: in order, none twice, and every sequence accounted for.
struct Reader {
  explicit Reader(Consumer& of) : consumer(of) {}
  void step() {
    if (consumer.wait(1ms) != PollResult::kFrame) return;
    const FrameView& frame = consumer.frame();
    if (last && frame.seq() <= *last) ++doubled;
    std::vector<std::byte> copy(frame.bytes().size());
    if (frame.copy_to(copy) && !holds(copy, frame.seq())) ++bad;
    if (!last) first = frame.seq();
    last = frame.seq();
    ++frames;
  }
  template <typename Done>
  [[nodiscard]] bool until(Done&& done) {
    return poll_until([&] {
      step();
      return done();
    });
  }
  Consumer& consumer;
  std::optional<uint64_t> first, last;
  uint64_t frames = 0, doubled = 0, bad = 0;
};

TEST(ConsumerStreamsEndToEndTest,
     AnOwnDescriptorStreamIsGivenUsedAndTakenAwayWithoutLosingAFrame) {  // W-70, W-72, W-74, D-67, D-50
  const Lab lab(true);
  Client producing = lab.connect();
  Client consuming = lab.connect();
  std::optional<Camera> camera(std::in_place, producing);
  Consumer consumer = consuming.consumer(
      {.max_outstanding_seq_gap = 0, .hello_interval_ms = 100, .qos_interval_ms = 100, .own_descriptors = {kChannel, 31005}});
  Reader reader(consumer);
  ASSERT_TRUE(reader.until([&] { return reader.frames > 20; }));
  ASSERT_TRUE(reader.until([&] { return consumer.assigned_descriptors().stream_id != 0; }));
  const Endpoint assigned = consumer.assigned_descriptors();
  EXPECT_EQ(assigned.channel, kChannel);
  EXPECT_GE(assigned.stream_id, 31000);
  EXPECT_LE(assigned.stream_id, 31099);
  const uint64_t before = camera->counters().own_descriptors_sent;
  ASSERT_TRUE(reader.until([&] { return camera->counters().own_descriptors_sent > before + 500; }));
  EXPECT_EQ(camera->counters().consumer_streams, 1u);
  ASSERT_TRUE(reader.until([&, goal = reader.frames + 300] { return reader.frames > goal; }));
  const auto counters = consumer.counters();
  EXPECT_EQ(reader.doubled, 0u);
  EXPECT_EQ(reader.bad, 0u);
  EXPECT_EQ(counters.remaps, 0u);
  EXPECT_EQ(counters.frames + counters.drops.drops_gap + counters.drops.drops_late, *reader.last - *reader.first + 1)
      << "every sequence once";

  // Its producer goes and another comes: the streams come back by themselves.
  camera.reset();
  camera.emplace(producing);
  ASSERT_TRUE(reader.until([&] { return camera->counters().own_descriptors_sent > 200; }));
  reader.last.reset();
  ASSERT_TRUE(reader.until([&, goal = reader.frames + 200] { return reader.frames > goal; }));
  EXPECT_EQ(reader.bad, 0u);
}

TEST(ConsumerStreamsEndToEndTest, ADeclinedConsumerStaysOnTheSharedStreamAndLimitsItself) {  // W-70, W-76
  const Lab lab(false);  // no ranges: the driver has nothing to give; the producer gives nothing either
  Client producing = lab.connect();
  Client consuming = lab.connect();
  ProducerOptions stingy;
  stingy.consumer_streams.max_streams = 0;
  Camera camera(producing, stingy);
  Consumer consumer = consuming.consumer(
      {.hello_interval_ms = 100, .mode = wire::Mode::rate_limited, .max_rate_hz = 20, .own_descriptors = {kChannel, 31005}});
  Reader reader(consumer);
  ASSERT_TRUE(reader.until([&] { return reader.frames >= 40; }));
  EXPECT_EQ(consumer.assigned_descriptors().stream_id, 0);
  EXPECT_EQ(camera.counters().own_descriptors_sent, 0u);
  const auto counters = consumer.counters();
  EXPECT_GT(counters.rate_skipped, counters.frames) << "far more frames than 20 a second";
  EXPECT_EQ(counters.drops.drops_gap, 0u) << "what it passes over is no drop";
  EXPECT_EQ(reader.doubled + reader.bad, 0u);
  // By the frames' own times: 40 of them take 39 times 50 ms or more.
  std::optional<uint64_t> before;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(reader.until([&, goal = reader.frames + 1] { return reader.frames >= goal; }));
    const auto stamp = consumer.frame().timestamp_ns();
    ASSERT_TRUE(stamp);
    if (before) {
      EXPECT_GE(*stamp - *before, 50 * kNsPerMs);
    }
    before = stamp;
  }
}

TEST(ConsumerStreamsEndToEndTest, TheProducerCapsAnAssignedStreamAndTheSharedOneNever) {  // W-76
  const Lab lab(true);
  Client producing = lab.connect();
  Client consuming = lab.connect();
  Camera camera(producing);
  Consumer limited = consuming.consumer({.max_outstanding_seq_gap = 0,
                                         .hello_interval_ms = 100,
                                         .mode = wire::Mode::rate_limited,
                                         .max_rate_hz = 20,
                                         .own_descriptors = {kChannel, 31005}});
  Consumer free = consuming.consumer({.hello_interval_ms = 100});
  Reader slow(limited), fast(free);
  ASSERT_TRUE(slow.until([&] {
    fast.step();
    return camera.counters().own_descriptors_sent >= 1;
  }));
  // The shared stream is left soon after: from then on nothing is passed over by the consumer itself.
  ASSERT_TRUE(slow.until([&, goal = camera.counters().own_descriptors_sent + 10] {
    fast.step();
    return camera.counters().own_descriptors_sent >= goal;
  }));
  const uint64_t skipped = limited.counters().rate_skipped;
  const auto still = [](Producer& producer) { return producer.counters(); };  // between two frames
  const auto from = camera.paused(still);
  const uint64_t begin_ns = monotonic_ns();
  ASSERT_TRUE(slow.until([&, goal = slow.frames + 20] {
    fast.step();
    return slow.frames >= goal;
  }));
  const auto to = camera.paused(still);
  const uint64_t spent_ns = monotonic_ns() - begin_ns;
  EXPECT_EQ(limited.counters().rate_skipped, skipped);
  EXPECT_LE(to.own_descriptors_sent - from.own_descriptors_sent, spent_ns / (50 * kNsPerMs) + 2) << "20 a second";
  EXPECT_EQ(to.descriptors_sent - from.descriptors_sent + to.descriptors_dropped - from.descriptors_dropped,
            to.frames - from.frames)
      << "every frame to the shared stream";
  EXPECT_GT(limited.counters().drops.drops_gap, 0u) << "the protocol counts what a capped stream leaves out";
  EXPECT_EQ(free.counters().rate_skipped, 0u);
  EXPECT_EQ(slow.doubled + slow.bad + fast.doubled + fast.bad, 0u);
}

TEST(ConsumerStreamsEndToEndTest, AFrameCanBeReadWhileItIsWritten) {  // W-78, W-80, W-81, W-38, W-73
  for (const bool own : {false, true}) {
    SCOPED_TRACE(own ? "by its own control stream" : "by the shared control stream");
    const Lab lab(true);
    Client producing = lab.connect();
    Client consuming = lab.connect();
    Producer producer = producing.producer({.progress_interval_us = 0, .progress_bytes_delta = 0});
    struct Told {
      uint64_t seq, bytes;
      wire::ProgressState state;
      bool good;
    };
    std::vector<Told> told;
    ConsumerOptions options{.hello_interval_ms = 100, .progress_interval_us = 0, .progress_bytes_delta = 1};
    if (own) options.own_control = {kChannel, 32005};
    options.on_progress = [&](const ProgressView& view) {
      std::vector<std::byte> copy(view.prefix().size());
      const bool good = view.has_header() && view.values_len_bytes() == 64'000 && copy.size() == view.bytes_filled() &&
                        view.copy_to(copy) && holds(copy, view.seq());
      told.push_back({view.seq(), view.bytes_filled(), view.state(), good});
    };
    Consumer consumer = consuming.consumer(options);
    const auto claim_when_wanted = [&] {
      client::ClaimResult claim;
      EXPECT_TRUE(poll_until([&] {
        (void)consumer.poll();
        claim = producer.claim(kFrame);
        return claim && producer.report_progress(*claim, 0) == ProgressResult::kSent;
      }));
      return claim;
    };
    if (own) {
      ASSERT_TRUE(poll_until([&] {
        (void)consumer.poll();
        return consumer.assigned_control().stream_id != 0 && producer.counters().consumer_streams == 1;
      }));
    }
    auto claim = claim_when_wanted();
    ASSERT_TRUE(claim);
    const uint64_t seq = claim->seq();
    for (uint64_t filled = 8000; filled <= 64'000; filled += 8000) {
      fill(claim->bytes().first(filled), seq);
      ASSERT_TRUE(poll_until([&] { return producer.report_progress(*claim, filled) != ProgressResult::kHeld || filled == 0; }));
      ASSERT_TRUE(poll_until([&] {
        EXPECT_NE(consumer.wait(1ms), PollResult::kFrame) << "not before it is committed";
        return !told.empty() && told.back().seq == seq && told.back().bytes == filled;
      }));
      EXPECT_EQ(told.back().state, wire::ProgressState::progress);
      EXPECT_TRUE(told.back().good);
    }
    ASSERT_EQ(producer.commit(*claim), CommitResult::kOk);
    ASSERT_TRUE(poll_until([&] { return consumer.wait(1ms) == PollResult::kFrame && consumer.frame().seq() == seq; }));
    EXPECT_TRUE(holds(consumer.frame().bytes(), seq));
    ASSERT_TRUE(poll_until([&] {
      (void)consumer.poll();
      return told.back().state == wire::ProgressState::complete;
    }));
    EXPECT_EQ(told.back().bytes, 64'000u);
    EXPECT_GE(producer.counters().progress_sent, 10u);
  }
}

TEST(ConsumerStreamsEndToEndTest, NobodyIsToldOfProgressThatNobodyWants) {  // W-78
  const Lab lab(true);
  Client client = lab.connect();
  Producer producer = client.producer();
  Consumer consumer = client.consumer({.hello_interval_ms = 50});
  ASSERT_TRUE(poll_until([&] { return producer.counters().consumers == 1; }));
  auto claim = producer.claim(kFrame);
  ASSERT_TRUE(claim);
  EXPECT_EQ(producer.report_progress(*claim, 1000), ProgressResult::kNobody);
  EXPECT_EQ(producer.commit(*claim), CommitResult::kOk);
  EXPECT_EQ(producer.counters().progress_sent, 0u);
  pool::Claim closed;
  EXPECT_EQ(producer.report_progress(closed, 0), ProgressResult::kInvalid);
}

TEST(ConsumerStreamsEndToEndTest, AConsumerThatGoesTakesItsStreamsWithIt) {  // W-75, D-25
  const Lab lab(true);
  Client producing = lab.connect();
  Producer producer = producing.producer();
  {
    Client consuming = lab.connect();
    Consumer consumer = consuming.consumer({.hello_interval_ms = 100, .own_descriptors = {kChannel, 31005}});
    ASSERT_TRUE(poll_until([&] { return producer.counters().consumer_streams == 1; }));
  }
  EXPECT_TRUE(poll_until([&] { return producer.counters().consumer_streams == 0 && producer.counters().consumers == 0; }));
}

TEST(ConsumerStreamsEndToEndTest, AConsumerWithoutSharedMemoryIsSentToTheFallback) {  // W-77
  const Lab lab(false);
  Client producing = lab.connect();
  Client consuming = lab.connect();
  Producer producer = producing.producer({.payload_fallback_uri = "bridge://lab"});
  std::atomic<bool> told{false};
  ConsumerOptions options{.hello_interval_ms = 100, .use_shm = false, .payload_fallback_uri = "aeron:udp?endpoint=127.0.0.1:4711"};
  options.on_state = [&](const StateChange& change) {
    if (change.state == State::kFallback && !change.fallback_uri.empty()) told = true;
  };
  Consumer consumer = consuming.consumer(options);
  ASSERT_TRUE(poll_until([&] { return told.load(); }));
  ASSERT_TRUE(poll_until([&] {
    (void)publish(producer);
    EXPECT_EQ(consumer.poll(), PollResult::kDetached);
    return consumer.state() == State::kFallback && !consumer.fallback_uri().empty();
  }));
  EXPECT_EQ(consumer.epoch(), 0u);
}

}  // namespace
}  // namespace tidepool

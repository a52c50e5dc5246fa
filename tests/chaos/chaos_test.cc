// kill -9 of media driver, driver, producer and consumer at random, under load: nobody reads a torn or stale frame as good,
// everyone that is left recovers by itself, and the next driver start leaves no more behind than rulings P-8 allows.
//
// 20 rounds; 200 with TIDEPOOL_TEST_FULL=1. TIDEPOOL_TEST_SEED repeats a run.

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/process.h"
#include "tidepool/base/random.h"
#include "tidepool/cli/child.h"
#include "tidepool/cli/pattern.h"
#include "tidepool/client/client.h"

namespace tidepool {
namespace {

using cli::Child;
namespace fs = std::filesystem;

constexpr uint32_t kStream = 10000;
constexpr uint64_t kPatienceNs = 60 * kNsPerSecond;
constexpr uint32_t kPeriodMs = 100;              // announces and keepalives: leases live 300 ms
constexpr uint64_t kMediaDriverTimeoutMs = 500;  // a dead media driver is noticed after this

bool full() { return ::getenv("TIDEPOOL_TEST_FULL") != nullptr; }

uint64_t seed() {
  const char* text = ::getenv("TIDEPOOL_TEST_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : random_u64();
}

// A consumer of this process that lives through everything and judges every frame.
class Resident {
 public:
  Resident(const client::ClientOptions& client_options, client::Follow follow)
      : client_(client::Client::connect(client_options)), consumer_(client_.consumer(options(follow))) {}

  // Take what is there. Returns how many frames.
  int pump() {
    int frames = 0;
    for (int i = 0; i < 256; ++i) {
      const auto result = consumer_.poll();
      if (result == client::PollResult::kEmpty || result == client::PollResult::kDetached) break;
      if (result != client::PollResult::kFrame) continue;
      const pool::FrameView& frame = consumer_.frame();
      copy_.resize(frame.bytes().size());
      const uint64_t epoch = frame.epoch(), seq = frame.seq();
      if (!frame.copy_to(copy_)) continue;  // overwritten meanwhile, and known to be: a late drop
      EXPECT_FALSE(judge_.find_mismatch(copy_, epoch, seq)) << "torn frame " << seq << " of epoch " << epoch;
      if (frames_ > 0) {
        EXPECT_TRUE(epoch > epoch_ || (epoch == epoch_ && seq > seq_))
            << "stale: frame " << seq << " of epoch " << epoch << " after frame " << seq_ << " of epoch " << epoch_;
      }
      epoch_ = epoch;
      seq_ = seq;
      ++frames_;
      ++frames;
    }
    return frames;
  }
  uint64_t frames() const { return frames_; }
  uint64_t epoch() const { return epoch_; }
  std::string status() const { return consumer_.status_text(); }

 private:
  static client::ConsumerOptions options(client::Follow follow) {
    client::ConsumerOptions options;
    options.stream = std::to_string(kStream);
    options.follow = follow;
    return options;
  }
  client::Client client_;
  client::Consumer consumer_;
  cli::MixJudge judge_;
  std::vector<std::byte> copy_;
  uint64_t frames_ = 0;
  uint64_t epoch_ = 0;
  uint64_t seq_ = 0;
};

enum class Role { kMediaDriver, kDriver, kProducer, kConsumer };
const char* name_of(Role role) {
  switch (role) {
    case Role::kMediaDriver: return "media driver";
    case Role::kDriver: return "driver";
    case Role::kProducer: return "producer";
    case Role::kConsumer: return "consumer";
  }
  return "?";
}

class ChaosTest : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/dev/shm/tidepool-test-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    dir_ = path;
    fs::create_directory(dir_ + "/pools");
    std::ofstream(dir_ + "/driver.toml") << "[driver]\ninstance_id = \"chaos\"\n[shm]\nbase_dir = \"" << dir_
                                         << "/pools\"\n[policies]\nmedia_driver_timeout_ms = " << kMediaDriverTimeoutMs
                                         << "\nannounce_period_ms = " << kPeriodMs
                                         << "\nlease_keepalive_interval_ms = " << kPeriodMs
                                         << "\n[profiles.chaos]\nheader_nslots = 64\npayload_pools = [{ pool_id = 1, stride_bytes = 32768 }]\n"
                                         << "[streams.chaos]\nstream_id = " << kStream << "\nprofile = \"chaos\"\n";
    // The commands get the same short periods as the residents.
    ::setenv("CLIENT_KEEPALIVE_INTERVAL_MS", std::to_string(kPeriodMs).c_str(), 1);
    ::setenv("CLIENT_ANNOUNCE_PERIOD_MS", std::to_string(kPeriodMs).c_str(), 1);
    ::setenv("CLIENT_MEDIA_DRIVER_TIMEOUT_MS", std::to_string(kMediaDriverTimeoutMs).c_str(), 1);
    ::setenv("CLIENT_ALLOWED_BASE_DIRS", (dir_ + "/pools").c_str(), 1);
  }
  void TearDown() override {
    residents_.clear();
    for (Child* child : {&consumer_, &producer_, &driver_, &media_driver_}) *child = Child();
    std::error_code error;
    fs::remove_all(dir_, error);
  }

  std::string aeron_dir() const { return dir_ + "/aeron"; }

  client::ClientOptions client_options() const {
    client::ClientOptions options;
    options.aeron_dir = aeron_dir();
    options.keepalive_interval_ms = kPeriodMs;
    options.announce_period_ms = kPeriodMs;
    options.media_driver_timeout_ms = media_driver_timeout_ms_;
    options.attach_timeout_ms = 30'000;
    options.map_policy.allowed_base_dirs = {dir_ + "/pools"};
    return options;
  }

  // Start until it says that it is ready: a killed predecessor's directory or lock may have to go stale first.
  void start_until_ready(Child& child, const std::vector<std::string>& args) {
    const uint64_t give_up_ns = monotonic_ns() + kPatienceNs;
    for (;;) {
      child = Child::start(args, {.capture_errors = true});
      std::string line;
      while (child.read_line(line, 30'000)) {
        if (line.find("\"ready\"") != std::string::npos) return;
      }
      const std::string complaint = child.complaints();
      ASSERT_LT(monotonic_ns(), give_up_ns) << args[1] << " does not start: " << complaint;
      pump_residents();
    }
  }
  void start(Role role) {
    switch (role) {
      case Role::kMediaDriver:
        start_until_ready(media_driver_, {TIDEPOOL_BINARY, "media-driver", "--aeron-dir", aeron_dir(), "--driver-timeout-ms",
                                          std::to_string(media_driver_timeout_ms_), "--client-liveness-ms",
                                          std::to_string(4 * media_driver_timeout_ms_), "--json"});
        return;
      case Role::kDriver:
        start_until_ready(driver_, {TIDEPOOL_BINARY, "driver", "--config", dir_ + "/driver.toml", "--aeron-dir", aeron_dir(), "--wait", "--json"});
        return;
      case Role::kProducer:
        producer_ = Child::start({TIDEPOOL_BINARY, "publish", "--stream", std::to_string(kStream), "--pattern", "mix", "--shape", "64,512", "--rate",
                                  "500", "--wait", "--json", "--aeron-dir", aeron_dir()}, {.capture_errors = true});
        return;
      case Role::kConsumer:
        consumer_ = subscriber({});
        return;
    }
  }
  Child subscriber(const std::vector<std::string>& more) const {
    std::vector<std::string> args = {TIDEPOOL_BINARY, "subscribe", "--stream", std::to_string(kStream), "--follow", "ring", "--verify", "mix",
                                     "--wait", "--json", "--aeron-dir", aeron_dir()};
    args.insert(args.end(), more.begin(), more.end());
    return Child::start(args, {.capture_errors = true});
  }
  Child& child(Role role) {
    switch (role) {
      case Role::kMediaDriver: return media_driver_;
      case Role::kDriver: return driver_;
      case Role::kProducer: return producer_;
      default: return consumer_;
    }
  }
  static nlohmann::json summary_of(Child& child) {
    std::string line, last;
    while (child.read_line(line, 30'000)) last = line;
    const auto summary = nlohmann::json::parse(last, nullptr, false);
    EXPECT_TRUE(summary.is_object()) << last << child.complaints();
    return summary.is_object() ? summary : nlohmann::json::object();
  }
  void kill(Role role) {
    child(role).signal(SIGKILL);
    (void)child(role).wait();
  }

  void pump_residents() {
    int frames = 0;
    for (auto& resident : residents_) frames += resident->pump();
    if (frames == 0) std::this_thread::yield();
  }
  std::string statuses() {
    std::string text;
    for (auto& resident : residents_) text += concat("\n  resident: ", resident->frames(), " frames, ", resident->status());
    for (const Role role : {Role::kMediaDriver, Role::kDriver, Role::kProducer, Role::kConsumer}) {
      text += concat("\n  ", name_of(role), ": ", child(role).complaints());
    }
    return text;
  }
  // Every resident sees `frames` more, and (if asked) of a later epoch than `after_epoch`.
  void await_frames(uint64_t frames, uint64_t after_epoch, const std::string& after_what) {
    std::vector<uint64_t> goal;
    for (auto& resident : residents_) goal.push_back(resident->frames() + frames);
    const uint64_t give_up_ns = monotonic_ns() + kPatienceNs;
    for (bool done = false; !done;) {
      pump_residents();
      done = true;
      for (size_t i = 0; i < residents_.size(); ++i) done = done && residents_[i]->frames() >= goal[i] && residents_[i]->epoch() > after_epoch;
      ASSERT_LT(monotonic_ns(), give_up_ns) << "no recovery within 60 s after " << after_what << statuses();
    }
  }

  std::vector<std::string> epoch_directories() const {
    std::vector<std::string> found;
    std::error_code error;
    const std::string path = concat(dir_, "/pools/tensorpool-", sanitised_user_name(), "/default/", kStream);
    for (const auto& entry : fs::directory_iterator(path, error)) {
      if (entry.is_directory()) found.push_back(entry.path());
    }
    return found;
  }

  std::string dir_;
  uint32_t media_driver_timeout_ms_ = kMediaDriverTimeoutMs;
  Child media_driver_, driver_, producer_, consumer_;
  std::vector<std::unique_ptr<Resident>> residents_;
};

// W-42, W-59, W-64, D-31, D-42, D-61, P-4, P-7, P-8
TEST_F(ChaosTest, EverybodySurvivesKillsOfEverybodyElse) {
  const uint64_t run_seed = seed();
  std::printf("TIDEPOOL_TEST_SEED=%llu\n", static_cast<unsigned long long>(run_seed));
  std::mt19937_64 random(run_seed);
  const int rounds = full() ? 200 : 20;

  start(Role::kMediaDriver);
  start(Role::kDriver);
  start(Role::kProducer);
  start(Role::kConsumer);
  residents_.push_back(std::make_unique<Resident>(client_options(), client::Follow::kRing));
  residents_.push_back(std::make_unique<Resident>(client_options(), client::Follow::kDescriptors));
  await_frames(20, 0, "the start");

  static constexpr Role kRoles[] = {Role::kMediaDriver, Role::kDriver, Role::kProducer, Role::kConsumer};
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    const uint64_t moment = residents_[0]->frames() + random() % 40;  // some frames further on, wherever in the frame that is
    for (const uint64_t by = monotonic_ns() + kPatienceNs; residents_[0]->frames() < moment && monotonic_ns() < by;) pump_residents();

    std::vector<Role> victims = {kRoles[random() % 4]};
    if (random() % 8 == 0) {  // now and then two at once
      const Role other = kRoles[random() % 4];
      if (other != victims[0]) victims.push_back(other);
    }
    const uint64_t epoch_before = residents_[0]->epoch();
    std::string what = concat("round ", round, ": kill -9 of");
    bool new_epoch = false;
    for (const Role role : victims) {
      kill(role);
      what += concat(" ", name_of(role));
      new_epoch = new_epoch || role != Role::kConsumer;
    }
    std::sort(victims.begin(), victims.end());  // the media driver before the driver, as an operator would
    for (const Role role : victims) {
      start(role);
      if (HasFatalFailure()) return;
    }
    await_frames(20, new_epoch ? epoch_before : 0, what);
    if (HasFatalFailure()) return;
  }

  // Whoever was not killed ends in order and has nothing bad to report. One that was started just now may not have had a frame yet; that it
  // says something means that it hears signals.
  for (const uint64_t by = monotonic_ns() + kPatienceNs; consumer_.complaints().empty() && monotonic_ns() < by;) pump_residents();
  consumer_.signal(SIGTERM);
  const auto summary = summary_of(consumer_);
  EXPECT_EQ(consumer_.wait(), summary.value("frames", 0) > 0 ? 0 : 3) << consumer_.complaints();
  EXPECT_EQ(summary.value("bad", -1), 0) << summary;
  Child last = subscriber({"--frames", "20"});
  const auto of_last = summary_of(last);
  EXPECT_EQ(last.wait(), 0) << last.complaints();
  EXPECT_EQ(of_last.value("bad", -1), 0) << of_last;
  EXPECT_EQ(of_last.value("verified", 0), 20) << of_last;

  // A crash of everybody; once activity is stale, the next start sweeps (P-8).
  for (const Role role : {Role::kProducer, Role::kDriver, Role::kMediaDriver}) kill(role);
  residents_.clear();
  const uint64_t stale_ns = monotonic_ns() + 4ull * kPeriodMs * kNsPerMs;
  while (monotonic_ns() < stale_ns) std::this_thread::yield();
  start(Role::kMediaDriver);
  start(Role::kDriver);
  EXPECT_LE(epoch_directories().size(), 2u) << "epoch_gc_keep is 2";
  size_t aeron_directories = 0, others = 0;
  for (const auto& entry : fs::directory_iterator(dir_)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("aeron")) ++aeron_directories;
    else if (name != "pools" && name != "driver.toml") ++others;
  }
  EXPECT_EQ(aeron_directories, 1u);
  EXPECT_EQ(others, 0u);
}

// W-14, W-35, W-59, W-65, W-67, P-8: no driver at all; the subscriber is there first, its producer is killed and comes again.
TEST_F(ChaosTest, ASubscriberWithoutADriverFollowsAProducerThatIsKilled) {
  media_driver_timeout_ms_ = 10'000;  // it is not killed here: a busy machine shall not end it either
  ::setenv("CLIENT_MEDIA_DRIVER_TIMEOUT_MS", std::to_string(media_driver_timeout_ms_).c_str(), 1);
  ::setenv("PRODUCER_ANNOUNCE_INTERVAL_MS", std::to_string(kPeriodMs).c_str(), 1);
  start(Role::kMediaDriver);
  Child subscriber = Child::start({TIDEPOOL_BINARY, "subscribe", "--stream", std::to_string(kStream), "--no-driver", "--wait",
                                   "--for", "60", "--frames", "100000", "--verify", "mix", "--json", "--aeron-dir", aeron_dir()},
                                  {.capture_errors = true});
  const auto publish = [&] {
    return Child::start(
        {TIDEPOOL_BINARY, "publish", "--stream", std::to_string(kStream), "--no-driver", "--base-dir", dir_ + "/pools", "--pattern",
         "mix", "--shape", "64,512", "--rate", "500", "--wait", "--json", "--aeron-dir", aeron_dir()},
        {.capture_errors = true});
  };
  client::ConsumerOptions watching;
  watching.stream = std::to_string(kStream);
  watching.announce_only = true;
  producer_ = publish();
  client::Client client = client::Client::connect(client_options());
  client::Consumer witness = client.consumer(watching);
  uint64_t epoch = 0;
  for (int life = 0; life < 4; ++life) {
    if (life > 0) {
      kill(Role::kProducer);
      producer_ = publish();
    }
    uint64_t frames = 0;
    const uint64_t give_up_ns = monotonic_ns() + kPatienceNs;
    while (frames < 50) {
      ASSERT_LT(monotonic_ns(), give_up_ns) << witness.status_text() << statuses();
      if (witness.wait(std::chrono::milliseconds(10)) == client::PollResult::kFrame && witness.frame().epoch() > epoch) ++frames;
    }
    epoch = witness.frame().epoch();
  }
  // A second producer beside the living one has no chance, and says so.
  Child second = Child::start({TIDEPOOL_BINARY, "publish", "--stream", std::to_string(kStream), "--no-driver", "--base-dir",
                               dir_ + "/pools", "--pattern", "mix", "--attach-timeout-ms", "200", "--aeron-dir", aeron_dir()},
                              {.capture_errors = true});
  EXPECT_EQ(second.wait(), 1);
  EXPECT_NE(second.complaints().find("has a producer"), std::string::npos) << second.complaints();

  subscriber.signal(SIGTERM);
  std::string line, last;
  while (subscriber.read_line(line, 30'000)) last = line;
  EXPECT_EQ(subscriber.wait(), 0) << subscriber.complaints();
  const auto summary = nlohmann::json::parse(last, nullptr, false);
  ASSERT_TRUE(summary.is_object()) << last << subscriber.complaints();
  EXPECT_EQ(summary.value("bad", -1), 0);
  EXPECT_GT(summary.value("verified", 0), 0);
  EXPECT_GE(summary.value("epochs", 0), 2);
  // What the killed ones left is collected down to two; the last one ends in order and takes its own along.
  const uint64_t give_up_ns = monotonic_ns() + kPatienceNs;
  while (epoch_directories().size() > 2) {
    ASSERT_LT(monotonic_ns(), give_up_ns) << epoch_directories().size() << statuses();
    std::this_thread::yield();
  }
  producer_.signal(SIGTERM);
  EXPECT_EQ(producer_.wait(), 0) << producer_.complaints();
  EXPECT_LE(epoch_directories().size(), 1u);
  ::unsetenv("PRODUCER_ANNOUNCE_INTERVAL_MS");
}

// D-56, D-61, driver.md 14: killed, absent for a while, started again; the application is told by callback and by counter.
TEST_F(ChaosTest, AClientTellsWhatItSurvived) {
  start(Role::kMediaDriver);
  start(Role::kDriver);
  std::mutex mutex;
  std::vector<client::StateChange> changes;
  const auto told = [&](client::State state) {
    const std::lock_guard lock(mutex);
    return std::any_of(changes.begin(), changes.end(), [&](const auto& change) { return change.state == state; });
  };
  client::Client client = client::Client::connect(client_options());
  client::ProducerOptions options;
  options.stream = std::to_string(kStream);
  options.on_state = [&](const client::StateChange& change) {
    const std::lock_guard lock(mutex);
    changes.push_back(change);
  };
  client::Producer producer = client.producer(options);
  const auto until = [&](const char* what, auto&& done) {
    const uint64_t give_up_ns = monotonic_ns() + kPatienceNs;
    while (!done()) {
      ASSERT_LT(monotonic_ns(), give_up_ns) << what << ": " << producer.status_text() << statuses();
      std::this_thread::yield();
    }
  };
  ASSERT_EQ(producer.state(), client::State::kAttached);
  EXPECT_EQ(client.counters().attaches, 1u);
  uint64_t epoch = producer.epoch();

  kill(Role::kMediaDriver);
  until("the media driver's loss", [&] { return client.counters().media_driver_losses == 1; });
  until("attempts with pauses between", [&] { return client.counters().failed_reconnects >= 3; });
  EXPECT_LT(client.counters().failed_reconnects, 1000u) << "it does not spin";
  until("word of kConnecting", [&] { return told(client::State::kConnecting); });  // the handler runs a moment after state() says it
  start(Role::kMediaDriver);
  until("the return", [&] { return producer.state() == client::State::kAttached && producer.epoch() > epoch; });
  EXPECT_EQ(client.counters().reconnects, 1u);
  epoch = producer.epoch();

  // Long enough attached to have heard it: only then does silence count.
  const uint64_t heard_ns = monotonic_ns() + 4ull * kPeriodMs * kNsPerMs;
  until("some announces", [&] { return monotonic_ns() > heard_ns; });
  const client::ClientCounters before = client.counters();
  {
    const std::lock_guard lock(mutex);
    changes.clear();
  }
  kill(Role::kDriver);
  until("the driver's loss", [&] { return client.counters().driver_losses == before.driver_losses + 1; });
  EXPECT_EQ(client.counters().media_driver_losses, before.media_driver_losses);
  until("requests that nobody answers", [&] { return client.counters().attach_repeats > before.attach_repeats; });
  start(Role::kDriver);
  until("the return", [&] { return producer.state() == client::State::kAttached && producer.epoch() > epoch; });
  EXPECT_GE(client.counters().attaches, before.attaches + 1);
  EXPECT_GT(client.counters().backoffs, before.backoffs);
  until("word of kBackoff", [&] { return told(client::State::kBackoff); });  // the handler runs a moment after state() says it
  until("word of kAttached", [&] { return told(client::State::kAttached); });  // the handler runs a moment after state() says it
}

}  // namespace
}  // namespace tidepool

// The protocol between real processes: each order of starting, kill -9 of each role at each step, several drivers, streams and
// consumers on shared channels, strangers who send anything, and a clock that is set while all run.
//
// The media driver is a real one, on threads of this process; everybody else is a process: `tidepool driver`, `tidepool publish`,
// `tidepool subscribe`, and matrix_peer, which stops itself at a named step. What is said on the control stream is overheard, and
// two consumers of this process live through everything and judge every frame. (A media driver that is killed: tests/chaos.)

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/process.h"
#include "tidepool/base/random.h"
#include "tidepool/cli/child.h"
#include "tidepool/cli/pattern.h"
#include "tidepool/client.h"
#include "tidepool/control/dispatch.h"
#include "tidepool/transport/test_media_driver.h"

namespace tidepool {
namespace {

namespace fs = std::filesystem;
using cli::Child;
using transport::testing::poll_until;
using transport::testing::TestDir;

constexpr const char* kChannel = "aeron:ipc?term-length=1m";
constexpr uint32_t kStream = 10000;
constexpr uint32_t kPeriodMs = 100;        // of announces and keepalives
constexpr uint32_t kGrace = 10;            // leases live a second
constexpr uint32_t kClientPeriodMs = 300;  // what clients take for it: 1.5 s of silence is a lost driver, however busy the machine

// A killed process keeps its places in the logs until the media driver has given it up: sooner than by default here.
struct Media {
  static transport::MediaDriverOptions options(const std::string& dir) {
    auto options = transport::testing::driver_options(dir);
    options.client_liveness_ms = 5'000;
    return options;
  }
  const std::string& dir() const noexcept { return driver.dir(); }

  TestDir directory;
  transport::MediaDriver driver{options(directory.aeron())};
};

// Everything that was said on a control stream, in order.
class Overheard {
 public:
  Overheard(const std::string& aeron_dir, int32_t control_stream)
      : connection_(transport::Connection::open(transport::testing::connection_options(aeron_dir))),
        in_(connection_->add_subscription(kChannel, control_stream)) {}

  void poll() {
    connection_->poll();
    in_->poll([this](Bytes message, const transport::MessageInfo& info) { control::dispatch(message, info, *this, counts_); },
              1000);
  }
  void on(const wire::ShmAttachRequest& m, const transport::MessageInfo&) { requests.push_back(m); }
  void on(const wire::ShmAttachResponse& m, const transport::MessageInfo&) { responses.push_back(m); }
  void on(const wire::ShmDetachRequest& m, const transport::MessageInfo&) { detaches.push_back(m); }
  void on(const wire::ShmLeaseRevoked& m, const transport::MessageInfo&) { revocations.push_back(m); }
  void on(const wire::ShmPoolAnnounce& m, const transport::MessageInfo&) { announces.push_back(m); }
  void on(const wire::ShmDriverShutdown& m, const transport::MessageInfo&) { shutdowns.push_back(m); }

  bool asked(uint32_t client_id) const {
    return std::any_of(requests.begin(), requests.end(), [&](const auto& m) { return m.client_id == client_id; });
  }
  bool asked(wire::Role role) const {
    return std::any_of(requests.begin(), requests.end(), [&](const auto& m) { return m.role == static_cast<uint8_t>(role); });
  }
  bool detaches_of(uint32_t client_id) const {
    return std::any_of(detaches.begin(), detaches.end(), [&](const auto& m) { return m.client_id == client_id; });
  }
  std::vector<wire::RevokeReason> revocations_of(uint32_t client_id) const {
    std::vector<wire::RevokeReason> reasons;
    for (const auto& m : revocations)
      if (m.client_id == client_id) reasons.push_back(m.reason);
    return reasons;
  }
  void forget() {
    requests.clear(), responses.clear(), detaches.clear(), revocations.clear(), announces.clear(), shutdowns.clear();
  }

  std::vector<wire::ShmAttachRequest> requests;
  std::vector<wire::ShmAttachResponse> responses;
  std::vector<wire::ShmDetachRequest> detaches;
  std::vector<wire::ShmLeaseRevoked> revocations;
  std::vector<wire::ShmPoolAnnounce> announces;
  std::vector<wire::ShmDriverShutdown> shutdowns;

 private:
  std::shared_ptr<transport::Connection> connection_;
  std::shared_ptr<transport::Subscription> in_;
  control::DispatchCounts counts_;
};

// A consumer of this process that judges every frame.
class Resident {
 public:
  Resident(const ClientOptions& client_options, uint32_t stream_id, Follow follow)
      : client_(Client::connect(client_options)),
        consumer_(client_.consumer({.stream = std::to_string(stream_id), .follow = follow})) {}

  void pump() {
    for (int i = 0; i < 256; ++i) {
      const auto result = consumer_.poll();
      if (result == PollResult::kEmpty || result == PollResult::kDetached) break;
      if (result != PollResult::kFrame) continue;
      const FrameView& frame = consumer_.frame();
      copy_.resize(frame.bytes().size());
      const uint64_t epoch = frame.epoch(), seq = frame.seq();
      if (!frame.copy_to(copy_)) continue;  // overwritten meanwhile, and known to be
      EXPECT_FALSE(judge_.find_mismatch(copy_, epoch, seq)) << "torn frame " << seq << " of epoch " << epoch;
      EXPECT_EQ(frame.stream_id(), consumer_.stream_id());
      if (frames_ > 0) {
        EXPECT_TRUE(epoch > epoch_ || (epoch == epoch_ && seq > seq_))
            << "frame " << seq << " of epoch " << epoch << " after frame " << seq_ << " of epoch " << epoch_;
      }
      epoch_ = epoch;
      seq_ = seq;
      ++frames_;
    }
  }
  uint64_t frames() const { return frames_; }
  uint64_t epoch() const { return epoch_; }
  const Consumer& consumer() const { return consumer_; }

 private:
  Client client_;
  Consumer consumer_;
  cli::MixJudge judge_;
  std::vector<std::byte> copy_;
  uint64_t frames_ = 0;
  uint64_t epoch_ = 0;
  uint64_t seq_ = 0;
};

class MatrixTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { media_ = new Media; }
  static void TearDownTestSuite() {
    delete media_;
    media_ = nullptr;
  }
  MatrixTest() : first_id_(next_id_ += 10) {}

  void SetUp() override {
    fs::create_directory(pools());
    write_config("driver.toml", "default", first_id_);
    // For the commands: what their flags do not say.
    for (const auto& [name, value] :
         {std::pair{"CLIENT_KEEPALIVE_INTERVAL_MS", std::to_string(kPeriodMs)},
          std::pair{"CLIENT_ANNOUNCE_PERIOD_MS", std::to_string(kClientPeriodMs)},
          std::pair{"CLIENT_ATTACH_RETRY_INTERVAL_MS", std::string("50")},
          std::pair{"CLIENT_REATTACH_BACKOFF_MIN_MS", std::string("20")},
          std::pair{"CLIENT_REATTACH_BACKOFF_MAX_MS", std::string("100")}, std::pair{"CLIENT_ALLOWED_BASE_DIRS", pools()}})
      ::setenv(name, value.c_str(), 1);
  }
  void TearDown() override {
    residents_.clear();
    overheard_.reset();
    children_.clear();
    driver_ = Child();
  }

  std::string pools() const { return dir_.path() + "/pools"; }
  void write_config(const std::string& file, const std::string& name_space, int control_stream, uint32_t grace = kGrace) {
    std::ofstream(dir_.path() + "/" + file)
        << "[driver]\ninstance_id = \"matrix-" << name_space << "\"\ncontrol_channel = \"" << kChannel
        << "\"\ncontrol_stream_id = " << control_stream << "\nqos_channel = \"" << kChannel
        << "\"\nqos_stream_id = " << control_stream + 2 << "\n[shm]\nbase_dir = \"" << pools() << "\"\nnamespace = \"" << name_space
        << "\"\n[policies]\nannounce_period_ms = " << kPeriodMs << "\nlease_keepalive_interval_ms = " << kPeriodMs
        << "\nlease_expiry_grace_intervals = " << grace
        << "\nnode_id_reuse_cooldown_ms = 0\nshutdown_timeout_ms = 1\n[profiles.p]\nheader_nslots = 64\n"
        << "payload_pools = [{ pool_id = 1, stride_bytes = 4096 }]\n[streams.one]\nstream_id = " << kStream
        << "\nprofile = \"p\"\n[streams.two]\nstream_id = " << kStream + 1 << "\nprofile = \"p\"\n";
  }

  // ---- processes ----
  // For tests whose leases must outlast a machine that is busy with other things.
  void let_leases_live(uint32_t intervals) { write_config("driver.toml", "default", first_id_, intervals); }
  Child start_driver(const std::string& file = "driver.toml") {
    Child child =
        Child::start({TIDEPOOL_BINARY, "driver", "--config", dir_.path() + "/" + file, "--aeron-dir", media_->dir(), "--json"},
                     {.capture_errors = true});
    EXPECT_TRUE(await_line(child, "\"ready\"")) << child.complaints();
    return child;
  }
  Child start_peer(const std::string& role, uint32_t client_id, const std::string& stop_at = "-", uint32_t stream_id = kStream,
                   int first_id = 0, int count = 1) {
    return Child::start(
        {TIDEPOOL_PEER, role, std::to_string(stream_id), std::to_string(client_id),
         std::to_string(first_id == 0 ? first_id_ : first_id), media_->dir(), pools(), stop_at, std::to_string(count)},
        {.capture_errors = true});
  }
  std::vector<std::string> plane_flags() const {
    return {"--aeron-dir",
            media_->dir(),
            "--control-channel",
            kChannel,
            "--control-stream",
            std::to_string(first_id_),
            "--descriptor-channel",
            kChannel,
            "--descriptor-stream",
            std::to_string(first_id_ + 1),
            "--qos-channel",
            kChannel,
            "--qos-stream",
            std::to_string(first_id_ + 2),
            "--metadata-channel",
            kChannel,
            "--metadata-stream",
            std::to_string(first_id_ + 3),
            "--json",
            "--quiet"};
  }
  Child start_command(std::vector<std::string> args) {
    args.insert(args.begin(), TIDEPOOL_BINARY);
    for (const auto& flag : plane_flags()) args.push_back(flag);
    return Child::start(args, {.capture_errors = true});
  }
  // Its next line, while everything else goes on; false when its output has ended (or nothing came for a long time).
  bool next_line(Child& child, std::string& line) {
    bool found = false;
    const bool in_time = watch_until([&] {
      found = child.read_line(line, 1);
      return found || child.ended();
    });
    if (found) said_[child.pid()] += line + ", ";
    return in_time && found;
  }
  // For the reports of failures: what it said, and what was said about it.
  std::string story_of(const Child& child) {
    std::string text = concat("process ", child.pid(), " said ", said_[child.pid()], "and complained ", child.complaints());
    if (!overheard_) return text;
    text += concat("; overheard ", overheard_->requests.size(), " attach requests, ", overheard_->responses.size(), " answers (");
    for (const auto& m : overheard_->responses)
      if (m.code != wire::ResponseCode::ok) text += concat(m.error_message, ", ");
    text += "), revocations of";
    for (const auto& m : overheard_->revocations) text += concat(" ", m.client_id, ":", wire::name_of(m.reason));
    for (const auto& resident : residents_)
      text += concat("; resident: ", resident->frames(), " frames, ", resident->consumer().status_text());
    return text;
  }
  bool await_line(Child& child, std::string_view part) {
    std::string line;
    while (next_line(child, line))
      if (line.find(part) != std::string::npos) return true;
    return false;
  }
  static int end(Child& child, int number) {
    child.signal(number);
    child.signal(SIGCONT);
    return child.wait();
  }

  // ---- observers ----
  ClientOptions client_options(int first_id = 0) const {
    const int id = first_id == 0 ? first_id_ : first_id;
    ClientOptions options;
    options.aeron_dir = media_->dir();
    options.control = {kChannel, id};
    options.announce = {kChannel, id};
    options.descriptor = {kChannel, id + 1};
    options.qos = {kChannel, id + 2};
    options.metadata = {kChannel, id + 3};
    options.attach_timeout_ms = 30'000;
    options.attach_retry_interval_ms = 50;
    options.keepalive_interval_ms = kPeriodMs;
    options.announce_period_ms = kClientPeriodMs;
    options.reattach_backoff_min_ms = 20;
    options.reattach_backoff_max_ms = 100;
    options.map_policy.allowed_base_dirs = {pools()};
    return options;
  }
  void overhear() { overheard_ = std::make_unique<Overheard>(media_->dir(), first_id_); }
  void settle_in(uint32_t stream_id = kStream) {
    residents_.push_back(std::make_unique<Resident>(client_options(), stream_id, Follow::kRing));
    residents_.push_back(std::make_unique<Resident>(client_options(), stream_id, Follow::kDescriptors));
  }
  template <typename Done>
  [[nodiscard]] bool watch_until(Done&& done) {
    return poll_until([&] {
      if (overheard_) overheard_->poll();
      for (auto& resident : residents_) resident->pump();
      return done();
    });
  }
  // Every resident sees `frames` more, of a later epoch than `after`.
  [[nodiscard]] bool frames_flow(uint64_t frames = 10, uint64_t after = 0) {
    std::vector<uint64_t> goal;
    for (auto& resident : residents_) goal.push_back(resident->frames() + frames);
    return watch_until([&] {
      for (size_t i = 0; i < residents_.size(); ++i)
        if (residents_[i]->frames() < goal[i] || residents_[i]->epoch() <= after) return false;
      return true;
    });
  }
  [[nodiscard]] bool hear_end_of(uint32_t client_id, wire::RevokeReason reason) {
    if (!watch_until([&] { return !overheard_->revocations_of(client_id).empty(); })) return false;
    return overheard_->revocations_of(client_id) == std::vector<wire::RevokeReason>{reason};
  }
  // It has asked to detach, and never hears the answer.
  void kill_while_it_detaches(Child& victim, uint32_t client_id) {
    driver_.signal(SIGSTOP);
    victim.signal(SIGTERM);
    ASSERT_TRUE(watch_until([&] { return overheard_->detaches_of(client_id); }));
    victim.signal(SIGKILL);
    victim.wait();
    driver_.signal(SIGCONT);
    ASSERT_TRUE(hear_end_of(client_id, wire::RevokeReason::detached));
  }
  size_t epoch_directories(uint32_t stream_id = kStream, const std::string& name_space = "default") const {
    size_t found = 0;
    std::error_code error;
    for (const auto& entry :
         fs::directory_iterator(concat(pools(), "/tensorpool-", sanitised_user_name(), "/", name_space, "/", stream_id), error))
      found += entry.is_directory();
    return found;
  }

  static inline Media* media_ = nullptr;
  static inline int next_id_ = 2000;

  const int first_id_;
  TestDir dir_;
  Child driver_;
  std::vector<Child> children_;
  std::unique_ptr<Overheard> overheard_;
  std::vector<std::unique_ptr<Resident>> residents_;
  std::map<pid_t, std::string> said_;
};

// ---- orders of starting ----------------------------------------------------------------------------------------------------

class StartOrderTest : public MatrixTest, public ::testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(Matrix, StartOrderTest, ::testing::Values("DPC", "DCP", "PDC", "PCD", "CDP", "CPD"),
                         [](const auto& order) { return order.param; });

// Each begins only when the one before is seen to wait for what is missing (or to be served).
TEST_P(StartOrderTest, EndsInFramesThatArriveWhole) {  // R-04, P-13, D-43, W-68
  overhear();
  Child producer, consumer;
  for (const char who : GetParam()) {
    switch (who) {
      case 'D': driver_ = start_driver(); break;
      case 'P':
        producer = start_command(
            {"publish", "--stream", std::to_string(kStream), "--pattern", "mix", "--shape", "64,32", "--rate", "500", "--wait"});
        ASSERT_TRUE(watch_until([&] { return overheard_->asked(wire::Role::producer); })) << story_of(producer);
        break;
      default:
        consumer = start_command({"subscribe", "--stream", std::to_string(kStream), "--verify", "mix", "--frames", "50", "--wait"});
        ASSERT_TRUE(watch_until([&] { return overheard_->asked(wire::Role::consumer); })) << consumer.complaints();
    }
  }
  std::string line, last;
  while (next_line(consumer, line)) last = line;
  EXPECT_EQ(consumer.wait(), 0) << consumer.complaints();
  const auto summary = nlohmann::json::parse(last, nullptr, false);
  ASSERT_TRUE(summary.is_object()) << last;
  EXPECT_EQ(summary.value("bad", -1), 0);
  EXPECT_EQ(summary.value("verified", -1), 50);
  producer.signal(SIGTERM);
  EXPECT_EQ(producer.wait(), 0) << story_of(producer);
}

// ---- kills -------------------------------------------------------------------------------------------------------------------

class ProducerKillTest : public MatrixTest, public ::testing::WithParamInterface<const char*> {};
class ConsumerKillTest : public MatrixTest, public ::testing::WithParamInterface<const char*> {};
const auto kName = [](const auto& step) { return std::string(step.param); };
INSTANTIATE_TEST_SUITE_P(Matrix, ProducerKillTest, ::testing::Values("connected", "attached", "claimed", "committed", "detaching"),
                         kName);
INSTANTIATE_TEST_SUITE_P(Matrix, ConsumerKillTest, ::testing::Values("connected", "attached", "reading", "read", "detaching"),
                         kName);

TEST_P(ProducerKillTest, LeavesAStreamThatItsSuccessorServes) {  // D-22, D-24, D-25, D-32, D-45, R-05, W-42
  const std::string step = GetParam();
  overhear();
  driver_ = start_driver();
  settle_in();
  Child victim = start_peer("producer", 77, step);
  if (step == "detaching") {
    ASSERT_TRUE(await_line(victim, "committed")) << story_of(victim);
    ASSERT_TRUE(frames_flow());
    victim.signal(SIGTERM);
  }
  ASSERT_TRUE(await_line(victim, step)) << story_of(victim);
  EXPECT_EQ(end(victim, SIGKILL), 128 + SIGKILL);
  uint64_t epoch = 0;
  if (step == "connected") {
    EXPECT_FALSE(overheard_->asked(77));
  } else {
    ASSERT_TRUE(hear_end_of(77, wire::RevokeReason::expired));  // once, and in its time
    for (const auto& announce : overheard_->announces)
      if (announce.producer_id == 77) epoch = std::max(epoch, announce.epoch);
    ASSERT_NE(epoch, 0u);
    // The next epoch has no producer, and comes after the revocation.
    ASSERT_TRUE(watch_until([&] {
      return !overheard_->announces.empty() && overheard_->announces.back().epoch > epoch &&
             overheard_->announces.back().producer_id == 0;
    }));
    const auto& notices = overheard_->revocations;
    const auto notice = std::find_if(notices.begin(), notices.end(), [](const auto& m) { return m.client_id == 77; });
    EXPECT_LE(notice->timestamp_ns, overheard_->announces.back().announce_timestamp_ns);
  }
  Child successor = start_peer("producer", 78);
  ASSERT_TRUE(frames_flow(10, epoch)) << story_of(successor);
  EXPECT_EQ(end(successor, SIGTERM), 0) << story_of(successor);
  ASSERT_TRUE(hear_end_of(78, wire::RevokeReason::detached));
}

TEST_F(MatrixTest, AProducerKilledBetweenItsDetachAndTheAnswerIsDetached) {  // D-25, D-26
  overhear();
  driver_ = start_driver();
  settle_in();
  Child victim = start_peer("producer", 77);
  ASSERT_TRUE(frames_flow()) << story_of(victim);
  const uint64_t epoch = residents_[0]->epoch();
  ASSERT_NO_FATAL_FAILURE(kill_while_it_detaches(victim, 77));
  Child successor = start_peer("producer", 78);
  ASSERT_TRUE(frames_flow(10, epoch)) << story_of(successor);
}

TEST_P(ConsumerKillTest, DisturbsNobodyAndItsLeaseRunsOut) {  // D-24, D-25, D-32, R-05, R-07
  const std::string step = GetParam();
  overhear();
  driver_ = start_driver();
  settle_in();
  Child producer = start_peer("producer", 70);
  ASSERT_TRUE(frames_flow()) << story_of(producer);
  const uint64_t epoch = residents_[0]->epoch();
  Child victim = start_peer("consumer", 77, step);
  if (step == "detaching") {
    ASSERT_TRUE(await_line(victim, "read")) << story_of(victim);
    victim.signal(SIGTERM);
  }
  ASSERT_TRUE(await_line(victim, step)) << story_of(victim);
  overheard_->forget();
  EXPECT_EQ(end(victim, SIGKILL), 128 + SIGKILL);
  if (step != "connected") {
    ASSERT_TRUE(hear_end_of(77, wire::RevokeReason::expired));
  }
  ASSERT_TRUE(frames_flow());
  EXPECT_EQ(residents_[0]->epoch(), epoch);  // a consumer's end changes nothing for others
  EXPECT_TRUE(overheard_->revocations_of(70).empty());
  Child next = start_peer("consumer", 78);
  EXPECT_TRUE(await_line(next, "done")) << story_of(next);
  EXPECT_EQ(end(next, SIGTERM), 0);
}

TEST_F(MatrixTest, AConsumerKilledBetweenItsDetachAndTheAnswerIsDetached) {  // D-25, D-26
  overhear();
  driver_ = start_driver();
  Child producer = start_peer("producer", 70);
  Child victim = start_peer("consumer", 77);
  ASSERT_TRUE(await_line(victim, "read")) << story_of(victim);
  ASSERT_NO_FATAL_FAILURE(kill_while_it_detaches(victim, 77));
}

class DriverKillTest : public MatrixTest, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Matrix, DriverKillTest,
                         ::testing::Values("idle", "asked", "attached", "claimed", "committed", "detaching"), kName);

TEST_P(DriverKillTest, IsFollowedByASuccessorWithHigherEpochs) {  // D-31, D-42, D-61, D-20, R-01, R-02, P-7, P-8
  const std::string step = GetParam();
  overhear();
  driver_ = start_driver();
  Child producer, leaver;
  uint64_t epoch = 0;
  if (step == "asked") {  // the request is in the log, its answer is not
    driver_.signal(SIGSTOP);
    producer = start_peer("producer", 70);
    ASSERT_TRUE(watch_until([&] { return overheard_->asked(70); })) << story_of(producer);
  } else if (step != "idle") {
    const bool stops = step == "attached" || step == "claimed" || step == "committed";
    producer = start_peer("producer", 70, stops ? step : "-");
    ASSERT_TRUE(await_line(producer, stops ? step : "committed")) << story_of(producer);
    ASSERT_TRUE(watch_until([&] { return !overheard_->announces.empty() && overheard_->announces.back().producer_id == 70; }));
    epoch = overheard_->announces.back().epoch;
  }
  if (step == "detaching") {
    leaver = start_peer("consumer", 71);
    ASSERT_TRUE(await_line(leaver, "read")) << story_of(leaver);
    driver_.signal(SIGSTOP);
    leaver.signal(SIGTERM);
    ASSERT_TRUE(watch_until([&] { return overheard_->detaches_of(71); }));
  }
  EXPECT_EQ(end(driver_, SIGKILL), 128 + SIGKILL);
  if (leaver.started()) {
    EXPECT_EQ(leaver.wait(), 0) << story_of(leaver);  // it waits a second at most (D-65)
  }
  driver_ = start_driver();
  producer.signal(SIGCONT);
  if (step == "idle") producer = start_peer("producer", 70);
  settle_in();
  ASSERT_TRUE(frames_flow(10, epoch)) << producer.complaints() << "\n" << driver_.complaints();
  EXPECT_EQ(end(producer, SIGTERM), 0) << story_of(producer);
  EXPECT_EQ(end(driver_, SIGTERM), 0) << driver_.complaints();
}

// ---- several drivers, streams, consumers ---------------------------------------------------------------------------------------

TEST_F(MatrixTest, TwoDriversOfOneHostServeTheSameStreamNumbersInTwoNamespacesAndAThirdIsRefused) {  // P-7, D-68, R-25, W-21
  const int other_id = next_id_ += 10;
  write_config("other.toml", "other", other_id);
  driver_ = start_driver();
  children_.push_back(start_driver("other.toml"));
  settle_in();
  residents_.push_back(std::make_unique<Resident>(client_options(other_id), kStream, Follow::kRing));
  children_.push_back(start_peer("producer", 70));
  children_.push_back(start_peer("producer", 70, "-", kStream, other_id));  // ids are each driver's own
  ASSERT_TRUE(frames_flow(20));
  EXPECT_GE(epoch_directories(), 1u);
  EXPECT_GE(epoch_directories(kStream, "other"), 1u);

  Child third = Child::start({TIDEPOOL_BINARY, "driver", "--config", dir_.path() + "/driver.toml", "--aeron-dir", media_->dir(),
                              "--log", "error", "--json"},
                             {.capture_errors = true});
  EXPECT_EQ(third.wait(), 1);
  EXPECT_NE(third.complaints().find("matrix-default"), std::string::npos) << third.complaints();
  EXPECT_NE(third.complaints().find(std::to_string(driver_.pid())), std::string::npos) << third.complaints();

  // One of them dies: the other's clients notice nothing.
  const auto attached = residents_[2]->consumer().counters().remaps;
  EXPECT_EQ(end(driver_, SIGKILL), 128 + SIGKILL);
  const uint64_t goal = residents_[2]->frames() + 100;
  ASSERT_TRUE(watch_until([&] { return residents_[2]->frames() >= goal; }));
  EXPECT_EQ(residents_[2]->consumer().counters().remaps, attached);
  driver_ = start_driver();  // its lock went with it
  ASSERT_TRUE(frames_flow(10));
}

TEST_F(MatrixTest, TwoStreamsThatShareAllChannelsAndIdsDoNotMix) {  // W-10, D-26, D-58
  overhear();
  driver_ = start_driver();
  settle_in(kStream);
  settle_in(kStream + 1);
  children_.push_back(start_peer("producer", 70));
  children_.push_back(start_peer("producer", 71, "-", kStream + 1));
  ASSERT_TRUE(frames_flow(30));  // each frame judged: a frame of the other stream's run would be a mismatch
  // One producer's end is the other stream's business in nothing.
  const auto before = residents_[2]->consumer().counters();
  const uint64_t epoch = residents_[2]->epoch();
  EXPECT_EQ(end(children_[0], SIGKILL), 128 + SIGKILL);
  ASSERT_TRUE(hear_end_of(70, wire::RevokeReason::expired));
  const uint64_t goal = residents_[2]->frames() + 30, other_goal = residents_[3]->frames() + 30;
  ASSERT_TRUE(watch_until([&] { return residents_[2]->frames() >= goal && residents_[3]->frames() >= other_goal; }));
  EXPECT_EQ(residents_[2]->epoch(), epoch);
  EXPECT_EQ(residents_[2]->consumer().counters().remaps, before.remaps);
  children_.push_back(start_peer("producer", 72));
  ASSERT_TRUE(frames_flow(10));
}

TEST_F(MatrixTest, SixtyFourConsumersAreServedAndEightThatDieAtOnceAreTold) {  // R-07, D-21, D-25, D-29
  let_leases_live(30);
  overhear();
  driver_ = start_driver();
  settle_in();
  Child producer = start_peer("producer", 70);
  constexpr int kProcesses = 8, kEach = 8;
  for (int i = 0; i < kProcesses; ++i)
    children_.push_back(start_peer("consumer", static_cast<uint32_t>(1000 + 100 * i), "-", kStream, 0, kEach));
  for (auto& child : children_)
    for (int i = 0; i < kEach; ++i) ASSERT_TRUE(await_line(child, "done")) << story_of(child);
  ASSERT_TRUE(frames_flow());
  const uint64_t epoch = residents_[0]->epoch();
  overheard_->forget();
  EXPECT_EQ(end(children_[0], SIGKILL), 128 + SIGKILL);
  for (uint32_t i = 0; i < kEach; ++i) EXPECT_TRUE(hear_end_of(1000 + i, wire::RevokeReason::expired)) << i;
  ASSERT_TRUE(frames_flow());
  EXPECT_EQ(residents_[0]->epoch(), epoch);
  for (size_t i = 1; i < children_.size(); ++i) {
    children_[i].signal(SIGTERM);
    std::string line;
    while (next_line(children_[i], line)) EXPECT_FALSE(line.starts_with("wrong")) << line;
    EXPECT_EQ(children_[i].wait(), 0) << children_[i].complaints();
  }
}

// ---- strangers -----------------------------------------------------------------------------------------------------------------

// Somebody else's publications on all of our streams.
class Stranger {
 public:
  Stranger(const std::string& aeron_dir, int first_id)
      : connection_(transport::Connection::open(transport::testing::connection_options(aeron_dir))) {
    for (int i = 0; i < 4; ++i) planes_.push_back(connection_->add_publication(kChannel, first_id + i));
  }
  void say(const std::vector<std::byte>& bytes) {
    connection_->poll();
    for (auto& plane : planes_) (void)plane->send(bytes);  // what is not taken is not missed
  }
  template <typename Message>
  void say_message(const Message& message) {
    say(wire::encode_new(message));
  }

 private:
  std::shared_ptr<transport::Connection> connection_;
  std::vector<std::shared_ptr<transport::Publication>> planes_;
};

template <typename Message, typename Change>
Message with(Message message, Change&& change) {
  change(message);
  return message;
}

std::vector<std::byte> with_header(std::vector<std::byte> bytes, size_t at, uint16_t value) {
  store<uint16_t>(bytes.data() + at, value);
  return bytes;
}

TEST_F(MatrixTest, StrangersOnSharedStreamsDisturbNobody) {  // W-4, W-5, W-6, W-10, D-2, D-4, D-58, D-63, R-08
  let_leases_live(30);
  overhear();
  driver_ = start_driver();
  settle_in();
  Child producer = start_peer("producer", 70);
  ASSERT_TRUE(frames_flow()) << story_of(producer);
  const auto before = residents_[0]->consumer().counters();
  const auto before_described = residents_[1]->consumer().counters();
  const uint64_t epoch = residents_[0]->epoch();
  Stranger stranger(media_->dir(), first_id_);

  const uint64_t seed = random_u64();
  std::mt19937_64 random(seed);
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  const auto descriptor = with(wire::FrameDescriptor{}, [&](auto& m) {
    m.stream_id = kStream;
    m.epoch = epoch;
    m.seq = 1'000'000;
  });
  const auto revocation = [](uint32_t stream_id, uint32_t client_id, wire::Role role) {
    wire::ShmLeaseRevoked m;
    m.timestamp_ns = monotonic_ns();
    m.lease_id = 4711;
    m.stream_id = stream_id;
    m.client_id = client_id;
    m.role = role;
    return m;
  };
  for (int round = 0; round < 300; ++round) {
    // Other schemas that share the streams, with our template numbers.
    for (const uint16_t schema : {902, 903, 904, 910, 1, 0xFFFF})
      stranger.say(with_header(wire::encode_new(descriptor), 4, schema));
    // Newer versions and unknown templates of our own.
    stranger.say(with_header(wire::encode_new(descriptor), 6, 2));
    stranger.say(with_header(wire::encode_new(revocation(kStream, 70, wire::Role::producer)), 6, 2));
    for (const uint16_t unknown : {0, 77, 0xFFFF}) stranger.say(with_header(wire::encode_new(descriptor), 2, unknown));
    // Garbage of any length, half of it under our schema ids.
    std::vector<std::byte> noise(random() % 200);
    for (auto& byte : noise) byte = static_cast<std::byte>(random());
    if (noise.size() >= 8 && round % 2 == 0) {
      store<uint16_t>(noise.data() + 4, 900);
      store<uint16_t>(noise.data() + 2, static_cast<uint16_t>(1 + random() % 14));
      store<uint16_t>(noise.data() + 6, 1);
      store<uint16_t>(noise.data(), 60'000);  // a block that is longer than the message
    }
    stranger.say(noise);
    // Our own templates about other streams, other clients, other leases.
    stranger.say_message(with(descriptor, [](auto& m) { m.stream_id = kStream + 7; }));
    stranger.say_message(revocation(kStream + 7, 70, wire::Role::producer));
    stranger.say_message(revocation(kStream, 9, wire::Role::consumer));
    stranger.say_message(with(wire::ShmAttachResponse{}, [](auto& m) {
      m.correlation_id = 4711;
      m.code = wire::ResponseCode::rejected;
    }));
    stranger.say_message(with(wire::ShmDetachResponse{}, [](auto& m) { m.correlation_id = 4711; }));
    stranger.say_message(
        wire::ShmDetachRequest{.correlation_id = 1, .lease_id = 4711, .stream_id = kStream, .client_id = 70, .role = 1});
    stranger.say_message(wire::ShmLeaseKeepalive{
        .lease_id = 4711, .stream_id = kStream + 99, .client_id = 70, .role = 1, .client_timestamp_ns = monotonic_ns()});
    stranger.say_message(with(wire::ShmDriverShutdownRequest{}, [](auto& m) { m.token = "guess"; }));
    wire::ConsumerConfig config;
    config.stream_id = kStream + 7;
    config.consumer_id = 70;
    config.use_shm = false;
    stranger.say_message(config);
    wire::ConsumerHello hello;
    hello.stream_id = kStream + 7;
    hello.consumer_id = 70;
    stranger.say_message(hello);
    for (auto& resident : residents_) resident->pump();
    overheard_->poll();
  }
  ASSERT_TRUE(frames_flow(30));
  EXPECT_EQ(residents_[0]->epoch(), epoch);
  EXPECT_EQ(residents_[0]->consumer().counters().remaps, before.remaps);
  EXPECT_EQ(residents_[1]->consumer().counters().remaps, before_described.remaps);
  EXPECT_EQ(residents_[0]->consumer().state(), State::kAttached);
  // Whoever attaches and leaves now is served as ever.
  Child consumer = start_peer("consumer", 90);
  EXPECT_TRUE(await_line(consumer, "done")) << consumer.complaints();
  EXPECT_EQ(end(consumer, SIGTERM), 0);
  EXPECT_EQ(end(producer, SIGTERM), 0) << story_of(producer);
  EXPECT_EQ(end(driver_, SIGTERM), 0) << driver_.complaints();
}

// ---- clocks --------------------------------------------------------------------------------------------------------------------

TEST_F(MatrixTest, AnnouncesOfAnotherTimeMoveNobody) {  // W-55, W-56, W-57, D-62
  let_leases_live(30);
  overhear();
  driver_ = start_driver();
  settle_in();
  Child producer = start_peer("producer", 70);
  ASSERT_TRUE(frames_flow()) << story_of(producer);
  ASSERT_TRUE(watch_until([&] { return !overheard_->announces.empty() && overheard_->announces.back().producer_id == 70; }));
  const wire::ShmPoolAnnounce real = overheard_->announces.back();
  const auto before = residents_[0]->consumer().counters();
  Stranger stranger(media_->dir(), first_id_);
  for (int round = 0; round < 50; ++round) {
    auto odd = real;
    odd.epoch = real.epoch + 1;  // a later epoch, said at a time that does not count
    odd.announce_timestamp_ns = 0;
    stranger.say_message(odd);
    odd.announce_timestamp_ns = 1;  // of an earlier boot, or before we came
    stranger.say_message(odd);
    odd.announce_timestamp_ns = monotonic_ns() - 10 * kNsPerSecond;
    stranger.say_message(odd);
    odd.clock_domain = wire::ClockDomain::realtime_synced;
    odd.announce_timestamp_ns = realtime_ns() - 10 * kNsPerSecond;
    stranger.say_message(odd);
    odd = real;  // the present epoch, stamped ahead of now: fresh, and nothing new
    odd.announce_timestamp_ns = monotonic_ns() + 3600 * kNsPerSecond;
    stranger.say_message(odd);
    odd.epoch = real.epoch - 1;  // and an earlier one from the future
    stranger.say_message(odd);
    for (auto& resident : residents_) resident->pump();
  }
  ASSERT_TRUE(frames_flow(50));
  EXPECT_EQ(residents_[0]->epoch(), real.epoch);
  EXPECT_EQ(residents_[0]->consumer().counters().remaps, before.remaps);
  EXPECT_EQ(end(producer, SIGTERM), 0) << story_of(producer);
}

TEST_F(MatrixTest, AClockThatIsSetWhileAllRunMattersToNobody) {  // D-7, W-55, R-25
  // Driver and clients see CLOCK_REALTIME jump, by more than a lease lives or an announce is fresh, and less than what Aeron
  // itself, which goes by that clock, takes for a death.
  const std::string file = dir_.path() + "/step";
  std::ofstream(file) << std::string(8, '\0');
  const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  auto* step = static_cast<std::atomic<int64_t>*>(::mmap(nullptr, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  ::close(fd);
  ASSERT_NE(static_cast<void*>(step), MAP_FAILED);
  ::setenv("TIDEPOOL_TEST_CLOCK_STEP", file.c_str(), 1);
  const char* asan = ::getenv("ASAN_OPTIONS");
  ::setenv("ASAN_OPTIONS", concat(asan == nullptr ? "" : asan, ":verify_asan_link_order=0").c_str(), 1);
  ::setenv("LD_PRELOAD", TIDEPOOL_CLOCK_STEP, 1);
  let_leases_live(15);
  overhear();
  driver_ = start_driver();
  Child producer = start_peer("producer", 70);
  Child consumer = start_peer("consumer", 71);
  ::unsetenv("LD_PRELOAD");
  settle_in();
  ASSERT_TRUE(frames_flow()) << story_of(producer);
  ASSERT_TRUE(await_line(consumer, "done")) << consumer.complaints();
  const uint64_t epoch = residents_[0]->epoch();
  overheard_->forget();
  for (const int64_t seconds : {2, 0, -2}) {
    step->store(seconds * static_cast<int64_t>(kNsPerSecond), std::memory_order_relaxed);
    // Longer than a lease lives without keepalives: by announces, which have their period.
    const size_t goal = overheard_->announces.size() + 25;
    ASSERT_TRUE(watch_until([&] { return overheard_->announces.size() >= goal; }));
    ASSERT_TRUE(frames_flow());
    EXPECT_EQ(residents_[0]->epoch(), epoch) << seconds;
  }
  EXPECT_TRUE(overheard_->revocations.empty());
  EXPECT_TRUE(overheard_->requests.empty());  // nobody had to attach again
  // And the clock was set indeed.
  consumer.signal(SIGTERM);
  ASSERT_TRUE(await_line(consumer, "gone ")) << story_of(consumer);
  const std::string said = said_[consumer.pid()];
  const uint64_t clock_ns = std::stoull(said.substr(said.find("gone ") + 5));
  EXPECT_GE(realtime_ns(), clock_ns + 2 * kNsPerSecond);
  EXPECT_EQ(consumer.wait(), 0) << consumer.complaints();
  EXPECT_EQ(end(producer, SIGTERM), 0) << story_of(producer);
  ::munmap(static_cast<void*>(step), sizeof(int64_t));
}

}  // namespace
}  // namespace tidepool

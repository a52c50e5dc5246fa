// One writer flat out, several readers that verify every byte: nobody ever accepts a torn or a stale frame, and every
// sequence is accounted for. Between threads (ThreadSanitizer sees these), between processes, and while the writer is
// killed in the middle of its work. Bounded by frames, not by time.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "tidepool/base/random.h"
#include "tidepool/pool/racing_copy.h"
#include "tidepool/pool/test_support.h"

namespace tidepool::pool {
namespace {

using namespace test;

constexpr uint64_t kDeadlineNs = 30 * kNsPerSecond;
constexpr uint64_t kFrames = kCopyByWords ? 6'000 : 60'000;
constexpr uint32_t kStrideBytes = 4096;
constexpr uint64_t kNoMore = ~uint64_t{0};

// ---- what frame `seq` of a run looks like ---------------------------------------------------------------------------

// Lengths from nothing to the whole stride, most of them short; shapes of one and of four dimensions in runs, so that
// slots are written with equal and with other shapes than before.
uint32_t length_of(uint64_t seq) { return static_cast<uint32_t>(seq % 16 == 0 ? kStrideBytes : seq % 7 == 0 ? 0 : 64 * (1 + seq % 5)); }
wire::TensorHeader tensor_of(uint64_t seq) {
  const auto length = static_cast<int32_t>(length_of(seq));
  return seq / 50 % 2 == 0 ? bytes_tensor(length) : wire::contiguous(wire::DType::u8, std::vector<int32_t>{length / 64, 2, 1, 32});
}
FrameInfo info_of(uint64_t run, uint64_t seq) {
  return {.timestamp_ns = mix(run, 0, seq, 1), .meta_version = static_cast<uint32_t>(mix(run, 0, seq, 2))};
}
bool is_aborted(uint64_t seq) { return seq % 97 == 5; }

// Writes sequences up to `end`, some of them aborted; `published` is called after each commit.
void write_until(PoolWriter& writer, uint64_t run, uint64_t end, const std::function<void(uint64_t)>& published) {
  Claim claim;
  while (writer.next_seq() < end) {
    const uint64_t seq = writer.next_seq();
    if (writer.claim(tensor_of(seq), claim) != ClaimError::kNone) std::abort();
    fill_mix(claim.bytes(), run, writer.map().epoch(), seq);
    if (is_aborted(seq)) {
      writer.abort(claim);
    } else {
      if (writer.commit(claim, info_of(run, seq)) != CommitResult::kOk) std::abort();
      published(seq);
    }
  }
}

// ---- readers --------------------------------------------------------------------------------------------------------

// Plain numbers: sent through pipes.
struct Tally {
  uint64_t first = 0;     // baseline: the first sequence that counts
  uint64_t next = 0;      // one beyond the last sequence passed
  uint64_t accepted = 0;  // frames delivered and whole to the end of the copy
  uint64_t spoilt = 0;    // frames delivered, overwritten while they were copied
  uint64_t gap = 0;
  uint64_t late = 0;
  uint64_t skipped = 0;
  uint64_t bad = 0;       // accepted and wrong
  uint64_t timeouts = 0;
};

class Verifier {
 public:
  explicit Verifier(uint64_t run) : run_(run), copy_(kStrideBytes) {}

  void check(const FrameView& view, Tally& tally) {
    const uint64_t seq = view.seq();
    // In place, judged only if the view is still valid after the last byte was looked at (W-45)...
    if constexpr (!kCopyByWords) {
      const bool whole = is_mix(view.bytes(), run_, view.epoch(), seq);
      if (view.still_valid() && !whole) ++tally.bad;
    }
    // ...and as a copy.
    if (!view.copy_to(copy_)) {
      ++tally.spoilt;
      return;
    }
    ++tally.accepted;
    const FrameInfo info = info_of(run_, seq);
    const bool right = view.bytes().size() == length_of(seq) && view.tensor() == tensor_of(seq) && view.timestamp_ns() == info.timestamp_ns &&
                       view.meta_version().value_or(wire::kNull32) == info.meta_version && !is_aborted(seq) &&
                       is_mix(Bytes(copy_).first(view.bytes().size()), run_, view.epoch(), seq);
    if (!right) ++tally.bad;
  }

 private:
  uint64_t run_;
  std::vector<std::byte> copy_;
};

// Follow until frame `last` was passed or `over` says that nothing more will come.
Tally follow(RingFollower follower, uint64_t run, uint64_t last, const std::function<bool()>& over = [] { return false; }) {
  Tally tally;
  tally.first = follower.next_seq();
  Verifier verifier(run);
  FrameView view;
  const uint64_t deadline_ns = monotonic_ns() + kDeadlineNs;
  uint64_t empties = 0;
  while (follower.next_seq() <= last) {
    switch (follower.poll(view)) {
      case RingFollower::Result::kFrame:
        verifier.check(view, tally);
        empties = 0;
        break;
      case RingFollower::Result::kDropped:
        empties = 0;
        break;
      case RingFollower::Result::kEmpty:
        if (++empties % 64 != 0) break;
        if (empties > 50'000 && over()) last = 0;
        if (monotonic_ns() > deadline_ns) tally.timeouts = 1, last = 0;
        std::this_thread::yield();
        break;
      case RingFollower::Result::kDead:
        tally.bad = 1, last = 0;
        break;
    }
  }
  tally.next = follower.next_seq();
  tally.gap = follower.drops().drops_gap;
  tally.late = follower.drops().drops_late;
  tally.skipped = follower.drops().skipped;
  return tally;
}

// A reader of announced sequences: counts gaps from what it is told, and reads each once (wire.md 13.1).
Tally read_announced(PoolReader reader, uint64_t run, const std::function<bool(uint64_t&)>& next_announced) {
  Tally tally;
  Verifier verifier(run);
  FrameView view;
  DropCounts drops;
  bool has_baseline = false;
  for (uint64_t seq = 0; next_announced(seq);) {
    if (!has_baseline) tally.first = tally.next = seq;
    if (has_baseline && seq + 1 == tally.next) continue;  // a duplicate (W-66)
    has_baseline = true;
    tally.gap += seq - tally.next;
    tally.next = seq + 1;
    const ReadResult result = reader.read(seq, view);
    drops.count_late(result);
    if (result == ReadResult::kFrame) verifier.check(view, tally);
    if (result == ReadResult::kHeaderInvalid || result == ReadResult::kPayloadInvalid || result == ReadResult::kDead) ++tally.bad;
  }
  tally.late = drops.drops_late;
  return tally;
}

void expect_sound(const Tally& tally, uint64_t end) {
  EXPECT_EQ(tally.bad, 0u);
  EXPECT_EQ(tally.timeouts, 0u);
  EXPECT_EQ(tally.next, end);
  EXPECT_GT(tally.accepted, 0u);  // what is in the ring at the end is there to be read
  // W-82: every sequence in exactly one count.
  EXPECT_EQ(tally.accepted + tally.spoilt + tally.gap + tally.late + tally.skipped, tally.next - tally.first);
}

// The last sequence that is committed, so that readers know where to stop.
uint64_t last_of(uint64_t frames) {
  uint64_t last = frames - 1;
  while (is_aborted(last)) --last;
  return last;
}

class Torture : public ::testing::TestWithParam<uint32_t> {  // the number of slots
 protected:
  uint64_t run_ = random_u64();
  Store store_;
  EpochFiles::Created epoch_ = store_.create({.slot_count = GetParam(), .pools = {{1, kStrideBytes}, {2, 64}}});
  uint64_t last_ = last_of(kFrames);
  void SetUp() override { RecordProperty("run", std::to_string(run_)); }
};

TEST_P(Torture, ThreadsNeverAcceptATornOrStaleFrame) {  // W-42, W-45, W-82, S-27
  SCOPED_TRACE(concat("run ", run_));
  PoolWriter writer(epoch_.map);
  write_until(writer, run_, 1, [](uint64_t) {});  // a baseline for all
  std::atomic<uint64_t> announced{0};
  std::atomic<int> ready{0};
  Tally tallies[4];
  std::vector<std::thread> readers;
  for (size_t i = 0; i < 2; ++i) {
    readers.emplace_back([&, i] {
      RingFollower follower(store_.open(epoch_.regions), Start::kOldest, i == 0 ? OnLap::kOldestValid : OnLap::kSkipToLatest);
      ++ready;
      tallies[i] = follow(std::move(follower), run_, last_);
    });
    readers.emplace_back([&, i] {
      PoolReader reader(i == 0 ? store_.open(epoch_.regions) : epoch_.map);
      ++ready;
      uint64_t seen = 0;
      bool first = true;
      tallies[2 + i] = read_announced(std::move(reader), run_, [&](uint64_t& seq) {
        if (seen == last_) return false;
        while (!first && announced.load(std::memory_order_relaxed) == seen) std::this_thread::yield();
        first = false;
        seq = seen = announced.load(std::memory_order_relaxed);
        return true;
      });
    });
  }
  while (ready.load() < 4) std::this_thread::yield();
  write_until(writer, run_, kFrames, [&](uint64_t seq) { announced.store(seq, std::memory_order_relaxed); });
  for (std::thread& reader : readers) reader.join();
  for (const Tally& tally : tallies) expect_sound(tally, last_ + 1);
}

// ---- processes ------------------------------------------------------------------------------------------------------

// A forked process whose result comes back through a pipe. Killed and reaped on destruction.
template <typename T>
class Child {
 public:
  explicit Child(const std::function<T(int start_fd)>& body) {
    int result[2], start[2], ready[2];
    if (::pipe2(result, O_CLOEXEC) != 0 || ::pipe2(start, O_CLOEXEC) != 0 || ::pipe2(ready, O_CLOEXEC) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(start[1]);
      ready_fd() = ready[1];
      T value{};
      try {
        value = body(start[0]);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "child: %s\n", error.what());
        ::_exit(1);
      }
      ::_exit(::write(result[1], &value, sizeof value) == sizeof value ? 0 : 1);
    }
    ::close(result[1]);
    ::close(start[0]);
    ::close(ready[1]);
    result_ = result[0];
    start_ = start[1];
    char byte = 0;
    is_ready_ = ::read(ready[0], &byte, 1) == 1;
    ::close(ready[0]);
  }
  Child(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(result_);
    ::close(start_);
  }

  // In the child, once it has set up what it needs.
  static void tell_ready() {
    if (::write(ready_fd(), "r", 1) != 1) ::_exit(1);
  }
  bool is_ready() const { return is_ready_; }
  int start_fd() const { return start_; }
  T join() {
    T value{};
    EXPECT_EQ(::read(result_, &value, sizeof value), static_cast<ssize_t>(sizeof value));
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    EXPECT_EQ(status, 0);
    pid_ = -1;
    return value;
  }
  void kill() {
    EXPECT_EQ(::kill(pid_, SIGKILL), 0);
    EXPECT_EQ(::waitpid(pid_, nullptr, 0), pid_);
    pid_ = -1;
  }

 private:
  static int& ready_fd() {
    static int fd = -1;
    return fd;
  }
  pid_t pid_ = -1;
  int result_ = -1;
  int start_ = -1;
  bool is_ready_ = false;
};

using ReaderProcess = Child<Tally>;

TEST_P(Torture, ProcessesNeverAcceptATornOrStaleFrame) {  // W-42, W-45, W-82, W-30
  if (kCopyByWords) GTEST_SKIP() << "ThreadSanitizer sees one process only";
  SCOPED_TRACE(concat("run ", run_));
  PoolWriter writer(epoch_.map);
  write_until(writer, run_, 1, [](uint64_t) {});
  std::vector<std::unique_ptr<ReaderProcess>> followers;
  for (const OnLap on_lap : {OnLap::kOldestValid, OnLap::kSkipToLatest}) {
    followers.push_back(std::make_unique<ReaderProcess>([&](int) {
      RingFollower follower(store_.open(epoch_.regions), Start::kOldest, on_lap);
      ReaderProcess::tell_ready();
      return follow(std::move(follower), run_, last_);
    }));
  }
  // Descriptors as they are: a queue that is never waited for. What does not fit is a gap for its reader.
  ReaderProcess announced([&](int descriptors) {
    PoolReader reader(store_.open(epoch_.regions));
    ReaderProcess::tell_ready();
    return read_announced(std::move(reader), run_,
                          [&](uint64_t& seq) { return ::read(descriptors, &seq, sizeof seq) == ssize_t{sizeof seq} && seq != kNoMore; });
  });
  ASSERT_TRUE(followers[0]->is_ready() && followers[1]->is_ready() && announced.is_ready());
  ASSERT_EQ(::fcntl(announced.start_fd(), F_SETFL, O_NONBLOCK), 0);
  write_until(writer, run_, kFrames, [&](uint64_t seq) { (void)!::write(announced.start_fd(), &seq, sizeof seq); });
  ASSERT_EQ(::fcntl(announced.start_fd(), F_SETFL, 0), 0);
  ASSERT_EQ(::write(announced.start_fd(), &last_, sizeof last_), ssize_t{sizeof last_});  // once more, for certain
  const uint64_t end = kNoMore;
  ASSERT_EQ(::write(announced.start_fd(), &end, sizeof end), ssize_t{sizeof end});
  for (const auto& follower : followers) expect_sound(follower->join(), last_ + 1);
  expect_sound(announced.join(), last_ + 1);
}

TEST_P(Torture, AWriterKilledAnywhereLeavesNoTornFrameBehind) {  // W-41, W-42, R-05
  if (kCopyByWords) GTEST_SKIP() << "ThreadSanitizer sees one process only";
  SCOPED_TRACE(concat("run ", run_));
  int killed_while_writing = 0;
  for (uint64_t round = 0; round < 10; ++round) {
    SCOPED_TRACE(concat("round ", round));
    const uint64_t run = mix(run_, 1, round, 0);
    const auto epoch = store_.create({.slot_count = GetParam(), .pools = {{1, kStrideBytes}}}, 100 + round);
    Child<int> writer([&](int start) {
      PoolWriter endless(store_.open(epoch.regions, shm::Access::kReadWrite));
      write_until(endless, run, 1, [](uint64_t) {});
      Child<int>::tell_ready();
      char byte = 0;
      if (::read(start, &byte, 1) != 1) return 1;
      write_until(endless, run, uint64_t{1} << 40, [](uint64_t) {});
      return 0;
    });
    ASSERT_TRUE(writer.is_ready());
    RingFollower follower(store_.open(epoch.regions), Start::kOldest, OnLap::kOldestValid);
    ASSERT_EQ(follower.next_seq(), 0u);  // the baseline
    PoolReader reader(store_.open(epoch.regions));
    ASSERT_EQ(::write(writer.start_fd(), "s", 1), 1);
    Verifier verifier(run);
    FrameView view;
    Tally tally;
    bool alive = true;
    const uint64_t deadline_ns = monotonic_ns() + kDeadlineNs;
    // Where in a frame the signal falls is left to chance; that it falls into the midst of reading is not.
    const uint64_t frames_before_kill = 5 + mix(run, 0, 0, 7) % 100;
    const uint64_t sequences_before_kill = 20'000;  // a reader of few slots may be lapped nearly always
    for (int quiet = 0; quiet < 3000 && monotonic_ns() < deadline_ns;) {
      const auto result = follower.poll(view);
      if (result == RingFollower::Result::kFrame) verifier.check(view, tally);
      quiet = result == RingFollower::Result::kEmpty && !alive ? quiet + 1 : 0;
      if (reader.read(follower.next_seq() + GetParam() / 2, view) == ReadResult::kFrame) {
        Tally ahead;
        verifier.check(view, ahead);
        tally.bad += ahead.bad;
      }
      if (alive && (tally.accepted + tally.spoilt >= frames_before_kill || follower.next_seq() >= sequences_before_kill)) {
        writer.kill();
        alive = false;
      }
    }
    ASSERT_FALSE(alive) << "no frames came";
    EXPECT_EQ(tally.bad, 0u);
    EXPECT_EQ(tally.accepted + tally.spoilt + follower.drops().drops_gap + follower.drops().drops_late + follower.drops().skipped,
              follower.next_seq());
    // What is in the ring now, for ever: whole frames, and slots that nobody takes for one.
    int uncommitted = 0;
    for (uint32_t i = 0; i < GetParam(); ++i) {
      const uint64_t word = shm::CommitWord(epoch.map->slot(i)).load();
      if (word == 0) continue;  // the writer was killed before it came here; sequence 0 lives in slot 0
      const ReadResult result = PoolReader(epoch.map).read(shm::CommitWord::seq_of(word), view);
      EXPECT_EQ(result, shm::CommitWord::is_committed(word) ? ReadResult::kFrame : ReadResult::kUncommitted);
      if (result == ReadResult::kFrame) verifier.check(view, tally);
      uncommitted += result == ReadResult::kUncommitted && !is_aborted(shm::CommitWord::seq_of(word));
    }
    EXPECT_EQ(tally.bad, 0u);
    EXPECT_LE(uncommitted, 1);
    killed_while_writing += uncommitted;
  }
  RecordProperty("killed_while_writing", killed_while_writing);
}

INSTANTIATE_TEST_SUITE_P(Pool, Torture, ::testing::Values(1, 2, 8, 64), [](const auto& slots) { return concat("Of", slots.param, "Slots"); });

}  // namespace
}  // namespace tidepool::pool

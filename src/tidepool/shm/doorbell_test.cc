#include "tidepool/shm/doorbell.h"

#include <gtest/gtest.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "tidepool/base/bytes.h"
#include "tidepool/base/clock.h"
#include "tidepool/base/random.h"
#include "tidepool/shm/region.h"
#include "tidepool/shm/test_support.h"

namespace tidepool::shm {
namespace {

using test::expect_error;
using test::Helper;
using test::kDeadlineNs;
using test::TemporaryDirectory;

constexpr size_t kRingsAt = 64;
constexpr size_t kParkedUntilAt = 128;

// A doorbell and a second look at its page, for what no user of it can see.
class DoorbellTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Doorbell::create(root.directory(), 0660);
    region = Region::open(Uri{root / "doorbell", false}, Access::kReadWrite, kDoorbellBytes,
                          MapPolicy({.allowed_base_dirs = {root.path()}}));
    page = region.mutable_data();
  }
  std::atomic_ref<uint32_t> rings() const { return std::atomic_ref(*reinterpret_cast<uint32_t*>(page + kRingsAt)); }
  std::atomic_ref<uint64_t> parked_until() const { return std::atomic_ref(*reinterpret_cast<uint64_t*>(page + kParkedUntilAt)); }
  Doorbell bell() const {
    auto opened = Doorbell::open(root.path());
    if (!opened) throw Error(Code::kInternal, "the doorbell does not open");
    return std::move(*opened);
  }

  TemporaryDirectory root;
  Region region;
  std::byte* page = nullptr;
};

// ---- the file -----------------------------------------------------------------------------------------------------------

TEST_F(DoorbellTest, IsOnePageOfTheDocumentedBytes) {  // P-3: the worked example of docs/formats/doorbell.md, at rest
  std::string expected(kDoorbellBytes, '\0');
  expected.replace(0, 12, std::string("TPDBELL1\x01\0\0\0", 12));
  EXPECT_EQ(test::read_file(root / "doorbell"), expected);
  EXPECT_EQ(load<uint64_t>(page), kDoorbellMagic);
}

TEST_F(DoorbellTest, ShowsTheDocumentedBytesOfAParkedReaderAndOfARing) {  // P-3: the worked example, in use
  auto reader = bell();
  const uint64_t deadline_ns = 0x0000'0012'3456'789A;  // long past: waits for nothing, and still marks
  EXPECT_FALSE(reader.park(deadline_ns, [] { return true; }));
  EXPECT_EQ(test::read_file(root / "doorbell").substr(kParkedUntilAt, 8), std::string("\x9a\x78\x56\x34\x12\0\0\0", 8));
  EXPECT_TRUE(bell().ring_if_parked());
  EXPECT_EQ(test::read_file(root / "doorbell").substr(kRingsAt, 4), std::string("\x01\0\0\0", 4));
  EXPECT_EQ(test::read_file(root / "doorbell").substr(kParkedUntilAt, 8), std::string(8, '\0'));
}

TEST_F(DoorbellTest, HasTheModeOfTheRegionsWhateverTheUmask) {  // P-3, D-37
  const mode_t umask_before = ::umask(0077);
  Doorbell::create(root.directory(), 0640);  // kept, and given the mode
  EXPECT_EQ(test::mode_of(root / "doorbell"), mode_t{0640});
  root.directory().unlink_file("doorbell");
  Doorbell::create(root.directory(), 0660);  // made
  ::umask(umask_before);
  EXPECT_EQ(test::mode_of(root / "doorbell"), mode_t{0660});
}

TEST_F(DoorbellTest, IsKeptWhenItIsWhole) {  // P-3: a new epoch of the stream keeps its parked readers
  rings().store(41);
  Doorbell::create(root.directory(), 0660);
  EXPECT_TRUE(region.still_same_file());
  EXPECT_EQ(rings().load(), 41u);
}

TEST_F(DoorbellTest, IsReplacedWhenItIsDamagedOrForeign) {  // P-3, R-03
  const std::string whole = test::read_file(root / "doorbell");
  const auto replaced = [&] {
    EXPECT_FALSE(Doorbell::open(root.path()));
    Doorbell::create(root.directory(), 0660);
    EXPECT_TRUE(Doorbell::open(root.path()));
    EXPECT_EQ(test::read_file(root / "doorbell"), whole);
    root.directory().unlink_file("doorbell");
  };
  std::string half_made = whole;  // a creator killed before it stored the magic
  half_made.replace(0, 8, 8, '\0');
  std::string newer = whole;
  newer[8] = 2;
  std::string other_magic = whole;
  other_magic[7] = '2';
  for (const auto& bytes : {half_made, newer, other_magic, whole.substr(0, kDoorbellBytes - 1), std::string(), std::string("x")}) {
    root.directory().unlink_file("doorbell");
    test::write_file(root / "doorbell", bytes);
    replaced();
  }
  test::write_file(root / "target", whole);
  ASSERT_EQ(::symlink("target", (root / "doorbell").c_str()), 0);
  replaced();
  ASSERT_EQ(::mkfifo((root / "doorbell").c_str(), 0660), 0);
  replaced();
  EXPECT_EQ(test::read_file(root / "target"), whole);
}

TEST_F(DoorbellTest, IsReplacedWhenSomebodyElseMadeIt) {  // P-3, D-34
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: needs root to give a file away";
  ASSERT_EQ(::chown((root / "doorbell").c_str(), 65534, 65534), 0);
  Doorbell::create(root.directory(), 0660);
  EXPECT_FALSE(region.still_same_file());
  EXPECT_TRUE(Doorbell::open(root.path()));
}

TEST_F(DoorbellTest, IsAnErrorForItsMakerWhenADirectoryIsInItsPlace) {  // P-3
  root.directory().unlink_file("doorbell");
  root.directory().make("doorbell", 0770);
  EXPECT_FALSE(Doorbell::open(root.path()));
  EXPECT_THROW(Doorbell::create(root.directory(), 0660), Error);
}

TEST_F(DoorbellTest, IsAbsentForWhoFindsNoneOrMayNotWriteIt) {  // P-3: then they poll
  const TemporaryDirectory empty;
  EXPECT_FALSE(Doorbell::open(empty.path()));
  EXPECT_FALSE(Doorbell::open(empty / "absent"));
  EXPECT_FALSE(Doorbell::open(""));
  EXPECT_FALSE(Doorbell::open("relative"));
  EXPECT_FALSE(Doorbell::open("/" + std::string(5000, 'a')));
  ASSERT_EQ(::symlink(root.path().c_str(), (empty / "link").c_str()), 0);
  EXPECT_TRUE(Doorbell::open(root.path()));
  EXPECT_FALSE(Doorbell::open(empty / "link"));  // W-26: not through a linked directory either

  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED in part: needs root to become somebody else";
  ASSERT_EQ(::chmod((root / "doorbell").c_str(), 0644), 0);
  ASSERT_EQ(::chmod(root.path().c_str(), 0755), 0);
  TIDEPOOL_IN_CHILD([&] {
    ASSERT_EQ(::setresuid(65534, 65534, 65534), 0);
    EXPECT_FALSE(Doorbell::open(root.path()));
  });
}

TEST(DoorbellFileTest, TakesAWholeHugepageWhereOnlyThoseExist) {  // P-3, D-38
  const TemporaryDirectory root;
  root.directory().make("huge", 0770);
  const test::ReservedHugepages pages(2);
  TIDEPOOL_IN_CHILD([&] {
    const std::string huge = root / "huge";
    if (!test::mount_private("hugetlbfs", huge, "mode=770")) GTEST_SKIP() << "SKIPPED: may not mount a hugetlbfs here";
    const auto fs = file_system_of(huge);
    if (fs.free_bytes < fs.block_bytes) GTEST_SKIP() << "SKIPPED: needs a free hugepage (sysctl vm.nr_hugepages=1)";
    const auto directory = Directory::open(huge);
    Doorbell::create(directory, 0660);
    Doorbell::create(directory, 0660);
    {
      auto bell = Doorbell::open(huge);
      ASSERT_TRUE(bell);
      EXPECT_FALSE(bell->park(1, [] { return true; }));
      EXPECT_TRUE(bell->ring_if_parked());
    }
    directory.unlink_file("doorbell");
    EXPECT_EQ(file_system_of(huge).free_bytes, fs.free_bytes);  // every mapping went
  });
}

TEST_F(DoorbellTest, MovesButIsNeverCopied) {
  static_assert(!std::is_copy_constructible_v<Doorbell> && !std::is_copy_assignable_v<Doorbell>);
  auto first = bell();
  Doorbell second = std::move(first);
  auto third = bell();
  third = std::move(second);
  EXPECT_FALSE(third.ring_if_parked());
}

// ---- ringing and parking ------------------------------------------------------------------------------------------------

TEST_F(DoorbellTest, IsNotRungWhenNobodyIsParked) {  // P-3
  auto producer = bell();
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(producer.ring_if_parked());
  EXPECT_EQ(rings().load(), 0u);
}

TEST_F(DoorbellTest, IsRungOnceForAllWhoAreMarked) {  // P-3: a killed reader costs one wake
  auto producer = bell();
  parked_until().store(UINT64_MAX);
  EXPECT_TRUE(producer.ring_if_parked());
  EXPECT_EQ(rings().load(), 1u);
  EXPECT_EQ(parked_until().load(), 0u);
  EXPECT_FALSE(producer.ring_if_parked());
  EXPECT_EQ(rings().load(), 1u);
}

TEST_F(DoorbellTest, DoesNotParkAReaderWhoseFrameIsThere) {  // P-3
  auto reader = bell();
  int looks = 0;
  EXPECT_TRUE(reader.park(monotonic_ns() + kDeadlineNs, [&] {
    ++looks;
    return false;
  }));
  EXPECT_EQ(looks, 1);
}

TEST_F(DoorbellTest, MarksTheReaderBeforeItsLastLook) {  // P-3 [park]
  auto reader = bell();
  const uint64_t deadline_ns = monotonic_ns() + kDeadlineNs;
  EXPECT_TRUE(reader.park(deadline_ns, [&] {
    EXPECT_EQ(parked_until().load(), deadline_ns);
    return false;
  }));
}

TEST_F(DoorbellTest, ExtendsADeadlineAndNeverShortensOne) {  // P-3: parkers extend it, nobody counts
  auto reader = bell();
  const uint64_t later_ns = monotonic_ns() + 2 * kDeadlineNs;
  EXPECT_TRUE(reader.park(later_ns, [] { return false; }));
  EXPECT_TRUE(reader.park(later_ns - kDeadlineNs, [] { return false; }));
  EXPECT_EQ(parked_until().load(), later_ns);
  EXPECT_TRUE(reader.park(later_ns + 1, [] { return false; }));
  EXPECT_EQ(parked_until().load(), later_ns + 1);
}

TEST_F(DoorbellTest, EndsAWaitAtItsDeadlineAndNotBefore) {  // P-3
  auto reader = bell();
  const uint64_t deadline_ns = monotonic_ns() + 20 * kNsPerMs;
  EXPECT_FALSE(reader.park(deadline_ns, [] { return true; }));
  EXPECT_GE(monotonic_ns(), deadline_ns);
  EXPECT_FALSE(reader.park(0, [] { return true; }));
  int looks = 0;
  EXPECT_TRUE(reader.park(1, [&] { return ++looks == 1; }));  // a frame that came at the last moment counts
}

TEST_F(DoorbellTest, SeesARingBetweenItsLastLookAndItsWait) {  // P-3 [ring]
  auto reader = bell();
  auto producer = bell();
  EXPECT_TRUE(reader.park(monotonic_ns() + kDeadlineNs, [&] {
    EXPECT_TRUE(producer.ring_if_parked());
    return true;  // a look that missed the frame which rang
  }));
}

// Runs `producer(round)` and `reader(round)` on two threads that start each round together, at close quarters, then `check`;
// as many rounds as fit into 300 ms, 30,000 at most: what must never happen is sought, not waited for. `warm` runs on both
// before: it reads the words at stake, so that each core holds them and a store of the other takes its time to arrive.
void race(const std::function<void()>& warm, const std::function<void(uint64_t)>& producer,
          const std::function<void(uint64_t)>& reader, const std::function<void()>& check) {
  std::atomic<uint64_t> producer_at{0};
  std::atomic<uint64_t> reader_at{0};
  std::atomic<bool> last{false};
  const auto meet = [](std::atomic<uint64_t>& mine, const std::atomic<uint64_t>& other, uint64_t step) {
    mine.store(step, std::memory_order_release);
    for (int spins = 0; other.load(std::memory_order_acquire) < step; ++spins) {
      if (spins > 1000) std::this_thread::yield();
    }
  };
  const auto dither = [](std::minstd_rand& random) {
    for (auto delay = random() % 256; delay > 0; --delay) std::atomic_signal_fence(std::memory_order_seq_cst);
  };
  std::thread thread([&] {
    std::minstd_rand random(1);
    for (uint64_t round = 1; !last.load(std::memory_order_relaxed); ++round) {
      meet(producer_at, reader_at, 3 * round);
      warm();
      meet(producer_at, reader_at, 3 * round + 1);
      dither(random);
      producer(round);
      meet(producer_at, reader_at, 3 * round + 2);
    }
  });
  std::minstd_rand random(2);
  const uint64_t end_ns = monotonic_ns() + 300 * kNsPerMs;
  for (uint64_t round = 1; !last.load(std::memory_order_relaxed); ++round) {
    meet(reader_at, producer_at, 3 * round);
    if (round >= 30'000 || monotonic_ns() > end_ns) last.store(true, std::memory_order_relaxed);  // read after the next meetings
    warm();
    meet(reader_at, producer_at, 3 * round + 1);
    dither(random);
    reader(round);
    meet(reader_at, producer_at, 3 * round + 2);
    check();
  }
  thread.join();
}

// The race that the membarrier is for: the producer stores a frame and looks for a mark while the reader stores its mark and
// looks for the frame. In each round one of them at least must see the other's store. In a child, since registering is for the
// whole process and for good.
class DoorbellRaceTest : public DoorbellTest, public ::testing::WithParamInterface<bool> {};

TEST_P(DoorbellRaceTest, LetsNoProducerAndReaderMissEachOther) {  // P-3 [park]
  TIDEPOOL_IN_CHILD([&] {
    if (GetParam()) Doorbell::register_producer();
    auto producer = bell();
    auto reader = bell();
    std::atomic<uint64_t> frame{0};
    bool rang = false;
    bool seen = false;
    uint64_t missed = 0;
    race(
        [&] {
          frame.load(std::memory_order_relaxed);
          parked_until().load(std::memory_order_relaxed);
        },
        [&](uint64_t round) {
          frame.store(round, std::memory_order_release);
          rang = producer.ring_if_parked();
        },
        [&](uint64_t round) {
          int looks = 0;
          reader.park(1, [&] {  // a deadline long past: it marks, looks, does not wait
            if (looks++ == 0) seen = frame.load(std::memory_order_acquire) == round;
            return false;
          });
        },
        [&] {
          missed += !seen && !rang;
          parked_until().store(0);
        });
    EXPECT_EQ(missed, 0u);
  });
}

INSTANTIATE_TEST_SUITE_P(Producers, DoorbellRaceTest, ::testing::Bool(),
                         [](const auto& registered) { return registered.param ? "Registered" : "NotRegistered"; });

// Who sees the new ring must see the mark cleared: the other way round a reader could mark itself between the two and lose it.
TEST_F(DoorbellTest, ClearsTheMarkBeforeItRings) {  // P-3 [ring]
  auto producer = bell();
  uint64_t marked_after_ring = 0;
  parked_until().store(1);
  race([] {}, [&](uint64_t) { producer.ring_if_parked(); },
       [&](uint64_t round) {
         for (int spins = 0; rings().load(std::memory_order_acquire) != static_cast<uint32_t>(round); ++spins) {
           if (spins > 1000) std::this_thread::yield();
         }
         marked_after_ring += parked_until().load(std::memory_order_acquire) != 0;
       },
       [&] { parked_until().store(1); });
  EXPECT_EQ(marked_after_ring, 0u);
}

// A frame is a number here. The producer stores one and rings; it waits until every reader has seen it, so that the readers
// park again for each; it sends as many as fit into `kSpanNs`. A wake-up that is lost leaves a reader parked to the deadline,
// which fails the test. The words lie in the doorbell's page, in bytes that are nobody's.
class DoorbellRelayTest : public DoorbellTest {
 protected:
  static constexpr uint64_t kSpanNs = 200 * kNsPerMs;

  void produce(Doorbell& bell, size_t readers) {
    std::minstd_rand random(7);
    const uint64_t end_ns = monotonic_ns() + kSpanNs;
    for (uint64_t frame = 1; last().load() == 0; ++frame) {
      // Give the readers a different moment each time: still running, about to park, parked.
      for (auto spins = random() % 4000; spins > 0; --spins) std::atomic_signal_fence(std::memory_order_seq_cst);
      if (monotonic_ns() > end_ns) last().store(frame);
      newest().store(frame, std::memory_order_release);
      bell.ring_if_parked();
      const uint64_t deadline_ns = monotonic_ns() + kDeadlineNs;
      for (size_t reader = 0; reader < readers; ++reader) {
        while (seen(reader).load(std::memory_order_acquire) < frame) {
          if (monotonic_ns() > deadline_ns) {
            last().store(frame);
            FAIL() << "reader " << reader << " did not see frame " << frame;
          }
          std::this_thread::yield();
        }
      }
    }
  }
  void consume(Doorbell& bell, size_t reader) {
    for (uint64_t frame = 1;; ++frame) {
      const auto still_empty = [&] { return newest().load(std::memory_order_acquire) < frame; };
      while (still_empty()) {
        ASSERT_TRUE(bell.park(monotonic_ns() + kDeadlineNs, still_empty)) << "parked to the deadline for frame " << frame;
      }
      seen(reader).store(frame, std::memory_order_release);
      if (last().load() == frame) return;
    }
  }
  // The producer here, each reader in a process of its own, prepared by `prepare`.
  void run_processes(size_t readers, const std::function<bool()>& prepare) {
    std::vector<std::unique_ptr<Helper>> helpers;
    for (size_t reader = 0; reader < readers; ++reader) {
      helpers.push_back(std::make_unique<Helper>([&, reader](const Helper&) {
        ASSERT_TRUE(prepare());
        auto mine = bell();
        consume(mine, reader);
      }));
    }
    auto producer = bell();
    produce(producer, readers);
    for (auto& helper : helpers) EXPECT_TRUE(helper->join());
  }

 private:
  std::atomic_ref<uint64_t> word(size_t index) const {
    return std::atomic_ref(*reinterpret_cast<uint64_t*>(page + 1024 + 64 * index));
  }
  std::atomic_ref<uint64_t> newest() const { return word(0); }
  std::atomic_ref<uint64_t> last() const { return word(1); }
  std::atomic_ref<uint64_t> seen(size_t reader) const { return word(2 + reader); }
};

TEST_F(DoorbellRelayTest, LosesNoWakeUpBetweenThreads) {  // P-3 [park], [ring]
  TIDEPOOL_IN_CHILD([&] {
    Doorbell::register_producer();
    std::vector<std::thread> readers;
    for (size_t reader = 0; reader < 2; ++reader) {
      readers.emplace_back([&, reader] {
        auto mine = bell();
        consume(mine, reader);
      });
    }
    auto producer = bell();
    produce(producer, 2);
    for (auto& reader : readers) reader.join();
  });
}

TEST_F(DoorbellRelayTest, LosesNoWakeUpBetweenProcesses) {  // P-3
  TIDEPOOL_IN_CHILD([&] {
    Doorbell::register_producer();
    run_processes(2, [] { return true; });
  });
}

TEST_F(DoorbellRelayTest, LosesNoWakeUpOfAProducerThatIsNotRegistered) {  // P-3: it pays for a fence
  TIDEPOOL_IN_CHILD([&] {
    if (!test::refuse_syscall(SYS_membarrier, EPERM, test::Argument{0, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED})) {
      GTEST_SKIP() << "SKIPPED: seccomp is not allowed here";
    }
    Doorbell::register_producer();
    run_processes(1, [] { return true; });
  });
}

TEST_F(DoorbellRelayTest, LooksAgainEveryMillisecondWhereMembarrierIsRefused) {  // P-3: the fallback
  const auto refuse = [] { return test::refuse_syscall(SYS_membarrier, ENOSYS); };
  TIDEPOOL_IN_CHILD([&] {
    if (test::in_child([&] { EXPECT_TRUE(refuse()) << "SKIPPED: seccomp is not allowed here"; }) != test::ChildOutcome::kPassed)
      return;
    Doorbell::register_producer();
    run_processes(1, refuse);
  });
}

// The frame comes without any ring, as if the producer had missed the mark: only the look every millisecond can find it.
TEST_F(DoorbellRelayTest, FindsAFrameThatDidNotRingWhereMembarrierIsRefused) {  // P-3: the fallback
  TIDEPOOL_IN_CHILD([&] {
    if (!test::refuse_syscall(SYS_membarrier, ENOSYS)) GTEST_SKIP() << "SKIPPED: seccomp is not allowed here";
    auto reader = bell();
    int looks = 0;
    EXPECT_TRUE(reader.park(monotonic_ns() + kDeadlineNs, [&] { return ++looks < 3; }));
    EXPECT_EQ(looks, 3);
    EXPECT_EQ(rings().load(), 0u);
  });
}

TEST_F(DoorbellRelayTest, WakesTheOthersAfterAReaderWasKilled) {  // P-3
  Helper victim([&](const Helper& self) {
    auto mine = bell();
    mine.park(monotonic_ns() + 100 * kDeadlineNs, [&] {
      self.ready();
      return true;
    });
  });
  ASSERT_EQ(victim.wait_ready(), 0);
  victim.kill();
  EXPECT_GT(parked_until().load(), monotonic_ns());
  auto producer = bell();
  EXPECT_TRUE(producer.ring_if_parked());   // the one wake that it costs
  EXPECT_FALSE(producer.ring_if_parked());
  TIDEPOOL_IN_CHILD([&] { run_processes(1, [] { return true; }); });
}

TEST_F(DoorbellTest, DoesNoHarmWhateverItsPageHolds) {  // P-3: rings are hints
  auto reader = bell();
  auto producer = bell();
  const uint64_t seed = random_u64();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 2000; ++round) {
    for (size_t at = 0; at < 256; at += 8) std::atomic_ref(*reinterpret_cast<uint64_t*>(page + at)).store(random());
    parked_until().store(round % 3 == 0 ? UINT64_MAX : random());
    EXPECT_TRUE(reader.park(monotonic_ns() + kDeadlineNs, [] { return false; }));
    EXPECT_FALSE(reader.park(1, [] { return true; }));
    producer.ring_if_parked();
    EXPECT_FALSE(producer.ring_if_parked());
  }
  EXPECT_FALSE(Doorbell::open(root.path()));  // and nobody new is let in
}

}  // namespace
}  // namespace tidepool::shm

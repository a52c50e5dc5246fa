#include "tidepool/shm/commit_word.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tidepool/base/bytes.h"
#include "tidepool/base/clock.h"
#include "tidepool/base/random.h"
#include "tidepool/shm/region.h"
#include "tidepool/shm/test_support.h"
#include "tidepool/shm/words.h"

namespace tidepool::shm {
namespace {

using test::TemporaryDirectory;

struct Slot {
  alignas(8) std::array<std::byte, 8> bytes{};
  CommitWord word{bytes.data()};
  uint64_t raw() const { return load<uint64_t>(bytes.data()); }
};

TEST(CommitWordTest, ReadsAsUncommittedInAFileOfZeros) {  // W-34
  const Slot slot;
  EXPECT_FALSE(CommitWord::is_committed(slot.word.load()));
  EXPECT_EQ(CommitWord::seq_of(slot.word.load()), 0u);
}

TEST(CommitWordTest, HoldsTheSequenceAboveTheCommittedBit) {  // W-36, W-37
  Slot slot;
  slot.word.begin(0x0123456789);
  EXPECT_EQ(slot.raw(), 0x0123456789u << 1);
  EXPECT_FALSE(CommitWord::is_committed(slot.word.load()));
  ASSERT_TRUE(slot.word.commit(0x0123456789));
  EXPECT_EQ(slot.raw(), (0x0123456789u << 1) | 1);
  EXPECT_TRUE(CommitWord::is_committed(slot.word.load()));
  EXPECT_EQ(CommitWord::seq_of(slot.word.load()), 0x0123456789u);
  constexpr uint64_t kLast = (uint64_t{1} << 63) - 1;
  slot.word.begin(kLast);
  ASSERT_TRUE(slot.word.commit(kLast));
  EXPECT_EQ(slot.raw(), UINT64_MAX);
}

TEST(CommitWordTest, RefusesACommitWhoseSlotWentToAnother) {  // W-41
  Slot slot;
  slot.word.begin(3);
  slot.word.begin(7);  // the ring came round
  EXPECT_FALSE(slot.word.commit(3));
  EXPECT_EQ(slot.raw(), CommitWord::writing(7));
  EXPECT_TRUE(slot.word.commit(7));
  EXPECT_FALSE(slot.word.commit(3));
  EXPECT_EQ(slot.raw(), CommitWord::committed(7));
}

TEST(CommitWordTest, RefusesToCommitTheSameFrameTwice) {  // W-40
  Slot slot;
  slot.word.begin(3);
  EXPECT_TRUE(slot.word.commit(3));
  EXPECT_FALSE(slot.word.commit(3));
  EXPECT_EQ(slot.raw(), CommitWord::committed(3));
}

TEST(CommitWordTest, IsChangedByEveryStepOfTheNextFrame) {  // W-42, W-45
  Slot slot;
  slot.word.begin(3);
  ASSERT_TRUE(slot.word.commit(3));
  const CommitWord reader(static_cast<const std::byte*>(slot.bytes.data()));
  const uint64_t seen = reader.load();
  EXPECT_TRUE(reader.unchanged(seen));
  slot.word.begin(7);
  EXPECT_FALSE(reader.unchanged(seen));
  ASSERT_TRUE(slot.word.commit(7));
  EXPECT_FALSE(reader.unchanged(seen));
}

TEST(CommitWordTest, IsReadThroughAReadOnlyMapping) {  // W-30, R-22
  const TemporaryDirectory root;
  Region writable = RegionCreator(root.directory().fd(), root.path(), {}).create("slots", 64);
  const Region readable =
      Region::open(Uri{root / "slots", false}, Access::kReadOnly, 64, MapPolicy({.allowed_base_dirs = {root.path()}}));
  CommitWord writer(writable.mutable_data());
  const CommitWord reader(readable.data());
  writer.begin(5);
  EXPECT_EQ(reader.load(), CommitWord::writing(5));
  ASSERT_TRUE(writer.commit(5));
  EXPECT_EQ(reader.load(), CommitWord::committed(5));
  EXPECT_TRUE(reader.unchanged(CommitWord::committed(5)));
}

// ---- torture ------------------------------------------------------------------------------------------------------------
// Every word of a payload is a mix of its frame and its place, so that a frame with a single word of another one is known.
// Payload words are copied as relaxed atomics (shm/words.h): defined races, also for TSan, which does not model the fences
// of CommitWord but sees only atomics here.

constexpr uint32_t kSlotCount = 4;
constexpr size_t kPayloadWords = 40;
constexpr size_t kPitchBytes = 8 * (1 + kPayloadWords);
constexpr size_t kRingBytes = kSlotCount * kPitchBytes;

uint64_t mix(uint64_t seq, uint64_t index) {  // splitmix64
  uint64_t x = seq * 0x9E3779B97F4A7C15 + index + 1;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// Writes frames until `stop`. Now and then it gives the core away in the middle of one, and skips one as an abort does.
void write_frames(std::byte* ring, uint64_t seed, const std::function<bool()>& stop) {
  std::minstd_rand random(static_cast<uint32_t>(seed));
  for (uint64_t seq = 0; !stop(); ++seq) {
    std::byte* slot = ring + (seq % kSlotCount) * kPitchBytes;
    std::array<std::byte, 8 * kPayloadWords> payload;
    for (size_t i = 0; i < kPayloadWords; ++i) store(payload.data() + 8 * i, mix(seq, i));
    CommitWord word(slot);
    word.begin(seq);
    const size_t first = random() % (kPayloadWords + 1);
    store_words(slot + 8, payload.data(), first);
    if (random() % 64 == 0) std::this_thread::yield();
    store_words(slot + 8 + 8 * first, payload.data() + 8 * first, kPayloadWords - first);
    if (random() % 256 == 0) continue;  // aborted: never committed
    ASSERT_TRUE(word.commit(seq));
  }
}

struct Tally {
  uint64_t accepted = 0;
  uint64_t mixed_refused = 0;   // mixtures of two frames that unchanged() refused: proof that there was something to refuse
  uint64_t mixed_accepted = 0;  // must stay 0
};

// Reads until enough was accepted and enough mixtures were met, or to the deadline.
Tally read_frames(const std::byte* ring, uint64_t seed, const std::function<bool(const Tally&)>& enough) {
  Tally tally;
  std::minstd_rand random(static_cast<uint32_t>(seed));
  const uint64_t deadline_ns = monotonic_ns() + test::kDeadlineNs;
  for (uint64_t round = 0; !enough(tally) && (round % 1024 != 0 || monotonic_ns() < deadline_ns); ++round) {
    const std::byte* slot = ring + random() % kSlotCount * kPitchBytes;
    const CommitWord word(slot);
    const uint64_t seen = word.load();
    if (!CommitWord::is_committed(seen)) continue;
    std::array<std::byte, 8 * kPayloadWords> payload;
    const size_t first = random() % (kPayloadWords + 1);
    copy_words(payload.data(), slot + 8, first);
    if (random() % 64 == 0) std::this_thread::yield();  // on one core, too, the writer gets in between
    copy_words(payload.data() + 8 * first, slot + 8 + 8 * first, kPayloadWords - first);
    const bool unchanged = word.unchanged(seen);
    bool whole = true;
    for (size_t i = 0; i < kPayloadWords; ++i)
      whole = whole && load<uint64_t>(payload.data() + 8 * i) == mix(CommitWord::seq_of(seen), i);
    if (unchanged) {
      ++(whole ? tally.accepted : tally.mixed_accepted);
    } else if (!whole) {
      ++tally.mixed_refused;
    }
  }
  return tally;
}

bool enough(const Tally& tally) { return tally.mixed_accepted > 0 || (tally.accepted >= 20'000 && tally.mixed_refused >= 100); }

void expect_unmixed(const Tally& tally) {
  EXPECT_EQ(tally.mixed_accepted, 0u);
  EXPECT_GE(tally.accepted, 20'000u);
  EXPECT_GE(tally.mixed_refused, 100u);
}

TEST(CommitWordTortureTest, LetsNoThreadAcceptAMixtureOfFrames) {  // W-37, W-42
  const uint64_t seed = random_u64();
  SCOPED_TRACE(seed);
  alignas(64) std::array<std::byte, kRingBytes> ring{};
  std::atomic<bool> stop{false};
  std::thread writer([&] { write_frames(ring.data(), seed, [&] { return stop.load(std::memory_order_relaxed); }); });
  std::array<Tally, 2> tallies;
  std::vector<std::thread> readers;
  for (size_t i = 0; i < tallies.size(); ++i) {
    readers.emplace_back([&, i] { tallies[i] = read_frames(ring.data(), seed + i + 1, enough); });
  }
  for (auto& reader : readers) reader.join();
  stop.store(true, std::memory_order_relaxed);
  writer.join();
  for (const auto& tally : tallies) expect_unmixed(tally);
}

TEST(CommitWordTortureTest, LetsNoProcessAcceptAMixtureOfFrames) {  // W-30, W-37, W-42, R-22
  const uint64_t seed = random_u64();
  SCOPED_TRACE(seed);
  const TemporaryDirectory root;
  Region ring = RegionCreator(root.directory().fd(), root.path(), {}).create("slots", kRingBytes);
  test::Helper writer([&](const test::Helper&) { write_frames(ring.mutable_data(), seed, [] { return false; }); });
  test::Helper second_reader([&](const test::Helper&) {
    const Region mapped =
        Region::open(Uri{root / "slots", false}, Access::kReadOnly, kRingBytes, MapPolicy({.allowed_base_dirs = {root.path()}}));
    expect_unmixed(read_frames(mapped.data(), seed + 1, enough));
  });
  const Region mapped =
      Region::open(Uri{root / "slots", false}, Access::kReadOnly, kRingBytes, MapPolicy({.allowed_base_dirs = {root.path()}}));
  expect_unmixed(read_frames(mapped.data(), seed + 2, enough));
  EXPECT_TRUE(second_reader.join());
  EXPECT_GT(writer.pid(), 0);  // still writing: killed here
}

// A writer killed in the middle of a frame leaves a slot that nobody accepts, and all others as they were.
TEST(CommitWordTortureTest, LeavesNoHalfFrameAcceptableWhenItsWriterIsKilled) {  // W-34, W-42, R-05
  for (int round = 0; round < 20; ++round) {
    const uint64_t seed = random_u64();
    SCOPED_TRACE(seed);
    const TemporaryDirectory root;
    Region ring = RegionCreator(root.directory().fd(), root.path(), {}).create("slots", kRingBytes);
    test::Helper writer([&](const test::Helper&) { write_frames(ring.mutable_data(), seed, [] { return false; }); });
    const Tally before = read_frames(ring.data(), seed, [&](const Tally& tally) { return tally.accepted >= 100 + seed % 400; });
    writer.kill();
    EXPECT_GE(before.accepted, 100u);
    EXPECT_EQ(before.mixed_accepted, 0u);
    uint64_t looks = 0;
    const Tally after = read_frames(ring.data(), seed, [&](const Tally&) { return ++looks > 64; });
    EXPECT_EQ(after.mixed_accepted, 0u);
    EXPECT_EQ(after.mixed_refused, 0u);  // nothing moves any more
  }
}

}  // namespace
}  // namespace tidepool::shm

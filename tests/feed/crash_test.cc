// A writer is killed with SIGKILL: before its n-th file operation, for every n there is, and at random moments. Its operations are
// the named steps: making, reserving, mapping, writing, syncing, renaming and removing files is all that it does to the world.

#include <random>
#include <thread>

#include "check.h"
#include "mortal_files.h"

namespace tidepool::feed {
namespace {

using test::Helper;
using test::MortalFiles;
using test::row_of;
using test::SharedTold;
using test::Told;

class Crash : public test::FeedTest {
 protected:
  void begin(Storage storage) {
    auto tiny = options(storage);
    tiny.chunk_bytes = 4096;  // 128 rows
    tiny.live_chunks = 2;
    tiny.sync_interval_ns = kNsPerMs;
    if (storage == Storage::kMemory) tiny.live_chunks = 1000;
    create_feed(base(), "trades", test::row_schema(), tiny);
  }

  // A writer's whole life: recovery, `rows` appends over several chunks, a sync, a clean end.
  void live(Told& told, uint64_t rows, uint64_t last_step, bool stored) const {
    MortalFiles files(told, last_step);
    auto writer = FeedWriter::open(base(), "trades", {.files = &files});
    const uint64_t first = writer.recovery().next_seq;
    for (uint64_t number = first; number < first + rows; ++number) {
      if (writer.append(row_of(number)).status != AppendStatus::kOk) ::raise(SIGKILL);
      told.acknowledged = number + 1;
      told.durable = writer.durable_seq();
      if (number == first + rows / 2 && stored) writer.sync();
    }
    if (stored) writer.sync();
    told.durable = writer.durable_seq();
    if (!stored) ::_exit(0);  // to close a memory feed is to give its records up
    writer.close();
  }

  // After a kill: what was acknowledged is there, before and after the next writer has recovered it; then one more life.
  void check(const Told& told, bool with_python, bool stored) {
    uint64_t count = 0;
    test::read_all(base(), "trades", count);
    if (HasFatalFailure()) return;
    ASSERT_GE(count, told.acknowledged);                                     // G-3: nothing that was committed
    ASSERT_LE(count, told.acknowledged + 1) << "at most the append that was under way";  // G-1
    if (with_python) test::expect_python(base(), "trades", count, true);
    if (HasFatalFailure()) return;
    uint64_t next = 0;
    {
      auto writer = FeedWriter::open(base(), "trades");
      ASSERT_FALSE(writer.recovery().loss);
      ASSERT_EQ(writer.recovery().next_seq, count);
      append(writer, count, count + 5);
      next = count + 5;
      if (!stored) {
        auto reader = read({.from = At::oldest()});
        expect_rows(reader, 0, next);
        return;
      }
    }
    uint64_t after = 0;
    test::read_all(base(), "trades", after);
    if (HasFatalFailure()) return;
    ASSERT_EQ(after, next);
    if (with_python) test::expect_python(base(), "trades", after, false);
  }

  void forget() const {
    if (std::filesystem::exists(base())) std::filesystem::remove_all(root.path());
    std::filesystem::create_directory(root.path());
  }
};
INSTANTIATE_TEST_SUITE_P(Storages, Crash, ::testing::Values(Storage::kTiered, Storage::kDurable, Storage::kMemory), test::storage_test_name);

TEST_P(Crash, AtEveryStepLosesNothingThatWasCommitted) {  // F-47, F-52, F-64, F-156, G-1, G-2, G-3, G-4
  const bool stored = GetParam() != Storage::kMemory;
  const uint64_t stride = std::getenv("TIDEPOOL_TEST_FULL") != nullptr ? 1 : 7;
  uint64_t ended = 0;
  for (uint64_t last = 1 + test::seed() % stride; ended == 0; last += stride) {
    SharedTold told;
    forget();
    begin(GetParam());
    Helper writer([&](const Helper&) { live(*told, 300, last, stored); });
    if (writer.join()) ended = last;
    if (ended != 0 && !stored) break;
    check(*told, last % 5 == 0, stored);
    if (HasFatalFailure()) {
      ADD_FAILURE() << "killed before step " << last;
      return;
    }
  }
  EXPECT_GT(ended, 25u) << "so many steps there are at least";
}

TEST_P(Crash, AtAnyMomentLosesNothingThatWasCommitted) {  // F-52, F-67, F-156, G-1, G-2, G-3
  const bool stored = GetParam() != Storage::kMemory;
  std::mt19937_64 random(test::seed());
  begin(GetParam());
  uint64_t before = 0;
  const int last_round = test::rounds(8, 350);
  for (int round = 0; round < last_round; ++round) {
    SharedTold told;
    told->acknowledged = before;
    Helper writer([&](const Helper&) { live(*told, ~uint64_t{0} >> 1, 0, stored); });
    const uint64_t wanted = before + random() % 700;
    until([&] { return told->acknowledged >= wanted; });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
    writer.kill();
    if (round % 8 == 7 && stored) {
      check(*told, true, stored);
      if (HasFatalFailure()) return;
      before = told->acknowledged;
      forget();  // so that no round takes longer than another
      begin(GetParam());
      before = 0;
      continue;
    }
    uint64_t count = 0;
    test::read_all(base(), "trades", count);
    if (HasFatalFailure()) return;
    ASSERT_GE(count, told->acknowledged);
    ASSERT_LE(count, told->acknowledged + 1);
    before = count;
  }
}

// Somebody reads all the while, over many kills.
TEST_P(Crash, AFollowerNeverLosesTheThread) {  // X-15, F-95, F-80, G-2, G-4
  const bool stored = GetParam() != Storage::kMemory;
  std::mt19937_64 random(test::seed());
  begin(GetParam());
  auto reader = read({.from = At::oldest(), .stalled_after_ns = 60 * kNsPerSecond});  // a busy machine is no stalled writer
  uint64_t next = 0;
  for (int round = 0; round < test::rounds(5, 100); ++round) {
    SharedTold told;
    told->acknowledged = next;
    Helper writer([&](const Helper&) { live(*told, ~uint64_t{0} >> 1, 0, stored); });
    const uint64_t wanted = next + 200 + random() % 700;
    expect_rows(reader, next, wanted);
    if (HasFatalFailure()) return;
    writer.kill();
    next = wanted;
    for (Item item = reader.next(); item.kind == Item::Kind::kRow; item = reader.next()) ASSERT_EQ(item.seq, next++);
    ASSERT_GE(next, told->acknowledged);
  }
}

}  // namespace
}  // namespace tidepool::feed

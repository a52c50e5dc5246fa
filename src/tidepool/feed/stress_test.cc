// A writer and a reader in two processes, with a rotation every few records (F-110). The sanitizers run it too.

#include "tidepool/feed/test_support.h"

namespace tidepool::feed::stress_test {
namespace {

using test::row_of;

class Stress : public test::FeedTest {};
INSTANTIATE_TEST_SUITE_P(Storages, Stress, ::testing::Values(Storage::kTiered, Storage::kDurable, Storage::kMemory),
                         test::storage_test_name);

TEST_P(Stress, AReaderFollowsARotationEveryFewRecords) {  // F-110, F-47, F-79, G-1, G-2
  constexpr uint64_t kRows = 400;
  FeedOptions small = options(GetParam());
  small.chunk_bytes = 4096;
  small.live_chunks = GetParam() == Storage::kMemory ? 1000 : 2;
  create_feed(base(), "trades", test::row_schema(), small);
  test::Helper process([&](const test::Helper& self) {
    auto writer = FeedWriter::open(base(), "trades");
    for (uint64_t number = 0, in_chunk = 0; number < kRows; ++number) {
      ASSERT_TRUE(writer.append(row_of(number)));
      if (++in_chunk >= 1 + test::mix(number) % 7) {
        ASSERT_TRUE(writer.rotate());
        in_chunk = 0;
      }
    }
    self.ready();
    self.sleep_for_ever();
  });
  // One from the beginning, one from somewhere, one in batches; the second looks while nothing waits for it.
  auto reader = read({.from = At::oldest(), .stalled_after_ns = 60 * kNsPerSecond});
  expect_rows(reader, 0, kRows / 2);
  auto later = read({.from = At::sequence(kRows / 3), .stalled_after_ns = 60 * kNsPerSecond});
  expect_rows(later, kRows / 3, kRows);
  expect_rows(reader, kRows / 2, kRows);
  ASSERT_EQ(process.wait_ready(), 0);
  expect_idle(reader);
  auto batches = read({.from = At::oldest(), .stalled_after_ns = 60 * kNsPerSecond});
  uint64_t next = 0, pieces = 0;
  while (next < kRows) {
    const Batch batch = batches.next_batch(~uint64_t{0}, 30 * kNsPerSecond);
    ASSERT_EQ(batch.kind, Item::Kind::kRow);
    ASSERT_EQ(batch.first_seq, next);
    for (uint64_t i = 0; i < batch.count; ++i) {
      const test::Row expected = row_of(next + i);
      ASSERT_EQ(std::memcmp(batch.rows.data() + i * sizeof expected, &expected, sizeof expected), 0) << next + i;
    }
    next += batch.count;
    ++pieces;
  }
  EXPECT_GE(pieces, kRows / 7) << "each chunk holds a few records";
}

}  // namespace
}  // namespace tidepool::feed::stress_test

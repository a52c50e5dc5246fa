// Writer and reader together, one suite for all kinds of storage (style S-25).

#include <thread>

#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using test::Helper;
using test::Row;
using test::row_of;

class Follow : public test::FeedTest {};
INSTANTIATE_TEST_SUITE_P(Storages, Follow, ::testing::Values(Storage::kTiered, Storage::kDurable, Storage::kMemory), test::storage_test_name);

TEST_P(Follow, GivesWhatIsCommittedWhileItIsWritten) {  // F-1, F-71, F-72, F-75, F-76, F-77, F-82, G-1, G-2
  auto writer = make(GetParam());
  auto reader = read();
  expect_idle(reader);
  append(writer, 0, 100);
  expect_rows(reader, 0, 100);
  expect_idle(reader);
  append(writer, 100, 101);
  expect_rows(reader, 100, 101);
}

TEST_P(Follow, CrossesChunksWithoutLosingTheThread) {  // F-47, F-79, F-80, F-22
  auto writer = make(GetParam());
  auto reader = read();
  for (uint64_t at = 0; at < 10'000; at += 700) {
    append(writer, at, at + 700);
    expect_rows(reader, at, at + 700);
    expect_idle(reader);
  }
  EXPECT_GE(writer.health().rotations, 9u);
}

TEST_P(Follow, WakesAParkedReader) {  // F-81
  auto writer = make(GetParam());
  auto reader = read();
  std::thread late([&] { append(writer, 0, 3000); });
  expect_rows(reader, 0, 3000);
  late.join();
}

TEST_P(Follow, GivesBatchesThatAreVisibleAsAWhole) {  // F-50, F-46
  auto writer = make(GetParam());
  auto reader = read();
  std::vector<Row> rows;
  for (uint64_t number = 0; number < 900; ++number) rows.push_back(row_of(number));
  const Appended first = writer.append_batch(std::as_bytes(std::span(rows)));
  ASSERT_TRUE(first);
  EXPECT_EQ(first.seq, 0u);
  const Batch batch = reader.next_batch();
  ASSERT_EQ(batch.kind, Item::Kind::kRow);
  EXPECT_EQ(batch.count, 900u);
  EXPECT_EQ(std::memcmp(batch.rows.data(), rows.data(), batch.rows.size()), 0);
  // The next does not fit into what is left of the chunk: it comes whole in another.
  EXPECT_EQ(writer.append_batch(std::as_bytes(std::span(rows))).seq, 900u);
  const Batch second = reader.next_batch(~uint64_t{0}, kNsPerSecond);
  EXPECT_EQ(second.first_seq, 900u);
  EXPECT_EQ(second.count, 900u);
}

TEST_P(Follow, ClaimsAreFilledInPlaceAndVisibleWhenCommitted) {  // F-46
  auto writer = make(GetParam());
  auto reader = read();
  Claim claim = writer.claim(2);
  ASSERT_TRUE(claim);
  const Row rows[] = {row_of(0), row_of(1)};
  std::memcpy(claim.bytes.data(), rows, sizeof rows);
  expect_idle(reader);
  EXPECT_EQ(writer.append(row_of(9)).status, AppendStatus::kClaimOpen);
  EXPECT_TRUE(writer.commit(claim));
  expect_rows(reader, 0, 2);
  const Claim dropped = writer.claim();
  ASSERT_TRUE(dropped);
  writer.abort(dropped);
  EXPECT_EQ(writer.commit(dropped).status, AppendStatus::kClosed);
  expect_idle(reader);
  append(writer, 2, 5);
  expect_rows(reader, 2, 5);
}

TEST_P(Follow, BeginsWhereItIsTold) {  // F-74, F-38, F-83, F-18
  auto writer = make(GetParam());
  append(writer, 0, 1500);
  auto latest = read();
  auto last = read({.from = At::last(10)});
  auto oldest = read({.from = At::oldest()});
  auto sequence = read({.from = At::sequence(1400)});
  auto time = read({.from = At::time(row_of(1450).time_ns)});
  auto between = read({.from = At::time(row_of(1450).time_ns - 3)});
  auto future = read({.from = At::time(row_of(1510).time_ns)});
  test::expect_fault(Fault::kOutOfRange, "1501", [&] { read({.from = At::sequence(1501)}); });
  expect_rows(last, 1490, 1500);
  expect_rows(oldest, 0, 1500);
  expect_rows(sequence, 1400, 1500);
  expect_rows(time, 1450, 1500);
  expect_rows(between, 1450, 1500);
  append(writer, 1500, 1520);
  expect_rows(latest, 1500, 1520);
  expect_rows(future, 1510, 1520);
  latest.seek(At::sequence(7));
  expect_rows(latest, 7, 1520);
}

TEST_P(Follow, ReadsTheRestOfACrashedWriterAndGoesOnWithTheNext) {  // F-52, F-53, F-67, F-89, F-95, G-3
  make(GetParam());
  Helper crash([&](const Helper& self) {
    auto writer = FeedWriter::open(base(), "trades");
    for (uint64_t number = 0; number < 2500; ++number) EXPECT_TRUE(writer.append(row_of(number)));
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(crash.wait_ready(), 0);
  auto reader = read({.from = At::oldest()});
  crash.kill();
  EXPECT_EQ(reader.writer_state(), WriterState::kCrashed);
  expect_rows(reader, 0, 1200);
  auto late = read({.from = At::oldest()});
  auto writer = FeedWriter::open(base(), "trades");
  EXPECT_FALSE(writer.recovery().clean);
  EXPECT_FALSE(writer.recovery().loss);
  EXPECT_EQ(writer.recovery().next_seq, 2500u);
  append(writer, 2500, 2600);
  expect_rows(reader, 1200, 2600);
  expect_rows(late, 0, 2600);
  auto fresh = read({.from = At::oldest()});
  expect_rows(fresh, 0, 2600);
  EXPECT_EQ(fresh.segments().front().status, SegmentStatus::kCrashClosed);
}

TEST_P(Follow, FindsTheSegmentOfAWriterThatDiedBeforeItToldOfIt) {  // F-111, F-112, F-113
  make(GetParam());
  for (uint64_t round = 0; round < 5; ++round) {
    Helper crash([&](const Helper&) {
      auto writer = FeedWriter::open(base(), "trades");
      for (uint64_t number = round * 100; number < round * 100 + 100; ++number) EXPECT_TRUE(writer.append(row_of(number)));
      ::kill(::getpid(), SIGKILL);  // at once: its persister has hardly looked
    });
    crash.join();
    auto writer = FeedWriter::open(base(), "trades");
    ASSERT_EQ(writer.recovery().next_seq, round * 100 + 100);
    writer.close();
  }
  // Every record is in exactly one segment, and none of them is open.
  auto reader = read({.from = At::oldest()});
  uint64_t end = 0;
  for (const SegmentInfo& segment : reader.segments()) {
    EXPECT_EQ(segment.status, SegmentStatus::kCrashClosed) << "segment " << segment.id;
    EXPECT_EQ(segment.first_seq, end) << "segment " << segment.id;
    EXPECT_EQ(segment.clocks[0].min, row_of(segment.first_seq).time_ns) << "segment " << segment.id;
    EXPECT_EQ(segment.clocks[0].max, row_of(segment.end_seq - 1).time_ns) << "segment " << segment.id;
    end = segment.end_seq;
  }
  EXPECT_EQ(end, 500u);
}

TEST_P(Follow, EndsWhenAskedTo) {  // F-84, F-54
  auto writer = make(GetParam());
  auto reader = read({.stop_when_inactive = true});
  append(writer, 0, 10);
  expect_rows(reader, 0, 10);
  expect_idle(reader);
  append(writer, 10, 20);
  writer.close();
  EXPECT_EQ(reader.writer_state(), WriterState::kClosed);
  expect_rows(reader, 10, 20);
  EXPECT_EQ(reader.next(kNsPerSecond).kind, Item::Kind::kEnded);
  EXPECT_EQ(writer.append(row_of(20)).status, AppendStatus::kClosed);
}

TEST_P(Follow, KeepsWhatIsHeldAfterEverythingIsGone) {  // F-78, F-93, X-23
  std::shared_ptr<const void> held;
  Bytes bytes;
  {
    auto writer = make(GetParam());
    auto reader = read();
    append(writer, 0, 5);
    const Item item = reader.next();
    held = reader.hold();
    bytes = item.bytes;
    append(writer, 5, 8000);
  }
  delete_feed(base(), "trades");
  const Row expected = row_of(0);
  EXPECT_EQ(std::memcmp(bytes.data(), &expected, sizeof expected), 0);
}

TEST_P(Follow, KnowsTheLatestChunkAndWhetherThereIsDataSince) {  // F-86, F-87
  auto writer = make(GetParam());
  auto reader = read();
  EXPECT_FALSE(reader.has_data_since(0));
  append(writer, 0, 3000);
  EXPECT_TRUE(reader.has_data_since(row_of(2999).time_ns));
  EXPECT_FALSE(reader.has_data_since(row_of(2999).time_ns + 1));
  EXPECT_TRUE(reader.has_data_since(0));
  const auto latest = reader.latest_chunk();
  ASSERT_TRUE(latest);
  EXPECT_EQ(latest->first_seq, 2048u);
  EXPECT_TRUE(latest->live);
  EXPECT_EQ(::access(latest->path.c_str(), R_OK), 0);
}

TEST_P(Follow, ManyReadersAreIndependent) {  // F-96, F-97, G-4
  auto writer = make(GetParam());
  std::vector<FeedReader> readers;
  for (int i = 0; i < 20; ++i) readers.push_back(read({.from = At::oldest()}));
  append(writer, 0, 2000);
  for (size_t i = 0; i < readers.size(); ++i) expect_rows(readers[i], 0, 100 * i);
  readers.erase(readers.begin(), readers.begin() + 5);
  for (auto& reader : readers) reader.seek(At::oldest());
  for (auto& reader : readers) expect_rows(reader, 0, 2000);
}

TEST_P(Follow, AChunkIsSealedWhenItIsOldEvenIfNobodyAppends) {  // F-48, X-12
  auto with_age = options(GetParam());
  with_age.chunk_age_ns = 20 * kNsPerMs;
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), with_age);
  auto reader = read();
  append(writer, 0, 3);
  until([&] { return writer.health().rotations == 1; });
  expect_rows(reader, 0, 3);
  append(writer, 3, 6);
  expect_rows(reader, 3, 6);
  until([&] { return writer.health().rotations == 2; });
  EXPECT_EQ(writer.next_seq(), 6u);
}

// ---- the kinds of storage apart ---------------------------------------------------------------------------------------------

class FollowStored : public test::FeedTest {};
INSTANTIATE_TEST_SUITE_P(Storages, FollowStored, ::testing::Values(Storage::kTiered, Storage::kDurable), test::storage_test_name);

// Killed between the registry's entry and the word in memory that says the same.
TEST_P(FollowStored, LeavesAChunkThatADeadRecoverySettledAndDidNotSeal) {  // G-2, F-79, F-52, X-15
  make(GetParam());
  write_and_be_killed(0, 100);
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 100);
  expect_idle(reader);
  const auto chunk = reader.latest_chunk();
  ASSERT_TRUE(chunk);
  const File live = File::open(Files::system(), concat(live_directory_path(reader.feed()), "/", chunk_name(chunk->ordinal)), O_RDWR);
  const Mapping page = Mapping::of(live, kChunkPageBytes, true);
  auto writer = FeedWriter::open(base(), "trades");
  ASSERT_EQ(writer.recovery().next_seq, 100u);
  const ChunkWords words(page.data());
  ASSERT_EQ(words.state().load(), static_cast<uint32_t>(WordState::kSealed));
  words.state().publish(static_cast<uint32_t>(WordState::kActive));  // as if it had not come that far
  append(writer, 100, 200);
  expect_rows(reader, 100, 200);
}

TEST_P(FollowStored, IsWholeOnDiskAfterClosing) {  // F-61, F-54, F-20
  {
    auto writer = make(GetParam());
    append(writer, 0, 5000);
    writer.close();
  }
  EXPECT_TRUE(names_in(root.path()).size() == 1) << "live objects are left";
  auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
  expect_rows(reader, 0, 5000);
  EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
  EXPECT_EQ(reader.durable_seq(), 5000u);
  auto writer = FeedWriter::open(base(), "trades");
  EXPECT_TRUE(writer.recovery().clean);
  append(writer, 5000, 6000);
  auto again = read({.from = At::oldest()});
  expect_rows(again, 0, 6000);
}

TEST_P(FollowStored, LosesNothingThatWasDurableWhenTheMemoryIsGone) {  // F-66, F-85, G-3
  make(GetParam());
  Helper crash([&](const Helper& self) {
    auto writer = FeedWriter::open(base(), "trades");
    for (uint64_t number = 0; number < 1500; ++number) EXPECT_TRUE(writer.append(row_of(number)));
    writer.sync();
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(crash.wait_ready(), 0);
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 1500);
  crash.kill();
  for (const std::string& name : names_in(root.path())) {
    if (name != "base") std::filesystem::remove_all(root / name);  // as a reboot does
  }
  auto offline = read({.from = At::oldest(), .stop_when_inactive = true});
  expect_rows(offline, 0, 1500);
  EXPECT_EQ(offline.next().kind, Item::Kind::kEnded);
  auto writer = FeedWriter::open(base(), "trades");
  EXPECT_TRUE(writer.recovery().loss);
  EXPECT_EQ(writer.recovery().next_seq, 1500u);
  append(writer, 1500, 1600);
  auto fresh = read({.from = At::oldest()});
  expect_rows(fresh, 0, 1600);
  EXPECT_EQ(fresh.losses().size(), 1u);
  EXPECT_EQ(fresh.losses().front().first_seq, 1500u);
}

TEST_P(FollowStored, TellsAReaderThatWhatItReadWasLost) {  // F-85, F-53, X-2
  auto options_now = options(GetParam());
  options_now.sync = SyncMode::kExplicit;
  FeedWriter::create(base(), "trades", test::row_schema(), options_now);
  Helper crash([&](const Helper& self) {
    auto writer = FeedWriter::open(base(), "trades");
    for (uint64_t number = 0; number < 600; ++number) EXPECT_TRUE(writer.append(row_of(number)));
    writer.sync();
    for (uint64_t number = 600; number < 1000; ++number) EXPECT_TRUE(writer.append(row_of(number)));
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(crash.wait_ready(), 0);
  Checkpoint saved;
  {
    auto reader = read({.from = At::oldest()});
    expect_rows(reader, 0, 900);
    saved = reader.checkpoint();
  }
  crash.kill();
  for (const std::string& name : names_in(root.path())) {
    if (name != "base") std::filesystem::remove_all(root / name);
  }
  auto writer = FeedWriter::open(base(), "trades");
  ASSERT_EQ(writer.recovery().next_seq, 600u);
  append(writer, 600, 700);
  auto reader = read({.from = At::checkpoint(*Checkpoint::decode(saved.encode()))});
  const Item item = reader.next();
  ASSERT_EQ(item.kind, Item::Kind::kDiverged);
  EXPECT_EQ(item.gap.from, 600u);
  EXPECT_EQ(item.gap.to, 900u);
  expect_rows(reader, 600, 700);
}

class FollowTest : public test::FeedTest {};

TEST_F(FollowTest, AMemoryFeedTellsASlowReaderWhatItMissed) {  // F-91, X-13, F-92, F-61
  auto writer = make(Storage::kMemory);
  append(writer, 0, 10);
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 5);
  append(writer, 10, 10'000);
  until([&] { return reader.first_seq() > 7000; });  // as far as it goes: it is let go bit by bit
  expect_rows(reader, 5, 1024);  // the chunk that it has stays readable to its end
  const Item item = reader.next();
  ASSERT_EQ(item.kind, Item::Kind::kGap);
  EXPECT_EQ(item.gap.from, 1024u);
  EXPECT_EQ(item.gap.cause, GapCause::kLiveWindow);
  expect_rows(reader, item.gap.to, 10'000);
}

TEST_F(FollowTest, TellsOfADeletedAndOfAReplacedFeed) {  // X-19, F-11
  make(Storage::kTiered).close();
  auto deleted = read();
  auto replaced = read();
  const Checkpoint old = replaced.checkpoint();
  EXPECT_TRUE(delete_feed(base(), "trades"));
  EXPECT_EQ(deleted.next().kind, Item::Kind::kDeleted);
  EXPECT_EQ(deleted.next().kind, Item::Kind::kDeleted);
  auto writer = make(Storage::kTiered);
  EXPECT_EQ(replaced.next().kind, Item::Kind::kReplaced);
  test::expect_fault(Fault::kFeedReplaced, "trades", [&] { read({.from = At::checkpoint(old)}); });
}

}  // namespace
}  // namespace tidepool::feed

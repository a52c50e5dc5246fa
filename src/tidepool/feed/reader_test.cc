// What a reader promises beyond giving records: what it counts, holds, warns of and refuses, and that it costs the writer nothing.

#include <fcntl.h>
#include <sys/resource.h>

#include <atomic>
#include <map>
#include <thread>

#include "tidepool/feed/index.h"
#include "tidepool/feed/remote_target.h"
#include "tidepool/feed/retention.h"
#include "tidepool/feed/test_faulty_files.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed::reader_test {
namespace {

using test::expect_fault;
using test::Row;
using test::row_of;

class ReaderOf : public test::FeedTest {
 protected:
  // Records expire as a prune makes them.
  void expire_to(uint64_t chunks_kept) const {
    PruneOptions prune;
    prune.run.grace_ns = 0;
    prune.run.force = true;
    prune.limits.chunks = chunks_kept;
    prune_base(base(), prune);
  }
  static uint64_t count_in(const std::string& directory) {
    uint64_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++count;
    return count;
  }
};
INSTANTIATE_TEST_SUITE_P(Storages, ReaderOf, ::testing::Values(Storage::kTiered, Storage::kDurable, Storage::kMemory),
                         test::storage_test_name);

TEST_P(ReaderOf, ABaseAndANameIsAllThatItTakes) {  // F-88, F-71
  auto writer = make(GetParam());
  append(writer, 0, 10);
  auto reader = FeedReader::open(base(), "trades");
  append(writer, 10, 3000);
  expect_rows(reader, 10, 3000);  // over chunks, and whatever lies where
  EXPECT_EQ(reader.first_seq(), GetParam() == Storage::kMemory ? reader.first_seq() : 0u);
}

TEST_P(ReaderOf, WhatIsAvailableComesAtOnceAndNothingIsPassedOver) {  // F-90, F-75, F-93
  auto wide = options(GetParam());
  wide.live_chunks = 20;
  create_feed(base(), "trades", test::row_schema(), wide);
  auto reader = read();
  EXPECT_TRUE(reader.read_available().pieces.empty()) << "no chunk yet: the cursor stays";
  auto writer = FeedWriter::open(base(), "trades");
  append(writer, 0, 5000);
  std::vector<Available> kept;
  uint64_t next = 0;
  for (const uint64_t most : {uint64_t{1}, uint64_t{1500}, uint64_t{7}, ~uint64_t{0}}) {
    kept.push_back(reader.read_available(most));
    EXPECT_EQ(kept.back().records, std::min<uint64_t>(most, 5000 - next));
    next += kept.back().records;
  }
  EXPECT_EQ(next, 5000u);
  EXPECT_TRUE(reader.read_available().pieces.empty());
  append(writer, 5000, 5010);
  kept.push_back(reader.read_available());
  EXPECT_EQ(kept.back().records, 10u);
  expect_fault(Fault::kUsage, "0 records", [&] { static_cast<void>(reader.read_available(0)); });
  // All pieces are still what they were: they hold their chunks.
  append(writer, 5010, 9000);
  uint64_t number = 0;
  for (const Available& available : kept) {
    for (const Batch& piece : available.pieces) {
      ASSERT_EQ(piece.first_seq, number);
      for (uint64_t i = 0; i < piece.count; ++i, ++number) {
        const Row expected = row_of(number);
        ASSERT_EQ(std::memcmp(piece.rows.data() + i * sizeof(Row), &expected, sizeof expected), 0) << number;
      }
    }
  }
  EXPECT_EQ(number, 5010u);
}

TEST_P(ReaderOf, TheLatestSecondsAreCountedBackFromTheNewestRecord) {  // F-101, F-15, F-98
  auto wide = options(GetParam());
  wide.live_chunks = 20;
  const Schema schema = test::row_schema().set_clock(0, {.unit = ClockUnit::kUs});
  auto writer = FeedWriter::create(base(), "trades", schema, wide);
  auto reader = read();
  EXPECT_EQ(reader.last_timestamp(), std::nullopt);
  EXPECT_TRUE(reader.read_range(reader.latest(kNsPerSecond)).empty());
  append(writer, 0, 3000);  // 10 us apart
  EXPECT_EQ(reader.last_timestamp(), row_of(2999).time_ns);
  const auto count = [&](uint64_t span_ns) { return reader.read_range(reader.latest(span_ns)).size() / sizeof(Row); };
  EXPECT_EQ(count(0), 1u);
  EXPECT_EQ(count(10 * kNsPerMs), 1001u) << "over a chunk's border";
  EXPECT_EQ(count(~uint64_t{0}), 3000u);
  // A clock that goes back, and one at the end of all time: both are values.
  Row row = row_of(5);
  ASSERT_TRUE(writer.append(row));
  EXPECT_EQ(reader.last_timestamp(), row_of(2999).time_ns);
  EXPECT_EQ(count(0), 1u);
  row.time_ns = ~uint64_t{0};
  ASSERT_TRUE(writer.append(row));
  EXPECT_EQ(reader.last_timestamp(), ~uint64_t{0});
  EXPECT_EQ(count(0), 1u);
  EXPECT_EQ(reader.read_range({}).size() / sizeof(Row), 3002u) << "a range without an end has it, too";
  writer.close();
  if (GetParam() == Storage::kMemory) return;
  EXPECT_EQ(read().last_timestamp(), ~uint64_t{0}) << "offline";
  expect_fault(Fault::kUsage, "no clock 1", [&] { static_cast<void>(reader.last_timestamp(1)); });
}

// A writer that goes on while history is read, its live window far ahead of the reader, until the reader is live.
TEST_P(ReaderOf, GoesFromHistoryToLiveWithoutASeam) {  // F-91, F-79, X-13, G-2
  auto few = options(GetParam());
  few.live_chunks = GetParam() == Storage::kMemory ? 40 : 2;  // what leaves the window of the others is on disk
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), few);
  append(writer, 0, 8000);
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 100);
  std::jthread goes_on([&] { append(writer, 8000, 30'000); });
  expect_rows(reader, 100, 29'000);
  goes_on.join();
  expect_rows(reader, 29'000, 30'000);
  expect_idle(reader);
  append(writer, 30'000, 30'001);
  expect_rows(reader, 30'000, 30'001);
  EXPECT_EQ(reader.counters().gaps, 0u);
}

TEST_P(ReaderOf, TheLatestChunkIsOldOrNewWhileItChangesNeverAMixture) {  // F-86, F-107
  auto writer = make(GetParam());
  append(writer, 0, 1);
  auto reader = read();
  std::atomic<bool> over{false};
  std::jthread rotates([&] {
    append(writer, 1, 60 * 1024);
    over.store(true);
  });
  uint64_t last = 0;
  for (bool more = true; more;) {
    more = !over.load();
    const auto latest = reader.latest_chunk();
    ASSERT_TRUE(latest);
    ASSERT_EQ(latest->first_seq, (latest->ordinal - 1) * 1024) << latest->ordinal;  // 1,024 rows each: one tuple
    ASSERT_TRUE(latest->path.ends_with(chunk_name(latest->ordinal))) << latest->path;
    ASSERT_EQ(latest->capacity_bytes, 1024 * sizeof(Row));
    ASSERT_GE(latest->ordinal, last);
    last = latest->ordinal;
  }
  rotates.join();
  EXPECT_EQ(reader.latest_chunk()->ordinal, 60u);
}

TEST_P(ReaderOf, ALatestChunkThatIsGoneWhenItIsOpenedIsFollowedByAnother) {  // F-86, X-23
  auto writer = make(GetParam());
  append(writer, 0, 10);
  auto reader = read();
  const auto old = reader.latest_chunk();
  ASSERT_TRUE(old);
  append(writer, 10, 9000);
  until([&] { return GetParam() == Storage::kDurable || ::access(old->path.c_str(), R_OK) != 0; });
  const auto now = reader.latest_chunk();
  ASSERT_TRUE(now);
  EXPECT_GT(now->ordinal, old->ordinal);
  EXPECT_EQ(::access(now->path.c_str(), R_OK), 0) << now->path;
}

class ReaderOfDisk : public ReaderOf {};
INSTANTIATE_TEST_SUITE_P(Storages, ReaderOfDisk, ::testing::Values(Storage::kTiered, Storage::kDurable), test::storage_test_name);

TEST_P(ReaderOfDisk, BelowTheFloorIsAGapWhereverItComesFrom) {  // F-83, F-85, F-92, X-14
  {
    auto writer = make(GetParam());
    append(writer, 0, 8000);
    writer.close();
  }
  auto slow = read({.from = At::oldest()});
  expect_rows(slow, 0, 10);
  auto live = read();
  const Checkpoint saved = slow.checkpoint();
  expire_to(2);
  const uint64_t floor = live.first_seq();
  ASSERT_GT(floor, 4096u);
  const auto expect_gap = [&](FeedReader& reader, uint64_t from) {
    const Item item = reader.next();
    ASSERT_EQ(item.kind, Item::Kind::kGap);
    EXPECT_EQ(item.gap.from, from);
    EXPECT_EQ(item.gap.to, floor);
    EXPECT_EQ(item.gap.cause, GapCause::kRetention);
    expect_rows(reader, floor, floor + 5);
  };
  live.seek(At::sequence(17));  // from live back to what is no more
  expect_gap(live, 17);
  auto resumed = read({.from = At::checkpoint(saved)});
  expect_gap(resumed, 10);
  auto oldest = read({.from = At::oldest()});
  expect_rows(oldest, floor, floor + 5);
  auto time = read({.from = At::time(row_of(3).time_ns)});
  expect_rows(time, floor, floor + 5);
  expect_rows(slow, 10, 1024);  // the chunk that it has stays readable to its end
  const Item item = slow.next();
  ASSERT_EQ(item.kind, Item::Kind::kGap);
  EXPECT_EQ(item.gap.from, 1024u);
  EXPECT_EQ(slow.counters().gaps, 1u);
  EXPECT_EQ(slow.counters().missed, floor - 1024);
  EXPECT_EQ(slow.counters().missed_by[static_cast<size_t>(GapCause::kRetention)], floor - 1024);
  EXPECT_EQ(slow.counters().diverged, 0u);
}

TEST_P(ReaderOfDisk, GapsAreErrorsForWhoWantsThat) {  // F-92, X-14
  {
    auto writer = make(GetParam());
    append(writer, 0, 8000);
    writer.close();
  }
  expire_to(2);
  auto reader = read({.from = At::sequence(5), .gaps_throw = true});
  const uint64_t floor = reader.first_seq();
  for (int i = 0; i < 2; ++i) {  // it stands there until it is told to go on
    expect_fault(Fault::kGap, concat("records 5 to ", floor), [&] { static_cast<void>(reader.next()); });
    expect_fault(Fault::kGap, "of feed trades", [&] { static_cast<void>(reader.next_batch()); });
    expect_fault(Fault::kGap, "cannot be had", [&] { static_cast<void>(reader.read_available()); });
    EXPECT_EQ(reader.next_seq(), 5u);
  }
  EXPECT_EQ(reader.counters().gaps, 1u) << "one, told six times";
  reader.seek(At::oldest());
  expect_rows(reader, floor, 8000);
}

class ReaderTest : public ReaderOf {};

TEST_F(ReaderTest, AMemoryFeedsGapIsAnErrorToo) {  // F-90, F-92, X-13
  auto writer = make(Storage::kMemory);
  append(writer, 0, 10);
  auto reader = read({.from = At::oldest(), .gaps_throw = true});
  expect_rows(reader, 0, 5);
  append(writer, 10, 10'000);
  until([&] { return reader.first_seq() > 6000; });
  expect_rows(reader, 5, 1000);
  const Available rest = reader.read_available();
  EXPECT_EQ(rest.records, 24u) << "what is before the gap comes first";
  expect_fault(Fault::kGap, "records 1024 to ", [&] { static_cast<void>(reader.read_available()); });
  EXPECT_EQ(reader.counters().missed_by[static_cast<size_t>(GapCause::kLiveWindow)], reader.counters().missed);
  EXPECT_GT(reader.counters().missed, 4000u);
}

TEST_F(ReaderTest, CountsWhatItKeepsFromBeingFreeAndWarns) {  // F-78, F-93
  auto writer = make(Storage::kTiered);
  append(writer, 0, 5000);
  auto reader = read({.from = At::sequence(4500), .held_bytes_warn = 100 * 1024});
  expect_rows(reader, 4500, 4501);
  std::vector<std::shared_ptr<const void>> views = {reader.hold()};
  EXPECT_EQ(reader.held().unlinked_chunks, 0u);
  const uint64_t one = reader.held().bytes;
  EXPECT_GE(one, 1024 * sizeof(Row));
  // Views of five chunks, whose names go as the live window moves on.
  uint64_t number = 5000;
  Bytes first;
  for (int i = 0; i < 5; ++i, number += 1024) {
    append(writer, number, number + 1024);
    reader.seek(At::last(1));
    const Item item = reader.next();
    ASSERT_TRUE(item.is_record());
    if (i == 0) first = item.bytes;
    views.push_back(reader.hold());
  }
  append(writer, number, number + 5 * 1024);
  const auto ledger = reader.held_ledger();
  until([&] { return ledger->count().unlinked_chunks >= 6; });
  EXPECT_GE(ledger->count().unlinked_bytes, 6 * one);  // and what the reader itself still has mapped
  ASSERT_EQ(reader.warnings().size(), 1u);
  EXPECT_NE(reader.warnings()[0].find("chunks whose names are gone"), std::string::npos) << reader.warnings()[0];
  // Another reader has its own account.
  auto other = read();
  EXPECT_EQ(other.held().unlinked_bytes, 0u);
  EXPECT_TRUE(other.warnings().empty());
  // The reader goes, the views stay, are what they were, and are counted until they are let go.
  {
    const FeedReader gone = std::move(reader);
  }
  EXPECT_EQ(ledger->count().chunks, 6u);
  EXPECT_EQ(ledger->count().unlinked_bytes, 6 * one);
  EXPECT_EQ(load<Row>(first.data()).number, 5000u + 1023);
  views.resize(1);
  EXPECT_EQ(ledger->count().bytes, one);
  views.clear();
  EXPECT_EQ(ledger->count().chunks, 0u);
}

TEST_F(ReaderTest, AThousandOfThemCostTheWriterNoCallAndFewDescriptors) {  // F-97, F-108, X-24
  if (shm::test::kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer remembers every page of a thousand mappings: minutes";
  auto wide = options(Storage::kTiered);
  wide.chunk_bytes = 8 << 20;
  TIDEPOOL_IN_CHILD([&] {
    auto writer = FeedWriter::create(base(), "wide", test::row_schema(), wide);
    uint64_t number = 0;
    for (; number < 1000; ++number) EXPECT_TRUE(writer.append(row_of(number)));
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    const uint64_t files_before = count_in("/proc/self/fd");
    const std::string maps_before = shm::test::read_file("/proc/self/maps");
    std::vector<FeedReader> readers;
    for (int i = 0; i < 1000; ++i) {
      readers.push_back(FeedReader::open(base(), "wide", {.from = At::last(1)}));
      EXPECT_TRUE(readers.back().next().is_record());
    }
    EXPECT_LE(count_in("/proc/self/fd"), files_before + 3 * 1000) << "a few each";
    const std::string maps = shm::test::read_file("/proc/self/maps");
    EXPECT_LE(std::count(maps.begin(), maps.end(), '\n'), std::count(maps_before.begin(), maps_before.end(), '\n') + 8 * 1000)
        << "a few each";
    until([&] { return writer.health().prepared_bytes >= 100'000 * sizeof(Row); });
    append_without_calls(writer, number, 100'000);
    for (size_t i = 0; i < readers.size(); i += 111) {  // and they had it all
      uint64_t records = 0;
      while (true) {
        const Batch batch = readers[i].next_batch();
        if (batch.kind != Item::Kind::kRow) break;
        records += batch.count;
      }
      EXPECT_EQ(records, 99'000u);
    }
    std::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  });
}

TEST_F(ReaderTest, RemoteTargetsAreRefusedBeforeAnythingLocalIsLookedAt) {  // F-88, F-141
  test::FaultyFiles files;
  files.fail("open", "", EIO);  // whoever looks, fails with that
  for (const char* target : {"lab:/data", "lab.example.org:/data/feeds", "dw://lab/data", "dw://lab:7447/data"}) {
    EXPECT_TRUE(is_remote_target(target)) << target;
    ReaderOptions options;
    options.files = &files;
    expect_fault(Fault::kUsage, "is on another host", [&] { FeedReader::open(target, "trades", options); });
    expect_fault(Fault::kUsage, target, [&] { create_base(target, files); });
  }
  EXPECT_EQ(files.failures(), 0);
  for (const char* local : {"/data", "data", "./a:/b", "a/b:/c", "a:b", "/a:/b", ":/b", ""})
    EXPECT_FALSE(is_remote_target(local)) << local;
}

TEST_F(ReaderTest, ResultsAndBatchesHaveLimits) {  // F-99
  static_assert(kResultBytesMax == uint64_t{1} << 30);
  auto writer = make(Storage::kTiered);
  append(writer, 0, 3000);
  auto reader = read();
  expect_fault(Fault::kResultTooLarge, "read it in batches", [&] { reader.read_range({}, 3000 * sizeof(Row) - 1); });
  EXPECT_EQ(reader.read_range({}, 3000 * sizeof(Row)).size(), 3000 * sizeof(Row));
  expect_fault(Fault::kResultTooLarge, "read it in batches", [&] { reader.read_column("value", {}, 3000 * 8 - 1); });
  expect_fault(Fault::kUsage, "0 rows", [&] { static_cast<void>(reader.next_batch(0)); });
  Batch piece;
  auto range = reader.range({});
  expect_fault(Fault::kUsage, "0 rows", [&] { range.next(piece, 0); });
  EXPECT_TRUE(range.next(piece, 1));
  EXPECT_EQ(piece.count, 1u);
}

// ---- checkpoints ------------------------------------------------------------------------------------------------------------

TEST_F(ReaderTest, ACheckpointSaysWhereItWasAndATornOneIsTheOneBefore) {  // F-85
  auto writer = make(Storage::kTiered);
  append(writer, 0, 3000);
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 1500);
  reader.checkpoint().save("job", root / "state");
  expect_rows(reader, 1500, 1600);
  const Checkpoint now = reader.checkpoint();
  EXPECT_EQ(now.next_seq, 1600u);
  EXPECT_EQ(now.ordinal, 2u);
  EXPECT_EQ(now.offset, (1600 - 1024) * sizeof(Row));
  EXPECT_EQ(now.schema_id, 1u);
  EXPECT_EQ(now.clocks[0], row_of(1599).time_ns);
  EXPECT_EQ(now.epoch, writer.epoch());
  now.save("job", root / "state");
  const std::string path = root / ("state/" + hex(reader.feed().id) + "-job");
  const std::string whole = shm::test::read_file(path);
  // Cut anywhere, one bit changed anywhere, or empty: the one before, and never something else.
  for (size_t at = 0; at < whole.size(); ++at) {
    shm::test::write_file(path, whole.substr(0, at));
    auto found = Checkpoint::load("job", reader.feed().id, root / "state");
    ASSERT_TRUE(found) << at;
    ASSERT_EQ(found->next_seq, 1500u) << at;
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    shm::test::write_file(path, changed);
    found = Checkpoint::load("job", reader.feed().id, root / "state");
    ASSERT_TRUE(found) << at;
    ASSERT_EQ(found->next_seq, 1500u) << at;
  }
  auto resumed = read({.from = At::checkpoint(*Checkpoint::load("job", reader.feed().id, root / "state"))});
  expect_rows(resumed, 1500, 3000);
}

// ---- indexes ----------------------------------------------------------------------------------------------------------------

TEST_F(ReaderTest, UsesTheLiveIndexScansBehindItAndIgnoresWhatIsAheadOfTheData) {  // F-33
  auto wide = options(Storage::kTiered);
  wide.chunk_bytes = 8192 * sizeof(Row);
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), wide);
  Row back = row_of(0);
  back.time_ns = 50;
  for (uint64_t number = 0; number < 4000; ++number)
    ASSERT_TRUE(writer.append(number == 1 ? back : row_of(number)));  // no binary search
  writer.sync();
  const std::string path = *trusted_live_directory(writer.feed()) + "/" + index_name(1);
  until([&] {
    return ::access(path.c_str(), R_OK) == 0 && shm::test::read_file(path).size() >= kIndexHeaderBytes + 31 * kIndexEntryBytes;
  });
  for (uint64_t number = 4000; number < 4020; ++number) ASSERT_TRUE(writer.append(row_of(number)));
  auto reader = read();
  EXPECT_EQ(reader.first_after(row_of(700).time_ns), 700u);
  EXPECT_EQ(reader.first_after(row_of(4019).time_ns), 4019u) << "behind the index";
  EXPECT_EQ(reader.first_after(row_of(4019).time_ns + 1), std::nullopt);
  // An index that goes on beyond the commit word, each entry of it with a good checksum: what is ahead of the data is no data.
  const std::string content = shm::test::read_file(path);
  const std::string chunk_path = *trusted_live_directory(writer.feed()) + "/" + chunk_name(1);
  const std::string chunk = shm::test::read_file(chunk_path);
  const ChunkHeader header = ChunkHeader::decode(std::as_bytes(std::span(chunk)), chunk_path);
  auto entries = *decode_index(std::as_bytes(std::span(content)), header, 0);
  const uint64_t per_entry = rows_per_index_entry(header);
  while (entries.size() * per_entry + per_entry <= 8192) {
    IndexEntry entry = entries.back();
    entry.first_seq += per_entry;
    entry.offset += per_entry * sizeof(Row);
    entry.min[0] = entry.max[0] = entry.highest[0] = row_of(4005).time_ns;
    entries.push_back(entry);
  }
  const auto ahead = encode_index(header, 0, entries);
  shm::test::write_file(path, std::string(reinterpret_cast<const char*>(ahead.data()), ahead.size()));
  auto other = read();
  for (const uint64_t seq : {uint64_t{2}, uint64_t{700}, uint64_t{3999}, uint64_t{4005}, uint64_t{4019}})
    EXPECT_EQ(other.first_after(row_of(seq).time_ns), seq);
  EXPECT_EQ(other.first_after(row_of(4019).time_ns + 1), std::nullopt);
  const auto block = other.block_around(4010);
  ASSERT_TRUE(block);
  EXPECT_LE(block->to, 4020u);
  // That it is used: one that says, wrongly and with good checksums, that nothing before row 1024 is as late as that, hides it.
  for (IndexEntry& entry : entries) entry.highest[0] = entry.first_seq < 1024 ? 60 : entry.highest[0];
  const auto lying = encode_index(header, 0, entries);
  shm::test::write_file(path, std::string(reinterpret_cast<const char*>(lying.data()), lying.size()));
  EXPECT_EQ(read().first_after(row_of(700).time_ns), 1024u);
}

// ---- frames whose head is damaged ---------------------------------------------------------------------------------------------

class Resync : public ReaderOf {
 protected:
  static constexpr uint64_t kFrames = 120;
  static std::vector<std::byte> payload_of(uint64_t seq) {
    return std::vector<std::byte>(500 + seq * 37 % 900, static_cast<std::byte>(seq));
  }
  void make_frames(bool nested = false) {
    auto frame_options = options(Storage::kTiered);
    frame_options.chunk_bytes = 1 << 20;
    auto writer = FeedWriter::create(base(), "cam", Schema::frames(), frame_options);
    for (uint64_t seq = 0; seq < kFrames; ++seq) {
      std::vector<std::byte> payload = payload_of(seq);
      if (nested && seq == 50) {  // a payload full of heads of frames that come later, as a copy of another chunk would be
        payload.assign(40'000, std::byte{0});
        for (size_t at = 0; at + 128 <= payload.size(); at += 64) {
          FrameHead head;
          head.length = 64;
          head.seq = 60 + at / 64 % 40;
          encode(head, payload.data() + at);
        }
      }
      FrameMeta meta;
      meta.clocks[0] = 1000 + seq;
      ASSERT_TRUE(writer.append_frame(meta, {}, payload));
    }
    writer.close();
    path = base() + "/feeds/cam/" + chunk_name(1);
    content = shm::test::read_file(path);
    header = ChunkHeader::decode(std::as_bytes(std::span(content)), path);
    uint64_t at = 0;
    for (uint64_t seq = 0; seq < kFrames; ++seq) {
      places.push_back(at);
      const auto head = decode_frame(reinterpret_cast<const std::byte*>(content.data()) + header.data_offset + at,
                                     content.size() - header.data_offset - at, seq, header.align_log2);
      ASSERT_TRUE(head);
      at +=
          frame_span(head->meta_bytes, head->length - frame_payload_offset(head->meta_bytes, header.align_log2), header.align_log2);
    }
  }
  // Frames whose bytes lie in the damaged blocks are told, all others come.
  void expect_honest(const std::vector<uint64_t>& damaged_blocks) {
    auto reader = FeedReader::open(base(), "cam", {.from = At::oldest(), .stop_when_inactive = true});
    uint64_t next = 0, missed = 0;
    for (;;) {
      const Item item = reader.next();
      if (item.kind == Item::Kind::kEnded) break;
      if (item.kind == Item::Kind::kGap) {
        ASSERT_EQ(item.gap.from, next);
        ASSERT_EQ(item.gap.cause, GapCause::kDamaged);
        next = item.gap.to;
        missed += item.gap.to - item.gap.from;
        continue;
      }
      ASSERT_EQ(item.kind, Item::Kind::kFrame);
      ASSERT_EQ(item.seq, next++);
      const auto payload = payload_of(item.seq);
      if (item.seq != 50) {
        ASSERT_TRUE(std::equal(payload.begin(), payload.end(), item.bytes.begin(), item.bytes.end())) << item.seq;
      }
    }
    EXPECT_EQ(next, kFrames);
    uint64_t expected = 0;
    for (uint64_t seq = 0; seq < kFrames; ++seq) {
      const uint64_t end =
          seq + 1 < kFrames ? places[seq + 1] : places[seq] + frame_span(0, payload_of(seq).size(), header.align_log2);
      bool hit = false;
      for (const uint64_t block : damaged_blocks)
        hit |= places[seq] < (block + 1) * header.block_bytes && end > block * header.block_bytes;
      expected += hit ? 1 : 0;
    }
    EXPECT_LE(missed, expected + 1) << "and no more than a frame that began in the block";
    EXPECT_GE(missed, 1u);
  }
  void damage_head(uint64_t seq) {
    content[header.data_offset + places[seq] + 9] ^= 1;
    shm::test::write_file(path, content);
  }
  void remove_index() { std::filesystem::remove(base() + "/feeds/cam/" + index_name(1)); }
  std::string path, content;
  ChunkHeader header;
  std::vector<uint64_t> places;
};

TEST_F(Resync, GoesOnAtTheNextBlockWithOrWithoutTheIndex) {  // F-119, X-9
  make_frames();
  const uint64_t blocks[] = {places[30] / header.block_bytes, places[90] / header.block_bytes};
  damage_head(30);
  expect_honest({blocks[0]});
  remove_index();
  expect_honest({blocks[0]});
  damage_head(90);  // two of them
  expect_honest({blocks[0], blocks[1]});
  damage_head(0);  // and the first of all
  expect_honest({0, blocks[0], blocks[1]});
}

TEST_F(Resync, TellsTheRestAsLostWhenNothingBehindIsAFrame) {  // F-119, G-1
  make_frames();
  remove_index();
  for (uint64_t seq = 100; seq < kFrames; ++seq) content[header.data_offset + places[seq] + 9] ^= 1;
  shm::test::write_file(path, content);
  auto reader = FeedReader::open(base(), "cam", {.from = At::oldest(), .stop_when_inactive = true});
  uint64_t given = 0;
  Item item = reader.next();
  for (; item.kind == Item::Kind::kFrame; item = reader.next()) ++given;
  EXPECT_LE(given, 100u);
  ASSERT_EQ(item.kind, Item::Kind::kGap);
  EXPECT_EQ(item.gap.from, given);
  while (item.kind == Item::Kind::kGap && item.gap.to < kFrames) item = reader.next();
  ASSERT_EQ(item.kind, Item::Kind::kGap);
  EXPECT_EQ(item.gap.to, kFrames);
  EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
}

TEST_F(Resync, IsNotTakenInByFramesThatLieInAPayload) {  // F-119, G-1
  make_frames(true);
  remove_index();
  damage_head(50);  // the one whose payload is full of heads
  auto reader = FeedReader::open(base(), "cam", {.from = At::oldest(), .stop_when_inactive = true});
  for (Item item = reader.next(); item.kind != Item::Kind::kEnded; item = reader.next()) {
    if (item.kind != Item::Kind::kFrame) continue;
    const auto payload = payload_of(item.seq);
    ASSERT_TRUE(std::equal(payload.begin(), payload.end(), item.bytes.begin(), item.bytes.end())) << item.seq;
  }
  EXPECT_EQ(reader.read(kFrames - 1).kind, Item::Kind::kFrame);
}

}  // namespace
}  // namespace tidepool::feed::reader_test

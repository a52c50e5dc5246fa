// Copies of a base while it is written, and chunk files that go from one base to another (F-153).

#include "tidepool/feed/backup.h"

#include <fcntl.h>

#include <filesystem>
#include <semaphore>
#include <thread>

#include "tidepool/feed/adopt.h"
#include "tidepool/feed/blob_care.h"
#include "tidepool/feed/repair.h"
#include "tidepool/feed/retention.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace backup_test {
namespace {

using test::expect_fault;
using test::row_of;
using Outcome = AdoptedChunk::Outcome;

std::string text_of_all(const VerifyReport& report) {
  std::string text;
  for (const Finding& finding : report.findings) text += text_of(finding) + "\n";
  return text;
}

class BackupTest : public test::FeedTest {
 protected:
  FeedOptions tiny(Storage storage = Storage::kTiered) const {
    auto small = options(storage);
    small.chunk_bytes = 4096;  // 128 rows
    return small;
  }
  void fill(uint64_t rows, const std::string& name = "trades") {
    auto writer = FeedWriter::create(base(), name, test::row_schema(), tiny());
    append(writer, writer.next_seq(), rows);
    writer.close();
  }
  std::string copy() const { return root / "copy"; }
  std::string chunk(const std::string& of, uint64_t ordinal, const std::string& name = "trades") const {
    return of + "/feeds/" + name + "/" + chunk_name(ordinal);
  }
  // All records of a base that nobody writes, whole and in order; how many.
  uint64_t expect_prefix(const std::string& of, const std::string& name = "trades", uint64_t from = 0) {
    auto reader = FeedReader::open(of, name, {.from = At::oldest(), .stop_when_inactive = true});
    EXPECT_EQ(reader.first_seq(), from);
    uint64_t number = from;
    for (Item item = reader.next(); item.kind != Item::Kind::kEnded; item = reader.next(), ++number) {
      EXPECT_EQ(item.kind, Item::Kind::kRow) << number << " " << item.gap.text;
      if (item.kind != Item::Kind::kRow) break;
      const test::Row expected = row_of(number);
      EXPECT_EQ(std::memcmp(item.bytes.data(), &expected, sizeof expected), 0) << number;
    }
    return number;
  }
};

class BackupOf : public BackupTest {};
INSTANTIATE_TEST_SUITE_P(Storages, BackupOf, ::testing::Values(Storage::kTiered, Storage::kDurable), test::storage_test_name);

TEST_P(BackupOf, AFeedThatIsWrittenEndsAtADurableRecord) {  // F-153, G-3, G-4, G-5
  auto made = tiny(GetParam());
  made.sync_interval_ns = kNsPerMs;
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), made);
  append(writer, 0, 10);
  // Each copy is of a feed that grows, and that grows no faster than a sanitizer copies.
  constexpr uint64_t kRounds = 5, kRows = 4'000;
  std::counting_semaphore<> more(0);
  std::thread writing([&] {
    for (uint64_t number = 10; number < kRounds * kRows; ++number) {
      if (number % kRows == 10) more.acquire();
      if (!writer.append(row_of(number))) break;
      if (number % 50 == 0) std::this_thread::yield();
    }
  });
  uint64_t last = 0;
  for (uint64_t round = 0; round < kRounds; ++round) {
    more.release();
    const uint64_t durable = writer.durable_seq();
    const BackupReport report = backup_base(base(), copy());
    EXPECT_EQ(report.feeds, 1u);
    const VerifyReport sound = verify_base(copy());
    EXPECT_TRUE(sound.sound()) << round << "\n" << text_of_all(sound);
    const uint64_t records = expect_prefix(copy());
    EXPECT_GE(records, durable) << "what was durable when the copy began is in it";
    EXPECT_GE(records, last);
    last = records;
  }
  writing.join();
  const uint64_t end = writer.next_seq();
  writer.close();
  // The last one, of a closed feed: all of it, and a writer goes on in the copy as if it were the base.
  backup_base(base(), copy());
  EXPECT_EQ(expect_prefix(copy()), end);
  const BackupReport again = backup_base(base(), copy());
  EXPECT_GT(again.kept, 0u) << "complete chunks are copied once";
  EXPECT_EQ(expect_prefix(copy()), end);
  auto twin = FeedWriter::open(copy(), "trades");
  EXPECT_FALSE(twin.recovery().loss);
  EXPECT_EQ(twin.next_seq(), end);
}

TEST_F(BackupTest, OfAWriterThatWasNeverSyncedIsEmptyAndRecoverable) {  // F-153, X-20
  auto made = tiny();
  made.sync = SyncMode::kExplicit;
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), made);
  append(writer, 0, 20);
  writer.sync();
  append(writer, 20, 50);
  backup_base(base(), copy());
  EXPECT_TRUE(verify_base(copy()).sound());
  EXPECT_EQ(expect_prefix(copy()), 20u) << "the last durable record, and not one more";
  auto twin = FeedWriter::open(copy(), "trades");
  EXPECT_EQ(twin.recovery().next_seq, 20u);
}

TEST_F(BackupTest, HasRowsWithTheirPayloadsWhileBothAreWritten) {  // F-123, F-153
  create_blob_feed(base(), "shots", test::row_schema(), {.columns = {"image"}, .chunk_bytes = 32768}, tiny());
  auto writer = BlobWriter::open(base(), "shots");
  constexpr uint64_t kRounds = 4, kRows = 1'000;
  std::counting_semaphore<> more(0);
  std::thread writing([&] {
    std::vector<std::byte> image(700);
    for (uint64_t number = 0; number < kRounds * kRows; ++number) {
      if (number % kRows == 0) more.acquire();
      image[0] = static_cast<std::byte>(number);
      const BlobPart parts[] = {{0, image}};
      if (!writer.append(row_of(number), parts)) break;
    }
  });
  for (uint64_t round = 0; round < kRounds; ++round) {
    more.release();
    backup_base(base(), copy(), {.feeds = {"shots"}});
    const VerifyReport sound = verify_base(copy());
    EXPECT_TRUE(sound.sound()) << round << "\n" << text_of_all(sound);
    EXPECT_EQ(sound.feeds, 2u);
  }
  writing.join();
  writer.close();
  backup_base(base(), copy());
  EXPECT_EQ(check_blobs(copy(), "shots").blobs, read({}, "shots").committed_seq());
}

TEST_F(BackupTest, FollowsRetentionAndTakesSomeFeedsOrAll) {  // F-153, F-128
  fill(1000);
  fill(300, "quotes");
  EXPECT_EQ(backup_base(base(), copy(), {.feeds = {"trades"}}).feeds, 1u);
  EXPECT_EQ(GlobalRegistry::open(copy()).find("quotes"), nullptr);
  EXPECT_EQ(expect_prefix(copy()), 1000u);
  prune_base(base(), {.run = {.grace_ns = 0}, .feed = "trades", .limits = {.chunks = 3}});
  const BackupReport report = backup_base(base(), copy());
  EXPECT_EQ(report.feeds, 2u);
  EXPECT_EQ(report.removed, 10u) << "five chunks with their indexes";
  EXPECT_EQ(expect_prefix(copy(), "trades", 640), 1000u);
  EXPECT_EQ(expect_prefix(copy(), "quotes"), 300u);
  EXPECT_TRUE(verify_base(copy()).findings.empty()) << text_of_all(verify_base(copy()));
  delete_feed(base(), "quotes");
  const BackupReport after = backup_base(base(), copy());
  ASSERT_EQ(after.remarks.size(), 1u);
  EXPECT_EQ(expect_prefix(copy(), "quotes"), 300u) << "a copy outlives what it is of";
}

TEST_F(BackupTest, NeverWritesIntoWhatIsNoCopyOfThisBase) {  // F-153, G-6
  fill(10);
  expect_fault(Fault::kUsage, "in the base itself", [&] { backup_base(base(), base() + "/copy"); });
  create_feed(root / "other", "trades", test::row_schema(), tiny());
  expect_fault(Fault::kUsage, "holds another base", [&] { backup_base(base(), root / "other"); });
  std::filesystem::create_directories(copy());
  File::open(Files::system(), copy() + "/letter.txt", O_RDWR | O_CREAT, 0640).write(std::as_bytes(std::span("hello")), 0);
  expect_fault(Fault::kUsage, "no copy of a base", [&] { backup_base(base(), copy()); });
  std::filesystem::remove(root / "other/registry.bin");  // as a copy that was interrupted looks
  expect_fault(Fault::kUsage, "holds feed trades of another base", [&] { backup_base(base(), root / "other"); });
  expect_fault(Fault::kBaseNotFound, "registry.bin", [&] { backup_base(root / "nothing", root / "new"); });
  expect_fault(Fault::kFeedNotFound, "quotes", [&] { backup_base(base(), root / "new", {.feeds = {"quotes"}}); });
  EXPECT_FALSE(std::filesystem::exists(root / "new"));
}

// ---- chunk by chunk ----------------------------------------------------------------------------------------------------------

class AdoptTest : public BackupTest {
 protected:
  std::string there() const { return root / "there"; }
  std::vector<std::string> files(std::vector<uint64_t> ordinals) const {
    std::vector<std::string> paths;
    for (const uint64_t ordinal : ordinals) paths.push_back(chunk(base(), ordinal));
    return paths;
  }
  AdoptOptions mine() const { return {.feed_options = tiny()}; }
};

TEST_F(AdoptTest, ChunksOfAnotherBaseMakeAFeedThatIsTheSame) {  // F-153, F-30, F-53, F-17
  fill(300);
  fill(500);  // another epoch
  std::vector<std::string> paths;  // an ordinal that was made ready and never begun is not used again (F-25)
  for (const std::string& name : names_in(base() + "/feeds/trades")) {
    if (name.ends_with(".data")) paths.push_back(base() + "/feeds/trades/" + name);
  }
  const AdoptReport planned = adopt_chunks(there(), "history", paths, {.dry_run = true, .feed_options = tiny()});
  EXPECT_TRUE(planned.created);
  EXPECT_EQ(planned.count(Outcome::kAdopted), 5u);
  EXPECT_FALSE(std::filesystem::exists(there())) << "a dry run makes nothing";
  const AdoptReport done = adopt_chunks(there(), "history", paths, mine());
  EXPECT_TRUE(done.created);
  EXPECT_EQ(done.count(Outcome::kAdopted), 5u);
  EXPECT_EQ(done.chunks[4].end_seq, 500u);
  const VerifyReport sound = verify_base(there());
  EXPECT_TRUE(sound.findings.empty()) << text_of_all(sound);
  EXPECT_EQ(expect_prefix(there(), "history"), 500u);
  const FeedInfo from = find_feed(base(), "trades", Files::system()), to = find_feed(there(), "history", Files::system());
  EXPECT_EQ(to.id, from.id);
  EXPECT_NE(to.base_id, from.base_id);
  EXPECT_EQ(to.schema.hash(), from.schema.hash());
  EXPECT_EQ(FeedReader::open(there(), "history").epochs().size(), 2u);
  EXPECT_TRUE(repair_base(there()).actions.empty());
  // And it goes on there.
  auto writer = FeedWriter::open(there(), "history");
  EXPECT_EQ(writer.next_seq(), 500u);
  append(writer, 500, 600);
  writer.close();
  EXPECT_EQ(expect_prefix(there(), "history"), 600u);
}

TEST_F(AdoptTest, WhatIsThereAlreadyIsRefused) {  // F-153, F-25
  fill(500);
  adopt_chunks(there(), "trades", files({1, 2}), mine());
  AdoptReport again = adopt_chunks(there(), "trades", files({2, 3}), mine());
  EXPECT_FALSE(again.created);
  ASSERT_EQ(again.chunks.size(), 2u);
  EXPECT_EQ(again.chunks[0].outcome, Outcome::kRefused);
  EXPECT_NE(again.chunks[0].why.find("chunk 2 already"), std::string::npos) << again.chunks[0].why;
  EXPECT_EQ(again.chunks[1].outcome, Outcome::kAdopted);
  EXPECT_EQ(expect_prefix(there()), 384u);
  // The same file twice in one call, and one that retention took: no ordinal comes back.
  EXPECT_EQ(adopt_chunks(there(), "trades", {chunk(base(), 4), chunk(base(), 4)}, mine()).count(Outcome::kRefused), 1u);
  prune_base(there(), {.run = {.grace_ns = 0}, .limits = {.chunks = 1}});
  EXPECT_EQ(adopt_chunks(there(), "trades", files({1}), mine()).count(Outcome::kRefused), 1u);
  // Another feed of that name, or this one under another.
  expect_fault(Fault::kSchemaConflict, "is called trades here", [&] { adopt_chunks(there(), "other", files({1}), mine()); });
  create_feed(there(), "mine", test::row_schema(), tiny());
  delete_feed(there(), "trades");
  expect_fault(Fault::kSchemaConflict, "give another name", [&] { adopt_chunks(there(), "mine", files({1}), mine()); });
  // Two feeds in one call: those of the first one.
  fill(200, "quotes");
  const AdoptReport mixed = adopt_chunks(there(), "trades", {chunk(base(), 1), chunk(base(), 2, "quotes")}, mine());
  EXPECT_EQ(mixed.count(Outcome::kAdopted), 1u);
  EXPECT_EQ(mixed.count(Outcome::kRefused), 1u);
  // Numbers that overlap, by a writer that went its own way.
  auto writer = FeedWriter::open(there(), "trades");
  append(writer, 128, 600);
  expect_fault(Fault::kWriterBusy, "held by", [&] { adopt_chunks(there(), "trades", files({3}), mine()); });
  writer.close();
  EXPECT_EQ(adopt_chunks(there(), "trades", files({4}), mine()).count(Outcome::kRefused), 1u);
  EXPECT_EQ(expect_prefix(there()), 600u);
}

TEST_F(AdoptTest, AWrongChecksumGoesToQuarantineAndIsAGap) {  // F-153, F-135, X-9
  fill(500);
  {
    const File file = File::open(Files::system(), chunk(base(), 2), O_RDWR);
    const std::byte wrong[1] = {std::byte{0xFF}};
    file.write(wrong, 8192 + 1000);
  }
  std::filesystem::resize_file(chunk(base(), 4), 9000);
  const AdoptReport report = adopt_chunks(there(), "trades", files({1, 2, 3, 4}), mine());
  EXPECT_EQ(report.count(Outcome::kAdopted), 2u);
  EXPECT_EQ(report.count(Outcome::kQuarantined), 2u);
  EXPECT_EQ(report.chunks[1].outcome, Outcome::kQuarantined);
  EXPECT_NE(report.chunks[1].why.find("checksum of block"), std::string::npos) << report.chunks[1].why;
  EXPECT_EQ(names_in(there() + "/feeds/trades/quarantine").size(), 4u) << "each with a note";
  EXPECT_TRUE(std::filesystem::exists(chunk(base(), 2))) << "what was given stays";
  auto reader = FeedReader::open(there(), "trades", {.from = At::oldest(), .stop_when_inactive = true});
  expect_rows(reader, 0, 128);
  const Item gap = reader.next();
  ASSERT_EQ(gap.kind, Item::Kind::kGap);
  EXPECT_EQ(gap.gap.from, 128u);
  EXPECT_EQ(gap.gap.to, 256u);
  expect_rows(reader, 256, 384);
  EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
  EXPECT_TRUE(verify_base(there()).sound()) << text_of_all(verify_base(there()));
  expect_fault(Fault::kUsage, "lives in memory", [&] { adopt_chunks(root / "new", "trades", files({1}), {.feed_options = tiny(Storage::kMemory)}); });
  // Nothing but rubbish: no feed is made of it.
  expect_fault(Fault::kCorrupt, "none of these files", [&] { adopt_chunks(root / "new", "trades", files({4}), mine()); });
  expect_fault(Fault::kFileNotFound, "nothing.data", [&] { adopt_chunks(there(), "trades", {root / "nothing.data"}, mine()); });
  EXPECT_FALSE(std::filesystem::exists(root / "new"));
}

TEST_F(AdoptTest, WhatCameWholeIsAClosedFeed) {  // F-153, F-138: nobody died here
  fill(500);
  adopt_chunks(there(), "trades", files({1, 2}), mine());
  auto reader = FeedReader::open(there(), "trades", {.from = At::oldest()});
  EXPECT_EQ(reader.writer_state(), WriterState::kClosed);
  ASSERT_EQ(reader.epochs().size(), 1u);
  EXPECT_EQ(reader.epochs()[0].end_seq, 256u);
  adopt_chunks(there(), "trades", files({3}), mine());  // more of the same epoch
  EXPECT_EQ(reader.writer_state(), WriterState::kClosed);
  EXPECT_EQ(reader.epochs()[0].end_seq, 384u);
  auto writer = FeedWriter::open(there(), "trades");
  EXPECT_EQ(writer.next_seq(), 384u);
  writer.close();
  // Of a feed that is written here, its own last word counts.
  fill(300, "quotes");
  fill(600, "quotes");
  adopt_chunks(there(), "quotes", {chunk(base(), 1, "quotes")}, mine());
  EXPECT_EQ(FeedReader::open(there(), "quotes").writer_state(), WriterState::kClosed);
}

TEST_F(AdoptTest, AWholeCopyTakesThePlaceOfADamagedChunk) {  // F-153, F-134, F-135
  fill(500);
  adopt_chunks(there(), "trades", files({1, 2, 3, 4}), mine());
  const AdoptOptions replacing{.replace_damaged = true, .feed_options = tiny()};
  const auto damage = [&](uint64_t ordinal, uint64_t at) {
    const std::byte wrong[1] = {std::byte{0xFF}};
    File::open(Files::system(), chunk(there(), ordinal), O_RDWR).write(wrong, at);
  };
  EXPECT_EQ(adopt_chunks(there(), "trades", files({2}), replacing).count(Outcome::kRefused), 1u) << "it is whole";
  damage(1, 20);                              // the header: repair puts it aside
  damage(2, 8192 + 1000);                     // a block: repair notes it
  std::filesystem::remove(chunk(there(), 3));  // repair says it is missing
  EXPECT_GE(repair_base(there()).actions.size(), 3u);
  damage(4, 8192 + 1000);  // nobody has seen it yet
  EXPECT_EQ(adopt_chunks(there(), "trades", files({1, 2, 3, 4}), mine()).count(Outcome::kRefused), 4u) << "not unless asked to";
  const AdoptReport planned = adopt_chunks(there(), "trades", files({1, 2, 3, 4}), {.dry_run = true, .replace_damaged = true, .feed_options = tiny()});
  EXPECT_EQ(planned.count(Outcome::kReplaced), 4u);
  EXPECT_FALSE(verify_base(there()).sound());
  auto reader = FeedReader::open(there(), "trades", {.from = At::sequence(384)});  // it has chunk 4 open, and sees that it is damaged
  EXPECT_EQ(reader.next().kind, Item::Kind::kGap);
  const AdoptReport report = adopt_chunks(there(), "trades", files({1, 2, 3, 4}), replacing);
  EXPECT_EQ(report.count(Outcome::kReplaced), 4u) << report.chunks[0].why;
  reader.seek(At::sequence(384));
  expect_rows(reader, 384, 500);
  EXPECT_TRUE(verify_base(there()).sound()) << text_of_all(verify_base(there()));
  EXPECT_EQ(expect_prefix(there()), 500u);
  EXPECT_TRUE(repair_base(there()).actions.empty());
  for (const std::string& name : names_in(there() + "/feeds/trades/quarantine"))
    EXPECT_EQ(name.find("chunk-block"), std::string::npos) << name << ": what it tells of is mended";
  // Another chunk of that number does not come in its place.
  std::filesystem::remove_all(base());
  fill(500);
  damage(2, 8192 + 1000);
  EXPECT_THROW(adopt_chunks(there(), "trades", files({2}), replacing), FeedError);
}

TEST_F(AdoptTest, WhatIsNoChunkIsRefused) {  // F-153
  fill(300);
  adopt_chunks(there(), "trades", files({1}), mine());
  const std::string letter = root / "letter.data";
  File::open(Files::system(), letter, O_RDWR | O_CREAT, 0640).write(std::as_bytes(std::span("Dear reader, this is a letter and no chunk.")), 0);
  const AdoptReport report = adopt_chunks(there(), "trades", {letter, chunk(base(), 2)}, mine());
  ASSERT_EQ(report.chunks.size(), 2u);
  EXPECT_EQ(report.count(Outcome::kRefused), 1u);
  EXPECT_EQ(report.count(Outcome::kAdopted), 1u);
  EXPECT_TRUE(names_in(there() + "/feeds/trades/quarantine").empty());
}

}  // namespace
}  // namespace backup_test
}  // namespace tidepool::feed

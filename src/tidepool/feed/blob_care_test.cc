// Payloads beside rows under care: retention, persistd, verify, repair and delete take them for parts of their rows (F-123).

#include "tidepool/feed/blob_care.h"

#include <fcntl.h>

#include <algorithm>

#include "tidepool/feed/persistd.h"
#include "tidepool/feed/pins.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/repair.h"
#include "tidepool/feed/retention.h"
#include "tidepool/feed/settings.h"
#include "tidepool/feed/test_faulty_files.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace blob_care_test {
namespace {

using test::row_of;

std::string text_of_all(const VerifyReport& report) {
  std::string text;
  for (const Finding& finding : report.findings) text += text_of(finding) + "\n";
  return text;
}

class BlobCareTest : public test::FeedTest {
 protected:
  static constexpr uint64_t kPayload = 1000;  // about 30 a chunk

  static std::vector<std::byte> payload_of(uint64_t number) {
    std::vector<std::byte> payload(kPayload);
    for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::byte>(test::mix(number * kPayload + i));
    return payload;
  }
  FeedOptions small(Storage storage = Storage::kTiered) const {
    auto made = options(storage);
    made.chunk_bytes = 8192;
    return made;
  }
  void create(const FeedOptions& made) const {
    create_blob_feed(base(), "shots", test::row_schema(), {.columns = {"image"}, .chunk_bytes = 32768}, made);
  }
  static void append(BlobWriter& writer, uint64_t from, uint64_t to) {
    for (uint64_t number = from; number < to; ++number) {
      const auto image = payload_of(number);
      const BlobPart parts[] = {{0, image}};
      ASSERT_EQ(append_status_name(writer.append(row_of(number), parts).status), "ok") << number;
    }
  }
  void fill(uint64_t rows, const FeedOptions& made) {
    create(made);
    auto writer = BlobWriter::open(base(), "shots");
    append(writer, 0, rows);
    writer.close();
  }
  // Every row that is kept has its payload; the number of the first.
  uint64_t expect_whole(uint64_t end) {
    auto rows = read({.from = At::oldest(), .stop_when_inactive = true}, "shots");
    auto blobs = BlobReader::open(base(), "shots");
    const uint64_t first = rows.first_seq();
    for (uint64_t number = first; number < end; ++number) {
      const Item row = rows.next(30 * kNsPerSecond);
      EXPECT_EQ(row.kind, Item::Kind::kRow) << number << ": " << row.gap.text;
      if (row.kind != Item::Kind::kRow) return first;
      const Blob blob = blobs.get(row, 0);
      EXPECT_EQ(blob.status, Blob::Status::kOk) << number << ": " << blob.problem;
      if (blob.status != Blob::Status::kOk) return first;
      EXPECT_TRUE(std::ranges::equal(blob.payload, payload_of(number))) << number;
    }
    return first;
  }
  RetentionReport prune(PruneOptions wanted) {
    wanted.run.grace_ns = 0;
    return prune_base(base(), wanted);
  }
  static uint64_t count_of(const RetentionReport& report, std::string_view feed) {
    return static_cast<uint64_t>(std::ranges::count_if(report.expired, [&](const ExpiredChunk& e) { return e.feed == feed; }));
  }
  std::string payload_chunk(uint64_t ordinal) const { return base() + "/feeds/shots.blob.image/" + chunk_name(ordinal); }
};

TEST_F(BlobCareTest, PayloadsGoWhenNoRowThatIsKeptRefersToThem) {  // F-123, F-125, F-128
  fill(1500, small());
  auto attached = read({.from = At::oldest()}, "shots.blob.image");
  ASSERT_TRUE(attached.next().is_record());
  const RetentionReport planned = prune({.run = {.dry_run = true}, .limits = {.chunks = 3}});
  EXPECT_EQ(expect_whole(1500), 0u);
  const RetentionReport done = prune({.limits = {.chunks = 3}});
  ASSERT_EQ(planned.expired.size(), done.expired.size()) << "a dry run says what a run does";
  for (size_t i = 0; i < done.expired.size(); ++i) {
    EXPECT_EQ(planned.expired[i].feed, done.expired[i].feed);
    EXPECT_EQ(planned.expired[i].ordinal, done.expired[i].ordinal);
  }
  EXPECT_EQ(count_of(done, "shots"), 14u);
  EXPECT_GT(count_of(done, "shots.blob.image"), 10u);
  EXPECT_EQ(done.expired.front().feed, "shots") << "the entries of rows come first";
  EXPECT_EQ(done.expired.back().why, "rows");
  const uint64_t floor = expect_whole(1500);
  EXPECT_GT(floor, 500u);
  EXPECT_GE(read({.from = At::oldest()}, "shots.blob.image").read(blob_floor_seq(base(), "shots", "image")).frame.stream_seq,
            floor - 32)
      << "no more stays than the chunk that the first row shares with others";
  EXPECT_TRUE(verify_base(base()).sound()) << text_of_all(verify_base(base()));
  EXPECT_TRUE(prune({.limits = {.chunks = 3}}).expired.empty());
  // What is asked of the payloads alone is without effect: they follow their rows.
  EXPECT_TRUE(prune({.feed = "shots.blob.image", .limits = {.bytes = 1, .chunks = 1}}).expired.empty());
  EXPECT_EQ(expect_whole(1500), floor);
}

TEST_F(BlobCareTest, LimitsOfBytesCountPayloadsToo) {  // F-123, F-125, F-127
  fill(1500, small());
  const uint64_t rows = read({}, "shots").feed().record_bytes;
  const RetentionReport done = prune({.limits = {.bytes = 600 * (kPayload + rows + 128)}});
  EXPECT_GT(count_of(done, "shots.blob.image"), 10u);
  const uint64_t floor = expect_whole(1500);
  EXPECT_GT(floor, 700u);
  EXPECT_LT(floor, 1200u);
  // A quota of the base, too, and no more rows than it takes.
  const RetentionReport quota = prune({.quota_bytes = 400 * (kPayload + rows + 128)});
  EXPECT_GT(count_of(quota, "shots"), 0u);
  EXPECT_GT(count_of(quota, "shots.blob.image"), 0u);
  const uint64_t then = expect_whole(1500);
  EXPECT_GT(then, floor);
  EXPECT_LT(then, 1400u);
  EXPECT_TRUE(verify_base(base()).sound());
}

TEST_F(BlobCareTest, APinOnRowsHoldsTheirPayloads) {  // F-123, F-130
  fill(900, small());
  Pin pin;
  pin.name = "audit";
  pin.seq = 50;
  pin_feed(base(), "shots", pin);
  EXPECT_EQ(count_of(prune({.limits = {.chunks = 2}}), "shots"), 0u) << "record 50 is in the first chunk";
  EXPECT_EQ(expect_whole(900), 0u);
  ASSERT_TRUE(unpin_feed(base(), "shots", "audit"));
  EXPECT_GT(count_of(prune({.limits = {.chunks = 2}}), "shots.blob.image"), 0u);
  expect_whole(900);
}

TEST_F(BlobCareTest, AWriterKeepsRowsAndPayloadsWithinTheLimit) {  // F-123, F-131
  auto limited = small();
  limited.retention_bytes = 300 * 1200;
  create(limited);
  auto writer = BlobWriter::open(base(), "shots");
  const auto floor = [&] { return read({}, "shots.blob.image").first_seq(); };
  uint64_t next = 0;
  until([&] {
    append(writer, next, next + 30);
    next += 30;
    return floor() > 0;
  });
  writer.close();  // and with it its retention: what is kept stays
  EXPECT_GT(expect_whole(next), 0u);
  EXPECT_TRUE(verify_base(base()).sound()) << text_of_all(verify_base(base()));
}

TEST_F(BlobCareTest, PayloadsWhoseRowsCannotBeToldStay) {  // F-123
  fill(900, small());
  std::filesystem::remove(base() + "/feeds/shots.blob.image/" + index_name(1));
  const File file = File::open(Files::system(), payload_chunk(1), O_RDWR);
  std::vector<std::byte> zeros(4096);
  file.write(zeros, 8192);  // the heads of its first frames
  const RetentionReport done = prune({.limits = {.chunks = 2}});
  EXPECT_GT(count_of(done, "shots"), 0u);
  EXPECT_EQ(count_of(done, "shots.blob.image"), 0u);
  ASSERT_FALSE(done.warnings.empty());
  EXPECT_NE(done.warnings.back().find(payload_chunk(1)), std::string::npos) << done.warnings.back();
  expect_whole(900);
}

TEST_F(BlobCareTest, VerifyNamesTheRowsOfAPayloadThatIsDamagedOrMissing) {  // F-123, F-133, X-9
  fill(400, small());
  EXPECT_TRUE(verify_base(base()).findings.empty()) << text_of_all(verify_base(base()));
  const FeedInfo rows = find_feed(base(), "shots", Files::system());
  auto reader = read({}, "shots");
  const BlobRef ref = BlobReader::open(base(), "shots").get(reader.read(70), 0).ref;
  const File file = File::open(Files::system(), payload_chunk(ref.chunk_id), O_RDWR);
  std::vector<std::byte> page(kChunkPageBytes);
  const auto header = ChunkHeader::decode(file.read(page, 0), file.path());
  const std::byte wrong[1] = {std::byte{0xA5} ^ payload_of(70)[500]};
  file.write(wrong, header.data_offset + ref.offset + 500);
  const auto found = [&](const VerifyReport& report, std::string_view what) {
    Finding first;
    uint64_t count = 0;
    for (const Finding& finding : report.findings) {
      if (finding.what == what && count++ == 0) first = finding;
    }
    EXPECT_EQ(count, 1u) << what << "\n" << text_of_all(report);
    return first;
  };
  const Finding damaged = found(verify_feed(base(), "shots"), "blob-damaged");
  EXPECT_EQ(damaged.severity, Severity::kDamage);
  EXPECT_EQ(damaged.first_seq, 70u);
  EXPECT_EQ(damaged.end_seq, 71u) << "of that row only";
  EXPECT_EQ(damaged.path, payload_chunk(ref.chunk_id));
  EXPECT_NE(damaged.found.find("checksum"), std::string::npos);
  std::filesystem::remove(payload_chunk(2));
  const Finding missing = found(verify_base(base()), "blob-missing");
  EXPECT_EQ(missing.ordinal, 2u);
  EXPECT_GT(missing.end_seq, missing.first_seq + 20);
  EXPECT_LT(missing.end_seq, missing.first_seq + 40) << "of the rows of that chunk only";
  // A quick look reads no records, and so no references.
  for (const Finding& finding : verify_base(base(), {.blocks = false}).findings) EXPECT_NE(finding.what, "blob-damaged");
  EXPECT_TRUE(rows.schema.layout() == Layout::kRows);
}

TEST_F(BlobCareTest, VerifyReadsRowsOfEveryVersionOfTheSchema) {  // F-18, F-123, F-133
  fill(200, small());
  const FeedInfo before = find_feed(base(), "shots", Files::system());
  ASSERT_TRUE(evolve_feed(base(), "shots", before.schema.with({{"quality", "uint32"}})));
  auto writer = BlobWriter::open(base(), "shots");
  EXPECT_EQ(writer.row_bytes(), sizeof(test::Row) + 4);
  for (uint64_t number = 200; number < 400; ++number) {
    std::vector<std::byte> row(writer.row_bytes());
    const test::Row first = row_of(number);
    std::memcpy(row.data(), &first, sizeof first);
    store(row.data() + sizeof first, static_cast<uint32_t>(number % 7));
    const auto image = payload_of(number);
    const BlobPart parts[] = {{0, image}};
    ASSERT_TRUE(writer.append(row, parts));
  }
  writer.close();
  EXPECT_EQ(expect_whole(400), 0u);
  auto rows = read({}, "shots");
  EXPECT_EQ(rows.read(10).schema_id, 1u);
  const Item late = rows.read(300);
  EXPECT_EQ(late.schema_id, 2u);
  EXPECT_EQ(load<uint32_t>(late.bytes.data() + late.bytes.size() - 4), 300u % 7);
  const VerifyReport sound = verify_base(base());
  EXPECT_TRUE(sound.findings.empty()) << text_of_all(sound);
  EXPECT_EQ(check_blobs(base(), "shots").blobs, 400u);
  EXPECT_TRUE(repair_base(base()).actions.empty());
  // The older version's rows are read by the older version: damage to one of their payloads is found, and named.
  const BlobRef ref = BlobReader::open(base(), "shots").get(rows.read(10), 0).ref;
  const File file = File::open(Files::system(), payload_chunk(ref.chunk_id), O_RDWR);
  std::vector<std::byte> page(kChunkPageBytes);
  const auto header = ChunkHeader::decode(file.read(page, 0), file.path());
  const std::byte wrong[1] = {std::byte{0x5A} ^ payload_of(10)[0]};
  file.write(wrong, header.data_offset + ref.offset);
  const BlobCheck check = check_blobs(base(), "shots");
  EXPECT_EQ(check.bad, 1u);
  EXPECT_TRUE(check.problems.at(0).starts_with("row 10, image: ")) << check.problems.at(0);
}

TEST_F(BlobCareTest, WhileSomebodyWritesDurableRowsHaveDurablePayloads) {  // F-122, F-133
  create(small());
  auto writer = BlobWriter::open(base(), "shots");
  for (uint64_t at = 0; at < 300; at += 50) {
    append(writer, at, at + 50);
    if (at % 100 == 0) writer.sync();
    const VerifyReport report = verify_base(base());
    ASSERT_TRUE(report.sound()) << at << "\n" << text_of_all(report);
  }
}

class BlobCrashCareTest : public BlobCareTest {
 protected:
  void crash(uint64_t rows) {
    auto quiet = small();
    quiet.sync = SyncMode::kExplicit;
    create(quiet);
    test::Helper writer([&](const test::Helper& self) {
      auto open = BlobWriter::open(base(), "shots");
      append(open, 0, rows);
      self.ready();
      self.sleep_for_ever();
    });
    ASSERT_EQ(writer.wait_ready(), 0);
    writer.kill();
  }
};

TEST_F(BlobCrashCareTest, PersistdTakesPayloadsToDiskBeforeTheirRows) {  // F-122, F-123, F-67
  crash(80);
  test::FaultyFiles files;
  files.fail("sync", "shots.blob.image/", ENOSPC);  // no room for payloads: their rows have to wait
  auto persister = Persistd::open(base(), {.retention_every_ns = 0, .files = &files});
  persister->poll();
  EXPECT_GT(persister->status().failures, 0u);
  const auto durable = [&](const std::string& name) { return read({}, name).durable_seq(); };
  EXPECT_EQ(durable("shots"), 0u);
  files.fail("sync", "shots.blob.image/", 0);
  until([&] {
    persister->poll();
    return durable("shots") == 80;
  });
  EXPECT_EQ(durable("shots.blob.image"), 80u);
  EXPECT_EQ(expect_whole(80), 0u);
  EXPECT_TRUE(verify_base(base()).sound());
}

TEST_F(BlobCrashCareTest, RepairBringsPayloadsInOrderBeforeTheirRows) {  // F-122, F-123, F-134
  crash(80);
  {
    test::FaultyFiles files;
    files.fail("sync", "shots.blob.image/", ENOSPC);
    const RepairReport report = repair_base(base(), {.feed = "shots", .files = &files});
    EXPECT_TRUE(report.failed());
    ASSERT_EQ(report.skipped.size(), 1u);
    EXPECT_NE(report.skipped[0].find("payloads"), std::string::npos) << report.skipped[0];
    EXPECT_EQ(read({}, "shots").durable_seq(), 0u);
  }
  const RepairReport done = repair_base(base(), {.feed = "shots"});
  EXPECT_FALSE(done.failed());
  EXPECT_EQ(done.feeds, 2u) << "its payloads are a part of it";
  EXPECT_TRUE(done.left.sound()) << text_of_all(done.left);
  EXPECT_EQ(expect_whole(80), 0u);
  EXPECT_TRUE(repair_base(base()).actions.empty());
}

TEST_F(BlobCrashCareTest, RepairSkipsTheRowsOfPayloadsThatSomebodyHolds) {  // F-123, F-132
  crash(10);
  const auto busy = lock_within(base() + "/feeds/shots.blob.image", kWriterLockName, "a writer of payloads", 0, Fault::kWriterBusy);
  const RepairReport report = repair_base(base());
  EXPECT_EQ(report.skipped.size(), 2u);
  EXPECT_TRUE(report.actions.empty());
}

TEST_F(BlobCareTest, ADeleteTakesThePayloadsAndWhatIsLeftOfOneIsFinished) {  // F-11, F-123, F-134
  fill(200, small());
  test::FaultyFiles files;
  files.fail("unlink", "shots.blob.image/", EIO);  // the rows are gone, then it dies
  test::expect_fault(Fault::kIo, "shots.blob.image", [&] { delete_feed(base(), "shots", false, files); });
  EXPECT_EQ(GlobalRegistry::open(base()).find("shots"), nullptr);
  const RepairReport done = repair_base(base());
  EXPECT_FALSE(done.failed());
  EXPECT_TRUE(GlobalRegistry::open(base()).feeds().empty());
  EXPECT_TRUE(names_in(base() + "/feeds").empty());
  EXPECT_TRUE(done.left.sound()) << text_of_all(done.left);
  EXPECT_TRUE(repair_base(base()).actions.empty());

  // Before the payloads' turn has come at all: they are known by the feed that they belong to, which is deleted.
  fill(50, small());
  files.fail("unlink", "shots.blob.image/", 0);
  files.fail("rename", "nothing", 0);
  files.fail("open", "shots.blob.image/writer.lock", 0);
  {
    const auto busy = lock_within(base() + "/feeds/shots.blob.image", kWriterLockName, "somebody", 0, Fault::kWriterBusy);
    test::expect_fault(Fault::kWriterBusy, "somebody", [&] { delete_feed(base(), "shots"); });
  }
  const VerifyReport found = verify_base(base());
  ASSERT_EQ(found.count(Severity::kRepairable), 1u) << text_of_all(found);
  EXPECT_EQ(found.findings[0].what, "delete-unfinished");
  // Retention leaves them alone, and says so.
  EXPECT_FALSE(prune({.limits = {.bytes = 1}}).warnings.empty());
  EXPECT_FALSE(repair_base(base()).failed());
  EXPECT_TRUE(names_in(base() + "/feeds").empty());
  fill(50, small());
  EXPECT_EQ(expect_whole(50), 0u);
  delete_feed(base(), "shots");
  EXPECT_TRUE(GlobalRegistry::open(base()).feeds().empty());
}

}  // namespace
}  // namespace blob_care_test
}  // namespace tidepool::feed

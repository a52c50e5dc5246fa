// Payloads beside rows: whole with their row, lost with nothing else, kept as long as it is.

#include "tidepool/feed/blob.h"

#include <fcntl.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using test::expect_fault;

struct Shot {
  uint64_t time;
  uint64_t number;
  uint32_t camera;
  uint32_t zero;
};

Shot shot_of(uint64_t number) { return {1000 + number * 10, number, static_cast<uint32_t>(number % 3), 0}; }

// Its length and bytes follow from the number: 1 to 5000 bytes.
std::vector<std::byte> payload_of(uint64_t number, uint64_t salt) {
  std::vector<std::byte> payload(1 + test::mix(number * 31 + salt) % 5000);
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::byte>(test::mix(number + i * 7 + salt));
  return payload;
}

class Blobs : public test::FeedTest {
 protected:
  Schema rows(ClockOrder order = ClockOrder::kLoose) const {
    auto schema =
        schema_of<Shot>({{"time", &Shot::time}, {"number", &Shot::number}, {"camera", &Shot::camera}, {"zero", &Shot::zero}});
    return schema.set_clock(0, {.order = order});
  }
  void create(Storage storage, ClockOrder order = ClockOrder::kLoose) const {
    auto small = options(storage);
    small.chunk_bytes = 64 * 1024;
    small.live_chunks = 4;
    create_blob_feed(base(), "shots", rows(order), {.columns = {"image", "note"}, .chunk_bytes = 64 * 1024}, small);
  }
  // Every third row has no note, every seventh no image.
  static void append(BlobWriter& writer, uint64_t from, uint64_t to) {
    for (uint64_t number = from; number < to; ++number) {
      const auto image = payload_of(number, 1);
      const auto note = payload_of(number, 2);
      std::vector<BlobPart> parts;
      if (number % 7 != 0) parts.push_back({0, image, BlobCodec::kNpy, 17});
      if (number % 3 != 0) parts.push_back({1, note, BlobCodec::kJson, 0});
      const Appended done = writer.append(shot_of(number), parts);
      ASSERT_EQ(append_status_name(done.status), "ok") << number;
      ASSERT_EQ(done.seq, number);
    }
  }
  static void expect_blob(BlobReader& blobs, const Item& row, size_t column, uint64_t number) {
    const Blob blob = blobs.get(row, column);
    if (number % (column == 0 ? 7 : 3) == 0) {
      ASSERT_EQ(blob.status, Blob::Status::kNull) << number;
      return;
    }
    ASSERT_EQ(blob.status, Blob::Status::kOk) << number << ": " << blob.problem;
    const auto expected = payload_of(number, column + 1);
    ASSERT_TRUE(std::ranges::equal(blob.payload, expected)) << number;
    ASSERT_EQ(blob.ref.codec, column == 0 ? 4u : 2u);
    ASSERT_EQ(blob.ref.schema_id, column == 0 ? 17u : 0u);
  }
  void expect_all(uint64_t from, uint64_t to) const {
    auto reader = read({.from = At::sequence(from)}, "shots");
    auto blobs = BlobReader::open(base(), "shots");
    for (uint64_t number = from; number < to; ++number) {
      const Item row = reader.next(30 * kNsPerSecond);
      ASSERT_EQ(row.kind, Item::Kind::kRow) << number << " " << row.gap.text;
      const Shot shot = shot_of(number);
      ASSERT_EQ(std::memcmp(row.bytes.data(), &shot, sizeof shot), 0);
      expect_blob(blobs, row, 0, number);
      expect_blob(blobs, row, 1, number);
    }
  }
};

class BlobsIn : public Blobs {};
INSTANTIATE_TEST_SUITE_P(Storages, BlobsIn, ::testing::Values(Storage::kTiered, Storage::kDurable, Storage::kMemory),
                         test::storage_test_name);

TEST_P(BlobsIn, ComeBackWithTheirRowWhileItIsWritten) {  // F-46, F-120, F-121, F-122
  create(GetParam());
  auto writer = BlobWriter::open(base(), "shots");
  EXPECT_EQ(writer.row_bytes(), sizeof(Shot));
  EXPECT_EQ(writer.column("note"), 1u);
  expect_fault(Fault::kUsage, "image, note", [&] { writer.column("sound"); });
  auto reader = read({}, "shots");
  auto blobs = BlobReader::open(base(), "shots");
  for (uint64_t at = 0; at < 60; at += 10) {
    append(writer, at, at + 10);
    for (uint64_t number = at; number < at + 10; ++number) {
      const Item row = reader.next(30 * kNsPerSecond);
      ASSERT_EQ(row.kind, Item::Kind::kRow);
      expect_blob(blobs, row, 0, number);
      expect_blob(blobs, row, 1, number);
    }
  }
  EXPECT_EQ(writer.orphans(), 0u);
}

TEST_P(BlobsIn, SurviveAWriterThatIsKilled) {  // F-122, X-1, X-15
  create(GetParam());
  test::Helper crash([&](const test::Helper& self) {
    auto writer = BlobWriter::open(base(), "shots");
    append(writer, 0, 40);
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(crash.wait_ready(), 0);
  crash.kill();
  expect_all(0, 40);
  auto writer = BlobWriter::open(base(), "shots");
  append(writer, 40, 60);
  expect_all(0, 60);
}

TEST_F(Blobs, OfManyChunksAreWholeOnDisk) {  // F-120, F-133
  create(Storage::kTiered);
  {
    auto writer = BlobWriter::open(base(), "shots");
    append(writer, 0, 300);
  }
  expect_all(0, 300);
  const BlobCheck check = check_blobs(base(), "shots");
  EXPECT_EQ(check.rows, 300u);
  EXPECT_EQ(check.bad, 0u);
  EXPECT_EQ(check.orphans, 0u);
  EXPECT_EQ(check.blobs, 300u - 43 + 300 - 100);
  EXPECT_GT(read({}, "shots.blob.image").chunks().size(), 5u);
}

TEST_F(Blobs, DamageOfOneCostsThatOne) {  // F-122, F-123, X-9
  create(Storage::kTiered);
  {
    auto writer = BlobWriter::open(base(), "shots");
    append(writer, 0, 100);
  }
  auto reader = read({.from = At::sequence(50)}, "shots");
  const BlobRef ref = BlobReader::open(base(), "shots").get(reader.next(), 0).ref;
  const std::string path = concat(base(), "/feeds/shots.blob.image/", chunk_name(ref.chunk_id));
  const File file = File::open(Files::system(), path, O_RDWR);
  std::vector<std::byte> page(kChunkPageBytes);
  const ChunkHeader header = ChunkHeader::decode(file.read(page, 0), path);
  std::byte byte{};
  file.read({&byte, 1}, header.data_offset + ref.offset + ref.size / 2);
  byte ^= std::byte{0x10};
  file.write({&byte, 1}, header.data_offset + ref.offset + ref.size / 2);

  auto rows = read({.from = At::oldest()}, "shots");
  auto blobs = BlobReader::open(base(), "shots");
  for (uint64_t number = 0; number < 100; ++number) {
    const Item row = rows.next();
    ASSERT_EQ(row.kind, Item::Kind::kRow);
    if (number == 50) {
      const Blob blob = blobs.get(row, 0);
      EXPECT_EQ(blob.status, Blob::Status::kDamaged);
      EXPECT_NE(blob.problem.find("shots.blob.image, chunk"), std::string::npos) << blob.problem;
      EXPECT_TRUE(blob.payload.empty());
    } else {
      expect_blob(blobs, row, 0, number);
    }
    expect_blob(blobs, row, 1, number);
  }
  const BlobCheck check = check_blobs(base(), "shots");
  EXPECT_EQ(check.bad, 1u);
  ASSERT_EQ(check.problems.size(), 1u);
  EXPECT_TRUE(check.problems[0].starts_with("row 50, image: ")) << check.problems[0];
}

TEST_F(Blobs, WhoseChunkIsGoneAreMissingAndTheOthersAreNot) {  // F-123, X-23
  create(Storage::kTiered);
  {
    auto writer = BlobWriter::open(base(), "shots");
    append(writer, 0, 100);
  }
  ASSERT_EQ(::unlink(concat(base(), "/feeds/shots.blob.image/", chunk_name(1)).c_str()), 0);
  auto rows = read({.from = At::oldest()}, "shots");
  auto blobs = BlobReader::open(base(), "shots");
  uint64_t missing = 0, whole = 0;
  for (uint64_t number = 0; number < 100; ++number) {
    const Item row = rows.next();
    const Blob blob = blobs.get(row, 0);
    missing += blob.status == Blob::Status::kMissing ? 1 : 0;
    whole += blob.status == Blob::Status::kOk ? 1 : 0;
    if (blob.status == Blob::Status::kMissing) {
      EXPECT_EQ(blob.ref.chunk_id, 1u);
    }
    expect_blob(blobs, row, 1, number);
  }
  EXPECT_GT(missing, 5u);
  EXPECT_GT(whole, 5u);
  // A reference that no writer made is refused, whatever it says.
  std::vector<std::byte> row(sizeof(Shot) + 2 * BlobRef::kBytes);
  for (const BlobRef& ref : {BlobRef{2, ~uint64_t{0}, 16, 0, 0, 1, 0}, BlobRef{2, 64, ~uint64_t{0}, 0, 0, 1, 0},
                             BlobRef{2, 64, uint64_t{1} << 40, 0, 0, 1, 0}}) {
    store_blob_ref(ref, row.data() + sizeof(Shot));
    EXPECT_EQ(blobs.get(row, 0).status, Blob::Status::kDamaged);
  }
  store_blob_ref({99, 64, 16, 0, 0, 1, 0}, row.data() + sizeof(Shot));
  EXPECT_EQ(blobs.get(row, 0).status, Blob::Status::kMissing);
  EXPECT_EQ(blobs.get(Bytes(row).first(sizeof(Shot)), 0).status, Blob::Status::kNull);
}

TEST_F(Blobs, ThatCannotBeAreRefusedAndNothingIsWritten) {  // F-46, F-120, F-32
  create(Storage::kTiered);
  auto writer = BlobWriter::open(base(), "shots");
  const auto small = payload_of(1, 1);
  const std::vector<std::byte> large(100'000);
  const Shot shot = shot_of(0);
  const auto status = [&](std::vector<BlobPart> parts) { return writer.append(shot, parts).status; };
  EXPECT_EQ(status({{0, large}}), AppendStatus::kTooLarge);
  EXPECT_EQ(status({{1, small}, {0, large}}), AppendStatus::kTooLarge);
  EXPECT_EQ(status({{0, Bytes{}}}), AppendStatus::kUnknownBlob);
  EXPECT_EQ(status({{2, small}}), AppendStatus::kUnknownBlob);
  EXPECT_EQ(status({{0, small}, {0, small}}), AppendStatus::kUnknownBlob);
  EXPECT_EQ(status({{0, small, static_cast<BlobCodec>(9)}}), AppendStatus::kUnknownBlob);
  EXPECT_EQ(writer.append(small, {}).status, AppendStatus::kWrongSize);
  EXPECT_EQ(writer.rows().next_seq(), 0u);
  EXPECT_EQ(read({}, "shots.blob.image").committed_seq(), 0u);
  EXPECT_EQ(read({}, "shots.blob.note").committed_seq(), 0u);
  EXPECT_EQ(writer.orphans(), 0u);
  append(writer, 0, 10);
  expect_all(0, 10);
}

TEST_F(Blobs, OfARowThatIsRefusedAreOrphansAndCounted) {  // F-121, F-133
  create(Storage::kTiered, ClockOrder::kStrict);
  {
    auto writer = BlobWriter::open(base(), "shots");
    append(writer, 0, 10);
    const auto payload = payload_of(1, 1);
    const BlobPart parts[] = {{0, payload}, {1, payload}};
    EXPECT_EQ(writer.append(shot_of(3), parts).status, AppendStatus::kClockBackwards);
    EXPECT_EQ(writer.orphans(), 2u);
    append(writer, 10, 20);
  }
  expect_all(0, 20);
  const BlobCheck check = check_blobs(base(), "shots");
  EXPECT_EQ(check.orphans, 2u);
  EXPECT_EQ(check.bad, 0u);
}

TEST_F(Blobs, AreDurableBeforeTheirRows) {  // F-122, G-3
  create(Storage::kTiered);
  // Every row that a sync has made durable has durable payloads: asked at each sync of a row's file.
  class Watching : public SystemFiles {
   public:
    int open(const std::string& path, int flags, mode_t mode) noexcept override {
      const int fd = SystemFiles::open(path, flags, mode);
      const std::scoped_lock lock(mutex_);
      if (fd >= 0) paths_[fd] = path;
      return fd;
    }
    int sync_data(int fd) noexcept override {
      std::string path;
      std::function<void(const std::string&, int)> tell;
      {
        const std::scoped_lock lock(mutex_);
        path = paths_[fd];
        tell = on_sync_;
      }
      if (tell) tell(path, fd);
      return SystemFiles::sync_data(fd);
    }

    void watch(std::function<void(const std::string&, int)> on_sync) {
      const std::scoped_lock lock(mutex_);
      on_sync_ = std::move(on_sync);
    }

   private:
    std::mutex mutex_;
    std::map<int, std::string> paths_;
    std::function<void(const std::string&, int)> on_sync_;
  };
  Watching files;
  auto writer = BlobWriter::open(base(), "shots", {.files = &files});
  auto images = read({}, "shots.blob.image");
  const auto images_durable = [&] { return FeedReader::open(base(), "shots.blob.image").durable_seq(); };
  std::atomic<int> asked{0};
  std::atomic<bool> good{true};
  files.watch([&](const std::string& path, int fd) {
    if (path.find("/shots/") == std::string::npos || !path.ends_with(".data")) return;
    ++asked;
    // What this sync is about to make durable, by the file's own words.
    std::vector<std::byte> read(kChunkPageBytes);
    if (::pread(fd, read.data(), read.size(), 0) != static_cast<ssize_t>(read.size())) return;  // not begun yet
    const auto activation = decode_activation(read, ChunkHeader::decode(read, path));
    uint64_t end = 0;
    for (const size_t slot : {0, 1}) {
      if (const auto tail = decode_tail(read, slot); tail && activation) end = std::max(end, activation->first_seq + tail->records);
    }
    // Every row has an image but for every seventh.
    if (images_durable() < end - (end + 6) / 7) good = false;
  });
  append(writer, 0, 30);
  writer.sync();
  EXPECT_EQ(images.durable_seq(), 30u - 5);
  append(writer, 30, 100);
  writer.sync();
  EXPECT_GT(asked, 1);
  EXPECT_TRUE(good);
  EXPECT_EQ(images.durable_seq(), 100u - 15);
  files.watch(nullptr);
}

TEST_F(Blobs, GoWithTheirRowsAndNotBefore) {  // F-123
  create(Storage::kTiered);
  {
    auto writer = BlobWriter::open(base(), "shots");
    append(writer, 0, 1200);
  }
  EXPECT_EQ(blob_floor_seq(base(), "shots", "image"), 0u);
  const FeedInfo feed = find_feed(base(), "shots", Files::system());
  auto registry = FeedRegistry::open(feed, Files::system(), true);
  const ChunkInfo first = registry.chunks().front();
  ASSERT_GT(first.count, 100u);
  FeedRecord expired;
  expired.type = FeedEntry::kChunkExpired;
  expired.ordinal = first.ordinal;
  expired.epoch = first.epoch;
  expired.tag = first.tag;
  registry.append(expired, true);
  const uint64_t floor = blob_floor_seq(base(), "shots", "image");
  EXPECT_GT(floor, 0u);
  EXPECT_LE(floor, first.count);
  auto images = read({}, "shots.blob.image");
  EXPECT_GE(images.read(floor).frame.stream_seq, images.read(floor - 1).frame.stream_seq);
  EXPECT_LT(images.read(floor - 1).frame.stream_seq, first.count) << "of a row that is gone";
  expect_all(first.count, 1200);
}

TEST_F(Blobs, AreMadeWholeDeletedWholeAndNeverMixedWithAnotherLifes) {  // F-7, F-11, X-19
  create(Storage::kTiered);
  const auto names = [&] {
    std::vector<std::string> found;
    const auto registry = GlobalRegistry::open(base());
    for (const auto& [name, info] : registry.feeds()) found.push_back(name);
    return found;
  };
  EXPECT_EQ(names(), (std::vector<std::string>{"shots", "shots.blob.image", "shots.blob.note"}));
  EXPECT_FALSE(create_blob_feed(base(), "shots", rows(), {.columns = {"image", "note"}},
                                find_feed(base(), "shots", Files::system()).options));
  // A creator that died half-way: what is missing is made.
  delete_feed(base(), "shots.blob.note");
  expect_fault(Fault::kFeedDamaged, "no feed shots.blob.note", [&] { BlobWriter::open(base(), "shots"); });
  create(Storage::kTiered);
  {
    auto writer = BlobWriter::open(base(), "shots");
    append(writer, 0, 5);
    expect_fault(Fault::kWriterBusy, "held by", [&] { BlobWriter::open(base(), "shots"); });
    expect_fault(Fault::kWriterBusy, "held by", [&] { delete_feed(base(), "shots"); });
  }
  expect_fault(Fault::kUsage, "BlobWriter", [&] { FeedWriter::open(base(), "shots"); });
  delete_feed(base(), "shots");
  EXPECT_TRUE(names().empty());

  expect_fault(Fault::kInvalidSchema, "blob column", [&] { create_blob_feed(base(), "shots", rows(), {.columns = {"a b"}}); });
  expect_fault(Fault::kUsage, "no blob column", [&] { create_blob_feed(base(), "shots", rows(), {}); });
  create_feed(base(), "plain", rows());
  expect_fault(Fault::kUsage, "no blob columns", [&] { BlobReader::open(base(), "plain"); });
  expect_fault(Fault::kUsage, "no blob columns", [&] { BlobWriter::open(base(), "plain"); });
}

TEST(BlobColumns, AreFoundByTheirFields) {  // F-120
  const Schema rows = Schema::rows({{"t", "u64"}, {"x", "u8"}});
  const Schema with = with_blob_columns(rows, {"image"});
  const auto columns = blob_columns(with);
  ASSERT_EQ(columns.size(), 1u);
  EXPECT_EQ(columns[0].name, "image");
  EXPECT_EQ(columns[0].offset, 9u);
  EXPECT_EQ(with.record_bytes(), 9 + BlobRef::kBytes);
  EXPECT_TRUE(blob_columns(rows).empty());
  EXPECT_TRUE(blob_columns(Schema::rows({{"t", "u64"}, {"i_chunk_id", "u64"}, {"i_offset", "u64"}})).empty());
  EXPECT_EQ(blob_codec_named("zstd"), BlobCodec::kZstd);
  expect_fault(Fault::kUsage, "gzip", [] { blob_codec_named("gzip"); });
}

}  // namespace
}  // namespace tidepool::feed

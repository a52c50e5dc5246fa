// Chunks as objects: copies that are compared with what they were made of, files that strangers cut or swap, and what is left in
// shared memory when the files are put back to an earlier day.

#include <fcntl.h>

#include <algorithm>
#include <fstream>
#include <mutex>

#include "tidepool/feed/repair.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed::objects_test {
namespace {

using test::expect_fault;
using test::row_of;

class ObjectsTest : public test::FeedTest {
 protected:
  std::string directory() const { return base() + "/feeds/trades"; }
  std::string file_of(uint64_t ordinal) const { return concat(directory(), "/", chunk_name(ordinal)); }
  FeedOptions tiny(Storage storage = Storage::kTiered) const {
    FeedOptions tiny = options(storage);
    tiny.chunk_bytes = 4096;  // 128 rows
    return tiny;
  }
  void expect_all(uint64_t rows) const {
    auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
    expect_rows(reader, 0, rows);
    EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
  }
  void expect_sound() const {
    for (const Finding& finding : verify_base(base()).findings)
      EXPECT_EQ(finding.severity, Severity::kNote) << text_of(finding);
  }
};

// ---- copies ------------------------------------------------------------------------------------------------------------------------

// A disk that stores another byte than it was given, so many times; and that lets no file be read before a test says so.
class LyingFiles : public SystemFiles {
 public:
  explicit LyingFiles(int lies) : lies_(lies) {}
  void let_read() { readable_ = true; }
  int lies_left() const { return lies_; }

  int open(const std::string& path, int flags, mode_t mode) noexcept override {
    const bool chunk = path.find("/feeds/") != std::string::npos && path.ends_with(".data");
    if (chunk && (flags & O_ACCMODE) == O_RDONLY && !readable_) {
      errno = EMFILE;
      return -1;
    }
    const int fd = SystemFiles::open(path, flags, mode);
    const std::scoped_lock lock(mutex_);
    if (fd >= 0) is_chunk_[static_cast<size_t>(fd)] = chunk;
    return fd;
  }
  ssize_t pwrite(int fd, const void* from, size_t bytes, uint64_t offset) noexcept override {
    {
      const std::scoped_lock lock(mutex_);
      // Data, not the head, the table or the footer: many bytes.
      if (is_chunk_[static_cast<size_t>(fd)] && offset >= 4096 && bytes >= 1024 && lies_ > 0) {
        --lies_;
        std::vector<std::byte> other(static_cast<const std::byte*>(from), static_cast<const std::byte*>(from) + bytes);
        other[bytes / 2] ^= std::byte{0x10};
        return SystemFiles::pwrite(fd, other.data(), bytes, offset);
      }
    }
    return SystemFiles::pwrite(fd, from, bytes, offset);
  }

 private:
  std::mutex mutex_;
  std::map<size_t, bool> is_chunk_;
  std::atomic<int> lies_;
  std::atomic<bool> readable_{false};
};

struct Troubles {
  void operator()(const WriterEvent& event) {
    const std::scoped_lock lock(mutex);
    if (event.kind == WriterEvent::Kind::kTrouble) texts.push_back(event.text);
  }
  bool has(std::string_view fragment) {
    const std::scoped_lock lock(mutex);
    return std::any_of(texts.begin(), texts.end(), [&](const std::string& text) { return text.find(fragment) != std::string::npos; });
  }
  std::mutex mutex;
  std::vector<std::string> texts;
};

TEST_F(ObjectsTest, ACopyThatDiffersFromItsSourceIsMadeAgain) {  // F-28, F-64, X-9
  LyingFiles files(1);
  files.let_read();
  Troubles troubles;
  const WriterOptions writer_options{.files = &files, .on_event = std::ref(troubles)};
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), tiny(), writer_options);
  append(writer, 0, 128);
  ASSERT_TRUE(writer.rotate());
  until([&] { return troubles.has("chunk 1 differs from what was written to it: written anew"); });
  EXPECT_EQ(files.lies_left(), 0);
  append(writer, 128, 1000);
  writer.close();
  expect_sound();
  expect_all(1000);
}

TEST_F(ObjectsTest, ACopyIsComparedBeforeItsSourceGoesAtTheEnd) {  // F-28
  LyingFiles files(1);
  files.let_read();
  {
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), tiny(), {.files = &files});
    append(writer, 0, 100);
    writer.close();
  }
  EXPECT_EQ(files.lies_left(), 0);
  expect_sound();
  expect_all(100);
}

TEST_F(ObjectsTest, ADiskThatNeverStoresWhatItIsGivenIsGivenUp) {  // F-28, X-9, G-6
  LyingFiles files(1'000'000);
  files.let_read();
  Troubles troubles;
  const WriterOptions writer_options{.files = &files, .on_event = std::ref(troubles)};
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), tiny(), writer_options);
  append(writer, 0, 128);
  ASSERT_TRUE(writer.rotate());
  until([&] { return troubles.has("again and again"); });
  append(writer, 128, 256);  // and it goes on
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 256);
}

TEST_F(ObjectsTest, ACopyIsKeptWhenItsSourceIsTheOneThatChanged) {  // F-28, X-9
  LyingFiles files(0);
  Troubles troubles;
  const WriterOptions writer_options{.files = &files, .on_event = std::ref(troubles)};
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), tiny(), writer_options);
  append(writer, 0, 128);
  ASSERT_TRUE(writer.rotate());
  writer.sync();
  until([&] { return read().chunks().front().state == ChunkState::kPersisted; });
  {
    const File live = File::open(Files::system(), concat(live_directory_path(writer.feed()), "/", chunk_name(1)), O_RDWR);
    std::vector<std::byte> page(kChunkPageBytes);
    const ChunkHeader header = ChunkHeader::decode(live.read(page, 0), "live");
    live.write(std::as_bytes(std::span("rot", 3)), header.data_offset + 640);
  }
  files.let_read();
  until([&] { return troubles.has("memory has changed, the file is kept"); });
  writer.close();
  expect_sound();
  expect_all(128);
}

TEST_F(ObjectsTest, WhatAKilledWriterCopiedWrongIsWrittenAgainFromMemory) {  // F-28, F-67, X-9, X-18
  create_feed(base(), "trades", test::row_schema(), options(Storage::kTiered));
  write_and_be_killed(0, 500, true);
  {
    const File file = File::open(Files::system(), file_of(1), O_RDWR);
    std::vector<std::byte> page(kChunkPageBytes);
    const ChunkHeader header = ChunkHeader::decode(file.read(page, 0), "disk");
    file.write(std::as_bytes(std::span("rot", 3)), header.data_offset + 4096 + 640);
  }
  FeedWriter::open(base(), "trades").close();
  expect_sound();
  expect_all(500);
}

// ---- what is there stays ---------------------------------------------------------------------------------------------------------

TEST_F(ObjectsTest, AFileThatIsCutToItsSizeLosesNothingThatAnybodyMayRead) {  // F-29, F-78
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), options(Storage::kDurable));
  append(writer, 0, 300);
  auto reader = read({.from = At::oldest()});
  const Batch batch = reader.next_batch();
  ASSERT_EQ(batch.count, 300u);
  const auto held = reader.hold();
  const std::string before(reinterpret_cast<const char*>(batch.rows.data()), batch.rows.size());
  const uint64_t size = std::filesystem::file_size(file_of(1));
  append(writer, 300, 310);
  ASSERT_TRUE(writer.rotate());
  writer.sync();
  until([&] { return std::filesystem::file_size(file_of(1)) < size; });
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(batch.rows.data()), batch.rows.size()), before);
  expect_rows(reader, 300, 310);
}

TEST_F(ObjectsTest, AFileThatAStrangerCutsIsReadAsFarAsItIsSureAndTheRestIsTold) {  // F-29, X-7, G-6
  {
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), tiny());
    append(writer, 0, 1000);
  }
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 10);  // has the first chunk mapped
  ASSERT_EQ(::truncate(file_of(3).c_str(), static_cast<off_t>(std::filesystem::file_size(file_of(3)) / 2)), 0);
  expect_rows(reader, 10, 256);
  uint64_t next = 256;
  bool told = false;
  for (Item item = reader.next(); next < 384; item = reader.next()) {
    if (item.kind == Item::Kind::kGap) {
      EXPECT_EQ(item.gap.from, next);
      EXPECT_EQ(item.gap.to, 384u);
      told = true;
      next = item.gap.to;
      break;
    }
    ASSERT_EQ(item.kind, Item::Kind::kRow);
    ASSERT_EQ(item.seq, next++);
  }
  EXPECT_TRUE(told);
  expect_rows(reader, 384, 1000);
  // Who looks at files that may be cut under his hands reads them, and maps none (rulings F-i).
  auto mapped = read({.from = At::oldest()});
  expect_rows(mapped, 0, 1);
  ASSERT_EQ(::truncate(file_of(1).c_str(), 100), 0);
  EXPECT_FALSE(verify_base(base()).sound());
  EXPECT_FALSE(repair_base(base()).failed());
  EXPECT_EQ(read({.from = At::sequence(0)}).next().kind, Item::Kind::kGap);
}

TEST_F(ObjectsTest, AChunkOfAnotherSchemaIsNeverReadAsIfItWereOfThisOne) {  // F-17, F-30, X-9
  {
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), tiny());
    append(writer, 0, 384);
  }
  {
    const File file = File::open(Files::system(), file_of(2), O_RDWR);
    std::vector<std::byte> page(kChunkPageBytes);
    ChunkHeader header = ChunkHeader::decode(file.read(page, 0), "disk");
    ++header.schema_hash;
    file.write(header.encode(), 0);  // with its checksum
  }
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 128);
  const Item gap = reader.next();
  ASSERT_EQ(gap.kind, Item::Kind::kGap);
  EXPECT_EQ(gap.gap.from, 128u);
  EXPECT_EQ(gap.gap.to, 256u);
  EXPECT_TRUE(gap.gap.text.starts_with("SCHEMA_MISMATCH: ")) << gap.gap.text;
  expect_rows(reader, 256, 384);
  expect_fault(Fault::kCorrupt, "SCHEMA_MISMATCH", [&] { reader.read_range({}); });
  const VerifyReport report = verify_base(base());
  EXPECT_TRUE(std::any_of(report.findings.begin(), report.findings.end(), [](const Finding& finding) {
    return finding.what == "chunk-foreign" && finding.expected.starts_with("schema");
  }));
}

// ---- an earlier day ------------------------------------------------------------------------------------------------------------

TEST_F(ObjectsTest, FilesThatWereRestoredInPlaceIgnoreWhatIsLeftInMemoryOfLater) {  // X-20, F-95
  {
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), tiny());
    append(writer, 0, 100);
  }
  namespace fs = std::filesystem;
  fs::copy(base(), root / "backup", fs::copy_options::recursive);
  write_and_be_killed(100, 500, true);
  ASSERT_FALSE(names_in(live_directory_path(read().feed())).empty()) << "of a killed writer: what it had in memory";
  // The directory stays, so that shared memory is found; its content is that of the backup, as rsync --delete leaves it.
  for (const std::string& name : names_in(directory())) fs::remove_all(directory() + "/" + name);
  fs::copy(root / "backup", base(), fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  {
    auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
    EXPECT_EQ(reader.committed_seq(), 100u);
    EXPECT_EQ(reader.durable_seq(), 100u);
    EXPECT_FALSE(reader.has_data_since(row_of(100).time_ns));
    const auto latest = reader.latest_chunk();
    ASSERT_TRUE(latest);
    EXPECT_FALSE(latest->live);
    expect_rows(reader, 0, 100);
    EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
  }
  {
    auto writer = FeedWriter::open(base(), "trades");
    EXPECT_EQ(writer.recovery().next_seq, 100u);
    EXPECT_FALSE(writer.recovery().loss);
    append(writer, 100, 110);
  }
  expect_all(110);
  expect_sound();
}

}  // namespace
}  // namespace tidepool::feed::objects_test

// The power fails: what had been synced is there, of what was written later any pages may be, and shared memory is gone.

#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>
#include <map>
#include <mutex>
#include <random>

#include "check.h"
#include "tidepool/feed/blob.h"

namespace tidepool::feed {
namespace {

using test::row_of;

constexpr size_t kPage = 4096;

// Remembers, for each file, the bytes that a power cut leaves for certain: those that were there when its last successful sync
// began. Names are taken as durable when they are made (the file system's journal), but for files that were never synced.
class Disk : public SystemFiles {
 public:
  int open(const std::string& path, int flags, mode_t mode) noexcept override {
    const int fd = SystemFiles::open(path, flags, mode);
    if (fd >= 0 && (flags & O_CREAT) != 0) note(fd, {});
    return fd;
  }
  // One operation at a time, and none during a cut: it is a moment.
  ssize_t pwrite(int fd, const void* from, size_t bytes, uint64_t offset) noexcept override {
    const std::scoped_lock lock(moment_);
    return SystemFiles::pwrite(fd, from, bytes, offset);
  }
  int resize(int fd, uint64_t bytes) noexcept override {
    const std::scoped_lock lock(moment_);
    return SystemFiles::resize(fd, bytes);
  }
  int rename(const std::string& from, const std::string& to) noexcept override {
    const std::scoped_lock lock(moment_);
    return SystemFiles::rename(from, to);
  }
  int unlink(const std::string& path) noexcept override {
    const std::scoped_lock lock(moment_);
    return SystemFiles::unlink(path);
  }
  int sync_data(int fd) noexcept override {
    const std::scoped_lock lock(moment_);
    std::string content = content_of(fd);  // before: what is stored while it syncs may or may not make it
    const int result = SystemFiles::sync_data(fd);
    if (result == 0) note(fd, std::move(content));
    return result;
  }

  // What a power cut right now leaves of a tree, below `to`.
  void cut(const std::string& from, const std::string& to, std::mt19937_64& random) {
    const std::scoped_lock lock(moment_);
    copy(from, to, random);
  }

 private:
  void copy(const std::string& from, const std::string& to, std::mt19937_64& random) {
    std::filesystem::create_directories(to);
    for (const auto& entry : std::filesystem::directory_iterator(from)) {
      const std::string target = concat(to, "/", entry.path().filename().string());
      if (entry.is_directory()) {
        copy(entry.path().string(), target, random);
        continue;
      }
      std::ofstream(target, std::ios::binary) << torn(entry.path().string(), random);
    }
  }

  using Key = std::pair<dev_t, ino_t>;
  static Key key_of(int fd) {
    struct stat found {};
    ::fstat(fd, &found);
    return {found.st_dev, found.st_ino};
  }
  static std::string content_of(int fd) {
    struct stat found {};
    ::fstat(fd, &found);
    std::string content(static_cast<size_t>(found.st_size), '\0');
    content.resize(static_cast<size_t>(std::max<ssize_t>(0, ::pread(fd, content.data(), content.size(), 0))));
    return content;
  }
  void note(int fd, std::string content) {
    const std::scoped_lock lock(mutex_);
    synced_[key_of(fd)] = std::move(content);
  }
  std::string torn(const std::string& path, std::mt19937_64& random) {
    const std::string now = shm::test::read_file(path);
    struct stat found {};
    ::stat(path.c_str(), &found);
    const std::scoped_lock lock(mutex_);
    const auto known = synced_.find({found.st_dev, found.st_ino});
    if (known == synced_.end()) return now;  // not written in this life
    const std::string& synced = known->second;
    // Its length is the synced one, the present one, or between; each later page is there or not.
    const size_t low = std::min(synced.size(), now.size());
    const size_t high = std::max(synced.size(), now.size());
    size_t size = random() % 3 == 0 ? low + random() % (high - low + 1) : random() % 2 == 0 ? synced.size() : now.size();
    if (size < synced.size() && now.size() >= synced.size()) size = synced.size();
    std::string left(size, '\0');
    const unsigned keep_new = static_cast<unsigned>(random() % 5);  // of four
    for (size_t at = 0; at < size; at += kPage) {
      const bool newer = random() % 4 < keep_new;
      const std::string& source = newer ? now : synced;
      if (at < source.size()) source.copy(left.data() + at, std::min({kPage, size - at, source.size() - at}), at);
    }
    // What comes up again is another boot: the one that a registry was counted on is none of it.
    if (path.ends_with("registry.bin") && left.size() >= 288) left.replace(272, 16, 16, '\x5a');
    return left;
  }

  std::mutex moment_;
  std::mutex mutex_;
  std::map<Key, std::string> synced_;
};

class Power : public test::FeedTest {};
INSTANTIATE_TEST_SUITE_P(Storages, Power, ::testing::Values(Storage::kTiered, Storage::kDurable), test::storage_test_name);

TEST_P(Power, FailsAndWhatWasDurableIsThere) {  // F-51, F-62, F-64, F-m, F-156, G-1, G-3
  std::mt19937_64 random(test::seed());
  const int last_round = test::rounds(30, 1000);
  int losses = 0;
  for (int round = 0; round < last_round; ++round) {
    const std::string name = concat("round", round);
    const std::string before = root / concat("before", round);
    const std::string after = root / concat("after", round);
    Disk disk;
    uint64_t durable = 0;
    uint64_t committed = 0;
    {
      auto tiny = options(GetParam());
      tiny.chunk_bytes = 4096 << random() % 4;
      tiny.sync = SyncMode::kExplicit;
      auto writer = FeedWriter::create(before, "trades", test::row_schema(), tiny, {.files = &disk});
      const uint64_t rows = random() % 900;
      for (uint64_t number = 0; number < rows; ++number) {
        ASSERT_TRUE(writer.append(row_of(number)));
        if (random() % 100 == 0) writer.sync();
        if (random() % 300 == 0) writer.rotate();
      }
      durable = writer.durable_seq();
      disk.cut(before, after, random);
      committed = writer.next_seq();
    }
    // Two readers before anybody repairs anything, the next writer, and both again.
    uint64_t count = 0;
    test::read_all(after, "trades", count);
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
    ASSERT_GE(count, durable) << "round " << round;
    ASSERT_LE(count, committed) << "round " << round;
    {
      auto writer = FeedWriter::open(after, "trades");
      ASSERT_EQ(writer.recovery().next_seq, count) << "round " << round;
      losses += writer.recovery().loss ? 1 : 0;
      append(writer, count, count + 10);
      writer.close();
    }
    test::read_all(after, "trades", committed);
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
    ASSERT_EQ(committed, count + 10) << "round " << round;
    test::expect_python(after, "trades", count + 10, false);
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
    std::filesystem::remove_all(before);
    std::filesystem::remove_all(after);
  }
  EXPECT_GT(losses, 0) << "no cut ever cost anything: the test cuts nothing";
}

// A row that outlives the cut has its payload, whichever of the two files the cut was hard on.
TEST_P(Power, FailsAndNoRowIsWithoutItsPayload) {  // F-122, X-2, F-156
  std::mt19937_64 random(test::seed());
  const int last_round = test::rounds(20, 300);
  uint64_t survived = 0;
  for (int round = 0; round < last_round; ++round) {
    const std::string before = root / concat("before", round);
    const std::string after = root / concat("after", round);
    Disk disk;
    uint64_t durable = 0;
    auto tiny = options(GetParam());
    tiny.chunk_bytes = 8192;
    tiny.sync = random() % 2 == 0 ? SyncMode::kExplicit : SyncMode::kInterval;
    tiny.sync_interval_ns = kNsPerMs;
    create_blob_feed(before, "shots", test::row_schema(), {.columns = {"image"}, .chunk_bytes = 16384}, tiny, disk);
    {
      auto writer = BlobWriter::open(before, "shots", {.files = &disk});
      const uint64_t rows = random() % 300;
      for (uint64_t number = 0; number < rows; ++number) {
        const std::vector<std::byte> image(1 + random() % 700, static_cast<std::byte>(number));
        const BlobPart parts[] = {{0, image}};
        ASSERT_TRUE(writer.append(row_of(number), parts));
        if (random() % 100 == 0) writer.sync();
      }
      durable = writer.rows().durable_seq();
      disk.cut(before, after, random);
    }
    for (int look = 0; look < 2; ++look) {  // before and after the next writer
      auto rows = FeedReader::open(after, "shots", {.from = At::oldest(), .stop_when_inactive = true});
      auto blobs = BlobReader::open(after, "shots");
      uint64_t count = 0;
      for (Item row = rows.next(); row.kind != Item::Kind::kEnded; row = rows.next(), ++count) {
        ASSERT_EQ(row.kind, Item::Kind::kRow) << "round " << round << " row " << count << ": " << row.gap.text;
        const Blob blob = blobs.get(row, 0);
        ASSERT_EQ(blob.status, Blob::Status::kOk) << "round " << round << " row " << count << ": " << blob.problem;
        ASSERT_EQ(blob.payload[0], static_cast<std::byte>(count));
      }
      ASSERT_GE(count, durable) << "round " << round;
      survived += count;
      if (look == 0) BlobWriter::open(after, "shots").close();
    }
    ASSERT_EQ(check_blobs(after, "shots").bad, 0u);
    test::expect_python_blobs(after, "shots", survived == 0 ? 0 : check_blobs(after, "shots").blobs, false);
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
    std::filesystem::remove_all(before);
    std::filesystem::remove_all(after);
  }
  EXPECT_GT(survived, 0u);
}

}  // namespace
}  // namespace tidepool::feed

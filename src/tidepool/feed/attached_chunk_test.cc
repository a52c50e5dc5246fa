// A chunk that changes under a reader who is just attaching it: each interleaving is made, not waited for.

#include "tidepool/feed/attached_chunk.h"

#include <unistd.h>

#include <functional>
#include <optional>

#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed::attached_chunk_test {
namespace {

using test::Helper;
using test::row_of;

// Tells of each look at the size of a file below a directory, counted from its opening.
class WatchedFiles : public SystemFiles {
 public:
  explicit WatchedFiles(std::string directory) : directory_(std::move(directory)) {}
  std::function<void(int opening, int look)> at_size;
  int looks() const { return looks_; }
  int openings() const { return openings_; }

  int open(const std::string& path, int flags, mode_t mode) noexcept override {
    const int fd = SystemFiles::open(path, flags, mode);
    if (fd >= 0 && path.starts_with(directory_) && path.ends_with(".data")) {
      watched_ = fd;
      looks_ = 0;
      ++openings_;
    }
    return fd;
  }
  int close(int fd) noexcept override {
    if (fd == watched_) watched_ = -1;
    return SystemFiles::close(fd);
  }
  int stat_fd(int fd, struct stat& found) noexcept override {
    if (fd == watched_ && fd >= 0) {
      ++looks_;
      if (at_size) at_size(openings_, looks_);
    }
    return SystemFiles::stat_fd(fd, found);
  }

 private:
  std::string directory_;
  int watched_ = -1;
  int looks_ = 0;
  int openings_ = 0;
};

class AttachedChunkTest : public test::FeedTest {
 protected:
  // An unsealed chunk as a dead writer and the end of its boot leave it: `synced` rows are vouched for, `rows` lie in the file.
  void leave(uint64_t synced, uint64_t rows) {
    Helper writer([&](const Helper&) {
      auto made = options(Storage::kDurable);
      made.sync = SyncMode::kExplicit;
      auto open = FeedWriter::create(base(), "trades", test::row_schema(), made);
      append(open, 0, synced);
      if (synced != 0) open.sync();
      append(open, synced, rows);
      ::raise(SIGKILL);
    });
    ASSERT_FALSE(writer.join());
    for (const std::string& name : names_in(root.path())) {
      if (name != "base") std::filesystem::remove_all(root / name);
    }
    feed = find_feed(base(), "trades", Files::system());
    info = FeedRegistry::open(feed, Files::system(), false).chunks().at(0);
    path = concat(feed.directory, "/", chunk_name(1));
  }
  AttachedChunk::Outcome attach(Files& files) { return AttachedChunk::attach(feed, info, files, true, chunk); }
  void expect_rows_of_chunk(uint64_t count) {
    ASSERT_EQ(chunk->records(), count);
    for (uint64_t number = 0; number < count; ++number) {
      const test::Row expected = row_of(number);
      ASSERT_EQ(std::memcmp(chunk->data() + chunk->offset_of(number), &expected, sizeof expected), 0) << number;
    }
  }

  FeedInfo feed;
  ChunkInfo info;
  std::string path;
  std::optional<WatchedFiles> watched;  // outlives what it opened
  std::shared_ptr<AttachedChunk> chunk;
};

TEST_F(AttachedChunkTest, IsExaminedAgainWhenItWasCutWhileItWasAttached) {  // X-7, F-52, F-76, G-1
  leave(300, 500);
  WatchedFiles& files = watched.emplace(feed.directory);
  ASSERT_EQ(attach(files), AttachedChunk::Outcome::kOk);
  expect_rows_of_chunk(300);
  const int last_look = files.looks();
  const int before = files.openings();
  // Now, between the examination and the mapping, somebody cuts it: below what was vouched for, to the first two blocks.
  files.at_size = [&](int opening, int look) {
    if (opening == before + 1 && look == last_look) {
      ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(chunk->header().data_offset + 8192)), 0);
    }
  };
  const std::string whole = shm::test::read_file(path);
  ASSERT_EQ(attach(files), AttachedChunk::Outcome::kOk);
  EXPECT_EQ(files.openings(), before + 2) << "it looked again, once";
  expect_rows_of_chunk(256);  // two whole blocks, each with its checksum
  EXPECT_TRUE(chunk->provisional());
  EXPECT_LE(chunk->end(), 8192u);
}

TEST_F(AttachedChunkTest, ThatIsCutAgainAndAgainIsRefusedAndNeverWaitedFor) {  // X-7, F-76, G-1, G-6
  leave(300, 500);
  WatchedFiles& files = watched.emplace(feed.directory);
  ASSERT_EQ(attach(files), AttachedChunk::Outcome::kOk);
  const int last_look = files.looks();
  const int before = files.openings();
  const std::string whole = shm::test::read_file(path);
  files.at_size = [&](int, int look) {
    if (look == 1) {
      shm::test::write_file(path, whole, 0640);  // whole while it is examined
    } else if (look == last_look) {
      ASSERT_EQ(::truncate(path.c_str(), 5000), 0);  // and cut right after
    }
  };
  test::expect_fault(Fault::kCorrupt, "each time that it was opened", [&] { attach(files); });
  EXPECT_EQ(files.openings(), before + 4);
}

TEST_F(AttachedChunkTest, OfWhichNothingIsVerifiedHoldsNothing) {  // F-76, G-1
  leave(0, 500);
  WatchedFiles& files = watched.emplace(feed.directory);
  const auto outcome = attach(files);
  if (outcome == AttachedChunk::Outcome::kOk) {
    EXPECT_EQ(chunk->records(), 0u);
    EXPECT_EQ(chunk->end(), 0u);
  } else {
    EXPECT_EQ(outcome, AttachedChunk::Outcome::kNotYet);
  }
  // Wherever it ends behind its first page, and if it is cut there just then.
  const std::string whole = shm::test::read_file(path);
  const int last_look = std::max(1, files.looks());
  for (const size_t end : {size_t{4096}, size_t{4097}, size_t{6000}, size_t{8191}, size_t{8192}, size_t{12'000}}) {
    shm::test::write_file(path, whole, 0640);
    const int opening_now = files.openings() + 1;
    files.at_size = [&](int opening, int look) {
      if (opening == opening_now && look == last_look) {
        ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(end)), 0);
      }
    };
    chunk.reset();
    if (attach(files) == AttachedChunk::Outcome::kOk) {
      EXPECT_EQ(chunk->records(), 0u) << end;
      EXPECT_EQ(chunk->end(), 0u) << end;
    }
  }
  // A reader of it gets nothing, and is told that all is read.
  auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
  EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
}

}  // namespace
}  // namespace tidepool::feed::attached_chunk_test

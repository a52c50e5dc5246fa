// Memory that serves again, pages made ahead, writes past the page cache: what makes feeds fast must change nothing that anybody sees.

#include <filesystem>
#include <set>

#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using test::row_of;

// Refuses what old kernels and some file systems refuse.
class PlainFiles : public SystemFiles {
 public:
  int populate(void*, size_t) noexcept override {
    errno = EINVAL;
    return -1;
  }
  int lease(int, bool) noexcept override {
    errno = EINVAL;
    return -1;
  }
  size_t direct_alignment(int) noexcept override { return 0; }
};

class Reuse : public test::FeedTest {
 protected:
  FeedOptions wide() const {
    auto wide = options(Storage::kTiered);
    wide.chunk_bytes = 512 << 10;  // large enough for writes past the page cache
    wide.live_chunks = 2;
    return wide;
  }
  static constexpr uint64_t kChunkRows = (512 << 10) / sizeof(test::Row);

  // Inodes of the live chunks that have names now.
  std::set<uint64_t> live_inodes() const {
    std::set<uint64_t> inodes;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root.path())) {
      const std::string path = entry.path().string();
      if (path.find("tidepool-") == std::string::npos || !path.ends_with(".data") || path.find("/feeds/") != std::string::npos) continue;
      struct stat found {};
      if (::stat(path.c_str(), &found) == 0) inodes.insert(found.st_ino);
    }
    return inodes;
  }
  void rotate_through(FeedWriter& writer, uint64_t& next, int chunks, std::set<uint64_t>& seen) {
    for (int i = 0; i < chunks; ++i) {
      append(writer, next, next + kChunkRows);
      next += kChunkRows;
      writer.sync();
      until([&] { return writer.health().prepared_bytes >= kChunkRows * sizeof(test::Row); });
      for (const uint64_t inode : live_inodes()) seen.insert(inode);
    }
  }
};

TEST_F(Reuse, AChunkThatNobodyHasAnyMoreServesAgain) {  // F-29, F-25, F-a, G-1
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), wide());
  auto reader = read({.from = At::oldest()});
  uint64_t next = 0;
  std::set<uint64_t> seen;
  for (int i = 0; i < 12; ++i) {
    const uint64_t first = next;
    rotate_through(writer, next, 1, seen);
    expect_rows(reader, first, next);
  }
  EXPECT_LT(seen.size(), 12u) << "twelve chunks and more were made of so many objects";
  // A part of one, so that old bytes lie behind the end of what is there.
  append(writer, next, next + 100);
  expect_rows(reader, next, next + 100);
  expect_idle(reader);
  next += 100;
  writer.close();
  auto again = read({.from = At::oldest(), .stop_when_inactive = true});
  expect_rows(again, 0, next);
  EXPECT_EQ(again.next().kind, Item::Kind::kEnded);
}

TEST_F(Reuse, WhatAReaderHoldsIsNeverWrittenAgain) {  // F-29, F-78, F-93, G-1
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), wide());
  uint64_t next = 0;
  std::set<uint64_t> seen;
  std::vector<std::shared_ptr<const void>> holds;
  std::vector<Batch> batches;
  auto reader = read({.from = At::oldest()});
  for (int i = 0; i < 4; ++i) {
    rotate_through(writer, next, 1, seen);
    for (Batch batch = reader.next_batch(); batch.kind == Item::Kind::kRow; batch = reader.next_batch()) {
      batches.push_back(batch);
      holds.push_back(reader.hold());
    }
  }
  ASSERT_GE(batches.size(), 4u);
  rotate_through(writer, next, 12, seen);
  uint64_t number = 0;
  for (const Batch& batch : batches) {
    for (uint64_t i = 0; i < batch.count; ++i, ++number) {
      const test::Row expected = row_of(number);
      ASSERT_EQ(std::memcmp(batch.rows.data() + i * sizeof expected, &expected, sizeof expected), 0) << number;
    }
  }
  EXPECT_EQ(number, 4 * kChunkRows);
}

TEST_F(Reuse, AKilledWritersSparesAreSwept) {  // F-25, F-67, X-1
  {
    FeedWriter::create(base(), "trades", test::row_schema(), wide()).close();
    test::Helper victim([&](const test::Helper&) {
      auto writer = FeedWriter::open(base(), "trades");
      uint64_t next = 0;
      std::set<uint64_t> seen;
      rotate_through(writer, next, 8, seen);
      ::raise(SIGKILL);
    });
    victim.join();
  }
  auto writer = FeedWriter::open(base(), "trades");
  EXPECT_EQ(writer.next_seq(), 8 * kChunkRows);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root.path())) {
    EXPECT_EQ(entry.path().filename().string().find(".tmp-"), std::string::npos) << entry.path();
  }
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 8 * kChunkRows);
}

TEST_F(Reuse, WithoutPopulateLeasesAndDirectWritesAllIsTheSame) {  // F-31, F-69, F-m
  PlainFiles plain;
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), wide(), {.files = &plain});
  uint64_t next = 0;
  std::set<uint64_t> seen;
  rotate_through(writer, next, 5, seen);
  EXPECT_GE(seen.size(), 5u) << "nothing was used again";
  append(writer, next, next + 3);
  writer.close();
  auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
  expect_rows(reader, 0, next + 3);
  EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
}

}  // namespace
}  // namespace tidepool::feed

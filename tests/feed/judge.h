#pragma once
// What must hold of a base at any moment, whoever has died: G-1 to G-6, by the library's reader, by verify and by the reader in Python,
// which shares no code with them.

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "check.h"
#include "tidepool/feed/sha256.h"
#include "tidepool/feed/verify.h"

namespace tidepool::feed::test {

// Whoever works through it cannot change anything; that it tried is counted (G-4, G-5).
class ReadOnlyFiles : public SystemFiles {
 public:
  int open(const std::string& path, int flags, mode_t mode) noexcept override {
    return (flags & (O_ACCMODE | O_CREAT | O_TRUNC)) == O_RDONLY ? SystemFiles::open(path, flags, mode) : refuse();
  }
  ssize_t pwrite(int, const void*, size_t, uint64_t) noexcept override { return refuse(); }
  int resize(int, uint64_t) noexcept override { return refuse(); }
  int reserve(int, uint64_t, uint64_t) noexcept override { return refuse(); }
  int sync_data(int) noexcept override { return refuse(); }
  int sync_directory(const std::string&) noexcept override { return refuse(); }
  int rename(const std::string&, const std::string&) noexcept override { return refuse(); }
  int unlink(const std::string&) noexcept override { return refuse(); }
  int make_directory(const std::string&, mode_t) noexcept override { return refuse(); }
  int remove_directory(const std::string&) noexcept override { return refuse(); }
  void* map(int fd, size_t bytes, bool writable) noexcept override {
    return writable ? refuse(), nullptr : SystemFiles::map(fd, bytes, writable);
  }
  int lease(int, bool) noexcept override { return refuse(); }
  int attempts() const noexcept { return attempts_; }

 private:
  int refuse() noexcept {
    ++attempts_;
    errno = EACCES;
    return -1;
  }
  std::atomic<int> attempts_{0};
};

inline std::vector<std::byte> payload_of(uint64_t number) {
  std::vector<std::byte> payload(mix(number) % 300);
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::byte>(number + i);
  return payload;
}
inline FrameMeta frame_of(uint64_t number) { return {{1'000'000 + number * 10, 0, 0}, 3, number, static_cast<uint16_t>(number % 5)}; }

// Files below `directory`: what they are and hold.
inline std::map<std::string, std::string> everything_below(const std::string& directory) {
  std::map<std::string, std::string> all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    struct stat found {};
    const std::string path = entry.path().string();
    if (::lstat(path.c_str(), &found) != 0) continue;
    std::string& what = all[path];
    what = concat(found.st_ino, " ", found.st_mode, " ", found.st_size, " ", found.st_mtim.tv_sec, ".", found.st_mtim.tv_nsec, " ", found.st_nlink, " ");
    if (!S_ISREG(found.st_mode)) continue;
    what += std::to_string(std::hash<std::string>{}(shm::test::read_file(path)));
  }
  return all;
}

struct FeedFacts {
  uint64_t first_seq = 0;
  uint64_t end_seq = 0;
  uint64_t readable_chunks = 0;
};

class Judge {
 public:
  uint64_t looks() const noexcept { return looks_; }
  // What is wrong is a fatal failure. `live`: shared memory counts, too.
  // `changes_nothing`: nobody lives who may change it meanwhile.
  void look(const std::string& root, const std::string& base, const std::vector<std::string>& feeds, bool live, std::map<std::string, FeedFacts>& facts,
            bool changes_nothing = true) {
    ++looks_;
    const auto before = changes_nothing ? everything_below(root) : std::map<std::string, std::string>{};
    ReadOnlyFiles files;
    for (const std::string& name : feeds) {
      std::string sum;
      read(base, name, files, facts[name], sum);
      if (::testing::Test::HasFatalFailure()) return;
      ask_python(base, name, live, facts[name], sum);
      if (::testing::Test::HasFatalFailure()) return;
    }
    const VerifyReport report = verify_base(base, {.files = &files});
    std::string text;
    for (const Finding& finding : report.findings) text += text_of(finding) + "\n";
    ASSERT_EQ(report.count(Severity::kDamage), 0u) << text;
    ASSERT_EQ(files.attempts(), 0) << "G-4, G-5: readers and verify tried to write";
    if (!changes_nothing) return;
    const auto after = everything_below(root);
    for (const auto& [path, what] : before) {
      const auto now = after.find(path);
      ASSERT_TRUE(now != after.end()) << "G-5: " << path << " is gone";
      ASSERT_EQ(now->second, what) << "G-5: " << path;
    }
    ASSERT_EQ(before.size(), after.size()) << "G-5: something was created";
  }

 private:
  // G-1, G-2: from the oldest on each record once, whole, and what its writer wrote; no gap.
  static void read(const std::string& base, const std::string& name, Files& files, FeedFacts& facts, std::string& sum) {
    auto reader = FeedReader::open(base, name, {.from = At::oldest(), .stop_when_inactive = true, .files = &files});
    Sha256 all;
    facts.first_seq = facts.end_seq = reader.first_seq();
    bool any = false;
    facts.readable_chunks = 0;
    for (const ChunkInfo& chunk : reader.chunks()) facts.readable_chunks += chunk.readable() ? 1 : 0;
    for (;;) {
      Item item;
      try {
        item = reader.next();
      } catch (const FeedError& error) {
        ASSERT_EQ(fault_name(error.fault()), fault_name(Fault::kNoLiveData)) << name << ": " << error.what();
        break;
      }
      if (item.kind == Item::Kind::kEnded || item.kind == Item::Kind::kIdle) break;
      ASSERT_TRUE(item.is_record()) << name << " at " << facts.end_seq << ": gap " << item.gap.from << " to " << item.gap.to << " " << item.gap.text;
      if (!any) facts.first_seq = facts.end_seq = item.seq;
      any = true;
      ASSERT_EQ(item.seq, facts.end_seq) << name;
      if (item.kind == Item::Kind::kRow) {
        const Row expected = row_of(item.seq);
        ASSERT_EQ(item.bytes.size(), sizeof expected) << name;
        ASSERT_EQ(std::memcmp(item.bytes.data(), &expected, sizeof expected), 0) << name << ": G-1, row " << item.seq;
      } else {
        const auto expected = payload_of(item.seq);
        ASSERT_TRUE(std::ranges::equal(item.bytes, expected)) << name << ": G-1, frame " << item.seq;
        ASSERT_EQ(item.frame.stream_seq, item.seq) << name;
      }
      all.add(item.bytes);
      facts.end_seq = item.seq + 1;
    }
    sum = all.hex();
  }

  static void ask_python(const std::string& base, const std::string& name, bool live, const FeedFacts& facts, const std::string& sum) {
    std::string text;
    run_python({live ? "--live" : "--disk", base, name}, text);
    if (::testing::Test::HasFatalFailure()) return;
    ASSERT_EQ(number_after(text, "count"), facts.end_seq - facts.first_seq) << text;
    ASSERT_NE(text.find(sum), std::string::npos) << name << ": the two readers read different records, " << sum << "\n" << text;
    if (facts.end_seq == facts.first_seq) return;
    ASSERT_EQ(number_after(text, "first_seq"), facts.first_seq) << text;
    ASSERT_EQ(number_after(text, "next_seq"), facts.end_seq) << text;
  }

  uint64_t looks_ = 0;
};

}  // namespace tidepool::feed::test

// Verify and repair over every byte of every file: cut there, or one bit changed. An exact report or a refusal, never a crash, a hang or
// invented data. And over disks that fail.

#include <cstdlib>
#include <fstream>
#include <map>
#include <random>

#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/repair.h"
#include "tidepool/feed/test_faulty_files.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using test::row_of;

constexpr uint64_t kFlipRows = 150;  // two chunks of 128 and 22

class CareFlips : public test::FeedTest {
 protected:
  void SetUp() override {
    auto small = options(Storage::kTiered);
    small.chunk_bytes = 4096;
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), small);
    append(writer, 0, kFlipRows);
    writer.close();
    directory = base() + "/feeds/trades";
    for (const std::string& path : files()) whole[path] = shm::test::read_file(path);
  }
  std::vector<std::string> files() const {
    return {base() + "/registry.bin",      directory + "/feed_registry.bin", directory + "/schema.bin",
            directory + "/definition.bin", directory + "/" + chunk_name(1),  directory + "/" + index_name(1)};
  }
  static void put(const std::string& path, std::string_view content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  }
  void restore() {
    for (const auto& [path, content] : whole) put(path, content);
    std::filesystem::remove_all(directory + "/quarantine");
    std::filesystem::remove_all(base() + "/quarantine");
    std::filesystem::create_directories(base() + "/feeds");
  }
  static bool all_of_it() { return std::getenv("TIDEPOOL_TEST_FULL") != nullptr; }
  static std::vector<size_t> places(size_t size, std::mt19937_64& random) {
    std::vector<size_t> chosen;
    for (size_t at = 0; at < size; at += all_of_it() || at < 64 || at + 64 > size ? 1 : 1 + random() % 300) chosen.push_back(at);
    return chosen;
  }
  // Bytes that nothing looks at (feed-chunk.md): words and tail slots of a complete file, and the hint of how many entries there are.
  bool harmless(const std::string& path, size_t at) const {
    if (path.ends_with(".data")) return (at >= 256 && at < 448) || (at >= 512 && at < 576) || (at >= 1024 && at < 1088);
    if (path.ends_with("registry.bin")) return at >= kLogCountAt && at < kLogBootAt + 16;
    return false;
  }
  void expect_found(const std::string& what, const std::string& path, bool must) {
    const VerifyReport report = verify_base(base());
    if (!must) return;
    ASSERT_FALSE(report.sound()) << what;
    bool named = false;
    for (const Finding& finding : report.findings) {
      if (finding.severity == Severity::kNote) continue;
      ASSERT_FALSE(finding.expected.empty()) << what << ": " << text_of(finding);
      ASSERT_FALSE(finding.found.empty()) << what << ": " << text_of(finding);
      ASSERT_LE(finding.first_seq, finding.end_seq) << what;
      ASSERT_LE(finding.end_seq, kFlipRows) << what;
      named |= finding.path == path;
    }
    ASSERT_TRUE(named) << what << ": another file than the damaged one is named";
  }
  // After a repair: what is read is right, what is not is told, and there is nothing more to do.
  void expect_repaired(const std::string& what) {
    try {
      const RepairReport report = repair_base(base());
      ASSERT_FALSE(report.failed()) << what;
      const RepairReport again = repair_base(base());
      ASSERT_TRUE(again.actions.empty()) << what << ": " << text_of(again.actions.front());
    } catch (const FeedError& error) {
      ASSERT_EQ(error.fault(), Fault::kUnsupportedVersion) << what << ": " << error.what();
      return;
    }
    try {
      auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
      uint64_t next = 0;
      for (int steps = 0; steps < 1000; ++steps) {
        const Item item = reader.next();
        if (item.kind == Item::Kind::kEnded) break;
        if (item.kind == Item::Kind::kGap) {
          ASSERT_GE(item.gap.from, next) << what;
          next = item.gap.to;
          continue;
        }
        ASSERT_EQ(item.kind, Item::Kind::kRow) << what;
        ASSERT_TRUE(item.seq == next || reader.first_seq() > 0) << what << ": " << next << " is lost in silence";
        const test::Row expected = row_of(item.seq);
        ASSERT_EQ(std::memcmp(item.bytes.data(), &expected, sizeof expected), 0) << what;
        next = item.seq + 1;
      }
      ASSERT_EQ(next, kFlipRows) << what;
    } catch (const FeedError& error) {
      ASSERT_EQ(error.fault(), Fault::kUnsupportedVersion) << what << ": " << error.what();
    }
  }

  std::string directory;
  std::map<std::string, std::string> whole;
};

TEST_F(CareFlips, AnyFileCutIsFoundAndPutRight) {  // F-133, F-134, X-7, X-8, G-1, G-6
  std::mt19937_64 random(15);
  for (const auto& [path, content] : std::map<std::string, std::string>(whole)) {
    int turn = 0;
    for (const size_t at : places(content.size(), random)) {
      put(path, content.substr(0, at));
      const std::string what = concat(path, " cut at ", at);
      expect_found(what, path, true);
      if (HasFatalFailure()) return;
      if (!all_of_it() && ++turn % 13 != 0) continue;
      expect_repaired(what);
      if (HasFatalFailure()) return;
      restore();
    }
    restore();
  }
  EXPECT_TRUE(verify_base(base()).sound());
}

TEST_F(CareFlips, AnyBitFlippedIsFoundOrHarmless) {  // F-133, F-134, X-8, X-9, G-1, G-6
  std::mt19937_64 random(16);
  for (const auto& [path, content] : std::map<std::string, std::string>(whole)) {
    int turn = 0;
    for (const size_t at : places(content.size(), random)) {
      std::string changed = content;
      changed[at] = static_cast<char>(changed[at] ^ 1 << random() % 8);
      put(path, changed);
      const std::string what = concat(path, " changed at ", at);
      expect_found(what, path, !harmless(path, at));
      if (HasFatalFailure()) return;
      if (!all_of_it() && ++turn % 13 != 0) continue;
      expect_repaired(what);
      if (HasFatalFailure()) return;
      restore();
    }
    restore();
  }
}

TEST_F(CareFlips, WhatCannotBeReadIsToldAndTheRestLookedAt) {  // F-133, X-18, X-21
  for (const int err : {EIO, EACCES}) {
    test::FaultyFiles files;
    files.fail(err == EIO ? "read" : "open", chunk_name(1), err);
    const VerifyReport report = verify_base(base(), {.files = &files});
    ASSERT_EQ(report.count(Severity::kDamage), 1u) << (report.findings.empty() ? "" : text_of(report.findings[0]));
    EXPECT_EQ(report.findings[0].what, "chunk-unreadable");
    EXPECT_EQ(report.findings[0].end_seq, 128u);
    EXPECT_EQ(report.records, 22u) << "the other chunk";
  }
  test::FaultyFiles files;
  files.fail("open", "registry.bin", EACCES);
  test::expect_fault(Fault::kPermission, "registry.bin", [&] { verify_base(base(), {.files = &files}); });
}

TEST_F(CareFlips, AFailingDiskStopsARepairAndTheNextOneFinishes) {  // F-134, X-4, X-18, X-21
  for (const char* call : {"open", "write", "sync", "rename", "mkdir", "unlink"}) {
    for (const int err : {ENOSPC, EIO, EACCES}) {
      std::string registry = whole[directory + "/feed_registry.bin"];
      registry[kLogHeaderBytes + 3 * kFeedEntryBytes + 40] ^= 1;
      put(directory + "/feed_registry.bin", registry);
      std::string chunk = whole[directory + "/" + chunk_name(1)];
      chunk[chunk.size() - 100] ^= 1;
      put(directory + "/" + chunk_name(1), chunk);
      std::filesystem::remove(directory + "/" + index_name(2));
      std::filesystem::remove(directory + "/definition.bin");
      test::FaultyFiles files;
      files.fail(call, "feeds/trades/", err);
      const std::string what = concat(call, errno_text(err));
      try {
        const RepairReport report = repair_base(base(), {.files = &files});
        EXPECT_TRUE(report.failed() || files.failures() == 0) << what;
      } catch (const FeedError&) {  // not even verify could look afterwards
      }
      const RepairReport report = repair_base(base());
      ASSERT_FALSE(report.failed()) << what;
      ASSERT_TRUE(report.left.sound()) << what;
      auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
      expect_rows(reader, 0, kFlipRows);
      ASSERT_EQ(reader.next().kind, Item::Kind::kEnded) << what;
    }
  }
}

// The example of docs/formats/feed-care.md.
TEST(DefinitionTest, IsOfTheDocumentedBytes) {  // F-5
  std::string bytes(512, '\0');
  const auto at = [&](size_t offset, std::string_view hex) {
    for (size_t i = 0; i < hex.size() / 2; ++i)
      bytes[offset + i] = static_cast<char>(std::stoi(std::string(hex.substr(2 * i, 2)), nullptr, 16));
  };
  at(0, "e11afd4c01000100");
  at(0x10, "5e86f06e3963ea18d9c76a6adc952321fedbec15c64d949b0101010003000000");
  at(0x30, "0010000000000000001000000400000000ca9a3b000000000000800000000000");
  at(0x68, "6eaee86242042123100000000100000000000040");
  at(0x80, "a001000006000800747261646573");
  at(0x108, "2f6465762f73686d");
  at(0x180, "00e1190cd3d6b785c6be52395905baf6");
  shm::test::TemporaryDirectory directory;
  shm::test::write_file(directory / "definition.bin", bytes);
  std::string why;
  const auto feed = read_definition(Files::system(), directory.path(), why);
  ASSERT_TRUE(feed) << why;
  EXPECT_EQ(feed->name, "trades");
  EXPECT_EQ(hex(feed->base_id), "00e1190cd3d6b785c6be52395905baf6");
  EXPECT_EQ(feed->created_wall_ns, 0x18ea63396ef0865eu);
  FeedOptions options;
  options.chunk_bytes = 4096;
  options.block_bytes = 4096;
  EXPECT_EQ(feed->options, options);
  write_definition(Files::system(), directory.path(), *feed);
  EXPECT_TRUE(shm::test::read_file(directory / "definition.bin") == bytes);
}

}  // namespace
}  // namespace tidepool::feed

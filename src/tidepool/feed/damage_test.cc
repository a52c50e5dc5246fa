// Files that were cut or changed: an exact report or a refusal, never a crash, a hang or invented data.

#include <fcntl.h>

#include <cstdlib>
#include <fstream>
#include <random>

#include "tidepool/feed/index.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using test::row_of;

constexpr uint64_t kDamageRows = 100;

class Damage : public test::FeedTest {
 protected:
  void SetUp() override {
    auto small = options(Storage::kTiered);
    small.chunk_bytes = 4096;
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), small);
    append(writer, 0, kDamageRows);
    writer.close();
    directory = base() + "/feeds/trades";
  }
  std::vector<std::string> files() const {
    return {base() + "/registry.bin", directory + "/feed_registry.bin", directory + "/schema.bin", directory + "/" + chunk_name(1), directory + "/" + index_name(1)};
  }
  static void put(const std::string& path, std::string_view content) { std::ofstream(path, std::ios::binary | std::ios::trunc) << content; }

  // Reads all there is. Every row given is right; every row not given is told, refused, or explained by a warning.
  void expect_honest(const std::string& what) {
    try {
      auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
      uint64_t next = 0;
      bool told = !reader.warnings().empty() || !reader.losses().empty();
      for (int steps = 0; steps < 1000; ++steps) {
        const Item item = reader.next();
        if (item.kind == Item::Kind::kRow) {
          ASSERT_EQ(item.seq, next) << what;
          const test::Row expected = row_of(item.seq);
          ASSERT_EQ(std::memcmp(item.bytes.data(), &expected, sizeof expected), 0) << what << ": row " << item.seq;
          ++next;
        } else if (item.kind == Item::Kind::kGap) {
          ASSERT_EQ(item.gap.from, next) << what;
          ASSERT_GT(item.gap.to, next) << what;
          ASSERT_LE(item.gap.to, kDamageRows) << what;
          next = item.gap.to;
          told = true;
        } else {
          ASSERT_TRUE(item.kind == Item::Kind::kEnded || item.kind == Item::Kind::kDeleted) << what;
          if (item.kind == Item::Kind::kDeleted) told = true;
          ASSERT_TRUE(next == kDamageRows || told) << what << ": ends silently at " << next;
          return;
        }
      }
      FAIL() << what << ": no end";
    } catch (const FeedError& error) {
      ASSERT_NE(error.fault(), Fault::kUsage) << what << ": " << error.what();
    }
  }

  // All bytes near the ends of a file, some in between; all of them in the long form.
  static std::vector<size_t> places(size_t size, std::mt19937_64& random) {
    const bool all = std::getenv("TIDEPOOL_TEST_FULL") != nullptr;
    std::vector<size_t> chosen;
    for (size_t at = 0; at < size; at += all || at < 600 || at + 600 > size ? 1 : 1 + random() % 40) chosen.push_back(at);
    return chosen;
  }

  std::string directory;
};

TEST_F(Damage, AnyFileCutAnywhereIsToldOrRefused) {  // F-2, F-104, G-1, G-6
  std::mt19937_64 random(5);
  for (const std::string& path : files()) {
    const std::string content = shm::test::read_file(path);
    ASSERT_FALSE(content.empty()) << path;
    for (const size_t at : places(content.size(), random)) {
      put(path, content.substr(0, at));
      expect_honest(concat(path, " cut at ", at));
      if (HasFatalFailure()) return;
    }
    put(path, content);
  }
  expect_honest("whole");
}

TEST_F(Damage, AnyBitFlippedAnywhereIsToldOrRefusedOrHarmless) {  // F-5, F-34, F-104, G-1, G-6
  std::mt19937_64 random(6);
  for (const std::string& path : files()) {
    std::string content = shm::test::read_file(path);
    for (const size_t at : places(content.size(), random)) {
      const char flip = static_cast<char>(1 << random() % 8);
      content[at] = static_cast<char>(content[at] ^ flip);
      put(path, content);
      expect_honest(concat(path, " changed at ", at));
      if (HasFatalFailure()) return;
      content[at] = static_cast<char>(content[at] ^ flip);
    }
    put(path, content);
  }
}

TEST_F(Damage, ADamagedBlockCostsItsRowsAndNoOthers) {  // X-9, F-104, F-135
  auto wide = options(Storage::kTiered);
  wide.chunk_bytes = 1 << 20;
  {
    auto writer = FeedWriter::create(base(), "wide", test::row_schema(), wide);
    append(writer, 0, 2000);
    writer.close();
  }
  const std::string path = base() + "/feeds/wide/" + chunk_name(1);
  std::string content = shm::test::read_file(path);
  const ChunkHeader header = ChunkHeader::decode(std::as_bytes(std::span(content)), path);
  content[header.data_offset + 5000] ^= 1;  // the second block: bytes 4096 to 8191, rows 128 to 255
  put(path, content);
  auto reader = read({.from = At::oldest()}, "wide");
  expect_rows(reader, 0, 128);
  const Item gap = reader.next();
  ASSERT_EQ(gap.kind, Item::Kind::kGap);
  EXPECT_EQ(gap.gap.cause, GapCause::kDamaged);
  EXPECT_EQ(gap.gap.from, 128u);
  EXPECT_EQ(gap.gap.to, 256u);
  EXPECT_NE(gap.gap.text.find(chunk_name(1)), std::string::npos);
  expect_rows(reader, 256, 2000);
  // A query says it, too: one copy of it all is refused.
  test::expect_fault(Fault::kCorrupt, "records 128 to 256", [&] { reader.read_range({}); });
  uint64_t good = 0;
  auto range = reader.range({});
  for (Batch piece; range.next(piece);) good += piece.kind == Item::Kind::kRow ? piece.count : 0;
  EXPECT_EQ(good, 2000u - 128u);
}

TEST_F(Damage, AMissingChunkIsAGapAndALostIndexNothing) {  // X-23, F-34, F-104
  auto writer = FeedWriter::open(base(), "trades");
  append(writer, kDamageRows, kDamageRows + 50);
  writer.close();
  for (const std::string& name : names_in(directory)) {
    if (name.ends_with(".idx")) std::filesystem::remove(directory + "/" + name);
  }
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, kDamageRows + 50);
  std::filesystem::remove(directory + "/" + chunk_name(1));
  auto other = read({.from = At::oldest()});
  const Item gap = other.next();
  ASSERT_EQ(gap.kind, Item::Kind::kGap);
  EXPECT_EQ(gap.gap.cause, GapCause::kMissing);
  EXPECT_EQ(gap.gap.to, kDamageRows);
  expect_rows(other, kDamageRows, kDamageRows + 50);
}

TEST_F(Damage, ALostSchemaFileIsReadFromAChunk) {  // F-17
  std::filesystem::remove(directory + "/schema.bin");
  auto reader = read({.from = At::oldest()});
  EXPECT_EQ(reader.feed().schema, test::row_schema());
  expect_rows(reader, 0, kDamageRows);
}

TEST_F(Damage, NewerFormatsAreRefusedByName) {
  for (const std::string& path : {base() + "/registry.bin", directory + "/feed_registry.bin"}) {
    const std::string content = shm::test::read_file(path);
    std::string newer = content;
    newer[8] = 2;
    put(path, newer);
    test::expect_fault(Fault::kUnsupportedVersion, "format 2", [&] { read(); });
    put(path, content);
  }
  const std::string path = directory + "/" + chunk_name(1);
  std::string content = shm::test::read_file(path);
  content[8] = 2;
  put(path, content);
  auto reader = read({.from = At::oldest()});
  test::expect_fault(Fault::kUnsupportedVersion, "format 2", [&] { static_cast<void>(reader.next()); });
}

// The next writer over any damage: it opens and says so, or refuses; it never makes rows up, and never loses what is intact.
TEST_F(Damage, AWriterThatOpensOverItNeverMakesItWorse) {  // F-52, X-3, X-7, F-25, F-30
  std::mt19937_64 random(8);
  const std::string path = directory + "/" + chunk_name(1);
  const std::string registry_path = directory + "/feed_registry.bin";
  const std::string chunk = shm::test::read_file(path);
  const std::string registry = shm::test::read_file(registry_path);
  for (int round = 0; round < 40; ++round) {
    std::string damaged = round % 2 == 0 ? chunk : registry;
    if (round % 4 < 2) {
      damaged.resize(random() % damaged.size());
    } else {
      damaged[random() % damaged.size()] ^= static_cast<char>(1 << random() % 8);
    }
    put(round % 2 == 0 ? path : registry_path, damaged);
    try {
      FeedWriter::open(base(), "trades").close();
    } catch (const FeedError&) {
    }
    expect_honest(concat("round ", round));
    if (HasFatalFailure()) return;
    std::filesystem::remove_all(directory + "/quarantine");
    put(path, chunk);
    put(registry_path, registry);
  }
}

}  // namespace
}  // namespace tidepool::feed

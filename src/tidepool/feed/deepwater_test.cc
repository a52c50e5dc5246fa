// A base of Deepwater's is made byte by byte as its formats are documented (feeds.md, appendix A), and imported.

#include "tidepool/feed/deepwater.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tidepool/feed/export.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using shm::test::write_file;
using test::expect_fault;

// What Deepwater would have written.
class DeepwaterBase {
 public:
  explicit DeepwaterBase(std::string path) : path_(std::move(path)) { std::filesystem::create_directories(path_ + "/registry"); }

  struct Chunk {
    std::vector<std::pair<uint64_t, double>> rows;
    uint64_t zero_rows = 0;     // behind them, counted in write_pos
    uint64_t told_rows = ~0ull; // else as many as there are
    bool missing = false;
  };
  // Records of 24 bytes: ts u64, three bytes of padding, code u8, n i32, price f64.
  void add_feed(const std::string& name, const std::vector<Chunk>& chunks) {
    const std::string directory = concat(path_, "/data/", name);
    std::filesystem::create_directories(directory);
    const auto field = [](const std::string& field_name, uint8_t type, uint8_t offset, uint8_t size) {
      return concat('\x94', static_cast<char>(0xA0 | field_name.size()), field_name, static_cast<char>(type),
                    static_cast<char>(offset), static_cast<char>(size));
    };
    write_file(directory + "/feed_schema.msgpack",
               concat("\x95\x01\xA1<", "\x18\x01\x95", field("ts", 12, 0, 8), field("pad", 0, 8, 3), field("code", 4, 11, 1),
                      field("n", 8, 12, 4), field("price", 13, 16, 8)));
    std::string registry(128 + chunks.size() * 128 + 1024, '\0');
    store(registry.data(), uint64_t{chunks.size()});
    for (size_t i = 0; i < chunks.size(); ++i) {
      const Chunk& chunk = chunks[i];
      const uint64_t rows = chunk.rows.size() + chunk.zero_rows;
      std::string data(4096, '\0');
      for (size_t r = 0; r < chunk.rows.size(); ++r) {
        char* at = data.data() + r * 24;
        store(at, chunk.rows[r].first);
        store(at + 11, static_cast<uint8_t>(r));
        store(at + 12, static_cast<int32_t>(-1));
        store(at + 16, chunk.rows[r].second);
      }
      char* entry = registry.data() + 128 + i * 128;
      store(entry + 16, rows * 24 + 5);  // within a record: cut to whole ones
      store(entry + 24, chunk.told_rows == ~0ull ? rows : chunk.told_rows);
      store(entry + 40, uint64_t{i + 1});
      store(entry + 48, uint64_t{4096});
      store(entry + 56, uint8_t{1});
      store(entry + 57, uint8_t{1});
      char file[32];
      std::snprintf(file, sizeof file, "/chunk_%08zu.bin", i + 1);
      if (!chunk.missing) write_file(directory + file, data);
    }
    write_file(concat(directory, "/", name, ".reg"), registry);
    names_.push_back(name);
    write_registry();
  }
  void write_registry(uint64_t told = ~0ull) const {
    std::string global(2u << 20, '\0');
    store(global.data(), told == ~0ull ? uint64_t{names_.size()} : told);
    for (size_t i = 0; i < names_.size(); ++i) {
      char* at = global.data() + 128 + i * 128;
      names_[i].copy(at, 31);
      store(at + 32, uint32_t{4096});
      store(at + 40, uint32_t{48});
      store(at + 44, static_cast<uint16_t>(1 | 2 | 8));
      store(at + 46, uint16_t{1});
      store(at + 48, uint64_t{1'700'000'000'000'000});
    }
    write_file(path_ + "/registry/global_registry.bin", global);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::vector<std::string> names_;
};

class DeepwaterTest : public test::FeedTest {
 protected:
  ImportReport import(const DeepwaterFeed& from, const std::string& name) const {
    FeedOptions feed_options = from.options;
    feed_options.shm_root = root.path();
    FeedWriter writer = FeedWriter::create(base(), name, from.schema, feed_options);
    ImportReport report;
    import_rows(*deepwater_rows(from), writer, {}, report);
    writer.close();
    return report;
  }
  std::string csv_of(const std::string& name) const {
    FeedReader reader = read({}, name);
    std::string out;
    (void)export_rows(reader, {}, [&](Bytes bytes) { out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()); });
    return out;
  }
};

TEST_F(DeepwaterTest, ABaseComesOverWithItsSchemaAndItsRecords) {  // F-152
  DeepwaterBase old(root / "old");
  old.add_feed("ticks", {{.rows = {{10, 1.5}, {30, 2.5}}}, {.rows = {{20, 3.5}}}, {.rows = {}}});
  EXPECT_EQ(deepwater_feeds(old.path()), std::vector<std::string>{"ticks"});
  const DeepwaterFeed from = open_deepwater_feed(old.path(), "ticks");
  EXPECT_EQ(from.schema.record_bytes(), 24u);
  EXPECT_EQ(from.schema.clock(0).unit, ClockUnit::kUs);
  EXPECT_EQ(from.options.storage, Storage::kTiered);
  EXPECT_EQ(from.options.retention_ns, 48 * 3'600 * kNsPerSecond);
  EXPECT_TRUE(from.remarks.empty());
  const ImportReport report = import(from, "ticks");
  EXPECT_EQ(report.records, 3u);
  EXPECT_EQ(report.rejected, 0u);
  EXPECT_EQ(csv_of("ticks"), "ts,code,n,price\n10,0,-1,1.5\n30,1,-1,2.5\n20,0,-1,3.5\n");
}

TEST_F(DeepwaterTest, MissingShortAndZeroFilledChunksAreReported) {  // F-152, F-66
  DeepwaterBase old(root / "old");
  old.add_feed(
      "ticks",
      {{.rows = {{10, 1.5}}, .zero_rows = 4}, {.rows = {{20, 2.5}}, .missing = true}, {.rows = {{30, 3.5}}, .told_rows = 9}});
  const ImportReport report = import(open_deepwater_feed(old.path(), "ticks"), "ticks");
  EXPECT_EQ(report.records, 2u);
  ASSERT_EQ(report.rejected, 3u);
  EXPECT_EQ(report.first_rejected[0].why, "chunk 1 ends with 4 records of zeros, which nobody wrote");
  EXPECT_EQ(report.first_rejected[1].why, "chunk 2 is missing: 1 records");
  EXPECT_EQ(report.first_rejected[2].why, "chunk 3 holds 1 of the 9 records that its registry says");
  EXPECT_EQ(csv_of("ticks"), "ts,code,n,price\n10,0,-1,1.5\n30,0,-1,3.5\n");
}

TEST_F(DeepwaterTest, WhatIsNoBaseOrDamagedIsRefusedNotGuessed) {  // F-152, F-8
  expect_fault(Fault::kBaseNotFound, "is that the directory of a Deepwater base?", [&] { deepwater_feeds(root / "nowhere"); });
  DeepwaterBase old(root / "old");
  old.add_feed("ticks", {{.rows = {{10, 1.5}}}});
  expect_fault(Fault::kFeedNotFound, "it has ticks", [&] { open_deepwater_feed(old.path(), "ticker"); });
  old.write_registry(~0ull - 1);
  expect_fault(Fault::kCorrupt, "has no room for them", [&] { deepwater_feeds(old.path()); });
  old.write_registry();
  old.add_feed("../up", {});
  expect_fault(Fault::kInvalidName, "../up", [&] { open_deepwater_feed(old.path(), "../up"); });
  // Every cut of the schema, every flipped bit of it: a refusal, or a schema within the record.
  const std::string path = old.path() + "/data/ticks/feed_schema.msgpack";
  const std::string whole = shm::test::read_file(path);
  for (size_t size = 0; size < whole.size(); ++size) {
    write_file(path, whole.substr(0, size));
    EXPECT_THROW(open_deepwater_feed(old.path(), "ticks"), Error) << size;
  }
  for (size_t at = 0; at < whole.size() * 8; ++at) {
    std::string changed = whole;
    changed[at / 8] = static_cast<char>(changed[at / 8] ^ 1 << at % 8);
    write_file(path, changed);
    try {
      EXPECT_LE(open_deepwater_feed(old.path(), "ticks").schema.record_bytes(), 1u << 30);
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace tidepool::feed

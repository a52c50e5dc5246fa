// A feed that changes: its settings from the next chunk on, its schema by addition.

#include "tidepool/feed/settings.h"

#include <fcntl.h>

#include <atomic>
#include <thread>

#include "tidepool/feed/projection.h"
#include "tidepool/feed/shm_use.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using test::expect_fault;
using test::Row;
using test::row_of;

class Settings : public test::FeedTest {
 protected:
  FeedInfo info() const { return find_feed(base(), "trades", Files::system()); }
  // The header of each chunk that is on disk.
  std::vector<ChunkHeader> headers() const {
    std::vector<ChunkHeader> found;
    for (const std::string& name : names_in(base() + "/feeds/trades")) {
      if (!ordinal_of(name) || !name.ends_with(".data")) continue;
      const File file = File::open(Files::system(), base() + "/feeds/trades/" + name, O_RDONLY);
      std::vector<std::byte> page(kChunkPageBytes);
      found.push_back(ChunkHeader::decode(file.read(page, 0), name));
    }
    return found;
  }
};

class SettingsIn : public Settings {};
INSTANTIATE_TEST_SUITE_P(Storages, SettingsIn, ::testing::Values(Storage::kTiered, Storage::kDurable), test::storage_test_name);

TEST_P(SettingsIn, HoldFromTheNextChunkOnWhileItIsWritten) {  // F-10
  auto writer = make(GetParam());
  append(writer, 0, 100);
  FeedOptions larger = info().options;
  larger.chunk_bytes = 4096 * sizeof(Row);
  larger.block_bytes = 8192;
  larger.live_chunks = 5;
  larger.retention_ns = 123;
  EXPECT_TRUE(change_feed(base(), "trades", larger));
  EXPECT_FALSE(change_feed(base(), "trades", larger)) << "as it is already";
  EXPECT_EQ(info().options, larger);
  // The helper has seen it once a chunk of the new size is prepared; until then rotation gives the old one.
  auto reader = read({.from = At::oldest()});
  uint64_t number = 100;
  const uint64_t deadline_ns = monotonic_ns() + shm::test::kDeadlineNs;
  for (;;) {
    ASSERT_LT(monotonic_ns(), deadline_ns);
    append(writer, number, number + 1);
    ++number;
    const auto latest = reader.latest_chunk();
    ASSERT_TRUE(latest);
    if (latest->capacity_bytes == larger.chunk_bytes) break;
    writer.rotate();
  }
  append(writer, number, number + 5000);
  number += 5000;
  writer.close();
  const auto found = headers();
  ASSERT_GE(found.size(), 3u);
  EXPECT_EQ(found.front().capacity, 1024 * sizeof(Row)) << "what was begun stays as it is";
  EXPECT_EQ(found.front().block_bytes, 4096u);
  EXPECT_EQ(found.back().capacity, larger.chunk_bytes);
  EXPECT_EQ(found.back().block_bytes, 8192u);
  expect_rows(reader, 0, number);
}

TEST_F(Settings, OfTheNextWriterAreTheNewOnes) {  // F-10
  {
    auto writer = make(Storage::kTiered);
    append(writer, 0, 10);
  }
  FeedOptions changed = info().options;
  changed.sync = SyncMode::kEveryCommit;
  change_feed(base(), "trades", changed);
  auto writer = FeedWriter::open(base(), "trades");
  append(writer, 10, 11);
  EXPECT_EQ(writer.durable_seq(), 11u);
  EXPECT_TRUE(read().warnings().empty());
}

TEST_F(Settings, ThatAreFixedStayAndNothingImpossibleIsTaken) {  // F-10, F-20
  make(Storage::kTiered);
  const FeedOptions now = info().options;
  const auto with = [&](auto change) {
    FeedOptions options = now;
    change(options);
    return options;
  };
  expect_fault(Fault::kImmutable, "tiered for ever",
               [&] { change_feed(base(), "trades", with([](FeedOptions& o) { o.storage = Storage::kMemory; })); });
  expect_fault(Fault::kImmutable, "live objects",
               [&] { change_feed(base(), "trades", with([](FeedOptions& o) { o.shm_root = "/tmp"; })); });
  expect_fault(Fault::kInvalidSize, "live_chunks",
               [&] { change_feed(base(), "trades", with([](FeedOptions& o) { o.live_chunks = 1; })); });
  expect_fault(Fault::kInvalidSize, "chunk_bytes",
               [&] { change_feed(base(), "trades", with([](FeedOptions& o) { o.chunk_bytes = 100; })); });
  expect_fault(Fault::kFeedNotFound, "quotes", [&] { change_feed(base(), "quotes", now); });
  expect_fault(Fault::kBaseNotFound, "nowhere", [&] { change_feed(root / "nowhere", "trades", now); });
  EXPECT_EQ(info().options, now);
}

TEST_F(Settings, CapTheSharedMemoryOfABase) {  // F-68, X-5
  auto writer = make(Storage::kTiered);
  append(writer, 0, 10);
  const ShmUse use = shm_use(writer.feed().base_id, root.path());
  ASSERT_EQ(use.feeds.size(), 1u);
  EXPECT_EQ(use.feeds[0].id, writer.feed().id);
  EXPECT_GE(use.bytes, 1024 * sizeof(Row));
  EXPECT_GE(use.feeds[0].objects, 3u);
  create_feed(base(), "quotes", test::row_schema(), options(Storage::kTiered));
  WriterOptions capped;
  capped.base_shm_bytes_max = use.bytes + 1000;
  expect_fault(Fault::kNoShmSpace, "the cap of", [&] { FeedWriter::open(base(), "quotes", capped); });
  EXPECT_EQ(read({}, "quotes").committed_seq(), 0u);
  capped.base_shm_bytes_max = uint64_t{1} << 30;
  FeedWriter::open(base(), "quotes", capped);
  EXPECT_TRUE(shm_use(Id{}, root.path()).feeds.empty());
  EXPECT_EQ(shm_use(Id{}, root / "nowhere").bytes, 0u);
  EXPECT_GT(room_of(root.path()).total_bytes, 0u);
}

struct Later {
  uint64_t time_ns;
  uint64_t number;
  double value;
  uint64_t check;
  int32_t venue;
  uint8_t side;
  uint8_t pad[3];
};

class Evolution : public Settings {
 protected:
  static Schema later() { return test::row_schema().with({{"venue", "int32"}, {"side", "uint8{buy=1,sell=2}"}, {"pad", "_3"}}); }
  static Later later_of(uint64_t number) {
    const Row row = row_of(number);
    return {row.time_ns, row.number, row.value, row.check, static_cast<int32_t>(number) - 7, static_cast<uint8_t>(1 + number % 2),
            {}};
  }
  // [0, 1500) of the first version, [1500, 3000) of the second.
  void write_both() const {
    {
      auto writer = make(Storage::kTiered);
      append(writer, 0, 1500);
    }
    ASSERT_TRUE(evolve_feed(base(), "trades", later()));
    auto writer = FeedWriter::open(base(), "trades");
    for (uint64_t number = 1500; number < 3000; ++number) {
      const Appended done = writer.append(later_of(number));
      ASSERT_TRUE(done);
      ASSERT_EQ(done.seq, number);
    }
  }
};

TEST_F(Evolution, GivesEachRowAsItWasWrittenAndSaysByWhichVersion) {  // F-18
  write_both();
  auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
  EXPECT_EQ(reader.feed().schema_id, 2u);
  ASSERT_EQ(reader.feed().versions.size(), 2u);
  for (uint64_t number = 0; number < 3000; ++number) {
    const Item item = reader.next();
    ASSERT_EQ(item.kind, Item::Kind::kRow) << number;
    ASSERT_EQ(item.schema_id, number < 1500 ? 1u : 2u) << number;
    if (number < 1500) {
      ASSERT_EQ(item.row<Row>().check, row_of(number).check);
    } else {
      ASSERT_EQ(item.row<Later>().venue, static_cast<int32_t>(number) - 7);
    }
  }
  EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
  // Searches go across versions.
  EXPECT_EQ(reader.first_after(row_of(1499).time_ns), 1499u);
  EXPECT_EQ(reader.first_after(row_of(2000).time_ns), 2000u);
  EXPECT_EQ(reader.read_range({row_of(100).time_ns, row_of(200).time_ns}).size(), 100 * sizeof(Row));
  expect_fault(Fault::kUsage, "Projection", [&] { reader.read_range({}); });
  expect_fault(Fault::kUsage, "Projection", [&] { reader.read_column("venue", {}); });
  EXPECT_EQ(reader.read_column("number", {}).size(), 3000 * 8u) << "a field that all versions have";
  EXPECT_EQ(reader.read_column("venue", {row_of(1500).time_ns}).size(), 1500 * 4u);
}

TEST_F(Evolution, IsSeenByAReaderThatWasThereBefore) {  // F-18, F-95
  auto first = make(Storage::kTiered);
  append(first, 0, 10);
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 10);
  first.close();
  ASSERT_TRUE(evolve_feed(base(), "trades", later()));
  auto second = FeedWriter::open(base(), "trades");
  ASSERT_TRUE(second.append(later_of(10)));
  const Item item = reader.next(30 * kNsPerSecond);
  ASSERT_EQ(item.kind, Item::Kind::kRow);
  EXPECT_EQ(item.schema_id, 2u);
  EXPECT_EQ(item.row<Later>().venue, 3);
  EXPECT_EQ(reader.feed().versions.size(), 2u);
  EXPECT_EQ(reader.feed().schema.record_bytes(), sizeof(Row)) << "as this reader began";
}

TEST_F(Evolution, ProjectsAllVersionsToOne) {  // F-18
  write_both();
  auto reader = read();
  Later missing{};
  missing.venue = -1;
  missing.side = 9;
  const Projection newest(reader.feed(), later(), std::as_bytes(std::span(&missing, 1)));
  const auto rows = read_projected(reader, {row_of(1490).time_ns, row_of(1510).time_ns}, newest);
  ASSERT_EQ(rows.size(), 20 * sizeof(Later));
  for (uint64_t i = 0; i < 20; ++i) {
    const auto row = load<Later>(rows.data() + i * sizeof(Later));
    EXPECT_EQ(row.number, 1490 + i);
    EXPECT_EQ(row.venue, i < 10 ? -1 : static_cast<int32_t>(1490 + i) - 7);
    EXPECT_EQ(row.side, i < 10 ? 9 : 1 + i % 2);
  }
  // Some fields, in another order; and the first version's view.
  const Projection few(reader.feed(), Schema::rows({{"number", "u64"}, {"venue", "i32"}}));
  EXPECT_EQ(read_projected(reader, {}, few).size(), 3000 * 12u);
  const Projection oldest(reader.feed(), test::row_schema());
  const auto all = read_projected(reader, {}, oldest);
  ASSERT_EQ(all.size(), 3000 * sizeof(Row));
  EXPECT_EQ(load<Row>(all.data() + 2999 * sizeof(Row)).check, row_of(2999).check);
  expect_fault(Fault::kSchemaConflict, "'venue'",
               [&] { Projection(reader.feed(), Schema::rows({{"time_ns", "u64"}, {"venue", "f32"}})); });
  expect_fault(Fault::kUsage, "no version",
               [&] { Projection(reader.feed(), Schema::rows({{"time_ns", "u64"}, {"other", "f32"}})); });
  expect_fault(Fault::kUsage, "default row", [&] {
    Projection(reader.feed(), later(), Bytes());
    Projection(reader.feed(), later(), std::as_bytes(std::span("x")));
  });
  expect_fault(Fault::kResultTooLarge, "batches", [&] { read_projected(reader, {}, newest, 1000); });
  std::vector<std::byte> out(sizeof(Later));
  expect_fault(Fault::kUsage, "version 3", [&] { newest.apply(3, Bytes(out), out); });
}

TEST_F(Evolution, AllowsNothingButAdditions) {  // F-18
  make(Storage::kTiered);
  const auto refuse = [&](const Schema& schema, std::string_view why) {
    expect_fault(Fault::kSchemaConflict, why, [&] { evolve_feed(base(), "trades", schema); });
  };
  const Schema now = test::row_schema();
  refuse(Schema::rows({{"time_ns", "u64"}, {"number", "u64"}, {"value", "f64"}}), "check: removed");
  refuse(Schema::rows({{"time_ns", "u64"}, {"value", "f64"}, {"number", "u64"}, {"check", "u64"}}), "moved");
  refuse(Schema::rows({{"time_ns", "u64"}, {"number", "u64"}, {"value", "u64"}, {"check", "u64"}}), "value: another type");
  refuse(Schema::rows({{"time_ns", "u64"}, {"number", "u64"}, {"value", "f64"}, {"check", "u64"}}, 2), "clocks");
  refuse(Schema(now.with({{"x", "u8"}})).set_clock(0, {.unit = ClockUnit::kMs}), "clock time_ns");
  refuse(Schema::frames(), "only rows");
  EXPECT_FALSE(evolve_feed(base(), "trades", now)) << "as it is already";
  // A writer of the older schema is told, by name, what is different (F-6).
  evolve_feed(base(), "trades", later());
  expect_fault(Fault::kSchemaConflict, "venue", [&] { create_feed(base(), "trades", now, options(Storage::kTiered)); });
  // Values may be added to an enum, and none may change.
  refuse(now.with({{"venue", "int32"}, {"side", "uint8{buy=1,sold=2}"}, {"pad", "_3"}}), "2 is no longer 'sell'");
  EXPECT_TRUE(
      evolve_feed(base(), "trades", now.with({{"venue", "int32"}, {"side", "uint8{buy=1,sell=2,cross=3}"}, {"pad", "_3"}})));
  EXPECT_EQ(info().schema_id, 3u);
  auto writer = FeedWriter::open(base(), "trades");
  expect_fault(Fault::kWriterBusy, "held by", [&] { evolve_feed(base(), "trades", info().schema.with({{"z", "u8"}})); });
}

TEST_F(Evolution, OfAWriterThatWasKilledIsRecovered) {  // F-18, F-52
  make(Storage::kTiered);
  write_and_be_killed(0, 1500);
  ASSERT_TRUE(evolve_feed(base(), "trades", later()));
  auto writer = FeedWriter::open(base(), "trades");  // takes rows of the older version to disk
  ASSERT_TRUE(writer.append(later_of(1500)));
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 1500);
  EXPECT_EQ(reader.next().row<Later>().venue, 1493);
}

TEST_F(Evolution, OfALostSchemaFileIsReadFromChunks) {  // F-17, F-18
  write_both();
  ASSERT_EQ(::unlink((base() + "/feeds/trades/schema.bin").c_str()), 0);
  ASSERT_EQ(::unlink((base() + "/feeds/trades/schema-2.bin").c_str()), 0);
  EXPECT_EQ(info().versions.size(), 2u);
  EXPECT_EQ(info().schema, later());
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 1500);
  EXPECT_EQ(reader.next().row<Later>().venue, 1493);
}

TEST_F(Evolution, OfASchemaThatIsNotTheRegistrysIsRefused) {  // F-17
  write_both();
  const std::string path = base() + "/feeds/trades";
  write_file_atomically(Files::system(), path, "schema-2.bin", test::row_schema().with({{"venue", "int64"}}).encode(), 0640);
  expect_fault(Fault::kSchemaMismatch, "schema-2.bin", [&] { read(); });
  expect_fault(Fault::kSchemaMismatch, "schema-2.bin", [&] { FeedWriter::open(base(), "trades"); });
  write_file_atomically(Files::system(), path, "schema-2.bin", later().encode(), 0640);
  write_file_atomically(Files::system(), path, "schema.bin", Schema::rows({{"t", "u64"}}).encode(), 0640);
  expect_fault(Fault::kSchemaMismatch, "schema-2.bin", [&] { read(); });
}

TEST(Enums, AreIntegersWithNames) {  // F-16
  Schema schema = Schema::rows({{"t", "u64"},
                                {"side", "uint8{buy = 1, sell=2}"},
                                {"delta", "int16{down=-1,up=1}"},
                                {"v", "f64[3]"},
                                {"text", "fixedstr[12]"}});
  schema.set_unit("v", "m/s").describe("v", "velocity");
  const Schema again = Schema::decode(schema.encode());
  EXPECT_EQ(again, schema);
  EXPECT_EQ(again.field("side")->names, (std::vector<ValueName>{{1, "buy"}, {2, "sell"}}));
  EXPECT_EQ(again.field("delta")->names[0].value, -1);
  EXPECT_EQ(again.field("v")->unit, "m/s");
  EXPECT_EQ(again.field("v")->count, 3u);
  EXPECT_EQ(again.hash(),
            Schema::rows({{"t", "u64"}, {"side", "u8"}, {"delta", "i16"}, {"v", "f64[3]"}, {"text", "text[12]"}}).hash())
      << "the bytes are the same";
  for (const char* wrong : {"uint8{}", "uint8{a}", "uint8{a=256}", "uint8{a=-1}", "float32{a=1}", "uint8{a=1,a=2}",
                            "uint8{a=1,b=1}", "uint8{=1}", "bytes4{a=1}", "uint8{a=1x}"}) {
    expect_fault(Fault::kInvalidSchema, "side", [&] { Schema::rows({{"t", "u64"}, {"side", wrong}}); });
  }
}

}  // namespace
}  // namespace tidepool::feed

// Verify and repair: what is found, what is done about it, and that a second run has nothing to do.

#include <fcntl.h>

#include <fstream>
#include <map>
#include <random>
#include <set>

#include "tidepool/feed/index.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/repair.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using test::expect_fault;
using test::row_of;

constexpr uint64_t kRows = 300;  // three chunks of 128, 128 and 44

std::string all_of(const VerifyReport& report) {
  std::string text;
  for (const Finding& finding : report.findings) text += text_of(finding) + "\n";
  return text;
}

std::string all_of(const RepairReport& report) {
  std::string text;
  for (const RepairAction& action : report.actions) text += text_of(action) + "\n";
  for (const std::string& skipped : report.skipped) text += "skipped " + skipped + "\n";
  return text + all_of(report.left);
}

class CareTest : public test::FeedTest {
 protected:
  void fill(const std::string& name = "trades", Storage storage = Storage::kTiered) {
    auto small = options(storage);
    small.chunk_bytes = 4096;
    auto writer = FeedWriter::create(base(), name, test::row_schema(), small);
    append(writer, 0, kRows);
    writer.close();
  }
  std::string directory(const std::string& name = "trades") const { return base() + "/feeds/" + name; }
  std::string chunk(uint64_t ordinal) const { return directory() + "/" + chunk_name(ordinal); }
  static void put(const std::string& path, std::string_view content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  }
  static void flip(const std::string& path, size_t at, char bits = 1) {
    std::string content = shm::test::read_file(path);
    ASSERT_LT(at, content.size()) << path;
    content[at] = static_cast<char>(content[at] ^ bits);
    put(path, content);
  }
  // Exactly one finding of that kind, and of its kind alone besides notes.
  Finding only(const VerifyReport& report, std::string_view what) const {
    Finding found;
    for (const Finding& finding : report.findings) {
      if (finding.severity == Severity::kNote) continue;
      EXPECT_EQ(finding.what, what) << text_of(finding);
      if (finding.what == what) found = finding;
    }
    EXPECT_EQ(found.what, what) << all_of(report);
    return found;
  }
  // A dry run says what a run does; the run does it; another finds nothing; what it leaves is as `sound`.
  RepairReport repaired(bool sound = true) {
    const std::string before = tree();
    const RepairReport planned = repair_base(base(), {.dry_run = true});
    EXPECT_TRUE(tree() == before) << "a dry run changed something";
    const RepairReport done = repair_base(base());
    EXPECT_FALSE(done.failed()) << all_of(done);
    EXPECT_EQ(names_of(planned), names_of(done)) << all_of(planned) << "--\n" << all_of(done);
    EXPECT_EQ(done.left.sound(), sound) << all_of(done);
    const RepairReport again = repair_base(base());
    EXPECT_TRUE(again.actions.empty()) << all_of(again);
    return done;
  }
  static std::vector<std::string> names_of(const RepairReport& report) {
    std::vector<std::string> names;
    for (const RepairAction& action : report.actions) names.push_back(action.what + " " + action.path);
    return names;
  }
  static std::vector<std::string> words_of(const RepairReport& report) {
    std::vector<std::string> names;
    for (const RepairAction& action : report.actions) names.push_back(action.what);
    return names;
  }
  // Every file below the base, with its content.
  std::string tree() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root.path())) {
      files[entry.path().string()] = entry.is_regular_file() ? shm::test::read_file(entry.path().string()) : "";
    }
    std::string text;
    for (const auto& [path, content] : files) text += path + "\n" + content + "\n";
    return text;
  }
  void expect_all(uint64_t from = 0, uint64_t to = kRows) {
    auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
    expect_rows(reader, from, to);
    EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
  }
};

TEST_F(CareTest, AWholeBaseIsSoundAndLookingChangesNothing) {  // F-133, G-5
  fill();
  fill("frames", Storage::kDurable);
  fill("live", Storage::kMemory);
  const std::string before = tree();
  const VerifyReport report = verify_base(base());
  EXPECT_TRUE(report.findings.empty()) << all_of(report);
  EXPECT_EQ(report.feeds, 3u);
  EXPECT_EQ(report.records, 2 * kRows);
  EXPECT_EQ(report.bytes, 2 * kRows * sizeof(test::Row));
  EXPECT_TRUE(tree() == before) << "looking changed something";
  EXPECT_TRUE(repair_base(base()).actions.empty());
  expect_fault(Fault::kBaseNotFound, "registry.bin", [&] { verify_base(root / "elsewhere"); });
  expect_fault(Fault::kBaseNotFound, "registry.bin", [&] { repair_base(root / "elsewhere"); });
  EXPECT_FALSE(std::filesystem::exists(root / "elsewhere"));
  expect_fault(Fault::kFeedNotFound, "nothing", [&] { verify_feed(base(), "nothing"); });
  expect_fault(Fault::kInvalidName, "name", [&] { verify_feed(base(), "../x"); });
}

TEST_F(CareTest, WhileSomebodyWritesWhatIsDurableIsChecked) {  // F-133, G-5
  auto small = options(Storage::kTiered);
  small.chunk_bytes = 4096;
  for (const Storage storage : {Storage::kTiered, Storage::kDurable}) {
    small.storage = storage;
    const std::string name = concat("w", storage_name(storage));
    auto writer = FeedWriter::create(base(), name, test::row_schema(), small);
    append(writer, 0, 1000);
    writer.sync();
    append(writer, 1000, 1010);
    const VerifyReport report = verify_feed(base(), name);
    EXPECT_TRUE(report.sound()) << all_of(report);
    EXPECT_GE(report.records, 1000u);
    const RepairReport skipped = repair_base(base());  // F-132
    ASSERT_EQ(skipped.skipped.size(), 1u) << all_of(skipped);
    EXPECT_NE(skipped.skipped[0].find("feed writer"), std::string::npos) << skipped.skipped[0];
    EXPECT_TRUE(skipped.actions.empty());
    append(writer, 1010, 1020);
    writer.close();
  }
}

TEST_F(CareTest, ADamagedBlockIsNamedWithItsRecordsAndStaysDamaged) {  // F-133, F-135, X-9
  auto wide = options(Storage::kTiered);
  wide.chunk_bytes = 1 << 20;
  {
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), wide);
    append(writer, 0, 2000);
    writer.close();
  }
  const std::string content = shm::test::read_file(chunk(1));
  const ChunkHeader header = ChunkHeader::decode(std::as_bytes(std::span(content)), chunk(1));
  flip(chunk(1), header.data_offset + 5000);  // the second block: bytes 4096 to 8191, rows 128 to 255
  const VerifyReport found = verify_base(base());
  const Finding block = only(found, "chunk-block");
  EXPECT_EQ(block.severity, Severity::kDamage);
  EXPECT_EQ(block.feed, "trades");
  EXPECT_EQ(block.path, chunk(1));
  EXPECT_EQ(block.ordinal, 1u);
  EXPECT_EQ(block.first_seq, 128u);
  EXPECT_EQ(block.end_seq, 256u);
  EXPECT_NE(block.expected.find("block 1: checksum "), std::string::npos);
  const RepairReport report = repaired(false);
  ASSERT_EQ(words_of(report), std::vector<std::string>{"note-damage"}) << all_of(report);
  std::string note;
  for (const std::string& name : names_in(directory() + "/quarantine"))
    note = shm::test::read_file(directory() + "/quarantine/" + name);
  EXPECT_NE(note.find("records: 128 to 256\n"), std::string::npos) << note;
  EXPECT_NE(note.find("feed: trades\n"), std::string::npos) << note;
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 128);
  EXPECT_EQ(reader.next().gap.to, 256u);
  expect_rows(reader, 256, 2000);
}

TEST_F(CareTest, AChunkThatIsNoneAnyMoreGoesToQuarantineAndIsAGap) {  // F-30, F-134, F-135, X-9
  fill();
  flip(chunk(2), 60);
  const Finding header = only(verify_base(base()), "chunk-header");
  EXPECT_EQ(header.first_seq, 128u);
  EXPECT_EQ(header.end_seq, 256u);
  const RepairReport report = repaired();
  ASSERT_EQ(words_of(report), std::vector<std::string>{"quarantine-chunk"}) << all_of(report);
  EXPECT_FALSE(std::filesystem::exists(chunk(2)));
  EXPECT_EQ(names_in(directory() + "/quarantine").size(), 2u) << "the file and its note";
  auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
  expect_rows(reader, 0, 128);
  const Item gap = reader.next();
  ASSERT_EQ(gap.kind, Item::Kind::kGap);
  EXPECT_EQ(gap.gap.cause, GapCause::kDamaged);
  EXPECT_EQ(gap.gap.to, 256u);
  expect_rows(reader, 256, kRows);
}

TEST_F(CareTest, TheLastChunkInQuarantineIsAGapToo) {  // F-135, G-6
  fill();
  std::filesystem::remove(chunk(3));
  const Finding missing = only(verify_base(base()), "chunk-missing");
  EXPECT_EQ(missing.first_seq, 256u);
  EXPECT_EQ(missing.end_seq, kRows);
  EXPECT_EQ(words_of(repaired()), std::vector<std::string>{"mark-missing"});
  auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
  expect_rows(reader, 0, 256);
  const Item gap = reader.next();
  ASSERT_EQ(gap.kind, Item::Kind::kGap);
  EXPECT_EQ(gap.gap.from, 256u);
  EXPECT_EQ(gap.gap.to, kRows);
  EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
  auto writer = FeedWriter::open(base(), "trades");
  EXPECT_EQ(writer.recovery().next_seq, kRows) << "numbers are not given again";
}

TEST_F(CareTest, ALostRegistryOfAFeedIsRebuiltFromItsChunks) {  // X-8, F-30, F-53, F-114, F-134
  fill();
  {
    auto writer = FeedWriter::open(base(), "trades");
    append(writer, kRows, kRows + 50);
    writer.close();
  }
  const std::string path = directory() + "/feed_registry.bin";
  const std::string content = shm::test::read_file(path);
  for (const auto& damage : {std::string(), content.substr(0, 100), std::string(5000, 'x')}) {
    put(path, damage);
    only(verify_base(base()), "registry-header");
    const RepairReport report = repaired();
    EXPECT_EQ(words_of(report), std::vector<std::string>{"rebuild-registry"}) << all_of(report);
    expect_all(0, kRows + 50);
    auto reader = read();
    ASSERT_EQ(reader.epochs().size(), 2u);
    EXPECT_EQ(reader.epochs()[1].first_seq, kRows);
    ASSERT_EQ(reader.segments().size(), 2u);
    EXPECT_EQ(reader.segments()[0].end_seq, kRows);
    EXPECT_EQ(reader.segments()[0].clocks[0].max, row_of(kRows - 1).time_ns);
  }
  std::filesystem::remove(path);
  EXPECT_EQ(words_of(repaired()), std::vector<std::string>{"rebuild-registry"});
  auto writer = FeedWriter::open(base(), "trades");
  EXPECT_EQ(writer.recovery().next_seq, kRows + 50);
  EXPECT_GT(writer.epoch(), 2u);
  append(writer, kRows + 50, kRows + 60);
  writer.close();
  expect_all(0, kRows + 60);
}

TEST_F(CareTest, ALostEntryIsMadeAgain) {  // X-8, F-21, F-134
  fill();
  const std::string path = directory() + "/feed_registry.bin";
  const std::string content = shm::test::read_file(path);
  const size_t entries = (content.size() - kLogHeaderBytes) / kFeedEntryBytes;
  for (size_t entry = 0; entry < entries; ++entry) {
    flip(path, kLogHeaderBytes + entry * kFeedEntryBytes + 40);
    const Finding finding = only(verify_base(base()), "registry-entry");
    EXPECT_NE(finding.expected.find(concat("entry ", entry, ": checksum")), std::string::npos);
    const auto words = words_of(repaired());
    ASSERT_FALSE(words.empty());
    EXPECT_EQ(words.front(), "rebuild-registry") << entry;
    expect_all();
    std::filesystem::remove_all(directory() + "/quarantine");
    put(path, content);
  }
}

// What a power cut may leave: entries of a chunk were not synced, and those of the next are there all the same.
TEST_F(CareTest, AChunkWhoseEndTheRegistryDoesNotHaveIsReadAndIsNoDamage) {  // X-2, F-3, F-133, G-3
  fill();
  const std::string path = directory() + "/feed_registry.bin";
  const std::string content = shm::test::read_file(path);
  const size_t entries = (content.size() - kLogHeaderBytes) / kFeedEntryBytes;
  uint64_t chunks = 0;
  for (uint64_t ordinal = 1; ordinal < 100; ++ordinal) {
    std::string left = content;
    bool later = false;
    uint64_t lost = 0;
    for (size_t entry = 0; entry < entries; ++entry) {
      char* at = left.data() + kLogHeaderBytes + entry * kFeedEntryBytes;
      const auto type = load<uint16_t>(reinterpret_cast<const std::byte*>(at) + 4);
      const auto of = load<uint64_t>(reinterpret_cast<const std::byte*>(at) + 32);
      const bool ends = type == static_cast<uint16_t>(FeedEntry::kChunkSealed) || type == static_cast<uint16_t>(FeedEntry::kChunkPersisted);
      later |= ends && of > ordinal;
      if (!ends || of != ordinal) continue;
      std::memset(at, 0, kFeedEntryBytes);
      ++lost;
    }
    if (lost == 0 || !later) continue;
    ++chunks;
    put(path, left);
    expect_all();
    const VerifyReport report = verify_base(base());
    for (const Finding& finding : report.findings) EXPECT_NE(finding.severity, Severity::kDamage) << text_of(finding);
    repaired();
    expect_all();
    EXPECT_TRUE(verify_base(base()).sound());
    put(path, content);
  }
  EXPECT_GE(chunks, 2u);
}

TEST_F(CareTest, AReaderStaysOnWhileTheRegistryIsRepaired) {  // F-27, F-95, F-134
  fill();
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 10);
  flip(directory() + "/feed_registry.bin", kLogHeaderBytes + kFeedEntryBytes + 40);
  repaired();
  expect_rows(reader, 10, kRows);
  auto writer = FeedWriter::open(base(), "trades");
  append(writer, kRows, kRows + 100);
  expect_rows(reader, kRows, kRows + 100);
}

TEST_F(CareTest, TheBasesRegistryIsRebuiltFromFeedDirectories) {  // F-5, X-8
  fill();
  auto special = options(Storage::kDurable);
  special.retention_bytes = 123'456'789;
  special.live_chunks = 7;
  create_feed(base(), "special", Schema::frames({"t"}, 4096), special);
  create_feed(base(), "gone", test::row_schema(), special);
  delete_feed(base(), "gone");
  const auto before = GlobalRegistry::open(base()).feeds();
  const std::string path = base() + "/registry.bin";
  const std::string content = shm::test::read_file(path);
  for (const auto& damage : {std::string(), content.substr(0, 4000), std::string(9000, '\0')}) {
    put(path, damage);
    EXPECT_FALSE(verify_base(base()).sound());
    const RepairReport report = repaired();
    EXPECT_EQ(words_of(report), std::vector<std::string>{"rebuild-registry"}) << all_of(report);
    const auto after = GlobalRegistry::open(base()).feeds();
    ASSERT_EQ(after.size(), before.size());
    for (const auto& [name, feed] : before) {
      const FeedInfo& rebuilt = after.at(name);
      EXPECT_EQ(rebuilt.id, feed.id);
      EXPECT_EQ(rebuilt.base_id, feed.base_id);
      EXPECT_EQ(rebuilt.options, feed.options);
      EXPECT_EQ(rebuilt.schema_hash, feed.schema_hash);
      EXPECT_EQ(rebuilt.layout, feed.layout);
    }
    expect_all();
  }
  std::filesystem::remove(path);
  expect_fault(Fault::kBaseNotFound, "repair", [&] { verify_base(base()); });
  EXPECT_EQ(words_of(repaired()), std::vector<std::string>{"rebuild-registry"});
  expect_all();
}

TEST_F(CareTest, AFeedThatTheRegistryHasForgottenIsRegisteredAgain) {  // F-5, F-7, F-134
  fill();
  fill("other");
  // The first entry, of trades, rots.
  flip(base() + "/registry.bin", kLogHeaderBytes + 30);
  const VerifyReport report = verify_base(base());
  std::set<std::string> words;
  for (const Finding& finding : report.findings) words.insert(finding.what);
  EXPECT_EQ(words, (std::set<std::string>{"registry-entry", "orphan-feed"})) << all_of(report);
  EXPECT_EQ(words_of(repaired()), (std::vector<std::string>{"rewrite-registry", "register-feed"}));
  expect_all();
  // A creator that died leaves a directory without an entry, or one that was never finished.
  std::filesystem::copy(directory(), base() + "/feeds/.tmp-1234", std::filesystem::copy_options::recursive);
  EXPECT_EQ(words_of(repaired()), std::vector<std::string>{"remove-leftover"});
  // A copy of a feed under another name is no feed of its own, and one of another base none of this.
  std::filesystem::copy(directory(), base() + "/feeds/twin", std::filesystem::copy_options::recursive);
  EXPECT_EQ(words_of(repaired()), std::vector<std::string>{"quarantine-feed"});
  EXPECT_FALSE(std::filesystem::exists(base() + "/feeds/twin"));
  EXPECT_EQ(names_in(base() + "/quarantine").size(), 3u) << "the old registry, the directory, its note";
  expect_all();
}

TEST_F(CareTest, PartsOfAChunkThatHoldNoRecordAreWrittenAgain) {  // F-134, F-17, F-35
  fill();
  const std::string whole = shm::test::read_file(chunk(1));
  const ChunkHeader header = ChunkHeader::decode(std::as_bytes(std::span(whole)), chunk(1));
  const std::map<std::string, size_t> parts{{"chunk-activation", kActivationAt + 2},
                                            {"chunk-schema", header.schema_offset + 30},
                                            {"chunk-table", header.table_offset + 1},
                                            {"chunk-reserved", header.table_offset + header.table_bytes + 5},
                                            {"chunk-footer", whole.size() - 100}};
  for (const auto& [what, at] : parts) {
    flip(chunk(1), at, 0x10);
    EXPECT_EQ(only(verify_base(base()), what).severity, Severity::kRepairable);
    const auto words = words_of(repaired());
    ASSERT_FALSE(words.empty()) << what;
    EXPECT_EQ(words.front(), "mend-chunk") << what;
    // The times of activation and of sealing are nowhere else.
    const std::string mended = shm::test::read_file(chunk(1));
    EXPECT_EQ(mended.size(), whole.size());
    EXPECT_TRUE(what == "chunk-activation" || what == "chunk-footer" || mended == whole)
        << what << ": not the same bytes as before";
    put(chunk(1), whole);
  }
  put(chunk(1), whole.substr(0, whole.size() - 50));  // the footer cut off
  EXPECT_EQ(only(verify_base(base()), "chunk-footer").severity, Severity::kRepairable);
  repaired();
  EXPECT_EQ(shm::test::read_file(chunk(1)).size(), whole.size());
  expect_all();
}

TEST_F(CareTest, IndexSchemaAndDefinitionAreMadeAgain) {  // F-34, F-17, F-134
  fill();
  const std::map<std::string, std::string> cases{
      {index_name(1), "rebuild-index"}, {"schema.bin", "rewrite-schema"}, {"definition.bin", "rewrite-definition"}};
  for (const auto& [name, word] : cases) {
    const std::string path = directory() + "/" + name;
    const std::string whole = shm::test::read_file(path);
    for (int way = 0; way < 3; ++way) {
      if (way == 0) std::filesystem::remove(path);
      if (way == 1) put(path, whole.substr(0, whole.size() / 2));
      if (way == 2) flip(path, whole.size() / 2);
      EXPECT_FALSE(verify_base(base()).sound()) << name;
      EXPECT_EQ(words_of(repaired()), std::vector<std::string>{word}) << name;
      // A definition remembers when it was written.
      EXPECT_TRUE(name == "definition.bin" || shm::test::read_file(path) == whole) << name;
    }
  }
}

TEST_F(CareTest, WhatAKilledWriterLeftIsFinished) {  // F-47, F-67, F-134, X-15
  for (const Storage storage : {Storage::kTiered, Storage::kDurable}) {
    const std::string name = concat("left", storage_name(storage));
    auto small = options(storage);
    small.chunk_bytes = 4096;
    create_feed(base(), name, test::row_schema(), small);
    test::Helper crash([&](const test::Helper& self) {
      auto writer = FeedWriter::open(base(), name);
      for (uint64_t number = 0; number < 1000; ++number) EXPECT_TRUE(writer.append(row_of(number)));
      self.ready();
      self.sleep_for_ever();
    });
    ASSERT_EQ(crash.wait_ready(), 0);
    crash.kill();
    const VerifyReport seen = verify_feed(base(), name);
    EXPECT_EQ(seen.count(Severity::kDamage), 0u) << all_of(seen);
    for (const Finding& found : seen.findings)  // a file that was being made when the kill came is in nobody's way
      EXPECT_TRUE(found.severity == Severity::kNote || found.what == "leftover") << text_of(found);
    const RepairReport report = repaired();
    EXPECT_NE(std::find(words_of(report).begin(), words_of(report).end(), "finish-chunk"), words_of(report).end())
        << all_of(report);
    auto reader = FeedReader::open(base(), name, {.from = At::oldest(), .stop_when_inactive = true});
    expect_rows(reader, 0, 1000);
    EXPECT_EQ(reader.durable_seq(), 1000u);
    EXPECT_EQ(names_in(root.path()).size(), 1u) << "live objects are left";
  }
}

TEST_F(CareTest, AnInterruptedDeleteIsFinished) {  // F-11, F-134
  fill();
  fill("other");
  const FeedInfo feed = find_feed(base(), "trades", Files::system());
  write_global(base(), GlobalEntry::kDeleting, feed, Files::system());
  std::filesystem::remove(chunk(1));
  EXPECT_EQ(only(verify_base(base()), "delete-unfinished").path, directory());
  EXPECT_EQ(words_of(repaired()), std::vector<std::string>{"finish-delete"});
  EXPECT_FALSE(std::filesystem::exists(directory()));
  EXPECT_EQ(GlobalRegistry::open(base()).feeds().size(), 1u);
}

TEST_F(CareTest, AFalseMarkOfReplacementIsCleared) {  // F-27, X-8
  fill();
  const std::string path = directory() + "/feed_registry.bin";
  for (const char mark : {1, 2, 64}) {
    flip(path, kLogMarkAt, mark);
    only(verify_base(base()), "registry-mark");
    EXPECT_EQ(words_of(repaired()), std::vector<std::string>{"clear-mark"});
    expect_all();
  }
}

TEST_F(CareTest, AContradictionBetweenRegistryAndChunkIsDecidedByTheChunk) {  // F-21
  fill();
  const FeedInfo feed = find_feed(base(), "trades", Files::system());
  {
    // The entry of the second chunk claims ten records less.
    const std::string path = directory() + "/feed_registry.bin";
    auto registry = FeedRegistry::open(feed, Files::system(), true);
    std::string content = shm::test::read_file(path);
    for (size_t at = kLogHeaderBytes; at < content.size(); at += kFeedEntryBytes) {
      if (load<uint16_t>(content.data() + at + 4) < 4 || load<uint16_t>(content.data() + at + 4) > 5 ||
          load<uint64_t>(content.data() + at + 32) != 2)
        continue;
      FeedRecord record = decode_feed_record({load<uint16_t>(content.data() + at + 4), 0, load<uint64_t>(content.data() + at + 16),
                                              std::as_bytes(std::span(content)).subspan(at, kFeedEntryBytes)});
      record.count -= 10;
      const RegistryLog::Identity identity{.magic = kFeedMagic, .entry_bytes = kFeedEntryBytes};
      const auto entry = RegistryLog::entry(identity, static_cast<uint16_t>(record.type), (at - kLogHeaderBytes) / kFeedEntryBytes,
                                            record.wall_ns, encode(record));
      std::memcpy(content.data() + at, entry.data(), entry.size());
    }
    put(path, content);
  }
  EXPECT_FALSE(verify_base(base()).sound());
  EXPECT_EQ(words_of(repaired()), std::vector<std::string>{"rebuild-registry"});
  expect_all();
}

TEST_F(CareTest, StrangersAreToldAndLeftAlone) {  // F-133
  fill();
  put(directory() + "/notes.txt", "mine");
  const VerifyReport report = verify_base(base());
  EXPECT_TRUE(report.sound());
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].what, "stray");
  EXPECT_TRUE(repair_base(base()).actions.empty());
  EXPECT_TRUE(std::filesystem::exists(directory() + "/notes.txt"));
}

}  // namespace
}  // namespace tidepool::feed

// The two registries as logs: what readers see of them while others write, lock, die and write what this program does not know.

#include "tidepool/feed/registry.h"

#include <fcntl.h>

#include <array>
#include <fstream>
#include <thread>

#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/repair.h"
#include "tidepool/feed/settings.h"
#include "tidepool/feed/test_faulty_files.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed::registry_test {
namespace {

using test::expect_fault;
using test::FaultyFiles;
using test::row_of;

class RegistryTest : public test::FeedTest {
 protected:
  FeedInfo info(const std::string& name = "trades") const { return find_feed(base(), name, Files::system()); }
  std::string path() const { return base() + "/feeds/trades/feed_registry.bin"; }
  std::string global_path() const { return base() + "/registry.bin"; }
  bool create(const std::string& name, Files& files = Files::system()) const {
    return create_feed(base(), name, test::row_schema(), options(Storage::kTiered), files);
  }
  // A feed of one chunk on disk, with rows [0, 100).
  void write_some() const {
    auto writer = make(Storage::kTiered);
    append(writer, 0, 100);
  }
  void add(FeedEntry type, uint64_t ordinal, uint64_t epoch = 1) const {
    FeedRecord record;
    record.type = type;
    record.ordinal = ordinal;
    record.epoch = epoch;
    FeedRegistry::open(info(), Files::system(), true).append(record, false);
  }
  uint64_t entries() const { return (std::filesystem::file_size(path()) - kLogHeaderBytes) / kFeedEntryBytes; }
};

// Kills this process where an entry has been written, and not yet counted.
class DiesBeforeCounting : public SystemFiles {
 public:
  explicit DiesBeforeCounting(std::string path) : path_(std::move(path)) {}
  int open(const std::string& path, int flags, mode_t mode) noexcept override {
    const int fd = SystemFiles::open(path, flags, mode);
    if (path == path_) fd_ = fd;
    return fd;
  }
  ssize_t pwrite(int fd, const void* from, size_t bytes, uint64_t offset) noexcept override {
    const ssize_t written = SystemFiles::pwrite(fd, from, bytes, offset);
    if (fd == fd_) ::raise(SIGKILL);
    return written;
  }

 private:
  std::string path_;
  int fd_ = -1;
};

TEST_F(RegistryTest, AnEntryWhoseWriterDiedBeforeItWasCountedIsSeenByNobody) {  // F-3, F-24
  write_some();
  auto attached = FeedRegistry::open(info(), Files::system(), false);
  const uint64_t before = entries();
  const size_t losses = attached.losses().size();
  test::Helper writer([&](const test::Helper&) {
    DiesBeforeCounting files(path());
    FeedRecord record;
    record.type = FeedEntry::kLoss;
    record.first_seq = 7;
    FeedRegistry::open(info(), files, true).append(record, true);
  });
  EXPECT_FALSE(writer.join()) << "it was killed";
  ASSERT_EQ(entries(), before + 1) << "the entry lies there whole";
  EXPECT_FALSE(attached.refresh());
  EXPECT_EQ(attached.losses().size(), losses);
  auto opened = FeedRegistry::open(info(), Files::system(), false);
  EXPECT_EQ(opened.losses().size(), losses) << "nor by who comes later";
  EXPECT_TRUE(opened.warnings().empty());
  // Whoever changes something next takes it in, and writes over nothing.
  add(FeedEntry::kSettingsChanged, 0);
  for (FeedRegistry* registry : {&attached, &opened}) {
    EXPECT_TRUE(registry->refresh());
    ASSERT_EQ(registry->losses().size(), losses + 1);
    EXPECT_EQ(registry->losses().back().first_seq, 7u);
    EXPECT_EQ(registry->settings_changes(), 1u);
  }
  EXPECT_EQ(entries(), before + 2);
}

TEST_F(RegistryTest, ACreationThatDiedBeforeItWasCountedNeverWas) {  // F-3, F-7
  create("other");
  auto attached = GlobalRegistry::open(base());
  test::Helper creator([&](const test::Helper&) {
    DiesBeforeCounting files(global_path());
    create("trades", files);
  });
  EXPECT_FALSE(creator.join());
  attached.refresh();
  EXPECT_EQ(attached.find("trades"), nullptr);
  EXPECT_EQ(GlobalRegistry::open(base()).find("trades"), nullptr);
  EXPECT_NE(attached.find("other"), nullptr);
  create("third");  // and takes in what was whole
  EXPECT_NE(GlobalRegistry::open(base()).find("third"), nullptr);
  EXPECT_FALSE(create("trades")) << "it is there, as defined";
  auto writer = FeedWriter::open(base(), "trades");
  append(writer, 0, 10);
}

TEST_F(RegistryTest, WhatWasNeverCountedIsKnownToWhoChangesSomething) {  // F-3, F-7, F-6, F-11
  create("other");
  {
    test::Helper creator([&](const test::Helper&) {
      DiesBeforeCounting files(global_path());
      create("trades", files);
    });
    EXPECT_FALSE(creator.join());
  }
  const Id first = RegistryLog::open(Files::system(), path(), kFeedMagic, kFeedEntryBytes, false).identity().feed_id;
  EXPECT_FALSE(create("trades")) << "not another one under that name, whose files would be the first one's";
  EXPECT_EQ(info().id, first);
  {
    test::Helper remover([&](const test::Helper&) {
      DiesBeforeCounting files(global_path());
      delete_feed(base(), "trades", false, files);
    });
    EXPECT_FALSE(remover.join());
  }
  auto reader = read();  // nobody has heard that it is to go
  EXPECT_FALSE(repair_base(base()).failed());
  expect_fault(Fault::kFeedNotFound, "trades", [&] { read(); });
  EXPECT_TRUE(verify_base(base()).sound());
  EXPECT_TRUE(repair_base(base()).actions.empty());
}

TEST_F(RegistryTest, HalfAnEntryIsNeverSeenAndCutOff) {  // F-3, F-24, X-1, X-2
  write_some();
  const uint64_t before = entries();
  for (const size_t bytes : {100u, 256u, 700u}) {
    std::ofstream(path(), std::ios::binary | std::ios::app) << std::string(bytes, 'x');
    auto reader = read();
    EXPECT_TRUE(reader.warnings().empty());
    // As who writes does first: or else a power cut could bring it back below the count of what was written over it.
    RegistryLog::open(Files::system(), path(), kFeedMagic, kFeedEntryBytes, true).settle();
    EXPECT_EQ(std::filesystem::file_size(path()), kLogHeaderBytes + before * kFeedEntryBytes);
  }
  std::ofstream(path(), std::ios::binary | std::ios::app) << std::string(100, 'x');
  add(FeedEntry::kSettingsChanged, 0);
  EXPECT_EQ(entries(), before + 1);
  EXPECT_TRUE(read().warnings().empty());
}

TEST_F(RegistryTest, AfterAPowerCutEntriesThatTheCountHasNotReachedAreSeen) {  // F-3, X-2, X-8
  write_some();
  // As another boot finds it: the page of the count is older than the entries, which were synced.
  std::string content = shm::test::read_file(path());
  const uint64_t all = entries();
  const uint64_t older = 1;
  std::memcpy(content.data() + kLogCountAt, &older, sizeof older);
  std::memset(content.data() + kLogBootAt, 0x5a, 16);
  shm::test::write_file(path(), content);
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 100);
  add(FeedEntry::kSettingsChanged, 0);  // behind them, not over them
  EXPECT_EQ(entries(), all + 1);
  auto again = read({.from = At::oldest(), .stop_when_inactive = true});
  expect_rows(again, 0, 100);
  EXPECT_EQ(again.next().kind, Item::Kind::kEnded);
  EXPECT_TRUE(again.warnings().empty());
}

TEST_F(RegistryTest, InACopyOrASnapshotEntriesThatTheCountHasNotReachedAreSeen) {  // F-3, F-153, X-20
  write_some();
  // A snapshot on the boot that counted: entries were synced, the page of the count was not.
  std::filesystem::copy(base(), root / "snapshot", std::filesystem::copy_options::recursive);
  for (const char* name : {"/registry.bin", "/feeds/trades/feed_registry.bin"}) {
    std::string content = shm::test::read_file(concat(root / "snapshot", name));
    const uint64_t older = 0, check = ~older;
    std::memcpy(content.data() + kLogCountAt, &older, sizeof older);
    std::memcpy(content.data() + kLogCheckAt, &check, sizeof check);
    shm::test::write_file(concat(root / "snapshot", name), content);
  }
  auto reader = FeedReader::open(root / "snapshot", "trades", {.from = At::oldest()});
  expect_rows(reader, 0, 100);
}

TEST_F(RegistryTest, IsAppendedToWhileReadersSeeTheStateBeforeOrAfter) {  // F-3, F-105, G-4
  create("first");
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> looks{0};
  std::thread looker([&] {
    auto registry = GlobalRegistry::open(base());
    uint64_t seen = 1;
    while (!stop) {
      registry.refresh();
      const uint64_t now = registry.feeds().size();
      EXPECT_GE(now, seen) << "nothing that was seen goes away or moves";
      EXPECT_TRUE(registry.warnings().empty());
      EXPECT_NE(registry.find("first"), nullptr);
      seen = now;
      looks.fetch_add(1);
    }
    registry.refresh();
    EXPECT_EQ(registry.feeds().size(), 31u);
  });
  std::string before = shm::test::read_file(global_path());
  for (int i = 0; i < 30; ++i) {
    create(concat("feed", i));
    const std::string after = shm::test::read_file(global_path());
    EXPECT_EQ(after.size(), before.size() + kGlobalEntryBytes);
    EXPECT_TRUE(std::equal(before.begin() + kLogHeaderBytes, before.end(), after.begin() + kLogHeaderBytes))
        << "what is there stays";
    before = after;
  }
  until([&] { return looks.load() > 3; });
  stop = true;
  looker.join();
}

TEST_F(RegistryTest, IsLockedForAChangeAndWhoWaitsTooLongIsToldByWhom) {  // F-4
  write_some();
  create("other");
  EXPECT_EQ(kLockTimeoutNs, 2 * kNsPerSecond);
  test::Helper holder([&](const test::Helper& self) {
    const auto lock = lock_within(base(), kRegistryLockName, "somebody who takes long", 0, Fault::kRegistryBusy);
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(holder.wait_ready(), 0);
  const std::string pid = concat("(pid ", holder.pid(), ", running since");
  // All at once: each waits for the whole time.
  const uint64_t begin_ns = monotonic_ns();
  FeedOptions changed = info().options;
  changed.live_chunks = 7;
  std::array<std::thread, 4> waiting = {
      std::thread([&] { expect_fault(Fault::kRegistryBusy, pid, [&] { create("new"); }); }),
      std::thread([&] { expect_fault(Fault::kRegistryBusy, "somebody who takes long", [&] { delete_feed(base(), "other"); }); }),
      std::thread([&] { expect_fault(Fault::kRegistryBusy, pid, [&] { change_feed(base(), "trades", changed); }); }),
      std::thread([&] {
        const Schema more = test::row_schema().with({{"x", "u8"}});
        expect_fault(Fault::kRegistryBusy, pid, [&] { evolve_feed(base(), "trades", more); });
      }),
  };
  auto reader = read({.from = At::oldest()});  // and readers are as if there were no lock
  expect_rows(reader, 0, 100);
  for (std::thread& thread : waiting) thread.join();
  EXPECT_GE(monotonic_ns() - begin_ns, kLockTimeoutNs);
  EXPECT_EQ(GlobalRegistry::open(base()).feeds().size(), 2u);
  holder.kill();  // the lock goes with its holder
  EXPECT_TRUE(create("new"));
}

TEST_F(RegistryTest, OfAFeedIsLockedForAnEntryAndFreedByTheDeathOfItsHolder) {  // F-4
  write_some();
  test::Helper holder([&](const test::Helper& self) {
    const auto lock = lock_within(info().directory, kAppendLockName, "a slow entry", 0, Fault::kRegistryBusy);
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(holder.wait_ready(), 0);
  expect_fault(Fault::kRegistryBusy, concat("a slow entry (pid ", holder.pid()),
               [&] { lock_within(info().directory, kAppendLockName, "another", 20 * kNsPerMs, Fault::kRegistryBusy); });
  std::atomic<bool> done{false};
  std::thread waiting([&] {
    add(FeedEntry::kSettingsChanged, 0);
    done = true;
  });
  EXPECT_FALSE(done);
  holder.kill();
  waiting.join();
  EXPECT_TRUE(done);
}

TEST_F(RegistryTest, IgnoresImpossibleStepsWithAWarningAndRepairTakesThemOut) {  // F-23
  write_some();
  const uint64_t ordinal = read().chunks().front().ordinal;
  const uint64_t good = entries();
  add(FeedEntry::kChunkOpened, ordinal);     // PERSISTED -> OPEN
  add(FeedEntry::kChunkSealed, ordinal);     // PERSISTED -> SEALED
  add(FeedEntry::kChunkAbandoned, ordinal);  // what holds records was never empty
  add(FeedEntry::kChunkOpened, 0);           // no chunk at all
  add(FeedEntry::kEpochOpened, 0, 1);        // an epoch that was already
  auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
  expect_rows(reader, 0, 100);
  EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
  EXPECT_EQ(reader.chunks().front().state, ChunkState::kPersisted);
  EXPECT_EQ(reader.warnings().size(), 5u);
  EXPECT_NE(reader.warnings().front().find("an impossible step of a chunk's life"), std::string::npos) << reader.warnings().front();
  const VerifyReport verified = verify_base(base());
  EXPECT_EQ(std::count_if(verified.findings.begin(), verified.findings.end(),
                          [](const Finding& f) { return f.what == "registry-step" && f.severity == Severity::kRepairable; }),
            5);
  RepairOptions dry;
  dry.dry_run = true;
  EXPECT_EQ(repair_base(base(), dry).actions.size(), 1u);
  EXPECT_EQ(entries(), good + 5) << "a dry run changes nothing";
  const RepairReport repaired = repair_base(base());
  ASSERT_EQ(repaired.actions.size(), 1u);
  EXPECT_EQ(repaired.actions[0].what, "rebuild-registry");
  EXPECT_EQ(entries(), good);
  EXPECT_TRUE(verify_base(base()).sound());
  EXPECT_TRUE(repair_base(base()).actions.empty());
  auto again = read({.from = At::oldest(), .stop_when_inactive = true});
  expect_rows(again, 0, 100);
  EXPECT_TRUE(again.warnings().empty());
}

TEST_F(RegistryTest, LetsNothingComeBackFromWhatExpiredOrWasNeverUsed) {  // F-23, F-25
  const auto state_after = [&](std::initializer_list<FeedEntry> steps) {
    std::vector<FeedRecord> records;
    for (const FeedEntry step : steps) {
      records.emplace_back();
      records.back().type = step;
      records.back().ordinal = 1;
      records.back().epoch = 1;
    }
    const FeedRegistry registry = FeedRegistry::of_records({}, records);
    return std::pair(registry.chunk(1)->state, registry.impossible().size());
  };
  using enum FeedEntry;
  EXPECT_EQ(state_after({kChunkOpened, kChunkSealed, kChunkPersisted, kChunkExpired}), std::pair(ChunkState::kExpired, size_t{0}));
  // One in between was damaged.
  EXPECT_EQ(state_after({kChunkOpened, kChunkPersisted}), std::pair(ChunkState::kPersisted, size_t{0}));
  EXPECT_EQ(state_after({kChunkOpened, kChunkSealed, kChunkSealed}), std::pair(ChunkState::kSealed, size_t{0}));
  EXPECT_EQ(state_after({kChunkOpened, kChunkAbandoned}), std::pair(ChunkState::kAbandoned, size_t{0}));
  EXPECT_EQ(state_after({kChunkPersisted, kChunkQuarantined, kChunkPersisted}), std::pair(ChunkState::kPersisted, size_t{0}));
  for (const FeedEntry back : {kChunkOpened, kChunkSealed, kChunkPersisted, kChunkAbandoned, kChunkQuarantined})
    EXPECT_EQ(state_after({kChunkPersisted, kChunkExpired, back}), std::pair(ChunkState::kExpired, size_t{1}));
  for (const FeedEntry back : {kChunkOpened, kChunkSealed, kChunkPersisted, kChunkExpired, kChunkQuarantined})
    EXPECT_EQ(state_after({kChunkOpened, kChunkAbandoned, back}), std::pair(ChunkState::kAbandoned, size_t{1}));
  EXPECT_EQ(state_after({kChunkSealed, kChunkOpened}), std::pair(ChunkState::kSealed, size_t{1}));
  EXPECT_EQ(state_after({kChunkQuarantined, kChunkExpired}), std::pair(ChunkState::kQuarantined, size_t{1}));
}

TEST_F(RegistryTest, SkipsWhatItDoesNotKnowWithAWarning) {  // F-24, X-22
  write_some();
  add(static_cast<FeedEntry>(77), 1);
  {
    auto writer = FeedWriter::open(base(), "trades");
    append(writer, 100, 200);
    auto log = RegistryLog::open(Files::system(), global_path(), kGlobalMagic, kGlobalEntryBytes, true);
    log.append(99, realtime_ns(), encode_feed(writer.feed()), true);
    FeedInfo strange = writer.feed();
    strange.options.storage = static_cast<Storage>(9);
    strange.name = "strange";
    log.append(static_cast<uint16_t>(GlobalEntry::kCreated), realtime_ns(), encode_feed(strange), true);
  }
  create("later");
  const auto global = GlobalRegistry::open(base());
  EXPECT_EQ(global.feeds().size(), 2u);
  ASSERT_EQ(global.warnings().size(), 2u);
  EXPECT_NE(global.warnings()[0].find("does not know and was skipped"), std::string::npos) << global.warnings()[0];
  auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
  expect_rows(reader, 0, 200);
  EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
  ASSERT_EQ(reader.warnings().size(), 1u);
  EXPECT_NE(reader.warnings()[0].find("of a kind that this program does not know"), std::string::npos) << reader.warnings()[0];
  // It may mean something to a newer program: no repair takes it out.
  EXPECT_TRUE(verify_base(base()).sound());
  repair_base(base());
  EXPECT_EQ(read().warnings().size(), 1u);
}

TEST_F(RegistryTest, IsOneFileThatAllProcessesShare) {  // F-2, F-22, X-6
  create("trades");
  auto reader = read();
  auto global = GlobalRegistry::open(base());
  TIDEPOOL_IN_CHILD([&] {
    auto writer = FeedWriter::open(base(), "trades");
    append(writer, 0, 3000);
    writer.close();
    create("second");
  });
  // No copy that could be older: what another process appended is seen by who was attached before, in its order.
  global.refresh();
  EXPECT_NE(global.find("second"), nullptr);
  const std::vector<ChunkInfo> seen = reader.chunks();
  ASSERT_GE(seen.size(), 3u);
  for (size_t i = 1; i < seen.size(); ++i) EXPECT_EQ(seen[i].ordinal, seen[i - 1].ordinal + 1);
  const auto fresh = FeedRegistry::open(info(), Files::system(), true);
  ASSERT_EQ(fresh.chunks().size(), seen.size());
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(fresh.chunks()[i].ordinal, seen[i].ordinal);
    EXPECT_EQ(fresh.chunks()[i].state, seen[i].state);
  }
}

TEST_F(RegistryTest, ShorterThanAHeaderIsDamageAndNotANewOne) {  // F-2, F-22, X-8, X-22, G-5
  write_some();
  for (const std::string& file : {global_path(), path()}) {
    const std::string whole = shm::test::read_file(file);
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{127}, kLogHeaderBytes - 1}) {
      shm::test::write_file(file, whole.substr(0, bytes));
      expect_fault(Fault::kCorrupt, file, [&] { read(); });
      expect_fault(Fault::kCorrupt, file, [&] { FeedWriter::open(base(), "trades"); });
      EXPECT_EQ(std::filesystem::file_size(file), bytes) << "nobody makes it anew";
    }
    std::string newer = whole;
    newer[8] = 2;
    shm::test::write_file(file, newer);
    expect_fault(Fault::kUnsupportedVersion, file, [&] { read(); });
    shm::test::write_file(file, whole);
  }
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 100);
}

// Counts what is read.
class CountingFiles : public SystemFiles {
 public:
  ssize_t pread(int fd, void* to, size_t bytes, uint64_t offset) noexcept override {
    const ssize_t got = SystemFiles::pread(fd, to, bytes, offset);
    if (got > 0) bytes_read += static_cast<uint64_t>(got);
    return got;
  }
  std::atomic<uint64_t> bytes_read{0};
};

TEST_F(RegistryTest, FindsOneOfAHundredThousandFeedsInAMillisecond) {  // F-9
  constexpr uint64_t kFeeds = shm::test::kSanitized ? 10'000 : 100'000;
  create("seed");
  EXPECT_EQ(std::filesystem::file_size(global_path()), kLogHeaderBytes + kGlobalEntryBytes) << "nothing is preallocated";
  {
    const RegistryLog log = RegistryLog::open(Files::system(), global_path(), kGlobalMagic, kGlobalEntryBytes, false);
    FeedInfo feed = info("seed");
    std::vector<std::byte> bytes;
    bytes.reserve(kFeeds * kGlobalEntryBytes);
    for (uint64_t i = 1; i < kFeeds; ++i) {
      feed.name = concat("feed-", i);
      std::memcpy(feed.id.data(), &i, sizeof i);
      const auto entry = RegistryLog::entry(log.identity(), 1, i, i, encode_feed(feed));
      bytes.insert(bytes.end(), entry.begin(), entry.end());
    }
    const File file = File::open(Files::system(), global_path(), O_RDWR);
    file.write(bytes, kLogHeaderBytes + kGlobalEntryBytes);
    RegistryLog::open(Files::system(), global_path(), kGlobalMagic, kGlobalEntryBytes, true).settle();
  }
  CountingFiles files;
  auto registry = GlobalRegistry::open(base(), files);
  ASSERT_EQ(registry.feeds().size(), kFeeds);
  EXPECT_TRUE(create("one-more"));  // as many as there are are no hindrance
  files.bytes_read = 0;
  registry.refresh();
  EXPECT_NE(registry.find("one-more"), nullptr);
  EXPECT_LE(files.bytes_read.load(), kGlobalEntryBytes) << "the cost is that of what is new";
  files.bytes_read = 0;
  const uint64_t begin_ns = monotonic_ns();
  for (uint64_t i = 1; i <= 1000; ++i) {
    const FeedInfo* found = registry.find(concat("feed-", i * (kFeeds / 1000 - 1)));
    ASSERT_NE(found, nullptr);
    ASSERT_EQ(load<uint64_t>(found->id.data()), i * (kFeeds / 1000 - 1));
  }
  EXPECT_EQ(registry.find(concat("feed-", kFeeds)), nullptr);
  // The requirement itself; it takes a thousandth of that.
  EXPECT_LT((monotonic_ns() - begin_ns) / 1000, kNsPerMs);
  EXPECT_EQ(files.bytes_read.load(), 0u) << "from memory";
  // Who wants one alone keeps one alone.
  auto alone = GlobalRegistry::open(base(), files, "feed-7777");
  ASSERT_EQ(alone.feeds().size(), 1u);
  EXPECT_EQ(load<uint64_t>(alone.find("feed-7777")->id.data()), 7'777u);
  EXPECT_EQ(find_feed(base(), "one-more", files).name, "one-more");
  EXPECT_TRUE(delete_feed(base(), "one-more"));
  EXPECT_TRUE(create("one-more")) << "deleted, and made again";
  EXPECT_FALSE(create("one-more"));
}

TEST_F(RegistryTest, ThatCannotGrowRefusesANewFeedAndHarmsNoOther) {  // F-9, X-4
  write_some();
  auto attached = GlobalRegistry::open(base());
  auto writer = FeedWriter::open(base(), "trades");
  FaultyFiles files;
  for (const char* call : {"write", "sync"}) {
    files.fail(call, "base/registry.bin", ENOSPC);
    expect_fault(Fault::kNoSpace, "registry.bin", [&] { create("new", files); });
    files.fail(call, "", 0);
    EXPECT_EQ(GlobalRegistry::open(base()).find("new"), nullptr) << call;
  }
  attached.refresh();
  EXPECT_EQ(attached.feeds().size(), 1u);
  EXPECT_TRUE(attached.warnings().empty());
  append(writer, 100, 200);
  writer.close();
  auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
  expect_rows(reader, 0, 200);
  EXPECT_TRUE(create("new", files)) << "once there is room again";
}

}  // namespace
}  // namespace tidepool::feed::registry_test

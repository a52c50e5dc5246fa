// Creating, opening, refusing; full disks, broken disks, second writers, forks: what the world does to a feed.

#include <fcntl.h>

#include "tidepool/feed/test_faulty_files.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using test::expect_fault;
using test::FaultyFiles;
using test::row_of;

class Lifecycle : public test::FeedTest {};
INSTANTIATE_TEST_SUITE_P(Storages, Lifecycle, ::testing::Values(Storage::kTiered, Storage::kDurable, Storage::kMemory), test::storage_test_name);

TEST_P(Lifecycle, ASecondWriterIsRefusedAndToldWhoTheFirstIs) {  // X-10, F-42, F-43, X-17
  auto writer = make(GetParam());
  expect_fault(Fault::kWriterBusy, "feed writer (pid ", [&] { FeedWriter::open(base(), "trades"); });
  expect_fault(Fault::kWriterBusy, "held by", [&] { delete_feed(base(), "trades"); });  // F-11
  append(writer, 0, 1);
  writer.close();
  FeedWriter::open(base(), "trades");
}

TEST_P(Lifecycle, AWriterThatLostItsEpochIsFenced) {  // X-10, F-44
  auto writer = make(GetParam());
  append(writer, 0, 10);
  // Somebody removed the lock file, and another writer came.
  const FeedInfo feed = writer.feed();
  auto registry = FeedRegistry::open(feed, Files::system(), true);
  FeedRecord next;
  next.type = FeedEntry::kEpochOpened;
  next.epoch = writer.epoch() + 1;
  next.first_seq = 10;
  registry.append(next, true);
  until([&] { return writer.append(row_of(10)).status == AppendStatus::kFenced; });
  EXPECT_THROW(writer.rotate(), FeedError);
}

TEST_P(Lifecycle, AForkedChildIsRefused) {  // X-25, F-55
  auto writer = make(GetParam());
  append(writer, 0, 5);
  TIDEPOOL_IN_CHILD([&] {
    EXPECT_EQ(writer.append(row_of(5)).status, AppendStatus::kForked);
    EXPECT_EQ(writer.claim().status, AppendStatus::kForked);
    EXPECT_THROW(writer.sync(), FeedError);
    const FeedWriter gone = std::move(writer);  // and its end leaves everything to the parent
  });
  append(writer, 5, 3000);
  writer.close();
}

TEST_P(Lifecycle, OpeningAndClosingLeavesNothingBehind) {  // F-45, F-25
  for (int i = 0; i < 3; ++i) make(GetParam()).close();
  auto reader = read();
  EXPECT_EQ(reader.committed_seq(), 0u);
  EXPECT_EQ(reader.latest_chunk(), std::nullopt);
  EXPECT_TRUE(reader.segments().empty());
  for (const ChunkInfo& chunk : reader.chunks()) EXPECT_EQ(chunk.state, ChunkState::kAbandoned);
  for (const std::string& name : names_in(base() + "/feeds/trades")) EXPECT_FALSE(ordinal_of(name)) << name;
  auto writer = make(GetParam());
  append(writer, 0, 1);
  EXPECT_GT(read().chunks().back().ordinal, 3u) << "numbers are never used again";
}

TEST_P(Lifecycle, FullSharedMemoryIsAStatusAndPasses) {  // X-5, F-31, F-49, F-56
  FaultyFiles files;
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), options(GetParam()), {.block_ns = 0, .files = &files});
  append(writer, 0, 1);
  until([&] { return writer.health().trouble.empty(); });
  auto reader = read({.from = At::oldest()});
  files.fail("reserve", ".data", ENOSPC);
  uint64_t number = 1;
  Appended last;
  while (number < 10'000 && (last = writer.append(row_of(number)))) ++number;
  EXPECT_EQ(last.status, AppendStatus::kNoShmSpace);
  EXPECT_GE(number, 1024u);
  EXPECT_EQ(number % 1024, 0u) << "the current chunk stays usable to its end";
  EXPECT_FALSE(writer.health().trouble.empty());
  expect_rows(reader, 0, number);
  files.fail("reserve", ".data", 0);
  append(writer, number, number + 2000);
  expect_rows(reader, number, number + 2000);
}

class LifecycleTest : public test::FeedTest {};

TEST_F(LifecycleTest, AFullDiskHoldsTheWriterBackAndPasses) {  // X-4, F-57, F-65
  FaultyFiles files;
  auto tight = options(Storage::kTiered);
  tight.backlog_bytes = 2 * tight.chunk_bytes;
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), tight, {.block_ns = 2 * kNsPerSecond, .files = &files});
  files.fail("write", "feeds/trades/0", ENOSPC);
  files.fail("open", "feeds/trades/.tmp-0", ENOSPC);
  auto reader = read();
  uint64_t number = 0;
  Appended last;
  while (number < 100'000 && (last = writer.append(row_of(number)))) ++number;
  EXPECT_EQ(append_status_name(last.status), "no space");
  EXPECT_NE(writer.health().trouble.find("No space left"), std::string::npos) << writer.health().trouble;
  EXPECT_EQ(writer.durable_seq(), 0u);
  expect_rows(reader, 0, number);
  expect_fault(Fault::kNoSpace, "No space left", [&] { writer.sync(); });
  files.fail("write", "", 0);
  files.fail("open", "", 0);
  until([&] { return static_cast<bool>(writer.append(row_of(number))); });
  ++number;
  append(writer, number, number + 3000);
  number += 3000;
  writer.close();
  auto whole = read({.from = At::oldest()});
  expect_rows(whole, 0, number);
}

TEST_F(LifecycleTest, AFailedSyncIsNeverTakenBack) {  // X-18, F-51, F-62
  FaultyFiles files;
  auto sync_options = options(Storage::kTiered);
  sync_options.sync = SyncMode::kExplicit;
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), sync_options, {.files = &files});
  append(writer, 0, 10);
  writer.sync();
  EXPECT_EQ(writer.durable_seq(), 10u);
  append(writer, 10, 20);
  files.fail("sync", ".data", EIO);
  expect_fault(Fault::kIo, "Input/output error", [&] { writer.sync(); });
  files.fail("sync", ".data", 0);
  EXPECT_EQ(writer.append(row_of(20)).status, AppendStatus::kIoError);
  EXPECT_EQ(writer.durable_seq(), 10u);
  expect_fault(Fault::kIo, "Input/output error", [&] { writer.sync(); });  // a second sync that succeeds would prove nothing
  EXPECT_THROW(writer.close(), FeedError);
  // What was committed is still in shared memory: the next writer saves it.
  auto next = FeedWriter::open(base(), "trades");
  EXPECT_EQ(next.recovery().next_seq, 20u);
}

TEST_F(LifecycleTest, EveryCommitIsDurableWhenAskedFor) {  // F-62, F-51
  auto sync_options = options(Storage::kTiered);
  sync_options.sync = SyncMode::kEveryCommit;
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), sync_options);
  for (uint64_t number = 0; number < 20; ++number) {
    ASSERT_TRUE(writer.append(row_of(number)));
    ASSERT_EQ(writer.durable_seq(), number + 1);
  }
}

TEST_F(LifecycleTest, RecordsBecomeDurableByThemselves) {  // F-62, F-51, F-63, F-64
  auto interval = options(Storage::kTiered);
  interval.sync_interval_ns = 10 * kNsPerMs;
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), interval);
  append(writer, 0, 7);
  EXPECT_TRUE(writer.wait_durable(6, 30 * kNsPerSecond));
  EXPECT_EQ(writer.durable_seq(), 7u);
  EXPECT_FALSE(writer.wait_durable(7, kNsPerMs));
  EXPECT_EQ(read().durable_seq(), 7u);
}

TEST_F(LifecycleTest, CreatingAgainIsNothingAndAnotherDefinitionAConflict) {  // F-6
  EXPECT_TRUE(create_feed(base(), "trades", test::row_schema(), options(Storage::kTiered)));
  EXPECT_FALSE(create_feed(base(), "trades", test::row_schema(), options(Storage::kTiered)));
  expect_fault(Fault::kSchemaConflict, "price", [&] { create_feed(base(), "trades", Schema::rows({{"t", "u64"}, {"price", "f64"}}), options(Storage::kTiered)); });
  expect_fault(Fault::kSchemaConflict, "storage", [&] { create_feed(base(), "trades", test::row_schema(), options(Storage::kMemory)); });
  std::filesystem::remove(base() + "/feeds/trades/feed_registry.bin");
  expect_fault(Fault::kFeedDamaged, "feed_registry.bin", [&] { create_feed(base(), "trades", test::row_schema(), options(Storage::kTiered)); });
}

TEST_F(LifecycleTest, ACreateThatFailsAnywhereLeavesNoFeed) {  // F-7, X-4
  create_base(base());
  FaultyFiles files;
  for (const char* call : {"open", "write", "sync", "rename"}) {
    for (const char* fragment : {"feed_registry.bin", "schema.bin", "feeds/trades"}) {
      files.fail(call, fragment, ENOSPC);
      const int before = files.failures();
      try {
        create_feed(base(), "trades", test::row_schema(), options(Storage::kTiered), files);
        EXPECT_EQ(files.failures(), before) << call << " " << fragment;
        delete_feed(base(), "trades");
      } catch (const FeedError& error) {
        EXPECT_EQ(error.fault(), Fault::kNoSpace) << error.what();
        EXPECT_EQ(GlobalRegistry::open(base()).find("trades"), nullptr);
      }
      files.fail(call, "", 0);
      EXPECT_TRUE(create_feed(base(), "trades", test::row_schema(), options(Storage::kTiered), files)) << "a later one works";
      delete_feed(base(), "trades");
      EXPECT_TRUE(names_in(base() + "/feeds").empty());
    }
  }
}

TEST_F(LifecycleTest, NamesThatCouldBeSomethingElseAreRefused) {  // F-8
  for (const std::string name : {"", ".", "..", ".hidden", "a/b", "../x", "a b", "-x", "\xC3\xA4"}) {
    expect_fault(Fault::kInvalidName, "name", [&] { create_feed(base(), name, test::row_schema(), options(Storage::kTiered)); });
    expect_fault(Fault::kInvalidName, "name", [&] { FeedWriter::open(base(), name); });
    expect_fault(Fault::kInvalidName, "name", [&] { FeedReader::open(base(), name); });
    expect_fault(Fault::kInvalidName, "name", [&] { delete_feed(base(), name); });
  }
  expect_fault(Fault::kInvalidName, "128", [&] { create_feed(base(), std::string(129, 'x'), test::row_schema(), options(Storage::kTiered)); });
  EXPECT_TRUE(create_feed(base(), std::string(128, 'x'), test::row_schema(), options(Storage::kTiered)));
}

TEST_F(LifecycleTest, ReadingCreatesNothing) {  // G-5, F-1, F-71, F-41
  expect_fault(Fault::kBaseNotFound, base(), [&] { FeedReader::open(base(), "trades"); });
  expect_fault(Fault::kBaseNotFound, base(), [&] { FeedWriter::open(base(), "trades"); });
  EXPECT_FALSE(std::filesystem::exists(base()));
  create_feed(base(), "other", test::row_schema(), options(Storage::kTiered));
  expect_fault(Fault::kFeedNotFound, "there are: other", [&] { FeedReader::open(base(), "trades"); });
  expect_fault(Fault::kFeedNotFound, "there are: other", [&] { FeedWriter::open(base(), "trades"); });
  const auto before = names_in(base() + "/feeds/other");
  auto reader = read({}, "other");
  expect_idle(reader);
  EXPECT_EQ(reader.writer_state(), WriterState::kNever);
  EXPECT_EQ(names_in(base() + "/feeds/other"), before);
}

TEST_F(LifecycleTest, AReaderMayComeBeforeTheFirstWriter) {  // F-73, F-75
  create_feed(base(), "trades", test::row_schema(), options(Storage::kTiered));
  auto reader = read();
  expect_idle(reader);
  auto writer = make(Storage::kTiered);
  append(writer, 0, 10);
  expect_rows(reader, 0, 10);
}

TEST_F(LifecycleTest, ReadersNeedNoRightToWrite) {  // F-94, F-109, G-4, X-21
  auto writer = make(Storage::kTiered);
  append(writer, 0, 3000);
  FaultyFiles files;  // nothing may be opened for writing
  class ReadOnly : public SystemFiles {
   public:
    int open(const std::string& path, int flags, mode_t mode) noexcept override {
      EXPECT_EQ(flags & O_ACCMODE, O_RDONLY) << path;
      EXPECT_EQ(flags & O_CREAT, 0) << path;
      return SystemFiles::open(path, flags, mode);
    }
    void* map(int fd, size_t bytes, bool writable) noexcept override {
      EXPECT_FALSE(writable);
      return SystemFiles::map(fd, bytes, false);
    }
  } read_only;
  auto reader = read({.from = At::oldest(), .files = &read_only});
  expect_rows(reader, 0, 3000);
  files.fail("open", "registry.bin", EACCES);
  expect_fault(Fault::kPermission, "registry.bin", [&] { read({.files = &files}); });
}

TEST_F(LifecycleTest, DeletesAndForgets) {  // F-11, F-68
  make(Storage::kTiered).close();
  EXPECT_TRUE(delete_feed(base(), "trades"));
  expect_fault(Fault::kFeedNotFound, "trades", [&] { delete_feed(base(), "trades"); });
  EXPECT_FALSE(delete_feed(base(), "trades", true));
  EXPECT_TRUE(names_in(base() + "/feeds").empty());
}

TEST_F(LifecycleTest, ACopyOfABaseHasALifeOfItsOwn) {
  auto writer = make(Storage::kTiered);
  append(writer, 0, 100);
  writer.sync();
  copy_in_use(base(), root / "copy");
  auto twin = FeedWriter::open(root / "copy", "trades");
  EXPECT_EQ(twin.recovery().next_seq, 100u);
  append(twin, 100, 110);
  append(writer, 100, 120);
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 120);
  auto other = FeedReader::open(root / "copy", "trades", {.from = At::oldest()});
  expect_rows(other, 0, 110);
  expect_idle(other);
}

TEST_F(LifecycleTest, ToldOnceThatTheWriterStands) {  // X-16, F-58, F-84
  make(Storage::kTiered);
  test::Helper stopped([&](const test::Helper& self) {
    auto writer = FeedWriter::open(base(), "trades");
    EXPECT_TRUE(writer.append(row_of(0)));
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(stopped.wait_ready(), 0);
  auto reader = read({.from = At::oldest(), .stop_when_inactive = true, .stalled_after_ns = 300 * kNsPerMs});
  expect_rows(reader, 0, 1);
  EXPECT_EQ(reader.next().kind, Item::Kind::kIdle);
  ASSERT_EQ(::kill(stopped.pid(), SIGSTOP), 0);
  EXPECT_EQ(reader.next(30 * kNsPerSecond).kind, Item::Kind::kStalled);
  EXPECT_EQ(reader.next(kNsPerMs).kind, Item::Kind::kIdle);
  EXPECT_EQ(::kill(stopped.pid(), SIGCONT), 0);
  until([&] { return reader.writer_state() == WriterState::kActive; });
}

TEST_F(LifecycleTest, KeepsCheckpointsByName) {  // F-85
  auto writer = make(Storage::kTiered);
  append(writer, 0, 100);
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 40);
  reader.checkpoint().save("strategy-7", root / "state");
  expect_rows(reader, 40, 50);
  reader.checkpoint().save("strategy-7", root / "state");
  auto saved = Checkpoint::load("strategy-7", reader.feed().id, root / "state");
  ASSERT_TRUE(saved);
  EXPECT_EQ(saved->next_seq, 50u);
  auto resumed = read({.from = At::checkpoint(*saved)});
  expect_rows(resumed, 50, 100);
  // Torn: the one before is used.
  const std::string file = root / ("state/" + hex(reader.feed().id) + "-strategy-7");
  shm::test::write_file(file, shm::test::read_file(file).substr(0, 60));
  saved = Checkpoint::load("strategy-7", reader.feed().id, root / "state");
  ASSERT_TRUE(saved);
  EXPECT_EQ(saved->next_seq, 40u);
  EXPECT_FALSE(Checkpoint::load("other", reader.feed().id, root / "state"));
}

TEST_F(LifecycleTest, AppendsMakeNoSystemCall) {  // F-108
  if (shm::test::kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer makes system calls of its own, and a thread that is killed for one keeps its locks";
  auto wide = options(Storage::kTiered);
  wide.chunk_bytes = 8 << 20;
  make(Storage::kTiered).close();
  TIDEPOOL_IN_CHILD([&] {
    auto writer = FeedWriter::create(base(), "wide", test::row_schema(), wide);
    uint64_t number = 0;
    for (; number < 1000; ++number) EXPECT_TRUE(writer.append(row_of(number)));
    until([&] { return writer.health().prepared_bytes >= 200'000 * sizeof(test::Row); });
    append_without_calls(writer, number, 200'000);
    std::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  });
}

}  // namespace
}  // namespace tidepool::feed

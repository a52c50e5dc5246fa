// The persister of a base, and disks that fail it.

#include "tidepool/feed/persistd.h"

#include "tidepool/feed/repair.h"
#include "tidepool/feed/test_faulty_files.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

using test::expect_fault;
using test::row_of;

class PersistdTest : public test::FeedTest {
 protected:
  // A writer of `rows` rows that is killed, having synced nothing.
  void crash(const std::string& name, uint64_t rows, Storage storage = Storage::kTiered) {
    auto small = options(storage);
    small.chunk_bytes = 4096;
    small.sync = SyncMode::kExplicit;
    create_feed(base(), name, test::row_schema(), small);
    test::Helper writer([&](const test::Helper& self) {
      auto open = FeedWriter::open(base(), name);
      const uint64_t first = open.recovery().next_seq;
      for (uint64_t number = first; number < first + rows; ++number) EXPECT_TRUE(open.append(row_of(number)));
      self.ready();
      self.sleep_for_ever();
    });
    ASSERT_EQ(writer.wait_ready(), 0);
    writer.kill();
  }
  void forget_memory() const {
    for (const std::string& name : names_in(root.path())) {
      if (name != "base") std::filesystem::remove_all(root / name);
    }
  }
};

TEST_F(PersistdTest, TakesWhatADeadWriterLeftToDisk) {  // F-63, F-67, X-15, X-6
  crash("trades", 1000);
  crash("quotes", 77, Storage::kDurable);
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 500);
  auto persister = Persistd::open(base(), {.retention_every_ns = 0});
  EXPECT_TRUE(persister->poll());
  EXPECT_FALSE(persister->poll());
  EXPECT_FALSE(persister->poll());
  const PersistdStatus status = persister->status();
  EXPECT_EQ(status.feeds, 2u);
  EXPECT_EQ(status.drained_feeds, 2u);
  EXPECT_EQ(status.failures, 0u) << persister->trouble();
  expect_rows(reader, 500, 1000);
  forget_memory();  // the power fails right after
  auto offline = read({.from = At::oldest(), .stop_when_inactive = true});
  expect_rows(offline, 0, 1000);
  EXPECT_EQ(offline.next().kind, Item::Kind::kEnded);
  EXPECT_EQ(offline.durable_seq(), 1000u);
  EXPECT_EQ(read({}, "quotes").committed_seq(), 77u);
  EXPECT_TRUE(verify_base(base()).sound());
  auto writer = FeedWriter::open(base(), "trades");
  EXPECT_FALSE(writer.recovery().loss);
  EXPECT_EQ(writer.recovery().next_seq, 1000u);
}

TEST_F(PersistdTest, LeavesALivingWriterAloneAndComesWhenItDies) {  // F-63, F-65
  if (shm::test::kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer refuses threads in a forked child of a process with threads";
  auto small = options(Storage::kTiered);
  small.chunk_bytes = 4096;
  create_feed(base(), "trades", test::row_schema(), small);
  auto persister = Persistd::open(base(), {.retention_every_ns = 0});
  EXPECT_FALSE(persister->poll());
  test::Helper writer([&](const test::Helper& self) {
    auto open = FeedWriter::open(base(), "trades");
    for (uint64_t number = 0; number < 300; ++number) EXPECT_TRUE(open.append(row_of(number)));
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(writer.wait_ready(), 0);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(persister->poll());
  EXPECT_EQ(persister->status().drained_feeds, 0u);
  writer.kill();
  EXPECT_TRUE(persister->poll());
  EXPECT_EQ(persister->status().drained_feeds, 1u);
  EXPECT_EQ(read().durable_seq(), 300u);
}

TEST_F(PersistdTest, IsAloneAndSaysThatItLives) {  // F-63, F-43
  make(Storage::kTiered).close();
  EXPECT_FALSE(persistd_of(base()));
  {
    auto first = Persistd::open(base(), {.text = "the one of the night shift"});
    expect_fault(Fault::kBusy, "the one of the night shift", [&] { Persistd::open(base()); });
    const auto seen = persistd_of(base());
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->pid, static_cast<uint64_t>(::getpid()));
    until([&] { return persistd_of(base())->heartbeat_ns > seen->heartbeat_ns; });
    EXPECT_FALSE(first->poll());
  }
  EXPECT_FALSE(persistd_of(base()));
  EXPECT_FALSE(std::filesystem::exists(base() + "/persistd.bin"));
  expect_fault(Fault::kBaseNotFound, "registry.bin", [&] { Persistd::open(root / "elsewhere"); });
}

TEST_F(PersistdTest, AWriterWaitsForItsRecoveryInsteadOfFailing) {  // F-63
  crash("trades", 100);
  test::Helper persister([&](const test::Helper& self) {
    const auto lock = lock_within(base() + "/feeds/trades", "persister.lock", "persistd", 0, Fault::kBusy);
    self.ready();
    const timespec pause{0, 50'000'000};
    ::nanosleep(&pause, nullptr);
  });
  ASSERT_EQ(persister.wait_ready(), 0);
  auto writer = FeedWriter::open(base(), "trades");
  EXPECT_EQ(writer.recovery().next_seq, 100u);
  expect_fault(Fault::kWriterBusy, "held by", [&] { delete_feed(base(), "trades"); });  // F-11
}

TEST_F(PersistdTest, AFeedThatFailsDoesNotStopTheOthers) {  // F-60, F-63, X-4
  crash("broken", 300);
  crash("trades", 300);
  test::FaultyFiles files;
  files.fail("open", "feeds/broken/.tmp-0", ENOSPC);
  files.fail("write", "feeds/broken/0", ENOSPC);
  auto persister = Persistd::open(base(), {.retention_every_ns = 0, .files = &files});
  EXPECT_TRUE(persister->poll());
  EXPECT_EQ(persister->status().drained_feeds, 1u);
  EXPECT_EQ(persister->status().failures, 1u);
  EXPECT_NE(persister->trouble().find("broken"), std::string::npos) << persister->trouble();
  EXPECT_NE(persister->trouble().find("No space"), std::string::npos) << persister->trouble();
  auto reader = read({.from = At::oldest()}, "broken");  // nothing is lost by that
  expect_rows(reader, 0, 300);
  files.fail("open", "", 0);
  files.fail("write", "", 0);
  until([&] { return persister->poll(); });
  EXPECT_EQ(persister->status().drained_feeds, 2u);
  EXPECT_EQ(read({}, "broken").durable_seq(), 300u);
}

// A sync that fails takes pages along that look right ever after. So the chunk is written anew, to other blocks.
TEST_F(PersistdTest, AChunkWhoseSyncFailedIsWrittenElsewhere) {  // X-18, F-64
  auto small = options(Storage::kTiered);
  small.chunk_bytes = 4096;
  small.sync = SyncMode::kExplicit;
  create_feed(base(), "trades", test::row_schema(), small);
  test::Helper writer([&](const test::Helper& self) {
    test::FaultyFiles files;
    auto open = FeedWriter::open(base(), "trades", {.files = &files});
    for (uint64_t number = 0; number < 60; ++number) EXPECT_TRUE(open.append(row_of(number)));
    open.sync();
    for (uint64_t number = 60; number < 100; ++number) EXPECT_TRUE(open.append(row_of(number)));
    files.fail("sync", "0001.data", EIO);
    EXPECT_THROW(open.sync(), FeedError);
    EXPECT_EQ(open.durable_seq(), 60u);
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(writer.wait_ready(), 0);
  writer.kill();
  const std::string path = base() + "/feeds/trades/" + chunk_name(1);
  struct stat before{};
  ASSERT_EQ(::stat(path.c_str(), &before), 0);
  test::FaultyFiles files;
  files.fail("sync", "trades/0000000000000001.data", EIO);  // the old file never syncs again; a new one does
  auto persister = Persistd::open(base(), {.retention_every_ns = 0, .files = &files});
  EXPECT_TRUE(persister->poll());
  EXPECT_GT(files.failures(), 0);
  struct stat after{};
  ASSERT_EQ(::stat(path.c_str(), &after), 0);
  EXPECT_NE(before.st_ino, after.st_ino);
  forget_memory();
  auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
  expect_rows(reader, 0, 100);
  EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
  EXPECT_TRUE(verify_base(base()).sound());
}

// What the file seems to hold behind the last good sync is written again, also when its sync works now.
TEST_F(PersistdTest, WhatWasNotSyncedIsWrittenAgainEvenIfItSeemsToBeThere) {
  auto small = options(Storage::kTiered);
  small.sync = SyncMode::kExplicit;
  create_feed(base(), "trades", test::row_schema(), small);
  test::Helper writer([&](const test::Helper& self) {
    test::FaultyFiles files;
    auto open = FeedWriter::open(base(), "trades", {.files = &files});
    for (uint64_t number = 0; number < 300; ++number) EXPECT_TRUE(open.append(row_of(number)));
    open.sync();
    for (uint64_t number = 300; number < 600; ++number) EXPECT_TRUE(open.append(row_of(number)));
    files.fail("sync", "0001.data", EIO);
    EXPECT_THROW(open.sync(), FeedError);
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(writer.wait_ready(), 0);
  writer.kill();
  class Watching : public SystemFiles {
   public:
    ssize_t pwrite(int fd, const void* from, size_t bytes, uint64_t offset) noexcept override {
      if (offset >= 8192) lowest = std::min(lowest, offset);
      return SystemFiles::pwrite(fd, from, bytes, offset);
    }
    uint64_t lowest = ~uint64_t{0};
  } files;
  auto persister = Persistd::open(base(), {.retention_every_ns = 0, .files = &files});
  EXPECT_TRUE(persister->poll());
  EXPECT_LE(files.lowest, 8192 + 300 * sizeof(test::Row)) << "the records behind 300 were taken for written";
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 600);
  EXPECT_TRUE(verify_base(base()).sound());
}

TEST_F(PersistdTest, PrunesToo) {  // F-131
  auto limited = options(Storage::kTiered);
  limited.chunk_bytes = 4096;
  {
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), limited);
    append(writer, 0, 1280);
    writer.close();
  }
  limited.retention_bytes = 3 * 4096;
  {
    auto writer = FeedWriter::create(base(), "others", test::row_schema(), limited);
    append(writer, 0, 1280);
    writer.close();
  }
  PersistdOptions options;
  options.retention.grace_ns = 0;
  auto persister = Persistd::open(base(), options);
  persister->poll();
  EXPECT_EQ(read({}, "others").first_seq(), 7 * 128u);
  EXPECT_EQ(read().first_seq(), 0u);
}

}  // namespace
}  // namespace tidepool::feed

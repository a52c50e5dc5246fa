// A daemon persists for living writers, and is killed, late or absent.

#include "tidepool/feed/served_feed.h"

#include <fcntl.h>

#include <thread>

#include "tidepool/feed/persistd.h"
#include "tidepool/feed/repair.h"
#include "tidepool/feed/settings.h"
#include "tidepool/feed/test_faulty_files.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed::served_feed_test {
namespace {

using test::expect_fault;
using test::row_of;

// A daemon that looks at its base all the time.
class Running {
 public:
  explicit Running(const std::string& base, Files& files = Files::system())
      : daemon_(Persistd::open(base, {.retention_every_ns = 0, .files = &files})), thread_([this] {
          while (!stop_.load()) {
            daemon_->poll();
            const timespec pause{0, 1'000'000};
            ::nanosleep(&pause, nullptr);
          }
        }) {}
  ~Running() {
    stop_.store(true);
    thread_.join();
  }
  PersistdStatus status() const { return daemon_->status(); }
  std::string trouble() const { return daemon_->trouble(); }

 private:
  std::unique_ptr<Persistd> daemon_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class ServedFeedTest : public test::FeedTest {
 protected:
  FeedOptions served(Storage storage, Persister persister = Persister::kDaemon) const {
    auto made = options(storage);
    made.chunk_bytes = 4096;
    made.persister = persister;
    made.sync_interval_ns = kNsPerMs;
    return made;
  }
  // Everything that was written is on disk, without any memory.
  void expect_stored(uint64_t rows) {
    for (const std::string& name : names_in(root.path())) {
      if (name != "base") std::filesystem::remove_all(root / name);
    }
    auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
    expect_rows(reader, 0, rows);
    EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
    EXPECT_TRUE(verify_base(base()).sound());
  }
};
class Served : public ServedFeedTest {};
INSTANTIATE_TEST_SUITE_P(Storages, Served, ::testing::Values(Storage::kTiered, Storage::kDurable), test::storage_test_name);

TEST_P(Served, ALivingWritersRecordsGoToDiskByTheDaemon) {  // F-63, F-64, F-65
  create_feed(base(), "trades", test::row_schema(), served(GetParam()));
  uint64_t told = 0;
  {
    Running daemon(base());
    auto writer = FeedWriter::open(base(), "trades", {.on_durable = [&](uint64_t durable) { told = std::max(told, durable); }});
    EXPECT_TRUE(writer.health().served_by_daemon);
    append(writer, 0, 700);
    until([&] { return writer.durable_seq() == 700; });
    append(writer, 700, 750);
    writer.sync();
    EXPECT_EQ(writer.durable_seq(), 750u);
    writer.mark(745, 7, "of a served feed");
    EXPECT_TRUE(writer.mark_segment_boundary("half time"));
    append(writer, 750, 900);
    expect_fault(Fault::kBusy, "tidepool feed persistd",
                 [&] { lock_within(base() + "/feeds/trades", "persister.lock", "a second one", 0, Fault::kBusy); });  // alone in its role
    EXPECT_GE(daemon.status().served_records, 700u);
    writer.close();
    EXPECT_EQ(told, 900u);
    EXPECT_GE(daemon.status().served_chunks, 7u);
    EXPECT_EQ(daemon.status().failures, 0u) << daemon.trouble();
  }
  auto reader = read();
  EXPECT_EQ(reader.writer_state(), WriterState::kClosed);
  EXPECT_EQ(reader.segments().size(), 2u);
  for (const ChunkInfo& chunk : reader.chunks()) {
    EXPECT_TRUE(chunk.state == ChunkState::kPersisted || chunk.state == ChunkState::kAbandoned) << chunk.ordinal;
  }
  expect_stored(900);
}

TEST_P(Served, WithoutADaemonTheWriterDoesNotOpen) {  // F-63
  create_feed(base(), "trades", test::row_schema(), served(GetParam()));
  expect_fault(Fault::kNoPersister, "tidepool feed persistd", [&] { FeedWriter::open(base(), "trades", {.persister_wait_ns = kNsPerMs}); });
  // One that lives and does not come is none either.
  const auto idle = Persistd::open(base(), {.retention_every_ns = 0});
  expect_fault(Fault::kNoPersister, "none came", [&] { FeedWriter::open(base(), "trades", {.persister_wait_ns = 20 * kNsPerMs}); });
  EXPECT_EQ(read().writer_state(), WriterState::kClosed) << "it left in order";
  auto other = served(GetParam(), Persister::kAny);
  change_feed(base(), "trades", other);
  auto writer = FeedWriter::open(base(), "trades", {.persister_wait_ns = 20 * kNsPerMs});
  EXPECT_FALSE(writer.health().served_by_daemon);
  append(writer, 0, 300);
  writer.close();
  expect_stored(300);
}

TEST_P(Served, EveryCommitWaitsForTheDaemon) {  // F-62, F-63
  auto strict = served(GetParam());
  strict.sync = SyncMode::kEveryCommit;
  create_feed(base(), "trades", test::row_schema(), strict);
  Running daemon(base());
  auto writer = FeedWriter::open(base(), "trades");
  for (uint64_t number = 0; number < 20; ++number) {
    ASSERT_TRUE(writer.append(row_of(number)));
    ASSERT_GT(writer.durable_seq(), number);
  }
  writer.close();
  expect_stored(20);
}

// The daemon is killed while the writer writes: nothing is lost, the next one goes on.
TEST_P(Served, KilledLosesNothingAndTheNextGoesOn) {  // F-63, F-64, F-67, G-3
  if (shm::test::kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer refuses threads in a forked child of a process with threads";
  create_feed(base(), "trades", test::row_schema(), served(GetParam()));
  const auto daemon = [&](const test::Helper& self) {
    const auto open = Persistd::open(base(), {.retention_every_ns = 0});
    self.ready();
    for (;;) {
      open->poll();
      const timespec pause{0, 1'000'000};
      ::nanosleep(&pause, nullptr);
    }
  };
  uint64_t number = 0;
  auto first = std::make_unique<test::Helper>(daemon);
  ASSERT_EQ(first->wait_ready(), 0);
  auto writer = FeedWriter::open(base(), "trades");
  for (int round = 0; round < 3; ++round) {
    append(writer, number, number + 333);
    number += 333;
    until([&] { return writer.durable_seq() >= number - 200; });
    const uint64_t durable = writer.durable_seq();
    first->kill();
    append(writer, number, number + 100);
    number += 100;
    EXPECT_GE(writer.durable_seq(), durable);
    until([&] { return writer.health().trouble.find("no persister") != std::string::npos; });
    first = std::make_unique<test::Helper>(daemon);
    ASSERT_EQ(first->wait_ready(), 0);
    writer.sync();
    EXPECT_EQ(writer.durable_seq(), number);
    until([&] { return writer.health().trouble.empty(); });
  }
  writer.close();
  first->kill();
  expect_stored(number);
}

TEST_P(Served, WithNobodyLeftTheWriterGoesOnByItself) {  // F-63
  create_feed(base(), "trades", test::row_schema(), served(GetParam(), Persister::kAny));
  auto daemon = std::make_unique<Running>(base());
  auto writer = FeedWriter::open(base(), "trades");
  ASSERT_TRUE(writer.health().served_by_daemon);
  append(writer, 0, 300);
  until([&] { return writer.durable_seq() == 300; });
  daemon.reset();
  append(writer, 300, 700);
  until([&] { return writer.durable_seq() == 700; });
  EXPECT_FALSE(writer.health().served_by_daemon);
  append(writer, 700, 800);
  writer.close();
  expect_stored(800);
}

TEST_P(Served, AtItsCloseAWriterWithoutADaemonWritesTheRest) {  // F-63, F-54
  create_feed(base(), "trades", test::row_schema(), served(GetParam()));
  auto daemon = std::make_unique<Running>(base());
  auto writer = FeedWriter::open(base(), "trades");
  append(writer, 0, 200);
  daemon.reset();
  append(writer, 200, 450);
  writer.close();
  expect_stored(450);
}

// The writer is killed, another one comes at once: the daemon lets go.
TEST_P(Served, TheNextWriterIsServedToo) {  // F-63, F-67, X-15
  if (shm::test::kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer refuses threads in a forked child of a process with threads";
  create_feed(base(), "trades", test::row_schema(), served(GetParam()));
  // The daemon is started behind the fork, and the writer waits for it.
  test::Helper killed([&](const test::Helper& self) {
    auto writer = FeedWriter::open(base(), "trades", {.persister_wait_ns = 30 * kNsPerSecond});
    for (uint64_t number = 0; number < 300; ++number) EXPECT_TRUE(writer.append(row_of(number)));
    self.ready();
    self.sleep_for_ever();
  });
  Running daemon(base());
  ASSERT_EQ(killed.wait_ready(), 0);
  killed.kill();
  auto writer = FeedWriter::open(base(), "trades");
  EXPECT_EQ(writer.recovery().next_seq, 300u);
  EXPECT_TRUE(writer.health().served_by_daemon);
  append(writer, 300, 600);
  writer.close();
  expect_stored(600);
}

TEST_F(ServedFeedTest, AFullDiskHoldsTheWriterBackAndPasses) {  // F-63, F-56, F-57, X-4
  test::FaultyFiles files;
  auto tight = served(Storage::kTiered);
  tight.backlog_bytes = 2 * tight.chunk_bytes;
  create_feed(base(), "trades", test::row_schema(), tight);
  Running daemon(base(), files);
  auto writer = FeedWriter::open(base(), "trades", {.block_ns = 0});
  files.fail("open", "feeds/trades/.tmp-0", ENOSPC);
  files.fail("write", "feeds/trades/0", ENOSPC);
  uint64_t number = 0;
  Appended last;
  until([&] {
    while (number < 100'000 && (last = writer.append(row_of(number)))) ++number;
    return last.status == AppendStatus::kNoSpace;
  });
  EXPECT_GT(writer.health().refused, 0u);
  expect_fault(Fault::kNoSpace, "its log says why", [&] { writer.sync(); });
  files.fail("open", "", 0);
  files.fail("write", "", 0);
  until([&] { return static_cast<bool>(writer.append(row_of(number))); });
  ++number;
  until([&] {
    while (number < 1500 && writer.append(row_of(number))) ++number;
    return number == 1500;
  });
  writer.close();
  EXPECT_GT(daemon.status().failures, 0u);
  expect_stored(number);
}

// A sync of the daemon's fails: the watermark stands, the writer takes no more, and recovery writes what is behind it again.
TEST_F(ServedFeedTest, AFailedSyncOfTheDaemonStopsTheWriterAndLosesNothing) {  // F-63, X-18
  test::FaultyFiles files;
  auto when_asked = served(Storage::kTiered);
  when_asked.sync = SyncMode::kExplicit;
  create_feed(base(), "trades", test::row_schema(), when_asked);
  Running daemon(base(), files);
  {
    auto writer = FeedWriter::open(base(), "trades");
    append(writer, 0, 50);
    writer.sync();
    append(writer, 50, 60);
    files.fail("sync", "trades/.tmp-0000000000000001.data", EIO);  // opened under that name
    expect_fault(Fault::kIo, "its log says why", [&] { writer.sync(); });
    EXPECT_EQ(writer.append(row_of(60)).status, AppendStatus::kIoError);
    EXPECT_EQ(writer.durable_seq(), 50u);
    EXPECT_THROW(writer.close(), FeedError);
  }
  until([&] { return daemon.status().drained_feeds == 1; });
  expect_stored(60);
}

// What is on disk is not what memory holds, below what was called durable: written anew, and told (F-64).
TEST_F(ServedFeedTest, AFileThatIsNotWhatMemoryHoldsIsWrittenAnew) {  // F-64
  auto wide = served(Storage::kTiered, Persister::kWriter);
  wide.chunk_bytes = 1 << 20;
  wide.sync = SyncMode::kExplicit;
  create_feed(base(), "trades", test::row_schema(), wide);
  const std::string path = base() + "/feeds/trades/" + chunk_name(1);
  const auto crash = [&](uint64_t first) {
    test::Helper writer([&](const test::Helper& self) {
      auto open = FeedWriter::open(base(), "trades");
      for (uint64_t number = first; number < first + 1000; ++number) EXPECT_TRUE(open.append(row_of(number)));
      open.sync();
      self.ready();
      self.sleep_for_ever();
    });
    ASSERT_EQ(writer.wait_ready(), 0);
    writer.kill();
  };
  crash(0);
  const DiskChunk before = examine_chunk(File::open(Files::system(), path, O_RDONLY), false);
  ASSERT_EQ(before.verified_records, 1000u);
  {  // another row, with checksums that fit: a file of another history
    const File file = File::open(Files::system(), path, O_RDWR);
    const test::Row strange = row_of(4711);
    file.write(std::as_bytes(std::span(&strange, 1)), before.header.data_offset + 3 * sizeof strange);
    std::vector<std::byte> data(before.verified_end);
    file.read(data, before.header.data_offset);
    ChunkFile again = ChunkFile::resume(Files::system(), path, before.header, 0, 0, {}, before.generation);
    again.take(data.data(), before.verified_end, false);
    again.sync(1000);
  }
  ASSERT_EQ(examine_chunk(File::open(Files::system(), path, O_RDONLY), false).verified_records, 1000u);
  std::vector<std::string> told;
  {
    auto writer = FeedWriter::open(base(), "trades", {.on_event = [&](const WriterEvent& event) {
                                     if (event.kind == WriterEvent::Kind::kRewritten) told.push_back(event.text);
                                   }});
    EXPECT_FALSE(writer.recovery().loss);
    writer.close();
  }
  ASSERT_EQ(told.size(), 1u);
  EXPECT_NE(told[0].find("written anew"), std::string::npos) << told[0];
  expect_stored(1000);
}

}  // namespace
}  // namespace tidepool::feed::served_feed_test

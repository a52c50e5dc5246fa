// A writer at its limits: no room, no time, no helper, another thread; and what several writers share.

#include <fstream>
#include <thread>

#include "tidepool/feed/health.h"
#include "tidepool/feed/memory_group.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/repair.h"
#include "tidepool/feed/segments.h"
#include "tidepool/feed/test_faulty_files.h"
#include "tidepool/feed/test_support.h"
#include "tidepool/feed/writer_group.h"

namespace tidepool::feed::writer_limits_test {
namespace {

using test::expect_fault;
using test::FaultyFiles;
using test::row_of;

class WriterLimits : public test::FeedTest {
 protected:
  void forget_memory() const {
    for (const std::string& name : names_in(root.path())) {
      if (name != "base") std::filesystem::remove_all(root / name);
    }
  }
};

TEST_F(WriterLimits, AMemoryFeedMayDropItsOldestRecordsForRoom) {  // F-56, X-5, X-13
  FaultyFiles files;
  auto kept = options(Storage::kMemory);
  kept.live_chunks = 8;
  std::atomic<uint64_t> dropped_to{0};
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), kept,
                                   {.block_ns = 0,
                                    .when_full = WriterOptions::WhenFull::kDropOldest,
                                    .files = &files,
                                    .on_event = [&](const WriterEvent& event) {
                                      if (event.kind == WriterEvent::Kind::kDropped) dropped_to.store(event.end_seq);
                                    }});
  append(writer, 0, 4 * 1024);
  until([&] {  // so that the reader has the first chunk mapped, and no other
    const auto registry = FeedRegistry::open(writer.feed(), Files::system(), false);
    return std::count_if(registry.chunks().begin(), registry.chunks().end(), [](const ChunkInfo& chunk) { return chunk.state == ChunkState::kSealed; }) >= 3;
  });
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 10);
  until([&] { return writer.health().prepared_bytes >= 1024 * sizeof(test::Row); });
  files.fail("open", ".data", ENOSPC);  // no new object any more: what goes on must serve again
  append(writer, 4 * 1024, 9 * 1024);
  EXPECT_GE(writer.health().dropped_records, 1024u);
  EXPECT_EQ(writer.health().dropped_records % 1024, 0u);
  EXPECT_EQ(dropped_to.load(), writer.health().dropped_records);
  EXPECT_EQ(check_feed(base(), "trades").counters.dropped, writer.health().dropped_records);
  auto late = read({.from = At::oldest()});
  EXPECT_EQ(late.first_seq(), writer.health().dropped_records);
  expect_rows(late, late.first_seq(), 9 * 1024);
  expect_rows(reader, 10, 1024);  // the chunk that it has, to its end; then it is told
  const Item gap = reader.next();
  ASSERT_EQ(gap.kind, Item::Kind::kGap);
  EXPECT_EQ(gap.gap.from, 1024u);
  files.fail("open", "", 0);
  create_feed(base(), "stored", test::row_schema(), options(Storage::kTiered));
  expect_fault(Fault::kUsage, "only memory feeds", [&] { FeedWriter::open(base(), "stored", {.when_full = WriterOptions::WhenFull::kDropOldest}); });
}

TEST_F(WriterLimits, ARefusedRecordIsCountedAndNotWritten) {  // F-56
  for (const auto policy : {WriterOptions::WhenFull::kFail, WriterOptions::WhenFull::kBlock}) {
    auto tight = options(Storage::kTiered);
    tight.backlog_bytes = 2 * tight.chunk_bytes;
    const std::string name = policy == WriterOptions::WhenFull::kFail ? "fail" : "block";
    create_feed(base(), name, test::row_schema(), tight);
    std::mutex disk;  // which does not answer as long as it is held
    std::unique_lock held(disk);
    auto writer = FeedWriter::open(base(), name, {.block_ns = 20 * kNsPerMs, .when_full = policy, .before_sync = [&] { const std::scoped_lock wait(disk); }});
    uint64_t number = 0;
    Appended last;
    while (number < 100'000 && (last = writer.append(row_of(number)))) ++number;
    EXPECT_EQ(append_status_name(last.status), "backpressure timeout");
    EXPECT_EQ(writer.append(row_of(number)).status, AppendStatus::kBackpressure);
    EXPECT_EQ(writer.health().refused, 2u);
    EXPECT_EQ(writer.next_seq(), number) << "what was refused was not written";
    held.unlock();
    until([&] { return static_cast<bool>(writer.append(row_of(number))); });
    writer.close();
    auto reader = read({.from = At::oldest()}, name);
    expect_rows(reader, 0, number + 1);
  }
}

// A full disk: by default appends go on when there is space again, with no gap. Or the writer has failed for good.
TEST_F(WriterLimits, AFullDiskMayEndTheWriter) {  // F-57, X-4
  FaultyFiles files;
  files.fail("open", "feeds/trades/.tmp-0", ENOSPC);
  uint64_t taken = 0;
  {
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), options(Storage::kTiered),
                                     {.close_timeout_ns = 0, .when_disk_full = WriterOptions::WhenDiskFull::kFail, .files = &files});
    // The helper may find the disk full at any record from the first chunk's end on.
    until([&] {
      const auto done = writer.append(row_of(taken));
      taken += done ? 1 : 0;
      return done.status == AppendStatus::kNoSpace;
    });
    files.fail("open", "", 0);
    EXPECT_EQ(writer.append(row_of(0)).status, AppendStatus::kNoSpace) << "also when there is space again";
    expect_fault(Fault::kNoSpace, "No space left", [&] { writer.rotate(); });
  }
  // What it took stays, for the next writer.
  auto next = FeedWriter::open(base(), "trades");
  EXPECT_GT(taken, 0u);
  EXPECT_EQ(next.recovery().next_seq, taken);
  EXPECT_FALSE(next.recovery().loss);
}

// A disk that is full until the machine goes down: shared memory holds the records no more, so there is a break (F-57).
TEST_F(WriterLimits, WhatAFullDiskDidNotTakeIsABreakWhenMemoryIsGone) {  // F-57, F-112, X-4
  test::Helper full([&](const test::Helper& self) {
    FaultyFiles files;
    auto sync = options(Storage::kTiered);
    sync.sync = SyncMode::kExplicit;
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), sync, {.files = &files});
    for (uint64_t number = 0; number < 100; ++number) EXPECT_TRUE(writer.append(row_of(number)));
    writer.sync();
    files.fail("write", ".data", ENOSPC);
    for (uint64_t number = 100; number < 150; ++number) EXPECT_TRUE(writer.append(row_of(number)));
    EXPECT_THROW(writer.sync(), FeedError);
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(full.wait_ready(), 0);
  full.kill();
  forget_memory();
  auto writer = FeedWriter::open(base(), "trades");
  EXPECT_TRUE(writer.recovery().loss);
  EXPECT_EQ(writer.recovery().next_seq, 100u);
  append(writer, 100, 130);
  writer.close();
  auto reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 130);
  ASSERT_EQ(reader.losses().size(), 1u);
  EXPECT_EQ(reader.losses()[0].first_seq, 100u);
  EXPECT_EQ(reader.segments().size(), 2u) << "one on each side of the break";
}

// More than a step of space a chunk, and a cap on all of the base.
TEST_F(WriterLimits, ABaseKeepsBelowItsCapOfSharedMemoryAlsoWithLargeChunks) {  // F-31, F-68, X-5
  auto large = options(Storage::kTiered);
  large.chunk_bytes = 3 << 20;
  large.live_chunks = 2;
  const uint64_t rows = large.chunk_bytes / sizeof(test::Row);
  std::vector<std::byte> chunk(large.chunk_bytes);
  const auto fill = [&](FeedWriter& writer, uint64_t first) {
    for (uint64_t row = 0; row < rows; ++row) store(chunk.data() + row * sizeof(test::Row), row_of(first + row));
    return writer.append_batch(chunk);
  };
  {  // room for the two chunks of its window, and for no third
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), large, {.block_ns = 0, .base_shm_bytes_max = 8 << 20});
    ASSERT_TRUE(fill(writer, 0));
    ASSERT_TRUE(fill(writer, rows));
    EXPECT_EQ(fill(writer, 2 * rows).status, AppendStatus::kNoShmSpace);
    EXPECT_LE(check_feed(base(), "trades").shm_bytes, 8u << 20);
  }
  {  // with one more it goes on for ever, as chunks leave
    auto writer = FeedWriter::open(base(), "trades", {.block_ns = 30 * kNsPerSecond, .base_shm_bytes_max = 10 << 20});
    for (uint64_t n = 2; n < 6; ++n) ASSERT_TRUE(fill(writer, n * rows));
    EXPECT_LE(check_feed(base(), "trades").shm_bytes, 10u << 20);
  }
  EXPECT_EQ(read().committed_seq(), 6 * rows);
  create_feed(base(), "other", test::row_schema(), large);
  expect_fault(Fault::kNoShmSpace, "base_shm_bytes_max", [&] { FeedWriter::open(base(), "other", {.base_shm_bytes_max = 2 << 20}); });
  // Without prefault space is made in steps, ahead of the writer: a slow feed with large chunks stays small.
  large.prefault = false;
  auto slow = FeedWriter::create(base(), "slow", test::row_schema(), large);
  append(slow, 0, 10);
  EXPECT_LE(slow.health().prepared_bytes, large.chunk_bytes * 2);
  EXPECT_LT(check_feed(base(), "slow").shm_bytes, uint64_t{large.chunk_bytes} * 2 + (1 << 20));
}

class Grouped : public SystemFiles {  // whose memory control group is nearly full
 public:
  uint64_t memory_left(std::string& group) noexcept override {
    group = "/sys/fs/cgroup/box";
    return left.load();
  }
  std::atomic<uint64_t> left{~uint64_t{0}};
};

TEST_F(WriterLimits, AMemoryControlGroupIsLookedAtBeforeItKills) {
  Grouped files;
  create_feed(base(), "trades", test::row_schema(), options(Storage::kTiered));
  files.left = 1000;
  expect_fault(Fault::kNoShmSpace, "control group /sys/fs/cgroup/box leaves 1000 bytes", [&] { FeedWriter::open(base(), "trades", {.files = &files}); });
  files.left = ~uint64_t{0};
  auto writer = FeedWriter::open(base(), "trades", {.block_ns = 0, .files = &files});
  append(writer, 0, 1);
  files.left = 1000;
  uint64_t number = 1;
  Appended last;
  while (number < 20'000 && (last = writer.append(row_of(number)))) ++number;
  EXPECT_EQ(last.status, AppendStatus::kNoShmSpace);
  EXPECT_EQ(number % 1024, 0u) << "the current chunk stays usable to its end";
  EXPECT_NE(writer.health().trouble.find("control group"), std::string::npos) << writer.health().trouble;
  files.left = ~uint64_t{0};
  append(writer, number, number + 100);
}

TEST_F(WriterLimits, MemoryControlGroupsOfBothKindsAreUnderstood) {
  const auto put = [&](const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root / path).parent_path());
    std::ofstream(root / path) << text;
  };
  std::string group;
  EXPECT_EQ(memory_left_in("0::/\n", root / "nowhere", group), ~uint64_t{0});
  put("two/a/memory.max", "1000000\n");
  put("two/a/memory.current", "900000\n");
  put("two/a/memory.stat", "anon 5\ninactive_file 100000\nactive_file 50000\nshmem 700000\n");
  put("two/a/b/memory.max", "max\n");
  put("two/a/b/memory.current", "5\n");
  EXPECT_EQ(memory_left_in("0::/a/b\n", root / "two", group), 250000u);
  EXPECT_EQ(group, root / "two/a");
  put("two/a/b/memory.max", "6\n");
  EXPECT_EQ(memory_left_in("0::/a/b\n", root / "two", group), 1u);
  put("one/memory/x/memory.limit_in_bytes", "500\n");
  put("one/memory/x/memory.usage_in_bytes", "700\n");
  EXPECT_EQ(memory_left_in("9:name=systemd:/\n4:memory:/x/y\n0::/\n", root / "one", group), 0u) << "of an ancestor";
  put("one/memory/x/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(memory_left_in("4:memory:/x\n", root / "one", group), ~uint64_t{0}) << "no limit";
  EXPECT_EQ(memory_left_in("nonsense\n::\n0::/../..\n", root / "one", group), ~uint64_t{0});
}

TEST_F(WriterLimits, ADeadlineThatWasMissedIsCountedAndTold) {  // F-62
  auto quick = options(Storage::kTiered);
  quick.sync_interval_ns = kNsPerMs;
  std::mutex disk;
  std::unique_lock held(disk);
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), quick, {.before_sync = [&] { const std::scoped_lock wait(disk); }});
  append(writer, 0, 10);
  until([&] { return writer.health().deadlines_missed == 1; });
  EXPECT_EQ(writer.durable_seq(), 0u) << "the watermark stays true";
  const FeedHealth health = check_feed(base(), "trades");
  EXPECT_EQ(health.counters.deadlines_missed, 1u);
  EXPECT_TRUE(std::any_of(health.findings.begin(), health.findings.end(), [](const HealthFinding& finding) {
    return finding.check == "lag" && finding.grade == Grade::kWarning && finding.text.find("later than") != std::string::npos;
  }));
  held.unlock();
  until([&] { return writer.durable_seq() == 10; });
  writer.close();
}

// The helper stands, the writer does not: ACTIVE, and a warning. When both stand, STALLED.
TEST_F(WriterLimits, ASilentHelperIsAWarningAsLongAsRecordsCome) {  // F-58, X-16
  std::mutex gate;
  std::unique_lock held(gate);
  std::atomic<bool> stands{false};
  auto wide = options(Storage::kTiered);
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), wide, {.on_event = [&](const WriterEvent& event) {
                                                                                 if (event.kind != WriterEvent::Kind::kRotated) return;
                                                                                 stands.store(true);
                                                                                 const std::scoped_lock wait(gate);
                                                                               }});
  append(writer, 0, 100);
  until([&] { return check_feed(base(), "trades").last_append_age_ns.has_value(); });
  EXPECT_EQ(check_feed(base(), "trades").writer, WriterState::kActive);
  ASSERT_TRUE(writer.rotate());
  until([&] { return stands.load(); });
  const HealthLimits quick{.stalled_after_ns = 20 * kNsPerMs};
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> number{100};
  std::thread appends([&] {
    while (!stop.load()) {
      if (number.load() < 1000 && writer.append(row_of(number.load()))) ++number;
      const timespec pause{0, 3'000'000};
      ::nanosleep(&pause, nullptr);
    }
  });
  FeedHealth health;
  until([&] {
    health = check_feed(base(), "trades", quick);
    return std::any_of(health.findings.begin(), health.findings.end(), [](const HealthFinding& finding) { return finding.check == "writer"; });
  });
  EXPECT_EQ(health.writer, WriterState::kActive);
  EXPECT_NE(health.findings[0].text.find("silent"), std::string::npos) << health.findings[0].text;
  EXPECT_GT(health.committed_seq, 100u);
  EXPECT_EQ(health.pid, static_cast<uint64_t>(::getpid()));
  stop.store(true);
  appends.join();
  health = check_feed(base(), "trades", quick);
  EXPECT_EQ(health.writer, WriterState::kStalled);
  EXPECT_EQ(health.last_clocks[0], row_of(number.load() - 1).time_ns);
  held.unlock();
  until([&] { return check_feed(base(), "trades").writer == WriterState::kActive; });
}

TEST_F(WriterLimits, ABatchIsOneSyncWhenEveryCommitIs) {  // F-62, F-50
  auto strict = options(Storage::kTiered);
  strict.sync = SyncMode::kEveryCommit;
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), strict);
  ASSERT_TRUE(writer.append(row_of(0)));
  const uint64_t before = check_feed(base(), "trades").counters.syncs;
  std::vector<std::byte> rows(500 * sizeof(test::Row));
  for (uint64_t row = 0; row < 500; ++row) store(rows.data() + row * sizeof(test::Row), row_of(1 + row));
  ASSERT_TRUE(writer.append_batch(rows));
  EXPECT_EQ(writer.durable_seq(), 501u);
  EXPECT_EQ(check_feed(base(), "trades").counters.syncs, before + 1);
}

TEST_F(WriterLimits, AGroupWritesManyFeedsWithTwoThreads) {  // F-60
  const auto threads = [] {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) count += entry.exists() ? 1 : 0;
    return count;
  };
  FaultyFiles broken;
  const size_t before = threads();
  auto group = std::make_unique<WriterGroup>();
  std::vector<FeedWriter> writers;
  for (int i = 0; i < 8; ++i) {
    writers.push_back(FeedWriter::create(base(), concat("feed-", i), test::row_schema(), options(i % 2 == 0 ? Storage::kTiered : Storage::kDurable),
                                         {.group = group.get(), .files = i == 3 ? &broken : &Files::system()}));
  }
  EXPECT_EQ(group->writers(), 8u);
  constexpr size_t kOfTheSanitizer = shm::test::kThreadSanitizer ? 1 : 0;
  EXPECT_LE(threads(), before + 2 + kOfTheSanitizer);
  for (FeedWriter& writer : writers) append(writer, 0, 3000);
  // The disk of one of them fails: it says so, the others go on.
  append(writers[3], 3000, 3010);
  broken.fail("sync", "feed-3", EIO);
  expect_fault(Fault::kIo, "Input/output error", [&] { writers[3].sync(); });
  EXPECT_EQ(writers[3].append(row_of(3010)).status, AppendStatus::kIoError);
  group.reset();  // its writers keep what they need of it
  for (size_t i = 0; i < writers.size(); ++i) {
    if (i == 3) continue;
    append(writers[i], 3000, 6000);
    until([&] { return writers[i].durable_seq() >= 3000; });
    writers[i].close();
    auto reader = read({.from = At::oldest()}, concat("feed-", i));
    expect_rows(reader, 0, 6000);
  }
}

TEST_F(WriterLimits, AThreadOfAGroupThatEndsIsToldByAllItsFeeds) {  // F-60
  WriterGroup group;
  std::atomic<bool> end{false};
  auto other = FeedWriter::create(base(), "other", test::row_schema(), options(Storage::kTiered), {.close_timeout_ns = 0, .group = &group});
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), options(Storage::kTiered), {.close_timeout_ns = 0, .group = &group, .before_sync = [&] {
                                                                                                       if (end.load()) throw 42;  // nobody's error
                                                                                                     }});
  append(other, 0, 10);
  append(writer, 0, 10);
  end.store(true);
  uint64_t number = 10;
  until([&] { return writer.append(row_of(number++)).status == AppendStatus::kHelperGone; });
  until([&] { return other.append(row_of(other.next_seq())).status == AppendStatus::kHelperGone; });
  expect_fault(Fault::kIo, "has ended", [&] { other.sync(); });
  expect_fault(Fault::kIo, "make another group", [&] { FeedWriter::create(base(), "third", test::row_schema(), options(Storage::kTiered), {.group = &group}); });
  end.store(false);
  other.close();  // by itself
  writer.close();
  WriterGroup another;
  FeedWriter::open(base(), "other", {.group = &another}).close();
}

TEST_F(WriterLimits, MarksSurviveTheLossOfTheRegistry) {  // F-39
  {
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), options(Storage::kTiered));
    append(writer, 0, 3000);
    for (const uint64_t seq : {5, 1500, 2900}) writer.mark(seq, static_cast<uint32_t>(seq), "key");
    writer.close();
  }
  {  // and a restart
    auto writer = FeedWriter::open(base(), "trades");
    append(writer, 3000, 3100);
    writer.mark(3050, 9);
    writer.close();
  }
  std::filesystem::remove(base() + "/feeds/trades/feed_registry.bin");
  EXPECT_FALSE(repair_base(base()).failed());
  EXPECT_TRUE(verify_base(base()).sound());
  EXPECT_TRUE(repair_base(base()).actions.empty());
  const auto registry = FeedRegistry::open(find_feed(base(), "trades", Files::system()), Files::system(), false);
  ASSERT_EQ(registry.marks().size(), 4u);
  EXPECT_EQ(registry.marks()[1].seq, 1500u);
  EXPECT_EQ(registry.marks()[1].code, 1500u);
  EXPECT_EQ(registry.marks()[1].text, "key");
  auto reader = read({.from = At::mark(row_of(2950).time_ns)});
  expect_rows(reader, 2900, 3100);
}

TEST_F(WriterLimits, ASegmentsEntryThatTheDiskRefusesIsWrittenLater) {  // F-114, X-4
  FaultyFiles files;
  auto writer = FeedWriter::create(base(), "trades", test::row_schema(), options(Storage::kTiered), {.files = &files});
  append(writer, 0, 10);
  writer.sync();
  files.fail("write", "feed_registry.bin", ENOSPC);
  EXPECT_TRUE(writer.mark_segment_boundary("first"));
  append(writer, 10, 20);
  until([&] { return writer.health().trouble.find("No space left") != std::string::npos; });
  until([&] { return writer.durable_seq() == 20; });
  EXPECT_EQ(read().segments().size(), 1u);
  files.fail("write", "", 0);
  until([&] { return read().segments().size() == 2; });
  // An entry that is not taken to the end is an error of the close, and the next writer says what it would have.
  ASSERT_TRUE(writer.rotate());
  until([&] { return read().chunks().front().state == ChunkState::kPersisted; });
  files.fail("write", "feed_registry.bin", ENOSPC);
  expect_fault(Fault::kNoSpace, "its records are safe", [&] { writer.close(); });
  files.fail("write", "", 0);
  auto next = FeedWriter::open(base(), "trades");
  EXPECT_EQ(next.recovery().next_seq, 20u);
  EXPECT_FALSE(next.recovery().loss);
  const auto segments = read().segments();
  ASSERT_EQ(segments.size(), 2u);
  EXPECT_EQ(segments[0].reason, "first");
  EXPECT_EQ(segments[1].end_seq, 20u);
  EXPECT_TRUE(segments[1].usable());
}

TEST_F(WriterLimits, TwoThreadsAtOneHandleAreDetected) {  // F-55
#ifdef NDEBUG
  GTEST_SKIP() << "a check of builds without NDEBUG";
#else
  if (shm::test::kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer refuses threads in a forked child of a process with threads";
  test::Helper child([&](const test::Helper& self) {
    FaultyFiles files;
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), options(Storage::kTiered), {.block_ns = 60 * kNsPerSecond, .files = &files});
    files.fail("reserve", ".data", ENOSPC);
    files.fail("open", ".data", ENOSPC);
    std::thread waits([&] {
      for (uint64_t number = 0;; ++number) static_cast<void>(writer.append(row_of(number)));
    });
    for (;;) {  // until it waits for room, inside the handle
      if (check_feed(base(), "trades").counters.waits != 0) break;
    }
    self.ready();
    static_cast<void>(writer.append(row_of(0)));
    ::_exit(0);
  });
  ASSERT_EQ(child.wait_ready(), 0);
  EXPECT_FALSE(child.join()) << "it ended as if nothing had been";
#endif
}

// Bytes of unsealed chunks are looked at once or twice: what an open after a crash takes grows with them, and no more. The bound is a
// second for each GiB (F-52); here thirty times that and a second, for machines that do other things too.
TEST_F(WriterLimits, OpeningAfterACrashTakesTimeByWhatIsUnsealed) {  // F-52
  auto wide = options(Storage::kTiered);
  wide.chunk_bytes = 16 << 20;
  wide.block_bytes = 65536;
  wide.sync = SyncMode::kExplicit;
  create_feed(base(), "trades", test::row_schema(), wide);
  const uint64_t rows = wide.chunk_bytes / sizeof(test::Row);
  test::Helper crashed([&](const test::Helper& self) {
    FaultyFiles files;
    files.fail("open", "feeds/trades/.tmp-0", ENOSPC);  // so that nothing is sealed on disk
    auto writer = FeedWriter::open(base(), "trades", {.files = &files});
    std::vector<std::byte> bytes(wide.chunk_bytes);
    for (int chunk = 0; chunk < 2; ++chunk) EXPECT_TRUE(writer.append_batch(bytes));
    EXPECT_TRUE(writer.append(row_of(0)));
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(crashed.wait_ready(), 0);
  crashed.kill();
  const uint64_t begin_ns = monotonic_ns();
  auto writer = FeedWriter::open(base(), "trades");
  const uint64_t took_ns = monotonic_ns() - begin_ns;
  EXPECT_EQ(writer.recovery().next_seq, 2 * rows + 1);
  EXPECT_EQ(writer.recovery().chunks.size(), 3u) << "all that were not sealed on disk, not the last alone";
  constexpr uint64_t kUnsealedBytes = uint64_t{32} << 20;
  constexpr uint64_t kSlower = shm::test::kThreadSanitizer ? 20 : 1;
  EXPECT_LE(took_ns, kSlower * (kNsPerSecond + 30 * (kNsPerSecond * kUnsealedBytes >> 30)));
}

}  // namespace
}  // namespace tidepool::feed::writer_limits_test

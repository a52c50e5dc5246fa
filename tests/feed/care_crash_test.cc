// Persister, repair and prune are killed with SIGKILL: before their n-th file operation, for every n there is, and at random moments
// together with the writer. Whatever is left, readers get every record that there was, and the next run finishes.

#include <sys/stat.h>

#include <fstream>
#include <optional>
#include <random>
#include <thread>

#include "check.h"
#include "mortal_files.h"
#include "tidepool/feed/adopt.h"
#include "tidepool/feed/persistd.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/repair.h"

namespace tidepool::feed {
namespace {

using test::Helper;
using test::MortalFiles;
using test::row_of;
using test::SharedTold;
using test::Told;

constexpr uint64_t kChunkRows = 128;

uint64_t stride(uint64_t slice) { return std::getenv("TIDEPOOL_TEST_FULL") != nullptr ? 1 : slice; }

class CareCrash : public test::FeedTest {
 protected:
  FeedOptions tiny(Storage storage) const {
    auto made = options(storage);
    made.chunk_bytes = kChunkRows * sizeof(test::Row);
    made.live_chunks = 2;
    made.sync_interval_ns = kNsPerMs;
    return made;
  }
  // Closed, with `rows` rows.
  void fill(Storage storage, uint64_t rows) const {
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), tiny(storage));
    append(writer, 0, rows);
    writer.close();
  }
  // `rows` more by a writer that is killed.
  void crash(uint64_t rows) const {
    Helper writer([&](const Helper& self) {
      auto open = FeedWriter::open(base(), "trades");
      const uint64_t first = open.recovery().next_seq;
      for (uint64_t number = first; number < first + rows; ++number) EXPECT_TRUE(open.append(row_of(number)));
      self.ready();
      self.sleep_for_ever();
    });
    ASSERT_EQ(writer.wait_ready(), 0);
    writer.kill();
  }
  static void put(const std::string& path, std::string_view content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  }
  static void flip(const std::string& path, size_t at) {
    std::string content = shm::test::read_file(path);
    content[at] = static_cast<char>(content[at] ^ 1);
    put(path, content);
  }
  std::string directory() const { return base() + "/feeds/trades"; }
  void forget() const {
    std::filesystem::remove_all(root.path());
    std::filesystem::create_directory(root.path());
  }
  void expect_sound(const std::string& where) const {
    const VerifyReport report = verify_base(base());
    std::string text;
    for (const Finding& finding : report.findings) text += concat(text_of(finding), "\n");
    ASSERT_TRUE(report.sound()) << where << "\n" << text;
  }
  // Rows [first, end), but for one gap [from, to), each once and whole; nothing else.
  void expect_feed(uint64_t first, uint64_t end, uint64_t from = 0, uint64_t to = 0) const {
    auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
    ASSERT_EQ(reader.first_seq(), first);
    for (uint64_t number = first; number < end;) {
      const Item item = reader.next();
      if (item.kind == Item::Kind::kGap && from != to) {
        ASSERT_EQ(item.gap.from, number);
        ASSERT_GE(item.gap.from, from);
        ASSERT_LE(item.gap.to, to);
        number = item.gap.to;
        continue;
      }
      ASSERT_EQ(item.kind, Item::Kind::kRow) << "at " << number << ": " << item.gap.from << " to " << item.gap.to << " "
                                             << item.gap.text;
      ASSERT_EQ(item.seq, number);
      const test::Row expected = row_of(number);
      ASSERT_EQ(std::memcmp(item.bytes.data(), &expected, sizeof expected), 0) << number;
      ++number;
    }
    ASSERT_EQ(reader.next().kind, Item::Kind::kEnded);
  }
};

class PersisterCrash : public CareCrash {};
INSTANTIATE_TEST_SUITE_P(Storages, PersisterCrash, ::testing::Values(Storage::kTiered, Storage::kDurable), test::storage_test_name);

TEST_P(PersisterCrash, AtEveryStepLosesNothing) {  // F-63, F-64, F-67, F-156, G-1, G-2, G-3, G-4
  constexpr uint64_t kRows = 500;
  uint64_t ended = 0;
  const uint64_t step = stride(17);
  for (uint64_t last = 1 + test::seed() % step; ended == 0; last += step) {
    SharedTold told;
    forget();
    create_feed(base(), "trades", test::row_schema(), tiny(GetParam()));
    crash(kRows);
    Helper persister([&](const Helper&) {
      MortalFiles files(*told, last);
      auto daemon = Persistd::open(base(), {.retention_every_ns = 0, .files = &files});
      while (daemon->poll()) {
      }
      if (daemon->status().failures != 0) ::raise(SIGKILL);
    });
    if (persister.join()) ended = last;
    const std::string where = concat("killed before step ", last);
    expect_feed(0, kRows);
    if (last % 3 == 0) test::expect_python(base(), "trades", kRows, true);
    ASSERT_FALSE(HasFatalFailure()) << where;
    if (last % 2 == 0) {  // the next one is a persister, a writer, or repair
      auto daemon = Persistd::open(base(), {.retention_every_ns = 0});
      while (daemon->poll()) {
      }
      ASSERT_EQ(daemon->status().failures, 0u) << where << daemon->trouble();
    } else if (last % 3 == 0) {
      FeedWriter::open(base(), "trades").close();
    } else {
      const RepairReport report = repair_base(base());
      ASSERT_FALSE(report.failed()) << where;
    }
    for (const std::string& name : names_in(root.path())) {
      if (name != "base") std::filesystem::remove_all(root / name);  // and the power fails
    }
    expect_feed(0, kRows);
    test::expect_python(base(), "trades", kRows, false);
    expect_sound(where);
    ASSERT_FALSE(HasFatalFailure()) << where;
  }
  EXPECT_GT(ended, 25u) << "so many steps there are at least";
}

// A daemon that persists for a living writer is killed at any step: the writer goes on, and so does the next daemon.
TEST_P(PersisterCrash, OfALivingWriterLosesNothing) {  // F-63, F-64, F-156, G-1, G-2, G-3
  if (shm::test::kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer refuses threads in a forked child of a process with threads";
  constexpr uint64_t kRows = 600;
  uint64_t ended = 0;
  const uint64_t step = stride(19);
  for (uint64_t last = 1 + test::seed() % step; ended == 0; last += step) {
    SharedTold told;
    forget();
    auto served = tiny(GetParam());
    served.persister = Persister::kDaemon;
    create_feed(base(), "trades", test::row_schema(), served);
    std::atomic<bool>* over = new (::mmap(nullptr, sizeof(std::atomic<bool>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) std::atomic<bool>(false);
    const auto daemon = [&](uint64_t dies_at) {
      return [&, dies_at](const Helper& self) {
        MortalFiles files(*told, dies_at);
        auto open = Persistd::open(base(), {.retention_every_ns = 0, .files = &files});
        self.ready();
        while (!over->load()) {
          open->poll();
          const timespec pause{0, 1'000'000};
          ::nanosleep(&pause, nullptr);
        }
      };
    };
    const std::string where = concat("killed before step ", last);
    auto mortal = std::make_unique<Helper>(daemon(last));
    std::unique_ptr<Helper> next;
    {
      std::optional<FeedWriter> writer;
      try {  // it may die before it has come to this writer
        writer.emplace(FeedWriter::open(base(), "trades", {.persister_wait_ns = 300 * kNsPerMs}));
      } catch (const FeedError& error) {
        ASSERT_EQ(error.fault(), Fault::kNoPersister) << where << error.what();
        next = std::make_unique<Helper>(daemon(~uint64_t{0}));
        writer.emplace(FeedWriter::open(base(), "trades", {.persister_wait_ns = 30 * kNsPerSecond}));
      }
      append(*writer, 0, kRows);
      if (!next && last < 2000) {
        const uint64_t until_ns = monotonic_ns() + 100 * kNsPerMs;  // some die here, some go on for ever
        while (monotonic_ns() < until_ns && writer->durable_seq() < kRows) std::this_thread::yield();
      }
      const uint64_t durable = writer->durable_seq();
      if (durable == kRows) ended = last;
      over->store(durable == kRows);
      writer->close();
      ASSERT_FALSE(HasFatalFailure()) << where;
    }
    over->store(true);
    for (const std::string& name : names_in(root.path())) {
      if (name != "base") std::filesystem::remove_all(root / name);
    }
    expect_feed(0, kRows);
    test::expect_python(base(), "trades", kRows, false);
    ASSERT_TRUE(verify_base(base()).sound()) << where;
    mortal->kill();
    if (next) next->kill();
    ::munmap(over, sizeof *over);
    ASSERT_FALSE(HasFatalFailure()) << where;
  }
  EXPECT_GT(ended, 20u) << "so many steps there are at least";
}

class RepairCrash : public CareCrash {
 protected:
  // Everything that repair repairs, at once.
  void wreck() {
    fill(Storage::kTiered, 10 * kChunkRows);
    fill_another("deleted");
    fill_another("forgotten");
    crash(200);
    flip(directory() + "/" + chunk_name(3), 60);  // its header: into quarantine
    const std::string whole = shm::test::read_file(directory() + "/" + chunk_name(5));
    put(directory() + "/" + chunk_name(5), whole.substr(0, whole.size() - 30));  // its footer: made again
    std::filesystem::remove(directory() + "/" + index_name(7));
    put(directory() + "/schema.bin", "nonsense");
    std::filesystem::remove(directory() + "/definition.bin");
    flip(directory() + "/feed_registry.bin", kLogHeaderBytes + 5 * kFeedEntryBytes + 50);
    put(directory() + "/.tmp-something", "half");
    std::filesystem::copy(base() + "/feeds/forgotten", base() + "/feeds/.tmp-12", std::filesystem::copy_options::recursive);
    write_global(base(), GlobalEntry::kDeleting, find_feed(base(), "deleted", Files::system()), Files::system());
    // The entry that made "forgotten" rots.
    const std::string registry = shm::test::read_file(base() + "/registry.bin");
    const size_t at = registry.find("forgotten");
    ASSERT_NE(at, std::string::npos);
    flip(base() + "/registry.bin", at + 20);
  }
  void fill_another(const std::string& name) const {
    auto writer = FeedWriter::create(base(), name, test::row_schema(), tiny(Storage::kDurable));
    append(writer, 0, 150);
    writer.close();
  }
};

TEST_F(RepairCrash, AtEveryStepTheNextRunFinishes) {  // F-132, F-134, F-135, F-156, X-8, G-1, G-2, G-3, G-6
  uint64_t ended = 0;
  const uint64_t step = stride(37);
  for (uint64_t last = 1 + test::seed() % step; ended == 0; last += step) {
    SharedTold told;
    forget();
    wreck();
    ASSERT_FALSE(HasFatalFailure());
    Helper repair([&](const Helper&) {
      MortalFiles files(*told, last);
      RepairOptions mortal;
      mortal.files = &files;
      if (repair_base(base(), mortal).failed()) ::raise(SIGKILL);
    });
    if (repair.join()) ended = last;
    const std::string where = concat("killed before step ", last);
    const RepairReport report = repair_base(base());
    std::string text;
    for (const RepairAction& action : report.actions) text += text_of(action) + "\n";
    for (const Finding& finding : report.left.findings) text += text_of(finding) + "\n";
    ASSERT_FALSE(report.failed()) << where << "\n" << text;
    ASSERT_TRUE(report.left.sound()) << where << "\n" << text;
    ASSERT_TRUE(report.skipped.empty()) << where;
    ASSERT_TRUE(repair_base(base()).actions.empty()) << where << ": a second run has something to do";
    expect_feed(0, 10 * kChunkRows + 200, 2 * kChunkRows, 3 * kChunkRows);
    test::expect_python_range(base(), "trades", 0, 10 * kChunkRows + 200, false);
    test::expect_python(base(), "forgotten", 150, false);
    ASSERT_FALSE(HasFatalFailure()) << where << "\n" << text;
    ASSERT_FALSE(std::filesystem::exists(base() + "/feeds/deleted")) << where;
    ASSERT_EQ(GlobalRegistry::open(base()).feeds().size(), 2u) << where;
    if (last % 4 == 0) {
      auto writer = FeedWriter::open(base(), "trades");
      ASSERT_EQ(writer.recovery().next_seq, 10 * kChunkRows + 200) << where;
      ASSERT_FALSE(writer.recovery().loss) << where;
    }
  }
  EXPECT_GT(ended, 60u) << "so many steps there are at least";
}

class PruneCrash : public CareCrash {};

TEST_F(PruneCrash, AtEveryStepTheNextRunFinishes) {  // F-27, F-128, F-130, F-156, X-14, G-1, G-2, G-6
  uint64_t ended = 0;
  const uint64_t step = stride(7);
  for (uint64_t last = 1 + test::seed() % step; ended == 0; last += step) {
    SharedTold told;
    forget();
    fill(Storage::kTiered, 10 * kChunkRows);
    auto follower = read({.from = At::sequence(2 * kChunkRows)});
    expect_rows(follower, 2 * kChunkRows, 2 * kChunkRows + 3);
    PruneOptions prune;
    prune.run.grace_ns = 0;
    prune.limits.chunks = 4;
    Helper pruner([&](const Helper&) {
      MortalFiles files(*told, last);
      PruneOptions mortal = prune;
      mortal.run.files = &files;
      if (!prune_base(base(), mortal).warnings.empty()) ::raise(SIGKILL);
      const FeedInfo feed = find_feed(base(), "trades", files);
      FeedRegistry::open(feed, files, true).compact(1);
    });
    if (pruner.join()) ended = last;
    const std::string where = concat("killed before step ", last);
    // Whatever has gone is a whole number of chunks from the oldest on, and told.
    const uint64_t floor = read().first_seq();
    ASSERT_EQ(floor % kChunkRows, 0u) << where;
    ASSERT_LE(floor, 6 * kChunkRows) << where;
    expect_feed(floor, 10 * kChunkRows);
    if (last % 3 == 0) test::expect_python_range(base(), "trades", floor, 10 * kChunkRows, false);
    ASSERT_FALSE(HasFatalFailure()) << where;
    expect_rows(follower, 2 * kChunkRows + 3, 3 * kChunkRows);  // what it has mapped stays
    ASSERT_EQ(verify_base(base()).count(Severity::kDamage), 0u) << where;  // a temporary file may be left
    ASSERT_TRUE(prune_base(base(), prune).warnings.empty()) << where;
    expect_feed(6 * kChunkRows, 10 * kChunkRows);
    if (last % 3 == 1) test::expect_python_range(base(), "trades", 6 * kChunkRows, 10 * kChunkRows, false);
    size_t files = 0;
    for (const std::string& name : names_in(directory())) files += ordinal_of(name) ? 1 : 0;
    ASSERT_EQ(files, 8u) << where;
    auto writer = FeedWriter::open(base(), "trades");  // and over whatever a compaction left
    append(writer, 10 * kChunkRows, 10 * kChunkRows + 10);
    for (Item item = follower.next(); item.seq + 1 < 10 * kChunkRows + 10; item = follower.next()) {
      ASSERT_TRUE(item.kind == Item::Kind::kRow || item.kind == Item::Kind::kGap) << where;
    }
    ASSERT_FALSE(HasFatalFailure()) << where;
  }
  EXPECT_GT(ended, 15u) << "so many steps there are at least";
}

class AdoptCrash : public CareCrash {};

// Chunks 2 (a rotten block) and 3 (gone) come back from a copy; and the first of them into a feed of their own.
TEST_F(AdoptCrash, AtEveryStepIsDoneByTheNext) {  // F-153, F-134, F-135, G-5, G-6
  uint64_t ended = 0;
  const uint64_t step = stride(5);
  for (uint64_t last = 1 + test::seed() % step; ended == 0; last += step) {
    SharedTold told;
    forget();
    fill(Storage::kTiered, 4 * kChunkRows);
    std::vector<std::string> copies;
    std::filesystem::create_directory(root / "copies");
    for (const uint64_t ordinal : {2, 3}) {
      copies.push_back(concat(root / "copies", "/", chunk_name(ordinal)));
      std::filesystem::copy_file(concat(directory(), "/", chunk_name(ordinal)), copies.back());
    }
    flip(concat(directory(), "/", chunk_name(2)), kChunkPageBytes + 4096 + 100);
    std::filesystem::remove(concat(directory(), "/", chunk_name(3)));
    repair_base(base());
    ASSERT_EQ(verify_base(base()).count(Severity::kDamage), 1u);
    const AdoptOptions options{.replace_damaged = true, .feed_options = tiny(Storage::kTiered)};
    Helper adopter([&](const Helper&) {
      MortalFiles files(*told, last);
      AdoptOptions mortal = options;
      mortal.files = &files;
      if (adopt_chunks(base(), "trades", copies, mortal).count(AdoptedChunk::Outcome::kReplaced) != 2) ::raise(SIGKILL);
      if (!adopt_chunks(root / "other", "again", copies, mortal).created) ::raise(SIGKILL);
    });
    if (adopter.join()) ended = last;
    const std::string where = concat("killed before step ", last);
    expect_feed(0, 4 * kChunkRows, kChunkRows, 3 * kChunkRows);  // the gap, or what is mended of it
    ASSERT_FALSE(HasFatalFailure()) << where;
    for (const AdoptedChunk& chunk : adopt_chunks(base(), "trades", copies, options).chunks) {
      ASSERT_TRUE(chunk.outcome == AdoptedChunk::Outcome::kReplaced || chunk.why.find("already") != std::string::npos) << where << ": " << chunk.why;
    }
    for (const RepairAction& action : repair_base(base()).actions)
      ASSERT_TRUE(action.what == "remove-leftover" || action.what == "rebuild-index") << where << ": " << text_of(action);
    expect_sound(where);
    expect_feed(0, 4 * kChunkRows);
    for (const std::string& name : names_in(directory() + "/quarantine")) ASSERT_EQ(name.find("chunk-block"), std::string::npos) << where << ": " << name;
    ASSERT_FALSE(HasFatalFailure()) << where;
    // The other base has the feed, or nothing of it.
    repair_base(base());
    if (std::filesystem::exists(root / "other/registry.bin")) repair_base(root / "other");
    adopt_chunks(root / "other", "again", copies, options);
    ASSERT_TRUE(verify_base(root / "other").sound()) << where;
    auto again = FeedReader::open(root / "other", "again", {.from = At::oldest(), .stop_when_inactive = true});
    expect_rows(again, kChunkRows, 3 * kChunkRows);
    ASSERT_EQ(again.next().kind, Item::Kind::kEnded) << where;
    ASSERT_FALSE(HasFatalFailure()) << where;
  }
  EXPECT_GT(ended, 30u) << "so many steps there are at least";
}

class DeleteCrash : public CareCrash {};

TEST_F(DeleteCrash, AtEveryStepTheNextRepairFinishes) {  // F-11, F-134
  uint64_t ended = 0;
  const uint64_t step = stride(3);
  for (uint64_t last = 1 + test::seed() % step; ended == 0; last += step) {
    SharedTold told;
    forget();
    fill(Storage::kTiered, 300);
    Helper deleter([&](const Helper&) {
      MortalFiles files(*told, last);
      delete_feed(base(), "trades", false, files);
    });
    if (deleter.join()) ended = last;
    const RepairReport report = repair_base(base());
    ASSERT_FALSE(report.failed()) << last;
    ASSERT_TRUE(report.left.sound()) << last;
    if (GlobalRegistry::open(base()).find("trades") != nullptr) {
      expect_feed(0, 300);  // it had not begun
      test::expect_python(base(), "trades", 300, false);
      ASSERT_FALSE(HasFatalFailure()) << last;
      continue;
    }
    ASSERT_FALSE(std::filesystem::exists(directory())) << last;
  }
  EXPECT_GT(ended, 8u);
}

class TogetherCrash : public CareCrash {};

// Writer with retention, persister, prune and repair, each killed whenever; a follower reads all the while.
TEST_F(TogetherCrash, AtAnyMomentLosesNothing) {  // F-63, F-95, F-128, F-132, F-156, X-15, G-1, G-2, G-3, G-4, G-6
  std::mt19937_64 random(test::seed());
  auto limited = tiny(Storage::kTiered);
  limited.retention_bytes = 40 * kChunkRows * sizeof(test::Row);
  create_feed(base(), "trades", test::row_schema(), limited);
  auto reader = read({.from = At::oldest(), .stalled_after_ns = 60 * kNsPerSecond});
  uint64_t next = 0;
  for (int round = 0; round < test::rounds(8, 1000); ++round) {
    SharedTold told;
    told->acknowledged = next;
    Helper writer([&](const Helper&) {
      auto open = FeedWriter::open(base(), "trades", {.wait_for_lock_ns = 30 * kNsPerSecond});
      for (uint64_t number = open.recovery().next_seq;; ++number) {
        if (open.append(row_of(number)).status != AppendStatus::kOk) ::raise(SIGKILL);
        told->acknowledged = number + 1;
      }
    });
    Helper persister([&](const Helper&) {
      auto daemon = Persistd::open(base(), {});
      for (;;) daemon->poll();
    });
    Helper pruner([&](const Helper&) {
      PruneOptions prune;
      prune.run.grace_ns = 0;
      prune.limits.chunks = 30;
      for (;;) {
        try {
          prune_base(base(), prune);
          FeedRegistry::open(find_feed(base(), "trades", Files::system()), Files::system(), true).compact(64);
        } catch (const FeedError&) {  // the persister prunes, or repair has the locks
        }
      }
    });
    const uint64_t wanted = next + 200 + random() % 700;
    until([&] { return told->acknowledged >= wanted; });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
    (random() % 2 == 0 ? persister : pruner).kill();
    writer.kill();
    if (random() % 2 == 0) {
      Helper repair([&](const Helper&) {
        for (;;) {
          try {
            repair_base(base());
          } catch (const FeedError&) {  // somebody has the registry's lock for too long
          }
        }
      });
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
      repair.kill();
    }
    pruner.kill();
    persister.kill();
    // Each record once and in order; those that retention took before they were read are told.
    while (next < told->acknowledged) {
      const Item item = reader.next(30 * kNsPerSecond);
      if (item.kind == Item::Kind::kGap) {
        ASSERT_EQ(item.gap.from, next) << round;
        ASSERT_EQ(item.gap.cause, GapCause::kRetention) << round << " " << item.gap.text;
        next = item.gap.to;
        continue;
      }
      ASSERT_EQ(item.kind, Item::Kind::kRow) << round << " at " << next << " of " << told->acknowledged;
      ASSERT_EQ(item.seq, next) << round;
      const test::Row expected = row_of(next);
      ASSERT_EQ(std::memcmp(item.bytes.data(), &expected, sizeof expected), 0) << next;
      ++next;
    }
    for (Item item = reader.next(); item.kind == Item::Kind::kRow; item = reader.next()) ASSERT_EQ(item.seq, next++);
    ASSERT_LE(next, told->acknowledged + 1) << round;
    if (round % 4 != 3) continue;
    const RepairReport report = repair_base(base());
    std::string text;
    for (const Finding& finding : report.left.findings) text += text_of(finding) + "\n";
    ASSERT_TRUE(report.left.sound()) << round << "\n" << text;
    test::expect_python_range(base(), "trades", read().first_seq(), next, true);
    ASSERT_FALSE(HasFatalFailure()) << round;
  }
}

}  // namespace
}  // namespace tidepool::feed

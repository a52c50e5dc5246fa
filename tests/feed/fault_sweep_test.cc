// Every call that feed/ makes to the operating system fails, one after the other, once or from then on: no space, an error of the disk,
// a right that is not there. Whoever meets it says so (G-6), nothing aborts, and what was committed is there afterwards.

#include <atomic>
#include <random>

#include "judge.h"
#include "tidepool/feed/persistd.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/repair.h"
#include "tidepool/feed/retention.h"

namespace tidepool::feed::fault_sweep_test {
namespace {

using test::FeedFacts;
using test::Helper;
using test::Judge;
using test::row_of;

// The n-th call fails, or that one and all after it; of all calls that can.
class NthCallFails : public SystemFiles {
 public:
  NthCallFails(uint64_t nth, int err, bool for_ever) : nth_(nth), err_(err), for_ever_(for_ever) {}
  uint64_t calls() const noexcept { return calls_; }
  bool failed() const noexcept { return failed_; }

  int open(const std::string& path, int flags, mode_t mode) noexcept override { return refuse() ? -1 : SystemFiles::open(path, flags, mode); }
  int stat_fd(int fd, struct stat& found) noexcept override { return refuse() ? -1 : SystemFiles::stat_fd(fd, found); }
  ssize_t pread(int fd, void* to, size_t bytes, uint64_t offset) noexcept override {
    return refuse() ? -1 : SystemFiles::pread(fd, to, bytes, offset);
  }
  ssize_t pwrite(int fd, const void* from, size_t bytes, uint64_t offset) noexcept override {
    if (!refuse()) return SystemFiles::pwrite(fd, from, bytes, offset);
    if (bytes > 1) SystemFiles::pwrite(fd, from, bytes / 2, offset);  // some of it may have got there
    errno = err_;
    return -1;
  }
  int resize(int fd, uint64_t bytes) noexcept override { return refuse() ? -1 : SystemFiles::resize(fd, bytes); }
  int reserve(int fd, uint64_t offset, uint64_t bytes) noexcept override { return refuse() ? -1 : SystemFiles::reserve(fd, offset, bytes); }
  int sync_data(int fd) noexcept override { return refuse() ? -1 : SystemFiles::sync_data(fd); }
  int sync_directory(const std::string& path) noexcept override { return refuse() ? -1 : SystemFiles::sync_directory(path); }
  int rename(const std::string& from, const std::string& to) noexcept override { return refuse() ? -1 : SystemFiles::rename(from, to); }
  int unlink(const std::string& path) noexcept override { return refuse() ? -1 : SystemFiles::unlink(path); }
  int make_directory(const std::string& path, mode_t mode) noexcept override { return refuse() ? -1 : SystemFiles::make_directory(path, mode); }
  int remove_directory(const std::string& path) noexcept override { return refuse() ? -1 : SystemFiles::remove_directory(path); }
  void* map(int fd, size_t bytes, bool writable) noexcept override { return refuse() ? nullptr : SystemFiles::map(fd, bytes, writable); }
  int populate(void* at, size_t bytes) noexcept override { return refuse() ? -1 : SystemFiles::populate(at, bytes); }
  int lease(int fd, bool take) noexcept override { return take && refuse() ? -1 : SystemFiles::lease(fd, take); }

 private:
  bool refuse() noexcept {
    const uint64_t call = ++calls_;
    if (for_ever_ ? call < nth_ : call != nth_) return false;
    failed_ = true;
    errno = err_;
    return true;
  }
  const uint64_t nth_;
  const int err_;
  const bool for_ever_;
  std::atomic<uint64_t> calls_{0};
  std::atomic<bool> failed_{false};
};

constexpr uint64_t kRows = 400;

class FaultSweep : public test::FeedTest {
 protected:
  FeedOptions tiny(Storage storage) const {
    auto made = options(storage);
    made.chunk_bytes = 4096;
    made.live_chunks = 2;
    made.sync_interval_ns = kNsPerMs;
    return made;
  }
  void forget() const {
    std::filesystem::remove_all(root.path());
    std::filesystem::create_directory(root.path());
  }
  // What writes may return or throw is told; how many rows it was told to be committed.
  static void write(const std::string& where, Files& files, uint64_t& acknowledged) {
    auto writer = FeedWriter::open(where, "trades", {.block_ns = kNsPerMs, .close_timeout_ns = 5 * kNsPerMs, .files = &files});
    acknowledged = std::max(acknowledged, writer.next_seq());
    for (uint64_t number = writer.next_seq(), end = number + kRows; number < end; ++number) {
      if (!writer.append(row_of(number))) break;
      acknowledged = number + 1;
      if (number % 150 == 50) writer.sync();
      if (number % 170 == 60) writer.mark(number, 1);
      if (number % 190 == 70) writer.rotate();
    }
    writer.close();
  }
  // Rows of a writer that was killed.
  void crash(uint64_t rows) const {
    Helper dies([&](const Helper&) {
      auto writer = FeedWriter::open(base(), "trades");
      append(writer, 0, rows);
      ::raise(SIGKILL);
    });
    EXPECT_FALSE(dies.join());
  }
  // The body, over one call that fails after another; `prepare` before each, `after` tells what must be there.
  void sweep(uint64_t slice, const std::function<void()>& prepare, const std::function<void(Files&)>& body, const std::function<uint64_t()>& least) {
    const uint64_t step = std::getenv("TIDEPOOL_TEST_FULL") != nullptr ? 1 : slice;
    uint64_t turn = test::seed();
    uint64_t told = 0;
    uint64_t total = 0;
    for (const bool for_ever : {false, true}) {
      bool reached = true;
      for (uint64_t nth = 1 + turn % step; reached && nth < 5000; nth += step, ++turn) {
        constexpr int kErrors[] = {EIO, ENOSPC, EACCES};
        const int err = kErrors[turn % 3];
        SCOPED_TRACE(concat("call ", nth, for_ever ? " and all after it fail: " : " fails: ", err));
        forget();
        prepare();
        ASSERT_FALSE(HasFatalFailure());
        NthCallFails files(nth, err, for_ever);
        try {
          body(files);
        } catch (const FeedError& error) {
          ++told;
          ASSERT_NE(std::string_view(error.what()).find('/'), std::string_view::npos) << "which file? " << error.what();
        }
        ++total;
        reached = files.failed();
        expect_kept(least());
        ASSERT_FALSE(HasFatalFailure());
      }
    }
    std::printf("%llu runs, %llu of them ended by an error\n", static_cast<unsigned long long>(total), static_cast<unsigned long long>(told));
    EXPECT_GT(told, 0u);
  }
  // All of [first, ...), at least `least` of them, before and after the next writer.
  void expect_kept(uint64_t least) {
    if (!std::filesystem::exists(base() + "/registry.bin") || GlobalRegistry::open(base()).find("trades") == nullptr) {
      ASSERT_EQ(least, 0u);
    } else {
      std::map<std::string, FeedFacts> facts;
      judge.look(root.path(), base(), {"trades"}, true, facts);
      ASSERT_FALSE(HasFatalFailure());
      ASSERT_GE(facts["trades"].end_seq, least) << "G-3";
      auto writer = FeedWriter::open(base(), "trades");
      ASSERT_FALSE(writer.recovery().loss);
      ASSERT_EQ(writer.next_seq(), facts["trades"].end_seq);
      return;
    }
    create_feed(base(), "trades", test::row_schema(), tiny(Storage::kTiered));  // F-7
  }
  Judge judge;
};

class FaultSweepOf : public FaultSweep {};
INSTANTIATE_TEST_SUITE_P(Storages, FaultSweepOf, ::testing::Values(Storage::kTiered, Storage::kDurable), test::storage_test_name);

TEST_P(FaultSweepOf, AWritersWholeLifeLosesNothingCommitted) {  // F-47, F-52, F-57, F-64, F-156, G-1, G-3, G-5, G-6
  uint64_t acknowledged = 0;
  sweep(
      29, [&] { acknowledged = 0, create_feed(base(), "trades", test::row_schema(), tiny(GetParam())); },
      [&](Files& files) { write(base(), files, acknowledged); }, [&] { return acknowledged; });
}

TEST_P(FaultSweepOf, ARecoveryLosesNothingCommitted) {  // F-52, F-67, F-156, G-1, G-3, G-6
  uint64_t acknowledged = 0;
  sweep(
      23,
      [&] {
        create_feed(base(), "trades", test::row_schema(), tiny(GetParam()));
        crash(300);
        acknowledged = 300;
      },
      [&](Files& files) { FeedWriter::open(base(), "trades", {.close_timeout_ns = 5 * kNsPerMs, .files = &files}).close(); }, [&] { return acknowledged; });
}

TEST_P(FaultSweepOf, APersisterLosesNothingCommitted) {  // F-63, F-64, F-67, F-156, G-1, G-3, G-6
  sweep(
      23,
      [&] {
        create_feed(base(), "trades", test::row_schema(), tiny(GetParam()));
        crash(300);
      },
      [&](Files& files) {
        auto daemon = Persistd::open(base(), {.retention_every_ns = 0, .files = &files});
        for (int turn = 0; turn < 3; ++turn) daemon->poll();
      },
      [] { return uint64_t{300}; });
}

TEST_F(FaultSweep, ACreateIsWholeOrNothing) {  // F-7, F-156, G-6
  sweep(
      3, [] {}, [&](Files& files) { create_feed(base(), "trades", test::row_schema(), tiny(Storage::kTiered), files); }, [] { return uint64_t{0}; });
}

TEST_F(FaultSweep, RepairPruneAndCompactionLoseNothing) {  // F-27, F-128, F-132, F-134, F-156, G-1, G-3, G-6
  sweep(
      41,
      [&] {
        create_feed(base(), "trades", test::row_schema(), tiny(Storage::kTiered));
        crash(1500);
        FeedWriter::open(base(), "trades").close();
        std::filesystem::remove(base() + "/feeds/trades/" + index_name(3));
        std::filesystem::remove(base() + "/feeds/trades/definition.bin");
      },
      [&](Files& files) {
        const RepairReport report = repair_base(base(), {.files = &files});
        if (report.failed()) throw FeedError(Fault::kIo, text_of(report.actions.back()));
        PruneOptions prune;
        prune.run.grace_ns = 0;
        prune.run.files = &files;
        prune.limits.chunks = 4;
        prune_base(base(), prune);
        FeedRegistry::open(find_feed(base(), "trades", files), files, true).compact(1);
      },
      [&] {
        repair_base(base());  // its definition is missing until then
        return uint64_t{1500};
      });
}

TEST_F(FaultSweep, ReadersSayWhatTheyCannotRead) {  // F-104, F-156, G-1, G-2, G-5, G-6
  create_feed(base(), "trades", test::row_schema(), tiny(Storage::kTiered));
  crash(600);
  const auto before = test::everything_below(root.path());
  const uint64_t step = std::getenv("TIDEPOOL_TEST_FULL") != nullptr ? 1 : 5;
  for (const int err : {EIO, EACCES}) {
    bool reached = true;
    for (uint64_t nth = 1; reached; nth += step) {
      SCOPED_TRACE(concat("call ", nth, " fails: ", err));
      NthCallFails files(nth, err, false);
      bool told = false;
      uint64_t next = 0;
      try {
        auto reader = read({.from = At::oldest(), .stop_when_inactive = true, .files = &files});
        for (Item item = reader.next(); item.kind != Item::Kind::kEnded; item = reader.next()) {
          if (item.kind == Item::Kind::kGap) {
            told = true;
            ASSERT_EQ(item.gap.from, next);
            next = item.gap.to;
            continue;
          }
          ASSERT_EQ(item.kind, Item::Kind::kRow);
          ASSERT_EQ(item.seq, next);
          const test::Row expected = row_of(next);
          ASSERT_EQ(std::memcmp(item.bytes.data(), &expected, sizeof expected), 0);
          ++next;
        }
      } catch (const FeedError&) {
        told = true;
      }
      ASSERT_TRUE(told || next == 600) << "G-6: the end came at " << next << " and nobody said why";
      reached = files.failed();
    }
  }
  EXPECT_EQ(before, test::everything_below(root.path()));
}

// Whatever call fails: verify counts what it counts otherwise, or says what it could not look at.
TEST_F(FaultSweep, VerifySaysWhatItCannotRead) {  // F-133, F-156, X-18, X-21, G-5, G-6
  create_feed(base(), "trades", test::row_schema(), tiny(Storage::kTiered));
  crash(600);
  const VerifyReport whole = verify_base(base());
  for (const int err : {EIO, EACCES}) {
    bool reached = true;
    for (uint64_t nth = 1; reached; ++nth) {
      NthCallFails files(nth, err, false);
      try {
        const VerifyReport report = verify_base(base(), {.files = &files});
        std::string told;
        for (const Finding& finding : report.findings) told += concat(text_of(finding), "\n");
        EXPECT_TRUE(report.findings.size() > whole.findings.size() || (report.chunks == whole.chunks && report.records == whole.records) ||
                    told.find(err == EIO ? "Input/output error" : "Permission denied") != std::string::npos)
            << "call " << nth << " failed: " << report.chunks << " chunks of " << whole.chunks << ", " << report.records << " records of "
            << whole.records << "\n" << told;
      } catch (const FeedError&) {
      }
      reached = files.failed();
    }
  }
}

}  // namespace
}  // namespace tidepool::feed::fault_sweep_test

// Disks that are full in earnest: a small tmpfs for the base, another for shared memory, and a limit on the size of files. Each call
// that needs space says so, nothing committed is lost, and all goes on when there is space again.

#include <signal.h>
#include <sys/resource.h>

#include <fstream>

#include "judge.h"
#include "tidepool/feed/export.h"
#include "tidepool/feed/import.h"
#include "tidepool/feed/persistd.h"
#include "tidepool/feed/pins.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/repair.h"
#include "tidepool/feed/retention.h"

namespace tidepool::feed::full_disk_test {
namespace {

using test::FeedFacts;
using test::Helper;
using test::Judge;
using test::row_of;

class FullDisk : public test::FeedTest {
 protected:
  std::string disk() const { return root / "disk"; }
  std::string memory() const { return root / "memory"; }
  std::string disk_base() const { return disk() + "/base"; }
  // In a child: two file systems of so many KiB.
  bool mount(uint64_t disk_kib, uint64_t memory_kib) const {
    std::filesystem::create_directory(disk());
    std::filesystem::create_directory(memory());
    if (shm::test::mount_private("tmpfs", disk(), concat("size=", disk_kib, "k").c_str()) &&
        shm::test::mount_private("tmpfs", memory(), concat("size=", memory_kib, "k").c_str()))
      return true;
    [] { GTEST_SKIP() << "mounting a tmpfs in a namespace of one's own is not permitted here"; }();
    return false;
  }
  FeedOptions tiny(Storage storage) const {
    auto made = test::small_options(memory(), storage);
    made.chunk_bytes = 32 * 1024;
    made.live_chunks = 2;
    made.backlog_bytes = 128 * 1024;
    made.sync_interval_ns = kNsPerMs;
    return made;
  }
  // Takes what is free, but for `but` bytes.
  static void fill(const std::string& directory, uint64_t but = 0) {
    const std::string path = directory + "/ballast";
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ASSERT_GE(fd, 0);
    const std::vector<char> page(4096, 'x');
    while (::write(fd, page.data(), page.size()) > 0) {
    }
    struct stat found {};
    ::fstat(fd, &found);
    if (but != 0) {
      ASSERT_EQ(::ftruncate(fd, std::max<off_t>(0, found.st_size - static_cast<off_t>(but))), 0);
    }
    ::close(fd);
  }
  static void make_space(const std::string& directory) { std::filesystem::remove(directory + "/ballast"); }
  void expect_all(uint64_t from, uint64_t to, const std::string& name = "trades") {
    std::map<std::string, FeedFacts> facts;
    judge.look(root.path(), disk_base(), {name}, true, facts, false);
    ASSERT_FALSE(HasFatalFailure());
    ASSERT_EQ(facts[name].first_seq, from);
    ASSERT_EQ(facts[name].end_seq, to);
  }
  Judge judge;
};

class FullDiskOf : public FullDisk {};
INSTANTIATE_TEST_SUITE_P(Storages, FullDiskOf, ::testing::Values(Storage::kTiered, Storage::kDurable), test::storage_test_name);

TEST_P(FullDiskOf, ABaseHoldsItsWriterBackAndNothingIsLost) {  // X-4, F-31, F-56, F-57, F-65, F-156, G-1, G-3, G-6
  TIDEPOOL_IN_CHILD([&] {
    if (!mount(3072, 4096)) return;
    uint64_t next = 0;
    {
      auto writer = FeedWriter::create(disk_base(), "trades", test::row_schema(), tiny(GetParam()), {.block_ns = 20 * kNsPerMs});
      for (int time = 0; time < 2; ++time) {
        for (uint64_t end = next + 3000; next < end; ++next) ASSERT_TRUE(writer.append(row_of(next)));
        writer.sync();
        fill(disk(), 40'000);
        Appended done{AppendStatus::kOk};
        uint64_t more = 0;
        for (; done && more < 100'000; ++more) {
          done = writer.append(row_of(next));
          next += done ? 1 : 0;
        }
        ASSERT_TRUE(done.status == AppendStatus::kNoSpace || done.status == AppendStatus::kBackpressure) << append_status_name(done.status);
        ASSERT_EQ(writer.append(row_of(next)).status, done.status) << "and says so again";
        ASSERT_FALSE(writer.health().trouble.empty());
        auto reader = FeedReader::open(disk_base(), "trades", {.from = At::oldest()});
        expect_rows(reader, 0, next);
        const uint64_t durable = writer.durable_seq();
        ASSERT_GE(durable, 3000u);
        make_space(disk());
        until([&] { return static_cast<bool>(writer.append(row_of(next))); });
        ++next;
      }
      writer.sync();
      ASSERT_EQ(writer.durable_seq(), next);
      ASSERT_TRUE(writer.health().trouble.empty()) << writer.health().trouble;
      writer.close();
    }
    expect_all(0, next);
  });
}

TEST_P(FullDiskOf, SharedMemoryIsAStatusAndPasses) {  // X-5, F-31, F-49, F-156, G-3, G-6
  TIDEPOOL_IN_CHILD([&] {
    if (!mount(8192, 1024)) return;
    uint64_t next = 0;
    auto writer = FeedWriter::create(disk_base(), "trades", test::row_schema(), tiny(GetParam()), {.block_ns = 20 * kNsPerMs});
    for (int time = 0; time < 2; ++time) {
      for (uint64_t end = next + 1500; next < end; ++next) ASSERT_TRUE(writer.append(row_of(next)));
      fill(memory());
      Appended done{AppendStatus::kOk};
      for (uint64_t more = 0; done && more < 20'000; ++more) {  // far from what fills the disk
        done = writer.append(row_of(next));
        next += done ? 1 : 0;
      }
      if (GetParam() == Storage::kTiered) {
        // Unless it goes on in what the window gives back.
        ASSERT_TRUE(done || done.status == AppendStatus::kNoShmSpace) << append_status_name(done.status);
      }
      auto reader = FeedReader::open(disk_base(), "trades", {.from = At::oldest()});
      expect_rows(reader, 0, next);
      ASSERT_FALSE(HasFatalFailure());
      make_space(memory());
      until([&] { return static_cast<bool>(writer.append(row_of(next))); });
      ++next;
    }
    writer.close();
    // And nothing can be opened where there is none at all.
    fill(memory());
    test::expect_fault(Fault::kNoShmSpace, "", [&] { FeedWriter::open(disk_base(), "trades"); });
    expect_all(0, next);
    make_space(memory());
    auto again = FeedWriter::open(disk_base(), "trades");
    ASSERT_FALSE(again.recovery().loss);
    ASSERT_EQ(again.next_seq(), next);
  });
}

// Each kind of work: it is refused by name, what was there is there, and afterwards it is done.
TEST_F(FullDisk, RefusesEachKindOfWorkByNameAndItIsDoneAfterwards) {  // X-4, F-7, F-9, F-27, F-63, F-128, F-134, F-151, F-156, G-5, G-6
  TIDEPOOL_IN_CHILD([&] {
    if (!mount(6144, 4096)) return;
    constexpr uint64_t kRows = 6000;
    FeedWriter::create(disk_base(), "other", test::row_schema(), tiny(Storage::kDurable)).close();
    const auto refill = [&] {
      make_space(disk());
      delete_feed(disk_base(), "trades", true);
      auto options = tiny(Storage::kTiered);
      options.chunk_bytes = 8192;
      auto writer = FeedWriter::create(disk_base(), "trades", test::row_schema(), options);
      append(writer, 0, kRows);
      writer.close();
      Helper dies([&](const Helper&) {
        auto crashing = FeedWriter::open(disk_base(), "trades");
        append(crashing, kRows, kRows + 100);
        ::raise(SIGKILL);
      });
      dies.join();
      std::filesystem::remove(disk_base() + "/feeds/trades/" + index_name(2));
    };
    const std::string npy = root / "rows.npy";
    {
      auto writer = FeedWriter::create(disk_base(), "source", test::row_schema(), tiny(Storage::kDurable));
      append(writer, 0, 3000);
      writer.close();
      auto reader = FeedReader::open(disk_base(), "source", {.from = At::oldest()});
      ExportOptions as_npy;
      as_npy.style.format = RowFormat::kNpy;
      export_file(reader, as_npy, npy);
    }
    struct Work {
      const char* name;
      std::function<void()> body;
    };
    const auto take_in = [&] {
      auto source = open_npy(npy, test::row_schema(), {});
      auto writer = FeedWriter::open(disk_base(), "other", {.block_ns = 20 * kNsPerMs, .close_timeout_ns = 20 * kNsPerMs});
      ImportReport report;
      import_rows(*source, writer, {}, report);
      writer.close();
    };
    const Work works[] = {
        {"create", [&] { create_feed(disk_base(), "new", test::row_schema(), tiny(Storage::kTiered)); }},
        {"import", take_in},
        {"export",
         [&] {
           auto reader = FeedReader::open(disk_base(), "source", {.from = At::oldest()});
           export_file(reader, {}, disk() + "/out.csv");
         }},
        {"compaction",
         [&] { FeedRegistry::open(find_feed(disk_base(), "trades", Files::system()), Files::system(), true).compact(1); }},
        {"persistd",
         [&] {
           auto daemon = Persistd::open(disk_base(), {.retention_every_ns = 0});
           while (daemon->poll()) {
           }
           if (daemon->status().failures != 0) throw FeedError(Fault::kNoSpace, daemon->trouble());
         }},
        {"repair",
         [&] {
           const RepairReport report = repair_base(disk_base());
           if (report.failed()) throw FeedError(Fault::kNoSpace, "repair");
         }},
        {"pin", [&] { pin_feed(disk_base(), "trades", {.name = "mine", .seq = 100}); }},
    };
    for (const Work& work : works) {
      SCOPED_TRACE(work.name);
      refill();
      if (std::string_view(work.name) == "compaction") {
        PruneOptions prune;
        prune.run.grace_ns = 0;
        prune.limits.chunks = 2;
        prune.feed = "trades";
        prune_base(disk_base(), prune);
      }
      const uint64_t first = FeedReader::open(disk_base(), "trades", {}).first_seq();
      fill(disk());
      Fault fault = Fault::kUsage;
      try {
        work.body();
        ADD_FAILURE() << "a full disk was no matter to it";
      } catch (const FeedError& error) {
        fault = error.fault();
        EXPECT_EQ(fault_name(fault), fault_name(Fault::kNoSpace)) << error.what();
      }
      expect_all(first, kRows + 100);
      ASSERT_FALSE(HasFatalFailure());
      expect_all(0, 3000, "source");
      ASSERT_FALSE(HasFatalFailure());
      make_space(disk());
      work.body();
      expect_all(first, kRows + 100);
      ASSERT_FALSE(HasFatalFailure());
      auto writer = FeedWriter::open(disk_base(), "trades");
      ASSERT_FALSE(writer.recovery().loss);
      ASSERT_EQ(writer.next_seq(), kRows + 100);
    }
  });
}

TEST_F(FullDisk, ALimitOnTheSizeOfFilesIsNoLossEither) {  // F-31, F-156, G-3, G-6
  TIDEPOOL_IN_CHILD([&] {
    std::filesystem::create_directory(disk());
    std::filesystem::create_directory(memory());
    ::signal(SIGXFSZ, SIG_IGN);  // the program's to say (F-55): by default the kernel ends it
    auto writer = FeedWriter::create(disk_base(), "trades", test::row_schema(), tiny(Storage::kTiered), {.block_ns = 20 * kNsPerMs});
    uint64_t next = 0;
    for (; next < 3000; ++next) ASSERT_TRUE(writer.append(row_of(next)));
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
    const rlimit small{8192, limit.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    Appended done{AppendStatus::kOk};
    for (uint64_t more = 0; done && more < 20'000; ++more) {  // far from what fills the disk
      done = writer.append(row_of(next));
      next += done ? 1 : 0;
    }
    EXPECT_TRUE(done.status == AppendStatus::kNoShmSpace || done.status == AppendStatus::kNoSpace || done.status == AppendStatus::kBackpressure)
        << append_status_name(done.status);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    until([&] { return static_cast<bool>(writer.append(row_of(next))); });
    ++next;
    writer.close();
    expect_all(0, next);
  });
}

}  // namespace
}  // namespace tidepool::feed::full_disk_test

// `tidepool gc`: what is proven dead goes, everything else stays, and each with its reason.

#include "tidepool/pool/sweep.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "tidepool/base/process.h"
#include "tidepool/pool/epoch_names.h"
#include "tidepool/pool/scan.h"
#include "tidepool/pool/test_support.h"
#include "tidepool/shm/doorbell.h"
#include "tidepool/shm/file_lock.h"

namespace tidepool::pool {
namespace {

namespace fs = std::filesystem;
using Kind = SweepEntry::Kind;
using shm::test::Helper;
using shm::test::write_file;
using test::kStream;
using test::Store;

const Geometry kSmall{.slot_count = 4, .pools = {{1, 64}}};

// A real process that holds what a driver holds, until it is killed.
class FakeDriver {
 public:
  FakeDriver(const std::string& base, const std::string& name_space, std::vector<uint64_t> epochs, bool locks = true)
      : helper_([=](const Helper& self) {
          StoreOptions options = test::options_at(base);
          options.name_space = name_space;
          EpochFiles files(options);
          shm::FileLock lock;
          if (locks)
            lock = shm::FileLock::acquire(files.namespace_directory(), std::string(kDriverLockName), "driver " + name_space);
          for (const uint64_t epoch : epochs) files.create(kStream, epoch, kSmall, monotonic_ns());
          shm::Doorbell::create(shm::Directory::open(files.stream_path(kStream)), 0660);
          self.ready();
          self.sleep_for_ever();
        }) {
    EXPECT_EQ(helper_.wait_ready(), 0);
  }
  void kill() { helper_.kill(); }
  pid_t pid() const { return helper_.pid(); }

 private:
  Helper helper_;
};

struct Swept {
  std::vector<SweepEntry> entries;
  const SweepEntry* of(const std::string& path) const {
    for (const auto& entry : entries)
      if (entry.path == path) return &entry;
    return nullptr;
  }
  size_t removed(Kind kind) const {
    return static_cast<size_t>(
        std::count_if(entries.begin(), entries.end(), [=](const auto& entry) { return entry.kind == kind && entry.removed; }));
  }
};

class SweepTest : public ::testing::Test {
 protected:
  shm::test::TemporaryDirectory base_;
  const std::string user_ = base_ / ("tensorpool-" + sanitised_user_name());
  std::string stream(const std::string& name_space) const { return concat(user_, "/", name_space, "/", kStream); }

  // Idle for no time at all is idle enough, unless a test says otherwise.
  Swept run(bool dry_run = false, uint64_t min_age_ns = 0, uint32_t keep = 0) const {
    SweepOptions options;
    options.base_dir = base_.path();
    options.min_age_ns = min_age_ns;
    options.keep = keep;
    options.dry_run = dry_run;
    return {sweep(options)};
  }
};

TEST_F(SweepTest, RemovesAllOfAKilledDriverAndNothingOfALiveOneBesideIt) {  // P-7, P-8, W-67, D-40, R-01
  FakeDriver dead(base_.path(), "dead", {5, 6, 7});
  FakeDriver live(base_.path(), "live", {5, 6, 7});
  EXPECT_EQ(run().removed(Kind::kEpoch), 0u) << "both live";
  dead.kill();

  const Swept dry = run(true);
  EXPECT_EQ(dry.removed(Kind::kEpoch), 3u);
  EXPECT_EQ(dry.removed(Kind::kStream), 1u);
  EXPECT_TRUE(fs::exists(stream("dead") + "/5/header.ring")) << "a dry run touches nothing";

  const Swept swept = run();
  EXPECT_EQ(swept.removed(Kind::kEpoch), 3u);
  EXPECT_EQ(swept.removed(Kind::kStream), 1u);
  EXPECT_FALSE(fs::exists(stream("dead")));
  ASSERT_NE(swept.of(stream("dead") + "/5"), nullptr);
  EXPECT_GT(swept.of(stream("dead") + "/5")->bytes, 0u);
  EXPECT_NE(swept.of(stream("dead") + "/5")->why.find("is gone"), std::string::npos);

  const SweepEntry* const kept = swept.of(user_ + "/live");
  ASSERT_NE(kept, nullptr);
  EXPECT_FALSE(kept->removed);
  EXPECT_NE(kept->why.find(concat("driver live (pid ", live.pid())), std::string::npos) << kept->why;
  for (const char* epoch : {"/5", "/6", "/7"}) EXPECT_TRUE(fs::exists(stream("live") + epoch + "/header.ring"));
  EXPECT_TRUE(run().entries.size() == 1 && !run().entries[0].removed) << "a second time there is nothing left to do";
}

TEST_F(SweepTest, KeepsWhatWasActiveLately) {  // W-67, D-40: a producer that outlives its driver for a while
  FakeDriver driver(base_.path(), "lab", {5});
  driver.kill();
  const Swept swept = run(false, 3600 * kNsPerSecond);
  EXPECT_EQ(swept.removed(Kind::kEpoch), 0u);
  ASSERT_NE(swept.of(stream("lab") + "/5"), nullptr);
  EXPECT_NE(swept.of(stream("lab") + "/5")->why.find("active"), std::string::npos);
  EXPECT_TRUE(fs::exists(stream("lab") + "/5/header.ring"));
}

TEST_F(SweepTest, KeepsWhatARunningProcessMadeThoughNobodyHoldsALock) {  // a stand-alone producer
  FakeDriver producer(base_.path(), "lab", {5, 6}, false);
  const Swept swept = run();
  EXPECT_EQ(swept.removed(Kind::kEpoch), 0u);
  EXPECT_NE(swept.of(stream("lab") + "/6")->why.find(concat("process ", producer.pid(), ", runs")), std::string::npos);
  producer.kill();
  EXPECT_EQ(run().removed(Kind::kEpoch), 2u);
}

TEST_F(SweepTest, KeepsTheNewestEpochsIfAsked) {  // P-8: the last epochs stay for a look
  FakeDriver driver(base_.path(), "lab", {5, 6, 7});
  driver.kill();
  const Swept swept = run(false, 0, 2);
  EXPECT_EQ(swept.removed(Kind::kEpoch), 1u);
  EXPECT_FALSE(fs::exists(stream("lab") + "/5"));
  EXPECT_TRUE(fs::exists(stream("lab") + "/6"));
  EXPECT_NE(swept.of(stream("lab") + "/7")->why.find("newest 2"), std::string::npos);
}

TEST_F(SweepTest, RefusesLinksForeignFilesAndWhatOthersMayWrite) {  // W-26, D-34, D-40
  FakeDriver driver(base_.path(), "lab", {5, 6, 7, 8});
  driver.kill();
  const std::string precious = base_ / "precious";
  fs::create_directory(precious);
  write_file(precious + "/header.ring", "mine");
  fs::create_directory_symlink(precious, stream("lab") + "/4");                      // a link in place of an epoch
  fs::create_directory_symlink(precious, user_ + "/lab/4711");                       // of a stream
  fs::create_directory_symlink(precious, user_ + "/elsewhere");                      // of a namespace
  write_file(stream("lab") + "/5/notes.txt", "mine");                                // a foreign file in an epoch
  fs::create_symlink(precious + "/header.ring", stream("lab") + "/6/9.pool");        // a link among its regions
  ASSERT_EQ(::chmod((stream("lab") + "/7").c_str(), 0777), 0);                       // anybody may have put anything there
  const Swept swept = run();
  EXPECT_EQ(swept.removed(Kind::kEpoch), 1u);
  EXPECT_FALSE(fs::exists(stream("lab") + "/8"));
  EXPECT_EQ(shm::test::read_file(precious + "/header.ring"), "mine");
  for (const char* epoch : {"/4", "/5", "/6", "/7"}) {
    const SweepEntry* const entry = swept.of(stream("lab") + epoch);
    ASSERT_NE(entry, nullptr) << epoch;
    EXPECT_FALSE(entry->removed) << epoch;
    EXPECT_NE(entry->why, "") << epoch;
    EXPECT_TRUE(fs::exists(stream("lab") + epoch)) << epoch;
  }
  EXPECT_TRUE(fs::exists(stream("lab") + "/5/header.ring")) << "nothing of it is touched, not even its regions";
  EXPECT_NE(swept.of(user_ + "/lab/4711")->why.find("link"), std::string::npos);
  EXPECT_NE(swept.of(user_ + "/elsewhere")->why.find("link"), std::string::npos);
}

TEST_F(SweepTest, RefusesWhatBelongsToSomebodyElse) {  // P-10
  FakeDriver driver(base_.path(), "lab", {5, 6});
  driver.kill();
  if (::chown((stream("lab") + "/5/1.pool").c_str(), 1, 1) != 0) GTEST_SKIP() << "only root may give files away";
  ASSERT_EQ(::chown((stream("lab") + "/6").c_str(), 1, 1), 0);
  const Swept swept = run();
  EXPECT_EQ(swept.removed(Kind::kEpoch), 0u);
  EXPECT_NE(swept.of(stream("lab") + "/5")->why.find("user 1"), std::string::npos);
  EXPECT_NE(swept.of(stream("lab") + "/6")->why.find("user 1"), std::string::npos);
}

TEST_F(SweepTest, TakesEpochsThatWereNeverFinishedAndTheDeadDriversStatus) {  // driver.md 14: a crash during creation
  FakeDriver driver(base_.path(), "lab", {5});
  driver.kill();
  fs::create_directory(stream("lab") + "/6");
  write_file(stream("lab") + "/6/header.ring", "");
  write_file(concat(user_, "/lab/", kDriverStatusName), "{}");
  const Swept swept = run();
  EXPECT_EQ(swept.removed(Kind::kEpoch), 2u);
  EXPECT_EQ(swept.removed(Kind::kFile), 1u);
  EXPECT_FALSE(fs::exists(stream("lab")));
  EXPECT_TRUE(fs::exists(concat(user_, "/lab/", kDriverLockName))) << "removing it would race with the next holder";
}

TEST_F(SweepTest, HoldsTheLockWhileItWorksSoThatNoDriverBeginsMeanwhile) {  // P-7
  FakeDriver driver(base_.path(), "lab", {5});
  driver.kill();
  run();
  // It is free again afterwards.
  EXPECT_NO_THROW(shm::FileLock::acquire(shm::Directory::open(user_ + "/lab"), std::string(kDriverLockName), "driver"));
  // Held by somebody, whoever that is: nothing is touched, in a dry run neither.
  FakeDriver next(base_.path(), "lab", {9});
  EXPECT_EQ(run(true).removed(Kind::kEpoch), 0u);
  EXPECT_EQ(run().removed(Kind::kEpoch), 0u);
}

TEST_F(SweepTest, FindsNothingWhereNothingIs) {
  EXPECT_TRUE(run().entries.empty());
  EXPECT_FALSE(fs::exists(user_)) << "a sweep makes no directories";
  SweepOptions options;
  options.base_dir = base_ / "nowhere";
  test::expect_error(Code::kNotFound, "nowhere", [&] { sweep(options); });
}

}  // namespace
}  // namespace tidepool::pool

#include "tidepool/services/driver/epochs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tidepool/services/driver/test_world.h"
#include "tidepool/shm/uri.h"

namespace tidepool::driver::epochs_test {
namespace {

namespace fs = std::filesystem;
using Kind = EpochJob::Kind;
using testing::StillClock;
using transport::testing::poll_until;

class EpochMakerTest : public ::testing::Test {
 protected:
  void make(CollectPolicy policy = {true, 2, 3 * kNsPerSecond}) {
    pool::StoreOptions options;
    options.base_dir = dir_.path();
    maker_ = std::make_unique<EpochMaker>(std::make_unique<pool::EpochFiles>(options), policy);
  }
  EpochJob job(Kind kind, uint32_t stream_id = 10) {
    EpochJob j;
    j.kind = kind;
    j.ticket = ++ticket_;
    j.stream_id = stream_id;
    j.geometry = {16, {{1, 4096}}};
    j.now_ns = clock_.monotonic_ns();
    j.now_realtime_ns = clock_.realtime_ns();
    return j;
  }
  EpochResult run(EpochJob j) {
    maker_->submit(std::move(j));
    std::optional<EpochResult> result;
    EXPECT_TRUE(poll_until([&] { return (result = maker_->take()).has_value(); }));
    return result ? std::move(*result) : EpochResult{};
  }
  size_t on_disk(uint32_t stream_id = 10) const {
    pool::StoreOptions options;
    options.base_dir = dir_.path();
    return pool::EpochFiles(options).epochs(stream_id).size();
  }

  transport::testing::TestDir dir_;
  StillClock clock_;
  uint64_t ticket_ = 0;
  std::unique_ptr<EpochMaker> maker_;
};

TEST_F(EpochMakerTest, MakesWholeEpochsInTheOrderAskedFor) {  // D-31, D-33
  make();
  std::vector<EpochResult> results;
  for (int i = 0; i < 3; ++i) maker_->submit(job(Kind::kCreate));
  ASSERT_TRUE(poll_until([&] {
    while (auto result = maker_->take()) results.push_back(std::move(*result));
    return results.size() == 3;
  }));
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(results[i].ticket, i + 1);
    ASSERT_TRUE(results[i].created) << results[i].failure;
    EXPECT_EQ(results[i].created->regions.epoch, results[i].epoch);
    if (i > 0) {
      EXPECT_GT(results[i].epoch, results[i - 1].epoch);  // though the clock stands still
    }
    EXPECT_NO_THROW(results[i].created->map->revalidate({}));
  }
}

TEST_F(EpochMakerTest, NeverGoesBelowAnEpochThatWasTriedBefore) {  // D-31
  make();
  auto j = job(Kind::kCreate);
  j.previous_epoch = j.now_ns + 1'000'000;
  EXPECT_EQ(run(std::move(j)).epoch, clock_.monotonic_ns() + 1'000'001);
}

TEST_F(EpochMakerTest, CollectsOldEpochsAfterEachNewOne) {  // D-40
  make();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(run(job(Kind::kCreate)).more_to_collect == (i >= 2));
  EXPECT_EQ(on_disk(), 4u);
  clock_.advance_ms(60'000);
  const auto result = run(job(Kind::kCreate));
  EXPECT_EQ(result.collected.size(), 3u);
  EXPECT_FALSE(result.more_to_collect);
  EXPECT_EQ(on_disk(), 2u);
}

TEST_F(EpochMakerTest, SparesWhatIsInUseOrJustSuperseded) {  // D-40
  make();
  const auto first = run(job(Kind::kCreate)).epoch;
  const auto second = run(job(Kind::kCreate)).epoch;
  const auto third = run(job(Kind::kCreate)).epoch;
  run(job(Kind::kCreate));
  const auto current = run(job(Kind::kCreate)).epoch;
  clock_.advance_ms(60'000);
  auto j = job(Kind::kCollect);
  j.current_epoch = current;
  j.in_use.leased = {first};
  j.in_use.young = {second};
  const auto result = run(std::move(j));
  ASSERT_EQ(result.collected.size(), 1u);
  EXPECT_EQ(result.collected[0].epoch, third);
  EXPECT_TRUE(result.more_to_collect);
}

TEST_F(EpochMakerTest, CollectsNothingWhenToldSo) {  // D-40
  make({false, 2, 0});
  for (int i = 0; i < 4; ++i) run(job(Kind::kCreate));
  clock_.advance_ms(60'000);
  EXPECT_TRUE(run(job(Kind::kCollect)).collected.empty());
  EXPECT_EQ(on_disk(), 4u);
}

TEST_F(EpochMakerTest, AFailureIsToldAndTheNextJobRuns) {  // D-35
  make();
  auto j = job(Kind::kCreate);
  j.geometry = {16, {{1, 100}}};  // no stride
  const auto failed = run(std::move(j));
  EXPECT_FALSE(failed.created);
  EXPECT_NE(failed.failure.find("stride"), std::string::npos) << failed.failure;
  EXPECT_NE(failed.epoch, 0u);
  EXPECT_TRUE(run(job(Kind::kCreate)).created);
}

TEST_F(EpochMakerTest, ForgetsAStreamWithAllThatWasMadeOfIt) {  // driver.md 12
  make();
  run(job(Kind::kCreate));
  run(job(Kind::kCreate));
  run(job(Kind::kCreate, 11));
  run(job(Kind::kForget));
  EXPECT_EQ(on_disk(10), 0u);
  EXPECT_EQ(on_disk(11), 1u);
  const auto stream = fs::path(pool::EpochFiles({.base_dir = dir_.path()}).stream_path(10));
  EXPECT_FALSE(fs::exists(stream));
  EXPECT_EQ(run(job(Kind::kForget, 99)).failure, "");  // never heard of
}

TEST_F(EpochMakerTest, ForgettingLeavesAnotherLifesEpochAndItsDoorbell) {  // D-40
  make();
  run(job(Kind::kCreate));
  maker_.reset();
  make();
  run(job(Kind::kCreate));
  run(job(Kind::kForget));
  EXPECT_EQ(on_disk(), 1u);
  EXPECT_TRUE(fs::exists(fs::path(pool::EpochFiles({.base_dir = dir_.path()}).stream_path(10)) / "doorbell"));
}

TEST_F(EpochMakerTest, StoppingRemovesOnlyWhatWasMadeAndOnlyIfAsked) {  // driver.md 11
  make();
  run(job(Kind::kCreate));
  EXPECT_EQ(maker_->stop(false), "");
  EXPECT_EQ(on_disk(), 1u);
  make();
  run(job(Kind::kCreate));
  run(job(Kind::kCreate, 11));
  EXPECT_EQ(maker_->stop(true), "");
  EXPECT_EQ(on_disk(10), 1u);
  EXPECT_EQ(on_disk(11), 0u);
}

TEST_F(EpochMakerTest, StoppingSaysWhatItHadToLeave) {
  make();
  const auto result = run(job(Kind::kCreate));
  ASSERT_TRUE(result.created);
  const auto epoch = fs::path(shm::Uri::parse(result.created->regions.header_region_uri).path).parent_path();
  std::ofstream(epoch / "precious") << "not ours";
  EXPECT_NE(maker_->stop(true).find("precious"), std::string::npos);
  EXPECT_TRUE(fs::exists(epoch / "precious"));
}

TEST_F(EpochMakerTest, RetiredMappingsAreLetGoOnItsThread) {  // driver.md 4
  make();
  auto map = run(job(Kind::kCreate)).created->map;
  const std::weak_ptr<pool::EpochMap> gone = map;
  auto release = job(Kind::kRelease);
  release.retired = std::move(map);
  maker_->submit(std::move(release));
  EXPECT_TRUE(poll_until([&] { return gone.expired(); }));
  EXPECT_FALSE(maker_->take());  // nothing to tell
}

}  // namespace
}  // namespace tidepool::driver::epochs_test

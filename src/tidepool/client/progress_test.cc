#include "tidepool/client/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tidepool/base/clock.h"
#include "tidepool/control/dispatch.h"
#include "tidepool/pool/epoch_files.h"
#include "tidepool/pool/pool_reader.h"
#include "tidepool/transport/test_media_driver.h"

namespace tidepool::client::progress_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using transport::testing::poll_until;
using transport::testing::TestDir;
using transport::testing::TestMediaDriver;
using wire::FrameProgress;
using wire::ProgressState;
using Verdict = ProgressTracker::Verdict;

constexpr const char* kChannel = "aeron:ipc?term-length=1m";
constexpr uint32_t kSlots = 4;
constexpr uint64_t kUs = 1000;

TEST(AggregateTest, TakesTheSmallestOfEachOfferButNoneBelowTheFloor) {  // W-79
  const ProgressPolicy no_floor{0, 0, 0};
  EXPECT_EQ(aggregate({}, no_floor), (ProgressPolicy{250 * kUs, 65536, 0})) << "nobody offers: the defaults";
  const std::vector<ProgressOffer> offers = {{1000, 4096, 16}, {500, 8192, 0}, {std::nullopt, std::nullopt, 4}};
  EXPECT_EQ(aggregate(offers, no_floor), (ProgressPolicy{500 * kUs, 4096, 4})) << "0 units say that it does not know";
  EXPECT_EQ(aggregate(offers, {700 * kUs, 5000, 8}), (ProgressPolicy{700 * kUs, 5000, 8}));
  EXPECT_EQ(aggregate({}, {1'000 * kUs, 100'000, 8}), (ProgressPolicy{1'000 * kUs, 100'000, 0})) << "a floor offers nothing";
  const std::vector<ProgressOffer> greedy = {{0, 0, 1}};
  EXPECT_EQ(aggregate(greedy, ProgressPolicy{}), (ProgressPolicy{250 * kUs, 65536, 1}));
}

wire::TensorHeader rows(int32_t count, int32_t bytes) {
  return wire::contiguous(wire::DType::u8, std::vector<int32_t>{count, bytes});
}

// A writer and a tracker on one epoch, and a stream between them.
struct ProgressTest : ::testing::Test {
  ProgressTest() {
    auto created =
        files.create(10000, 7, {.slot_count = kSlots, .pools = {{.pool_id = 1, .stride_bytes = 1 << 20}}}, monotonic_ns());
    map = created.map;
    writer.emplace(map);
    tracker.emplace(map);
    reporter.emplace(map->slot_count());
    in = connection->add_subscription(kChannel, 1000);
    audience.progress.push_back(connection->add_publication(kChannel, 1000));
    make_ready(audience.progress[0], in);
  }
  // Connected, and with room: a fresh publication may be told of its first room a little later.
  void make_ready(const std::shared_ptr<transport::Publication>& out, const std::shared_ptr<transport::Subscription>& to) {
    const std::byte nothing[1] = {};
    ASSERT_TRUE(poll_until([&] {
      connection->poll();
      return out->send(nothing) == transport::SendResult::kOk;
    }));
    ASSERT_TRUE(poll_until([&] {
      connection->poll();
      return to->poll([](Bytes, const transport::MessageInfo&) {}, 1) > 0;
    }));
  }
  void on(const FrameProgress& message, const transport::MessageInfo&) { heard.push_back(message); }
  std::vector<FrameProgress> hear() {
    heard.clear();
    while (in->poll([&](Bytes bytes, const transport::MessageInfo& info) { control::dispatch(bytes, info, *this, counts); }, 100) >
           0) {
    }
    return heard;
  }
  pool::Claim claim(int32_t count = 16, int32_t bytes = 65536) {
    pool::Claim out;
    EXPECT_EQ(writer->claim(rows(count, bytes), out), pool::ClaimError::kNone);
    return out;
  }
  ProgressResult report(pool::Claim& claim, uint64_t bytes) { return reporter->report(audience, *writer, claim, bytes, {}, t); }
  pool::CommitResult commit(pool::Claim& claim) {
    const uint64_t seq = claim.seq();
    const uint64_t length = claim.bytes().size();
    const auto result =
        writer->commit(claim, reporter->early_info(claim) != nullptr ? *reporter->early_info(claim) : pool::FrameInfo{});
    if (result == pool::CommitResult::kOk) reporter->committed(&audience, *map, seq, length);
    return result;
  }
  FrameProgress told(uint64_t seq, uint64_t bytes, ProgressState state) const {
    return {.stream_id = 10000, .epoch = 7, .seq = seq, .payload_bytes_filled = bytes, .state = state};
  }

  TestMediaDriver media;
  TestDir shm;
  pool::EpochFiles files{{.base_dir = shm.path(), .reserve = false}};
  std::shared_ptr<pool::EpochMap> map;
  std::optional<pool::PoolWriter> writer;
  std::optional<ProgressTracker> tracker;
  std::optional<ProgressReporter> reporter;
  std::shared_ptr<transport::Connection> connection = media.connect();
  std::shared_ptr<transport::Subscription> in;
  control::DispatchCounts counts;
  std::vector<FrameProgress> heard;
  Audience audience;
  ProgressView view;
  uint64_t t = 1000 * kNsPerSecond;
};

// ---- what a producer sends -----------------------------------------------------------------------------------------------

TEST_F(ProgressTest, TellsTheBeginningSomeOfTheWayAndTheEnd) {  // W-78, W-36
  pool::Claim frame = claim();
  EXPECT_EQ(report(frame, 0), ProgressResult::kSent);
  t += 250 * kUs;
  EXPECT_EQ(report(frame, 70'000), ProgressResult::kSent);
  EXPECT_EQ(commit(frame), pool::CommitResult::kOk);
  EXPECT_THAT(hear(), ElementsAre(told(0, 0, ProgressState::started), told(0, 70'000, ProgressState::progress),
                                  told(0, 1 << 20, ProgressState::complete)));
  pool::Claim silent = claim();
  EXPECT_EQ(commit(silent), pool::CommitResult::kOk);
  EXPECT_THAT(hear(), IsEmpty()) << "no end of what was never begun";
}

TEST_F(ProgressTest, IsSentOnlyWhenIntervalAndStepHaveBothPassedAndThenTheNewest) {  // W-79
  pool::Claim frame = claim();
  EXPECT_EQ(report(frame, 0), ProgressResult::kSent);
  EXPECT_EQ(report(frame, 300'000), ProgressResult::kHeld) << "too soon";
  t += 249 * kUs;
  EXPECT_EQ(report(frame, 300'000), ProgressResult::kHeld) << "too soon";
  t += 1 * kUs;
  EXPECT_EQ(report(frame, 310'000), ProgressResult::kSent);
  t += 10'000 * kUs;
  EXPECT_EQ(report(frame, 375'535), ProgressResult::kHeld) << "one byte short of the step";
  EXPECT_EQ(report(frame, 375'536), ProgressResult::kSent);
  EXPECT_THAT(hear(), ElementsAre(told(0, 0, ProgressState::started), told(0, 310'000, ProgressState::progress),
                                  told(0, 375'536, ProgressState::progress)));
}

TEST_F(ProgressTest, MeasuresAStepInRowsAsWell) {  // W-79
  audience.progress_policy = {0, 65536, 2};
  pool::Claim frame = claim(16, 1000);
  EXPECT_EQ(report(frame, 0), ProgressResult::kSent);
  EXPECT_EQ(report(frame, 1999), ProgressResult::kHeld);
  EXPECT_EQ(report(frame, 2000), ProgressResult::kSent) << "two rows of 1000 bytes, the smaller step";
  frame = pool::Claim();
  wire::TensorHeader columns = wire::contiguous(wire::DType::u8, std::vector<int32_t>{1000, 16}, wire::MajorOrder::column);
  ASSERT_EQ(writer->claim(columns, frame), pool::ClaimError::kNone);
  EXPECT_EQ(report(frame, 0), ProgressResult::kSent);
  EXPECT_EQ(report(frame, 1999), ProgressResult::kHeld);
  EXPECT_EQ(report(frame, 2000), ProgressResult::kSent) << "two columns";
}

TEST_F(ProgressTest, NeverGoesBackNorBeyondThePayload) {  // W-78
  audience.progress_policy = {0, 1, 0};
  pool::Claim frame = claim(1, 1000);
  EXPECT_EQ(report(frame, 1001), ProgressResult::kInvalid);
  EXPECT_EQ(report(frame, 500), ProgressResult::kSent);
  EXPECT_EQ(report(frame, 499), ProgressResult::kInvalid);
  EXPECT_EQ(report(frame, 500), ProgressResult::kHeld) << "the same again is no news";
  EXPECT_EQ(report(frame, 1000), ProgressResult::kSent);
  EXPECT_THAT(hear(), SizeIs(2));
}

TEST_F(ProgressTest, IsLimitedOverAllFrames) {  // W-79, wire.md 11.1
  audience.progress_policy = {0, 1, 0};
  uint64_t progress = 0;
  for (uint64_t i = 0; i < 200; ++i) {
    pool::Claim frame = claim(1, 1000);
    (void)report(frame, 0);
    for (uint64_t bytes = 1; bytes <= 100; ++bytes) {
      t += 50 * kUs;  // 20 kHz of reports, for a second
      progress += report(frame, bytes) == ProgressResult::kSent;
    }
    (void)hear();
  }
  EXPECT_LE(progress, kMaxProgressHz + 100);
  EXPECT_GE(progress, kMaxProgressHz - 100);
}

TEST_F(ProgressTest, GoesToEveryStreamAndCountsWhatNobodyTook) {  // W-73, W-78
  audience.progress.push_back(connection->add_publication(kChannel, 32001));
  const auto own = connection->add_subscription(kChannel, 32001);
  make_ready(audience.progress[1], own);
  pool::Claim frame = claim();
  EXPECT_EQ(report(frame, 0), ProgressResult::kSent);
  EXPECT_THAT(hear(), SizeIs(1));
  heard.clear();
  own->poll([&](Bytes bytes, const transport::MessageInfo& info) { control::dispatch(bytes, info, *this, counts); }, 100);
  EXPECT_THAT(heard, ElementsAre(told(0, 0, ProgressState::started)));
  audience.progress = {connection->add_publication(kChannel, 32002)};
  pool::Claim next = claim();
  EXPECT_EQ(report(next, 0), ProgressResult::kHeld) << "nobody subscribes there";
  EXPECT_EQ(reporter->dropped(), 1u);
  EXPECT_EQ(reporter->sent(), 1u);
}

// ---- what a consumer believes --------------------------------------------------------------------------------------------

TEST_F(ProgressTest, AReaderSeesShapeAndPrefixBeforeTheCommit) {  // W-81, W-80
  pool::Claim frame = claim(16, 1000);
  std::ranges::fill(frame.bytes().first(5000), std::byte{7});
  ASSERT_EQ(report(frame, 5000), ProgressResult::kSent);
  ASSERT_EQ(tracker->judge(told(0, 5000, ProgressState::started), view), Verdict::kTell);
  ASSERT_TRUE(view.has_header());
  EXPECT_EQ(view.tensor().dims[0], 16);
  EXPECT_EQ(view.values_len_bytes(), 16'000u);
  ASSERT_THAT(view.prefix(), SizeIs(5000));
  EXPECT_TRUE(std::ranges::all_of(view.prefix(), [](std::byte b) { return b == std::byte{7}; }));
  std::vector<std::byte> copy(5000);
  EXPECT_TRUE(view.copy_to(copy));
  EXPECT_TRUE(view.still_valid());
  EXPECT_FALSE(view.copy_to(MutableBytes(copy).first(4999))) << "too small";
  pool::PoolReader reader(map);
  pool::FrameView whole;
  EXPECT_EQ(reader.read(0, whole), pool::ReadResult::kUncommitted) << "progress is not availability";
  ASSERT_EQ(commit(frame), pool::CommitResult::kOk);
  EXPECT_TRUE(view.still_valid()) << "committed it is still that frame's";
  ASSERT_EQ(reader.read(0, whole), pool::ReadResult::kFrame);
  for (uint32_t i = 0; i < kSlots; ++i) {
    pool::Claim next = claim(1, 1);
    (void)writer->commit(next);
  }
  EXPECT_FALSE(view.still_valid()) << "the slot has gone to another frame";
  EXPECT_FALSE(view.copy_to(copy));
}

TEST_F(ProgressTest, TheEarlyHeaderIsTheFinalOne) {  // W-81, W-39
  pool::Claim frame = claim(2, 64);
  ASSERT_EQ(reporter->report(audience, *writer, frame, 0, {.timestamp_ns = 4711, .meta_version = 3}, t), ProgressResult::kSent);
  std::byte early[wire::kSlotBytes], final[wire::kSlotBytes];
  std::memcpy(early, map->slot(0), sizeof early);
  ASSERT_EQ(commit(frame), pool::CommitResult::kOk);
  std::memcpy(final, map->slot(0), sizeof final);
  EXPECT_TRUE(std::ranges::equal(std::span(early).subspan(8), std::span(final).subspan(8)));
  pool::PoolReader reader(map);
  pool::FrameView whole;
  ASSERT_EQ(reader.read(0, whole), pool::ReadResult::kFrame);
  EXPECT_EQ(whole.timestamp_ns(), 4711u);
  EXPECT_EQ(whole.meta_version(), 3u);
}

TEST_F(ProgressTest, IsIgnoredForAnotherStreamEpochOrUnknownState) {  // W-80, W-10, W-9
  pool::Claim frame = claim();
  writer->publish_header_early(frame, {});
  auto wrong = told(0, 0, ProgressState::started);
  wrong.stream_id = 10001;
  EXPECT_EQ(tracker->judge(wrong, view), Verdict::kOther);
  wrong = told(0, 0, ProgressState::started);
  wrong.epoch = 8;
  EXPECT_EQ(tracker->judge(wrong, view), Verdict::kOther);
  EXPECT_EQ(tracker->judge(told(0, 0, ProgressState::unknown), view), Verdict::kState);
  EXPECT_EQ(tracker->judge(told(0, 0, ProgressState::started), view), Verdict::kTell);
  map->mark_dead();
  EXPECT_EQ(tracker->judge(told(0, 10, ProgressState::progress), view), Verdict::kOther);
  EXPECT_FALSE(view.still_valid());
}

TEST_F(ProgressTest, NeitherBytesNorStateGoBack) {  // W-80
  pool::Claim frame = claim();
  writer->publish_header_early(frame, {});
  EXPECT_EQ(tracker->judge(told(0, 100, ProgressState::progress), view), Verdict::kTell) << "STARTED may have been missed";
  EXPECT_EQ(tracker->judge(told(0, 99, ProgressState::progress), view), Verdict::kRegressed);
  EXPECT_EQ(tracker->judge(told(0, 200, ProgressState::started), view), Verdict::kRegressed);
  EXPECT_EQ(tracker->judge(told(0, 100, ProgressState::progress), view), Verdict::kRegressed) << "a copy";
  EXPECT_EQ(tracker->judge(told(0, 200, ProgressState::progress), view), Verdict::kTell);
  EXPECT_EQ(tracker->judge(told(0, 200, ProgressState::complete), view), Verdict::kTell);
  EXPECT_EQ(tracker->judge(told(0, 200, ProgressState::progress), view), Verdict::kRegressed);
}

TEST_F(ProgressTest, IsBoundedByThePayloadsLength) {  // W-80
  pool::Claim frame = claim(1, 1000);
  writer->publish_header_early(frame, {});
  EXPECT_EQ(tracker->judge(told(0, 1001, ProgressState::progress), view), Verdict::kBounds);
  EXPECT_THAT(view.prefix(), IsEmpty());
  EXPECT_EQ(tracker->judge(told(0, 1000, ProgressState::progress), view), Verdict::kTell) << "what was refused has left no trace";
}

TEST_F(ProgressTest, IsDroppedWhenTheSlotIsNotThatFrames) {  // W-81
  EXPECT_EQ(tracker->judge(told(3, 0, ProgressState::started), view), Verdict::kSlot) << "never written";
  EXPECT_EQ(tracker->judge(told(UINT64_MAX, 0, ProgressState::started), view), Verdict::kSlot);
  for (uint64_t seq = 0; seq < 5; ++seq) {
    pool::Claim frame = claim(1, 10);
    (void)writer->commit(frame);
  }
  EXPECT_EQ(tracker->judge(told(0, 0, ProgressState::started), view), Verdict::kSlot) << "lapped";
  EXPECT_EQ(tracker->judge(told(4, 10, ProgressState::complete), view), Verdict::kTell);
  EXPECT_EQ(tracker->judge(told(0, 10, ProgressState::complete), view), Verdict::kRegressed) << "older than what the slot held";
}

TEST_F(ProgressTest, WithoutAHeaderOnlyTheCountIsTold) {  // W-81: peers write it last
  pool::Claim frame = claim();
  EXPECT_EQ(tracker->judge(told(0, 123, ProgressState::progress), view), Verdict::kTell);
  EXPECT_FALSE(view.has_header());
  EXPECT_THAT(view.prefix(), IsEmpty());
  EXPECT_EQ(view.bytes_filled(), 123u);
}

TEST_F(ProgressTest, APrefixIsReadableOnlyWhereTheLayoutAllowsIt) {  // W-81
  wire::TensorHeader padded = rows(4, 100);
  padded.strides = {128, 1};  // rows with holes: a count of bytes does not say which elements are there
  pool::Claim frame;
  ASSERT_EQ(writer->claim(padded, frame, 512), pool::ClaimError::kNone);
  writer->publish_header_early(frame, {});
  EXPECT_EQ(tracker->judge(told(0, 256, ProgressState::progress), view), Verdict::kTell);
  EXPECT_TRUE(view.has_header());
  EXPECT_THAT(view.prefix(), IsEmpty());
  padded.progress_unit = wire::ProgressUnit::rows;
  padded.progress_stride_bytes = 128;
  pool::Claim next;
  ASSERT_EQ(writer->claim(padded, next, 512), pool::ClaimError::kNone);
  writer->publish_header_early(next, {});
  EXPECT_EQ(tracker->judge(told(1, 256, ProgressState::progress), view), Verdict::kTell);
  EXPECT_THAT(view.prefix(), SizeIs(256)) << "two whole rows";
}

}  // namespace
}  // namespace tidepool::client::progress_test

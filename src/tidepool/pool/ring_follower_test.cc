#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <ostream>

#include "tidepool/pool/pool_reader.h"
#include "tidepool/pool/test_support.h"

namespace tidepool::pool {
namespace {

using namespace test;
using shm::CommitWord;
using Result = RingFollower::Result;

class RingFollowerTest : public ::testing::Test {
 protected:
  Store store_;
  EpochFiles::Created epoch_ = store_.create({.slot_count = 8, .pools = {{1, 4096}}});
  EpochMap& map_ = *epoch_.map;
  PoolWriter writer_{epoch_.map};
  FrameView view_;

  RingFollower follower(Start start = Start::kOldest, OnLap on_lap = OnLap::kOldestValid) {
    return RingFollower(store_.open(epoch_.regions), start, on_lap);
  }
  void write(int frames) {
    for (int i = 0; i < frames; ++i) write_frame(writer_);
  }
  void skip(int claims) {
    for (int i = 0; i < claims; ++i) {
      Claim claim;
      ASSERT_EQ(writer_.claim(bytes_tensor(8), claim), ClaimError::kNone);
    }
  }
  void expect_frame(RingFollower& follower, uint64_t seq, bool look_ahead = false) {
    ASSERT_EQ(follower.poll(view_, look_ahead), Result::kFrame) << seq;
    EXPECT_EQ(view_.seq(), seq);
    EXPECT_TRUE(is_mix(view_.bytes(), 1, 7, seq));
    EXPECT_TRUE(view_.still_valid());
  }
  static void expect_counts(const RingFollower& follower, uint64_t gap, uint64_t late, uint64_t skipped) {
    EXPECT_EQ(follower.drops().drops_gap, gap);
    EXPECT_EQ(follower.drops().drops_late, late);
    EXPECT_EQ(follower.drops().skipped, skipped);
  }
};

TEST_F(RingFollowerTest, DeliversEveryFrameInOrder) {  // P-2, W-82
  RingFollower follower = this->follower();
  EXPECT_EQ(follower.poll(view_), Result::kEmpty);  // a fresh epoch holds no frame 0
  for (uint64_t seq = 0; seq < 40; ++seq) {
    write(1);
    expect_frame(follower, seq);
    EXPECT_EQ(follower.poll(view_), Result::kEmpty);
    EXPECT_EQ(view_.seq(), seq);  // left as it was
  }
  expect_counts(follower, 0, 0, 0);
}

TEST_F(RingFollowerTest, CatchesUpWithAFullRingWithoutLoss) {  // P-2
  RingFollower follower = this->follower();
  for (int round = 0; round < 5; ++round) {
    write(8);
    for (uint64_t i = 0; i < 8; ++i) expect_frame(follower, static_cast<uint64_t>(round) * 8 + i);
  }
  expect_counts(follower, 0, 0, 0);
}

TEST_F(RingFollowerTest, ALateJoinerBeginsAtTheOldestFrameStillWhole) {  // P-2, W-83
  write(21);
  RingFollower follower = this->follower();
  for (uint64_t seq = 13; seq < 21; ++seq) expect_frame(follower, seq);
  EXPECT_EQ(follower.poll(view_, true), Result::kEmpty);
  expect_counts(follower, 0, 0, 0);  // what was before it joined is nobody's loss
}

TEST_F(RingFollowerTest, ALateJoinerCanBeginWithWhatComesNext) {  // P-2
  write(21);
  RingFollower follower = this->follower(Start::kLatest);
  EXPECT_TRUE(follower.empty());
  EXPECT_EQ(follower.poll(view_, true), Result::kEmpty);  // frame 20 was there before
  write(1);
  EXPECT_FALSE(follower.empty());
  expect_frame(follower, 21);
  expect_counts(follower, 0, 0, 0);
}

TEST_F(RingFollowerTest, ALateJoinerPassesOverTheSlotBeingWritten) {  // P-2
  write(20);
  Claim claim;
  ASSERT_EQ(writer_.claim(bytes_tensor(64), claim), ClaimError::kNone);  // 20, over 12
  RingFollower follower = this->follower();
  for (uint64_t seq = 13; seq < 20; ++seq) expect_frame(follower, seq);
  EXPECT_EQ(follower.poll(view_, true), Result::kEmpty);
  fill_mix(claim.bytes(), 1, 7, 20);
  ASSERT_EQ(writer_.commit(claim), CommitResult::kOk);
  expect_frame(follower, 20);
  expect_counts(follower, 0, 0, 0);
}

TEST_F(RingFollowerTest, TheFirstFrameOfAnEmptyRingSetsTheBaseline) {  // W-83, W-36
  for (const Start start : {Start::kOldest, Start::kLatest}) {
    const auto epoch = store_.create({.slot_count = 8, .pools = {{1, 4096}}}, start == Start::kOldest ? 20 : 21);
    RingFollower follower(epoch.map, start, OnLap::kOldestValid);
    EXPECT_TRUE(follower.empty());
    PoolWriter bridge(epoch.map, 5003);
    ASSERT_EQ(bridge.offer(bytes_tensor(0), {}), ClaimError::kNone);
    EXPECT_FALSE(follower.empty());
    Result result = Result::kEmpty;
    for (int i = 0; i < 8 && result == Result::kEmpty; ++i) result = follower.poll(view_, true);
    ASSERT_EQ(result, Result::kFrame);
    EXPECT_EQ(view_.seq(), 5003u);
    EXPECT_TRUE(follower.empty());
    expect_counts(follower, 0, 0, 0);
  }
}

TEST_F(RingFollowerTest, CountsTheGapExactlyWhenLapped) {  // W-82, W-83, P-2
  RingFollower follower = this->follower();
  write(3);
  for (uint64_t seq = 0; seq < 3; ++seq) expect_frame(follower, seq);
  write(27);  // 3 to 29; whole are 22 to 29
  EXPECT_FALSE(follower.empty());
  EXPECT_EQ(follower.poll(view_), Result::kDropped);
  EXPECT_EQ(view_.seq(), 2u);
  expect_counts(follower, 19, 0, 0);
  for (uint64_t seq = 22; seq < 30; ++seq) expect_frame(follower, seq);
  EXPECT_EQ(follower.poll(view_), Result::kEmpty);
  expect_counts(follower, 19, 0, 0);
}

TEST_F(RingFollowerTest, OneFrameTooManyIsOneFrameLost) {  // W-82
  RingFollower follower = this->follower();
  write(1);
  expect_frame(follower, 0);
  write(9);
  EXPECT_EQ(follower.poll(view_), Result::kDropped);
  expect_counts(follower, 1, 0, 0);
  expect_frame(follower, 2);
}

TEST_F(RingFollowerTest, SkipsToTheLatestWhenLappedIfToldTo) {  // P-2, W-85
  RingFollower follower = this->follower(Start::kOldest, OnLap::kSkipToLatest);
  write(1);
  expect_frame(follower, 0);
  write(20);
  EXPECT_EQ(follower.poll(view_), Result::kDropped);
  expect_counts(follower, 19, 0, 0);
  expect_frame(follower, 20);
  EXPECT_EQ(follower.poll(view_), Result::kEmpty);
}

TEST_F(RingFollowerTest, LeavesTheProducerAMarginWhenLappedAgainAndAgain) {  // P-2
  RingFollower follower = this->follower();
  write(1);
  expect_frame(follower, 0);
  std::vector<uint64_t> resumed;
  for (int lap = 0; lap < 6; ++lap) {  // each time the oldest frame is gone before it is read
    write(20);
    ASSERT_EQ(follower.poll(view_), Result::kDropped);
    resumed.push_back(follower.next_seq() - (writer_.next_seq() - 8));
  }
  EXPECT_EQ(resumed, (std::vector<uint64_t>{0, 1, 2, 4, 4, 4}));  // never beyond half the ring
  EXPECT_EQ(follower.drops().drops_gap, follower.next_seq() - 1);
  // A good run takes the margin back, by half each lap.
  while (follower.poll(view_) == Result::kFrame) {
  }
  write(9);
  ASSERT_EQ(follower.poll(view_), Result::kDropped);
  EXPECT_EQ(follower.next_seq() - (writer_.next_seq() - 8), 2u);
}

TEST_F(RingFollowerTest, ASequenceThatTheProducerAbortedIsSkippedAndNoDrop) {  // P-2, W-41
  RingFollower follower = this->follower();
  write(1);
  expect_frame(follower, 0);
  skip(1);
  EXPECT_EQ(follower.poll(view_, true), Result::kEmpty);  // it may still come
  write(1);
  EXPECT_EQ(follower.poll(view_), Result::kEmpty);        // not looked for unasked
  EXPECT_FALSE(follower.empty());                         // but a parker is told
  expect_frame(follower, 2, true);
  expect_counts(follower, 0, 0, 1);
  skip(3);
  write(2);
  expect_frame(follower, 6, true);
  expect_frame(follower, 7);
  expect_counts(follower, 0, 0, 4);
}

TEST_F(RingFollowerTest, FindsTheNextFrameInTheEndWithoutBeingAsked) {  // P-2
  RingFollower follower = this->follower();
  write(1);
  expect_frame(follower, 0);
  skip(1);
  write(1);
  int polls = 0;
  while (follower.poll(view_) == Result::kEmpty && polls < 5000) ++polls;
  EXPECT_LT(polls, 1100);
  EXPECT_EQ(view_.seq(), 2u);
}

TEST_F(RingFollowerTest, NeverWaitsForAFrameThatIsBeingWritten) {  // P-2, W-44
  RingFollower follower = this->follower();
  Claim claim;
  ASSERT_EQ(writer_.claim(bytes_tensor(64), claim), ClaimError::kNone);
  for (int i = 0; i < 3000; ++i) ASSERT_EQ(follower.poll(view_, i % 2 == 0), Result::kEmpty);
  EXPECT_TRUE(follower.empty());
  fill_mix(claim.bytes(), 1, 7, 0);
  ASSERT_EQ(writer_.commit(claim), CommitResult::kOk);
  EXPECT_FALSE(follower.empty());
  expect_frame(follower, 0);
  expect_counts(follower, 0, 0, 0);
}

TEST_F(RingFollowerTest, FollowsAProducerThatCarriesSparseSequences) {  // W-36, P-2
  RingFollower follower = this->follower();
  uint64_t seq = 100;
  uint64_t last = 0;
  const auto publish = [&](uint64_t step) {
    seq += step;
    Claim claim;
    ASSERT_EQ(writer_.claim_seq(seq, bytes_tensor(64), claim), ClaimError::kNone);
    fill_mix(claim.bytes(), 1, 7, seq);
    ASSERT_EQ(writer_.commit(claim), CommitResult::kOk);
  };
  publish(0);
  expect_frame(follower, 100, true);
  last = seq;
  // Steps within the ring, of exactly the ring, and beyond it, so that slots repeat and jump about.
  for (const uint64_t step : {3, 3, 7, 8, 8, 9, 20, 16, 1000, 1}) {
    publish(step);
    Result result = Result::kEmpty;
    for (int i = 0; i < 8 && result == Result::kEmpty; ++i) result = follower.poll(view_, true);
    if (result == Result::kDropped) {  // the slot was used before: in doubt a sequence of it counts as lost
      result = follower.poll(view_, true);
    }
    ASSERT_EQ(result, Result::kFrame) << step;
    EXPECT_EQ(view_.seq(), seq);
    EXPECT_TRUE(is_mix(view_.bytes(), 1, 7, seq));
    last = seq;
  }
  const DropCounts& drops = follower.drops();
  EXPECT_EQ(drops.drops_gap + drops.skipped + 10, last - 100);
  EXPECT_EQ(drops.drops_late, 0u);
}

TEST_F(RingFollowerTest, ExpectsTheNextJumpToBeAsLongAsTheLast) {  // P-2
  RingFollower follower = this->follower();
  const auto publish = [&](uint64_t seq) {
    Claim claim;
    ASSERT_EQ(writer_.claim_seq(seq, bytes_tensor(8), claim), ClaimError::kNone);
    ASSERT_EQ(writer_.commit(claim), CommitResult::kOk);
  };
  publish(0);
  ASSERT_EQ(follower.poll(view_), Result::kFrame);
  publish(5);
  Result result = Result::kEmpty;
  for (int i = 0; i < 8 && result == Result::kEmpty; ++i) result = follower.poll(view_, true);
  ASSERT_EQ(result, Result::kFrame);
  EXPECT_TRUE(follower.empty());
  publish(10);
  EXPECT_FALSE(follower.empty());
  ASSERT_EQ(follower.poll(view_, true), Result::kFrame);  // at the first look
  EXPECT_EQ(view_.seq(), 10u);
  expect_counts(follower, 0, 0, 8);
}

TEST_F(RingFollowerTest, WorksInARingOfOneSlot) {  // W-16
  const auto epoch = store_.create({.slot_count = 1, .pools = {{1, 64}}}, 30);
  PoolWriter writer(epoch.map);
  RingFollower follower(epoch.map, Start::kOldest, OnLap::kOldestValid);
  EXPECT_EQ(follower.poll(view_, true), Result::kEmpty);
  ASSERT_EQ(writer.offer(bytes_tensor(0), {}), ClaimError::kNone);
  ASSERT_EQ(follower.poll(view_), Result::kFrame);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(writer.offer(bytes_tensor(0), {}), ClaimError::kNone);
  EXPECT_EQ(follower.poll(view_), Result::kDropped);
  ASSERT_EQ(follower.poll(view_), Result::kFrame);
  EXPECT_EQ(view_.seq(), 3u);
  expect_counts(follower, 2, 0, 0);
  Claim claim;
  for (int i = 0; i < 2; ++i) ASSERT_EQ(writer.claim(bytes_tensor(0), claim), ClaimError::kNone);  // 4 is gone, 5 is to come
  EXPECT_EQ(follower.poll(view_), Result::kDropped);
  EXPECT_EQ(follower.poll(view_), Result::kEmpty);
  ASSERT_EQ(writer.commit(claim), CommitResult::kOk);
  ASSERT_EQ(follower.poll(view_), Result::kFrame);
  EXPECT_EQ(view_.seq(), 5u);
  expect_counts(follower, 3, 0, 0);
}

TEST_F(RingFollowerTest, CountsAFrameItCannotAcceptAsLateAndGoesOn) {  // W-84, W-43
  RingFollower follower = this->follower();
  write(3);
  poke<uint16_t>(map_.mutable_slot(1) + 16, 77);
  poke<uint32_t>(map_.mutable_slot(2) + 60, 0);
  expect_frame(follower, 0);
  EXPECT_EQ(follower.poll(view_), Result::kDropped);
  EXPECT_EQ(follower.poll(view_), Result::kDropped);
  EXPECT_EQ(follower.poll(view_), Result::kEmpty);
  expect_counts(follower, 0, 2, 0);
  EXPECT_EQ(follower.drops().payload_invalid, 1u);
  EXPECT_EQ(follower.drops().header_invalid, 1u);
  write(1);
  expect_frame(follower, 3);
}

TEST_F(RingFollowerTest, SaysSoWhenTheMappingIsDead) {  // P-4
  const auto map = store_.open(epoch_.regions);
  RingFollower follower(map, Start::kOldest, OnLap::kOldestValid);
  write(2);
  expect_frame(follower, 0);
  map->mark_dead();
  EXPECT_FALSE(follower.empty());  // there is something to be told
  EXPECT_EQ(follower.poll(view_), Result::kDead);
  EXPECT_FALSE(view_.still_valid());
  expect_counts(follower, 0, 0, 0);
}

TEST_F(RingFollowerTest, IsNotLedAstrayByWordsThatBelongToNoSequenceOfTheirSlot) {  // W-92, R-03
  RingFollower follower = this->follower();
  write(2);
  expect_frame(follower, 0);
  expect_frame(follower, 1);
  for (uint32_t i = 2; i < 8; ++i) poke(map_.mutable_slot(i), CommitWord::committed(1000 + ((i + 1) & 7)));
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(follower.poll(view_, true), Result::kEmpty);
  for (uint32_t i = 2; i < 8; ++i) poke(map_.mutable_slot(i), ~uint64_t{0} - 2 * i);
  for (int i = 0; i < 20; ++i) (void)!(follower.poll(view_, true) == Result::kEmpty);  // whatever it says, it comes back
  RingFollower late = this->follower();
  for (int i = 0; i < 20; ++i) (void)!(late.poll(view_, true) == Result::kEmpty);
}

// ---- writer and follower against a model ----------------------------------------------------------------------------

constexpr uint64_t kSlots = 8;

// What has happened to each sequence, and what of it is still in the ring, without words, bits or masks.
class Model {
 public:
  enum class State { kOpen, kCommitted, kAborted };
  struct Event {
    Result result = Result::kEmpty;
    uint64_t next = 0;
    bool operator==(const Event&) const = default;
  };

  explicit Model(OnLap on_lap) : on_lap_(on_lap) {}

  void claim(uint64_t seq) {
    history_[seq] = State::kOpen;
    holder_[seq % kSlots] = seq;
  }
  void close(uint64_t seq, State state) { history_[seq] = state; }

  void join(Start start) {
    const std::vector<uint64_t> frames = whole(State::kCommitted);
    baseline_ = !frames.empty();
    next_ = !baseline_ ? 0 : start == Start::kOldest ? frames.front() : frames.back() + 1;
  }

  // What a poll with an unlimited reach has to do.
  Event step() {
    const uint64_t lost_before = gap_;
    if (!is_whole(next_, State::kCommitted)) {
      const std::vector<uint64_t> frames = whole(State::kCommitted);
      const std::vector<uint64_t> claims = whole(State::kOpen, State::kAborted);
      if (!frames.empty()) {
        move_to_frame(frames);
      } else if (!claims.empty() && std::any_of(claims.begin(), claims.end(), [&](uint64_t seq) { return seq >= next_ + kSlots; })) {
        pass(claims.front());
      }
    }
    if (gap_ != lost_before) return {Result::kDropped, next_};
    if (!is_whole(next_, State::kCommitted)) return {Result::kEmpty, next_};
    ++next_;
    ++since_lap_;
    baseline_ = true;
    return {Result::kFrame, next_};
  }

  uint64_t next() const { return next_; }
  uint64_t gap() const { return gap_; }
  uint64_t skipped() const { return skipped_; }
  bool committed(uint64_t seq) const { return history_.contains(seq) && history_.at(seq) == State::kCommitted; }

 private:
  bool is_whole(uint64_t seq, State state) const {
    const auto held = holder_.find(seq % kSlots);
    return held != holder_.end() && held->second == seq && history_.at(seq) == state;
  }
  // Sequences from next_ on whose slot nobody has used since, ascending.
  std::vector<uint64_t> whole(State a, std::optional<State> b = {}) const {
    std::vector<uint64_t> found;
    for (const auto& [slot, seq] : holder_) {
      if (seq >= next_ && (history_.at(seq) == a || history_.at(seq) == b)) found.push_back(seq);
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  // A sequence whose slot was used since may have been a frame; one whose slot was not, was never used at all.
  bool counts_as_lost(uint64_t seq) const {
    const auto held = holder_.find(seq % kSlots);
    if (held == holder_.end() || held->second < seq) return false;
    return held->second > seq || history_.at(seq) == State::kCommitted;
  }
  uint64_t lost_until(uint64_t to) const {
    uint64_t lost = 0;
    for (uint64_t seq = next_; seq < to; ++seq) lost += counts_as_lost(seq);
    return lost;
  }
  void pass(uint64_t to) {
    if (baseline_) {
      gap_ += lost_until(to);
      skipped_ += to - next_ - lost_until(to);
    }
    next_ = to;
  }
  void move_to_frame(const std::vector<uint64_t>& frames) {
    uint64_t to = frames.front();
    if (baseline_ && lost_until(to) > 0) {
      margin_ = since_lap_ < kSlots / 4 ? std::clamp<uint64_t>(margin_ * 2, 1, kSlots / 2) : margin_ / 2;
      since_lap_ = 0;
      const auto beyond = std::lower_bound(frames.begin(), frames.end(), to + margin_);
      to = on_lap_ == OnLap::kSkipToLatest || beyond == frames.end() ? frames.back() : *beyond;
    }
    pass(to);
    baseline_ = true;
  }

  OnLap on_lap_;
  std::map<uint64_t, State> history_;
  std::map<uint64_t, uint64_t> holder_;  // by slot: who claimed it last
  bool baseline_ = false;
  uint64_t next_ = 0;
  uint64_t gap_ = 0;
  uint64_t skipped_ = 0;
  uint64_t margin_ = 0;
  uint64_t since_lap_ = 1'000'000'000;
};

std::ostream& operator<<(std::ostream& out, const Model::Event& event) {
  return out << "{" << static_cast<int>(event.result) << ", next " << event.next << "}";
}

RC_GTEST_PROP(RingFollower, DoesWhatTheModelSays, ()) {  // P-1, P-2, W-36, W-41, W-82, W-83
  static Store store;
  static uint64_t epoch = 0;
  const auto created = store.create({.slot_count = kSlots, .pools = {{1, 64}}}, ++epoch);
  const auto on_lap = *rc::gen::element(OnLap::kOldestValid, OnLap::kSkipToLatest);
  const auto start = *rc::gen::element(Start::kOldest, Start::kLatest);
  PoolWriter writer(created.map, *rc::gen::element<uint64_t>(0, 0, 3, 1000));
  Model model(on_lap);
  std::deque<Claim> open;
  std::optional<RingFollower> follower;
  FrameView view;
  uint64_t frames = 0;
  std::optional<uint64_t> baseline;

  const auto poll = [&](bool look_ahead) {
    const uint64_t before = follower->next_seq();
    const Result result = follower->poll(view, look_ahead);
    if (result == Result::kEmpty && follower->next_seq() == before) return result;  // the reach may not have sufficed
    RC_ASSERT((Model::Event{result, follower->next_seq()}) == model.step());
    RC_ASSERT(follower->drops().drops_gap == model.gap());
    RC_ASSERT(follower->drops().skipped == model.skipped());
    RC_ASSERT(follower->drops().drops_late == 0u);
    if (result == Result::kFrame) {
      RC_ASSERT(view.seq() + 1 == follower->next_seq());  // so they come in order
      RC_ASSERT(model.committed(view.seq()));
      RC_ASSERT(is_mix(view.bytes(), 1, epoch, view.seq()));
      ++frames;
      if (!baseline) baseline = view.seq() - follower->drops().drops_gap - follower->drops().skipped;
    }
    return result;
  };

  const auto commands = *rc::gen::container<std::vector<std::pair<int, int>>>(
      rc::gen::pair(rc::gen::weightedElement<int>({{6, 0}, {2, 1}, {2, 2}, {1, 3}, {2, 4}, {1, 5}, {4, 6}, {2, 7}}), rc::gen::inRange(1, 30)));
  for (const auto& [command, amount] : commands) {
    const auto claim = [&](uint64_t seq) {
      Claim one;
      const ClaimError error = writer.claim_seq(seq, bytes_tensor(16), one);
      if (error == ClaimError::kTooManyClaims) return;
      RC_ASSERT(error == ClaimError::kNone);
      model.claim(seq);
      fill_mix(one.bytes(), 1, epoch, seq);
      open.push_back(std::move(one));
    };
    const auto commit_oldest = [&] {
      if (open.empty()) return;
      const uint64_t seq = open.front().seq();
      RC_ASSERT(writer.commit(open.front()) == CommitResult::kOk);
      model.close(seq, Model::State::kCommitted);
      open.pop_front();
    };
    switch (command) {
      case 0:  // a run of frames
        while (!open.empty()) commit_oldest();
        for (int i = 0; i < amount; ++i) claim(writer.next_seq()), commit_oldest();
        break;
      case 1:  // a claim that stays open
        claim(writer.next_seq());
        break;
      case 2:
        commit_oldest();
        break;
      case 3:  // abort one
        if (!open.empty()) {
          const auto at = open.begin() + amount % static_cast<int>(open.size());
          const uint64_t seq = at->seq();
          open.erase(at);
          model.close(seq, Model::State::kAborted);
        }
        break;
      case 4:  // a jump
        while (!open.empty()) commit_oldest();
        claim(writer.next_seq() + static_cast<uint64_t>(amount)), commit_oldest();
        break;
      case 5:  // join, once
        if (!follower) {
          follower.emplace(created.map, start, on_lap);
          model.join(start);
          RC_ASSERT(follower->next_seq() == model.next());
        }
        break;
      case 6:
        for (int i = 0; follower && i < amount; ++i) (void)poll(amount % 2 == 0);
        break;
      default:  // until nothing is left, and the reach is the whole ring
        for (int empty = 0; follower && empty < 6;) empty = poll(true) == Result::kEmpty ? empty + 1 : 0;
        if (follower) {
          Model copy = model;
          RC_ASSERT(copy.step() == (Model::Event{Result::kEmpty, follower->next_seq()}));
          RC_ASSERT(follower->empty());
        }
    }
    // W-82: every sequence passed since the baseline is in exactly one count.
    if (follower && baseline) RC_ASSERT(frames + model.gap() + model.skipped() == follower->next_seq() - *baseline);
  }
  view = FrameView();
  follower.reset();
  open.clear();
  store.files.remove(kStream, epoch);
}

}  // namespace
}  // namespace tidepool::pool

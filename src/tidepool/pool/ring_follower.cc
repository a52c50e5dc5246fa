#include <algorithm>

#include "tidepool/pool/pool_reader.h"
#include "tidepool/shm/commit_word.h"

namespace tidepool::pool {

using shm::CommitWord;

namespace {

constexpr uint32_t kFirstReach = 4;
constexpr uint32_t kUnaskedLookEvery = 1024;  // empty polls: about a microsecond of spinning
constexpr uint64_t kNone = UINT64_MAX;

}  // namespace

RingFollower::RingFollower(std::shared_ptr<const EpochMap> map, Start start, OnLap on_lap)
    : reader_(std::move(map)), map_(&reader_.map()), on_lap_(on_lap), reach_(kFirstReach), words_(map_->slot_count()) {
  snapshot();
  uint64_t oldest = kNone;
  uint64_t newest = kNone;
  for (uint32_t i = 0; i < words_.size(); ++i) {
    const uint64_t seq = CommitWord::seq_of(words_[i]);
    if (!CommitWord::is_committed(words_[i]) || (seq & map_->slot_mask()) != i) continue;
    if (oldest == kNone || seq < oldest) oldest = seq;
    if (newest == kNone || seq > newest) newest = seq;
  }
  has_baseline_ = newest != kNone;
  expect(!has_baseline_ ? 0 : start == Start::kOldest ? oldest : newest + 1);
  last_seq_ = next_seq_ - 1;
}

void RingFollower::expect(uint64_t seq) noexcept {
  next_seq_ = seq;
  next_slot_ = map_->slot(static_cast<uint32_t>(seq) & map_->slot_mask());
  next_word_ = CommitWord::committed(seq);
}

uint64_t RingFollower::word_at(uint64_t seq) const noexcept {
  return CommitWord(map_->slot(static_cast<uint32_t>(seq) & map_->slot_mask())).load();
}

void RingFollower::snapshot() noexcept {
  for (uint32_t i = 0; i < words_.size(); ++i) words_[i] = CommitWord(map_->slot(i)).load();
}

RingFollower::Result RingFollower::poll(FrameView& view, bool look_ahead) noexcept {
  const uint64_t word = CommitWord(next_slot_).load();
  if (word == next_word_ && map_->alive()) return read_next(word, view);
  return not_next(word, view, look_ahead);
}

RingFollower::Result RingFollower::read_next(uint64_t word, FrameView& view) noexcept {
  const uint64_t seq = next_seq_;
  const auto index = static_cast<uint32_t>(seq) & map_->slot_mask();
  const ReadResult result = reader_.read_committed(word, next_slot_, index, view, 0);
  expect(seq + 1);
  has_baseline_ = true;
  empty_polls_ = 0;
  if (result != ReadResult::kFrame) [[unlikely]] {
    drops_.count_late(result);
    return Result::kDropped;
  }
  jump_ = seq - last_seq_;
  last_seq_ = seq;
  frames_since_lap_ += frames_since_lap_ != UINT64_MAX;
  return Result::kFrame;
}

RingFollower::Result RingFollower::not_next(uint64_t word, FrameView& view, bool look_ahead) noexcept {
  if (!map_->alive()) return Result::kDead;
  const uint64_t lost_before = drops_.drops_gap;
  if (CommitWord::seq_of(word) > next_seq_) {
    catch_up();
  } else {
    if (++empty_polls_ >= kUnaskedLookEvery) look_ahead = true;
    if (!look_ahead) return Result::kEmpty;
    empty_polls_ = 0;
    find_near();
  }
  if (drops_.drops_gap != lost_before) return Result::kDropped;
  const uint64_t now = CommitWord(next_slot_).load();
  return now == next_word_ ? read_next(now, view) : Result::kEmpty;
}

// Look at the next few slots for a frame beyond the expected one, and move to it. The reach grows while nothing is found,
// up to the whole ring, so that a producer that jumps far is found too.
void RingFollower::find_near() noexcept {
  const uint64_t mask = map_->slot_mask();
  const uint64_t expected = next_seq_;
  const uint64_t reach = std::min(std::max(reach_, jump_), mask);
  for (uint64_t seq = expected + 1; seq <= expected + reach; ++seq) {
    const uint64_t word = word_at(seq);
    if (CommitWord::seq_of(word) < seq || word == CommitWord::writing(seq)) continue;
    reach_ = kFirstReach;
    if (word != CommitWord::committed(seq)) return catch_up();  // beyond `seq` even: a long jump, or lapped
    // Commits are in order: with the commit of `seq` seen, an earlier slot that is uncommitted stays so.
    uint64_t to = expected;
    for (; to < seq; ++to) {
      const uint64_t before = word_at(to);
      if (CommitWord::seq_of(before) > to) return catch_up();
      if (before == CommitWord::committed(to)) break;
    }
    if (has_baseline_) drops_.skipped += to - expected;
    return expect(to);
  }
  reach_ = std::min(std::max<uint64_t>(reach * 2, kFirstReach), std::max<uint64_t>(mask, 1));
}

// The ring holds sequences beyond the expected one, in its slot or in another: find the place to go on and count what is
// passed. Two looks at all slots. The first finds a commit that has happened; the second comes after it, so that it shows
// how every sequence up to that commit ended (commits are in order). Nothing beyond it is passed.
void RingFollower::catch_up() noexcept {
  const auto newest_of = [this](bool committed, uint64_t limit) {
    uint64_t newest = kNone;
    for (uint32_t i = 0; i < words_.size(); ++i) {
      const uint64_t seq = CommitWord::seq_of(words_[i]);
      if (is_candidate(i, committed) && seq <= limit && (newest == kNone || seq > newest)) newest = seq;
    }
    return newest;
  };
  const auto oldest_of = [this](bool committed, uint64_t at_least) {
    uint64_t oldest = kNone;
    for (uint32_t i = 0; i < words_.size(); ++i) {
      const uint64_t seq = CommitWord::seq_of(words_[i]);
      if (is_candidate(i, committed) && seq >= at_least && seq < oldest) oldest = seq;
    }
    return oldest;
  };

  snapshot();
  bool committed = true;
  uint64_t settled = newest_of(true, kNone);
  if (settled == kNone) {  // no frame yet, but a claim: the place of a frame to come
    committed = false;
    settled = newest_of(false, kNone);
    if (settled == kNone) return;  // words that do not belong into their slots: a stranger's, ignored
  }
  snapshot();

  uint64_t to = std::min(oldest_of(committed, next_seq_), settled + 1);
  if (const uint64_t lost = has_baseline_ ? lost_before(to) : 0; lost != 0 && committed) {
    // Lapped. The oldest frame is the next to be overwritten, so that a follower of a producer at full speed would lose
    // it again and again while it looks for it. So who is lapped soon after a lap leaves a margin, and twice as much each
    // time; the first time after a good run there is none.
    margin_ = frames_since_lap_ < words_.size() / 4 ? std::clamp<uint64_t>(margin_ * 2, 1, words_.size() / 2) : margin_ / 2;
    frames_since_lap_ = 0;
    const uint64_t newest = newest_of(true, settled);
    if (newest != kNone) {
      to = on_lap_ == OnLap::kSkipToLatest ? newest : std::min(oldest_of(true, to + margin_), newest);
    }
    last_seq_ = to - 1;  // a lap is no jump of the producer's
  }
  if (has_baseline_) {
    const uint64_t lost = lost_before(to);
    drops_.drops_gap += lost;
    drops_.skipped += to - next_seq_ - lost;
  }
  has_baseline_ = has_baseline_ || committed;
  expect(to);
}

// The word of slot `i` in the snapshot is that of a sequence which is still to come for us.
bool RingFollower::is_candidate(uint32_t i, bool committed) const noexcept {
  const uint64_t word = words_[i];
  const uint64_t seq = CommitWord::seq_of(word);
  return word != 0 && (seq & map_->slot_mask()) == i && seq >= next_seq_ && (!committed || CommitWord::is_committed(word));
}

// How many of the sequences from next_seq_ to `to` (not included) are lost, by the snapshot: a slot's word tells that the
// sequences after it were never written (skipped), those before it may have been (in doubt they were), and itself whether
// it was committed.
uint64_t RingFollower::lost_before(uint64_t to) const noexcept {
  const uint64_t mask = map_->slot_mask();
  uint64_t lost = 0;
  for (uint32_t i = 0; i < words_.size(); ++i) {
    const uint64_t first = next_seq_ + ((i - next_seq_) & mask);  // the first sequence for this slot
    if (first >= to || words_[i] == 0) continue;
    const uint64_t seq = CommitWord::seq_of(words_[i]);
    const bool foreign = (seq & mask) != i;
    if (foreign || seq >= to) {
      lost += (to - 1 - first) / words_.size() + 1;
    } else if (seq >= first) {
      lost += (seq - first) / words_.size() + (CommitWord::is_committed(words_[i]) ? 1 : 0);
    }
  }
  return lost;
}

bool RingFollower::empty() const noexcept {
  const auto is_open = [this](uint64_t seq) { return word_at(seq) == CommitWord::writing(seq); };
  const auto is_passed = [this](uint64_t seq) { return CommitWord::seq_of(word_at(seq)) >= seq && word_at(seq) != CommitWord::writing(seq); };
  if (!map_->alive()) return false;  // poll() has something to say
  if (!has_baseline_) {              // the first frame may have any sequence
    for (uint32_t i = 0; i <= map_->slot_mask(); ++i) {
      if (CommitWord::is_committed(CommitWord(map_->slot(i)).load())) return false;
    }
    return true;
  }
  uint64_t seq = next_seq_;
  while (is_open(seq) && seq - next_seq_ <= map_->slot_mask()) ++seq;  // open, or aborted: then the next one counts
  return !is_passed(seq) && (jump_ == 1 || !is_passed(last_seq_ + jump_));
}

}  // namespace tidepool::pool

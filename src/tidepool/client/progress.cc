#include "tidepool/client/progress.h"

#include <algorithm>

#include "tidepool/base/clock.h"
#include "tidepool/pool/racing_copy.h"
#include "tidepool/shm/commit_word.h"
#include "tidepool/shm/words.h"

namespace tidepool::client {

using shm::CommitWord;

ProgressPolicy aggregate(std::span<const ProgressOffer> offers, const ProgressPolicy& floor) noexcept {
  std::optional<uint64_t> interval_ns, bytes;
  std::optional<uint32_t> units;
  const auto lower = [](auto& to, auto value) {
    if (!to || value < *to) to = value;
  };
  for (const ProgressOffer& offer : offers) {
    if (offer.interval_us) lower(interval_ns, uint64_t{*offer.interval_us} * 1000);
    if (offer.bytes_delta) lower(bytes, uint64_t{*offer.bytes_delta});
    if (offer.major_units && *offer.major_units != 0) lower(units, *offer.major_units);  // 0: unknown (wire.md 5.2)
  }
  const ProgressPolicy defaults;
  ProgressPolicy out;
  out.interval_ns = std::max(interval_ns.value_or(defaults.interval_ns), floor.interval_ns);
  out.bytes_delta = std::max(bytes.value_or(defaults.bytes_delta), floor.bytes_delta);
  out.major_units = units ? std::max(*units, floor.major_units) : 0;
  return out;
}

namespace {

constexpr uint64_t kCostNs = kNsPerSecond / kMaxProgressHz;
constexpr uint64_t kBurst = 50;  // PROGRESS messages that may go out at once

// Bytes from one row or column to the next.
uint64_t major_stride_bytes(const wire::TensorHeader& tensor) noexcept {
  if (tensor.ndims == 0) return 0;
  const size_t major = tensor.order == wire::MajorOrder::column ? tensor.ndims - 1u : 0u;
  return static_cast<uint64_t>(std::max(tensor.strides[major], 0));
}

uint64_t step_bytes(const ProgressPolicy& policy, const wire::TensorHeader& tensor) noexcept {
  uint64_t step = policy.bytes_delta;
  if (policy.major_units != 0) {
    if (const uint64_t stride = major_stride_bytes(tensor); stride != 0) step = std::min(step, policy.major_units * stride);
  }
  return std::max<uint64_t>(step, 1);
}

}  // namespace

// ---- the producer's side -------------------------------------------------------------------------------------------------

bool ProgressReporter::send(const Audience& audience, const pool::EpochMap& map, uint64_t seq, uint64_t bytes,
                            wire::ProgressState state) noexcept {
  const wire::FrameProgress message{
      .stream_id = map.stream_id(), .epoch = map.epoch(), .seq = seq, .payload_bytes_filled = bytes, .state = state};
  bool taken = false;
  for (const auto& publication : audience.progress) {
    const auto once = [&] {
      return publication->send_in_place(wire::FrameProgress::kBytes, [&](MutableBytes out) { wire::encode(message, out); });
    };
    transport::SendResult result = once();
    if (result == transport::SendResult::kAdminAction) result = once();  // the first try has turned the term over
    taken |= result == transport::SendResult::kOk;
  }
  ++(taken ? sent_ : dropped_);
  return taken;
}

bool ProgressReporter::may_send(uint64_t now_ns) noexcept {
  budget_ns_ = std::min(budget_ns_ + (now_ns - last_refill_ns_), kBurst * kCostNs);
  last_refill_ns_ = now_ns;
  if (budget_ns_ < kCostNs) return false;
  budget_ns_ -= kCostNs;
  return true;
}

ProgressResult ProgressReporter::report(const Audience& audience, pool::PoolWriter& writer, pool::Claim& claim,
                                        uint64_t bytes_filled, const pool::FrameInfo& info, uint64_t now_ns) noexcept {
  if (bytes_filled > claim.bytes().size()) return ProgressResult::kInvalid;  // W-78
  Open& open = open_[claim.seq() & slot_mask_];
  if (open.tag != claim.seq() + 1) {
    used_ = true;
    open = {.tag = claim.seq() + 1, .bytes = bytes_filled, .sent_bytes = 0, .sent_ns = 0, .started = false, .info = info};
    writer.publish_header_early(claim, info);  // wire.md 11.3: readers learn the layout before the payload is there
  } else if (bytes_filled < open.bytes) {
    return ProgressResult::kInvalid;
  }
  open.bytes = bytes_filled;
  if (open.started) {
    const uint64_t step = step_bytes(audience.progress_policy, claim.tensor());
    if (bytes_filled - open.sent_bytes < step || now_ns - open.sent_ns < audience.progress_policy.interval_ns ||
        !may_send(now_ns)) {
      return ProgressResult::kHeld;
    }
  }
  const auto state = open.started ? wire::ProgressState::progress : wire::ProgressState::started;
  if (!send(audience, writer.map(), claim.seq(), bytes_filled, state)) return ProgressResult::kHeld;
  open.started = true;
  open.sent_bytes = bytes_filled;
  open.sent_ns = now_ns;
  return ProgressResult::kSent;
}

const pool::FrameInfo* ProgressReporter::early_info(const pool::Claim& claim) const noexcept {
  const Open& open = open_[claim.seq() & slot_mask_];
  return open.tag == claim.seq() + 1 ? &open.info : nullptr;
}

void ProgressReporter::committed(const Audience* audience, const pool::EpochMap& map, uint64_t seq,
                                 uint64_t values_len_bytes) noexcept {
  Open& open = open_[seq & slot_mask_];
  if (open.tag != seq + 1) return;
  if (open.started && audience != nullptr && !audience->progress.empty())
    send(*audience, map, seq, values_len_bytes, wire::ProgressState::complete);
  open.tag = 0;
}

// ---- the consumer's side -------------------------------------------------------------------------------------------------

ProgressTracker::ProgressTracker(std::shared_ptr<const pool::EpochMap> map) : map_(std::move(map)), told_(map_->slot_count()) {}

ProgressTracker::Verdict ProgressTracker::judge(const wire::FrameProgress& progress, ProgressView& view) noexcept {
  if (progress.stream_id != map_->stream_id() || progress.epoch != map_->epoch() || !map_->alive()) return Verdict::kOther;
  if (progress.state == wire::ProgressState::unknown) return Verdict::kState;
  if (progress.seq > UINT64_MAX >> 1) return Verdict::kSlot;  // no word can say so
  Told& told = told_[progress.seq & map_->slot_mask()];
  if (progress.seq + 1 < told.tag) return Verdict::kRegressed;
  if (progress.seq + 1 == told.tag) {
    if (progress.payload_bytes_filled < told.bytes || progress.state < told.state) return Verdict::kRegressed;
    if (progress.payload_bytes_filled == told.bytes && progress.state == told.state) return Verdict::kRegressed;
  }
  view.map_ = map_;
  view.seq_ = progress.seq;
  view.state_ = progress.state;
  view.bytes_filled_ = progress.payload_bytes_filled;
  view.payload_ = nullptr;
  bool ours = false;
  view.has_header_ = read_header(progress.seq, view, ours);
  if (!ours) return Verdict::kSlot;
  if (view.has_header_ && view.bytes_filled_ > view.header_.values_len_bytes) {
    view.payload_ = nullptr;
    return Verdict::kBounds;
  }
  told = {.tag = progress.seq + 1, .bytes = progress.payload_bytes_filled, .state = progress.state};
  return Verdict::kTell;
}

bool ProgressTracker::read_header(uint64_t seq, ProgressView& view, bool& ours) noexcept {
  const auto index = static_cast<uint32_t>(seq) & map_->slot_mask();
  const std::byte* const at = map_->slot(index);
  view.slot_ = at;
  const uint64_t word = CommitWord(at).load();
  if (word != CommitWord::writing(seq) && word != CommitWord::committed(seq)) return false;
  std::byte slot[wire::kSlotBytes] = {};
  shm::copy_words(slot + 8, at + 8, wire::kSlotBytes / 8 - 1);
  if (!view.still_valid()) return false;  // W-81: before and after
  ours = true;
  // Only the private copy is judged (W-92).
  wire::SlotHeader& header = view.header_;
  if (wire::decode_slot_header(slot, header) != wire::SlotFault::kNone || header.payload_slot != index) return false;
  const pool::EpochMap::Pool* const pool = map_->pool(header.pool_id);
  if (pool == nullptr || header.values_len_bytes > pool->stride_bytes) return false;
  // decode_slot_header() has held a progress stride against its unit.
  if (wire::is_contiguous(header.tensor) || header.tensor.progress_unit != wire::ProgressUnit::none) {
    view.payload_ = pool->slots + uint64_t{index} * pool->stride_bytes;
  }
  return true;
}

bool ProgressView::still_valid() const noexcept {
  if (slot_ == nullptr || !map_->alive()) return false;
  const CommitWord word(slot_);
  return word.unchanged(CommitWord::writing(seq_)) || word.unchanged(CommitWord::committed(seq_));
}

bool ProgressView::copy_to(MutableBytes to) const noexcept {
  const Bytes from = prefix();
  if (to.size() < from.size()) return false;
  if (!from.empty()) pool::copy_from_slot(to.data(), from.data(), from.size());
  return still_valid();
}

}  // namespace tidepool::client

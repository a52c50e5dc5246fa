#include <algorithm>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/client/roles.h"

namespace tidepool::client {
namespace {

constexpr int kMessagesPerPoll = 256;        // of frames that are passed over, before poll() returns
constexpr int kPassedOverPerPoll = 4096;     // of frames that were overwritten: some tenths of a millisecond
constexpr int kLagsPerPoll = 4;              // overwritten between finding a frame and reading it: then the application may try again
constexpr int kProgressPerPoll = 64;         // fragments of the control stream, between two frames
constexpr uint32_t kSpinsBeforeParking = 50;
// A parker is rung by its producer alone, so it looks up now and then for a new mapping.
constexpr uint64_t kParkSliceNs = 50 * kNsPerMs;

void add(pool::DropCounts& to, const pool::DropCounts& from) noexcept {
  to.drops_gap += from.drops_gap;
  to.drops_late += from.drops_late;
  to.uncommitted += from.uncommitted;
  to.changed += from.changed;
  to.identity += from.identity;
  to.header_invalid += from.header_invalid;
  to.payload_invalid += from.payload_invalid;
  to.skipped += from.skipped;
}

}  // namespace

// Hears FrameProgress, and nothing else that may come on a control stream.
struct Consumer::Impl::ProgressEar {
  Impl& consumer;
  void on(const wire::FrameProgress& progress, const transport::MessageInfo&) {
    ConsumerCells& cells = consumer.link->consumer;
    switch (consumer.tracker_->judge(progress, consumer.progress_)) {
      case ProgressTracker::Verdict::kTell:
        cells.progress.add(1);
        consumer.role_.on_progress(consumer.progress_);  // what it throws is caught and logged by the dispatcher
        break;
      case ProgressTracker::Verdict::kOther: break;  // the plane is shared (W-10)
      default: cells.progress_ignored.add(1); break;
    }
  }
};

Consumer::Impl::Impl(std::shared_ptr<Engine> the_engine, const RoleSettings& the_role)
    : engine(std::move(the_engine)), session(engine->attach<ConsumerSession>(the_role)), link(session->handover()), role_(the_role) {
  take_over();
}

Consumer::Impl::~Impl() {
  // Nothing of ours is used by the conductor from here on; then the lease goes back.
  end_epoch();
  map_.reset();
  feed_.clear();
  progress_in_.reset();
  doorbell_.reset();
  engine->close(session);
}

void Consumer::Impl::take_over() noexcept {
  try {
    Attachment next = link->take(generation_);
    feed_.take(next.subscription, next.own, next.leaving);
    progress_in_ = std::move(next.progress);
    thin_interval_ns_ = next.thin_interval_ns;
    doorbell_ = std::move(next.doorbell);
    if (next.map == map_) return;
    end_epoch();
    map_ = std::move(next.map);
    if (map_) start_epoch();
  } catch (const std::exception& e) {
    log(LogLevel::kError, "client", "cannot take a mapping over: ", e.what());
    end_epoch();
    map_.reset();
  }
}

void Consumer::Impl::start_epoch() {
  if (role_.follow == Follow::kRing) {
    // All of a new epoch is news. The same epoch once more would be told twice from its oldest frame.
    const pool::Start start = !mapped_before_                      ? role_.start
                              : map_->epoch() != previous_epoch_ ? pool::Start::kOldest
                                                                 : pool::Start::kLatest;
    follower_.emplace(map_, start, role_.on_lap);
  } else {
    reader_.emplace(map_);
  }
  since_ns_ = mapped_before_ ? 0 : monotonic_ns();
  if (role_.on_progress) tracker_.emplace(map_);
  mapped_before_ = true;
  previous_epoch_ = map_->epoch();
}

void Consumer::Impl::end_epoch() noexcept {
  // W-59: sequence and per-slot state go with the mapping.
  if (follower_) add(drops_before_, follower_->drops());
  add(drops_before_, drops_);
  drops_ = {};
  skipped_ = 0;
  view = {};
  follower_.reset();
  reader_.reset();
  last_seq_.reset();
  link->consumer.last_seq.set(0);  // wire.md 13.2: what QosConsumer says belongs to the epoch that it names
  pending_.reset();
  next_.reset();
  overtaken_.reset();
  is_lag_told_ = false;
  frames_since_lag_ = UINT64_MAX;
  margin_ = 0;
  feed_.end_epoch();
  last_taken_ns_.reset();
  tracker_.reset();
  progress_ = {};
}

void Consumer::Impl::hear_progress() noexcept {
  ProgressEar ear{*this};
  progress_in_->poll([&](Bytes message, const transport::MessageInfo& info) { control::dispatch(message, info, ear, heard_); },
                     kProgressPerPoll);
}

PollResult Consumer::Impl::poll(bool look_ahead) noexcept {
  if (link->generation() != generation_) take_over();
  if (progress_in_ && tracker_) hear_progress();
  return role_.follow == Follow::kRing ? poll_ring(look_ahead) : poll_descriptors();
}

PollResult Consumer::Impl::poll_ring(bool look_ahead) noexcept {
  if (!follower_) return PollResult::kDetached;
  for (int i = 0; i < kMessagesPerPoll; ++i) {
    switch (follower_->poll(view, look_ahead)) {
      case pool::RingFollower::Result::kFrame:
        link->consumer.last_seq.set(view.seq());
        // Frames that the producer skipped come to light with the next one, and are no drop.
        if (follower_->drops().skipped != skipped_) show_drops(follower_->drops());
        if (thin_interval_ns_ != 0 && passed_over(view)) continue;
        link->consumer.frames.add(1);
        return PollResult::kFrame;
      case pool::RingFollower::Result::kDropped: show_drops(follower_->drops()); return PollResult::kDropped;
      case pool::RingFollower::Result::kDead: view = {}; return PollResult::kDetached;
      case pool::RingFollower::Result::kEmpty: return PollResult::kEmpty;
    }
  }
  return PollResult::kEmpty;
}

// Descriptors lie in the log for longer than frames in the ring. One at a time, a consumer that takes one frame in each of its cycles and
// is more than a ring behind would find each overwritten, for ever. So when a frame was overwritten, all that were with it are passed
// over at once and told once; and then the next poll has a frame, whatever it has to pass over on its way.
PollResult Consumer::Impl::poll_descriptors() noexcept {
  PollResult result = next_described();
  const bool owes_a_frame = std::exchange(is_lag_told_, false);
  for (int lags = 0; overtaken_ && lags < kLagsPerPoll; ++lags) {
    catch_up(*std::exchange(overtaken_, std::nullopt));
    is_lag_told_ = !owes_a_frame;
    if (!map_) return unmapped();
    if (!owes_a_frame) return PollResult::kDropped;
    if (result = next_described(); result == PollResult::kEmpty) return PollResult::kDropped;  // the loss is to be told
  }
  overtaken_.reset();
  if (result == PollResult::kFrame && frames_since_lag_ != UINT64_MAX) ++frames_since_lag_;
  return result;
}

PollResult Consumer::Impl::next_described() noexcept {
  if (pending_) {
    const DescriptorFeed::Heard heard = *pending_;
    pending_.reset();
    described_version = heard.descriptor.meta_version;
    if (const PollResult result = read(heard); result != PollResult::kEmpty) return result;
  }
  const auto ask = [this](const wire::FrameDescriptor& descriptor) { return screen(descriptor); };
  for (int i = 0; i < kMessagesPerPoll; ++i) {
    DescriptorFeed::Heard heard;
    if (next_) {
      heard = *std::exchange(next_, std::nullopt);
    } else {
      const DescriptorFeed::Next next = feed_.next(heard, last_seq_, ask);
      if (next == DescriptorFeed::Next::kStopped) {
        want_remap(RemapReason::kNewerEpoch);
        return PollResult::kDetached;
      }
      if (next == DescriptorFeed::Next::kNone) break;
    }
    if (const PollResult result = described(heard); result != PollResult::kEmpty) return result;
  }
  return map_ && map_->alive() ? PollResult::kEmpty : unmapped();
}

PollResult Consumer::Impl::unmapped() noexcept {
  view = {};
  return PollResult::kDetached;
}

// Go on at the oldest frame that is there (or the newest: on_lap). The oldest is the next to be overwritten, so who lags again soon after
// leaves a margin, and twice as much each time, as a follower of the ring does.
void Consumer::Impl::catch_up(const pool::PoolReader::Remains& remains) noexcept {
  const uint64_t slots = map_->slot_count();
  margin_ = frames_since_lag_ < slots / 4 ? std::clamp<uint64_t>(margin_ * 2, 1, std::max<uint64_t>(slots / 2, 1)) : margin_ / 2;
  frames_since_lag_ = 0;
  const uint64_t to =
      role_.on_lap == pool::OnLap::kSkipToLatest ? remains.newest : std::min(remains.oldest + margin_, remains.newest);
  const auto ask = [this](const wire::FrameDescriptor& descriptor) { return screen(descriptor); };
  for (int i = 0; i < kPassedOverPerPoll; ++i) {
    DescriptorFeed::Heard heard;
    const DescriptorFeed::Next next = feed_.next(heard, last_seq_, ask);
    if (next == DescriptorFeed::Next::kStopped) return want_remap(RemapReason::kNewerEpoch);
    if (next == DescriptorFeed::Next::kNone) break;
    if (heard.descriptor.seq < to && pass_over(heard)) continue;
    next_ = heard;
    break;
  }
  show_drops(drops_);
}

// One more frame is lost, and counted as if it had been looked at: in its slot is another, or will be before we could read it (W-82, W-84).
// False: described() has more to say about it.
bool Consumer::Impl::pass_over(const DescriptorFeed::Heard& heard) noexcept {
  const uint64_t seq = heard.descriptor.seq;
  if (!last_seq_ || seq <= *last_seq_) return false;
  const uint64_t gap = heard.fresh ? 0 : seq - *last_seq_ - 1;
  if (role_.max_outstanding_seq_gap != 0 && gap > role_.max_outstanding_seq_gap) return false;
  feed_.moved_on();
  last_seq_ = seq;
  link->consumer.last_seq.set(seq);
  drops_.drops_gap += gap;
  if (thin_interval_ns_ != 0 && !heard.own && heard.descriptor.timestamp_ns && too_soon(*heard.descriptor.timestamp_ns)) {
    link->consumer.rate_skipped.add(1);
  } else {
    drops_.count_late(pool::ReadResult::kIdentity);
  }
  return true;
}

DescriptorFeed::Screen Consumer::Impl::screen(const wire::FrameDescriptor& descriptor) noexcept {
  using Screen = DescriptorFeed::Screen;
  if (!map_ || !map_->alive()) {
    if (descriptor.stream_id == link->stream_id()) link->consumer.unmapped.add(1);  // W-61
    return Screen::kSkip;
  }
  if (descriptor.stream_id != map_->stream_id()) return Screen::kSkip;  // W-10: the plane is shared
  if (descriptor.epoch == map_->epoch()) return Screen::kTake;
  link->consumer.epoch_mismatch.add(1);  // W-60
  return descriptor.epoch < map_->epoch() ? Screen::kSkip : Screen::kStop;
}

// A log that has lost its readers keeps what nobody read, so the first descriptor may be of a frame that was overwritten before we
// came: then it is no loss of ours, and no place to count a gap from (W-83).
bool Consumer::Impl::was_before_us(uint64_t seq) noexcept {
  const auto successor = reader_->successor_in_slot(seq);
  if (!successor || reader_->read(*successor, view) != pool::ReadResult::kFrame) return false;
  const auto captured_ns = view.timestamp_ns();
  view = {};
  return captured_ns && *captured_ns < since_ns_;
}

PollResult Consumer::Impl::described(const DescriptorFeed::Heard& heard) noexcept {
  // W-82: as received, before and regardless of the read.
  const uint64_t seq = heard.descriptor.seq;
  if (!last_seq_ && was_before_us(seq)) return PollResult::kEmpty;
  uint64_t gap = 0;
  if (last_seq_) {
    if (seq == *last_seq_) return PollResult::kEmpty;  // W-66: a duplicate
    if (seq < *last_seq_) {
      if (feed_.switching()) return PollResult::kEmpty;  // told already, by the stream that was read before
      want_remap(RemapReason::kSeqRegression);
      return PollResult::kDetached;
    }
    if (!heard.fresh) gap = seq - *last_seq_ - 1;
  }
  feed_.moved_on();
  last_seq_ = seq;
  link->consumer.last_seq.set(seq);
  described_version = heard.descriptor.meta_version;
  if (gap == 0) return read(heard);
  drops_.drops_gap += gap;
  if (role_.max_outstanding_seq_gap != 0 && gap > role_.max_outstanding_seq_gap) {
    ++drops_.drops_gap;  // W-85 skips this frame too, and W-82 has every lost frame counted
    last_seq_.reset();
  } else {
    pending_ = heard;  // first the loss, then the frame
  }
  show_drops(drops_);
  return PollResult::kDropped;
}

PollResult Consumer::Impl::read(const DescriptorFeed::Heard& heard) noexcept {
  // W-76: nobody caps the shared stream for us. Over our own the producer does.
  const bool thin = thin_interval_ns_ != 0 && !heard.own;
  if (thin && heard.descriptor.timestamp_ns && too_soon(*heard.descriptor.timestamp_ns)) {
    link->consumer.rate_skipped.add(1);
    return PollResult::kEmpty;
  }
  const pool::ReadResult result = reader_->read(heard.descriptor.seq, view, heard.descriptor.trace_id);
  switch (result) {
    case pool::ReadResult::kFrame:
      if (thin && heard.descriptor.timestamp_ns) {
        last_taken_ns_ = heard.descriptor.timestamp_ns;
      } else if (thin && passed_over(view)) {
        return PollResult::kEmpty;
      }
      link->consumer.frames.add(1);
      return PollResult::kFrame;
    case pool::ReadResult::kDead: view = {}; return PollResult::kDetached;
    default: break;
  }
  drops_.count_late(result);  // W-84
  overtaken_ = reader_->remains_if_overtaken(heard.descriptor.seq);
  show_drops(drops_);
  return PollResult::kDropped;
}

bool Consumer::Impl::too_soon(uint64_t time_ns) noexcept {
  return last_taken_ns_ && time_ns >= *last_taken_ns_ && time_ns - *last_taken_ns_ < thin_interval_ns_;
}

// The frame just read is one too many for our rate; by its time stamp, or the time now.
bool Consumer::Impl::passed_over(const pool::FrameView& frame) noexcept {
  const auto stamp = frame.timestamp_ns();
  const uint64_t time_ns = stamp ? *stamp : monotonic_ns();
  if (!too_soon(time_ns)) {
    last_taken_ns_ = time_ns;
    return false;
  }
  link->consumer.rate_skipped.add(1);
  view = {};
  return true;
}

void Consumer::Impl::want_remap(RemapReason reason) noexcept {
  const uint64_t epoch = map_->epoch();
  map_->mark_dead();  // W-59: what is in flight is void
  end_epoch();
  map_.reset();
  link->ask_remap(epoch, reason);
}

void Consumer::Impl::show_drops(const pool::DropCounts& of_epoch) noexcept {
  pool::DropCounts all = drops_before_;
  add(all, of_epoch);
  skipped_ = of_epoch.skipped;
  ConsumerCells& cells = link->consumer;
  cells.drops_gap.set(all.drops_gap);
  cells.drops_late.set(all.drops_late);
  cells.uncommitted.set(all.uncommitted);
  cells.changed.set(all.changed);
  cells.identity.set(all.identity);
  cells.header_invalid.set(all.header_invalid);
  cells.payload_invalid.set(all.payload_invalid);
  cells.skipped.set(all.skipped);
}

PollResult Consumer::Impl::wait(uint64_t timeout_ns) noexcept {
  PollResult result = poll(false);
  for (uint32_t spins = 0; result == PollResult::kEmpty && spins < kSpinsBeforeParking; ++spins) result = poll(false);
  if (result != PollResult::kEmpty && result != PollResult::kDetached) return result;

  const uint64_t start_ns = monotonic_ns();
  const uint64_t deadline_ns = start_ns + std::min(timeout_ns, UINT64_MAX - start_ns);
  Idler idler(Idle::kBackoff);
  for (uint64_t now_ns = start_ns; now_ns < deadline_ns; now_ns = monotonic_ns()) {
    if (result == PollResult::kEmpty && doorbell_) {
      PollResult found = PollResult::kEmpty;
      const auto doorbell = doorbell_;  // poll() may take another attachment over
      doorbell->park(std::min(deadline_ns, now_ns + kParkSliceNs), [&] {
        if (found == PollResult::kEmpty) found = poll(true);
        return found == PollResult::kEmpty;
      });
      result = found != PollResult::kEmpty ? found : poll(true);
    } else {
      idler.idle(0);
      result = poll(true);
    }
    if (result != PollResult::kEmpty && result != PollResult::kDetached) return result;
  }
  return result;
}

Consumer::Consumer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Consumer::Consumer(Consumer&&) noexcept = default;
Consumer& Consumer::operator=(Consumer&&) noexcept = default;
Consumer::~Consumer() = default;

PollResult Consumer::poll() noexcept { return impl_->poll(false); }
PollResult Consumer::wait(std::chrono::nanoseconds timeout) noexcept {
  return impl_->wait(timeout.count() > 0 ? static_cast<uint64_t>(timeout.count()) : 0);
}
const pool::FrameView& Consumer::frame() const noexcept { return impl_->view; }

State Consumer::state() const noexcept { return impl_->link->state(); }

std::string Consumer::status_text() const {
  const Handover& link = *impl_->link;
  return concat(name_of(link.state()), ", stream ", link.stream_id(), ", epoch ", link.epoch(), ": ", link.why());
}

std::shared_ptr<const Metadata> Consumer::metadata() const {
  const auto& cache = impl_->session->metadata();
  return cache ? cache->newest() : nullptr;
}
std::shared_ptr<const Metadata> Consumer::metadata(uint32_t version) const {
  const auto& cache = impl_->session->metadata();
  return cache ? cache->version(version) : nullptr;
}
std::optional<uint32_t> Consumer::frame_meta_version() const noexcept {
  if (!impl_->view) return std::nullopt;
  if (const auto version = impl_->view.meta_version()) return version;
  return impl_->described_version;
}
std::shared_ptr<const Metadata> Consumer::frame_metadata() const {
  const auto& cache = impl_->session->metadata();
  const auto version = frame_meta_version();
  return cache && version ? cache->of_frame(impl_->view.epoch(), *version) : nullptr;
}
MetadataCounters Consumer::metadata_counters() const {
  const auto& cache = impl_->session->metadata();
  return cache ? cache->counters() : MetadataCounters{};
}

uint32_t Consumer::stream_id() const noexcept { return impl_->link->stream_id(); }
uint64_t Consumer::epoch() const noexcept { return impl_->link->epoch(); }
std::string Consumer::fallback_uri() const { return impl_->link->fallback_uri(); }
Endpoint Consumer::assigned_descriptors() const { return impl_->link->assigned_descriptors(); }
Endpoint Consumer::assigned_control() const { return impl_->link->assigned_control(); }

ConsumerCounters Consumer::counters() const noexcept {
  const Handover& link = *impl_->link;
  const ConsumerCells& cells = link.consumer;
  ConsumerCounters out;
  out.frames = cells.frames.get();
  out.remaps = std::max<uint64_t>(link.mappings(), 1) - 1;
  out.epoch_mismatch = cells.epoch_mismatch.get();
  out.unmapped = cells.unmapped.get();
  out.last_seq = cells.last_seq.get();
  out.rate_skipped = cells.rate_skipped.get();
  out.progress = cells.progress.get();
  out.progress_ignored = cells.progress_ignored.get();
  out.drops = {.drops_gap = cells.drops_gap.get(),
               .drops_late = cells.drops_late.get(),
               .uncommitted = cells.uncommitted.get(),
               .changed = cells.changed.get(),
               .identity = cells.identity.get(),
               .header_invalid = cells.header_invalid.get(),
               .payload_invalid = cells.payload_invalid.get(),
               .skipped = cells.skipped.get()};
  return out;
}

}  // namespace tidepool::client

#pragma once
// The application's side of producers and consumers: what a frame passes through. Thread safety: one thread each.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/base/agent.h"
#include "tidepool/client/client.h"
#include "tidepool/client/descriptor_feed.h"
#include "tidepool/client/engine.h"
#include "tidepool/client/progress.h"
#include "tidepool/control/dispatch.h"
#include "tidepool/control/sender.h"

namespace tidepool::client {

struct Producer::Impl {
  Impl(std::shared_ptr<Engine> the_engine, const RoleSettings& role);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // A frame may be claimed or committed now: the newest attachment is taken over and alive.
  bool ready() noexcept;
  void take_over() noexcept;
  // With invoker nobody watches the lease between two polls, so each call looks at its end.
  bool lease_is_over() const noexcept;
  // `values_len_bytes`: of a frame whose progress may have been told.
  void frame_committed(uint64_t seq, uint64_t trace_id, uint32_t frame_meta_version, uint64_t values_len_bytes) noexcept;
  void adopt(std::shared_ptr<const Audience> next);
  void send_to_listeners(const wire::FrameDescriptor& descriptor) noexcept;
  uint32_t frame_meta_version() const noexcept { return meta_version != 0 ? meta_version : wire::kNull32; }
  void set_data_source(DataSource source);
  // What the slot header says besides the tensor.
  pool::FrameInfo slot_info(const FrameInfo& info) const noexcept {
    return {.timestamp_ns = realtime && !info.timestamp_ns ? std::optional(realtime_ns()) : info.timestamp_ns,
            .meta_version = frame_meta_version()};
  }

  std::shared_ptr<Engine> engine;  // first: what follows needs it to the last
  std::shared_ptr<ProducerSession> session;
  std::shared_ptr<Handover> link;
  const bool invoker;
  const bool descriptor_timestamps;
  const bool realtime;  // ClockDomain::kRealtimeSynced: frames are stamped with CLOCK_REALTIME

  uint64_t generation = 0;
  std::shared_ptr<pool::EpochMap> map;
  std::optional<pool::PoolWriter> writer;
  std::shared_ptr<transport::Publication> publication;
  std::shared_ptr<shm::Doorbell> doorbell;
  control::DescriptorCounts descriptors;
  uint32_t meta_version = 0;  // 0: none

  // Single consumers. Nothing here costs a frame anything while nobody asked for more than the shared streams.
  std::shared_ptr<const Audience> audience;  // nullptr: nobody
  std::vector<uint64_t> sent_at_ns;          // by listener: when it had its last descriptor (W-76)
  bool any_capped = false;
  control::DescriptorCounts own_descriptors;
  std::optional<ProgressReporter> reporter;  // of this epoch, once somebody wants progress
};

struct Consumer::Impl {
  Impl(std::shared_ptr<Engine> the_engine, const RoleSettings& the_role);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  PollResult poll(bool look_ahead) noexcept;
  PollResult wait(uint64_t timeout_ns) noexcept;

  std::shared_ptr<Engine> engine;  // first: what follows needs it to the last
  std::shared_ptr<ConsumerSession> session;
  std::shared_ptr<Handover> link;
  pool::FrameView view;
  std::optional<uint32_t> described_version;  // of `view`, as its descriptor says

 private:
  struct ProgressEar;

  void take_over() noexcept;
  void start_epoch();
  void end_epoch() noexcept;
  PollResult poll_ring(bool look_ahead) noexcept;
  PollResult poll_descriptors() noexcept;
  PollResult next_described() noexcept;
  PollResult unmapped() noexcept;
  void catch_up(const pool::PoolReader::Remains& remains) noexcept;
  bool pass_over(const DescriptorFeed::Heard& heard) noexcept;
  DescriptorFeed::Screen screen(const wire::FrameDescriptor& descriptor) noexcept;
  bool was_before_us(uint64_t seq) noexcept;
  PollResult described(const DescriptorFeed::Heard& heard) noexcept;
  PollResult read(const DescriptorFeed::Heard& heard) noexcept;
  bool too_soon(uint64_t time_ns) noexcept;
  bool passed_over(const pool::FrameView& frame) noexcept;
  void hear_progress() noexcept;
  void want_remap(RemapReason reason) noexcept;
  void show_drops(const pool::DropCounts& of_epoch) noexcept;

  const RoleSettings role_;
  uint64_t generation_ = 0;
  std::shared_ptr<pool::EpochMap> map_;
  DescriptorFeed feed_;
  std::shared_ptr<transport::Subscription> progress_in_;
  std::shared_ptr<shm::Doorbell> doorbell_;
  bool mapped_before_ = false;
  uint64_t previous_epoch_ = 0;
  pool::DropCounts drops_before_;  // of epochs that have passed
  // kRing
  std::optional<pool::RingFollower> follower_;
  uint64_t skipped_ = 0;  // of this epoch, as last shown
  // kDescriptors
  std::optional<pool::PoolReader> reader_;
  pool::DropCounts drops_;              // of this epoch
  uint64_t since_ns_ = 0;               // when the first mapping was taken over; 0: it is not the first any more
  std::optional<uint64_t> last_seq_;    // W-83: 0 is a real sequence
  std::optional<DescriptorFeed::Heard> pending_;  // told as a gap; the frame itself comes with the next poll
  std::optional<DescriptorFeed::Heard> next_;     // taken off the feed, and not looked at yet
  // Descriptors that lie in the log for longer than their frames in the ring
  std::optional<pool::PoolReader::Remains> overtaken_;  // the frame just read for was overwritten; this is there
  bool is_lag_told_ = false;        // the last poll said so: the next one owes a frame
  uint64_t frames_since_lag_ = UINT64_MAX;
  uint64_t margin_ = 0;             // frames left to the producer after a lag
  // A rate limit of our own (W-76)
  uint64_t thin_interval_ns_ = 0;           // 0: none
  std::optional<uint64_t> last_taken_ns_;   // time of the last frame taken, in whatever clock frames carry
  // FrameProgress
  std::optional<ProgressTracker> tracker_;
  ProgressView progress_;
  control::DispatchCounts heard_;
};

}  // namespace tidepool::client

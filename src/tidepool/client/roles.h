#pragma once
// The application's side of producers and consumers: what a frame passes through. Thread safety: one thread each.

#include <memory>
#include <optional>
#include <string>

#include "tidepool/base/agent.h"
#include "tidepool/client/client.h"
#include "tidepool/client/engine.h"
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
  void frame_committed(uint64_t seq, uint64_t trace_id) noexcept;
  void set_data_source(DataSource source);
  // What the slot header says besides the tensor.
  pool::FrameInfo slot_info(const FrameInfo& info) const noexcept {
    return {.timestamp_ns = realtime && !info.timestamp_ns ? std::optional(realtime_ns()) : info.timestamp_ns,
            .meta_version = meta_version != 0 ? meta_version : wire::kNull32};
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
  struct Ear;

  void take_over() noexcept;
  void start_epoch();
  void end_epoch() noexcept;
  PollResult poll_ring(bool look_ahead) noexcept;
  PollResult poll_descriptors() noexcept;
  PollResult described(const wire::FrameDescriptor& descriptor) noexcept;
  PollResult read(uint64_t seq, uint64_t trace_id) noexcept;
  void want_remap(RemapReason reason) noexcept;
  void show_drops(const pool::DropCounts& of_epoch) noexcept;

  const RoleSettings role_;
  uint64_t generation_ = 0;
  std::shared_ptr<pool::EpochMap> map_;
  std::shared_ptr<transport::Subscription> subscription_;
  std::shared_ptr<shm::Doorbell> doorbell_;
  bool mapped_before_ = false;
  uint64_t previous_epoch_ = 0;
  pool::DropCounts drops_before_;  // of epochs that have passed
  // kRing
  std::optional<pool::RingFollower> follower_;
  uint32_t empty_polls_ = 0;
  uint64_t skipped_ = 0;  // of this epoch, as last shown
  // kDescriptors
  std::optional<pool::PoolReader> reader_;
  pool::DropCounts drops_;              // of this epoch
  std::optional<uint64_t> last_seq_;    // W-83: 0 is a real sequence
  std::optional<wire::FrameDescriptor> pending_;  // told as a gap; the frame itself comes with the next poll
  control::DispatchCounts heard_;
};

}  // namespace tidepool::client

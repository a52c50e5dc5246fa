#pragma once
// What the conductor and one application thread (a Producer or a Consumer) hand each other.
//
// Thread safety: the conductor calls the functions of the first half, the application's thread those of the second; state(),
// epoch(), stream_id(), why() and the cells may be read by anybody.
//
//   [attach]  publish() stores the generation (release) after the attachment -> generation() loads it (acquire): who sees a
//             new number finds that attachment, or a newer one, under the mutex. One load is all that a frame pays.
//   [remap]   ask_remap() stores the epoch (release) after the reason -> take_remap() exchanges it (acquire).
//
// Publications and subscriptions are shared: whoever lets go last retires them, which transport allows on any thread.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/client/audience.h"
#include "tidepool/client/client.h"
#include "tidepool/pool/epoch_map.h"
#include "tidepool/shm/doorbell.h"
#include "tidepool/transport/connection.h"

namespace tidepool::client {

// A number with one writer that anybody may look at.
class Cell {
 public:
  void set(uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }  // relaxed: a number alone, no data with it
  void add(uint64_t n) noexcept { set(get() + n); }                                      // one writer: no read-modify-write
  uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }       // relaxed: as set()

 private:
  std::atomic<uint64_t> value_{0};
};

// Everything that an application thread works with. Replaced as a whole.
struct Attachment {
  std::shared_ptr<pool::EpochMap> map = {};                    // nullptr: detached
  std::shared_ptr<transport::Publication> publication = {};    // a producer's descriptors; nullptr: none are sent
  std::shared_ptr<const Audience> audience = {};               // a producer's single consumers; nullptr: none
  std::shared_ptr<transport::Subscription> subscription = {};  // a consumer's descriptors: the shared ones,
  std::shared_ptr<transport::Subscription> own = {};           // its own (W-72),
  std::shared_ptr<transport::Subscription> leaving = {};       // and its own until now; any of them may be nullptr
  std::shared_ptr<transport::Subscription> progress = {};      // FrameProgress; nullptr: not wanted
  uint64_t thin_interval_ns = 0;                               // a consumer's own rate limit, for what nobody capped for it (W-76)
  std::shared_ptr<shm::Doorbell> doorbell = {};                // nullptr: the stream has none
};

// Why an application thread wants its mapping replaced.
enum class RemapReason : uint8_t {
  kNewerEpoch,     // a descriptor of a later epoch arrived before its announce (W-60)
  kSeqRegression,  // a lower sequence in the same epoch (W-66)
  kUnusable,       // a producer cannot write it: somebody has written there before (W-40)
};

// Written by the application's thread for each frame, read by the conductor for QoS and by counters(). A cache line of their
// own, so that nobody else's stores slow them down.
struct alignas(64) ProducerCells {
  Cell frames, failed, next_seq, descriptors_sent, descriptors_dropped;
  // What descriptors_dropped is made of.
  Cell descriptors_not_connected, descriptors_back_pressured, descriptors_admin_action, descriptors_closed, descriptors_max_position,
      descriptors_errors;
  Cell own_sent, own_dropped, progress_sent, progress_dropped;
};
struct alignas(64) ConsumerCells {
  Cell frames, last_seq, epoch_mismatch, unmapped;
  Cell drops_gap, drops_late, uncommitted, changed, identity, header_invalid, payload_invalid, skipped;
  Cell rate_skipped, progress, progress_ignored;
};
// What a role's session knows of the streams of single consumers; written by the conductor.
struct StreamCells {
  Cell consumers, streams, configs_sent;
};

// What the conductor counts over all sessions; ClientCounters says what each is.
struct ClientCells {
  Cell media_driver_losses, reconnects, failed_reconnects;
  Cell attach_requests, attach_repeats, attaches, unanswered, unusable;
  Cell refused_unsupported, refused_invalid_params, refused_rejected, refused_internal_error;
  Cell backoffs, driver_losses, leases_revoked, leases_lost;
};

class Handover {
 public:
  // ---- the conductor ----
  void publish(Attachment next) {
    Attachment old;  // let go after the mutex
    {
      const std::lock_guard lock(mutex_);
      old = std::exchange(pending_, std::move(next));
    }
    generation_.fetch_add(1, std::memory_order_release);  // [attach]
  }
  void set_state(State state, uint64_t epoch, uint32_t stream_id, const std::string& why, const std::string& fallback_uri = {}) {
    {
      const std::lock_guard lock(mutex_);
      why_ = why;
      fallback_uri_ = fallback_uri;
    }
    epoch_.set(epoch);
    stream_id_.set(stream_id);
    state_.set(static_cast<uint64_t>(state));
  }
  // The first attach has succeeded (nullopt) or is given up.
  void set_outcome(std::optional<Error> failure) {
    const std::lock_guard lock(mutex_);
    failure_ = std::move(failure);
    decided_ = true;
  }
  void set_assigned(const Endpoint& descriptors, const Endpoint& control) {
    const std::lock_guard lock(mutex_);
    assigned_descriptors_ = descriptors;
    assigned_control_ = control;
  }
  void set_finished() noexcept { finished_.store(true, std::memory_order_release); }  // pairs with finished(): all is handed back
  void count_attach() noexcept { attaches_.add(1); }
  void count_mapping() noexcept { mappings_.add(1); }
  void set_lease_deadline(uint64_t deadline_ns) noexcept { lease_deadline_ns_.set(deadline_ns); }

  // The epoch that the application no longer trusts, if it asked since the last call.
  std::optional<std::pair<uint64_t, RemapReason>> take_remap() noexcept {
    if (remap_epoch_.load(std::memory_order_relaxed) == 0) return std::nullopt;  // relaxed: the exchange decides
    const uint64_t epoch = remap_epoch_.exchange(0, std::memory_order_acquire);  // [remap]
    return std::pair{epoch, static_cast<RemapReason>(remap_reason_.load(std::memory_order_relaxed))};  // relaxed: [remap] orders it
  }
  bool take_publication_spent() noexcept {
    // relaxed both: a flag alone, no data with it
    return publication_spent_.load(std::memory_order_relaxed) && publication_spent_.exchange(false, std::memory_order_relaxed);
  }

  bool take_streams_spent() noexcept {
    // relaxed both: a flag alone, no data with it
    return streams_spent_.load(std::memory_order_relaxed) && streams_spent_.exchange(false, std::memory_order_relaxed);
  }

  // ---- the application's thread ----
  uint64_t generation() const noexcept { return generation_.load(std::memory_order_acquire); }  // [attach]
  // Takes the newest attachment over; sets `generation` to what it corresponds to at least.
  Attachment take(uint64_t& generation) {
    generation = this->generation();  // before the attachment: a later one only makes us look again
    const std::lock_guard lock(mutex_);
    // Another take of the same generation (the attachment came between the two loads) finds what it has taken already: so copy.
    return pending_;
  }
  void ask_remap(uint64_t epoch, RemapReason reason) noexcept {
    remap_reason_.store(static_cast<uint8_t>(reason), std::memory_order_relaxed);  // relaxed: [remap] orders it
    remap_epoch_.store(epoch, std::memory_order_release);                          // [remap]
  }
  // The publication can carry no more (its log is used up, or it was closed): a new one is wanted (W-53).
  void ask_publication() noexcept { publication_spent_.store(true, std::memory_order_relaxed); }  // relaxed: a flag alone
  // The same of a stream of a single consumer.
  void ask_streams() noexcept { streams_spent_.store(true, std::memory_order_relaxed); }  // relaxed: a flag alone
  // Past this (CLOCK_MONOTONIC) the lease may have ended without the conductor having seen it; 0: no limit known.
  uint64_t lease_deadline_ns() const noexcept { return lease_deadline_ns_.get(); }

  // ---- anybody ----
  State state() const noexcept { return static_cast<State>(state_.get()); }
  uint64_t epoch() const noexcept { return epoch_.get(); }
  uint32_t stream_id() const noexcept { return static_cast<uint32_t>(stream_id_.get()); }
  uint64_t attaches() const noexcept { return attaches_.get(); }
  uint64_t mappings() const noexcept { return mappings_.get(); }
  std::string why() const {
    const std::lock_guard lock(mutex_);
    return why_;
  }
  std::string fallback_uri() const {
    const std::lock_guard lock(mutex_);
    return fallback_uri_;
  }
  Endpoint assigned_descriptors() const {
    const std::lock_guard lock(mutex_);
    return assigned_descriptors_;
  }
  Endpoint assigned_control() const {
    const std::lock_guard lock(mutex_);
    return assigned_control_;
  }
  bool decided() const {
    const std::lock_guard lock(mutex_);
    return decided_;
  }
  std::optional<Error> failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
  }
  bool finished() const noexcept { return finished_.load(std::memory_order_acquire); }

  ProducerCells producer;
  ConsumerCells consumer;
  StreamCells streams;

 private:
  alignas(64) std::atomic<uint64_t> generation_{0};
  Cell lease_deadline_ns_;

  alignas(64) mutable std::mutex mutex_;
  Attachment pending_;            // GUARDED_BY(mutex_)
  std::string why_;               // GUARDED_BY(mutex_)
  std::string fallback_uri_;      // GUARDED_BY(mutex_)
  Endpoint assigned_descriptors_, assigned_control_;  // GUARDED_BY(mutex_)
  bool decided_ = false;          // GUARDED_BY(mutex_)
  std::optional<Error> failure_;  // GUARDED_BY(mutex_)

  Cell state_, epoch_, stream_id_, attaches_, mappings_;
  std::atomic<bool> finished_{false};
  std::atomic<bool> publication_spent_{false};
  std::atomic<bool> streams_spent_{false};
  std::atomic<uint8_t> remap_reason_{0};
  std::atomic<uint64_t> remap_epoch_{0};
};

}  // namespace tidepool::client

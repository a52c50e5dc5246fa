#pragma once
// Streams for single consumers (driver.md 13): which Aeron stream ids were given to whom, and the ConsumerConfig that
// answers a ConsumerHello. Decides about ids and policy alone: it knows leases by their number, and can reach neither them
// nor epochs nor files (D-69).
//
//   hello asks (channel and id)   -> the id it asked for, if that is in the range and free, else the next free one; kept until
//                                    its lease ends or it asks no longer (D-50)
//   no range, none free, half a pair, a channel that is none -> declined: empty channel, id 0; the rest of the hello counts
//   hello as before               -> no answer: some consumers open new subscriptions for each one (D-51)
//
// Thread safety: one thread. Memory: `capacity` consumers that got an answer; further ones are not answered.

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "tidepool/services/driver/config.h"
#include "tidepool/wire/messages.h"

namespace tidepool::driver {

class PerConsumer {
 public:
  explicit PerConsumer(const DriverConfig& config);

  // A hello of the consumer that holds `lease_id`. What to answer, or nullopt: nothing (again).
  std::optional<wire::ConsumerConfig> heard(uint64_t lease_id, const wire::ConsumerHello& hello);
  // Its lease has ended: its ids are free again.
  void forget(uint64_t lease_id);
  void forget_all();

  struct Assigned {
    uint32_t descriptor_stream_id = 0;  // 0: on the shared stream
    uint32_t control_stream_id = 0;
  };
  Assigned assigned(uint64_t lease_id) const noexcept;
  size_t known() const noexcept { return consumers_.size(); }
  uint64_t beyond_capacity() const noexcept { return beyond_capacity_; }

 private:
  // The ids of one kind: descriptors or control.
  struct Plane {
    std::vector<IdRange> ranges;
    std::string channel;  // given to everybody; empty: the one that the consumer asked for
    std::set<uint32_t> used;
    uint32_t last_given = 0;

    bool contains(uint32_t id) const noexcept;
    std::optional<uint32_t> next_free() const noexcept;
    void release(uint32_t id) noexcept { used.erase(id); }
  };
  struct Consumer {
    wire::ConsumerHello hello;    // the last one
    wire::ConsumerConfig answer;  // to it
  };
  // Gives (channel, id) for one plane of a hello, keeping what `had` says if it can.
  static void decide(Plane& plane, const std::string& asked_channel, uint32_t asked_id, uint32_t had, std::string& channel,
                     uint32_t& id);

  const bool enabled_;
  const size_t capacity_;
  const bool force_no_shm_;
  const uint8_t force_mode_;
  const std::string payload_fallback_uri_;
  Plane descriptors_;
  Plane control_;
  std::unordered_map<uint64_t, Consumer> consumers_;  // by lease
  uint64_t beyond_capacity_ = 0;
};

}  // namespace tidepool::driver

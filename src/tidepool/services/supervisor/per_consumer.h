#pragma once
// Streams for single consumers (driver.md 13): which Aeron stream ids were given to whom, and the ConsumerConfig that
// answers a ConsumerHello. A supervisor has one, and so has a driver that answers by itself. Decides about ids and policy alone:
// it knows a consumer by a number that its owner chose, and can reach neither leases nor epochs nor files (D-69).
//
//   hello asks (channel and id)   -> the id it asked for, if that is in the range and free, else the next free one; kept until
//                                    its owner forgets it or it asks no longer (D-50)
//   no range, none free, half a pair, a channel that is none -> declined: empty channel, id 0; the rest of the hello counts
//   hello as before, or with what it was given in place of what it asked for -> no answer: some consumers open new
//                                    subscriptions for each one (D-51)
//
// Thread safety: one thread. Memory: `consumer_capacity` consumers that got an answer; further ones are not answered.

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "tidepool/services/supervisor/config.h"
#include "tidepool/wire/messages.h"

namespace tidepool::supervisor {

// A first hello that asks for nothing, and that policy has nothing to say to.
enum class PlainHello : uint8_t {
  kAnswered,  // a supervisor: who watches says that it does
  kIgnored,   // a driver: its consumers know it by their lease
};

class PerConsumer {
 public:
  // A consumer, by whatever its owner tells them apart: a lease, or a stream and a consumer id.
  using Key = uint64_t;

  PerConsumer(const ConsumerPolicy& policy, PlainHello plain);

  // What to answer, or nullopt: nothing (again).
  std::optional<wire::ConsumerConfig> heard(Key key, const wire::ConsumerHello& hello);
  // It did not get its answer, or may have forgotten it: its next hello is answered, with the ids that it has.
  void answer_again(Key key) noexcept;
  void answer_all_again() noexcept;
  // Its lease has ended, or it is gone: its ids are free again.
  void forget(Key key);
  void forget_all();

  struct Assigned {
    uint32_t descriptor_stream_id = 0;  // 0: on the shared stream
    uint32_t control_stream_id = 0;
  };
  Assigned assigned(Key key) const noexcept;
  size_t known() const noexcept { return consumers_.size(); }

  struct Counts {
    uint64_t assigned = 0;  // descriptor or control streams
    uint64_t declined = 0;
    uint64_t beyond_capacity = 0;
  };
  const Counts& counts() const noexcept { return counts_; }

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
    bool is_answered = true;
  };
  wire::ConsumerConfig policy_for(const wire::ConsumerHello& hello) const;
  // Gives (channel, id) for one plane of a hello, keeping what `had` says if it can.
  void decide(Plane& plane, const std::string& asked_channel, uint32_t asked_id, uint32_t had, std::string& channel, uint32_t& id);
  void count_declined(const wire::ConsumerHello& hello, const wire::ConsumerConfig& answer) noexcept;

  const ConsumerPolicy policy_;
  const PlainHello plain_;
  Plane descriptors_;
  Plane control_;
  std::unordered_map<Key, Consumer> consumers_;
  Counts counts_;
};

}  // namespace tidepool::supervisor

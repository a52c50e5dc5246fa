#pragma once
// Numbers in the media driver's counters file, where AeronStat and dashboards look for them (docs/formats/counters.md).
//
//   type id  owner id << 16 | counter type. Owner ids are 1 to 32767, so a type id is never one of Aeron's own, which are
//            small, and never negative. It does not identify a counter: key and label do.
//   key      the full id, 8 bytes little-endian, then the owner's name
//   label    "<Label>: NodeId=<owner id> Name=<owner's name>"
//
// Thread safety: CounterSet: one thread sets; made, polled and released like a publication (connection.h).

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/base/bytes.h"

namespace tidepool::transport {

inline constexpr uint16_t kMaxCounterOwner = 32767;
inline constexpr uint16_t kDriverCounterOwner = 32767;
inline constexpr size_t kMaxCounterNameBytes = 104;  // with the id before it, what Aeron's key holds

// The owner id of a role that has `id`: its low 15 bits, or 32766 if those are 0.
constexpr uint16_t counter_owner_of(uint32_t id) noexcept {
  const auto low = static_cast<uint16_t>(id & 0x7FFF);
  return low == 0 ? 32766 : low;
}

struct CounterOwner {
  uint64_t id = 0;         // full: makes the key unique where owner ids meet
  uint16_t owner_id = 0;   // 1 to 32767
  std::string name;        // begins with the role's word: "Producer stream=10000 instance=77"; cut to 104 bytes
};
struct CounterKind {
  uint16_t type = 0;
  std::string_view label;  // "FramesPublished"
};

int32_t counter_type_id(uint16_t owner_id, uint16_t type) noexcept;
std::vector<std::byte> counter_key(const CounterOwner& owner);
std::string counter_label(const CounterOwner& owner, std::string_view label);

// The counters of one owner, made by Connection::add_counters(). Gone from the file with this object or its process.
class CounterSet {
 public:
  virtual ~CounterSet();
  // Show `value` in the counter that is `index`th in the list given: a plain store, nothing while the media driver has not
  // accepted it yet. Call it from a duty cycle, not for each frame.
  void set(size_t index, uint64_t value) noexcept;
  // Take over what the media driver has accepted since. Cheap once all are there.
  void poll() noexcept;
  // All are there, or refused (logged once: the media driver's counters file is full).
  bool settled() const noexcept;

 protected:
  CounterSet() = default;
};

}  // namespace tidepool::transport

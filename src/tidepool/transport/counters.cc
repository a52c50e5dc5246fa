#include "tidepool/transport/counters.h"

#include "tidepool/base/error.h"

namespace tidepool::transport {
namespace {
std::string_view name_of(const CounterOwner& owner) noexcept {
  return std::string_view(owner.name).substr(0, kMaxCounterNameBytes);
}
}  // namespace

int32_t counter_type_id(uint16_t owner_id, uint16_t type) noexcept { return static_cast<int32_t>(uint32_t{owner_id} << 16 | type); }

std::vector<std::byte> counter_key(const CounterOwner& owner) {
  std::vector<std::byte> key(sizeof(uint64_t));
  store<uint64_t>(key.data(), owner.id);
  for (const char c : name_of(owner)) key.push_back(static_cast<std::byte>(c));
  return key;
}

std::string counter_label(const CounterOwner& owner, std::string_view label) {
  return concat(label, ": NodeId=", owner.owner_id, " Name=", name_of(owner));
}

}  // namespace tidepool::transport

#include "tidepool/transport/counters.h"

#include <aeronc.h>

#include <atomic>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/transport/connection_impl.h"

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

CounterSetImpl::CounterSetImpl(std::shared_ptr<ConnectionImpl> connection, std::unique_ptr<Retired> retired, std::string name)
    : connection_(std::move(connection)),
      retired_(std::move(retired)),
      slots_(retired_->adding.size()),
      pending_(slots_.size()),
      name_(std::move(name)) {}

CounterSetImpl::~CounterSetImpl() {
  take_over();  // what has come and was not looked at would be nobody's
  connection_->retire(std::move(retired_));
}

void CounterSetImpl::poll() noexcept {
  if (pending_ != 0 && connection_->alive()) take_over();
}

void CounterSetImpl::take_over() noexcept {
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (retired_->adding[i] == nullptr) continue;
    aeron_counter_t* counter = nullptr;
    const int result = aeron_async_add_counter_poll(&counter, retired_->adding[i]);
    if (result == 0) continue;
    retired_->adding[i] = nullptr;  // Aeron has freed it
    --pending_;
    if (result > 0) {
      retired_->counters[i] = counter;
      slots_[i].address = aeron_counter_addr(counter);
      // relaxed: a number for people, no data with it
      std::atomic_ref<int64_t>(*slots_[i].address).store(slots_[i].value, std::memory_order_relaxed);
      continue;
    }
    const std::string words = take_aeron_words();
    if (std::exchange(refusal_logged_, true)) continue;
    log(LogLevel::kWarn, "transport", "no counters for ", printable(name_), ": ", words);
  }
}

void CounterSetImpl::set(size_t index, uint64_t value) noexcept {
  if (index >= slots_.size()) return;
  Slot& slot = slots_[index];
  const auto as_signed = static_cast<int64_t>(value);
  if (slot.value == as_signed) return;
  slot.value = as_signed;
  // A media driver that gave us up hands the place to somebody else, but not before its reuse time-out: we know by then.
  if (slot.address == nullptr || !connection_->alive()) return;
  std::atomic_ref<int64_t>(*slot.address).store(as_signed, std::memory_order_relaxed);  // relaxed: as above
}

CounterSet::~CounterSet() = default;

void CounterSet::set(size_t index, uint64_t value) noexcept { CounterSetImpl::of(*this).set(index, value); }
void CounterSet::poll() noexcept { CounterSetImpl::of(*this).poll(); }
bool CounterSet::settled() const noexcept { return CounterSetImpl::of(*this).settled(); }

}  // namespace tidepool::transport

#include "tidepool/client/counter_mirror.h"

#include <algorithm>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"

namespace tidepool::client {
namespace {

using transport::CounterKind;

constexpr uint64_t kSettleNs = 50 * kNsPerMs;

// The catalogue: order and types are what dashboards know (operations.md 3.2); fill() follows it.
constexpr CounterKind kProducerCounters[] = {
    {1, "TotalDutyCycles"},        {2, "TotalWorkDone"},
    {3, "FramesPublished"},        {4, "AnnouncesPublished"},
    {5, "QosPublished"},           {6, "DescriptorBackpressured"},
    {7, "DescriptorNotConnected"}, {8, "DescriptorAdminAction"},
    {9, "DescriptorClosed"},       {10, "DescriptorMaxPositionExceeded"},
    {11, "DescriptorErrors"},
};
constexpr CounterKind kConsumerCounters[] = {
    {1, "TotalDutyCycles"},
    {2, "TotalWorkDone"},
    {3, "DropsGap"},
    {4, "DropsLate"},
    {5, "DropsOdd"},
    {6, "DropsChanged"},
    {7, "DropsFrameIdMismatch"},
    {8, "DropsHeaderInvalid"},
    {9, "DropsPayloadInvalid"},
    {10, "Remaps"},
    {11, "HelloPublished"},
    {12, "QosPublished"},
    {13, "DropsEpochMismatch"},
};

}  // namespace

void CounterMirror::count(uint32_t client_id, uint64_t Shown::* what) noexcept {
  for (Shown& shown : shown_)
    if (shown.client_id == client_id) ++(shown.*what);
}

CounterMirror::Shown& CounterMirror::of(const Session& session) {
  const auto found = std::find_if(shown_.begin(), shown_.end(), [&](const Shown& shown) { return shown.session == &session; });
  if (found != shown_.end()) return *found;
  Shown shown;
  shown.session = &session;
  shown_.push_back(std::move(shown));
  return shown_.back();
}

void CounterMirror::open(Shown& shown, transport::Connection& connection) {
  const bool producer = shown.session->role().role == wire::Role::producer;
  transport::CounterOwner owner;
  owner.id = shown.client_id;
  owner.owner_id = transport::counter_owner_of(shown.client_id);
  owner.name = concat(producer ? "Producer" : "Consumer", " stream=", shown.stream_id, " instance=", shown.client_id);
  try {
    shown.set.reset();
    shown.set = producer ? connection.add_counters(owner, kProducerCounters) : connection.add_counters(owner, kConsumerCounters);
  } catch (const Error& error) {
    shown.refused = true;
    log(LogLevel::kDebug, "client", error.what());
  }
}

void CounterMirror::fill(Shown& shown) {
  transport::CounterSet& set = *shown.set;
  set.poll();
  size_t at = 0;
  const auto put = [&](uint64_t value) { set.set(at++, value); };
  const Handover& link = *shown.session->handover();
  put(shown.duty_cycles);
  put(shown.work);
  if (shown.session->role().role == wire::Role::producer) {
    const ProducerCells& cells = link.producer;
    put(cells.frames.get());
    put(0);  // the driver announces the pool (W-15)
    put(shown.qos);
    put(cells.descriptors_back_pressured.get());
    put(cells.descriptors_not_connected.get());
    put(cells.descriptors_admin_action.get());
    put(cells.descriptors_closed.get());
    put(cells.descriptors_max_position.get());
    put(cells.descriptors_errors.get());
  } else {
    const ConsumerCells& cells = link.consumer;
    put(cells.drops_gap.get());
    put(cells.drops_late.get());
    put(cells.uncommitted.get());
    put(cells.changed.get());
    put(cells.identity.get());
    put(cells.header_invalid.get());
    put(cells.payload_invalid.get());
    put(link.mappings() == 0 ? 0 : link.mappings() - 1);  // as ConsumerCounters::remaps
    put(shown.hellos);
    put(shown.qos);
    put(cells.epoch_mismatch.get());
  }
}

void CounterMirror::show(const std::vector<std::shared_ptr<Session>>& sessions,
                         const std::shared_ptr<transport::Connection>& connection, int work, uint64_t now_ns) {
  for (const auto& session : sessions) {
    Shown& shown = of(*session);
    ++shown.duty_cycles;
    shown.work += static_cast<uint64_t>(work);
    // A lease may come under another client id or stream than the last one: then these are other counters.
    if (const auto lease = session->held_lease();
        lease && (lease->client_id != shown.client_id || lease->stream_id != shown.stream_id)) {
      shown.client_id = lease->client_id;
      shown.stream_id = lease->stream_id;
      shown.set.reset();
      shown.refused = false;
      shown.due_ns = now_ns + kSettleNs;
    }
    if (!connection || shown.client_id == 0) continue;
    if (!shown.set && !shown.refused && now_ns >= shown.due_ns) open(shown, *connection);
    if (shown.set) fill(shown);
  }
  // At once, before another session may be made at the address of one that has gone.
  std::erase_if(shown_, [&](const Shown& shown) {
    return std::none_of(sessions.begin(), sessions.end(), [&](const auto& session) { return session.get() == shown.session; });
  });
}

void CounterMirror::lose_connection() noexcept {
  for (Shown& shown : shown_) {
    shown.set.reset();
    shown.refused = false;
  }
}

}  // namespace tidepool::client

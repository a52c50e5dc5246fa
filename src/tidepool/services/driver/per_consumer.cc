#include "tidepool/services/driver/per_consumer.h"

#include <algorithm>
#include <utility>

#include "tidepool/transport/channel_uri.h"

namespace tidepool::driver {
namespace {

constexpr uint32_t kMaxAeronStream = 0x7FFFFFFF;

// W-71: who follows the answer opens this channel, so nothing but Aeron's own two media, and no spying on others.
bool may_be_given(const std::string& channel) { return channel.starts_with("aeron:") && transport::channel_fault(channel).empty(); }

// What a consumer that heard `answer` to `hello` says from then on, if nothing else changed: it asks for what it was given
// (driver.md 13).
wire::ConsumerHello echo_of(wire::ConsumerHello hello, const wire::ConsumerConfig& answer) {
  hello.descriptor_channel = answer.descriptor_channel;
  hello.descriptor_stream_id = answer.descriptor_stream_id;
  hello.control_channel = answer.control_channel;
  hello.control_stream_id = answer.control_stream_id;
  return hello;
}

}  // namespace

PerConsumer::PerConsumer(const DriverConfig& config)
    : enabled_(config.supervisor.per_consumer_enabled.value_or(true)),
      capacity_(config.supervisor.consumer_capacity),
      force_no_shm_(config.supervisor.force_no_shm),
      force_mode_(config.supervisor.force_mode),
      payload_fallback_uri_(config.supervisor.payload_fallback_uri),
      descriptors_{config.effective_descriptor_ranges(), config.supervisor.per_consumer_descriptor_channel, {}, 0},
      control_{config.effective_control_ranges(), config.supervisor.per_consumer_control_channel, {}, 0} {
  if (enabled_) return;
  descriptors_.ranges.clear();
  control_.ranges.clear();
}

bool PerConsumer::Plane::contains(uint32_t id) const noexcept {
  return std::any_of(ranges.begin(), ranges.end(), [id](const IdRange& range) { return range.contains(id); });
}

std::optional<uint32_t> PerConsumer::Plane::next_free() const noexcept {
  // Cycling from the last one given: an id that was just released rests, so that who still listens there hears no stranger.
  for (const bool from_start : {false, true}) {
    for (const IdRange& range : ranges) {
      uint64_t id = range.first;
      if (!from_start) {
        if (last_given >= range.last) continue;
        id = std::max<uint64_t>(id, uint64_t{last_given} + 1);
      }
      // Ends after as many steps as ids are in use.
      for (; id <= range.last; ++id)
        if (!used.contains(static_cast<uint32_t>(id))) return static_cast<uint32_t>(id);
    }
  }
  return std::nullopt;
}

void PerConsumer::decide(Plane& plane, const std::string& asked_channel, uint32_t asked_id, uint32_t had, std::string& channel,
                         uint32_t& id) {
  channel.clear();
  id = 0;
  const bool asks = !asked_channel.empty() && asked_id != 0 && asked_id <= kMaxAeronStream && may_be_given(asked_channel);
  if (!asks) {
    if (had != 0) plane.release(had);
    return;
  }
  if (had != 0) {
    id = had;
  } else if (plane.contains(asked_id) && !plane.used.contains(asked_id)) {
    id = asked_id;
  } else if (const auto free = plane.next_free()) {
    id = *free;
    plane.last_given = id;
  } else {
    return;
  }
  plane.used.insert(id);
  channel = plane.channel.empty() ? asked_channel : plane.channel;
}

std::optional<wire::ConsumerConfig> PerConsumer::heard(uint64_t lease_id, const wire::ConsumerHello& hello) {
  const auto known = consumers_.find(lease_id);
  const bool is_known = known != consumers_.end();
  if (is_known && known->second.hello == hello) return std::nullopt;

  wire::ConsumerConfig answer;
  answer.stream_id = hello.stream_id;
  answer.consumer_id = hello.consumer_id;
  // wire.md 10: who cannot map our layout gets the way around it.
  const bool other_layout = hello.expected_layout_version != 0 && hello.expected_layout_version != wire::kLayoutVersion;
  answer.use_shm = hello.supports_shm && !other_layout && !force_no_shm_;
  answer.mode = force_mode_ == 0 ? hello.mode : static_cast<wire::Mode>(force_mode_);
  answer.payload_fallback_uri = payload_fallback_uri_;

  const bool asks = !hello.descriptor_channel.empty() || hello.descriptor_stream_id != 0 || !hello.control_channel.empty() ||
                    hello.control_stream_id != 0;
  const bool nothing_to_say = !asks && answer.use_shm && answer.mode == hello.mode && answer.payload_fallback_uri.empty();
  if (!is_known && nothing_to_say) return std::nullopt;
  if (!is_known && consumers_.size() >= capacity_) {
    ++beyond_capacity_;
    return std::nullopt;
  }

  const Assigned had = assigned(lease_id);
  decide(descriptors_, hello.descriptor_channel, hello.descriptor_stream_id, had.descriptor_stream_id, answer.descriptor_channel,
         answer.descriptor_stream_id);
  decide(control_, hello.control_channel, hello.control_stream_id, had.control_stream_id, answer.control_channel,
         answer.control_stream_id);

  Consumer& consumer = consumers_[lease_id];
  const bool nothing_new = is_known && consumer.answer == answer && hello == echo_of(consumer.hello, consumer.answer);
  consumer.hello = hello;
  consumer.answer = answer;
  if (nothing_new) return std::nullopt;
  return answer;
}

void PerConsumer::forget(uint64_t lease_id) {
  const auto known = consumers_.find(lease_id);
  if (known == consumers_.end()) return;
  descriptors_.release(known->second.answer.descriptor_stream_id);
  control_.release(known->second.answer.control_stream_id);
  consumers_.erase(known);
}

void PerConsumer::forget_all() {
  consumers_.clear();
  descriptors_.used.clear();
  control_.used.clear();
}

PerConsumer::Assigned PerConsumer::assigned(uint64_t lease_id) const noexcept {
  const auto known = consumers_.find(lease_id);
  if (known == consumers_.end()) return {};
  return {known->second.answer.descriptor_stream_id, known->second.answer.control_stream_id};
}

}  // namespace tidepool::driver

#include "tidepool/services/supervisor/per_consumer.h"

#include <algorithm>
#include <utility>

#include "tidepool/transport/channel_uri.h"
#include "tidepool/wire/messages.h"

namespace tidepool::supervisor {
namespace {


// W-71: who follows the answer opens this channel, so nothing but Aeron's own two media, and no spying on others.
bool may_be_given(const std::string& channel) { return channel.starts_with("aeron:") && transport::channel_fault(channel).empty(); }

bool asks_for_a_stream(const wire::ConsumerHello& hello) noexcept {
  return !hello.descriptor_channel.empty() || hello.descriptor_stream_id != 0 || !hello.control_channel.empty() ||
         hello.control_stream_id != 0;
}

// `now` is `before`, but that a consumer may say in place of what it asked for what it was given, plane by plane (driver.md 13); of a
// plane that was declined: nothing.
bool says_the_same(const wire::ConsumerHello& before, wire::ConsumerHello now, const wire::ConsumerConfig& answer) {
  if (now.descriptor_channel == answer.descriptor_channel && now.descriptor_stream_id == answer.descriptor_stream_id) {
    now.descriptor_channel = before.descriptor_channel;
    now.descriptor_stream_id = before.descriptor_stream_id;
  }
  if (now.control_channel == answer.control_channel && now.control_stream_id == answer.control_stream_id) {
    now.control_channel = before.control_channel;
    now.control_stream_id = before.control_stream_id;
  }
  return now == before;
}

}  // namespace

PerConsumer::PerConsumer(const ConsumerPolicy& policy, PlainHello plain)
    : policy_(policy),
      plain_(plain),
      descriptors_{policy.descriptor_ids, policy.per_consumer_descriptor_channel, {}, 0},
      control_{policy.control_ids, policy.per_consumer_control_channel, {}, 0} {
  if (policy.per_consumer_enabled) return;
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
  const bool asks = !asked_channel.empty() && asked_id != 0 && asked_id <= wire::kMaxAeronStreamId && may_be_given(asked_channel);
  if (!asks) {
    if (had != 0) plane.release(had);
    return;
  }
  if (had != 0) {
    id = had;
    channel = plane.channel.empty() ? asked_channel : plane.channel;
    return;
  }
  if (plane.contains(asked_id) && !plane.used.contains(asked_id)) {
    id = asked_id;
  } else if (const auto free = plane.next_free()) {
    id = *free;
    plane.last_given = id;
  } else {
    return;
  }
  plane.used.insert(id);
  ++counts_.assigned;
  channel = plane.channel.empty() ? asked_channel : plane.channel;
}

wire::ConsumerConfig PerConsumer::policy_for(const wire::ConsumerHello& hello) const {
  wire::ConsumerConfig answer;
  answer.stream_id = hello.stream_id;
  answer.consumer_id = hello.consumer_id;
  // wire.md 10: who cannot map our layout gets the way around it.
  const bool other_layout = hello.expected_layout_version != 0 && hello.expected_layout_version != wire::kLayoutVersion;
  answer.use_shm = hello.supports_shm && !other_layout && !policy_.force_no_shm;
  answer.mode = policy_.force_mode.value_or(hello.mode);
  answer.payload_fallback_uri = policy_.payload_fallback_uri;
  return answer;
}

std::optional<wire::ConsumerConfig> PerConsumer::heard(Key key, const wire::ConsumerHello& hello) {
  const auto known = consumers_.find(key);
  const bool is_known = known != consumers_.end();
  if (is_known && known->second.is_answered && known->second.hello == hello) return std::nullopt;

  wire::ConsumerConfig answer = policy_for(hello);
  const bool has_nothing_to_say =
      !asks_for_a_stream(hello) && answer.use_shm && answer.mode == hello.mode && answer.payload_fallback_uri.empty();
  if (!is_known && has_nothing_to_say && plain_ == PlainHello::kIgnored) return std::nullopt;
  if (!is_known && consumers_.size() >= policy_.consumer_capacity) {
    ++counts_.beyond_capacity;
    return std::nullopt;
  }

  const Assigned had = assigned(key);
  decide(descriptors_, hello.descriptor_channel, hello.descriptor_stream_id, had.descriptor_stream_id, answer.descriptor_channel,
         answer.descriptor_stream_id);
  decide(control_, hello.control_channel, hello.control_stream_id, had.control_stream_id, answer.control_channel,
         answer.control_stream_id);

  Consumer& consumer = consumers_[key];
  const bool is_new =
      !is_known || !consumer.is_answered || consumer.answer != answer || !says_the_same(consumer.hello, hello, consumer.answer);
  consumer = {hello, answer, true};
  if (!is_new) return std::nullopt;
  count_declined(hello, answer);
  return answer;
}

void PerConsumer::count_declined(const wire::ConsumerHello& hello, const wire::ConsumerConfig& answer) noexcept {
  const auto is_declined = [](const std::string& asked_channel, uint32_t asked_id, uint32_t given) {
    return (!asked_channel.empty() || asked_id != 0) && given == 0;
  };
  counts_.declined += is_declined(hello.descriptor_channel, hello.descriptor_stream_id, answer.descriptor_stream_id);
  counts_.declined += is_declined(hello.control_channel, hello.control_stream_id, answer.control_stream_id);
}

void PerConsumer::answer_again(Key key) noexcept {
  if (const auto known = consumers_.find(key); known != consumers_.end()) known->second.is_answered = false;
}
void PerConsumer::answer_all_again() noexcept {
  for (auto& [key, consumer] : consumers_) consumer.is_answered = false;
}

void PerConsumer::forget(Key key) {
  const auto known = consumers_.find(key);
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

PerConsumer::Assigned PerConsumer::assigned(Key key) const noexcept {
  const auto known = consumers_.find(key);
  if (known == consumers_.end()) return {};
  return {known->second.answer.descriptor_stream_id, known->second.answer.control_stream_id};
}

}  // namespace tidepool::supervisor

#include "tidepool/client/consumer_desk.h"

#include <algorithm>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/client/endpoints.h"

namespace tidepool::client {
namespace {

Endpoint endpoint_of(const std::string& channel, uint32_t stream_id) { return {channel, static_cast<int32_t>(stream_id)}; }

}  // namespace

void ConsumerDesk::touch() noexcept {
  stale_audience_ = true;
  changed_ = true;
}

ConsumerDesk::Entry* ConsumerDesk::find_or_add(uint32_t consumer_id, uint64_t now_ns) {
  if (const auto found = consumers_.find(consumer_id); found != consumers_.end()) {
    found->second.heard_ns = now_ns;
    return &found->second;
  }
  if (consumers_.size() >= kMaxConsumers) {
    if (!std::exchange(said_full_, true)) {
      log(LogLevel::kWarn, "client", "more than ", kMaxConsumers, " consumers say hello: what further ones ask for is not heard");
    }
    return nullptr;
  }
  Entry& entry = consumers_[consumer_id];
  entry.heard_ns = now_ns;
  return &entry;
}

// No Config has been heard for what is asked, and it is not what is assigned anyway.
bool ConsumerDesk::owes(const Plane& plane) const noexcept {
  if (plane.wish.channel.empty() && plane.wish.stream_id == 0) return false;
  if (!plane.answered) return true;
  if (*plane.answered == plane.wish) return false;
  if (plane.failed == plane.wish) return false;  // assigned by another, and no stream of ours: a second answer would only flap
  return plane.wish.stream_id != static_cast<uint32_t>(plane.assigned.stream_id) || plane.wish.channel != plane.assigned.channel;
}

void ConsumerDesk::close(Plane& plane) noexcept {
  if (plane.publication) touch();
  plane.publication.reset();
  plane.assigned = {};
}

void ConsumerDesk::on(const wire::ConsumerHello& hello, int32_t session_id, uint32_t stream_id, uint64_t now_ns) {
  if (hello.stream_id != stream_id) return;
  Entry* const entry = find_or_add(hello.consumer_id, now_ns);
  if (entry == nullptr) return;
  if (entry->said_hello && entry->session_id != session_id) {
    // Somebody new under the old name has not heard what the old one was told.
    entry->descriptor.answered.reset();
    entry->control.answered.reset();
    entry->fallback_answered = false;
    entry->config_mode.reset();
  }
  entry->session_id = session_id;
  const ProgressOffer offer{hello.progress_interval_us, hello.progress_bytes_delta, hello.progress_major_delta_units};
  if (!entry->said_hello || entry->supports_progress != hello.supports_progress || entry->mode != hello.mode ||
      entry->max_rate_hz != hello.max_rate_hz || entry->offer.interval_us != offer.interval_us ||
      entry->offer.bytes_delta != offer.bytes_delta || entry->offer.major_units != offer.major_units) {
    touch();
  }
  if (entry->mode != hello.mode) {
    entry->config_mode.reset();
    entry->config_due |= entry->answered_by_us;  // the mode that we told it is another now
  }
  entry->said_hello = true;
  entry->supports_progress = hello.supports_progress;
  entry->offer = offer;
  entry->mode = hello.mode;
  entry->max_rate_hz = hello.max_rate_hz;
  entry->wants_fallback =
      !hello.supports_shm || (hello.expected_layout_version != 0 && hello.expected_layout_version != wire::kLayoutVersion);
  if (!entry->wants_fallback) entry->fallback_answered = false;
  const auto ask = [&](Plane& plane, const std::string& channel, uint32_t id) {
    plane.wish = {channel, id};
    if (!channel.empty() || id != 0) return;
    close(plane);  // wire.md 10: it wants none any more
    plane.answered.reset();
    plane.failed = {};
  };
  ask(entry->descriptor, hello.descriptor_channel, hello.descriptor_stream_id);
  ask(entry->control, hello.control_channel, hello.control_stream_id);

  const bool owed = owes(entry->descriptor) || owes(entry->control) || (entry->wants_fallback && !entry->fallback_answered);
  if (!owed) {
    entry->open_since_ns = 0;
  } else if (entry->open_since_ns == 0) {
    entry->open_since_ns = now_ns;
  }
}

void ConsumerDesk::on(const wire::QosConsumer& qos, uint32_t stream_id, uint64_t now_ns) {
  if (qos.stream_id != stream_id) return;
  // W-75: any epoch counts as life (WX-32).
  if (const auto found = consumers_.find(qos.consumer_id); found != consumers_.end()) found->second.heard_ns = now_ns;
}

void ConsumerDesk::on(const wire::ConsumerConfig& config, bool own, uint32_t stream_id, uint64_t now_ns) {
  if (config.stream_id != stream_id || (!own && !rules_.follow_others)) return;
  const Pair descriptor = pair_of(config.descriptor_channel, config.descriptor_stream_id);
  const Pair control = pair_of(config.control_channel, config.control_stream_id);
  if (descriptor == Pair::kHalf || control == Pair::kHalf) {
    log(LogLevel::kDebug, "client", "a ConsumerConfig for consumer ", config.consumer_id, " has a half pair: ignored");
    return;
  }
  const auto known = consumers_.find(config.consumer_id);
  // A Config is the word of whoever decides, not a sign of the consumer's life; but it may come before any Hello that we hear.
  Entry* const entry = known != consumers_.end() ? &known->second : find_or_add(config.consumer_id, now_ns);
  if (entry == nullptr) return;
  // Ours echoes the Hello's mode, which may change by the next one.
  const auto mode = own ? std::nullopt : std::optional(config.mode);
  if (std::exchange(entry->config_mode, mode) != mode) touch();
  if (!own) {  // what ours answered was noted when it was sent; the Hello may be another one by now
    entry->descriptor.answered = entry->descriptor.wish;
    entry->control.answered = entry->control.wish;
    entry->fallback_answered = true;
    entry->open_since_ns = 0;
    entry->config_due = false;  // somebody else has spoken: ours would only contradict
    entry->answered_by_us = false;
  }
  assign(entry->descriptor, rules_.descriptors ? endpoint_of(config.descriptor_channel, config.descriptor_stream_id) : Endpoint{},
         rules_.shared_descriptor, config.consumer_id);
  assign(entry->control, endpoint_of(config.control_channel, config.control_stream_id), rules_.shared_control, config.consumer_id);
}

// W-72, W-74: what a Config says about one plane.
void ConsumerDesk::assign(Plane& plane, const Endpoint& endpoint, const Endpoint& shared, uint32_t consumer_id) {
  if (endpoint.stream_id == 0 || same_stream(endpoint, shared)) {
    close(plane);
    return;
  }
  if (plane.publication && same_stream(endpoint, plane.assigned)) return;
  const std::string why = refusal_of(endpoint, rules_.policy, rules_.shared);
  if (!why.empty() || (!plane.publication && stream_count() >= rules_.policy.max_streams)) {
    log(LogLevel::kWarn, "client", "consumer ", consumer_id, " was assigned ", printable(endpoint.channel, 128), " stream ",
        endpoint.stream_id, ", which is not opened: ", why.empty() ? concat("max_streams is ", rules_.policy.max_streams) : why);
    plane.failed = {endpoint.channel, static_cast<uint32_t>(endpoint.stream_id)};
    close(plane);
    return;
  }
  try {
    auto publication = port_.publication(endpoint);
    close(plane);
    plane.publication = std::move(publication);
    plane.assigned = endpoint;
    touch();
  } catch (const Error& error) {
    log(LogLevel::kWarn, "client", "consumer ", consumer_id, " was assigned a stream that cannot be opened: ", error.what());
    plane.failed = {endpoint.channel, static_cast<uint32_t>(endpoint.stream_id)};
    close(plane);
  }
}

std::string ConsumerDesk::refusal(const Endpoint& endpoint, const Plane& plane) const {
  if (std::string why = refusal_of(endpoint, rules_.policy, rules_.shared); !why.empty()) return why;
  for (const auto& [id, entry] : consumers_) {
    for (const Plane* other : {&entry.descriptor, &entry.control}) {
      if (other != &plane && other->publication && same_stream(endpoint, other->assigned))
        return concat("consumer ", id, " has that stream");
    }
  }
  if (!plane.publication && stream_count() >= rules_.policy.max_streams)
    return concat("max_streams is ", rules_.policy.max_streams);
  return {};
}

// W-70, W-71: our own answer about one plane.
void ConsumerDesk::answer(Plane& plane, bool descriptors, uint32_t consumer_id) {
  const Wish wish = plane.wish;
  plane.answered = wish;
  const Pair pair = pair_of(wish.channel, wish.stream_id);
  if (pair == Pair::kNone) return;
  const Endpoint endpoint = endpoint_of(wish.channel, wish.stream_id);
  if (pair == Pair::kComplete && plane.publication && same_stream(endpoint, plane.assigned)) return;
  std::string why;
  if (pair == Pair::kHalf) {
    why = "a channel and an id from 1 to 2147483647 belong together";
  } else if (!descriptors) {
    why = "this producer sends no descriptors";
  } else if (plane.failed == wish) {
    why = "it could not be opened before";
  } else {
    why = refusal(endpoint, plane);
  }
  if (why.empty()) {
    try {
      auto publication = port_.publication(endpoint);
      close(plane);
      plane.publication = std::move(publication);
      plane.assigned = endpoint;
      touch();
      log(LogLevel::kInfo, "client", "consumer ", consumer_id, " has stream ", endpoint.stream_id, " of ", endpoint.channel,
          " to itself");
      return;
    } catch (const Error& error) {
      why = error.what();
      plane.failed = wish;
    }
  }
  log(LogLevel::kInfo, "client", "consumer ", consumer_id, " asked for ", printable(wish.channel, 128), " stream ", wish.stream_id,
      ": declined: ", why);
  close(plane);
}

void ConsumerDesk::answer(Entry& entry, uint32_t consumer_id) {
  if (owes(entry.descriptor)) answer(entry.descriptor, rules_.descriptors, consumer_id);
  if (owes(entry.control)) answer(entry.control, true, consumer_id);
  entry.fallback_answered = true;
  entry.config_mode.reset();  // ours echoes the Hello's
  entry.open_since_ns = 0;
  entry.config_due = true;
  entry.answered_by_us = true;
}

void ConsumerDesk::send_config(Entry& entry, uint32_t stream_id, uint32_t consumer_id) {
  wire::ConsumerConfig config;
  config.stream_id = stream_id;
  config.consumer_id = consumer_id;
  config.use_shm = !entry.wants_fallback;
  config.mode = entry.mode;
  config.payload_fallback_uri = rules_.fallback_uri;
  config.descriptor_channel = entry.descriptor.assigned.channel;
  config.descriptor_stream_id = static_cast<uint32_t>(entry.descriptor.assigned.stream_id);
  config.control_channel = entry.control.assigned.channel;
  config.control_stream_id = static_cast<uint32_t>(entry.control.assigned.stream_id);
  switch (port_.send(config)) {
    case transport::SendResult::kOk:
      ++answers_;
      entry.config_due = false;
      break;
    case transport::SendResult::kBackPressured:
    case transport::SendResult::kAdminAction: break;  // with the next poll
    default: entry.config_due = false; break;         // nobody to tell, or nothing to tell it by
  }
}

void ConsumerDesk::forget(std::map<uint32_t, Entry>::iterator at, std::string_view why) {
  log(LogLevel::kDebug, "client", "consumer ", at->first, " is forgotten: ", why);
  consumers_.erase(at);
  touch();
}

void ConsumerDesk::left(int32_t session_id) {
  for (auto at = consumers_.begin(); at != consumers_.end();) {
    const auto next = std::next(at);
    if (at->second.said_hello && at->second.session_id == session_id) forget(at, "its Aeron session left the control stream");
    at = next;
  }
}

void ConsumerDesk::ended(uint32_t consumer_id) {
  if (const auto found = consumers_.find(consumer_id); found != consumers_.end()) forget(found, "its lease has ended");
}

int ConsumerDesk::poll(uint32_t stream_id, uint64_t now_ns) {
  int work = 0;
  for (auto at = consumers_.begin(); at != consumers_.end();) {
    const auto next = std::next(at);
    Entry& entry = at->second;
    if (now_ns > entry.heard_ns && now_ns - entry.heard_ns > rules_.stale_ns) {
      forget(at, "it has gone silent");
      ++work;
    } else {
      if (entry.open_since_ns != 0 && now_ns - entry.open_since_ns >= (rules_.follow_others ? rules_.answer_after_ns : 0))
        answer(entry, at->first);
      if (entry.config_due) {
        send_config(entry, stream_id, at->first);
        ++work;
      }
    }
    at = next;
  }
  return work;
}

void ConsumerDesk::resume(uint64_t now_ns) noexcept {
  for (auto& [id, entry] : consumers_) entry.heard_ns = now_ns;
}

void ConsumerDesk::renew_publications() {
  for (auto& [id, entry] : consumers_) {
    for (Plane* plane : {&entry.descriptor, &entry.control}) {
      if (!plane->publication) continue;
      try {
        plane->publication = port_.publication(plane->assigned);
      } catch (const Error& error) {
        log(LogLevel::kWarn, "client", "the stream of consumer ", id, " cannot be opened again: ", error.what());
        close(*plane);
      }
    }
  }
  touch();
}

void ConsumerDesk::clear() {
  if (!consumers_.empty()) touch();
  consumers_.clear();
  audience_ = std::make_shared<const Audience>();
}

size_t ConsumerDesk::stream_count() const noexcept {
  size_t count = 0;
  for (const auto& [id, entry] : consumers_)
    count += size_t{entry.descriptor.publication != nullptr} + size_t{entry.control.publication != nullptr};
  return count;
}

const std::shared_ptr<const Audience>& ConsumerDesk::audience() {
  if (!std::exchange(stale_audience_, false)) return audience_;
  auto next = std::make_shared<Audience>();
  std::vector<Endpoint> descriptor_ends, control_ends;
  std::vector<ProgressOffer> offers;
  bool wanted = false;
  std::vector<std::shared_ptr<transport::Publication>> controls;
  for (const auto& [id, entry] : consumers_) {
    if (entry.supports_progress) {
      wanted = true;
      offers.push_back(entry.offer);
    }
    if (entry.descriptor.publication) {
      const bool capped = entry.config_mode.value_or(entry.mode) == wire::Mode::rate_limited && entry.max_rate_hz != 0;
      const uint64_t interval_ns = capped ? kNsPerSecond / entry.max_rate_hz : 0;  // W-76
      // A driver may have given one stream to several: one copy of each frame is enough, at the fastest one's rate.
      const auto same = std::find_if(descriptor_ends.begin(), descriptor_ends.end(),
                                     [&](const Endpoint& e) { return same_stream(e, entry.descriptor.assigned); });
      if (same == descriptor_ends.end()) {
        descriptor_ends.push_back(entry.descriptor.assigned);
        next->descriptors.push_back({id, entry.descriptor.publication, interval_ns});
      } else {
        uint64_t& shared = next->descriptors[static_cast<size_t>(same - descriptor_ends.begin())].min_interval_ns;
        shared = std::min(shared, interval_ns);
      }
    }
    if (entry.control.publication && entry.supports_progress &&
        std::none_of(control_ends.begin(), control_ends.end(),
                     [&](const Endpoint& e) { return same_stream(e, entry.control.assigned); })) {
      control_ends.push_back(entry.control.assigned);
      controls.push_back(entry.control.publication);
    }
  }
  if (wanted) {  // W-78
    try {
      next->progress.push_back(port_.control_publication());
      next->progress.insert(next->progress.end(), controls.begin(), controls.end());
    } catch (const Error& error) {
      log(LogLevel::kWarn, "client", "progress cannot be sent: ", error.what());
      next->progress.clear();
    }
  }
  next->progress_policy = aggregate(offers, rules_.progress_floor);
  audience_ = std::move(next);
  return audience_;
}

}  // namespace tidepool::client

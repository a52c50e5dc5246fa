#include "tidepool/services/discovery/responses.h"

#include <algorithm>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/services/discovery/answer.h"

namespace tidepool::discovery {

using transport::SendResult;

Responses::Responses(std::shared_ptr<transport::Connection> connection, const DiscoveryConfig& config)
    : connection_(std::move(connection)),
      linger_ns_(uint64_t{config.response_linger_ms} * kNsPerMs),
      idle_ns_(uint64_t{config.response_publication_idle_ms} * kNsPerMs),
      max_publications_(config.max_response_publications) {
  scratch_.resize(config.response_buf_bytes);
}

void Responses::send(const Endpoint& to, const wire::DiscoveryResponse& response, uint64_t now_ns) {
  size_t bytes = wire::encoded_bytes(response);
  if (bytes > kMaxMessageBytes) {
    ++counts_.too_large;
    return send(to, error_answer(response.request_id, kTooLargeText), now_ns);
  }
  if (waiting_ >= kMaxWaiting || waiting_bytes_ + bytes > kMaxWaitingBytes) {
    ++counts_.refused;
    return;
  }
  if (scratch_.size() < bytes) scratch_.resize(bytes);
  const size_t length = wire::encode(response, scratch_);
  if (length == 0) {
    log(LogLevel::kError, "discovery", "an answer cannot be encoded: ", wire::over_limit(response));
    return send(to, error_answer(response.request_id, "internal failure"), now_ns);
  }
  Destination* destination = open(to, now_ns);
  if (destination == nullptr) {
    ++counts_.failed;
    return;
  }
  destination->waiting.push_back({{scratch_.begin(), scratch_.begin() + static_cast<std::ptrdiff_t>(length)},
                                  response.request_id,
                                  now_ns > UINT64_MAX - linger_ns_ ? UINT64_MAX : now_ns + linger_ns_,
                                  false});
  ++waiting_;
  waiting_bytes_ += length;
  destination->used_ns = now_ns;
  int work = 0;
  if (!drive(to, *destination, now_ns, work)) destinations_.erase({to.channel, to.stream_id});
}

Responses::Destination* Responses::open(const Endpoint& to, uint64_t now_ns) {
  const auto key = std::pair{to.channel, to.stream_id};
  if (const auto found = destinations_.find(key); found != destinations_.end()) return &found->second;
  try {
    auto pending = connection_->start_publication(to.channel, to.stream_id);
    while (destinations_.size() >= max_publications_) evict_one();
    Destination& made = destinations_[key];
    made.pending = std::move(pending);
    made.used_ns = now_ns;
    return &made;
  } catch (const Error& error) {
    log(LogLevel::kWarn, "discovery", "cannot answer: ", error.what());
    return nullptr;
  }
}

// The one unused for longest; one with nothing to send before one that has.
void Responses::evict_one() {
  const auto oldest = std::min_element(destinations_.begin(), destinations_.end(), [](const auto& a, const auto& b) {
    return std::pair{!a.second.waiting.empty(), a.second.used_ns} < std::pair{!b.second.waiting.empty(), b.second.used_ns};
  });
  uint64_t dropped = 0;
  drop_all(oldest->second, dropped);
  counts_.expired += dropped;
  destinations_.erase(oldest);
  ++counts_.evicted;
}

int Responses::poll(uint64_t now_ns) {
  int work = 0;
  for (auto at = destinations_.begin(); at != destinations_.end();) {
    Destination& destination = at->second;
    bool keep = true;
    if (destination.pending || !destination.waiting.empty())
      keep = drive({at->first.first, at->first.second}, destination, now_ns, work);
    if (keep && destination.waiting.empty() && (now_ns > destination.used_ns ? now_ns - destination.used_ns : 0) >= idle_ns_) {
      ++counts_.idle_closed;
      keep = false;
    }
    if (keep) {
      ++at;
    } else {
      at = destinations_.erase(at);
      ++work;
    }
  }
  return work;
}

bool Responses::drive(const Endpoint& to, Destination& destination, uint64_t now_ns, int& work) {
  if (destination.pending) {
    try {
      destination.publication = destination.pending->poll();
    } catch (const Error& error) {
      log(LogLevel::kWarn, "discovery", "cannot answer: ", error.what());
      drop_all(destination, counts_.failed);
      return false;
    }
    if (destination.publication) destination.pending.reset();
  }
  while (!destination.waiting.empty()) {
    // A linger of 0 is one try, not none.
    if (now_ns >= destination.waiting.front().deadline_ns && (linger_ns_ > 0 || destination.waiting.front().tried)) {
      drop_front(destination, counts_.expired);
      ++work;
    } else if (!destination.publication || !send_front(to, destination, now_ns, work)) {
      break;
    }
  }
  return destination.pending || destination.publication;
}

// True: the front is done with, one way or the other.
bool Responses::send_front(const Endpoint& to, Destination& destination, uint64_t now_ns, int& work) {
  Waiting& front = destination.waiting.front();
  if (front.bytes.size() > destination.publication->max_message_bytes()) {
    ++counts_.too_large;
    waiting_bytes_ -= front.bytes.size();
    front.bytes = wire::encode_new(error_answer(front.request_id, kTooLargeText));
    waiting_bytes_ += front.bytes.size();
  }
  front.tried = true;
  switch (destination.publication->send(front.bytes)) {
    case SendResult::kOk:
      destination.used_ns = now_ns;
      drop_front(destination, counts_.sent);
      ++work;
      return true;
    case SendResult::kNotConnected:  // DS-31: it is new, or its subscriber is behind
    case SendResult::kBackPressured:
    case SendResult::kAdminAction: return false;
    case SendResult::kClosed:
    case SendResult::kMaxPosition:  // another one may do, as long as the linger lasts
      destination.publication.reset();
      try {
        destination.pending = connection_->start_publication(to.channel, to.stream_id);
      } catch (const Error& error) {
        log(LogLevel::kWarn, "discovery", "cannot answer: ", error.what());
        drop_all(destination, counts_.failed);
      }
      return false;
    case SendResult::kTooLong:
    case SendResult::kError: break;
  }
  drop_front(destination, counts_.failed);
  return true;
}

void Responses::drop_front(Destination& destination, uint64_t& count) {
  waiting_bytes_ -= destination.waiting.front().bytes.size();
  --waiting_;
  destination.waiting.pop_front();
  ++count;
}

void Responses::drop_all(Destination& destination, uint64_t& count) {
  while (!destination.waiting.empty()) drop_front(destination, count);
}

}  // namespace tidepool::discovery

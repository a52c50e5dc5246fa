#include "tidepool/services/driver/announce.h"

#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"

namespace tidepool::driver {

wire::ShmPoolAnnounce announce_of(const Stream& stream, uint32_t producer_id, uint64_t now_ns) {
  wire::ShmPoolAnnounce announce;
  announce.stream_id = stream.stream_id;
  announce.producer_id = producer_id;
  announce.epoch = stream.epoch;
  announce.announce_timestamp_ns = now_ns;
  announce.clock_domain = wire::ClockDomain::monotonic;
  announce.layout_version = stream.regions.layout_version;
  announce.header_nslots = stream.regions.header_nslots;
  announce.header_slot_bytes = stream.regions.header_slot_bytes;
  announce.pools = stream.regions.pools;
  announce.header_region_uri = stream.regions.header_region_uri;
  return announce;
}

Outbox::Outbox(std::shared_ptr<transport::Publication> control, std::shared_ptr<transport::Publication> announce,
               uint64_t patience_ns)
    : control_(control),
      announce_(control == announce ? nullptr : std::make_unique<control::Sender>(std::move(announce))),
      patience_ns_(patience_ns) {}

control::Sender& Outbox::plane_of(const Owed& message) noexcept {
  return announce_ && std::holds_alternative<wire::ShmPoolAnnounce>(message) ? *announce_ : control_;
}

size_t Outbox::owed() const noexcept { return waiting_.size() + control_.owed() + (announce_ ? announce_->owed() : 0); }

bool Outbox::announce_softly(const wire::ShmPoolAnnounce& announce) {
  if (owed() > 0) return false;
  const auto result = (announce_ ? *announce_ : control_).send(announce);
  return result == transport::SendResult::kOk || result == transport::SendResult::kNotConnected;  // nobody listens: soft state
}

int Outbox::flush(uint64_t now_ns) {
  const size_t before = owed();
  control_.flush();
  if (announce_) announce_->flush();
  while (!waiting_.empty()) {
    control::Sender& plane = plane_of(waiting_.front());
    if (announce_) {
      const bool to_control = &plane == &control_;
      if (!to_control && control_.owed() > 0) break;  // an announce never overtakes a revocation
      if (to_control && announce_->owed() > 0) {
        if (blocked_since_ns_ == 0) blocked_since_ns_ = now_ns;
        if (now_ns - blocked_since_ns_ < patience_ns_) break;
      }
    }
    try {
      // A sender that is full takes no more; the message stays here and the caller's limit counts it.
      if (!std::visit([&plane](const auto& message) { return plane.owe(message); }, waiting_.front())) break;
    } catch (const Error& error) {
      // Longer than the channel takes (many pools, a short term): waiting would not cure it.
      log(LogLevel::kError, "driver", "a message cannot be sent: ", error.what());
    }
    waiting_.pop_front();
  }
  if (!announce_ || announce_->owed() == 0) blocked_since_ns_ = 0;
  return static_cast<int>(before - owed());
}

}  // namespace tidepool::driver

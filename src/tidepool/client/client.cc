#include "tidepool/client/client.h"

#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/client/engine.h"
#include "tidepool/client/roles.h"

namespace tidepool::client {

namespace {
constexpr uint64_t kQosSilenceNs = 5 * kNsPerSecond;  // wire.md 16: a supervisor's limit
}  // namespace

struct Client::Impl final : Engine {
  using Engine::Engine;
};

Client Client::connect(ClientOptions options) { return Client(std::make_shared<Impl>(resolve(options, process_environment))); }

Client::Client(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Producer Client::producer(ProducerOptions options) {
  const RoleSettings role = resolve(options, impl_->settings(), process_environment);
  return Producer(std::make_unique<Producer::Impl>(impl_, role));
}

Consumer Client::consumer(ConsumerOptions options) {
  const RoleSettings role = resolve(options, impl_->settings(), process_environment);
  return Consumer(std::make_unique<Consumer::Impl>(impl_, role));
}

int Client::poll() { return impl_->poll(); }

ClientCounters Client::counters() const noexcept {
  const ClientCells& cells = impl_->conductor().counts();
  return {.media_driver_losses = cells.media_driver_losses.get(),
          .reconnects = cells.reconnects.get(),
          .failed_reconnects = cells.failed_reconnects.get(),
          .attach_requests = cells.attach_requests.get(),
          .attach_repeats = cells.attach_repeats.get(),
          .attaches = cells.attaches.get(),
          .unanswered = cells.unanswered.get(),
          .unusable = cells.unusable.get(),
          .refused_unsupported = cells.refused_unsupported.get(),
          .refused_invalid_params = cells.refused_invalid_params.get(),
          .refused_rejected = cells.refused_rejected.get(),
          .refused_internal_error = cells.refused_internal_error.get(),
          .backoffs = cells.backoffs.get(),
          .driver_losses = cells.driver_losses.get(),
          .leases_revoked = cells.leases_revoked.get(),
          .leases_lost = cells.leases_lost.get()};
}

void Client::watch_qos() {
  impl_->post([](Conductor& conductor) { conductor.want_qos(); });
}

StreamQos Client::qos(uint32_t stream_id) const {
  return impl_->conductor().qos().of_stream(stream_id, monotonic_ns(), kQosSilenceNs);
}

std::string_view name_of(State state) noexcept {
  switch (state) {
    case State::kConnecting: return "connecting";
    case State::kAttaching: return "attaching";
    case State::kAttached: return "attached";
    case State::kBackoff: return "backoff";
    case State::kClosed: return "closed";
    case State::kRemapping: return "remapping";
  }
  return "?";
}

std::string_view text_of(pool::ClaimError error) noexcept {
  switch (error) {
    case pool::ClaimError::kNone: return "none";
    case pool::ClaimError::kTooLarge: return "the payload is larger than every pool's stride";
    case pool::ClaimError::kInvalidTensor: return "shape, strides or dtype cannot be";
    case pool::ClaimError::kTooManyClaims: return "as many claims are open as there are slots";
    case pool::ClaimError::kInvalidSeq: return "the sequence is not higher than the last";
    case pool::ClaimError::kDetached: return "not attached at the moment";
  }
  return "?";
}

}  // namespace tidepool::client

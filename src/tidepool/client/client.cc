#include "tidepool/client/client.h"

#include <utility>

#include "tidepool/client/engine.h"
#include "tidepool/client/roles.h"

namespace tidepool::client {

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

std::string_view name_of(State state) noexcept {
  switch (state) {
    case State::kConnecting: return "connecting";
    case State::kAttaching: return "attaching";
    case State::kAttached: return "attached";
    case State::kBackoff: return "backoff";
    case State::kClosed: return "closed";
    case State::kRemapping: return "remapping";
    case State::kFallback: return "fallback";
    case State::kUnreachable: return "unreachable";
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

#include "tidepool/client/client.h"

#include <mutex>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/base/clock.h"
#include "tidepool/client/engine.h"
#include "tidepool/client/roles.h"

namespace tidepool::client {

namespace {
constexpr uint64_t kQosSilenceNs = 5 * kNsPerSecond;  // wire.md 16: a supervisor's limit
}  // namespace

struct Client::Impl final : Engine, std::enable_shared_from_this<Client::Impl> {
  using Engine::Engine;

  // With invoker: everything that this client has.
  int poll() override {
    int work = Engine::poll();
    for (const auto& engine : engines_elsewhere()) work += engine->poll();
    return work;
  }

  // Make a role where its stream is. An answer of discovery that leads nowhere is discarded, and asked for once more (DS-41).
  template <typename Role>
  Role attach_where_it_is(RoleSettings role) {
    const std::string name = role.stream;
    const FoundStream found = find_stream(name);
    role.stream = std::to_string(found.stream_id);
    try {
      return Role(std::make_unique<typename Role::Impl>(engine_at(found), role));
    } catch (const Error& error) {
      if (!found.discovered || error.code() == Code::kTimeout) throw;
      const FoundStream again = find_stream(name);
      const auto place = [](const FoundStream& f) {
        return std::tuple(f.stream_id, f.control ? f.control->channel : "", f.control ? f.control->stream_id : 0);
      };
      if (place(again) == place(found)) throw;
      log(LogLevel::kInfo, "client", "discovery has another answer for '", printable(name, 64), "' after: ", error.what());
      role.stream = std::to_string(again.stream_id);
      return Role(std::make_unique<typename Role::Impl>(engine_at(again), role));
    }
  }

 private:
  // Another driver's control plane needs a conductor of its own. Its other planes are ours, since nobody can tell where they are
  // (DS-41); announces come where control is, unless we were told where they are.
  std::shared_ptr<Engine> engine_at(const FoundStream& found) {
    if (!found.control) return shared_from_this();
    for (const auto& engine : engines_elsewhere()) {
      if (engine->settings().control == *found.control) return engine;
    }
    Settings there = settings();
    if (there.announce == there.control) there.announce = *found.control;
    there.control = *found.control;
    if (there.invoker) {
      // Who waits for that driver drives all of the client meanwhile.
      there.keep_waiting = [us = weak_from_this(), before = std::move(there.keep_waiting)] {
        if (const auto self = us.lock()) self->poll();
        return !before || before();
      };
    }
    auto engine = std::make_shared<Engine>(std::move(there));  // may wait, and poll us meanwhile: no lock is held
    const std::lock_guard lock(elsewhere_mutex_);
    return elsewhere_.emplace_back(std::move(engine));
  }
  std::vector<std::shared_ptr<Engine>> engines_elsewhere() {
    const std::lock_guard lock(elsewhere_mutex_);
    return elsewhere_;
  }

  std::mutex elsewhere_mutex_;
  std::vector<std::shared_ptr<Engine>> elsewhere_;  // GUARDED_BY(elsewhere_mutex_)
};

Client Client::connect(ClientOptions options) { return Client(std::make_shared<Impl>(resolve(options, process_environment))); }

Client::Client(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Producer Client::producer(ProducerOptions options) {
  return impl_->attach_where_it_is<Producer>(resolve(options, impl_->settings(), process_environment));
}

Consumer Client::consumer(ConsumerOptions options) {
  return impl_->attach_where_it_is<Consumer>(resolve(options, impl_->settings(), process_environment));
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

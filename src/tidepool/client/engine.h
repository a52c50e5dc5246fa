#pragma once
// A client's insides, shared by the Client and its producers and consumers: the conductor and the thread that polls it, or,
// with ClientOptions::invoker, whoever calls poll().

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "tidepool/base/agent.h"
#include "tidepool/base/clock.h"
#include "tidepool/client/conductor.h"

namespace tidepool::client {

// Where a stream is.
struct FoundStream {
  uint32_t stream_id = 0;
  bool discovered = false;          // a discovery service said so
  std::optional<Endpoint> control;  // of its driver, if that is not the client's own
};

// Thread safety: any.
class Engine {
 public:
  // Connects to the media driver, waiting for it as long as the settings say. Throws Error.
  explicit Engine(Settings settings);
  virtual ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const Settings& settings() const noexcept { return conductor_->settings(); }

  // One duty cycle on the calling thread; with invoker only. Returns work done.
  virtual int poll();

  // `stream` is a number, or a name that a producer announces or a discovery service knows (rulings P-11). Throws Error kNotFound,
  // kInvalidArgument.
  FoundStream find_stream(const std::string& stream);

  // Give a new session, of a stream with a number, its first lease. Throws what kept it from getting one.
  template <typename SessionType>
  std::shared_ptr<SessionType> attach(const RoleSettings& role) {
    const uint32_t stream_id = stream_number(role.stream).value();
    const uint64_t deadline_ns = settings().wait ? 0 : monotonic_ns() + settings().attach_timeout_ns;
    auto session = std::make_shared<SessionType>(role, stream_id, settings(), conductor_->port(), std::make_shared<Handover>(), deadline_ns);
    start(session);
    return session;
  }
  // Give its lease back, waiting at most a second for the driver's answer (D-65). Never throws.
  void close(const std::shared_ptr<Session>& session) noexcept;

  void post(Conductor::Command command) { conductor_->post(std::move(command)); }
  const Conductor& conductor() const noexcept { return *conductor_; }

 private:
  void start(const std::shared_ptr<Session>& session);
  // Until done() or the deadline (0: none); drives the conductor itself where nobody else does. False: time is up, or
  // Settings::keep_waiting says that it is.
  template <typename Done>
  bool wait_until(uint64_t deadline_ns, Done&& done);
  bool may_wait() const { return !settings().keep_waiting || settings().keep_waiting(); }

  std::shared_ptr<Conductor> conductor_;
  std::unique_ptr<AgentRunner> runner_;  // nullptr: invoker
  std::mutex poll_mutex_;                // invoker: one thread at a time inside the conductor
};

}  // namespace tidepool::client

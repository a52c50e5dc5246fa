#include "tidepool/client/engine.h"

#include <thread>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"

namespace tidepool::client {
namespace {

constexpr uint64_t kCloseTimeoutNs = kNsPerSecond + 200 * kNsPerMs;  // the session's own second, and the way there and back

std::string list(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names) out += concat(out.empty() ? "" : ", ", printable(name, 64));
  return out.empty() ? "none" : out;
}

}  // namespace

Engine::Engine(Settings settings) : conductor_(std::make_shared<Conductor>(std::move(settings))) {
  const Settings& s = this->settings();
  const uint64_t deadline_ns = monotonic_ns() + s.attach_timeout_ns;
  for (;;) {
    try {
      conductor_->connect();
      break;
    } catch (const Error& error) {
      const uint64_t now_ns = monotonic_ns();
      if (error.code() != Code::kUnavailable && error.code() != Code::kTimeout) throw error.within("cannot connect to Aeron");
      if (!may_wait()) throw Error(Code::kTimeout, "stopped waiting for a media driver: ", error.what());
      if (!s.wait && now_ns >= deadline_ns) throw error.within("cannot connect to Aeron within ", duration_text(s.attach_timeout_ns));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (s.invoker) return;
  runner_ = std::make_unique<AgentRunner>(std::vector<std::shared_ptr<Agent>>{conductor_}, Idle::kBackoff);
  runner_->start();
}

Engine::~Engine() {
  if (!runner_) return;
  runner_->stop();
  try {
    runner_->join();
  } catch (const std::exception& e) {
    log(LogLevel::kError, "client", "the conductor ended: ", e.what());
  }
}

int Engine::poll() {
  if (runner_) throw Error(Code::kInvalidArgument, "Client::poll(): the client has a thread of its own; ask for ClientOptions::invoker to drive it");
  const std::lock_guard lock(poll_mutex_);
  return conductor_->poll();
}

template <typename Done>
bool Engine::wait_until(uint64_t deadline_ns, Done&& done) {
  Idler idler(Idle::kBackoff);
  for (;;) {
    if (done()) return true;
    if ((deadline_ns != 0 && monotonic_ns() >= deadline_ns) || !may_wait()) return false;
    idler.idle(runner_ ? 0 : poll());
  }
}

uint32_t Engine::find_stream(const std::string& stream) {
  if (const auto number = stream_number(stream)) return *number;
  const Settings& s = settings();
  const uint64_t started_ns = monotonic_ns();
  const uint64_t since_ns = started_ns - std::min(started_ns, 5 * s.announce_period_ns);
  post([](Conductor& conductor) { conductor.want_names(); });
  std::vector<uint32_t> found;
  const bool heard = wait_until(s.wait ? 0 : started_ns + s.attach_timeout_ns, [&] {
    found = conductor_->names().streams_of(stream, since_ns);
    return !found.empty();
  });
  if (!heard) {
    if (!may_wait()) throw Error(Code::kTimeout, "stopped waiting for a stream called '", printable(stream), "'");
    throw Error(Code::kNotFound, "no stream is called '", printable(stream), "': no producer announced that name within ",
                duration_text(s.attach_timeout_ns), "\n  metadata channel ", s.metadata.channel, " stream ", s.metadata.stream_id,
                ", names heard: ", list(conductor_->names().names(since_ns)), "\n  give the stream's number, or start the producer that has the name");
  }
  if (found.size() > 1) {
    throw Error(Code::kInvalidArgument, "the name '", printable(stream), "' is announced by streams ", found[0], " and ", found[1],
                ": give the stream's number");
  }
  return found.front();
}

void Engine::start(const std::shared_ptr<Session>& session) {
  post([session](Conductor& conductor) { conductor.add(session); });
  // The session keeps its own deadline, so that its reason is the one that is told.
  if (!wait_until(0, [&] { return session->handover()->decided(); })) {
    const std::string why = session->handover()->why();
    close(session);
    throw Error(Code::kTimeout, "stopped waiting to attach: ", why);
  }
  if (const auto failure = session->handover()->failure()) throw *failure;
}

void Engine::close(const std::shared_ptr<Session>& session) noexcept {
  try {
    post([session](Conductor& conductor) { conductor.close(*session); });
    const uint64_t deadline_ns = monotonic_ns() + kCloseTimeoutNs;
    Idler idler(Idle::kBackoff);
    while (!session->handover()->finished() && monotonic_ns() < deadline_ns) idler.idle(runner_ ? 0 : poll());
  } catch (const std::exception& e) {
    log(LogLevel::kError, "client", "closing a session: ", e.what());
  }
}

}  // namespace tidepool::client

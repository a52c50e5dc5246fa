#include "tidepool/client/engine.h"

#include <thread>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/client/discovery.h"

namespace tidepool::client {
namespace {

constexpr uint64_t kCloseTimeoutNs = kNsPerSecond + 200 * kNsPerMs;  // the session's own second, and the way there and back

std::string list(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names) out += concat(out.empty() ? "" : ", ", printable(name, 64));
  return out.empty() ? "none" : out;
}

// Asks discovery for one name, again and again, and never stands in anybody's way: what goes wrong is only told.
class Inquiry {
 public:
  Inquiry(const DiscoverySettings& settings, const std::string& name) : settings_(settings), name_(name) {
    if (settings.request.stream_id == 0) {
      why_not_ = "switched off";
    } else if (settings.response.channel.empty()) {
      why_not_ = "not asked: over UDP it needs discovery_response_channel";
    } else {
      why_not_ = concat("nobody answered on channel ", settings.request.channel, " stream ", settings.request.stream_id);
      guarded([&] { client_ = std::make_unique<DiscoveryClient>(DiscoveryClient::with(settings)); });
    }
  }
  // One look, without waiting; `until_ns` 0: for ever.
  void poll(uint64_t until_ns) {
    if (!client_) return;
    const uint64_t now_ns = monotonic_ns();
    guarded([&] {
      if (now_ns >= ask_ns_ && (until_ns == 0 || now_ns < until_ns)) {
        client_->start({.name = name_});
        ask_ns_ = UINT64_MAX;
      }
      auto answer = client_->poll();
      if (!answer) return;
      // None yet, perhaps: a stream that has just come, a service that has just started. One that is there may go, too.
      streams_ = std::move(answer->streams);
      why_not_ = answer->status == wire::DiscoveryStatus::error
                     ? concat("refused: ", printable(answer->error_message, wire::kMaxErrorMessageBytes))
                     : std::string("knows no stream of that name");
      ask_ns_ = now_ns + settings_.retry_ns;
    });
  }
  const std::vector<DiscoveredStream>& streams() const noexcept { return streams_; }
  const std::string& why_not() const noexcept { return why_not_; }

 private:
  template <typename Call>
  void guarded(Call&& call) {
    try {
      call();
    } catch (const Error& error) {
      why_not_ = error.what();
      client_.reset();
    }
  }

  const DiscoverySettings& settings_;
  const std::string& name_;
  std::unique_ptr<DiscoveryClient> client_;  // nullptr: there is nobody to ask
  uint64_t ask_ns_ = 0;
  std::vector<DiscoveredStream> streams_;
  std::string why_not_;
};

bool same_place(const Endpoint& a, const Endpoint& b) {
  const bool ipc = a.channel.starts_with("aeron:ipc") && b.channel.starts_with("aeron:ipc");
  return a.stream_id == b.stream_id && (ipc || a.channel == b.channel);
}

// DS-41: the stream's number and where its driver takes attach requests, and nothing else.
FoundStream place_of(const std::string& name, const std::vector<DiscoveredStream>& streams, const Endpoint& own_control) {
  const DiscoveredStream& first = streams.front();
  for (const DiscoveredStream& other : streams) {
    if (other.stream_id == first.stream_id && same_place(other.driver_control, first.driver_control)) continue;
    throw Error(Code::kInvalidArgument, "the name '", printable(name), "' has stream ", first.stream_id, " of driver ",
                printable(first.driver_instance_id), " and stream ", other.stream_id, " of driver ",
                printable(other.driver_instance_id),
                ", says discovery: give the stream's number, and with --control-channel and --control-stream its driver");
  }
  FoundStream out{first.stream_id, true, {}};
  if (!same_place(first.driver_control, own_control)) out.control = first.driver_control;
  return out;
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

FoundStream Engine::find_stream(const std::string& stream) {
  if (const auto number = stream_number(stream)) return {*number, false, {}};
  const Settings& s = settings();
  const uint64_t started_ns = monotonic_ns();
  const uint64_t since_ns = started_ns - std::min(started_ns, 5 * s.announce_period_ns);
  post([](Conductor& conductor) { conductor.want_names(); });
  Inquiry inquiry(s.discovery, stream);
  // Whoever announces the name nearby has told so by then, and goes before what discovery says.
  const uint64_t heed_discovery_ns = started_ns + s.announce_period_ns + s.announce_period_ns / 4;
  std::vector<uint32_t> heard;
  wait_until(s.wait ? 0 : started_ns + s.attach_timeout_ns, [&] {
    inquiry.poll(s.wait ? 0 : started_ns + s.discovery.timeout_ns);
    heard = conductor_->names().streams_of(stream, since_ns);
    return !heard.empty() || (!inquiry.streams().empty() && monotonic_ns() >= heed_discovery_ns);
  });
  if (heard.size() > 1) {
    throw Error(Code::kInvalidArgument, "the name '", printable(stream), "' is announced by streams ", heard[0], " and ", heard[1],
                ": give the stream's number");
  }
  if (heard.size() == 1) return {heard.front(), false, {}};
  if (!inquiry.streams().empty()) return place_of(stream, inquiry.streams(), s.control);
  if (!may_wait()) throw Error(Code::kTimeout, "stopped waiting for a stream called '", printable(stream), "'");
  throw Error(Code::kNotFound, "no stream is called '", printable(stream), "': no producer announced that name within ",
              duration_text(s.attach_timeout_ns), "\n  metadata channel ", s.metadata.channel, " stream ", s.metadata.stream_id,
              ", names heard: ", list(conductor_->names().names(since_ns)), "\n  discovery: ", inquiry.why_not(),
              "\n  give the stream's number, or start the producer that has the name");
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

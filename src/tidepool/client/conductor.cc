#include "tidepool/client/conductor.h"

#include <algorithm>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/base/random.h"
#include "tidepool/transport/media_driver.h"

namespace tidepool::client {
namespace {

constexpr int kFragmentsPerCycle = 1000;  // then keepalives get their turn

}  // namespace

// One subscription's messages, told to every session. Own messages come back too (W-94): sessions filter by their ids.
struct Conductor::Ear {
  Conductor& conductor;
  const ImageJoins& joins;
  Now now;

  template <typename Message>
  void tell(const Message& message) {
    for (const auto& session : conductor.sessions_) session->on(message, now);
  }
  void on(const wire::ShmAttachResponse& message, const transport::MessageInfo&) { tell(message); }
  void on(const wire::ShmLeaseRevoked& message, const transport::MessageInfo&) { tell(message); }
  void on(const wire::ShmDriverShutdown& message, const transport::MessageInfo&) { tell(message); }
  void on(const wire::ShmDetachResponse& message, const transport::MessageInfo&) {
    for (const auto& session : conductor.sessions_) session->on(message);
  }
  void on(const wire::ShmPoolAnnounce& message, const transport::MessageInfo& info) {
    for (const auto& session : conductor.sessions_) session->on(message, joins.joined_ns(info.session_id), now);
  }
  Sender sender(const transport::MessageInfo& info, const control::Sender& ours) const {
    return {.session_id = info.session_id, .us = info.session_id == ours.publication().session_id()};
  }
  void on(const wire::ConsumerHello& message, const transport::MessageInfo& info) {
    for (const auto& session : conductor.sessions_) session->hear(message, sender(info, *conductor.planes_->control), now);
  }
  void on(const wire::ConsumerConfig& message, const transport::MessageInfo& info) {
    for (const auto& session : conductor.sessions_) session->hear(message, sender(info, *conductor.planes_->control), now);
  }
  void on(const wire::QosConsumer& message, const transport::MessageInfo& info) {
    if (conductor.qos_wanted_) conductor.qos_.heard(message, now.monotonic_ns);
    for (const auto& session : conductor.sessions_) session->hear(message, sender(info, *conductor.planes_->qos), now);
  }
  // To whoever caches its stream's metadata.
  template <typename Message>
  void tell_caches(const Message& message, const transport::MessageInfo& info) {
    for (const auto& session : conductor.sessions_) {
      if (const auto& cache = session->metadata()) cache->heard(message, info.session_id, now.monotonic_ns);
    }
  }
  void on(const wire::DataSourceAnnounce& message, const transport::MessageInfo& info) {
    conductor.names_.heard(message, now.monotonic_ns);
    tell_caches(message, info);
  }
  void on(const wire::DataSourceMeta& message, const transport::MessageInfo& info) { tell_caches(message, info); }
  void on(const wire::MetaBlobAnnounce& message, const transport::MessageInfo& info) { tell_caches(message, info); }
  void on(const wire::MetaBlobChunk& message, const transport::MessageInfo& info) { tell_caches(message, info); }
  void on(const wire::MetaBlobComplete& message, const transport::MessageInfo& info) { tell_caches(message, info); }
  void on(const wire::QosProducer& message, const transport::MessageInfo&) {
    if (conductor.qos_wanted_) conductor.qos_.heard(message, now.monotonic_ns);
  }
};

Conductor::Conductor(Settings settings) : settings_(std::move(settings)) {}

Conductor::~Conductor() {
  // Sessions first: they hold planes.
  mirror_.lose_connection();
  sessions_.clear();
  planes_.reset();
}

Now Conductor::look_at_clock() const noexcept { return {monotonic_ns(), realtime_ns()}; }

void Conductor::connect() { planes_ = std::make_unique<Planes>(open_planes(monotonic_ns())); }

Conductor::Planes Conductor::open_planes(uint64_t now_ns) {
  Planes planes;
  planes.connection = transport::Connection::open({.aeron_dir = settings_.aeron_dir,
                                                   .driver_timeout_ms = settings_.media_driver_timeout_ms,
                                                   .invoker = true,
                                                   .client_name = settings_.name});
  planes.media_driver_pid = transport::media_driver_status(settings_.aeron_dir, settings_.media_driver_timeout_ms).pid;
  planes.next_look_ns = now_ns + settings_.announce_period_ns;
  // Shared publications and the same channel text as everybody's (driver.md 2).
  planes.control_in = listen(*planes.connection, settings_.control, planes.control_joins);
  if (settings_.announce != settings_.control) planes.announce_in = listen(*planes.connection, settings_.announce, planes.announce_joins);
  planes.control_out = planes.connection->add_publication(settings_.control.channel, settings_.control.stream_id);
  planes.control = std::make_unique<control::Sender>(planes.control_out);
  planes.qos = std::make_unique<control::Sender>(planes.connection->add_publication(settings_.qos.channel, settings_.qos.stream_id));
  open_wanted(planes);
  return planes;
}

// Each Aeron stream is heard once, however many planes it carries: a blob's chunks heard twice would overlap.
void Conductor::open_wanted(Planes& planes) {
  const auto heard = [&](const Endpoint& endpoint) {
    return endpoint == settings_.control || endpoint == settings_.announce;
  };
  const bool shared = settings_.metadata == settings_.qos;
  // tether=false: a process that stands still must not stop others' metadata; what it missed is said again.
  const auto open = [&](const Endpoint& endpoint) {
    return planes.connection->add_subscription(transport::with_parameter(endpoint.channel, "tether", "false"), endpoint.stream_id);
  };
  // Always: producers hear their consumers' QoS (W-75).
  if (!planes.qos_in && !heard(settings_.qos) && !(shared && planes.metadata_in)) planes.qos_in = open(settings_.qos);
  if (names_wanted_ && !planes.metadata_in && !heard(settings_.metadata) && !(shared && planes.qos_in))
    planes.metadata_in = open(settings_.metadata);
}

std::shared_ptr<transport::Subscription> Conductor::listen(transport::Connection& connection, const Endpoint& endpoint,
                                                           const std::shared_ptr<ImageJoins>& joins) {
  return connection.add_subscription(
      endpoint.channel, endpoint.stream_id, [joins](int32_t session_id) { joins->joined(session_id, monotonic_ns()); },
      [joins](int32_t session_id) { joins->left(session_id); });
}

void Conductor::lose_planes(const std::string& why) {
  log(LogLevel::kWarn, "client", "the media driver in ", settings_.aeron_dir, " is lost: ", why);
  lost_because_ = concat("the media driver in ", settings_.aeron_dir, " is lost: ", why);
  tally.media_driver_losses.add(1);
  for (const auto& session : sessions_) session->disconnected(lost_because_);
  mirror_.lose_connection();
  // What application threads still hold keeps the old connection until they take the next attachment.
  planes_.reset();
  reconnect_backoff_ns_ = 0;
  next_reconnect_ns_ = 0;
}

int Conductor::try_reconnect(const Now& now) {
  if (now.monotonic_ns < next_reconnect_ns_) return 0;
  try {
    planes_ = std::make_unique<Planes>(open_planes(now.monotonic_ns));
  } catch (const Error& error) {
    log(LogLevel::kDebug, "client", "reconnect: ", error.what());
    tally.failed_reconnects.add(1);
    reconnect_backoff_ns_ = std::clamp(reconnect_backoff_ns_ * 2, settings_.backoff_min_ns, settings_.backoff_max_ns);
    next_reconnect_ns_ = now.monotonic_ns + reconnect_backoff_ns_ / 2 + random_u64() % (reconnect_backoff_ns_ / 2 + 1);
    return 0;
  }
  log(LogLevel::kInfo, "client", "connected to the media driver in ", settings_.aeron_dir, " again");
  tally.reconnects.add(1);
  const Now later = look_at_clock();
  for (const auto& session : sessions_) session->connected(later);
  return 1;
}

// A new media driver may take the directory long before the old one's silence is long enough to be noticed.
bool Conductor::media_driver_replaced(uint64_t now_ns) {
  if (now_ns < planes_->next_look_ns) return false;
  planes_->next_look_ns = now_ns + settings_.announce_period_ns;
  const auto status = transport::media_driver_status(settings_.aeron_dir, settings_.media_driver_timeout_ms);
  if (planes_->media_driver_pid == 0) planes_->media_driver_pid = status.pid;  // could not be seen when we connected
  return status.cnc_present && status.alive && status.pid != 0 && status.pid != planes_->media_driver_pid;
}

int Conductor::hear(const Now& now) {
  int work = 0;
  const auto listen_to = [&](transport::Subscription* subscription, const ImageJoins& joins) {
    if (subscription == nullptr) return;
    Ear ear{*this, joins, now};
    work += subscription->poll([&](Bytes message, const transport::MessageInfo& info) { control::dispatch(message, info, ear, heard_); }, kFragmentsPerCycle);
  };
  listen_to(planes_->control_in.get(), *planes_->control_joins);
  listen_to(planes_->announce_in.get(), *planes_->announce_joins);
  listen_to(planes_->qos_in.get(), *planes_->announce_joins);
  listen_to(planes_->metadata_in.get(), *planes_->announce_joins);
  for (const int32_t session_id : planes_->control_joins->take_left()) {
    for (const auto& session : sessions_) session->publisher_left(session_id);
  }
  planes_->announce_joins->take_left();
  return work;
}

int Conductor::run_commands() {
  if (!inbox_full_.load(std::memory_order_acquire)) return 0;
  std::vector<Command> commands;
  {
    const std::lock_guard lock(inbox_mutex_);
    commands.swap(inbox_);
    inbox_full_.store(false, std::memory_order_relaxed);  // relaxed: under the mutex
  }
  for (const Command& command : commands) command(*this);
  return static_cast<int>(commands.size());
}

void Conductor::post(Command command) {
  const std::lock_guard lock(inbox_mutex_);
  inbox_.push_back(std::move(command));
  inbox_full_.store(true, std::memory_order_release);
}

int Conductor::poll() {
  try {
    return work();
  } catch (const std::exception& e) {  // out of memory at worst: leases are worth more than this one cycle
    log(LogLevel::kError, "client", "a duty cycle failed: ", e.what());
    return 0;
  }
}

int Conductor::work() {
  int work = run_commands();
  Now now = look_at_clock();
  if (!planes_) {
    work += try_reconnect(now);
  } else {
    work += planes_->connection->poll();
    if (!planes_->connection->alive()) {
      lose_planes(planes_->connection->failure());
    } else if (media_driver_replaced(now.monotonic_ns)) {
      lose_planes("another one has taken its place");
    } else {
      work += hear(now);
      now = look_at_clock();  // mapping an epoch may have taken a while
    }
  }
  for (const auto& session : sessions_) work += session->poll(now);
  std::erase_if(sessions_, [](const auto& session) { return session->finished(); });
  mirror_.show(sessions_, planes_ ? planes_->connection : nullptr, work, now.monotonic_ns);
  return work;
}

void Conductor::add(std::shared_ptr<Session> session) {
  sessions_.push_back(session);
  if (session->metadata()) want_names();
  if (planes_) session->connected(look_at_clock());
}

void Conductor::close(Session& session) { session.close(look_at_clock()); }

void Conductor::want_names() {
  if (std::exchange(names_wanted_, true) || !planes_) return;
  try {
    open_wanted(*planes_);
  } catch (const Error& error) {
    log(LogLevel::kWarn, "client", "metadata: ", error.what());
  }
}

void Conductor::want_qos() { qos_wanted_ = true; }

control::Sender* Conductor::lazy_sender(std::unique_ptr<control::Sender>& sender, const Endpoint& endpoint) {
  if (sender && !sender->closed()) return sender.get();
  try {
    sender = std::make_unique<control::Sender>(planes_->connection->add_publication(endpoint.channel, endpoint.stream_id));
  } catch (const Error& error) {
    log(LogLevel::kWarn, "client", "cannot publish on ", endpoint.channel, " stream ", endpoint.stream_id, ": ", error.what());
    return nullptr;
  }
  return sender.get();
}

template <typename Message>
transport::SendResult Conductor::send_metadata(const Message& message) {
  if (!planes_) return transport::SendResult::kClosed;
  control::Sender* sender = lazy_sender(planes_->metadata, settings_.metadata);
  return sender != nullptr ? sender->send(message) : transport::SendResult::kError;
}

transport::SendResult Conductor::send(const wire::QosConsumer& message) {
  return counted(message, planes_ ? planes_->qos->send(message) : transport::SendResult::kClosed);
}
transport::SendResult Conductor::send(const wire::QosProducer& message) {
  return counted(message, planes_ ? planes_->qos->send(message) : transport::SendResult::kClosed);
}
transport::SendResult Conductor::send(const wire::DataSourceAnnounce& message) { return send_metadata(message); }
transport::SendResult Conductor::send(const wire::DataSourceMeta& message) { return send_metadata(message); }
transport::SendResult Conductor::send(const wire::MetaBlobAnnounce& message) { return send_metadata(message); }
transport::SendResult Conductor::send(const wire::MetaBlobChunk& message) { return send_metadata(message); }
transport::SendResult Conductor::send(const wire::MetaBlobComplete& message) { return send_metadata(message); }

size_t Conductor::metadata_message_bytes() {
  const control::Sender* sender = planes_ ? lazy_sender(planes_->metadata, settings_.metadata) : nullptr;
  return sender != nullptr ? sender->publication().max_message_bytes() : 0;
}

transport::SendResult Conductor::send(const wire::ShmPoolAnnounce& message) {
  if (!planes_ || settings_.announce == settings_.control) return send_control(message);
  control::Sender* sender = lazy_sender(planes_->announce, settings_.announce);
  return sender != nullptr ? sender->send(message) : transport::SendResult::kError;
}

std::shared_ptr<transport::Publication> Conductor::descriptor_publication(const std::shared_ptr<transport::Publication>& instead_of) {
  if (!planes_) throw Error(Code::kUnavailable, lost_because_);
  auto& shared = planes_->descriptors;
  if (shared && (shared->closed() || shared == instead_of)) shared.reset();
  if (!shared) shared = planes_->connection->add_publication(settings_.descriptor.channel, settings_.descriptor.stream_id);
  return shared;
}

std::shared_ptr<transport::Subscription> Conductor::descriptor_subscription() {
  if (!planes_) throw Error(Code::kUnavailable, lost_because_);
  return planes_->connection->add_subscription(transport::with_parameter(settings_.descriptor.channel, "tether", "false"), settings_.descriptor.stream_id);
}

std::shared_ptr<transport::Publication> Conductor::publication(const Endpoint& endpoint) {
  if (!planes_) throw Error(Code::kUnavailable, lost_because_);
  return planes_->connection->add_publication(endpoint.channel, endpoint.stream_id);
}

std::shared_ptr<transport::Publication> Conductor::control_publication() {
  if (!planes_) throw Error(Code::kUnavailable, lost_because_);
  return planes_->control_out;
}

std::shared_ptr<transport::Subscription> Conductor::subscription(const Endpoint& endpoint) {
  if (!planes_) throw Error(Code::kUnavailable, lost_because_);
  return planes_->connection->add_subscription(transport::with_parameter(endpoint.channel, "tether", "false"), endpoint.stream_id);
}

std::string Conductor::surroundings() {
  std::string out = concat("control channel ", settings_.control.channel, " stream ", settings_.control.stream_id, ", media driver in ", settings_.aeron_dir);
  const auto status = transport::media_driver_status(settings_.aeron_dir, settings_.media_driver_timeout_ms);
  if (status.alive) {
    out += concat(" is alive (heartbeat ", status.heartbeat_age_ms, " ms old)");
  } else {
    out += status.cnc_present ? concat(" does not answer: ", status.problem) : std::string(" is not there");
  }
  out += "\n  start one:  tidepool driver --config FILE      or look for the cause:  tidepool doctor";
  return out;
}

}  // namespace tidepool::client

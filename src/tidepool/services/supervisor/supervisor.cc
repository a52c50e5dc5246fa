#include "tidepool/services/supervisor/supervisor.h"

#include <algorithm>
#include <map>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/control/dispatch.h"
#include "tidepool/control/sender.h"
#include "tidepool/pool/epoch_map.h"
#include "tidepool/services/supervisor/per_consumer.h"
#include "tidepool/transport/connection.h"

namespace tidepool::supervisor {
namespace {

constexpr int kMaxFragmentsPerPlane = 200;  // a duty cycle
constexpr uint64_t kBackoffMinNs = 100 * kNsPerMs;
constexpr uint64_t kBackoffMaxNs = 3200 * kNsPerMs;
constexpr uint64_t kComplainEveryNs = kNsPerSecond;  // OP-12

// Instances are known by stream and id: equal ids on two streams are two (operations.md 8).
struct Key {
  uint32_t stream_id = 0;
  uint32_t id = 0;
  auto operator<=>(const Key&) const = default;
  PerConsumer::Key number() const noexcept { return uint64_t{stream_id} << 32 | id; }
};

// Counters that may fall to zero (W-86).
struct Cumulative {
  uint64_t seen = 0;
  uint64_t total = 0;
  void update(uint64_t value) noexcept {
    total += value < seen ? value : value - seen;
    seen = value;
  }
};

struct Consumer {
  std::optional<wire::ConsumerConfig> answer;  // ours or, where another answers, what was heard
  int32_t session_id = 0;
  uint64_t last_hello_ns = 0;
  uint64_t last_qos_ns = 0;
  uint64_t epoch = 0;
  uint64_t last_seq = 0;
  Cumulative drops_gap, drops_late;
  uint64_t stale_since_ns = 0;  // 0: alive
  uint64_t heard_ns() const noexcept { return std::max(last_hello_ns, last_qos_ns); }
};

struct Producer {
  uint64_t epoch = 0;
  uint64_t current_seq = 0;
  std::string name;
  uint64_t last_announce_ns = 0;
  uint64_t last_qos_ns = 0;
  std::shared_ptr<pool::EpochMap> map;  // for its activity; nullptr: not local, or not to be opened
  uint64_t tried_epoch = 0;             // mapped, or failed to: once an epoch
  uint64_t stale_since_ns = 0;
  uint64_t heard_ns() const noexcept { return std::max(last_announce_ns, last_qos_ns); }
};

}  // namespace

struct Supervisor::Impl {
  struct Planes {
    std::shared_ptr<transport::Connection> connection;
    std::vector<std::shared_ptr<transport::Subscription>> in;
    std::unique_ptr<control::Sender> out;
    bool alive() const noexcept {
      return connection->alive() && !out->closed() && std::none_of(in.begin(), in.end(), [](const auto& s) { return s->closed(); });
    }
  };

  Impl(SupervisorConfig the_config, const Clock& the_clock, SupervisorOptions the_options)
      : config(std::move(the_config)),
        clock(the_clock),
        options(std::move(the_options)),
        policy(map_options(config)),
        streams(config.consumers, PlainHello::kAnswered) {
    now_ns = clock.monotonic_ns();
    planes = connect();
    next_sweep_ns = now_ns + sweep_ns();
    next_check_ns = now_ns + uint64_t{config.liveness_check_interval_ms} * kNsPerMs;
  }

  static shm::MapPolicy::Options map_options(const SupervisorConfig& config) {
    shm::MapPolicy::Options out;
    out.allowed_base_dirs = config.allowed_base_dirs;
    return out;
  }
  uint64_t stale_ns() const noexcept { return uint64_t{config.consumer_stale_ms} * kNsPerMs; }
  uint64_t sweep_ns() const noexcept { return std::max<uint64_t>(stale_ns() / 4, kNsPerMs); }

  std::unique_ptr<Planes> connect() const {
    transport::ConnectionOptions connection;
    connection.aeron_dir = config.aeron_dir;
    connection.driver_timeout_ms = options.media_driver_timeout_ms.value_or(connection.driver_timeout_ms);
    connection.invoker = false;  // Aeron's own thread keeps us alive whatever holds our duty cycle up
    connection.client_name = "tidepool supervisor";
    auto out = std::make_unique<Planes>();
    out->connection = transport::Connection::open(connection);
    std::vector<Endpoint> seen;
    for (const Endpoint* plane : {&config.control, &config.announce, &config.metadata, &config.qos}) {
      if (std::find(seen.begin(), seen.end(), *plane) != seen.end()) continue;  // planes may share a stream
      seen.push_back(*plane);
      // An observer must not hold anybody back (P-6).
      out->in.push_back(out->connection->add_subscription(transport::with_parameter(plane->channel, "tether", "false"), plane->stream_id));
    }
    out->out = std::make_unique<control::Sender>(out->connection->add_publication(config.control.channel, config.control.stream_id));
    return out;
  }

  bool keep_connected() {
    if (planes && !planes->alive()) {
      log(LogLevel::kError, "supervisor", "the media driver is lost (", planes->connection->failure(), "): waiting for it to come back");
      planes.reset();
      streams.answer_all_again();  // answers went with the control stream
      retry_at_ns = now_ns + backoff_ns;
    }
    if (planes) return true;
    if (now_ns < retry_at_ns) return false;
    try {
      planes = connect();
      backoff_ns = kBackoffMinNs;
      ++counts.reconnects;
      log(LogLevel::kInfo, "supervisor", "connected to a media driver again");
      return true;
    } catch (const Error& error) {
      log(LogLevel::kDebug, "supervisor", "no connection yet: ", error.what());
      retry_at_ns = now_ns + backoff_ns;
      backoff_ns = std::min(2 * backoff_ns, kBackoffMaxNs);
      return false;
    }
  }

  int poll() {
    now_ns = std::max(now_ns, clock.monotonic_ns());
    int work = 0;
    if (keep_connected()) {
      const auto sink = [this](Bytes message, const transport::MessageInfo& info) { control::dispatch(message, info, *this, dispatched); };
      for (const auto& plane : planes->in) work += plane->poll(sink, kMaxFragmentsPerPlane);
      counts.malformed = dispatched.malformed + dispatched.unsupported;
      work += planes->out->flush();
      counts.configs_dropped = planes->out->dropped();
    }
    if (now_ns >= next_sweep_ns) {
      sweep_consumers();
      next_sweep_ns = now_ns + sweep_ns();
      ++work;
    }
    if (now_ns >= next_check_ns) {
      check_producers();
      ++counts.liveness_checks;
      next_check_ns = now_ns + uint64_t{config.liveness_check_interval_ms} * kNsPerMs;
      ++work;
    }
    return work;
  }

  // ---- messages ----------------------------------------------------------------------------------------------------------

  Consumer* consumer_of(const Key& key, const transport::MessageInfo& info) {
    auto at = consumers.find(key);
    if (at == consumers.end()) {
      if (consumers.size() >= config.consumers.consumer_capacity) {
        ++counts.consumers_refused;
        complain(concat("consumer ", key.id, " of stream ", key.stream_id, " is not taken: ", config.consumers.consumer_capacity,
                        " are known already (supervisor.consumer_capacity)"));
        return nullptr;
      }
      at = consumers.emplace(key, Consumer{}).first;
      at->second.session_id = info.session_id;
    }
    Consumer& consumer = at->second;
    if (consumer.session_id != info.session_id) {
      // A restarted consumer with its old id, or two with one: told apart by whether the other one still speaks.
      if (now_ns - consumer.heard_ns() < stale_ns() / 2 && consumer.heard_ns() != 0) {
        ++counts.id_collisions;
        complain(concat("consumer id ", key.id, " of stream ", key.stream_id, " is used by Aeron sessions ", consumer.session_id, " and ", info.session_id));
      }
      consumer.session_id = info.session_id;
      streams.answer_again(key.number());
    }
    if (consumer.stale_since_ns != 0) {
      log(LogLevel::kInfo, "supervisor", "consumer ", key.id, " of stream ", key.stream_id, " is back");
      consumer.stale_since_ns = 0;
    }
    return &consumer;
  }

  void on(const wire::ConsumerHello& hello, const transport::MessageInfo& info) {
    ++counts.hellos;
    if (hello.stream_id == 0 || hello.consumer_id == 0) return;
    Consumer* consumer = consumer_of({hello.stream_id, hello.consumer_id}, info);
    if (consumer == nullptr) return;
    consumer->last_hello_ns = now_ns;
    if (!options.answers) return;
    const Key key{hello.stream_id, hello.consumer_id};
    const auto answer = streams.heard(key.number(), hello);
    counts.planes_assigned = streams.counts().assigned;
    counts.planes_declined = streams.counts().declined;
    if (!answer) return;
    if (!planes->out->owe(*answer)) {
      complain("too many answers wait to be sent: this one goes with a later hello");
      return streams.answer_again(key.number());
    }
    consumer->answer = answer;
    ++counts.configs_sent;
  }

  // Another's answer. Our own comes back to us, too, and says nothing new.
  void on(const wire::ConsumerConfig& config_heard, const transport::MessageInfo&) {
    if (options.answers) return;
    const auto at = consumers.find({config_heard.stream_id, config_heard.consumer_id});
    if (at != consumers.end()) at->second.answer = config_heard;
  }

  void on(const wire::QosConsumer& qos, const transport::MessageInfo& info) {
    if (qos.stream_id == 0 || qos.consumer_id == 0) return;
    Consumer* consumer = consumer_of({qos.stream_id, qos.consumer_id}, info);
    if (consumer == nullptr) return;
    consumer->last_qos_ns = now_ns;
    consumer->epoch = qos.epoch;
    consumer->last_seq = qos.last_seq_seen;
    consumer->drops_gap.update(qos.drops_gap);
    consumer->drops_late.update(qos.drops_late);
  }

  void on(const wire::QosProducer& qos, const transport::MessageInfo&) {
    Producer* producer = producer_of({qos.stream_id, qos.producer_id});
    if (producer == nullptr) return;
    producer->last_qos_ns = now_ns;
    producer->epoch = std::max(producer->epoch, qos.epoch);
    producer->current_seq = qos.current_seq;
  }

  void on(const wire::ShmPoolAnnounce& announce, const transport::MessageInfo&) {
    if (announce.producer_id == 0) return;  // a stream without a producer: nobody to watch
    Producer* producer = producer_of({announce.stream_id, announce.producer_id});
    if (producer == nullptr || announce.epoch < producer->epoch) return;
    producer->last_announce_ns = now_ns;
    producer->epoch = announce.epoch;
    if (producer->tried_epoch == announce.epoch) return;
    producer->tried_epoch = announce.epoch;
    producer->map.reset();
    try {
      producer->map = pool::EpochMap::open(pool::EpochRegions::of(announce), shm::Access::kReadOnly, policy, {});
    } catch (const Error& error) {
      // Another host's memory, or not for us: then messages alone tell.
      log(LogLevel::kDebug, "supervisor", "the activity of stream ", announce.stream_id, " cannot be read: ", error.what());
    }
  }

  void on(const wire::DataSourceAnnounce& source, const transport::MessageInfo&) {
    Producer* producer = producer_of({source.stream_id, source.producer_id});
    if (producer == nullptr) return;
    producer->name = source.name.substr(0, 256);
    producer->last_announce_ns = now_ns;  // any message renews (operations.md 8)
  }

  // ---- liveness ----------------------------------------------------------------------------------------------------------

  void sweep_consumers() {
    for (auto at = consumers.begin(); at != consumers.end();) {
      Consumer& consumer = at->second;
      if (consumer.stale_since_ns == 0 && now_ns - consumer.heard_ns() > stale_ns()) {
        consumer.stale_since_ns = now_ns;
        ++counts.consumers_stale;
        log(LogLevel::kWarn, "supervisor", "consumer ", at->first.id, " of stream ", at->first.stream_id, " is silent for ", (now_ns - consumer.heard_ns()) / kNsPerMs,
            " ms: its streams are free again");
        streams.forget(at->first.number());
        consumer.answer.reset();
      } else if (consumer.stale_since_ns != 0 && now_ns - consumer.stale_since_ns > stale_ns()) {
        at = consumers.erase(at);  // reported once, and gone after a second time-out
        continue;
      }
      ++at;
    }
  }

  Producer* producer_of(const Key& key) {
    if (key.stream_id == 0 || key.id == 0) return nullptr;
    auto at = producers.find(key);
    if (at == producers.end()) {
      if (producers.size() >= kMaxProducers) return nullptr;
      at = producers.emplace(key, Producer{}).first;
    }
    // What is announced for a producer whose memory stands still is a driver that has not noticed yet.
    if (at->second.stale_since_ns != 0 && !stands_still(at->second)) {
      log(LogLevel::kInfo, "supervisor", "producer ", key.id, " of stream ", key.stream_id, " is back");
      at->second.stale_since_ns = 0;
    }
    return &at->second;
  }

  void check_producers() {
    const uint64_t timeout_ns = uint64_t{config.liveness_timeout_ms} * kNsPerMs;
    for (auto at = producers.begin(); at != producers.end();) {
      Producer& producer = at->second;
      const bool silent = now_ns - producer.heard_ns() > timeout_ns;
      const bool still = stands_still(producer);
      if (producer.stale_since_ns == 0 && (silent || still)) {
        producer.stale_since_ns = now_ns;
        ++counts.producers_stale;
        log(LogLevel::kWarn, "supervisor", "producer ", at->first.id, " of stream ", at->first.stream_id,
            silent ? " is silent for " : " shows no activity in its memory for ", (silent ? now_ns - producer.heard_ns() : *age_of(producer)) / kNsPerMs, " ms");
      } else if (producer.stale_since_ns != 0 && now_ns - producer.stale_since_ns > timeout_ns) {
        at = producers.erase(at);
        continue;
      }
      ++at;
    }
  }

  bool stands_still(const Producer& producer) const {
    const auto age_ns = age_of(producer);
    return age_ns && *age_ns > uint64_t{config.liveness_timeout_ms} * kNsPerMs;
  }

  std::optional<uint64_t> age_of(const Producer& producer) const {
    if (!producer.map) return std::nullopt;
    const uint64_t at_ns = producer.map->activity_ns();
    return at_ns == 0 || at_ns > now_ns ? 0 : now_ns - at_ns;
  }

  void complain(const std::string& text) {
    if (now_ns - complained_ns < kComplainEveryNs && complained_ns != 0) return;
    complained_ns = now_ns;
    log(LogLevel::kWarn, "supervisor", text);
  }

  const SupervisorConfig config;
  const Clock& clock;
  const SupervisorOptions options;
  const shm::MapPolicy policy;
  std::unique_ptr<Planes> planes;
  std::map<Key, Consumer> consumers;
  std::map<Key, Producer> producers;
  PerConsumer streams;
  uint64_t now_ns = 0;
  uint64_t next_sweep_ns = 0;
  uint64_t next_check_ns = 0;
  uint64_t retry_at_ns = 0;
  uint64_t backoff_ns = kBackoffMinNs;
  uint64_t complained_ns = 0;
  SupervisorCounts counts;
  control::DispatchCounts dispatched;
};

Supervisor::Supervisor(SupervisorConfig config, const Clock& clock, SupervisorOptions options)
    : impl_(std::make_unique<Impl>(std::move(config), clock, std::move(options))) {}
Supervisor::~Supervisor() = default;

int Supervisor::poll() { return impl_->poll(); }
bool Supervisor::connected() const noexcept { return impl_->planes != nullptr; }
const SupervisorCounts& Supervisor::counts() const noexcept { return impl_->counts; }

std::vector<ConsumerStatus> Supervisor::consumers() const {
  std::vector<ConsumerStatus> out;
  for (const auto& [key, consumer] : impl_->consumers) {
    ConsumerStatus status;
    status.stream_id = key.stream_id;
    status.consumer_id = key.id;
    status.epoch = consumer.epoch;
    if (consumer.answer) {
      status.mode = consumer.answer->mode;
      status.use_shm = consumer.answer->use_shm;
      status.descriptor = {consumer.answer->descriptor_channel, consumer.answer->descriptor_stream_id};
      status.control = {consumer.answer->control_channel, consumer.answer->control_stream_id};
    }
    status.last_seq = consumer.last_seq;
    status.drops_gap = consumer.drops_gap.total;
    status.drops_late = consumer.drops_late.total;
    status.last_hello_ns = consumer.last_hello_ns;
    status.last_qos_ns = consumer.last_qos_ns;
    for (const auto& [producer_key, producer] : impl_->producers)
      if (producer_key.stream_id == key.stream_id && producer.epoch == consumer.epoch && consumer.epoch != 0 && producer.current_seq >= consumer.last_seq)
        status.lag = producer.current_seq - consumer.last_seq;
    status.stale = consumer.stale_since_ns != 0;
    out.push_back(std::move(status));
  }
  return out;
}

std::vector<ProducerStatus> Supervisor::producers() const {
  std::vector<ProducerStatus> out;
  for (const auto& [key, producer] : impl_->producers)
    out.push_back({key.stream_id, key.id, producer.epoch, producer.current_seq, producer.name, producer.last_announce_ns, producer.last_qos_ns,
                   impl_->age_of(producer), producer.stale_since_ns != 0});
  return out;
}

}  // namespace tidepool::supervisor

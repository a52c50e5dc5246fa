#pragma once
// The client's one thread of decisions: it owns the connection, the control, announce, QoS and metadata planes and all
// sessions. When the media driver dies it drops everything and comes back by itself (driver.md 14, 15).
//
// Thread safety: poll() and the Port by the conductor's thread (its own, or the application's with invoker); what is marked
// "any thread" by any.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tidepool/base/agent.h"
#include "tidepool/base/clock.h"
#include "tidepool/client/announces.h"
#include "tidepool/client/counter_mirror.h"
#include "tidepool/client/names.h"
#include "tidepool/client/qos_monitor.h"
#include "tidepool/client/session.h"
#include "tidepool/control/dispatch.h"
#include "tidepool/control/sender.h"

namespace tidepool::client {

class Conductor final : public Agent, private Port {
 public:
  explicit Conductor(Settings settings);
  ~Conductor() override;

  // Connect now, before the first poll(). Throws Error when there is no media driver.
  void connect();

  int poll() override;
  std::string_view name() const noexcept override { return "client"; }

  // Any thread: run `command` at the start of the next duty cycle.
  using Command = std::function<void(Conductor&)>;
  void post(Command command);

  // ---- for commands ----
  void add(std::shared_ptr<Session> session);
  void close(Session& session);
  // Listen for what producers say of their data from now on: names, attributes, blobs.
  void want_names();
  // Listen to reports of quality of service from now on.
  void want_qos();

  // Any thread.
  const NameDirectory& names() const noexcept { return names_; }
  const QosMonitor& qos() const noexcept { return qos_; }
  const Settings& settings() const noexcept { return settings_; }
  Port& port() noexcept { return *this; }
  const ClientCells& counts() const noexcept { return tally; }

 private:
  // Everything that goes with the media driver.
  struct Planes {
    std::shared_ptr<transport::Connection> connection;
    std::shared_ptr<transport::Publication> control_out;         // what `control` sends over; progress goes there directly
    std::unique_ptr<control::Sender> control;
    std::unique_ptr<control::Sender> qos;
    std::unique_ptr<control::Sender> metadata;                   // opened when somebody has metadata
    std::unique_ptr<control::Sender> announce;                   // opened when somebody has own pools, unless it is control
    std::shared_ptr<transport::Subscription> control_in;
    std::shared_ptr<transport::Subscription> announce_in;        // nullptr: announces come on control
    std::shared_ptr<transport::Subscription> qos_in;             // nullptr: QoS is heard on another
    std::shared_ptr<transport::Subscription> metadata_in;        // nullptr: nobody wants names and metadata, or they are heard on another
    std::shared_ptr<transport::Publication> descriptors;         // opened for the first producer
    std::shared_ptr<ImageJoins> control_joins = std::make_shared<ImageJoins>();
    std::shared_ptr<ImageJoins> announce_joins = std::make_shared<ImageJoins>();
    uint64_t media_driver_pid = 0;
    uint64_t next_look_ns = 0;  // at the media driver's pid
  };
  // Hears one subscription; the dispatcher calls it.
  struct Ear;

  int work();
  Planes open_planes(uint64_t now_ns);
  void lose_planes(const std::string& why);
  int try_reconnect(const Now& now);
  bool media_driver_replaced(uint64_t now_ns);
  int hear(const Now& now);
  int run_commands();
  Now look_at_clock() const noexcept;
  std::shared_ptr<transport::Subscription> listen(transport::Connection& connection, const Endpoint& endpoint,
                                                  const std::shared_ptr<ImageJoins>& joins);

  template <typename Message>
  transport::SendResult send_control(const Message& message) {
    return planes_ ? planes_->control->send(message) : transport::SendResult::kClosed;
  }
  // Opened on first use; nullptr: not to be had now.
  control::Sender* lazy_sender(std::unique_ptr<control::Sender>& sender, const Endpoint& endpoint);
  template <typename Message>
  transport::SendResult send_metadata(const Message& message);
  template <typename Message>
  transport::SendResult counted(const Message& message, transport::SendResult result) {
    if (result == transport::SendResult::kOk) mirror_.sent(message);
    return result;
  }
  void open_wanted(Planes& planes);

  transport::SendResult send(const wire::ShmAttachRequest& message) override { return send_control(message); }
  transport::SendResult send(const wire::ShmDetachRequest& message) override { return send_control(message); }
  transport::SendResult send(const wire::ShmLeaseKeepalive& message) override { return send_control(message); }
  transport::SendResult send(const wire::ConsumerHello& message) override { return counted(message, send_control(message)); }
  transport::SendResult send(const wire::QosConsumer& message) override;
  transport::SendResult send(const wire::QosProducer& message) override;
  transport::SendResult send(const wire::DataSourceAnnounce& message) override;
  transport::SendResult send(const wire::DataSourceMeta& message) override;
  transport::SendResult send(const wire::MetaBlobAnnounce& message) override;
  transport::SendResult send(const wire::MetaBlobChunk& message) override;
  transport::SendResult send(const wire::MetaBlobComplete& message) override;
  transport::SendResult send(const wire::ShmPoolAnnounce& message) override;
  size_t metadata_message_bytes() override;
  std::shared_ptr<transport::Publication> descriptor_publication(const std::shared_ptr<transport::Publication>& instead_of) override;
  std::shared_ptr<transport::Subscription> descriptor_subscription() override;
  transport::SendResult send(const wire::ConsumerConfig& message) override { return send_control(message); }
  std::shared_ptr<transport::Publication> publication(const Endpoint& endpoint) override;
  std::shared_ptr<transport::Publication> control_publication() override;
  std::shared_ptr<transport::Subscription> subscription(const Endpoint& endpoint) override;
  bool usable(const transport::Subscription& subscription) const override { return !subscription.closed(); }
  bool connected(const transport::Subscription& subscription) const override { return subscription.connected(); }
  std::string surroundings() override;

  const Settings settings_;
  std::unique_ptr<Planes> planes_;  // nullptr: no media driver
  std::vector<std::shared_ptr<Session>> sessions_;
  NameDirectory names_;
  bool names_wanted_ = false;
  CounterMirror mirror_;
  QosMonitor qos_;
  bool qos_wanted_ = false;
  control::DispatchCounts heard_;
  std::string lost_because_;
  uint64_t reconnect_backoff_ns_ = 0;
  uint64_t next_reconnect_ns_ = 0;

  std::mutex inbox_mutex_;
  std::vector<Command> inbox_;        // GUARDED_BY(inbox_mutex_)
  std::atomic<bool> inbox_full_{false};  // release in post() pairs with acquire in run_commands(): looked at in each cycle
};

}  // namespace tidepool::client

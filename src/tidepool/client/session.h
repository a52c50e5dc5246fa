#pragma once
// One lease: attach, keep alive, follow events, detach, attach again (driver.md 5, 6, 15; docs/protocols/client.md).
//
//   kConnecting --connected()--> kAttaching --OK--> kAttached <--announce-- kRemapping (consumers)
//        ^                        |    ^                |  \--trigger of wire.md 9.3--^
//        |                 failed |    | time is up     | lost
//   disconnected()                v    |                v
//        +------------------------ kBackoff <-----------+          close(): kDetaching --> kClosed
//
// Without a driver (RoleSettings::alone()) the lease is our own: nobody grants it, nothing keeps it alive. A producer then
// makes its epoch while kAttaching and announces it; a consumer begins with kRemapping.
//
// Thread safety: the conductor's thread. The application's thread meets a session only through its Handover.
// Time comes in as an argument: a test lets leases expire without waiting.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "tidepool/base/error.h"
#include "tidepool/client/announces.h"
#include "tidepool/client/consumer_desk.h"
#include "tidepool/client/consumer_streams.h"
#include "tidepool/client/blob_sender.h"
#include "tidepool/client/handover.h"
#include "tidepool/client/metadata_cache.h"
#include "tidepool/client/options.h"
#include "tidepool/client/own_epochs.h"
#include "tidepool/transport/connection.h"
#include "tidepool/wire/messages.h"

namespace tidepool::client {

// What a session may do to the world: soft sends (W-53: never waiting), and the planes for frames. The conductor is the
// real one; tests have their own.
class Port : public DeskPort {
 public:
  using DeskPort::send;
  virtual transport::SendResult send(const wire::ShmAttachRequest& message) = 0;
  virtual transport::SendResult send(const wire::ShmDetachRequest& message) = 0;
  virtual transport::SendResult send(const wire::ShmLeaseKeepalive& message) = 0;
  virtual transport::SendResult send(const wire::ConsumerHello& message) = 0;
  virtual transport::SendResult send(const wire::QosConsumer& message) = 0;
  virtual transport::SendResult send(const wire::QosProducer& message) = 0;
  virtual transport::SendResult send(const wire::DataSourceAnnounce& message) = 0;
  virtual transport::SendResult send(const wire::DataSourceMeta& message) = 0;
  virtual transport::SendResult send(const wire::MetaBlobAnnounce& message) = 0;
  virtual transport::SendResult send(const wire::MetaBlobChunk& message) = 0;
  virtual transport::SendResult send(const wire::MetaBlobComplete& message) = 0;
  virtual transport::SendResult send(const wire::ShmPoolAnnounce& message) = 0;  // own pools only (W-15)
  virtual size_t metadata_message_bytes() = 0;  // the longest that the metadata stream takes; 0: no stream

  // For a producer's descriptors; one for all producers of a connection. `instead_of`: one that can carry no more, or nullptr.
  // Throws Error.
  virtual std::shared_ptr<transport::Publication> descriptor_publication(const std::shared_ptr<transport::Publication>& instead_of) = 0;
  // A consumer's own: tether=false, so that it never holds a producer back (design 2). Throws Error.
  virtual std::shared_ptr<transport::Subscription> descriptor_subscription() = 0;
  // Of a consumer too, on any stream. Throws Error.
  virtual std::shared_ptr<transport::Subscription> subscription(const Endpoint& endpoint) = 0;
  virtual bool usable(const transport::Subscription& subscription) const = 0;     // not closed
  virtual bool connected(const transport::Subscription& subscription) const = 0;  // somebody publishes there

  // Where we looked for a driver, and what to start: the lines below "no driver answered".
  virtual std::string surroundings() = 0;

  ClientCells tally;
};

struct Now {
  uint64_t monotonic_ns = 0;
  uint64_t realtime_ns = 0;
};

// Who sent a message on a shared plane.
struct Sender {
  int32_t session_id = 0;  // Aeron's
  bool us = false;         // this client: everybody hears what it says (W-94)
};

class Session {
 public:
  // `stream_id`: what to ask for. Both settings and port outlive the session. `first_deadline_ns`: give up the first attach
  // then, and tell the handover why; 0: never.
  Session(RoleSettings role, uint32_t stream_id, const Settings& settings, Port& port, std::shared_ptr<Handover> handover,
          uint64_t first_deadline_ns);
  virtual ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The planes are there / have gone with the media driver (then all leases are void, driver.md 14).
  void connected(const Now& now);
  void disconnected(const std::string& why);

  // Call after the inbound messages of this duty cycle were handled, so that nothing expires unread. Returns work done.
  int poll(const Now& now);

  void on(const wire::ShmAttachResponse& response, const Now& now);
  void on(const wire::ShmDetachResponse& response);
  void on(const wire::ShmLeaseRevoked& revoked, const Now& now);
  void on(const wire::ShmDriverShutdown& shutdown, const Now& now);
  void on(const wire::ShmPoolAnnounce& announce, uint64_t joined_ns, const Now& now);

  // What consumers, producers and drivers say to each other (wire.md 10), by sessions that care.
  virtual void hear(const wire::ConsumerHello&, const Sender&, const Now&) {}
  virtual void hear(const wire::ConsumerConfig&, const Sender&, const Now&) {}
  virtual void hear(const wire::QosConsumer&, const Sender&, const Now&) {}
  virtual void publisher_left(int32_t /*session_id*/) {}  // of the control stream

  // The application has let go: give the lease back (D-65). finished() follows within a second.
  void close(const Now& now);
  bool finished() const noexcept { return phase_ == Phase::kClosed; }

  const RoleSettings& role() const noexcept { return role_; }
  // What is known of the stream's data; nullptr: nobody wants to know. For the conductor to tell, for anybody to ask.
  const std::shared_ptr<MetadataCache>& metadata() const noexcept { return metadata_; }
  const std::shared_ptr<Handover>& handover() const noexcept { return handover_; }
  // Under which ids the lease is held, if one is.
  struct HeldLease {
    uint32_t client_id;
    uint32_t stream_id;
  };
  std::optional<HeldLease> held_lease() const noexcept {
    return lease_ ? std::optional(HeldLease{lease_->client_id, lease_->stream_id}) : std::nullopt;
  }

 protected:
  enum class Phase : uint8_t {
    kConnecting,
    kAttaching,
    kAttached,
    kRemapping,
    kFallback,
    kUnreachable,
    kBackoff,
    kDetaching,
    kClosed,
  };
  enum class TellDriver : uint8_t { kNo, kDetach };

  struct Lease {
    uint64_t lease_id = 0;
    uint32_t stream_id = 0;
    uint32_t client_id = 0;
    uint64_t epoch = 0;          // as granted
    uint64_t attached_ns = 0;
    uint64_t grace_ns = 0;       // life after each successful keepalive
    uint64_t interval_ns = 0;    // of keepalives
    uint64_t deadline_ns = 0;    // of the lease, by our own book
    uint64_t next_keepalive_ns = 0;
    uint64_t failing_since_ns = 0;   // 0: the last keepalive went out
    uint64_t last_announce_ns = 0;   // 0: none since the attach (silence counts only after a first one)
    uint32_t node_id = 0;            // 0: none given
    bool own = false;  // nobody granted it (RoleSettings::alone()): no keepalives, no detach
  };

  // ---- what the roles add ----
  virtual void open_planes() = 0;          // throws Error
  virtual Attachment planes() const = 0;   // the attachment without its map
  virtual void drop_planes() = 0;
  virtual void attached(const Now& now) = 0;
  virtual void announced(const wire::ShmPoolAnnounce& announce, const Now& now) = 0;      // an accepted one, lease held
  virtual void producer_revoked(const wire::ShmLeaseRevoked& revoked, const Now& now) = 0; // another's, on our stream
  virtual int poll_attached(const Now& now) = 0;
  virtual void consumer_revoked(const wire::ShmLeaseRevoked&) {}  // another's, on our stream
  // Map what the driver granted. Throws Error; a consumer may do without (W-77), then say_why_unmapped() follows.
  virtual void map_granted(const pool::EpochRegions& regions);
  virtual void say_why_unmapped() {}
  virtual std::string fallback_uri() const { return {}; }  // in Phase::kFallback
  // Without a driver. begin_alone(): instead of asking; poll_alone(): while kAttaching; overheard(): an accepted announce
  // while no lease is held; end_alone(): the session is over.
  virtual void begin_alone(const Now& now) = 0;
  virtual int poll_alone(const Now&) { return 0; }
  virtual void overheard(const wire::ShmPoolAnnounce&, const Now&) {}
  virtual void end_alone() noexcept {}
  virtual Error nothing_came() const;  // why no epoch was there in time

  // ---- what they build on ----
  bool has_lease() const noexcept { return lease_.has_value(); }
  Lease& lease() noexcept { return *lease_; }
  const Settings& settings() const noexcept { return settings_; }
  Port& port() noexcept { return port_; }
  Handover& link() noexcept { return *handover_; }
  // The lease is lost, by whatever cause: nothing more is published or read, then attach again after a pause.
  void lose(const Now& now, const std::string& why, TellDriver tell);
  void hold_own_lease(uint64_t epoch, uint64_t attached_ns);
  void attempt_failed(const Now& now, Error error, bool for_good);
  void succeeded();  // the first attach, if it was
  bool undecided() const noexcept { return !decided_; }
  void remember(Error error) { last_error_ = std::move(error); }  // told if the first attach comes to nothing
  uint32_t client_id() const noexcept { return client_id_; }
  uint32_t wanted_stream_id() const noexcept { return wanted_stream_id_; }
  void set_phase(Phase phase, const std::string& why);
  // Hand the map and the planes, as they are now, to the application.
  void publish();
  void let_go_of_map() noexcept;  // marks it dead first (rulings P-4)
  // Somebody else goes by our client id: attach again under another one (W-69). False: it is configured, and stays.
  bool change_client_id(const Now& now, const std::string& why);
  std::shared_ptr<pool::EpochMap> open_map(const pool::EpochRegions& regions, const pool::Freshness& freshness) const;
  std::string stream_text() const;

  RoleSettings role_;
  shm::MapPolicy policy_;
  std::shared_ptr<pool::EpochMap> map_;
  std::shared_ptr<shm::Doorbell> doorbell_;
  uint64_t mapped_stamp_ns_ = 0;   // of the announce or attach that gave us the mapped epoch (D-59)
  uint64_t highest_epoch_ = 0;     // announced or granted (W-57); forgotten when the driver is lost
  std::optional<AnnounceVerdict> refused_;  // the last announce of our stream that was not accepted
  std::shared_ptr<MetadataCache> metadata_;
  Phase phase_ = Phase::kConnecting;

 private:
  struct Abandoned {
    int64_t correlation_id = 0;
    uint32_t client_id = 0;
  };

  void begin_attach(const Now& now);
  void send_attach_request(const Now& now);
  void refused(const wire::ShmAttachResponse& response, const Now& now);
  void accept(const wire::ShmAttachResponse& response, const Now& now);
  void unanswered(const Now& now);  // for the time of one attempt: a pause, then the same request again
  void give_up(Error error);
  void back_off(const Now& now, const std::string& why);
  void abandon_request();
  void answer_abandoned(const wire::ShmAttachResponse& response);
  bool keep_alive(const Now& now);  // false: the lease is lost
  void send_detach(const Lease& lease, int64_t correlation_id);
  void finish();
  Error no_answer() const;

  const Settings& settings_;
  Port& port_;
  std::shared_ptr<Handover> handover_;
  std::optional<Lease> lease_;
  uint64_t last_poll_ns_ = 0;
  // When attaching.
  bool decided_ = false;  // the first attach has succeeded or failed
  uint64_t first_deadline_ns_ = 0;
  std::optional<Error> last_error_;
  uint32_t wanted_stream_id_ = 0;
  uint32_t client_id_ = 0;
  int64_t correlation_id_ = 0;
  uint32_t correlation_client_id_ = 0;  // the client id that the request carries
  bool request_out_ = false;            // sent at least once, and no lease came of it
  uint64_t attempt_started_ns_ = 0;
  uint64_t attempt_deadline_ns_ = 0;
  uint64_t next_send_ns_ = 0;
  uint64_t backoff_ns_ = 0;
  uint64_t backoff_until_ns_ = 0;
  std::array<Abandoned, 16> abandoned_{};  // requests that we gave up on, newest last written
  size_t abandoned_next_ = 0;
  // When detaching.
  bool detach_sent_ = false;
  int64_t detach_correlation_id_ = 0;
  uint64_t detach_deadline_ns_ = 0;
};

class ProducerSession final : public Session {
 public:
  using Session::Session;
  void set_data_source(DataSource source, uint32_t meta_version);
  void hear(const wire::ConsumerHello& hello, const Sender& from, const Now& now) override;
  void hear(const wire::ConsumerConfig& config, const Sender& from, const Now& now) override;
  void hear(const wire::QosConsumer& qos, const Sender& from, const Now& now) override;
  void publisher_left(int32_t session_id) override { desk_.left(session_id); }

 private:
  void open_planes() override;
  Attachment planes() const override;
  void drop_planes() override;
  void consumer_revoked(const wire::ShmLeaseRevoked& revoked) override { desk_.ended(revoked.client_id); }
  int serve_consumers(const Now& now);
  ConsumerDesk::Rules desk_rules() const;
  void attached(const Now& now) override;
  void announced(const wire::ShmPoolAnnounce& announce, const Now& now) override;
  void producer_revoked(const wire::ShmLeaseRevoked&, const Now&) override {}  // another lease's: none of our business
  int poll_attached(const Now& now) override;
  int send_metadata(const Now& now);
  // standalone_producer.cc
  void begin_alone(const Now& now) override;
  int poll_alone(const Now& now) override;
  void overheard(const wire::ShmPoolAnnounce& announce, const Now& now) override;
  void end_alone() noexcept override { own_.reset(); }
  bool stands_aside(const wire::ShmPoolAnnounce& announce, const Now& now);
  int announce_own(const Now& now);
  uint64_t clock_now(const Now& now) const noexcept;  // in the declared domain

  std::shared_ptr<transport::Publication> publication_;
  ConsumerDesk desk_{desk_rules(), port()};
  std::shared_ptr<const Audience> audience_;
  // Opening streams drives Aeron, which a message handler must not: applied in the next poll.
  std::vector<std::pair<wire::ConsumerConfig, bool>> configs_;
  std::unique_ptr<OwnEpochs> own_;  // without a driver
  uint64_t next_announce_ns_ = 0;
  uint64_t next_collect_ns_ = 0;
  std::string clock_trouble_;  // why nothing is announced; empty: nothing is wrong
  uint64_t own_epoch_ = 0;       // the newest that we made
  uint64_t rival_epoch_ = 0;     // the highest that somebody else announced
  uint64_t rival_until_ns_ = 0;  // somebody else announces our stream: not before
  std::string rival_;
  BlobSender blobs_;
  uint32_t meta_version_ = 0;  // 0: nothing to announce
  uint64_t next_activity_ns_ = 0;
  uint64_t next_qos_ns_ = 0;
  uint64_t next_metadata_ns_ = 0;
};

class ConsumerSession final : public Session {
 public:
  void hear(const wire::ConsumerHello& hello, const Sender& from, const Now& now) override;
  void hear(const wire::ConsumerConfig& config, const Sender& from, const Now& now) override;
  void hear(const wire::QosConsumer& qos, const Sender& from, const Now& now) override;
  ConsumerSession(RoleSettings role, uint32_t stream_id, const Settings& settings, Port& port, std::shared_ptr<Handover> handover,
                  uint64_t first_deadline_ns);

 private:
  // announce_only.cc
  void begin_alone(const Now& now) override;
  Error nothing_came() const override;
  void forget_the_silent(const Now& now);

  void open_planes() override;
  Attachment planes() const override;
  void drop_planes() override;
  void map_granted(const pool::EpochRegions& regions) override;
  void say_why_unmapped() override;
  std::string fallback_uri() const override { return streams_.fallback_uri(); }
  void apply(const wire::ConsumerConfig& config, const Now& now);
  void go_without_shm(const std::string& why);
  void somebody_is(uint32_t stream_id, uint32_t consumer_id, const Sender& from, const Now& now);
  void attached(const Now& now) override;
  void announced(const wire::ShmPoolAnnounce& announce, const Now& now) override;
  void producer_revoked(const wire::ShmLeaseRevoked& revoked, const Now& now) override;
  int poll_attached(const Now& now) override;

  // What the next mapping must be, besides acceptable (wire.md 9.3).
  struct Awaited {
    uint64_t min_epoch = 0;
    uint64_t after_stamp_ns = 0;  // announces stamped at or before this do not count
    uint64_t deadline_ns = 0;     // 0: none; past it: attach again
  };
  void unmap(const std::string& why, const Awaited& awaited);
  void map_announced(const wire::ShmPoolAnnounce& announce, const Now& now);
  void check_activity(const Now& now);
  void send_hello();
  pool::Freshness freshness(const Now& now, uint32_t periods) const;

  ConsumerStreams streams_{role_, settings(), port()};
  std::vector<wire::ConsumerConfig> configs_;  // applied in the next poll: opening streams drives Aeron
  std::string unmapped_because_;               // of a mapping that failed, while the fallback stands for it
  bool said_collision_ = false;
  std::optional<Error> map_error_;  // of the last announce that did not map, before the first that did
  Awaited awaited_;
  uint64_t next_hello_ns_ = 0;
  uint64_t next_qos_ns_ = 0;
  uint64_t next_activity_ns_ = 0;
  uint64_t map_backoff_ns_ = 0;
  uint64_t next_map_ns_ = 0;
};

// Checks of driver.md 16.1 on an OK response (ours: the union, with its tolerances). Throws Error kCorrupt naming the field.
pool::EpochRegions check_response(const wire::ShmAttachResponse& response, wire::Role role, uint32_t wanted_stream_id, uint64_t now_ns);

// The doorbell of the mapped stream, or nullptr: a foreign producer's has none (rulings P-3).
std::shared_ptr<shm::Doorbell> open_doorbell(const pool::EpochMap& map, const shm::MapPolicy& policy);

}  // namespace tidepool::client

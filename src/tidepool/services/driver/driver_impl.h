#pragma once
// The driver's state, and what acts on it: driver.cc (life, duty cycle, connection, shutdown), requests.cc (messages that
// arrive), upkeep.cc (epochs that are ready, leases that end, what is due). One thread owns all of it (S-16).

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tidepool/control/dispatch.h"
#include "tidepool/services/driver/announce.h"
#include "tidepool/services/driver/attach.h"
#include "tidepool/services/driver/driver.h"
#include "tidepool/services/driver/epochs.h"
#include "tidepool/services/driver/leases.h"
#include "tidepool/services/driver/node_ids.h"
#include "tidepool/services/driver/status_file.h"
#include "tidepool/services/driver/streams.h"
#include "tidepool/services/supervisor/per_consumer.h"
#include "tidepool/shm/file_lock.h"
#include "tidepool/transport/connection.h"

namespace tidepool::driver {

struct Driver::Impl {
  Impl(DriverConfig config, const Clock& clock, DriverOptions options);

  int poll();
  int work();  // one duty cycle
  void shutdown(wire::ShutdownReason reason, std::string text, bool drain_now);

  // ---- messages (requests.cc); called by control::dispatch
  void on(const wire::ShmAttachRequest& request, const transport::MessageInfo& info);
  void on_unsupported_attach(int64_t correlation_id, const transport::MessageInfo& info);
  void on(const wire::ShmAttachResponse& response, const transport::MessageInfo& info);
  void on(const wire::ShmDetachRequest& request, const transport::MessageInfo& info);
  void on(const wire::ShmLeaseKeepalive& keepalive, const transport::MessageInfo& info);
  void on(const wire::ShmDriverShutdownRequest& request, const transport::MessageInfo& info);
  void on(const wire::ConsumerHello& hello, const transport::MessageInfo& info);

  static constexpr int kMaxFragmentsPerPoll = 1000;
  static constexpr size_t kMaxDeferred = 256;
  // Work that came in already may owe this much more; nothing new is begun beyond the rest (D-6).
  static constexpr size_t kOwedReserve = 1024;
  static constexpr uint64_t kBackoffMinNs = 100 * kNsPerMs;
  static constexpr uint64_t kBackoffMaxNs = 3200 * kNsPerMs;
  static constexpr uint64_t kLastWordsNs = kNsPerSecond;  // for the shutdown notice to leave

  // An attach request whose epoch is being made.
  struct Attaching {
    wire::ShmAttachRequest request;
    AttachVerdict verdict;
  };
  // What an epoch is being made for: one of attach, or the end of a producer's lease.
  struct Making {
    uint32_t stream_id = 0;
    std::optional<Attaching> attach;
    std::vector<int64_t> detaches;  // requests to answer when the new epoch is announced (driver.md 10)
    bool abandoned = false;         // the media driver went meanwhile: nobody waits for it
  };
  // A connection and what was made with it; lost as a whole.
  struct Planes {
    std::shared_ptr<transport::Connection> connection;
    std::shared_ptr<transport::Subscription> control_in;
    std::unique_ptr<Outbox> out;
    std::unique_ptr<transport::CounterSet> counters;  // nullptr: refused
    bool joined = false;  // our own subscription hears our control publication
    // A subscription to a shared log may begin where the slowest reader is: what was said before we came is not for us.
    int32_t session_id = 0;
    int64_t begin_position = 0;
    bool alive() const noexcept { return connection->alive() && !out->closed() && !control_in->closed(); }
  };

  // ---- driver.cc
  void sweep(pool::EpochFiles& files, bool own);
  void sweep_other_namespaces(const pool::StoreOptions& store);
  std::unique_ptr<Planes> connect() const;
  bool keep_connected();
  void drop_connection();
  bool drain_control(int& work);
  int advance_shutdown();
  void show_counters(int work) noexcept;
  void stop();

  // ---- requests.cc
  bool room() const noexcept { return planes_ && planes_->out->owed() < Outbox::kMaxOwed - kOwedReserve; }
  template <typename Message>
  void owe(Message message);
  void handle_attach(const wire::ShmAttachRequest& request);
  void defer(const wire::ShmAttachRequest& request);
  void retry_deferred();
  void begin_attach(const wire::ShmAttachRequest& request, const AttachVerdict& verdict);
  void grant(Stream& stream, const wire::ShmAttachRequest& request, const AttachVerdict& verdict);
  void refuse_attach(int64_t correlation_id, wire::ResponseCode code, std::string_view text);
  void answer_attach(const Lease& lease, int64_t correlation_id);
  void answer_detach(int64_t correlation_id, wire::ResponseCode code, std::string_view text);
  void respond(wire::ShmAttachResponse response);

  // ---- upkeep.cc
  int finish_epochs();
  void finish_making(const Making& making, EpochResult& result);
  void adopt_epoch(Stream& stream, EpochResult& result);
  void make_epoch(Stream& stream, Making making);
  void provision_static_streams();
  void retire(Stream& stream);
  int expire_leases();
  void end_lease(uint64_t lease_id, wire::RevokeReason reason, std::string text, std::optional<int64_t> detach);
  void drop_lease_from_stream(const Lease& lease);
  int upkeep();
  bool healthy(Stream& stream);
  void announce(Stream& stream, bool owed);
  EpochsInUse in_use(Stream& stream);
  void collect_later(uint32_t stream_id);
  void submit_collect(uint32_t stream_id);

  void clear_deadlines() noexcept { next_upkeep_ns_ = 0; }

  // ---- status_file.cc
  void write_status();
  std::string status_text();

  const DriverConfig config_;
  const Clock& clock_;
  const DriverOptions options_;
  const uint64_t announce_period_ns_;
  const uint64_t lease_lifetime_ns_;
  const uint64_t min_age_ns_;

  shm::FileLock lock_;
  std::optional<StatusFile> status_;
  bool on_hugetlbfs_ = false;
  std::unique_ptr<EpochMaker> maker_;
  std::unique_ptr<Planes> planes_;

  uint64_t now_ns_ = 0;  // of this duty cycle
  Streams streams_;
  Leases leases_;
  NodeIds nodes_;
  supervisor::PerConsumer per_consumer_;  // by lease
  std::unordered_map<uint64_t, Making> making_;       // by ticket
  std::unordered_set<uint32_t> attaching_clients_;    // of making_
  std::deque<wire::ShmAttachRequest> deferred_;       // wait for one of making_, in order of arrival
  std::map<uint32_t, uint64_t> collect_due_;          // stream id -> when its old epochs are old enough
  uint64_t next_ticket_ = 1;
  uint64_t next_upkeep_ns_ = 0;                       // nothing is due before

  // Attach responses we sent and have not heard back: what else is heard is another driver's (D-68).
  struct SentResponse {
    int64_t correlation_id;
    wire::ResponseCode code;
    std::optional<uint64_t> lease_id;
  };
  std::deque<SentResponse> sent_responses_;
  uint64_t foreign_logged_ns_ = 0;

  Lifecycle lifecycle_ = Lifecycle::kRunning;
  wire::ShutdownReason shutdown_reason_ = wire::ShutdownReason::normal;
  std::string shutdown_text_;
  uint64_t drain_until_ns_ = 0;
  bool notice_owed_ = false;
  uint64_t notice_until_ns_ = 0;

  uint64_t retry_at_ns_ = 0;
  uint64_t backoff_ns_ = kBackoffMinNs;

  DriverCounts counts_;
  uint64_t duty_cycles_ = 0;
  uint64_t work_done_ = 0;
  control::DispatchCounts dispatch_counts_;
};

template <typename Message>
void Driver::Impl::owe(Message message) {
  if (planes_ && !planes_->out->owe(std::move(message))) {
    // room() keeps this from happening; if it did, a client would wait for nothing: say so.
    log(LogLevel::kError, "driver", "a message was lost: ", Outbox::kMaxOwed, " are waiting to be sent already");
  }
}

}  // namespace tidepool::driver

#include "tidepool/services/driver/driver.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/base/process.h"
#include "tidepool/services/driver/driver_impl.h"
#include "tidepool/shm/directory.h"
#include "tidepool/shm/file_lock.h"
#include "tidepool/shm/region.h"
#include "tidepool/transport/counters.h"

namespace tidepool::driver {
namespace {

DriverConfig checked(DriverConfig config) {
  const auto text_of = [](const std::vector<ConfigProblem>& problems) {
    std::string text;
    for (const auto& problem : problems)
      if (problem.fatal) text += concat(text.empty() ? "" : "\n", problem.line());
    return text;
  };
  if (const auto text = text_of(check_driver_config(config)); !text.empty()) throw Error(Code::kInvalidArgument, text);
  if (const auto text = text_of(check_capacity(config)); !text.empty()) throw Error(Code::kNoSpace, text);
  return config;
}

// CFG-10: the base directory itself may be missing, its parent not.
void make_base_directory(const DriverConfig& config) {
  const mode_t granted = config.permissions_mode & 0666;
  const mode_t mode = config.permissions_mode | ((granted >> 2 | granted >> 1) & 0111);
  if (::mkdir(config.base_dir.c_str(), 0700) == 0) {
    if (::chmod(config.base_dir.c_str(), mode) != 0)
      throw Error(code_of_errno(errno), "set mode of ", config.base_dir, errno_text());
  } else if (errno != EEXIST) {
    throw Error(code_of_errno(errno), "make shm.base_dir ", config.base_dir, errno_text());
  }
}

// The driver's part of the catalogue (docs/formats/counters.md). AttachResponseDrops: requests that were not answered.
// LeaseHsmUnhandled: keepalives that mean no live lease.
constexpr transport::CounterKind kCounters[] = {
    {1, "TotalDutyCycles"}, {2, "TotalWorkDone"}, {3, "AttachResponses"}, {4, "AttachResponseDrops"}, {5, "DetachResponses"},
    {6, "Keepalives"},      {7, "LeaseRevoked"},  {8, "Announces"},       {9, "LeaseHsmUnhandled"},
};

void nap() noexcept {
  const timespec pause{0, 1'000'000};
  ::nanosleep(&pause, nullptr);
}

}  // namespace

// ---- life --------------------------------------------------------------------------------------------------------------

Driver::Impl::Impl(DriverConfig config, const Clock& clock, DriverOptions options)
    : config_(checked(std::move(config))),
      clock_(clock),
      options_(options),
      announce_period_ns_(uint64_t{config_.announce_period_ms} * kNsPerMs),
      lease_lifetime_ns_(config_.lease_lifetime_ns()),
      min_age_ns_(config_.effective_gc_min_age_ns()),
      now_ns_(clock.monotonic_ns()),
      streams_(config_),
      leases_(Leases::random_first_lease_id()),
      nodes_(uint64_t{config_.node_id_reuse_cooldown_ms} * kNsPerMs),
      per_consumer_(config_.effective_consumers(), supervisor::PlainHello::kIgnored) {
  make_base_directory(config_);
  const auto file_system = shm::file_system_of(config_.base_dir);
  on_hugetlbfs_ = file_system.hugetlbfs;

  pool::StoreOptions store;
  store.base_dir = config_.base_dir;
  store.name_space = config_.name_space;
  store.file_mode = config_.permissions_mode;
  store.allowed_base_dirs = config_.allowed_base_dirs;
  store.reserve = config_.prefault_shm;
  store.lock_memory = config_.mlock_shm;
  store.use_hugepages = on_hugetlbfs_;
  store.power_of_two_strides = config_.require_power_of_two_stride;
  auto files = std::make_unique<pool::EpochFiles>(std::move(store));
  try {
    lock_ =
        shm::FileLock::acquire(files->namespace_directory(), "driver.lock", concat("driver ", config_.instance_id));  // rulings P-7
  } catch (const Error& error) {
    if (error.code() != Code::kRejected) throw;
    throw Error(Code::kRejected, "namespace ", config_.name_space, " below ", config_.base_dir, " has a driver: ", error.what(),
                ": stop that one, or give this one another shm.namespace");
  }
  status_.emplace(shm::Directory::open(files->namespace_directory().path()), config_.permissions_mode);
  planes_ = connect();

  uint64_t all = 0;
  for (const auto& stream : config_.streams) all += config_.profile(stream.profile)->geometry.total_bytes();
  const uint64_t epochs = config_.epoch_gc_enabled && config_.epoch_gc_keep != 0 ? uint64_t{config_.epoch_gc_keep} + 1 : 1;
  if (file_system.capacity_bytes != 0 && all > file_system.capacity_bytes / epochs)
    log(LogLevel::kWarn, "driver", "the streams take ", all, " bytes an epoch and up to ", epochs,
        " epochs each for a while: more than the ", file_system.capacity_bytes, " bytes of ", config_.base_dir,
        "; restarts of producers may then fail for lack of space");

  // Rulings P-8: what dead drivers left.
  if (config_.epoch_gc_on_startup && config_.epoch_gc_enabled && config_.epoch_gc_keep != 0) {
    sweep(*files, true);
    sweep_other_namespaces(files->options());
  }
  maker_ =
      std::make_unique<EpochMaker>(std::move(files), CollectPolicy{config_.epoch_gc_enabled, config_.epoch_gc_keep, min_age_ns_});
}

// Own: we hold the lock, so whatever is here has no other owner, and what is too young now goes later.
void Driver::Impl::sweep(pool::EpochFiles& files, bool own) {
  for (const uint32_t stream_id : files.streams()) {
    pool::EpochFiles::CollectRules rules;
    rules.keep = config_.epoch_gc_keep;
    rules.min_age_ns = min_age_ns_;
    rules.now_ns = now_ns_;
    rules.now_realtime_ns = clock_.realtime_ns();
    try {
      for (const auto& gone : files.collect(stream_id, rules)) {
        ++counts_.epochs_collected;
        log(LogLevel::kInfo, "driver", "sweep: removed ", gone.path, ", ", gone.bytes, " bytes: ", gone.why);
      }
      if (!own) continue;
      const size_t left = files.epochs(stream_id).size();
      if (left == 0) files.remove_stream(stream_id);
      if (left > config_.epoch_gc_keep) collect_later(stream_id);
    } catch (const Error& error) {  // a file or a link where a stream's directory should be: no reason not to serve the others
      log(LogLevel::kWarn, "driver", "sweep of stream ", stream_id, ": ", error.what());
    }
  }
}

// The namespaces of this user that a driver of ours had once and none has now. Their lock is looked at and not taken, so that
// no driver that starts meanwhile is turned away: what such a one makes is new, and made by a process that lives, so the rules
// of collection spare it. Namespaces without a lock file were never ours: foreign drivers' are theirs to clean.
void Driver::Impl::sweep_other_namespaces(const pool::StoreOptions& store) {
  std::vector<std::string> names;
  try {
    const auto user = shm::Directory::open(concat(store.base_dir, "/tensorpool-", sanitised_user_name()));
    for (const std::string& name : user.entries()) {
      try {
        if (name == store.name_space) continue;
        const auto directory = user.child(name);
        if (directory.has("driver.lock") && !shm::FileLock::holder(directory, "driver.lock")) names.push_back(name);
      } catch (const Error&) {  // a file, a link, somebody else's: no namespace of ours
      }
    }
  } catch (const Error& error) {
    log(LogLevel::kWarn, "driver", "sweep: ", error.what());
  }
  for (const std::string& name : names) {
    try {
      pool::StoreOptions options = store;
      options.name_space = name;
      pool::EpochFiles files(std::move(options));
      sweep(files, false);
    } catch (const Error& error) {
      log(LogLevel::kWarn, "driver", "sweep of namespace ", printable(name), ": ", error.what());
    }
  }
}

int Driver::Impl::poll() {
  if (lifecycle_ == Lifecycle::kStopped) return 0;
  const int done = work();
  show_counters(done);
  return done;
}

int Driver::Impl::work() {
  now_ns_ = clock_.monotonic_ns();
  write_status();
  int work = finish_epochs();
  if (!keep_connected()) return work;
  // D-24: only who had a chance to be heard may expire.
  if (drain_control(work)) work += expire_leases();
  work += planes_->out->flush(now_ns_);  // periodic announces go only when nothing is owed
  work += upkeep();
  work += planes_->out->flush(now_ns_);
  work += advance_shutdown();
  return work;
}

bool Driver::Impl::drain_control(int& work) {
  const auto sink = [this](Bytes message, const transport::MessageInfo& info) {
    if (info.session_id == planes_->session_id && info.position <= planes_->begin_position) return;
    control::dispatch(message, info, *this, dispatch_counts_);
  };
  bool empty = false;
  int taken = 0;
  while (taken < kMaxFragmentsPerPoll) {
    const int now_taken = planes_->control_in->poll(sink, std::min(100, kMaxFragmentsPerPoll - taken));
    if (now_taken <= 0) {
      empty = true;
      break;
    }
    taken += now_taken;
  }
  counts_.malformed = dispatch_counts_.malformed + dispatch_counts_.unsupported;
  counts_.requests_failed = dispatch_counts_.failed;
  work += taken;
  return empty;
}

// Mirrored once a duty cycle; the order is that of kCounters.
void Driver::Impl::show_counters(int work) noexcept {
  ++duty_cycles_;
  work_done_ += static_cast<uint64_t>(work);
  if (!planes_ || !planes_->counters) return;
  transport::CounterSet& set = *planes_->counters;
  set.poll();
  uint64_t responses = 0, revoked = 0;
  for (const uint64_t n : counts_.attach_responses) responses += n;
  for (const uint64_t n : counts_.leases_revoked) revoked += n;
  const uint64_t values[] = {duty_cycles_,       work_done_, responses,         counts_.requests_refused,  counts_.detach_responses,
                             counts_.keepalives, revoked,    counts_.announces, counts_.keepalives_ignored};
  static_assert(std::size(values) == std::size(kCounters));
  for (size_t i = 0; i < std::size(values); ++i) set.set(i, values[i]);
}

// ---- connection ----------------------------------------------------------------------------------------------------------

std::unique_ptr<Driver::Impl::Planes> Driver::Impl::connect() const {
  transport::ConnectionOptions options;
  options.aeron_dir = config_.aeron_dir;
  options.driver_timeout_ms = options_.media_driver_timeout_ms.value_or(config_.media_driver_timeout_ms);
  options.invoker = false;  // Aeron's own thread keeps us alive to the media driver whatever holds our duty cycle up
  options.client_name = concat("tidepool driver ", config_.instance_id).substr(0, 100);
  auto planes = std::make_unique<Planes>();
  planes->connection = transport::Connection::open(options);
  planes->control_in = planes->connection->add_subscription(config_.control_channel, config_.control_stream_id);
  const auto control = planes->connection->add_publication(config_.control_channel, config_.control_stream_id);
  const bool one_plane = config_.effective_announce_channel() == config_.control_channel &&
                         config_.effective_announce_stream_id() == config_.control_stream_id;
  const auto announce =
      one_plane ? control
                : planes->connection->add_publication(config_.effective_announce_channel(), config_.effective_announce_stream_id());
  planes->session_id = control->session_id();
  planes->begin_position = control->position();
  planes->out = std::make_unique<Outbox>(control, announce, announce_period_ns_);
  try {
    planes->counters = planes->connection->add_counters({.id = config_.counter_owner_id,
                                                         .owner_id = config_.counter_owner_id,
                                                         .name = concat("Driver instance=", config_.instance_id)},
                                                        kCounters);
  } catch (const Error& error) {  // numbers for people: the driver serves without them
    log(LogLevel::kWarn, "driver", error.what());
  }
  return planes;
}

bool Driver::Impl::keep_connected() {
  if (planes_ && !planes_->alive()) drop_connection();
  if (!planes_) {
    if (lifecycle_ == Lifecycle::kDraining) {
      stop();  // nobody is left to be told
      return false;
    }
    if (now_ns_ < retry_at_ns_) return false;
    try {
      planes_ = connect();
      backoff_ns_ = kBackoffMinNs;
      ++counts_.reconnects;
      log(LogLevel::kInfo, "driver", "connected to a media driver again");
    } catch (const Error& error) {
      log(LogLevel::kDebug, "driver", "no connection yet: ", error.what());
      retry_at_ns_ = now_ns_ + backoff_ns_;
      backoff_ns_ = std::min(2 * backoff_ns_, kBackoffMaxNs);
      return false;
    }
  }
  // What is owed would be dropped as undeliverable before the media driver has joined our own ends.
  if (!planes_->joined) {
    planes_->joined = planes_->out->connected();
    if (planes_->joined && config_.provision_at_start) provision_static_streams();
  }
  return planes_->joined;
}

// driver.md 14: every publication and subscription is lost, so are all leases; a later epoch is made before one is given again.
void Driver::Impl::drop_connection() {
  log(LogLevel::kError, "driver", "the media driver is lost (", planes_->connection->failure(), "): ", leases_.size(),
      " leases dropped, waiting for it to come back");
  planes_.reset();
  for (const Lease& lease : leases_.drop_all()) {
    nodes_.release(lease.node_id, now_ns_);
    drop_lease_from_stream(lease);
    ++counts_.leases_dropped;
  }
  per_consumer_.forget_all();
  for (auto& [ticket, making] : making_) making.abandoned = true;
  deferred_.clear();
  sent_responses_.clear();
  for (auto& [stream_id, stream] : streams_) retire(stream);
  backoff_ns_ = kBackoffMinNs;
  retry_at_ns_ = now_ns_ + backoff_ns_;
}

// ---- shutdown --------------------------------------------------------------------------------------------------------------

void Driver::Impl::shutdown(wire::ShutdownReason reason, std::string text, bool drain_now) {
  if (lifecycle_ == Lifecycle::kStopped) return;
  now_ns_ = std::max(now_ns_, clock_.monotonic_ns());
  if (lifecycle_ == Lifecycle::kRunning) {
    lifecycle_ = Lifecycle::kDraining;
    shutdown_reason_ = reason;
    shutdown_text_ = text.substr(0, wire::kMaxErrorMessageBytes);
    drain_until_ns_ = now_ns_ + uint64_t{config_.shutdown_timeout_ms} * kNsPerMs;
    log(LogLevel::kInfo, "driver", "draining: ", printable(shutdown_text_));
    for (auto& [stream_id, stream] : streams_)
      if (stream.epoch != 0) announce(stream, true);
    retry_deferred();  // each hears that we are draining
  }
  if (drain_now) drain_until_ns_ = 0;
}

int Driver::Impl::advance_shutdown() {
  if (lifecycle_ != Lifecycle::kDraining) return 0;
  if (!notice_owed_) {
    if (now_ns_ < drain_until_ns_) return 0;
    // Whoever still waits for an epoch will not get it from us.
    for (auto& [ticket, making] : making_) {
      if (making.attach) refuse_attach(making.attach->request.correlation_id, wire::ResponseCode::rejected, "driver draining");
      for (const int64_t correlation_id : making.detaches) answer_detach(correlation_id, wire::ResponseCode::ok, "");
      making.abandoned = true;
    }
    wire::ShmDriverShutdown notice;
    notice.timestamp_ns = now_ns_;
    notice.reason = shutdown_reason_;
    notice.error_message = shutdown_text_;
    owe(std::move(notice));
    notice_owed_ = true;
    notice_until_ns_ = now_ns_ + kLastWordsNs;
  }
  const int sent = planes_->out->flush(now_ns_);
  if (planes_->out->owed() == 0 || now_ns_ >= notice_until_ns_) stop();
  return sent + 1;
}

void Driver::Impl::stop() {
  lifecycle_ = Lifecycle::kStopped;
  // The notice ended all leases at once (rulings P-14).
  counts_.leases_dropped += leases_.drop_all().size();
  per_consumer_.forget_all();
  for (auto& [stream_id, stream] : streams_) {
    stream.producer_lease = 0;
    stream.consumers = 0;
    if (stream.map) stream.map->mark_dead();
    stream.map = nullptr;
  }
  if (const auto failures = maker_->stop(config_.cleanup_shm_on_exit); !failures.empty())
    log(LogLevel::kWarn, "driver", "not all could be cleaned up: ", printable(failures, 1024));
  status_->remove();
  log(LogLevel::kInfo, "driver", "stopped");
}

// ---- the public face -------------------------------------------------------------------------------------------------------

Driver::Driver(DriverConfig config, const Clock& clock, DriverOptions options)
    : impl_(std::make_unique<Impl>(std::move(config), clock, options)) {}

Driver::~Driver() {
  try {
    const uint64_t give_up_ns = monotonic_ns() + Impl::kLastWordsNs;
    impl_->shutdown(wire::ShutdownReason::normal, "driver closed", true);
    while (impl_->lifecycle_ != Lifecycle::kStopped && monotonic_ns() < give_up_ns)
      if (impl_->poll() == 0) nap();
    if (impl_->lifecycle_ != Lifecycle::kStopped) impl_->stop();
  } catch (const std::exception& error) {
    log(LogLevel::kError, "driver", "closing: ", error.what());
  }
}

int Driver::poll() { return impl_->poll(); }
Driver::Lifecycle Driver::lifecycle() const noexcept { return impl_->lifecycle_; }
bool Driver::connected() const noexcept { return impl_->planes_ != nullptr && impl_->planes_->joined; }
void Driver::shutdown(wire::ShutdownReason reason, std::string text, bool drain_now) {
  impl_->shutdown(reason, std::move(text), drain_now);
}
bool Driver::revoke(uint64_t lease_id, std::string text) {
  if (!impl_->room() || impl_->leases_.find(lease_id) == nullptr) return false;
  impl_->now_ns_ = std::max(impl_->now_ns_, impl_->clock_.monotonic_ns());
  impl_->end_lease(lease_id, wire::RevokeReason::revoked, text.substr(0, wire::kMaxErrorMessageBytes), std::nullopt);
  return true;
}
const DriverCounts& Driver::counts() const noexcept { return impl_->counts_; }
size_t Driver::messages_owed() const noexcept { return impl_->planes_ ? impl_->planes_->out->owed() : 0; }

std::vector<LeaseStatus> Driver::leases() const {
  std::vector<LeaseStatus> out;
  impl_->leases_.for_each([this, &out](const Lease& lease) {
    const auto assigned = impl_->per_consumer_.assigned(lease.identity.lease_id);
    out.push_back({lease.identity.lease_id, lease.identity.stream_id, lease.identity.client_id, lease.identity.role, lease.node_id,
                   lease.expiry_ns, assigned.descriptor_stream_id, assigned.control_stream_id});
  });
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.lease_id < b.lease_id; });
  return out;
}

std::vector<StreamStatus> Driver::streams() const {
  std::vector<StreamStatus> out;
  for (const auto& [stream_id, stream] : std::as_const(impl_->streams_)) {
    if (stream.provisional) continue;
    StreamStatus status;
    status.stream_id = stream_id;
    status.profile = stream.profile;
    status.epoch = stream.epoch;
    if (const Profile* profile = impl_->config_.profile(stream.profile)) status.bytes_per_epoch = profile->geometry.total_bytes();
    if (const Lease* producer = stream.producer_lease == 0 ? nullptr : impl_->leases_.find(stream.producer_lease))
      status.producer_client_id = producer->identity.client_id;
    status.consumers = stream.consumers;
    status.dynamic = stream.dynamic;
    out.push_back(std::move(status));
  }
  return out;
}

}  // namespace tidepool::driver

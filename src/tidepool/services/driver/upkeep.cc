// What happens by itself: epochs become ready, leases end, announces and collections fall due (driver.md 6.6, 8, 9, 10).

#include <algorithm>
#include <limits>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/services/driver/driver_impl.h"

namespace tidepool::driver {

// ---- epochs ------------------------------------------------------------------------------------------------------------

void Driver::Impl::make_epoch(Stream& stream, Making making) {
  const Profile& profile = *config_.profile(stream.profile);
  EpochJob job;
  job.kind = EpochJob::Kind::kCreate;
  job.ticket = next_ticket_++;
  job.stream_id = stream.stream_id;
  job.current_epoch = stream.epoch;
  job.previous_epoch = stream.highest_epoch;
  job.geometry = profile.geometry;
  job.in_use = in_use(stream);
  job.now_ns = now_ns_;
  job.now_realtime_ns = clock_.realtime_ns();
  stream.busy = true;
  // Rulings P-9, R-06: said before it is taken.
  log(LogLevel::kInfo, "driver", "stream ", stream.stream_id, ": a new epoch by profile ", printable(profile.name), " takes ",
      profile.geometry.total_bytes(), " bytes (", profile.geometry.slot_count, " slots, ", profile.geometry.pools.size(),
      " pools)");
  making_.emplace(job.ticket, std::move(making));
  maker_->submit(std::move(job));
}

// Eagerly, where policy says so (driver.md 4): else a stream has its first epoch, and is announced, when somebody attaches. A stream
// that fails is down until then.
void Driver::Impl::provision_static_streams() {
  for (auto& [stream_id, stream] : streams_) {
    if (!stream.dynamic && !stream.busy && stream.epoch == 0) make_epoch(stream, {stream_id, std::nullopt, {}, false});
  }
}

int Driver::Impl::finish_epochs() {
  int done = 0;
  // Without room the results wait where they are: answering them would owe more.
  while (!planes_ || room()) {
    auto result = maker_->take();
    if (!result) break;
    ++done;
    counts_.epochs_collected += result->collected.size();
    for (const auto& gone : result->collected)
      log(LogLevel::kInfo, "driver", "stream ", result->stream_id, ": collected epoch ", gone.epoch, ", ", gone.bytes,
          " bytes: ", gone.why);
    if (!result->failure.empty())
      log(LogLevel::kWarn, "driver", "stream ", result->stream_id, ": ", printable(result->failure, 1024));
    if (result->kind != EpochJob::Kind::kForget && result->more_to_collect) collect_later(result->stream_id);
    const auto at = making_.find(result->ticket);
    if (result->kind != EpochJob::Kind::kCreate || at == making_.end()) continue;
    const Making making = std::move(at->second);
    making_.erase(at);
    finish_making(making, *result);
    retry_deferred();
  }
  return done;
}

void Driver::Impl::finish_making(const Making& making, EpochResult& result) {
  Stream& stream = *streams_.find(making.stream_id);  // a busy stream is never forgotten
  stream.busy = false;
  stream.highest_epoch = std::max(stream.highest_epoch, result.epoch);
  if (making.attach) attaching_clients_.erase(making.attach->request.client_id);
  if (result.created) {
    ++counts_.epochs_created;
    counts_.bytes_provisioned += config_.profile(stream.profile)->geometry.total_bytes();
  } else {
    ++counts_.epochs_failed;
  }
  clear_deadlines();

  if (making.attach && (making.abandoned || !result.created)) {
    // The attempt leaves no trace but its epoch number (D-8).
    nodes_.unreserve(making.attach->verdict.node_id);
    if (!making.abandoned)
      refuse_attach(making.attach->request.correlation_id, wire::ResponseCode::internal_error,
                    concat("shm creation failed: ", printable(result.failure, 900)));
    if (result.created) {
      result.created->map->mark_dead();
      collect_later(stream.stream_id);
    }
    if (stream.provisional) streams_.erase(stream.stream_id);
    return;
  }
  if (making.abandoned) {  // after a producer's end; the stream has been reset meanwhile
    if (result.created) result.created->map->mark_dead();
    collect_later(stream.stream_id);
    return;
  }
  if (result.created) {
    adopt_epoch(stream, result);
  } else {
    // 6.6: the number stays used, the stream is not announced, the next attach tries again.
    log(LogLevel::kError, "driver", "stream ", stream.stream_id, ": epoch ", result.epoch,
        " could not be made; the stream is down until somebody attaches");
    retire(stream);
  }
  if (making.attach) {
    stream.provisional = false;
    grant(stream, making.attach->request, making.attach->verdict);
  } else {
    if (result.created) announce(stream, true);
    for (const int64_t correlation_id : making.detaches) answer_detach(correlation_id, wire::ResponseCode::ok, "");
  }
}

// The epoch that was current goes: unmapped on the other thread, its files collected when they are old enough.
void Driver::Impl::retire(Stream& stream) {
  if (stream.map) {
    stream.map->mark_dead();
    EpochJob job;
    job.kind = EpochJob::Kind::kRelease;
    job.retired = std::move(stream.map);
    stream.map = nullptr;
    maker_->submit(std::move(job));
  }
  if (stream.epoch != 0) {
    stream.superseded.push_back({stream.epoch, now_ns_});
    collect_later(stream.stream_id);
  }
  stream.epoch = 0;
  stream.regions = {};
}

void Driver::Impl::adopt_epoch(Stream& stream, EpochResult& result) {
  retire(stream);
  stream.epoch = result.epoch;
  stream.regions = std::move(result.created->regions);
  stream.map = std::move(result.created->map);
  // Making it may have taken longer than a mapping may be idle (8.5); no producer holds a lease yet.
  stream.map->touch_activity(now_ns_);
  leases_.for_each([&](Lease& lease) {
    if (lease.identity.stream_id == stream.stream_id && lease.superseded_ns == 0) lease.superseded_ns = now_ns_;
  });
}

EpochsInUse Driver::Impl::in_use(Stream& stream) {
  EpochsInUse uses;
  leases_.for_each([&](const Lease& lease) {
    if (lease.identity.stream_id != stream.stream_id) return;
    // A producer's until it ends, a consumer's until a later one has been announced for the minimum age.
    const bool moved_on =
        lease.identity.role == wire::Role::consumer && lease.superseded_ns != 0 && now_ns_ - lease.superseded_ns >= min_age_ns_;
    if (!moved_on) uses.leased.push_back(lease.epoch);
  });
  std::erase_if(stream.superseded, [&](const Stream::Superseded& old) { return now_ns_ - old.at_ns >= min_age_ns_; });
  for (const auto& old : stream.superseded) uses.young.push_back(old.epoch);
  return uses;
}

void Driver::Impl::collect_later(uint32_t stream_id) {
  if (!config_.epoch_gc_enabled || config_.epoch_gc_keep == 0) return;
  // Directory times are kept in coarse ticks: a little later than the minimum age is surely old enough.
  collect_due_[stream_id] = now_ns_ + min_age_ns_ + 50 * kNsPerMs;
  clear_deadlines();
}

void Driver::Impl::submit_collect(uint32_t stream_id) {
  EpochJob job;
  job.kind = EpochJob::Kind::kCollect;
  job.stream_id = stream_id;
  job.now_ns = now_ns_;
  job.now_realtime_ns = clock_.realtime_ns();
  if (Stream* stream = streams_.find(stream_id)) {
    job.current_epoch = stream->epoch;
    job.in_use = in_use(*stream);
  }
  maker_->submit(std::move(job));
}

// ---- leases --------------------------------------------------------------------------------------------------------------

int Driver::Impl::expire_leases() {
  int ended = 0;
  for (const uint64_t lease_id : leases_.expired(now_ns_)) {
    if (!room()) break;  // rather late than untold
    end_lease(lease_id, wire::RevokeReason::expired, concat("no keepalive for ", lease_lifetime_ns_ / kNsPerMs, " ms"),
              std::nullopt);
    ++ended;
  }
  return ended;
}

void Driver::Impl::end_lease(uint64_t lease_id, wire::RevokeReason reason, std::string text, std::optional<int64_t> detach) {
  const Lease lease = leases_.end(lease_id, reason);
  nodes_.release(lease.node_id, now_ns_);
  per_consumer_.forget(lease_id);  // D-50
  ++counts_.leases_revoked[static_cast<size_t>(reason)];
  log(LogLevel::kInfo, "driver", "stream ", lease.identity.stream_id, ": lease ", lease_id, " of ",
      wire::name_of(lease.identity.role), " ", lease.identity.client_id, " ", wire::name_of(reason), text.empty() ? "" : ": ",
      text);
  wire::ShmLeaseRevoked notice;
  notice.timestamp_ns = now_ns_;
  notice.lease_id = lease_id;
  notice.stream_id = lease.identity.stream_id;
  notice.client_id = lease.identity.client_id;
  notice.role = lease.identity.role;
  notice.reason = reason;
  notice.error_message = std::move(text);
  owe(std::move(notice));
  drop_lease_from_stream(lease);

  if (lease.identity.role == wire::Role::producer) {
    Making making{lease.identity.stream_id, std::nullopt, {}, false};
    if (detach) making.detaches.push_back(*detach);
    make_epoch(*streams_.find(lease.identity.stream_id), std::move(making));  // 6.6, 8.2
  } else if (detach) {
    answer_detach(*detach, wire::ResponseCode::ok, "");
  }
}

void Driver::Impl::drop_lease_from_stream(const Lease& lease) {
  Stream& stream = *streams_.find(lease.identity.stream_id);
  if (lease.identity.role == wire::Role::producer) {
    stream.producer_lease = 0;
  } else {
    --stream.consumers;
  }
  stream.unused_since_ns = now_ns_;
  clear_deadlines();
}

// ---- what is due -----------------------------------------------------------------------------------------------------------

void Driver::Impl::announce(Stream& stream, bool owed) {
  const Lease* producer = stream.producer_lease == 0 ? nullptr : leases_.find(stream.producer_lease);
  auto message = announce_of(stream, producer == nullptr ? 0 : producer->identity.client_id, now_ns_);
  stream.next_announce_ns = now_ns_ + announce_period_ns_;
  clear_deadlines();
  if (!planes_) return;
  if (owed && room()) {
    owe(std::move(message));
  } else if (!planes_->out->announce_softly(message)) {
    stream.next_announce_ns = now_ns_ + announce_period_ns_ / 10;  // something is in the way: not a whole period later
    return;
  }
  ++counts_.announces;
}

// Are the current epoch's files still what they were? Somebody may have cut or removed them; a cut one must not be
// touched. If not: the lease ends, the regions are made anew under a higher epoch (8.2).
bool Driver::Impl::healthy(Stream& stream) {
  try {
    stream.map->revalidate({});
    return true;
  } catch (const Error& error) {
    if (stream.busy || !room()) return false;  // not announced, looked at again next time
    ++counts_.regions_damaged;
    log(LogLevel::kError, "driver", "stream ", stream.stream_id,
        ": regions are damaged and made anew: ", printable(error.what(), 1024));
    if (stream.producer_lease != 0) {
      end_lease(stream.producer_lease, wire::RevokeReason::revoked, "regions damaged", std::nullopt);
    } else {
      make_epoch(stream, {stream.stream_id, std::nullopt, {}, false});
    }
    return false;
  }
}

int Driver::Impl::upkeep() {
  if (now_ns_ < next_upkeep_ns_) return 0;
  int work = 0;
  std::vector<uint32_t> forgotten;
  next_upkeep_ns_ = std::numeric_limits<uint64_t>::max();  // lowered again by what is scheduled below
  uint64_t next = next_upkeep_ns_;
  for (auto& [stream_id, stream] : streams_) {
    if (stream.epoch != 0 && now_ns_ >= stream.next_announce_ns) {
      ++work;
      stream.next_announce_ns = now_ns_ + announce_period_ns_;
      if (healthy(stream)) {
        if (stream.producer_lease == 0) stream.map->touch_activity(now_ns_);  // 8.5, D-41
        announce(stream, false);
      }
    }
    if (stream.epoch != 0) next = std::min(next, stream.next_announce_ns);
    if (stream.dynamic && !stream.busy && stream.unused() && config_.dynamic_stream_linger_ms != 0) {
      // Not before its last epoch would be old enough to be collected.
      const uint64_t due = stream.unused_since_ns + std::max(uint64_t{config_.dynamic_stream_linger_ms} * kNsPerMs, min_age_ns_);
      if (now_ns_ >= due) {
        forgotten.push_back(stream_id);
      } else {
        next = std::min(next, due);
      }
    }
  }
  for (const uint32_t stream_id : forgotten) {
    log(LogLevel::kInfo, "driver", "stream ", stream_id, ": dynamic and unused, forgotten");
    EpochJob job;
    job.kind = EpochJob::Kind::kForget;
    job.stream_id = stream_id;
    job.retired = std::move(streams_.find(stream_id)->map);
    maker_->submit(std::move(job));
    streams_.erase(stream_id);
    collect_due_.erase(stream_id);
    ++work;
  }
  for (auto at = collect_due_.begin(); at != collect_due_.end();) {
    if (now_ns_ < at->second) {
      next = std::min(next, at->second);
      ++at;
      continue;
    }
    submit_collect(at->first);
    at = collect_due_.erase(at);
    ++work;
  }
  // announce() and its like may have cleared it: then the next cycle looks again.
  next_upkeep_ns_ = next_upkeep_ns_ == 0 ? 0 : next;
  return work;
}

}  // namespace tidepool::driver

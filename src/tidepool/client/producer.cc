#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/client/roles.h"

namespace tidepool::client {
namespace {

// Seldom: only when a descriptor was lost.
void show_causes(const control::DescriptorCounts& counts, ProducerCells& cells) noexcept {
  cells.descriptors_not_connected.set(counts.not_connected);
  cells.descriptors_back_pressured.set(counts.back_pressured);
  cells.descriptors_admin_action.set(counts.admin_action);
  cells.descriptors_closed.set(counts.closed);
  cells.descriptors_max_position.set(counts.max_position);
  cells.descriptors_errors.set(counts.errors);
}

}  // namespace

Producer::Impl::Impl(std::shared_ptr<Engine> the_engine, const RoleSettings& role)
    : engine(std::move(the_engine)),
      session(engine->attach<ProducerSession>(role)),
      link(session->handover()),
      invoker(engine->settings().invoker),
      descriptor_timestamps(role.descriptor_timestamps),
      realtime(role.clock_domain == ClockDomain::kRealtimeSynced) {
  take_over();
  const DataSource& source = role.source;
  if (!source.name.empty() || !source.summary.empty() || !source.attributes.empty() || !source.blobs.empty())
    set_data_source(source);
}

Producer::Impl::~Impl() {
  // Nothing of ours is used by the conductor from here on; then the lease goes back.
  writer.reset();
  map.reset();
  publication.reset();
  audience.reset();
  doorbell.reset();
  engine->close(session);
}

void Producer::Impl::take_over() noexcept {
  try {
    Attachment next = link->take(generation);
    publication = std::move(next.publication);
    doorbell = std::move(next.doorbell);
    if (next.audience != audience) adopt(std::move(next.audience));
    const bool same_epoch = next.map == map;  // new publications alone: the writer goes on
    if (!same_epoch) {
      writer.reset();
      reporter.reset();
      map = std::move(next.map);
    }
    if (map && !reporter && audience && !audience->progress.empty()) reporter.emplace(map->slot_count());
    if (same_epoch) return;
    if (map) writer.emplace(map);  // seq 0 of the new epoch (W-36)
    if (writer && realtime) writer->stamp_claims(false);  // its clock is the other one
    link->producer.next_seq.set(0);
  } catch (const std::exception& e) {
    log(LogLevel::kError, "client", "cannot take a mapping over: ", e.what());
    writer.reset();
    if (map) link->ask_remap(map->epoch(), RemapReason::kUnusable);
    map.reset();
  }
}

bool Producer::Impl::ready() noexcept {
  if (link->generation() != generation) take_over();
  return writer.has_value() && !lease_is_over();
}

bool Producer::Impl::lease_is_over() const noexcept {
  if (!invoker) return false;
  const uint64_t deadline_ns = link->lease_deadline_ns();
  return deadline_ns != 0 && monotonic_ns() > deadline_ns;
}

void Producer::Impl::adopt(std::shared_ptr<const Audience> next) {
  // Who was there before goes on at its rate.
  std::vector<uint64_t> times(next ? next->descriptors.size() : 0, 0);
  bool capped = false;
  for (size_t i = 0; i < times.size(); ++i) {
    capped |= next->descriptors[i].min_interval_ns != 0;
    for (size_t k = 0; k < sent_at_ns.size(); ++k) {
      if (audience->descriptors[k].consumer_id == next->descriptors[i].consumer_id) times[i] = sent_at_ns[k];
    }
  }
  sent_at_ns = std::move(times);
  any_capped = capped;
  audience = std::move(next);
}

// W-52, W-76: after the shared stream, which DescriptorFeed relies on.
void Producer::Impl::send_to_listeners(const wire::FrameDescriptor& descriptor) noexcept {
  const uint64_t now_ns = any_capped ? monotonic_ns() : 0;
  for (size_t i = 0; i < sent_at_ns.size(); ++i) {
    const Audience::Listener& listener = audience->descriptors[i];
    if (listener.min_interval_ns != 0) {
      if (sent_at_ns[i] != 0 && now_ns - sent_at_ns[i] < listener.min_interval_ns) continue;
      sent_at_ns[i] = now_ns;
    }
    const transport::SendResult sent = control::send_descriptor(*listener.publication, descriptor, own_descriptors);
    (sent == transport::SendResult::kOk ? link->producer.own_sent : link->producer.own_dropped).add(1);
    if (sent == transport::SendResult::kClosed || sent == transport::SendResult::kMaxPosition) link->ask_streams();
  }
}

void Producer::Impl::frame_committed(uint64_t seq, uint64_t trace_id, uint32_t frame_meta_version,
                                     uint64_t values_len_bytes) noexcept {
  if (publication || !sent_at_ns.empty()) {
    wire::FrameDescriptor descriptor;
    descriptor.stream_id = map->stream_id();
    descriptor.epoch = map->epoch();
    descriptor.seq = seq;
    if (descriptor_timestamps) descriptor.timestamp_ns = realtime ? realtime_ns() : monotonic_ns();
    if (frame_meta_version != wire::kNull32) descriptor.meta_version = frame_meta_version;
    descriptor.trace_id = trace_id;
    if (publication) {
      const transport::SendResult sent = control::send_descriptor(*publication, descriptor, descriptors);
      if (sent == transport::SendResult::kOk) {
        link->producer.descriptors_sent.add(1);
      } else {
        link->producer.descriptors_dropped.add(1);  // W-53: the frame is there all the same, and its seq is used
        show_causes(descriptors, link->producer);
        if (sent == transport::SendResult::kClosed || sent == transport::SendResult::kMaxPosition) link->ask_publication();
      }
    }
    if (!sent_at_ns.empty()) send_to_listeners(descriptor);
  }
  if (reporter && reporter->used()) {
    reporter->committed(audience.get(), *map, seq, values_len_bytes);
    link->producer.progress_sent.set(reporter->sent());
    link->producer.progress_dropped.set(reporter->dropped());
  }
  if (doorbell) doorbell->ring_if_parked();
  link->producer.frames.add(1);
}

void Producer::Impl::set_data_source(DataSource source) {
  check(source);
  ++meta_version;  // W-87
  engine->post([session = session, source = std::move(source), version = meta_version](Conductor&) { session->set_data_source(source, version); });
}

Producer::Producer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Producer::Producer(Producer&&) noexcept = default;
Producer& Producer::operator=(Producer&&) noexcept = default;
Producer::~Producer() = default;

ClaimResult Producer::claim(const wire::TensorHeader& tensor, std::optional<uint32_t> values_len_bytes) noexcept {
  ClaimResult result;
  Impl& p = *impl_;
  if (p.ready()) {
    result.error_ = p.writer->claim(tensor, result.claim_, values_len_bytes);
    if (result.error_ == pool::ClaimError::kNone) {
      p.link->producer.next_seq.set(p.writer->next_seq());
      return result;
    }
    if (result.error_ == pool::ClaimError::kTooLarge) {
      wire::TensorHeader complete = tensor;
      const bool sound = wire::check_and_infer(complete) == wire::TensorFault::kNone;
      result.needed_stride_bytes_ = pool::PoolWriter::needed_stride_bytes(values_len_bytes ? *values_len_bytes : sound ? wire::extent_bytes(complete) : 0);
    }
  }
  p.link->producer.failed.add(1);
  return result;
}

ClaimResult Producer::claim(const Tensor& tensor) noexcept { return claim(wire::contiguous(tensor.dtype, tensor.shape, tensor.order)); }

pool::CommitResult Producer::commit(pool::Claim& claim, const FrameInfo& info) noexcept {
  Impl& p = *impl_;
  if (!claim) return pool::CommitResult::kNotOpen;
  // A claim of an epoch that is lost: its memory stays as long as the claim (rulings P-4), but nobody shall see it. The writer
  // refuses what is another's or dead by itself.
  if (!p.writer || p.lease_is_over()) {
    claim = pool::Claim();
    p.link->producer.failed.add(1);
    return pool::CommitResult::kDetached;
  }
  const uint64_t seq = claim.seq();
  const uint64_t values_len_bytes = claim.bytes().size();
  pool::FrameInfo frame = p.slot_info(info);
  if (p.reporter && p.reporter->used()) {
    if (const pool::FrameInfo* early = p.reporter->early_info(claim)) frame = *early;  // the header is out already
  }
  const pool::CommitResult result = p.writer->commit(claim, frame);
  if (result == pool::CommitResult::kOk) {
    p.frame_committed(seq, info.trace_id, frame.meta_version, values_len_bytes);  // W-52: after the commit, once
  } else {
    p.link->producer.failed.add(1);
  }
  return result;
}

void Producer::abort(pool::Claim& claim) noexcept {
  Impl& p = *impl_;
  if (!claim) return;
  if (claim.alive() && p.writer) {
    p.writer->abort(claim);
  } else {
    claim = pool::Claim();
  }
}

ProgressResult Producer::report_progress(pool::Claim& claim, uint64_t bytes_filled, const FrameInfo& info) noexcept {
  Impl& p = *impl_;
  if (!claim) return ProgressResult::kInvalid;
  if (!p.ready() || !claim.alive()) return ProgressResult::kDetached;
  if (!p.audience || p.audience->progress.empty()) return ProgressResult::kNobody;  // W-78
  if (!p.reporter) return ProgressResult::kDetached;
  const ProgressResult result = p.reporter->report(*p.audience, *p.writer, claim, bytes_filled, p.slot_info(info), monotonic_ns());
  if (result == ProgressResult::kSent && p.doorbell) p.doorbell->ring_if_parked();
  p.link->producer.progress_sent.set(p.reporter->sent());
  p.link->producer.progress_dropped.set(p.reporter->dropped());
  return result;
}

pool::ClaimError Producer::offer(const wire::TensorHeader& tensor, Bytes payload, const FrameInfo& info) noexcept {
  Impl& p = *impl_;
  pool::ClaimError error = pool::ClaimError::kDetached;
  if (p.ready()) {
    error = p.writer->offer(tensor, payload, p.slot_info(info));
  }
  if (error == pool::ClaimError::kNone) {
    p.link->producer.next_seq.set(p.writer->next_seq());
    p.frame_committed(p.writer->committed_seq(), info.trace_id, p.frame_meta_version(), payload.size());
  } else {
    p.link->producer.failed.add(1);
  }
  return error;
}

pool::ClaimError Producer::offer(const Tensor& tensor, Bytes payload, const FrameInfo& info) noexcept {
  return offer(wire::contiguous(tensor.dtype, tensor.shape, tensor.order), payload, info);
}

void Producer::set_data_source(DataSource source) { impl_->set_data_source(std::move(source)); }

State Producer::state() const noexcept { return impl_->link->state(); }

std::string Producer::status_text() const {
  const Handover& link = *impl_->link;
  return concat(name_of(link.state()), ", stream ", link.stream_id(), ", epoch ", link.epoch(), ": ", link.why());
}

uint32_t Producer::meta_version() const noexcept { return impl_->meta_version; }

std::optional<SlotBuffers> Producer::buffers() const {
  if (impl_->link->generation() != impl_->generation) impl_->take_over();
  if (!impl_->map || !impl_->map->alive()) return std::nullopt;
  SlotBuffers out;
  out.map_ = impl_->map;
  out.epoch_ = impl_->map->epoch();
  for (const auto& pool : impl_->map->pools()) {
    out.pools_.push_back({.pool_id = pool.pool_id,
                          .stride_bytes = pool.stride_bytes,
                          .slot_count = impl_->map->slot_count(),
                          .bytes = {pool.mutable_slots, size_t{impl_->map->slot_count()} * pool.stride_bytes}});
  }
  return out;
}

std::optional<SlotBuffers::Place> SlotBuffers::place_of(const pool::Claim& claim) const noexcept {
  // By address: the claim's payload begins where its slot does.
  const auto at = reinterpret_cast<uintptr_t>(claim.bytes().data());
  for (size_t i = 0; i < pools_.size(); ++i) {
    const auto begin = reinterpret_cast<uintptr_t>(pools_[i].bytes.data());
    if (!claim || at < begin || at - begin >= pools_[i].bytes.size()) continue;
    return Place{.pool = i, .slot = static_cast<uint32_t>((at - begin) / pools_[i].stride_bytes)};
  }
  return std::nullopt;
}

uint32_t Producer::stream_id() const noexcept { return impl_->link->stream_id(); }
uint64_t Producer::epoch() const noexcept { return impl_->link->epoch(); }
uint64_t Producer::next_seq() const noexcept { return impl_->link->producer.next_seq.get(); }

std::optional<pool::Geometry> Producer::geometry() const {
  if (impl_->link->generation() != impl_->generation) impl_->take_over();
  if (!impl_->map) return std::nullopt;
  return impl_->map->regions().geometry();
}

ProducerCounters Producer::counters() const noexcept {
  const Handover& link = *impl_->link;
  return {.frames = link.producer.frames.get(),
          .failed = link.producer.failed.get(),
          .attaches = link.attaches(),
          .descriptors_sent = link.producer.descriptors_sent.get(),
          .descriptors_dropped = link.producer.descriptors_dropped.get(),
          .consumers = link.streams.consumers.get(),
          .consumer_streams = link.streams.streams.get(),
          .configs_sent = link.streams.configs_sent.get(),
          .own_descriptors_sent = link.producer.own_sent.get(),
          .own_descriptors_dropped = link.producer.own_dropped.get(),
          .progress_sent = link.producer.progress_sent.get(),
          .progress_dropped = link.producer.progress_dropped.get()};
}

}  // namespace tidepool::client

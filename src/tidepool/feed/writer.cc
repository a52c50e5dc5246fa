#include "tidepool/feed/writer.h"

#include <algorithm>
#include <chrono>

#include "tidepool/base/process.h"
#include "tidepool/feed/blob.h"
#include "tidepool/feed/network_fs.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/writer_impl.h"
#include "tidepool/shm/directory.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kCompareAtCloseNs = kNsPerSecond;  // what is not read back by then is not

}  // namespace
std::string_view event_name(WriterEvent::Kind kind) noexcept {
  switch (kind) {
    case WriterEvent::Kind::kOpened: return "opened";
    case WriterEvent::Kind::kRotated: return "rotated";
    case WriterEvent::Kind::kSynced: return "synced";
    case WriterEvent::Kind::kPersisted: return "persisted";
    case WriterEvent::Kind::kRetired: return "retired";
    case WriterEvent::Kind::kTrouble: return "trouble";
    case WriterEvent::Kind::kFenced: return "fenced";
    case WriterEvent::Kind::kClosed: return "closed";
    case WriterEvent::Kind::kRewritten: return "rewritten";
    case WriterEvent::Kind::kDropped: return "dropped";
  }
  return "unknown";
}

AppendStatus status_of(Fault fault) noexcept {
  switch (fault) {
    case Fault::kNoSpace: return AppendStatus::kNoSpace;
    case Fault::kNoShmSpace: return AppendStatus::kNoShmSpace;
    case Fault::kNoPersister:
    case Fault::kBackpressure: return AppendStatus::kBackpressure;
    case Fault::kFenced:
    case Fault::kFeedDeleted:
    case Fault::kFeedReplaced: return AppendStatus::kFenced;
    default: return AppendStatus::kIoError;
  }
}

// ---- open ----------------------------------------------------------------------------------------------------------------------

FeedWriter::Impl::Impl(const std::string& base, const std::string& name, const WriterOptions& options)
    : options_(options), files_(*options.files), base_(base), feed_(find_feed(base, name, files_)) {
  if (options.when_full == WriterOptions::WhenFull::kDropOldest && feed_.options.storage != Storage::kMemory) {
    throw FeedError(Fault::kUsage, "feed ", name, " is ", storage_name(feed_.options.storage), ": only memory feeds may drop what readers have not seen");
  }
  if (options.when_full == WriterOptions::WhenFull::kFail) options_.block_ns = 0;
  if (!options.blobs_are_written && has_blob_feeds(base, feed_, files_)) {
    throw FeedError(Fault::kUsage, "feed ", name, " has blobs: write it with BlobWriter, which keeps them together with their rows");
  }
  if (!options.allow_network_fs) {
    refuse_network_file_system(files_, feed_.directory);
    refuse_network_file_system(files_, feed_.options.shm_root);
  }
  lock_ = lock_within(feed_.directory, "writer.lock", options.text, options.wait_for_lock_ns, Fault::kWriterBusy);
  const FeedInfo locked = find_feed(base, name, files_);  // settings and schema may have changed since we looked
  if (locked.id == feed_.id) feed_ = locked;
  // What a daemon is just taking to disk for a dead writer it finishes first (F-63).
  hand_over_requested();
  persister_lock_ = lock_within(feed_.directory, kPersisterLockName, options.text, 30 * kNsPerSecond, Fault::kWriterBusy);
  registry_ = FeedRegistry::open(feed_, files_, true);  // after the lock: of another feed, if it was replaced meanwhile
  registry_.settle();
  registry_.refresh();
  recovery_ = recover_feed(feed_, registry_, files_);
  registry_.refresh();
  settings_ = feed_.options;
  settings_seen_ = registry_.settings_changes();
  epoch_ = recovery_.epoch;
  next_ordinal_ = recovery_.highest_ordinal + 1;
  rows_ = feed_.schema.layout() == Layout::kRows;
  stored_ = feed_.options.storage != Storage::kMemory;
  record_bytes_ = feed_.schema.record_bytes();
  align_log2_ = static_cast<uint8_t>(__builtin_ctz(feed_.schema.payload_align()));
  schema_block_ = feed_.schema.encode();
  segments_.begin(feed_, registry_, recovery_.next_seq, epoch_, [this](const FeedRecord& record) { put(record, false); });
  open_epoch(options.text);

  maker_.emplace(feed_, files_, epoch_, options_.base_shm_bytes_max);
  make_live_directory();
  live_ = LivePage::create(files_, live_directory_, feed_, epoch_, feed_.options.live_mode());
  live_.durable_seq().set(recovery_.next_seq);
  live_.floor_seq().set(registry_.floor_seq());
  for (size_t k = 0; k < feed_.schema.clocks(); ++k) live_.highest_before(k).set(recovery_.highest[k]);
  path_.begin(feed_, *bell_, live_, recovery_.highest);
  current_ = prepare();  // throws: the epoch stays used, what was prepared is swept by the next writer
  activate(*current_, recovery_.next_seq);
  adopt();
  publish_latest();
  opened_ = true;
  for (const ChunkRecovery& chunk : recovery_.chunks) live_.recovered().set(live_.recovered().peek() + chunk.count);
  happened({.kind = WriterEvent::Kind::kOpened, .first_seq = recovery_.next_seq, .end_seq = recovery_.next_seq, .text = recovery_.loss ? "records were lost" : recovery_.clean ? "" : "recovered"});
  for (const ChunkRecovery& chunk : recovery_.chunks) {
    if (chunk.rewritten) happened({.kind = WriterEvent::Kind::kRewritten, .ordinal = chunk.ordinal, .first_seq = chunk.first_seq, .end_seq = chunk.first_seq + chunk.count, .text = chunk.remark});
  }
  begin_persisting();
}

void FeedWriter::Impl::open_epoch(const std::string& text) {
  FeedRecord opened = entry(FeedEntry::kEpochOpened);
  opened.first_seq = recovery_.next_seq;
  opened.boot_id = this_boot_id();
  const ProcessId self = this_process();
  opened.pid = self.pid;
  opened.start_ticks = self.start_ticks;
  opened.text = text;
  registry_.append(opened, true);
}

void FeedWriter::Impl::make_live_directory() {
  live_directory_ = live_directory_path(feed_);
  maker_->set_live_directory(live_directory_);
  const uint32_t live_mode = feed_.options.live_mode();
  make_directory(files_, live_directory_, directory_mode(live_mode));
  if (!trusted_live_directory(feed_)) {
    throw FeedError(Fault::kPermission, live_directory_, " belongs to a stranger: remove it, or give the feed another shm_root");
  }
  shm::Doorbell::register_producer();
  // Who may read the feed may park at its doorbell, which takes the right to write there.
  const mode_t bell_mode = 0600 | ((live_mode & 0040) != 0 ? 0060 : 0) | ((live_mode & 0004) != 0 ? 0006 : 0);
  shm::Doorbell::create(shm::Directory::open(live_directory_), bell_mode);
  bell_ = shm::Doorbell::open(live_directory_);
  if (!bell_) throw FeedError(Fault::kPermission, live_directory_, "/doorbell cannot be opened");
}

// ---- close ---------------------------------------------------------------------------------------------------------------------

FeedWriter::Impl::~Impl() {
  if (!opened_) return;
  try {
    close();
  } catch (const Error& error) {
    log(LogLevel::kError, "feed", "close feed ", feed_.name, ": ", error.what());
  }
}

void FeedWriter::Impl::close() {
  if (forked()) return;
  TIDEPOOL_ONE_THREAD(path_.one_thread(), "close");
  {
    const std::scoped_lock lock(mutex_);
    if (closed_) return;
    closed_ = true;
    stopping_ = true;
    if (failure_ == AppendStatus::kOk) failure_ = AppendStatus::kClosed;
    path_.gate().shut();
  }
  space_.notify_all();
  if (crew_) crew_->leave(*this);
  maker_->drop_spares();
  if (fenced()) {  // whoever has the feed now has its live objects too
    persister_lock_ = {};
    lock_ = {};
    return;
  }
  const std::scoped_lock persisting(persist_mutex_);
  std::shared_ptr<LiveChunk> empty[2];
  {
    const std::scoped_lock lock(mutex_);
    closed_at_ = current_->first_seq + current_->count();
    if (current_->words.committed().load() != 0) {
      seal(*current_);
      queue_.push_back(current_);
    } else {
      empty[0] = current_;
    }
    empty[1] = next_;
    next_ = nullptr;
  }
  std::string why;
  if (!drain(why)) {
    lock_ = {};
    persister_lock_ = {};
    throw FeedError(why.empty() ? Fault::kIo : Fault::kNoSpace, "feed ", feed_.name, ": records ", durable_seq(), " to ", closed_at_,
                    " are not on disk", why.empty() ? " yet" : ": ", why, "; they stay in ", live_directory_, " for the next writer");
  }
  leave_nothing_behind(empty);
}

// All that is sealed is on disk, or why not.
bool FeedWriter::Impl::drain(std::string& why) {
  const uint64_t deadline_ns = monotonic_ns() + options_.close_timeout_ns;
  for (bool first = true; first || (!queue_.empty() && monotonic_ns() < deadline_ns); first = false) {
    try {
      if (round(true) == 0 && !first) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // a daemon is at it
      why.clear();
      if (stored_) look_at_daemon();
    } catch (const FeedError& error) {
      why = error.what();
      if (error.fault() == Fault::kIo) break;  // a second sync that succeeds would prove nothing
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
  const std::scoped_lock lock(mutex_);
  current_ = nullptr;
  return queue_.empty();
}

// Throws when the registry does not take what is left to say: the records are safe, and the next writer ends what we could not.
void FeedWriter::Impl::tell_the_end(std::span<const std::shared_ptr<LiveChunk>> empty) {
  try {
    for (const auto& chunk : empty) {
      if (chunk) abandon(*chunk);
    }
    segments_.close("writer closed");
    segments_.retry();
    FeedRecord end = entry(FeedEntry::kEpochClosed);
    end.first_seq = closed_at_;
    if (!stored_) {
      while (!window_.empty()) retire(pop_window());
    }
    put(end, true);
  } catch (const FeedError& error) {
    persister_lock_ = {};
    lock_ = {};
    throw FeedError(error.fault(), "close feed ", feed_.name, ": its records are safe; ", segments_.pending() + 1,
                    " entries of its registry are not written, the next writer tells what they would have: ", error.what());
  }
}

void FeedWriter::Impl::leave_nothing_behind(std::span<const std::shared_ptr<LiveChunk>> empty) {
  for (const uint64_t begin_ns = monotonic_ns(); monotonic_ns() - begin_ns < kCompareAtCloseNs && compare_copies();) {
  }
  tell_the_end(empty);
  live_.state().publish(static_cast<uint32_t>(LivePage::State::kClosed));
  bell_->ring_if_parked();
  for (const auto& chunk : window_) maker_->unlink(*chunk);
  window_.clear();
  maker_->drop_spares();
  for (const char* name : {LivePage::kName, "doorbell"}) unlink_file(files_, concat(live_directory_, "/", name));
  files_.remove_directory(live_directory_);  // stays if a stranger put something there
  persister_lock_ = {};
  lock_ = {};
  happened({.kind = WriterEvent::Kind::kClosed, .end_seq = closed_at_});
}

// ---- what all parts need -------------------------------------------------------------------------------------------------------

void FeedWriter::Impl::step_failed(const std::string& why) noexcept {
  const std::scoped_lock lock(mutex_);
  trouble_ = why;
  fail(AppendStatus::kIoError);
}

void FeedWriter::Impl::crew_gone(const std::string& why) noexcept {
  const std::scoped_lock lock(mutex_);
  trouble_ = concat("the thread that works for it has ended: ", why);
  fail(AppendStatus::kHelperGone);
}

void FeedWriter::Impl::require_open() const {
  if (forked()) throw FeedError(Fault::kUsage, "feed ", feed_.name, " was opened by the parent of this process: open it again");
  const std::scoped_lock lock(mutex_);
  if (failure_ == AppendStatus::kOk) return;
  throw FeedError(failure_ == AppendStatus::kFenced ? Fault::kFenced : failure_ == AppendStatus::kClosed ? Fault::kUsage : failure_ == AppendStatus::kNoSpace ? Fault::kNoSpace : Fault::kIo, "the writer of feed ",
                  feed_.name, " is ", append_status_name(failure_), trouble_.empty() ? "" : ": ", trouble_);
}

bool FeedWriter::Impl::fenced() const {
  const std::scoped_lock lock(mutex_);
  return failure_ == AppendStatus::kFenced || fenced_;
}

void FeedWriter::Impl::fail(AppendStatus status) noexcept {
  if (status == AppendStatus::kFenced) fenced_ = true;
  if (failure_ == AppendStatus::kOk) failure_ = status;
  path_.gate().shut();
  space_.notify_all();
}

FeedRecord FeedWriter::Impl::entry(FeedEntry type) const {
  FeedRecord record;
  record.type = type;
  record.epoch = epoch_;
  record.monotonic_ns = monotonic_ns();
  return record;
}

FeedRecord FeedWriter::Impl::entry_of(FeedEntry type, const LiveChunk& chunk) const {
  FeedRecord record = entry(type);
  record.ordinal = chunk.header.ordinal;
  record.tag = chunk.header.created_wall_ns;
  record.in_memory = true;
  record.on_disk = stored_;
  return record;
}

void FeedWriter::Impl::put(const FeedRecord& record, bool durable) {
  const std::scoped_lock lock(registry_mutex_);
  registry_.append(record, durable);
}

void FeedWriter::Impl::happened(WriterEvent event) {
  if (!options_.on_event) return;
  event.epoch = epoch_;
  event.wall_ns = realtime_ns();
  call([&] { options_.on_event(event); });
}

uint64_t FeedWriter::Impl::next_seq() const noexcept {
  const std::scoped_lock lock(mutex_);
  return current_ ? current_->first_seq + current_->count() : closed_at_;
}

WriterHealth FeedWriter::Impl::health() const {
  WriterHealth health;
  const std::scoped_lock lock(mutex_);
  health.committed_seq = current_ ? current_->first_seq + current_->count() : closed_at_;
  health.durable_seq = durable_seq();
  for (const auto& chunk : queue_) health.backlog_bytes += chunk->words.committed().load();
  for (const auto& chunk : {current_, next_}) {
    if (chunk) health.prepared_bytes += chunk->reserved().load() - chunk->words.committed().load();
  }
  health.rotations = rotations_;
  health.refused = live_.refused().peek();
  health.dropped_records = live_.dropped().peek();
  health.deadlines_missed = live_.deadlines_missed().peek();
  health.served_by_daemon = live_.wish().peek() == static_cast<uint32_t>(LivePage::Wish::kServe);
  for (size_t k = 0; k < feed_.schema.clocks(); ++k) {
    health.clock_regressions[k] = live_.regressions(k).peek();
    health.clock_step_back_max[k] = path_.step_back_max(k);
  }
  health.callback_failures = callback_failures_.load();
  if (maker_) health.memory_refused = maker_->refused();
  health.trouble = trouble_.empty() ? room_trouble_ : trouble_;
  return health;
}

// ---- the handle ----------------------------------------------------------------------------------------------------------------

void FeedWriter::Closer::operator()(Impl* impl) const noexcept {
  if (impl->forked()) return;
  delete impl;
}

FeedWriter::FeedWriter(std::unique_ptr<Impl, Closer> impl) : impl_(std::move(impl)), path_(&impl_->path()) {}
FeedWriter::FeedWriter(FeedWriter&&) noexcept = default;
FeedWriter& FeedWriter::operator=(FeedWriter&&) noexcept = default;
FeedWriter::~FeedWriter() = default;

FeedWriter FeedWriter::open(const std::string& base, const std::string& name, const WriterOptions& options) {
  try {
    return FeedWriter(std::unique_ptr<Impl, Closer>(new Impl(base, name, options)));
  } catch (const FeedError&) {
    throw;
  } catch (const Error& error) {  // from the layers below
    throw FeedError(error.code() == Code::kPermission ? Fault::kPermission : error.code() == Code::kNoSpace ? Fault::kNoShmSpace : Fault::kIo, error.what());
  }
}

FeedWriter FeedWriter::create(const std::string& base, const std::string& name, const Schema& schema, const FeedOptions& feed_options, const WriterOptions& options) {
  create_feed(base, name, schema, feed_options, *options.files);
  return open(base, name, options);
}

const FeedInfo& FeedWriter::feed() const noexcept { return impl_->feed(); }
const RecoveryReport& FeedWriter::recovery() const noexcept { return impl_->recovery(); }
uint64_t FeedWriter::epoch() const noexcept { return impl_->epoch(); }
Appended FeedWriter::append(Bytes row) noexcept {
  uint64_t seq = 0;
  if (path_->try_append(row.data(), row.size(), seq)) [[likely]] return {AppendStatus::kOk, seq};
  return row.size() == impl_->feed().record_bytes ? impl_->append_rows(row.data(), row.size()) : Appended{AppendStatus::kWrongSize};
}
Appended FeedWriter::append_batch(Bytes rows) noexcept { return impl_->append_rows(rows.data(), rows.size()); }
Appended FeedWriter::append_frame(const FrameMeta& frame, Bytes meta, Bytes payload) noexcept { return impl_->append_frame(frame, meta, payload); }
Claim FeedWriter::claim(uint64_t rows) noexcept { return impl_->claim_rows(rows); }
Claim FeedWriter::claim_frame(uint16_t meta_bytes, uint64_t payload_bytes) noexcept { return impl_->claim_frame(meta_bytes, payload_bytes); }
Appended FeedWriter::commit(const Claim& claim) noexcept { return impl_->commit_rows(claim); }
Appended FeedWriter::commit(const Claim& claim, const FrameMeta& frame, uint64_t payload_bytes) noexcept { return impl_->commit_frame(claim, frame, payload_bytes); }
void FeedWriter::abort(const Claim& claim) noexcept { impl_->abort(claim); }
void FeedWriter::sync() { impl_->sync(); }
bool FeedWriter::wait_durable(uint64_t seq, uint64_t timeout_ns) { return impl_->wait_durable(seq, timeout_ns); }
uint64_t FeedWriter::durable_seq() const noexcept { return impl_->durable_seq(); }
uint64_t FeedWriter::next_seq() const noexcept { return impl_->next_seq(); }
WriterHealth FeedWriter::health() const { return impl_->health(); }
bool FeedWriter::rotate() { return impl_->rotate(); }
bool FeedWriter::mark_segment_boundary(const std::string& reason) { return impl_->mark_segment_boundary(reason); }
void FeedWriter::mark(uint64_t seq, uint32_t code, const std::string& text) { impl_->mark(seq, code, text); }
void FeedWriter::close() { impl_->close(); }

}  // namespace tidepool::feed

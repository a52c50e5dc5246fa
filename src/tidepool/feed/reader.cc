#include "tidepool/feed/reader.h"

#include <algorithm>
#include <cstring>

#include "tidepool/base/log.h"
#include "tidepool/feed/reader_impl.h"
#include "tidepool/feed/stream_copy.h"

namespace tidepool::feed {

std::string_view writer_state_name(WriterState state) noexcept {
  switch (state) {
    case WriterState::kNever: return "never";
    case WriterState::kActive: return "active";
    case WriterState::kStalled: return "stalled";
    case WriterState::kClosed: return "closed";
    case WriterState::kCrashed: return "crashed";
    case WriterState::kUnknown: return "unknown";
  }
  return "unknown";
}

FeedReader::Impl::Impl(const std::string& base, const std::string& name, const ReaderOptions& options)
    : options_(options), files_(*options.files), base_(base), feed_(find_feed(base, name, files_)), registry_(FeedRegistry::open(feed_, files_, false)) {
  learn();
  seek(options.from);
}

void FeedReader::Impl::seek(const At& at) {
  refresh();
  here_ = nullptr;
  thrown_at_.reset();
  pending_time_.reset();
  at_mark_.reset();
  cursor_epoch_ = registry_.epochs().empty() ? 0 : registry_.epochs().back().epoch;
  last_epoch_ = 0;
  switch (at.kind) {
    case At::Kind::kLatest: next_seq_ = committed_seq(); break;
    case At::Kind::kLast: {
      const uint64_t end = committed_seq();
      next_seq_ = std::max(first_seq(), end - std::min(end, at.value));
      break;
    }
    case At::Kind::kOldest: next_seq_ = first_seq(); break;
    case At::Kind::kTime: seek_time(at); break;
    case At::Kind::kMark: seek_mark(at); break;
    case At::Kind::kSequence:
      if (at.value > committed_seq()) {
        throw FeedError(Fault::kOutOfRange, "record ", at.value, " of feed ", feed_.name, " was not written yet: the next one is ", committed_seq());
      }
      next_seq_ = at.value;
      break;
    case At::Kind::kCheckpoint:
      if (at.saved.feed_id != feed_.id) {
        throw FeedError(Fault::kFeedReplaced, "the checkpoint is of another feed than the one that is called ", feed_.name, " now");
      }
      next_seq_ = at.saved.next_seq;
      // Epochs that began since tell whether what was read still is what was written.
      if (at.saved.epoch != 0) cursor_epoch_ = std::min(cursor_epoch_, at.saved.epoch);
      last_epoch_ = at.saved.epoch;
      break;
  }
}

void FeedReader::Impl::seek_time(const At& at) {
  check_clock(at.clock);
  const uint64_t end = committed_seq();
  const auto found = find_after(at.value, at.clock);
  next_seq_ = found ? *found : end;
  if (!found) pending_time_ = at;
}

void FeedReader::Impl::seek_mark(const At& at) {
  check_clock(at.clock);
  const uint64_t floor = first_seq();
  const uint64_t end = committed_seq();  // a mark may outlive its record, until the next writer has found that out
  const MarkInfo* earliest = nullptr;  // that is kept
  const MarkInfo* best = nullptr;
  for (const MarkInfo& mark : registry_.marks()) {
    if (mark.seq >= end) break;
    if (mark.seq >= floor && earliest == nullptr) earliest = &mark;
    if (mark.clocks[at.clock] <= at.value) best = &mark;
  }
  if (best == nullptr || (best->seq < floor && earliest == nullptr)) return seek_time(at);
  at_mark_ = best->seq < floor ? *earliest : *best;
  next_seq_ = at_mark_->seq;
}

Checkpoint FeedReader::Impl::checkpoint() const {
  Checkpoint saved;
  saved.base_id = feed_.base_id;
  saved.feed_id = feed_.id;
  saved.epoch = last_epoch_ != 0 ? last_epoch_ : cursor_epoch_;
  saved.next_seq = next_seq_;
  saved.ordinal = here_ ? here_->header().ordinal : 0;
  if (here_ && next_seq_ >= here_->first_seq()) {
    const uint64_t index = next_seq_ - here_->first_seq();
    saved.offset = index < here_->records() ? here_->offset_of(index) : here_->end();
    saved.schema_id = here_->header().schema_id;
  }
  std::copy(std::begin(last_clocks_), std::end(last_clocks_), std::begin(saved.clocks));
  saved.schema_hash = feed_.schema_hash;
  return saved;
}

// ---- the handle ----------------------------------------------------------------------------------------------------------------

FeedReader::FeedReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FeedReader::FeedReader(FeedReader&&) noexcept = default;
FeedReader& FeedReader::operator=(FeedReader&&) noexcept = default;
FeedReader::~FeedReader() = default;

FeedReader FeedReader::open(const std::string& base, const std::string& name, const ReaderOptions& options) {
  return FeedReader(std::make_unique<Impl>(base, name, options));
}

const FeedInfo& FeedReader::feed() const noexcept { return impl_->feed(); }
void FeedReader::seek(const At& at) { impl_->seek(at); }
void FeedReader::cancel() noexcept { impl_->cancel(); }
const std::optional<MarkInfo>& FeedReader::at_mark() const noexcept { return impl_->at_mark(); }
Item FeedReader::next(uint64_t timeout_ns) { return impl_->next(timeout_ns); }
Batch FeedReader::next_batch(uint64_t max_rows, uint64_t timeout_ns) { return impl_->next_batch(max_rows, timeout_ns); }
std::shared_ptr<const void> FeedReader::hold() const { return impl_->hold(); }
Available FeedReader::read_available(uint64_t records_max) { return impl_->read_available(records_max); }
HeldMemory FeedReader::held() const { return impl_->ledger()->count(); }
std::shared_ptr<const HeldLedger> FeedReader::held_ledger() const noexcept { return impl_->ledger(); }
ReaderCounters FeedReader::counters() const noexcept { return impl_->counters(); }
std::optional<uint64_t> FeedReader::last_timestamp(size_t clock) { return impl_->last_timestamp(clock); }
uint64_t FeedReader::next_seq() const noexcept { return impl_->next_seq(); }
Checkpoint FeedReader::checkpoint() const { return impl_->checkpoint(); }
std::optional<uint64_t> FeedReader::first_after(uint64_t t, size_t clock) { return impl_->first_after(t, clock); }
std::optional<uint64_t> FeedReader::first_before(uint64_t t, size_t clock) { return impl_->first_before(t, clock); }
Item FeedReader::read(uint64_t seq) { return impl_->read(seq); }

bool FeedReader::Range::next(Batch& piece, uint64_t max_rows) { return impl_ != nullptr && impl_->range_next(*this, piece, max_rows); }

FeedReader::Range FeedReader::range(const TimeRange& time) {
  Range range;
  range.impl_ = impl_.get();
  range.by_time_ = true;
  range.time_ = time;
  impl_->prepare_range(range);
  return range;
}

TimeRange FeedReader::latest(uint64_t span_ns, size_t clock) {
  const auto newest = impl_->last_timestamp(clock);
  return newest ? TimeRange{impl_->latest_from(*newest, span_ns, clock), ~uint64_t{0}, clock} : TimeRange{0, 0, clock};
}

FeedError gap_error(const FeedInfo& feed, const Gap& gap, std::string_view advice) {
  const bool gone = gap.cause == GapCause::kRetention || gap.cause == GapCause::kLiveWindow;
  return FeedError(gone ? Fault::kGap : Fault::kCorrupt, "records ", gap.from, " to ", gap.to, " of feed ", feed.name,
                   !gone                                     ? " cannot be read"
                   : gap.cause == GapCause::kRetention       ? " are expired"
                                                             : " are no longer in memory",
                   gap.text.empty() ? "" : ": ", gap.text, advice.empty() ? "" : "; ", advice);
}

FeedReader::Range FeedReader::range_seq(uint64_t from, uint64_t to) {
  Range range;
  range.impl_ = impl_.get();
  range.seq_ = from;
  range.end_seq_ = to;
  impl_->prepare_range(range);
  return range;
}

namespace {
[[noreturn]] void refuse_versions(const FeedInfo& feed, const Batch& piece) {
  throw FeedError(Fault::kUsage, "from record ", piece.first_seq, " on, feed ", feed.name, " has version ", piece.schema_id,
                  " of its schema: read the range in pieces, or make one of all versions by a Projection");
}
void check_size(size_t bytes, uint64_t bytes_max) {
  if (bytes > bytes_max) throw FeedError(Fault::kResultTooLarge, "the range holds more than ", bytes_max, " bytes: read it in batches");
}
}  // namespace

std::vector<std::byte> FeedReader::read_range(const TimeRange& time, uint64_t bytes_max) {
  std::vector<std::byte> out;
  uint32_t version = 0;
  Range all = range(time);
  for (Batch piece; all.next(piece);) {
    if (piece.kind == Item::Kind::kGap) throw gap_error(feed(), piece.gap);
    if (version != 0 && piece.schema_id != version) refuse_versions(feed(), piece);
    version = piece.schema_id;
    check_size(out.size() + piece.rows.size(), bytes_max);
    out.insert(out.end(), piece.rows.begin(), piece.rows.end());
  }
  return out;
}

uint64_t FeedReader::read_range_into(MutableBytes to, const TimeRange& time) {
  uint64_t done = 0;
  uint32_t version = 0;
  Range all = range(time);
  for (Batch piece; all.next(piece);) {
    if (piece.kind == Item::Kind::kGap) throw gap_error(feed(), piece.gap);
    if (version != 0 && piece.schema_id != version) refuse_versions(feed(), piece);
    version = piece.schema_id;
    if (piece.rows.size() > to.size() - done) {
      throw FeedError(Fault::kResultTooLarge, "the range holds more than the ", to.size(), " bytes that there are for it: read it in batches");
    }
    if (piece.rows.size() >= kStreamFromBytes) {
      stream_copy(to.data() + done, piece.rows.data(), piece.rows.size());
    } else {
      std::memcpy(to.data() + done, piece.rows.data(), piece.rows.size());
    }
    done += piece.rows.size();
  }
  return done;
}

std::vector<std::byte> FeedReader::read_column(std::string_view name, const TimeRange& time, uint64_t bytes_max) {
  const Field* field = feed().schema.field(name);
  if (field == nullptr || feed().schema.layout() != Layout::kRows) throw FeedError(Fault::kUsage, "feed ", feed().name, " has no field '", printable(name), "'");
  std::vector<std::byte> out;
  Range all = range(time);
  for (Batch piece; all.next(piece);) {
    if (piece.kind == Item::Kind::kGap) throw gap_error(feed(), piece.gap);
    const size_t at = out.size();
    check_size(at + piece.count * field->bytes(), bytes_max);
    out.resize(at + piece.count * field->bytes());
    const Schema* version = feed().version(piece.schema_id);
    if (version == nullptr || version->field(name) == nullptr) refuse_versions(feed(), piece);
    const std::byte* from = piece.rows.data() + field->offset;
    const size_t row_bytes = piece.rows.size() / piece.count;
    for (uint64_t i = 0; i < piece.count; ++i) std::memcpy(out.data() + at + i * field->bytes(), from + i * row_bytes, field->bytes());
  }
  return out;
}

std::optional<Stretch> FeedReader::chunk_around(uint64_t seq) { return impl_->chunk_around(seq); }
std::optional<Stretch> FeedReader::block_around(uint64_t seq) { return impl_->block_around(seq); }
std::optional<LatestChunk> FeedReader::latest_chunk() { return impl_->latest_chunk(); }
bool FeedReader::has_data_since(uint64_t t, size_t clock) { return impl_->has_data_since(t, clock); }
uint64_t FeedReader::first_seq() { return impl_->first_seq(); }
uint64_t FeedReader::committed_seq() { return impl_->committed_seq(); }
uint64_t FeedReader::durable_seq() { return impl_->durable_seq(); }
WriterState FeedReader::writer_state() { return impl_->writer_state(); }
const std::vector<SegmentInfo>& FeedReader::segments() { return impl_->registry().segments(); }
const std::vector<LossInfo>& FeedReader::losses() { return impl_->registry().losses(); }
const std::vector<MarkInfo>& FeedReader::marks() { return impl_->registry().marks(); }
const std::vector<ChunkInfo>& FeedReader::chunks() { return impl_->registry().chunks(); }
const std::vector<EpochInfo>& FeedReader::epochs() { return impl_->registry().epochs(); }
const std::vector<std::string>& FeedReader::warnings() { return impl_->warnings(); }

}  // namespace tidepool::feed

#include "tidepool/feed/export.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>

#include "tidepool/base/log.h"
#include "tidepool/feed/fault.h"
#include "tidepool/feed/projection.h"
#include "tidepool/feed/values.h"

namespace tidepool::feed {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;
constexpr uint64_t kRowsAtOnce = 16 * 1024;
constexpr uint64_t kSaveEveryBytes = uint64_t{64} << 20;

constexpr std::string_view kGoOn = "to go on without them, say so (skip_damaged, --skip-damaged)";

// What identifies an export, so that another one never continues it.
std::string identity_of(const FeedInfo& feed, const ExportOptions& options) {
  const RecordRange& range = options.range;
  std::string columns;
  for (const std::string& name : options.style.columns) columns += concat("/", name);
  return concat(hex(feed.id), " ",
                range.by_time ? concat("time ", range.time.clock, " ", range.time.from, " ", range.time.to)
                              : concat("seq ", range.from_seq, " ", range.to_seq),
                " limit ", options.limit, " ", format_name(options.style.format), " header ", options.style.header, " seq ",
                options.style.sequence, " text ", options.style.unsigned_text, " clocks ",
                static_cast<bool>(options.style.clock_text), " delimiter ", static_cast<int>(options.style.delimiter), " skip ",
                options.on_gap == OnGap::kSkip, " columns", columns);
}

// The state file beside a partial file: four lines of text.
struct Saved {
  std::string identity;
  uint64_t next_seq = 0, records = 0, bytes = 0, end_seq = 0, limit = 0;
};

std::string text_of(const Saved& saved) {
  return concat("tidepool export 1\n", saved.identity, "\n", saved.next_seq, " ", saved.records, " ", saved.bytes, " ",
                saved.end_seq, " ", saved.limit, "\n");
}

std::optional<Saved> saved_of(const std::string& text) {
  Saved saved;
  const size_t first = text.find('\n');
  const size_t second = first == std::string::npos ? first : text.find('\n', first + 1);
  if (second == std::string::npos || text.substr(0, first) != "tidepool export 1" || text.empty() || text.back() != '\n')
    return std::nullopt;
  saved.identity = text.substr(first + 1, second - first - 1);
  unsigned long long n[5];
  if (std::sscanf(text.c_str() + second + 1, "%llu %llu %llu %llu %llu", &n[0], &n[1], &n[2], &n[3], &n[4]) != 5)
    return std::nullopt;
  saved.next_seq = n[0];
  saved.records = n[1];
  saved.bytes = n[2];
  saved.end_seq = n[3];
  saved.limit = n[4];
  return saved;
}

std::pair<std::string, std::string> split(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

// One run of an export: encodes pieces and hands the bytes on in buffers.
class Run {
 public:
  Run(FeedReader& reader, const ExportOptions& options, std::function<void(Bytes)> write)
      : reader_(reader), options_(options), encoder_(reader.feed().schema, options.style), write_(std::move(write)) {
    limit = options.limit;
  }

  ExportReport report;
  uint64_t limit = 0;  // records in all
  std::function<void()> saved;  // told after each buffer

  // An .npy file says its count first, and then holds that many, whatever the feed does meanwhile (F-100).
  void count(const RecordRange& range) {
    if (options_.style.format == RowFormat::kNpy) limit = std::min(limit, count_records(reader_, range, options_.on_gap));
  }
  void begin() {
    encoder_.begin(buffer_, limit);
    flush();
  }
  void check_count() const {
    if (options_.style.format != RowFormat::kNpy || report.interrupted || report.records == limit) return;
    throw FeedError(Fault::kCorrupt, "feed ", reader_.feed().name, ": of ", limit, " records ", report.records,
                    " could be read: some expired meanwhile; try again");
  }
  // False: the limit is reached, or it was stopped.
  bool piece(const Batch& batch) {
    if (batch.kind == Item::Kind::kGap) return gap(batch.gap);
    const Bytes all = newest(batch);
    for (uint64_t done = 0; done < batch.count;) {
      const uint64_t rows = std::min({batch.count - done, kRowsAtOnce, limit - report.records});
      if (rows == 0) return false;
      const uint32_t size = reader_.feed().record_bytes;
      encoder_.rows(buffer_, all.subspan(done * size, rows * size), rows, batch.first_seq + done);
      if (options_.on_rows) options_.on_rows(all.subspan(done * size, rows * size), rows, batch.first_seq + done);
      if (!report.first_seq) report.first_seq = batch.first_seq + done;
      done += rows;
      report.records += rows;
      report.end_seq = batch.first_seq + done;
      if (buffer_.size() < kBufferBytes) continue;
      flush();
      if (saved) saved();
      if (options_.progress && !options_.progress(report.records, report.bytes)) {
        report.interrupted = true;
        return false;
      }
    }
    return true;
  }
  void flush() {
    if (buffer_.empty()) return;
    write_(std::as_bytes(std::span(buffer_)));
    report.bytes += buffer_.size();
    buffer_.clear();
  }

 private:
  bool gap(const Gap& gap) {
    if (options_.on_gap == OnGap::kError) throw gap_error(reader_.feed(), gap, kGoOn);
    report.gaps.push_back(gap);
    return true;
  }
  // Rows of an older version of the schema get what it did not have, as zeros (F-18).
  Bytes newest(const Batch& batch) {
    if (batch.schema_id == reader_.feed().schema_id) return batch.rows;
    if (!projection_) projection_.emplace(reader_.feed(), reader_.feed().schema);
    projected_.clear();
    projection_->append(batch, projected_);
    return projected_;
  }

  FeedReader& reader_;
  const ExportOptions& options_;
  std::optional<Projection> projection_;
  std::vector<std::byte> projected_;
  RowEncoder encoder_;
  std::function<void(Bytes)> write_;
  std::string buffer_;
};

void append_meta_gaps(std::string& out, const std::vector<Gap>& gaps) {
  for (size_t i = 0; i < gaps.size(); ++i) {
    out += concat(i == 0 ? "" : ", ", "{\"from\": ", gaps[i].from, ", \"to\": ", gaps[i].to, ", \"why\": ");
    append_json_string(out, is_utf8(gaps[i].text) ? std::string_view(gaps[i].text) : "?");
    out += "}";
  }
}

std::string meta_of(const FeedInfo& feed, const ExportOptions& options, const ExportReport& report, const std::string& name) {
  const RecordRange& range = options.range;
  std::string out = "{\n  \"file\": ";
  append_json_string(out, is_utf8(name) ? std::string_view(name) : "?");
  out += concat(",\n  \"format\": \"", format_name(options.style.format), "\",\n  \"records\": ", report.records,
                ",\n  \"bytes\": ", report.bytes, ",\n  \"sha256\": \"", report.sha256, "\",\n  \"feed\": \"", feed.name,
                "\",\n  \"feed_id\": \"", hex(feed.id), "\",\n");
  if (report.first_seq) out += concat("  \"first_seq\": ", *report.first_seq, ",\n  \"end_seq\": ", report.end_seq, ",\n");
  if (range.by_time) {
    out += "  \"clock\": ";
    append_json_string(out, feed.schema.clock_name(range.time.clock));
    out += concat(",\n  \"from\": ", range.time.from, ",\n  \"to\": ", range.time.to, ",\n");
  }
  out += "  \"gaps\": [";
  append_meta_gaps(out, report.gaps);
  return out + "]\n}\n";
}

}  // namespace

bool for_each_piece(FeedReader& reader, const RecordRange& range, const std::function<bool(const Batch& piece)>& take) {
  const uint64_t floor = reader.first_seq();
  if (!range.by_time && range.from_seq < floor && range.from_seq < range.to_seq) {
    Batch lost;
    lost.kind = Item::Kind::kGap;
    lost.gap = {range.from_seq, std::min(floor, range.to_seq), GapCause::kRetention, "expired"};
    if (!take(lost)) return false;
  }
  FeedReader::Range all = range.by_time ? reader.range(range.time) : reader.range_seq(range.from_seq, range.to_seq);
  for (Batch piece; all.next(piece);) {
    if (!take(piece)) return false;
  }
  return true;
}

uint64_t count_records(FeedReader& reader, const RecordRange& range, OnGap on_gap) {
  uint64_t count = 0;
  for_each_piece(reader, range, [&](const Batch& piece) {
    if (piece.kind == Item::Kind::kGap && on_gap == OnGap::kError) throw gap_error(reader.feed(), piece.gap, kGoOn);
    if (piece.kind != Item::Kind::kGap) count += piece.count;
    return true;
  });
  return count;
}

ExportReport export_rows(FeedReader& reader, const ExportOptions& options, const std::function<void(Bytes bytes)>& write) {
  Run run(reader, options, write);
  // The end is fixed before rows are counted (F-100).
  RecordRange range = options.range;
  if (!range.by_time) range.to_seq = std::min(range.to_seq, reader.committed_seq());
  run.count(range);
  run.begin();
  for_each_piece(reader, range, [&](const Batch& piece) { return run.piece(piece); });
  run.flush();
  run.check_count();
  return run.report;
}

namespace {

// The file while it is made, and what is kept of it for a later run.
class PartialFile {
 public:
  PartialFile(const std::string& path, std::string identity)
      : path_(path), identity_(std::move(identity)), file_(File::open(files_, path + ".partial", O_RDWR | O_CREAT, 0666)) {
    if (split(path).second.empty()) throw FeedError(Fault::kUsage, "'", printable(path), "' names no file");
  }

  uint64_t bytes() const noexcept { return at_; }
  // What an earlier run left: cut to what its state vouches for, its checksum made again. nullopt: none that fits.
  std::optional<Saved> take_over() {
    const File state = File::open_if_there(files_, state_path(), O_RDONLY);
    if (!state) return std::nullopt;
    std::string text(std::min<uint64_t>(state.size(), 1 << 20), '\0');
    state.read(std::as_writable_bytes(std::span(text)), 0);
    const auto saved = saved_of(text);
    if (!saved || saved->identity != identity_ || saved->bytes > file_.size()) return std::nullopt;
    std::vector<std::byte> buffer(kBufferBytes);
    for (at_ = 0; at_ < saved->bytes;) {
      const auto wanted = static_cast<size_t>(std::min<uint64_t>(buffer.size(), saved->bytes - at_));
      const MutableBytes got = file_.read(MutableBytes(buffer).first(wanted), at_);
      if (got.size() != wanted) return std::nullopt;
      sha_.add(got);
      at_ += wanted;
    }
    return saved;
  }
  void start(bool taken_over) {
    if (!taken_over) {
      at_ = 0;
      sha_ = Sha256();
    }
    file_.resize(at_);
    saved_at_ = at_;
  }
  void write(Bytes bytes) {
    file_.write(bytes, at_);
    sha_.add(bytes);
    at_ += bytes.size();
  }
  bool wants_save() const noexcept { return at_ - saved_at_ >= kSaveEveryBytes; }
  void save(Saved now) {
    now.identity = identity_;
    now.bytes = at_;
    file_.sync();  // the state vouches for these bytes, after a power cut, too
    const std::string text = text_of(now);
    const auto [directory, name] = split(state_path());
    write_file_atomically(files_, directory, name, std::as_bytes(std::span(text)), 0666);
    saved_at_ = at_;
  }
  std::string sha256() const { return sha_.hex(); }
  void finish(const std::string& meta) {
    const auto [directory, name] = split(path_);
    file_.sync();
    write_file_atomically(files_, directory, name + ".meta.json", std::as_bytes(std::span(meta)), 0666);
    rename_file(files_, path_ + ".partial", path_);
    sync_directory(files_, directory);
    unlink_file(files_, state_path());
  }
  void discard() noexcept {
    try {
      unlink_file(files_, path_ + ".partial");
      unlink_file(files_, state_path());
    } catch (const Error&) {  // the failure that brought us here is the one to tell
    }
  }

 private:
  std::string state_path() const { return path_ + ".partial.state"; }
  Files& files_ = Files::system();
  std::string path_;
  std::string identity_;
  File file_;
  Sha256 sha_;
  uint64_t at_ = 0;
  uint64_t saved_at_ = 0;
};

// Where the run begins: at the beginning, or behind what is there already.
RecordRange begin_or_resume(Run& run, PartialFile& partial, const ExportOptions& options, RecordRange range) {
  const std::optional<Saved> before = options.resume && !range.by_time ? partial.take_over() : std::nullopt;
  partial.start(before.has_value());
  if (!before) {
    run.count(range);
    run.begin();
    return range;
  }
  run.report.records = run.report.resumed_records = before->records;
  run.report.bytes = before->bytes;
  run.report.first_seq = options.range.from_seq;
  run.report.end_seq = before->next_seq;
  run.limit = before->limit;
  range.from_seq = before->next_seq;
  range.to_seq = before->end_seq;
  return range;
}

}  // namespace

ExportReport export_file(FeedReader& reader, const ExportOptions& options, const std::string& path) {
  PartialFile partial(path, identity_of(reader.feed(), options));
  Run run(reader, options, [&](Bytes bytes) { partial.write(bytes); });
  // A run is continued by number; a range by time would have to be searched anew.
  const bool keep = options.keep_partial && !options.range.by_time && options.on_gap == OnGap::kError;
  try {
    RecordRange range = options.range;
    if (!range.by_time) range.to_seq = std::min(range.to_seq, reader.committed_seq());
    range = begin_or_resume(run, partial, options, range);
    const auto save = [&] { partial.save({{}, run.report.end_seq, run.report.records, 0, range.to_seq, run.limit}); };
    if (keep) {
      run.saved = [&] {
        if (partial.wants_save()) save();
      };
    }
    for_each_piece(reader, range, [&](const Batch& piece) { return run.piece(piece); });
    run.flush();
    if (run.report.interrupted) {
      if (keep) save();
      if (!keep) partial.discard();
      return run.report;
    }
    run.check_count();
    run.report.sha256 = partial.sha256();
    partial.finish(meta_of(reader.feed(), options, run.report, split(path).second));
  } catch (...) {
    partial.discard();
    throw;
  }
  return run.report;
}

}  // namespace tidepool::feed

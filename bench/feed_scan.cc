// Reading what is there: a range into a buffer, one column in place, and the way to a time.

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "feed_lab.h"
#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/feed/reader.h"

namespace tidepool::bench {
namespace {

using feed::At;
using feed::Batch;
using feed::FeedReader;
using feed::FeedWriter;
using feed::Item;

struct SmallRow {
  uint64_t time;
  uint64_t value;
};

// A feed of `rows` rows, closed, in `chunks` chunks.
template <typename Row>
void fill(const FeedLab& lab, const std::string& name, const feed::Schema& schema, uint64_t rows, uint64_t chunks) {
  auto options = lab.feed_options(feed::Storage::kTiered);
  options.chunk_bytes = (rows + chunks - 1) / chunks * sizeof(Row);
  options.live_chunks = 2;
  options.sync = feed::SyncMode::kNone;
  options.backlog_bytes = std::max<uint64_t>(256ull << 20, 4 * options.chunk_bytes);
  feed::WriterOptions patient;
  patient.block_ns = 60 * kNsPerSecond;
  patient.close_timeout_ns = 300 * kNsPerSecond;
  auto writer = FeedWriter::create(lab.base(), name, schema, options, patient);
  std::vector<Row> batch(std::min<uint64_t>(4096, rows / chunks));
  const uint64_t chunk_rows = (rows + chunks - 1) / chunks;
  for (uint64_t at = 0; at < rows;) {
    // A batch lies in one chunk: chunks of just so many rows are what is sought in.
    const uint64_t count = std::min({uint64_t{batch.size()}, rows - at, chunk_rows - at % chunk_rows});
    for (uint64_t i = 0; i < count; ++i) {
      std::memset(&batch[i], 0, sizeof(Row));
      const uint64_t time = 10 * (at + i);
      const uint64_t value = at + i;
      std::memcpy(&batch[i], &time, sizeof time);
      std::memcpy(reinterpret_cast<std::byte*>(&batch[i]) + 8, &value, sizeof value);
    }
    if (const auto done = writer.append_batch(std::as_bytes(std::span(batch).first(count))); !done) {
      throw Error(Code::kInternal, "append: ", feed::append_status_name(done.status));
    }
    at += count;
  }
  writer.close();
}

double gib_per_s(uint64_t bytes, uint64_t took_ns) { return static_cast<double>(bytes) / static_cast<double>(1 << 30) * 1e9 / static_cast<double>(took_ns); }

Result measure_buffer(const FeedBenchOptions& options, const FeedLab& lab) {
  auto reader = FeedReader::open(lab.base(), "wide");
  const uint64_t bytes = options.scan_bytes / sizeof(FeedRow) * sizeof(FeedRow);
  const Memory from("", bytes, true);
  const Memory to("", bytes, true);
  double first = 0;
  const auto subject = [&] {
    const uint64_t start = monotonic_ns();
    const uint64_t got = reader.read_range_into({to.data(), bytes}, {});
    const double rate = gib_per_s(bytes, monotonic_ns() - start);
    if (got != bytes) throw Error(Code::kInternal, "a scan gave ", got, " bytes of ", bytes);
    if (first == 0) first = rate;
    return rate;
  };
  Result result = summarise("feed/scan/buffer", "GiB/s", "memcpy", alternate(options.windows, subject, [&] {
                              const uint64_t start = monotonic_ns();
                              std::memcpy(to.data(), from.data(), bytes);
                              return gib_per_s(bytes, monotonic_ns() - start);
                            }));
  result.more.emplace_back("GiB/s the first time, with attaching and checksums", first);
  return result;
}

// The sum of the second column, without a copy.
uint64_t sum_of(const std::byte* rows, uint64_t count, uint64_t stride) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < count; ++i) sum += load<uint64_t>(rows + i * stride + 8);
  return sum;
}

Result measure_column(const FeedBenchOptions& options, const FeedLab& lab, const std::string& name, const std::string& feed_name, uint64_t stride) {
  auto reader = FeedReader::open(lab.base(), feed_name);
  const uint64_t rows = options.scan_bytes / stride;
  const Memory memory("", rows * stride, true);
  for (uint64_t i = 0; i < rows; ++i) store(memory.data() + i * stride + 8, i);
  const uint64_t expected = sum_of(memory.data(), rows, stride);
  const auto rate = [&](auto&& sum) {
    const uint64_t start = monotonic_ns();
    const uint64_t got = sum();
    const uint64_t took = monotonic_ns() - start;
    if (got != expected) throw Error(Code::kInternal, "the sum of a column is ", got, ", not ", expected);
    return static_cast<double>(rows) * 1e9 / static_cast<double>(took);
  };
  const auto subject = [&] {
    return rate([&] {
      uint64_t sum = 0;
      auto range = reader.range({});
      for (Batch piece; range.next(piece);) sum += sum_of(piece.rows.data(), piece.count, stride);
      return sum;
    });
  };
  return summarise(name, "rows/s", "a loop over plain memory",
                   alternate(options.windows, subject, [&] { return rate([&] { return sum_of(memory.data(), rows, stride); }); }));
}

struct Seek {
  double mapped_us = 0;
  double first_us = 0;
};

std::string power_name(uint64_t rows) {
  int zeros = 0;
  uint64_t head = rows;
  for (; head >= 10 && head % 10 == 0; head /= 10) ++zeros;
  return concat(head, "e", zeros);
}

// Seek to random times in a few chunks, which are mapped, and read the row there.
class Seeker {
 public:
  Seeker(const FeedLab& lab, const std::string& name, uint64_t rows, uint64_t chunks)
      : reader_(FeedReader::open(lab.base(), name)), chunk_rows_((rows + chunks - 1) / chunks), rows_(rows) {
    for (uint64_t i = 0; i < 6; ++i) {
      targets_.push_back(chunks * (2 * i + 1) / 12 * chunk_rows_);
      const uint64_t start = monotonic_ns();
      seek(targets_.back() + chunk_rows_ / 2);
      first_.push_back(static_cast<double>(monotonic_ns() - start) / 1000);
    }
  }
  double window_us() {
    constexpr int kSeeks = 2000;
    const uint64_t start = monotonic_ns();
    for (int i = 0; i < kSeeks; ++i) seek(std::min(rows_ - 1, targets_[random_() % targets_.size()] + random_() % chunk_rows_));
    return static_cast<double>(monotonic_ns() - start) / 1000 / kSeeks;
  }
  double first_us() const { return median(first_); }

 private:
  void seek(uint64_t row) {
    reader_.seek(At::time(10 * row - (row > 0 ? 5 : 0)));
    const Item item = reader_.next();
    if (item.kind != Item::Kind::kRow || item.seq != row) throw Error(Code::kInternal, "a seek to row ", row, " gave ", item.seq);
  }
  FeedReader reader_;
  uint64_t chunk_rows_;
  uint64_t rows_;
  std::vector<uint64_t> targets_;
  std::vector<double> first_;
  std::mt19937_64 random_{1};
};

// A reader of a feed of so many chunks; beside it, its registry read once.
Result measure_open(const FeedBenchOptions& options, const FeedLab& lab) {
  const std::string registry = concat(lab.base(), "/feeds/large/feed_registry.bin");
  const auto microseconds = [](const auto& work) {
    const uint64_t start = monotonic_ns();
    work();
    return static_cast<double>(monotonic_ns() - start) / 1000;
  };
  const auto subject = [&] { return microseconds([&] { FeedReader::open(lab.base(), "large"); }); };
  const auto limit = [&] {
    return microseconds([&] {
      const feed::File file = feed::File::open(feed::Files::system(), registry, O_RDONLY);
      std::vector<std::byte> bytes(file.size());
      if (file.read(bytes, 0).size() != bytes.size()) throw Error(Code::kInternal, registry, " is shorter than it was");
    });
  };
  return summarise(concat("feed/open/", options.seek_chunks, "chunks"), "us", "its registry, read once", alternate(options.windows, subject, limit));
}

std::vector<Result> measure_seek(const FeedBenchOptions& options, const Progress& progress) {
  const uint64_t rows = options.seek_rows;
  FeedLab lab(options);
  lab.need_disk(rows * sizeof(SmallRow) * 5 / 4);
  const auto schema = feed::Schema::rows({{"time", "uint64"}, {"value", "uint64"}});
  progress("feed/seek: writing a feed of " + power_name(rows / 10) + " rows");
  fill<SmallRow>(lab, "small", schema, rows / 10, std::max<uint64_t>(1, options.seek_chunks / 10));
  progress("feed/seek: writing a feed of " + power_name(rows) + " rows");
  fill<SmallRow>(lab, "large", schema, rows, options.seek_chunks);
  progress("feed/seek");
  Seeker small(lab, "small", rows / 10, std::max<uint64_t>(1, options.seek_chunks / 10));
  Seeker large(lab, "large", rows, options.seek_chunks);
  const Memory memory("", rows * sizeof(SmallRow), true);
  auto* plain = reinterpret_cast<SmallRow*>(memory.data());
  for (uint64_t i = 0; i < rows; ++i) plain[i] = {10 * i, i};
  std::mt19937_64 random{2};
  const auto limit = [&] {
    constexpr int kSeeks = 2000;
    uint64_t sum = 0;
    const uint64_t start = monotonic_ns();
    for (int i = 0; i < kSeeks; ++i) {
      const uint64_t t = 10 * (random() % rows);
      sum += std::lower_bound(plain, plain + rows, t, [](const SmallRow& row, uint64_t value) { return row.time < value; })->value;
    }
    const double us = static_cast<double>(monotonic_ns() - start) / 1000 / kSeeks;
    if (sum == 0) throw Error(Code::kInternal, "nothing was found");
    return us;
  };
  const char* plain_name = "binary search in as many rows of plain memory";
  Result large_result = summarise("feed/seek/" + power_name(rows), "us", plain_name, alternate(options.windows, [&] { return large.window_us(); }, limit));
  const Pairs sizes = alternate(options.windows, [&] { return large.window_us(); }, [&] { return small.window_us(); });
  const Result growth = summarise("", "", "", sizes);
  large_result.more.emplace_back("times what it takes in a tenth of the rows and chunks", growth.ratio);
  large_result.more.emplace_back("us the first time, with attaching", large.first_us());
  return {large_result, measure_open(options, lab)};
}

}  // namespace

std::vector<Result> measure_feed_scans(const FeedBenchOptions& options, const std::function<bool(const std::string&)>& wants, const Progress& progress) {
  std::vector<Result> results;
  const bool buffer = wants("feed/scan/buffer");
  const bool column = wants("feed/scan/column");
  const bool column64 = wants("feed/scan/column64");
  if (buffer || column || column64) {
    FeedLab lab(options);
    lab.need_disk(2 * options.scan_bytes);
    progress("feed/scan");
    if (buffer || column64) fill<FeedRow>(lab, "wide", feed_row_schema(), options.scan_bytes / sizeof(FeedRow), 4);
    if (column) fill<SmallRow>(lab, "narrow", feed::Schema::rows({{"time", "uint64"}, {"value", "uint64"}}), options.scan_bytes / sizeof(SmallRow), 4);
    const Pinned pinned(0);
    if (buffer) results.push_back(measure_buffer(options, lab));
    if (column) results.push_back(measure_column(options, lab, "feed/scan/column", "narrow", sizeof(SmallRow)));
    if (column64) results.push_back(measure_column(options, lab, "feed/scan/column64", "wide", sizeof(FeedRow)));
  }
  if (wants("feed/seek/" + power_name(options.seek_rows))) {
    for (Result& result : measure_seek(options, progress)) results.push_back(std::move(result));
  }
  return results;
}

std::vector<Result> measure_feeds(const FeedBenchOptions& options, const std::vector<std::string>& wanted, const Progress& progress) {
  const auto wants = [&](const std::string& name) {
    return wanted.empty() || std::any_of(wanted.begin(), wanted.end(), [&](const std::string& prefix) {
      return name.starts_with(prefix) || name.starts_with("feed/" + prefix);
    });
  };
  std::vector<Result> results;
  for (const auto measure : {measure_feed_appends, measure_feed_latency, measure_feed_scans}) {
    for (Result& result : measure(options, wants, progress)) results.push_back(std::move(result));
  }
  return results;
}

}  // namespace tidepool::bench

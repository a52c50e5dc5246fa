// Appends and frames: what one process writes while another follows.

#include <cstring>
#include <optional>

#include "feed_lab.h"
#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/feed/reader.h"

namespace tidepool::bench {
namespace {

using feed::AppendStatus;
using feed::Batch;
using feed::FeedReader;
using feed::FeedWriter;
using feed::Item;
using feed::Storage;

constexpr const char* kName = "rows";

// ---- the follower's side -------------------------------------------------------------------------------------------------------

// Spins, or looks every 100 us, as the follower of the plain pipeline does.
void follow_feed(FeedReader& reader, FeedPage& page, Tasks& tasks, bool spin) {
  uint64_t sum = page.sum.word.load(std::memory_order_relaxed);
  while (tasks.now() == Task::kFeed) {
    const Batch batch = reader.next_batch();
    if (batch.kind == Item::Kind::kIdle || batch.kind == Item::Kind::kStalled) {
      if (!spin) std::this_thread::sleep_for(std::chrono::microseconds(100));
      continue;
    }
    if (batch.kind == Item::Kind::kGap) {
      page.seen.more[0].fetch_add(batch.gap.to - batch.gap.from, std::memory_order_relaxed);  // relaxed: a figure, read when all is over
    } else if (batch.kind != Item::Kind::kRow) {
      throw Error(Code::kInternal, "the follower met outcome ", static_cast<int>(batch.kind), " at record ", reader.next_seq());
    }
    const std::byte* at = batch.rows.data();
    for (uint64_t i = 0; i < batch.count; ++i) sum += load<uint64_t>(at + i * sizeof(FeedRow) + 8);
    page.sum.word.store(sum, std::memory_order_relaxed);  // relaxed: so that the loop is not optimised away
    page.seen.word.store(reader.next_seq(), std::memory_order_release);
  }
}

void follow_plain(const std::byte* data, uint64_t bytes, FeedPage& page, Tasks& tasks) {
  uint64_t done = page.plain_seen.word.load(std::memory_order_relaxed);
  uint64_t sum = 0;
  while (tasks.now() == Task::kPlain) {
    for (const uint64_t committed = page.committed.word.load(std::memory_order_acquire); done < committed; done += sizeof(FeedRow)) {
      sum += load<uint64_t>(data + done % bytes + 8);
    }
    page.sum.word.store(sum, std::memory_order_relaxed);  // relaxed: so that the loop is not optimised away
    page.plain_seen.word.store(done, std::memory_order_release);
  }
}

std::function<void(FeedPage&)> follower(const FeedLab& lab, bool spin, const Memory* plain, uint64_t plain_bytes) {
  return [&lab, spin, plain, plain_bytes](FeedPage& page) {
    std::optional<Pinned> pinned;
    if (spin) pinned.emplace(1);
    std::optional<FeedReader> reader;
    Tasks tasks(page);
    for (;;) {
      switch (tasks.now()) {
        case Task::kFeed:
          if (!reader) reader = FeedReader::open(lab.base(), kName, {.from = feed::At::oldest(), .stalled_after_ns = 60 * kNsPerSecond});
          follow_feed(*reader, page, tasks, spin);
          break;
        case Task::kPlain: follow_plain(plain->data(), plain_bytes, page, tasks); break;
        case Task::kPipeline: PlainPipeline::follow(lab.shm(), page, tasks); break;
        case Task::kQuit: return;
        default: std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
    }
  };
}

// ---- the writer's side ---------------------------------------------------------------------------------------------------------

void refuse(AppendStatus status) { throw Error(Code::kInternal, "append: ", feed::append_status_name(status)); }

// Row by row, as an acquisition loop does.
void append_rows(FeedWriter& writer, FeedRow& row, uint64_t rows) {
  for (uint64_t i = 0; i < rows; ++i) {
    row.time = ++row.number;
    if (const auto done = writer.append(row); done.status != AppendStatus::kOk) [[unlikely]] refuse(done.status);
  }
}

class PlainRows {
 public:
  PlainRows(const Memory& memory, uint64_t bytes, FeedPage& page) : data_(memory.data()), bytes_(bytes), page_(page) {}
  double window(uint64_t rows, Other& other) {
    other.task(Task::kPlain);
    const uint64_t start = monotonic_ns();
    uint64_t at = written_;
    for (uint64_t i = 0; i < rows; ++i, at += sizeof row_) {
      row_.time = ++row_.number;
      std::memcpy(data_ + at % bytes_, &row_, sizeof row_);
      page_.committed.word.store(at + sizeof row_, std::memory_order_release);
    }
    written_ = at;
    const uint64_t took = monotonic_ns() - start;
    other.wait_for(page_.plain_seen, written_);
    other.task(Task::kIdle);
    return static_cast<double>(rows) * 1e9 / static_cast<double>(took);
  }

 private:
  std::byte* data_;
  uint64_t bytes_;
  FeedPage& page_;
  FeedRow row_{};
  uint64_t written_ = 0;
};

void wait_prepared(FeedWriter& writer, uint64_t bytes) {
  const uint64_t give_up = monotonic_ns() + 30 * kNsPerSecond;
  while (writer.health().prepared_bytes < bytes) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (monotonic_ns() > give_up) throw Error(Code::kTimeout, "the window of ", bytes, " bytes is not prepared: ", writer.health().trouble);
  }
}

constexpr uint64_t kPlainBytes = 128ull << 20;

Result measure_burst(const FeedBenchOptions& options) {
  FeedLab lab(options);
  lab.need_disk(static_cast<uint64_t>(options.windows + 1) * options.burst_rows * sizeof(FeedRow));
  const Memory memory("", kPlainBytes, true);
  Other other(follower(lab, true, &memory, kPlainBytes));
  PlainRows plain(memory, kPlainBytes, other.page());
  auto writer = FeedWriter::create(lab.base(), kName, feed_row_schema(), lab.feed_options(Storage::kTiered));
  const Pinned pinned(0);
  FeedRow row{};
  const auto subject = [&] {
    writer.sync();
    wait_prepared(writer, options.burst_rows * sizeof row);
    other.task(Task::kFeed);
    other.wait_for(other.page().seen, writer.next_seq());
    const uint64_t start = monotonic_ns();
    append_rows(writer, row, options.burst_rows);
    const uint64_t took = monotonic_ns() - start;
    other.wait_for(other.page().seen, writer.next_seq());
    other.task(Task::kIdle);
    return static_cast<double>(options.burst_rows) * 1e9 / static_cast<double>(took);
  };
  return summarise("feed/append/tiered/burst", "rows/s", "copy and one release store, followed",
                   alternate(options.windows, subject, [&] { return plain.window(options.burst_rows, other); }));
}

// Until all of it is durable, and followed.
double sustain(FeedWriter& writer, FeedRow& row, uint64_t bytes, Other& other) {
  other.task(Task::kFeed);
  const uint64_t rows = bytes / sizeof row;
  const uint64_t start = monotonic_ns();
  append_rows(writer, row, rows);
  if (writer.feed().options.storage != Storage::kMemory) writer.sync();
  other.wait_for(other.page().seen, writer.next_seq());
  const uint64_t took = monotonic_ns() - start;
  other.task(Task::kIdle);
  return static_cast<double>(rows) * 1e9 / static_cast<double>(took);
}

double write_plainly(const FeedLab& lab, const Memory& memory, uint64_t memory_bytes, uint64_t bytes, uint64_t step) {
  static uint64_t number = 0;
  PlainFile file(concat(lab.disk(), "/plain-", ++number));
  const uint64_t start = monotonic_ns();
  for (uint64_t at = 0; at < bytes; at += step) file.write(memory.data() + at % memory_bytes, step, at);
  file.sync();
  return static_cast<double>(bytes) * 1e9 / static_cast<double>(monotonic_ns() - start);
}

feed::WriterOptions patient() {
  feed::WriterOptions options;
  options.block_ns = 30 * kNsPerSecond;
  return options;
}

Result measure_tiered(const FeedBenchOptions& options) {
  FeedLab lab(options);
  lab.need_disk(static_cast<uint64_t>(options.windows + 1) * 2 * options.sustained_bytes + (4 * options.sustained_bytes));
  Other other(follower(lab, false, nullptr, 0));
  auto feed_options = lab.feed_options(Storage::kTiered);
  feed_options.backlog_bytes = 256ull << 20;
  Pairs pairs;
  {
    auto writer = FeedWriter::create(lab.base(), kName, feed_row_schema(), feed_options, patient());
    PlainPipeline pipeline(lab, other.page());
    FeedRow row{};
    pairs = alternate(options.windows, [&] { return sustain(writer, row, options.sustained_bytes, other); },
                      [&] {
                        other.task(Task::kPipeline);
                        const double rows = pipeline.run(options.sustained_bytes, other);
                        other.task(Task::kIdle);
                        return rows;
                      });
  }
  Result result = summarise("feed/append/tiered/sustained", "rows/s", "a plain pipeline: helper, persister, writer, follower", pairs);
  const Memory memory("", kPlainBytes, true);
  std::vector<double> disk;
  for (int i = 0; i < 3; ++i) disk.push_back(write_plainly(lab, memory, kPlainBytes, options.sustained_bytes, 4 << 20) / sizeof(FeedRow));
  result.more.emplace_back("rows/s the disk takes by sequential O_DIRECT alone", median(disk));
  return result;
}

Result measure_durable(const FeedBenchOptions& options) {
  FeedLab lab(options);
  lab.need_disk(static_cast<uint64_t>(options.windows + 1) * 2 * options.sustained_bytes);
  Other other(follower(lab, false, nullptr, 0));
  auto feed_options = lab.feed_options(Storage::kDurable);
  feed_options.backlog_bytes = 256ull << 20;
  auto writer = FeedWriter::create(lab.base(), kName, feed_row_schema(), feed_options, patient());
  const Memory memory("", kPlainBytes, true);
  FeedRow row{};
  return summarise("feed/append/durable", "rows/s", "the same bytes by plain sequential O_DIRECT",
                   alternate(options.windows, [&] { return sustain(writer, row, options.sustained_bytes, other); },
                             [&] { return write_plainly(lab, memory, kPlainBytes, options.sustained_bytes, 1 << 20) / sizeof row; }));
}

Result measure_memory(const FeedBenchOptions& options) {
  FeedLab lab(options);
  const Memory memory("", kPlainBytes, true);
  Other other(follower(lab, false, &memory, kPlainBytes));
  PlainRows plain(memory, kPlainBytes, other.page());
  auto feed_options = lab.feed_options(Storage::kMemory);
  feed_options.live_chunks = 8;
  auto writer = FeedWriter::create(lab.base(), kName, feed_row_schema(), feed_options, patient());
  FeedRow row{};
  Result result = summarise("feed/append/memory", "rows/s", "copy and one release store into memory that is there, followed",
                            alternate(options.windows, [&] { return sustain(writer, row, options.sustained_bytes, other); },
                                      [&] { return plain.window(options.sustained_bytes / sizeof row, other); }));
  result.more.emplace_back("rows the follower was too late for", static_cast<double>(other.page().seen.more[0].load()));
  return result;
}

Result measure_frames(const FeedBenchOptions& options) {
  constexpr uint64_t kFrameBytes = 1 << 20;
  FeedLab lab(options);
  lab.need_disk(static_cast<uint64_t>(options.windows + 1) * 2 * options.sustained_bytes);
  auto feed_options = lab.feed_options(Storage::kTiered);
  feed_options.chunk_bytes = 128ull << 20;
  feed_options.backlog_bytes = 512ull << 20;
  auto writer = FeedWriter::create(lab.base(), "frames", feed::Schema::frames(), feed_options, patient());
  const Memory memory("", kPlainBytes, true);
  const Memory source("", kFrameBytes, true);
  std::memset(source.data(), 0x5a, kFrameBytes);
  feed::FrameMeta frame;
  const auto subject = [&] {
    const uint64_t start = monotonic_ns();
    for (uint64_t i = 0; i < options.sustained_bytes / kFrameBytes; ++i) {
      ++frame.clocks[0];
      if (const auto done = writer.append_frame(frame, {}, {source.data(), kFrameBytes}); done.status != AppendStatus::kOk) refuse(done.status);
    }
    writer.sync();
    return static_cast<double>(options.sustained_bytes) / static_cast<double>(1 << 30) * 1e9 / static_cast<double>(monotonic_ns() - start);
  };
  return summarise("feed/frames/1MiB", "GiB/s", "the same bytes by plain sequential O_DIRECT, 1 MiB a write", alternate(options.windows, subject, [&] {
                     return write_plainly(lab, memory, kPlainBytes, options.sustained_bytes, kFrameBytes) / static_cast<double>(1 << 30);
                   }));
}

}  // namespace

std::vector<Result> measure_feed_appends(const FeedBenchOptions& options, const std::function<bool(const std::string&)>& wants, const Progress& progress) {
  const std::pair<const char*, Result (*)(const FeedBenchOptions&)> all[] = {
      {"feed/append/tiered/burst", measure_burst}, {"feed/append/tiered/sustained", measure_tiered}, {"feed/append/durable", measure_durable},
      {"feed/append/memory", measure_memory},      {"feed/frames/1MiB", measure_frames},
  };
  std::vector<Result> results;
  for (const auto& [name, measure] : all) {
    if (!wants(name)) continue;
    progress(name);
    results.push_back(measure(options));
  }
  return results;
}

}  // namespace tidepool::bench

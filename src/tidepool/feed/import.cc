#include "tidepool/feed/import.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "tidepool/base/log.h"
#include "tidepool/feed/fault.h"
#include "tidepool/feed/values.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kPatienceNs = 60 * kNsPerSecond;  // for a disk that does not keep up

Fault fault_of(AppendStatus status) noexcept {
  switch (status) {
    case AppendStatus::kNoSpace: return Fault::kNoSpace;
    case AppendStatus::kNoShmSpace: return Fault::kNoShmSpace;
    case AppendStatus::kBackpressure: return Fault::kBackpressure;
    case AppendStatus::kFenced: return Fault::kFenced;
    case AppendStatus::kIoError: return Fault::kIo;
    case AppendStatus::kTooLarge: return Fault::kRecordTooLarge;
    default: return Fault::kUsage;
  }
}

bool may_pass(AppendStatus status) noexcept {
  return status == AppendStatus::kNoSpace || status == AppendStatus::kNoShmSpace || status == AppendStatus::kBackpressure;
}

class Importer {
 public:
  Importer(RowSource& source, FeedWriter& writer, const ImportOptions& options, ImportReport& report)
      : source_(source), writer_(writer), options_(options), report_(report), row_bytes_(writer.feed().record_bytes) {
    report_.first_seq = report_.end_seq = writer.next_seq();
  }

  void run() {
    const uint64_t at_once = std::clamp<uint64_t>(options_.batch_rows, 1, writer_.feed().options.chunk_bytes / row_bytes_ / 2);
    const auto reject = [this](Rejected one) { take(std::move(one)); };
    std::vector<std::byte> rows;
    std::vector<uint64_t> places;
    for (bool more = true; more && report_.records < options_.limit;) {
      rows.clear();
      places.clear();
      more = source_.read(rows, places, std::min(at_once, options_.limit - report_.records), reject);
      if (options_.pace) {
        for (size_t i = 0; i < places.size(); ++i) {
          const Bytes row = Bytes(rows).subspan(i * row_bytes_, row_bytes_);
          options_.pace(row);
          one_by_one(row, {&places[i], 1});
        }
      } else if (!places.empty()) {
        together(rows, places);
      }
      if (options_.progress && !options_.progress(report_.records, source_)) {
        report_.interrupted = more;
        return;
      }
    }
  }

 private:
  void take(Rejected one) {
    ++report_.rejected;
    if (report_.first_rejected.size() < options_.rejected_max) report_.first_rejected.push_back(std::move(one));
  }
  // A disk that does not keep up is waited for, with an end.
  Appended append(Bytes rows) {
    const uint64_t deadline_ns = monotonic_ns() + kPatienceNs;
    for (;;) {
      const Appended done = writer_.append_batch(rows);
      if (!may_pass(done.status) || monotonic_ns() >= deadline_ns) return done;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  void count(const Appended& done, uint64_t rows) {
    report_.records += rows;
    report_.end_seq = done.seq + rows;
  }
  void together(Bytes rows, const std::vector<uint64_t>& places) {
    const Appended done = append(rows);
    if (done) return count(done, places.size());
    if (done.status != AppendStatus::kClockBackwards) fail(done.status);
    one_by_one(rows, places);
  }
  void one_by_one(Bytes rows, std::span<const uint64_t> places) {
    for (size_t i = 0; i < places.size(); ++i) {
      const Appended done = append(rows.subspan(i * row_bytes_, row_bytes_));
      if (done) {
        count(done, 1);
      } else if (done.status == AppendStatus::kClockBackwards) {
        take({places[i], "CLOCK_BACKWARDS: the strict clock goes back"});
      } else {
        fail(done.status);
      }
    }
  }
  [[noreturn]] void fail(AppendStatus status) const {
    const std::string trouble = writer_.health().trouble;
    throw FeedError(fault_of(status), "append to feed ", writer_.feed().name, ": ", append_status_name(status),
                    trouble.empty() ? "" : ": ", trouble, "; ", report_.records, " records were taken");
  }
  RowSource& source_;
  FeedWriter& writer_;
  const ImportOptions& options_;
  ImportReport& report_;
  uint32_t row_bytes_;
};

}  // namespace

void import_rows(RowSource& source, FeedWriter& writer, const ImportOptions& options, ImportReport& report) {
  if (writer.feed().schema.layout() != Layout::kRows)
    throw FeedError(Fault::kUsage, "feed ", writer.feed().name, " holds frames: rows cannot be imported");
  if (source.schema().hash() != writer.feed().schema.hash())
    throw FeedError(Fault::kSchemaConflict, "the rows are not of the schema of feed ", writer.feed().name);
  Importer(source, writer, options, report).run();
}

}  // namespace tidepool::feed

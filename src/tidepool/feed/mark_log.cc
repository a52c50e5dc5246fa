#include "tidepool/feed/mark_log.h"

#include <algorithm>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/feed/log_scan.h"

namespace tidepool::feed {
namespace {

constexpr size_t kTidyFrom = 64;  // fewer are not worth a new file

std::string marks_path(const FeedInfo& feed) { return concat(feed.directory, "/", kMarksName); }

}  // namespace

std::vector<FeedRecord> stored_marks(const FeedInfo& feed, Files& files) {
  std::vector<FeedRecord> marks;
  try {
    const LogScan scan = scan_log(files, marks_path(feed), kMarksMagic, kFeedEntryBytes);
    if (!scan.problem.empty() || scan.identity.feed_id != feed.id || scan.identity.base_id != feed.base_id) return marks;
    for (FeedRecord& record : records_of(scan)) {
      if (record.type == FeedEntry::kMark) marks.push_back(std::move(record));
    }
  } catch (const FeedError& error) {
    if (!is_missing(error.fault())) log(LogLevel::kWarn, "feed", "feed ", feed.name, ": its marks: ", error.what());
  }
  return marks;
}

void MarkLog::open(uint64_t floor) {
  std::vector<FeedRecord> marks = stored_marks(feed_, files_);
  const auto kept = static_cast<size_t>(std::count_if(marks.begin(), marks.end(), [&](const FeedRecord& mark) { return mark.first_seq >= floor; }));
  const bool tidy = marks.size() >= kTidyFrom && 2 * kept < marks.size();
  if (!tidy) {
    try {
      log_ = RegistryLog::open(files_, marks_path(feed_), kMarksMagic, kFeedEntryBytes, true);
      if (log_->identity().feed_id == feed_.id && log_->identity().base_id == feed_.base_id) return log_->settle();
    } catch (const FeedError& error) {
      if (!is_missing(error.fault()) && error.fault() != Fault::kCorrupt) throw;
    }
  }
  const RegistryLog::Identity identity{.magic = kMarksMagic,
                                       .entry_bytes = kFeedEntryBytes,
                                       .base_id = feed_.base_id,
                                       .feed_id = feed_.id,
                                       .generation = realtime_ns(),
                                       .created_wall_ns = realtime_ns()};
  std::vector<std::byte> bytes = RegistryLog::empty(identity);
  uint64_t position = 0;
  for (const FeedRecord& mark : marks) {
    if (mark.first_seq < floor) continue;
    const auto entry = RegistryLog::entry(identity, static_cast<uint16_t>(mark.type), position++, mark.wall_ns, encode(mark));
    bytes.insert(bytes.end(), entry.begin(), entry.end());
  }
  RegistryLog::set_count(bytes, position);
  write_file_atomically(files_, feed_.directory, kMarksName, bytes, feed_.options.file_mode);
  log_ = RegistryLog::open(files_, marks_path(feed_), kMarksMagic, kFeedEntryBytes, true);
  log_->settle();
}

void MarkLog::append(const FeedRecord& mark, uint64_t floor) {
  if (!log_) open(floor);
  log_->append(static_cast<uint16_t>(FeedEntry::kMark), realtime_ns(), encode(mark), false);
}

}  // namespace tidepool::feed

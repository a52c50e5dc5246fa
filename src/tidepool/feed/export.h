#pragma once
// A range of a feed into a file: whole or not at all, in bounded memory, with its count and checksum beside it (F-151).
//
//   price.csv           the data, renamed into place when it is complete and synced
//   price.csv.meta.json what it is: feed, range, format, records, bytes, sha256, gaps
//   price.csv.partial   while it is made, and after an interruption if it is to be resumed

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/feed/reader.h"
#include "tidepool/feed/row_format.h"
#include "tidepool/feed/sha256.h"

namespace tidepool::feed {

// Which records: by number, or by a clock. Half-open (F-98).
struct RecordRange {
  bool by_time = false;
  TimeRange time;
  uint64_t from_seq = 0;
  uint64_t to_seq = ~uint64_t{0};
};

// What happens to records that cannot be read (F-104).
enum class OnGap : uint8_t { kError, kSkip };

struct ExportOptions {
  RecordRange range;
  RowStyle style;
  OnGap on_gap = OnGap::kError;
  bool resume = false;        // go on with what an interrupted export of the same range left
  bool keep_partial = false;  // leave the partial file for that when this one is interrupted
  uint64_t limit = ~uint64_t{0};
  // Told of all rows that are given out, as they are stored by the newest version of the schema.
  std::function<void(Bytes rows, uint64_t count, uint64_t first_seq)> on_rows{};
  // Told now and then; false: stop, and say so in the report.
  std::function<bool(uint64_t records, uint64_t bytes)> progress;
};

struct ExportReport {
  uint64_t records = 0;
  uint64_t bytes = 0;
  std::optional<uint64_t> first_seq;  // of the records given out
  uint64_t end_seq = 0;               // one past the last of them
  std::vector<Gap> gaps;
  uint64_t resumed_records = 0;       // that were there already
  bool interrupted = false;
  std::string sha256;                 // of the file
};

// Every record of the range, in order, as pieces; told by `take` (false: stop). Gaps are pieces, too, those below the oldest
// record that is kept included.
bool for_each_piece(FeedReader& reader, const RecordRange& range, const std::function<bool(const Batch& piece)>& take);
// How many records a range holds now, without copying them. Throws kCorrupt at a gap, unless it is to be skipped.
uint64_t count_records(FeedReader& reader, const RecordRange& range, OnGap on_gap);

// Into `write`, which throws to end it.
ExportReport export_rows(FeedReader& reader, const ExportOptions& options, const std::function<void(Bytes bytes)>& write);
// Into a file; throws FeedError naming it, and then nothing is left of it but perhaps a partial file to be resumed.
ExportReport export_file(FeedReader& reader, const ExportOptions& options, const std::string& path);

}  // namespace tidepool::feed

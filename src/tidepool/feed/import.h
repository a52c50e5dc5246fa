#pragma once
// Rows from files of other programs into a feed: CSV with a schema guessed from it, .npy arrays, raw rows (F-152). What cannot
// become a record is refused row by row, counted, and the first refusals are listed with their place and reason.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/feed/csv.h"
#include "tidepool/feed/npy.h"
#include "tidepool/feed/writer.h"

namespace tidepool::feed {

struct Rejected {
  uint64_t place = 0;  // line of a CSV file, row (from 0) of others
  std::string why;
};

struct SourceOptions {
  std::vector<std::string> clocks;   // columns that are the clocks, in order; empty: guessed, one
  bool clock_from_row = false;       // no column is a clock: the row's number is, as "row"
  ClockUnit clock_unit = ClockUnit::kNs;  // of whole numbers in clock columns
  std::vector<std::string> columns;  // take these only, besides the clocks; empty: all
  bool header = true;                // CSV: the first line names the columns
  char delimiter = ',';
  std::vector<std::string> missing_texts = default_missing_texts();
  bool aligned = false;              // of a guessed schema
  std::function<bool(int fd)> may_read;  // of a pipe: asked before each read, may wait, ends it with false
};

// Rows in the layout of `schema()`.
// Thread safety: one thread.
class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual const Schema& schema() const = 0;
  // Adds up to `max_rows` rows to `rows`, with the place of each in the source; tells `reject` of those that cannot be one.
  // False: the end.
  virtual bool read(std::vector<std::byte>& rows, std::vector<uint64_t>& places, uint64_t max_rows,
                    const std::function<void(Rejected)>& reject) = 0;
  virtual uint64_t bytes_done() const = 0;
  virtual uint64_t bytes_total() const = 0;  // 0: unknown
};

// What a file's rows would be as a feed: looks at all of it. Throws FeedError kInvalidSchema when no column can be a clock, naming
// what there is.
Schema guess_csv_schema(const std::string& path, const SourceOptions& options);
Schema npy_schema(const std::string& path, const SourceOptions& options);

// Rows for `schema`, whose fields are looked up by name (CSV without a header: by position). Throws FeedError kSchemaConflict for
// columns that the feed has not, or fields that the file has not; kCorrupt, kPermission, ... for the file itself.
std::unique_ptr<RowSource> open_csv(const std::string& path, const Schema& schema, const SourceOptions& options);
std::unique_ptr<RowSource> open_csv(int fd, const std::string& name, const Schema& schema,
                                    const SourceOptions& options);  // fd stays the caller's
std::unique_ptr<RowSource> open_npy(const std::string& path, const Schema& schema, const SourceOptions& options);
std::unique_ptr<RowSource> open_raw(const std::string& path, const Schema& schema);
std::unique_ptr<RowSource> open_raw(int fd, const std::string& name, const Schema& schema,
                                    std::function<bool(int fd)> may_read = {});

struct ImportOptions {
  uint64_t batch_rows = 1024;     // visible together; 1 while a strict clock may refuse one
  size_t rejected_max = 100;      // how many refusals are listed
  uint64_t limit = ~uint64_t{0};
  // Told after each batch; false: stop.
  std::function<bool(uint64_t records, const RowSource& source)> progress;
  // Before each row is appended: may wait (replay).
  std::function<void(Bytes row)> pace;
};

struct ImportReport {
  uint64_t records = 0;
  uint64_t rejected = 0;
  std::vector<Rejected> first_rejected;
  uint64_t first_seq = 0;  // of what was appended
  uint64_t end_seq = 0;
  bool interrupted = false;
};

// Append all rows. Throws FeedError for what ends the import (disk full, fenced, ...): the report so far is in `report`.
void import_rows(RowSource& source, FeedWriter& writer, const ImportOptions& options, ImportReport& report);

}  // namespace tidepool::feed

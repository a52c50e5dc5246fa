#include "tidepool/cli/feed/source_flags.h"

#include <fmt/format.h>
#include <poll.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include "tidepool/base/error.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/cli/feed/query_flags.h"
#include "tidepool/cli/progress.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/text.h"
#include "tidepool/feed/values.h"

namespace tidepool::cli {
namespace {

// Waits before each row as long as the clock says lies between it and the first one.
class Pace {
 public:
  Pace(const feed::Clock& clock, double factor) : unit_(clock.unit), factor_(factor) {}
  void wait(Bytes row) {
    const uint64_t now = load<uint64_t>(row.data());
    if (!begun_) {
      begun_ = true;
      first_ = now;
      begin_ns_ = monotonic_ns();
    }
    // A clock that goes back waits for nothing.
    const auto since_ns = feed::convert_clock(now > first_ ? now - first_ : 0, unit_, feed::ClockUnit::kNs);
    const double target = static_cast<double>(since_ns.value_or(0)) / factor_;
    while (!stop_requested()) {
      const double left_ns = target - static_cast<double>(monotonic_ns() - begin_ns_);
      if (left_ns <= 0) return;
      std::this_thread::sleep_for(std::chrono::nanoseconds(static_cast<int64_t>(std::min(left_ns, 1e8))));
    }
  }

 private:
  feed::ClockUnit unit_;
  double factor_;
  bool begun_ = false;
  uint64_t first_ = 0, begin_ns_ = 0;
};

// Refusals beyond those that the report lists go to a file, if one is asked for.
class RejectLog {
 public:
  explicit RejectLog(const std::string& path) {
    if (path.empty()) return;
    file_.reset(std::fopen(path.c_str(), "we"));
    if (!file_) throw Error(code_of_errno(errno), "write ", path, errno_text());
  }
  void write(const std::vector<feed::Rejected>& rejected) const {
    if (!file_) return;
    for (const feed::Rejected& one : rejected)
      std::fprintf(file_.get(), "%llu\t%s\n", static_cast<unsigned long long>(one.place), one.why.c_str());
  }
  bool wanted() const noexcept { return file_ != nullptr; }

 private:
  struct Close {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace

bool wait_readable(int fd) {
  while (!stop_requested()) {
    pollfd look{fd, POLLIN, 0};
    const int ready = ::poll(&look, 1, 100);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return true;  // read() says what is wrong
  }
  return false;
}

void add_source_flags(CLI::App& verb, SourceFlags& flags) {
  verb.add_option("--columns", flags.columns, "take these columns only")->type_name("A,B")->delimiter(',');
  verb.add_option("--clock-unit", flags.clock_unit, "of plain numbers in clock columns: ns, us, ms or s; converted to the feed's")
      ->type_name("UNIT")
      ->capture_default_str();
  verb.add_option("--missing", flags.missing,
                  "what stands for a missing number (default: empty, NA, N/A, nan, NaN, null, NULL, None)")
      ->type_name("TEXT,..")
      ->delimiter(',');
  verb.add_flag("--no-header", flags.no_header, "csv: the first line is a record; columns are the fields in order");
  verb.add_option("--delimiter", flags.delimiter, "of csv: one character, or tab")->type_name("C")->capture_default_str();
  verb.add_option("--rejects", flags.rejects, "write the place of every refused row and why to this file")->type_name("FILE");
  verb.add_option("--replay", flags.replay, "as fast as the first clock says, times FACTOR (default: as fast as it goes)")
      ->type_name("FACTOR")
      ->check(CLI::Range(1e-6, 1e12).description(""));
  verb.add_flag("--allow-network-fs", flags.allow_network_fs, "write also where the base or shared memory is on NFS or the like");
}

feed::SourceOptions source_options(const SourceFlags& flags) {
  feed::SourceOptions options;
  options.clocks = flags.clocks;
  options.columns = flags.columns;
  options.clock_unit = feed::unit_named(flags.clock_unit);
  options.clock_from_row = flags.clock_from_row;
  options.header = !flags.no_header;
  options.delimiter = delimiter_of(flags.delimiter);
  if (!flags.missing.empty()) options.missing_texts = flags.missing;
  if (options.clock_from_row && !options.clocks.empty()) throw UsageError("--clock-from-row and --clock exclude each other");
  return options;
}

Exit import_into(const Context& context, feed::RowSource& source, feed::FeedWriter& writer, const SourceFlags& flags,
                 const std::string& name, bool pipe, bool created) {
  const RejectLog rejects(flags.rejects);
  Progress progress(context);
  feed::ImportOptions options;
  if (rejects.wanted()) options.rejected_max = SIZE_MAX;
  std::optional<Pace> pace;
  if (flags.replay > 0) {
    pace.emplace(writer.feed().schema.clock(0), flags.replay);
    options.pace = [&](Bytes row) { pace->wait(row); };
    options.batch_rows = 64;
  }
  const uint64_t begin_ns = monotonic_ns();
  options.progress = [&](uint64_t records, const feed::RowSource& from) {
    const uint64_t now_ns = monotonic_ns();
    progress.update(now_ns, [&] {
      return fmt::format("{}{}, {}", progress_bar(from.bytes_done(), from.bytes_total()), format_count(records, "record"),
                         format_rate(from.bytes_done(), static_cast<double>(now_ns - begin_ns) / 1e9));
    });
    return !stop_requested();
  };
  feed::ImportReport report;
  feed::import_rows(source, writer, options, report);
  rejects.write(report.first_rejected);
  const std::string refused = writer.health().memory_refused;  // memory that was asked for and is done without (F-69)
  writer.close();
  const double seconds = static_cast<double>(monotonic_ns() - begin_ns) / 1e9;
  if (context.json) {
    ordered_json rejected = ordered_json::array();
    for (const feed::Rejected& one : report.first_rejected) {
      if (rejected.size() == 100) break;
      rejected.push_back({{"place", one.place}, {"why", one.why}});
    }
    print_json_line(context, dump({{"feed", writer.feed().name},
                                   {"source", name},
                                   {"created", created},
                                   {"records", report.records},
                                   {"first_seq", report.first_seq},
                                   {"end_seq", report.end_seq},
                                   {"rejected", report.rejected},
                                   {"memory_refused", refused},
                                   {"rejects", std::move(rejected)},
                                   {"interrupted", report.interrupted},
                                   {"seconds", seconds}}));
  } else {
    fmt::print(context.out, "feed {}: {} of {}, as numbers {} to {}{}\n", writer.feed().name,
               format_count(report.records, "record"), name, report.first_seq, report.end_seq,
               report.rejected > 0 ? fmt::format("; {} refused", format_count(report.rejected, "row")) : "");
  }
  for (size_t i = 0; i < report.first_rejected.size() && i < 10; ++i) {
    print_error(context.err, concat(name, ":", report.first_rejected[i].place, ": refused: ", report.first_rejected[i].why));
  }
  if (report.rejected > 10)
    print_error(context.err,
                concat("... and ", report.rejected - 10, " more", rejects.wanted() ? "" : "; --rejects FILE lists all"));
  if (report.interrupted && !pipe) {
    print_error(context.err, concat("interrupted: ", report.records, " records are in the feed"));
    return Exit::kFailed;
  }
  return report.rejected > 0 ? Exit::kWrongData : Exit::kOk;
}

}  // namespace tidepool::cli

#include "tidepool/feed/verify.h"

#include <sys/stat.h>

#include <algorithm>

#include "tidepool/base/log.h"
#include "tidepool/feed/blob_care.h"
#include "tidepool/feed/feed_check.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/remote_target.h"

namespace tidepool::feed {
namespace {

void tell(VerifyReport& report, Severity severity, std::string what, std::string path, std::string expected, std::string found) {
  report.findings.push_back({severity, std::move(what), {}, std::move(path), 0, 0, 0, std::move(expected), std::move(found)});
}

LogScan scan_base(const std::string& base, Files& files) {
  try {
    return scan_log(files, concat(base, "/", kRegistryName), kGlobalMagic, kGlobalEntryBytes);
  } catch (const FeedError& error) {
    if (!is_missing(error.fault())) throw;
    throw FeedError(Fault::kBaseNotFound, "there is no registry.bin in ", base,
                    ": is that the directory that the feeds were created in? `repair` rebuilds a lost one");
  }
}

void check_global(const std::string& base, const LogScan& scan, const GlobalLists& lists, VerifyReport& report) {
  const std::string path = concat(base, "/", kRegistryName);
  for (const LogScan::Bad& bad : scan.bad) {
    tell(report, bad.lost ? Severity::kNote : Severity::kRepairable, "registry-entry", path,
         concat("entry ", bad.position, ": ", bad.expected), bad.found);
  }
  for (const uint64_t position : lists.unknown)
    tell(report, Severity::kNote, "registry-step", path, concat("entry ", position, ": of a kind that this program knows"),
         "another");
  if (scan.torn != 0)
    tell(report, Severity::kNote, "registry-torn", path, concat(scan.count, " entries"),
         concat("behind them ", scan.torn, " that were never finished"));
  if (scan.mark != 0)
    tell(report, Severity::kRepairable, "registry-mark", path, "a registry that is in force",
         concat("a mark (", scan.mark, ") that it was replaced"));
  if (!scan.reserved_zero) tell(report, Severity::kRepairable, "registry-reserved", path, "zeros in the header", "other bytes");
  for (const std::string& name : names_in(feeds_directory(base))) {
    const std::string at = concat(feeds_directory(base), "/", name);
    if (is_unfinished(name)) {
      tell(report, Severity::kRepairable, "leftover", at, "nothing", "a feed whose making was never finished");
    } else if (lists.feeds.find(name) == lists.feeds.end()) {
      tell(report, is_feed_name(name) ? Severity::kRepairable : Severity::kNote, "orphan-feed", at, "an entry in registry.bin",
           "none");
    }
  }
}

constexpr uint64_t kReferencesTold = 1000;

void tell_reference(const FeedInfo& feed, const BadReference& bad, VerifyReport& report) {
  // Neighbours with one cause are one finding.
  const std::string what = bad.missing ? "blob-missing" : "blob-damaged";
  for (auto last = report.findings.rbegin(); last != report.findings.rend(); ++last) {
    if (last->what != what || last->path != bad.path || last->feed != feed.name) continue;
    if (bad.missing || last->end_seq == bad.row) {
      last->end_seq = bad.row + 1;
      return;
    }
    break;
  }
  if (report.findings.size() >= kReferencesTold) return;  // their number is told all the same
  report.findings.push_back({Severity::kDamage, what, feed.name, bad.path, bad.ordinal, bad.row, bad.row + 1,
                             concat(bad.column, ": ", bad.expected), bad.found});
}

// Rows against the payloads that they refer to.
void check_payloads(const FeedInfo& named, const FeedsByName& feeds, const VerifyOptions& options, VerifyReport& report) {
  const auto feed = with_schema(named, *options.files);
  if (!options.blocks || named.deleting || named.options.storage == Storage::kMemory || !feed || blob_columns(feed->schema).empty())
    return;
  for (int attempt = 0;; ++attempt) {
    VerifyReport mine;
    uint64_t all = 0;
    const bool owned = has_owner(*feed);
    try {
      const auto columns = blob_feeds_of(feeds, feed->name, feed->id, *options.files);
      const ReferenceCheck found = check_references(*feed, columns, !owned, *options.files, [&](const BadReference& bad) {
        ++all;
        tell_reference(*feed, bad, mine);
      });
      for (const auto& [column, count] : found.orphans) {
        const std::string path = concat(feed->directory, ".blob.", column);
        mine.findings.push_back({Severity::kNote, "blob-orphans", feed->name, path, 0, 0, 0, "a row for each payload",
                                 concat(count, " that no row refers to: they go with their chunks")});
      }
      if (all != 0) {
        mine.findings.push_back({Severity::kNote, "blob-references", feed->name, feed->directory, 0, 0, 0,
                                 concat(found.blobs + found.bad, " payloads"), concat(found.bad, " that are missing or damaged")});
      }
    } catch (const FeedError&) {  // a registry that cannot be read: told by the check of the feed
    }
    if (!mine.sound() && owned && attempt < 2) continue;
    std::move(mine.findings.begin(), mine.findings.end(), std::back_inserter(report.findings));
    return;
  }
}

// A column's feed whose rows are gone.
void check_parent(const FeedInfo& named, const GlobalLists& lists, const VerifyOptions& options, VerifyReport& report) {
  if (named.deleting || !may_be_blob_feed(named.name)) return;
  const auto feed = with_schema(named, *options.files);
  const auto owner = feed ? blob_owner(*feed) : std::nullopt;
  if (!owner || parent_in(lists.feeds, *owner) != nullptr) return;
  const bool deleted = lists.deleted.contains(owner->feed_id);
  report.findings.push_back({deleted ? Severity::kRepairable : Severity::kNote, deleted ? "delete-unfinished" : "blob-alone", named.name,
                             named.directory, 0, 0, 0, concat("the rows that it belongs to, feed ", owner->feed),
                             deleted ? "that they are deleted" : "none"});
}

}  // namespace

std::string_view severity_name(Severity severity) noexcept {
  switch (severity) {
    case Severity::kNote: return "note";
    case Severity::kRepairable: return "repairable";
    case Severity::kDamage: return "damage";
  }
  return "unknown";
}

std::string text_of(const Finding& finding) {
  const std::string records =
      finding.end_seq > finding.first_seq ? concat(": records ", finding.first_seq, " to ", finding.end_seq) : "";
  return concat(severity_name(finding.severity), " ", finding.what, ": ", finding.path, records, ": expected ", finding.expected,
                ", found ", finding.found);
}

bool VerifyReport::sound() const noexcept {
  return std::all_of(findings.begin(), findings.end(), [](const Finding& finding) { return finding.severity == Severity::kNote; });
}

uint64_t VerifyReport::count(Severity severity) const noexcept {
  return static_cast<uint64_t>(
      std::count_if(findings.begin(), findings.end(), [&](const Finding& finding) { return finding.severity == severity; }));
}

VerifyReport verify_base(const std::string& base, const VerifyOptions& options) {
  refuse_remote_target(base);
  VerifyReport report;
  const LogScan scan = scan_base(base, *options.files);
  if (!scan.problem.empty()) {
    tell(report, scan.fault == Fault::kUnsupportedVersion ? Severity::kDamage : Severity::kRepairable, "registry-header",
         concat(base, "/", kRegistryName), "the header of the registry", scan.problem);
    return report;
  }
  const GlobalLists lists = lists_of(scan, base);
  check_global(base, scan, lists, report);
  for (const auto& [name, feed] : lists.feeds) {
    check_feed(feed, options, report);
    check_payloads(feed, lists.feeds, options, report);
    check_parent(feed, lists, options, report);
  }
  return report;
}

VerifyReport verify_feed(const std::string& base, const std::string& name, const VerifyOptions& options) {
  refuse_remote_target(base);
  check_feed_name(name);
  const LogScan scan = scan_base(base, *options.files);
  if (!scan.problem.empty()) throw FeedError(scan.fault, scan.problem);
  const GlobalLists lists = lists_of(scan, base);
  const auto found = lists.feeds.find(name);
  if (found == lists.feeds.end()) throw FeedError(Fault::kFeedNotFound, "there is no feed ", name, " in ", base);
  VerifyReport report;
  check_feed(found->second, options, report);
  for (const FeedInfo& column : blob_feeds_of(lists.feeds, name, found->second.id, *options.files)) check_feed(column, options, report);
  check_payloads(found->second, lists.feeds, options, report);
  check_parent(found->second, lists, options, report);
  return report;
}

}  // namespace tidepool::feed

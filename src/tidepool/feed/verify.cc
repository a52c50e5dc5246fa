#include "tidepool/feed/verify.h"

#include <sys/stat.h>

#include <algorithm>

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
    if (error.fault() != Fault::kFeedNotFound) throw;
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
    if (name.starts_with(".tmp-")) {
      tell(report, Severity::kRepairable, "leftover", at, "nothing", "a feed whose making was never finished");
    } else if (lists.feeds.find(name) == lists.feeds.end()) {
      tell(report, is_feed_name(name) ? Severity::kRepairable : Severity::kNote, "orphan-feed", at, "an entry in registry.bin",
           "none");
    }
  }
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
  for (const auto& [name, feed] : lists.feeds) check_feed(feed, options, report);
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
  return report;
}

}  // namespace tidepool::feed

#include "tidepool/feed/blob_retention.h"

#include "tidepool/base/log.h"
#include "tidepool/feed/blob_care.h"
#include "tidepool/feed/registry_parts.h"

namespace tidepool::feed {

std::string base_of(const FeedInfo& feed) {
  const std::string ending = concat("/feeds/", feed.name);
  return feed.directory.substr(0, feed.directory.size() - ending.size());
}

WholeRetention::WholeRetention(const FeedInfo& feed, const RetentionOptions& options) : options_(options), rows_(feed, options) {
  const auto owner = blob_owner(feed);
  if (!owner && blob_columns(feed.schema).empty()) return;
  const GlobalRegistry registry = GlobalRegistry::open(base_of(feed), *options.files);
  if (!owner) {
    for (const FeedInfo& column : blob_feeds_of(registry.feeds(), feed.name, feed.id, *options.files))
      columns_.emplace_back(column, options);
    return;
  }
  const FeedInfo* parent = parent_in(registry.feeds(), *owner);
  const auto loaded = parent != nullptr && !parent->deleting ? with_schema(*parent, *options.files) : std::nullopt;
  orphan_ = !loaded;
  if (loaded) parent_ = std::make_unique<FeedRetention>(*loaded, options);
}

uint64_t WholeRetention::payload_bytes(uint64_t first_seq) {
  uint64_t bytes = 0;
  for (FeedRetention& column : columns_) bytes += column.bytes_left(first_seq);
  return bytes;
}

void WholeRetention::follow(const std::string& why, RetentionReport& report) {
  const uint64_t floor = rows_.floor_after(report);
  for (FeedRetention& column : columns_) {
    try {
      column.follow(floor, why, report);
    } catch (const FeedError& error) {  // its rows are gone all the same, and the next run comes back to it
      report.warnings.push_back(concat("feed ", column.feed().name, ": ", error.what()));
    }
  }
}

void WholeRetention::run(const RetentionLimits& limits, RetentionReport& report) {
  if (orphan_) {
    report.warnings.push_back(concat("feed ", feed().name, ": the rows that its payloads belong to are not there: it is left alone"));
    return;
  }
  if (parent_) {
    ++report.feeds;
    rows_.follow(parent_->floor_after(report), "rows", report);
    return;
  }
  if (columns_.empty()) return rows_.run(limits, report);
  rows_.run(limits, report, [this](uint64_t first_seq) { return payload_bytes(first_seq); });
  follow("rows", report);
}

std::vector<FeedRetention::Candidate> WholeRetention::removable(RetentionReport& report) {
  if (parent_ || orphan_) return {};
  auto found = rows_.removable(report);
  if (columns_.empty()) return found;
  uint64_t left = payload_bytes(rows_.floor_after(report));
  for (FeedRetention::Candidate& chunk : found) {
    const uint64_t then = payload_bytes(chunk.end_seq);
    chunk.bytes += left - std::min(left, then);
    left = std::min(left, then);
  }
  return found;
}

uint64_t WholeRetention::kept_bytes() {
  uint64_t bytes = rows_.kept_bytes();
  for (FeedRetention& column : columns_) bytes += column.kept_bytes();
  return bytes;
}

void WholeRetention::expire_one(uint64_t ordinal, const std::string& why, RetentionReport& report) {
  rows_.expire_one(ordinal, why, report);
  follow(why, report);
}

void WholeRetention::compact() { rows_.compact(); }

}  // namespace tidepool::feed

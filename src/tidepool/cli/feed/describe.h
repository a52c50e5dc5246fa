#pragma once
// A feed as JSON and as text: what create, list, info and inspect say of one, in the same words.

#include <nlohmann/json.hpp>
#include <string>

#include "tidepool/feed/reader.h"

namespace tidepool::cli {

using nlohmann::ordered_json;

// {"layout", "record_bytes", "aligned", "payload_align", "clocks": [...], "fields": [...]}
ordered_json schema_json(const feed::Schema& schema);
ordered_json options_json(const feed::FeedOptions& options);
// Name, ids, directory, creation, schema and options.
ordered_json feed_json(const feed::FeedInfo& feed);
// How many chunks a feed's registry knows, and how many of them can be read: neither expired nor abandoned nor in quarantine.
struct ChunkCounts {
  uint64_t known = 0;
  uint64_t readable = 0;
};
ChunkCounts count_chunks(feed::FeedReader& reader);
// "time_ns uint64, price float64, ..."
std::string fields_text(const feed::Schema& schema);
// A dump that cannot fail: bytes that are no UTF-8 are replaced.
std::string dump(const ordered_json& object);

}  // namespace tidepool::cli

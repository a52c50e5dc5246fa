#include "tidepool/cli/feed/describe.h"

#include "tidepool/base/error.h"
#include "tidepool/cli/feed/definition.h"
#include "tidepool/feed/values.h"

namespace tidepool::cli {

ordered_json schema_json(const feed::Schema& schema) {
  const bool rows = schema.layout() == feed::Layout::kRows;
  ordered_json out = {{"layout", rows ? "rows" : "frames"}};
  if (rows) {
    out["record_bytes"] = schema.record_bytes();
    out["aligned"] = schema.aligned();
  } else {
    out["payload_align"] = schema.payload_align();
  }
  out["clocks"] = ordered_json::array();
  for (size_t k = 0; k < schema.clocks(); ++k) {
    const feed::Clock& clock = schema.clock(k);
    out["clocks"].push_back({{"name", schema.clock_name(k)},
                             {"unit", feed::unit_name(clock.unit)},
                             {"order", feed::order_name(clock.order)},
                             {"domain", feed::domain_name(clock.domain)}});
  }
  out["fields"] = ordered_json::array();
  for (const feed::Field& field : schema.fields()) {
    ordered_json one = {{"name", field.name}, {"type", feed::type_text(field)}, {"offset", field.offset}, {"bytes", field.bytes()}};
    if (!field.description.empty()) one["description"] = field.description;
    out["fields"].push_back(std::move(one));
  }
  return out;
}

ordered_json options_json(const feed::FeedOptions& options) {
  return {{"storage", feed::storage_name(options.storage)},
          {"chunk_bytes", options.chunk_bytes},
          {"live_chunks", options.live_chunks},
          {"sync", feed::sync_name(options.sync)},
          {"sync_interval_ns", options.sync_interval_ns},
          {"sync_bytes", options.sync_bytes},
          {"max_chunk_age_ns", options.chunk_age_ns},
          {"retention_ns", options.retention_ns},
          {"retention_bytes", options.retention_bytes},
          {"backlog_bytes", options.backlog_bytes},
          {"block_bytes", options.block_bytes},
          {"segment_tracking", options.segments},
          {"prefault", options.prefault},
          {"huge_pages", options.huge_pages},
          {"lock_memory", options.lock_memory},
          {"shm_root", options.shm_root},
          {"file_mode", mode_text(options.file_mode)},
          {"shm_mode", mode_text(options.live_mode())},
          {"persister", feed::persister_name(options.persister)}};
}

ordered_json feed_json(const feed::FeedInfo& feed) {
  return {{"name", feed.name},
          {"id", feed::hex(feed.id)},
          {"base_id", feed::hex(feed.base_id)},
          {"directory", feed.directory},
          {"created_ns", feed.created_wall_ns},
          {"schema", schema_json(feed.schema)},
          {"options", options_json(feed.options)}};
}

ChunkCounts count_chunks(feed::FeedReader& reader) {
  ChunkCounts counts;
  counts.known = reader.chunks().size();
  for (const feed::ChunkInfo& chunk : reader.chunks()) counts.readable += chunk.readable() ? 1 : 0;
  return counts;
}

std::string fields_text(const feed::Schema& schema) {
  std::string out;
  for (const feed::Field& field : schema.fields()) out += concat(out.empty() ? "" : ", ", field.name, " ", feed::type_text(field));
  return out;
}

std::string dump(const ordered_json& object) { return object.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }

}  // namespace tidepool::cli

// tidepool feed info: all that is known of one feed.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "tidepool/cli/command.h"
#include "tidepool/cli/feed/definition.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/cli/feed/feed_verbs.h"
#include "tidepool/cli/feed/target.h"
#include "tidepool/cli/text.h"
#include "tidepool/feed/values.h"

namespace tidepool::cli {
namespace {

struct InfoArgs {
  FeedTarget target;
  bool chunks = false;
  bool definition = false;
};

std::string_view state_name(feed::ChunkState state) {
  switch (state) {
    case feed::ChunkState::kOpen: return "open";
    case feed::ChunkState::kSealed: return "sealed";
    case feed::ChunkState::kPersisted: return "persisted";
    case feed::ChunkState::kExpired: return "expired";
    case feed::ChunkState::kAbandoned: return "abandoned";
    case feed::ChunkState::kQuarantined: return "quarantined";
  }
  return "unknown";
}

ordered_json chunk_json(const feed::ChunkInfo& chunk, size_t clocks) {
  ordered_json out = {{"ordinal", chunk.ordinal},
                      {"epoch", chunk.epoch},
                      {"state", state_name(chunk.state)},
                      {"in_memory", chunk.in_memory},
                      {"on_disk", chunk.on_disk}};
  if (!chunk.settled()) return out;  // the chunk itself knows more than the registry
  out.update({{"first_seq", chunk.first_seq}, {"count", chunk.count}, {"bytes", chunk.bytes}});
  out["clocks"] = ordered_json::array();
  for (size_t k = 0; k < clocks && chunk.count > 0; ++k) {
    out["clocks"].push_back({{"min", chunk.clocks[k].min}, {"max", chunk.clocks[k].max}, {"ordered", chunk.clocks[k].ordered}});
  }
  return out;
}

// The first and the last record's clocks, as far as they can be read.
ordered_json ends_json(feed::FeedReader& reader, uint64_t first, uint64_t end) {
  const auto clocks_at = [&](uint64_t seq) -> ordered_json {
    const feed::Item item = reader.read(seq);
    if (!item.is_record()) return nullptr;
    ordered_json out = ordered_json::array();
    for (size_t k = 0; k < reader.feed().schema.clocks(); ++k) out.push_back(item.clock(k));
    return out;
  };
  if (end <= first) return {{"first_clocks", nullptr}, {"last_clocks", nullptr}};
  return {{"first_clocks", clocks_at(first)}, {"last_clocks", clocks_at(end - 1)}};
}

ordered_json info_json(feed::FeedReader& reader, bool all_chunks) {
  ordered_json out = feed_json(reader.feed());
  const uint64_t first = reader.first_seq(), end = std::max(reader.committed_seq(), first);
  out["state"] = feed::writer_state_name(reader.writer_state());
  out["records"] = end - first;
  out["first_seq"] = first;
  out["end_seq"] = end;
  out["durable_seq"] = reader.durable_seq();
  out.update(ends_json(reader, first, end));
  const auto latest = reader.latest_chunk();
  out["latest_chunk"] = latest ? ordered_json{{"ordinal", latest->ordinal},
                                              {"first_seq", latest->first_seq},
                                              {"path", latest->path},
                                              {"live", latest->live}}
                               : ordered_json(nullptr);
  out["epochs"] = ordered_json::array();
  for (const feed::EpochInfo& epoch : reader.epochs()) {
    out["epochs"].push_back(
        {{"epoch", epoch.epoch}, {"first_seq", epoch.first_seq}, {"opened_ns", epoch.opened_wall_ns}, {"closed", epoch.closed}});
  }
  out["losses"] = ordered_json::array();
  for (const feed::LossInfo& loss : reader.losses()) {
    out["losses"].push_back({{"epoch", loss.epoch},
                             {"first_seq", loss.first_seq},
                             {"count", loss.count == feed::kUnknownCount ? ordered_json(nullptr) : ordered_json(loss.count)},
                             {"reason", loss.reason}});
  }
  const ChunkCounts counts = count_chunks(reader);
  out["chunks_readable"] = counts.readable;
  out["chunk_count"] = counts.known;
  if (all_chunks) {
    out["chunks"] = ordered_json::array();
    for (const feed::ChunkInfo& chunk : reader.chunks()) out["chunks"].push_back(chunk_json(chunk, reader.feed().schema.clocks()));
  }
  out["segment_count"] = reader.segments().size();
  out["warnings"] = reader.warnings();
  return out;
}

void print_schema(std::FILE* out, const feed::Schema& schema) {
  if (schema.layout() == feed::Layout::kRows) {
    fmt::print(out, "  rows of {} bytes{}\n", schema.record_bytes(), schema.aligned() ? ", aligned" : "");
  } else {
    fmt::print(out, "  frames, payloads aligned to {}\n", schema.payload_align());
  }
  for (size_t i = 0; i < schema.fields().size(); ++i) {
    const feed::Field& field = schema.fields()[i];
    std::string note = field.description;
    if (i < schema.clocks()) {
      const feed::Clock& clock = schema.clock(i);
      note = fmt::format("clock {} in {}, {}, {}{}{}", i, feed::unit_name(clock.unit), feed::order_name(clock.order),
                         feed::domain_name(clock.domain), note.empty() ? "" : ": ", note);
    }
    fmt::print(out, "  {:>6}  {:<20} {:<12} {}\n", field.offset, field.name, feed::type_text(field), note);
  }
}

void print_info(std::FILE* out, feed::FeedReader& reader, const ordered_json& info) {
  const feed::FeedInfo& feed = reader.feed();
  fmt::print(out, "feed {} ({}), writer {}\n  {}\n", feed.name, feed::storage_name(feed.options.storage),
             info["state"].get<std::string>(), feed.directory);
  print_schema(out, feed.schema);
  fmt::print(out, "  records {} to {} ({}), durable below {}\n", info["first_seq"].get<uint64_t>(), info["end_seq"].get<uint64_t>(),
             format_count(info["records"].get<uint64_t>(), "record"), info["durable_seq"].get<uint64_t>());
  if (!info["first_clocks"].is_null() && !info["last_clocks"].is_null()) {
    for (size_t k = 0; k < feed.schema.clocks(); ++k) {
      fmt::print(out, "  {} from {} to {}\n", feed.schema.clock_name(k), info["first_clocks"][k].get<uint64_t>(),
                 info["last_clocks"][k].get<uint64_t>());
    }
  }
  fmt::print(out, "  chunks of {}, {} live; {}, {}, {}\n", format_bytes(feed.options.chunk_bytes), feed.options.live_chunks,
             format_count(info["chunks_readable"].get<uint64_t>(), "chunk") +
                 (info["chunk_count"] == info["chunks_readable"] ? std::string() : fmt::format(" of {} that there were", info["chunk_count"].get<uint64_t>())),
             format_count(info["segment_count"].get<uint64_t>(), "segment"), format_count(info["epochs"].size(), "writer"));
  for (const auto& loss : info["losses"])
    fmt::print(out, "  lost: from {} on: {}\n", loss["first_seq"].get<uint64_t>(), loss["reason"].get<std::string>());
  for (const auto& chunk : info.value("chunks", ordered_json::array())) {
    fmt::print(out, "  chunk {:>6}  {:<11} {}{}", chunk["ordinal"].get<uint64_t>(), chunk["state"].get<std::string>(),
               chunk["in_memory"].get<bool>() ? "memory " : "", chunk["on_disk"].get<bool>() ? "disk" : "");
    if (chunk.contains("count"))
      fmt::print(out, "  records {} to {}", chunk["first_seq"].get<uint64_t>(),
                 chunk["first_seq"].get<uint64_t>() + chunk["count"].get<uint64_t>());
    fmt::print(out, "\n");
  }
  for (const auto& warning : info["warnings"]) fmt::print(out, "  warning: {}\n", warning.get<std::string>());
}

Exit run_info(const Context& context, const InfoArgs& args) {
  if (args.definition) {
    const std::string text = definition_text(feed::find_feed(args.target.base, args.target.name, feed::Files::system()));
    if (context.json) {
      print_json_line(context, ordered_json::parse(text).dump());
    } else {
      fmt::print(context.out, "{}\n", text);
    }
    return Exit::kOk;
  }
  feed::FeedReader reader = feed::FeedReader::open(args.target.base, args.target.name);
  const ordered_json info = info_json(reader, args.chunks);
  if (context.json) {
    print_json_line(context, dump(info));
  } else {
    print_info(context.out, reader, info);
  }
  return Exit::kOk;
}

}  // namespace

void add_feed_info(CLI::App& group, Context& context) {
  auto args = std::make_shared<InfoArgs>();
  CLI::App* verb = group.add_subcommand("info", "one feed: schema, options, state, extent");
  add_target_flags(*verb, args->target);
  verb->add_flag("--chunks", args->chunks, "list all its chunks, too");
  verb->add_flag("--definition", args->definition, "print the definition that makes this feed again, for `create --config`");
  add_common_flags(*verb, context);
  verb->footer(
      "Records are numbered from 0 and never renumbered; ranges are half-open: the end is not in them.\n"
      "--json: name, id, base_id, directory, created_ns, schema{layout, record_bytes, clocks[], fields[]}, options{}, state, "
      "records,\n"
      "first_seq, end_seq, durable_seq, first_clocks[], last_clocks[], latest_chunk, epochs[], losses[], chunks_readable, chunk_count,\n"
      "chunks[],\n"
      "segment_count, warnings[].\n"
      "Exit: 0, 1 no such feed, or it cannot be read, 2 usage.\n"
      "Examples:\n"
      "  tidepool feed info trades --base /data/feeds\n"
      "  tidepool feed info trades --chunks\n"
      "  tidepool feed info trades --definition > trades.json");
  verb->callback([args, &context] { context.action = [args, &context] { return run_info(context, *args); }; });
}

}  // namespace tidepool::cli

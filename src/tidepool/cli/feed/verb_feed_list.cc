// tidepool feed list: the feeds of a base, with how much they hold and who writes them.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "tidepool/base/error.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/cli/feed/feed_verbs.h"
#include "tidepool/cli/feed/target.h"
#include "tidepool/cli/text.h"
#include "tidepool/feed/reader.h"

namespace tidepool::cli {
namespace {

struct Row {
  std::string name, storage, state, problem;
  uint32_t record_bytes = 0;
  bool frames = false;
  uint64_t first_seq = 0, end_seq = 0, durable_seq = 0, bytes = 0;
  ChunkCounts chunks;
};

Row row_of(const std::string& base, const feed::FeedInfo& info) {
  Row row;
  row.name = info.name;
  row.storage = feed::storage_name(info.options.storage);
  row.frames = info.layout == feed::Layout::kFrames;
  row.record_bytes = info.record_bytes;
  if (info.deleting) {
    row.state = "deleting";
    return row;
  }
  try {
    feed::FeedReader reader = feed::FeedReader::open(base, info.name);
    row.first_seq = reader.first_seq();
    row.end_seq = std::max(reader.committed_seq(), row.first_seq);
    row.durable_seq = reader.durable_seq();
    row.state = feed::writer_state_name(reader.writer_state());
    row.chunks = count_chunks(reader);
    for (const feed::ChunkInfo& chunk : reader.chunks()) {
      if (!chunk.readable()) continue;
      row.bytes += chunk.bytes;
    }
    if (!row.frames) row.bytes = (row.end_seq - row.first_seq) * row.record_bytes;
  } catch (const Error& error) {  // one damaged feed does not hide the others
    row.state = "unreadable";
    row.problem = error.what();
  }
  return row;
}

Exit run_list(const Context& context, const std::string& base) {
  const feed::GlobalRegistry registry = feed::GlobalRegistry::open(base);
  std::vector<Row> rows;
  for (const auto& [name, info] : registry.feeds()) rows.push_back(row_of(base, info));
  for (const std::string& warning : registry.warnings()) print_error(context.err, concat("warning: ", warning));
  const bool whole = std::all_of(rows.begin(), rows.end(), [](const Row& row) { return row.problem.empty(); });
  if (context.json) {
    ordered_json feeds = ordered_json::array();
    for (const Row& row : rows) {
      ordered_json one = {
          {"name", row.name}, {"layout", row.frames ? "frames" : "rows"}, {"storage", row.storage}, {"state", row.state}};
      if (row.problem.empty()) {
        one.update({{"records", row.end_seq - row.first_seq},
                    {"first_seq", row.first_seq},
                    {"end_seq", row.end_seq},
                    {"durable_seq", row.durable_seq},
                    {"bytes", row.bytes},
                    {"record_bytes", row.record_bytes},
                    {"chunks_readable", row.chunks.readable},
                    {"chunk_count", row.chunks.known}});
      } else {
        one["problem"] = row.problem;
      }
      feeds.push_back(std::move(one));
    }
    print_json_line(context, dump({{"base", base},
                                   {"base_id", feed::hex(registry.id())},
                                   {"feeds", std::move(feeds)},
                                   {"warnings", registry.warnings()}}));
    return whole ? Exit::kOk : Exit::kFailed;
  }
  if (rows.empty()) fmt::print(context.out, "no feeds in {}\n", base);
  size_t width = 4;
  for (const Row& row : rows) width = std::max(width, row.name.size());
  if (!rows.empty())
    fmt::print(context.out, "{:<{}}  {:<8} {:<10} {:>14} {:>14} {:>7} {:>11}\n", "feed", width, "storage", "writer", "records",
               "first", "chunks", "bytes");
  for (const Row& row : rows) {
    fmt::print(context.out, "{:<{}}  {:<8} {:<10} {:>14} {:>14} {:>7} {:>11}{}\n", row.name, width, row.storage, row.state,
               row.end_seq - row.first_seq, row.first_seq, row.chunks.readable, format_bytes(row.bytes),
               row.problem.empty() ? "" : "  " + row.problem);
  }
  return whole ? Exit::kOk : Exit::kFailed;
}

}  // namespace

void add_feed_list(CLI::App& group, Context& context) {
  auto base = std::make_shared<std::string>();
  CLI::App* verb = group.add_subcommand("list", "the feeds of a base");
  add_base_flag(*verb, *base);
  add_common_flags(*verb, context);
  verb->footer(
      "writer: never (nobody wrote it yet), active, stalled (holds its lock and stands still), closed, crashed.\n"
      "--json: base, base_id, feeds[{name, layout, storage, state, records, first_seq, end_seq, durable_seq, bytes, record_bytes,\n"
      "chunks_readable, chunk_count (with those that expired or held nothing)} or {name, ..., problem}], warnings[].\n"
      "Exit: 0 (also without a feed), 1 no base there, or a feed cannot be read, 2 usage.\n"
      "Examples:\n"
      "  tidepool feed list --base /data/feeds\n"
      "  tidepool feed list --json | jq '.feeds[] | select(.state == \"crashed\") | .name'");
  verb->callback([base, &context] { context.action = [base, &context] { return run_list(context, *base); }; });
}

}  // namespace tidepool::cli

// tidepool gc: remove what the dead left in shared memory, and nothing else (pool/sweep.h; rulings P-7, P-8).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "tidepool/base/error.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/text.h"
#include "tidepool/cli/verbs.h"
#include "tidepool/cli/world.h"
#include "tidepool/pool/sweep.h"
#include "tidepool/transport/media_driver.h"

namespace tidepool::cli {
namespace {

using json = nlohmann::ordered_json;

namespace fs = std::filesystem;

struct GcArgs {
  std::string base_dir = "/dev/shm";
  std::string aeron_dir;
  bool dry_run = false;
  uint32_t keep = pool::SweepOptions{}.keep;
  double min_age_s = 3;
};

// One line of the report.
struct Item {
  std::string kind;
  std::string path;
  bool dead = false;     // may go
  bool removed = false;  // has gone
  bool failed = false;   // dead, and still there
  uint64_t bytes = 0;
  std::string why;
};

std::vector<Item> collect(const GcArgs& args) {
  pool::SweepOptions options;
  options.base_dir = args.base_dir;
  options.dry_run = args.dry_run;
  options.keep = args.keep;
  options.min_age_ns = static_cast<uint64_t>(args.min_age_s * 1e9);
  std::vector<Item> items;
  for (const auto& entry : pool::sweep(options)) {
    items.push_back({std::string(pool::name_of(entry.kind)), entry.path, entry.removed, entry.removed && !args.dry_run,
                     entry.failed, entry.bytes, entry.why});
  }
  for (const auto& world : world_remains(args.base_dir, !args.dry_run)) {
    items.push_back(
        {"world", world.path, world.dead, world.removed, !args.dry_run && world.dead && !world.removed, world.bytes, world.why});
  }
  // Media drivers of ours: those beside the pools, and the one that is asked for or is the default.
  std::set<std::string> dirs;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(args.base_dir, error)) {
    if (entry.path().filename().string().starts_with("aeron")) dirs.insert(entry.path().string());
  }
  const char* const from_environment = std::getenv("AERON_DIR");
  const std::string named = !args.aeron_dir.empty() ? args.aeron_dir : from_environment != nullptr ? from_environment : "";
  if (!named.empty() && fs::symlink_status(named, error).type() != fs::file_type::not_found) dirs.insert(named);
  for (const auto& dir : dirs) {
    const auto remains = transport::media_driver_remains(dir, !args.dry_run);
    items.push_back({"aeron", dir, remains.dead, remains.removed, !args.dry_run && remains.dead && !remains.removed, remains.bytes,
                     remains.why});
  }
  return items;
}

Exit run_gc(const Context& context, const GcArgs& args) {
  const std::vector<Item> items = collect(args);
  uint64_t removed = 0, kept = 0, failed = 0, bytes = 0;
  for (const Item& item : items) {
    const bool gone = args.dry_run ? item.dead : item.removed;
    ++(gone ? removed : kept);
    if (gone) bytes += item.bytes;
    failed += item.failed ? 1 : 0;
  }
  if (context.json) {
    json object = {{"dry_run", args.dry_run}, {"removed", removed}, {"kept", kept},
                   {"failed", failed},        {"bytes", bytes},     {"entries", json::array()}};
    for (const Item& item : items) {
      object["entries"].push_back({{"kind", item.kind},
                                   {"path", item.path},
                                   {"action", (args.dry_run ? item.dead : item.removed) ? "remove" : "keep"},
                                   {"bytes", item.bytes},
                                   {"why", item.why}});
    }
    print_json_line(context, object.dump(-1, ' ', false, json::error_handler_t::replace));
  } else {
    for (const Item& item : items) {
      const bool gone = args.dry_run ? item.dead : item.removed;
      fmt::print(context.out, "{:<13} {:<9} {}{}: {}\n", gone ? (args.dry_run ? "would remove" : "removed") : "kept", item.kind,
                 item.path, gone && item.bytes > 0 ? fmt::format(" ({})", format_bytes(item.bytes)) : "", item.why);
    }
    fmt::print(context.out, "{}: {} {} ({}), {} kept\n", args.base_dir, removed, args.dry_run ? "would be removed" : "removed",
               format_bytes(bytes), kept);
  }
  if (failed > 0) {
    print_error(context.err, concat(failed, " of the dead could not be removed: see why above"));
    return Exit::kFailed;
  }
  return Exit::kOk;
}

}  // namespace

void add_gc(CLI::App& app, Context& context) {
  auto args = std::make_shared<GcArgs>();
  CLI::App* verb = app.add_subcommand("gc", "remove what dead drivers, producers and media drivers left in shared memory");
  verb->add_flag("--dry-run,-n", args->dry_run, "only say what would go and what stays, and why");
  verb->add_option("--base-dir", args->base_dir, "where pools lie")->type_name("DIR")->capture_default_str();
  verb->add_option("--aeron-dir", args->aeron_dir,
                   "look at this media driver's directory, too (default: AERON_DIR, and aeron* below --base-dir)")
      ->type_name("DIR");
  verb->add_option("--keep", args->keep, "newest epochs of each dead stream that stay, as policies.epoch_gc_keep; 0: none")
      ->type_name("N")
      ->capture_default_str();
  verb->add_option("--min-age", args->min_age_s, "idle for less is never dead")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 1e9).description(""))
      ->capture_default_str();
  add_common_flags(*verb, context);
  verb->footer(
      "Only the proven dead goes, of this user, in all namespaces: no driver holds the namespace's kernel lock, the epoch was idle "
      "for\n"
      "--min-age, the process that made it (pid and start time) runs no more, and it is not among the newest of its stream. An Aeron directory goes only if a tidepool "
      "media\n"
      "driver made it and its kernel lock is free; worlds of killed demos and benches likewise. Links, others' files and files "
      "that are\n"
      "none of tidepool's are refused and named. Who still has an epoch mapped is not disturbed.\n"
      "--json: dry_run, removed, kept, failed, bytes, entries[{kind, path, action, bytes, why}].\n"
      "Exit: 0 done (also with nothing to do), 1 something dead could not be removed, 2 usage.\n"
      "Examples:\n"
      "  tidepool gc --dry-run\n"
      "  tidepool gc\n"
      "  tidepool gc --keep 0                nothing of the dead stays\n"
      "  tidepool gc --keep 1 --min-age 60\n"
      "  tidepool gc --json | jq '.entries[] | select(.action == \"remove\") | .path'");
  verb->callback([args, &context] { context.action = [args, &context] { return run_gc(context, *args); }; });
}

}  // namespace tidepool::cli

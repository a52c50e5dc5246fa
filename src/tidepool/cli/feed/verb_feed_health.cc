// tidepool feed health: is a base well? For cron and monitoring; looks and changes nothing (F-136).

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/cli/feed/feed_verbs.h"
#include "tidepool/cli/feed/target.h"
#include "tidepool/cli/text.h"
#include "tidepool/feed/reader.h"
#include "tidepool/feed/values.h"

namespace tidepool::cli {
namespace {

struct HealthArgs {
  std::string base;
  std::vector<std::string> feeds;
  double max_age_s = 0;
  double min_free_gb = 1.0;
  double min_free_shm_gb = 0.25;
  bool verbose = false;
};

struct Check {
  std::string name, status, text;  // status: ok, warning, bad, failed (the check itself)
};

class Health {
 public:
  Health(const HealthArgs& args) : args_(args) {}

  // A check that throws has failed by itself; the others still run.
  void check(const std::string& name, const std::function<void()>& body) {
    name_ = name;
    const size_t before = checks.size();
    try {
      body();
      if (checks.size() == before) note("ok", "");
    } catch (const feed::FeedError& error) {
      note("bad", error.what());
    } catch (const std::exception& error) {
      note("failed", error.what());
    }
  }
  void note(std::string_view status, std::string text) { checks.push_back({name_, std::string(status), std::move(text)}); }

  void space(const std::string& path, double min_gb) {
    struct statvfs found{};
    if (::statvfs(path.c_str(), &found) != 0) throw Error(code_of_errno(errno), "look at ", path, errno_text());
    const double free_gb = static_cast<double>(found.f_bavail) * static_cast<double>(found.f_frsize) / 1e9;
    note(free_gb < min_gb ? "bad" : "ok",
         fmt::format("{}: {:.2f} GB free{}", path, free_gb, free_gb < min_gb ? fmt::format(", less than {:.2f}", min_gb) : ""));
  }

  void feed(const feed::FeedInfo& info) {
    feed::FeedReader reader = feed::FeedReader::open(args_.base, info.name);
    const feed::WriterState state = reader.writer_state();
    if (state == feed::WriterState::kStalled) note("bad", "its writer holds the lock and stands still");
    if (state == feed::WriterState::kUnknown) note("warning", "whether it is being written cannot be told: its lock cannot be asked");
    if (state == feed::WriterState::kCrashed)
      note("warning", "its last writer crashed; the next one, or `tidepool feed repair`, puts it in order");
    const uint64_t first = reader.first_seq(), end = std::max(reader.committed_seq(), first);
    if (end > first && !reader.read(end - 1).is_record()) note("bad", concat("record ", end - 1, ", the newest, cannot be read"));
    if (end > first && !reader.read(first).is_record()) note("bad", concat("record ", first, ", the oldest, cannot be read"));
    for (const feed::LossInfo& loss : reader.losses())
      note("warning", concat("records were lost from ", loss.first_seq, " on: ", loss.reason));
    for (const std::string& warning : reader.warnings()) note("warning", warning);
    const auto quarantined = std::count_if(reader.chunks().begin(), reader.chunks().end(), [](const feed::ChunkInfo& chunk) {
      return chunk.state == feed::ChunkState::kQuarantined;
    });
    if (quarantined > 0) note("bad", format_count(static_cast<uint64_t>(quarantined), "chunk") + " in quarantine");
    age(reader, state, first, end);
  }

 private:
  // From the records' own clock when it is of the wall, else from when chunks were sealed; a feed that is written is never too old.
  void age(feed::FeedReader& reader, feed::WriterState state, uint64_t first, uint64_t end) {
    if (!(args_.max_age_s > 0)) return;
    const feed::Clock& clock = reader.feed().schema.clock(0);
    std::optional<uint64_t> newest_ns;
    if (clock.domain == feed::ClockDomain::kWall && end > first) {
      const feed::Item newest = reader.read(end - 1);
      if (newest.is_record()) newest_ns = feed::convert_clock(newest.clock(0), clock.unit, feed::ClockUnit::kNs);
    }
    for (const feed::ChunkInfo& chunk : reader.chunks()) {
      if (!newest_ns && chunk.sealed_wall_ns > 0) newest_ns = chunk.sealed_wall_ns;
      if (clock.domain != feed::ClockDomain::kWall && chunk.sealed_wall_ns > 0)
        newest_ns = std::max(*newest_ns, chunk.sealed_wall_ns);
    }
    const uint64_t now_ns = realtime_ns();
    if (!newest_ns) {
      if (state != feed::WriterState::kActive) note("bad", "no record yet, and nobody writes");
      return;
    }
    const double age_s = static_cast<double>(now_ns > *newest_ns ? now_ns - *newest_ns : 0) / 1e9;
    if (age_s > args_.max_age_s && !(clock.domain != feed::ClockDomain::kWall && state == feed::WriterState::kActive)) {
      note("bad", fmt::format("the newest record is {:.0f} s old, more than {:.0f}", age_s, args_.max_age_s));
    }
  }
  const HealthArgs& args_;
  std::string name_;

 public:
  std::vector<Check> checks;
};

Exit run_health(const Context& context, const HealthArgs& args) {
  Health health(args);
  std::vector<feed::FeedInfo> feeds;
  health.check("registry", [&] {
    const feed::GlobalRegistry registry = feed::GlobalRegistry::open(args.base);
    for (const std::string& warning : registry.warnings()) health.note("warning", warning);
    for (const auto& [name, info] : registry.feeds()) {
      if (args.feeds.empty() || std::find(args.feeds.begin(), args.feeds.end(), name) != args.feeds.end()) feeds.push_back(info);
    }
    for (const std::string& name : args.feeds) {
      if (registry.find(name) == nullptr) health.note("bad", concat("there is no feed ", name));
    }
  });
  health.check("disk space", [&] { health.space(args.base, args.min_free_gb); });
  std::vector<std::string> roots;
  for (const feed::FeedInfo& info : feeds) {
    if (info.options.storage != feed::Storage::kDurable &&
        std::find(roots.begin(), roots.end(), info.options.shm_root) == roots.end())
      roots.push_back(info.options.shm_root);
  }
  for (const std::string& root : roots) health.check("shared memory", [&] { health.space(root, args.min_free_shm_gb); });
  for (const feed::FeedInfo& info : feeds) {
    health.check("feed " + info.name, [&] {
      if (info.deleting) return health.note("warning", "its deletion was not finished: delete it again");
      health.feed(info);
    });
  }
  const auto has = [&](std::string_view status) {
    return std::any_of(health.checks.begin(), health.checks.end(), [&](const Check& check) { return check.status == status; });
  };
  const bool failed = has("failed"), bad = has("bad");
  const std::string_view verdict = failed ? "failed" : bad ? "unhealthy" : "healthy";
  if (context.json) {
    ordered_json checks = ordered_json::array();
    for (const Check& check : health.checks)
      checks.push_back({{"check", check.name}, {"status", check.status}, {"text", check.text}});
    print_json_line(context, dump({{"base", args.base}, {"health", verdict}, {"checks", std::move(checks)}}));
  } else {
    for (const Check& check : health.checks) {
      if (args.verbose || check.status != "ok")
        fmt::print(context.out, "{:<8} {}{}{}\n", check.status, check.name, check.text.empty() ? "" : ": ", check.text);
    }
    fmt::print(context.out, "{}: {}\n", args.base, verdict);
  }
  // F-136 has codes of its own: 2 is a check that could not be made.
  return failed ? Exit::kUsage : bad ? Exit::kFailed : Exit::kOk;
}

}  // namespace

void add_feed_health(CLI::App& group, Context& context) {
  auto args = std::make_shared<HealthArgs>();
  CLI::App* verb = group.add_subcommand("health", "is a base well? registry, space, feeds, writers");
  verb->add_option("names,--feed,--check-feeds", args->feeds, "these feeds only")->type_name("NAME")->delimiter(',');
  add_base_flag(*verb, args->base);
  verb->add_option("--max-age-seconds", args->max_age_s, "the newest record may be so old; 0: any age")
      ->type_name("S")
      ->check(CLI::Range(0.0, 1e12).description(""))
      ->capture_default_str();
  verb->add_option("--min-free-gb", args->min_free_gb, "on the base's disk")
      ->type_name("GB")
      ->check(CLI::Range(0.0, 1e9).description(""))
      ->capture_default_str();
  verb->add_option("--min-free-shm-gb", args->min_free_shm_gb, "where live chunks are")
      ->type_name("GB")
      ->check(CLI::Range(0.0, 1e9).description(""))
      ->capture_default_str();
  verb->add_flag("--verbose,-v", args->verbose, "show what is well, too");
  add_common_flags(*verb, context);
  verb->footer(
      "bad: a registry or feed that cannot be read, a writer that stands still, a chunk in quarantine, no space, records too old.\n"
      "warning (still healthy): a crashed writer, records that a power cut cost, damaged registry entries.\n"
      "The age is that of a wall clock's newest record; of other clocks, that of the newest sealed chunk, and a feed that is "
      "written counts.\n"
      "--json: base, health (healthy, unhealthy, failed), checks[{check, status, text}].\n"
      "Exit: 0 healthy, 1 unhealthy, 2 a check could not be made (or usage).\n"
      "Examples:\n"
      "  tidepool feed health --base /data/feeds -v\n"
      "  tidepool feed health trades --max-age-seconds 60 --min-free-gb 20 --json");
  verb->callback([args, &context] { context.action = [args, &context] { return run_health(context, *args); }; });
}

}  // namespace tidepool::cli

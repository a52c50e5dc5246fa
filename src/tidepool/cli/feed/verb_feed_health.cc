// tidepool feed health: is a base well? For cron and monitoring; looks and changes nothing (F-136, F-138).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/cli/feed/feed_verbs.h"
#include "tidepool/cli/feed/target.h"
#include "tidepool/cli/text.h"
#include "tidepool/feed/health.h"

namespace tidepool::cli {
namespace {

struct HealthArgs {
  std::string base;
  std::vector<std::string> feeds;
  double max_age_s = 0;
  double max_lag_s = 10;
  double min_free_gb = 1.0;
  double min_free_shm_gb = 0.25;
  bool verbose = false;
  bool prometheus = false;
  bool metrics = false;
};

struct HealthCheck {
  std::string name, status, text;  // status: ok, warning, bad, failed (the check itself could not be made)
};

std::string status_of(feed::Grade grade) {
  return grade == feed::Grade::kUnknown ? "failed" : std::string(feed::grade_name(grade));
}

std::string room_text(const feed::Room& room) {
  return fmt::format("{}: {:.2f} GB free", room.path, static_cast<double>(room.free_bytes) / 1e9);
}

// The findings of one check of the base, or that it is well.
void add_base_check(std::vector<HealthCheck>& checks, const feed::BaseHealth& health, std::string_view check, std::string name,
                    const std::string& ok_text) {
  const size_t before = checks.size();
  for (const feed::HealthFinding& finding : health.findings) {
    if (finding.check == check) checks.push_back({name, status_of(finding.grade), finding.text});
  }
  if (checks.size() == before) checks.push_back({std::move(name), "ok", ok_text});
}

std::vector<HealthCheck> checks_of(const feed::BaseHealth& health) {
  std::vector<HealthCheck> checks;
  add_base_check(checks, health, "registry", "registry", "");
  add_base_check(checks, health, "disk", "disk space", room_text(health.disk));
  std::string rooms;
  for (const feed::Room& room : health.shm) rooms += (rooms.empty() ? "" : ", ") + room_text(room);
  if (!health.shm.empty()) add_base_check(checks, health, "shared memory", "shared memory", rooms);
  add_base_check(checks, health, "persister", "persister",
                 health.persistd ? fmt::format("persistd runs, pid {}", health.persistd->pid) : "no daemon serves the base: writers do it");
  add_base_check(checks, health, "quarantine", "quarantine", "");
  for (const feed::FeedHealth& feed : health.feeds) {
    for (const feed::HealthFinding& finding : feed.findings)
      checks.push_back({"feed " + feed.name, status_of(finding.grade), fmt::format("{}: {}", finding.check, finding.text)});
    if (feed.findings.empty()) checks.push_back({"feed " + feed.name, "ok", ""});
  }
  return checks;
}

uint64_t ns_of_seconds(double seconds) { return seconds <= 0 ? 0 : static_cast<uint64_t>(std::min(seconds, 1e9) * 1e9); }

feed::HealthLimits limits_of(const HealthArgs& args) {
  feed::HealthLimits limits;
  limits.max_age_ns = ns_of_seconds(args.max_age_s);
  limits.max_lag_ns = ns_of_seconds(args.max_lag_s);
  limits.min_free_bytes = static_cast<uint64_t>(args.min_free_gb * 1e9);
  limits.min_free_shm_bytes = static_cast<uint64_t>(args.min_free_shm_gb * 1e9);
  limits.feeds = args.feeds;
  return limits;
}

Exit report(const Context& context, const HealthArgs& args, const std::vector<HealthCheck>& found) {
  const auto has = [&](std::string_view status) {
    return std::any_of(found.begin(), found.end(), [&](const HealthCheck& check) { return check.status == status; });
  };
  const bool failed = has("failed"), bad = has("bad");
  const std::string_view verdict = failed ? "failed" : bad ? "unhealthy" : "healthy";
  if (context.json) {
    ordered_json checks = ordered_json::array();
    for (const HealthCheck& check : found) checks.push_back({{"check", check.name}, {"status", check.status}, {"text", check.text}});
    print_json_line(context, dump({{"base", args.base}, {"health", verdict}, {"checks", std::move(checks)}}));
  } else if (!args.prometheus && !args.metrics) {
    for (const HealthCheck& check : found) {
      if (args.verbose || check.status != "ok")
        fmt::print(context.out, "{:<8} {}{}{}\n", check.status, check.name, check.text.empty() ? "" : ": ", check.text);
    }
    fmt::print(context.out, "{}: {}\n", args.base, verdict);
  }
  // F-136 has codes of its own: 2 is a check that could not be made.
  return failed ? Exit::kUsage : bad ? Exit::kFailed : Exit::kOk;
}

Exit run_health(const Context& context, const HealthArgs& args) {
  feed::BaseHealth health;
  try {
    health = feed::check_base(args.base, limits_of(args));
  } catch (const std::exception& error) {
    if (args.prometheus || args.metrics) print_error(context.err, error.what());
    return report(context, args, {{"registry", "failed", error.what()}});
  }
  if (args.prometheus) fmt::print(context.out, "{}", feed::prometheus_text(health));
  if (args.metrics) fmt::print(context.out, "{}", feed::metrics_text(health));
  return report(context, args, checks_of(health));
}

}  // namespace

void add_feed_health(CLI::App& group, Context& context) {
  auto args = std::make_shared<HealthArgs>();
  CLI::App* verb = group.add_subcommand("health", "is a base well? registry, space, feeds, writers; its metrics");
  verb->add_option("names,--feed,--check-feeds", args->feeds, "these feeds only")->type_name("NAME")->delimiter(',');
  add_base_flag(*verb, args->base);
  verb->add_option("--max-age-seconds,--max-age", args->max_age_s, "the newest record may be so old; 0: any age")
      ->type_name("S")
      ->check(CLI::Range(0.0, 1e12).description(""))
      ->capture_default_str();
  verb->add_option("--max-lag-seconds", args->max_lag_s, "records may wait so long for the disk; 0: any time")
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
  auto* prometheus = verb->add_flag("--prometheus", args->prometheus, "metrics instead, as Prometheus reads them");
  verb->add_flag("--metrics", args->metrics, "metrics instead, a line each")->excludes(prometheus);
  verb->add_flag("--verbose,-v", args->verbose, "show what is well, too");
  add_common_flags(*verb, context);
  verb->footer(
      "bad: a registry or feed that cannot be read, a writer or a daemon that stands still, a chunk in quarantine, no space, records\n"
      "too old, or waiting too long for the disk.\n"
      "warning (still healthy): a crashed writer, records that a power cut cost, damaged registry entries, clocks that went\n"
      "backwards, chunks that retention should have let go, notes of damage, shared memory of feeds that are gone.\n"
      "The age is that of a wall clock's newest record; of other clocks, since the writer was seen to append.\n"
      "Metrics have latencies of syncs and rotations as histograms, waits, lag, losses, shared memory, and what readers keep of it.\n"
      "--json: base, health (healthy, unhealthy, failed), checks[{check, status, text}].\n"
      "Exit: 0 healthy, 1 unhealthy, 2 a check could not be made (or usage).\n"
      "Examples:\n"
      "  tidepool feed health --base /data/feeds -v\n"
      "  tidepool feed health trades --max-age-seconds 60 --min-free-gb 20 --json\n"
      "  tidepool feed health --prometheus > /var/lib/node_exporter/tidepool.prom");
  verb->callback([args, &context] { context.action = [args, &context] { return run_health(context, *args); }; });
}

}  // namespace tidepool::cli

// tidepool feed verify, repair, persistd, pin, unpin: care of feeds.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <thread>

#include "tidepool/base/clock.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/cli/feed/durations.h"
#include "tidepool/cli/feed/event_sink.h"
#include "tidepool/cli/feed/feed_verbs.h"
#include "tidepool/cli/feed/target.h"
#include "tidepool/cli/feed/time_text.h"
#include "tidepool/cli/progress.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/text.h"
#include "tidepool/feed/checkpoint.h"
#include "tidepool/feed/persistd.h"
#include "tidepool/feed/pins.h"
#include "tidepool/feed/repair.h"

namespace tidepool::cli {
namespace {

ordered_json json_of(const feed::Finding& finding) {
  return {{"severity", feed::severity_name(finding.severity)},
          {"what", finding.what},
          {"feed", finding.feed},
          {"path", finding.path},
          {"ordinal", finding.ordinal},
          {"first_seq", finding.first_seq},
          {"end_seq", finding.end_seq},
          {"expected", finding.expected},
          {"found", finding.found}};
}

ordered_json json_of(const std::vector<feed::Finding>& findings) {
  ordered_json out = ordered_json::array();
  for (const feed::Finding& finding : findings) out.push_back(json_of(finding));
  return out;
}

void print_findings(std::FILE* to, const feed::VerifyReport& report, bool notes) {
  for (const feed::Finding& finding : report.findings) {
    if (notes || finding.severity != feed::Severity::kNote) fmt::print(to, "{}\n", feed::text_of(finding));
  }
}

std::function<void(const feed::VerifyProgress&)> shown_by(Progress& progress) {
  return [&progress](const feed::VerifyProgress& now) {
    progress.update(monotonic_ns(), [&] {
      return fmt::format("{}{}: {}, {}", progress_bar(now.feed_done, now.feed_chunks), now.feed, format_count(now.chunks, "chunk"),
                         format_bytes(now.bytes));
    });
  };
}

// ---- verify -------------------------------------------------------------------------------------------------------------------

struct VerifyArgs {
  std::string base;
  std::vector<std::string> names;
  bool quick = false;
  bool verbose = false;
};

Exit run_verify(const Context& context, const VerifyArgs& args) {
  feed::VerifyReport report;
  {
    Progress progress(context);
    const feed::VerifyOptions options{.blocks = !args.quick, .progress = shown_by(progress)};
    if (args.names.empty()) report = feed::verify_base(args.base, options);
    for (const std::string& name : args.names) {
      feed::VerifyReport one = feed::verify_feed(args.base, name, options);
      report.feeds += one.feeds;
      report.chunks += one.chunks;
      report.records += one.records;
      report.bytes += one.bytes;
      std::move(one.findings.begin(), one.findings.end(), std::back_inserter(report.findings));
    }
  }
  const uint64_t damage = report.count(feed::Severity::kDamage), repairable = report.count(feed::Severity::kRepairable),
                 notes = report.count(feed::Severity::kNote);
  if (context.json) {
    print_json_line(context, dump({{"base", args.base},
                                   {"sound", report.sound()},
                                   {"feeds", report.feeds},
                                   {"chunks", report.chunks},
                                   {"records", report.records},
                                   {"bytes", report.bytes},
                                   {"damage", damage},
                                   {"repairable", repairable},
                                   {"notes", notes},
                                   {"findings", json_of(report.findings)}}));
  } else {
    print_findings(context.out, report, args.verbose);
    fmt::print(context.out, "{}: {}, {}, {} in {}: {}\n", args.base, format_count(report.feeds, "feed"),
               format_count(report.chunks, "chunk"), format_count(report.records, "record"), format_bytes(report.bytes),
               report.sound() ? "sound" : fmt::format("{} damaged, {} that repair puts right", damage, repairable));
  }
  return report.sound() ? Exit::kOk : Exit::kWrongData;
}

// ---- repair -------------------------------------------------------------------------------------------------------------------

struct RepairArgs {
  std::string base;
  std::string name;
  bool dry_run = false;
  bool all = false;
  bool verbose = false;
  bool events = false;
  double grace_s = 60;
};

Exit run_repair(const Context& context, const RepairArgs& args) {
  if (args.all == !args.name.empty()) throw UsageError("repair: name a feed, or give --all");
  feed::RepairReport report;
  {
    Progress progress(context);
    report = feed::repair_base(
        args.base, {.dry_run = args.dry_run, .feed = args.name, .grace_ns = duration_ns(args.grace_s), .progress = shown_by(progress)});
  }
  const uint64_t untold = tell_events(context, args.base, args.events && !args.dry_run, report);
  const uint64_t damage = report.left.count(feed::Severity::kDamage);
  if (context.json) {
    ordered_json actions = ordered_json::array();
    for (const feed::RepairAction& action : report.actions) {
      actions.push_back({{"what", action.what},
                         {"feed", action.feed},
                         {"path", action.path},
                         {"why", action.why},
                         {"first_seq", action.first_seq},
                         {"end_seq", action.end_seq},
                         {"done", action.done},
                         {"failure", action.failure}});
    }
    print_json_line(context, dump({{"base", args.base},
                                   {"dry_run", args.dry_run},
                                   {"feeds", report.feeds},
                                   {"skipped", report.skipped},
                                   {"actions", std::move(actions)},
                                   {"events_dropped", untold},
                                   {"left", json_of(report.left.findings)}}));
  } else {
    for (const feed::RepairAction& action : report.actions)
      fmt::print(context.out, "{}{}\n", args.dry_run ? "would " : "", feed::text_of(action));
    for (const std::string& skipped : report.skipped) fmt::print(context.out, "skipped {}\n", skipped);
    print_findings(context.out, report.left, args.verbose);
    fmt::print(context.out, "{}: {} looked at, {} skipped, {}{}{}\n", args.base, format_count(report.feeds, "feed"),
               report.skipped.size(), format_count(report.actions.size(), "action"), args.dry_run ? " would be taken" : "",
               damage > 0 ? fmt::format("; {} stay", format_count(damage, "damage")) : "");
  }
  if (report.failed() || (!report.skipped.empty() && !args.name.empty())) return Exit::kFailed;
  return args.dry_run || report.left.sound() ? Exit::kOk : Exit::kWrongData;
}

// ---- persistd -----------------------------------------------------------------------------------------------------------------

struct PersistdArgs {
  std::string base;
  bool once = false;
  bool no_prune = false;
  bool events = false;
  double poll_s = 0.2;
  double prune_every_s = 900;
};

Exit run_persistd(const Context& context, const PersistdArgs& args) {
  install_signal_handlers();
  feed::PersistdOptions options;
  options.retention_every_ns = args.no_prune ? 0 : duration_ns(args.prune_every_s);
  std::optional<feed::EventFeed> events;
  if (args.events) {
    feed::GlobalRegistry::open(args.base);  // a base that is not there is not made for the sake of events
    events.emplace(feed::EventFeed::best_effort(args.base));
    if (!events->trouble().empty()) print_error(context.err, concat("events are dropped and counted: ", events->trouble()));
    options.events = &*events;
  }
  const auto persister = feed::Persistd::open(args.base, options);
  while (!stop_requested()) {
    const bool worked = persister->poll();
    if (worked) continue;
    if (args.once) break;
    const uint64_t until_ns = monotonic_ns() + duration_ns(args.poll_s);
    while (!stop_requested() && monotonic_ns() < until_ns) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const feed::PersistdStatus status = persister->status();
  if (context.json) {
    print_json_line(context, dump({{"base", args.base},
                                   {"feeds", status.feeds},
                                   {"drained_feeds", status.drained_feeds},
                                   {"drained_chunks", status.drained_chunks},
                                   {"drained_records", status.drained_records},
                                   {"failures", status.failures},
                                   {"rewritten", status.rewritten},
                                   {"served_writers", status.served},
                                   {"served_chunks", status.served_chunks},
                                   {"served_records", status.served_records},
                                   {"events_dropped", events ? events->dropped() : 0},
                                   {"trouble", persister->trouble()}}));
  } else {
    fmt::print(context.out, "{}: {} served, {} taken to disk: {}, {}; {} of living writers; {}\n", args.base,
               format_count(status.feeds, "feed"), status.drained_feeds, format_count(status.drained_chunks, "chunk"),
               format_count(status.drained_records, "record"), format_count(status.served_records, "record"),
               format_count(status.failures, "failure"));
  }
  return args.once && status.failures > 0 ? Exit::kFailed : Exit::kOk;
}

// ---- pins ---------------------------------------------------------------------------------------------------------------------

struct PinArgs {
  FeedTarget target;
  std::string pin;
  std::optional<uint64_t> seq;
  std::string checkpoint;
  std::string checkpoints;
  double for_s = 0;
  uint64_t max_bytes = 0;
  bool missing_ok = false;
};

ordered_json json_of(const feed::Pin& pin) {
  return {{"name", pin.name},
          {"seq", pin.seq},
          {"created_ns", pin.created_wall_ns},
          {"expires_ns", pin.expires_wall_ns},
          {"max_bytes", pin.bytes_max},
          {"broken", pin.broken},
          {"why", pin.why}};
}

Exit list_pins(const Context& context, const PinArgs& args) {
  const feed::FeedInfo info = feed::find_feed(args.target.base, args.target.name, feed::Files::system());
  std::vector<std::string> damaged;
  const auto pins = feed::pins_of(info, damaged);
  if (context.json) {
    ordered_json out = ordered_json::array();
    for (const feed::Pin& pin : pins) out.push_back(json_of(pin));
    print_json_line(context, dump({{"feed", info.name}, {"pins", std::move(out)}, {"damaged", damaged}}));
  } else {
    for (const feed::Pin& pin : pins) {
      fmt::print(context.out, "{} from record {}{}{}{}\n", pin.name, pin.seq,
                 pin.expires_wall_ns == 0 ? "" : fmt::format(", until {}", TimeFormat::parse("local").text(pin.expires_wall_ns, {.domain = feed::ClockDomain::kWall})),
                 pin.bytes_max == 0 ? "" : fmt::format(", up to {}", format_bytes(pin.bytes_max)),
                 pin.broken ? fmt::format(": broken: {}", pin.why) : "");
    }
    for (const std::string& path : damaged) fmt::print(context.out, "damaged: {}\n", path);
  }
  return Exit::kOk;
}

Exit run_pin(const Context& context, const PinArgs& args) {
  if (args.pin.empty()) return list_pins(context, args);
  const feed::FeedInfo info = feed::find_feed(args.target.base, args.target.name, feed::Files::system());
  feed::Pin pin;
  pin.name = args.pin;
  pin.created_wall_ns = realtime_ns();
  pin.expires_wall_ns = args.for_s > 0 ? pin.created_wall_ns + duration_ns(args.for_s) : 0;
  pin.bytes_max = args.max_bytes;
  if (!args.checkpoint.empty()) {
    const auto saved = feed::Checkpoint::load(args.checkpoint, info.id, args.checkpoints);
    if (!saved) throw UsageError(concat("there is no checkpoint ", args.checkpoint, " of feed ", info.name));
    pin.seq = saved->next_seq;
  } else {
    pin.seq = args.seq ? *args.seq : feed::FeedRegistry::open(info, feed::Files::system(), false).floor_seq();
  }
  feed::pin_feed(args.target.base, args.target.name, pin);
  if (context.json) {
    print_json_line(context, dump({{"feed", info.name}, {"pin", json_of(pin)}}));
  } else {
    fmt::print(context.out, "{}: records from {} on are kept for {}\n", info.name, pin.seq, pin.name);
  }
  return Exit::kOk;
}

Exit run_unpin(const Context& context, const PinArgs& args) {
  const bool there = feed::unpin_feed(args.target.base, args.target.name, args.pin);
  if (context.json) {
    print_json_line(context, dump({{"feed", args.target.name}, {"pin", args.pin}, {"removed", there}}));
  } else {
    fmt::print(context.out, "{}: pin {} {}\n", args.target.name, args.pin, there ? "removed" : "was not there");
  }
  return there || args.missing_ok ? Exit::kOk : Exit::kNothing;
}

}  // namespace

void add_feed_verify(CLI::App& group, Context& context) {
  auto args = std::make_shared<VerifyArgs>();
  CLI::App* verb = group.add_subcommand("verify", "check every checksum and number of feeds; changes nothing");
  verb->add_option("names,--feed", args->names, "these feeds only")->type_name("NAME");
  add_base_flag(*verb, args->base);
  verb->add_flag("--quick", args->quick, "registries, headers and footers alone, not the records");
  verb->add_flag("--verbose,-v", args->verbose, "notes, too: what is no damage");
  add_common_flags(*verb, context);
  verb->footer(
      "While somebody writes, what is durable is checked. `damage`: records cannot be read; `repairable`: none is lost, `repair` "
      "puts it\n"
      "right; `note`: told, and nothing wrong. docs/protocols/feed.md lists the words.\n"
      "--json: base, sound, feeds, chunks, records, bytes, damage, repairable, notes,\n"
      "        findings[{severity, what, feed, path, ordinal, first_seq, end_seq, expected, found}].\n"
      "Exit: 0 sound, 1 could not look, 2 usage, 4 damage or something to repair.\n"
      "Examples:\n"
      "  tidepool feed verify --base /data/feeds\n"
      "  tidepool feed verify trades quotes --quick\n"
      "  tidepool feed verify --json | jq '.findings[] | select(.severity == \"damage\") | {path, first_seq, end_seq}'");
  verb->callback([args, &context] { context.action = [args, &context] { return run_verify(context, *args); }; });
}

void add_feed_repair(CLI::App& group, Context& context) {
  auto args = std::make_shared<RepairArgs>();
  CLI::App* verb = group.add_subcommand("repair", "put right what verify finds, and finish what the dead left half done");
  verb->add_option("name,--feed", args->name, "this feed")->type_name("NAME");
  verb->add_flag("--all", args->all, "every feed of the base, and the base's own registry");
  add_base_flag(*verb, args->base);
  verb->add_flag("--dry-run,-n", args->dry_run, "say what would be done, change nothing");
  verb->add_option("--grace", args->grace_s, "files of expired chunks stay that long")
      ->type_name("DURATION")
      ->transform(duration())
      ->default_str("60s");
  verb->add_flag("--verbose,-v", args->verbose, "notes of what is left, too");
  verb->add_flag("--events", args->events, "write what was done to the feed system.events");
  add_common_flags(*verb, context);
  verb->footer(
      "Feeds that somebody writes are skipped. Nothing that holds records is deleted: what cannot be right goes to quarantine/ "
      "with a note\n"
      "beside it, and readers are told of the gap. Killed at any point, the next run finishes; a second run finds nothing to do.\n"
      "--json: base, dry_run, feeds, skipped[], actions[{what, feed, path, why, first_seq, end_seq, done, failure}], "
      "events_dropped,\n"
      "        left[findings of verify].\n"
      "Exit: 0 in order (a dry run: looked), 1 an action failed or the feed is in use, 2 usage, 4 damage stays that nothing can "
      "undo.\n"
      "Examples:\n"
      "  tidepool feed repair --all --dry-run --base /data/feeds\n"
      "  tidepool feed repair trades\n"
      "  tidepool feed repair --all --json | jq '.actions[].what'");
  verb->callback([args, &context] { context.action = [args, &context] { return run_repair(context, *args); }; });
}

void add_feed_persistd(CLI::App& group, Context& context) {
  auto args = std::make_shared<PersistdArgs>();
  CLI::App* verb = group.add_subcommand("persistd", "serve a base: records of dead writers, and of living ones that want it, go to disk; and prune");
  add_base_flag(*verb, args->base);
  verb->add_flag("--once", args->once, "until nothing is left to do, then end");
  verb->add_option("--poll-interval", args->poll_s, "how often it looks")
      ->type_name("DURATION")
      ->transform(duration())
      ->default_str("0.2s");
  verb->add_option("--prune-interval", args->prune_every_s, "how often it prunes")
      ->type_name("DURATION")
      ->transform(duration())
      ->default_str("15m");
  verb->add_flag("--no-prune", args->no_prune, "leave retention to others");
  verb->add_flag("--events", args->events, "write what is drained and expired to the feed system.events");
  add_common_flags(*verb, context);
  verb->footer(
      "What killed writers left goes to disk at once, so that a power cut finds it there. Writers of feeds made with --persister daemon\n"
      "(or any) leave their records to it all the time: each has a thread of it. Should it be killed, records wait in shared memory\n"
      "for the next one.\n"
      "One a base: a second one ends and says who the first is. It never ends because writers are away; SIGINT or SIGTERM end it.\n"
      "--json (at the end): base, feeds, drained_feeds, drained_chunks, drained_records, failures, rewritten, served_writers, served_chunks,\n"
      "served_records, events_dropped, trouble.\n"
      "Exit: 0 ended in order, 1 the base is served already, or (--once) a feed failed, 2 usage.\n"
      "Examples:\n"
      "  tidepool feed persistd --base /data/feeds\n"
      "  tidepool feed persistd --once --no-prune --json");
  verb->callback([args, &context] { context.action = [args, &context] { return run_persistd(context, *args); }; });
}

void add_feed_pin(CLI::App& group, Context& context) {
  auto args = std::make_shared<PinArgs>();
  CLI::App* verb = group.add_subcommand("pin", "keep records from retention; without a pin's name: list the pins");
  add_target_flags(*verb, args->target);
  verb->add_option("pin", args->pin, "what the pin is called")->type_name("PIN");
  auto* seq =
      verb->add_option("--seq", args->seq, "keep this record and all after it (default: all that are there)")->type_name("N");
  verb->add_option("--checkpoint", args->checkpoint, "keep what a reader's saved checkpoint has not read")
      ->type_name("NAME")
      ->excludes(seq);
  verb->add_option("--checkpoints", args->checkpoints, "where checkpoints are kept")->type_name("DIR");
  verb->add_option("--for", args->for_s, "hold that long (default: until unpin)")->type_name("DURATION")->transform(duration());
  verb->add_option("--max-bytes", args->max_bytes, "break when more than that would have gone")
      ->type_name("BYTES")
      ->transform(size_in_bytes());
  add_common_flags(*verb, context);
  verb->footer(
      "A pin is kept with the feed, so it takes the right to write in the feed's directory; reading does not. One that holds more "
      "or longer\n"
      "than it may is broken by the next prune, which says so; it stays in the list until it is removed or set again.\n"
      "--json: feed, pin{name, seq, created_ns, expires_ns, max_bytes, broken, why}; the list: feed, pins[], damaged[].\n"
      "Exit: 0 pinned (or listed), 1 could not (no right, or the record is gone already), 2 usage.\n"
      "Examples:\n"
      "  tidepool feed pin trades audit-2026 --seq 1000000 --for 30d --max-bytes 50GiB\n"
      "  tidepool feed pin trades strategy-7 --checkpoint strategy-7\n"
      "  tidepool feed pin trades --json");
  verb->callback([args, &context] { context.action = [args, &context] { return run_pin(context, *args); }; });
}

void add_feed_unpin(CLI::App& group, Context& context) {
  auto args = std::make_shared<PinArgs>();
  CLI::App* verb = group.add_subcommand("unpin", "end a pin");
  add_target_flags(*verb, args->target);
  verb->add_option("pin", args->pin, "the pin")->type_name("PIN")->required();
  verb->add_flag("--missing-ok", args->missing_ok, "a pin that is not there is no failure");
  add_common_flags(*verb, context);
  verb->footer(
      "--json: feed, pin, removed.\n"
      "Exit: 0 removed (with --missing-ok also when it was not there), 1 could not, 2 usage, 3 there was none.\n"
      "Examples:\n"
      "  tidepool feed unpin trades audit-2026\n"
      "  tidepool feed unpin trades strategy-7 --missing-ok --json");
  verb->callback([args, &context] { context.action = [args, &context] { return run_unpin(context, *args); }; });
}

}  // namespace tidepool::cli

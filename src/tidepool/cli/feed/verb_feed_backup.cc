// tidepool feed backup, adopt: a copy of a base while it is written, and single chunks from elsewhere (F-153).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/cli/feed/feed_verbs.h"
#include "tidepool/cli/feed/target.h"
#include "tidepool/cli/progress.h"
#include "tidepool/cli/text.h"
#include "tidepool/feed/adopt.h"
#include "tidepool/feed/backup.h"
#include "tidepool/feed/verify.h"

namespace tidepool::cli {
namespace {

struct BackupArgs {
  std::string base;
  std::string to;
  std::vector<std::string> feeds;
  bool no_verify = false;
};

Exit run_backup(const Context& context, const BackupArgs& args) {
  feed::BackupReport report;
  feed::VerifyReport sound;
  {
    Progress progress(context);
    report = feed::backup_base(args.base, args.to, {.feeds = args.feeds, .progress = [&](const feed::BackupProgress& now) {
                                                      progress.update(monotonic_ns(), [&] {
                                                        return fmt::format("{}: {}, {}", now.feed, format_count(now.files, "file"),
                                                                           format_bytes(now.bytes));
                                                      });
                                                    }});
    if (!args.no_verify) {
      sound = feed::verify_base(args.to, {.progress = [&](const feed::VerifyProgress& now) {
                                  progress.update(monotonic_ns(), [&] {
                                    return fmt::format("the copy of {}: {}, {}", now.feed, format_count(now.chunks, "chunk"),
                                                       format_bytes(now.bytes));
                                  });
                                }});
    }
  }
  if (context.json) {
    print_json_line(context, dump({{"base", args.base},
                                   {"to", args.to},
                                   {"feeds", report.feeds},
                                   {"files", report.files},
                                   {"bytes", report.bytes},
                                   {"kept", report.kept},
                                   {"removed", report.removed},
                                   {"remarks", report.remarks},
                                   {"verified", !args.no_verify},
                                   {"records", sound.records},
                                   {"sound", args.no_verify ? ordered_json(nullptr) : ordered_json(sound.sound())}}));
  } else {
    for (const std::string& remark : report.remarks) fmt::print(context.err, "tidepool: {}\n", remark);
    for (const feed::Finding& finding : sound.findings) {
      if (finding.severity != feed::Severity::kNote) fmt::print(context.out, "{}\n", feed::text_of(finding));
    }
    fmt::print(context.out, "{}: {} copied in {} ({}), {} were there already{}\n", args.to, format_count(report.feeds, "feed"),
               format_count(report.files, "file"), format_bytes(report.bytes), format_count(report.kept, "chunk"),
               args.no_verify ? "" : sound.sound() ? fmt::format("; {}, sound", format_count(sound.records, "record")) : "; DAMAGED");
  }
  return sound.sound() ? Exit::kOk : Exit::kWrongData;
}

struct AdoptArgs {
  FeedTarget target;
  std::vector<std::string> files;
  std::string storage = "tiered", shm_root = "/dev/shm";
  bool dry_run = false, replace_damaged = false;
};

Exit run_adopt(const Context& context, const AdoptArgs& args) {
  feed::AdoptOptions options{.dry_run = args.dry_run, .replace_damaged = args.replace_damaged};
  options.feed_options.storage = feed::storage_named(args.storage);
  options.feed_options.shm_root = args.shm_root;
  const feed::AdoptReport report = feed::adopt_chunks(args.target.base, args.target.name, args.files, options);
  if (context.json) {
    ordered_json chunks = ordered_json::array();
    for (const feed::AdoptedChunk& chunk : report.chunks) {
      chunks.push_back({{"file", chunk.path},
                        {"outcome", feed::outcome_name(chunk.outcome)},
                        {"ordinal", chunk.ordinal},
                        {"first_seq", chunk.first_seq},
                        {"end_seq", chunk.end_seq},
                        {"why", chunk.why}});
    }
    print_json_line(context, dump({{"feed", args.target.name},
                                   {"dry_run", args.dry_run},
                                   {"created", report.created},
                                   {"adopted", report.count(feed::AdoptedChunk::Outcome::kAdopted)},
                                   {"replaced", report.count(feed::AdoptedChunk::Outcome::kReplaced)},
                                   {"refused", report.count(feed::AdoptedChunk::Outcome::kRefused)},
                                   {"quarantined", report.count(feed::AdoptedChunk::Outcome::kQuarantined)},
                                   {"chunks", std::move(chunks)}}));
  } else {
    for (const feed::AdoptedChunk& chunk : report.chunks) {
      fmt::print(context.out, "{}{} {}{}{}\n", args.dry_run ? "would be " : "", feed::outcome_name(chunk.outcome), chunk.path,
                 chunk.end_seq > chunk.first_seq ? fmt::format(": records {} to {}", chunk.first_seq, chunk.end_seq) : "",
                 chunk.why.empty() ? "" : ": " + chunk.why);
    }
  }
  if (report.count(feed::AdoptedChunk::Outcome::kQuarantined) > 0) return Exit::kWrongData;
  return report.count(feed::AdoptedChunk::Outcome::kRefused) > 0 ? Exit::kFailed : Exit::kOk;
}

}  // namespace

void add_feed_backup(CLI::App& group, Context& context) {
  auto args = std::make_shared<BackupArgs>();
  CLI::App* verb = group.add_subcommand("backup", "copy a base, or some feeds, while they are written");
  verb->add_option("to,--to", args->to, "the copy: a directory that is new, or an earlier copy of this base")->type_name("DIR")->required();
  verb->add_option("names,--feed", args->feeds, "these feeds only, with their payloads")->type_name("NAME");
  add_base_flag(*verb, args->base);
  verb->add_flag("--no-verify", args->no_verify, "do not read the copy and check it");
  add_common_flags(*verb, context);
  verb->footer(
      "Each feed ends at the last record that was durable when its turn came. The copy is a base as any other: read it where it is, "
      "or copy\n"
      "it back. A second run into it takes what is new, and removes what retention has let go; feeds that were deleted stay in it.\n"
      "--json: base, to, feeds, files, bytes, kept, removed, remarks[], verified, records, sound.\n"
      "Exit: 0 copied, 1 could not, 2 usage, 4 the copy is damaged.\n"
      "Examples:\n"
      "  tidepool feed backup /mnt/backup/feeds --base /data/feeds\n"
      "  tidepool feed backup /mnt/backup/feeds trades quotes --json\n"
      "  tidepool feed tail trades --base /mnt/backup/feeds");
  verb->callback([args, &context] { context.action = [args, &context] { return run_backup(context, *args); }; });
}

void add_feed_adopt(CLI::App& group, Context& context) {
  auto args = std::make_shared<AdoptArgs>();
  CLI::App* verb = group.add_subcommand("adopt", "take in chunk files that were copied from another base");
  add_target_flags(*verb, args->target);
  verb->add_option("files", args->files, "<ordinal>.data files of sealed chunks")->type_name("FILE")->required();
  verb->add_flag("--dry-run,-n", args->dry_run, "look at all of them and say what would be done");
  verb->add_flag("--replace-damaged", args->replace_damaged, "whole copies take the place of chunks that are damaged, or gone, here");
  verb->add_option("--storage", args->storage, "of a feed that is made: tiered, durable or memory")->type_name("MODE")->capture_default_str();
  verb->add_option("--shm-root", args->shm_root, "of a feed that is made: where live chunks go")->type_name("DIR")->capture_default_str();
  add_common_flags(*verb, context);
  verb->footer(
      "A feed that is not there is made, with the id, the schema and the numbers that the chunks have. A chunk whose ordinal, or "
      "whose records,\n"
      "are there already is refused, and so is a file that is no chunk. One that does not check out is copied to quarantine/, and its\n"
      "records are told as a gap. The files stay.\n"
      "--json: feed, dry_run, created, adopted, replaced, refused, quarantined, chunks[{file, outcome, ordinal, first_seq, end_seq, why}].\n"
      "Exit: 0 all adopted, 1 some refused (or could not), 2 usage, 4 some are damaged.\n"
      "Examples:\n"
      "  tidepool feed adopt trades /mnt/backup/feeds/feeds/trades/*.data\n"
      "  tidepool feed adopt trades --replace-damaged /mnt/backup/feeds/feeds/trades/0000000000000006.data\n"
      "  tidepool feed adopt history /media/old/0000000000000001.data --dry-run --json");
  verb->callback([args, &context] { context.action = [args, &context] { return run_adopt(context, *args); }; });
}

}  // namespace tidepool::cli

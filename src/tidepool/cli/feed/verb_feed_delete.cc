// tidepool feed delete: remove a feed and all its records (F-11).

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
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

struct DeleteArgs {
  std::string base;
  std::vector<std::string> names;
  bool yes = false;
  bool missing_ok = false;
};

// How much would go; nullopt: it cannot be read, which is no reason to keep it.
std::optional<uint64_t> records_of(const std::string& base, const std::string& name) {
  try {
    feed::FeedReader reader = feed::FeedReader::open(base, name);
    const uint64_t first = reader.first_seq();
    return reader.committed_seq() - first;
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool agreed(const Context& context, const DeleteArgs& args) {
  if (args.yes) return true;
  if (::isatty(STDIN_FILENO) != 1 || ::isatty(::fileno(context.err)) != 1) {
    throw UsageError("deleting takes --yes where nobody can be asked");
  }
  for (const std::string& name : args.names) {
    const auto records = records_of(args.base, name);
    fmt::print(context.err, "{}: {}\n", name, records ? format_count(*records, "record") : "cannot be read");
  }
  fmt::print(context.err, "delete {}? [y/N] ", args.names.size() == 1 ? "it" : "them");
  std::fflush(context.err);
  const int answer = std::fgetc(stdin);
  return answer == 'y' || answer == 'Y';
}

Exit run_delete(const Context& context, const DeleteArgs& args) {
  for (const std::string& name : args.names) feed::check_feed_name(name);  // all before the first one goes
  if (!agreed(context, args)) {
    print_error(context.err, "nothing was deleted");
    return Exit::kFailed;
  }
  ordered_json deleted = ordered_json::array(), missing = ordered_json::array(), failed = ordered_json::array();
  for (const std::string& name : args.names) {
    try {
      (feed::delete_feed(args.base, name, args.missing_ok) ? deleted : missing).push_back(name);
    } catch (const feed::FeedError& error) {
      if (args.names.size() == 1) throw;
      print_error(context.err, concat("feed ", name, ": ", error.what()));
      failed.push_back({{"name", name}, {"fault", feed::fault_name(error.fault())}, {"message", error.what()}});
    }
  }
  const bool whole = failed.empty();
  if (context.json) {
    print_json_line(context, dump({{"deleted", std::move(deleted)}, {"missing", std::move(missing)}, {"failed", std::move(failed)}}));
  } else {
    for (const auto& name : deleted) fmt::print(context.out, "deleted  {}\n", name.get<std::string>());
    for (const auto& name : missing) fmt::print(context.out, "missing  {}\n", name.get<std::string>());
  }
  return whole ? Exit::kOk : Exit::kFailed;
}

}  // namespace

void add_feed_delete(CLI::App& group, Context& context) {
  auto args = std::make_shared<DeleteArgs>();
  CLI::App* verb = group.add_subcommand("delete", "remove feeds with all their records");
  verb->add_option("name,--feed", args->names, "the feeds")->type_name("NAME")->required();
  add_base_flag(*verb, args->base);
  verb->add_flag("--yes,-y", args->yes, "do not ask");
  verb->add_flag("--missing-ok", args->missing_ok, "a feed that is not there is no failure");
  add_common_flags(*verb, context);
  verb->footer(
      "Refused while somebody writes the feed. Who reads it keeps what is mapped, and is told that the feed is gone. A deletion that\n"
      "was killed half-way is finished by the next one.\n"
      "--json: deleted[], missing[], failed[{name, fault, message}].\n"
      "Exit: 0 gone (with --missing-ok also when it was not there), 1 refused or failed, 2 usage.\n"
      "Examples:\n"
      "  tidepool feed delete trades --base /data/feeds\n"
      "  tidepool feed delete old older --yes --missing-ok");
  verb->callback([args, &context] { context.action = [args, &context] { return run_delete(context, *args); }; });
}

}  // namespace tidepool::cli

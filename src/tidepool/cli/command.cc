#include "tidepool/cli/command.h"

#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <exception>
#include <new>
#include <system_error>
#include <nlohmann/json.hpp>
#include <vector>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/logging.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/verbs.h"
#include "tidepool/feed/fault.h"

namespace tidepool::cli {
namespace {

// Edits (insert, delete, replace) from one word to another: for "did you mean".
size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<size_t> row(to.size() + 1);
  for (size_t i = 0; i <= to.size(); ++i) row[i] = i;
  for (size_t i = 1; i <= from.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= to.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (from[i - 1] == to[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[to.size()];
}

std::string unknown_verb_text(const CLI::App& app, std::string_view group, std::string_view word) {
  std::string nearest;
  size_t distance = 3;  // further off is another word
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (verb->get_group().empty()) continue;  // started by other verbs, not by people
    const size_t d = edit_distance(word, verb->get_name());
    if (d < distance) {
      distance = d;
      nearest = verb->get_name();
    }
  }
  std::string text = concat("no command is called '", group, printable(word, 64), "'");
  if (!nearest.empty()) text += concat(": did you mean ", group, nearest, "?");
  return text + concat("\nsee them all:  tidepool ", group, "--help");
}

std::string command_of(const CLI::App& app) {
  std::string name = "tidepool";
  for (auto chosen = app.get_subcommands(); !chosen.empty(); chosen = chosen.front()->get_subcommands()) name += " " + chosen.front()->get_name();
  return name;
}

// The parser's sentences, with its own second line ("Run with --help ...") replaced by ours.
Exit usage_error(Context& context, const CLI::App& app, std::string text) {
  text.resize(std::min(text.size(), text.find('\n')));
  print_error(context.err, concat(text, "\nsee:  ", command_of(app), " --help"));
  return Exit::kUsage;
}

void report_error(const Context& context, Code code, std::string_view text, std::string_view fault = {}) {
  print_error(context.err, text);
  if (!context.json) return;
  nlohmann::ordered_json object;
  object["error"] = {{"code", code_name(code)}, {"message", text}};
  if (!fault.empty()) object["error"]["fault"] = fault;
  // What is not UTF-8 (a path may be anything) is replaced: an error must not end in another one.
  print_json_line(context, object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

Exit run_action(Context& context, const CLI::App& app) {
  try {
    start_log(context.err, context.log);
    return context.action();
  } catch (const UsageError& error) {
    return usage_error(context, app, error.what());
  } catch (const feed::FeedError& error) {
    if (error.fault() == feed::Fault::kUsage) return usage_error(context, app, error.what());
    report_error(context, error.code(), error.what(), feed::fault_name(error.fault()));
  } catch (const Error& error) {
    report_error(context, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    report_error(context, Code::kNoSpace, "out of memory");
  } catch (const std::system_error& error) {
    if (std::ferror(context.out) != 0) {  // fmt's way to say that
      context.write_errno = error.code().value();
      return Exit::kFailed;
    }
    report_error(context, code_of_errno(error.code().value()), error.what());
  } catch (const std::exception& error) {
    report_error(context, Code::kInternal, concat("unexpected: ", error.what(), "\nthis is a fault of tidepool: please report it with the command line"));
  } catch (...) {
    report_error(context, Code::kInternal, "unexpected failure of an unknown kind\nthis is a fault of tidepool: please report it with the command line");
  }
  return Exit::kFailed;
}

// Results that did not reach their reader are not results. A reader that went away (`| head`) needs no telling.
Exit flush_results(const Context& context, Exit exit) {
  errno = 0;
  if (std::fflush(context.out) == 0 && std::ferror(context.out) == 0) return exit;
  const int error = context.write_errno != 0 ? context.write_errno : errno;
  pollfd out{::fileno(context.out), POLLOUT, 0};  // an earlier write may have failed, and its reason is forgotten
  const bool nobody_reads = error == EPIPE || (::poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0);
  errno = error;
  if (!nobody_reads) print_error(context.err, concat("cannot write the results", error != 0 ? errno_text() : ""));
  return exit == Exit::kOk ? Exit::kFailed : exit;
}

Exit parse_and_run(int argc, const char* const* argv, Context& context) {
  CLI::App app("Big frames between processes through shared memory, without copies.", "tidepool");
  app.get_formatter()->column_width(36);
  app.footer(
      "Start here:\n"
      "  tidepool doctor                                           is this machine ready?\n"
      "  tidepool driver --config lab.toml --embedded              the driver, with a media driver inside\n"
      "  tidepool publish --stream 10000 --pattern ramp            a source without a camera\n"
      "  tidepool subscribe --stream 10000 --for 10                a sink without a program\n"
      "\n"
      "Exit codes: 0 done, 1 failed, 2 usage, 3 nothing arrived, 4 wrong data.\n"
      "Environment: AERON_DIR, CLIENT_*, PRODUCER_*, CONSUMER_*, DRIVER_*, TIDEPOOL_LOG, TIDEPOOL_FFMPEG.");
  app.require_subcommand(0, 1);
  bool version = false;
  app.add_flag("--version", version, "print the version and leave");
#define TIDEPOOL_ADD_VERB(name) add_##name(app, context);
  TIDEPOOL_VERBS(TIDEPOOL_ADD_VERB)
#undef TIDEPOOL_ADD_VERB

  // The first word names a verb, or a group of verbs, of which the next word names one.
  std::string group;
  const CLI::App* among = &app;
  for (int at = 1; at < argc && argv[at][0] != '-'; ++at) {
    const auto verbs = among->get_subcommands([](const CLI::App*) { return true; });
    if (verbs.empty()) break;
    const auto named = std::find_if(verbs.begin(), verbs.end(), [&](const CLI::App* verb) { return verb->check_name(argv[at]); });
    if (named == verbs.end()) {
      print_error(context.err, unknown_verb_text(*among, group, argv[at]));
      return Exit::kUsage;
    }
    among = *named;
    group += concat(argv[at], " ");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const std::string help = app.help();  // the chosen verb's, if there is one
    std::fwrite(help.data(), 1, help.size(), context.out);
    return Exit::kOk;
  } catch (const CLI::ParseError& error) {
    return usage_error(context, app, error.what());
  }
  if (version) {
    std::fprintf(context.out, "tidepool %s\n", TIDEPOOL_VERSION);
    return Exit::kOk;
  }
  if (!context.action) {
    const std::string help = app.help();
    std::fwrite(help.data(), 1, help.size(), context.err);
    return Exit::kUsage;
  }
  return run_action(context, app);
}

}  // namespace

void print_error(std::FILE* to, std::string_view text) {
  std::string line = ::isatty(::fileno(to)) == 1 ? "\r\x1b[Ktidepool: " : "tidepool: ";
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view part = text.substr(at, end - at);
    if (at > 0) {
      line += "\n  ";
      part.remove_prefix(std::min(part.find_first_not_of(' '), part.size()));
    }
    line += part;
    at = end + 1;
  }
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), to);
  std::fflush(to);
}

void print_json_line(const Context& context, std::string_view json) {
  std::fwrite(json.data(), 1, json.size(), context.out);
  std::fputc('\n', context.out);
  std::fflush(context.out);
}

void add_common_flags(CLI::App& verb, Context& context) {
  verb.add_flag("--json", context.json, "results for machines: the last line on stdout is one JSON object");
  verb.add_flag("--quiet,-q", context.quiet, "no progress line");
  verb.add_option("--log", context.log, "log level on stderr: error, warn, info, debug, trace (default: TIDEPOOL_LOG, then info)")->type_name("LEVEL");
}

int run_command(int argc, const char* const* argv, std::FILE* out, std::FILE* err) noexcept {
  Context context;
  context.out = out;
  context.err = err;
  Exit exit = Exit::kFailed;
  try {
    clear_stop();
    ignore_broken_pipes();
    exit = parse_and_run(argc, argv, context);
    exit = flush_results(context, exit);
    stop_log();
  } catch (const std::exception& error) {
    std::fprintf(err, "tidepool: unexpected: %s\n", error.what());
  } catch (...) {
    std::fputs("tidepool: unexpected failure of an unknown kind\n", err);
  }
  return static_cast<int>(exit);
}

}  // namespace tidepool::cli

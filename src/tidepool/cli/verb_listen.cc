// tidepool listen: every message of a deployment as a line of text or JSON (control/describe.h).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "tidepool/base/agent.h"
#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/listening.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/text.h"
#include "tidepool/cli/verbs.h"

namespace tidepool::cli {
namespace {

using control::Description;
using Status = Description::Status;

struct ListenArgs {
  ListenFlags flags;
  std::string plane = "all";
  uint32_t stream = 0;  // 0: any
  uint64_t count = 0;   // 0: no limit
  double for_seconds = 0;
};

// Counts and prints; what is thrown (memory) is kept for after the poll, which it must not leave through.
class Printer {
 public:
  Printer(const Context& context, const ListenArgs& args, std::set<Plane> planes)
      : context_(context), args_(args), planes_(std::move(planes)) {}

  void take(Bytes message, const transport::MessageInfo& info, const Ear& ear) noexcept {
    try {
      ++heard;
      const Description description = control::describe(message);
      ++statuses[static_cast<size_t>(description.status)];
      if (full() || !wanted(description, ear)) return;
      print(description, info, ear);
      ++shown;
    } catch (...) {
      failure = std::current_exception();
    }
  }

  bool full() const noexcept { return args_.count > 0 && shown >= args_.count; }
  bool broken() const noexcept { return std::ferror(context_.out) != 0; }  // the reader of the pipe went away

  uint64_t heard = 0, shown = 0;
  uint64_t statuses[5] = {};
  std::exception_ptr failure;

 private:
  bool wanted(const Description& description, const Ear& ear) const {
    if (args_.stream != 0 && !description.is_about(args_.stream)) return false;
    if (planes_.contains(description.plane)) return true;
    // A stream of a wanted plane alone: whatever is said there belongs to it. On a shared one the message decides.
    return std::all_of(ear.planes.begin(), ear.planes.end(), [&](Plane plane) { return planes_.contains(plane); });
  }

  void print(const Description& description, const transport::MessageInfo& info, const Ear& ear) {
    std::string line;
    if (context_.json) {
      line = control::to_json(description, {{"time_ns", realtime_ns()},
                                            {"plane", control::Symbol{control::name_of(description.plane)}},
                                            {"aeron_stream_id", int64_t{ear.stream_id}},
                                            {"session_id", int64_t{info.session_id}}});
    } else {
      const uint64_t now_ns = realtime_ns();
      const auto seconds = static_cast<time_t>(now_ns / kNsPerSecond);
      tm parts{};
      ::localtime_r(&seconds, &parts);
      line = fmt::format("{:02}:{:02}:{:02}.{:03} {}/{} {:<10} {}", parts.tm_hour, parts.tm_min, parts.tm_sec,
                         now_ns / kNsPerMs % 1000, ear.stream_id, info.session_id, control::name_of(description.plane),
                         control::to_text(description));
    }
    line.push_back('\n');
    std::fwrite(line.data(), 1, line.size(), context_.out);
  }

  const Context& context_;
  const ListenArgs& args_;
  const std::set<Plane> planes_;
};

std::set<Plane> planes_of(const std::string& name) {
  std::set<Plane> planes;
  for (const Plane plane : kAllPlanes) {
    if (name == "all" || name == control::name_of(plane)) planes.insert(plane);
  }
  return planes;
}

Exit run_listen(const Context& context, const ListenArgs& args) {
  if (!(args.for_seconds >= 0)) throw UsageError("--for is not a number");  // NaN passes every range
  install_signal_handlers();
  const std::set<Plane> planes = planes_of(args.plane);
  Listener listener(listen_settings(args.flags), planes);
  if (!context.quiet) {
    std::string where;
    for (const Ear& ear : listener.ears())
      where += fmt::format("{}{} stream {}", where.empty() ? "" : ", ", ear.channel, ear.stream_id);
    log(LogLevel::kInfo, "listen", "at ", listener.aeron_dir(), ": ", where);
  }
  Printer printer(context, args, planes);
  const auto sink = [&](Bytes message, const transport::MessageInfo& info, const Ear& ear) { printer.take(message, info, ear); };
  const uint64_t begin_ns = monotonic_ns();
  const uint64_t end_ns = args.for_seconds > 0 ? begin_ns + static_cast<uint64_t>(args.for_seconds * 1e9) : UINT64_MAX;
  Idler idler(Idle::kBackoff);
  std::exception_ptr lost;
  while (!stop_requested() && !printer.full() && !printer.broken() && monotonic_ns() < end_ns) {
    const int work = listener.poll(sink);
    if (work > 0) std::fflush(context.out);
    if (printer.failure) std::rethrow_exception(printer.failure);
    try {
      listener.check();
    } catch (const Error&) {  // the summary is due all the same
      lost = std::current_exception();
      break;
    }
    idler.idle(work);
  }
  const double seconds = static_cast<double>(monotonic_ns() - begin_ns) / 1e9;
  const auto count = [&](Status status) { return printer.statuses[static_cast<size_t>(status)]; };
  if (context.json) {
    const nlohmann::ordered_json object = {{"messages", printer.shown},
                                           {"heard", printer.heard},
                                           {"unknown", count(Status::kUnknown)},
                                           {"unsupported", count(Status::kUnsupported)},
                                           {"malformed", count(Status::kMalformed) + count(Status::kRunt)},
                                           {"images_lost", listener.images_lost()},
                                           {"seconds", seconds}};
    print_json_line(context, object.dump());
  } else if (!context.quiet) {
    std::fflush(context.out);
    fmt::print(context.err, "{} shown of {} heard in {:.1f} s: {} unknown, {} of another version, {} malformed\n",
               format_count(printer.shown, "message"), printer.heard, seconds, count(Status::kUnknown), count(Status::kUnsupported),
               count(Status::kMalformed) + count(Status::kRunt));
  }
  if (lost) std::rethrow_exception(lost);
  if (printer.shown > 0) return Exit::kOk;
  print_error(context.err,
              stop_requested() ? "no message had arrived when the signal came" : "no message arrived in the time given");
  return Exit::kNothing;
}

}  // namespace

void add_listen(CLI::App& app, Context& context) {
  auto args = std::make_shared<ListenArgs>();
  CLI::App* verb = app.add_subcommand("listen", "show every message of a deployment, one line each");
  verb->add_option("--plane,-p", args->plane, "control, announce, descriptor, qos, metadata, discovery, or all")
      ->type_name("NAME")
      ->check(CLI::IsMember({"control", "announce", "descriptor", "qos", "metadata", "discovery", "all"}))
      ->capture_default_str();
  verb->add_option("--stream,-s", args->stream, "only messages about this pool stream")
      ->type_name("ID")
      ->check(CLI::Range(1u, UINT32_MAX - 1).description(""));
  verb->add_option("--count,-n", args->count, "end after so many shown")
      ->type_name("N")
      ->check(CLI::PositiveNumber.description(""));
  verb->add_option("--for", args->for_seconds, "end after so many seconds")
      ->type_name("SECONDS")
      ->check(CLI::Range(1e-3, 1e9).description(""));
  add_listen_flags(*verb, args->flags);
  add_discovery_flags(*verb, args->flags.planes);
  add_common_flags(*verb, context);
  verb->footer(
      "A line of text: time, Aeron stream/session, plane, message, and its fields as the protocol names them. Messages of other "
      "schemas,\n"
      "newer versions and malformed ones are shown as such, with their header, length and first bytes. Listening holds nobody "
      "back: what\n"
      "comes faster than it can be printed is not heard. Tokens are never shown.\n"
      "--json: one object a message: time_ns, plane, aeron_stream_id, session_id, message, status (ok, unknown, unsupported, "
      "malformed, runt),\n"
      "schema, template, version, length, and the fields (or why and hex). The last line: messages, heard, unknown, unsupported, "
      "malformed,\n"
      "images_lost, seconds. A DiscoveryResponse's own status is discoveryStatus.\n"
      "Exit: 0 something was shown, 1 failed, 2 usage, 3 nothing arrived.\n"
      "Examples:\n"
      "  tidepool listen --for 5\n"
      "  tidepool listen --plane announce --stream 10000 --count 1 --json\n"
      "  tidepool listen --plane control --control-stream 1500 | grep LeaseRevoked\n"
      "  tidepool listen --plane descriptor --descriptor-stream 31001      a consumer's own stream\n"
      "  tidepool listen --plane discovery                                 who asks for which streams, and what is answered");
  verb->callback([args, &context] { context.action = [args, &context] { return run_listen(context, *args); }; });
}

}  // namespace tidepool::cli

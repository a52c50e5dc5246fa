// tidepool media-driver: Aeron's media driver as a process of its own.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/verbs.h"
#include "tidepool/transport/media_driver.h"

namespace tidepool::cli {
namespace {

struct MediaDriverArgs {
  transport::MediaDriverOptions options;
  bool keep_dir = false;
};

Exit run_media_driver(const Context& context, const MediaDriverArgs& args) {
  install_signal_handlers();
  transport::MediaDriverOptions options = args.options;
  options.delete_dir_on_shutdown = !args.keep_dir;
  const uint64_t begin_ns = monotonic_ns();
  const transport::MediaDriver media(options);
  log(LogLevel::kInfo, "media-driver", "ready at ", media.dir(), options.dedicated_threads ? ", three threads that spin" : ", one thread that backs off");
  if (context.json) {
    const nlohmann::ordered_json event = {{"event", "ready"}, {"pid", ::getpid()}, {"aeron_dir", media.dir()}};
    print_json_line(context, event.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  while (!stop_requested()) {
    if (!media.running()) throw Error(Code::kUnavailable, "the media driver ended by itself: was its directory ", media.dir(), " deleted?");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // a signal ends it early
  }
  log(LogLevel::kInfo, "media-driver", "stopping: a signal asked for it");
  const double seconds = static_cast<double>(monotonic_ns() - begin_ns) / 1e9;
  if (context.json) {
    const nlohmann::ordered_json object = {{"aeron_dir", media.dir()}, {"seconds", seconds}};
    print_json_line(context, object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print(context.out, "media driver {}: {:.1f} s\n", media.dir(), seconds);
  }
  return Exit::kOk;
}

}  // namespace

void add_media_driver(CLI::App& app, Context& context) {
  auto args = std::make_shared<MediaDriverArgs>();
  auto& options = args->options;
  CLI::App* verb = app.add_subcommand("media-driver", "run Aeron's media driver, for the other commands to meet in");
  verb->add_option("--aeron-dir", options.dir, "its directory (default: AERON_DIR, then /dev/shm/aeron-USER)")->type_name("DIR");
  verb->add_flag("--dedicated", options.dedicated_threads, "three threads that spin, for machines with cores to spare; else one that backs off");
  verb->add_flag("--force", options.delete_dir_on_start, "take the directory over even if its driver looks alive");
  verb->add_flag("--keep-dir", args->keep_dir, "leave the directory behind, for Aeron's own tools");
  verb->add_option("--untethered-window-limit-ms", options.untethered_window_limit_ms, "a subscriber behind for so long is left behind")
      ->type_name("MS")
      ->check(CLI::PositiveNumber.description(""))
      ->capture_default_str();
  verb->add_option("--untethered-resting-ms", options.untethered_resting_ms, "and may come back after so long")
      ->type_name("MS")
      ->check(CLI::PositiveNumber.description(""))
      ->capture_default_str();
  verb->add_option("--client-liveness-ms", options.client_liveness_ms, "a client silent for so long is dead")
      ->type_name("MS")
      ->check(CLI::PositiveNumber.description(""))
      ->capture_default_str();
  verb->add_option("--driver-timeout-ms", options.driver_timeout_ms, "a directory silent for so long belongs to a dead driver and is replaced")
      ->type_name("MS")
      ->check(CLI::PositiveNumber.description(""))
      ->capture_default_str();
  verb->add_option("--ipc-term-bytes", options.ipc_term_bytes, "log size of channels that name none, a power of two")
      ->type_name("BYTES")
      ->check(CLI::Range(uint64_t{65536}, uint64_t{1} << 30).description(""))
      ->capture_default_str();
  add_common_flags(*verb, context);
  verb->footer(
      "Anyone's Aeron media driver of version 1.52 or later does as well (aeronmd).\n"
      "With --json the first line on stdout is {\"event\":\"ready\",...}.\n"
      "Examples:\n"
      "  tidepool media-driver\n"
      "  tidepool media-driver --aeron-dir /dev/shm/aeron-lab --dedicated");
  verb->callback([args, &context] { context.action = [args, &context] { return run_media_driver(context, *args); }; });
}

}  // namespace tidepool::cli

// tidepool demo: a real video through shared memory, and the proof (demo.h).

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <memory>

#include "tidepool/base/error.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/demo.h"
#include "tidepool/cli/logging.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/text.h"
#include "tidepool/cli/verbs.h"

namespace tidepool::cli {
namespace {

void print_table(std::FILE* out, const DemoResult& result) {
  fmt::print(out, "\n{}: {} frames of {} in the file, {} sent, {} distinct; producer killed after {}, next one at work {} ms later\n\n",
             result.video, result.source_frames, format_bytes(result.frame_bytes), result.frames_sent, result.frames_distinct,
             result.killed_after, result.takeover_ms);
  fmt::print(out, "{:<12} {:<12} {:>7} {:>9} {:>5} {:>6} {:>6} {:>7} {:>7}  {:>9} {:>9} {:>9} {:>7}\n", "consumer", "follows", "seen", "identical",
             "bad", "gap", "late", "unseen", "remaps", "p50", "p99", "p99.9", "GiB/s");
  for (const auto& consumer : result.consumers) {
    fmt::print(out, "{:<12} {:<12} {:>7} {:>9} {:>5} {:>6} {:>6} {:>7} {:>7}  {:>9} {:>9} {:>9} {:>7.2f}\n", consumer.name, consumer.follow,
               consumer.frames, consumer.verified - consumer.bad, consumer.bad, consumer.drops_gap, consumer.drops_late, consumer.unseen,
               consumer.remaps, format_ns(consumer.p50_ns), format_ns(consumer.p99_ns), format_ns(consumer.p999_ns), consumer.gib_per_s);
  }
  fmt::print(out, "\nidentical: checksum equal to an independent decode by ffmpeg. gap, late: lost to this consumer, by cause.\n"
                  "unseen: before it attached, or left behind when the producer was killed.\n");
}

nlohmann::ordered_json to_json(const DemoResult& result) {
  nlohmann::ordered_json object = {{"ok", result.ok},
                                   {"faults", result.faults},
                                   {"video", result.video},
                                   {"source_frames", result.source_frames},
                                   {"frame_bytes", result.frame_bytes},
                                   {"frames_sent", result.frames_sent},
                                   {"frames_distinct", result.frames_distinct},
                                   {"killed_after", result.killed_after},
                                   {"takeover_ms", result.takeover_ms},
                                   {"seconds", result.seconds},
                                   {"consumers", nlohmann::ordered_json::array()}};
  for (const auto& consumer : result.consumers) {
    object["consumers"].push_back({{"name", consumer.name},
                                   {"follow", consumer.follow},
                                   {"frames", consumer.frames},
                                   {"verified", consumer.verified},
                                   {"bad", consumer.bad},
                                   {"drops_gap", consumer.drops_gap},
                                   {"drops_late", consumer.drops_late},
                                   {"skipped", consumer.skipped},
                                   {"unseen", consumer.unseen},
                                   {"first_seq", consumer.first_seq},
                                   {"last_seq", consumer.last_seq},
                                   {"remaps", consumer.remaps},
                                   {"latency_ns", {{"p50", consumer.p50_ns}, {"p99", consumer.p99_ns}, {"p999", consumer.p999_ns}}},
                                   {"gib_per_s", consumer.gib_per_s}});
  }
  return object;
}

Exit demo(const Context& context, DemoOptions options) {
  if (options.video.empty()) {
    const char* named = std::getenv("TIDEPOOL_DEMO_VIDEO");
    if (named == nullptr || *named == '\0') {
      throw UsageError("no video given: use --video FILE, or run ./demo, which fetches one (or name it in TIDEPOOL_DEMO_VIDEO)");
    }
    options.video = named;
  }
  start_scenery_log(context.err, context.log);
  install_signal_handlers();
  const DemoResult result = run_demo(options, context);
  if (context.json) {
    print_json_line(context, to_json(result).dump());
  } else {
    print_table(context.out, result);
    if (result.ok) fmt::print(context.out, "\nok: everything that was delivered is byte-identical\n");
  }
  for (const auto& text : result.faults) print_error(context.err, text);
  uint64_t bad = 0;
  for (const auto& consumer : result.consumers) bad += consumer.bad;
  return result.ok ? Exit::kOk : bad > 0 ? Exit::kWrongData : Exit::kFailed;
}

}  // namespace

void add_demo(CLI::App& app, Context& context) {
  auto options = std::make_shared<DemoOptions>();
  CLI::App* verb = app.add_subcommand("demo", "play a real video through shared memory, kill the producer half-way, prove every byte");
  verb->add_option("--video", options->video, "any file that ffmpeg reads; default: TIDEPOOL_DEMO_VIDEO, which ./demo sets");
  verb->add_option("--frames", options->frames, "frames to send in all; the video is looped")->check(CLI::Range(100, 10'000'000))->capture_default_str();
  verb->add_option("--rate", options->rate_hz, "frames a second; 0: as fast as ffmpeg decodes")->check(CLI::Range(0.0, 1e6))->capture_default_str();
  verb->add_option("--save-preview", options->save_preview, "write a contact sheet of what a consumer saw to this PNG file");
  add_common_flags(*verb, context);
  verb->footer(
      "One process tree of its own: an embedded media driver and driver here, a producer, and three consumers: one follows the ring,\n"
      "one follows descriptors, one is deliberately slow. Exit code 0 only if all that was claimed as delivered is byte-identical.\n"
      "Examples:\n"
      "  ./demo\n"
      "  tidepool demo --video clip.mp4 --save-preview seen.png\n"
      "  tidepool demo --video clip.mp4 --frames 10000 --rate 0 --json");
  verb->callback([options, &context] { context.action = [options, &context] { return demo(context, *options); }; });
}

void add_demo_peer(CLI::App& app, Context& context) {
  auto options = std::make_shared<DemoPeerOptions>();
  CLI::App* verb = app.add_subcommand("demo-peer", "a producer or consumer of the demo; started by `tidepool demo`");
  verb->group("");  // not in --help
  verb->add_option("--role", options->role)->required();
  verb->add_option("--world", options->world_dir)->required();
  verb->add_option("--video", options->video);
  verb->add_option("--first-frame", options->first_frame);
  verb->add_option("--loop-frames", options->loop_frames);
  verb->add_option("--frames", options->frames);
  verb->add_option("--rate", options->rate_hz);
  verb->add_option("--name", options->name);
  verb->add_option("--follow", options->follow);
  verb->add_option("--slow-ms", options->slow_ms);
  verb->add_option("--previews", options->previews);
  verb->callback([options, &context] { context.action = [options] { return static_cast<Exit>(run_demo_peer(*options)); }; });
}

}  // namespace tidepool::cli

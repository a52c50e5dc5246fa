// tidepool subscribe: a stream's frames, counted, verified and saved.

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/client_flags.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/latencies.h"
#include "tidepool/cli/npy.h"
#include "tidepool/cli/pacer.h"
#include "tidepool/cli/pattern.h"
#include "tidepool/cli/progress.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/text.h"
#include "tidepool/cli/verbs.h"
#include "tidepool/client/client.h"

namespace tidepool::cli {
namespace {

using json = nlohmann::ordered_json;

struct SubscribeArgs {
  ClientFlags client;
  std::string stream;
  std::string follow = "descriptors";
  std::string from = "latest";
  std::string on_lap = "oldest";
  std::string verify;
  std::string save;
  bool no_driver = false;
  uint64_t max_blob_bytes = 0;
  uint64_t frames = 0;     // 0: no limit
  double for_seconds = 0;  // 0: no limit
  uint64_t slow_ms = 0;
  std::string own_stream, own_control;  // [CHANNEL:]ID
  uint32_t max_rate_hz = 0;             // 0: no limit of ours
  bool progress = false;
};

// Where streams of one's own are asked for, if only an id is given: small logs, since each consumer has one.
constexpr const char* kOwnChannel = "aeron:ipc?term-length=1m";

// What came, and what became of it. Every sequence number lands in one place: frames, a gap, late, or skipped.
class Sink {
 public:
  explicit Sink(const SubscribeArgs& args) : args_(args) {}

  uint64_t frames = 0;
  uint64_t verified = 0;
  uint64_t bad = 0;
  uint64_t overwritten = 0;  // while it was copied: late, never bad
  uint64_t saved = 0, unsaved = 0;
  uint64_t bytes = 0;
  uint64_t epochs = 0;
  std::optional<uint64_t> first_seq, last_seq;
  uint64_t last_epoch = 0;
  uint64_t first_ns = 0, last_ns = 0;
  Latencies latencies;

  void take(const pool::FrameView& frame, uint64_t now_ns) {
    if (!args_.verify.empty() || !args_.save.empty()) {
      copy_.resize(frame.bytes().size());
      // Judge nothing that was not validated after it was copied (W-45).
      if (!frame.copy_to(copy_)) {
        ++overwritten;
        return;
      }
      if (!args_.verify.empty()) verify(frame);
      if (!args_.save.empty()) save(frame);
    }
    if (frames == 0) {
      first_seq = frame.seq();
      first_ns = now_ns;
    }
    if (frame.epoch() != last_epoch) ++epochs;
    last_epoch = frame.epoch();
    last_seq = frame.seq();
    last_ns = now_ns;
    ++frames;
    bytes += frame.bytes().size();
    if (const auto sent_ns = frame.timestamp_ns()) latencies.record(now_ns > *sent_ns ? now_ns - *sent_ns : 0);
  }

  // Frames that are being written. A prefix can be judged where the pattern says what each byte is.
  uint64_t prefixes_verified = 0, prefixes_bad = 0;
  void take_progress(const client::ProgressView& view) {
    if (args_.verify != "check" || view.prefix().empty()) return;
    prefix_.resize(view.prefix().size());
    if (!view.copy_to(prefix_)) return;
    ++prefixes_verified;
    if (const Mismatch wrong = find_check_mismatch(prefix_, view.seq()); wrong && ++prefixes_bad <= 5) {
      log(LogLevel::kError, "verify", "stream ", view.stream_id(), " epoch ", view.epoch(), " seq ", view.seq(), ": byte ", *wrong,
          " of the first ", prefix_.size(), " is wrong");
    }
  }

  double seconds() const noexcept { return last_ns > first_ns ? static_cast<double>(last_ns - first_ns) / 1e9 : 0; }

 private:
  void verify(const pool::FrameView& frame) {
    ++verified;
    const Mismatch wrong = args_.verify == "mix" ? mix_.find_mismatch(copy_, frame.epoch(), frame.seq()) : find_check_mismatch(copy_, frame.seq());
    if (!wrong) return;
    if (++bad <= 5) {
      log(LogLevel::kError, "verify", "stream ", frame.stream_id(), " epoch ", frame.epoch(), " seq ", frame.seq(), ": byte ", *wrong, " of ", copy_.size(),
          " is wrong", bad == 5 ? " (further ones are only counted)" : "");
    }
  }

  void save(const pool::FrameView& frame) {
    const std::string path = fmt::format("{}/{}-{}-{:012}.npy", args_.save, frame.stream_id(), frame.epoch(), frame.seq());
    try {
      write_npy(path, frame.tensor(), copy_);
      ++saved;
    } catch (const Error& error) {
      if (error.code() != Code::kInvalidArgument) throw;  // the disk, not the frame
      if (++unsaved == 1) log(LogLevel::kWarn, "save", error.what(), " (further ones are only counted)");
    }
  }

  const SubscribeArgs& args_;
  MixJudge mix_;
  std::vector<std::byte> copy_, prefix_;
};

// Until enough frames came, time is up or a signal came.
void receive(const SubscribeArgs& args, client::Consumer& consumer, uint64_t deadline_ns, Sink& sink, Progress& progress) {
  while (!stop_requested() && (args.frames == 0 || sink.frames < args.frames)) {
    uint64_t now_ns = monotonic_ns();
    if (now_ns >= deadline_ns) return;
    switch (consumer.wait(std::chrono::nanoseconds(std::min(deadline_ns - now_ns, 100 * kNsPerMs)))) {
      case client::PollResult::kFrame:
        now_ns = monotonic_ns();
        sink.take(consumer.frame(), now_ns);
        for (uint64_t slept = 0; slept < args.slow_ms && !stop_requested(); slept += 100) sleep_ns(std::min<uint64_t>(100, args.slow_ms - slept) * kNsPerMs);
        break;
      case client::PollResult::kDetached: sleep_ns(kNsPerMs); break;  // it attaches again by itself
      case client::PollResult::kDropped:
      case client::PollResult::kEmpty: break;
    }
    progress.update(now_ns, [&] {
      const auto drops = consumer.counters().drops;
      return fmt::format("{} frames, {:.1f} Hz, {}, dropped {} by gaps and {} late, {} bad", sink.frames,
                         sink.frames > 1 ? static_cast<double>(sink.frames - 1) / std::max(sink.seconds(), 1e-9) : 0.0, format_rate(sink.bytes, sink.seconds()),
                         drops.drops_gap, drops.drops_late + sink.overwritten, sink.bad);
    });
  }
}

// As JSON: values that are text as they are, others as their length.
nlohmann::ordered_json json_of(const client::Metadata& metadata) {
  json attributes = json::object(), blobs = json::object();
  for (const auto& a : metadata.attributes) {
    const bool text = a.format == "text/plain" || a.format == "application/json";
    attributes[printable(a.key, 256)] = {{"format", printable(a.format, 256)},
                                         {"bytes", a.value.size()},
                                         {"value", text ? json(printable(a.value, 4096)) : json(nullptr)}};
  }
  for (const auto& blob : metadata.blobs) blobs[std::to_string(blob->type)] = blob->bytes.size();
  return {{"version", metadata.version},
          {"epoch", metadata.epoch},
          {"name", printable(metadata.name, 256)},
          {"summary", printable(metadata.summary, 4096)},
          {"attributes", attributes},
          {"blobs", blobs}};
}

void print_result(const Context& context, const SubscribeArgs& args, uint32_t stream_id, const client::ConsumerCounters& counters,
                  int32_t own_stream_id, const client::Metadata* metadata, const Sink& sink) {
  const auto& drops = counters.drops;
  const uint64_t late = drops.drops_late + sink.overwritten;
  if (context.json) {
    json object = {{"frames", sink.frames}, {"verified", sink.verified}, {"bad", sink.bad}, {"drops_gap", drops.drops_gap}, {"drops_late", late}};
    object["first_seq"] = sink.first_seq ? json(*sink.first_seq) : json(nullptr);
    object["last_seq"] = sink.last_seq ? json(*sink.last_seq) : json(nullptr);
    object["remaps"] = counters.remaps;
    object["stream_id"] = stream_id;
    object["epoch"] = sink.last_epoch;
    object["epochs"] = sink.epochs;
    object["skipped"] = drops.skipped;
    object["late"] = {{"uncommitted", drops.uncommitted},       {"changed", drops.changed},
                      {"identity", drops.identity},             {"header_invalid", drops.header_invalid},
                      {"payload_invalid", drops.payload_invalid}, {"overwritten", sink.overwritten}};
    object["epoch_mismatch"] = counters.epoch_mismatch;
    object["unmapped"] = counters.unmapped;
    object["bytes"] = sink.bytes;
    object["seconds"] = sink.seconds();
    object["rate_skipped"] = counters.rate_skipped;
    if (!args.own_stream.empty()) object["own_stream"] = own_stream_id != 0 ? json(own_stream_id) : json(nullptr);
    if (args.progress) {
      object["progress"] = {{"told", counters.progress},
                            {"ignored", counters.progress_ignored},
                            {"verified", sink.prefixes_verified},
                            {"bad", sink.prefixes_bad}};
    }
    object["metadata"] = metadata != nullptr ? json_of(*metadata) : json(nullptr);
    if (!args.save.empty()) {
      object["saved"] = sink.saved;
      object["unsaved"] = sink.unsaved;
    }
    if (sink.latencies.count() > 0) {
      object["latency_ns"] = {{"p50", sink.latencies.at_percentile(50)},
                              {"p99", sink.latencies.at_percentile(99)},
                              {"p999", sink.latencies.at_percentile(99.9)},
                              {"max", sink.latencies.max()}};
    } else {
      object["latency_ns"] = nullptr;
    }
    print_json_line(context, object.dump());
    return;
  }
  fmt::print(context.out, "stream {}: {}", stream_id, format_count(sink.frames, "frame"));
  if (sink.frames > 1) {
    fmt::print(context.out, " in {:.2f} s ({:.1f} Hz, {})", sink.seconds(), static_cast<double>(sink.frames - 1) / std::max(sink.seconds(), 1e-9),
               format_rate(sink.bytes, sink.seconds()));
  }
  if (sink.first_seq) fmt::print(context.out, ", seq {} to {}", *sink.first_seq, *sink.last_seq);
  if (!args.verify.empty()) fmt::print(context.out, ", {} verified, {} bad", sink.verified, sink.bad);
  if (!args.save.empty()) fmt::print(context.out, ", {} saved", sink.saved);
  fmt::print(context.out, "\n  dropped: {} by gaps, {} late (uncommitted {}, changed {}, identity {}, header {}, payload {}, overwritten while read {})\n", drops.drops_gap,
             late, drops.uncommitted, drops.changed, drops.identity, drops.header_invalid, drops.payload_invalid, sink.overwritten);
  fmt::print(context.out, "  skipped by the producer: {}; epochs: {}; remaps: {}\n", drops.skipped, sink.epochs, counters.remaps);
  if (!args.own_stream.empty()) {
    fmt::print(context.out, "  own descriptor stream: {}\n",
               own_stream_id != 0 ? std::to_string(own_stream_id) : std::string("none assigned, the shared one"));
  }
  if (counters.rate_skipped > 0)
    fmt::print(context.out, "  passed over at more than {} Hz: {}\n", args.max_rate_hz, counters.rate_skipped);
  if (args.progress) {
    fmt::print(context.out, "  progress: {} told, {} ignored", counters.progress, counters.progress_ignored);
    if (args.verify == "check")
      fmt::print(context.out, ", {} prefixes verified, {} bad", sink.prefixes_verified, sink.prefixes_bad);
    fmt::print(context.out, "\n");
  }
  if (metadata != nullptr) {
    fmt::print(context.out, "  {}{}{}", metadata->name.empty() ? "metadata" : printable(metadata->name, 64),
               metadata->summary.empty() ? "" : ", ", printable(metadata->summary, 256));
    for (const auto& a : metadata->attributes) {
      fmt::print(context.out, "; {} = {}", printable(a.key, 64),
                 a.format == "text/plain" ? printable(a.value, 64)
                                          : fmt::format("{} of {}", format_count(a.value.size(), "byte"), printable(a.format, 64)));
    }
    for (const auto& blob : metadata->blobs)
      fmt::print(context.out, "; blob {}: {}", blob->type, format_count(blob->bytes.size(), "byte"));
    fmt::print(context.out, " (version {})\n", metadata->version);
  }
  if (sink.latencies.count() > 0) {
    fmt::print(context.out, "  latency: p50 {}, p99 {}, p99.9 {}, max {}\n", format_ns(sink.latencies.at_percentile(50)), format_ns(sink.latencies.at_percentile(99)),
               format_ns(sink.latencies.at_percentile(99.9)), format_ns(sink.latencies.max()));
  }
}

Exit judge(const Context& context, const SubscribeArgs& args, const Sink& sink, const std::string& without_payload) {
  if (sink.bad + sink.prefixes_bad > 0) return Exit::kWrongData;
  if (sink.frames == 0) {
    if (!without_payload.empty()) print_error(context.err, without_payload);
    print_error(context.err, stop_requested() ? "no frame had arrived when the signal came" : "no frame arrived in the time given");
    return Exit::kNothing;
  }
  if (sink.frames < args.frames && !stop_requested()) {
    print_error(context.err, concat("only ", sink.frames, " of ", args.frames, " frames arrived in the time given"));
    return Exit::kFailed;
  }
  if (sink.unsaved > 0) {
    print_error(context.err, concat(format_count(sink.unsaved, "frame"), " could not be saved"));
    return Exit::kFailed;
  }
  return Exit::kOk;
}

Exit run_subscribe(const Context& context, const SubscribeArgs& args) {
  if (args.follow != "ring" && args.from != "latest") throw UsageError("--from oldest needs --follow ring: descriptors tell of the future only");
  if (args.follow == "ring" && !args.own_stream.empty())
    throw UsageError("--own-stream is for --follow descriptors: by the ring none are read");
  if (!args.own_control.empty() && !args.progress) throw UsageError("--own-control is a stream for --progress");
  if (!(args.for_seconds >= 0)) throw UsageError("--for is not a number");  // NaN passes every range
  if (!args.save.empty() && ::mkdir(args.save.c_str(), 0777) != 0 && errno != EEXIST) {
    throw Error(code_of_errno(errno), "make directory ", args.save, errno_text());
  }
  install_signal_handlers();
  const uint64_t begin_ns = monotonic_ns();
  const uint64_t for_ns = static_cast<uint64_t>(args.for_seconds * 1e9);
  const ConfigValue file = read_config(args.client);
  if (!args.stream.empty()) ::unsetenv("CONSUMER_STREAM_ID");  // a flag goes over the environment (rulings P-12)
  client::ClientOptions options = client_options(args.client, file, client::process_environment);
  options.name = "tidepool subscribe";
  const bool wait_is_bounded = args.client.wait && for_ns > 0;
  options.keep_waiting = [=] { return !stop_requested() && (!wait_is_bounded || monotonic_ns() - begin_ns < for_ns); };
  client::ConsumerOptions consumer_settings = consumer_options(args.stream, file, client::process_environment);
  consumer_settings.follow = args.follow == "ring" ? client::Follow::kRing : client::Follow::kDescriptors;
  consumer_settings.start = args.from == "oldest" ? pool::Start::kOldest : pool::Start::kLatest;
  consumer_settings.on_lap = args.on_lap == "latest" ? pool::OnLap::kSkipToLatest : pool::OnLap::kOldestValid;
  const bool own_streams_are_meant = consumer_settings.follow == client::Follow::kDescriptors;
  if (!own_streams_are_meant) consumer_settings.own_descriptors = {};  // the file's: by the ring there are none
  if (!args.own_stream.empty()) consumer_settings.own_descriptors = parse_endpoint("--own-stream", args.own_stream, kOwnChannel);
  if (!args.own_control.empty()) consumer_settings.own_control = parse_endpoint("--own-control", args.own_control, kOwnChannel);
  if (args.max_rate_hz != 0) {
    consumer_settings.mode = wire::Mode::rate_limited;
    consumer_settings.max_rate_hz = args.max_rate_hz;
  }
  Sink sink(args);
  if (args.progress) consumer_settings.on_progress = [&sink](const client::ProgressView& view) { sink.take_progress(view); };
  consumer_settings.announce_only = args.no_driver;
  consumer_settings.max_blob_bytes = args.max_blob_bytes;
  consumer_settings.on_state = state_logger("subscribe");

  client::ConsumerCounters counters;
  int32_t own_stream_id = 0;
  std::string without_payload;
  std::shared_ptr<const client::Metadata> metadata;
  uint32_t stream_id = client::stream_number(consumer_settings.stream).value_or(0);
  try {
    auto client = client::Client::connect(options);
    client::Consumer consumer = client.consumer(consumer_settings);
    stream_id = consumer.stream_id();
    const uint64_t deadline_ns = for_ns == 0 ? UINT64_MAX : (wait_is_bounded ? begin_ns : monotonic_ns()) + for_ns;
    Progress progress(context);
    receive(args, consumer, deadline_ns, sink, progress);
    counters = consumer.counters();
    own_stream_id = consumer.assigned_descriptors().stream_id;
    const client::State state = consumer.state();
    if (state == client::State::kFallback || state == client::State::kUnreachable) without_payload = consumer.status_text();
    metadata = consumer.metadata();
  } catch (const Error& error) {
    // Told to end before it was attached: the summary is due all the same.
    if (options.keep_waiting() || sink.frames > 0) throw;
    log(LogLevel::kInfo, "subscribe", "given up: ", error.what());
  }
  print_result(context, args, stream_id, counters, own_stream_id, metadata.get(), sink);
  return judge(context, args, sink, without_payload);
}

}  // namespace

void add_subscribe(CLI::App& app, Context& context) {
  auto args = std::make_shared<SubscribeArgs>();
  CLI::App* verb = app.add_subcommand("subscribe", "consume a stream: count, verify, save");
  verb->add_option("--stream,-s", args->stream, "stream to consume, number or name (default: CONSUMER_STREAM_ID, the file, 10000)")->type_name("ID");
  verb->add_option("--follow", args->follow, "descriptors (messages over Aeron; any producer) or ring (shared memory alone; lowest latency)")
      ->type_name("HOW")
      ->check(CLI::IsMember({"descriptors", "ring"}))
      ->capture_default_str();
  verb->add_option("--from", args->from, "ring: begin at the latest frame or at the oldest still whole")
      ->type_name("WHERE")
      ->check(CLI::IsMember({"latest", "oldest"}))
      ->capture_default_str();
  verb->add_option("--on-lap", args->on_lap, "ring: when the producer has lapped us, go on at the oldest or the latest frame")
      ->type_name("WHERE")
      ->check(CLI::IsMember({"latest", "oldest"}))
      ->capture_default_str();
  verb->add_option("--frames,-n", args->frames, "end after so many")->type_name("N")->check(CLI::PositiveNumber.description(""));
  verb->add_option("--for", args->for_seconds, "end after so many seconds: from the attach on, or with --wait from the start")
      ->type_name("SECONDS")
      ->check(CLI::Range(1e-3, 1e9).description(""));
  verb->add_option("--verify", args->verify, "compare every frame with this pattern")->type_name("PATTERN")->check(CLI::IsMember({"check", "mix"}));
  verb->add_option("--save", args->save, "write every frame as STREAM-EPOCH-SEQ.npy into this directory")->type_name("DIR");
  verb->add_option("--slow", args->slow_ms, "sleep after each frame, to be a slow consumer")->type_name("MS")->check(CLI::Range(0, 3'600'000).description(""));
  verb->add_option("--max-rate", args->max_rate_hz,
                   "at most so many frames a second; capped by the producer on a stream of one's own, else here")
      ->type_name("HZ")
      ->check(CLI::Range(1, 65535).description(""));
  constexpr const char* kOwn = "Streams of one's own";
  verb->add_option(
          "--own-stream", args->own_stream,
          concat("ask for a descriptor stream of its own (channel: ", kOwnChannel, "); declined, it stays on the shared one"))
      ->type_name("[CHANNEL:]ID")
      ->group(kOwn);
  verb->add_option("--own-control", args->own_control, "ask for a stream of its own for --progress")
      ->type_name("[CHANNEL:]ID")
      ->group(kOwn);
  verb->add_flag("--progress", args->progress,
                 "hear of frames that are being written, and with --verify check read what is there of them");
  verb->add_option("--max-blob-bytes", args->max_blob_bytes,
                   "take blobs of the producer's metadata up to this size (default: none)")
      ->type_name("BYTES")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 30).description(""));
  verb->add_flag("--no-driver", args->no_driver,
                 "ask nobody for a lease: map what is announced (publish --no-driver, or any producer)");
  add_client_flags(*verb, args->client);
  add_common_flags(*verb, context);
  verb->footer(
      "Verified is what was whole after it was copied: a frame overwritten meanwhile is a late drop, never bad.\n"
      "It follows new epochs and restarted drivers by itself (remaps).\n"
      "--json: frames, verified, bad, drops_gap, drops_late, first_seq, last_seq, remaps, stream_id, epoch, epochs, skipped, "
      "late{...},\n"
      "epoch_mismatch, unmapped, bytes, seconds, rate_skipped, own_stream, progress{told,ignored,verified,bad}, metadata{...}, saved,\n"
      "unsaved, latency_ns{p50,p99,p999,max}.\n"
      "Exit: 0 done, 1 failed, 2 usage, 3 nothing arrived, 4 wrong data (bad > 0).\n"
      "Examples:\n"
      "  tidepool subscribe --stream 10000 --for 10\n"
      "  tidepool subscribe --stream 10000 --no-driver --wait --frames 100\n"
      "  tidepool subscribe --stream 10000 --follow ring --frames 5000 --verify check --json\n"
      "  tidepool subscribe --stream 10000 --own-stream 31001 --max-rate 10 --for 10\n"
      "  tidepool subscribe --stream cam1 --config lab.toml --save frames --frames 25");
  verb->callback([args, &context] { context.action = [args, &context] { return run_subscribe(context, *args); }; });
}

}  // namespace tidepool::cli

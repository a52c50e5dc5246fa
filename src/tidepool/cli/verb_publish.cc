// tidepool publish: frames from a pattern, a video, an .npy file or stdin into a stream.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/base/random.h"
#include "tidepool/cli/client_flags.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/frame_source.h"
#include "tidepool/cli/pacer.h"
#include "tidepool/cli/progress.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/text.h"
#include "tidepool/cli/verbs.h"
#include "tidepool/client/client.h"

namespace tidepool::cli {
namespace {

struct PublishArgs {
  ClientFlags client;
  std::string stream;
  std::string pattern, video, npy;
  bool from_stdin = false;
  std::string shape = "480,640";
  std::string dtype = "u8";
  double rate_hz = 100;
  uint64_t frames = 0;  // 0: until the source or a signal ends it
  std::optional<uint64_t> seed;
  bool loop = false;
  bool along_first_axis = false;
  bool no_descriptors = false;
  bool progress = false;
  std::string name, summary;
  std::vector<std::string> attributes, blobs;
  OwnPoolsFlags own_pools;
};

// Of --progress: each frame comes in so many parts, over half the time to the next one.
constexpr uint32_t kProgressSteps = 8;

struct Tally {
  uint64_t frames = 0;
  uint64_t failed = 0;
  uint64_t bytes = 0;
  uint64_t epoch = 0, first_seq = 0, last_seq = 0;  // epoch, last_seq: of the last frame
  uint64_t begin_ns = 0, end_ns = 0;
  double seconds() const noexcept { return end_ns > begin_ns ? static_cast<double>(end_ns - begin_ns) / 1e9 : 0; }
};

// A frame that no pool can hold will never fit: better said before the first one than counted for ever.
void check_fits(const PublishArgs& args, const wire::TensorHeader& tensor, const client::Producer& producer) {
  const auto geometry = producer.geometry();
  if (!geometry) return;  // detached in this very moment: claim() will say
  const uint64_t bytes = wire::extent_bytes(tensor);
  uint32_t largest = 0;
  for (const auto& pool : geometry->pools) largest = std::max(largest, pool.stride_bytes);
  if (bytes <= largest) return;
  throw Error(
      Code::kInvalidArgument, "a frame of ", format_shape(tensor.dims.data(), tensor.ndims), " ", wire::name_of(tensor.dtype),
      " takes ", bytes, " bytes, the largest slots of stream ", producer.stream_id(), " hold ", largest, "\n",
      args.own_pools.no_driver ? "give --pools a stride of " : "raise payload_pools[].stride_bytes of the stream's profile to ",
      pool::PoolWriter::needed_stride_bytes(bytes), args.own_pools.no_driver ? "" : " and restart the driver",
      ", or publish a smaller --shape");
}

// "KEY=VALUE", cut at the first '='.
std::pair<std::string, std::string> pair_of(const std::string& flag, const std::string& text, const char* expected) {
  const size_t at = text.find('=');
  if (at == 0 || at == std::string::npos) throw UsageError(concat(flag, " is '", printable(text, 64), "': expected ", expected));
  return {text.substr(0, at), text.substr(at + 1)};
}

std::shared_ptr<const client::Blob> blob_of(const std::string& text) {
  const auto [type, path] = pair_of("--blob", text, "TYPE=FILE, the type a number");
  client::Blob blob;
  const auto [end, error] = std::from_chars(type.data(), type.data() + type.size(), blob.type);
  if (error != std::errc{} || end != type.data() + type.size())
    throw UsageError(concat("--blob is '", printable(text, 64), "': expected TYPE=FILE, the type a number"));
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(code_of_errno(errno), "open blob ", path, errno_text());
  blob.bytes.assign(std::istreambuf_iterator<char>(file), {});
  if (file.bad()) throw Error(Code::kUnavailable, "read blob ", path, ": the file cannot be read to its end");
  return std::make_shared<const client::Blob>(std::move(blob));
}

[[noreturn]] void refuse(const client::ClaimResult& claim, const wire::TensorHeader& tensor) {
  std::string text = concat("a frame of ", format_shape(tensor.dims.data(), tensor.ndims), " ", wire::name_of(tensor.dtype), " is refused: ", client::text_of(claim.error()));
  if (claim.error() == pool::ClaimError::kTooLarge) text += concat(" (a stride of ", claim.needed_stride_bytes(), " bytes would do)");
  throw Error(Code::kInvalidArgument, text);
}

// What a device would do: the payload comes part by part, and each part is told. Sources fill a whole frame, so it is made
// beside the slot. False: a signal came in between, or the lease was lost.
bool fill_in_steps(double rate_hz, Bytes frame, client::Producer& producer, pool::Claim& claim, const client::FrameInfo& info) {
  const uint64_t pause_ns = rate_hz > 0 ? static_cast<uint64_t>(0.5e9 / rate_hz / kProgressSteps) : 0;
  if (producer.report_progress(claim, 0, info) == client::ProgressResult::kDetached) return false;
  const MutableBytes to = claim.bytes();
  for (uint32_t step = 0; step < kProgressSteps; ++step) {
    const size_t from = to.size() * step / kProgressSteps;
    const size_t until = to.size() * (step + 1) / kProgressSteps;
    std::copy(frame.begin() + static_cast<std::ptrdiff_t>(from), frame.begin() + static_cast<std::ptrdiff_t>(until),
              to.begin() + static_cast<std::ptrdiff_t>(from));
    if (producer.report_progress(claim, until, info) == client::ProgressResult::kDetached) return false;
    if (pause_ns != 0) sleep_ns(pause_ns);
    if (stop_requested()) return false;
  }
  return true;
}

// Publish until the source, the count or a signal ends it. Detached, it waits: the client attaches again by itself.
template <typename Source>
void publish_frames(const PublishArgs& args, Source& source, client::Producer& producer, Progress& progress, Tally& tally) {
  const wire::TensorHeader& tensor = source.tensor();
  Pacer pacer(args.rate_hz, monotonic_ns());
  tally.begin_ns = tally.end_ns = monotonic_ns();
  bool detached = false;
  std::vector<std::byte> whole;  // --progress
  while (!stop_requested() && (args.frames == 0 || tally.frames < args.frames)) {
    if (!detached && !pacer.wait()) break;
    const Ready ready = source.next();
    if (ready != Ready::kReady) break;
    client::ClaimResult claim = producer.claim(tensor);
    if (!claim) {
      if (claim.error() != pool::ClaimError::kDetached) refuse(claim, tensor);
      if (!detached) ++tally.failed;  // once for each interruption; the source keeps the frame
      detached = true;
      sleep_ns(kNsPerMs);
      pacer.restart(monotonic_ns());
      continue;
    }
    detached = false;
    const uint64_t seq = claim->seq();
    client::FrameInfo info;
    if (args.progress) {
      whole.resize(claim->bytes().size());
      info.timestamp_ns = monotonic_ns();  // the header goes out with the first part
      if (!source.fill(whole, seq, claim->epoch()) || !fill_in_steps(args.rate_hz, whole, producer, *claim, info)) {
        producer.abort(*claim);
        continue;
      }
    } else {
      if (!source.fill(claim->bytes(), seq, claim->epoch())) {
        producer.abort(*claim);
        continue;
      }
      info.timestamp_ns = monotonic_ns();  // the frame is complete now: what a reader measures from
    }
    info.trace_id = source.trace_id();
    const uint64_t epoch = claim->epoch();
    const size_t bytes = claim->bytes().size();
    if (producer.commit(*claim, info) == pool::CommitResult::kOk) {
      if (tally.frames == 0) tally.first_seq = seq;
      tally.epoch = epoch;
      tally.last_seq = seq;
      ++tally.frames;
      tally.bytes += bytes;
    } else {
      ++tally.failed;
    }
    tally.end_ns = *info.timestamp_ns;
    progress.update(tally.end_ns, [&] {
      return fmt::format("{} frames, {:.1f} Hz, {}, {} failed", tally.frames, static_cast<double>(tally.frames) / std::max(tally.seconds(), 1e-9),
                         format_rate(tally.bytes, tally.seconds()), tally.failed);
    });
  }
}

void print_result(const Context& context, const PublishArgs& args, const client::Producer& producer, const Tally& tally) {
  const auto counters = producer.counters();
  if (context.json) {
    nlohmann::ordered_json object = {{"frames", tally.frames}, {"failed", tally.failed}, {"seconds", tally.seconds()}, {"stream_id", producer.stream_id()},
                                     {"epoch", tally.epoch}};
    object["first_seq"] = tally.frames > 0 ? nlohmann::ordered_json(tally.first_seq) : nlohmann::ordered_json(nullptr);
    object["last_seq"] = tally.frames > 0 ? nlohmann::ordered_json(tally.last_seq) : nlohmann::ordered_json(nullptr);
    object["bytes"] = tally.bytes;
    object["attaches"] = counters.attaches;
    object["descriptors_sent"] = counters.descriptors_sent;
    object["descriptors_dropped"] = counters.descriptors_dropped;
    object["own_descriptors_sent"] = counters.own_descriptors_sent;
    if (args.progress) object["progress_sent"] = counters.progress_sent;
    print_json_line(context, object.dump());
    return;
  }
  fmt::print(context.out, "stream {}: {} published in {:.2f} s ({:.1f} Hz, {}), {} failed", producer.stream_id(), format_count(tally.frames, "frame"), tally.seconds(),
             tally.seconds() > 0 ? static_cast<double>(tally.frames) / tally.seconds() : 0.0, format_rate(tally.bytes, tally.seconds()), tally.failed);
  if (!args.no_descriptors) fmt::print(context.out, "; descriptors: {} sent, {} dropped", counters.descriptors_sent, counters.descriptors_dropped);
  if (counters.own_descriptors_sent > 0) fmt::print(context.out, ", {} to consumers' own streams", counters.own_descriptors_sent);
  if (args.progress) fmt::print(context.out, "; progress: {} sent", counters.progress_sent);
  fmt::print(context.out, "\n");
}

template <typename Source>
Exit publish(const Context& context, const PublishArgs& args, Source source) {
  if constexpr (std::is_same_v<Source, PatternSource>) {
    if (args.pattern == "mix" && wire::extent_bytes(source.tensor()) < kMixMinBytes) throw UsageError("--pattern mix needs frames of at least 8 bytes");
  }
  if constexpr (std::is_same_v<Source, PipeSource>) {
    if (wire::extent_bytes(source.tensor()) == 0) throw UsageError("--stdin needs frames of at least 1 byte: --shape has a 0 in it");
  }
  const ConfigValue file = read_config(args.client);
  // A flag goes over the environment (rulings P-12).
  if (!args.stream.empty()) ::unsetenv("PRODUCER_STREAM_ID");
  if (args.own_pools.slots != 0) ::unsetenv("PRODUCER_NSLOTS");
  if (!args.own_pools.base_dir.empty()) ::unsetenv("PRODUCER_SHM_BASE_DIR");
  if (!args.own_pools.name_space.empty()) ::unsetenv("PRODUCER_SHM_NAMESPACE");
  client::ClientOptions options = client_options(args.client, file, client::process_environment);
  options.name = "tidepool publish";
  options.keep_waiting = [] { return !stop_requested(); };
  client::ProducerOptions producer_settings = producer_options(args.stream, file, client::process_environment);
  const bool named = !args.stream.empty() && !client::stream_number(args.stream);
  producer_settings.name = args.name.empty() && named ? args.stream : args.name;
  producer_settings.summary = args.summary;
  for (const auto& text : args.attributes) {
    auto [key, value] = pair_of("--attribute", text, "KEY=VALUE");
    producer_settings.attributes.push_back({std::move(key), "text/plain", std::move(value)});
  }
  for (const auto& text : args.blobs) producer_settings.blobs.push_back(blob_of(text));
  own_pools_options(args.own_pools, file, client::process_environment, wire::extent_bytes(source.tensor()), producer_settings);
  producer_settings.send_descriptors = !args.no_descriptors;
  producer_settings.on_state = state_logger("publish");
  auto client = client::Client::connect(options);
  client::Producer producer = client.producer(producer_settings);
  check_fits(args, source.tensor(), producer);

  Tally tally;
  {
    Progress progress(context);
    publish_frames(args, source, producer, progress, tally);
  }
  print_result(context, args, producer, tally);
  return Exit::kOk;
}

Exit run_publish(const Context& context, const PublishArgs& args) {
  const int sources = int{!args.pattern.empty()} + int{!args.video.empty()} + int{!args.npy.empty()} + int{args.from_stdin};
  if (sources != 1) throw UsageError("one source is needed: --pattern check|mix|ramp|noise, --video FILE, --npy FILE or --stdin");
  if (args.along_first_axis && args.npy.empty()) throw UsageError("--frames-along-first-axis belongs to --npy");
  if (args.loop && args.video.empty() && args.npy.empty()) throw UsageError("--loop belongs to --video and --npy");
  if (!(args.rate_hz >= 0)) throw UsageError("--rate is not a number");  // NaN passes every range
  install_signal_handlers();

  if (!args.video.empty()) return publish(context, args, VideoSource(args.video, args.loop));
  if (!args.npy.empty()) return publish(context, args, NpySource(args.npy, args.along_first_axis, args.loop));

  const auto dtype = wire::dtype_from_name(args.dtype);
  if (!dtype || *dtype == wire::DType::unknown) {
    throw UsageError(concat("--dtype is '", printable(args.dtype, 32), "': expected u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, boolean or bytes"));
  }
  wire::TensorHeader tensor = wire::contiguous(*dtype, parse_shape(args.shape));
  if (const auto fault = wire::check_and_infer(tensor); fault != wire::TensorFault::kNone || wire::extent_bytes(tensor) > UINT32_MAX) {
    throw UsageError(concat("--shape ", args.shape, " of ", args.dtype, " does not fit the protocol: ",
                            fault != wire::TensorFault::kNone ? wire::text_of(fault) : "a frame has at most 4294967295 bytes"));
  }
  if (args.from_stdin) return publish(context, args, PipeSource(STDIN_FILENO, tensor, "stdin"));
  const Pattern pattern = *pattern_from_name(args.pattern);
  // A run of `mix` must differ from every other process's, a picture of noise need not.
  const uint64_t seed = args.seed.value_or(pattern == Pattern::kMix ? random_u64() : 1);
  return publish(context, args, PatternSource(pattern, tensor, seed));
}

}  // namespace

void add_publish(CLI::App& app, Context& context) {
  auto args = std::make_shared<PublishArgs>();
  CLI::App* verb = app.add_subcommand("publish", "produce a stream from a pattern, a video, an .npy file or stdin");
  verb->add_option("--stream,-s", args->stream, "stream to produce, number or name (default: PRODUCER_STREAM_ID, the file, 10000)")->type_name("ID");
  constexpr const char* kSources = "Sources (one of them)";
  verb->add_option("--pattern", args->pattern, "check, mix (both can be verified), ramp (a moving gradient), noise")
      ->type_name("NAME")
      ->check(CLI::IsMember({"check", "mix", "ramp", "noise"}))
      ->group(kSources);
  verb->add_option("--video", args->video, "every frame of a video, through ffmpeg, as H,W,3 u8; its frame number + 1 is the trace id")
      ->type_name("FILE")
      ->group(kSources);
  verb->add_option("--npy", args->npy, "a NumPy array: the whole of it is one frame")->type_name("FILE")->group(kSources);
  verb->add_flag("--stdin", args->from_stdin, "raw frames from standard input")->group(kSources);
  verb->add_option("--shape", args->shape, "of --pattern and --stdin")->type_name("H,W,...")->capture_default_str();
  verb->add_option("--dtype", args->dtype, "of --pattern and --stdin: u8 i8 u16 i16 u32 i32 u64 i64 f32 f64 boolean bytes")->type_name("TYPE")->capture_default_str();
  verb->add_option("--rate", args->rate_hz, "frames a second; 0 is flat out")->type_name("HZ")->check(CLI::Range(0.0, 1e9).description(""))->capture_default_str();
  verb->add_option("--frames,-n", args->frames, "end after so many (default: the source's end, or a signal)")->type_name("N")->check(CLI::PositiveNumber.description(""));
  verb->add_option("--seed", args->seed, "of noise (default 1) and of mix's run (default: random)")->type_name("N");
  verb->add_flag("--loop", args->loop, "begin the video or the array again at its end");
  verb->add_flag("--frames-along-first-axis", args->along_first_axis, "--npy: one frame for each index of the first axis");
  verb->add_option("--name", args->name, "announce the data under this name (default: --stream, if that is a name)")->type_name("NAME");
  verb->add_option("--summary", args->summary, "and this description")->type_name("TEXT");
  verb->add_option("--attribute", args->attributes, "and this of it, as text/plain; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  verb->add_option("--blob", args->blobs, "and a file's bytes, under a number; may be repeated")
      ->type_name("TYPE=FILE")
      ->allow_extra_args(false);
  verb->add_flag("--no-descriptors", args->no_descriptors, "send no messages: for consumers that follow the ring");
  verb->add_flag("--progress", args->progress,
                 concat("fill each frame in ", kProgressSteps,
                        " parts over half its period, and tell consumers that ask for it (made beside the slot, then copied)"));
  add_own_pools_flags(*verb, args->own_pools);
  add_client_flags(*verb, args->client);
  add_common_flags(*verb, context);
  verb->footer(
      "Frames are filled where consumers read them: nothing is copied. When the lease is lost (driver restarted, media driver "
      "gone)\n"
      "it waits, attaches again by itself and goes on; each interruption counts once in `failed`.\n"
      "--json: frames, failed, seconds, stream_id, epoch, first_seq, last_seq, bytes, attaches, descriptors_sent, "
      "descriptors_dropped,\n"
      "own_descriptors_sent, progress_sent.\n"
      "Exit: 0 published, 1 failed, 2 usage.\n"
      "Examples:\n"
      "  tidepool publish --stream 10000 --pattern check --rate 1000 --frames 5000 --json\n"
      "  tidepool publish --stream cam1 --config lab.toml --video in.mp4 --rate 25 --loop\n"
      "  tidepool publish --stream 10000 --no-driver --pattern check        (no tidepool driver needed)\n"
      "  tidepool publish --stream 10000 --npy cube.npy --frames-along-first-axis --rate 10\n"
      "  camera-dump | tidepool publish --stream 10000 --stdin --shape 1080,1920,3 --rate 0");
  verb->callback([args, &context] { context.action = [args, &context] { return run_publish(context, *args); }; });
}

}  // namespace tidepool::cli

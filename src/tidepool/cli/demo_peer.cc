// The producer and the consumers of `tidepool demo`, each a process of its own.

#include <signal.h>
#include <sys/prctl.h>
#include <zlib.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/cli/demo.h"
#include "tidepool/cli/ffmpeg.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/world.h"
#include "tidepool/client/client.h"

namespace tidepool::cli {
namespace {

using std::chrono::milliseconds;

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

// The stream is taken until the lease of a killed producer has run out.
client::Producer attach_producer(client::Client& client) {
  const uint64_t give_up_ns = monotonic_ns() + 20 * kNsPerSecond;
  for (;;) {
    try {
      client::ProducerOptions options;
      options.stream = std::to_string(kDemoStream);
      options.name = "demo";
      options.summary = "a video, decoded by ffmpeg";
      return client.producer(options);
    } catch (const Error& error) {
      if (error.code() != Code::kRejected || monotonic_ns() > give_up_ns) throw;
    }
    std::this_thread::sleep_for(milliseconds(20));
  }
}

int run_producer(const DemoPeerOptions& options) {
  RawVideo video(options.video);
  const std::vector<int32_t> shape = {static_cast<int32_t>(video.info().height), static_cast<int32_t>(video.info().width), 3};
  const wire::TensorHeader tensor = wire::contiguous(wire::DType::u8, shape);
  auto client = client::Client::connect(World::client_options(options.world_dir, kDemoKeepaliveMs, kDemoAnnounceMs));
  auto producer = attach_producer(client);

  // Where in the video a successor goes on: `first_frame` counts over all loops.
  uint64_t source = options.first_frame % std::max<uint64_t>(1, options.loop_frames);
  if (source > 0) video.rewind(source);
  say(concat("attached ", producer.epoch(), " ", options.first_frame));

  const uint64_t start_ns = monotonic_ns();
  uint64_t sent = 0;
  for (; sent < options.frames && !stop_requested(); ++sent) {
    if (options.rate_hz > 0) {
      const uint64_t due_ns = start_ns + static_cast<uint64_t>(static_cast<double>(sent) * 1e9 / options.rate_hz);
      const uint64_t now_ns = monotonic_ns();
      if (due_ns > now_ns) std::this_thread::sleep_for(std::chrono::nanoseconds(due_ns - now_ns));
    }
    auto claim = producer.claim(tensor);
    if (!claim) throw Error(Code::kUnavailable, "claim a frame of ", video.info().frame_bytes(), " bytes: ", client::text_of(claim.error()));
    if (!video.read(claim->bytes())) {  // ffmpeg's output goes straight into the slot
      video.rewind();
      source = 0;
      if (!video.read(claim->bytes())) throw Error(Code::kCorrupt, options.video, " has no frames any more");
    }
    client::FrameInfo info;
    info.timestamp_ns = monotonic_ns();
    info.trace_id = source + 1;
    if (producer.commit(*claim, info) != pool::CommitResult::kOk) throw Error(Code::kUnavailable, "commit: ", producer.status_text());
    ++source;
    if (sent % 16 == 0) say(concat("sent ", sent + 1));
  }
  say(concat("done ", sent));
  return 0;
}

void save_raw(const std::string& path, Bytes bytes) {
  const std::unique_ptr<FILE, int (*)(FILE*)> out(std::fopen(path.c_str(), "wb"), [](FILE* f) { return f != nullptr ? std::fclose(f) : 0; });
  if (!out || std::fwrite(bytes.data(), 1, bytes.size(), out.get()) != bytes.size()) throw Error(code_of_errno(errno), "write ", path, errno_text());
}

int run_consumer(const DemoPeerOptions& options) {
  auto client = client::Client::connect(World::client_options(options.world_dir, kDemoKeepaliveMs, kDemoAnnounceMs));
  client::ConsumerOptions consumer_options;
  consumer_options.stream = std::to_string(kDemoStream);
  consumer_options.follow = options.follow == "ring" ? client::Follow::kRing : client::Follow::kDescriptors;
  consumer_options.start = pool::Start::kOldest;
  auto consumer = client.consumer(consumer_options);
  say("ready");

  std::vector<DemoRecord> records;
  records.reserve(options.frames * 2);
  std::vector<std::byte> copy;
  uint64_t overwritten = 0;
  uint32_t saved = 0;
  const uint64_t preview_every = options.previews > 0 ? std::max<uint64_t>(1, options.frames / options.previews) : 0;
  for (;;) {
    const auto result = consumer.wait(milliseconds(20));
    if (result != client::PollResult::kFrame) {
      if (result == client::PollResult::kEmpty && stop_requested()) break;
      if (result == client::PollResult::kDetached) {
        if (stop_requested()) break;
        std::this_thread::sleep_for(milliseconds(1));
      }
      continue;
    }
    const pool::FrameView& frame = consumer.frame();
    DemoRecord record;
    record.latency_ns = monotonic_ns() - frame.timestamp_ns().value_or(0);
    record.epoch = frame.epoch();
    record.seq = frame.seq();
    record.trace_id = frame.trace_id();
    record.bytes = frame.bytes().size();
    record.crc32 = static_cast<uint32_t>(::crc32(0, reinterpret_cast<const Bytef*>(frame.bytes().data()), static_cast<uInt>(frame.bytes().size())));
    const bool wants_preview = preview_every > 0 && saved < options.previews && records.size() >= saved * preview_every;
    if (wants_preview) {
      copy.resize(frame.bytes().size());
      if (frame.copy_to(copy)) save_raw(concat(options.world_dir, "/preview-", saved++, ".rgb"), copy);
    }
    // Only now does what was read count: the producer may have been faster (W-45).
    if (frame.still_valid()) {
      records.push_back(record);
    } else {
      ++overwritten;
    }
    if (options.slow_ms > 0) std::this_thread::sleep_for(milliseconds(options.slow_ms));
  }

  save_raw(concat(options.world_dir, "/", options.name, ".records"), std::as_bytes(std::span(records)));
  const auto counters = consumer.counters();
  say(concat("done ", records.size(), " ", counters.drops.drops_gap, " ", counters.drops.drops_late + overwritten, " ", counters.drops.skipped,
             " ", counters.remaps));
  return 0;
}

}  // namespace

int run_demo_peer(const DemoPeerOptions& options) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody of the demo outlives it
  install_signal_handlers();
  if (options.role == "producer") return run_producer(options);
  if (options.role == "consumer") return run_consumer(options);
  throw Error(Code::kInvalidArgument, "demo-peer --role ", options.role, ": expected producer or consumer");
}

}  // namespace tidepool::cli

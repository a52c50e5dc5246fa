// The conductor and the judge of `tidepool demo`.

#include "tidepool/cli/demo.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>

#include "tidepool/base/bytes.h"
#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/process.h"
#include "tidepool/cli/child.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/ffmpeg.h"
#include "tidepool/cli/png.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/world.h"
#include "tidepool/shm/commit_word.h"

namespace tidepool::cli {
namespace {

constexpr uint32_t kSlots = 64;
constexpr uint32_t kSlowMs = 30;
constexpr uint32_t kPreviews = 12;
constexpr int kStepTimeoutMs = 30'000;
constexpr char kChannelDir[] = "default";

// One producer's part: epoch, and which source frame its sequence 0 is.
struct Run {
  uint64_t epoch = 0;
  uint64_t first_frame = 0;
  uint64_t frames = 0;
};

std::vector<uint64_t> numbers_after(const std::string& line, std::string_view word) {
  std::vector<uint64_t> numbers;
  if (!line.starts_with(word)) return numbers;
  std::istringstream in(line.substr(word.size()));
  for (uint64_t number = 0; in >> number;) numbers.push_back(number);
  return numbers;
}

// Read lines until one begins with `word`. Throws Error when the child ends or is silent instead.
std::vector<uint64_t> await_line(Child& child, std::string_view what, std::string_view word) {
  for (std::string line;;) {
    if (!child.read_line(line, kStepTimeoutMs)) {
      if (!child.ended()) throw Error(Code::kTimeout, what, " said nothing for 30 s while '", word, "' was awaited");
      throw Error(Code::kInternal, what, " ended (exit code ", child.wait(), ") before it said '", word, "'");
    }
    if (line.starts_with(word)) return numbers_after(line, word);
  }
}

// How many frames of an epoch were committed, as its header ring says: a killed producer cannot tell.
uint64_t committed_frames(const World& world, uint64_t epoch) {
  const std::string path =
      concat(world.dir(), "/tensorpool-", sanitised_user_name(), "/", kChannelDir, "/", kDemoStream, "/", epoch, "/header.ring");
  std::ifstream ring(path, std::ios::binary);
  std::vector<char> bytes((std::istreambuf_iterator<char>(ring)), std::istreambuf_iterator<char>());
  if (bytes.size() < wire::kSuperblockBytes + kSlots * wire::kSlotBytes) {
    throw Error(Code::kCorrupt, "header ring ", path, " has ", bytes.size(), " bytes: expected ", wire::kSuperblockBytes + kSlots * wire::kSlotBytes);
  }
  uint64_t frames = 0;
  for (uint32_t i = 0; i < kSlots; ++i) {
    const auto word = load<uint64_t>(bytes.data() + wire::kSuperblockBytes + i * wire::kSlotBytes);
    if (shm::CommitWord::is_committed(word)) frames = std::max(frames, shm::CommitWord::seq_of(word) + 1);
  }
  return frames;
}

class Demo {
 public:
  Demo(const DemoOptions& options, const Context& context) : options_(options), context_(context) {}

  DemoResult run() {
    const uint64_t start_ns = monotonic_ns();
    step(concat("decoding ", options_.video, " independently"));
    checksums_ = video_checksums(options_.video);
    result_.video = options_.video;
    result_.source_frames = checksums_.crc32.size();
    result_.frame_bytes = checksums_.info.frame_bytes();

    step(concat(result_.source_frames, " frames of ", checksums_.info.width, "x", checksums_.info.height,
                "; starting media driver and driver (", kSlots, " slots)"));
    WorldOptions world_options;
    world_options.prefix = "tidepool-demo";
    world_options.keepalive_interval_ms = kDemoKeepaliveMs;
    world_options.announce_period_ms = kDemoAnnounceMs;
    pool::Geometry geometry;
    geometry.slot_count = kSlots;
    const uint64_t stride = pool::PoolWriter::needed_stride_bytes(result_.frame_bytes);
    if (stride > (1u << 31)) throw Error(Code::kInvalidArgument, "frames of ", result_.frame_bytes, " bytes do not fit a pool");
    geometry.pools.push_back({1, static_cast<uint32_t>(stride)});
    world_options.streams.push_back({"demo", kDemoStream, geometry});
    world_ = std::make_unique<World>(world_options);

    Child ring = start_consumer("ring", "ring", 0, options_.save_preview.empty() ? 0 : kPreviews);
    Child descriptors = start_consumer("descriptors", "descriptors", 0, 0);
    Child slow = start_consumer("slow", "descriptors", kSlowMs, 0);
    step(fmt::format("three consumers are attached; publishing {} frames at {:g} Hz", options_.frames, options_.rate_hz));
    publish();

    step("stopping the consumers and comparing what they saw with the independent decode");
    judge(ring, "ring", "ring");
    judge(descriptors, "descriptors", "descriptors");
    judge(slow, "slow", "descriptors");
    if (!options_.save_preview.empty()) save_preview();
    result_.seconds = static_cast<double>(monotonic_ns() - start_ns) / 1e9;
    if (result_.frames_sent < options_.frames && !stop_requested()) fault(concat("only ", result_.frames_sent, " frames were sent"));
    result_.ok = result_.faults.empty();
    return result_;
  }

 private:
  void step(const std::string& text) {
    if (!context_.quiet) fmt::print(context_.err, "demo: {}\n", text);
  }
  void fault(std::string text) { result_.faults.push_back(std::move(text)); }

  Child start_consumer(const std::string& name, const std::string& follow, uint32_t slow_ms, uint32_t previews) {
    Child child = Child::start({Child::kSelf, "demo-peer", "--role", "consumer", "--world", world_->dir(), "--name", name, "--follow", follow,
                                "--slow-ms", std::to_string(slow_ms), "--previews", std::to_string(previews), "--frames",
                                std::to_string(options_.frames)});
    (void)await_line(child, concat("consumer ", name), "ready");
    return child;
  }

  Child start_producer(uint64_t first_frame, uint64_t frames) {
    return Child::start({Child::kSelf, "demo-peer", "--role", "producer", "--world", world_->dir(), "--video", options_.video, "--first-frame",
                         std::to_string(first_frame), "--loop-frames", std::to_string(result_.source_frames), "--frames",
                         std::to_string(frames), "--rate", std::to_string(options_.rate_hz)});
  }

  void publish() {
    const uint64_t half = options_.frames / 2;
    Child first = start_producer(0, options_.frames);
    Run killed;
    const auto attached = await_line(first, "the producer", "attached ");
    if (attached.size() != 2) throw Error(Code::kInternal, "the producer said 'attached' without an epoch");
    killed.epoch = attached[0];
    for (uint64_t sent = 0; sent < half && !stop_requested();) {
      const auto numbers = await_line(first, "the producer", "sent ");
      if (!numbers.empty()) sent = numbers[0];
    }
    first.signal(SIGKILL);
    (void)first.wait();
    const uint64_t killed_ns = monotonic_ns();
    killed.frames = committed_frames(*world_, killed.epoch);
    result_.killed_after = killed.frames;
    runs_.push_back(killed);
    step(concat("killed the producer with SIGKILL after ", killed.frames, " frames; starting another"));

    const uint64_t rest = options_.frames > killed.frames ? options_.frames - killed.frames : 1;
    Child second = start_producer(killed.frames, rest);
    Run successor;
    const auto again = await_line(second, "the second producer", "attached ");
    if (again.size() != 2) throw Error(Code::kInternal, "the second producer said 'attached' without an epoch");
    successor.epoch = again[0];
    successor.first_frame = again[1];
    std::string line;
    for (bool done = false; !done;) {
      if (!second.read_line(line, kStepTimeoutMs)) {
        throw Error(Code::kInternal, "the second producer ended early (exit code ", second.ended() ? second.wait() : -1, ")");
      }
      world_->check();
      if (result_.takeover_ms == 0 && line.starts_with("sent ")) result_.takeover_ms = (monotonic_ns() - killed_ns) / kNsPerMs;
      if (stop_requested()) second.signal(SIGTERM);
      const auto numbers = numbers_after(line, "done ");
      done = !numbers.empty();
      if (done) successor.frames = numbers[0];
    }
    runs_.push_back(successor);
    step(concat("the second producer took over after ", result_.takeover_ms, " ms and sent ", successor.frames, " frames"));
    // Its region files live until the consumers have read to the end of them.
    if (const int code = second.wait(); code != 0) fault(concat("the second producer exited with ", code));

    std::set<uint64_t> distinct;
    for (const Run& run : runs_) {
      result_.frames_sent += run.frames;
      for (uint64_t i = 0; i < std::min(run.frames, result_.source_frames); ++i) distinct.insert((run.first_frame + i) % result_.source_frames);
    }
    result_.frames_distinct = distinct.size();
  }

  std::vector<DemoRecord> read_records(const std::string& name) {
    const std::string path = concat(world_->dir(), "/", name, ".records");
    std::ifstream in(path, std::ios::binary);
    std::vector<char> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (!in.is_open() || bytes.size() % sizeof(DemoRecord) != 0) throw Error(Code::kCorrupt, path, " is not a whole number of records");
    std::vector<DemoRecord> records(bytes.size() / sizeof(DemoRecord));
    std::memcpy(records.data(), bytes.data(), bytes.size());
    return records;
  }

  void judge(Child& child, const std::string& name, const std::string& follow) {
    child.signal(SIGTERM);
    const auto counts = await_line(child, concat("consumer ", name), "done ");
    if (const int code = child.wait(); code != 0) fault(concat("consumer ", name, " exited with ", code));
    if (counts.size() != 5) throw Error(Code::kInternal, "consumer ", name, " gave ", counts.size(), " counts instead of 5");

    DemoConsumerResult out;
    out.name = name;
    out.follow = follow;
    out.frames = counts[0];
    out.drops_gap = counts[1];
    out.drops_late = counts[2];
    out.skipped = counts[3];
    out.remaps = counts[4];

    std::map<uint64_t, const Run*> run_of;
    for (const Run& run : runs_) run_of[run.epoch] = &run;
    std::set<std::pair<uint64_t, uint64_t>> seen;
    std::set<uint64_t> epochs;
    std::vector<uint64_t> latencies;
    uint64_t bytes = 0;
    const auto records = read_records(name);
    for (const DemoRecord& record : records) {
      epochs.insert(record.epoch);
      latencies.push_back(record.latency_ns);
      bytes += record.bytes;
      ++out.verified;
      const auto run = run_of.find(record.epoch);
      bool good = run != run_of.end() && record.seq < run->second->frames && seen.emplace(record.epoch, record.seq).second;
      if (good) {
        const uint64_t source = (run->second->first_frame + record.seq) % result_.source_frames;
        good = record.bytes == result_.frame_bytes && record.crc32 == checksums_.crc32[source] &&
               (record.trace_id == 0 ? follow == "ring" : record.trace_id == source + 1);
      }
      if (!good && out.bad++ == 0) {
        fault(concat("consumer ", name, ": frame ", record.seq, " of epoch ", record.epoch, " is not what was sent (checksum or number differs)"));
      }
    }
    if (records.size() != out.frames) fault(concat("consumer ", name, " claims ", out.frames, " frames and wrote down ", records.size()));
    if (epochs.size() < runs_.size()) fault(concat("consumer ", name, " saw frames of ", epochs.size(), " producers: expected ", runs_.size()));
    const uint64_t accounted = out.frames + out.drops_gap + out.drops_late;
    if (accounted > result_.frames_sent) {
      fault(concat("consumer ", name, " accounts for ", accounted, " frames, ", result_.frames_sent, " were sent"));
    } else {
      out.unseen = result_.frames_sent - accounted;
    }
    if (!records.empty()) {
      out.first_seq = records.front().seq;
      out.last_seq = records.back().seq;
      std::sort(latencies.begin(), latencies.end());
      const auto percentile = [&](double q) { return latencies[static_cast<size_t>(q * static_cast<double>(latencies.size() - 1))]; };
      out.p50_ns = percentile(0.5);
      out.p99_ns = percentile(0.99);
      out.p999_ns = percentile(0.999);
      const double seconds = static_cast<double>(result_.frames_sent) / (options_.rate_hz > 0 ? options_.rate_hz : 400);
      out.gib_per_s = static_cast<double>(bytes) / seconds / static_cast<double>(1u << 30);
    }
    result_.consumers.push_back(std::move(out));
  }

  void save_preview() {
    std::vector<Picture> pictures;
    for (uint32_t i = 0; i < kPreviews; ++i) {
      std::ifstream in(concat(world_->dir(), "/preview-", i, ".rgb"), std::ios::binary);
      Picture picture{checksums_.info.width, checksums_.info.height,
                      std::vector<uint8_t>((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>())};
      if (picture.rgb.size() == result_.frame_bytes) pictures.push_back(std::move(picture));
    }
    if (pictures.empty()) throw Error(Code::kInternal, "no picture to preview: the ring consumer saw none whole");
    write_png(options_.save_preview, contact_sheet(pictures, 4, 320));
    step(concat("contact sheet of ", pictures.size(), " frames, as the ring consumer saw them: ", options_.save_preview));
  }

  const DemoOptions& options_;
  const Context& context_;
  DemoResult result_;
  VideoChecksums checksums_;
  std::vector<Run> runs_;
  std::unique_ptr<World> world_;
};

}  // namespace

DemoResult run_demo(const DemoOptions& options, const Context& context) { return Demo(options, context).run(); }

}  // namespace tidepool::cli

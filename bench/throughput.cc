#include "throughput.h"

#include <cstring>
#include <optional>
#include <thread>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/cli/world.h"
#include "tidepool/client/client.h"

namespace tidepool::bench {
namespace {

constexpr uint32_t kSlots = 64;
constexpr double kGiB = 1ull << 30;
constexpr uint64_t kPacedHz = 20'000;
constexpr uint64_t kPacedStopNs = 3 * kNsPerSecond;  // long enough to fill the descriptor window and run into its limit
constexpr uint64_t kUntetheredLimitNs = 100 * kNsPerMs;

// A producer on a fresh stream of one pool, with raw pointers to its slots for the limits.
class Source {
 public:
  Source(const cli::World& world, uint64_t bytes)
      : client_(client::Client::connect(world.client_options())), producer_(make(client_)), payload_(bytes, std::byte{0x5a}) {
    const auto dims = std::array<int32_t, 1>{static_cast<int32_t>(bytes)};
    tensor_ = wire::contiguous(wire::DType::u8, dims);
    // Every slot once, in order: warm, and known by address.
    for (uint32_t i = 0; i < kSlots; ++i) {
      auto claim = producer_.claim(tensor_);
      if (!claim) throw Error(Code::kInternal, "claim of ", bytes, " bytes: ", client::text_of(claim.error()));
      slots_.push_back(claim->bytes().data());
      std::memcpy(slots_.back(), payload_.data(), payload_.size());
      (void)producer_.commit(*claim);
    }
  }

  void copy_in() {
    if (producer_.offer(tensor_, payload_) != pool::ClaimError::kNone) throw Error(Code::kUnavailable, "the benchmark's producer was detached");
  }
  void claim_commit() {
    auto claim = producer_.claim(tensor_);
    if (!claim || producer_.commit(*claim) != pool::CommitResult::kOk) throw Error(Code::kUnavailable, "the benchmark's producer was detached");
  }
  void plain_copy() { std::memcpy(slots_[next_++ % kSlots], payload_.data(), payload_.size()); }
  uint64_t bytes() const { return payload_.size(); }
  client::ProducerCounters counters() const { return producer_.counters(); }

 private:
  static client::Producer make(client::Client& client) {
    client::ProducerOptions options;
    options.stream = std::to_string(kThroughputStream);
    return client.producer(options);
  }
  client::Client client_;
  client::Producer producer_;
  std::vector<std::byte> payload_;
  wire::TensorHeader tensor_;
  std::vector<std::byte*> slots_;
  uint64_t next_ = 0;
};

// Repetitions a second over one window.
template <typename Step>
double rate(uint64_t window_ns, uint64_t bytes, Step&& step) {
  const int batch = bytes >= (1u << 20) ? 1 : bytes >= 65536 ? 8 : 128;
  const uint64_t start = monotonic_ns();
  uint64_t steps = 0, now = start;
  do {
    for (int i = 0; i < batch; ++i) step();
    steps += static_cast<uint64_t>(batch);
    now = monotonic_ns();
  } while (now - start < window_ns);
  return static_cast<double>(steps) * 1e9 / static_cast<double>(now - start);
}

struct Totals {
  uint64_t frames = 0;
  uint64_t lost_worst = 0;
};
// Of all consumers but `except`.
Totals totals(Peers& peers, uint32_t except) {
  Totals out;
  for (uint32_t i = 0; i < peers.count(); ++i) {
    if (i == except) continue;
    out.frames += peers.page().stats[i].word.load(std::memory_order_relaxed);
    out.lost_worst = std::max(out.lost_worst, peers.page().stats[i].more[0].load(std::memory_order_relaxed));
  }
  return out;
}

cli::WorldOptions world_of(uint64_t bytes, uint32_t slots) {
  cli::WorldOptions options;
  options.prefix = "tidepool-bench";
  options.keepalive_interval_ms = kBenchLeaseMs;
  pool::Geometry geometry;
  geometry.slot_count = slots;
  geometry.pools.push_back({1, static_cast<uint32_t>(pool::PoolWriter::needed_stride_bytes(bytes))});
  options.streams.push_back({"throughput", kThroughputStream, geometry});
  return options;
}

void start_consumers(Peers& peers, uint32_t count, const std::vector<int>& cpus) {
  for (uint32_t i = 0; i < count; ++i) {
    PeerOptions peer;
    peer.role = "consumer";
    peer.index = i;
    // CPU 0 is the producer's. Consumers beyond the CPUs share those that are left, and sleep between polls.
    const bool own_cpu = count + 1 <= cpus.size();
    peer.cpu = cpus.size() > 1 ? cpus[1 + i % (cpus.size() - 1)] : -1;
    peer.sleep = !own_cpu;
    peers.start(peer);
  }
}

void measure_size(uint64_t bytes, uint32_t consumers, const ThroughputOptions& options, const Progress& progress, std::vector<Result>& results) {
  const auto cpus = usable_cpus();
  cli::World world(world_of(bytes, kSlots));
  Source source(world, bytes);
  Peers peers(world.dir());
  start_consumers(peers, consumers, cpus);
  if (cpus.size() > 1) pin_to(cpus[0]);
  peers.command(Command::kFollow);
  const std::string suffix = size_name(bytes) + "/" + std::to_string(consumers) + "c";

  const auto gib = [&](auto&& step) {
    return [&, step] { return rate(options.window_ns, bytes, step) * static_cast<double>(bytes) / kGiB; };
  };
  progress("throughput/copy/" + suffix);
  results.push_back(summarise("throughput/copy/" + suffix, "GiB/s", "memcpy into the same pool",
                              alternate(options.windows, gib([&] { source.copy_in(); }), gib([&] { source.plain_copy(); }))));
  progress("throughput/claim/" + suffix);
  results.push_back(summarise("throughput/claim/" + suffix, "frames/s", "memcpy into the same pool, payload untouched by the subject",
                              alternate(options.windows, [&] { return rate(options.window_ns, 64, [&] { source.claim_commit(); }); },
                                        [&] { return rate(options.window_ns, bytes, [&] { source.plain_copy(); }); })));
  if (consumers > 1) {
    // One consumer stopped by SIGSTOP in the subject's windows, running again in the limit's.
    const std::string name = "throughput/stopped/" + suffix;
    progress(name);
    const uint32_t victim = consumers - 1;
    const auto stopped = [&] {
      peers.stop_process(victim);
      const double frames = rate(options.stopped_window_ns, bytes, [&] { source.copy_in(); });
      peers.continue_process(victim);
      return frames;
    };
    const auto running = [&] { return rate(options.stopped_window_ns, bytes, [&] { source.copy_in(); }); };
    results.push_back(summarise(name, "frames/s", "the same with no consumer stopped", alternate(options.stopped_pairs, stopped, running)));
  }
  const bool parked = consumers + 1 > cpus.size();
  if (parked) {
    for (auto& result : results) {
      if (result.name.ends_with("/" + suffix)) result.more.emplace_back("consumers_parked", consumers);
    }
  }
  peers.quit();
}

// What a stopped consumer takes from the others: paced, so that they would lose nothing by themselves.
Result measure_losses(uint32_t consumers, const Progress& progress) {
  const auto cpus = usable_cpus();
  constexpr uint64_t kBytes = 64;
  cli::World world(world_of(kBytes, 4096));
  Source source(world, kBytes);
  Peers peers(world.dir());
  start_consumers(peers, consumers, cpus);
  if (cpus.size() > 1) pin_to(cpus[0]);
  peers.command(Command::kFollow);
  const std::string name = concat("throughput/stopped-losses/64B/", consumers, "c");
  progress(name);

  const uint32_t victim = consumers - 1;
  const auto paced = [&](uint64_t for_ns) {
    const uint64_t start = monotonic_ns();
    const uint64_t frames = for_ns * kPacedHz / kNsPerSecond;
    for (uint64_t i = 0; i < frames; ++i) {
      while (monotonic_ns() < start + i * kNsPerSecond / kPacedHz) {
        if (i % 16 == 0) std::this_thread::yield();
      }
      source.copy_in();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // let the followers catch up before they are asked
  };
  Pairs pairs;
  const double allowed = static_cast<double>(kPacedHz) * static_cast<double>(kUntetheredLimitNs + 100 * kNsPerMs) / 1e9;
  double before_any = 0;
  for (int i = 0; i < 3; ++i) {
    const Totals running_before = totals(peers, victim);
    paced(kPacedStopNs / 3);
    before_any += static_cast<double>(totals(peers, victim).lost_worst - running_before.lost_worst);
    const Totals before = totals(peers, victim);
    peers.stop_process(victim);
    paced(kPacedStopNs);
    const Totals after = totals(peers, victim);
    peers.continue_process(victim);
    pairs.subject.push_back(static_cast<double>(after.lost_worst - before.lost_worst));
    pairs.limit.push_back(allowed);
  }
  Result result = summarise(name, "frames lost by the worst other consumer", "untethered window limit and one timer tick at this rate (P-6)", pairs);
  result.more.emplace_back("rate_hz", static_cast<double>(kPacedHz));
  result.more.emplace_back("lost_with_none_stopped", before_any);
  peers.quit();
  return result;
}

}  // namespace

std::vector<Result> measure_throughput(const ThroughputOptions& options, const Progress& progress) {
  std::vector<Result> results;
  for (const uint32_t consumers : {1u, 8u}) {
    for (const uint64_t bytes : options.sizes_bytes) measure_size(bytes, consumers, options, progress, results);
  }
  results.push_back(measure_losses(8, progress));
  return results;
}

}  // namespace tidepool::bench

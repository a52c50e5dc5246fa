#include "latency.h"

#include <memory>
#include <optional>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/cli/world.h"
#include "tidepool/client/client.h"
#include "tidepool/transport/connection.h"

namespace tidepool::bench {
namespace {

constexpr uint32_t kRingSlots = 64;
constexpr size_t kAeronBytes = 48;  // as long as a frame descriptor
constexpr int kBatch = 64;

// One end of the ping-pong: what it sends frames with and what it sees the other's with.
class End {
 public:
  End(const std::string& world_dir, bool leader)
      : client_(client::Client::connect(cli::World::client_options(world_dir, kBenchLeaseMs, 1000))),
        ring_out_(producer(leader ? kRingToPeer : kRingToLeader, false)),
        descriptors_out_(producer(leader ? kDescriptorsToPeer : kDescriptorsToLeader, true)) {
    transport::ConnectionOptions options;
    options.aeron_dir = world_dir + "/aeron";
    options.invoker = false;
    connection_ = transport::Connection::open(options);
    aeron_out_ = connection_->add_publication("aeron:ipc", leader ? kAeronToPeer : kAeronToLeader);
    aeron_in_ = connection_->add_subscription("aeron:ipc", leader ? kAeronToLeader : kAeronToPeer);
  }
  // Consumers attach when both producers are there, so that no remap falls into a measurement.
  void attach_consumers(bool leader) {
    ring_in_.emplace(consumer(leader ? kRingToLeader : kRingToPeer, client::Follow::kRing));
    descriptors_in_.emplace(consumer(leader ? kDescriptorsToLeader : kDescriptorsToPeer, client::Follow::kDescriptors));
  }

  // Frames of this length from now on, and none claimed ahead.
  void set_frame_bytes(uint32_t bytes) {
    ahead_ = pool::Claim();
    tensor_ = wire::contiguous(wire::DType::u8, std::array<int32_t, 1>{static_cast<int32_t>(bytes)});
  }
  void claim_ahead(bool descriptors) {
    if (!ahead_) ahead_ = claim(descriptors ? descriptors_out_ : ring_out_);
  }
  // As an acquisition loop does: publish the slot that was filled, and claim the next one while the frame is under way.
  void send_ahead(bool descriptors) {
    client::Producer& out = descriptors ? descriptors_out_ : ring_out_;
    commit(out, ahead_);
    ahead_ = claim(out);
  }
  void claim_and_send_ring() {
    pool::Claim now = claim(ring_out_);
    commit(ring_out_, now);
  }
  bool got_ring() { return ring_in_->poll() == client::PollResult::kFrame; }
  bool got_descriptors() { return descriptors_in_->poll() == client::PollResult::kFrame; }
  void send_aeron(uint64_t value) {
    for (;;) {
      const auto sent = aeron_out_->send_in_place(kAeronBytes, [value](MutableBytes to) { store(to.data(), value); });
      if (sent == transport::SendResult::kOk) return;
      if (sent == transport::SendResult::kClosed || sent == transport::SendResult::kError) throw Error(Code::kUnavailable, "aeron publication closed");
    }
  }
  bool got_aeron() {
    bool got = false;
    auto sink = [&got](Bytes, const transport::MessageInfo&) { got = true; };
    aeron_in_->poll(sink, 1);
    return got;
  }

 private:
  client::Producer producer(uint32_t stream, bool descriptors) {
    client::ProducerOptions options;
    options.stream = std::to_string(stream);
    options.send_descriptors = descriptors;
    return client_.producer(options);
  }
  client::Consumer consumer(uint32_t stream, client::Follow follow) {
    client::ConsumerOptions options;
    options.stream = std::to_string(stream);
    options.follow = follow;
    options.max_outstanding_seq_gap = 0;
    return client_.consumer(options);
  }
  pool::Claim claim(client::Producer& out) {
    auto result = out.claim(tensor_);
    if (!result) throw Error(Code::kInternal, "claim on stream ", out.stream_id(), ": ", client::text_of(result.error()));
    return std::move(*result);
  }
  static void commit(client::Producer& out, pool::Claim& claim) {
    if (out.commit(claim) != pool::CommitResult::kOk) throw Error(Code::kInternal, "commit on stream ", out.stream_id(), " failed");
  }

  client::Client client_;
  client::Producer ring_out_, descriptors_out_;
  std::optional<client::Consumer> ring_in_, descriptors_in_;
  std::shared_ptr<transport::Connection> connection_;
  std::shared_ptr<transport::Publication> aeron_out_;
  std::shared_ptr<transport::Subscription> aeron_in_;
  wire::TensorHeader tensor_;
  pool::Claim ahead_;
};

uint32_t size_of(const ControlPage& page) { return static_cast<uint32_t>(page.command.more[0].load(std::memory_order_relaxed)); }

// One window of the leader: round trips for window_ns; half of the mean.
template <typename Round>
double window(Peers& peers, Command command, uint64_t window_ns, Round&& round) {
  peers.command(command);
  const uint64_t start = monotonic_ns();
  uint64_t rounds = 0, now = start;
  do {
    for (int i = 0; i < kBatch; ++i) round();
    rounds += kBatch;
    now = monotonic_ns();
  } while (now - start < window_ns);
  peers.command(Command::kIdle);
  return static_cast<double>(now - start) / static_cast<double>(rounds) / 2;
}

// Spin until `got`; look after the peer now and then.
template <typename Got>
void await(Peers& peers, Got&& got) {
  for (uint64_t spins = 1; !got(); ++spins) {
    if (spins % (1u << 22) == 0) peers.check();
  }
}

}  // namespace

int run_latency_peer(const PeerOptions& options, ControlPage& page) {
  End end(options.world_dir, false);
  end.attach_consumers(false);
  if (options.cpu >= 0) pin_to(options.cpu);
  uint64_t obeyed = ~uint64_t{0};
  for (;;) {
    const uint64_t word = page.command.word.load(std::memory_order_acquire);  // [command]
    if (word == obeyed) continue;
    obeyed = word;
    const Command task = command_of(word);
    end.set_frame_bytes(size_of(page));
    if (task == Command::kRing || task == Command::kDescriptors) end.claim_ahead(task == Command::kDescriptors);
    uint64_t seen = page.ping.word.load(std::memory_order_relaxed);
    page.ack[options.index].word.store(word + 1, std::memory_order_release);  // [command]
    const auto go_on = [&] { return page.command.word.load(std::memory_order_relaxed) == word; };
    switch (task) {
      case Command::kQuit: return 0;
      case Command::kLimit:
        while (go_on()) {
          const uint64_t ping = page.ping.word.load(std::memory_order_acquire);  // the limit: word for word
          if (ping == seen) continue;
          seen = ping;
          page.pong.word.store(ping, std::memory_order_release);
        }
        break;
      case Command::kRing:
        while (go_on()) {
          if (end.got_ring()) end.send_ahead(false);
        }
        break;
      case Command::kRingClaim:
        while (go_on()) {
          if (end.got_ring()) end.claim_and_send_ring();
        }
        break;
      case Command::kDescriptors:
        while (go_on()) {
          if (end.got_descriptors()) end.send_ahead(true);
        }
        break;
      case Command::kAeron:
        while (go_on()) {
          if (end.got_aeron()) end.send_aeron(1);
        }
        break;
      default: break;
    }
  }
}

std::vector<Result> measure_latency(const LatencyOptions& options, const Progress& progress) {
  const auto cpus = usable_cpus();
  cli::WorldOptions world_options;
  world_options.prefix = "tidepool-bench";
  world_options.prefault = false;  // payloads stay untouched
  world_options.keepalive_interval_ms = kBenchLeaseMs;
  pool::Geometry geometry;
  geometry.slot_count = kRingSlots;
  for (uint16_t id = 1; const uint64_t bytes : options.sizes_bytes) {
    const auto stride = static_cast<uint32_t>(pool::PoolWriter::needed_stride_bytes(bytes));
    bool known = false;
    for (const auto& pool : geometry.pools) known = known || pool.stride_bytes == stride;
    if (!known) geometry.pools.push_back({id++, stride});
  }
  for (const uint32_t stream : {kRingToPeer, kRingToLeader, kDescriptorsToPeer, kDescriptorsToLeader}) {
    world_options.streams.push_back({concat("s", stream), stream, geometry});
  }
  cli::World world(world_options);
  Peers peers(world.dir());

  End end(world.dir(), true);
  PeerOptions peer;
  peer.role = "latency";
  peer.cpu = cpus.size() > 1 ? cpus[1] : -1;
  peers.start(peer);
  end.attach_consumers(true);
  if (cpus.size() > 1) pin_to(cpus[0]);

  ControlPage& page = peers.page();
  uint64_t ping = 0;
  const auto limit = [&] {
    return window(peers, Command::kLimit, options.window_ns, [&] {
      page.ping.word.store(++ping, std::memory_order_release);
      await(peers, [&] { return page.pong.word.load(std::memory_order_acquire) == ping; });
    });
  };
  static constexpr char kLimitName[] = "cache-line ping-pong between the same two CPUs, one way";

  std::vector<Result> results;
  const auto measure = [&](const std::string& name, const std::function<double()>& subject) {
    progress(name);
    results.push_back(summarise(name, "ns", kLimitName, alternate(options.windows, subject, limit)));
  };
  for (const uint64_t size : options.sizes_bytes) {
    const auto bytes = static_cast<uint32_t>(size);
    page.command.more[0].store(bytes, std::memory_order_relaxed);  // relaxed: the command that follows releases it
    end.set_frame_bytes(bytes);
    measure("latency/ring/" + size_name(size), [&] {
      end.claim_ahead(false);
      return window(peers, Command::kRing, options.window_ns, [&] {
        end.send_ahead(false);
        await(peers, [&] { return end.got_ring(); });
      });
    });
    end.set_frame_bytes(bytes);
    measure("latency/ring-claim/" + size_name(size), [&] {
      return window(peers, Command::kRingClaim, options.window_ns, [&] {
        end.claim_and_send_ring();
        await(peers, [&] { return end.got_ring(); });
      });
    });
    measure("latency/descriptors/" + size_name(size), [&] {
      end.claim_ahead(true);
      return window(peers, Command::kDescriptors, options.window_ns, [&] {
        end.send_ahead(true);
        await(peers, [&] { return end.got_descriptors(); });
      });
    });
  }
  measure("latency/aeron-ipc/48B", [&] {
    return window(peers, Command::kAeron, options.window_ns, [&] {
      end.send_aeron(1);
      await(peers, [&] { return end.got_aeron(); });
    });
  });
  peers.quit();
  return results;
}

}  // namespace tidepool::bench

// matrix_peer ROLE STREAM CLIENT_ID FIRST_ID AERON_DIR BASE_DIR STOP_AT COUNT
//
// A producer or consumer through the library, one that says each step it takes on a line of stdout and stops itself (SIGSTOP)
// at STOP_AT, so that it can be killed just there. COUNT: consumers in this process (a consumer that has verified 20 frames
// says "done"). Ends in order on SIGTERM.
//
//   producer   connected  attached  claimed  committed  detaching  gone T    (T: what CLOCK_REALTIME says)
//   consumer   connected  attached  reading  read       detaching  gone     (and "done N", "wrong FRAME")
//
// STREAM's planes are the Aeron streams FIRST_ID (control and announce), + 1 (descriptors), + 2 (QoS), + 3 (metadata).

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/random.h"
#include "tidepool/cli/pattern.h"
#include "tidepool/client.h"

namespace tidepool {
namespace {

std::atomic<bool> told_to_end{false};  // relaxed: a flag alone
std::string stop_at;

void step(const std::string& name) {
  std::printf("%s\n", name.c_str());
  std::fflush(stdout);
  if (name == stop_at) ::raise(SIGSTOP);
}

struct Args {
  std::string role, stream;
  uint32_t client_id = 0;
  int first_id = 0;
  std::string aeron_dir, base_dir;
  int count = 1;
};

ClientOptions client_options(const Args& args) {
  constexpr const char* kChannel = "aeron:ipc?term-length=1m";
  ClientOptions options;
  options.aeron_dir = args.aeron_dir;
  options.control = {kChannel, args.first_id};
  options.announce = {kChannel, args.first_id};
  options.descriptor = {kChannel, args.first_id + 1};
  options.qos = {kChannel, args.first_id + 2};
  options.metadata = {kChannel, args.first_id + 3};
  options.attach_retry_interval_ms = 50;
  options.keepalive_interval_ms = 100;
  options.announce_period_ms = 300;
  options.reattach_backoff_min_ms = 20;
  options.reattach_backoff_max_ms = 100;
  options.wait = true;
  options.map_policy.allowed_base_dirs = {args.base_dir};
  options.keep_waiting = [] { return !told_to_end.load(std::memory_order_relaxed); };
  return options;
}

void on_state(const StateChange& change) {
  // Before the request to detach goes out.
  if (change.state == State::kClosed && change.why == "closing") step("detaching");
}

void nap() {
  const timespec pause{0, 2'000'000};
  ::nanosleep(&pause, nullptr);
}

void produce(const Args& args, Client& client) {
  ProducerOptions options;
  options.stream = args.stream;
  options.client_id = args.client_id;
  options.on_state = on_state;
  Producer producer = client.producer(options);
  step("attached");
  const uint64_t run = cli::mix_run(static_cast<uint32_t>(random_u64()));
  const Tensor tensor{.shape = {512}, .dtype = DType::u64};
  for (uint64_t frame = 0; !told_to_end.load(std::memory_order_relaxed); ++frame) {
    auto claim = producer.claim(tensor);
    if (claim) {
      const bool told = frame == 2;
      const MutableBytes bytes = claim->bytes();
      if (told) {
        cli::fill_mix(bytes.first(bytes.size() / 2), run, claim->epoch(), claim->seq());
        step("claimed");
      }
      cli::fill_mix(bytes, run, claim->epoch(), claim->seq());
      const bool committed = producer.commit(*claim) == CommitResult::kOk;
      if (told) step(committed ? "committed" : "lost");
    }
    nap();
  }
}

void consume(const Args& args, Client& client) {
  struct One {
    Consumer consumer;
    cli::MixJudge judge;
    int frames = 0;
    bool done = false;
  };
  std::vector<std::unique_ptr<One>> all;
  for (int i = 0; i < args.count; ++i) {
    ConsumerOptions options;
    options.stream = args.stream;
    options.client_id = args.client_id == 0 ? 0 : args.client_id + static_cast<uint32_t>(i);
    options.follow = i % 2 == 0 ? Follow::kRing : Follow::kDescriptors;
    if (i == 0) options.on_state = on_state;
    all.push_back(std::make_unique<One>(One{client.consumer(options), {}, 0, false}));
    step("attached");
  }
  std::vector<std::byte> copy;
  while (!told_to_end.load(std::memory_order_relaxed)) {
    for (size_t i = 0; i < all.size(); ++i) {
      One& one = *all[i];
      // All that is there: who takes one at a time stays behind once it is.
      for (int taken = 0; taken < 256; ++taken) {
        const PollResult result = one.consumer.poll();
        if (result == PollResult::kEmpty || result == PollResult::kDetached) break;
        if (result != PollResult::kFrame) continue;
        const FrameView& frame = one.consumer.frame();
        const bool first = one.frames == 0 && i == 0;
        if (first) step("reading");
        copy.resize(frame.bytes().size());
        const uint64_t epoch = frame.epoch(), seq = frame.seq();
        if (!frame.copy_to(copy)) continue;
        if (one.judge.find_mismatch(copy, epoch, seq)) step(concat("wrong ", seq));
        ++one.frames;
        if (first) step("read");
        if (one.frames >= 20 && !one.done) {
          one.done = true;
          step(concat("done ", i));
        }
      }
    }
    nap();
  }
}

int run(int argc, char** argv) {
  if (argc != 9) return 2;
  Args args{argv[1], argv[2],           static_cast<uint32_t>(std::strtoul(argv[3], nullptr, 10)), std::atoi(argv[4]), argv[5],
            argv[6], std::atoi(argv[8])};
  stop_at = argv[7];
  struct sigaction action{};
  action.sa_handler = [](int) { told_to_end.store(true, std::memory_order_relaxed); };
  ::sigaction(SIGTERM, &action, nullptr);
  try {
    Client client = Client::connect(client_options(args));
    step("connected");
    if (args.role == "producer") {
      produce(args, client);
    } else {
      consume(args, client);
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  step(concat("gone ", realtime_ns()));
  return 0;
}

}  // namespace
}  // namespace tidepool

int main(int argc, char** argv) { return tidepool::run(argc, argv); }

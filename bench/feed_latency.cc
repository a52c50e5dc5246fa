// How long a row is under way: half of a round trip between two processes, each of which writes one feed and follows the other's.

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

#include "feed_lab.h"
#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/feed/reader.h"

namespace tidepool::bench {
namespace {

using feed::FeedReader;
using feed::FeedWriter;
using feed::Item;

constexpr int kFeedBatch = 64;

class FeedEnd {
 public:
  FeedEnd(const FeedLab& lab, const char* out, const char* in)
      : writer_(FeedWriter::open(lab.base(), out)), reader_(FeedReader::open(lab.base(), in, {.stalled_after_ns = 60 * kNsPerSecond})) {}
  void send() {
    row_.time = ++row_.number;
    if (const auto done = writer_.append(row_); !done) throw Error(Code::kInternal, "append: ", feed::append_status_name(done.status));
  }
  // True when a row came within the time; 0: looks once.
  bool take(uint64_t wait_ns) {
    const Item item = reader_.next(wait_ns);
    if (item.kind == Item::Kind::kRow) return true;
    if (item.kind == Item::Kind::kIdle) return false;
    throw Error(Code::kInternal, "the reader met outcome ", static_cast<int>(item.kind));
  }

 private:
  FeedWriter writer_;
  FeedReader reader_;
  FeedRow row_{};
};

long futex(std::atomic<uint64_t>& word, int op, uint32_t value) { return ::syscall(SYS_futex, &word, op, value, nullptr, nullptr, 0); }

void futex_set(Line& line, uint64_t value) {
  line.word.store(value, std::memory_order_release);
  futex(line.word, FUTEX_WAKE, INT_MAX);
}
void futex_wait(Line& line, uint64_t seen) {
  while (line.word.load(std::memory_order_acquire) == seen) futex(line.word, FUTEX_WAIT, static_cast<uint32_t>(seen));
}

// The other process answers whatever comes. A task ends by a last round that the leader sends.
void answer(const FeedLab& lab, FeedPage& page) {
  FeedEnd end(lab, "back", "there");  // its threads are started before this one is pinned
  const Pinned pinned(1);
  Tasks tasks(page);
  uint64_t pinged = 0;
  for (;;) {
    const Task task = tasks.now();
    switch (task) {
      case Task::kPing:
        while (tasks.now() == task) {
          const uint64_t ping = page.ping.word.load(std::memory_order_acquire);
          if (ping == pinged) continue;
          pinged = ping;
          page.pong.word.store(ping, std::memory_order_release);
        }
        break;
      case Task::kFutexPing:
        while (tasks.now() == task) {
          futex_wait(page.ping, pinged);
          pinged = page.ping.word.load(std::memory_order_acquire);
          futex_set(page.pong, pinged);
        }
        break;
      case Task::kFeedPing:
      case Task::kFeedParkedPing:
        while (tasks.now() == task) {
          if (end.take(task == Task::kFeedPing ? 0 : 5 * kNsPerMs)) end.send();
        }
        break;
      case Task::kQuit: return;
      default: std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }
}

template <typename Round>
double window(Other& other, Task task, uint64_t window_ns, Round&& round) {
  other.task(task);
  const uint64_t start = monotonic_ns();
  uint64_t rounds = 0, now = start;
  do {
    for (int i = 0; i < kFeedBatch; ++i) round();
    rounds += kFeedBatch;
    now = monotonic_ns();
  } while (now - start < window_ns);
  return static_cast<double>(now - start) / 2 / static_cast<double>(rounds);
}

}  // namespace

std::vector<Result> measure_feed_latency(const FeedBenchOptions& options, const std::function<bool(const std::string&)>& wants, const Progress& progress) {
  std::vector<Result> results;
  const bool spin = wants("feed/latency/spin");
  const bool park = wants("feed/latency/park");
  if (!spin && !park) return results;
  FeedLab lab(options);
  for (const char* name : {"there", "back"}) feed::create_feed(lab.base(), name, feed_row_schema(), lab.feed_options(feed::Storage::kTiered));
  Other other([&](FeedPage& page) { answer(lab, page); });
  FeedPage& page = other.page();
  FeedEnd end(lab, "there", "back");
  const Pinned pinned(0);
  uint64_t pings = 0;
  const auto feed_round = [&](uint64_t wait_ns) {
    end.send();
    while (!end.take(wait_ns)) {
    }
  };
  if (spin) {
    progress("feed/latency/spin");
    results.push_back(summarise("feed/latency/spin", "ns", "one cache line there and back",
                                alternate(options.windows, [&] { return window(other, Task::kFeedPing, options.latency_window_ns, [&] { feed_round(0); }); },
                                          [&] {
                                            return window(other, Task::kPing, options.latency_window_ns, [&] {
                                              page.ping.word.store(++pings, std::memory_order_release);
                                              while (page.pong.word.load(std::memory_order_acquire) != pings) {
                                              }
                                            });
                                          })));
  }
  if (park) {
    progress("feed/latency/park");
    const auto futex_round = [&] {
      const uint64_t seen = page.pong.word.load(std::memory_order_acquire);
      futex_set(page.ping, ++pings);
      futex_wait(page.pong, seen);
    };
    const auto limit = [&] {
      const double ns = window(other, Task::kFutexPing, options.latency_window_ns, futex_round);
      // It waits for one more: the task changes first, then it comes.
      page.task.word.store(static_cast<uint64_t>(Task::kIdle), std::memory_order_release);
      futex_round();
      return ns;
    };
    results.push_back(summarise("feed/latency/park", "ns", "a futex there and back",
                                alternate(options.windows,
                                          [&] { return window(other, Task::kFeedParkedPing, options.latency_window_ns, [&] { feed_round(5 * kNsPerMs); }); }, limit)));
  }
  other.task(Task::kQuit);
  return results;
}

}  // namespace tidepool::bench

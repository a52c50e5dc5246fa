#pragma once
// What the measurements of feeds share: a place for their files, another process, and the plain loops that are their limits.

#include <sched.h>
#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "feed_bench.h"
#include "peers.h"
#include "tidepool/feed/writer.h"

namespace tidepool::bench {

// 64 bytes: a cache line.
struct FeedRow {
  uint64_t time;
  uint64_t number;
  uint64_t rest[6];
};
static_assert(sizeof(FeedRow) == 64);
feed::Schema feed_row_schema();

// Directories of this run: one on the disk, one in shared memory. Both go with it.
class FeedLab {
 public:
  explicit FeedLab(const FeedBenchOptions& options);
  ~FeedLab();
  FeedLab(const FeedLab&) = delete;
  FeedLab& operator=(const FeedLab&) = delete;
  const std::string& disk() const noexcept { return disk_; }
  const std::string& shm() const noexcept { return shm_; }
  std::string base() const { return disk_ + "/base"; }
  feed::FeedOptions feed_options(feed::Storage storage) const;
  // Throws unless the disk has that much room, and some.
  void need_disk(uint64_t bytes) const;

 private:
  std::string disk_;
  std::string shm_;
};

enum class Task : uint64_t { kIdle = 0, kFeed, kPlain, kPipeline, kPing, kFutexPing, kFeedPing, kFeedParkedPing, kQuit };

// What a measurement and its other process tell each other. Every word has one writer.
//   [task] leader's task release -> other's acquire; its ack release -> leader's acquire
struct FeedPage {
  Line task;
  Line ack;
  Line seen;        // other: rows of the feed taken in
  Line plain_seen;  // other: bytes of a plain loop taken in
  Line committed;   // leader, plain loops: bytes written
  Line ping, pong;
  Line sum;        // other: of what it read, so that it is read
};

// Another process: a fork of this one, made before the measurement starts threads. It runs `body`, which returns on Task::kQuit.
class Other {
 public:
  explicit Other(const std::function<void(FeedPage&)>& body);
  ~Other();
  Other(const Other&) = delete;
  Other& operator=(const Other&) = delete;
  FeedPage& page() noexcept { return *page_; }
  void task(Task task);  // returns when it is obeyed
  void check();          // throws if it is gone
  // Until the word has reached that, 60 s at most.
  void wait_for(const Line& line, uint64_t value);

 private:
  FeedPage* page_ = nullptr;
  pid_t pid_ = 0;
  uint64_t generation_ = 0;
};
// In the other process: the task that holds now, acknowledged.
class Tasks {
 public:
  explicit Tasks(FeedPage& page) noexcept : page_(page) {}
  Task now() noexcept;

 private:
  FeedPage& page_;
  uint64_t obeyed_ = ~uint64_t{0};
};

// The calling thread on one CPU for as long as this lives; threads that it starts meanwhile would inherit it.
class Pinned {
 public:
  explicit Pinned(size_t which);  // of the usable ones, if there are two
  ~Pinned();
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;

 private:
  cpu_set_t before_;
};

// A mapping of a file, or of memory (path empty), every page of it there.
class Memory {
 public:
  Memory(const std::string& path, uint64_t bytes, bool create);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  std::byte* data() const noexcept { return data_; }

 private:
  std::byte* data_ = nullptr;
  uint64_t bytes_ = 0;
};

// A file written from one end to the other past the page cache; through it where the file system refuses.
class PlainFile {
 public:
  explicit PlainFile(const std::string& path);  // it stays until its directory goes
  ~PlainFile();
  PlainFile(const PlainFile&) = delete;
  PlainFile& operator=(const PlainFile&) = delete;
  void write(const std::byte* from, uint64_t bytes, uint64_t offset);  // multiples of 4096
  void sync();

 private:
  std::string path_;
  int fd_ = -1;
};

// What a writer, a helper that makes memory, a persister and a follower sustain when they do nothing else: segments of shared
// memory that are made ahead, filled row by row, written to disk past the page cache, followed, and given back.
class PlainPipeline {
 public:
  PlainPipeline(const FeedLab& lab, FeedPage& page);
  ~PlainPipeline();
  // Rows until `bytes` are written and on disk; rows a second once they are followed as well.
  double run(uint64_t bytes, Other& other);
  // In the other process: take in what there is.
  static void follow(const std::string& shm, FeedPage& page, Tasks& tasks);
  static constexpr uint64_t kSegmentBytes = uint64_t{64} << 20;

 private:
  struct Segment;
  void help();
  void persist();
  std::string path(uint64_t segment) const;
  std::string shm_;
  std::string disk_;
  FeedPage& page_;
  std::atomic<uint64_t> made_{0};       // segments
  std::atomic<uint64_t> persisted_{0};  // bytes
  std::atomic<bool> stop_{false};
  std::unique_ptr<Segment[]> segments_;
  uint64_t written_ = 0;
  std::thread helper_;
  std::thread persister_;
};

std::vector<Result> measure_feed_appends(const FeedBenchOptions& options, const std::function<bool(const std::string&)>& wants, const Progress& progress);
std::vector<Result> measure_feed_latency(const FeedBenchOptions& options, const std::function<bool(const std::string&)>& wants, const Progress& progress);
std::vector<Result> measure_feed_scans(const FeedBenchOptions& options, const std::function<bool(const std::string&)>& wants, const Progress& progress);

}  // namespace tidepool::bench

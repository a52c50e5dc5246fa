#pragma once
// How long something took, as a histogram in shared memory (F-138): 17 words, one thread adds, anybody reads. Word i counts times up to
// 1 us * 4^i, word 15 all that were longer; word 16 is their sum in ns.

#include <array>
#include <cstddef>
#include <cstdint>

#include "tidepool/shm/published_word.h"

namespace tidepool::feed {

inline constexpr size_t kLatencyBuckets = 16;
struct LatencyCounts {
  std::array<uint64_t, kLatencyBuckets> buckets{};
  uint64_t total_ns = 0;
  uint64_t count() const noexcept {
    uint64_t all = 0;
    for (const uint64_t bucket : buckets) all += bucket;
    return all;
  }
};
// Upper bound of a bucket in ns; the last one has none: all ones.
constexpr uint64_t latency_bound_ns(size_t bucket) noexcept {
  return bucket + 1 >= kLatencyBuckets ? ~uint64_t{0} : uint64_t{1000} << (2 * bucket);
}
constexpr size_t latency_bucket(uint64_t ns) noexcept {
  size_t bucket = 0;
  while (ns > latency_bound_ns(bucket)) ++bucket;
  return bucket;
}

class LatencyWords {
 public:
  static constexpr size_t kBytes = 8 * (kLatencyBuckets + 1);
  explicit LatencyWords(std::byte* at) noexcept : at_(at) {}
  void add(uint64_t ns) noexcept {
    more(latency_bucket(ns), 1);
    more(kLatencyBuckets, ns);
  }
  LatencyCounts load() const noexcept {
    LatencyCounts counts;
    for (size_t i = 0; i < kLatencyBuckets; ++i) counts.buckets[i] = shm::PublishedWord(at_ + 8 * i).load();
    counts.total_ns = shm::PublishedWord(at_ + 8 * kLatencyBuckets).load();
    return counts;
  }

 private:
  void more(size_t at, uint64_t by) noexcept {
    shm::PublishedWord word(at_ + 8 * at);
    word.set(word.peek() + by);
  }
  std::byte* at_;
};

}  // namespace tidepool::feed

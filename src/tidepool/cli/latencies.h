#pragma once
// Latencies in a histogram that neither allocates nor grows while it is fed.

#include <cstdint>

struct hdr_histogram;

namespace tidepool::cli {

// 1 ns to 1 h, three significant figures. Thread safety: one thread.
class Latencies {
 public:
  Latencies();
  ~Latencies();
  Latencies(const Latencies&) = delete;
  Latencies& operator=(const Latencies&) = delete;

  void record(uint64_t ns) noexcept;  // beyond 1 h: recorded as 1 h
  uint64_t count() const noexcept;
  uint64_t at_percentile(double percentile) const noexcept;  // 50, 99, 99.9; 0 without values
  uint64_t max() const noexcept;

 private:
  hdr_histogram* histogram_ = nullptr;
};

}  // namespace tidepool::cli

#pragma once
// Measuring beside a limit: subject and limit alternate in short windows, and the figure is the median of the paired
// ratios with its spread, since virtual cores are moved about and absolute times drift (docs/benchmarks.md).

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace tidepool::bench {

struct Result {
  std::string name;        // "latency/ring/64B"
  double value = 0;        // median of the windows, in `unit`
  std::string unit;        // "ns", "GiB/s", "frames/s"
  double limit = 0;        // median of the limit's windows, same unit
  std::string limit_name;  // what the limit is
  double ratio = 0;        // median of value/limit by pair: 1 is the limit
  double spread = 0;       // interquartile range of those ratios
  std::vector<std::pair<std::string, double>> more;  // beside it: losses, notes in numbers
};

// Windows measured in pairs.
struct Pairs {
  std::vector<double> subject;
  std::vector<double> limit;
};
Result summarise(std::string name, std::string unit, std::string limit_name, const Pairs& pairs);
double median(std::vector<double> values);
double quantile(std::vector<double> values, double q);

// Alternate `subject` and `limit` (each runs one window and returns its figure) `pairs` times; one pair before is thrown
// away, and the order within a pair alternates too, so that neither profits from going second.
Pairs alternate(int pairs, const std::function<double()>& subject, const std::function<double()>& limit);

// CPUs this process may use.
std::vector<int> usable_cpus();
// Pin the calling thread; false if refused.
bool pin_to(int cpu) noexcept;

// CPU, kernel, flags: the head of every report.
std::vector<std::pair<std::string, std::string>> machine_head();

// "64B", "640KiB", "8MiB".
std::string size_name(uint64_t bytes);

}  // namespace tidepool::bench

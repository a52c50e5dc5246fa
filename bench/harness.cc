#include "harness.h"

#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "tidepool/base/error.h"

#ifndef TIDEPOOL_BUILD_FLAGS
#define TIDEPOOL_BUILD_FLAGS "unknown"
#endif

namespace tidepool::bench {

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (values[above] - values[below]) * (at - static_cast<double>(below));
}

double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

Result summarise(std::string name, std::string unit, std::string limit_name, const Pairs& pairs) {
  std::vector<double> ratios;
  for (size_t i = 0; i < pairs.subject.size(); ++i) {
    if (pairs.limit[i] > 0) ratios.push_back(pairs.subject[i] / pairs.limit[i]);
  }
  Result result;
  result.name = std::move(name);
  result.unit = std::move(unit);
  result.limit_name = std::move(limit_name);
  result.value = median(pairs.subject);
  result.limit = median(pairs.limit);
  result.ratio = median(ratios);
  result.spread = quantile(ratios, 0.75) - quantile(ratios, 0.25);
  return result;
}

Pairs alternate(int pairs, const std::function<double()>& subject, const std::function<double()>& limit) {
  (void)subject();
  (void)limit();
  Pairs out;
  for (int i = 0; i < pairs; ++i) {
    if (i % 2 == 0) {
      out.subject.push_back(subject());
      out.limit.push_back(limit());
    } else {
      out.limit.push_back(limit());
      out.subject.push_back(subject());
    }
  }
  return out;
}

std::vector<int> usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
  }
  return cpus;
}

bool pin_to(int cpu) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

std::vector<std::pair<std::string, std::string>> machine_head() {
  std::vector<std::pair<std::string, std::string>> head;
  std::string model = "unknown";
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.starts_with("model name")) {
      model = line.substr(line.find(':') + 2);
      break;
    }
  }
  utsname kernel{};
  ::uname(&kernel);
  head.emplace_back("cpu", concat(model, ", ", usable_cpus().size(), " usable"));
  head.emplace_back("kernel", concat(std::string_view(kernel.sysname), " ", std::string_view(kernel.release)));
  head.emplace_back("flags", TIDEPOOL_BUILD_FLAGS);
  return head;
}

std::string size_name(uint64_t bytes) {
  if (bytes >= (1u << 20) && bytes % (1u << 20) == 0) return concat(bytes >> 20, "MiB");
  if (bytes >= 1024 && bytes % 1024 == 0) return concat(bytes >> 10, "KiB");
  return concat(bytes, "B");
}

}  // namespace tidepool::bench

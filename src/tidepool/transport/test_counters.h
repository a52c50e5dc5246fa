#pragma once
// For tests: the counters of a media driver, read back from its CnC file as AeronStat does.

#include <aeronc.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::transport::testing {

struct SeenCounter {
  int32_t type_id = 0;
  uint64_t key_id = 0;    // the first 8 bytes of the key
  std::string key_name;   // what follows, up to the zeros that pad it
  std::string label;
  int64_t value = 0;
};

inline std::vector<SeenCounter> read_counters(const std::string& aeron_dir) {
  std::vector<SeenCounter> seen;
  aeron_cnc_t* cnc = nullptr;
  if (aeron_cnc_init(&cnc, aeron_dir.c_str(), 5'000) < 0) return seen;
  aeron_counters_reader_foreach_counter(
      aeron_cnc_counters_reader(cnc),
      [](int64_t value, int32_t, int32_t type_id, const uint8_t* key, size_t key_length, const char* label, size_t label_length,
         void* to) {
        SeenCounter one;
        one.type_id = type_id;
        for (size_t i = 0; i < 8 && i < key_length; ++i) one.key_id |= uint64_t{key[i]} << 8 * i;
        for (size_t i = 8; i < key_length && key[i] != 0; ++i) one.key_name.push_back(static_cast<char>(key[i]));
        one.label.assign(label, label_length);
        one.value = value;
        static_cast<std::vector<SeenCounter>*>(to)->push_back(std::move(one));
      },
      &seen);
  aeron_cnc_close(cnc);
  return seen;
}

// Those that say "Name=<role> ...", in the order of their types.
inline std::vector<SeenCounter> counters_named(const std::string& aeron_dir, std::string_view name) {
  std::vector<SeenCounter> found;
  const std::string part = " Name=" + std::string(name);
  for (auto& one : read_counters(aeron_dir))
    if (one.label.find(part) != std::string::npos) found.push_back(std::move(one));
  std::sort(found.begin(), found.end(),
            [](const SeenCounter& a, const SeenCounter& b) { return (a.type_id & 0xFFFF) < (b.type_id & 0xFFFF); });
  return found;
}

// The value of one, or -1 if it is not there.
inline int64_t counter_value(const std::string& aeron_dir, std::string_view name, std::string_view label) {
  for (const auto& one : counters_named(aeron_dir, name))
    if (one.label.starts_with(std::string(label) + ":")) return one.value;
  return -1;
}

}  // namespace tidepool::transport::testing

#pragma once
// Numbers as people read them, and numbers as people type them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::cli {

std::string format_bytes(uint64_t bytes);          // "640.0 KiB"
std::string format_rate(uint64_t bytes, double seconds);  // "3.2 GiB/s"
std::string format_ns(uint64_t ns);                // "870 ns", "12.3 us", "4.1 s"
std::string format_count(uint64_t count, std::string_view noun);  // "1 frame", "3 frames"

// "480,640,3" or "480x640x3": 1 to 8 dimensions of 0 to 2147483647. Throws UsageError.
std::vector<int32_t> parse_shape(std::string_view text);
std::string format_shape(const int32_t* dims, size_t ndims);  // "480,640,3"

}  // namespace tidepool::cli

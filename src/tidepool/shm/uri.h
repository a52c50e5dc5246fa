#pragma once
// Region URIs: shm:file?path=/absolute/path|require_hugepages=true (W-23, wire.md 7.2). Nothing else is accepted.

#include <string>
#include <string_view>

namespace tidepool::shm {

inline constexpr size_t kMaxUriBytes = 4095;

struct Uri {
  std::string path;                // absolute
  bool require_hugepages = false;

  // Throws Error kInvalidArgument (which part, what was expected) for anything outside the grammar: another scheme, an
  // unknown or repeated key, a missing '=', an empty value, a relative path, a character outside 0x21..0x7E, '?' or '|'
  // in the path, a boolean other than true/false, more than 4095 bytes.
  static Uri parse(std::string_view text);
  // As written by us: path first, require_hugepages only when true (driver.md 8.3). Throws if path cannot be expressed.
  std::string text() const;

  bool operator==(const Uri&) const = default;
};

}  // namespace tidepool::shm

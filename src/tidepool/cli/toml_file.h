#pragma once
// TOML 1.0 files as the library's configuration tree (rulings P-16: the library itself reads no file format).

#include <string>
#include <string_view>

#include "tidepool/base/config.h"

namespace tidepool::cli {

inline constexpr size_t kMaxTomlBytes = 16u << 20;

// Read a file. Every value's origin is "<path>:<line>"; tables keep the order of the file (config.md 2.3 "first profile").
// Throws Error: kNotFound, kPermission, kInvalidArgument (a directory, longer than kMaxTomlBytes, or bad syntax:
// "lab.toml:3:7: ..." with line, column and what is wrong).
ConfigValue read_toml_file(const std::string& path);

// The same for text at hand; `name` stands in the origins.
ConfigValue parse_toml(std::string_view text, const std::string& name);

}  // namespace tidepool::cli

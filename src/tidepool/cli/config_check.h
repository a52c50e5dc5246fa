#pragma once
// What `tidepool config check` knows: a registry of roles, each with the tables that it reads and a function that finds every fault
// in them (CFG-1). A new role adds itself in config_check.cc: with a checker of its own (as the driver, whose loader it is), or with
// a list of keys (as the clients).

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tidepool/base/config.h"
#include "tidepool/services/driver/config.h"

namespace tidepool::cli {

// A value in force, for --show.
struct ShownValue {
  std::string key;
  std::string value;
  std::string origin;  // "lab.toml:12", "environment X", "default"
};

struct ConfigFindings {
  std::vector<ConfigProblem> problems;
  std::vector<ShownValue> values;
};

struct ConfigRole {
  std::string_view name;  // "driver", as --role takes it
  std::vector<std::string_view> tables;  // any of these makes the role part of a file
  std::vector<std::string_view> also_reads;  // its own only if the role is
  void (*check)(const ConfigValue& root, const Environment& environment, ConfigFindings& out);
};
// In the order in which they are reported.
const std::vector<ConfigRole>& config_roles();

struct CheckedConfig {
  std::vector<std::string_view> roles;  // that were checked
  std::vector<ConfigProblem> problems;  // in the order of the file; then of the environment
  std::vector<ShownValue> values;
  bool ok() const noexcept;
};
// `role` empty: every role that the file has a table of. Throws UsageError for an unknown role.
CheckedConfig check_config_tree(const ConfigValue& root, const Environment& environment, std::string_view role);

// ---- tables described by their keys ----------------------------------------------------------------------------------------

struct KeyRule {
  enum class Kind : uint8_t { kText, kFlag, kNumber, kChannel, kPaths, kMode, kChoice, kFallback, kAny };
  std::string_view key;
  Kind kind = Kind::kText;
  uint64_t min = 0;
  uint64_t max = 0;
  std::string_view standard = "";  // the default, as shown
  std::vector<std::string_view> choices = {};
};

// Check `table` of `root`, with TABLE_KEY of the environment over it, against `rules`: wrong types and values are faults, unknown keys
// warnings (config.md 1.6).
void check_table(const ConfigValue& root, const std::string& table, const std::vector<KeyRule>& rules,
                 const Environment& environment, ConfigFindings& out);

}  // namespace tidepool::cli

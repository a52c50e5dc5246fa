#pragma once
// A configuration as a tree of values that know where they were written, so that every complaint can name file and
// line. The library reads no file format: cli/toml_file.h turns TOML into this tree (rulings P-16).

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tidepool {

class ConfigValue;
using ConfigArray = std::vector<ConfigValue>;
// Keeps the order of the file in `order`, since "the first profile in the file" has a meaning (config.md 2.3).
struct ConfigTable {
  std::map<std::string, ConfigValue, std::less<>> entries;
  std::vector<std::string> order;
  ConfigValue& add(std::string key, ConfigValue value);
};

class ConfigValue {
 public:
  using Data = std::variant<bool, int64_t, double, std::string, ConfigArray, ConfigTable>;

  ConfigValue() : data_(ConfigTable{}) {}
  ConfigValue(Data data, std::string origin) : data_(std::move(data)), origin_(std::move(origin)) {}

  // "lab.toml:12", "environment DRIVER_CONTROL_STREAM_ID", "--control-stream".
  const std::string& origin() const noexcept { return origin_; }
  const Data& data() const noexcept { return data_; }
  // "integer", "string", "table", ...: for messages.
  std::string_view type_name() const noexcept;

  const ConfigTable* as_table() const noexcept { return std::get_if<ConfigTable>(&data_); }
  ConfigTable* as_table() noexcept { return std::get_if<ConfigTable>(&data_); }
  const ConfigArray* as_array() const noexcept { return std::get_if<ConfigArray>(&data_); }
  const std::string* as_string() const noexcept { return std::get_if<std::string>(&data_); }
  const bool* as_bool() const noexcept { return std::get_if<bool>(&data_); }
  const int64_t* as_integer() const noexcept { return std::get_if<int64_t>(&data_); }

  // The value under a dotted key ("policies.announce_period_ms"), or nullptr.
  const ConfigValue* find(std::string_view dotted_key) const noexcept;

 private:
  Data data_;
  std::string origin_;
};

}  // namespace tidepool

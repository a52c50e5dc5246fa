#pragma once
// Reads a role's keys out of a configuration tree with the environment over it (config.md 1), collecting every problem with
// its key and place instead of stopping at the first (CFG-1).
//
// Precedence: a value whose origin begins with "--" (the command line; rulings P-12), the environment, the tree, the
// default that the variable holds already. Thread safety: one thread.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "tidepool/base/config.h"

namespace tidepool {

// Ids from first to last, both included.
struct IdRange {
  uint32_t first = 0;
  uint32_t last = 0;
  bool contains(uint32_t id) const noexcept { return id >= first && id <= last; }
  bool overlaps(const IdRange& other) const noexcept { return first <= other.last && other.first <= last; }
  uint64_t count() const noexcept { return uint64_t{last} - first + 1; }
  bool operator==(const IdRange&) const = default;
};
std::string text_of(const IdRange& range);

// A problem with a key: where it was written, what was expected.
struct ConfigProblem {
  std::string key;
  std::string origin;  // "lab.toml:12", "environment SHM_BASE_DIR", or empty for a default
  std::string text;
  bool fatal = true;   // false: a warning (unknown key, grace of one interval, ...)
  std::string line() const;  // "lab.toml:12: profiles.small.header_nslots is 100: expected a power of two"
};
bool any_fatal(const std::vector<ConfigProblem>& problems) noexcept;
// All fatal ones, one a line.
std::string fatal_text(const std::vector<ConfigProblem>& problems);

using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment process_environment();
// "driver.control_stream_id" -> "DRIVER_CONTROL_STREAM_ID".
std::string environment_name(std::string_view key);

// Key -> where it was written, for messages and for a dump of what is in force (CFG-21). A key that is missing has its default.
using Origins = std::map<std::string, std::string, std::less<>>;

// "a-b", "a,b" or "a", blanks around the numbers allowed (config.md 1).
std::optional<IdRange> parse_id_range(std::string_view text);
// Printable, in double quotes.
std::string in_quotes(std::string_view text);

class ConfigReader {
 public:
  // `aliases`: key -> another name in the environment, used when the primary one is unset (config.md 1.4).
  ConfigReader(const ConfigValue& root, const Environment& environment, std::vector<ConfigProblem>& problems,
               std::map<std::string, std::string, std::less<>> aliases = {})
      : root_(root), environment_(environment), problems_(problems), aliases_(std::move(aliases)) {}

  Origins origins;
  std::string origin_of(std::string_view key) const;

  void problem(std::string key, std::string origin, std::string text, bool fatal = true);
  void wrong_type(const std::string& key, const ConfigValue& value, std::string_view expected);

  // A table of the root, if it is there and one.
  const ConfigTable* table(const std::string& key);
  static const ConfigValue* find_in(const ConfigTable* table, std::string_view name);

  // What is found replaces `out`; what is wrong is a problem and leaves it. True if the key was found and right.
  bool read(const std::string& key, std::string& out);
  bool read(const std::string& key, bool& out);
  bool read(const std::string& key, std::vector<IdRange>& out);  // added
  template <typename Integer>
  bool read(const std::string& key, Integer& out, uint64_t min, uint64_t max) {
    uint64_t value = 0;
    if (!read_number(key, value, min, max)) return false;
    out = static_cast<Integer>(value);
    return true;
  }
  bool read_mode(const std::string& key, mode_t& out);                        // an octal string (config.md 2.2)
  bool read_paths(const std::string& key, std::vector<std::string>& out);     // an array of strings; from the environment with colons; added
  bool read_texts(const std::string& key, std::vector<std::string>& out);     // an array of strings, which has no variable; added
  // A key that has two spellings: the one from the stronger source counts, and two from equally strong ones must agree (CFG-17).
  bool read_either(const std::string& key, const std::string& other, std::string& out) {
    return either(key, other, out, [this](const std::string& one, std::string& value) { return read(one, value); });
  }
  template <typename Integer>
  bool read_either(const std::string& key, const std::string& other, Integer& out, uint64_t min, uint64_t max) {
    return either(key, other, out, [&](const std::string& one, Integer& value) { return read(one, value, min, max); });
  }
  // Each table of the array of tables `key`, called "streams[0]" and so on: its keys ("discovery.streams[0].tags") can be read while
  // `call` runs, and those that were not are warned of. No variable stands in for them.
  void for_each_table(const std::string& key, const std::function<void(const std::string& name)>& call);

  template <typename Integer>
  bool read_integer(const std::string& key, const ConfigValue& value, Integer& out, uint64_t min, uint64_t max) {
    uint64_t number = 0;
    if (!number_of(key, value, number, min, max)) return false;
    out = static_cast<Integer>(number);
    return true;
  }

  // Keys of `table` (named `prefix`) that nobody asked for: a warning each (config.md 1.6).
  void warn_unknown(const std::string& prefix, const ConfigTable* table);
  void know(std::string key) { known_.insert(std::move(key)); }

 private:
  template <typename Value, typename Read>
  bool either(const std::string& key, const std::string& other, Value& out, const Read& read_one) {
    Value first = out, second = out;
    const bool has_first = read_one(key, first), has_second = read_one(other, second);
    if (!has_first && !has_second) return false;
    out = choose(key, has_first, other, has_second, first == second) ? std::move(first) : std::move(second);
    return true;
  }
  // The first of the two; says so if neither may be preferred.
  bool choose(const std::string& key, bool has_key, const std::string& other, bool has_other, bool agree);

  struct Source {
    const ConfigValue* value = nullptr;  // from the file or the command line
    std::optional<std::string> text;     // from the environment
    std::string origin;
  };
  const ConfigValue* written(const std::string& key);  // in the tree
  bool is_of_item(std::string_view key) const noexcept;
  Source look_up(const std::string& key);
  Source found(const std::string& key, Source source);
  std::optional<Source> from_environment(const std::string& name) const;
  bool read_number(const std::string& key, uint64_t& out, uint64_t min, uint64_t max);
  bool number_of(const std::string& key, const ConfigValue& value, uint64_t& out, uint64_t min, uint64_t max);
  bool accept(const std::string& key, const std::string& origin, uint64_t value, uint64_t& out, uint64_t min, uint64_t max);
  bool add_range(const std::string& key, const std::string& origin, std::string_view text, std::vector<IdRange>& out);
  bool read_ranges(const std::string& key, const ConfigValue& value, std::vector<IdRange>& out);

  const ConfigValue& root_;
  const Environment& environment_;
  std::vector<ConfigProblem>& problems_;
  const std::map<std::string, std::string, std::less<>> aliases_;
  std::set<std::string, std::less<>> known_;
  std::string item_name_;  // while for_each_table() calls: the table's name, and the table
  const ConfigTable* item_ = nullptr;
};

}  // namespace tidepool

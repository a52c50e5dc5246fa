#include "tidepool/base/config_reader.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"

namespace tidepool {
namespace {

constexpr uint32_t kMaxU32 = std::numeric_limits<uint32_t>::max();

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

template <typename Integer>
std::optional<Integer> parse_decimal(std::string_view text) {
  Integer value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 10);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

constexpr std::string_view kRangeForms = "expected \"20000-29999\", \"20000,29999\", \"20000\", [20000, 29999] or [\"20000-20999\", ...]";

}  // namespace

std::string in_quotes(std::string_view text) { return concat("\"", printable(text), "\""); }

std::string text_of(const IdRange& range) {
  return range.first == range.last ? std::to_string(range.first) : concat(range.first, "-", range.last);
}

std::string ConfigProblem::line() const { return origin.empty() ? concat(key, " ", text) : concat(origin, ": ", key, " ", text); }

bool any_fatal(const std::vector<ConfigProblem>& problems) noexcept {
  return std::any_of(problems.begin(), problems.end(), [](const auto& problem) { return problem.fatal; });
}

std::string fatal_text(const std::vector<ConfigProblem>& problems) {
  std::string out;
  for (const auto& problem : problems) {
    if (!problem.fatal) continue;
    if (!out.empty()) out.push_back('\n');
    out += problem.line();
  }
  return out;
}

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

std::string environment_name(std::string_view key) {
  std::string name;
  for (const char c : key) name.push_back(c == '.' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
  return name;
}

std::optional<IdRange> parse_id_range(std::string_view text) {
  const auto cut = text.find_first_of("-,");
  const auto first = parse_decimal<uint32_t>(trimmed(text.substr(0, cut)));
  const auto last = cut == std::string_view::npos ? first : parse_decimal<uint32_t>(trimmed(text.substr(cut + 1)));
  if (!first || !last) return std::nullopt;
  return IdRange{*first, *last};
}

std::string ConfigReader::origin_of(std::string_view key) const {
  const auto at = origins.find(key);
  return at == origins.end() ? std::string{} : at->second;
}

void ConfigReader::problem(std::string key, std::string origin, std::string text, bool fatal) {
  problems_.push_back({std::move(key), std::move(origin), std::move(text), fatal});
}

void ConfigReader::wrong_type(const std::string& key, const ConfigValue& value, std::string_view expected) {
  problem(key, value.origin(), concat("is a value of type ", value.type_name(), ": expected ", expected));
}

const ConfigValue* ConfigReader::find_in(const ConfigTable* table, std::string_view name) {
  if (table == nullptr) return nullptr;
  const auto at = table->entries.find(name);
  return at == table->entries.end() ? nullptr : &at->second;
}

const ConfigTable* ConfigReader::table(const std::string& key) {
  const auto* value = find_in(root_.as_table(), key);
  if (value == nullptr) return nullptr;
  if (value->as_table() == nullptr) wrong_type(key, *value, "a table");
  return value->as_table();
}

bool ConfigReader::read(const std::string& key, std::string& out) {
  const Source source = look_up(key);
  if (source.text) {
    out = *source.text;
    return true;
  }
  if (source.value == nullptr) return false;
  if (const auto* text = source.value->as_string()) {
    out = *text;
    return true;
  }
  wrong_type(key, *source.value, "a string");
  return false;
}

bool ConfigReader::read(const std::string& key, bool& out) {
  const Source source = look_up(key);
  if (source.text) {
    std::string lower;
    for (const char c : *source.text) lower.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
    if (lower == "true" || lower == "1") {
      out = true;
    } else if (lower == "false" || lower == "0") {
      out = false;
    } else {
      problem(key, source.origin, concat("is ", in_quotes(*source.text), ": expected true, false, 1 or 0"));
      return false;
    }
    return true;
  }
  if (source.value == nullptr) return false;
  if (const auto* flag = source.value->as_bool()) {
    out = *flag;
    return true;
  }
  wrong_type(key, *source.value, "true or false");
  return false;
}

bool ConfigReader::read(const std::string& key, std::vector<IdRange>& out) {
  const Source source = look_up(key);
  if (source.text) return add_range(key, source.origin, *source.text, out);
  return source.value != nullptr && read_ranges(key, *source.value, out);
}

bool ConfigReader::read_mode(const std::string& key, mode_t& out) {
  const Source source = look_up(key);
  std::optional<std::string> text = source.text;
  if (source.value != nullptr) {
    if (const auto* written = source.value->as_string()) {
      text = *written;
    } else {
      wrong_type(key, *source.value, "an octal string such as \"660\"");
    }
  }
  if (!text) return false;
  uint32_t mode = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), mode, 8);
  if (error != std::errc{} || end != text->data() + text->size() || mode > 07777) {
    problem(key, source.origin, concat("is ", in_quotes(*text), ": expected an octal string up to \"7777\", such as \"660\""));
    return false;
  }
  out = mode;
  return true;
}

bool ConfigReader::read_paths(const std::string& key, std::vector<std::string>& out) {
  const Source source = look_up(key);
  if (source.text) {
    std::string_view rest = *source.text;
    while (!rest.empty()) {
      const auto colon = rest.find(':');
      if (const auto path = rest.substr(0, colon); !path.empty()) out.emplace_back(path);
      rest = colon == std::string_view::npos ? std::string_view{} : rest.substr(colon + 1);
    }
    return true;
  }
  if (source.value == nullptr) return false;
  const auto* array = source.value->as_array();
  if (array == nullptr) {
    wrong_type(key, *source.value, "an array of absolute paths");
    return false;
  }
  bool right = true;
  for (const auto& item : *array) {
    if (const auto* path = item.as_string()) {
      out.push_back(*path);
    } else {
      wrong_type(key, item, "an absolute path as a string");
      right = false;
    }
  }
  return right;
}

bool ConfigReader::read_texts(const std::string& key, std::vector<std::string>& out) {
  const ConfigValue* value = written(key);
  if (value == nullptr) return false;
  origins[key] = value->origin();
  if (value->as_array() == nullptr) {
    wrong_type(key, *value, "an array of strings");
    return false;
  }
  bool right = true;
  for (const ConfigValue& item : *value->as_array()) {
    if (const auto* text = item.as_string()) {
      out.push_back(*text);
    } else {
      wrong_type(key, item, "a string");
      right = false;
    }
  }
  return right;
}

bool ConfigReader::choose(const std::string& key, bool has_key, const std::string& other, bool has_other, bool agree) {
  const auto strength = [](std::string_view origin) { return origin.starts_with("--") ? 3 : origin.starts_with("environment ") ? 2 : 1; };
  const std::string from_key = origin_of(key), from_other = origin_of(other);
  const int of_key = has_key ? strength(from_key) : 0, of_other = has_other ? strength(from_other) : 0;
  if (of_key == of_other && !agree)
    problem(other, from_other, concat("and ", key, " (", from_key.empty() ? "default" : from_key,
                                      ") differ: expected one of these spellings, or the same value"));
  const bool is_key = of_key >= of_other;
  origins[key] = origins[other] = is_key ? from_key : from_other;
  return is_key;
}

void ConfigReader::for_each_table(const std::string& key, const std::function<void(const std::string& name)>& call) {
  const ConfigValue* value = written(key);
  if (value == nullptr) return;
  if (value->as_array() == nullptr) return wrong_type(key, *value, concat("an array of tables, [[", key, "]]"));
  for (size_t i = 0; i < value->as_array()->size(); ++i) {
    const ConfigValue& item = (*value->as_array())[i];
    const std::string name = concat(key, "[", i, "]");
    if (item.as_table() == nullptr) {
      wrong_type(name, item, "a table");
      continue;
    }
    origins[name] = item.origin();
    item_name_ = name;
    item_ = item.as_table();
    call(name);
    warn_unknown(name, item_);
    item_ = nullptr;
  }
}

void ConfigReader::warn_unknown(const std::string& prefix, const ConfigTable* table) {
  if (table == nullptr) return;
  for (const auto& name : table->order) {
    const std::string key = prefix.empty() ? name : concat(prefix, ".", name);
    if (!known_.contains(key)) problem(printable(key), find_in(table, name)->origin(), "is unknown and ignored: is it spelled right?", false);
  }
}

const ConfigValue* ConfigReader::written(const std::string& key) {
  known_.insert(key);
  return is_of_item(key) ? find_in(item_, std::string_view(key).substr(item_name_.size() + 1)) : root_.find(key);
}

bool ConfigReader::is_of_item(std::string_view key) const noexcept {
  return item_ != nullptr && key.size() > item_name_.size() && key.starts_with(item_name_) && key[item_name_.size()] == '.';
}

ConfigReader::Source ConfigReader::look_up(const std::string& key) {
  const ConfigValue* value = written(key);
  const bool wins = value != nullptr && (value->origin().starts_with("--") || is_of_item(key));
  if (wins) return found(key, {value, std::nullopt, value->origin()});
  if (is_of_item(key)) return {};
  if (auto from = from_environment(environment_name(key))) return found(key, *from);
  if (const auto alias = aliases_.find(key); alias != aliases_.end()) {
    if (auto from = from_environment(alias->second)) return found(key, *from);
  }
  if (value != nullptr) return found(key, {value, std::nullopt, value->origin()});
  return {};
}

ConfigReader::Source ConfigReader::found(const std::string& key, Source source) {
  origins[key] = source.origin;
  return source;
}

std::optional<ConfigReader::Source> ConfigReader::from_environment(const std::string& name) const {
  auto text = environment_ ? environment_(name) : std::nullopt;
  if (!text || text->empty()) return std::nullopt;  // set but empty counts as unset
  return Source{nullptr, std::move(text), concat("environment ", name)};
}

bool ConfigReader::read_number(const std::string& key, uint64_t& out, uint64_t min, uint64_t max) {
  const Source source = look_up(key);
  if (source.text) {
    const auto value = parse_decimal<uint64_t>(*source.text);
    if (value) return accept(key, source.origin, *value, out, min, max);
    problem(key, source.origin, concat("is ", in_quotes(*source.text), ": expected a decimal number from ", min, " to ", max));
    return false;
  }
  return source.value != nullptr && number_of(key, *source.value, out, min, max);
}

bool ConfigReader::number_of(const std::string& key, const ConfigValue& value, uint64_t& out, uint64_t min, uint64_t max) {
  const auto* number = value.as_integer();
  if (number == nullptr) {
    wrong_type(key, value, "an integer");
    return false;
  }
  if (*number < 0) {
    problem(key, value.origin(), concat("is ", *number, ": expected ", min, " to ", max));
    return false;
  }
  return accept(key, value.origin(), static_cast<uint64_t>(*number), out, min, max);
}

bool ConfigReader::accept(const std::string& key, const std::string& origin, uint64_t value, uint64_t& out, uint64_t min, uint64_t max) {
  if (value < min || value > max) {
    problem(key, origin, concat("is ", value, ": expected ", min, " to ", max));
    return false;
  }
  out = value;
  return true;
}

bool ConfigReader::add_range(const std::string& key, const std::string& origin, std::string_view text, std::vector<IdRange>& out) {
  if (trimmed(text).empty()) return true;  // disabled
  if (const auto range = parse_id_range(text)) {
    out.push_back(*range);
    return true;
  }
  problem(key, origin, concat("is ", in_quotes(text), ": ", kRangeForms));
  return false;
}

bool ConfigReader::read_ranges(const std::string& key, const ConfigValue& value, std::vector<IdRange>& out) {
  if (const auto* text = value.as_string()) return add_range(key, value.origin(), *text, out);
  const auto* array = value.as_array();
  if (array == nullptr) {
    problem(key, value.origin(), concat("is a value of type ", value.type_name(), ": ", kRangeForms));
    return false;
  }
  if (array->empty()) return true;  // disabled
  const auto integers = static_cast<size_t>(std::count_if(array->begin(), array->end(), [](const auto& v) { return v.as_integer() != nullptr; }));
  const auto strings = static_cast<size_t>(std::count_if(array->begin(), array->end(), [](const auto& v) { return v.as_string() != nullptr; }));
  if (integers == array->size() && array->size() == 2) {
    IdRange range;
    if (!read_integer(key, (*array)[0], range.first, 0, kMaxU32) || !read_integer(key, (*array)[1], range.last, 0, kMaxU32)) return false;
    out.push_back(range);
    return true;
  }
  if (strings == array->size()) {
    bool right = true;
    for (const auto& item : *array) right = add_range(key, item.origin(), *item.as_string(), out) && right;
    return right;
  }
  problem(key, value.origin(), concat("mixes or miscounts its values: ", kRangeForms));
  return false;
}

}  // namespace tidepool

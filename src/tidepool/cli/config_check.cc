#include "tidepool/cli/config_check.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <set>
#include <tuple>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/client_flags.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/driver_settings.h"
#include "tidepool/services/discovery/config.h"
#include "tidepool/services/supervisor/config.h"
#include "tidepool/transport/channel_uri.h"
#include "tidepool/wire/messages.h"

namespace tidepool::cli {
namespace {

using Kind = KeyRule::Kind;

constexpr uint64_t kMaxU32 = std::numeric_limits<uint32_t>::max();
constexpr uint64_t kMaxStreamId = kMaxU32 - 1;

// ---- one value -----------------------------------------------------------------------------------------------------------

std::string in_quotes(std::string_view text) { return concat("\"", printable(text, 64), "\""); }

std::string number_fault(uint64_t value, const KeyRule& rule) {
  return value < rule.min || value > rule.max ? concat("is ", value, ": expected ", rule.min, " to ", rule.max) : std::string();
}

// Why text, from a file or the environment, does not do; empty: it does.
std::string text_fault(const std::string& text, const KeyRule& rule) {
  switch (rule.kind) {
    case Kind::kChannel: {
      const std::string fault = text.empty() ? std::string() : transport::channel_fault(text);
      return fault.empty() ? std::string() : concat("is ", in_quotes(text), ": ", fault);
    }
    case Kind::kFallback:
      return text.empty() || text.starts_with("aeron:") || text.starts_with("bridge://")
                 ? ""
                 : concat("is ", in_quotes(text), ": expected aeron:... or bridge://...");
    case Kind::kMode: {
      uint32_t mode = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
      return error == std::errc{} && end == text.data() + text.size() && mode <= 07777
                 ? ""
                 : concat("is ", in_quotes(text), ": expected an octal string such as \"007\"");
    }
    case Kind::kChoice: {
      std::string expected;
      for (const std::string_view choice : rule.choices) {
        if (text == choice) return {};
        expected += concat(expected.empty() ? "" : ", ", choice);
      }
      return concat("is ", in_quotes(text), ": expected ", expected);
    }
    default: return {};
  }
}

std::string environment_fault(const std::string& text, const KeyRule& rule) {
  if (rule.kind == Kind::kNumber) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
      return concat("is ", in_quotes(text), ": expected a decimal number from ", rule.min, " to ", rule.max);
    return number_fault(value, rule);
  }
  if (rule.kind == Kind::kFlag) {
    std::string lower;
    for (const char c : text) lower.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
    return lower == "true" || lower == "false" || lower == "1" || lower == "0"
               ? ""
               : concat("is ", in_quotes(text), ": expected true, false, 1 or 0");
  }
  return text_fault(text, rule);
}

std::string_view expected_type(const KeyRule& rule) {
  switch (rule.kind) {
    case Kind::kNumber: return "an integer";
    case Kind::kFlag: return "true or false";
    case Kind::kPaths: return "an array of absolute paths";
    default: return "a string";
  }
}

std::string file_fault(const ConfigValue& value, const KeyRule& rule) {
  const auto wrong_type = [&] { return concat("is a value of type ", value.type_name(), ": expected ", expected_type(rule)); };
  switch (rule.kind) {
    case Kind::kAny: return {};
    case Kind::kNumber: {
      const int64_t* number = value.as_integer();
      if (number == nullptr) return wrong_type();
      if (*number < 0) return concat("is ", *number, ": expected ", rule.min, " to ", rule.max);
      return number_fault(static_cast<uint64_t>(*number), rule);
    }
    case Kind::kFlag: return value.as_bool() != nullptr ? std::string() : wrong_type();
    case Kind::kPaths: {
      if (value.as_array() == nullptr) return wrong_type();
      for (const ConfigValue& item : *value.as_array()) {
        if (item.as_string() == nullptr || !item.as_string()->starts_with('/')) return "expected an array of absolute paths";
      }
      return {};
    }
    default: return value.as_string() != nullptr ? text_fault(*value.as_string(), rule) : wrong_type();
  }
}

std::string shown(const ConfigValue& value) {
  if (value.as_string() != nullptr) return printable(*value.as_string(), 512);
  if (value.as_bool() != nullptr) return *value.as_bool() ? "true" : "false";
  if (value.as_integer() != nullptr) return std::to_string(*value.as_integer());
  if (value.as_array() == nullptr) return concat("(", value.type_name(), ")");
  std::string out;
  for (const ConfigValue& item : *value.as_array())
    out += concat(out.empty() ? "" : ":", item.as_string() != nullptr ? printable(*item.as_string(), 512) : shown(item));
  return out;
}

// ---- clients (config.md 7) ---------------------------------------------------------------------------------------------------

const std::vector<KeyRule>& client_rules() {
  static const std::vector<KeyRule> kRules = {
      {"aeron_dir", Kind::kText, 0, 0, "AERON_DIR, then Aeron's default"},
      {"control_channel", Kind::kChannel, 0, 0, "aeron:ipc?term-length=4m"},
      {"control_stream_id", Kind::kNumber, 1, wire::kMaxAeronStreamId, "1000"},
      {"announce_channel", Kind::kChannel, 0, 0, "control's"},
      {"announce_stream_id", Kind::kNumber, 1, wire::kMaxAeronStreamId, "control's"},
      {"descriptor_channel", Kind::kChannel, 0, 0, "control's"},
      {"descriptor_stream_id", Kind::kNumber, 1, wire::kMaxAeronStreamId, "1100"},
      {"qos_channel", Kind::kChannel, 0, 0, "control's"},
      {"qos_stream_id", Kind::kNumber, 1, wire::kMaxAeronStreamId, "1200"},
      {"metadata_channel", Kind::kChannel, 0, 0, "control's"},
      {"metadata_stream_id", Kind::kNumber, 1, wire::kMaxAeronStreamId, "1300"},
      {"discovery_channel", Kind::kChannel, 0, 0, ""},
      {"discovery_stream_id", Kind::kNumber, 0, wire::kMaxAeronStreamId, "0"},
      {"discovery_response_channel", Kind::kChannel, 0, 0, ""},
      {"discovery_response_stream_id", Kind::kNumber, 0, wire::kMaxAeronStreamId, "0"},
      {"attach_timeout_ms", Kind::kNumber, 1, kMaxU32, "5000"},
      {"attach_retry_interval_ms", Kind::kNumber, 1, kMaxU32, "1000"},
      {"keepalive_interval_ms", Kind::kNumber, 1, kMaxU32, "1000"},
      {"lease_expiry_grace_intervals", Kind::kNumber, 1, kMaxU32, "3"},
      {"discovery_timeout_ms", Kind::kNumber, 1, kMaxU32, "5000"},
      {"discovery_retry_interval_ms", Kind::kNumber, 1, kMaxU32, "1000"},
      {"reattach_backoff_min_ms", Kind::kNumber, 1, kMaxU32, "100"},
      {"reattach_backoff_max_ms", Kind::kNumber, 1, kMaxU32, "3200"},
      {"announce_period_ms", Kind::kNumber, 1, kMaxU32, "1000"},
      {"allowed_base_dirs", Kind::kPaths, 0, 0, "/dev/shm"},
      {"enforce_permissions", Kind::kFlag, 0, 0, "true"},
      {"forbidden_mode", Kind::kMode, 0, 0, "007"},
      {"expected_uid", Kind::kNumber, 0, kMaxU32, "unset"},
      {"expected_gid", Kind::kNumber, 0, kMaxU32, "unset"},
  };
  return kRules;
}

const std::vector<KeyRule>& producer_rules() {
  static const std::vector<KeyRule> kRules = {
      {"stream_id", Kind::kNumber, 1, kMaxStreamId, "10000"},
      {"producer_id", Kind::kNumber, 0, kMaxStreamId, "0"},
      {"publish_mode", Kind::kChoice, 0, 0, "existing_or_create", {"existing_or_create", "require_existing"}},
      {"expected_layout_version", Kind::kNumber, 0, kMaxU32, "1"},
      {"require_hugepages", Kind::kChoice, 0, 0, "unspecified", {"unspecified", "standard", "hugepages"}},
      {"desired_node_id", Kind::kNumber, 1, kMaxStreamId, "unset"},
      {"announce_interval_ms", Kind::kNumber, 1, kMaxU32, "1000"},
      {"qos_interval_ms", Kind::kNumber, 1, kMaxU32, "1000"},
      {"progress_interval_us", Kind::kNumber, 0, kMaxU32, "250"},
      {"progress_bytes_delta", Kind::kNumber, 0, kMaxU32, "65536"},
      {"progress_major_delta_units", Kind::kNumber, 0, kMaxU32, "0"},
      {"mlock", Kind::kFlag, 0, 0, "false"},
      {"follow_consumer_config", Kind::kFlag, 0, 0, "true"},
      {"layout_version", Kind::kNumber, 1, 1, "1"},
      {"nslots", Kind::kNumber, 1, uint64_t{1} << 31, "1024"},
      {"shm_base_dir", Kind::kText, 0, 0, "/dev/shm"},
      {"shm_namespace", Kind::kText, 0, 0, "default"},
      {"pools", Kind::kAny, 0, 0, ""},
  };
  return kRules;
}

const std::vector<KeyRule>& consumer_rules() {
  static const std::vector<KeyRule> kRules = {
      {"stream_id", Kind::kNumber, 1, kMaxStreamId, "10000"},
      {"consumer_id", Kind::kNumber, 0, kMaxStreamId, "0"},
      {"publish_mode", Kind::kChoice, 0, 0, "require_existing", {"existing_or_create", "require_existing"}},
      {"expected_layout_version", Kind::kNumber, 0, kMaxU32, "1"},
      {"mode", Kind::kChoice, 0, 0, "stream", {"stream", "rate_limited"}},
      {"max_rate_hz", Kind::kNumber, 0, kMaxU32, "0"},
      {"use_shm", Kind::kFlag, 0, 0, "true"},
      {"supports_shm", Kind::kFlag, 0, 0, "true"},
      {"supports_progress", Kind::kFlag, 0, 0, "false"},
      {"progress_interval_us", Kind::kNumber, 0, kMaxU32, "250"},
      {"progress_bytes_delta", Kind::kNumber, 0, kMaxU32, "65536"},
      {"progress_major_delta_units", Kind::kNumber, 0, kMaxU32, "0"},
      {"max_outstanding_seq_gap", Kind::kNumber, 0, kMaxU32, "256"},
      {"payload_fallback_uri", Kind::kFallback, 0, 0, ""},
      {"require_hugepages", Kind::kChoice, 0, 0, "unspecified", {"unspecified", "standard", "hugepages"}},
      {"hello_interval_ms", Kind::kNumber, 1, kMaxU32, "1000"},
      {"qos_interval_ms", Kind::kNumber, 1, kMaxU32, "1000"},
      {"announce_freshness_ms", Kind::kNumber, 1, kMaxU32, "3000"},
      {"requested_descriptor_channel", Kind::kChannel, 0, 0, ""},
      {"requested_descriptor_stream_id", Kind::kNumber, 0, wire::kMaxAeronStreamId, "0"},
      {"requested_control_channel", Kind::kChannel, 0, 0, ""},
      {"requested_control_stream_id", Kind::kNumber, 0, wire::kMaxAeronStreamId, "0"},
      {"mlock", Kind::kFlag, 0, 0, "false"},
  };
  return kRules;
}

const ConfigValue* find_text(const ConfigValue& root, const std::string& key) {
  const ConfigValue* value = root.find(key);
  return value != nullptr && value->as_string() != nullptr && !value->as_string()->empty() ? value : nullptr;
}
const ConfigValue* find_id(const ConfigValue& root, const std::string& key) {
  const ConfigValue* value = root.find(key);
  return value != nullptr && value->as_integer() != nullptr && *value->as_integer() > 0 ? value : nullptr;
}

// CFG-20 and its like: a channel and its id, both or neither.
void check_pair(const ConfigValue& root, const std::string& channel_key, const std::string& id_key, ConfigFindings& out) {
  const ConfigValue* const channel = find_text(root, channel_key);
  const ConfigValue* const id = find_id(root, id_key);
  if ((channel == nullptr) == (id == nullptr)) return;
  const ConfigValue& given = channel != nullptr ? *channel : *id;
  const std::string& given_key = channel != nullptr ? channel_key : id_key;
  out.problems.push_back({channel != nullptr ? id_key : channel_key, given.origin(),
                          concat("is missing: ", given_key, " needs it beside itself"), true});
}

void check_clients(const ConfigValue& root, const Environment& environment, ConfigFindings& out) {
  check_table(root, "client", client_rules(), environment, out);
  check_table(root, "producer", producer_rules(), environment, out);
  check_table(root, "consumer", consumer_rules(), environment, out);
  check_pair(root, "client.discovery_response_channel", "client.discovery_response_stream_id", out);
  check_pair(root, "consumer.requested_descriptor_channel", "consumer.requested_descriptor_stream_id", out);
  check_pair(root, "consumer.requested_control_channel", "consumer.requested_control_stream_id", out);
  const ConfigValue* const least = find_id(root, "client.reattach_backoff_min_ms");
  const ConfigValue* const most = find_id(root, "client.reattach_backoff_max_ms");
  if (least != nullptr && most != nullptr && *least->as_integer() > *most->as_integer()) {
    out.problems.push_back(
        {"client.reattach_backoff_min_ms", least->origin(),
         concat("is ", *least->as_integer(), ": expected at most reattach_backoff_max_ms, which is ", *most->as_integer()), true});
  }
  const ConfigValue* const slots = find_id(root, "producer.nslots");
  if (slots != nullptr && (*slots->as_integer() & (*slots->as_integer() - 1)) != 0) {
    out.problems.push_back(
        {"producer.nslots", slots->origin(), concat("is ", *slots->as_integer(), ": expected a power of two"), true});
  }
}

// ---- the driver (config.md 2, 3): its own loader finds its faults ------------------------------------------------------------------

// Its report on tables of others is the registry's business.
bool about_root_table(const ConfigProblem& problem) {
  return problem.key.find('.') == std::string::npos && !problem.fatal && problem.text.starts_with("is unknown");
}

void check_driver(const ConfigValue& root, const Environment& environment, ConfigFindings& out) {
  const driver::LoadedConfig loaded = driver::load_driver_config(root, environment);
  for (const ConfigProblem& problem : loaded.problems) {
    if (!about_root_table(problem)) out.problems.push_back(problem);
  }
  for (const auto& [key, value] : effective_values(loaded)) {
    const auto origin = loaded.origins.find(key);
    out.values.push_back({key, value, origin == loaded.origins.end() ? "default" : origin->second});
  }
}

// Another role may have said it of a key that both read.
void add_problems(const std::vector<ConfigProblem>& problems, ConfigFindings& out) {
  for (const ConfigProblem& problem : problems) {
    const bool said = std::any_of(out.problems.begin(), out.problems.end(), [&](const ConfigProblem& p) {
      return p.key == problem.key && p.origin == problem.origin && p.fatal == problem.fatal;
    });
    if (!said) out.problems.push_back(problem);
  }
}

void check_supervisor(const ConfigValue& root, const Environment& environment, ConfigFindings& out) {
  add_problems(supervisor::load_supervisor_config(root, environment).problems, out);
}

void check_discovery(const ConfigValue& root, const Environment& environment, ConfigFindings& out) {
  add_problems(discovery::load_discovery_config(root, environment).problems, out);
}

// Tables of config.md whose roles have no checker here yet: named, so that nobody takes silence for consent.
constexpr std::string_view kTablesToCome[] = {"bridge", "mappings", "rate_limiter"};

// "lab.toml:12" sorts behind "lab.toml:3".
std::tuple<int, uint64_t> place_of(const ConfigProblem& problem) {
  const auto colon = problem.origin.rfind(':');
  uint64_t line = 0;
  if (colon != std::string::npos) {
    const char* const end = problem.origin.data() + problem.origin.size();
    const auto [stop, error] = std::from_chars(problem.origin.data() + colon + 1, end, line);
    if (error == std::errc{} && stop == end) return {0, line};
  }
  return {1, 0};
}

}  // namespace

void check_table(const ConfigValue& root, const std::string& table, const std::vector<KeyRule>& rules,
                 const Environment& environment, ConfigFindings& out) {
  const ConfigValue* const section = root.find(table);
  if (section != nullptr && section->as_table() == nullptr) {
    out.problems.push_back(
        {table, section->origin(), concat("is a value of type ", section->type_name(), ": expected a table"), true});
    return;
  }
  std::set<std::string_view> known;
  for (const KeyRule& rule : rules) {
    known.insert(rule.key);
    const std::string key = concat(table, ".", rule.key);
    const ConfigValue* const value = section != nullptr ? section->find(rule.key) : nullptr;
    const std::string variable = environment_name(key);
    if (const auto set = rule.kind == Kind::kAny || !environment ? std::nullopt : environment(variable); set && !set->empty()) {
      const std::string origin = "environment " + variable;
      if (std::string fault = environment_fault(*set, rule); !fault.empty())
        out.problems.push_back({key, origin, std::move(fault), true});
      out.values.push_back({key, printable(*set, 512), origin});
    } else if (value != nullptr) {
      if (std::string fault = file_fault(*value, rule); !fault.empty())
        out.problems.push_back({key, value->origin(), std::move(fault), true});
      out.values.push_back({key, shown(*value), value->origin()});
    } else if (section != nullptr && rule.kind != Kind::kAny) {
      out.values.push_back({key, std::string(rule.standard), "default"});
    }
  }
  if (section == nullptr) return;
  for (const std::string& name : section->as_table()->order) {
    if (known.contains(name)) continue;
    out.problems.push_back({printable(concat(table, ".", name), 128),
                            section->find(name) != nullptr ? section->find(name)->origin() : section->origin(),
                            "is unknown and ignored: is it spelled right?", false});
  }
}

const std::vector<ConfigRole>& config_roles() {
  static const std::vector<ConfigRole> kRoles = {
      {"driver", {"driver", "policies", "profiles"}, {"shm", "streams", "aeron"}, check_driver},
      {"supervisor", {"supervisor"}, {"driver", "shm", "aeron"}, check_supervisor},
      {"discovery", {"discovery", "discovery_registry"}, {"driver", "aeron"}, check_discovery},
      {"client", {"client", "producer", "consumer"}, {}, check_clients},
  };
  return kRoles;
}

bool CheckedConfig::ok() const noexcept {
  return std::none_of(problems.begin(), problems.end(), [](const ConfigProblem& problem) { return problem.fatal; });
}

CheckedConfig check_config_tree(const ConfigValue& root, const Environment& environment, std::string_view role) {
  CheckedConfig out;
  ConfigFindings findings;
  std::set<std::string_view> known(std::begin(kTablesToCome), std::end(kTablesToCome));
  std::string names;
  const auto has = [&](std::string_view table) { return root.find(table) != nullptr; };
  for (const ConfigRole& one : config_roles()) {
    known.insert(one.tables.begin(), one.tables.end());
    known.insert(one.also_reads.begin(), one.also_reads.end());
    names += concat(names.empty() ? "" : ", ", one.name);
    if (role.empty() ? std::any_of(one.tables.begin(), one.tables.end(), has) : role == one.name) {
      out.roles.push_back(one.name);
      one.check(root, environment, findings);
    }
  }
  if (!role.empty() && out.roles.empty()) throw UsageError(concat("--role is '", printable(role, 32), "': expected ", names));
  const std::string file = root.origin();
  if (out.roles.empty())
    findings.problems.push_back(
        {"file", file, concat("has no table of a role that can be checked: expected one for ", names), true});
  for (const std::string& table : root.as_table()->order) {
    const ConfigValue& value = root.as_table()->entries.at(table);
    if (!known.contains(table)) {
      findings.problems.push_back({printable(table, 128), value.origin(), "is unknown and ignored: is it spelled right?", false});
    } else if (role.empty() && std::find(std::begin(kTablesToCome), std::end(kTablesToCome), table) != std::end(kTablesToCome)) {
      findings.problems.push_back({table, value.origin(), "is not checked: its role has no checker in this version", false});
    }
  }
  std::stable_sort(findings.problems.begin(), findings.problems.end(),
                   [](const auto& a, const auto& b) { return place_of(a) < place_of(b); });
  out.problems = std::move(findings.problems);
  out.values = std::move(findings.values);
  return out;
}

}  // namespace tidepool::cli

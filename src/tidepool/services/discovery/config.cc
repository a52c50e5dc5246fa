#include "tidepool/services/discovery/config.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <limits>
#include <set>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/transport/channel_uri.h"
#include "tidepool/transport/connection.h"
#include "tidepool/wire/messages.h"

namespace tidepool::discovery {
namespace {


constexpr uint64_t kMaxU32 = std::numeric_limits<uint32_t>::max();
constexpr uint64_t kMaxU64 = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kMaxAeronStream = 0x7FFFFFFF;
constexpr int32_t kDefaultMetadataStreamId = 1300;  // by convention (config.md 9)

std::string origin_of(const Origins& origins, std::string_view key) {
  const auto at = origins.find(key);
  return at == origins.end() ? std::string{} : at->second;
}

const ConfigValue* child_of(const ConfigTable* table, std::string_view name) {
  if (table == nullptr) return nullptr;
  const auto at = table->entries.find(name);
  return at == table->entries.end() ? nullptr : &at->second;
}

// Reads the keys of one table ("discovery"), from the environment too if the table has variables. Collects problems.
class Section {
 public:
  Section(const ConfigTable* table, std::string prefix, const Environment& environment, LoadedDiscovery& out)
      : table_(table), prefix_(std::move(prefix)), environment_(environment), out_(out) {}

  std::string key(std::string_view name) const { return concat(prefix_, ".", name); }
  std::string origin() const { return origin_of(out_.origins, prefix_); }
  void problem(const std::string& name, const std::string& origin, std::string text, bool fatal = true) {
    out_.problems.push_back({key(name), origin, std::move(text), fatal});
  }

  // A value and where it is from. Of several spellings of a key the one from the stronger source counts; two from equally strong
  // ones must agree (CFG-17).
  template <typename Value, typename Read>
  std::optional<Value> pick(std::initializer_list<const char*> names, Read&& read) {
    std::optional<Value> value;
    std::string from;
    const char* as = nullptr;
    int strength = 0;
    for (const char* name : names) {
      known_.insert(name);
      const Source source = look_up(name);
      if (source.strength == 0) continue;
      std::optional<Value> found = read(name, source);
      if (!found) continue;
      if (value && source.strength == strength && *value != *found) {
        problem(name, source.origin,
                concat("and ", key(as), " (", from.empty() ? "default" : from,
                       ") differ: expected one of these spellings, or the same value"));
        continue;
      }
      if (source.strength <= strength) continue;
      value = std::move(found);
      strength = source.strength;
      from = source.origin;
      as = name;
    }
    if (as != nullptr) {
      for (const char* name : names) out_.origins[key(name)] = from;
    }
    return value;
  }

  std::optional<std::string> text(std::initializer_list<const char*> names) {
    return pick<std::string>(names, [&](const char* name, const Source& source) -> std::optional<std::string> {
      if (source.text) return source.text;
      if (source.value->as_string() != nullptr) return *source.value->as_string();
      wrong_type(name, *source.value, "a string");
      return std::nullopt;
    });
  }
  std::optional<uint64_t> number(std::initializer_list<const char*> names, uint64_t min, uint64_t max) {
    return pick<uint64_t>(names, [&](const char* name, const Source& source) -> std::optional<uint64_t> {
      uint64_t value = 0;
      bool negative = false;
      std::string shown;
      if (source.text) {
        shown = in_quotes(*source.text);
        const auto [end, error] = std::from_chars(source.text->data(), source.text->data() + source.text->size(), value, 10);
        if (error != std::errc{} || end != source.text->data() + source.text->size()) {
          problem(name, source.origin, concat("is ", shown, ": expected a decimal number from ", min, " to ", max));
          return std::nullopt;
        }
      } else {
        const int64_t* integer = source.value->as_integer();
        if (integer == nullptr) {
          wrong_type(name, *source.value, "an integer");
          return std::nullopt;
        }
        shown = std::to_string(*integer);
        negative = *integer < 0;
        value = static_cast<uint64_t>(*integer);
      }
      if (negative || value < min || value > max) {
        problem(name, source.origin, concat("is ", shown, ": expected ", min, " to ", max));
        return std::nullopt;
      }
      return value;
    });
  }
  template <typename Integer>
  void number(std::initializer_list<const char*> names, Integer& out, uint64_t min, uint64_t max) {
    if (const auto value = number(names, min, max)) out = static_cast<Integer>(*value);
  }
  void flag(const char* name, bool& out) {
    const auto value = pick<bool>({name}, [&](const char*, const Source& source) -> std::optional<bool> {
      if (source.value != nullptr) {
        if (source.value->as_bool() != nullptr) return *source.value->as_bool();
        wrong_type(name, *source.value, "true or false");
        return std::nullopt;
      }
      std::string lower;
      for (const char c : *source.text) lower.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
      if (lower == "true" || lower == "1") return true;
      if (lower == "false" || lower == "0") return false;
      problem(name, source.origin, concat("is ", in_quotes(*source.text), ": expected true, false, 1 or 0"));
      return std::nullopt;
    });
    if (value) out = *value;
  }
  // An array of strings; it has no variable.
  void texts(const char* name, std::vector<std::string>& out) {
    known_.insert(name);
    const ConfigValue* value = child_of(table_, name);
    if (value == nullptr) return;
    out_.origins[key(name)] = value->origin();
    if (value->as_array() == nullptr) return wrong_type(name, *value, "an array of strings");
    for (const ConfigValue& item : *value->as_array()) {
      if (item.as_string() != nullptr) {
        out.push_back(*item.as_string());
      } else {
        wrong_type(name, item, "a string");
      }
    }
  }
  // Each table of an array of tables, with its name ("endpoints[0]").
  template <typename Call>
  void tables(const char* name, const Call& call) {
    known_.insert(name);
    const ConfigValue* value = child_of(table_, name);
    if (value == nullptr) return;
    if (value->as_array() == nullptr) return wrong_type(name, *value, concat("an array of tables, [[", key(name), "]]"));
    for (size_t i = 0; i < value->as_array()->size(); ++i) {
      const ConfigValue& item = (*value->as_array())[i];
      const std::string item_name = concat(name, "[", i, "]");
      if (item.as_table() == nullptr) {
        wrong_type(item_name, item, "a table");
        continue;
      }
      out_.origins[key(item_name)] = item.origin();
      Section section(item.as_table(), key(item_name), kNoEnvironment, out_);
      call(section);
      section.warn_unknown();
    }
  }
  // Keys that nobody asked for: said and ignored (config.md 1.6).
  void warn_unknown() {
    if (table_ == nullptr) return;
    for (const std::string& name : table_->order) {
      if (!known_.contains(name))
        problem(printable(name), child_of(table_, name)->origin(), "is unknown and ignored: is it spelled right?", false);
    }
  }

 private:
  struct Source {
    int strength = 0;  // 0: not given; 1 file, 2 environment, 3 command line (rulings P-12)
    const ConfigValue* value = nullptr;
    std::optional<std::string> text;
    std::string origin;
  };
  static inline const Environment kNoEnvironment;

  void wrong_type(const std::string& name, const ConfigValue& value, std::string_view expected) {
    problem(name, value.origin(), concat("is a value of type ", value.type_name(), ": expected ", expected));
  }
  Source look_up(const char* name) const {
    const ConfigValue* written = child_of(table_, name);
    if (written != nullptr && written->origin().starts_with("--")) return {3, written, std::nullopt, written->origin()};
    if (environment_) {
      const std::string variable = environment_name(key(name));
      auto set = environment_(variable);
      if (set && !set->empty()) return {2, nullptr, std::move(set), concat("environment ", variable)};
    }
    if (written != nullptr) return {1, written, std::nullopt, written->origin()};
    return {};
  }

  const ConfigTable* table_;
  std::string prefix_;
  const Environment& environment_;
  LoadedDiscovery& out_;
  std::set<std::string, std::less<>> known_;
};

// Where one driver is, as far as the table says; `fallback`: what it leaves out, where something stands in for it.
void read_driver_endpoint(Section& in, const DriverEndpoint* fallback, LoadedDiscovery& out, const std::string& origin) {
  DriverEndpoint endpoint = fallback != nullptr ? *fallback : DriverEndpoint{};
  const auto need = [&](const char* name, bool given, const char* expected) {
    if (!given && fallback == nullptr) in.problem(name, origin, concat("is missing: expected ", expected));
  };
  const auto text = [&](const char* name, std::string& value, const char* expected) {
    const auto given = in.text({name});
    if (given) value = *given;
    need(name, given.has_value(), expected);
    return given.has_value();
  };
  text("driver_instance_id", endpoint.instance_id, "the name of the driver, as in its instance_id");
  const bool announce_moved = text("announce_channel", endpoint.announce.channel, "the driver's announce channel");
  const auto announce_id = in.number({"announce_stream_id"}, 1, kMaxAeronStream);
  if (announce_id) endpoint.announce.stream_id = static_cast<int32_t>(*announce_id);
  need("announce_stream_id", announce_id.has_value() || endpoint.announce.stream_id != 0, "the driver's announce stream id");
  text("driver_control_channel", endpoint.control_channel, "the channel that attach requests go to");
  const auto control_id = in.number({"driver_control_stream_id"}, 1, kMaxAeronStream);
  if (control_id) endpoint.control_stream_id = static_cast<uint32_t>(*control_id);
  need("driver_control_stream_id", control_id.has_value() || endpoint.control_stream_id != 0,
       "the stream id that attach requests go to");

  const auto metadata_channel = in.text({"metadata_channel"});
  const auto metadata_id = in.number({"metadata_stream_id"}, 0, kMaxAeronStream);
  if (metadata_channel) endpoint.metadata.channel = *metadata_channel;
  if (metadata_id) endpoint.metadata.stream_id = static_cast<int32_t>(*metadata_id);
  if (metadata_channel && metadata_channel->empty()) endpoint.metadata.stream_id = 0;  // config.md 4.1: empty or 0 is none
  if (endpoint.metadata.stream_id != 0 && !metadata_channel && (endpoint.metadata.channel.empty() || announce_moved)) {
    endpoint.metadata.channel = endpoint.announce.channel;
  }
  if (metadata_channel && !metadata_channel->empty() && endpoint.metadata.stream_id == 0 && !metadata_id) {
    in.problem("metadata_stream_id", origin, "is missing: without it no metadata is heard, and no stream has a name", false);
  }
  out.config.endpoints.push_back(std::move(endpoint));
}

void read_streams(Section& in, LoadedDiscovery& out, const std::string* only_instance) {
  in.tables("streams", [&](Section& stream) {
    ConfiguredStream made;
    bool whole = true;
    if (only_instance != nullptr) {
      made.instance_id = *only_instance;
    } else if (const auto instance = stream.text({"driver_instance_id"})) {
      made.instance_id = *instance;
    } else {
      stream.problem("driver_instance_id", stream.origin(), "is missing: expected the driver_instance_id of one of the endpoints");
      whole = false;
    }
    if (const auto id = stream.number({"stream_id"}, 1, kMaxU32 - 1)) {
      made.stream_id = static_cast<uint32_t>(*id);
    } else {
      if (origin_of(out.origins, stream.key("stream_id")).empty())
        stream.problem("stream_id", stream.origin(), concat("is missing: expected 1 to ", kMaxU32 - 1));
      whole = false;
    }
    made.data_source_id = stream.number({"data_source_id"}, 0, kMaxU64 - 1);
    stream.texts("tags", made.tags);
    stream.flag("visible", made.visible);
    if (whole) out.config.streams.push_back(std::move(made));
  });
}

void read_common(Section& in, LoadedDiscovery& out) {
  DiscoveryConfig& c = out.config;
  if (auto channel = in.text({"request_channel", "channel"})) c.request.channel = std::move(*channel);
  in.number({"request_stream_id", "stream_id"}, c.request.stream_id, 1, kMaxAeronStream);
  in.number({"announce_period_ms"}, c.announce_period_ms, 0, kMaxU32);
  if (c.announce_period_ms == 0) c.announce_period_ms = 1000;
  c.expiry_ns = in.number({"expiry_ns"}, 0, kMaxU64 - 1);
  in.number({"max_results"}, c.max_results, 1, wire::kMaxResultsPerMessage);
  in.number({"response_buf_bytes"}, c.response_buf_bytes, 0, 16u << 20);
  if (c.response_buf_bytes == 0) c.response_buf_bytes = 65536;
  in.number({"max_tags_per_entry"}, c.max_tags_per_entry, 0, wire::kMaxTagsPerMessage);
  in.number({"max_pools_per_entry"}, c.max_pools_per_entry, 1, wire::kMaxPoolsPerMessage);
  in.number({"response_linger_ms"}, c.response_linger_ms, 0, kMaxU32);
  in.number({"max_response_publications"}, c.max_response_publications, 1, 4096);
  in.number({"response_publication_idle_ms"}, c.response_publication_idle_ms, 1, kMaxU32);
  in.texts("allowed_response_channels", c.allowed_response_channels);
  in.flag("answer_on_stream_zero", c.answer_on_stream_zero);
  in.number({"max_requests_per_second"}, c.max_requests_per_second, 0, 1'000'000'000);
  in.flag("deny_explicitly", c.deny_explicitly);
}

bool written_in_a_file(const ConfigTable* table) {
  return table != nullptr && std::any_of(table->entries.begin(), table->entries.end(),
                                         [](const auto& entry) { return !entry.second.origin().starts_with("--"); });
}

// The driver that the same tree configures, as an endpoint. What is wrong with it is wrong with us too.
DriverEndpoint beside_driver(const ConfigValue& root, const Environment& environment, LoadedDiscovery& out) {
  const driver::LoadedConfig loaded = driver::load_driver_config(root, environment);
  const driver::DriverConfig& c = loaded.config;
  for (const auto& problem : loaded.problems) {
    const bool ours = problem.key.starts_with("driver.") &&
                      (problem.key.find("control") != std::string::npos || problem.key.find("announce") != std::string::npos ||
                       problem.key == "driver.instance_id" || problem.key == "driver.aeron_dir");
    if (problem.fatal && ours && problem.key.find("range") == std::string::npos) out.problems.push_back(problem);
  }
  out.config.announce_period_ms = c.announce_period_ms;
  out.config.request = {c.control_channel.starts_with("aeron:ipc") ? kDefaultRequestChannel : c.control_channel,
                        kDefaultRequestStreamId};
  return {.instance_id = c.instance_id,
          .announce = {c.effective_announce_channel(), c.effective_announce_stream_id()},
          .metadata = {c.control_channel, kDefaultMetadataStreamId},
          .control_channel = c.control_channel,
          .control_stream_id = static_cast<uint32_t>(c.control_stream_id)};
}

std::string medium_of(std::string_view channel) {
  if (channel.starts_with("aeron:ipc")) return "aeron:ipc";
  if (channel.starts_with("aeron:udp")) return "aeron:udp";
  return {};
}

}  // namespace

uint64_t DiscoveryConfig::effective_expiry_ns() const noexcept {
  return expiry_ns.value_or(3 * uint64_t{announce_period_ms} * kNsPerMs);
}

std::vector<std::string> DiscoveryConfig::effective_allowed_channels() const {
  if (!allowed_response_channels.empty()) return allowed_response_channels;
  const std::string medium = medium_of(request.channel);
  return medium.empty() ? std::vector<std::string>{} : std::vector<std::string>{medium};
}

bool LoadedDiscovery::ok() const noexcept { return !any_fatal(problems); }
std::string LoadedDiscovery::error_text() const { return fatal_text(problems); }

bool same_endpoint(const Endpoint& a, const Endpoint& b) {
  if (a.stream_id != b.stream_id) return false;
  if (a.channel.starts_with("aeron:ipc") && b.channel.starts_with("aeron:ipc")) return true;
  const auto address_of = [](const std::string& channel) {
    std::string out;
    const size_t question = channel.find('?');
    std::string_view rest = question == std::string::npos ? std::string_view{} : std::string_view(channel).substr(question + 1);
    for (const std::string_view key : {"endpoint=", "control="}) {
      for (std::string_view at = rest; !at.empty(); at.remove_prefix(std::min(at.find('|'), at.size() - 1) + 1)) {
        if (at.starts_with(key)) out += concat(at.substr(0, at.find('|')), "|");
      }
    }
    return out;
  };
  return medium_of(a.channel) == medium_of(b.channel) && address_of(a.channel) == address_of(b.channel);
}

LoadedDiscovery load_discovery_config(const ConfigValue& root, const Environment& environment) {
  LoadedDiscovery out;
  const auto table_of = [&](const char* name) -> const ConfigTable* {
    const ConfigValue* value = root.find(name);
    if (value == nullptr) return nullptr;
    if (value->as_table() == nullptr) {
      out.problems.push_back({name, value->origin(), concat("is a value of type ", value->type_name(), ": expected a table")});
    }
    return value->as_table();
  };
  const ConfigTable* single = table_of("discovery");
  const ConfigTable* registry = table_of("discovery_registry");
  const ConfigTable* driver_table = table_of("driver");
  if (registry != nullptr && written_in_a_file(single)) {
    out.problems.push_back({"discovery_registry", root.find("discovery_registry")->origin(),
                            "is beside [discovery]: expected one of them, for several drivers or for one"});
  }

  // A standalone C file has [driver] aeron_dir and no more (config.md 4.1).
  Section dirs(driver_table, "driver", environment, out);
  if (auto dir = dirs.text({"aeron_dir"})) out.config.aeron_dir = std::move(*dir);
  const std::string dir_origin = origin_of(out.origins, "driver.aeron_dir");
  const auto alias = environment ? environment("AERON_DIR") : std::nullopt;
  if (alias && !alias->empty() && !dir_origin.starts_with("--") && !dir_origin.starts_with("environment ")) {
    out.config.aeron_dir = *alias;
    out.origins["driver.aeron_dir"] = "environment AERON_DIR";
  }

  if (registry != nullptr) {
    out.origins["discovery_registry"] = root.find("discovery_registry")->origin();
    Section in(registry, "discovery_registry", environment, out);
    read_common(in, out);
    in.tables("endpoints", [&](Section& endpoint) { read_driver_endpoint(endpoint, nullptr, out, endpoint.origin()); });
    read_streams(in, out, nullptr);
    in.warn_unknown();
  } else {
    const bool drives = driver_table != nullptr && std::any_of(driver_table->order.begin(), driver_table->order.end(),
                                                               [](const auto& name) { return name != "aeron_dir"; });
    const bool beside = drives || !written_in_a_file(single);
    std::optional<DriverEndpoint> fallback;
    if (beside) fallback = beside_driver(root, environment, out);
    Section in(single, "discovery", environment, out);
    read_common(in, out);
    read_driver_endpoint(in, fallback ? &*fallback : nullptr, out,
                         single != nullptr && root.find("discovery") != nullptr ? root.find("discovery")->origin() : "");
    const std::string instance = out.config.endpoints.back().instance_id;
    read_streams(in, out, &instance);
    in.warn_unknown();
  }
  // A key that is missing or unreadable has been named already: no second complaint about what it left behind.
  if (out.ok()) {
    for (auto& problem : check_discovery_config(out.config, out.origins)) out.problems.push_back(std::move(problem));
  }
  return out;
}

std::vector<ConfigProblem> check_discovery_config(const DiscoveryConfig& c, const Origins& origins) {
  std::vector<ConfigProblem> problems;
  const bool registry = origins.contains("discovery_registry") || c.endpoints.size() > 1;
  const std::string prefix = registry ? "discovery_registry." : "discovery.";
  const auto bad = [&](const std::string& key, std::string text, bool fatal = true) {
    problems.push_back({key, origin_of(origins, key), std::move(text), fatal});
  };
  const auto channel = [&](const std::string& key, const std::string& value) {
    if (value.size() > kMaxControlChannelBytes)
      return bad(key, concat("has ", value.size(), " bytes: expected at most ", kMaxControlChannelBytes));
    if (auto fault = transport::channel_fault(value); !fault.empty()) return bad(key, concat("is ", in_quotes(value), ": ", fault));
    if (!value.starts_with("aeron:")) bad(key, concat("is ", in_quotes(value), ": expected aeron:ipc or aeron:udp, no spy"));
  };
  const auto stream_id = [&](const std::string& key, int64_t value) {
    if (value <= 0 || value > static_cast<int64_t>(kMaxAeronStream))
      bad(key, concat("is ", value, ": expected 1 to ", kMaxAeronStream));
  };
  channel(prefix + "request_channel", c.request.channel);
  stream_id(prefix + "request_stream_id", c.request.stream_id);
  if (c.endpoints.empty())
    bad(registry ? "discovery_registry" : prefix + "endpoints",
        "has no endpoints: expected a [[discovery_registry.endpoints]] for each driver");

  std::set<std::string> instances;
  for (size_t i = 0; i < c.endpoints.size(); ++i) {
    const DriverEndpoint& endpoint = c.endpoints[i];
    const std::string at = registry ? concat(prefix, "endpoints[", i, "].") : prefix;
    if (endpoint.instance_id.empty() || endpoint.instance_id.size() > kMaxInstanceIdBytes) {
      bad(at + "driver_instance_id", concat("has ", endpoint.instance_id.size(), " bytes: expected 1 to ", kMaxInstanceIdBytes));
    } else if (!instances.insert(endpoint.instance_id).second) {
      bad(at + "driver_instance_id",
          concat("is ", in_quotes(endpoint.instance_id), " again: expected each endpoint to have its own"));
    }
    channel(at + "announce_channel", endpoint.announce.channel);
    stream_id(at + "announce_stream_id", endpoint.announce.stream_id);
    channel(at + "driver_control_channel", endpoint.control_channel);
    stream_id(at + "driver_control_stream_id", endpoint.control_stream_id);
    if (endpoint.metadata.stream_id != 0) {
      channel(at + "metadata_channel", endpoint.metadata.channel);
      stream_id(at + "metadata_stream_id", endpoint.metadata.stream_id);
    }
    for (size_t j = 0; j < i; ++j) {
      const DriverEndpoint& other = c.endpoints[j];
      // DS-10: which driver an announce is of is told by where it arrives, and by nothing else.
      if (same_endpoint(endpoint.announce, other.announce)) {
        bad(at + "announce_stream_id", concat("is ", endpoint.announce.stream_id, " on the channel of endpoints[", j,
                                              "]: expected each driver to be heard on an endpoint of its own"));
      }
      if (endpoint.metadata.stream_id != 0 && same_endpoint(endpoint.metadata, other.metadata)) {
        bad(at + "metadata_stream_id",
            concat("is ", endpoint.metadata.stream_id, " on the channel of endpoints[", j,
                   "]: names of both drivers will be taken for either's"),
            false);
      }
    }
    if (same_endpoint(c.request, {endpoint.control_channel, static_cast<int32_t>(endpoint.control_stream_id)})) {
      bad(prefix + "request_stream_id",
          concat("is ", c.request.stream_id, ", where driver ", in_quotes(endpoint.instance_id),
                 " takes attach requests: some clients refuse that; expected a stream id of its own, such as ",
                 kDefaultRequestStreamId),
          false);
    }
  }

  std::set<std::pair<std::string, uint32_t>> named;
  for (size_t i = 0; i < c.streams.size(); ++i) {
    const ConfiguredStream& stream = c.streams[i];
    const std::string at = concat(prefix, "streams[", i, "]");
    if (!instances.contains(stream.instance_id))
      bad(at + ".driver_instance_id", concat("is ", in_quotes(stream.instance_id), ": expected that of an endpoint"));
    if (!named.insert({stream.instance_id, stream.stream_id}).second)
      bad(at + ".stream_id", concat("is ", stream.stream_id, " again: expected each stream once"));
    if (stream.tags.size() > c.max_tags_per_entry) {
      bad(at + ".tags", concat("has ", stream.tags.size(), " tags: expected at most max_tags_per_entry, ", c.max_tags_per_entry));
    }
    for (const std::string& tag : stream.tags) {
      if (tag.empty() || tag.size() > kMaxTagBytes)
        bad(at + ".tags", concat("holds ", in_quotes(tag), " of ", tag.size(), " bytes: expected 1 to ", kMaxTagBytes));
    }
  }
  for (const std::string& allowed : c.allowed_response_channels) {
    if (!allowed.starts_with("aeron:ipc") && !allowed.starts_with("aeron:udp")) {
      bad(prefix + "allowed_response_channels",
          concat("holds ", in_quotes(allowed),
                 ": expected beginnings of channels, such as aeron:ipc or aeron:udp?endpoint=10.0.0."));
    }
  }
  return problems;
}

}  // namespace tidepool::discovery

#include "tidepool/cli/feed/definition.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/feed/values.h"

namespace tidepool::cli {
namespace {

using json = nlohmann::ordered_json;

constexpr uint64_t kMiB = uint64_t{1} << 20;

// One feed's object: each key is asked for once, and what nobody asked for is an error (F-19).
class Keys {
 public:
  Keys(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail("", "expected an object with feed_name and fields");
  }
  template <typename... Parts>
  [[noreturn]] void fail(std::string_view key, const Parts&... parts) const {
    throw Error(Code::kInvalidArgument, where_, key.empty() ? "" : concat(": ", key), ": ", parts...);
  }
  const json* find(const std::string& key) {
    known_.insert(key);
    const auto at = object_.find(key);
    return at == object_.end() || at->is_null() ? nullptr : &*at;
  }
  std::optional<std::string> text(const std::string& key) {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) fail(key, "expected a string, not ", dump(*value));
    return value->get<std::string>();
  }
  std::optional<bool> flag(const std::string& key) {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_boolean()) fail(key, "expected true or false, not ", dump(*value));
    return value->get<bool>();
  }
  std::optional<uint64_t> number(const std::string& key) {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number_unsigned()) fail(key, "expected a whole number of 0 or more, not ", dump(*value));
    return value->get<uint64_t>();
  }
  // A number that may have a fraction, times `factor`, as a whole number (sizes in MiB, times in hours).
  std::optional<uint64_t> scaled(const std::string& key, double factor) {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    const double product = value->is_number() ? value->get<double>() * factor : -1;
    if (!(product >= 0) || product >= 1.8e19) fail(key, "expected a number of 0 or more that fits 64 bits, not ", dump(*value));
    return static_cast<uint64_t>(product + 0.5);
  }
  void refuse_unknown() const {
    for (const auto& [key, value] : object_.items()) {
      if (known_.contains(key)) continue;
      std::string list;
      for (const std::string& one : known_) list += concat(list.empty() ? "" : ", ", one);
      fail(printable(key, 64), "no such key; there are ", list);
    }
  }
  const std::string& where() const { return where_; }

 private:
  const json& object_;
  std::string where_;
  std::set<std::string> known_;
};

FieldSpec field_of(const json& entry, const Keys& keys, size_t index) {
  FieldSpec spec;
  if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
    spec.name = entry[0].get<std::string>();
    spec.type = entry[1].get<std::string>();
    return spec;
  }
  if (!entry.is_object())
    keys.fail("fields", "entry ", index, " is neither {\"name\": ..., \"type\": ...} nor [name, type]: ", dump(entry));
  Keys own(entry, concat(keys.where(), ": fields[", index, "]"));
  spec.name = own.text("name").value_or("");
  const auto type = own.text("type");
  if (!type) own.fail("type", "is missing");
  spec.type = *type;
  if (spec.name.empty() && !spec.type.starts_with("_")) own.fail("name", "is missing");
  spec.unit = own.text("unit").value_or("");
  spec.order = own.text("order").value_or("");
  spec.domain = own.text("domain").value_or("");
  spec.description = own.text("description").value_or("");
  own.refuse_unknown();
  return spec;
}

// Where records live: the new names, or upstream's three keys, which must not contradict each other (rulings F-l).
feed::Storage storage_of(Keys& keys) {
  const bool persist = keys.flag("persist").value_or(true);
  const bool persist_given = keys.find("persist") != nullptr;
  const auto uses_ring = keys.flag("uses_ring");
  const auto storage = keys.text("storage");
  if (storage && (*storage == "tiered" || *storage == "durable" || *storage == "memory")) {
    const feed::Storage own = feed::storage_named(*storage);
    if (persist_given && persist == (own == feed::Storage::kMemory))
      keys.fail("storage", *storage, " contradicts persist: ", persist);
    if (uses_ring && *uses_ring == (own == feed::Storage::kDurable))
      keys.fail("storage", *storage, " contradicts uses_ring: ", *uses_ring);
    return own;
  }
  if (storage && *storage != "ring" && *storage != "chunk") {
    keys.fail("storage", "'", printable(*storage, 40), "': expected tiered, durable or memory (or upstream's ring or chunk)");
  }
  if (storage && uses_ring && (*storage == "ring") != *uses_ring)
    keys.fail("storage", *storage, " contradicts uses_ring: ", *uses_ring);
  const std::optional<bool> ring = storage ? std::optional<bool>(*storage == "ring") : uses_ring;
  if (!persist && ring == false)
    keys.fail("persist", "neither on disk (persist: false) nor in memory (no ring): the feed would hold nothing");
  if (!persist) return feed::Storage::kMemory;
  return ring == false ? feed::Storage::kDurable : feed::Storage::kTiered;
}

// The byte-exact key wins over nothing: both at once are a contradiction.
std::optional<uint64_t> bytes_of(Keys& keys, const std::string& stem) {
  const auto exact = keys.number(stem + "_bytes");
  const auto mib = keys.scaled(stem + "_mb", static_cast<double>(kMiB));
  if (exact && mib && *exact != *mib) keys.fail(stem + "_bytes", *exact, " contradicts ", stem, "_mb: give one of them");
  return exact ? exact : mib;
}

void read_sizes(Keys& keys, FeedDefinition& definition) {
  feed::FeedOptions& options = definition.options;
  if (const auto chunk = bytes_of(keys, "chunk_size")) options.chunk_bytes = *chunk;
  const auto ring = bytes_of(keys, "ring_size");
  const auto live = keys.number("live_chunks");
  if (ring && live) keys.fail("live_chunks", "and ring_size say the same thing: give one of them");
  if (live) options.live_chunks = static_cast<uint32_t>(std::min<uint64_t>(*live, UINT32_MAX));
  if (ring && options.chunk_bytes > 0) {
    options.live_chunks =
        static_cast<uint32_t>(std::clamp<uint64_t>((*ring - 1) / options.chunk_bytes + 1, *ring == 0 ? 0 : 2, UINT32_MAX));
    definition.remarks.push_back(
        concat("a ring of ", *ring, " bytes is ", options.live_chunks, " live chunks of ", options.chunk_bytes));
  }
}

void read_options(Keys& keys, FeedDefinition& definition) {
  feed::FeedOptions& options = definition.options;
  options.storage = storage_of(keys);
  read_sizes(keys, definition);
  if (const auto retention = keys.scaled("retention_hours", 3600e9)) options.retention_ns = *retention;
  if (const auto retention = keys.number("retention_bytes")) options.retention_bytes = *retention;
  if (const auto age = keys.scaled("max_chunk_age_s", 1e9)) options.chunk_age_ns = *age;
  if (const auto sync = keys.text("sync")) options.sync = feed::sync_named(*sync);
  if (const auto interval = keys.scaled("sync_interval_ms", 1e6)) options.sync_interval_ns = *interval;
  if (const auto bytes = keys.number("sync_bytes")) options.sync_bytes = *bytes;
  if (const auto bytes = keys.number("backlog_bytes")) options.backlog_bytes = *bytes;
  if (const auto bytes = keys.number("block_bytes"))
    options.block_bytes = static_cast<uint32_t>(std::min<uint64_t>(*bytes, UINT32_MAX));
  options.segments = keys.flag("segment_tracking").value_or(options.segments);
  const auto prefault = keys.flag("prefault"), prefault_ring = keys.flag("prefault_ring");
  if (prefault && prefault_ring && *prefault != *prefault_ring) keys.fail("prefault", "contradicts prefault_ring");
  options.prefault = prefault.value_or(prefault_ring.value_or(options.prefault));
  if (const auto persister = keys.text("persister")) options.persister = feed::persister_named(*persister);
  options.huge_pages = keys.flag("huge_pages").value_or(options.huge_pages);
  options.lock_memory = keys.flag("lock_memory").value_or(options.lock_memory);
  options.shm_root = keys.text("shm_root").value_or(options.shm_root);
  if (const auto mode = keys.text("file_mode")) options.file_mode = mode_of_text(*mode);
  if (const auto mode = keys.text("shm_mode")) options.shm_mode = mode_of_text(*mode);
}

void read_schema(Keys& keys, FeedDefinition& definition) {
  const std::string mode = keys.text("mode").value_or("UF");
  const json* fields = keys.find("fields");
  const uint64_t clocks = keys.number("clock_level").value_or(1);
  const bool aligned = keys.flag("aligned").value_or(false);
  const auto payload_align = keys.number("payload_align");
  std::vector<FieldSpec> specs;
  if (fields != nullptr && !fields->is_array()) keys.fail("fields", "expected an array, not ", dump(*fields));
  for (size_t i = 0; fields != nullptr && i < fields->size(); ++i) specs.push_back(field_of((*fields)[i], keys, i));
  if (mode == "frames") {
    std::vector<std::string> names;
    for (const FieldSpec& spec : specs) names.push_back(spec.name);
    if (names.empty()) names = {"time_ns"};
    definition.schema =
        feed::Schema::frames(names, static_cast<uint32_t>(std::min<uint64_t>(payload_align.value_or(64), UINT32_MAX)));
    for (size_t k = 0; k < specs.size(); ++k) {
      if (specs[k].type != "uint64" && specs[k].type != "u64")
        keys.fail("fields", "a frame's fields are its clocks: ", specs[k].name, " must be uint64");
      definition.schema.set_clock(k, {specs[k].unit.empty() ? feed::ClockUnit::kNs : feed::unit_named(specs[k].unit),
                                      specs[k].order.empty() ? feed::ClockOrder::kLoose : feed::order_named(specs[k].order),
                                      specs[k].domain.empty() ? feed::ClockDomain::kUser : feed::domain_named(specs[k].domain)});
      if (!specs[k].description.empty()) definition.schema.describe(specs[k].name, specs[k].description);
    }
    return;
  }
  if (mode != "UF" && mode != "rows") keys.fail("mode", "'", printable(mode, 40), "': expected UF (rows of one size) or frames");
  if (payload_align) keys.fail("payload_align", "is for mode frames alone");
  if (specs.empty()) keys.fail("fields", "is missing: name the fields of a record, clocks first");
  definition.schema = schema_of_specs(specs, clocks, aligned);
}

FeedDefinition definition_of(const json& object, const std::string& path, size_t index) {
  const auto name = object.is_object() && object.contains("feed_name") && object["feed_name"].is_string()
                        ? concat("feed ", printable(object["feed_name"].get<std::string>(), 128))
                        : concat("definition ", index + 1);
  Keys keys(object, concat(path, ": ", name));
  FeedDefinition definition;
  try {
    const auto feed_name = keys.text("feed_name"), short_name = keys.text("name");
    if (!feed_name && !short_name) keys.fail("feed_name", "is missing");
    definition.name = feed_name ? *feed_name : *short_name;
    feed::check_feed_name(definition.name);
    read_schema(keys, definition);
    read_options(keys, definition);
    if (const json* sidecars = keys.find("sidecars"); sidecars != nullptr && !sidecars->empty()) {
      keys.fail("sidecars", "are made by the library (docs/protocols), not by a definition file yet");
    }
    keys.refuse_unknown();
    feed::check_options(definition.schema, definition.options);
  } catch (const feed::FeedError& error) {
    throw error.within(keys.where());
  }
  return definition;
}

}  // namespace

FieldSpec parse_field_spec(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(':', at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  const auto usage = [&](const auto&... why) -> UsageError {
    return UsageError(concat("--field '", printable(text, 80), "': ", why...,
                             "; expected NAME:TYPE, for a clock with :unit=us:order=strict:domain=wall behind"));
  };
  if (parts.size() < 2 || parts[1].empty()) throw usage("no type");
  FieldSpec spec{.name = parts[0], .type = parts[1], .description = {}, .unit = {}, .order = {}, .domain = {}};
  for (size_t i = 2; i < parts.size(); ++i) {
    const size_t equals = parts[i].find('=');
    const std::string key = parts[i].substr(0, equals), value = equals == std::string::npos ? "" : parts[i].substr(equals + 1);
    if (key == "unit") {
      spec.unit = value;
    } else if (key == "order") {
      spec.order = value;
    } else if (key == "domain") {
      spec.domain = value;
    } else {
      throw usage("'", printable(parts[i], 40), "' is not known");
    }
  }
  return spec;
}

feed::Schema schema_of_specs(const std::vector<FieldSpec>& fields, size_t clocks, bool aligned) {
  std::vector<feed::FieldText> texts;
  for (const FieldSpec& spec : fields) texts.push_back({spec.name.empty() ? concat("pad", texts.size()) : spec.name, spec.type});
  feed::Schema schema = feed::Schema::rows(texts, clocks, aligned);
  for (size_t i = 0; i < fields.size(); ++i) {
    const FieldSpec& spec = fields[i];
    if (!spec.description.empty()) schema.describe(texts[i].name, spec.description);
    if (i < clocks) {
      schema.set_clock(i, {spec.unit.empty() ? feed::ClockUnit::kNs : feed::unit_named(spec.unit),
                           spec.order.empty() ? feed::ClockOrder::kLoose : feed::order_named(spec.order),
                           spec.domain.empty() ? feed::ClockDomain::kUser : feed::domain_named(spec.domain)});
    } else if (!spec.unit.empty() || !spec.order.empty() || !spec.domain.empty()) {
      throw feed::FeedError(feed::Fault::kInvalidSchema, "field '", printable(spec.name), "' is no clock: only the first ", clocks,
                            " may have unit, order or domain");
    }
  }
  return schema;
}

std::vector<FeedDefinition> parse_definitions(const std::string& text, const std::string& path) {
  json parsed;
  try {
    parsed = json::parse(text);
  } catch (const json::parse_error& error) {
    throw Error(Code::kInvalidArgument, path, ": not JSON: ", error.what());
  }
  if (parsed.is_object() && parsed.contains("feeds")) {
    if (parsed.size() != 1) throw Error(Code::kInvalidArgument, path, ": beside \"feeds\" there may be nothing else");
    json inner = parsed["feeds"];
    parsed = std::move(inner);
    if (!parsed.is_array()) throw Error(Code::kInvalidArgument, path, ": feeds: expected an array");
  }
  std::vector<FeedDefinition> out;
  if (!parsed.is_array()) {
    out.push_back(definition_of(parsed, path, 0));
    return out;
  }
  for (size_t i = 0; i < parsed.size(); ++i) out.push_back(definition_of(parsed[i], path, i));
  for (size_t i = 0; i < out.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (out[i].name == out[j].name) throw Error(Code::kInvalidArgument, path, ": feed ", out[i].name, " is defined twice");
    }
  }
  return out;
}

std::vector<FeedDefinition> read_definitions(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error(code_of_errno(errno), "read ", path, errno_text());
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return parse_definitions(text, path);
}

uint32_t mode_of_text(const std::string& text) {
  uint32_t mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || mode > 07777)
    throw Error(Code::kInvalidArgument, "mode '", printable(text, 40), "': expected octal digits such as 0640");
  return mode;
}

std::string mode_text(uint32_t mode) { return fmt::format("{:04o}", mode); }

std::string definition_text(const feed::FeedInfo& feed) {
  const feed::FeedOptions& options = feed.options;
  json out = {{"feed_name", feed.name}, {"mode", feed.schema.layout() == feed::Layout::kRows ? "UF" : "frames"}};
  out["fields"] = json::array();
  for (size_t i = 0; i < feed.schema.fields().size(); ++i) {
    const feed::Field& field = feed.schema.fields()[i];
    json one = {{"name", field.name}, {"type", feed::type_text(field)}};
    if (i < feed.schema.clocks()) {
      const feed::Clock& clock = feed.schema.clock(i);
      one["unit"] = feed::unit_name(clock.unit);
      one["order"] = feed::order_name(clock.order);
      one["domain"] = feed::domain_name(clock.domain);
    }
    if (!field.description.empty()) one["description"] = field.description;
    out["fields"].push_back(std::move(one));
  }
  if (feed.schema.layout() == feed::Layout::kRows) {
    out["clock_level"] = feed.schema.clocks();
    out["aligned"] = feed.schema.aligned();
  } else {
    out["payload_align"] = feed.schema.payload_align();
  }
  out["storage"] = feed::storage_name(options.storage);
  out["chunk_size_bytes"] = options.chunk_bytes;
  out["live_chunks"] = options.live_chunks;
  out["sync"] = feed::sync_name(options.sync);
  out["sync_interval_ms"] = static_cast<double>(options.sync_interval_ns) / 1e6;
  out["sync_bytes"] = options.sync_bytes;
  out["max_chunk_age_s"] = static_cast<double>(options.chunk_age_ns) / 1e9;
  out["retention_hours"] = static_cast<double>(options.retention_ns) / 3600e9;
  out["retention_bytes"] = options.retention_bytes;
  out["backlog_bytes"] = options.backlog_bytes;
  out["block_bytes"] = options.block_bytes;
  out["segment_tracking"] = options.segments;
  out["prefault"] = options.prefault;
  out["huge_pages"] = options.huge_pages;
  out["lock_memory"] = options.lock_memory;
  out["shm_root"] = options.shm_root;
  out["persister"] = feed::persister_name(options.persister);
  out["file_mode"] = mode_text(options.file_mode);
  if (options.shm_mode != 0) out["shm_mode"] = mode_text(options.shm_mode);
  return out.dump(2, ' ', false, json::error_handler_t::replace);
}

}  // namespace tidepool::cli

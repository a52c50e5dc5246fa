#pragma once
// Feeds as people define them: a JSON file (F-19) or options on the command line. docs/guide/feeds.md lists the keys.

#include <optional>
#include <string>
#include <vector>

#include "tidepool/feed/registry.h"

namespace tidepool::cli {

struct FeedDefinition {
  std::string name;
  feed::Schema schema;
  feed::FeedOptions options;
  std::vector<std::string> remarks;  // what was chosen for the user, a line each
  std::vector<std::string> blobs{};      // columns of payloads; `schema` has their references
  std::optional<feed::Schema> rows{};    // with blobs: the schema without them
};

// A field as the command line has it: "price:float64", with the clocks' details behind further colons:
// "time_ns:uint64:unit=us:order=strict:domain=wall".
struct FieldSpec {
  std::string name;
  std::string type;
  std::string description;
  std::string unit, order, domain;  // of a clock; empty: the default
};
FieldSpec parse_field_spec(const std::string& text);  // throws UsageError

// Rows of these fields. Throws FeedError kInvalidSchema, also for a clock's detail on a field that is none.
feed::Schema schema_of_specs(const std::vector<FieldSpec>& fields, size_t clocks, bool aligned);

// One object, an array of them, or {"feeds": [...]}. Throws Error with the file, the feed and the key. `shm_root`: where live
// objects go when the definition does not say.
std::vector<FeedDefinition> read_definitions(const std::string& path);
std::vector<FeedDefinition> parse_definitions(const std::string& text, const std::string& path);

// "0640" and back. Throws Error kInvalidArgument.
uint32_t mode_of_text(const std::string& text);
std::string mode_text(uint32_t mode);

// The definition that makes this feed again, as JSON text for read_definitions().
std::string definition_text(const feed::FeedInfo& feed);

}  // namespace tidepool::cli

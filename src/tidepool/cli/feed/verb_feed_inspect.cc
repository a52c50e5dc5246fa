// tidepool feed inspect: what a single file of a feed holds, header by header, without the rest of the feed.

#include <fcntl.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/cli/feed/feed_verbs.h"
#include "tidepool/feed/checkpoint.h"
#include "tidepool/feed/chunk.h"
#include "tidepool/feed/crc32c.h"
#include "tidepool/feed/index.h"
#include "tidepool/feed/registry_parts.h"

namespace tidepool::cli {
namespace {

using feed::File;
using feed::Files;

constexpr uint64_t kLiveMagic = 0x314556494C465054;        // "TPFLIVE1"
constexpr uint64_t kSchemaMagic = 0x314D454843535054;      // "TPSCHEM1"
constexpr uint64_t kCheckpointMagic = 0x31504B4843465054;  // "TPFCHKP1"

struct InspectArgs {
  std::vector<std::string> paths;
  size_t entries = 20;
  bool verify = false;
};

struct Found {
  ordered_json object;
  std::vector<std::string> damage;
};

std::vector<std::byte> read_whole(const File& file, uint64_t most) {
  std::vector<std::byte> bytes(static_cast<size_t>(std::min(file.size(), most)));
  bytes.resize(file.read(bytes, 0).size());
  return bytes;
}

std::string_view entry_name(uint16_t type, bool global) {
  static constexpr std::string_view kGlobal[] = {"created", "changed", "deleting", "deleted"};
  static constexpr std::string_view kFeed[] = {"epoch opened",
                                               "epoch closed",
                                               "chunk opened",
                                               "chunk sealed",
                                               "chunk persisted",
                                               "chunk expired",
                                               "chunk abandoned",
                                               "chunk quarantined",
                                               "segment opened",
                                               "segment closed",
                                               "mark",
                                               "loss"};
  const size_t index = size_t{type} - 1;
  if (global) return index < std::size(kGlobal) ? kGlobal[index] : "unknown";
  return index < std::size(kFeed) ? kFeed[index] : "unknown";
}

ordered_json bounds_json(const feed::ClockBounds* clocks, size_t count) {
  ordered_json out = ordered_json::array();
  for (size_t k = 0; k < count; ++k)
    out.push_back({{"min", clocks[k].min}, {"max", clocks[k].max}, {"ordered", clocks[k].ordered}});
  return out;
}

ordered_json feed_entry_json(const feed::RegistryLog::Entry& entry) {
  const feed::FeedRecord record = feed::decode_feed_record(entry);
  ordered_json out = {
      {"position", entry.position}, {"type", entry_name(entry.type, false)}, {"wall_ns", entry.wall_ns}, {"epoch", record.epoch}};
  if (record.ordinal != 0) out["ordinal"] = record.ordinal;
  out["first_seq"] = record.first_seq;
  if (record.count != 0) out["count"] = record.count == feed::kUnknownCount ? ordered_json("unknown") : ordered_json(record.count);
  if (record.bytes != 0) out["bytes"] = record.bytes;
  if (record.count != 0 && record.clocks[0].min <= record.clocks[0].max)
    out["clock"] = {{"min", record.clocks[0].min}, {"max", record.clocks[0].max}};
  if (record.value != 0) out["value"] = record.value;
  if (record.pid != 0) out["pid"] = record.pid;
  if (!record.text.empty()) out["text"] = record.text;
  return out;
}

ordered_json global_entry_json(const feed::RegistryLog::Entry& entry) {
  // docs/formats/feed-registry.md: name at 136, its length at 132; the checksum of the entry was right.
  const size_t length = std::min<size_t>(load<uint16_t>(entry.bytes.data() + 132), 128);
  const std::string_view name(reinterpret_cast<const char*>(entry.bytes.data()) + 136, length);
  return {{"position", entry.position},
          {"type", entry_name(entry.type, true)},
          {"wall_ns", entry.wall_ns},
          {"feed", printable(name)},
          {"feed_id", feed::hex(load<feed::Id>(entry.bytes.data() + 24))}};
}

void inspect_registry(const std::string& path, bool global, const InspectArgs& args, Found& found) {
  feed::RegistryLog log = feed::RegistryLog::open(Files::system(), path, global ? feed::kGlobalMagic : feed::kFeedMagic,
                                                  global ? feed::kGlobalEntryBytes : feed::kFeedEntryBytes, false);
  found.object["kind"] = global ? "registry of a base" : "registry of a feed";
  found.object["base_id"] = feed::hex(log.identity().base_id);
  if (!global) found.object["feed_id"] = feed::hex(log.identity().feed_id);
  found.object["created_ns"] = log.identity().created_wall_ns;
  std::vector<ordered_json> entries;
  log.refresh(
      {.entry =
           [&](const feed::RegistryLog::Entry& entry) {
             entries.push_back(global ? global_entry_json(entry) : feed_entry_json(entry));
           },
       .damaged = [&](uint64_t position, std::string_view why) { found.damage.push_back(concat("entry ", position, ": ", why)); }});
  found.object["entry_count"] = entries.size();
  found.object["entries"] = ordered_json::array();
  for (size_t i = entries.size() - std::min(entries.size(), args.entries); i < entries.size(); ++i)
    found.object["entries"].push_back(std::move(entries[i]));
}

ordered_json header_json(const feed::ChunkHeader& header) {
  return {{"base_id", feed::hex(header.base_id)},
          {"feed_id", feed::hex(header.feed_id)},
          {"ordinal", header.ordinal},
          {"epoch", header.epoch},
          {"layout", header.layout == feed::Layout::kRows ? "rows" : "frames"},
          {"clocks", header.clocks},
          {"record_bytes", header.record_bytes},
          {"block_bytes", header.block_bytes},
          {"capacity", header.capacity},
          {"data_offset", header.data_offset},
          {"schema_id", header.schema_id},
          {"created_ns", header.created_wall_ns},
          {"boot_id", feed::hex(header.boot_id)}};
}

void inspect_chunk(const std::string& path, const InspectArgs& args, Found& found) {
  const File file = File::open(Files::system(), path, O_RDONLY);
  const feed::DiskChunk chunk = feed::examine_chunk(file, args.verify);
  found.object["kind"] = "chunk";
  found.object["header"] = header_json(chunk.header);
  std::vector<std::byte> block(chunk.header.schema_bytes);
  if (file.read(block, chunk.header.schema_offset).size() == block.size() && !block.empty()) {
    try {
      found.object["schema"] = schema_json(feed::Schema::decode(block));
    } catch (const feed::FeedError& error) {
      found.damage.push_back(error.what());
    }
  }
  // The words of a live chunk; on disk they are never believed (docs/formats/feed-chunk.md).
  std::vector<std::byte> page(feed::kChunkPageBytes);
  if (!chunk.footer && file.read(page, 0).size() == page.size()) {
    const feed::ChunkWords words(page.data());
    static constexpr std::string_view kStates[] = {"prepared", "active", "sealed", "abandoned"};
    const uint32_t state = words.state().load();
    found.object["words"] = {{"committed", words.committed().load()},
                             {"records", words.records().load()},
                             {"state", state < std::size(kStates) ? kStates[state] : "unknown"},
                             {"durable", words.durable().load()}};
  }
  found.object["activation"] =
      chunk.activation ? ordered_json{{"first_seq", chunk.activation->first_seq}, {"wall_ns", chunk.activation->wall_ns}}
                       : ordered_json(nullptr);
  if (chunk.footer) {
    const feed::ChunkSummary& summary = chunk.footer->summary;
    found.object["footer"] = {{"first_seq", summary.first_seq},
                              {"count", summary.count},
                              {"bytes", summary.bytes},
                              {"sealed_ns", summary.sealed_wall_ns},
                              {"clocks", bounds_json(summary.clocks, chunk.header.clocks)},
                              {"block_checksums", chunk.footer->block_crcs.size()}};
  } else {
    found.object["footer"] = nullptr;
  }
  found.object["verified_bytes"] = chunk.verified_end;
  found.object["verified_records"] = chunk.verified_records;
  found.damage.insert(found.damage.end(), chunk.remarks.begin(), chunk.remarks.end());
}

void inspect_index(const std::string& path, const InspectArgs& args, Found& found) {
  const File file = File::open(Files::system(), path, O_RDONLY);
  const std::vector<std::byte> bytes = read_whole(file, uint64_t{1} << 30);
  found.object["kind"] = "index";
  if (bytes.size() < feed::kIndexHeaderBytes) {
    found.damage.push_back("shorter than its header");
    return;
  }
  const uint64_t first_seq = load<uint64_t>(bytes.data() + 64);
  if (feed::crc32c(Bytes(bytes).first(124)) != load<uint32_t>(bytes.data() + 124))
    found.damage.push_back("the checksum of its header is wrong");
  found.object.update({{"base_id", feed::hex(load<feed::Id>(bytes.data() + 16))},
                       {"feed_id", feed::hex(load<feed::Id>(bytes.data() + 32))},
                       {"ordinal", load<uint64_t>(bytes.data() + 48)},
                       {"epoch", load<uint64_t>(bytes.data() + 56)},
                       {"first_seq", first_seq},
                       {"rows_per_entry", load<uint64_t>(bytes.data() + 80)},
                       {"count", load<uint64_t>(bytes.data() + 128)}});
  // Its entries are judged by the chunk beside it.
  const std::string chunk_path = path.substr(0, path.size() - std::min<size_t>(path.size(), 4)) + ".data";
  const File chunk = File::open_if_there(Files::system(), chunk_path, O_RDONLY);
  if (!chunk) {
    found.object["note"] = concat("no chunk ", chunk_path, " to hold its entries against");
    return;
  }
  const feed::DiskChunk data = feed::examine_chunk(chunk, false);
  const auto entries = feed::decode_index(bytes, data.header, first_seq);
  if (!entries) {
    found.damage.push_back("not the index of the chunk beside it");
    return;
  }
  found.object["good_entries"] = entries->size();
  if (entries->size() < load<uint64_t>(bytes.data() + 128))
    found.damage.push_back(concat("entry ", entries->size(), " and what follows it are not good"));
  found.object["entries"] = ordered_json::array();
  for (size_t i = 0; i < std::min(entries->size(), args.entries); ++i) {
    const feed::IndexEntry& entry = (*entries)[i];
    found.object["entries"].push_back({{"first_seq", entry.first_seq},
                                       {"count", entry.count},
                                       {"offset", entry.offset},
                                       {"length", entry.length},
                                       {"min", entry.min[0]},
                                       {"max", entry.max[0]},
                                       {"highest", entry.highest[0]}});
  }
}

void inspect_small(uint64_t magic, Bytes bytes, Found& found) {
  if (magic == kSchemaMagic) {
    found.object["kind"] = "schema";
    found.object["schema"] = schema_json(feed::Schema::decode(bytes));
    return;
  }
  if (magic == kCheckpointMagic) {
    found.object["kind"] = "checkpoint";
    const auto saved = feed::Checkpoint::decode(bytes);
    if (!saved) return found.damage.push_back("its checksum is wrong");
    found.object.update({{"base_id", feed::hex(saved->base_id)},
                         {"feed_id", feed::hex(saved->feed_id)},
                         {"epoch", saved->epoch},
                         {"next_seq", saved->next_seq},
                         {"ordinal", saved->ordinal},
                         {"offset", saved->offset},
                         {"schema_id", saved->schema_id},
                         {"clock", saved->clocks[0]}});
    return;
  }
  found.object["kind"] = "live page";
  if (bytes.size() < feed::kChunkPageBytes) return found.damage.push_back("shorter than 4096 bytes");
  if (feed::crc32c(bytes.first(124)) != load<uint32_t>(bytes.data() + 124))
    found.damage.push_back("the checksum of its header is wrong");
  const auto word = [&](size_t at) { return load<uint64_t>(bytes.data() + at); };
  const uint64_t version = word(192);
  const size_t copy = version % 2 == 0 ? 128 : 160;
  const auto state = load<uint32_t>(bytes.data() + 320);
  found.object.update({{"base_id", feed::hex(load<feed::Id>(bytes.data() + 16))},
                       {"feed_id", feed::hex(load<feed::Id>(bytes.data() + 32))},
                       {"boot_id", feed::hex(load<feed::Id>(bytes.data() + 48))},
                       {"epoch", word(64)},
                       {"pid", word(72)},
                       {"state", state == 1   ? "active"
                                 : state == 2 ? "closed"
                                              : "unknown"},
                       {"heartbeat_ns", word(328)},
                       {"durable_seq", word(336)},
                       {"floor_seq", word(344)}});
  found.object["latest"] =
      version == 0 ? ordered_json(nullptr)
                   : ordered_json{{"ordinal", word(copy)}, {"first_seq", word(copy + 8)}, {"capacity", word(copy + 16)}};
}

// It begins with its checksum, so it goes by its name. False: not called that.
bool inspect_definition(const std::string& path, Found& found) {
  const size_t slash = path.rfind('/');
  if (path.substr(slash == std::string::npos ? 0 : slash + 1) != feed::kDefinitionName) return false;
  found.object["kind"] = "definition";
  std::string why;
  const auto definition = feed::read_definition(Files::system(), slash == std::string::npos ? "." : path.substr(0, slash), why);
  if (!definition) {
    found.damage.push_back(why);
    return true;
  }
  found.object.update({{"feed", definition->name},
                       {"id", feed::hex(definition->id)},
                       {"base_id", feed::hex(definition->base_id)},
                       {"storage", feed::storage_name(definition->options.storage)},
                       {"schema_id", definition->schema_id},
                       {"record_bytes", definition->record_bytes}});
  return true;
}

Found inspect(const std::string& path, const InspectArgs& args) {
  Found found;
  found.object["path"] = path;
  uint64_t magic = 0;
  {
    const File file = File::open(Files::system(), path, O_RDONLY);
    found.object["file_bytes"] = file.size();
    std::byte begin[8];
    if (file.read(begin, 0).size() == sizeof begin) magic = load<uint64_t>(begin);
  }
  try {
    switch (magic) {
      case feed::kGlobalMagic: inspect_registry(path, true, args, found); break;
      case feed::kFeedMagic: inspect_registry(path, false, args, found); break;
      case feed::kChunkMagic: inspect_chunk(path, args, found); break;
      case feed::kIndexMagic: inspect_index(path, args, found); break;
      case kSchemaMagic:
      case kCheckpointMagic:
      case kLiveMagic:
        inspect_small(magic, read_whole(File::open(Files::system(), path, O_RDONLY), uint64_t{8} << 20), found);
        break;
      default:
        if (inspect_definition(path, found)) break;
        found.object["kind"] = "unknown"; found.damage.push_back("no file of a feed begins like this");
    }
  } catch (const feed::FeedError& error) {
    if (error.fault() == feed::Fault::kPermission) throw;
    found.damage.push_back(error.what());
  }
  found.object["damage"] = found.damage;
  return found;
}

// An object as indented lines, which is all that an inspection is.
void print_lines(std::FILE* out, const ordered_json& object, size_t indent) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) {
      fmt::print(out, "{:{}}{}:\n", "", indent, key);
      print_lines(out, value, indent + 2);
    } else if (value.is_array()) {
      fmt::print(out, "{:{}}{}:{}\n", "", indent, key, value.empty() ? " none" : "");
      for (const auto& one : value)
        fmt::print(out, "{:{}}{}\n", "", indent + 2, one.is_string() ? one.get<std::string>() : dump(one));
    } else {
      fmt::print(out, "{:{}}{}: {}\n", "", indent, key, value.is_string() ? value.get<std::string>() : dump(value));
    }
  }
}

Exit run_inspect(const Context& context, const InspectArgs& args) {
  std::vector<Found> all;
  for (const std::string& path : args.paths) all.push_back(inspect(path, args));
  bool damaged = false;
  ordered_json files = ordered_json::array();
  for (Found& found : all) {
    damaged |= !found.damage.empty();
    if (!context.json) print_lines(context.out, found.object, 0);
    files.push_back(std::move(found.object));
  }
  if (context.json) print_json_line(context, dump({{"files", std::move(files)}, {"damaged", damaged}}));
  return damaged ? Exit::kWrongData : Exit::kOk;
}

}  // namespace

void add_feed_inspect(CLI::App& group, Context& context) {
  auto args = std::make_shared<InspectArgs>();
  CLI::App* verb =
      group.add_subcommand("inspect", "what a file of a feed holds: registry, chunk, index, schema, live page, checkpoint");
  verb->add_option("files", args->paths, "the files, on disk or below the live directory")->type_name("FILE")->required();
  verb->add_option("--entries", args->entries, "of a registry the newest N, of an index the first N")
      ->type_name("N")
      ->capture_default_str();
  verb->add_flag("--verify", args->verify, "of a chunk: read all its data against the checksums");
  add_common_flags(*verb, context);
  verb->footer(
      "A file is told by its first bytes, whatever it is called; nothing else of the feed is needed and nothing is changed. The "
      "formats are\n"
      "on the pages docs/formats/feed-*.md. `words` of an unsealed chunk are the live ones\n"
      "in shared memory, and leftovers on disk, where checksums decide.\n"
      "--json: files[{path, file_bytes, kind, ..., damage[]}], damaged.\n"
      "Exit: 0 nothing wrong was seen, 1 a file cannot be read, 2 usage, 4 damage.\n"
      "Examples:\n"
      "  tidepool feed inspect $TIDEPOOL_FEEDS/registry.bin\n"
      "  tidepool feed inspect $TIDEPOOL_FEEDS/feeds/trades/*.data --verify\n"
      "  tidepool feed inspect feeds/trades/feed_registry.bin --entries 1000 --json | jq '.files[0].entries'");
  verb->callback([args, &context] { context.action = [args, &context] { return run_inspect(context, *args); }; });
}

}  // namespace tidepool::cli

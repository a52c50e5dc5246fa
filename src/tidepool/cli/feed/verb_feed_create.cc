// tidepool feed create: feeds from options or from definition files, whole or not at all (F-6, F-7, F-19).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "tidepool/base/error.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/feed/definition.h"
#include "tidepool/cli/feed/describe.h"
#include "tidepool/cli/feed/durations.h"
#include "tidepool/cli/feed/feed_verbs.h"
#include "tidepool/cli/feed/target.h"
#include "tidepool/cli/text.h"
#include "tidepool/feed/blob.h"
#include "tidepool/feed/values.h"

namespace tidepool::cli {
namespace {

namespace fs = std::filesystem;

struct CreateArgs {
  std::string base;
  std::string name;
  std::vector<std::string> configs;
  std::string config_dir;
  std::vector<std::string> fields;
  std::vector<std::string> blobs;
  uint64_t clocks = 1;
  bool aligned = false;
  bool frames = false;
  uint32_t payload_align = 64;
  std::string storage = "tiered", sync = "interval", persister = "writer";
  uint64_t chunk_bytes = uint64_t{64} << 20;
  uint32_t live_chunks = 4;
  double sync_interval_ms = 1000, retention_hours = 0, max_chunk_age_s = 0;
  uint64_t retention_bytes = 0;
  std::string shm_root = "/dev/shm", file_mode = "0640", shm_mode;
  bool huge_pages = false, lock_memory = false;
  bool check = false;
};

// What came of one definition.
struct Outcome {
  std::string status;  // created, unchanged, would create, conflict, failed
  std::string fault, message;
  std::vector<std::string> differences;
  bool bad() const noexcept { return status == "conflict" || status == "failed"; }
};

FeedDefinition definition_of_options(const CreateArgs& args) {
  FeedDefinition definition;
  definition.name = args.name;
  feed::check_feed_name(args.name);
  std::vector<FieldSpec> specs;
  for (const std::string& text : args.fields) specs.push_back(parse_field_spec(text));
  if (args.frames) {
    if (!specs.empty()) throw UsageError("frames have no fields: --frames or --field");
    definition.schema = feed::Schema::frames({"time_ns"}, args.payload_align);
  } else {
    if (specs.empty())
      throw UsageError(
          "name the fields of a record, clocks first: --field time_ns:uint64 --field price:float64 ..., or --config FILE");
    definition.schema = schema_of_specs(specs, args.clocks, args.aligned);
  }
  if (!args.blobs.empty()) {
    if (args.frames) throw UsageError("payload columns belong to rows: --blob goes with --field");
    definition.blobs = args.blobs;
    definition.rows = definition.schema;
    definition.schema = feed::with_blob_columns(*definition.rows, args.blobs);
  }
  feed::FeedOptions& options = definition.options;
  options.storage = feed::storage_named(args.storage);
  options.sync = feed::sync_named(args.sync);
  options.persister = feed::persister_named(args.persister);
  options.chunk_bytes = args.chunk_bytes;
  options.live_chunks = args.live_chunks;
  options.sync_interval_ns = static_cast<uint64_t>(args.sync_interval_ms * 1e6);
  options.retention_ns = static_cast<uint64_t>(args.retention_hours * 3600e9);
  options.retention_bytes = args.retention_bytes;
  options.chunk_age_ns = static_cast<uint64_t>(args.max_chunk_age_s * 1e9);
  options.shm_root = args.shm_root;
  options.huge_pages = args.huge_pages;
  options.lock_memory = args.lock_memory;
  options.file_mode = mode_of_text(args.file_mode);
  if (!args.shm_mode.empty()) options.shm_mode = mode_of_text(args.shm_mode);
  feed::check_options(definition.schema, options);
  return definition;
}

std::vector<FeedDefinition> definitions_of(const CreateArgs& args) {
  std::vector<std::string> paths = args.configs;
  if (!args.config_dir.empty()) {
    std::error_code failed;
    for (fs::directory_iterator at(args.config_dir, failed), end; !failed && at != end; at.increment(failed)) {
      if (at->path().extension() == ".json") paths.push_back(at->path().string());
    }
    if (failed) throw Error(code_of_errno(failed.value()), "read ", args.config_dir, ": ", failed.message());
    std::sort(paths.begin() + static_cast<std::ptrdiff_t>(args.configs.size()), paths.end());
    if (paths.size() == args.configs.size()) throw Error(Code::kNotFound, args.config_dir, " holds no .json file");
  }
  std::vector<FeedDefinition> out;
  if (paths.empty()) {
    if (args.name.empty()) throw UsageError("a name with --field, or --config FILE, is missing");
    try {
      out.push_back(definition_of_options(args));
    } catch (const feed::FeedError& error) {
      if (error.fault() != feed::Fault::kInvalidSchema && error.fault() != feed::Fault::kInvalidSize) throw;
      throw UsageError(error.what());
    }
    return out;
  }
  if (!args.fields.empty() || !args.blobs.empty() || args.frames) throw UsageError("--config and --field exclude each other");
  // All files are read before the first feed is made.
  for (const std::string& path : paths) {
    for (FeedDefinition& definition : read_definitions(path)) {
      if (args.name.empty() || definition.name == args.name) out.push_back(std::move(definition));
    }
  }
  if (out.empty()) throw Error(Code::kNotFound, "the definition files have no feed ", args.name);
  return out;
}

std::vector<std::string> differences_of(const feed::FeedInfo& found, const FeedDefinition& wanted) {
  std::vector<std::string> out = found.schema.differences(wanted.schema);
  if (found.options.storage != wanted.options.storage) {
    out.push_back(concat("storage: ", feed::storage_name(found.options.storage), " here, ",
                         feed::storage_name(wanted.options.storage), " there"));
  }
  return out;
}

// Looks, and changes nothing (G-5).
Outcome checked(const std::string& base, const FeedDefinition& wanted) {
  try {
    const feed::FeedInfo found = feed::find_feed(base, wanted.name, feed::Files::system());
    std::vector<std::string> differences = differences_of(found, wanted);
    if (differences.empty()) return {.status = "unchanged", .fault = {}, .message = {}, .differences = {}};
    return {.status = "conflict",
            .fault = "SCHEMA_CONFLICT",
            .message = "exists with another definition",
            .differences = std::move(differences)};
  } catch (const feed::FeedError& error) {
    if (error.fault() == feed::Fault::kBaseNotFound || feed::is_missing(error.fault())) {
      return {.status = "would create", .fault = {}, .message = {}, .differences = {}};
    }
    return {.status = "failed", .fault = std::string(feed::fault_name(error.fault())), .message = error.what(), .differences = {}};
  }
}

Outcome made(const std::string& base, const FeedDefinition& wanted) {
  try {
    const bool created =
        wanted.rows ? feed::create_blob_feed(base, wanted.name, *wanted.rows, {.columns = wanted.blobs}, wanted.options)
                    : feed::create_feed(base, wanted.name, wanted.schema, wanted.options);
    return {.status = created ? "created" : "unchanged", .fault = {}, .message = {}, .differences = {}};
  } catch (const feed::FeedError& error) {
    if (error.fault() == feed::Fault::kSchemaConflict) return checked(base, wanted);
    return {.status = "failed", .fault = std::string(feed::fault_name(error.fault())), .message = error.what(), .differences = {}};
  }
}

void report(const Context& context, const FeedDefinition& definition, const Outcome& outcome) {
  if (!context.json && !outcome.bad()) {
    fmt::print(context.out, "{:<12} {}  ({}, {})\n", outcome.status, definition.name,
               feed::storage_name(definition.options.storage), fields_text(definition.schema));
    for (const std::string& remark : definition.remarks) fmt::print(context.out, "{:<12} {}\n", "", remark);
  }
  if (!outcome.bad()) return;
  std::string text = concat("feed ", definition.name, ": ",
                            outcome.status == "conflict"
                                ? concat("SCHEMA_CONFLICT: ", outcome.message, " (here: what exists; there: what was asked for)")
                                : outcome.message);
  for (const std::string& line : outcome.differences) text += "\n" + line;
  print_error(context.err, text);
}

Exit run_create(const Context& context, const CreateArgs& args) {
  const std::vector<FeedDefinition> definitions = definitions_of(args);
  ordered_json feeds = ordered_json::array();
  size_t created = 0, unchanged = 0, failed = 0;
  for (const FeedDefinition& definition : definitions) {
    const Outcome outcome = args.check ? checked(args.base, definition) : made(args.base, definition);
    report(context, definition, outcome);
    ++(outcome.bad() ? failed : outcome.status == "unchanged" ? unchanged : created);
    ordered_json one = {{"name", definition.name}, {"status", outcome.status}};
    if (outcome.bad()) {
      one["fault"] = outcome.fault;
      one["message"] = outcome.message;
      one["differences"] = outcome.differences;
    }
    if (!definition.remarks.empty()) one["remarks"] = definition.remarks;
    one["schema"] = schema_json(definition.schema);
    one["options"] = options_json(definition.options);
    feeds.push_back(std::move(one));
  }
  if (context.json) {
    print_json_line(context, dump({{"base", args.base},
                                   {"check", args.check},
                                   {"created", created},
                                   {"unchanged", unchanged},
                                   {"failed", failed},
                                   {"feeds", std::move(feeds)}}));
  }
  return failed == 0 ? Exit::kOk : Exit::kFailed;
}

void add_options(CLI::App& verb, CreateArgs& args) {
  const auto positive = CLI::Range(0.0, 1e12).description("");
  verb.add_option("--config,-c", args.configs, "definition file: one object, an array, or {\"feeds\": [...]}; may be repeated")
      ->type_name("FILE");
  verb.add_option("--config-dir", args.config_dir, "all .json files of this directory")->type_name("DIR");
  verb.add_option("--field,-f", args.fields,
                  "a field, in order, clocks first: time_ns:uint64, price:f64, tag:text[12], xyz:float32[3], raw:bytes16, pad:_4")
      ->type_name("NAME:TYPE");
  verb.add_option("--blob", args.blobs, "a column of payloads of any size beside the rows; may be repeated")->type_name("COLUMN");
  verb.add_option("--clocks", args.clocks, "how many leading fields are clocks")->type_name("1..3")->capture_default_str();
  verb.add_flag("--aligned", args.aligned, "each field at a multiple of its size, as a C struct has it");
  verb.add_flag("--frames", args.frames, "records of any size (tensors, messages) instead of rows");
  verb.add_option("--payload-align", args.payload_align, "of frames: 64 to 4096")->type_name("BYTES")->capture_default_str();
  verb.add_option("--storage", args.storage, "tiered (memory, then disk), durable (mapped files) or memory")
      ->type_name("MODE")
      ->capture_default_str();
  verb.add_option("--sync", args.sync, "interval, none, every_commit or explicit")->type_name("POLICY")->capture_default_str();
  verb.add_option("--persister", args.persister, "who takes records to disk: the writer, the base's daemon (tidepool feed persistd), or any")
      ->type_name("WHO")
      ->capture_default_str();
  verb.add_option("--sync-interval-ms", args.sync_interval_ms, "what a power cut may cost")
      ->type_name("MS")
      ->check(positive)
      ->capture_default_str();
  verb.add_option("--chunk-size", args.chunk_bytes, "bytes of records in a chunk: 67108864, 64MiB")
      ->type_name("SIZE")
      ->transform(size_in_bytes())
      ->default_str("64MiB");
  verb.add_option("--live-chunks", args.live_chunks, "newest chunks that stay in shared memory")
      ->type_name("N")
      ->capture_default_str();
  verb.add_option("--max-chunk-age-s", args.max_chunk_age_s, "seal an older chunk, even an idle one; 0: never")
      ->type_name("S")
      ->check(positive)
      ->capture_default_str();
  verb.add_option("--retention-hours", args.retention_hours, "0: keep for ever")
      ->type_name("H")
      ->check(positive)
      ->capture_default_str();
  verb.add_option("--retention-bytes", args.retention_bytes, "0: keep all")
      ->type_name("SIZE")
      ->transform(size_in_bytes())
      ->default_str("0");
  verb.add_option("--shm-root", args.shm_root, "where live chunks go")->type_name("DIR")->capture_default_str();
  verb.add_option("--file-mode", args.file_mode, "of the feed's files, within the umask")->type_name("OCTAL")->capture_default_str();
  verb.add_option("--shm-mode", args.shm_mode, "of live objects, if not that of files")->type_name("OCTAL");
  verb.add_flag("--huge-pages", args.huge_pages, "ask for huge pages for live chunks; where refused, without");
  verb.add_flag("--lock-memory", args.lock_memory, "keep live chunks from being swapped out; where refused, without");
}

}  // namespace

void add_feed_create(CLI::App& group, Context& context) {
  auto args = std::make_shared<CreateArgs>();
  CLI::App* verb = group.add_subcommand("create", "make feeds, from options or from definition files");
  verb->add_option("name,--feed", args->name, "the feed; with --config: only this one of the file")->type_name("NAME");
  add_base_flag(*verb, args->base);
  add_options(*verb, *args);
  verb->add_flag("--check", args->check, "only say what would happen; nothing is made");
  add_common_flags(*verb, context);
  verb->footer(
      "A base that is not there is made. A feed that exists with the same definition is left as it is (\"unchanged\"); one with "
      "another\n"
      "definition is a conflict, told field by field. All definitions are checked before the first feed is made.\n"
      "Keys of a definition: feed_name, mode (UF, frames), fields ([name, type] or {name, type, unit, order, domain, "
      "description}),\n"
      "clock_level, aligned, payload_align, storage (tiered, durable, memory; upstream's ring and chunk with persist and "
      "uses_ring),\n"
      "chunk_size_mb or chunk_size_bytes, live_chunks (or ring_size_mb, ring_size_bytes), sync, sync_interval_ms, sync_bytes,\n"
      "max_chunk_age_s, retention_hours, retention_bytes, backlog_bytes, block_bytes, segment_tracking, prefault_ring, huge_pages,\n"
      "lock_memory, shm_root, persister, file_mode, shm_mode (\"0640\").\n"
      "--json: base, check, created, unchanged, failed, feeds[{name, status, fault, message, differences, schema, options}].\n"
      "Exit: 0 all are there as defined, 1 a conflict or a failure, 2 usage.\n"
      "Examples:\n"
      "  tidepool feed create trades --base /data/feeds --field time_ns:uint64 --field price:float64 --field size:uint32\n"
      "  tidepool feed create gps --field t:uint64:unit=us:domain=wall --field xyz:float32[3] --aligned --storage memory\n"
      "  tidepool feed create --config feeds.json --check\n"
      "  tidepool feed create camera --frames --chunk-size 256MiB\n"
      "  tidepool feed create shots --field time_ns:uint64 --field camera:uint32 --blob image");
  verb->callback([args, &context] { context.action = [args, &context] { return run_create(context, *args); }; });
}

}  // namespace tidepool::cli

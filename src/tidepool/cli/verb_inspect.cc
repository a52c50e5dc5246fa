// tidepool inspect: what a region file or an epoch's directory holds.

#include <fmt/format.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/region_report.h"
#include "tidepool/cli/text.h"
#include "tidepool/cli/verbs.h"

namespace tidepool::cli {
namespace {

using json = nlohmann::ordered_json;

struct InspectArgs {
  std::string path;
  uint32_t slots = 8;
};

std::string_view name_of(SlotReport::State state) noexcept {
  switch (state) {
    case SlotReport::State::kUnused: return "unused";
    case SlotReport::State::kWriting: return "writing";
    case SlotReport::State::kCommitted: return "committed";
  }
  return "?";
}
std::string_view name_of(wire::MajorOrder order) noexcept { return order == wire::MajorOrder::column ? "column" : "row"; }
std::string_view name_of(wire::RegionType type) noexcept { return type == wire::RegionType::header_ring ? "header_ring" : "payload_pool"; }

// CLOCK_MONOTONIC begins anew with each boot: a later time is of another boot, or no time at all.
std::string age_text(uint64_t then_ns, uint64_t now_ns) {
  if (then_ns == 0) return "never";
  return then_ns <= now_ns ? format_ns(now_ns - then_ns) + " ago" : "in the future (another boot's?)";
}

json slot_json(const SlotReport& slot) {
  json out = {{"slot", slot.index}, {"state", name_of(slot.state)}, {"seq", slot.seq}, {"seq_commit", slot.word}};
  if (!slot.fault.empty()) out["fault"] = slot.fault;
  if (slot.state != SlotReport::State::kCommitted || !slot.fault.empty()) return out;
  const auto& header = slot.header;
  const auto& tensor = header.tensor;
  out["values_len_bytes"] = header.values_len_bytes;
  out["pool_id"] = header.pool_id;
  out["payload_slot"] = header.payload_slot;
  out["timestamp_ns"] = header.timestamp_ns == wire::kNull64 ? json(nullptr) : json(header.timestamp_ns);
  out["meta_version"] = header.meta_version == wire::kNull32 ? json(nullptr) : json(header.meta_version);
  out["dtype"] = wire::name_of(tensor.dtype);
  out["order"] = name_of(tensor.order);
  out["shape"] = std::vector<int32_t>(tensor.dims.begin(), tensor.dims.begin() + tensor.ndims);
  out["strides"] = std::vector<int32_t>(tensor.strides.begin(), tensor.strides.begin() + tensor.ndims);
  return out;
}

json region_json(const RegionReport& region, uint64_t now_ns) {
  const auto& block = region.superblock;
  json out = {{"path", region.path},
              {"type", name_of(block.region_type)},
              {"stream_id", block.stream_id},
              {"epoch", block.epoch},
              {"layout_version", block.layout_version},
              {"pool_id", block.pool_id},
              {"nslots", block.nslots},
              {"slot_bytes", block.slot_bytes},
              {"stride_bytes", block.stride_bytes},
              {"file_bytes", region.file_bytes},
              {"pid", block.pid},
              {"pid_alive", region.creator_alive},
              {"start_timestamp_ns", block.start_timestamp_ns},
              {"activity_timestamp_ns", block.activity_timestamp_ns}};
  out["activity_age_ns"] = block.activity_timestamp_ns != 0 && block.activity_timestamp_ns <= now_ns ? json(now_ns - block.activity_timestamp_ns) : json(nullptr);
  if (block.region_type == wire::RegionType::header_ring) {
    out["committed"] = region.committed;
    out["writing"] = region.writing;
    out["unused"] = region.unused;
    out["damaged"] = region.damaged;
    out["slots"] = json::array();
    for (const auto& slot : region.slots) out["slots"].push_back(slot_json(slot));
  }
  return out;
}

void print_region(std::FILE* out, const RegionReport& region, uint64_t now_ns) {
  const auto& block = region.superblock;
  const bool ring = block.region_type == wire::RegionType::header_ring;
  fmt::print(out, "{}  {}\n", ring ? "header ring" : fmt::format("payload pool {}", block.pool_id), region.path);
  fmt::print(out, "  stream {}, epoch {}, layout {}, {} slots of {} bytes, file {}\n", block.stream_id, block.epoch, block.layout_version, block.nslots,
             ring ? block.slot_bytes : block.stride_bytes, format_bytes(region.file_bytes));
  fmt::print(out, "  made by pid {} ({}) {}, activity {}\n", block.pid, region.creator_alive ? "alive" : "gone", age_text(block.start_timestamp_ns, now_ns),
             age_text(block.activity_timestamp_ns, now_ns));
  if (!ring) return;
  fmt::print(out, "  slots: {} committed, {} being written, {} unused, {} damaged\n", region.committed, region.writing, region.unused, region.damaged);
  if (region.slots.empty()) return;
  fmt::print(out, "  {:>12} {:>6} {:<9} {:>10} {:>5} {:<6} {:<8} {:<18} {:<18} {}\n", "seq", "slot", "state", "bytes", "pool", "order", "dtype", "shape", "strides", "captured");
  for (const auto& slot : region.slots) {
    if (slot.state != SlotReport::State::kCommitted || !slot.fault.empty()) {
      fmt::print(out, "  {:>12} {:>6} {}\n", slot.seq, slot.index, slot.fault.empty() ? std::string(name_of(slot.state)) : "damaged: " + slot.fault);
      continue;
    }
    const auto& tensor = slot.header.tensor;
    fmt::print(out, "  {:>12} {:>6} {:<9} {:>10} {:>5} {:<6} {:<8} {:<18} {:<18} {}\n", slot.seq, slot.index, name_of(slot.state), slot.header.values_len_bytes,
               slot.header.pool_id, name_of(tensor.order), wire::name_of(tensor.dtype), format_shape(tensor.dims.data(), tensor.ndims),
               format_shape(tensor.strides.data(), tensor.ndims), slot.header.timestamp_ns == wire::kNull64 ? "-" : age_text(slot.header.timestamp_ns, now_ns));
  }
}

Exit conclude(const Context& context, json object, const std::vector<std::string>& faults) {
  for (const auto& fault : faults) print_error(context.err, fault);
  if (context.json) {
    object["ok"] = faults.empty();
    object["faults"] = faults;
    print_json_line(context, object.dump(-1, ' ', false, json::error_handler_t::replace));
  }
  return faults.empty() ? Exit::kOk : Exit::kFailed;
}

Exit inspect_epoch(const Context& context, const InspectArgs& args, const std::string& path) {
  const EpochReport report = examine_epoch(path, args.slots);
  const uint64_t now_ns = monotonic_ns();
  std::vector<std::string> faults = report.faults;
  faults.insert(faults.end(), report.header.faults.begin(), report.header.faults.end());
  json object;
  if (context.json) {
    object = {{"path", report.path}, {"type", "epoch"}, {"stream_id", report.header.superblock.stream_id}, {"epoch", report.header.superblock.epoch}};
    object["header"] = region_json(report.header, now_ns);
    object["pools"] = json::array();
    for (const auto& pool : report.pools) object["pools"].push_back(region_json(pool, now_ns));
  } else {
    print_region(context.out, report.header, now_ns);
    for (const auto& pool : report.pools) print_region(context.out, pool, now_ns);
  }
  return conclude(context, std::move(object), faults);
}

Exit run_inspect(const Context& context, const InspectArgs& args) {
  struct stat status {};
  if (::stat(args.path.c_str(), &status) != 0) throw Error(code_of_errno(errno), "open ", args.path, errno_text());
  if (!S_ISDIR(status.st_mode)) {
    const RegionReport report = examine_region(args.path, args.slots);
    const uint64_t now_ns = monotonic_ns();
    if (!context.json) print_region(context.out, report, now_ns);
    return conclude(context, context.json ? region_json(report, now_ns) : json(), report.faults);
  }
  struct stat ring {};
  if (::stat((args.path + "/header.ring").c_str(), &ring) == 0) return inspect_epoch(context, args, args.path);
  const auto epochs = epochs_below(args.path);
  if (epochs.empty()) throw Error(Code::kNotFound, args.path, " holds no header.ring: expected a region, an epoch's directory or a stream's directory");
  if (!context.json) {
    // A producer that leaves makes way for a fresh epoch: what it wrote last is in the one before.
    for (size_t i = 0; i + 1 < epochs.size(); ++i) fmt::print(context.out, "older epoch  {}\n", epochs[i]);
  }
  return inspect_epoch(context, args, epochs.back());
}

}  // namespace

void add_inspect(CLI::App& app, Context& context) {
  auto args = std::make_shared<InspectArgs>();
  CLI::App* verb = app.add_subcommand("inspect", "show superblocks, slots and tensor headers of regions");
  verb->add_option("path", args->path, "header.ring, N.pool, an epoch's directory, or a stream's directory (its newest epoch)")->type_name("PATH")->required();
  verb->add_option("--slots", args->slots, "how many of the newest slots to show")->type_name("N")->capture_default_str();
  add_common_flags(*verb, context);
  verb->footer(
      "Reads the files and maps nothing: safe beside a running producer, and on copies. Damage is one line on stderr and exit code 1.\n"
      "Examples:\n"
      "  tidepool inspect /dev/shm/tensorpool-$USER/default/10000\n"
      "  tidepool inspect --slots 64 header.ring\n"
      "  tidepool inspect --json /dev/shm/tensorpool-$USER/default/10000/1234567/1.pool");
  verb->callback([args, &context] { context.action = [args, &context] { return run_inspect(context, *args); }; });
}

}  // namespace tidepool::cli

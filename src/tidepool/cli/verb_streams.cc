// tidepool streams: what lives here, by a scan of shared memory and by what is heard over Aeron. The scan is for operators alone:
// clients take paths from announces (W-22, R-22).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "tidepool/base/agent.h"
#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/listening.h"
#include "tidepool/cli/observation.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/text.h"
#include "tidepool/cli/verbs.h"
#include "tidepool/pool/scan.h"
#include "tidepool/transport/media_driver.h"

namespace tidepool::cli {
namespace {

using json = nlohmann::ordered_json;

struct StreamsArgs {
  ListenFlags flags;
  std::string shm_dir = "/dev/shm";
  double for_seconds = 1.2;  // an announce period and some
  bool no_aeron = false;
};

constexpr uint64_t kFreshNs = 3 * kNsPerSecond;  // three announce periods (wire.md 9.4)

// One stream in one place; `scanned` and `heard` are what is known of it, at least one of them is there.
struct StreamRow {
  uint32_t stream_id = 0;
  const pool::ScannedNamespace* name_space = nullptr;
  const pool::ScannedStream* scanned = nullptr;
  const ObservedStream* heard = nullptr;
  std::optional<double> rate_hz = {};
};

const pool::ScannedEpoch* newest(const StreamRow& row) {
  return row.scanned == nullptr || row.scanned->epochs.empty() ? nullptr : &row.scanned->epochs.back();
}

// Lock, start time and activity together, never a pid alone (P-7, R-25).
bool owned(const pool::ScannedNamespace& name_space, const pool::ScannedEpoch& epoch) {
  return name_space.driver.has_value() || epoch.creator_runs;
}
bool fresh(const pool::ScannedEpoch& epoch) { return epoch.activity_age_ns && *epoch.activity_age_ns <= kFreshNs; }
std::string_view state_of(const StreamRow& row) {
  const pool::ScannedEpoch* const epoch = newest(row);
  if (row.scanned == nullptr) return "heard";  // announced; its memory is not below our directory
  if (!row.name_space->fault.empty() || !row.scanned->fault.empty()) return "closed";  // may not be looked at
  if (epoch == nullptr) return "empty";
  if (!epoch->fault.empty()) return "damaged";
  if (owned(*row.name_space, *epoch)) return fresh(*epoch) ? "live" : "stale";
  return fresh(*epoch) ? "orphaned" : "dead";  // orphaned: somebody still writes, its driver is gone
}

std::vector<StreamRow> rows_of(const std::vector<pool::ScannedNamespace>& spaces, const Observation& heard) {
  std::vector<StreamRow> rows;
  std::set<uint32_t> seen;
  for (const auto& space : spaces) {
    for (const auto& stream : space.streams) {
      StreamRow row{.stream_id = stream.stream_id, .name_space = &space, .scanned = &stream};
      // What was heard of this id is about this place if its announce says so; without an announce, if its epoch does.
      if (const auto at = heard.streams.find(stream.stream_id); at != heard.streams.end()) {
        const auto& announce = at->second.announce;
        const auto& producer = at->second.producer;
        const bool ours = announce   ? announce->header_region_uri.find("=" + stream.path + "/") != std::string::npos
                          : producer ? std::any_of(stream.epochs.begin(), stream.epochs.end(),
                                                   [&](const auto& epoch) { return epoch.epoch == producer->epoch; })
                                     : true;
        if (ours) {
          row.heard = &at->second;
          seen.insert(stream.stream_id);
        }
      }
      rows.push_back(row);
    }
  }
  for (const auto& [id, stream] : heard.streams) {
    if (!seen.contains(id)) rows.push_back({.stream_id = id, .heard = &stream});
  }
  std::stable_sort(rows.begin(), rows.end(), [](const StreamRow& a, const StreamRow& b) { return a.stream_id < b.stream_id; });
  return rows;
}

// Frames a second, between two looks at the ring; else between two reports of the producer.
void find_rates(std::vector<StreamRow>& rows, const std::map<std::string, uint64_t>& before, double seconds) {
  for (StreamRow& row : rows) {
    if (const pool::ScannedEpoch* const epoch = newest(row); epoch != nullptr) {
      const auto at = before.find(epoch->path);
      if (at != before.end() && epoch->fault.empty() && epoch->next_seq >= at->second && seconds > 0)
        row.rate_hz = static_cast<double>(epoch->next_seq - at->second) / seconds;
    } else if (row.heard != nullptr && row.heard->producer && row.heard->producer_ns > row.heard->first_ns) {
      row.rate_hz = static_cast<double>(row.heard->producer->current_seq - row.heard->first_seq) /
                    (static_cast<double>(row.heard->producer_ns - row.heard->first_ns) / 1e9);
    }
  }
}

uint64_t bytes_of(const StreamRow& row) {
  uint64_t bytes = 0;
  if (row.scanned != nullptr) {
    for (const auto& epoch : row.scanned->epochs) bytes += epoch.bytes;
  }
  return bytes;
}

json pools_json(const std::vector<pool::PoolClass>& pools) {
  json out = json::array();
  for (const auto& pool : pools) out.push_back({{"pool_id", pool.pool_id}, {"stride_bytes", pool.stride_bytes}});
  return out;
}

json epoch_json(const pool::ScannedNamespace& space, const pool::ScannedEpoch& epoch) {
  json out = {{"epoch", epoch.epoch},
              {"path", epoch.path},
              {"bytes", epoch.bytes},
              {"nslots", epoch.geometry.slot_count},
              {"pools", pools_json(epoch.geometry.pools)}};
  out["newest_seq"] = epoch.next_seq > 0 ? json(epoch.next_seq - 1) : json(nullptr);
  out["activity_age_ms"] = epoch.activity_age_ns ? json(*epoch.activity_age_ns / kNsPerMs) : json(nullptr);
  out["fresh"] = fresh(epoch);
  out["pid"] = epoch.pid;
  out["pid_runs"] = epoch.creator_runs;
  out["owner_alive"] = owned(space, epoch);
  out["fault"] = epoch.fault.empty() ? json(nullptr) : json(epoch.fault);
  return out;
}

json consumer_json(uint32_t id, const ObservedConsumer& consumer, const ObservedStream& stream) {
  json out = {{"consumer_id", id},
              {"mode", consumer.qos.mode == wire::Mode::rate_limited ? "RATE_LIMITED"
                       : consumer.qos.mode == wire::Mode::stream     ? "STREAM"
                                                                     : "UNKNOWN"}};
  if (!consumer.reported) return out;
  out["epoch"] = consumer.qos.epoch;
  out["last_seq"] = consumer.qos.last_seq_seen;
  out["drops_gap"] = consumer.qos.drops_gap;
  out["drops_late"] = consumer.qos.drops_late;
  // operations.md 2: both report as of their last second; an idle, caught-up consumer is 1 behind the next sequence.
  const bool comparable =
      stream.producer && stream.producer->epoch == consumer.qos.epoch && stream.producer->current_seq > consumer.qos.last_seq_seen;
  out["lag"] = comparable ? json(stream.producer->current_seq - consumer.qos.last_seq_seen - 1) : json(nullptr);
  return out;
}

json row_json(const StreamRow& row) {
  json out = {{"stream_id", row.stream_id}, {"state", state_of(row)}};
  const ObservedStream* const heard = row.heard;
  const auto* announce = heard != nullptr && heard->announce ? &*heard->announce : nullptr;
  out["name"] = heard != nullptr && heard->source ? json(heard->source->name) : json(nullptr);
  out["summary"] = heard != nullptr && heard->source ? json(heard->source->summary) : json(nullptr);
  const pool::ScannedEpoch* const epoch = newest(row);
  out["epoch"] = epoch != nullptr ? json(epoch->epoch) : announce != nullptr ? json(announce->epoch) : json(nullptr);
  out["nslots"] = epoch != nullptr      ? json(epoch->geometry.slot_count)
                  : announce != nullptr ? json(announce->header_nslots)
                                        : json(nullptr);
  if (epoch != nullptr) {
    out["pools"] = pools_json(epoch->geometry.pools);
    out["newest_seq"] = epoch->next_seq > 0 ? json(epoch->next_seq - 1) : json(nullptr);
    out["activity_age_ms"] = epoch->activity_age_ns ? json(*epoch->activity_age_ns / kNsPerMs) : json(nullptr);
  } else {
    std::vector<pool::PoolClass> pools;
    if (announce != nullptr) {
      for (const auto& pool : announce->pools) pools.push_back({pool.pool_id, pool.stride_bytes});
    }
    out["pools"] = pools_json(pools);
    const bool counted = heard != nullptr && heard->producer && heard->producer->current_seq > 0;
    out["newest_seq"] = counted ? json(heard->producer->current_seq - 1) : json(nullptr);
    out["activity_age_ms"] = nullptr;
  }
  out["rate_hz"] = row.rate_hz ? json(*row.rate_hz) : json(nullptr);
  out["bytes"] = bytes_of(row);
  if (row.scanned != nullptr) {
    out["user"] = row.name_space->user;
    out["namespace"] = row.name_space->name;
    out["path"] = row.scanned->path;
    out["doorbell"] = row.scanned->doorbell;
    out["driver"] =
        row.name_space->driver ? json{{"pid", row.name_space->driver->pid}, {"text", row.name_space->driver->text}} : json(nullptr);
    out["epochs"] = json::array();
    for (const auto& one : row.scanned->epochs) out["epochs"].push_back(epoch_json(*row.name_space, one));
    const std::string& fault = row.scanned->fault.empty() ? row.name_space->fault : row.scanned->fault;
    out["fault"] = fault.empty() ? json(nullptr) : json(fault);
  }
  if (announce != nullptr) {
    out["announced"] = {{"epoch", announce->epoch},
                        {"producer_id", announce->producer_id},
                        {"session_id", heard->announce_session},
                        {"header_region_uri", announce->header_region_uri}};
  } else {
    out["announced"] = nullptr;
  }
  out["consumers"] = json::array();
  if (heard != nullptr) {
    for (const auto& [id, consumer] : heard->consumers) out["consumers"].push_back(consumer_json(id, consumer, *heard));
  }
  return out;
}

std::string pools_text(uint32_t nslots, const std::vector<pool::PoolClass>& pools) {
  if (nslots == 0) return "-";
  std::string strides;
  for (const auto& pool : pools) strides += (strides.empty() ? "" : "+") + format_bytes(pool.stride_bytes);
  return fmt::format("{} x {}", nslots, strides.empty() ? "?" : strides);
}

void print_table(std::FILE* out, const std::vector<StreamRow>& rows) {
  fmt::print(out, "{:>10}  {:<14} {:<9} {:>7} {:>20}  {:<20} {:>10} {:>12} {:>9} {:>9}  {:<24} {}\n", "stream", "name", "state",
             "epochs", "newest epoch", "slots x stride", "bytes", "newest seq", "rate", "active", "owner", "announced by");
  for (const StreamRow& row : rows) {
    const pool::ScannedEpoch* const epoch = newest(row);
    const ObservedStream* const heard = row.heard;
    const bool announced = heard != nullptr && heard->announce.has_value();
    std::string slots = "-", owner = "-", seq = "-", active = "-", epoch_text = "-";
    if (epoch != nullptr) {
      epoch_text = std::to_string(epoch->epoch);
      slots = pools_text(epoch->geometry.slot_count, epoch->geometry.pools);
      if (epoch->next_seq > 0) seq = std::to_string(epoch->next_seq - 1);
      if (epoch->activity_age_ns) active = format_ns(*epoch->activity_age_ns);
      owner = row.name_space->driver
                  ? fmt::format("{} pid {}", row.name_space->driver->text.empty() ? "driver" : row.name_space->driver->text,
                                row.name_space->driver->pid)
                  : fmt::format("pid {}, {}", epoch->pid, epoch->creator_runs ? "no driver" : "gone");
    } else if (announced) {
      epoch_text = std::to_string(heard->announce->epoch);
      std::vector<pool::PoolClass> pools;
      for (const auto& pool : heard->announce->pools) pools.push_back({pool.pool_id, pool.stride_bytes});
      slots = pools_text(heard->announce->header_nslots, pools);
      if (heard->producer && heard->producer->current_seq > 0) seq = std::to_string(heard->producer->current_seq - 1);
    }
    const std::string name =
        heard != nullptr && heard->source && !heard->source->name.empty() ? printable(heard->source->name, 14) : "-";
    const std::string by = !announced                          ? "-"
                           : heard->announce->producer_id == 0 ? "no producer"
                                                               : fmt::format("producer {}", heard->announce->producer_id);
    fmt::print(out, "{:>10}  {:<14} {:<9} {:>7} {:>20}  {:<20} {:>10} {:>12} {:>9} {:>9}  {:<24} {}{}\n", row.stream_id, name,
               state_of(row), row.scanned != nullptr ? std::to_string(row.scanned->epochs.size()) : "-", epoch_text, slots,
               format_bytes(bytes_of(row)), seq, row.rate_hz ? fmt::format("{:.1f} Hz", *row.rate_hz) : "-", active, owner, by,
               heard != nullptr && !heard->consumers.empty() ? ", " + format_count(heard->consumers.size(), "consumer") : "");
    if (row.scanned != nullptr) {
      for (const auto& one : row.scanned->epochs) {
        if (!one.fault.empty()) fmt::print(out, "{:>10}  epoch {}: {}\n", "", one.epoch, printable(one.fault, 512));
      }
    }
  }
}

Exit run_streams(const Context& context, const StreamsArgs& args) {
  if (!(args.for_seconds >= 0)) throw UsageError("--for is not a number");  // NaN passes every range
  install_signal_handlers();
  const client::Settings settings = args.no_aeron ? client::Settings{} : listen_settings(args.flags);
  const std::string aeron_dir = args.no_aeron ? "" : transport::media_driver_status(settings.aeron_dir).dir;
  const bool media_alive = !args.no_aeron && media_driver_alive(settings.aeron_dir);
  std::unique_ptr<Listener> listener;
  if (media_alive)
    listener =
        std::make_unique<Listener>(settings, std::set<Plane>{Plane::kControl, Plane::kAnnounce, Plane::kQos, Plane::kMetadata});
  if (!args.no_aeron && !media_alive)
    log(LogLevel::kInfo, "streams", "nothing is heard, since no media driver is alive at ", aeron_dir,
        ": shared memory alone is looked at");

  std::map<std::string, uint64_t> before;
  const uint64_t begin_ns = monotonic_ns();
  for (const auto& space : pool::scan(args.shm_dir)) {
    for (const auto& stream : space.streams) {
      for (const auto& epoch : stream.epochs) before[epoch.path] = epoch.next_seq;
    }
  }
  Observation heard;
  const auto sink = [&](Bytes message, const transport::MessageInfo& info, const Ear&) { heard.take(message, info); };
  const uint64_t end_ns = begin_ns + static_cast<uint64_t>(args.for_seconds * 1e9);
  Idler idler(Idle::kBackoff);
  while (!stop_requested() && monotonic_ns() < end_ns) {
    if (listener) {
      const int work = listener->poll(sink);
      listener->check();
      idler.idle(work);
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  const uint64_t looked_ns = monotonic_ns();
  const std::vector<pool::ScannedNamespace> spaces = pool::scan(args.shm_dir);
  std::vector<StreamRow> rows = rows_of(spaces, heard);
  const double seconds = static_cast<double>(looked_ns - begin_ns) / 1e9;
  find_rates(rows, before, args.for_seconds > 0 ? seconds : 0);

  if (context.json) {
    json object = {{"streams", json::array()}, {"namespaces", json::array()}};
    for (const StreamRow& row : rows) object["streams"].push_back(row_json(row));
    for (const auto& space : spaces) {
      object["namespaces"].push_back(
          {{"user", space.user},
           {"namespace", space.name},
           {"path", space.path},
           {"streams", space.streams.size()},
           {"driver", space.driver ? json{{"pid", space.driver->pid}, {"text", space.driver->text}} : json(nullptr)},
           {"fault", space.fault.empty() ? json(nullptr) : json(space.fault)}});
    }
    object["media_driver"] = args.no_aeron ? json(nullptr) : json{{"dir", aeron_dir}, {"alive", media_alive}};
    object["seconds"] = seconds;
    print_json_line(context, object.dump(-1, ' ', false, json::error_handler_t::replace));
    return Exit::kOk;
  }
  if (rows.empty()) {
    fmt::print(context.out, "no stream lives below {}{}\n", args.shm_dir, listener ? ", none is announced" : "");
  } else {
    print_table(context.out, rows);
  }
  for (const auto& space : spaces) {
    if (!space.fault.empty()) fmt::print(context.out, "{}: {}\n", space.path, printable(space.fault, 512));
  }
  return Exit::kOk;
}

}  // namespace

void add_streams(CLI::App& app, Context& context) {
  auto args = std::make_shared<StreamsArgs>();
  CLI::App* verb = app.add_subcommand("streams", "show the streams that live here: who owns them, how big, how fast");
  verb->add_option("--shm-dir", args->shm_dir, "where pools lie")->type_name("DIR")->capture_default_str();
  verb->add_option("--for", args->for_seconds, "listen, and measure rates, for so long")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 1e6).description(""))
      ->capture_default_str();
  verb->add_flag("--no-aeron", args->no_aeron, "look at shared memory alone");
  add_listen_flags(*verb, args->flags);
  add_common_flags(*verb, context);
  verb->footer(
      "State: live (its activity is younger than 3 s, and a driver holds its namespace's lock or its maker runs), stale (owned, "
      "but silent),\n"
      "orphaned (written to, its driver gone), dead (neither; see `tidepool gc`), damaged, empty, closed (not ours to look at), "
      "heard (announced,\n"
      "and not below --shm-dir). A pid alone proves nothing: lock, start time and activity do.\n"
      "--json: streams[{stream_id, state, name, summary, epoch, nslots, pools, newest_seq, activity_age_ms, rate_hz, bytes, user, "
      "namespace, path,\n"
      "doorbell, driver, epochs[...], announced{epoch, producer_id, session_id, header_region_uri}, consumers[{consumer_id, mode, "
      "epoch, last_seq,\n"
      "drops_gap, drops_late, lag}]}], namespaces[...], media_driver{dir, alive}, seconds.\n"
      "Exit: 0 (also with none), 1 failed, 2 usage.\n"
      "Examples:\n"
      "  tidepool streams\n"
      "  tidepool streams --no-aeron --for 0\n"
      "  tidepool streams --json | jq '.streams[] | select(.state == \"dead\") | .path'");
  verb->callback([args, &context] { context.action = [args, &context] { return run_streams(context, *args); }; });
}

}  // namespace tidepool::cli

// tidepool leases: who holds what. A driver of ours tells it in its status file; what other drivers granted is heard in keepalives.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "tidepool/base/agent.h"
#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/driver_status.h"
#include "tidepool/cli/listening.h"
#include "tidepool/cli/observation.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/text.h"
#include "tidepool/cli/verbs.h"
#include "tidepool/pool/scan.h"

namespace tidepool::cli {
namespace {

using json = nlohmann::ordered_json;

struct LeasesArgs {
  ListenFlags flags;
  std::string shm_dir = "/dev/shm";
  uint32_t stream = 0;
  double for_seconds = 0;  // 0: only if nobody tells
};

constexpr double kDefaultListenSeconds = 2.5;  // two keepalive intervals and some

struct LeaseRow {
  uint64_t lease_id = 0;
  uint32_t stream_id = 0;
  uint32_t client_id = 0;
  std::string role = {};
  std::optional<uint32_t> node_id = {};
  std::optional<uint64_t> epoch = {};
  std::optional<int64_t> expires_in_ms = {};  // told by the driver; negative: overdue
  std::optional<uint64_t> keepalive_age_ms = {};  // heard
  std::string driver = {};  // instance id, empty: heard only
  std::string name_space = {};
};

struct DriverRow {
  std::string user = {}, name_space = {}, path = {};
  bool alive = false;
  std::string text = {};  // who holds the lock
  std::string problem = {};
  std::optional<DriverStatus> status = {};
};

std::string role_text(uint8_t role) {
  return role == static_cast<uint8_t>(wire::Role::producer)   ? "producer"
         : role == static_cast<uint8_t>(wire::Role::consumer) ? "consumer"
                                                              : concat("role ", role);
}

std::vector<DriverRow> find_drivers(const std::string& base_dir) {
  std::vector<DriverRow> out;
  for (const auto& found : pool::scan(base_dir, pool::ScanDepth::kNamespaces)) {
    DriverRow row{.user = found.user, .name_space = found.name, .path = found.path};
    row.problem = found.fault;
    if (found.fault.empty()) {
      row.alive = found.driver.has_value();
      if (row.alive) row.text = found.driver->description();
      row.status = read_driver_status(found.path, row.problem);
      // A status without its driver is the last word of a dead one: its leases are void (driver.md 14).
      if (!row.alive)
        row.problem =
            row.status ? concat("its driver ", row.status->instance_id, " (pid ", row.status->pid, ") is gone: its leases are void")
                       : "no driver is alive";
      if (!row.alive) row.status.reset();
    }
    out.push_back(std::move(row));
  }
  return out;
}

// Listen, if there is a media driver; false: there is none.
bool listen(const client::Settings& settings, double seconds, Observation& heard) {
  if (!media_driver_alive(settings.aeron_dir)) return false;
  Listener listener(settings, {Plane::kControl});
  const auto sink = [&](Bytes message, const transport::MessageInfo& info, const Ear&) { heard.take(message, info); };
  const uint64_t end_ns = monotonic_ns() + static_cast<uint64_t>(seconds * 1e9);
  Idler idler(Idle::kBackoff);
  while (!stop_requested() && monotonic_ns() < end_ns) {
    const int work = listener.poll(sink);
    listener.check();
    idler.idle(work);
  }
  return true;
}

std::vector<LeaseRow> merge(const std::vector<DriverRow>& drivers, const Observation& heard) {
  std::map<uint64_t, LeaseRow> rows;
  const uint64_t now_ns = monotonic_ns();
  for (const DriverRow& driver : drivers) {
    if (!driver.status) continue;
    for (const ToldLease& lease : driver.status->leases) {
      LeaseRow row{.lease_id = lease.lease_id,
              .stream_id = lease.stream_id,
              .client_id = lease.client_id,
              .role = lease.role,
              .node_id = lease.node_id,
              .epoch = lease.epoch};
      row.expires_in_ms = (static_cast<int64_t>(lease.expiry_ns) - static_cast<int64_t>(now_ns)) / static_cast<int64_t>(kNsPerMs);
      row.driver = driver.status->instance_id;
      row.name_space = driver.name_space;
      rows.insert_or_assign(lease.lease_id, std::move(row));
    }
  }
  for (const auto& [id, lease] : heard.leases) {
    LeaseRow& row = rows[id];
    if (row.driver.empty()) {
      row.lease_id = id;
      row.stream_id = lease.stream_id;
      row.client_id = lease.client_id;
      row.role = role_text(lease.role);
      row.node_id = lease.node_id;
      row.epoch = lease.epoch;
    }
    row.keepalive_age_ms = (now_ns - lease.heard_ns) / kNsPerMs;
  }
  std::vector<LeaseRow> out;
  for (auto& [id, row] : rows) out.push_back(std::move(row));
  std::sort(out.begin(), out.end(), [](const LeaseRow& a, const LeaseRow& b) {
    return std::tie(a.stream_id, b.role, a.lease_id) < std::tie(b.stream_id, a.role, b.lease_id);  // producers first
  });
  return out;
}

json row_json(const LeaseRow& row) {
  const auto or_null = [](const auto& value) { return value ? json(*value) : json(nullptr); };
  return {{"lease_id", row.lease_id},
          {"stream_id", row.stream_id},
          {"role", row.role},
          {"client_id", row.client_id},
          {"node_id", or_null(row.node_id)},
          {"epoch", or_null(row.epoch)},
          {"expires_in_ms", or_null(row.expires_in_ms)},
          {"keepalive_age_ms", or_null(row.keepalive_age_ms)},
          {"driver", row.driver.empty() ? json(nullptr) : json(row.driver)},
          {"namespace", row.driver.empty() ? json(nullptr) : json(row.name_space)},
          {"source", row.driver.empty() ? "heard" : "driver"}};
}

json driver_json(const DriverRow& row) {
  json out = {{"user", row.user}, {"namespace", row.name_space}, {"path", row.path}, {"alive", row.alive}};
  if (row.status) {
    out["instance_id"] = row.status->instance_id;
    out["pid"] = row.status->pid;
    out["lifecycle"] = row.status->lifecycle;
    out["media_driver"] = row.status->media_driver;
    out["aeron_dir"] = row.status->aeron_dir;
    out["control_stream_id"] = row.status->control_stream_id;
    out["leases"] = row.status->leases_total;
  }
  out["problem"] = row.problem.empty() ? json(nullptr) : json(row.problem);
  return out;
}

void print_table(std::FILE* out, const std::vector<DriverRow>& drivers, const std::vector<LeaseRow>& rows) {
  for (const DriverRow& driver : drivers) {
    if (driver.status) {
      fmt::print(out, "driver {} of {}/{} (pid {}, {}{}): {}\n", driver.status->instance_id, driver.user, driver.name_space,
                 driver.status->pid, driver.status->lifecycle, driver.status->media_driver ? "" : ", without a media driver",
                 format_count(driver.status->leases_total, "lease"));
    } else {
      fmt::print(out, "{}: {}{}\n", driver.path, driver.alive ? driver.text + " is alive: " : "", driver.problem);
    }
  }
  if (rows.empty()) return void(fmt::print(out, "no leases\n"));
  fmt::print(out, "{:<20} {:>10} {:<9} {:>11} {:>6} {:>20} {:>10} {:>10}  {}\n", "lease", "stream", "role", "client", "node",
             "epoch", "expires in", "keepalive", "told by");
  const auto or_dash = [](const auto& value) { return value ? fmt::format("{}", *value) : std::string("-"); };
  for (const LeaseRow& row : rows) {
    fmt::print(out, "{:<20} {:>10} {:<9} {:>11} {:>6} {:>20} {:>10} {:>10}  {}\n", row.lease_id, row.stream_id, row.role,
               row.client_id, or_dash(row.node_id), or_dash(row.epoch),
               row.expires_in_ms ? fmt::format("{} ms", *row.expires_in_ms) : "-",
               row.keepalive_age_ms ? fmt::format("{} ms ago", *row.keepalive_age_ms) : "-",
               row.driver.empty() ? "its keepalives" : row.driver);
  }
}

Exit run_leases(const Context& context, const LeasesArgs& args) {
  if (!(args.for_seconds >= 0)) throw UsageError("--for is not a number");  // NaN passes every range
  install_signal_handlers();
  const client::Settings settings = listen_settings(args.flags);
  std::vector<DriverRow> drivers = find_drivers(args.shm_dir);
  const bool told = std::any_of(drivers.begin(), drivers.end(), [](const DriverRow& row) { return row.status.has_value(); });
  Observation heard;
  bool listened = false;
  if (!told || args.for_seconds > 0) {
    listened = listen(settings, args.for_seconds > 0 ? args.for_seconds : kDefaultListenSeconds, heard);
    drivers = find_drivers(args.shm_dir);  // as it is now
  }
  std::vector<LeaseRow> rows = merge(drivers, heard);
  if (args.stream != 0) std::erase_if(rows, [&](const LeaseRow& row) { return row.stream_id != args.stream; });
  if (context.json) {
    json object = {{"leases", json::array()}, {"drivers", json::array()}, {"listened", listened}};
    for (const LeaseRow& row : rows) object["leases"].push_back(row_json(row));
    for (const DriverRow& row : drivers) object["drivers"].push_back(driver_json(row));
    print_json_line(context, object.dump(-1, ' ', false, json::error_handler_t::replace));
  } else {
    print_table(context.out, drivers, rows);
  }
  if (told || listened) return Exit::kOk;
  print_error(context.err,
              concat("no driver below ", args.shm_dir, " tells its leases, and no media driver to listen at is alive",
                     settings.aeron_dir.empty() ? "" : " at " + settings.aeron_dir, "\nlook at what is there:  tidepool streams"));
  return Exit::kFailed;
}

}  // namespace

void add_leases(CLI::App& app, Context& context) {
  auto args = std::make_shared<LeasesArgs>();
  CLI::App* verb = app.add_subcommand("leases", "show who holds leases on which streams");
  verb->add_option("--stream,-s", args->stream, "only leases on this stream")
      ->type_name("ID")
      ->check(CLI::Range(1u, UINT32_MAX - 1).description(""));
  verb->add_option("--for", args->for_seconds,
                   "listen to keepalives for so long, too (default: 2.5 when no driver tells, else not at all)")
      ->type_name("SECONDS")
      ->check(CLI::Range(1e-3, 1e9).description(""));
  verb->add_option("--shm-dir", args->shm_dir, "where drivers keep their pools")->type_name("DIR")->capture_default_str();
  add_listen_flags(*verb, args->flags);
  add_common_flags(*verb, context);
  verb->footer(
      "A tidepool driver writes its leases to a file beside its lock, once a second and when they change. Of other drivers' leases "
      "those\n"
      "are known whose holders keep them alive while we listen. A dead driver's leases are void and not shown.\n"
      "--json: leases[{lease_id, stream_id, role, client_id, node_id, epoch, expires_in_ms, keepalive_age_ms, driver, namespace, "
      "source}],\n"
      "drivers[{user, namespace, path, alive, instance_id, pid, lifecycle, media_driver, aeron_dir, control_stream_id, leases, "
      "problem}], listened.\n"
      "Exit: 0 (also without a lease), 1 nobody could be asked, 2 usage.\n"
      "Examples:\n"
      "  tidepool leases\n"
      "  tidepool leases --stream 10000 --json | jq '.leases[].client_id'\n"
      "  tidepool leases --for 3 --control-stream 1500        a driver that is not tidepool's");
  verb->callback([args, &context] { context.action = [args, &context] { return run_leases(context, *args); }; });
}

}  // namespace tidepool::cli

// tidepool discovery: the service that knows which streams there are (services/discovery), and the question to it.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "tidepool/base/agent.h"
#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/cli/client_flags.h"
#include "tidepool/cli/command.h"
#include "tidepool/cli/media_driver_wait.h"
#include "tidepool/cli/signals.h"
#include "tidepool/cli/text.h"
#include "tidepool/cli/toml_file.h"
#include "tidepool/cli/verbs.h"
#include "tidepool/client/discovery.h"
#include "tidepool/services/discovery/provider.h"
#include "tidepool/transport/media_driver.h"

namespace tidepool::cli {
namespace {

using json = nlohmann::ordered_json;

std::string dump(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}  // names may be any bytes (DS-39)

// ---- serve -------------------------------------------------------------------------------------------------------------

struct ServeArgs {
  std::string config;
  PlaneFlags planes;
  std::string instance_id;
  bool embedded = false;
  bool wait = false;
  bool check = false;
};

// The file with the flags in it, as values from the command line.
ConfigValue serve_tree(const ServeArgs& args) {
  ConfigValue root = args.config.empty() ? ConfigValue() : read_toml_file(args.config);
  ConfigTable& table = *root.as_table();
  const auto put = [&](const std::string& section, const std::string& key, const std::string& flag,
                       const ConfigValue::Data& value) {
    const auto entry = table.entries.find(section);
    ConfigValue& into = entry != table.entries.end() ? entry->second : table.add(section, ConfigValue(ConfigTable{}, "--" + flag));
    if (into.as_table() != nullptr)
      into.as_table()->add(key, ConfigValue(value, "--" + flag));  // else the loader says what is wrong
  };
  const bool registry = root.find("discovery_registry") != nullptr;
  const std::string section = registry ? "discovery_registry" : "discovery";
  const auto endpoint = [&](const std::string& flag, const std::string& key, const client::Endpoint& given) {
    if (!given.channel.empty()) put(section, key + "_channel", flag + "-channel", given.channel);
    if (given.stream_id != 0) put(section, key + "_stream_id", flag + "-stream", int64_t{given.stream_id});
  };
  if (!args.planes.aeron_dir.empty()) put("driver", "aeron_dir", "aeron-dir", args.planes.aeron_dir);
  endpoint("discovery", "request", args.planes.discovery);
  const bool of_one_driver = !args.instance_id.empty() || !args.planes.announce.channel.empty() ||
                             args.planes.announce.stream_id != 0 || !args.planes.metadata.channel.empty() ||
                             args.planes.metadata.stream_id != 0 || !args.planes.control.channel.empty() ||
                             args.planes.control.stream_id != 0;
  if (registry && of_one_driver) {
    throw UsageError(
        "--instance-id, --control-*, --announce-* and --metadata-* speak of one driver: with [discovery_registry] they belong in "
        "the file");
  }
  if (!args.instance_id.empty()) put(section, "driver_instance_id", "instance-id", args.instance_id);
  endpoint("announce", "announce", args.planes.announce);
  endpoint("metadata", "metadata", args.planes.metadata);
  endpoint("control", "driver_control", args.planes.control);
  return root;
}

json endpoint_json(const discovery::Endpoint& endpoint) {
  return {{"channel", endpoint.channel}, {"stream_id", endpoint.stream_id}};
}

json config_json(const discovery::DiscoveryConfig& config) {
  json object = {{"request", endpoint_json(config.request)},
                 {"expiry_ns", config.effective_expiry_ns()},
                 {"max_results", config.max_results},
                 {"allowed_response_channels", config.effective_allowed_channels()}};
  object["endpoints"] = json::array();
  for (const auto& endpoint : config.endpoints) {
    object["endpoints"].push_back({{"driver_instance_id", endpoint.instance_id},
                                   {"announce", endpoint_json(endpoint.announce)},
                                   {"metadata", endpoint.metadata.stream_id != 0 ? endpoint_json(endpoint.metadata) : json()},
                                   {"driver_control_channel", endpoint.control_channel},
                                   {"driver_control_stream_id", endpoint.control_stream_id}});
  }
  object["streams"] = json::array();
  for (const auto& stream : config.streams) {
    object["streams"].push_back({{"driver_instance_id", stream.instance_id},
                                 {"stream_id", stream.stream_id},
                                 {"data_source_id", stream.data_source_id ? json(*stream.data_source_id) : json()},
                                 {"tags", stream.tags},
                                 {"visible", stream.visible}});
  }
  return object;
}

void print_config(const Context& context, const discovery::LoadedDiscovery& loaded) {
  const discovery::DiscoveryConfig& c = loaded.config;
  if (context.json) {
    json object = config_json(c);
    for (const auto& [key, origin] : loaded.origins) object["origins"][key] = origin;
    return print_json_line(context, dump(object));
  }
  fmt::print(context.out, "requests   {} stream {}\n", c.request.channel, c.request.stream_id);
  for (const auto& endpoint : c.endpoints) {
    fmt::print(context.out, "driver     {}: attach at {} stream {}\n", printable(endpoint.instance_id), endpoint.control_channel,
               endpoint.control_stream_id);
    fmt::print(context.out, "  announces  {} stream {}\n", endpoint.announce.channel, endpoint.announce.stream_id);
    if (endpoint.metadata.stream_id != 0) {
      fmt::print(context.out, "  metadata   {} stream {}\n", endpoint.metadata.channel, endpoint.metadata.stream_id);
    } else {
      fmt::print(context.out, "  metadata   none: streams will have no names\n");
    }
  }
  for (const auto& stream : c.streams) {
    fmt::print(context.out, "stream     {} of {}: {} tags{}\n", stream.stream_id, printable(stream.instance_id), stream.tags.size(),
               stream.visible ? "" : ", hidden");
  }
  fmt::print(context.out, "expiry     {}\n", c.effective_expiry_ns() == 0 ? "never" : format_ns(c.effective_expiry_ns()));
  for (const auto& [key, origin] : loaded.origins) fmt::print(context.out, "  {:<52} {}\n", key, origin);
}

void print_summary(const Context& context, const discovery::Provider& provider, double seconds) {
  const discovery::ProviderCounts c = provider.counts();
  if (!context.json) {
    fmt::print(context.out, "discovery: {:.1f} s, {}, {} answered ({} refused, {} malformed), {} sent, {} not taken\n", seconds,
               format_count(provider.live_streams(), "live stream"), format_count(c.requests, "request"),
               c.requests_refused + c.requests_over_rate, c.requests_malformed, c.responses.sent,
               c.responses.expired + c.responses.failed + c.responses.refused);
    return;
  }
  const json object = {{"seconds", seconds},
                       {"live_streams", provider.live_streams()},
                       {"announces", c.announces},
                       {"announces_ignored", c.announces_ignored},
                       {"metadata", c.metadata},
                       {"names_too_long", c.names_too_long},
                       {"requests", c.requests},
                       {"malformed", c.requests_malformed},
                       {"requests_without_channel", c.requests_without_channel},
                       {"requests_bad_stream", c.requests_bad_stream},
                       {"requests_refused", c.requests_refused},
                       {"requests_over_rate", c.requests_over_rate},
                       {"answers", {{"OK", c.answers[1]}, {"NOT_FOUND", c.answers[2]}, {"ERROR", c.answers[3]}}},
                       {"responses",
                        {{"sent", c.responses.sent},
                         {"expired", c.responses.expired},
                         {"refused", c.responses.refused},
                         {"failed", c.responses.failed},
                         {"too_large", c.responses.too_large},
                         {"evicted", c.responses.evicted},
                         {"idle_closed", c.responses.idle_closed}}},
                       {"forgotten", c.forgotten},
                       {"reconnects", c.reconnects}};
  print_json_line(context, dump(object));
}

Exit run_serve(const Context& context, const ServeArgs& args) {
  const discovery::LoadedDiscovery loaded = discovery::load_discovery_config(serve_tree(args), process_environment());
  for (const auto& problem : loaded.problems) {
    if (!problem.fatal) log(LogLevel::kWarn, "config", problem.line());
  }
  if (!loaded.ok()) throw Error(Code::kInvalidArgument, "the configuration cannot be used:\n", loaded.error_text());
  if (args.check) {
    print_config(context, loaded);
    return Exit::kOk;
  }

  install_signal_handlers();
  discovery::DiscoveryConfig config = loaded.config;
  if (config.aeron_dir.empty()) config.aeron_dir = transport::default_aeron_dir();
  std::unique_ptr<transport::MediaDriver> media;
  if (args.embedded) {
    media = embed_media_driver(config.aeron_dir, "discovery");
  } else if (args.wait && !wait_for_media_driver(config.aeron_dir)) {
    return Exit::kOk;
  }

  const uint64_t begin_ns = monotonic_ns();
  discovery::Provider provider(config);
  log(LogLevel::kInfo, "discovery", "ready: requests on ", config.request.channel, " stream ", config.request.stream_id, ", ",
      format_count(config.endpoints.size(), "driver"));
  if (context.json) {
    const json event = {
        {"event", "ready"}, {"pid", ::getpid()}, {"aeron_dir", config.aeron_dir}, {"request", endpoint_json(config.request)}};
    print_json_line(context, dump(event));
  }
  Idler idler(Idle::kBackoff);
  while (!stop_requested()) {
    idler.idle(provider.poll());
    if (media && !media->running()) {
      throw Error(Code::kUnavailable, "the embedded media driver ended by itself: was its directory ", media->dir(), " deleted?");
    }
  }
  print_summary(context, provider, static_cast<double>(monotonic_ns() - begin_ns) / 1e9);
  return Exit::kOk;
}

// ---- query -------------------------------------------------------------------------------------------------------------

struct QueryArgs {
  std::string config;
  PlaneFlags planes;
  std::string name;
  std::optional<uint32_t> stream_id, producer_id;
  std::optional<uint64_t> data_source_id;
  std::vector<std::string> tags;
  uint32_t client_id = 0;
  uint32_t timeout_ms = 0;
  uint32_t retry_ms = 0;
};

json stream_json(const client::DiscoveredStream& stream) {
  json object = {{"stream_id", stream.stream_id},
                 {"producer_id", stream.producer_id},
                 {"epoch", stream.epoch},
                 {"layout_version", stream.layout_version},
                 {"header_nslots", stream.header_nslots},
                 {"header_slot_bytes", stream.header_slot_bytes},
                 {"max_dims", stream.max_dims},
                 {"data_source_id", stream.data_source_id ? json(*stream.data_source_id) : json()},
                 {"driver_instance_id", stream.driver_instance_id},
                 {"driver_control_channel", stream.driver_control.channel},
                 {"driver_control_stream_id", stream.driver_control.stream_id},
                 {"header_region_uri", stream.header_region_uri},
                 {"data_source_name", stream.data_source_name},
                 {"tags", stream.tags}};
  object["pools"] = json::array();
  for (const auto& pool : stream.pools) {
    object["pools"].push_back(
        {{"pool_id", pool.pool_id}, {"nslots", pool.nslots}, {"stride_bytes", pool.stride_bytes}, {"region_uri", pool.region_uri}});
  }
  return object;
}

void print_stream(std::FILE* out, const client::DiscoveredStream& stream) {
  std::string strides, tags;
  for (const auto& pool : stream.pools) strides += concat(strides.empty() ? "" : " + ", format_bytes(pool.stride_bytes));
  for (const auto& tag : stream.tags) tags += concat(tags.empty() ? ", tags " : " ", printable(tag, 64));
  fmt::print(out, "stream {}{}{} of driver {}, attach at {} stream {}\n", stream.stream_id,
             stream.data_source_name.empty() ? "" : " ", printable(stream.data_source_name), printable(stream.driver_instance_id),
             printable(stream.driver_control.channel), stream.driver_control.stream_id);
  fmt::print(out, "  epoch {}, {} slots of {}, {}{}\n", stream.epoch, stream.header_nslots, strides,
             stream.producer_id != 0 ? concat("producer ", stream.producer_id) : std::string("no producer"), tags);
}

Exit run_query(const Context& context, const QueryArgs& args) {
  const ConfigValue file = args.config.empty() ? ConfigValue() : read_toml_file(args.config);
  client::DiscoveryOptions options = discovery_options(args.planes, file, client::process_environment);
  if (args.timeout_ms > 0) options.timeout_ms = args.timeout_ms;
  if (args.retry_ms > 0) options.retry_interval_ms = args.retry_ms;
  options.client_id = args.client_id;
  install_signal_handlers();
  options.keep_waiting = [] { return !stop_requested(); };
  client::DiscoveryQuery query;
  query.name = args.name;
  query.stream_id = args.stream_id;
  query.producer_id = args.producer_id;
  query.data_source_id = args.data_source_id;
  query.tags = args.tags;

  client::DiscoveryClient discovery(options);
  const client::DiscoveryAnswer answer = discovery.query(query);
  if (answer.discarded > 0)
    log(LogLevel::kWarn, "discovery", format_count(answer.discarded, "result"), " left out: no attach could use them");
  if (answer.status == wire::DiscoveryStatus::error) {
    print_error(context.err, concat("discovery refused: ", answer.error_message.empty()
                                                               ? std::string("without a reason")
                                                               : printable(answer.error_message, wire::kMaxErrorMessageBytes)));
  }
  if (context.json) {
    json object = {{"request_id", answer.request_id}, {"status", wire::name_of(answer.status)}, {"error", answer.error_message}};
    object["results"] = json::array();
    for (const auto& stream : answer.streams) object["results"].push_back(stream_json(stream));
    print_json_line(context, dump(object));
  } else {
    for (const auto& stream : answer.streams) print_stream(context.out, stream);
  }
  if (answer.status == wire::DiscoveryStatus::error) return Exit::kFailed;
  if (!answer.streams.empty()) return Exit::kOk;
  if (!context.json) print_error(context.err, "no stream matches");
  return Exit::kNothing;
}

void add_serve(CLI::App& parent, Context& context) {
  auto args = std::make_shared<ServeArgs>();
  CLI::App* verb = parent.add_subcommand("serve", "hear drivers' announces, answer who has which stream");
  verb->add_option("--config,-c", args->config,
                   "TOML file with [discovery] or [discovery_registry]; [driver] of the same file fills in")
      ->type_name("FILE");
  verb->add_option("--instance-id", args->instance_id, "the driver's instance_id, as answers name it")->type_name("NAME");
  verb->add_flag("--embedded", args->embedded, "run a media driver in this process, unless one is alive already");
  verb->add_flag("--wait", args->wait, "wait for ever for the media driver");
  verb->add_flag("--check", args->check, "print the effective configuration, and leave");
  add_plane_flags(*verb, args->planes);
  add_discovery_flags(*verb, args->planes);
  add_common_flags(*verb, context);
  verb->footer(
      "Without a file it serves the driver that `tidepool driver` is by default. Ends in order on SIGINT and SIGTERM.\n"
      "With --json the first line on stdout is {\"event\":\"ready\",...}, the last one the summary.\n"
      "Exit codes: 0 served until told to stop, 1 failed, 2 usage.\n"
      "Examples:\n"
      "  tidepool discovery serve --config lab.toml\n"
      "  tidepool discovery serve --announce-stream 1001 --instance-id lab-a\n"
      "  tidepool discovery serve --config lab.toml --check");
  verb->callback([args, &context] { context.action = [args, &context] { return run_serve(context, *args); }; });
}

void add_query(CLI::App& parent, Context& context) {
  auto args = std::make_shared<QueryArgs>();
  CLI::App* verb = parent.add_subcommand("query", "ask which streams there are");
  const auto ms = CLI::Range(uint32_t{1}, std::numeric_limits<uint32_t>::max()).description("");
  verb->add_option("name", args->name, "data source name, exactly (default: any)")->type_name("NAME");
  verb->add_option("--stream-id", args->stream_id, "only this pool stream")->type_name("N");
  verb->add_option("--producer-id", args->producer_id, "only this producer's")->type_name("N");
  verb->add_option("--data-source-id", args->data_source_id, "only this data source's")->type_name("N");
  verb->add_option("--tag", args->tags, "only streams with this tag; may be repeated")->type_name("TAG")->allow_extra_args(false);
  verb->add_option("--client-id", args->client_id, "our id in requests (default: random)")->type_name("N");
  verb->add_option("--timeout-ms", args->timeout_ms, "how long to wait for an answer (default 5000)")->type_name("MS")->check(ms);
  verb->add_option("--retry-ms", args->retry_ms, "ask again after (default 1000)")->type_name("MS")->check(ms);
  verb->add_option("--config,-c", args->config, "TOML file: [client] discovery_*, or where its [discovery] listens")
      ->type_name("FILE");
  verb->add_option("--aeron-dir", args->planes.aeron_dir, "media driver's directory (default: AERON_DIR, then /dev/shm/aeron-USER)")
      ->type_name("DIR");
  add_discovery_flags(*verb, args->planes);
  add_common_flags(*verb, context);
  verb->footer(
      "All filters must hold. An answer is a hint: to use a stream, attach to the driver that it names.\n"
      "Exit codes: 0 streams were found, 1 failed (nobody answered, or the service refused), 2 usage, 3 nothing found.\n"
      "Examples:\n"
      "  tidepool discovery query\n"
      "  tidepool discovery query cam1 --json\n"
      "  tidepool discovery query --tag left --tag calibrated\n"
      "  tidepool discovery query --stream-id 10000 --timeout-ms 500");
  verb->callback([args, &context] { context.action = [args, &context] { return run_query(context, *args); }; });
}

}  // namespace

void add_discovery(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("discovery", "which streams are there: the service, and questions to it");
  verb->require_subcommand(1);
  add_serve(*verb, context);
  add_query(*verb, context);
  verb->footer(
      "Both take --json; see `tidepool discovery serve --help` and `tidepool discovery query --help`.\n"
      "Examples:\n"
      "  tidepool discovery serve --config lab.toml\n"
      "  tidepool discovery query cam1 --json");
}

}  // namespace tidepool::cli

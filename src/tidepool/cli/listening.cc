#include "tidepool/cli/listening.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/client/endpoints.h"
#include "tidepool/transport/media_driver.h"

namespace tidepool::cli {
namespace {

constexpr int kFragmentsAPoll = 256;

std::vector<client::Endpoint> endpoints_of(const client::Settings& settings, Plane plane) {
  switch (plane) {
    case Plane::kAnnounce: return {settings.announce};
    case Plane::kDescriptor: return {settings.descriptor};
    case Plane::kQos: return {settings.qos};
    case Plane::kMetadata: return {settings.metadata};
    case Plane::kDiscovery: {
      if (settings.discovery.request.stream_id == 0) return {};  // off
      std::vector<client::Endpoint> out = {settings.discovery.request};
      if (!settings.discovery.response.channel.empty()) out.push_back(settings.discovery.response);
      return out;
    }
    case Plane::kControl: break;
  }
  return {settings.control};
}

}  // namespace

void add_listen_flags(CLI::App& verb, ListenFlags& flags) {
  verb.add_option("--config,-c", flags.config, "TOML file: [client], and what it leaves out from [driver]")->type_name("FILE");
  add_plane_flags(verb, flags.planes);
}

client::Settings listen_settings(const ListenFlags& flags) {
  ClientFlags client;
  client.planes = flags.planes;
  client.config = flags.config;
  return client::resolve(client_options(client, read_config(client), client::process_environment), client::process_environment);
}

bool media_driver_alive(const std::string& aeron_dir) {
  return transport::media_driver_status(aeron_dir, 5'000).alive;
}

Listener::Listener(const client::Settings& settings, const std::set<Plane>& planes) {
  transport::ConnectionOptions options;
  options.aeron_dir = settings.aeron_dir;
  options.client_name = "tidepool listener";
  connection_ = transport::Connection::open(options);
  // All of them first, so that an ear knows who shares it; then only those that are wanted are subscribed.
  for (const Plane plane : kAllPlanes) {
    for (const client::Endpoint& endpoint : endpoints_of(settings, plane)) {
      auto ear = std::find_if(ears_.begin(), ears_.end(),
                              [&](const Ear& known) { return client::same_stream({known.channel, known.stream_id}, endpoint); });
      if (ear == ears_.end()) ear = ears_.insert(ear, Ear{endpoint.channel, endpoint.stream_id, {}, nullptr});
      ear->planes.insert(plane);
    }
  }
  if (planes == std::set<Plane>{Plane::kDiscovery} && settings.discovery.request.stream_id == 0)
    throw Error(Code::kInvalidArgument, "discovery is off (discovery_stream_id = 0): give --discovery-stream to listen to it");
  const bool announces = planes.contains(Plane::kAnnounce);
  std::erase_if(ears_, [&](const Ear& ear) {
    const bool wanted = std::any_of(ear.planes.begin(), ear.planes.end(), [&](Plane plane) { return planes.contains(plane); });
    return !wanted && !(announces && ear.planes.contains(Plane::kControl));
  });
  for (Ear& ear : ears_) {
    const auto gone = [lost = images_lost_](int32_t session_id) {
      ++*lost;
      log(LogLevel::kDebug, "listen", "session ", session_id, " is not heard any more");
    };
    ear.subscription =
        connection_->add_subscription(transport::with_parameter(ear.channel, "tether", "false"), ear.stream_id, {}, gone);
  }
}

int Listener::poll(const Sink& sink) noexcept {
  int work = connection_->poll();
  for (const Ear& ear : ears_) {
    work += ear.subscription->poll([&](Bytes message, const transport::MessageInfo& info) { sink(message, info, ear); },
                                   kFragmentsAPoll);
  }
  return work;
}

void Listener::check() const {
  if (!connection_->alive())
    throw Error(Code::kUnavailable, "the media driver at ", connection_->aeron_dir(), " is gone: ", connection_->failure());
}

}  // namespace tidepool::cli

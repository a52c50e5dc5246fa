#pragma once
// Listening to a deployment's planes without being part of it: every subscription untethered, so that a slow terminal holds
// nobody back (rulings P-6), and nothing is ever published.

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tidepool/cli/client_flags.h"
#include "tidepool/client/options.h"
#include "tidepool/control/describe.h"
#include "tidepool/transport/connection.h"

namespace tidepool::cli {

using control::Plane;
inline constexpr Plane kAllPlanes[] = {Plane::kControl, Plane::kAnnounce,  Plane::kDescriptor,
                                       Plane::kQos,     Plane::kMetadata, Plane::kDiscovery};

// --aeron-dir, every plane's flags but discovery's, and --config for what they leave out.
struct ListenFlags {
  PlaneFlags planes;
  std::string config;
};
void add_listen_flags(CLI::App& verb, ListenFlags& flags);
// As a client has it: flag, environment (CLIENT_*), file, default (rulings P-12). Throws Error.
client::Settings listen_settings(const ListenFlags& flags);

// Is there somebody to listen at? One of ours that was killed is known dead at once, by its lock; others by their heartbeat.
bool media_driver_alive(const std::string& aeron_dir);

// One Aeron stream that is listened to, and the planes that share it.
struct Ear {
  std::string channel;
  int32_t stream_id = 0;
  std::set<Plane> planes;  // of the deployment, asked for or not
  std::shared_ptr<transport::Subscription> subscription;
};

// Thread safety: one thread.
class Listener {
 public:
  using Sink = std::function<void(Bytes message, const transport::MessageInfo& info, const Ear& ear)>;

  // Subscribes to the streams of `planes`; announces may come on the control stream, too (wire.md 2). Discovery has two, for requests
  // and for answers to who names no stream of its own, as far as they are known (UDP: what is given). Throws Error kUnavailable
  // with what to start when there is no media driver.
  Listener(const client::Settings& settings, const std::set<Plane>& planes);

  // Deliver what has arrived; returns the number of fragments. `sink` must not throw.
  int poll(const Sink& sink) noexcept;
  // Throws Error kUnavailable when the media driver has died.
  void check() const;

  const std::vector<Ear>& ears() const noexcept { return ears_; }
  const std::string& aeron_dir() const noexcept { return connection_->aeron_dir(); }
  // Publishers that went away or left us behind while we listened: what they said meanwhile was not heard.
  uint64_t images_lost() const noexcept { return *images_lost_; }

 private:
  std::shared_ptr<transport::Connection> connection_;
  std::shared_ptr<uint64_t> images_lost_ = std::make_shared<uint64_t>(0);
  std::vector<Ear> ears_;
};

}  // namespace tidepool::cli

#pragma once
// Answers on their way out: a publication for each endpoint that requests named, made without waiting, kept in a bounded cache, and
// the answers that wait for one (DS-5, DS-30, DS-31, DS-36).
//
// Thread safety: one thread, the one that polls the connection.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tidepool/services/discovery/config.h"
#include "tidepool/services/discovery/counts.h"
#include "tidepool/transport/connection.h"
#include "tidepool/wire/messages.h"

namespace tidepool::discovery {

class Responses {
 public:
  static constexpr size_t kMaxWaiting = 1024;
  static constexpr size_t kMaxWaitingBytes = 16u << 20;
  static constexpr size_t kMaxMessageBytes = 16u << 20;  // what any Aeron publication takes at most

  Responses(std::shared_ptr<transport::Connection> connection, const DiscoveryConfig& config);

  // Send now, or keep until somebody takes it or the linger is over.
  void send(const Endpoint& to, const wire::DiscoveryResponse& response, uint64_t now_ns);
  // One look at everything that waits, and at publications left idle. Returns the work done.
  int poll(uint64_t now_ns);

  size_t waiting() const noexcept { return waiting_; }
  size_t publications() const noexcept { return destinations_.size(); }
  const ResponseCounts& counts() const noexcept { return counts_; }

 private:
  struct Waiting {
    std::vector<std::byte> bytes;
    uint64_t request_id = 0;
    uint64_t deadline_ns = 0;
    bool tried = false;
  };
  struct Destination {
    std::unique_ptr<transport::PendingPublication> pending;
    std::shared_ptr<transport::Publication> publication;  // nullptr while pending
    std::deque<Waiting> waiting;
    uint64_t used_ns = 0;
  };
  using Destinations = std::map<std::pair<std::string, int32_t>, Destination>;

  Destination* open(const Endpoint& to, uint64_t now_ns);
  void evict_one();
  // False: the destination is of no use any more.
  bool drive(const Endpoint& to, Destination& destination, uint64_t now_ns, int& work);
  bool send_front(const Endpoint& to, Destination& destination, uint64_t now_ns, int& work);
  void drop_front(Destination& destination, uint64_t& count);
  void drop_all(Destination& destination, uint64_t& count);

  std::shared_ptr<transport::Connection> connection_;
  uint64_t linger_ns_;
  uint64_t idle_ns_;
  size_t max_publications_;
  Destinations destinations_;
  size_t waiting_ = 0;
  size_t waiting_bytes_ = 0;
  std::vector<std::byte> scratch_;
  ResponseCounts counts_;
};

}  // namespace tidepool::discovery

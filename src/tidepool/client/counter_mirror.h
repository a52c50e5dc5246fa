#pragma once
// Shows what producers and consumers count in the media driver's counters file (docs/formats/counters.md): off the data path,
// mirrored once in each of the conductor's duty cycles.
//
// Thread safety: the conductor's thread.

#include <cstdint>
#include <memory>
#include <vector>

#include "tidepool/client/session.h"
#include "tidepool/transport/connection.h"
#include "tidepool/transport/counters.h"
#include "tidepool/wire/messages.h"

namespace tidepool::client {

class CounterMirror {
 public:
  // Went out for one of our sessions: counted by its client id (D-66).
  void sent(const wire::QosProducer& message) noexcept { count(message.producer_id, &Shown::qos); }
  void sent(const wire::QosConsumer& message) noexcept { count(message.consumer_id, &Shown::qos); }
  void sent(const wire::ConsumerHello& message) noexcept { count(message.consumer_id, &Shown::hellos); }

  // The end of a duty cycle in which `work` was done. A session has counters from a little after its first lease on, so that a
  // dozen of registrations do not stand between an attach and its first frames; then as long as it lives. `connection`: nullptr
  // while there is no media driver.
  void show(const std::vector<std::shared_ptr<Session>>& sessions, const std::shared_ptr<transport::Connection>& connection,
            int work, uint64_t now_ns);
  // The media driver has gone, and its counters with it. What was counted goes on.
  void lose_connection() noexcept;

 private:
  struct Shown {
    const Session* session = nullptr;
    uint32_t client_id = 0;  // of the counters
    uint32_t stream_id = 0;
    uint64_t due_ns = 0;     // when they are asked for
    bool refused = false;    // not asked for again at this media driver
    std::unique_ptr<transport::CounterSet> set;
    uint64_t duty_cycles = 0;
    uint64_t work = 0;
    uint64_t qos = 0;
    uint64_t hellos = 0;
  };
  void count(uint32_t client_id, uint64_t Shown::* what) noexcept;
  Shown& of(const Session& session);
  static void open(Shown& shown, transport::Connection& connection);
  static void fill(Shown& shown);

  std::vector<Shown> shown_;
};

}  // namespace tidepool::client

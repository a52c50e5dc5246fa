#pragma once
// A producer's book of its consumers: what each asked for, who answered it, what is open for it (wire.md 10, driver.md 13;
// docs/protocols/consumer-streams.md).
//
// Thread safety: the conductor's thread. Time comes in as an argument.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tidepool/client/audience.h"
#include "tidepool/client/client.h"
#include "tidepool/client/progress.h"
#include "tidepool/wire/messages.h"

namespace tidepool::client {

// How a desk reaches the world: its session's port, or a test.
class DeskPort {
 public:
  virtual ~DeskPort() = default;
  virtual transport::SendResult send(const wire::ConsumerConfig& message) = 0;
  // Throws Error.
  virtual std::shared_ptr<transport::Publication> publication(const Endpoint& endpoint) = 0;
  virtual std::shared_ptr<transport::Publication> control_publication() = 0;
};

class ConsumerDesk {
 public:
  static constexpr size_t kMaxConsumers = 1024;  // W-93

  struct Rules {
    ConsumerStreamPolicy policy;
    std::vector<Endpoint> shared;        // planes: never one consumer's (W-71)
    Endpoint shared_descriptor;          // an assignment of it is none (WX-12)
    Endpoint shared_control;
    uint64_t stale_ns = 0;               // W-75
    uint64_t answer_after_ns = 0;        // D-67: a second behind a driver, 0 alone
    bool follow_others = true;           // W-74; false: only our own Configs count
    bool descriptors = true;             // false: no descriptors are sent at all: such requests are declined
    std::string fallback_uri;
    ProgressPolicy progress_floor;
  };

  ConsumerDesk(Rules rules, DeskPort& port) : rules_(std::move(rules)), port_(port) {}

  // Messages about `stream_id`, the stream of our lease; others are ignored (W-10). `session_id`: the sender's Aeron session.
  void on(const wire::ConsumerHello& hello, int32_t session_id, uint32_t stream_id, uint64_t now_ns);
  void on(const wire::QosConsumer& qos, uint32_t stream_id, uint64_t now_ns);
  // `own`: what we sent, come back. Applied like another's: the last one in the log counts for everybody.
  void on(const wire::ConsumerConfig& config, bool own, uint32_t stream_id, uint64_t now_ns);
  // A publisher has left the control stream; a consumer's lease has ended.
  void left(int32_t session_id);
  void ended(uint32_t consumer_id);

  // Answers that are due, consumers that are stale. Returns work done.
  int poll(uint32_t stream_id, uint64_t now_ns);

  // A new lease: nobody was listened to for a while, so nobody is silent yet.
  void resume(uint64_t now_ns) noexcept;

  // Publications that can carry no more are replaced (W-53).
  void renew_publications();
  // Everything is forgotten: the planes have gone.
  void clear();

  // What the publishing thread shall know; the same object as long as nothing changed.
  const std::shared_ptr<const Audience>& audience();
  // True once after each change of audience().
  bool take_changed() noexcept { return std::exchange(changed_, false); }

  size_t consumer_count() const noexcept { return consumers_.size(); }
  size_t stream_count() const noexcept;  // open for single consumers
  uint64_t answers() const noexcept { return answers_; }

 private:
  struct Wish {
    std::string channel;
    uint32_t stream_id = 0;
    bool operator==(const Wish&) const = default;
  };
  // One of the two streams that a consumer may have.
  struct Plane {
    Wish wish;                                      // of the last Hello
    std::optional<Wish> answered;                   // the wish that the last Config found
    Wish failed;                                    // could not be opened: not tried again
    Endpoint assigned;                              // id 0: none
    std::shared_ptr<transport::Publication> publication;
  };
  struct Entry {
    int32_t session_id = 0;
    bool said_hello = false;
    uint64_t heard_ns = 0;
    uint64_t open_since_ns = 0;                     // an answer is owed since; 0: none is
    bool config_due = false;                        // ours did not go out yet
    bool answered_by_us = false;                    // the last Config for it was ours
    bool wants_fallback = false;
    bool fallback_answered = false;
    bool supports_progress = false;
    ProgressOffer offer;
    wire::Mode mode = wire::Mode::stream;           // of the Hello
    std::optional<wire::Mode> config_mode;          // of the last Config
    uint32_t max_rate_hz = 0;
    Plane descriptor, control;
  };

  bool owes(const Plane& plane) const noexcept;
  void close(Plane& plane) noexcept;
  void assign(Plane& plane, const Endpoint& endpoint, const Endpoint& shared, uint32_t consumer_id);
  void answer(Plane& plane, bool descriptors, uint32_t consumer_id);
  std::string refusal(const Endpoint& endpoint, const Plane& plane) const;
  void answer(Entry& entry, uint32_t consumer_id);
  void send_config(Entry& entry, uint32_t stream_id, uint32_t consumer_id);
  void forget(std::map<uint32_t, Entry>::iterator at, std::string_view why);
  void touch() noexcept;
  Entry* find_or_add(uint32_t consumer_id, uint64_t now_ns);

  const Rules rules_;
  DeskPort& port_;
  std::map<uint32_t, Entry> consumers_;  // by consumer id
  std::shared_ptr<const Audience> audience_ = std::make_shared<const Audience>();
  bool stale_audience_ = false;  // audience_ has to be made anew
  bool changed_ = false;
  bool said_full_ = false;
  uint64_t answers_ = 0;
};

}  // namespace tidepool::client

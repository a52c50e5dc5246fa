#pragma once
// What the driver sends, in the order of driver.md 10, over two planes: control, and announce where that is a stream of
// its own (D-45).
//
//   owed  responses, revocations, announces that follow an event, answers to hellos, the shutdown notice: in order, kept over
//         back pressure (D-6)
//   soft  periodic announces: sent now or not at all, and not while anything is owed
//
// One order across both planes: a message waits until those before it have left, on whichever plane. Announces that wait
// longer than `patience_ns` for a stuck announce stream no longer hold control back; their own order stays.
//
// Thread safety: one thread.

#include <cstdint>
#include <deque>
#include <memory>
#include <variant>

#include "tidepool/control/sender.h"
#include "tidepool/services/driver/streams.h"
#include "tidepool/wire/messages.h"

namespace tidepool::driver {

// The announce of a stream as it is now (content of driver.md 9). `producer_id`: client id of the producer lease, or 0.
wire::ShmPoolAnnounce announce_of(const Stream& stream, uint32_t producer_id, uint64_t now_ns);

class Outbox {
 public:
  static constexpr size_t kMaxOwed = control::Sender::kMaxOwed;

  // The same publication twice: announces go over the control stream.
  Outbox(std::shared_ptr<transport::Publication> control, std::shared_ptr<transport::Publication> announce, uint64_t patience_ns);

  // Callers look at owed() before they take new work on; what is beyond kMaxOwed would be lost, and says so by false.
  template <typename Message>
  [[nodiscard]] bool owe(Message message) {
    if (owed() >= kMaxOwed) return false;
    waiting_.emplace_back(std::move(message));
    return true;
  }
  // Periodic: false when it was not sent since something is owed or in the way.
  bool announce_softly(const wire::ShmPoolAnnounce& announce);

  // Send what can be sent. Returns how many messages are owed no longer.
  int flush(uint64_t now_ns);
  size_t owed() const noexcept;
  bool closed() const noexcept { return control_.closed() || (announce_ && announce_->closed()); }
  // Somebody hears the control stream: at least our own subscription, once the media driver has joined them.
  bool connected() const noexcept { return control_.publication().connected(); }

 private:
  using Owed = std::variant<wire::ShmPoolAnnounce, wire::ShmAttachResponse, wire::ShmDetachResponse, wire::ShmLeaseRevoked,
                            wire::ShmDriverShutdown, wire::ConsumerConfig>;
  control::Sender& plane_of(const Owed& message) noexcept;

  control::Sender control_;
  std::unique_ptr<control::Sender> announce_;  // nullptr: the control plane
  std::deque<Owed> waiting_;                   // not yet with a sender
  uint64_t patience_ns_;
  uint64_t blocked_since_ns_ = 0;              // control waits for the announce plane since then; 0: it does not
};

}  // namespace tidepool::driver

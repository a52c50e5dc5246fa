#pragma once
// Typed sending over one publication: soft-state messages that may be dropped, and owed ones that never are (D-6).
//
// Thread safety: one thread.

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "tidepool/transport/connection.h"
#include "tidepool/wire/messages.h"

namespace tidepool::control {

// One sender for one publication: everybody who owes messages on it shares the queue, or there is no order to keep.
class Sender {
 public:
  static constexpr size_t kMaxOwed = 4096;
  static constexpr size_t kMaxOwedBytes = 16 << 20;  // longest ones first reach this (W-93)

  explicit Sender(std::shared_ptr<transport::Publication> publication);

  // Send now, or drop: announces, hellos, QoS. A soft message behind an owed one waits its turn: it is refused with
  // kBackPressured while anything is owed. kTooLong: a field is beyond its limit, or the channel takes no such length.
  template <typename Message>
  transport::SendResult send(const Message& message);

  // Send in order behind what is owed, now or as soon as the publication takes it; kept over back pressure and admin
  // action. Returns false when kMaxOwed messages or kMaxOwedBytes are queued already: refuse new work instead (D-6). An
  // announce that must follow a revocation is owed too (driver.md 10). Throws Error kInvalidArgument when a field is
  // beyond its limit or the channel takes no such length, which no waiting would cure.
  template <typename Message>
  [[nodiscard]] bool owe(const Message& message);

  // Send what is owed. Returns how many went out. Messages for a publication that says kNotConnected are dropped and
  // counted: there is nobody to owe them to. Those for a closed publication stay.
  int flush() noexcept;
  size_t owed() const noexcept { return owed_.size(); }
  uint64_t dropped() const noexcept { return dropped_; }  // owed ones that nobody was there for
  bool closed() const noexcept { return publication_->closed(); }
  transport::Publication& publication() const noexcept { return *publication_; }

 private:
  transport::SendResult send_bytes(Bytes message) noexcept;
  bool owe_bytes(Bytes message);
  // Room for a message of `bytes`, at the same place from call to call.
  MutableBytes scratch(size_t bytes);

  std::shared_ptr<transport::Publication> publication_;
  std::deque<std::vector<std::byte>> owed_;
  size_t owed_bytes_ = 0;
  uint64_t dropped_ = 0;
  std::vector<std::byte> scratch_;
};

// Sends a frame descriptor: no allocation, no copy, never blocks (W-53). Each descriptor is tried once, and once more when
// the first try met the end of a term (kAdminAction), since it has then been turned over; what is lost is counted by cause.
// Thread safety: one thread for one set of counts.
struct DescriptorCounts {
  uint64_t sent = 0;
  uint64_t not_connected = 0;
  uint64_t back_pressured = 0;
  uint64_t admin_action = 0;
  uint64_t closed = 0;
  uint64_t max_position = 0;
  uint64_t errors = 0;
  bool operator==(const DescriptorCounts&) const = default;
};
transport::SendResult send_descriptor(transport::Publication& publication, const wire::FrameDescriptor& descriptor,
                                      DescriptorCounts& counts) noexcept;

}  // namespace tidepool::control

#include "tidepool/control/sender_inl.h"

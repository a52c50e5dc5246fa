#pragma once
// The switch on schema and template, written once for every plane (W-4, W-10, D-2, DS-4).
//
// A handler implements `void on(const wire::M& message, const transport::MessageInfo& info)` for the messages it wants,
// any subset. Everything else is counted and ignored: foreign schemas and templates silently, bad ones by cause. Every
// participant hears its own messages back (W-94): handlers filter by stream and client id themselves.
//
// Thread safety: one thread for one handler and its counts. Fixed-size messages (descriptors, progress, keepalives, QoS)
// are decoded without allocating.

#include <cstdint>

#include "tidepool/base/bytes.h"
#include "tidepool/transport/connection.h"
#include "tidepool/wire/messages.h"

namespace tidepool::control {

// Each message counts once, but for `failed`, which are among the handled (or the unsupported).
struct DispatchCounts {
  uint64_t handled = 0;
  uint64_t ignored = 0;      // a known message that this handler does not want; its body is not looked at
  uint64_t foreign = 0;      // runts, other schemas, unknown templates (W-4)
  uint64_t unsupported = 0;  // version not 1 (W-5)
  uint64_t malformed = 0;    // lengths or values contradict the tables (W-5, W-6, W-9, D-4)
  uint64_t failed = 0;       // the handler threw: a fault of ours, logged, and no reason to stop for the next message
  bool operator==(const DispatchCounts&) const = default;
};

// A ShmAttachRequest of a newer version, which a driver answers (driver.md 5.2 row 1): handlers that want it implement
// `void on_unsupported_attach(int64_t correlation_id, const transport::MessageInfo& info)`.
template <typename Handler>
void dispatch(Bytes message, const transport::MessageInfo& info, Handler& handler, DispatchCounts& counts) noexcept;

}  // namespace tidepool::control

#include "tidepool/control/dispatch_inl.h"

#pragma once
// May this client attach? The checks of driver.md 5.2 in their order, as a function of the driver's state that changes
// nothing (D-8). Rows 1 and 2 are the dispatcher's, row 22 is the making of the epoch.

#include <cstdint>
#include <string_view>
#include <unordered_set>

#include "tidepool/services/driver/config.h"
#include "tidepool/services/driver/leases.h"
#include "tidepool/services/driver/node_ids.h"
#include "tidepool/services/driver/streams.h"
#include "tidepool/wire/messages.h"

namespace tidepool::driver {

// What a request is judged against.
struct AttachView {
  const DriverConfig& config;
  bool running;       // not draining
  bool on_hugetlbfs;  // the base directory
  Leases& leases;
  const Streams& streams;
  const NodeIds& nodes;
  const std::unordered_set<uint32_t>& attaching_clients;  // their epoch is being made
  uint64_t now_ns;
};

struct AttachVerdict {
  enum class Kind : uint8_t {
    kRefuse,  // answer code and text
    kRepeat,  // the same request again: answer with `lease` as it is (row 8)
    kWait,    // an epoch of its stream, or for its client, is being made: judge again when that is done
    kGrant,   // make a lease on stream_id, after an epoch if needs_epoch says so
  };
  Kind kind = Kind::kRefuse;
  wire::ResponseCode code = wire::ResponseCode::ok;
  std::string_view text;
  const Lease* lease = nullptr;
  // kGrant:
  wire::Role role = wire::Role::producer;
  uint32_t stream_id = 0;
  const Profile* profile = nullptr;
  bool new_stream = false;
  bool needs_epoch = false;
  uint32_t node_id = 0;
};

AttachVerdict judge_attach(const wire::ShmAttachRequest& request, const AttachView& view);

}  // namespace tidepool::driver

#pragma once
// What the service knows: one entry for each stream of each driver (discovery.md 4, 5.1). Pure state, told what time it is.
//
// Thread safety: one thread.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tidepool/services/discovery/config.h"
#include "tidepool/wire/messages.h"

namespace tidepool::discovery {

// The order of answers (DS-26). The same stream id under two drivers is two streams (DS-3).
struct EntryKey {
  std::string instance_id;
  uint32_t stream_id = 0;
  auto operator<=>(const EntryKey&) const = default;
};

struct Entry {
  // By ShmPoolAnnounce alone (DS-11).
  bool announced = false;
  uint64_t announced_ns = 0;  // the last accepted one, by our monotonic clock
  uint32_t producer_id = 0;
  uint64_t epoch = 0;
  uint32_t layout_version = 0;
  uint32_t header_nslots = 0;
  std::string header_region_uri;
  std::vector<wire::PoolEntry> pools;
  // By DataSourceAnnounce.
  std::string data_source_name;
  uint64_t metadata_ns = 0;
  // By configuration.
  std::optional<uint64_t> data_source_id;
  std::vector<std::string> tags;
  bool visible = true;
  // Of the endpoint that it was heard on.
  std::string driver_control_channel;
  uint32_t driver_control_stream_id = 0;
};

// What became of a message, for counting.
enum class Heard : uint8_t {
  kAccepted,
  kStreamZero,   // DS-12
  kGeometry,     // DS-12: slots, pools, URIs
  kTooManyPools,
  kOldEpoch,     // DS-13
  kFull,         // every entry is live
};

class Index {
 public:
  static constexpr size_t kMaxEntries = 4096;
  static constexpr size_t kMaxNeverAnnounced = 1024;
  static constexpr size_t kMaxNameBytes = 256;  // DS-18

  // `config` is copied as far as it is needed.
  explicit Index(const DiscoveryConfig& config);

  Heard heard(const DriverEndpoint& from, const wire::ShmPoolAnnounce& announce, uint64_t now_ns);
  Heard heard(const DriverEndpoint& from, const wire::DataSourceAnnounce& announce, uint64_t now_ns);

  // Announced, and not expired (DS-15, DS-17).
  bool live(const Entry& entry, uint64_t now_ns) const noexcept;
  // Forget what expired long ago (DS-16). Returns how many went.
  int forget(uint64_t now_ns);

  const std::map<EntryKey, Entry>& entries() const noexcept { return entries_; }
  // Access rules are in force: some stream is hidden (DS-28).
  bool hides_streams() const noexcept { return hides_streams_; }
  uint64_t names_too_long() const noexcept { return names_too_long_; }

 private:
  Entry* find_or_make(const DriverEndpoint& from, uint32_t stream_id, uint64_t now_ns);
  bool make_room(uint64_t now_ns, bool for_metadata);

  uint64_t expiry_ns_;
  size_t max_pools_;
  std::map<EntryKey, ConfiguredStream> configured_;
  bool hides_streams_ = false;
  std::map<EntryKey, Entry> entries_;
  size_t never_announced_ = 0;
  uint64_t next_forget_ns_ = 0;
  uint64_t names_too_long_ = 0;
};

}  // namespace tidepool::discovery

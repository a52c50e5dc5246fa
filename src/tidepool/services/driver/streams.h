#pragma once
// The streams of a driver (driver.md 4, 12): the configured ones, and those made on request out of the dynamic ranges.
//
// Thread safety: one thread.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/pool/epoch_map.h"
#include "tidepool/pool/geometry.h"
#include "tidepool/services/driver/config.h"

namespace tidepool::driver {

struct Stream {
  uint32_t stream_id = 0;
  std::string profile;
  bool dynamic = false;
  bool provisional = false;       // dynamic and waiting for its first epoch: shown to nobody, gone if that fails
  bool busy = false;              // an epoch is being made: attach requests for it wait
  uint64_t epoch = 0;             // current; 0: none, never announced
  uint64_t highest_epoch = 0;     // ever tried: the next one is above it (D-31)
  pool::EpochRegions regions;     // of `epoch`
  std::shared_ptr<pool::EpochMap> map;
  uint64_t producer_lease = 0;    // 0: none
  uint32_t consumers = 0;         // leases
  uint64_t next_announce_ns = 0;
  uint64_t unused_since_ns = 0;   // dynamic: no lease since then

  // Epochs that were current, and since when they are not: collection counts their age from there (driver.md 8.6).
  struct Superseded {
    uint64_t epoch;
    uint64_t at_ns;
  };
  std::vector<Superseded> superseded;

  bool unused() const noexcept { return producer_lease == 0 && consumers == 0; }
};

class Streams {
 public:
  explicit Streams(const DriverConfig& config);

  Stream* find(uint32_t stream_id) noexcept;
  const Stream* find(uint32_t stream_id) const noexcept;

  bool has_ranges() const noexcept { return !ranges_.empty(); }
  bool in_ranges(uint32_t stream_id) const noexcept;
  // The next free id of the ranges, cycling from the last one given; nullopt: all are in use. Changes nothing.
  std::optional<uint32_t> next_free_id() const noexcept;
  // The id was chosen by next_free_id() and is granted now.
  void given(uint32_t stream_id) noexcept { last_given_ = stream_id; }

  Stream& add_dynamic(uint32_t stream_id, std::string profile);
  // Forget a dynamic stream; a later one of that id continues above its epochs.
  void erase(uint32_t stream_id);

  auto begin() noexcept { return streams_.begin(); }
  auto end() noexcept { return streams_.end(); }
  auto begin() const noexcept { return streams_.begin(); }
  auto end() const noexcept { return streams_.end(); }

 private:
  std::vector<IdRange> ranges_;
  std::map<uint32_t, Stream> streams_;
  uint32_t last_given_ = 0;
  uint64_t forgotten_epoch_ = 0;  // highest of all forgotten streams
};

}  // namespace tidepool::driver

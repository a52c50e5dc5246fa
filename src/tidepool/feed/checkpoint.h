#pragma once
// Where a reader was, to go on from there in another life (F-85). 128 bytes, opaque to who keeps them; or kept by name in the
// user's state directory.

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "tidepool/feed/registry.h"

namespace tidepool::feed {

struct Checkpoint {
  Id base_id{};
  Id feed_id{};
  uint64_t epoch = 0;     // that the last record read was written in; 0: none was read
  uint64_t next_seq = 0;  // the first record that was not read
  uint64_t ordinal = 0;   // of its chunk, as a hint
  uint64_t clocks[kClocksMax] = {};  // of the last record read
  uint64_t schema_hash = 0;
  uint64_t offset = 0;     // in that chunk's data area, of the record next_seq; a hint as well
  uint32_t schema_id = 0;  // of that chunk's records; 0: not known

  static constexpr size_t kBytes = 128;
  std::array<std::byte, kBytes> encode() const;
  // nullopt: torn, damaged, or none at all.
  static std::optional<Checkpoint> decode(Bytes bytes) noexcept;

  // `name` as for feeds; `directory` empty: $XDG_STATE_HOME/tidepool/checkpoints, else ~/.local/state/tidepool/checkpoints.
  void save(const std::string& name, const std::string& directory = {}, Files& files = Files::system()) const;
  // The newest whole one of that name for that feed; nullopt: none.
  static std::optional<Checkpoint> load(const std::string& name, const Id& feed_id, const std::string& directory = {}, Files& files = Files::system());
};

}  // namespace tidepool::feed

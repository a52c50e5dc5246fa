#pragma once
// Puts the blobs of one stream together from their chunks (wire.md 5.11, 14; W-90). A fault discards the blob: there is no
// repair, the producer's next round brings it again.
//
// An announce, its chunks and its end share stream and version; they are also held apart by Aeron session, so that two
// publishers do not spoil each other's.
//
// Thread safety: one thread. Memory: at most max_in_progress x max_blob_bytes, and no more than was received.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "tidepool/client/metadata.h"

namespace tidepool::client {

class BlobAssembler {
 public:
  struct Limits {
    uint64_t max_blob_bytes = 0;   // 0: none are wanted
    size_t max_in_progress = 4;    // the one not continued for longest goes
    uint64_t patience_ns = 0;      // not continued for so long: discarded
  };
  struct Finished {
    uint32_t meta_version = 0;
    std::shared_ptr<const Blob> blob;
  };

  explicit BlobAssembler(const Limits& limits) : limits_(limits) {}

  // Of this stream: the caller has looked (W-10).
  void heard(const wire::MetaBlobAnnounce& announce, int32_t session_id, uint64_t now_ns);
  void heard(const wire::MetaBlobChunk& chunk, int32_t session_id, uint64_t now_ns);
  // The blob, if this was the end of a whole one.
  std::optional<Finished> heard(const wire::MetaBlobComplete& complete, int32_t session_id, uint64_t now_ns);

  // A new epoch: nothing in progress and nothing known belongs to it.
  void clear();

  size_t in_progress() const noexcept { return parts_.size(); }
  const BlobCounters& counters() const noexcept { return counters_; }

 private:
  struct Part {
    int32_t session_id = 0;
    wire::MetaBlobAnnounce announce;
    std::string bytes;
    uint64_t received = 0;
    uint32_t crc = 0;
    uint64_t heard_ns = 0;
    bool known = false;  // complete already: heard out, not kept
  };
  static constexpr size_t kMaxKnown = 64;

  using Parts = std::vector<Part>;
  Parts::iterator find(uint32_t meta_version, int32_t session_id);
  void discard(Parts::iterator part, uint64_t& cause);
  void expire(uint64_t now_ns);

  const Limits limits_;
  Parts parts_;
  std::deque<wire::MetaBlobAnnounce> known_;  // of completed ones, the newest last
  BlobCounters counters_;
};

}  // namespace tidepool::client

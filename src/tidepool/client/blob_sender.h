#pragma once
// Sends a producer's blobs: each announced, cut into chunks and ended, one after the other, as fast as the metadata stream
// takes them and never waiting; then again now and then, since there is no request for them (wire.md 14).
//
// Thread safety: the conductor's thread.

#include <cstdint>
#include <memory>
#include <vector>

#include "tidepool/client/metadata.h"

namespace tidepool::client {

class Port;

class BlobSender {
 public:
  // From now on these, under `meta_version`. What was on its way is broken off: its version has passed.
  void set(std::vector<std::shared_ptr<const Blob>> blobs, uint32_t meta_version, uint64_t repeat_ns);
  // From the beginning: another media driver, another epoch.
  void restart() noexcept;

  // What can be sent now, some chunks at most. Returns how many messages went out.
  int step(Port& port, uint32_t stream_id, uint64_t now_ns);

 private:
  enum class Next : uint8_t { kAnnounce, kChunk, kComplete, kRest };

  std::vector<std::shared_ptr<const Blob>> blobs_;
  std::vector<uint64_t> checksums_;
  uint32_t meta_version_ = 0;
  uint64_t repeat_ns_ = 0;  // 0: once
  Next next_ = Next::kRest;
  size_t index_ = 0;        // of the blob at hand
  uint64_t offset_ = 0;     // of its next chunk
  uint64_t resume_ns_ = 0;  // not before
};

}  // namespace tidepool::client

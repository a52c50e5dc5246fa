#pragma once
// What one consumer knows of its stream's metadata: versions, newest and some before it, so that a frame's meta_version can be
// looked up (wire.md 14; W-87 to W-90; docs/protocols/metadata.md).
//
// Thread safety: any. The conductor tells it what was heard, applications look things up.
// Bounded (W-93): kMaxVersions and max_bytes, the oldest versions go first.

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "tidepool/client/blob_assembler.h"
#include "tidepool/client/metadata.h"

namespace tidepool::client {

class MetadataCache {
 public:
  static constexpr size_t kMaxVersions = 16;
  struct Options {
    uint32_t stream_id = 0;
    uint64_t max_bytes = 16 << 20;  // of all versions, blobs included
    uint64_t max_blob_bytes = 0;    // 0: blobs are ignored
    // The producer that we know was not heard for so long: a lower epoch or version is a successor's, not an old message.
    uint64_t silence_ns = 0;
    MetadataHandler on_change;
  };
  explicit MetadataCache(Options options);

  // ---- the conductor ----
  // Of any stream; `session_id` is the publisher's Aeron session.
  void heard(const wire::DataSourceAnnounce& announce, int32_t session_id, uint64_t now_ns);
  void heard(const wire::DataSourceMeta& meta, int32_t session_id, uint64_t now_ns);
  void heard(const wire::MetaBlobAnnounce& announce, int32_t session_id, uint64_t now_ns);
  void heard(const wire::MetaBlobChunk& chunk, int32_t session_id, uint64_t now_ns);
  void heard(const wire::MetaBlobComplete& complete, int32_t session_id, uint64_t now_ns);

  // ---- anybody ----
  // The newest version; nullptr: none was heard.
  std::shared_ptr<const Metadata> newest() const;
  // nullptr: not heard, or let go.
  std::shared_ptr<const Metadata> version(uint32_t version) const;
  // As version(), for a frame of `epoch`: what another epoch's producer said under that number does not count.
  std::shared_ptr<const Metadata> of_frame(uint64_t epoch, uint32_t version) const;
  MetadataCounters counters() const;

 private:
  using Versions = std::map<uint32_t, std::shared_ptr<const Metadata>>;

  // All with the mutex held.
  bool is_silent(uint64_t now_ns) const noexcept;
  bool is_passed(int32_t session_id) const noexcept;
  void set_passed(int32_t session_id, bool passed) noexcept;
  void forget();
  // The version's next state, or an empty one.
  Metadata draft(uint32_t version) const;
  // nullptr: too large.
  std::shared_ptr<const Metadata> keep(Metadata next);
  void tell(const std::shared_ptr<const Metadata>& changed) const;  // without the mutex

  const Options options_;
  mutable std::mutex mutex_;
  Versions versions_;         // GUARDED_BY(mutex_), as all below
  uint64_t epoch_ = 0;        // 0: no announce was heard
  uint64_t heard_ns_ = 0;     // last time that what is cached was said
  uint64_t bytes_ = 0;
  // Publishers whose last announce was of an epoch that has passed: attributes bear no epoch of their own.
  std::array<std::optional<int32_t>, 8> passed_{};
  size_t passed_next_ = 0;
  BlobAssembler blobs_;
  MetadataCounters counters_;
};

}  // namespace tidepool::client

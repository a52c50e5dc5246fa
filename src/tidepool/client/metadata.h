#pragma once
// What a stream's data is, as its producer says (wire.md 14; docs/protocols/metadata.md): values that an application sends and
// is handed.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/wire/messages.h"

namespace tidepool::client {

// What is too big for an attribute: a lens table, a firmware's description. Experimental in the protocol (WX-9): peers without
// it ignore it.
struct Blob {
  uint32_t type = 0;        // the application's own number; one blob of a type belongs to a version
  std::string bytes = {};
  bool operator==(const Blob&) const = default;
};

// What a producer's data is, announced to whoever asks (DataSourceAnnounce, DataSourceMeta).
struct DataSource {
  std::string name = {};
  std::string summary = {};
  std::vector<wire::Attribute> attributes = {};          // key, format (a MIME type), value; keys unique
  std::vector<std::shared_ptr<const Blob>> blobs = {};   // sent after them, in chunks
};

// One version of a stream's metadata, as far as it was heard. Never changed once it is handed out: more news of the same
// version come as another object.
struct Metadata {
  uint32_t stream_id = 0;
  uint64_t epoch = 0;        // of the producer that said it; 0: it has not said (no DataSourceAnnounce yet)
  uint32_t producer_id = 0;
  uint32_t version = 0;      // what frames carry (FrameView::meta_version()); a producer's first may be 0
  bool described = false;    // name and summary were heard
  bool attributed = false;   // the attributes were heard: all of them, never a part
  std::string name = {};
  std::string summary = {};
  uint64_t timestamp_ns = 0;                            // of the attributes, in the clock of the frames
  std::vector<wire::Attribute> attributes = {};         // keys unique, unknown ones and unknown formats too (W-88)
  std::vector<std::shared_ptr<const Blob>> blobs = {};  // complete ones, by type

  // nullptr: none of that key.
  const wire::Attribute* find(std::string_view key) const noexcept;
  // nullptr: none of that type.
  std::shared_ptr<const Blob> blob(uint32_t type) const noexcept;
};
// Called on the conductor's thread when something about a version became known, perhaps before Client::consumer() has returned; must
// not block or call back into the client.
using MetadataHandler = std::function<void(const std::shared_ptr<const Metadata>&)>;

struct BlobCounters {
  uint64_t completed = 0;
  uint64_t repeated = 0;  // heard again, as producers send them for latecomers
  // Begun and not completed, by cause (W-90).
  uint64_t gaps = 0;  // a chunk is missing, or another blob began in between
  uint64_t overlaps = 0;
  uint64_t overruns = 0;
  uint64_t incomplete = 0;  // ended early, or not continued for long
  uint64_t checksums = 0;
  uint64_t too_large = 0;  // refused: above ConsumerOptions::max_blob_bytes
  uint64_t orphans = 0;  // chunks and ends of blobs whose beginning was not heard
  uint64_t discarded() const noexcept { return gaps + overlaps + overruns + incomplete + checksums + too_large; }
};

struct MetadataCounters {
  uint64_t changes = 0;  // of what is known
  uint64_t repeats = 0;  // said again, as producers do each second
  uint64_t old = 0;  // ignored: an epoch or version that has passed (W-89)
  uint64_t too_large = 0;  // ignored: above ConsumerOptions::max_metadata_bytes
  uint64_t forgotten = 0;  // versions let go to stay within the bounds
  BlobCounters blobs;
};

}  // namespace tidepool::client

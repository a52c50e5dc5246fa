#include "tidepool/client/blob_assembler.h"

#include <algorithm>
#include <span>
#include <utility>

#include "tidepool/client/crc32c.h"

namespace tidepool::client {

BlobAssembler::Parts::iterator BlobAssembler::find(uint32_t meta_version, int32_t session_id) {
  return std::find_if(parts_.begin(), parts_.end(), [&](const Part& part) {
    return part.announce.meta_version == meta_version && part.session_id == session_id;
  });
}

void BlobAssembler::discard(Parts::iterator part, uint64_t& cause) {
  if (!part->known) ++cause;
  parts_.erase(part);
}

void BlobAssembler::expire(uint64_t now_ns) {
  for (auto part = parts_.begin(); part != parts_.end();) {
    if (limits_.patience_ns != 0 && now_ns > part->heard_ns && now_ns - part->heard_ns > limits_.patience_ns) {
      if (!part->known) ++counters_.incomplete;
      part = parts_.erase(part);
    } else {
      ++part;
    }
  }
}

void BlobAssembler::clear() {
  for (const Part& part : parts_) counters_.incomplete += part.known ? 0 : 1;
  parts_.clear();
  known_.clear();
}

void BlobAssembler::heard(const wire::MetaBlobAnnounce& announce, int32_t session_id, uint64_t now_ns) {
  if (limits_.max_blob_bytes == 0) return;
  expire(now_ns);
  // A version's blobs come one after the other: the one before was broken off.
  if (const auto before = find(announce.meta_version, session_id); before != parts_.end()) discard(before, counters_.gaps);
  const bool known = std::find(known_.begin(), known_.end(), announce) != known_.end();
  if (!known && announce.total_len > limits_.max_blob_bytes) {
    ++counters_.too_large;
    return;
  }
  if (parts_.size() >= limits_.max_in_progress) {
    discard(std::min_element(parts_.begin(), parts_.end(), [](const Part& a, const Part& b) { return a.heard_ns < b.heard_ns; }),
            counters_.incomplete);
  }
  // Room grows with what arrives: an announce alone costs its sender as much as us.
  parts_.push_back(
      {.session_id = session_id, .announce = announce, .bytes = {}, .received = 0, .crc = 0, .heard_ns = now_ns, .known = known});
}

void BlobAssembler::heard(const wire::MetaBlobChunk& chunk, int32_t session_id, uint64_t now_ns) {
  if (limits_.max_blob_bytes == 0) return;
  const auto part = find(chunk.meta_version, session_id);
  if (part == parts_.end()) {
    ++counters_.orphans;
    return;
  }
  if (chunk.chunk_offset > part->received) return discard(part, counters_.gaps);
  if (chunk.chunk_offset < part->received) return discard(part, counters_.overlaps);
  if (chunk.bytes.size() > part->announce.total_len - part->received) return discard(part, counters_.overruns);
  part->received += chunk.bytes.size();
  part->heard_ns = now_ns;
  if (part->known) return;
  part->bytes += chunk.bytes;
  if (part->announce.checksum != 0) part->crc = crc32c(std::as_bytes(std::span(chunk.bytes)), part->crc);
}

std::optional<BlobAssembler::Finished> BlobAssembler::heard(const wire::MetaBlobComplete& complete, int32_t session_id,
                                                            uint64_t now_ns) {
  if (limits_.max_blob_bytes == 0) return std::nullopt;
  expire(now_ns);
  const auto part = find(complete.meta_version, session_id);
  if (part == parts_.end()) {
    ++counters_.orphans;
    return std::nullopt;
  }
  if (part->known) {
    ++counters_.repeated;
    parts_.erase(part);
    return std::nullopt;
  }
  if (part->received != part->announce.total_len) {
    discard(part, counters_.incomplete);
    return std::nullopt;
  }
  // 0 is "none"; else the low 32 bits are CRC32C of the whole, and nothing is above them.
  const uint64_t checksum = part->announce.checksum;
  if (complete.checksum != checksum || (checksum != 0 && checksum != part->crc)) {
    discard(part, counters_.checksums);
    return std::nullopt;
  }
  Finished out{.meta_version = complete.meta_version,
               .blob = std::make_shared<const Blob>(Blob{.type = part->announce.blob_type, .bytes = std::move(part->bytes)})};
  known_.push_back(part->announce);
  if (known_.size() > kMaxKnown) known_.pop_front();
  parts_.erase(part);
  ++counters_.completed;
  return out;
}

}  // namespace tidepool::client

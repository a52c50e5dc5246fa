#include "tidepool/client/blob_sender.h"

#include <algorithm>
#include <span>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/client/crc32c.h"
#include "tidepool/client/session.h"

namespace tidepool::client {
namespace {

constexpr int kMessagesPerStep = 8;                 // half a megabyte; then keepalives get their turn
constexpr uint64_t kTryAgainNs = 100 * kNsPerMs;    // nobody listens, or the stream is gone
constexpr size_t kChunkOverheadBytes = wire::kMessageHeaderBytes + wire::MetaBlobChunk::kBlockLength + 4;

}  // namespace

void BlobSender::set(std::vector<std::shared_ptr<const Blob>> blobs, uint32_t meta_version, uint64_t repeat_ns) {
  blobs_ = std::move(blobs);
  checksums_.clear();
  for (const auto& blob : blobs_) checksums_.push_back(crc32c(std::as_bytes(std::span(blob->bytes))));
  meta_version_ = meta_version;
  repeat_ns_ = repeat_ns;
  restart();
}

void BlobSender::restart() noexcept {
  index_ = 0;
  offset_ = 0;
  resume_ns_ = 0;
  next_ = blobs_.empty() ? Next::kRest : Next::kAnnounce;
}

int BlobSender::step(Port& port, uint32_t stream_id, uint64_t now_ns) {
  if (blobs_.empty() || now_ns < resume_ns_) return 0;
  if (next_ == Next::kRest) {
    if (repeat_ns_ == 0) return 0;
    restart();
  }
  for (int sent = 0; sent < kMessagesPerStep; ++sent) {
    const Blob& blob = *blobs_[index_];
    transport::SendResult result = transport::SendResult::kOk;
    uint64_t taken = 0;
    switch (next_) {
      case Next::kAnnounce:
        result = port.send(wire::MetaBlobAnnounce{.stream_id = stream_id,
                                                  .meta_version = meta_version_,
                                                  .blob_type = blob.type,
                                                  .total_len = blob.bytes.size(),
                                                  .checksum = checksums_[index_]});
        break;
      case Next::kChunk: {
        const size_t room = port.metadata_message_bytes();
        taken = std::min<uint64_t>({wire::MetaBlobChunk::kMaxChunkBytes, blob.bytes.size() - offset_,
                                    room > kChunkOverheadBytes ? room - kChunkOverheadBytes : 1});
        result = port.send(wire::MetaBlobChunk{.stream_id = stream_id,
                                               .meta_version = meta_version_,
                                               .chunk_offset = offset_,
                                               .bytes = blob.bytes.substr(offset_, taken)});
        break;
      }
      case Next::kComplete:
        result = port.send(
            wire::MetaBlobComplete{.stream_id = stream_id, .meta_version = meta_version_, .checksum = checksums_[index_]});
        break;
      case Next::kRest: return sent;
    }
    switch (result) {
      case transport::SendResult::kOk: break;
      case transport::SendResult::kBackPressured:
      case transport::SendResult::kAdminAction: return sent;  // the same message with the next step
      default:
        // Who hears us later has missed the beginning.
        restart();
        resume_ns_ = now_ns + kTryAgainNs;
        return sent;
    }
    offset_ += taken;
    if (next_ == Next::kComplete) {
      offset_ = 0;
      next_ = Next::kAnnounce;
      if (++index_ == blobs_.size()) {
        index_ = 0;
        next_ = Next::kRest;
        resume_ns_ = now_ns + repeat_ns_;
        return sent + 1;
      }
    } else {
      next_ = offset_ < blob.bytes.size() ? Next::kChunk : Next::kComplete;
    }
  }
  return kMessagesPerStep;
}

}  // namespace tidepool::client

#pragma once
// The payloads of exported rows as files, `<directory>/<column>/<number of the row>.<ending of its codec>` (F-123). A payload that is
// missing or damaged costs that row's file and no other, and is told.
//
// Thread safety: one thread.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tidepool/feed/blob.h"

namespace tidepool::feed {

struct BadPayload {
  uint64_t seq = 0;
  std::string column;
  std::string why;
};

class BlobExport {
 public:
  // Throws FeedError kUsage for a feed without blob columns, or a directory that is not empty unless `over` says so.
  BlobExport(const std::string& base, const std::string& name, const std::string& directory, bool over, Files& files = Files::system());
  // Rows as they are stored by that version of the schema, from number `first_seq` on.
  void take(Bytes rows, uint64_t count, uint64_t first_seq, uint32_t row_bytes);
  // Everything is on disk when this returns.
  void finish();

  uint64_t payloads() const noexcept { return payloads_; }
  uint64_t bytes() const noexcept { return bytes_; }
  const std::vector<BadPayload>& bad() const noexcept { return bad_; }

 private:
  void write(uint64_t seq, const std::string& column, const Blob& blob);
  BlobReader reader_;
  std::string directory_;
  Files& files_;
  uint64_t payloads_ = 0;
  uint64_t bytes_ = 0;
  std::vector<BadPayload> bad_;
};

}  // namespace tidepool::feed

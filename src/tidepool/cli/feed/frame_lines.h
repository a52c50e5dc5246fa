#pragma once
// Frames as lines: their heads, one each. Payloads are given out as raw bytes.

#include <string>

#include "tidepool/feed/reader.h"
#include "tidepool/feed/row_format.h"

namespace tidepool::cli {

// text, csv, jsonl: the head; raw: the payload. Throws FeedError kUsage for npy.
class FrameEncoder {
 public:
  FrameEncoder(const feed::Schema& schema, feed::RowStyle style);
  void begin(std::string& out) const;
  void frame(std::string& out, const feed::Item& item) const;

 private:
  std::string clock(uint64_t value, size_t k) const;
  feed::Schema schema_;
  feed::RowStyle style_;
};

}  // namespace tidepool::cli

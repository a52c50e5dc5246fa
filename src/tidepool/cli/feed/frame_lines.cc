#include "tidepool/cli/feed/frame_lines.h"

#include <fmt/format.h>

#include "tidepool/feed/fault.h"
#include "tidepool/feed/values.h"

namespace tidepool::cli {

using feed::RowFormat;

FrameEncoder::FrameEncoder(const feed::Schema& schema, feed::RowStyle style) : schema_(schema), style_(std::move(style)) {
  if (style_.format == RowFormat::kNpy)
    throw feed::FeedError(feed::Fault::kUsage, "frames are of any size: no array holds them; take text, csv, jsonl or raw");
  if (!style_.columns.empty()) throw feed::FeedError(feed::Fault::kUsage, "frames have no columns to choose from");
}

std::string FrameEncoder::clock(uint64_t value, size_t k) const {
  if (!style_.clock_text) return std::to_string(value);
  std::string out;
  style_.clock_text(out, value, k);
  return out;
}

void FrameEncoder::begin(std::string& out) const {
  if (!style_.header || (style_.format != RowFormat::kCsv && style_.format != RowFormat::kText)) return;
  const bool text = style_.format == RowFormat::kText;
  out += text ? fmt::format("{:>12}", "seq") : std::string("seq");
  for (size_t k = 0; k < schema_.clocks(); ++k)
    out += text ? fmt::format("  {:>25}", schema_.clock_name(k)) : style_.delimiter + schema_.clock_name(k);
  for (const char* name : {"type", "meta_bytes", "payload_bytes", "stream_epoch", "stream_seq"}) {
    out += text ? fmt::format("  {:>13}", name) : style_.delimiter + std::string(name);
  }
  out += '\n';
}

void FrameEncoder::frame(std::string& out, const feed::Item& item) const {
  const feed::FrameHead& head = item.frame;
  const uint64_t numbers[] = {head.type, head.meta_bytes, item.bytes.size(), head.stream_epoch, head.stream_seq};
  switch (style_.format) {
    case RowFormat::kRaw: out.append(reinterpret_cast<const char*>(item.bytes.data()), item.bytes.size()); return;
    case RowFormat::kJsonLines: {
      out += fmt::format("{{\"seq\":{}", item.seq);
      for (size_t k = 0; k < schema_.clocks(); ++k) {
        out += ',';
        feed::append_json_string(out, schema_.clock_name(k));
        out += ':';
        if (style_.clock_text) {
          feed::append_json_string(out, clock(head.clocks[k], k));
        } else {
          out += std::to_string(head.clocks[k]);
        }
      }
      out += fmt::format(",\"type\":{},\"meta_bytes\":{},\"payload_bytes\":{},\"stream_epoch\":{},\"stream_seq\":{}}}\n",
                         numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]);
      return;
    }
    case RowFormat::kText:
      out += fmt::format("{:>12}", item.seq);
      for (size_t k = 0; k < schema_.clocks(); ++k) out += fmt::format("  {:>25}", clock(head.clocks[k], k));
      for (const uint64_t number : numbers) out += fmt::format("  {:>13}", number);
      out += '\n';
      return;
    case RowFormat::kCsv:
    case RowFormat::kNpy:
      out += std::to_string(item.seq);
      for (size_t k = 0; k < schema_.clocks(); ++k) {
        out += style_.delimiter;
        feed::append_csv(out, clock(head.clocks[k], k), style_.delimiter);
      }
      for (const uint64_t number : numbers) out += style_.delimiter + std::to_string(number);
      out += '\n';
      return;
  }
}

}  // namespace tidepool::cli

#include "tidepool/feed/log_scan.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>

#include "tidepool/feed/crc32c.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kLogBytesMax = uint64_t{1} << 34;

bool all_zero(Bytes bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

std::string crc_text(uint32_t crc) {
  char text[32];
  std::snprintf(text, sizeof text, "checksum %08x", crc);
  return text;
}

void check_header(LogScan& scan, const std::string& path, uint64_t magic, uint32_t entry_bytes) {
  const Bytes bytes(scan.bytes);
  const std::byte* at = bytes.data();
  if (bytes.size() < kLogHeaderBytes) {
    scan.problem = concat(path, " has ", bytes.size(), " bytes, its header ", kLogHeaderBytes);
    return;
  }
  scan.count = load<uint64_t>(at + kLogCountAt);
  scan.mark = load<uint32_t>(at + kLogMarkAt);
  if (load<uint64_t>(at) != magic) {
    scan.problem = concat(path, " does not begin like a registry of this kind");
    return;
  }
  if (load<uint16_t>(at + 8) > kMajor) {
    scan.fault = Fault::kUnsupportedVersion;
    scan.problem = concat(path, " has format ", load<uint16_t>(at + 8), ", this program knows ", kMajor, ": use a newer one");
    return;
  }
  const uint32_t crc = crc32c(bytes.first(kLogIdentityBytes));
  if (crc != load<uint32_t>(at + kLogIdentityBytes) || load<uint32_t>(at + 12) != entry_bytes) {
    scan.problem =
        concat(path, ": header: ", crc_text(load<uint32_t>(at + kLogIdentityBytes)), " is written there, it has ", crc_text(crc));
    return;
  }
  scan.header_readable = true;
  scan.identity = {.magic = magic,
                   .entry_bytes = entry_bytes,
                   .base_id = load<Id>(at + 16),
                   .feed_id = load<Id>(at + 32),
                   .generation = load<uint64_t>(at + 56),
                   .created_wall_ns = load<uint64_t>(at + 48)};
  scan.reserved_zero = all_zero(bytes.subspan(kLogIdentityBytes + 4, kLogCountAt - kLogIdentityBytes - 4)) &&
                       all_zero(bytes.subspan(kLogBootAt + 16, kLogMarkAt - kLogBootAt - 16)) &&
                       all_zero(bytes.subspan(kLogMarkAt + 4, kLogHeaderBytes - kLogMarkAt - 4));
}

}  // namespace

LogScan scan_log(Files& files, const std::string& path, uint64_t magic, uint32_t entry_bytes) {
  LogScan scan;
  Id counter = kNoId;
  {
    const File file = File::open(files, path, O_RDONLY);
    counter = counter_mark(file);
    const uint64_t size = file.size();
    if (size > kLogBytesMax)
      throw FeedError(Fault::kCorrupt, path, " has ", size, " bytes: no registry has more than ", kLogBytesMax);
    scan.bytes.resize(size);
    scan.bytes.resize(file.read(scan.bytes, 0).size());
  }
  check_header(scan, path, magic, entry_bytes);
  if (!scan.header_readable) return scan;
  scan.slots = (scan.bytes.size() - kLogHeaderBytes) / entry_bytes;
  // As readers have it (F-3): behind a count that is certain lies what somebody wrote who died before he counted it.
  const std::byte* header = scan.bytes.data();
  const bool certain = counter != kNoId && load<Id>(header + kLogBootAt) == counter && load<uint64_t>(header + kLogCheckAt) == ~scan.count;
  std::vector<LogScan::Bad> doubtful;  // damaged, or never finished: what follows tells
  for (uint64_t position = 0; position < scan.slots; ++position) {
    const Bytes slot = Bytes(scan.bytes).subspan(kLogHeaderBytes + position * entry_bytes, entry_bytes);
    if (certain && position >= scan.count) {
      scan.torn += all_zero(slot) ? 0 : 1;
      continue;
    }
    const auto written_crc = load<uint32_t>(slot.data());
    const auto written_position = load<uint64_t>(slot.data() + 8);
    if (all_zero(slot)) {
      doubtful.push_back({position, "an entry", "zeros: it never reached the disk", true});
    } else if (const uint32_t crc = crc32c(slot.subspan(4)); crc != written_crc) {
      doubtful.push_back({position, crc_text(written_crc), crc_text(crc)});
    } else if (written_position != position) {
      doubtful.push_back({position, concat("position ", position), concat("position ", written_position)});
    } else {
      std::move(doubtful.begin(), doubtful.end(), std::back_inserter(scan.bad));
      doubtful.clear();
      scan.entries.push_back({load<uint16_t>(slot.data() + 4), position, load<uint64_t>(slot.data() + 16), slot});
    }
  }
  for (LogScan::Bad& bad : doubtful) {
    if (bad.position < scan.count) {
      scan.bad.push_back(std::move(bad));
    } else if (!bad.lost) {
      ++scan.torn;
    }
  }
  if (scan.count > scan.slots) scan.bad.push_back({scan.slots, concat(scan.count, " entries"), concat("room for ", scan.slots)});
  return scan;
}

std::vector<FeedRecord> records_of(const LogScan& scan) {
  std::vector<FeedRecord> records;
  records.reserve(scan.entries.size());
  for (const RegistryLog::Entry& entry : scan.entries) records.push_back(decode_feed_record(entry));
  return records;
}

}  // namespace tidepool::feed

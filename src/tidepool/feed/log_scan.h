#pragma once
// A registry's file read whole by pread, for who checks or rewrites it: nothing mapped, nothing believed (rulings F-i). Private to
// feed/; followers use RegistryLog.

#include <string>
#include <vector>

#include "tidepool/feed/registry.h"

namespace tidepool::feed {

struct LogScan {
  struct Bad {
    uint64_t position = 0;
    std::string expected;
    std::string found;
    bool lost = false;  // zeros: a power cut took it before it was synced; no damage
  };
  Fault fault = Fault::kCorrupt;  // when problem is set
  std::string problem;            // the header is none: nothing else is filled but what it still says
  bool header_readable = false;   // identity can be believed
  RegistryLog::Identity identity;
  uint64_t count = 0;
  uint32_t mark = 0;
  bool reserved_zero = true;      // of the header
  uint64_t slots = 0;             // that the file has room for
  uint64_t torn = 0;              // slots at the end that hold something unfinished; no damage
  std::vector<Bad> bad;           // in order
  std::vector<std::byte> bytes;
  std::vector<RegistryLog::Entry> entries;  // that count; they point into `bytes`
};
// Throws FeedError only for what the machine refuses, kFileNotFound included.
LogScan scan_log(Files& files, const std::string& path, uint64_t magic, uint32_t entry_bytes);

std::vector<FeedRecord> records_of(const LogScan& scan);

}  // namespace tidepool::feed

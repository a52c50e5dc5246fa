#pragma once
// Data-source names heard on the metadata stream, so that a stream can be asked for by name (rulings P-11).

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "tidepool/wire/messages.h"

namespace tidepool::client {

// Thread safety: any. Bounded (W-93): beyond kMaxStreams the one not heard for longest goes.
class NameDirectory {
 public:
  static constexpr size_t kMaxStreams = 4096;

  void heard(const wire::DataSourceAnnounce& announce, uint64_t now_ns);
  // Streams announced under `name` since `since_ns`, ascending.
  std::vector<uint32_t> streams_of(const std::string& name, uint64_t since_ns) const;
  // All names heard since `since_ns`, sorted.
  std::vector<std::string> names(uint64_t since_ns) const;

 private:
  struct Entry {
    std::string name;
    uint64_t epoch = 0;
    uint64_t heard_ns = 0;
  };
  mutable std::mutex mutex_;
  std::map<uint32_t, Entry> streams_;  // GUARDED_BY(mutex_)
};

}  // namespace tidepool::client

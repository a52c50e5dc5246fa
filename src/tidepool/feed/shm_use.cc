#include "tidepool/feed/shm_use.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <optional>
#include <string_view>

namespace tidepool::feed {
namespace {

std::optional<Id> id_of(std::string_view digits) {
  if (digits.size() < 32) return std::nullopt;
  Id id{};
  for (size_t i = 0; i < 32; ++i) {
    const char c = digits[i];
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return std::nullopt;
    const auto nibble = static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
    id[i / 2] = static_cast<std::byte>(static_cast<unsigned>(id[i / 2]) << 4 | nibble);
  }
  return id;
}

}  // namespace

ShmUse shm_use(const Id& base_id, const std::string& shm_root) {
  ShmUse use;
  const std::string prefix = concat("tidepool-", hex(base_id), "-");
  std::vector<std::string> names;
  try {
    names = names_in(shm_root);
  } catch (const FeedError&) {
    return use;
  }
  for (const std::string& name : names) {
    if (!name.starts_with(prefix)) continue;
    const auto id = id_of(std::string_view(name).substr(prefix.size()));
    if (!id) continue;
    ShmUse::Feed feed{*id, concat(shm_root, "/", name), 0, 0};
    try {
      for (const std::string& object : names_in(feed.directory)) {
        struct stat found{};
        if (::lstat(concat(feed.directory, "/", object).c_str(), &found) != 0) continue;  // it went in this moment
        feed.bytes += static_cast<uint64_t>(found.st_blocks) * 512;
        ++feed.objects;
      }
    } catch (const FeedError&) {  // another user's
    }
    use.bytes += feed.bytes;
    use.feeds.push_back(std::move(feed));
  }
  return use;
}

void check_shm_cap(const FeedInfo& feed, uint64_t more, uint64_t bytes_max) {
  if (bytes_max == 0) return;
  const uint64_t used = shm_use(feed.base_id, feed.options.shm_root).bytes;
  if (used <= bytes_max && more <= bytes_max - used) return;
  throw FeedError(Fault::kNoShmSpace, "the feeds of this base take ", used, " bytes below ", feed.options.shm_root, "; ", more,
                  " more for feed ", feed.name, " would exceed the cap of ", bytes_max,
                  ": raise base_shm_bytes_max, or use smaller or fewer live chunks");
}

Room room_of(const std::string& path) {
  struct statvfs found{};
  if (::statvfs(path.c_str(), &found) != 0) throw FeedError(fault_of_errno(errno), "look at the room of ", path, errno_text());
  return {path, static_cast<uint64_t>(found.f_bavail) * found.f_frsize, static_cast<uint64_t>(found.f_blocks) * found.f_frsize};
}

}  // namespace tidepool::feed

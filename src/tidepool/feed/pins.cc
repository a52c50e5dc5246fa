#include "tidepool/feed/pins.h"

#include <fcntl.h>

#include <cstring>

#include "tidepool/base/log.h"
#include "tidepool/feed/crc32c.h"
#include "tidepool/feed/registry_parts.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kPinMagic = 0x314E495046545450;  // "PTTFPIN1"
constexpr size_t kPinNameAt = 96;
constexpr size_t kWhyAt = 232;
constexpr size_t kWhyBytesMax = 256;

std::string file_name(const std::string& name) { return concat(name, ".pin"); }
std::string directory_of(const FeedInfo& feed) { return concat(feed.directory, "/", kPinsName); }

std::vector<std::byte> encode(const FeedInfo& feed, const Pin& pin) {
  std::vector<std::byte> bytes(Pin::kBytes);
  std::byte* at = bytes.data();
  store(at, kPinMagic);
  store(at + 8, kMajor);
  store(at + 10, kMinor);
  store(at + 16, feed.base_id);
  store(at + 32, feed.id);
  store(at + 48, pin.seq);
  store(at + 56, pin.created_wall_ns);
  store(at + 64, pin.expires_wall_ns);
  store(at + 72, pin.bytes_max);
  store(at + 80, static_cast<uint32_t>(pin.broken ? 1 : 0));
  store(at + 84, static_cast<uint16_t>(pin.name.size()));
  store(at + 86, static_cast<uint16_t>(std::min(pin.why.size(), kWhyBytesMax)));
  std::memcpy(at + kPinNameAt, pin.name.data(), pin.name.size());
  std::memcpy(at + kWhyAt, pin.why.data(), std::min(pin.why.size(), kWhyBytesMax));
  store(at + Pin::kBytes - 4, crc32c(Bytes(bytes).first(Pin::kBytes - 4)));
  return bytes;
}

bool decode(Bytes bytes, const FeedInfo& feed, Pin& pin) {
  const std::byte* at = bytes.data();
  if (bytes.size() != Pin::kBytes || load<uint64_t>(at) != kPinMagic || load<uint16_t>(at + 8) != kMajor) return false;
  if (crc32c(bytes.first(Pin::kBytes - 4)) != load<uint32_t>(at + Pin::kBytes - 4)) return false;
  if (load<Id>(at + 32) != feed.id) return false;
  const auto name_bytes = load<uint16_t>(at + 84);
  const auto why_bytes = load<uint16_t>(at + 86);
  if (name_bytes > 128 || why_bytes > kWhyBytesMax) return false;
  pin.name.assign(reinterpret_cast<const char*>(at + kPinNameAt), name_bytes);
  if (!is_feed_name(pin.name)) return false;
  pin.why.assign(reinterpret_cast<const char*>(at + kWhyAt), why_bytes);
  pin.seq = load<uint64_t>(at + 48);
  pin.created_wall_ns = load<uint64_t>(at + 56);
  pin.expires_wall_ns = load<uint64_t>(at + 64);
  pin.bytes_max = load<uint64_t>(at + 72);
  pin.broken = load<uint32_t>(at + 80) != 0;
  return true;
}

// The right to write is asked for before anything is begun, and refused in words that say why it is needed.
shm::FileLock writable(const FeedInfo& feed, const std::string& who) {
  try {
    return lock_within(feed.directory, kRetentionLockName, who, kLockTimeoutNs, Fault::kBusy);
  } catch (const FeedError& error) {
    if (error.fault() != Fault::kPermission) throw;
    throw FeedError(Fault::kPermission, error.what(), ": a pin is kept with the feed and takes the right to write in ",
                    feed.directory, "; reading does not");
  }
}

}  // namespace

void sweep_pins(const FeedInfo& feed, Files& files) {
  for (const std::string& name : names_in(directory_of(feed))) {
    if (is_unfinished(name)) unlink_file(files, concat(directory_of(feed), "/", name));
  }
}

void write_pin(const FeedInfo& feed, const Pin& pin, Files& files) {
  make_durable_directory(files, feed.directory, kPinsName, 0750);
  sweep_pins(feed, files);
  write_file_atomically(files, directory_of(feed), file_name(pin.name), encode(feed, pin), feed.options.file_mode);
}

void pin_feed(const std::string& base, const std::string& name, const Pin& pin, Files& files) {
  if (!is_feed_name(pin.name))
    throw FeedError(Fault::kInvalidName, "'", printable(pin.name), "' is no name of a pin: letters, digits, '.', '_' and '-'");
  const FeedInfo feed = find_feed(base, name, files);
  const shm::FileLock lock = writable(feed, "a pin");
  const FeedRegistry registry = FeedRegistry::open(feed, files, false);
  if (const uint64_t floor = registry.floor_seq(); pin.seq < floor) {
    throw FeedError(Fault::kOutOfRange, "record ", pin.seq, " of feed ", name, " is gone already: the oldest that is kept is ",
                    floor);
  }
  write_pin(feed, pin, files);
}

bool unpin_feed(const std::string& base, const std::string& name, const std::string& pin, Files& files) {
  if (!is_feed_name(pin)) throw FeedError(Fault::kInvalidName, "'", printable(pin), "' is no name of a pin");
  const FeedInfo feed = find_feed(base, name, files);
  const shm::FileLock lock = writable(feed, "the end of a pin");
  return unlink_file(files, concat(directory_of(feed), "/", file_name(pin)));
}

std::vector<Pin> pins_of(const FeedInfo& feed, std::vector<std::string>& damaged, Files& files) {
  std::vector<Pin> pins;
  for (const std::string& name : names_in(directory_of(feed))) {
    if (!name.ends_with(".pin") || is_unfinished(name)) continue;
    const std::string path = concat(directory_of(feed), "/", name);
    const File file = File::open_if_there(files, path, O_RDONLY);
    if (!file) continue;
    std::vector<std::byte> bytes(Pin::kBytes);
    Pin pin;
    if (file.size() == Pin::kBytes && decode(file.read(bytes, 0), feed, pin) && file_name(pin.name) == name) {
      pins.push_back(std::move(pin));
    } else {
      damaged.push_back(path);
    }
  }
  return pins;
}

}  // namespace tidepool::feed

#include "tidepool/feed/checkpoint.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "tidepool/feed/crc32c.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kCheckpointMagic = 0x31504B4843465054;  // "TPFCHKP1"

std::string directory_of(const std::string& given) {
  if (!given.empty()) return given;
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/') return concat(state, "/tidepool/checkpoints");
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') return concat(home, "/.local/state/tidepool/checkpoints");
  throw FeedError(Fault::kUsage, "neither XDG_STATE_HOME nor HOME is set: give a directory for checkpoints");
}

std::string file_of(const std::string& name, const Id& feed_id) { return concat(hex(feed_id), "-", name); }

void make_directories(Files& files, const std::string& path) {
  for (size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string one = path.substr(0, at);
    if (files.make_directory(one, 0700) == 0) {
      const std::string parent = one.substr(0, one.rfind('/'));
      sync_directory(files, parent.empty() ? "/" : parent);  // or the next power cut takes it, and what was saved in it
    } else if (errno != EEXIST) {
      throw FeedError(fault_of_errno(errno), "make directory ", one, errno_text());
    }
    if (at == std::string::npos) return;
  }
}

std::optional<Checkpoint> read(Files& files, const std::string& path) {
  const File file = File::open_if_there(files, path, O_RDONLY);
  if (!file) return std::nullopt;
  std::array<std::byte, Checkpoint::kBytes> bytes;
  return Checkpoint::decode(file.read(bytes, 0));
}

}  // namespace

std::array<std::byte, Checkpoint::kBytes> Checkpoint::encode() const {
  std::array<std::byte, kBytes> bytes{};
  std::byte* at = bytes.data();
  store(at, kCheckpointMagic);
  store(at + 8, kMajor);
  store(at + 16, base_id);
  store(at + 32, feed_id);
  store(at + 48, epoch);
  store(at + 56, next_seq);
  store(at + 64, ordinal);
  for (size_t k = 0; k < kClocksMax; ++k) store(at + 72 + 8 * k, clocks[k]);
  store(at + 96, schema_hash);
  store(at + 104, offset);
  store(at + 112, schema_id);
  store(at + kBytes - 4, crc32c(Bytes(bytes).first(kBytes - 4)));
  return bytes;
}

std::optional<Checkpoint> Checkpoint::decode(Bytes bytes) noexcept {
  if (bytes.size() < kBytes) return std::nullopt;
  const std::byte* at = bytes.data();
  if (tidepool::load<uint64_t>(at) != kCheckpointMagic || tidepool::load<uint16_t>(at + 8) != kMajor) return std::nullopt;
  if (crc32c(bytes.first(kBytes - 4)) != tidepool::load<uint32_t>(at + kBytes - 4)) return std::nullopt;
  Checkpoint checkpoint;
  checkpoint.base_id = tidepool::load<Id>(at + 16);
  checkpoint.feed_id = tidepool::load<Id>(at + 32);
  checkpoint.epoch = tidepool::load<uint64_t>(at + 48);
  checkpoint.next_seq = tidepool::load<uint64_t>(at + 56);
  checkpoint.ordinal = tidepool::load<uint64_t>(at + 64);
  for (size_t k = 0; k < kClocksMax; ++k) checkpoint.clocks[k] = tidepool::load<uint64_t>(at + 72 + 8 * k);
  checkpoint.schema_hash = tidepool::load<uint64_t>(at + 96);
  checkpoint.offset = tidepool::load<uint64_t>(at + 104);
  checkpoint.schema_id = tidepool::load<uint32_t>(at + 112);
  return checkpoint;
}

void Checkpoint::save(const std::string& name, const std::string& given, Files& files) const {
  check_feed_name(name);
  const std::string directory = directory_of(given);
  make_directories(files, directory);
  const std::string file = file_of(name, feed_id);
  // The one before stays beside it: should this one be torn, that is used.
  if (const auto old = read(files, concat(directory, "/", file)); old) write_file_atomically(files, directory, file + ".previous", old->encode(), 0600);
  write_file_atomically(files, directory, file, encode(), 0600);
}

std::optional<Checkpoint> Checkpoint::load(const std::string& name, const Id& feed_id, const std::string& given, Files& files) {
  check_feed_name(name);
  const std::string path = concat(directory_of(given), "/", file_of(name, feed_id));
  if (auto found = read(files, path)) return found;
  return read(files, path + ".previous");
}

}  // namespace tidepool::feed

#include "tidepool/pool/scan.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <limits>

#include "tidepool/base/bytes.h"
#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/pool/epoch_life.h"
#include "tidepool/pool/epoch_names.h"
#include "tidepool/shm/commit_word.h"
#include "tidepool/shm/open_file.h"
#include "tidepool/shm/region.h"

namespace tidepool::pool {
namespace {

using shm::CommitWord;

constexpr std::string_view kUserPrefix = "tensorpool-";
constexpr uint32_t kSlotsARead = 256;

bool read_at(const shm::Fd& fd, std::byte* to, size_t bytes, uint64_t offset) noexcept {
  while (bytes > 0) {
    const ssize_t got = ::pread(fd.get(), to, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    bytes -= static_cast<size_t>(got);
    offset += static_cast<uint64_t>(got);
  }
  return true;
}

shm::Fd open_region(const shm::Directory& epoch, const std::string& name) noexcept {
  shm::Fd fd(::openat(epoch.fd(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status{};
  if (fd && (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode))) fd = shm::Fd();
  return fd;
}

// Empty: `block` is a region of `stream_id` and `epoch` as far as a superblock tells, and the file holds its slots.
std::string judge(const wire::Superblock& block, wire::RegionType type, uint32_t stream_id, uint64_t epoch, uint64_t file_bytes) {
  if (block.magic == 0) return "has no magic: it is being made, or its maker died at it";
  if (block.magic != wire::kMagic) return "is no region";
  if (block.layout_version != wire::kLayoutVersion) return concat("has layout version ", block.layout_version);
  if (block.region_type != type) return "is of another region type";
  if (block.stream_id != stream_id) return concat("says stream ", block.stream_id);
  if (block.epoch != epoch) return concat("says epoch ", block.epoch);
  if (!std::has_single_bit(block.nslots)) return concat("says ", block.nslots, " slots");
  const uint64_t slot_bytes = type == wire::RegionType::header_ring ? wire::kSlotBytes : block.stride_bytes;
  if (file_bytes < wire::kSuperblockBytes + block.nslots * slot_bytes) return "is truncated";
  return {};
}

uint64_t file_bytes(const shm::Fd& fd) noexcept {
  struct stat status{};
  return ::fstat(fd.get(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

// The committed sequence in a slot + 1, 0: none that belongs there.
uint64_t next_of(uint64_t word, uint32_t index, uint32_t nslots) noexcept {
  if (!CommitWord::is_committed(word)) return 0;
  const uint64_t seq = CommitWord::seq_of(word);
  return (seq & (nslots - 1)) == index ? seq + 1 : 0;
}

std::optional<uint64_t> next_seq_of(const shm::Fd& ring, uint32_t nslots) noexcept {
  static thread_local std::byte chunk[size_t{kSlotsARead} * wire::kSlotBytes];
  const auto newest_in = [&](uint32_t first, uint32_t count, uint64_t& newest) {
    for (uint32_t at = first; at < first + count; at += kSlotsARead) {
      const uint32_t slots = std::min(kSlotsARead, first + count - at);
      if (!read_at(ring, chunk, size_t{slots} * wire::kSlotBytes, wire::kSuperblockBytes + uint64_t{at} * wire::kSlotBytes))
        return false;
      for (uint32_t i = 0; i < slots; ++i)
        newest = std::max(newest, next_of(load<uint64_t>(chunk + size_t{i} * wire::kSlotBytes), at + i, nslots));
    }
    return true;
  };
  uint64_t newest = 0;
  if (nslots <= kFullScanSlots) return newest_in(0, nslots, newest) ? std::optional(newest) : std::nullopt;
  // Sequences fill slots in order, so the newest is behind the newest of the samples and before the next one.
  const uint32_t step = nslots / kFullScanSlots;
  uint32_t behind = 0;
  for (uint32_t index = 0; index < nslots; index += step) {
    std::byte word[8];
    if (!read_at(ring, word, sizeof word, wire::kSuperblockBytes + uint64_t{index} * wire::kSlotBytes)) return std::nullopt;
    if (const uint64_t next = next_of(load<uint64_t>(word), index, nslots); next > newest) {
      newest = next;
      behind = index;
    }
  }
  return newest_in(behind, step, newest) ? std::optional(newest) : std::nullopt;
}

void scan_pools(const shm::Directory& directory, uint32_t stream_id, ScannedEpoch& out) {
  for (const std::string& name : directory.entries()) {
    if (!is_region_name(name) || name == kHeaderRingName) continue;
    const shm::Fd fd = open_region(directory, name);
    std::byte bytes[wire::kSuperblockBytes];
    if (!fd || !read_at(fd, bytes, sizeof bytes, 0)) {
      if (out.fault.empty()) out.fault = name + " cannot be read";
      continue;
    }
    const wire::Superblock block = wire::decode_superblock(bytes);
    std::string fault = judge(block, wire::RegionType::payload_pool, stream_id, out.epoch, file_bytes(fd));
    if (fault.empty() && block.nslots != out.geometry.slot_count) fault = "differs from header.ring in slots";
    if (!fault.empty()) {
      if (out.fault.empty()) out.fault = concat(name, " ", fault);
      continue;
    }
    out.geometry.pools.push_back({block.pool_id, block.stride_bytes});
  }
  std::sort(out.geometry.pools.begin(), out.geometry.pools.end(),
            [](const auto& a, const auto& b) { return a.pool_id < b.pool_id; });
}

ScannedEpoch scan_epoch(const shm::Directory& stream, uint32_t stream_id, uint64_t epoch) {
  ScannedEpoch out;
  out.epoch = epoch;
  out.path = concat(stream.path(), "/", epoch);
  try {
    const shm::Directory directory = stream.child(std::to_string(epoch));
    const auto block = read_superblock(directory);
    out.bytes = allocated_bytes(directory);
    const uint64_t now_ns = monotonic_ns();
    out.idle_ns = idle_ns(directory, block, now_ns, realtime_ns());
    const shm::Fd ring = open_region(directory, std::string(kHeaderRingName));
    if (!block || !ring) {
      out.fault = "header.ring cannot be read";
      return out;
    }
    out.fault = judge(*block, wire::RegionType::header_ring, stream_id, epoch, file_bytes(ring));
    if (!out.fault.empty()) out.fault.insert(0, "header.ring ");
    if (block->magic != wire::kMagic) return out;
    out.pid = block->pid;
    out.creator_runs = creator_runs(*block, now_ns);
    if (block->activity_timestamp_ns != 0 && block->activity_timestamp_ns <= now_ns)
      out.activity_age_ns = now_ns - block->activity_timestamp_ns;
    if (!out.fault.empty()) return out;
    out.geometry.slot_count = block->nslots;
    out.next_seq = next_seq_of(ring, block->nslots).value_or(0);
    scan_pools(directory, stream_id, out);
  } catch (const Error& error) {
    out.fault = error.what();
  }
  return out;
}

ScannedStream scan_stream(const shm::Directory& name_space, const std::string& name, uint32_t stream_id) {
  ScannedStream out;
  out.stream_id = stream_id;
  out.path = concat(name_space.path(), "/", name);
  try {
    const shm::Directory directory = name_space.child(name);
    out.doorbell = directory.has(kDoorbellName);
    for (const uint64_t epoch : directory.numbered_entries()) out.epochs.push_back(scan_epoch(directory, stream_id, epoch));
  } catch (const Error& error) {
    out.fault = error.what();
  }
  return out;
}

ScannedNamespace scan_namespace(const shm::Directory& user, const std::string& name, ScanDepth depth) {
  ScannedNamespace out;
  out.user = user.path().substr(user.path().rfind(kUserPrefix) + kUserPrefix.size());
  out.name = name;
  out.path = concat(user.path(), "/", name);
  try {
    const shm::Directory directory = user.child(name);
    out.driver = shm::FileLock::holder(directory, std::string(kDriverLockName));
    if (depth == ScanDepth::kNamespaces) return out;
    for (const uint64_t id : directory.numbered_entries()) {
      if (id == 0 || id > std::numeric_limits<uint32_t>::max()) continue;
      out.streams.push_back(scan_stream(directory, std::to_string(id), static_cast<uint32_t>(id)));
    }
  } catch (const Error& error) {
    out.fault = error.what();
  }
  return out;
}

}  // namespace

std::vector<ScannedNamespace> scan(const std::string& base_dir, ScanDepth depth) {
  std::vector<ScannedNamespace> out;
  const shm::Directory base = shm::Directory::open(shm::canonical_path(base_dir));
  for (const std::string& entry : base.entries()) {
    if (!entry.starts_with(kUserPrefix)) continue;
    try {
      const shm::Directory user = base.child(entry);
      for (const std::string& name : user.entries()) out.push_back(scan_namespace(user, name, depth));
    } catch (const Error& error) {
      ScannedNamespace closed;
      closed.user = entry.substr(kUserPrefix.size());
      closed.path = concat(base.path(), "/", entry);
      closed.fault = error.what();
      out.push_back(std::move(closed));
    }
  }
  return out;
}

std::optional<uint64_t> scan_next_seq(const std::string& epoch_path) noexcept {
  try {
    const shm::Directory directory = shm::Directory::open(epoch_path);
    const auto block = read_superblock(directory);
    const shm::Fd ring = open_region(directory, std::string(kHeaderRingName));
    if (!block || !ring || block->magic != wire::kMagic || !std::has_single_bit(block->nslots)) return std::nullopt;
    if (file_bytes(ring) < Geometry::region_bytes(block->nslots, wire::kSlotBytes)) return std::nullopt;
    return next_seq_of(ring, block->nslots);
  } catch (...) {
    return std::nullopt;
  }
}

}  // namespace tidepool::pool

#include "tidepool/pool/epoch_files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <span>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/base/process.h"
#include "tidepool/pool/epoch_names.h"
#include "tidepool/shm/doorbell.h"
#include "tidepool/shm/region.h"
#include "tidepool/shm/uri.h"
#include "tidepool/shm/words.h"

namespace tidepool::pool {

namespace {

constexpr uint64_t kNoEpoch = std::numeric_limits<uint64_t>::max();

bool is_namespace_name(std::string_view name) noexcept {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

StoreOptions checked(StoreOptions options) {
  if (!is_namespace_name(options.name_space)) {
    throw Error(Code::kInvalidArgument, "namespace '", printable(options.name_space), "': expected one or more of A-Z a-z 0-9 _ -");
  }
  if ((options.file_mode & 0007) != 0) {  // D-37; consumers refuse such files too (W-27)
    throw Error(Code::kInvalidArgument, "permissions_mode grants rights to others: use 660 or 600");
  }
  if ((options.file_mode & 0600) != 0600) {
    throw Error(Code::kInvalidArgument, "permissions_mode takes reading or writing from the owner: use 660 or 600");
  }
  if ((options.file_mode & ~mode_t{02660}) != 0) {
    throw Error(Code::kInvalidArgument, "permissions_mode has bits other than reading and writing: use 660, 600 or 2660");
  }
  options.base_dir = shm::canonical_path(options.base_dir);
  if (options.allowed_base_dirs.empty()) options.allowed_base_dirs = {options.base_dir};
  shm::MapPolicy::Options policy;
  policy.allowed_base_dirs = options.allowed_base_dirs;
  if (!shm::MapPolicy(policy).contains(options.base_dir)) {
    throw Error(Code::kPermission, "base directory ", options.base_dir, " is outside allowed_base_dirs: add it there");
  }
  if (options.use_hugepages && !shm::file_system_of(options.base_dir).hugetlbfs) {
    throw Error(Code::kUnsupported, "hugepages are asked for and base directory ", options.base_dir,
                " is not on hugetlbfs: mount one and name it, or switch hugepages off");
  }
  return options;
}

void check_free_space(const shm::Directory& directory, uint64_t bytes_needed) {
  const shm::FileSystem files = shm::file_system_of(directory.path());
  if (bytes_needed <= files.free_bytes) return;
  throw Error(Code::kNoSpace, "needs ", bytes_needed, " bytes, ", files.free_bytes, " are free of ", files.capacity_bytes, " under ",
              directory.path(), ": lower the slot count or strides, remove old epochs, or give that file system more room (",
              files.hugetlbfs ? "vm.nr_hugepages" : files.tmpfs ? "mount -o remount,size=..., in a container --shm-size" : "a bigger disk", ")");
}

wire::Superblock superblock_of(uint32_t stream_id, uint64_t epoch, uint32_t slot_count, uint64_t now_ns) {  // D-36, W-18
  wire::Superblock block;
  block.magic = 0;  // stored last
  block.epoch = epoch;
  block.stream_id = stream_id;
  block.nslots = slot_count;
  block.slot_bytes = wire::kSlotBytes;
  block.pid = this_process().pid;
  block.start_timestamp_ns = now_ns;
  block.activity_timestamp_ns = now_ns;
  return block;
}

void write_superblock(const wire::Superblock& block, shm::Region& region) {
  std::byte bytes[wire::kSuperblockBytes];
  wire::encode_superblock(block, bytes);
  shm::store_words(region.mutable_data() + 8, bytes + 8, sizeof bytes / 8 - 1);
}

// A directory that did not exist before: a used epoch is never used again (W-33, D-42).
shm::Directory make_epoch_directory(const shm::Directory& stream, const std::string& epoch, mode_t mode) {
  if (::mkdirat(stream.fd(), epoch.c_str(), 0700) != 0) {
    const int err = errno;
    if (err == EEXIST) {
      throw Error(Code::kRejected, stream.path(), "/", epoch, " exists already: an epoch's directory is never used again, take a higher epoch");
    }
    throw Error(code_of_errno(err), "make directory ", stream.path(), "/", epoch, errno_text(err));
  }
  shm::Directory directory = stream.child(epoch);
  // Explicit, so that a umask does not narrow it (D-37).
  if (::fchmod(directory.fd(), mode) != 0) throw Error(code_of_errno(errno), "set mode of ", directory.path(), errno_text());
  return directory;
}

// Memory needs no flush; a file system on a disk does, before anybody is told of the files (W-32).
void flush(const shm::FileSystem& files, std::span<const shm::Region* const> regions) {
  if (files.tmpfs || files.hugetlbfs) return;
  for (const shm::Region* region : regions) {
    if (::msync(const_cast<std::byte*>(region->data()), region->size_bytes(), MS_SYNC) != 0) {
      throw Error(code_of_errno(errno), "flush ", region->path(), errno_text());
    }
  }
}

}  // namespace

EpochFiles::EpochFiles(StoreOptions options) : options_(checked(std::move(options))) {
  namespace_dir_ = shm::Directory::open(options_.base_dir)
                       .make("tensorpool-" + sanitised_user_name(), directory_mode())
                       .make(options_.name_space, directory_mode());
}

mode_t EpochFiles::directory_mode() const noexcept {
  const mode_t granted = options_.file_mode & 0666;
  return options_.file_mode | ((granted >> 2 | granted >> 1) & 0111);
}

shm::Directory EpochFiles::stream_directory(uint32_t stream_id) const {
  return namespace_dir_.make(std::to_string(stream_id), directory_mode());
}

std::string EpochFiles::stream_path(uint32_t stream_id) const { return concat(namespace_dir_.path(), "/", stream_id); }

EpochFiles::Created EpochFiles::create(uint32_t stream_id, uint64_t epoch, const Geometry& geometry, uint64_t now_ns) {
  const std::string name = std::to_string(epoch);
  const bool new_stream = !namespace_dir_.has(std::to_string(stream_id));
  bool made = false;
  try {
    if (epoch == 0 || epoch == kNoEpoch) throw Error(Code::kInvalidArgument, "epoch ", epoch, " is reserved");
    geometry.check(options_.power_of_two_strides);
    check_free_space(namespace_dir_, geometry.total_bytes());  // before anything is made, and all that is done without `reserve` (D-35)

    const shm::Directory stream = stream_directory(stream_id);
    shm::Doorbell::create(stream, options_.file_mode & 0666);
    const shm::Directory directory = make_epoch_directory(stream, name, directory_mode());
    made = true;

    shm::RegionCreator creator(directory.fd(), directory.path(),
                               {.file_mode = options_.file_mode & 0666,
                                .reserve = options_.reserve,
                                .prefault = options_.reserve,
                                .lock_memory = options_.lock_memory});
    const auto uri_of = [&](const std::string& file) {
      return shm::Uri{.path = concat(directory.path(), "/", file), .require_hugepages = options_.use_hugepages}.text();
    };

    std::shared_ptr<EpochMap> map(new EpochMap);
    EpochRegions& regions = map->regions_;
    regions = {.stream_id = stream_id,
               .epoch = epoch,
               .layout_version = wire::kLayoutVersion,
               .header_nslots = geometry.slot_count,
               .header_slot_bytes = wire::kSlotBytes,
               .header_region_uri = uri_of(std::string(kHeaderRingName)),
               .pools = {}};
    const wire::Superblock ring = superblock_of(stream_id, epoch, geometry.slot_count, now_ns);
    map->creator_ = {.pid = ring.pid, .start_timestamp_ns = ring.start_timestamp_ns};
    map->header_ = creator.create(std::string(kHeaderRingName), geometry.header_bytes());
    write_superblock(ring, map->header_);
    std::vector<const shm::Region*> made_regions{&map->header_};
    map->pools_.reserve(geometry.pools.size());
    for (const PoolClass& pool : geometry.pools) {
      const std::string file = pool_file_name(pool.pool_id);
      map->pools_.push_back({.pool_id = pool.pool_id,
                             .stride_bytes = pool.stride_bytes,
                             .region = creator.create(file, geometry.pool_bytes(pool)),
                             .slots = nullptr,
                             .mutable_slots = nullptr,
                             .creator = map->creator_});
      wire::Superblock block = ring;
      block.region_type = wire::RegionType::payload_pool;
      block.pool_id = pool.pool_id;
      block.slot_bytes = block.stride_bytes = pool.stride_bytes;
      write_superblock(block, map->pools_.back().region);
      made_regions.push_back(&map->pools_.back().region);
      regions.pools.push_back(
          {.pool_id = pool.pool_id, .nslots = geometry.slot_count, .stride_bytes = pool.stride_bytes, .region_uri = uri_of(file)});
    }
    // Every region is there: now they become valid, the header ring as the last one (W-32, D-33).
    for (EpochMap::Pool& pool : map->pools_) shm::MagicWord(pool.region.mutable_data()).publish(wire::kMagic);
    shm::MagicWord(map->header_.mutable_data()).publish(wire::kMagic);
    flush(shm::file_system_of(directory.path()), made_regions);
    map->adopt();
    return {.regions = map->regions_, .map = map};
  } catch (const Error& error) {  // nothing is left behind (D-35)
    try {
      if (made) remove(stream_id, epoch);
      if (new_stream) remove_stream(stream_id);
    } catch (const Error& second) {
      throw error.within("create epoch ", epoch, " of stream ", stream_id, " (and what was made of it stays, ", second.what(), ")");
    }
    throw error.within("create epoch ", epoch, " of stream ", stream_id);
  }
}

uint64_t EpochFiles::next_epoch(uint32_t stream_id, uint64_t previous, uint64_t now_ns) const {
  uint64_t highest = previous;
  if (const std::vector<uint64_t> found = epochs(stream_id); !found.empty()) highest = std::max(highest, found.back());
  if (highest >= kNoEpoch - 1) {
    throw Error(Code::kRejected, "stream ", stream_id, ": no epoch is left above ", highest, ": remove ", stream_path(stream_id), "/", highest);
  }
  return std::max({highest + 1, now_ns == kNoEpoch ? uint64_t{1} : now_ns, uint64_t{1}});
}

std::vector<uint32_t> EpochFiles::streams() const {
  std::vector<uint32_t> streams;
  for (const uint64_t number : namespace_dir_.numbered_entries()) {
    if (number <= std::numeric_limits<uint32_t>::max()) streams.push_back(static_cast<uint32_t>(number));
  }
  return streams;
}

std::vector<uint64_t> EpochFiles::epochs(uint32_t stream_id) const {
  const std::string name = std::to_string(stream_id);
  if (!namespace_dir_.has(name)) return {};
  return namespace_dir_.child(name).numbered_entries();
}

}  // namespace tidepool::pool

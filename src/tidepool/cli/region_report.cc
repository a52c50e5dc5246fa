#include "tidepool/cli/region_report.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <functional>
#include <system_error>

#include "tidepool/base/bytes.h"
#include "tidepool/base/error.h"
#include "tidepool/base/process.h"
#include "tidepool/shm/commit_word.h"
#include "tidepool/shm/doorbell.h"
#include "tidepool/wire/messages.h"

namespace tidepool::cli {
namespace {

namespace fs = std::filesystem;
using shm::CommitWord;

constexpr size_t kSlotsARead = 256;
constexpr size_t kMaxFaults = 8;  // further ones are counted in `damaged`

class File {
 public:
  explicit File(const std::string& path) : path_(path) {
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // not to hang on a FIFO
    if (fd_ < 0) throw Error(code_of_errno(errno), "open ", path, errno_text());
    struct stat status {};
    if (::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) {
      ::close(fd_);
      throw Error(Code::kInvalidArgument, path, " is no regular file: expected a region (header.ring, *.pool) or an epoch's directory");
    }
    bytes_ = static_cast<uint64_t>(status.st_size);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { ::close(fd_); }

  uint64_t bytes() const noexcept { return bytes_; }
  const std::string& path() const noexcept { return path_; }

  void read(std::byte* to, size_t bytes, uint64_t offset) const {
    while (bytes > 0) {
      const ssize_t got = ::pread(fd_, to, bytes, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw Error(code_of_errno(errno), "read ", path_, errno_text());
      if (got == 0) throw Error(Code::kCorrupt, path_, " became shorter while it was read");
      to += got;
      bytes -= static_cast<size_t>(got);
      offset += static_cast<uint64_t>(got);
    }
  }

 private:
  std::string path_;
  int fd_ = -1;
  uint64_t bytes_ = 0;
};

wire::Superblock read_superblock(const File& file) {
  const std::string& path = file.path();
  if (file.bytes() < wire::kSuperblockBytes) {
    throw Error(Code::kCorrupt, path, " is no region, or a truncated one: ", file.bytes(), " bytes, a superblock takes ", wire::kSuperblockBytes);
  }
  std::byte bytes[wire::kSuperblockBytes];
  file.read(bytes, sizeof bytes, 0);
  const wire::Superblock block = wire::decode_superblock(bytes);
  if (block.magic == shm::kDoorbellMagic) throw Error(Code::kInvalidArgument, path, " is a doorbell, not a region: it holds no frames");
  if (block.magic == 0) throw Error(Code::kCorrupt, path, " has no magic: it is being made, or its maker died before it was complete");
  if (block.magic != wire::kMagic) throw Error(Code::kCorrupt, path, fmt::format(" is no region: it begins with {:#018x}, expected {:#018x}", block.magic, wire::kMagic));
  if (block.layout_version != wire::kLayoutVersion) {
    throw Error(Code::kUnsupported, path, " has layout version ", block.layout_version, ": this tidepool knows ", wire::kLayoutVersion);
  }
  const auto damaged = [&](std::string_view field, auto value, std::string_view expected) {
    throw Error(Code::kCorrupt, path, " is damaged: ", field, " is ", value, ", expected ", expected);
  };
  const bool ring = block.region_type == wire::RegionType::header_ring;
  if (!ring && block.region_type != wire::RegionType::payload_pool) damaged("region type", int{static_cast<int16_t>(block.region_type)}, "1 (header ring) or 2 (payload pool)");
  if (!std::has_single_bit(block.nslots)) damaged("slot count", block.nslots, "a power of two");
  if (ring && block.slot_bytes != wire::kSlotBytes) damaged("slot bytes", block.slot_bytes, "256");
  if (ring && block.pool_id != 0) damaged("pool id", block.pool_id, "0");
  if (!ring && (block.stride_bytes < 64 || block.stride_bytes % 64 != 0)) damaged("stride bytes", block.stride_bytes, "a multiple of 64, at least 64");
  if (block.epoch == 0 || block.epoch == wire::kNull64) damaged("epoch", block.epoch, "neither 0 nor null");
  const uint64_t needed = wire::kSuperblockBytes + uint64_t{block.nslots} * (ring ? wire::kSlotBytes : block.stride_bytes);
  if (file.bytes() < needed) {
    throw Error(Code::kCorrupt, path, " is truncated: ", file.bytes(), " bytes, ", block.nslots, " slots of ", ring ? wire::kSlotBytes : block.stride_bytes, " take ", needed);
  }
  return block;
}

// What is wrong with a slot that says it is committed (wire.md 8.2, 6.4); empty: nothing.
std::string judge(const std::byte (&slot)[wire::kSlotBytes], uint32_t index, uint32_t nslots, const std::vector<KnownPool>* pools, wire::SlotHeader& header) {
  const uint64_t seq = CommitWord::seq_of(load<uint64_t>(slot));
  if ((seq & (nslots - 1)) != index) return fmt::format("holds seq {}, which belongs into slot {}", seq, seq & (nslots - 1));
  if (const auto fault = wire::decode_slot_header(slot, header); fault != wire::SlotFault::kNone) {
    return fmt::format("committed frame {} has a bad header: {}", seq, wire::text_of(fault));
  }
  if (header.payload_slot != index) return fmt::format("committed frame {} names payload slot {}", seq, header.payload_slot);
  if (pools == nullptr) return {};
  const auto pool = std::find_if(pools->begin(), pools->end(), [&](const KnownPool& known) { return known.pool_id == header.pool_id; });
  if (pool == pools->end()) return fmt::format("committed frame {} names pool {}, which is not here", seq, header.pool_id);
  if (header.values_len_bytes > pool->stride_bytes) {
    return fmt::format("committed frame {} claims {} bytes, pool {} has slots of {}", seq, header.values_len_bytes, header.pool_id, pool->stride_bytes);
  }
  return {};
}

SlotReport report_slot(const std::byte (&slot)[wire::kSlotBytes], uint32_t index, uint32_t nslots, const std::vector<KnownPool>* pools) {
  SlotReport report;
  report.index = index;
  report.word = load<uint64_t>(slot);
  report.seq = CommitWord::seq_of(report.word);
  if (CommitWord::is_committed(report.word)) {
    report.state = SlotReport::State::kCommitted;
    report.fault = judge(slot, index, nslots, pools, report.header);
    return report;
  }
  const bool zero = std::all_of(std::begin(slot), std::end(slot), [](std::byte b) { return b == std::byte{0}; });
  report.state = zero ? SlotReport::State::kUnused : SlotReport::State::kWriting;
  return report;
}

// A slot that looked damaged, once more: the producer may have been at it. False: it keeps changing.
bool read_stable_slot(const File& file, uint64_t offset, std::byte (&slot)[wire::kSlotBytes]) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    std::byte before[8], after[8];
    file.read(before, sizeof before, offset);
    file.read(slot, wire::kSlotBytes, offset);
    file.read(after, sizeof after, offset);
    const auto word = load<uint64_t>(slot);
    if (load<uint64_t>(before) == word && load<uint64_t>(after) == word) return true;
  }
  return false;
}

void read_slots(const File& file, size_t slot_limit, const std::vector<KnownPool>* pools, RegionReport& out) {
  const uint32_t nslots = out.superblock.nslots;
  std::vector<std::byte> chunk(kSlotsARead * wire::kSlotBytes);
  // A heap whose top is the oldest: the newest `slot_limit` survive.
  const auto newer = [](const SlotReport& a, const SlotReport& b) { return a.seq > b.seq; };
  for (uint32_t first = 0; first < nslots; first += kSlotsARead) {
    const uint32_t count = std::min<uint32_t>(kSlotsARead, nslots - first);
    file.read(chunk.data(), size_t{count} * wire::kSlotBytes, wire::kSuperblockBytes + uint64_t{first} * wire::kSlotBytes);
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t index = first + i;
      std::byte slot[wire::kSlotBytes];
      std::copy_n(chunk.data() + size_t{i} * wire::kSlotBytes, wire::kSlotBytes, slot);
      SlotReport report = report_slot(slot, index, nslots, pools);
      if (!report.fault.empty()) {
        if (read_stable_slot(file, wire::kSuperblockBytes + uint64_t{index} * wire::kSlotBytes, slot)) {
          report = report_slot(slot, index, nslots, pools);
        } else {
          report.state = SlotReport::State::kWriting;
          report.fault.clear();
        }
      }
      switch (report.state) {
        case SlotReport::State::kUnused: ++out.unused; continue;
        case SlotReport::State::kWriting: ++out.writing; break;
        case SlotReport::State::kCommitted: ++(report.fault.empty() ? out.committed : out.damaged); break;
      }
      if (!report.fault.empty() && out.faults.size() < kMaxFaults) out.faults.push_back(fmt::format("{}: slot {} {}", file.path(), index, report.fault));
      if (slot_limit == 0) continue;
      if (out.slots.size() == slot_limit) {
        if (!newer(report, out.slots.front())) continue;
        std::pop_heap(out.slots.begin(), out.slots.end(), newer);
        out.slots.pop_back();
      }
      out.slots.push_back(std::move(report));
      std::push_heap(out.slots.begin(), out.slots.end(), newer);
    }
  }
  std::sort_heap(out.slots.begin(), out.slots.end(), newer);  // newest first
  if (out.damaged > out.faults.size()) out.faults.push_back(fmt::format("{}: {} more slots are damaged", file.path(), out.damaged - out.faults.size()));
}

std::string file_name(const std::string& path) { return fs::path(path).filename().string(); }

// "7.pool" -> 7; nullopt for any other name.
std::optional<uint16_t> pool_id_of(const std::string& name) {
  static constexpr std::string_view kSuffix = ".pool";
  if (!name.ends_with(kSuffix)) return std::nullopt;
  uint16_t id = 0;
  const char* end = name.data() + name.size() - kSuffix.size();
  const auto [stop, error] = std::from_chars(name.data(), end, id);
  return error == std::errc{} && stop == end ? std::optional(id) : std::nullopt;
}

void compare(const RegionReport& header, const RegionReport& pool, std::vector<std::string>& faults) {
  const auto differs = [&](std::string_view field, auto found, auto expected) {
    if (found != expected) faults.push_back(fmt::format("{}: {} is {}, header.ring says {}", pool.path, field, found, expected));
  };
  differs("stream id", pool.superblock.stream_id, header.superblock.stream_id);
  differs("epoch", pool.superblock.epoch, header.superblock.epoch);
  differs("slot count", pool.superblock.nslots, header.superblock.nslots);
  if (pool.superblock.region_type != wire::RegionType::payload_pool) faults.push_back(fmt::format("{}: is a header ring under a pool's name", pool.path));
  if (const auto id = pool_id_of(file_name(pool.path)); id && *id != pool.superblock.pool_id) {
    faults.push_back(fmt::format("{}: pool id is {}, its name says {}", pool.path, pool.superblock.pool_id, *id));
  }
}

}  // namespace

RegionReport examine_region(const std::string& path, size_t slot_limit, const std::vector<KnownPool>* pools) {
  const File file(path);
  RegionReport out;
  out.path = path;
  out.file_bytes = file.bytes();
  out.superblock = read_superblock(file);
  out.creator_alive = process_exists(out.superblock.pid);
  if (out.superblock.region_type == wire::RegionType::header_ring) read_slots(file, slot_limit, pools, out);
  return out;
}

EpochReport examine_epoch(const std::string& directory, size_t slot_limit) {
  EpochReport out;
  out.path = directory;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (pool_id_of(entry.path().filename().string())) out.pools.push_back(examine_region(entry.path().string(), 0));
  }
  if (error) throw Error(code_of_errno(error.value()), "read ", directory, ": ", error.message());
  std::sort(out.pools.begin(), out.pools.end(), [](const auto& a, const auto& b) { return a.superblock.pool_id < b.superblock.pool_id; });
  std::vector<KnownPool> known;
  for (const auto& pool : out.pools) known.push_back({pool.superblock.pool_id, pool.superblock.stride_bytes});
  out.header = examine_region(directory + "/header.ring", slot_limit, &known);
  if (out.header.superblock.region_type != wire::RegionType::header_ring) out.faults.push_back(out.header.path + ": is a payload pool under the header ring's name");
  if (out.pools.empty()) out.faults.push_back(directory + ": has a header ring and no pool");
  for (const auto& pool : out.pools) compare(out.header, pool, out.faults);
  return out;
}

std::vector<std::string> epochs_below(const std::string& directory) {
  std::vector<std::pair<uint64_t, std::string>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    uint64_t epoch = 0;
    const auto [stop, fault] = std::from_chars(name.data(), name.data() + name.size(), epoch);
    if (fault == std::errc{} && stop == name.data() + name.size() && fs::exists(entry.path() / "header.ring", error)) found.emplace_back(epoch, entry.path().string());
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> out;
  for (auto& [epoch, path] : found) out.push_back(std::move(path));
  return out;
}

}  // namespace tidepool::cli

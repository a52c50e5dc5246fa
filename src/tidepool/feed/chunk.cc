#include "tidepool/feed/chunk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/base/process.h"
#include "tidepool/feed/crc32c.h"

namespace tidepool::feed {
namespace {

constexpr size_t kFooterHeadBytes = 256;
constexpr size_t kFooterEndBytes = 24;

uint64_t round_up(uint64_t value, uint64_t to) noexcept { return (value + to - 1) / to * to; }

[[noreturn]] void corrupt(const std::string& path, std::string_view what) {
  throw FeedError(Fault::kCorrupt, path, ": ", what);
}

std::optional<Footer> decode_footer(Bytes bytes, const ChunkHeader& header) {
  if (bytes.size() < kFooterHeadBytes + kFooterEndBytes) return std::nullopt;
  const std::byte* at = bytes.data();
  const size_t crc_at = bytes.size() - kFooterEndBytes;
  if (load<uint64_t>(at) != kFooterMagic || load<uint64_t>(at + 8) != bytes.size()) return std::nullopt;
  if (crc32c(bytes.first(crc_at)) != load<uint32_t>(at + crc_at) || load<uint32_t>(at + crc_at + 4) != 0) return std::nullopt;
  if (load<Id>(at + 16) != header.feed_id || load<uint64_t>(at + 32) != header.ordinal || load<uint64_t>(at + 40) != header.epoch) return std::nullopt;
  Footer footer;
  footer.summary.first_seq = load<uint64_t>(at + 48);
  footer.summary.count = load<uint64_t>(at + 56);
  footer.summary.bytes = load<uint64_t>(at + 64);
  footer.summary.sealed_wall_ns = load<uint64_t>(at + 72);
  const auto flags = load<uint32_t>(at + 80);
  for (size_t k = 0; k < kClocksMax; ++k) {
    footer.summary.clocks[k] = {load<uint64_t>(at + 88 + 16 * k), load<uint64_t>(at + 96 + 16 * k), (flags >> k & 1) == 0};
  }
  const auto blocks = load<uint64_t>(at + 136);
  if (footer.summary.bytes > header.capacity || blocks != header.blocks(footer.summary.bytes)) return std::nullopt;
  if (bytes.size() != kFooterHeadBytes + round_up(4 * blocks, 8) + kFooterEndBytes) return std::nullopt;
  footer.block_crcs.resize(blocks);
  std::memcpy(footer.block_crcs.data(), at + kFooterHeadBytes, 4 * blocks);
  return footer;
}

}  // namespace

ChunkHeader ChunkHeader::plan(const FeedInfo& feed, uint64_t data_bytes) {
  ChunkHeader header;
  header.base_id = feed.base_id;
  header.feed_id = feed.id;
  header.schema_hash = feed.schema_hash;
  header.schema_id = feed.schema_id;
  header.layout = feed.schema.layout();
  header.clocks = static_cast<uint8_t>(feed.schema.clocks());
  header.align_log2 = static_cast<uint8_t>(std::countr_zero(feed.schema.payload_align()));
  header.record_bytes = feed.schema.record_bytes();
  header.block_bytes = feed.options.block_bytes;
  header.capacity = header.layout == Layout::kRows ? data_bytes / header.record_bytes * header.record_bytes : round_up(data_bytes, 64);
  header.schema_offset = kChunkPageBytes;
  header.schema_bytes = static_cast<uint32_t>(feed.schema.encode().size());
  header.table_offset = static_cast<uint32_t>(round_up(header.schema_offset + header.schema_bytes, 64));
  header.table_bytes = static_cast<uint32_t>(4 * header.blocks(header.capacity));
  header.data_offset = round_up(uint64_t{header.table_offset} + header.table_bytes, kChunkPageBytes);
  return header;
}

std::vector<std::byte> ChunkHeader::encode() const {
  std::vector<std::byte> bytes(kChunkConstBytes);
  std::byte* at = bytes.data();
  store(at, kChunkMagic);
  store(at + 8, kMajor);
  store(at + 10, kMinor);
  store(at + 12, static_cast<uint32_t>(kChunkPageBytes));
  store(at + 16, base_id);
  store(at + 32, feed_id);
  store(at + 48, ordinal);
  store(at + 56, epoch);
  store(at + 64, schema_hash);
  store(at + 72, schema_id);
  store(at + 76, layout);
  store(at + 77, clocks);
  store(at + 78, align_log2);
  store(at + 80, record_bytes);
  store(at + 84, block_bytes);
  store(at + 88, capacity);
  store(at + 96, data_offset);
  store(at + 104, schema_offset);
  store(at + 108, schema_bytes);
  store(at + 112, table_offset);
  store(at + 116, table_bytes);
  store(at + 120, created_wall_ns);
  store(at + 128, created_monotonic_ns);
  store(at + 136, boot_id);
  store(at + kChunkConstBytes - 4, crc32c(Bytes(bytes).first(kChunkConstBytes - 4)));
  return bytes;
}

ChunkHeader ChunkHeader::decode(Bytes page, const std::string& path) {
  if (page.size() < kChunkConstBytes) corrupt(path, "shorter than the header of a chunk");
  const std::byte* at = page.data();
  if (load<uint64_t>(at) != kChunkMagic) corrupt(path, "does not begin like a chunk");
  if (load<uint16_t>(at + 8) > kMajor) {
    throw FeedError(Fault::kUnsupportedVersion, path, " has format ", load<uint16_t>(at + 8), ", this program knows ", kMajor, ": use a newer one");
  }
  if (crc32c(page.first(kChunkConstBytes - 4)) != load<uint32_t>(at + kChunkConstBytes - 4)) corrupt(path, "the checksum of the header is wrong");
  ChunkHeader header;
  header.base_id = load<Id>(at + 16);
  header.feed_id = load<Id>(at + 32);
  header.ordinal = load<uint64_t>(at + 48);
  header.epoch = load<uint64_t>(at + 56);
  header.schema_hash = load<uint64_t>(at + 64);
  header.schema_id = load<uint32_t>(at + 72);
  header.layout = load<Layout>(at + 76);
  header.clocks = load<uint8_t>(at + 77);
  header.align_log2 = load<uint8_t>(at + 78);
  header.record_bytes = load<uint32_t>(at + 80);
  header.block_bytes = load<uint32_t>(at + 84);
  header.capacity = load<uint64_t>(at + 88);
  header.data_offset = load<uint64_t>(at + 96);
  header.schema_offset = load<uint32_t>(at + 104);
  header.schema_bytes = load<uint32_t>(at + 108);
  header.table_offset = load<uint32_t>(at + 112);
  header.table_bytes = load<uint32_t>(at + 116);
  header.created_wall_ns = load<uint64_t>(at + 120);
  header.created_monotonic_ns = load<uint64_t>(at + 128);
  header.boot_id = load<Id>(at + 136);
  const bool rows = header.layout == Layout::kRows;
  if ((!rows && header.layout != Layout::kFrames) || header.clocks < 1 || header.clocks > kClocksMax || header.align_log2 < 6 ||
      header.align_log2 > 12 || header.block_bytes < 4096 || !std::has_single_bit(header.block_bytes) ||
      (rows ? header.record_bytes < 8u * header.clocks || header.record_bytes > kRecordBytesMax || header.capacity % header.record_bytes != 0
            : header.capacity % 64 != 0) ||
      header.capacity > (uint64_t{1} << 41) || header.schema_offset < kChunkPageBytes ||
      uint64_t{header.schema_offset} + header.schema_bytes > header.table_offset || header.table_bytes != 4 * header.blocks(header.capacity) ||
      uint64_t{header.table_offset} + header.table_bytes > header.data_offset || header.data_offset % kChunkPageBytes != 0 ||
      header.data_offset > (uint64_t{1} << 33)) {
    corrupt(path, "the header contradicts itself");
  }
  return header;
}

std::array<std::byte, kActivationBytes> encode(const Activation& activation, const ChunkHeader& header) {
  std::array<std::byte, kActivationBytes> bytes{};
  store(bytes.data(), activation.first_seq);
  store(bytes.data() + 8, activation.wall_ns);
  store(bytes.data() + 16, header.created_wall_ns);
  store(bytes.data() + 28, crc32c(Bytes(bytes).first(28)));
  return bytes;
}

std::optional<Activation> decode_activation(Bytes page, const ChunkHeader& header) noexcept {
  if (page.size() < kActivationAt + kActivationBytes) return std::nullopt;
  const std::byte* at = page.data() + kActivationAt;
  if (crc32c({at, 28}) != load<uint32_t>(at + 28) || load<uint64_t>(at + 16) != header.created_wall_ns) return std::nullopt;
  return Activation{load<uint64_t>(at), load<uint64_t>(at + 8)};
}

std::array<std::byte, kTailSlotBytes> encode(const TailSlot& slot) {
  std::array<std::byte, kTailSlotBytes> bytes{};
  store(bytes.data(), slot.generation);
  store(bytes.data() + 8, slot.end);
  store(bytes.data() + 16, slot.records);
  store(bytes.data() + 24, slot.wall_ns);
  store(bytes.data() + 32, slot.tail_crc);
  store(bytes.data() + kTailSlotBytes - 4, crc32c(Bytes(bytes).first(kTailSlotBytes - 4)));
  return bytes;
}

std::optional<TailSlot> decode_tail(Bytes page, size_t which) noexcept {
  if (page.size() < kTailSlotAt[which] + kTailSlotBytes) return std::nullopt;
  const std::byte* at = page.data() + kTailSlotAt[which];
  if (load<uint64_t>(at) == 0 || crc32c({at, kTailSlotBytes - 4}) != load<uint32_t>(at + kTailSlotBytes - 4)) return std::nullopt;
  return TailSlot{load<uint64_t>(at), load<uint64_t>(at + 8), load<uint64_t>(at + 16), load<uint64_t>(at + 24), load<uint32_t>(at + 32)};
}

uint64_t footer_offset(const ChunkHeader& header, uint64_t used_bytes) noexcept { return round_up(header.data_offset + used_bytes, 64); }

std::vector<std::byte> encode(const Footer& footer, const ChunkHeader& header) {
  const size_t blocks = footer.block_crcs.size();
  std::vector<std::byte> bytes(kFooterHeadBytes + round_up(4 * blocks, 8) + kFooterEndBytes);
  std::byte* at = bytes.data();
  store(at, kFooterMagic);
  store(at + 8, static_cast<uint64_t>(bytes.size()));
  store(at + 16, header.feed_id);
  store(at + 32, header.ordinal);
  store(at + 40, header.epoch);
  store(at + 48, footer.summary.first_seq);
  store(at + 56, footer.summary.count);
  store(at + 64, footer.summary.bytes);
  store(at + 72, footer.summary.sealed_wall_ns);
  uint32_t flags = 0;
  for (size_t k = 0; k < kClocksMax; ++k) {
    if (!footer.summary.clocks[k].ordered) flags |= 1u << k;
    store(at + 88 + 16 * k, footer.summary.clocks[k].min);
    store(at + 96 + 16 * k, footer.summary.clocks[k].max);
  }
  store(at + 80, flags);
  store(at + 84, header.schema_id);
  store(at + 136, static_cast<uint64_t>(blocks));
  if (blocks != 0) std::memcpy(at + kFooterHeadBytes, footer.block_crcs.data(), 4 * blocks);
  const size_t crc_at = bytes.size() - kFooterEndBytes;
  store(at + crc_at, crc32c(Bytes(bytes).first(crc_at)));
  store(at + crc_at + 8, static_cast<uint64_t>(bytes.size()));
  store(at + crc_at + 16, kEndMagic);
  return bytes;
}

// ---- reading the disk side ---------------------------------------------------------------------------------------------------

namespace {

// A chunk's file, looked at. `chunk` is filled as far as it can be known.
class Examination {
 public:
  Examination(const File& file, DiskChunk& chunk, Bytes head)
      : file_(file), chunk_(chunk), header_(chunk.header), head_(head), buffer_(header_.block_bytes) {}

  void read_footer() {
    const uint64_t size = file_.size();
    if (size < header_.data_offset + kFooterHeadBytes + kFooterEndBytes) return;
    std::byte end[kFooterEndBytes];
    file_.read(end, size - sizeof end);
    const auto footer_bytes = load<uint64_t>(end + 8);
    if (load<uint64_t>(end + 16) != kEndMagic || footer_bytes < kFooterHeadBytes + kFooterEndBytes || footer_bytes > size - header_.data_offset ||
        footer_bytes > kFooterHeadBytes + header_.table_bytes + 8 + kFooterEndBytes) {
      return;
    }
    std::vector<std::byte> bytes(footer_bytes);
    file_.read(bytes, size - footer_bytes);
    auto& footer = chunk_.footer;
    footer = decode_footer(bytes, header_);
    if (footer && footer_offset(header_, footer->summary.bytes) + footer_bytes != size) footer.reset();
    if (footer && chunk_.activation && footer->summary.first_seq != chunk_.activation->first_seq) footer.reset();
    if (!footer) chunk_.remarks.push_back("the footer does not check out");
  }

  void believe_footer(bool verify_blocks) {
    const Footer& footer = *chunk_.footer;
    if (!chunk_.activation) chunk_.activation = Activation{footer.summary.first_seq, 0};
    chunk_.verified_end = footer.summary.bytes;
    chunk_.verified_records = footer.summary.count;
    chunk_.table = footer.block_crcs;
    for (uint64_t block = 0; verify_blocks && block < chunk_.table.size(); ++block) {
      const uint64_t from = block * header_.block_bytes;
      const auto crc = crc_of(from, std::min<uint64_t>(from + header_.block_bytes, chunk_.verified_end));
      if (crc != chunk_.table[block]) chunk_.remarks.push_back(concat("block ", block, " is damaged"));
    }
  }

  // The newer tail slot whose data check out. Its predecessor's data were synced before it was written.
  void believe_tails() {
    table_.resize(header_.table_bytes / 4);
    table_.resize(file_.read(std::as_writable_bytes(std::span(table_)), header_.table_offset).size() / 4);
    std::vector<TailSlot> slots;
    for (size_t which = 0; which < 2; ++which) {
      if (auto slot = decode_tail(head_, which)) slots.push_back(*slot);
    }
    std::sort(slots.begin(), slots.end(), [](const TailSlot& a, const TailSlot& b) { return a.generation > b.generation; });
    if (slots.empty()) chunk_.remarks.push_back("never synced: none of its records is certain");
    if (!slots.empty()) chunk_.generation = slots.front().generation;
    for (const TailSlot& slot : slots) {
      if (believe(slot)) return;
    }
    believe_whole_blocks();
  }

 private:
  std::optional<uint32_t> crc_of(uint64_t from, uint64_t to) {
    const auto wanted = MutableBytes(buffer_).first(to - from);
    if (file_.read(wanted, header_.data_offset + from).size() != wanted.size()) return std::nullopt;
    return crc32c(wanted);
  }

  bool believe(const TailSlot& slot) {
    if (slot.end > header_.capacity || (header_.layout == Layout::kRows && (slot.end % header_.record_bytes != 0 || slot.records != slot.end / header_.record_bytes))) {
      chunk_.remarks.push_back("a tail slot says what cannot be");
      return false;
    }
    const uint64_t whole = slot.end / header_.block_bytes;
    bool right = whole <= table_.size();
    for (uint64_t block = good_.size(); right && block < whole; ++block) {
      right = crc_of(block * header_.block_bytes, (block + 1) * header_.block_bytes) == table_[block];
      if (right) good_.push_back(table_[block]);
    }
    const uint64_t from = whole * header_.block_bytes;
    if (right && slot.end > from) right = crc_of(from, slot.end) == slot.tail_crc;
    if (right && slot.end == from) right = slot.tail_crc == 0;
    if (!right) {
      chunk_.remarks.push_back(concat("what was synced up to byte ", slot.end, " does not check out from block ", good_.size()));
      return false;
    }
    chunk_.verified_end = slot.end;
    chunk_.verified_records = slot.records;
    chunk_.table.assign(good_.begin(), good_.begin() + static_cast<ptrdiff_t>(whole));
    if (slot.end > from) chunk_.table.push_back(slot.tail_crc);
    return true;
  }

  // Neither slot's end checks out (a damaged file, not a power cut): what comes before the damage is whole blocks.
  void believe_whole_blocks() {
    if (header_.layout != Layout::kRows) return;
    const uint64_t end = good_.size() * uint64_t{header_.block_bytes};
    chunk_.verified_end = end / header_.record_bytes * header_.record_bytes;
    chunk_.verified_records = chunk_.verified_end / header_.record_bytes;
    chunk_.table.assign(good_.begin(), good_.begin() + static_cast<ptrdiff_t>(chunk_.verified_end / header_.block_bytes));
    if (const uint64_t from = chunk_.table.size() * uint64_t{header_.block_bytes}; from < chunk_.verified_end)
      chunk_.table.push_back(crc_of(from, chunk_.verified_end).value_or(0));
  }

  const File& file_;
  DiskChunk& chunk_;
  const ChunkHeader& header_;
  Bytes head_;
  std::vector<std::byte> buffer_;
  std::vector<uint32_t> table_;  // of checksums, as the file has it
  std::vector<uint32_t> good_;   // of whole blocks found right, kept between the two slots
};

}  // namespace

DiskChunk examine_chunk(const File& file, bool verify_blocks) {
  DiskChunk chunk;
  std::vector<std::byte> page(kChunkPageBytes);
  const Bytes head = file.read(page, 0);
  chunk.header = ChunkHeader::decode(head, file.path());
  chunk.activation = decode_activation(head, chunk.header);
  Examination look(file, chunk, head);
  look.read_footer();
  if (chunk.footer) {
    look.believe_footer(verify_blocks);
  } else {
    look.believe_tails();
  }
  return chunk;
}

Schema schema_from_chunks(const FeedInfo& feed, Files& files, uint32_t schema_id) {
  if (schema_id == 0) schema_id = feed.schema_id;
  for (const std::string& name : names_in(feed.directory)) {
    if (!ordinal_of(name) || !name.ends_with(".data")) continue;
    try {
      const File file = File::open(files, concat(feed.directory, "/", name), O_RDONLY);
      std::vector<std::byte> page(kChunkPageBytes);
      const ChunkHeader header = ChunkHeader::decode(file.read(page, 0), file.path());
      if (header.feed_id != feed.id || header.schema_id != schema_id) continue;
      std::vector<std::byte> block(header.schema_bytes);
      const Schema schema = Schema::decode(file.read(block, header.schema_offset));
      if (schema.hash() == (schema_id == feed.schema_id ? feed.schema_hash : header.schema_hash)) return schema;
    } catch (const FeedError&) {  // another chunk may be better
    }
  }
  throw FeedError(Fault::kCorrupt, "feed ", feed.name, ": its schema file is missing or damaged, and no chunk holds the schema");
}

// ---- frames ---------------------------------------------------------------------------------------------------------------

uint64_t frame_payload_offset(uint16_t meta_bytes, uint8_t align_log2) noexcept { return round_up(kFrameHeadBytes + meta_bytes, uint64_t{1} << align_log2); }

uint64_t frame_span(uint16_t meta_bytes, uint64_t payload_bytes, uint8_t align_log2) noexcept {
  const uint64_t before = frame_payload_offset(meta_bytes, align_log2);
  const uint64_t align = uint64_t{1} << align_log2;
  return payload_bytes > ~uint64_t{0} - before - align ? 0 : round_up(before + payload_bytes, align);
}

void encode(const FrameHead& head, std::byte* at) noexcept {
  store(at, head.length);
  store(at + 8, head.seq);
  for (size_t k = 0; k < kClocksMax; ++k) store(at + 16 + 8 * k, head.clocks[k]);
  store(at + 40, head.stream_epoch);
  store(at + 48, head.stream_seq);
  store(at + 56, head.type);
  store(at + 58, head.meta_bytes);
  store(at + 60, crc32c({at, 60}));
}

std::optional<FrameHead> decode_frame(const std::byte* at, uint64_t available, uint64_t expected_seq, uint8_t align_log2) noexcept {
  if (available < kFrameHeadBytes || crc32c({at, 60}) != load<uint32_t>(at + 60)) return std::nullopt;
  FrameHead head;
  head.length = load<uint64_t>(at);
  head.seq = load<uint64_t>(at + 8);
  for (size_t k = 0; k < kClocksMax; ++k) head.clocks[k] = load<uint64_t>(at + 16 + 8 * k);
  head.stream_epoch = load<uint64_t>(at + 40);
  head.stream_seq = load<uint64_t>(at + 48);
  head.type = load<uint16_t>(at + 56);
  head.meta_bytes = load<uint16_t>(at + 58);
  if (head.length < frame_payload_offset(head.meta_bytes, align_log2) || head.length > available || head.seq != expected_seq) return std::nullopt;
  return head;
}

// ---- live objects ------------------------------------------------------------------------------------------------------------

std::string live_directory_path(const FeedInfo& feed) {
  struct stat found {};
  if (::stat(feed.directory.c_str(), &found) != 0) throw FeedError(fault_of_errno(errno), "examine ", feed.directory, errno_text());
  return concat(feed.options.shm_root, "/tidepool-", hex(feed.base_id), "-", hex(feed.id), "-", found.st_ino);
}

std::optional<std::string> trusted_live_directory(const FeedInfo& feed) noexcept {
  try {
    const std::string path = live_directory_path(feed);
    struct stat live {};
    struct stat files {};
    if (::lstat(path.c_str(), &live) != 0 || !S_ISDIR(live.st_mode) || ::stat(feed.directory.c_str(), &files) != 0) return std::nullopt;
    if (live.st_uid != files.st_uid && live.st_uid != ::geteuid() && live.st_uid != 0) return std::nullopt;
    return path;
  } catch (...) {
    return std::nullopt;
  }
}

namespace {
constexpr uint64_t kLiveMagic = 0x314556494C465054;  // "TPFLIVE1"
constexpr size_t kLivePageBytes = 4096;
}  // namespace

LivePage LivePage::create(Files& files, const std::string& directory, const FeedInfo& feed, uint64_t epoch, uint32_t mode) {
  std::vector<std::byte> bytes(kLivePageBytes);
  std::byte* at = bytes.data();
  const ProcessId self = this_process();
  store(at, kLiveMagic);
  store(at + 8, kMajor);
  store(at + 10, kMinor);
  store(at + 12, static_cast<uint32_t>(kLivePageBytes));
  store(at + 16, feed.base_id);
  store(at + 32, feed.id);
  store(at + 48, this_boot_id());
  store(at + 64, epoch);
  store(at + 72, self.pid);
  store(at + 80, self.start_ticks);
  store(at + 124, crc32c(Bytes(bytes).first(124)));
  store(at + 320, static_cast<uint32_t>(State::kActive));
  store(at + 328, monotonic_ns());
  const std::string temporary = concat(directory, "/.tmp-", kName);
  LivePage page;
  {
    const File file = File::open(files, temporary, O_RDWR | O_CREAT | O_TRUNC, mode, true);
    file.write(bytes, 0);
    page.mapping_ = Mapping::of(file, kLivePageBytes, true);
  }
  rename_file(files, temporary, concat(directory, "/", kName));
  page.epoch_ = epoch;
  return page;
}

std::optional<LivePage> LivePage::open(Files& files, const std::string& directory, const FeedInfo& feed, bool writable) noexcept {
  try {
    const File file = File::open_if_there(files, concat(directory, "/", kName), writable ? O_RDWR : O_RDONLY);
    if (!file || file.size() < kLivePageBytes) return std::nullopt;
    LivePage page;
    page.mapping_ = Mapping::of(file, kLivePageBytes, writable);
    const std::byte* at = page.mapping_.data();
    if (load<uint64_t>(at) != kLiveMagic || load<uint16_t>(at + 8) > kMajor || crc32c({at, 124}) != load<uint32_t>(at + 124)) return std::nullopt;
    if (load<Id>(at + 16) != feed.base_id || load<Id>(at + 32) != feed.id) return std::nullopt;
    if (load<Id>(at + 48) != this_boot_id() || this_boot_id() == kNoId) return std::nullopt;
    page.epoch_ = load<uint64_t>(at + 64);
    return page;
  } catch (...) {
    return std::nullopt;
  }
}

uint64_t LivePage::pid() const noexcept { return load<uint64_t>(mapping_.data() + 72); }

void LivePage::publish_latest(const Latest& latest) noexcept {
  shm::LatestSlots<4>(mapping_.data() + 128).publish({latest.ordinal, latest.first_seq, latest.capacity, latest.tag});
}

std::optional<LivePage::Latest> LivePage::latest() const noexcept {
  uint64_t words[4];
  if (!shm::LatestSlots<4>(static_cast<const std::byte*>(mapping_.data()) + 128).read(words)) return std::nullopt;
  return Latest{words[0], words[1], words[2], words[3]};
}

}  // namespace tidepool::feed

#pragma once
// A chunk: a contiguous run of records in one object, with the same bytes in shared memory and on disk
// (docs/formats/feed-chunk.md). It describes itself: header, schema, a table of block checksums, data, and once sealed a footer.
//
// Thread safety: one writer; its data grow behind the `committed` word and are never changed again (F-29). Any number of readers
// through read-only mappings.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/feed/file_seam.h"
#include "tidepool/feed/latency_words.h"
#include "tidepool/feed/registry.h"
#include "tidepool/shm/published_word.h"

namespace tidepool::feed {

inline constexpr uint64_t kChunkMagic = 0x314B4E5548435054;   // "TPCHUNK1"
inline constexpr uint64_t kFooterMagic = 0x31544F4F46435054;  // "TPCFOOT1"
inline constexpr uint64_t kEndMagic = 0x31444E454B485054;     // "TPHKEND1"
inline constexpr size_t kChunkPageBytes = 4096;
inline constexpr size_t kChunkConstBytes = 256;  // the last 4: their checksum
inline constexpr size_t kFrameHeadBytes = 64;

struct ChunkHeader {
  Id base_id{};
  Id feed_id{};
  uint64_t ordinal = 0;
  uint64_t epoch = 0;
  uint64_t schema_hash = 0;
  uint32_t schema_id = 1;
  Layout layout = Layout::kRows;
  uint8_t clocks = 1;
  uint8_t align_log2 = 6;
  uint32_t record_bytes = 0;
  uint32_t block_bytes = 0;
  uint64_t capacity = 0;  // of the data area
  uint64_t data_offset = 0;
  uint32_t schema_offset = 0;
  uint32_t schema_bytes = 0;
  uint32_t table_offset = 0;
  uint32_t table_bytes = 0;
  uint64_t created_wall_ns = 0;  // the chunk's tag
  uint64_t created_monotonic_ns = 0;
  Id boot_id{};

  // Fill the sizes for a chunk of `feed` whose data area holds up to `data_bytes`.
  static ChunkHeader plan(const FeedInfo& feed, uint64_t data_bytes);
  std::vector<std::byte> encode() const;                       // kChunkConstBytes
  // From the first page of a file; throws FeedError kCorrupt (what is wrong) or kUnsupportedVersion.
  static ChunkHeader decode(Bytes page, const std::string& path);
  uint64_t file_bytes() const noexcept { return data_offset + capacity; }
  uint64_t blocks(uint64_t bytes) const noexcept { return (bytes + block_bytes - 1) / block_bytes; }
};

// Where a chunk's numbers begin: written once, when it becomes the one that is appended to.
struct Activation {
  uint64_t first_seq = 0;
  uint64_t wall_ns = 0;
};
inline constexpr size_t kWordDurableAt = 392;  // of ChunkWords::durable()
inline constexpr size_t kActivationAt = 448;
inline constexpr size_t kActivationBytes = 32;
std::array<std::byte, kActivationBytes> encode(const Activation& activation, const ChunkHeader& header);
std::optional<Activation> decode_activation(Bytes page, const ChunkHeader& header) noexcept;

enum class WordState : uint32_t { kPrepared = 0, kActive = 1, kSealed = 2, kAbandoned = 3 };

// The words of a live chunk's first page that change while it is written. On disk they are never believed (F-h).
class ChunkWords {
 public:
  ChunkWords() = default;
  explicit ChunkWords(std::byte* page) noexcept : page_(page) {}
  explicit operator bool() const noexcept { return page_ != nullptr; }

  // [publish] bytes of the data area that hold records: the one word that readers follow. Alone on its line with `records`.
  shm::PublishedWord committed() const noexcept { return shm::PublishedWord(page_ + 256); }
  shm::PublishedWord records() const noexcept { return shm::PublishedWord(page_ + 264); }  // set before committed()
  // Highest value of each clock over the records that lie below covered(); stored after committed(), so never ahead of it.
  shm::PublishedWord covered() const noexcept { return shm::PublishedWord(page_ + 320); }
  shm::PublishedWord highest(size_t k) const noexcept { return shm::PublishedWord(page_ + 328 + 8 * k); }
  shm::PublishedFlag state() const noexcept { return shm::PublishedFlag(page_ + 384); }
  // Bit k: clock k went backwards in this chunk. Set before the record is committed.
  shm::PublishedFlag unordered() const noexcept { return shm::PublishedFlag(page_ + 388); }
  shm::PublishedWord durable() const noexcept { return shm::PublishedWord(page_ + kWordDurableAt); }  // bytes that survive a power cut
  const std::byte* page() const noexcept { return page_; }

 private:
  std::byte* page_ = nullptr;
};

// How far a file was known to be good at the last sync: two slots in sectors of their own, written in turn.
struct TailSlot {
  uint64_t generation = 0;
  uint64_t end = 0;        // bytes of the data area
  uint64_t records = 0;
  uint64_t wall_ns = 0;
  uint32_t tail_crc = 0;   // of the block that `end` lies in, from its beginning to `end`; 0 when `end` is a block's
};
inline constexpr size_t kTailSlotAt[2] = {512, 1024};
inline constexpr size_t kTailSlotBytes = 64;
std::array<std::byte, kTailSlotBytes> encode(const TailSlot& slot);
std::optional<TailSlot> decode_tail(Bytes page, size_t which) noexcept;

struct ChunkSummary {
  uint64_t first_seq = 0;
  uint64_t count = 0;
  uint64_t bytes = 0;
  ClockBounds clocks[kClocksMax];
  uint64_t sealed_wall_ns = 0;
  uint64_t end_seq() const noexcept { return first_seq + count; }
};

struct Footer {
  ChunkSummary summary;
  std::vector<uint32_t> block_crcs;
};
std::vector<std::byte> encode(const Footer& footer, const ChunkHeader& header);
uint64_t footer_offset(const ChunkHeader& header, uint64_t used_bytes) noexcept;

// The disk side of a chunk while it is written: data, checksum table, tail slots, footer. Every call throws FeedError on failure;
// after a failed sync nothing that the file holds beyond durable_end() is trusted.
class ChunkFile {
 public:
  // A new file under its final name, with header and schema, not yet synced. `full_size`: it will be mapped and written in place.
  static ChunkFile create(Files& files, const std::string& directory, const ChunkHeader& header, Bytes schema, uint32_t mode, bool full_size);
  // An existing one that is to be continued at `durable_end`, which was verified.
  static ChunkFile resume(Files& files, const std::string& path, const ChunkHeader& header, uint64_t verified_end, uint64_t records,
                          std::vector<uint32_t> table, uint64_t generation);

  const File& file() const noexcept { return file_; }
  uint64_t checked_end() const noexcept { return checked_end_; }  // checksummed
  uint64_t durable_end() const noexcept { return durable_end_; }
  void activate(const Activation& activation);
  // Take [checked_end(), end) of the data area in: checksums, and (unless the file is written in place) the bytes; small pieces wait
  // for more. `data` stays until the next sync() or seal().
  void take(const std::byte* data, uint64_t end, bool in_place);
  // It was made aside and synced, and has been renamed into this directory, which was synced too.
  void moved(const std::string& directory);
  // The file, which is written in place, has tail slots up to that generation.
  void follow(uint64_t generation) noexcept { generation_ = generation; }
  // Make all that was taken durable, with a tail slot that says so. `records`: how many these are.
  void sync(uint64_t records);
  // Footer, cut, sync: the file is complete. All data must have been taken.
  void seal(const ChunkSummary& summary);

 private:
  void open_direct();
  void write_out(bool all);
  bool write_direct(uint64_t begin, uint64_t end);
  void sync_file();
  File file_;
  File direct_;                 // the same file past the page cache, where that is possible
  size_t direct_alignment_ = 0; // 0: not possible
  bool direct_tried_ = false;
  std::string directory_;
  ChunkHeader header_;
  const std::byte* data_ = nullptr;
  uint64_t checked_end_ = 0;
  uint64_t written_end_ = 0;
  uint64_t durable_end_ = 0;
  uint64_t table_written_ = 0;  // blocks whose checksum is in the file
  uint64_t generation_ = 0;
  uint32_t tail_crc_ = 0;       // of the block that checked_end_ lies in
  std::vector<uint32_t> table_; // of whole blocks
  bool directory_synced_ = false;
  std::string broken_;          // how a sync failed: the kernel may have dropped pages, and a later success proves nothing
};

// What a file on disk holds, found out by reading it (pread: rulings F-i), trusting nothing but checksums.
struct DiskChunk {
  ChunkHeader header;
  std::optional<Activation> activation;
  std::optional<Footer> footer;          // whole, and the file is as long as it says
  uint64_t verified_end = 0;             // bytes of the data area: with a footer all, else what a tail slot vouches for
  uint64_t verified_records = 0;
  uint64_t generation = 0;               // of the newest tail slot that was seen
  std::vector<uint32_t> table;           // checksums of the blocks below verified_end, the last one partial
  std::vector<std::string> remarks;      // what is wrong, a line each
};
// Read header and footer; without a footer (or with `verify_blocks`) the data too. Throws only when not even the header is right.
DiskChunk examine_chunk(const File& file, bool verify_blocks);

// A chunk whose records are in memory, of which a file holds the first part: what drew them there went on or died.
struct ChunkSource {
  std::string directory;  // of the file
  const ChunkHeader& header;
  Bytes schema;
  uint32_t mode = 0640;
  Activation activation;
  const std::byte* data = nullptr;
};
// The file, to be gone on with from `end` on: what lies below was reported durable, and stays where it is, since a power cut right now
// must not cost it. Unless its bytes are not those in memory: then all of it is written anew (F-64). `records`: below `end`.
struct ContinuedFile {
  ChunkFile file;
  bool rewritten = false;
};
ContinuedFile continue_chunk_file(Files& files, const ChunkSource& source, const DiskChunk& disk, uint64_t end, uint64_t records);
// A file that is not to be trusted: another one in its place, which is synced before it has the name. `fill`: take and sync, or seal.
ChunkFile rewrite_chunk_file(Files& files, const ChunkSource& source, const std::function<void(ChunkFile&)>& fill);

// The schema that the chunks of a feed carry, for a feed whose schema file is lost (F-17); of that version, 0: the newest. Throws
// FeedError kCorrupt: none has it.
Schema schema_from_chunks(const FeedInfo& feed, Files& files, uint32_t schema_id = 0);

// ---- frames ---------------------------------------------------------------------------------------------------------------

// The head of a frame in a chunk: 64 bytes, then `meta_bytes` of an opaque header, then the payload at its alignment.
struct FrameHead {
  uint64_t length = 0;  // head included, padding after the payload not; 0: the end
  uint64_t seq = 0;
  uint64_t clocks[kClocksMax] = {};
  uint64_t stream_epoch = 0;
  uint64_t stream_seq = 0;
  uint16_t type = 0;
  uint16_t meta_bytes = 0;
};
uint64_t frame_payload_offset(uint16_t meta_bytes, uint8_t align_log2) noexcept;
// What a frame takes in the chunk, padding included; 0 when the sizes do not fit 64 bits.
uint64_t frame_span(uint16_t meta_bytes, uint64_t payload_bytes, uint8_t align_log2) noexcept;
void encode(const FrameHead& head, std::byte* at) noexcept;
// nullopt: no whole frame of this chunk lies there (checksum, length beyond `available`, another sequence).
std::optional<FrameHead> decode_frame(const std::byte* at, uint64_t available, uint64_t expected_seq, uint8_t align_log2) noexcept;

// ---- live objects ------------------------------------------------------------------------------------------------------------

// Where the live objects of a feed are, or would be. The inode of the feed's directory is in it, so that a copy of the base has
// its own.
std::string live_directory_path(const FeedInfo& feed);
// That directory exists and belongs to the owner of the feed's directory, to us or to root; else what lies there is a stranger's
// and nullopt (rulings F-l).
std::optional<std::string> trusted_live_directory(const FeedInfo& feed) noexcept;

// The live page of a feed, one writer tenure long (docs/formats/feed-live.md).
class LivePage {
 public:
  enum class State : uint32_t { kActive = 1, kClosed = 2 };
  struct Latest {
    uint64_t ordinal = 0;
    uint64_t first_seq = 0;
    uint64_t capacity = 0;
    uint64_t tag = 0;
  };
  static constexpr const char* kName = "live";

  // Writer: a new page under the name, the old one (another tenure's) goes.
  static LivePage create(Files& files, const std::string& directory, const FeedInfo& feed, uint64_t epoch, uint32_t mode);
  // Reader: nullopt when there is none, or one of another boot, base or feed. Never throws for what lies there.
  static std::optional<LivePage> open(Files& files, const std::string& directory, const FeedInfo& feed) noexcept {
    return open(files, directory, feed, false);
  }
  // Who persists for the writer, or comes after it: the same, to write to.
  static std::optional<LivePage> open_writable(Files& files, const std::string& directory, const FeedInfo& feed) noexcept {
    return open(files, directory, feed, true);
  }

  uint64_t epoch() const noexcept { return epoch_; }
  uint64_t pid() const noexcept;
  void publish_latest(const Latest& latest) noexcept;
  std::optional<Latest> latest() const noexcept;
  shm::PublishedFlag state() const noexcept { return shm::PublishedFlag(mapping_.data() + 320); }
  shm::PublishedWord heartbeat_ns() const noexcept { return shm::PublishedWord(mapping_.data() + 328); }
  shm::PublishedWord durable_seq() const noexcept { return shm::PublishedWord(mapping_.data() + 336); }
  shm::PublishedWord floor_seq() const noexcept { return shm::PublishedWord(mapping_.data() + 344); }
  shm::PublishedWord last_append_ns() const noexcept { return shm::PublishedWord(mapping_.data() + 352); }  // to 5 ms
  // Counters of this tenure (F-138), each written by one thread of the writer.
  shm::PublishedWord rotations() const noexcept { return shm::PublishedWord(mapping_.data() + 512); }
  shm::PublishedWord syncs() const noexcept { return shm::PublishedWord(mapping_.data() + 576); }
  shm::PublishedWord sync_ns_total() const noexcept { return shm::PublishedWord(mapping_.data() + 584); }
  shm::PublishedWord sync_ns_max() const noexcept { return shm::PublishedWord(mapping_.data() + 592); }
  shm::PublishedWord waits() const noexcept { return shm::PublishedWord(mapping_.data() + 640); }  // of appends, for room
  shm::PublishedWord wait_ns_total() const noexcept { return shm::PublishedWord(mapping_.data() + 648); }
  shm::PublishedWord recovered() const noexcept { return shm::PublishedWord(mapping_.data() + 704); }  // records, at open
  shm::PublishedWord refused() const noexcept { return shm::PublishedWord(mapping_.data() + 656); }  // appends, for want of room
  shm::PublishedWord dropped() const noexcept { return shm::PublishedWord(mapping_.data() + 664); }  // records given up for room (F-56)
  shm::PublishedWord deadlines_missed() const noexcept { return shm::PublishedWord(mapping_.data() + 720); }  // F-62
  // Between a writer and the daemon that persists for it (F-63). The writer's line, then the daemon's.
  enum class Wish : uint32_t { kNone = 0, kServe = 1, kLeave = 2 };
  shm::PublishedFlag wish() const noexcept { return shm::PublishedFlag(mapping_.data() + 768); }
  shm::PublishedWord sync_wanted() const noexcept { return shm::PublishedWord(mapping_.data() + 776); }  // records below it, now
  shm::PublishedWord served_by() const noexcept { return shm::PublishedWord(mapping_.data() + 832); }    // pid; 0: nobody ever was
  shm::PublishedFlag daemon_fault() const noexcept { return shm::PublishedFlag(mapping_.data() + 840); }  // Fault + 1; 0: none
  // The maxima over all chunks before the latest: with that chunk's own words, O(1) for has_data_since().
  shm::PublishedWord highest_before(size_t k) const noexcept { return shm::PublishedWord(mapping_.data() + 384 + 8 * k); }
  shm::PublishedWord regressions(size_t k) const noexcept { return shm::PublishedWord(mapping_.data() + 448 + 8 * k); }
  LatencyWords sync_latency() const noexcept { return LatencyWords(mapping_.data() + 2048); }
  LatencyWords rotation_latency() const noexcept { return LatencyWords(mapping_.data() + 2304); }

 private:
  static std::optional<LivePage> open(Files& files, const std::string& directory, const FeedInfo& feed, bool writable) noexcept;
  Mapping mapping_;
  uint64_t epoch_ = 0;
};

}  // namespace tidepool::feed

#pragma once
// A chunk as its writer has it, and where such chunks come from and go to. Private to feed/.

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/feed/chunk.h"
#include "tidepool/feed/index.h"
#include "tidepool/feed/memory_hints.h"

namespace tidepool::feed {

// Who guards what: `reserve_mutex` that reserved() grows; the writer's mutex `first_nonempty_ns`; the persister's what lies below
// the line; the rest is set before the chunk is shared.
struct LiveChunk {
  FeedOptions options;  // in force when it was prepared (F-10)
  ChunkHeader header;
  uint64_t first_seq = 0;
  Activation activation;
  std::string data_path;   // of the live object
  std::string index_path;
  File data_file;          // tiered, memory: the shared-memory object
  Mapping data_mapping;
  Mapping words_mapping;   // durable: the words alone
  std::byte* data = nullptr;
  ChunkWords words;
  uint64_t first_nonempty_ns = 0;
  std::mutex reserve_mutex;
  // ----
  std::optional<ChunkFile> disk;
  std::optional<LiveIndex> live_index;
  IndexBuilder index;
  bool index_started = false;
  bool activation_written = false;
  uint64_t last_sync_ns = 0;
  uint64_t compared_end = 0;  // bytes of the file that were read back and are those in memory (F-28)
  bool compared = false;      // all of it, or it is past help
  int copies_made = 1;

  // Bytes of the data area that are really there, and stay.
  shm::PublishedWord reserved() noexcept { return shm::PublishedWord(reserved_); }
  uint64_t count() const noexcept {
    return header.layout == Layout::kRows ? words.committed().load() / header.record_bytes : (words.committed().load(), words.records().load());
  }

 private:
  alignas(8) std::byte reserved_[8] = {};
};

// Makes the live objects of chunks, with space that is really there, and takes their names away. What nobody else has mapped may
// serve again as another chunk (docs/decisions/0010).
//
// Thread safety: make() by one thread at a time; the rest by any.
class ChunkMaker {
 public:
  // `base_shm_bytes_max`: WriterOptions.
  ChunkMaker(const FeedInfo& feed, Files& files, uint64_t epoch, uint64_t base_shm_bytes_max);
  void set_live_directory(const std::string& directory) { live_directory_ = directory; }

  // A new chunk that is registered nowhere, made as `options` want it, some of its space reserved. `promised`: shared memory that other
  // chunks of this writer will still take. Throws.
  std::shared_ptr<LiveChunk> make(uint64_t ordinal, const FeedOptions& options, uint64_t promised);
  // Space for the first `end` bytes of data and some more. Throws, with what was there before.
  void reserve(LiveChunk& chunk, uint64_t end);
  // One step more; false: all of it is there.
  bool reserve_more(LiveChunk& chunk);

  // Out of the live window: the name goes; who has it mapped keeps it (F-78).
  void retire(std::shared_ptr<LiveChunk> chunk);
  void unlink(const LiveChunk& chunk);
  // What was kept for other chunks goes too.
  size_t drop_spares() noexcept;  // how many there were
  // What was asked for this memory and refused; by any thread.
  std::string refused() const { return hints_.text(); }

 private:
  // A live object without a name that anybody knows, every page of it there.
  struct Spare {
    File file;
    Mapping mapping;
    mode_t mode = 0;
  };
  // One that fits.
  std::optional<Spare> take_spare(const LiveChunk& chunk);
  void check_room(uint64_t more, uint64_t now);
  void check_memory_group(uint64_t more);
  void adopt(LiveChunk& chunk, Spare spare);
  void create(LiveChunk& chunk, uint64_t promised);
  void create_on_disk(LiveChunk& chunk);

  const FeedInfo& feed_;
  Files& files_;
  uint64_t epoch_;
  uint64_t base_shm_bytes_max_;
  std::string live_directory_;
  std::vector<std::byte> schema_block_;
  MemoryHints hints_{feed_.name};
  std::mutex spares_mutex_;  // guards spares_
  std::deque<Spare> spares_;
};

}  // namespace tidepool::feed

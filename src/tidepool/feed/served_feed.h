#pragma once
// What a daemon does for one living writer that leaves its records to it (F-63): chunks in shared memory to files, synced as the feed
// says, with footer, index and entries. Killed at any point, the next one, the writer or its successor goes on from what is synced.
// Private to feed/.
//
// Thread safety: one thread.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tidepool/feed/chunk.h"
#include "tidepool/feed/index.h"

namespace tidepool::feed {

class ServedFeed {
 public:
  // nullptr: its writer does not ask for it, there is none, or somebody else is at it. Throws FeedError.
  static std::unique_ptr<ServedFeed> attend(const std::string& base, const std::string& name, const std::string& who, Files& files);

  enum class Did : uint8_t { kWorked, kNothing, kOver };  // kOver: the writer ended, or wants it otherwise
  // Throws FeedError, which the writer is told of as well; to be tried again, but for kIo and kCorrupt.
  Did round();

  const FeedInfo& feed() const noexcept { return feed_; }
  uint64_t pause_ns() const noexcept;  // after a round that did nothing
  uint64_t chunks() const noexcept { return chunks_done_; }
  uint64_t records() const noexcept { return records_; }      // that were made durable
  uint64_t rewritten() const noexcept { return rewritten_; }  // files that were not what memory holds (F-64)

 private:
  struct Chunk {
    ChunkHeader header;
    Activation activation;
    Mapping words_mapping;  // tiered: all of it
    Mapping data_mapping;   // durable: the file
    uint64_t mapped_bytes = 0;  // of data
    const std::byte* data = nullptr;
    ChunkWords words;
    std::optional<ChunkFile> file;
    IndexBuilder index;
    uint64_t last_sync_ns = 0;
  };
  ServedFeed(const std::string& base, FeedInfo feed, shm::FileLock lock, LivePage page, Files& files);
  bool over() const;
  bool work();
  std::unique_ptr<Chunk> open_chunk(const ChunkInfo& info);
  void open_file(Chunk& chunk);
  bool take(Chunk& chunk, bool force);
  void say_durable(Chunk& chunk);
  void finish(Chunk& chunk, const ChunkInfo& info);

  std::string base_;
  FeedInfo feed_;
  Files& files_;
  shm::FileLock lock_;
  LivePage page_;
  FeedRegistry registry_;
  uint64_t settings_seen_ = 0;
  bool in_place_ = false;
  std::map<uint64_t, std::unique_ptr<Chunk>> chunks_;  // by ordinal; those that are not finished
  uint64_t chunks_done_ = 0;
  uint64_t records_ = 0;
  uint64_t rewritten_ = 0;
};

}  // namespace tidepool::feed

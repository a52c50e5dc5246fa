// Chunk files read back while what they were copied from is still in memory (F-28): what differs is written anew, whole, and put
// in the place of the first copy. When the disk has nothing better to do: a writer that fills it is not slowed down by reading.

#include <fcntl.h>

#include <algorithm>
#include <cstring>

#include "tidepool/feed/crc32c.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/writer_impl.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kCompareBytes = uint64_t{4} << 20;  // a step
constexpr int kCopiesMax = 4;

}  // namespace

bool FeedWriter::Impl::compare_copies() {
  if (feed_.options.storage != Storage::kTiered || !ours()) return false;  // durable: the file is what was written
  const auto at = std::find_if(window_.begin(), window_.end(), [](const auto& chunk) { return !chunk->compared; });
  if (at == window_.end()) return false;
  compare(**at);
  return true;
}

void FeedWriter::Impl::compare(LiveChunk& chunk) {
  const uint64_t end = chunk.words.committed().load();
  const uint64_t to = std::min(end, chunk.compared_end + kCompareBytes);
  try {
    if (same_on_disk(chunk, to)) {
      chunk.compared_end = to;
      chunk.compared = to == end;
      return;
    }
    std::string what = concat("the file of chunk ", chunk.header.ordinal, " differs from what was written to it");
    if (!source_is_good(chunk)) {  // then the copy is the one that can be vouched for
      chunk.compared = true;
      what += ": memory has changed, the file is kept";
    } else if (chunk.copies_made == kCopiesMax) {
      chunk.compared = true;
      what += ", again and again: the disk is not to be trusted";
    } else {
      copy_again(chunk);
      what += ": written anew";
    }
    log(LogLevel::kWarn, "feed", "feed ", feed_.name, ": ", what);
    happened({.kind = WriterEvent::Kind::kTrouble, .ordinal = chunk.header.ordinal, .text = what});
  } catch (const FeedError& error) {
    // Expired meanwhile: nobody wants it. Else the next round tries again: no room for the copy, or no file may be opened now.
    if (is_missing(error.fault())) chunk.compared = true;
  }
}

// The bytes [compared_end, to) of the data area. A file that cannot be read is not the same.
bool FeedWriter::Impl::same_on_disk(const LiveChunk& chunk, uint64_t to) const {
  const File file = File::open(files_, concat(feed_.directory, "/", chunk_name(chunk.header.ordinal)), O_RDONLY);
  std::vector<std::byte> bytes(to - chunk.compared_end);
  try {
    const Bytes got = file.read(bytes, chunk.header.data_offset + chunk.compared_end);
    return got.size() == bytes.size() && std::memcmp(got.data(), chunk.data + chunk.compared_end, got.size()) == 0;
  } catch (const FeedError& error) {
    if (error.fault() != Fault::kIo) throw;
    return false;
  }
}

// What is in memory has the checksums that were taken when it was committed; where the file's table of them is lost, nothing speaks
// against it.
bool FeedWriter::Impl::source_is_good(const LiveChunk& chunk) const {
  const uint64_t end = chunk.words.committed().load();
  try {
    const File file = File::open(files_, concat(feed_.directory, "/", chunk_name(chunk.header.ordinal)), O_RDONLY);
    const DiskChunk disk = examine_chunk(file, false);
    if (!disk.footer) return true;
    for (uint64_t block = 0; block < disk.table.size() && block * chunk.header.block_bytes < end; ++block) {
      const uint64_t from = block * chunk.header.block_bytes;
      const uint64_t size = std::min<uint64_t>(chunk.header.block_bytes, end - from);
      if (crc32c({chunk.data + from, size}) != disk.table[block]) return false;
    }
    return true;
  } catch (const FeedError& error) {
    if (error.fault() != Fault::kCorrupt && error.fault() != Fault::kIo) throw;
    return true;
  }
}

void FeedWriter::Impl::copy_again(LiveChunk& chunk) {
  ChunkSummary summary = chunk.index.summary();
  summary.sealed_wall_ns = realtime_ns();
  const std::string aside = concat(feed_.directory, "/.tmp-copy");
  remove_tree(files_, aside);
  make_directory(files_, aside, 0750);
  ChunkFile copy = ChunkFile::create(files_, aside, chunk.header, schema_block_, chunk.options.file_mode, false);
  copy.activate(chunk.activation);
  copy.take(chunk.data, summary.bytes, false);
  copy.seal(summary);
  const std::string name = chunk_name(chunk.header.ordinal);
  rename_file(files_, concat(aside, "/", name), concat(feed_.directory, "/", name));  // who has the first copy mapped keeps it
  sync_directory(files_, feed_.directory);
  remove_tree(files_, aside);
  chunk.disk = std::move(copy);
  chunk.compared_end = 0;
  ++chunk.copies_made;
}

}  // namespace tidepool::feed

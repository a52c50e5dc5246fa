// The disk side of a chunk while it is written.

#include <fcntl.h>

#include <algorithm>
#include <cstring>

#include "tidepool/base/clock.h"
#include "tidepool/feed/chunk.h"
#include "tidepool/feed/crc32c.h"

#ifndef O_DIRECT
#define O_DIRECT 0
#endif

namespace tidepool::feed {
namespace {

constexpr uint64_t kWriteBytes = uint64_t{1} << 20;       // less than that waits for more, or for a sync
constexpr uint64_t kWriteMaxBytes = uint64_t{8} << 20;    // at once
constexpr uint64_t kDirectBytes = uint64_t{256} << 10;    // less than that is cheaper through the page cache

}  // namespace

ChunkFile ChunkFile::create(Files& files, const std::string& directory, const ChunkHeader& header, Bytes schema, uint32_t mode, bool full_size) {
  ChunkFile chunk;
  chunk.header_ = header;
  chunk.directory_ = directory;
  const std::string path = concat(directory, "/", chunk_name(header.ordinal));
  const std::string temporary = concat(directory, "/.tmp-", chunk_name(header.ordinal));
  chunk.file_ = File::open(files, temporary, O_RDWR | O_CREAT | O_TRUNC, mode);
  try {
    std::vector<std::byte> head(header.data_offset);
    const auto constant = header.encode();
    std::memcpy(head.data(), constant.data(), constant.size());
    std::memcpy(head.data() + header.schema_offset, schema.data(), schema.size());
    chunk.file_.write(head, 0);
    if (full_size) chunk.file_.resize(header.file_bytes());
    rename_file(files, temporary, path);
  } catch (const Error&) {
    files.unlink(temporary);
    throw;
  }
  return chunk;
}

ChunkFile ChunkFile::resume(Files& files, const std::string& path, const ChunkHeader& header, uint64_t verified_end, uint64_t records,
                            std::vector<uint32_t> table, uint64_t generation) {
  ChunkFile chunk;
  chunk.file_ = File::open(files, path, O_RDWR);
  chunk.header_ = header;
  chunk.directory_ = path.substr(0, path.rfind('/'));
  chunk.checked_end_ = verified_end;
  chunk.written_end_ = verified_end;
  chunk.durable_end_ = verified_end;
  chunk.generation_ = generation;
  static_cast<void>(records);
  if (verified_end % header.block_bytes != 0) {
    chunk.tail_crc_ = table.back();
    table.pop_back();
  }
  chunk.table_ = std::move(table);
  chunk.table_written_ = 0;  // cheap to write again, and then certain
  return chunk;
}

void ChunkFile::moved(const std::string& directory) {
  directory_ = directory;
  file_.renamed(concat(directory, "/", chunk_name(header_.ordinal)));
  directory_synced_ = true;
}

void ChunkFile::activate(const Activation& activation) { file_.write(feed::encode(activation, header_), kActivationAt); }

void ChunkFile::take(const std::byte* data, uint64_t end, bool in_place) {
  data_ = data;
  while (checked_end_ < end) {
    const uint64_t block_end = (checked_end_ / header_.block_bytes + 1) * header_.block_bytes;
    const uint64_t step_end = std::min(end, block_end);
    tail_crc_ = crc32c(tail_crc_, {data + checked_end_, step_end - checked_end_});
    checked_end_ = step_end;
    if (checked_end_ == block_end) {
      table_.push_back(tail_crc_);
      tail_crc_ = 0;
    }
  }
  if (in_place) {
    written_end_ = checked_end_;
  } else {
    write_out(false);
  }
}

// Past the page cache, since the records are in memory already and a copy there would take the time of one, and the place of what
// is read.
void ChunkFile::open_direct() {
  direct_alignment_ = file_.files().direct_alignment(file_.fd());
  if (direct_alignment_ == 0 || O_DIRECT == 0 || kChunkPageBytes % direct_alignment_ != 0) {
    direct_alignment_ = 0;
    return;
  }
  try {
    direct_ = File::open(file_.files(), concat(directory_, "/", chunk_name(header_.ordinal)), O_RDWR | O_DIRECT);
    const struct stat ours = file_.stat();
    const struct stat found = direct_.stat();
    if (ours.st_ino == found.st_ino && ours.st_dev == found.st_dev) return;
  } catch (const FeedError&) {  // refused: through the page cache then
  }
  direct_alignment_ = 0;
}

// What was checksummed goes to the file: what is worth a write, or all of it.
void ChunkFile::write_out(bool all) {
  while (written_end_ < checked_end_ && (all || checked_end_ - written_end_ >= kWriteBytes)) {
    if (checked_end_ - written_end_ >= kDirectBytes && !direct_tried_) {
      direct_tried_ = true;
      open_direct();
    }
    const uint64_t align = direct_alignment_;
    if (align != 0 && checked_end_ - written_end_ >= kDirectBytes && reinterpret_cast<uintptr_t>(data_) % align == 0) {
      // A block that was written in part is written again, whole (rulings F-m).
      const uint64_t begin = written_end_ / align * align;
      const uint64_t end = std::min(checked_end_ / align * align, begin + kWriteMaxBytes);
      if (write_direct(begin, end)) continue;
    }
    file_.write({data_ + written_end_, checked_end_ - written_end_}, header_.data_offset + written_end_);
    written_end_ = checked_end_;
  }
}

// False: the file system does not want it after all.
bool ChunkFile::write_direct(uint64_t begin, uint64_t end) {
  ssize_t written = 0;
  do written = direct_.files().pwrite(direct_.fd(), data_ + begin, end - begin, header_.data_offset + begin);
  while (written < 0 && errno == EINTR);
  if (written > 0) {
    // A short write may end within a block: what is whole counts.
    const uint64_t done = begin + static_cast<uint64_t>(written) / direct_alignment_ * direct_alignment_;
    if (done > written_end_) {
      written_end_ = done;
      return true;
    }
  } else if (written < 0 && errno != EINVAL && errno != EOPNOTSUPP) {
    throw FeedError(fault_of_errno(errno), "write ", direct_.path(), errno_text());
  }
  direct_alignment_ = 0;
  return false;
}

void ChunkFile::sync(uint64_t records) {
  if (!broken_.empty())
    throw FeedError(Fault::kIo, file_.path(), ": a sync failed before (", broken_, "), so what it holds behind byte ", durable_end_, " is not certain");
  if (checked_end_ == durable_end_ && directory_synced_) return;
  write_out(true);
  if (table_written_ < table_.size()) {
    const auto fresh = std::span(table_).subspan(table_written_);
    file_.write(std::as_bytes(fresh), header_.table_offset + 4 * table_written_);
    table_written_ = table_.size();
  }
  // Until it is synced it is the same generation that is tried again, in the same place: a write that fails half-way, and the next one,
  // must not cost the slot that vouches for what is durable.
  const TailSlot slot{generation_ + 1, checked_end_, records, realtime_ns(), tail_crc_};
  file_.write(feed::encode(slot), kTailSlotAt[slot.generation & 1]);
  // One sync a round: should it be cut short, the other slot and the checksums below it are whole (rulings F-m).
  sync_file();
  generation_ = slot.generation;
  if (!directory_synced_) {
    sync_directory(file_.files(), directory_);
    directory_synced_ = true;
  }
  durable_end_ = checked_end_;
}

void ChunkFile::seal(const ChunkSummary& summary) {
  sync(summary.count);
  Footer footer{summary, table_};
  if (checked_end_ % header_.block_bytes != 0) footer.block_crcs.push_back(tail_crc_);
  const auto bytes = feed::encode(footer, header_);
  const uint64_t at = footer_offset(header_, summary.bytes);
  // Bytes between data and footer are zeros, also where a file was written in place or continued after a crash.
  const uint64_t data_end = header_.data_offset + summary.bytes;
  std::vector<std::byte> gap(at - data_end);
  if (!gap.empty()) file_.write(gap, data_end);
  file_.write(bytes, at);
  file_.resize(at + bytes.size());
  sync_file();
}

void ChunkFile::sync_file() {
  try {
    file_.sync();
  } catch (const FeedError& error) {
    broken_ = std::string_view(error.what()).substr(fault_name(error.fault()).size() + 2);  // without "IO_ERROR: "
    throw FeedError(Fault::kIo, broken_);
  }
}

}  // namespace tidepool::feed

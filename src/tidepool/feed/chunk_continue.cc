// Files of chunks that somebody else began to write.

#include <fcntl.h>

#include <algorithm>
#include <cstring>

#include "tidepool/feed/chunk.h"
#include "tidepool/feed/crc32c.h"
#include "tidepool/feed/registry_parts.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kCompareBytes = uint64_t{1} << 20;

bool holds_the_same(const File& file, const ChunkSource& source, uint64_t end) {
  std::vector<std::byte> buffer(std::min(kCompareBytes, end));
  for (uint64_t at = 0; at < end;) {
    const auto wanted = MutableBytes(buffer).first(std::min<uint64_t>(buffer.size(), end - at));
    if (file.read(wanted, source.header.data_offset + at).size() != wanted.size()) return false;
    if (std::memcmp(wanted.data(), source.data + at, wanted.size()) != 0) return false;
    at += wanted.size();
  }
  return true;
}

}  // namespace

ChunkFile rewrite_chunk_file(Files& files, const ChunkSource& source, const std::function<void(ChunkFile&)>& fill) {
  const std::string aside = concat(source.directory, "/.tmp-rewrite");
  remove_tree(files, aside);
  make_directory(files, aside, 0750);
  ChunkFile file = ChunkFile::create(files, aside, source.header, source.schema, source.mode, false);
  file.activate(source.activation);
  fill(file);
  const std::string name = chunk_name(source.header.ordinal);
  rename_file(files, concat(aside, "/", name), concat(source.directory, "/", name));
  sync_directory(files, source.directory);
  file.moved(source.directory);
  remove_tree(files, aside);
  return file;
}

ContinuedFile continue_chunk_file(Files& files, const ChunkSource& source, const DiskChunk& disk, uint64_t end, uint64_t records) {
  const std::string path = concat(source.directory, "/", chunk_name(source.header.ordinal));
  const uint64_t block_bytes = source.header.block_bytes;
  if (!holds_the_same(File::open(files, path, O_RDONLY), source, end)) {
    return {rewrite_chunk_file(files, source,
                               [&](ChunkFile& file) {
                                 file.take(source.data, end, false);
                                 file.sync(records);
                               }),
            true};
  }
  std::vector<uint32_t> table(disk.table.begin(), disk.table.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(end / block_bytes, disk.table.size())));
  for (uint64_t block = table.size(); block < end / block_bytes; ++block) table.push_back(crc32c({source.data + block * block_bytes, block_bytes}));
  if (const uint64_t tail = end % block_bytes; tail != 0) table.push_back(crc32c({source.data + end - tail, tail}));
  ContinuedFile continued{ChunkFile::resume(files, path, source.header, end, records, std::move(table), disk.generation), false};
  continued.file.activate(source.activation);
  return continued;
}

}  // namespace tidepool::feed

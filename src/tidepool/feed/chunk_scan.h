#pragma once
// The data of a chunk's file, read by pread a window at a time: for who must not be killed by a file that somebody cuts (rulings
// F-i). Private to feed/.

#include <functional>

#include "tidepool/feed/index.h"

namespace tidepool::feed {

// Take the records below byte `end` of the data area into `index`, from its position() on. False: it stops at what is no record,
// or at the end of the file.
bool fold_file(const File& file, const ChunkHeader& header, uint64_t end, IndexBuilder& index);

struct BadBlock {
  uint64_t block = 0;
  uint32_t expected = 0;
  uint32_t found = 0;
  bool cut = false;  // the file ends within it
};
// Blocks below `end` whose checksum is not what `table` says.
std::vector<BadBlock> bad_blocks(const File& file, const ChunkHeader& header, const std::vector<uint32_t>& table, uint64_t end);

// The records that touch bytes [from, to) of the data area, as far as it can be known: [first, end) of `count` ones.
struct SeqRange {
  uint64_t first = 0;
  uint64_t end = 0;
};
SeqRange records_within(const ChunkHeader& header, uint64_t first_seq, uint64_t count, const std::vector<IndexEntry>& index,
                        uint64_t from, uint64_t to);

// Bytes [from, to) of the file are zeros, as far as they are there; else the offset of the first that is not.
std::optional<uint64_t> first_nonzero(const File& file, uint64_t from, uint64_t to);

}  // namespace tidepool::feed

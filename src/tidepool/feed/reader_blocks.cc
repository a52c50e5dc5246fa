// What is known of records without looking at them: the bounds of chunks and blocks, by which a query passes over what it does not want.

#include <algorithm>

#include "tidepool/feed/reader_impl.h"

namespace tidepool::feed {

std::optional<Stretch> FeedReader::Impl::chunk_around(uint64_t seq) {
  refresh();
  const auto& chunks = registry_.chunks();
  const auto above =
      std::upper_bound(settled_.begin(), settled_.end(), seq, [&](uint64_t s, size_t at) { return s < chunks[at].first_seq; });
  Stretch stretch;
  if (above != settled_.begin() && seq < chunks[*(above - 1)].end_seq()) {
    const ChunkInfo& info = chunks[*(above - 1)];
    stretch.from = info.first_seq;
    stretch.to = info.end_seq();
    std::copy(std::begin(info.clocks), std::end(info.clocks), std::begin(stretch.clocks));
    return stretch;
  }
  const Place place = locate(seq);
  if (place.kind != Place::Kind::kHere || seq >= place.chunk->end_seq()) return std::nullopt;
  stretch.from = place.chunk->first_seq();
  stretch.to = place.chunk->end_seq();
  for (ClockBounds& bounds : stretch.clocks) bounds = {0, ~uint64_t{0}, false};  // it is written: whatever comes
  return stretch;
}

std::optional<Stretch> FeedReader::Impl::block_around(uint64_t seq) {
  refresh();
  const Place place = locate(seq);
  if (place.kind != Place::Kind::kHere || seq >= place.chunk->end_seq()) return std::nullopt;
  const AttachedChunk::Block block = place.chunk->block_at(seq - place.chunk->first_seq());
  Stretch stretch{place.chunk->first_seq() + block.first, place.chunk->first_seq() + block.first + block.count, {}};
  std::copy(std::begin(block.clocks), std::end(block.clocks), std::begin(stretch.clocks));
  return stretch;
}

}  // namespace tidepool::feed

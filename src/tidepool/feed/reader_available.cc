// What a reader tells of itself and of what is new: what came since the last call, what it missed, what it holds, and the newest time.

#include <algorithm>

#include "tidepool/base/log.h"
#include "tidepool/feed/reader_impl.h"
#include "tidepool/feed/values.h"

namespace tidepool::feed {

Available FeedReader::Impl::read_available(uint64_t records_max) {
  if (records_max == 0) throw FeedError(Fault::kUsage, "a batch of 0 records: expected 1 or more");
  Available found;
  const bool rows = feed_.schema.layout() == Layout::kRows;
  while (found.records < records_max) {
    Batch piece;
    try {
      if (rows) {
        piece = next_batch(records_max - found.records, 0);
      } else {
        const Item item = next(0);
        piece = {item.kind, item.seq, item.is_record() ? uint64_t{1} : 0, item.bytes, item.gap, item.schema_id};
      }
    } catch (const FeedError& error) {
      // Gaps are errors for this reader: what came before one is given first, and the next call meets it again.
      if (error.fault() != Fault::kGap || found.pieces.empty()) throw;
      break;
    }
    if (piece.kind == Item::Kind::kIdle) break;
    const bool record = piece.kind == Item::Kind::kRow || piece.kind == Item::Kind::kFrame;
    const bool goes_on = record || piece.kind == Item::Kind::kGap || piece.kind == Item::Kind::kDiverged;
    found.records += piece.count;
    if (record && (found.hold.empty() || found.hold.back() != held_)) found.hold.push_back(held_);
    found.pieces.push_back(std::move(piece));
    if (!goes_on) break;
  }
  return found;
}

// Counted; and an error for who wants that. The reader then stands where it stood before.
void FeedReader::Impl::told(Item::Kind kind, const Gap& gap) {
  const bool diverged = kind == Item::Kind::kDiverged;
  if (thrown_at_ != gap.from) {
    if (diverged) {
      ++counters_.diverged;
    } else {
      ++counters_.gaps;
      counters_.missed += gap.to - gap.from;
      counters_.missed_by[static_cast<size_t>(gap.cause)] += gap.to - gap.from;
    }
  }
  if (!options_.gaps_throw) return;
  thrown_at_ = gap.from;
  here_ = nullptr;
  next_seq_ = diverged ? gap.to : gap.from;
  if (diverged) cursor_epoch_ = epoch_before_;
  throw FeedError(Fault::kGap, "records ", gap.from, " to ", gap.to, " of feed ", feed_.name,
                  diverged ? " were read, and lost" : " cannot be had", gap.text.empty() ? "" : ": ", gap.text);
}

const std::vector<std::string>& FeedReader::Impl::warnings() {
  warnings_ = registry().warnings();
  const HeldMemory held = ledger_->count();
  if (held.unlinked_bytes > options_.held_bytes_warn) {
    warnings_.push_back(concat("this reader of feed ", feed_.name, " keeps ", held.unlinked_bytes, " bytes of shared memory in ",
                               held.unlinked_chunks, " chunks whose names are gone: let go what hold() gave"));
  }
  return warnings_;
}

std::optional<uint64_t> FeedReader::Impl::last_timestamp(size_t k) {
  check_clock(k);
  refresh();
  check_live_data();
  std::optional<uint64_t> newest;
  const auto take = [&](uint64_t clock) { newest = std::max(newest.value_or(0), clock); };
  if (!settled_.empty()) take(highest_[k].back());
  for (const size_t open : open_) {
    Chunk chunk;
    if (attach(registry_.chunks()[open], chunk) != AttachedChunk::Outcome::kOk) continue;
    // What its highest value covers, and the few records that were committed since (rulings F-f); of a crashed writer's file all of them.
    const uint64_t covered = chunk->live() ? chunk->words().covered().load() : 0;
    if (covered > 0) take(chunk->words().highest(k).load());
    const uint64_t count = chunk->records();
    for (uint64_t index = chunk->record_at_or_behind(covered); index < count; ++index) take(chunk->clock_of(index, k));
  }
  return newest;
}

uint64_t FeedReader::Impl::latest_from(uint64_t newest, uint64_t span_ns, size_t k) const {
  const auto span = convert_clock(span_ns, ClockUnit::kNs, feed_.schema.clock(k).unit);
  return newest - std::min(newest, span.value_or(~uint64_t{0}));
}

}  // namespace tidepool::feed

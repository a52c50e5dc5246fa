#include "tidepool/feed/projection.h"

#include <algorithm>
#include <cstring>

#include "tidepool/base/log.h"

namespace tidepool::feed {

Projection::Projection(const FeedInfo& feed, const Schema& target, Bytes defaults)
    : target_(target), defaults_(defaults.begin(), defaults.end()) {
  if (target.layout() != Layout::kRows || feed.layout != Layout::kRows)
    throw FeedError(Fault::kUsage, "feed ", feed.name, ": only rows are projected");
  if (defaults_.empty()) defaults_.resize(target.record_bytes());
  if (defaults_.size() != target.record_bytes())
    throw FeedError(Fault::kUsage, "the default row has ", defaults_.size(), " bytes, the target ", target.record_bytes());
  for (const Field& wanted : target.fields()) {
    if (wanted.type == Type::kPad) continue;
    const bool known = std::any_of(feed.versions.begin(), feed.versions.end(),
                                   [&](const Schema& version) { return version.field(wanted.name) != nullptr; });
    if (!known) throw FeedError(Fault::kUsage, "no version of feed ", feed.name, " has a field '", printable(wanted.name), "'");
  }
  for (const Schema& version : feed.versions) {
    Version made{version.record_bytes(), {}};
    for (const Field& wanted : target.fields()) {
      const Field* found = wanted.type == Type::kPad ? nullptr : version.field(wanted.name);
      if (found == nullptr) continue;
      if (found->type != wanted.type || found->count != wanted.count) {
        throw FeedError(Fault::kSchemaConflict, "field '", printable(wanted.name), "' of feed ", feed.name, " is ",
                        name_of(found->type), " x ", found->count, ", not ", name_of(wanted.type), " x ", wanted.count);
      }
      const bool joins = !made.runs.empty() && made.runs.back().from + made.runs.back().bytes == found->offset &&
                         made.runs.back().to + made.runs.back().bytes == wanted.offset;
      if (joins) {
        made.runs.back().bytes += found->bytes();
      } else {
        made.runs.push_back({found->offset, wanted.offset, found->bytes()});
      }
    }
    versions_.push_back(std::move(made));
  }
}

void Projection::apply(uint32_t schema_id, Bytes row, MutableBytes out) const {
  if (schema_id < 1 || schema_id > versions_.size())
    throw FeedError(Fault::kUsage, "a row of version ", schema_id, " of the schema: the projection was made for ",
                    versions_.size());
  const Version& version = versions_[schema_id - 1];
  if (row.size() != version.record_bytes || out.size() != defaults_.size()) {
    throw FeedError(Fault::kUsage, "a row of ", row.size(), " bytes into ", out.size(), ": version ", schema_id, " has ",
                    version.record_bytes, ", the target ", defaults_.size());
  }
  std::memcpy(out.data(), defaults_.data(), defaults_.size());
  for (const Run& run : version.runs) std::memcpy(out.data() + run.to, row.data() + run.from, run.bytes);
}

void Projection::append(const Batch& piece, std::vector<std::byte>& out) const {
  if (piece.count == 0) return;
  const size_t bytes = piece.rows.size() / piece.count;
  const size_t begin = out.size();
  out.resize(begin + piece.count * defaults_.size());
  for (uint64_t i = 0; i < piece.count; ++i) {
    apply(piece.schema_id, piece.rows.subspan(i * bytes, bytes),
          MutableBytes(out).subspan(begin + i * defaults_.size(), defaults_.size()));
  }
}

std::vector<std::byte> read_projected(FeedReader& reader, const TimeRange& time, const Projection& projection, uint64_t bytes_max) {
  std::vector<std::byte> out;
  auto range = reader.range(time);
  for (Batch piece; range.next(piece);) {
    if (piece.kind == Item::Kind::kGap) throw gap_error(reader.feed(), piece.gap);
    if (out.size() + piece.count * projection.target().record_bytes() > bytes_max) {
      throw FeedError(Fault::kResultTooLarge, "the range holds more than ", bytes_max, " bytes: read it in batches");
    }
    projection.append(piece, out);
  }
  return out;
}

}  // namespace tidepool::feed

#include "tidepool/client/metadata_cache.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"

namespace tidepool::client {
namespace {

uint64_t bytes_of(const Metadata& metadata) {
  uint64_t bytes = sizeof metadata + metadata.name.size() + metadata.summary.size();
  for (const auto& a : metadata.attributes) bytes += sizeof a + a.key.size() + a.format.size() + a.value.size();
  for (const auto& blob : metadata.blobs) bytes += sizeof *blob + blob->bytes.size();
  return bytes;
}

// Keys once, each with its last value (W-88), in the order of those.
std::vector<wire::Attribute> without_repeated_keys(const std::vector<wire::Attribute>& attributes) {
  std::map<std::string_view, size_t> last;
  for (size_t i = 0; i < attributes.size(); ++i) last[attributes[i].key] = i;
  std::vector<wire::Attribute> out;
  out.reserve(last.size());
  for (size_t i = 0; i < attributes.size(); ++i) {
    if (last[attributes[i].key] == i) out.push_back(attributes[i]);
  }
  return out;
}

}  // namespace

const wire::Attribute* Metadata::find(std::string_view key) const noexcept {
  const auto found = std::find_if(attributes.begin(), attributes.end(), [&](const wire::Attribute& a) { return a.key == key; });
  return found == attributes.end() ? nullptr : &*found;
}

std::shared_ptr<const Blob> Metadata::blob(uint32_t type) const noexcept {
  const auto found = std::find_if(blobs.begin(), blobs.end(), [&](const auto& b) { return b->type == type; });
  return found == blobs.end() ? nullptr : *found;
}

MetadataCache::MetadataCache(Options options)
    : options_(std::move(options)), blobs_({.max_blob_bytes = options_.max_blob_bytes, .patience_ns = options_.silence_ns}) {}

bool MetadataCache::is_silent(uint64_t now_ns) const noexcept {
  return now_ns > heard_ns_ && now_ns - heard_ns_ > options_.silence_ns;
}

bool MetadataCache::is_passed(int32_t session_id) const noexcept {
  return std::find(passed_.begin(), passed_.end(), session_id) != passed_.end();
}

void MetadataCache::set_passed(int32_t session_id, bool passed) noexcept {
  const auto found = std::find(passed_.begin(), passed_.end(), session_id);
  if (!passed) {
    if (found != passed_.end()) found->reset();
  } else if (found == passed_.end()) {
    passed_[passed_next_++ % passed_.size()] = session_id;
  }
}

void MetadataCache::forget() {
  versions_.clear();
  bytes_ = 0;
  blobs_.clear();
}

Metadata MetadataCache::draft(uint32_t version) const {
  if (const auto found = versions_.find(version); found != versions_.end()) return *found->second;
  Metadata out;
  out.stream_id = options_.stream_id;
  out.epoch = epoch_;
  out.version = version;
  return out;
}

std::shared_ptr<const Metadata> MetadataCache::keep(Metadata next) {
  const uint64_t bytes = bytes_of(next);
  if (bytes > options_.max_bytes) {
    if (counters_.too_large++ == 0) {
      log(LogLevel::kWarn, "client", "metadata of stream ", options_.stream_id, ", version ", next.version, ": ", bytes,
          " bytes are more than max_metadata_bytes, ", options_.max_bytes, ": not kept (further ones are only counted)");
    }
    return nullptr;
  }
  const uint32_t version = next.version;
  auto kept = std::make_shared<const Metadata>(std::move(next));
  auto& place = versions_[version];
  if (place) bytes_ -= bytes_of(*place);
  place = kept;
  bytes_ += bytes;
  ++counters_.changes;
  while (versions_.size() > kMaxVersions || bytes_ > options_.max_bytes) {
    // The oldest, but never the one that is news: a blob of an old version goes with it.
    const auto oldest =
        versions_.begin()->first == version && versions_.size() > 1 ? std::next(versions_.begin()) : versions_.begin();
    bytes_ -= bytes_of(*oldest->second);
    versions_.erase(oldest);
    ++counters_.forgotten;
  }
  return kept;
}

void MetadataCache::tell(const std::shared_ptr<const Metadata>& changed) const {
  if (!changed || !options_.on_change) return;
  try {
    options_.on_change(changed);
  } catch (const std::exception& e) {
    log(LogLevel::kError, "client", "on_metadata of stream ", options_.stream_id, " threw: ", e.what());
  } catch (...) {
    log(LogLevel::kError, "client", "on_metadata of stream ", options_.stream_id, " threw");
  }
}

void MetadataCache::heard(const wire::DataSourceAnnounce& announce, int32_t session_id, uint64_t now_ns) {
  if (announce.stream_id != options_.stream_id) return;  // W-10
  std::shared_ptr<const Metadata> changed;
  {
    const std::lock_guard lock(mutex_);
    const bool newer_epoch = epoch_ == 0 || announce.epoch > epoch_;
    const bool passed = announce.epoch < epoch_ ||
                        (announce.epoch == epoch_ && !versions_.empty() && announce.meta_version < versions_.rbegin()->first);
    if (passed && !is_silent(now_ns)) {
      set_passed(session_id, announce.epoch < epoch_);
      ++counters_.old;
      return;
    }
    // A successor, by a higher epoch or since the one before is silent. Attributes that came before the first announce of all
    // (we joined between the two) are of the same producer.
    if (passed || (newer_epoch && epoch_ != 0)) forget();
    if (epoch_ == 0) {  // higher numbers that somebody else said before are not this producer's
      for (auto other = versions_.upper_bound(announce.meta_version); other != versions_.end(); other = versions_.erase(other)) {
        bytes_ -= bytes_of(*other->second);
      }
    }
    set_passed(session_id, false);
    epoch_ = announce.epoch;
    heard_ns_ = now_ns;
    Metadata next = draft(announce.meta_version);
    if (next.described && next.epoch == announce.epoch && next.producer_id == announce.producer_id && next.name == announce.name &&
        next.summary == announce.summary) {
      ++counters_.repeats;
      return;
    }
    next.epoch = announce.epoch;
    next.producer_id = announce.producer_id;
    next.described = true;
    next.name = announce.name;
    next.summary = announce.summary;
    changed = keep(std::move(next));
  }
  tell(changed);
}

void MetadataCache::heard(const wire::DataSourceMeta& meta, int32_t session_id, uint64_t now_ns) {
  if (meta.stream_id != options_.stream_id) return;  // W-10
  std::shared_ptr<const Metadata> changed;
  {
    const std::lock_guard lock(mutex_);
    const bool passed = !versions_.empty() && meta.meta_version < versions_.rbegin()->first;
    if (is_passed(session_id) || (passed && !is_silent(now_ns))) {  // W-89
      ++counters_.old;
      return;
    }
    if (passed) forget();
    heard_ns_ = now_ns;
    std::vector<wire::Attribute> attributes = without_repeated_keys(meta.attributes);
    Metadata next = draft(meta.meta_version);
    if (next.attributed && next.attributes == attributes) {
      ++counters_.repeats;
      return;
    }
    next.attributed = true;
    next.timestamp_ns = meta.timestamp_ns;
    next.attributes = std::move(attributes);
    changed = keep(std::move(next));
  }
  tell(changed);
}

void MetadataCache::heard(const wire::MetaBlobAnnounce& announce, int32_t session_id, uint64_t now_ns) {
  if (announce.stream_id != options_.stream_id) return;  // W-10
  const std::lock_guard lock(mutex_);
  if (is_passed(session_id) || (!versions_.empty() && announce.meta_version < versions_.rbegin()->first)) {
    if (options_.max_blob_bytes != 0) ++counters_.old;
    return;
  }
  blobs_.heard(announce, session_id, now_ns);
}

void MetadataCache::heard(const wire::MetaBlobChunk& chunk, int32_t session_id, uint64_t now_ns) {
  if (chunk.stream_id != options_.stream_id) return;  // W-10
  const std::lock_guard lock(mutex_);
  blobs_.heard(chunk, session_id, now_ns);
}

void MetadataCache::heard(const wire::MetaBlobComplete& complete, int32_t session_id, uint64_t now_ns) {
  if (complete.stream_id != options_.stream_id) return;  // W-10
  std::shared_ptr<const Metadata> changed;
  {
    const std::lock_guard lock(mutex_);
    auto finished = blobs_.heard(complete, session_id, now_ns);
    if (!finished) return;
    Metadata next = draft(finished->meta_version);
    const uint32_t type = finished->blob->type;
    std::erase_if(next.blobs, [&](const auto& blob) { return blob->type == type; });  // said anew: the last one counts
    next.blobs.insert(
        std::upper_bound(next.blobs.begin(), next.blobs.end(), type, [](uint32_t t, const auto& blob) { return t < blob->type; }),
        std::move(finished->blob));
    changed = keep(std::move(next));
  }
  tell(changed);
}

std::shared_ptr<const Metadata> MetadataCache::newest() const {
  const std::lock_guard lock(mutex_);
  return versions_.empty() ? nullptr : versions_.rbegin()->second;
}

std::shared_ptr<const Metadata> MetadataCache::version(uint32_t version) const {
  const std::lock_guard lock(mutex_);
  const auto found = versions_.find(version);
  return found == versions_.end() ? nullptr : found->second;
}

std::shared_ptr<const Metadata> MetadataCache::of_frame(uint64_t epoch, uint32_t version) const {
  const std::lock_guard lock(mutex_);
  // A peer that sends attributes alone names no epoch: then the number is all there is.
  if (epoch_ != 0 && epoch_ != epoch) return nullptr;
  const auto found = versions_.find(version);
  return found == versions_.end() ? nullptr : found->second;
}

MetadataCounters MetadataCache::counters() const {
  const std::lock_guard lock(mutex_);
  MetadataCounters out = counters_;
  out.blobs = blobs_.counters();
  return out;
}

}  // namespace tidepool::client

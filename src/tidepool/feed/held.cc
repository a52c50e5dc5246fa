#include "tidepool/feed/held.h"

#include <sys/stat.h>

namespace tidepool::feed {

HeldLedger::Entry HeldLedger::add(const std::string& path, uint64_t bytes) {
  Entry::Chunk chunk;
  chunk.path = path;
  chunk.bytes = bytes;
  struct stat found{};
  if (::stat(path.c_str(), &found) == 0) {
    chunk.device = found.st_dev;
    chunk.inode = found.st_ino;
  } else {
    chunk.unlinked = true;  // in this moment
  }
  Entry entry;
  const std::scoped_lock lock(mutex_);
  entry.at_ = chunks_.insert(chunks_.end(), std::move(chunk));
  entry.ledger_ = shared_from_this();
  return entry;
}

HeldLedger::Entry::~Entry() {
  if (!ledger_) return;
  const std::scoped_lock lock(ledger_->mutex_);
  ledger_->chunks_.erase(at_);
}

HeldMemory HeldLedger::count() const {
  HeldMemory held;
  const std::scoped_lock lock(mutex_);
  for (Entry::Chunk& chunk : chunks_) {
    struct stat found{};
    if (!chunk.unlinked)
      chunk.unlinked = ::stat(chunk.path.c_str(), &found) != 0 || found.st_dev != chunk.device || found.st_ino != chunk.inode;
    ++held.chunks;
    held.bytes += chunk.bytes;
    if (!chunk.unlinked) continue;
    ++held.unlinked_chunks;
    held.unlinked_bytes += chunk.bytes;
  }
  return held;
}

}  // namespace tidepool::feed

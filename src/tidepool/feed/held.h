#pragma once
// How much memory a reader keeps mapped, by itself and by what it gave out to be held (F-78, F-93). A chunk of the live window whose name
// is gone takes shared memory until the last who has it mapped lets go.
//
// Thread safety: any thread. Lifetime: as long as the reader, what it gave out, or who counts.

#include <sys/types.h>

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>

namespace tidepool::feed {

struct HeldMemory {
  uint64_t chunks = 0;
  uint64_t bytes = 0;  // mapped; of those read from disk the kernel can drop them at any time
  uint64_t unlinked_chunks = 0;
  uint64_t unlinked_bytes = 0;  // without a name any more: free as soon as these are let go
};

class HeldLedger : public std::enable_shared_from_this<HeldLedger> {
 public:
  // A chunk that is mapped, as long as this lives.
  class Entry {
   public:
    Entry() = default;
    Entry(Entry&& other) noexcept { swap(other); }
    Entry& operator=(Entry&& other) noexcept {
      swap(other);
      return *this;
    }
    ~Entry();

   private:
    friend class HeldLedger;
    struct Chunk {
      std::string path;
      dev_t device = 0;
      ino_t inode = 0;
      uint64_t bytes = 0;
      bool unlinked = false;  // never again otherwise: ordinals are not used twice (F-25)
    };
    void swap(Entry& other) noexcept {
      std::swap(ledger_, other.ledger_);
      std::swap(at_, other.at_);
    }
    std::shared_ptr<HeldLedger> ledger_;
    std::list<Chunk>::iterator at_{};
  };

  Entry add(const std::string& path, uint64_t bytes);
  HeldMemory count() const;

 private:
  mutable std::mutex mutex_;  // guards chunks_
  mutable std::list<Entry::Chunk> chunks_;
};

}  // namespace tidepool::feed

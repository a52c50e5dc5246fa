#pragma once
// The log that both registries are (docs/formats/feed-registry.md): a 4 KiB header, then entries of one fixed size, each with a
// checksum and its own position. Entries are only ever added. A damaged one is skipped and told, never taken as the end (F-c).
//
// Thread safety: one thread a handle. Any number of processes read while one appends, which holds the log's lock (the caller's
// business). Reading takes no lock and writes nothing.

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/feed/file_seam.h"

namespace tidepool::feed {

using Id = std::array<std::byte, 16>;
inline constexpr Id kNoId{};
Id random_id128();
Id this_boot_id();  // of the running kernel; zeros when it cannot be read, which then equals no boot
std::string hex(const Id& id);

inline constexpr uint16_t kMajor = 1;  // of every file of a feed: another one is refused
inline constexpr uint16_t kMinor = 0;  // newer minors are read, what they add is ignored

inline constexpr uint64_t kGlobalMagic = 0x3153444545465054;  // "TPFEEDS1"
inline constexpr uint64_t kFeedMagic = 0x31474552464C5054;    // "TPLFREG1"
inline constexpr size_t kLogHeaderBytes = 4096;
inline constexpr size_t kGlobalEntryBytes = 512;
inline constexpr size_t kFeedEntryBytes = 256;
inline constexpr size_t kLogIdentityBytes = 124;  // then their checksum
inline constexpr size_t kLogCountAt = 256;
inline constexpr size_t kLogCheckAt = 264;  // the count's complement, and of what file and boot it is (counter_mark())
inline constexpr size_t kLogBootAt = 272;
inline constexpr size_t kLogMarkAt = 320;
inline constexpr size_t kEntryHeadBytes = 24;  // crc, type, version, position, wall clock; the body follows

// A count is certain in the file and on the boot that it was counted in: in one that was rebuilt after a power cut, copied, or is
// looked at in a snapshot, its page may be older or newer than the entries. kNoId: nothing is certain here.
Id counter_mark(const File& file);

class RegistryLog {
 public:
  struct Identity {
    uint64_t magic = 0;
    uint32_t entry_bytes = 0;
    Id base_id{};
    Id feed_id{};  // zeros in the global one
    uint64_t generation = 1;
    uint64_t created_wall_ns = 0;
  };
  struct Entry {
    uint16_t type = 0;
    uint64_t position = 0;
    uint64_t wall_ns = 0;
    Bytes bytes;  // all of it, head included; valid during the call
  };
  struct Taker {
    std::function<void(const Entry&)> entry;
    std::function<void(uint64_t position, std::string_view why)> damaged;
    // Entries that nobody here wants, checked or not; true: not even looked at.
    std::function<bool(Bytes bytes)> passes_over{};
  };

  // The bytes of an empty log; and of one entry, at its position.
  static std::vector<std::byte> empty(const Identity& identity);
  static std::vector<std::byte> entry(const Identity& identity, uint16_t type, uint64_t position, uint64_t wall_ns, Bytes body);
  // The bytes of a log's first page with as many entries behind it.
  static void set_count(std::vector<std::byte>& log, uint64_t count);
  // Throws FeedError: kFileNotFound, kCorrupt (shorter than a header, checksum, another magic), kUnsupportedVersion.
  static RegistryLog open(Files& files, const std::string& path, uint64_t magic, uint32_t entry_bytes, bool writable);

  RegistryLog() = default;
  RegistryLog(RegistryLog&&) = default;
  RegistryLog& operator=(RegistryLog&&) = default;
  explicit operator bool() const noexcept { return static_cast<bool>(file_); }
  const Identity& identity() const noexcept { return identity_; }
  const std::string& path() const noexcept { return file_.path(); }

  // More has been published than refresh() has taken, or the log was superseded: two loads from memory.
  bool has_news() const noexcept;
  // A newer generation, or none, lies under the path, or soon will: look there (F-27).
  bool superseded() const noexcept { return mark() != Mark::kNone; }
  enum class Mark : uint32_t {
    kNone = 0,
    kGone = 1,      // the feed is being deleted
    kReplaced = 2,  // a newer generation is put in its place; if none comes, who did that has died and this one is in force
  };
  Mark mark() const noexcept;
  uint64_t count() const noexcept;  // published
  // Hand on what is new since the last call, in order: what was published. Only the first look at a file whose count is of another
  // boot, which a power cut may have left behind its entries, takes all that is in it and checks out.
  size_t refresh(const Taker& taker);

  // Under the log's lock: `body` becomes the next entry; durable when this returns if `sync`. Throws, with nothing published. What
  // somebody wrote whole and died before he counted it is taken in first, never written over (F-3).
  uint64_t append(uint16_t type, uint64_t wall_ns, Bytes body, bool sync);
  // Under the log's lock, at open for writing: nothing that was published by a boot that is gone is believed; the count is put
  // right.
  void settle();
  void set_mark(Mark mark) noexcept;

 private:
  // How many entries there are, if that is certain: counted on this boot, and not just being counted.
  std::optional<uint64_t> counted() const noexcept;
  void publish_count(uint64_t count) noexcept;
  bool good_at(uint64_t position) const;
  File file_;
  Id counter_{};  // counter_mark() of file_
  Mapping header_;
  Identity identity_;
  uint64_t taken_ = 0;       // positions looked at
  uint64_t seen_count_ = 0;  // the count at the last look; after a power cut it may be beyond the entries, for ever
  bool first_ = true;
};

}  // namespace tidepool::feed

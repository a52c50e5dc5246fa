#pragma once
// A file mapped into this process: how region files are opened (never created, never followed through links, only below
// allowed directories) and how the driver creates them.

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tidepool/base/bytes.h"
#include "tidepool/shm/uri.h"

namespace tidepool::shm {

enum class Access : uint8_t { kReadOnly, kReadWrite };

// What may be mapped. Canonicalised once, at construction (W-24).
class MapPolicy {
 public:
  struct Options {
    std::vector<std::string> allowed_base_dirs = {"/dev/shm"};  // empty rejects everything
    mode_t forbidden_mode = 0007;                               // refuse files with any of these bits (W-27); 0 is off
    std::optional<uid_t> expected_uid = std::nullopt;
    std::optional<gid_t> expected_gid = std::nullopt;
    bool require_hugepages = false;                             // demand it even where the URI does not
    bool lock_memory = false;                                   // mlock own mappings; failure throws (config: mlock)
  };
  MapPolicy() : MapPolicy(Options{}) {}
  // Throws Error kInvalidArgument for a directory that is relative or does not exist.
  explicit MapPolicy(Options options);

  const Options& options() const noexcept { return options_; }
  const std::vector<std::string>& canonical_base_dirs() const noexcept { return canonical_base_dirs_; }
  // `canonical_path` is one of the base directories or below one, on component boundaries (W-24).
  bool contains(std::string_view canonical_path) const noexcept;

 private:
  Options options_;
  std::vector<std::string> canonical_base_dirs_;
};

// One mapping. Thread safety: the object as a unique_ptr; the mapped memory as its layout says.
// Lifetime: unmapped on destruction. A file that a stranger truncates under a mapping raises SIGBUS on access; sizes are
// checked at open and by still_same_file() only (rulings F-i).
class Region {
 public:
  // Open and map what `uri` names, by the procedure of wire.md 7.3 (W-22..W-30). `min_bytes`: the size that the announced
  // geometry needs. Throws Error: kInvalidArgument (bad URI), kPermission (outside the allowed directories, a symlink,
  // forbidden mode bits), kNotFound, kCorrupt (not a regular file, too short, replaced while opening),
  // kUnsupported (hugepages demanded, not on hugetlbfs).
  static Region open(const Uri& uri, Access access, uint64_t min_bytes, const MapPolicy& policy);

  Region() = default;
  Region(Region&& other) noexcept { swap(other); }
  Region& operator=(Region&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Region();

  const std::byte* data() const noexcept { return data_; }
  // Only for a region opened kReadWrite (else nullptr).
  std::byte* mutable_data() const noexcept { return access_ == Access::kReadWrite ? data_ : nullptr; }
  uint64_t size_bytes() const noexcept { return size_bytes_; }
  const std::string& path() const noexcept { return path_; }
  explicit operator bool() const noexcept { return data_ != nullptr; }

  // The file under the path is still the one that is mapped and still at least as long (W-58).
  bool still_same_file() const noexcept;

 private:
  friend class RegionCreator;
  void swap(Region& other) noexcept;

  std::byte* data_ = nullptr;
  uint64_t size_bytes_ = 0;  // of the mapping, which is that of the file when it was opened
  Access access_ = Access::kReadOnly;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  std::string path_;
};

// Creates region files below one directory that it holds open, so that no path is resolved twice (wire.md 7.5,
// driver.md 8.4).
class RegionCreator {
 public:
  struct Options {
    mode_t file_mode = 0660;   // set by fchmod: a umask does not narrow it (D-37)
    bool reserve = true;       // fallocate now, so that a full file system fails here and not as SIGBUS later
    bool prefault = true;      // touch every page (only with reserve)
    bool lock_memory = false;  // mlock; failure throws (D-39)
  };

  // `directory_fd`: open directory, owned by the caller. `directory_path`: canonical, for messages and URIs.
  RegionCreator(int directory_fd, std::string directory_path, Options options);

  // Create `name` exclusively (O_EXCL, O_NOFOLLOW), size it (rounded up on hugetlbfs, D-38), map it read-write.
  // A new file reads as zeros (W-34). Throws Error kNoSpace (naming the file system's free bytes and what was needed),
  // kPermission, kRejected (exists). On failure nothing is left behind.
  Region create(const std::string& name, uint64_t bytes);

 private:
  int directory_fd_;
  std::string directory_path_;
  Options options_;
};

// Properties of the file system that a directory is on.
struct FileSystem {
  bool hugetlbfs = false;
  bool tmpfs = false;
  uint64_t block_bytes = 0;      // the huge page size on hugetlbfs
  uint64_t capacity_bytes = 0;   // 0: the mount sets no limit
  uint64_t free_bytes = 0;       // all ones: the mount sets no limit
};
// Throws Error when the directory cannot be examined.
FileSystem file_system_of(const std::string& directory);

// realpath(); throws Error kNotFound or kPermission with the path in it.
std::string canonical_path(const std::string& path);

}  // namespace tidepool::shm

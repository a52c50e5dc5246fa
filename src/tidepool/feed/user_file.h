#pragma once
// A file that a user names, to be imported: links are followed and pipes waited for, unlike with the files of a feed
// (file_seam.h). Private to feed/.

#include <cstdint>
#include <string>
#include <utility>

#include "tidepool/base/bytes.h"
#include "tidepool/shm/open_file.h"

namespace tidepool::feed {

class UserFile {
 public:
  UserFile() = default;
  static UserFile open(const std::string& path);  // throws FeedError naming the path
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
  int fd() const noexcept { return fd_.get(); }
  const std::string& path() const noexcept { return path_; }
  uint64_t size() const noexcept { return size_; }  // 0: a pipe
  // As much as is there, up to `to`.
  MutableBytes read_at(MutableBytes to, uint64_t offset) const;

 private:
  shm::Fd fd_;
  std::string path_;
  uint64_t size_ = 0;
};

// One read(): 0 at the end. Throws FeedError naming `name`.
size_t read_some(int fd, const std::string& name, MutableBytes to);

}  // namespace tidepool::feed

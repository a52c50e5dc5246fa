#include "tidepool/feed/user_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "tidepool/feed/fault.h"

namespace tidepool::feed {

UserFile UserFile::open(const std::string& path) {
  UserFile file;
  file.path_ = path;
  file.fd_ = shm::Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.fd_) throw Error(code_of_errno(errno), "open ", path, errno_text());
  struct stat found{};
  if (::fstat(file.fd(), &found) != 0) throw Error(code_of_errno(errno), "look at ", path, errno_text());
  if (S_ISDIR(found.st_mode)) throw Error(Code::kInvalidArgument, path, " is a directory");
  if (S_ISREG(found.st_mode)) file.size_ = static_cast<uint64_t>(found.st_size);
  return file;
}

MutableBytes UserFile::read_at(MutableBytes to, uint64_t offset) const {
  size_t have = 0;
  while (have < to.size()) {
    const ssize_t got = ::pread(fd(), to.data() + have, to.size() - have, static_cast<off_t>(offset + have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(code_of_errno(errno), "read ", path_, errno_text());
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  return to.first(have);
}

size_t read_some(int fd, const std::string& name, MutableBytes to) {
  for (;;) {
    const ssize_t got = ::read(fd, to.data(), to.size());
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) throw Error(code_of_errno(errno), "read ", name, errno_text());
  }
}

}  // namespace tidepool::feed

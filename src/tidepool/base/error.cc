#include "tidepool/base/error.h"

#include <cstring>

namespace tidepool {

std::string_view code_name(Code code) noexcept {
  switch (code) {
    case Code::kInvalidArgument: return "invalid argument";
    case Code::kUnavailable: return "unavailable";
    case Code::kTimeout: return "timeout";
    case Code::kNotFound: return "not found";
    case Code::kRejected: return "rejected";
    case Code::kCorrupt: return "corrupt";
    case Code::kNoSpace: return "no space";
    case Code::kPermission: return "permission";
    case Code::kUnsupported: return "unsupported";
    case Code::kInternal: return "internal";
  }
  return "unknown";
}

std::string errno_text(int err) {
  char buffer[128];
  return concat(": ", std::string_view(::strerror_r(err, buffer, sizeof buffer)));
}

Code code_of_errno(int err) noexcept {
  switch (err) {
    case EACCES:
    case EPERM:
    case EROFS: return Code::kPermission;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EFBIG: return Code::kNoSpace;
    case ENOENT:
    case ENOTDIR: return Code::kNotFound;
    case ELOOP:
    case EINVAL:
    case ENAMETOOLONG: return Code::kInvalidArgument;
    case EAGAIN:
    case EBUSY: return Code::kUnavailable;
    case EEXIST:
    case ENOTEMPTY: return Code::kRejected;
    case ETIMEDOUT: return Code::kTimeout;
    case ENOSYS:
    case EOPNOTSUPP: return Code::kUnsupported;
    default: return Code::kInternal;
  }
}

}  // namespace tidepool

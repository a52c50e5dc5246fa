#pragma once
// What set-up code throws: a code to act on and one sentence that tells the user what to do.
//
// Three kinds of trouble are kept apart. Our own mistake: assert. What the world does (no driver, disk full, lease
// expired): an Error. What another process wrote (superblock, slot, message): input, checked before use, never
// asserted. The hot path throws nothing: it returns small enums and counts.

#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace tidepool {

enum class Code : uint8_t {
  kInvalidArgument,  // the caller asked for something that cannot be: fix the call or the configuration
  kUnavailable,      // somebody needed is not there (driver, media driver, file): start it or wait
  kTimeout,          // nobody answered in the time given
  kNotFound,         // the named thing does not exist
  kRejected,         // understood and refused by policy or state (second producer, lease taken)
  kCorrupt,          // bytes from a file, region or message contradict what they claim to be
  kNoSpace,          // memory or disk is full, or a limit is reached
  kPermission,       // the operating system said no
  kUnsupported,      // not on this platform, or a newer version
  kInternal,         // a fault of ours or of a library below
};

// "unavailable", "no space", ...: for logs and --json.
std::string_view code_name(Code code) noexcept;

namespace detail {
inline void append_part(std::string& out, std::string_view part) { out.append(part); }
template <typename T>
  requires std::is_arithmetic_v<T>
void append_part(std::string& out, T value) {
  if constexpr (std::is_same_v<T, bool>) {
    out.append(value ? "true" : "false");
  } else if constexpr (std::is_same_v<T, char>) {
    out.push_back(value);
  } else {
    out.append(std::to_string(value));
  }
}
}  // namespace detail

// "open ", path, ": ", 13 -> one string.
template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::string out;
  (detail::append_part(out, parts), ...);
  return out;
}

class Error : public std::runtime_error {
 public:
  template <typename... Parts>
  explicit Error(Code code, const Parts&... parts) : std::runtime_error(concat(parts...)), code_(code) {}

  Code code() const noexcept { return code_; }

  // The same error, told one level further out: "attach stream 10000: " + what().
  template <typename... Parts>
  Error within(const Parts&... doing) const {
    return Error(code_, concat(doing...), ": ", what());
  }

 private:
  Code code_;
};

// ": Permission denied" style text of an errno, with its leading colon.
std::string errno_text(int err = errno);

// The Code that fits an errno: EACCES is kPermission, ENOSPC kNoSpace, ENOENT kNotFound, ...
Code code_of_errno(int err) noexcept;

}  // namespace tidepool

#include "tidepool/transport/media_driver.h"

#include <aeronc.h>
#include <aeronmd.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/transport/aeron_words.h"

namespace tidepool::transport {

namespace fs = std::filesystem;

namespace {

constexpr const char* kCncFile = "cnc.dat";
constexpr const char* kLockFile = "tidepool.lock";  // inside the directory; the lock, not the file, says who lives
constexpr size_t kMaxDirBytes = 3'000;              // Aeron's buffers hold 4096 and it appends file names
constexpr size_t kCountersBytes = 1 << 20;          // 8192 counters; Aeron's default costs 40 MiB of shared memory
constexpr uint64_t kStartWaitMs = 10'000;
constexpr uint64_t kCncMakingMs = 1'000;  // an unfinished CnC file older than this will not be finished

// A file descriptor that closes itself, and with it gives up its flock.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  ~Fd() { reset(); }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    reset();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  int get() const noexcept { return fd_; }
  bool valid() const noexcept { return fd_ >= 0; }
  void reset() noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

bool try_lock(const Fd& fd, int kind = LOCK_EX) noexcept {
  int result = 0;
  do {
    result = ::flock(fd.get(), kind | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  return result == 0;
}

// Two processes that find no driver and start one each must not delete each other's directory: starts in one parent
// directory are made one after the other.
Fd lock_starts(const fs::path& parent) {
  Fd fd(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) throw Error(code_of_errno(errno), "media driver: open ", parent.string(), errno_text());
  const uint64_t deadline_ns = monotonic_ns() + kStartWaitMs * kNsPerMs;
  while (!try_lock(fd)) {
    if (errno != EWOULDBLOCK) throw Error(code_of_errno(errno), "media driver: lock ", parent.string(), errno_text());
    if (monotonic_ns() > deadline_ns) {
      throw Error(Code::kTimeout, "media driver: somebody has held a lock on ", parent.string(), " for ", kStartWaitMs,
                  " ms: see `lslocks`");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return fd;
}

enum class Holder : uint8_t { kNobody, kAlive, kDead };

// Who holds the directory's tidepool lock: nobody if it was not made by a tidepool media driver. Looked at with a shared lock, so that
// two who look do not take each other for the holder.
Holder lock_holder(const fs::path& dir) {
  const Fd fd(::open((dir / kLockFile).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd.valid()) return Holder::kNobody;
  return try_lock(fd, LOCK_SH) ? Holder::kDead : Holder::kAlive;
}

std::string seconds_text(uint64_t ms) { return ms < 10'000 ? concat(ms, " ms") : concat(ms / 1'000, " s"); }

// How long ago the CnC file was made or changed by name; its mapping does not count. nullopt: there is none.
std::optional<uint64_t> cnc_age_ms(const std::string& dir) {
  struct stat cnc{};
  if (::stat((dir + "/" + kCncFile).c_str(), &cnc) != 0) return std::nullopt;
  const uint64_t changed_ms =
      static_cast<uint64_t>(cnc.st_mtim.tv_sec) * 1'000 + static_cast<uint64_t>(cnc.st_mtim.tv_nsec) / kNsPerMs;
  const uint64_t now_ms = realtime_ns() / kNsPerMs;
  return now_ms > changed_ms ? now_ms - changed_ms : 0;
}

// A CnC file whose version, which is written last, is not there yet.
bool cnc_unfinished(const std::string& dir) {
  const Fd fd(::open((dir + "/" + kCncFile).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  int32_t version = 0;
  return fd.valid() && (::pread(fd.get(), &version, sizeof version, 0) != sizeof version || version == 0);
}

// By its CnC file alone.
MediaDriverStatus status_by_heartbeat(const std::string& dir, uint64_t timeout_ms) noexcept {
  MediaDriverStatus status;
  try {
    status.dir = dir.empty() ? default_aeron_dir() : dir;
  } catch (const std::exception& e) {
    status.problem = e.what();
    return status;
  }
  if (status.dir.size() > kMaxDirBytes) {
    status.problem = "the directory's name is too long";
    return status;
  }
  const std::string cnc_path = status.dir + "/" + kCncFile;
  struct stat file{};
  if (::stat(cnc_path.c_str(), &file) != 0) {
    status.problem = errno == ENOENT || errno == ENOTDIR ? "there is none" : concat("look at ", cnc_path, errno_text());
    return status;
  }
  status.cnc_present = true;
  if (::access(cnc_path.c_str(), R_OK) != 0) {
    status.problem = concat("open ", cnc_path, errno_text(), ": it belongs to another user (uid ", file.st_uid, ")");
    return status;
  }
  aeron_cnc_t* cnc = nullptr;
  if (aeron_cnc_init(&cnc, status.dir.c_str(), 0) < 0) {  // looks once: checks version and lengths
    take_aeron_words();
    status.problem = concat(cnc_path, " is not a finished CnC file of this Aeron version (", file.st_size, " bytes)");
    return status;
  }
  aeron_cnc_constants_t constants{};
  aeron_cnc_constants(cnc, &constants);
  status.pid = constants.pid > 0 ? static_cast<uint64_t>(constants.pid) : 0;
  status.client_liveness_ms =
      constants.client_liveness_timeout > 0 ? static_cast<uint64_t>(constants.client_liveness_timeout) / kNsPerMs : 0;
  const int64_t heartbeat_ms = aeron_cnc_to_driver_heartbeat(cnc);
  aeron_cnc_close(cnc);
  if (heartbeat_ms <= 0) {
    take_aeron_words();
    status.problem =
        concat("the driver there (pid ", status.pid, ") ", heartbeat_ms == 0 ? "is still starting" : "has been shut down");
    return status;
  }
  const auto now_ms = static_cast<int64_t>(realtime_ns() / kNsPerMs);  // Aeron's heartbeats are wall-clock
  status.heartbeat_age_ms = static_cast<uint64_t>(std::max<int64_t>(now_ms - heartbeat_ms, 0));
  status.alive = status.heartbeat_age_ms <= timeout_ms;
  if (!status.alive) {
    status.problem =
        concat("the driver there (pid ", status.pid, ") is silent: last heartbeat ", seconds_text(status.heartbeat_age_ms), " ago");
  }
  return status;
}

// Throws kRejected when a driver lives in `dir`. The caller holds the lock on starts.
void refuse_if_alive(const std::string& dir, uint64_t driver_timeout_ms) {
  const Holder holder = lock_holder(dir);
  if (holder == Holder::kDead) return;
  // Somebody else's driver may be making its file at this moment, which takes it milliseconds; or one was killed at it.
  std::optional<uint64_t> age_ms;
  while (holder == Holder::kNobody && cnc_unfinished(dir) && (age_ms = cnc_age_ms(dir)) && *age_ms < kCncMakingMs) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const MediaDriverStatus there = status_by_heartbeat(dir, driver_timeout_ms);
  if (holder == Holder::kAlive || there.alive) {
    throw Error(Code::kRejected, "a media driver is alive in ", dir, " (pid ", there.pid, ", last heartbeat ",
                seconds_text(there.heartbeat_age_ms), " ago): use it, stop it, or choose another directory");
  }
  // Not ours to read, or of another Aeron version: its age decides, since nothing else can.
  if (there.cnc_present && there.pid == 0 && !cnc_unfinished(dir) && (age_ms = cnc_age_ms(dir)) && *age_ms < driver_timeout_ms) {
    throw Error(Code::kRejected, "a media driver may be alive in ", dir, " (", there.problem, "): wait ",
                seconds_text(driver_timeout_ms), ", or choose another directory");
  }
}

void check_times(const MediaDriverOptions& o) {
  // Aeron says the same, but only after it has replaced the directory.
  const auto longer = [&o](std::string_view name, uint64_t ms) {
    if (ms <= o.timer_interval_ms) {
      throw Error(Code::kInvalidArgument, "media driver: ", name, " is ", ms, ": expected more than timer_interval_ms, which is ",
                  o.timer_interval_ms);
    }
    if (ms > 86'400'000)
      throw Error(Code::kInvalidArgument, "media driver: ", name, " is ", ms, ": expected at most 86400000 (a day)");
  };
  if (o.timer_interval_ms == 0) throw Error(Code::kInvalidArgument, "media driver: timer_interval_ms is 0: expected at least 1");
  longer("client_liveness_ms", o.client_liveness_ms);
  longer("driver_timeout_ms", o.driver_timeout_ms);
  longer("untethered_window_limit_ms", o.untethered_window_limit_ms);
  longer("untethered_resting_ms", o.untethered_resting_ms);
  const auto term = [](std::string_view name, uint64_t bytes) {
    if (bytes < 65'536 || bytes > (1ull << 30) || (bytes & (bytes - 1)) != 0) {
      throw Error(Code::kInvalidArgument, "media driver: ", name, " is ", bytes,
                  ": expected a power of two from 65536 to 1073741824");
    }
  };
  term("ipc_term_bytes", o.ipc_term_bytes);
  term("udp_term_bytes", o.udp_term_bytes);
}

}  // namespace

struct MediaDriver::Impl {
  std::string dir;
  uint64_t driver_timeout_ms = 0;
  aeron_driver_context_t* context = nullptr;
  aeron_driver_t* driver = nullptr;
  Fd lock;
  bool delete_dir = false;

  ~Impl() {
    if (driver != nullptr && aeron_driver_close(driver) < 0) {
      log(LogLevel::kError, "media driver", "closing: ", take_aeron_words());
      return;  // a thread may still run on the context
    }
    if (context == nullptr) return;
    // Ours to delete only if it is still the directory that we made: somebody may have taken it over.
    aeron_driver_context_set_dir_delete_on_shutdown(context, delete_dir && still_ours());
    if (aeron_driver_context_close(context) < 0) log(LogLevel::kWarn, "media driver", "closing ", dir, ": ", take_aeron_words());
  }

  bool still_ours() const noexcept {
    struct stat ours{};
    struct stat there{};
    return lock.valid() && ::fstat(lock.get(), &ours) == 0 && ::lstat((dir + "/" + kLockFile).c_str(), &there) == 0 &&
           ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
  }
};

MediaDriver::MediaDriver(const MediaDriverOptions& options) : impl_(std::make_unique<Impl>()) {
  route_aeron_prints_to_log();
  check_times(options);
  impl_->dir = options.dir.empty() ? default_aeron_dir() : options.dir;
  while (impl_->dir.size() > 1 && impl_->dir.back() == '/') impl_->dir.pop_back();
  impl_->driver_timeout_ms = options.driver_timeout_ms;
  const std::string dir = impl_->dir;  // a copy: it is named after impl_ is gone
  if (dir.size() > kMaxDirBytes)
    throw Error(Code::kInvalidArgument, "media driver: directory name of ", dir.size(), " bytes is too long");

  const fs::path parent = fs::absolute(dir).parent_path();
  std::error_code ec;
  fs::create_directories(parent, ec);
  if (ec) throw Error(code_of_errno(ec.value()), "media driver: make ", parent.string(), errno_text(ec.value()));
  const Fd starting = lock_starts(parent);

  if (!options.delete_dir_on_start) refuse_if_alive(dir, options.driver_timeout_ms);

  const auto fail = [&](std::string_view doing) {
    const int number = aeron_error_number();
    const std::string words = take_aeron_words();
    const bool no_space = number == ENOSPC || words.find("storage") != std::string::npos;
    const Code code = no_space ? Code::kNoSpace : number > 0 ? code_of_errno(number) : Code::kInternal;
    throw Error(code, "media driver in ", dir, ": ", doing, ": ", words,
                no_space ? concat(": it needs about 16 MiB there: see `df ", parent.string(), "`") : std::string());
  };
  if (aeron_driver_context_init(&impl_->context) < 0) fail("context");
  aeron_driver_context_t* const c = impl_->context;
  const char* const idle = options.dedicated_threads ? "spin" : "backoff";
  // A reservation that a killed client left open blocks its log until this has passed; Aeron wants it above the liveness.
  const uint64_t unblock_ns = (options.client_liveness_ms + options.client_liveness_ms / 2 + 1) * kNsPerMs;
  const bool set =
      aeron_driver_context_set_dir(c, dir.c_str()) >= 0 &&
      // Decided above, under the lock; Aeron's own way writes error logs beside the directory and never cleans them up.
      aeron_driver_context_set_dir_delete_on_start(c, true) >= 0 &&
      aeron_driver_context_set_dir_delete_on_shutdown(c, false) >= 0 &&
      aeron_driver_context_set_dir_warn_if_exists(c, false) >= 0 && aeron_driver_context_set_print_configuration(c, false) >= 0 &&
      aeron_driver_context_set_threading_mode(
          c, options.dedicated_threads ? AERON_THREADING_MODE_DEDICATED : AERON_THREADING_MODE_SHARED) >= 0 &&
      aeron_driver_context_set_shared_idle_strategy(c, idle) >= 0 &&
      aeron_driver_context_set_conductor_idle_strategy(c, idle) >= 0 &&
      aeron_driver_context_set_sender_idle_strategy(c, idle) >= 0 &&
      aeron_driver_context_set_receiver_idle_strategy(c, idle) >= 0 &&
      aeron_driver_context_set_timer_interval_ns(c, options.timer_interval_ms * kNsPerMs) >= 0 &&
      aeron_driver_context_set_client_liveness_timeout_ns(c, options.client_liveness_ms * kNsPerMs) >= 0 &&
      aeron_driver_context_set_image_liveness_timeout_ns(c, options.client_liveness_ms * kNsPerMs) >= 0 &&
      aeron_driver_context_set_publication_unblock_timeout_ns(c, unblock_ns) >= 0 &&
      aeron_driver_context_set_driver_timeout_ms(c, options.driver_timeout_ms) >= 0 &&
      aeron_driver_context_set_untethered_window_limit_timeout_ns(c, options.untethered_window_limit_ms * kNsPerMs) >= 0 &&
      aeron_driver_context_set_untethered_resting_timeout_ns(c, options.untethered_resting_ms * kNsPerMs) >= 0 &&
      aeron_driver_context_set_ipc_term_buffer_length(c, options.ipc_term_bytes) >= 0 &&
      aeron_driver_context_set_term_buffer_length(c, options.udp_term_bytes) >= 0 &&
      aeron_driver_context_set_counters_buffer_length(c, kCountersBytes) >= 0 &&
      // Space is taken when a log is made: a sparse one would fault (SIGBUS) in whoever writes when memory runs out.
      aeron_driver_context_set_term_buffer_sparse_file(c, false) >= 0 &&
      aeron_driver_context_set_perform_storage_checks(c, true) >= 0;
  if (!set) fail("settings");

  try {
    if (aeron_driver_init(&impl_->driver, c) < 0) {
      impl_->driver = nullptr;
      fail("start");
    }
    impl_->lock = Fd(::open((dir + "/" + kLockFile).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (!impl_->lock.valid()) throw Error(code_of_errno(errno), "media driver: make ", dir, "/", kLockFile, errno_text());
    // Who only asks whether we live (media_driver_remains) may hold it for a moment.
    for (int tries = 0; !try_lock(impl_->lock); ++tries) {
      if (errno != EWOULDBLOCK || tries == 200) throw Error(code_of_errno(errno), "media driver: lock ", dir, "/", kLockFile, errno_text());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    if (aeron_driver_start(impl_->driver, false) < 0) fail("start threads");
  } catch (...) {
    impl_.reset();
    fs::remove_all(dir, ec);  // half made, by us: nobody else was alive in it
    throw;
  }
  impl_->delete_dir = options.delete_dir_on_shutdown;
}

MediaDriver::~MediaDriver() = default;

const std::string& MediaDriver::dir() const noexcept { return impl_->dir; }

bool MediaDriver::running() const noexcept {
  return impl_->still_ours() && status_by_heartbeat(impl_->dir, impl_->driver_timeout_ms).alive;
}

std::string default_aeron_dir() {
  if (const char* from_environment = std::getenv("AERON_DIR"); from_environment != nullptr && *from_environment != '\0') {
    return from_environment;
  }
  std::array<char, 4096> path{};
  if (aeron_default_path(path.data(), path.size()) < 0) {
    throw Error(Code::kInternal, "Aeron's default directory: ", take_aeron_words(), ": set AERON_DIR");
  }
  return path.data();
}

MediaDriverStatus media_driver_status(const std::string& dir, uint64_t timeout_ms) noexcept {
  MediaDriverStatus status = status_by_heartbeat(dir, timeout_ms);
  if (status.heartbeat_age_ms == 0 && !status.alive) return status;  // no heartbeat to be doubted
  try {
    const Holder holder = lock_holder(status.dir);
    if (holder == Holder::kDead) {
      status.alive = false;
      status.problem = concat("the driver there (pid ", status.pid, ") is dead: its kernel lock is free; last heartbeat ",
                              seconds_text(status.heartbeat_age_ms), " ago");
    } else if (!status.alive && holder == Holder::kAlive) {
      status.problem = concat("the driver there (pid ", status.pid, ") lives, by its kernel lock, but is silent: last heartbeat ",
                              seconds_text(status.heartbeat_age_ms), " ago; is it stopped, or starved of processor time?");
    }
  } catch (const std::exception&) {  // no memory for a path: the heartbeat's word stands
  }
  return status;
}

MediaDriverRemains media_driver_remains(const std::string& dir, bool remove) noexcept {
  MediaDriverRemains remains;
  try {
    struct stat found{};
    if (::lstat(dir.c_str(), &found) != 0) {
      remains.why = errno == ENOENT ? "there is none" : concat("look at it", errno_text());
    } else if (!S_ISDIR(found.st_mode)) {
      remains.why = S_ISLNK(found.st_mode) ? "it is a symbolic link" : "it is no directory";
    } else if (found.st_uid != ::geteuid()) {
      remains.why = concat("it belongs to user ", found.st_uid);
    }
    if (!remains.why.empty()) return remains;
    const Fd starting = remove ? lock_starts(fs::absolute(dir).parent_path()) : Fd();
    const Fd lock(::open((dir + "/" + kLockFile).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!lock.valid() || ::fstat(lock.get(), &found) != 0 || !S_ISREG(found.st_mode) || found.st_uid != ::geteuid()) {
      remains.why = "no tidepool media driver made it: only a kernel lock proves a death";
      return remains;
    }
    if (!try_lock(lock)) {
      const MediaDriverStatus status = media_driver_status(dir);
      remains.why = status.pid != 0 ? concat("its media driver is alive (pid ", status.pid, ")") : std::string("its media driver is alive");
      return remains;
    }
    struct stat there{};  // another driver may have replaced the directory before we had the lock
    if (::lstat((dir + "/" + kLockFile).c_str(), &there) != 0 || there.st_dev != found.st_dev || there.st_ino != found.st_ino) {
      remains.why = "it changes at this moment";
      return remains;
    }
    remains.dead = true;
    remains.why = "its media driver is gone: the kernel lock is free";
    std::error_code ec;
    for (fs::recursive_directory_iterator at(dir, ec), end; !ec && at != end; at.increment(ec)) {
      if (::lstat(at->path().c_str(), &there) == 0) remains.bytes += static_cast<uint64_t>(there.st_blocks) * 512;
    }
    if (!remove) return remains;
    ec.clear();
    fs::remove_all(dir, ec);  // follows no link
    remains.removed = !ec;
    if (ec) remains.why = concat("remove it: ", ec.message());
  } catch (const std::exception& error) {
    remains.dead = false;
    remains.why = error.what();
  }
  return remains;
}

}  // namespace tidepool::transport

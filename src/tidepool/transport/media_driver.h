#pragma once
// The Aeron media driver: embedded in this process, or looked at from outside.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace tidepool::transport {

struct MediaDriverOptions {
  std::string dir;                     // empty: Aeron's default (AERON_DIR, else /dev/shm/aeron-<user>)
  bool dedicated_threads = false;      // three threads that spin, instead of one that backs off: for big machines
  bool delete_dir_on_shutdown = true;
  bool delete_dir_on_start = false;    // also take over a directory whose driver looks alive
  uint64_t client_liveness_ms = 10'000;
  uint64_t driver_timeout_ms = 10'000; // a directory whose heartbeat is older belongs to a dead driver and is replaced
  uint64_t timer_interval_ms = 20;     // how often liveness and heartbeats are looked at; below every other time here
  // A subscriber that does not keep up is dropped from flow control after this (rulings P-6), and may come back after
  // the resting time.
  uint64_t untethered_window_limit_ms = 100;
  uint64_t untethered_resting_ms = 1'000;
  uint64_t ipc_term_bytes = 4ull << 20;  // of channels that name no term-length; a log takes three times as much
  uint64_t udp_term_bytes = 4ull << 20;
};

// A media driver running on threads of this process. Thread safety: the owner's thread. The directory is created
// and locked at construction; destruction stops the threads and, by default, deletes it. Space for logs is reserved when
// they are made, so that a full /dev/shm is an error there and no fault later.
//
// Who is alive in a directory: a tidepool media driver holds a kernel lock on <dir>/tidepool.lock, so its death shows at
// once; any other (aeronmd) is alive while its heartbeat is younger than driver_timeout_ms.
class MediaDriver {
 public:
  // Throws Error: kRejected when another driver is alive in the directory (its pid and heartbeat age are in the text),
  // kNoSpace, kPermission, kInvalidArgument (times or sizes that Aeron refuses).
  explicit MediaDriver(const MediaDriverOptions& options);
  ~MediaDriver();
  MediaDriver(const MediaDriver&) = delete;
  MediaDriver& operator=(const MediaDriver&) = delete;

  const std::string& dir() const noexcept;
  // The driver's threads are still at work and its directory is still there (somebody may delete it under the driver).
  bool running() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Aeron's default directory as this environment has it.
std::string default_aeron_dir();

// A media driver seen from outside, through its CnC file and, if it is a tidepool one, its kernel lock.
struct MediaDriverStatus {
  std::string dir;
  bool cnc_present = false;
  uint64_t pid = 0;
  uint64_t heartbeat_age_ms = 0;
  uint64_t client_liveness_ms = 0;  // a client silent for this long is dropped by the driver
  bool alive = false;               // heartbeat younger than the timeout asked for, and its lock, if it has one, is held
  std::string problem;              // why it is not alive, for people: dead for sure, or silent, or none there; empty if it is
};
// One of ours that was killed is known dead at once; of others (aeronmd) nothing but silence can be told. Never throws: a missing or damaged CnC file is "not alive". `dir` empty: the default.
MediaDriverStatus media_driver_status(const std::string& dir, uint64_t timeout_ms = 2'000) noexcept;

// A directory that a tidepool media driver of this user made and that is provably dead: its kernel lock is free. With `remove`
// it is deleted, under that lock and under the one on starts, so that nobody begins in it meanwhile. Never throws; a link, another
// user's directory, and one that no tidepool media driver made (aeronmd's) are never dead here.
struct MediaDriverRemains {
  bool dead = false;
  bool removed = false;
  uint64_t bytes = 0;  // of memory; only if dead
  std::string why;     // for people
};
MediaDriverRemains media_driver_remains(const std::string& dir, bool remove) noexcept;

}  // namespace tidepool::transport

#pragma once
// What `tidepool doctor` looks at: each check says how it is and, where it is not well, what to type.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tidepool/base/config.h"

namespace tidepool::cli {

struct Check {
  enum class Status : uint8_t { kOk, kWarn, kFail };
  std::string name = {};
  Status status = Status::kOk;
  std::string detail = {};
  std::string todo = {};  // empty: nothing
};
std::string_view name_of(Check::Status status) noexcept;

// Where to look: a seam, so that tests can show other machines.
struct Host {
  std::string proc = "/proc";
  std::string sys = "/sys";
  std::string base_dir = "/dev/shm";
  std::string aeron_dir;  // empty: Aeron's default
};

Check check_media_driver(const Host& host);
Check check_shared_memory(const Host& host);    // size, free, may we write there
Check check_memory_limit(const Host& host);     // a cgroup smaller than the file system (F-q)
Check check_permissions(const Host& host);      // tensorpool-<user>
Check check_limits();                           // nofile, memlock, file size
Check check_clock(const Host& host);
Check check_membarrier();
Check check_hugepages(const Host& host);
Check check_cpus();
std::vector<Check> check_leftovers(const Host& host);  // drivers alive, and what dead ones left
Check check_ffmpeg();
// A driver's file: problems, and whether its streams fit.
std::vector<Check> check_config(const std::string& path, Host& host);

// All of them, in that order. `config`: a driver's file, or empty.
std::vector<Check> check_host(Host host, const std::string& config);

}  // namespace tidepool::cli

#include "tidepool/base/process.h"

#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <vector>

namespace tidepool {

namespace {

// What /proc/<pid>/stat says of a process: state ' ' when it says nothing.
struct Stat {
  char state = ' ';
  uint64_t start_ticks = 0;
  bool ended() const noexcept { return state == 'Z' || state == 'X'; }
};

Stat stat_of(uint64_t pid) noexcept {
  try {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    const std::string line{std::istreambuf_iterator<char>(file), {}};
    // The command name is in parentheses and may itself hold blanks, line ends and parentheses: count from the last one.
    const auto close = line.rfind(')');
    if (close == std::string::npos || close + 2 >= line.size()) return {};
    Stat stat;
    stat.state = line[close + 2];  // field 3
    size_t at = close + 1;
    for (int field = 3; field < 22; ++field) {
      at = line.find(' ', at + 1);
      if (at == std::string::npos) return {};
    }
    stat.start_ticks = std::strtoull(line.c_str() + at + 1, nullptr, 10);
    return stat;
  } catch (...) {
    return {};
  }
}

}  // namespace

ProcessId this_process() {
  const auto pid = static_cast<uint64_t>(::getpid());
  return {pid, process_start_ticks(pid)};
}

uint64_t process_start_ticks(uint64_t pid) noexcept {
  const Stat stat = stat_of(pid);
  return stat.ended() ? 0 : stat.start_ticks;
}

bool process_exists(uint64_t pid) noexcept {
  if (pid == 0 || pid > INT32_MAX) return false;
  return (::kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM) && !stat_of(pid).ended();
}

std::string sanitised_user_name() {
  std::string name;
  passwd entry{};
  passwd* found = nullptr;
  int result = ERANGE;
  for (size_t bytes = 4096; result == ERANGE && bytes <= (size_t{1} << 20); bytes *= 4) {
    std::vector<char> buffer(bytes);
    result = ::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found);
    if (result == 0 && found != nullptr) name = found->pw_name;
  }
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!plain) c = '_';
  }
  return name.empty() ? "unknown" : name;
}

}  // namespace tidepool

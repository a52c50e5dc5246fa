#include "tidepool/cli/driver_status.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/pool/epoch_names.h"
#include "tidepool/shm/directory.h"
#include "tidepool/shm/open_file.h"

namespace tidepool::cli {
namespace {

using json = nlohmann::json;

uint64_t number(const json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_number_unsigned() ? at->get<uint64_t>() : 0;
}
uint32_t number32(const json& object, const char* key) {
  const uint64_t value = number(object, key);
  return value <= UINT32_MAX ? static_cast<uint32_t>(value) : 0;
}
std::string text(const json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? printable(at->get_ref<const std::string&>(), 4096) : std::string();
}

}  // namespace

std::optional<DriverStatus> parse_driver_status(const std::string& content, std::string& why) {
  const json root = json::parse(content, nullptr, false);  // no exceptions; nlohmann's parser does not recurse
  if (root.is_discarded() || !root.is_object() || text(root, "format") != "tidepool driver status") {
    why = "it is no driver's status";
    return std::nullopt;
  }
  if (number(root, "version") != 1) {
    why = concat("it is of version ", number(root, "version"), ", known is 1");
    return std::nullopt;
  }
  DriverStatus status;
  status.pid = number(root, "pid");
  status.instance_id = text(root, "instance_id");
  status.lifecycle = text(root, "lifecycle");
  status.media_driver = root.value("media_driver", json()) == true;
  status.written_ns = number(root, "written_ns");
  status.aeron_dir = text(root, "aeron_dir");
  status.control_stream_id = number(root, "control_stream_id");
  status.lease_lifetime_ns = number(root, "lease_lifetime_ns");
  status.leases_total = number(root, "leases_total");
  if (const auto leases = root.find("leases"); leases != root.end() && leases->is_array()) {
    for (const json& one : *leases) {
      if (!one.is_object()) continue;
      status.leases.push_back({number(one, "lease_id"), number32(one, "stream_id"), number32(one, "client_id"), text(one, "role"),
                               number32(one, "node_id"), number(one, "epoch"), number(one, "expiry_ns")});
    }
  }
  return status;
}

std::optional<DriverStatus> read_driver_status(const std::string& namespace_path, std::string& why) {
  try {
    const shm::Directory directory = shm::Directory::open(namespace_path);
    const shm::Fd fd(
        ::openat(directory.fd(), std::string(pool::kDriverStatusName).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat owner{}, file{};
    if (!fd) {
      why = errno == ENOENT ? std::string("its driver keeps no status") : concat("open its status", errno_text());
    } else if (::fstat(directory.fd(), &owner) != 0 || ::fstat(fd.get(), &file) != 0 || !S_ISREG(file.st_mode)) {
      why = "its status is no regular file";
    } else if (file.st_uid != owner.st_uid) {
      why = concat("its status belongs to user ", file.st_uid);
    } else if (static_cast<uint64_t>(file.st_size) > kMaxStatusBytes) {
      why = concat("its status has ", file.st_size, " bytes");
    }
    if (!why.empty()) return std::nullopt;
    std::string content(static_cast<size_t>(file.st_size), '\0');
    size_t at = 0;
    while (at < content.size()) {
      const ssize_t got = ::pread(fd.get(), content.data() + at, content.size() - at, static_cast<off_t>(at));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      at += static_cast<size_t>(got);
    }
    content.resize(at);
    return parse_driver_status(content, why);
  } catch (const Error& error) {
    why = error.what();
    return std::nullopt;
  }
}

}  // namespace tidepool::cli

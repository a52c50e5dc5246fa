#include "tidepool/services/driver/status_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <iterator>
#include <utility>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"
#include "tidepool/base/process.h"
#include "tidepool/pool/epoch_names.h"
#include "tidepool/services/driver/driver_impl.h"
#include "tidepool/shm/open_file.h"

namespace tidepool::driver {
namespace {

constexpr size_t kMaxLeasesTold = 4096;  // further ones are in leases_total alone

// {"key":value,...}, built as it goes.
class Object {
 public:
  template <typename T>
    requires std::is_arithmetic_v<T>
  Object& operator()(std::string_view key, T value) {
    return raw(key, concat(value));
  }
  Object& operator()(std::string_view key, std::string_view text) { return raw(key, json_quoted(text)); }
  Object& raw(std::string_view key, std::string_view json) {
    text_ += concat(text_.empty() ? "{" : ",", json_quoted(key), ":", json);
    return *this;
  }
  std::string json() const { return text_.empty() ? "{}" : text_ + "}"; }

 private:
  std::string text_;
};

void append(std::string& list, const Object& object) { list += (list.empty() ? "" : ",") + object.json(); }

}  // namespace

void StatusFile::update(uint64_t now_ns, uint64_t stamp, const std::function<std::string()>& text) {
  const uint64_t age_ns = now_ns - written_ns_;
  if (written_ns_ != 0 && (age_ns < kMinPeriodNs || (stamp == stamp_ && age_ns < kPeriodNs))) return;
  try {
    write(text());
  } catch (const std::exception& error) {  // hugetlbfs, which cannot be written to, or a full one
    if (!std::exchange(complained_, true)) log(LogLevel::kInfo, "driver", "`tidepool leases` will have to listen: ", error.what());
  }
  stamp_ = stamp;
  written_ns_ = now_ns;
}

void StatusFile::write(const std::string& text) const {
  const std::string fresh(pool::kDriverStatusNewName), name(pool::kDriverStatusName);
  const auto fail = [&] { return Error(code_of_errno(errno), "write ", directory_.path(), "/", name, errno_text()); };
  directory_.unlink_file(fresh);  // of a driver that was killed at it: the lock is ours
  const shm::Fd fd(::openat(directory_.fd(), fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd || ::fchmod(fd.get(), mode_) != 0) throw fail();
  for (size_t at = 0; at < text.size();) {
    const ssize_t put = ::write(fd.get(), text.data() + at, text.size() - at);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      const Error error = fail();
      ::unlinkat(directory_.fd(), fresh.c_str(), 0);
      throw error;
    }
    at += static_cast<size_t>(put);
  }
  // Readers see the old one or the new one, each whole.
  if (::renameat(directory_.fd(), fresh.c_str(), directory_.fd(), name.c_str()) != 0) throw fail();
}

void StatusFile::remove() noexcept {
  for (const auto name : {pool::kDriverStatusName, pool::kDriverStatusNewName})
    ::unlinkat(directory_.fd(), std::string(name).c_str(), 0);
}

// ---- what the driver says ------------------------------------------------------------------------------------------------

void Driver::Impl::write_status() {
  uint64_t stamp = leases_.size() + 3 * counts_.epochs_created + 5 * counts_.epochs_failed + 7 * counts_.leases_dropped +
                   11 * counts_.reconnects + 13 * static_cast<uint64_t>(lifecycle_);
  for (const uint64_t count : counts_.attach_responses) stamp += count;
  for (const uint64_t count : counts_.leases_revoked) stamp += count;
  status_->update(now_ns_, stamp, [this] { return status_text(); });
}

std::string Driver::Impl::status_text() {
  std::string leases, streams, codes, reasons;
  size_t told = 0;
  leases_.for_each([&](const Lease& lease) {
    if (told++ >= kMaxLeasesTold) return;
    Object one;
    one("lease_id", lease.identity.lease_id)("stream_id", lease.identity.stream_id)("client_id", lease.identity.client_id);
    one("role", wire::name_of(lease.identity.role))("node_id", lease.node_id)("epoch", lease.epoch)("expiry_ns", lease.expiry_ns);
    append(leases, one);
  });
  for (const auto& [stream_id, stream] : streams_) {
    if (stream.provisional) continue;
    const Lease* producer = stream.producer_lease == 0 ? nullptr : leases_.find(stream.producer_lease);
    Object one;
    one("stream_id", stream_id)("profile", stream.profile)("dynamic", stream.dynamic)("epoch", stream.epoch);
    one("producer_client_id", producer != nullptr ? producer->identity.client_id : 0u)("consumers", stream.consumers);
    append(streams, one);
  }
  static constexpr const char* kCodes[] = {"ok", "unsupported", "invalid_params", "rejected", "internal_error"};
  Object by_code;
  for (size_t i = 0; i < std::size(kCodes); ++i) by_code(kCodes[i], counts_.attach_responses[i]);
  Object by_reason;
  by_reason("detached", counts_.leases_revoked[1])("expired", counts_.leases_revoked[2])("revoked", counts_.leases_revoked[3]);
  Object counts;
  counts.raw("attach_responses", by_code.json()).raw("leases_revoked", by_reason.json());
  counts("keepalives", counts_.keepalives)("keepalives_ignored", counts_.keepalives_ignored)("announces", counts_.announces);
  counts("epochs_created", counts_.epochs_created)("epochs_collected", counts_.epochs_collected)("malformed", counts_.malformed);

  static constexpr std::string_view kLifecycles[] = {"running", "draining", "stopped"};
  const ProcessId self = this_process();
  Object all;
  all("format", "tidepool driver status")("version", 1)("pid", self.pid)("start_ticks", self.start_ticks)("instance_id",
                                                                                                          config_.instance_id);
  all("lifecycle", kLifecycles[static_cast<size_t>(lifecycle_)])("media_driver", planes_ != nullptr && planes_->joined);
  all("written_ns", now_ns_)("aeron_dir", config_.aeron_dir);
  all("control_channel", config_.control_channel)("control_stream_id", config_.control_stream_id);
  all("announce_channel", config_.effective_announce_channel())("announce_stream_id", config_.effective_announce_stream_id());
  all("lease_lifetime_ns", lease_lifetime_ns_)("announce_period_ns", announce_period_ns_)("leases_total", leases_.size());
  all.raw("leases", "[" + leases + "]").raw("streams", "[" + streams + "]").raw("counts", counts.json());
  return all.json() + "\n";
}

}  // namespace tidepool::driver

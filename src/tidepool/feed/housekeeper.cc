#include "tidepool/feed/housekeeper.h"

#include "tidepool/base/log.h"

namespace tidepool::feed {
namespace {

constexpr uint64_t kEveryNs = 900 * kNsPerSecond;  // F-131
constexpr uint64_t kChunksBetween = 512;           // a feed without limits: only its registry is looked after

}  // namespace

void Housekeeper::poll(uint64_t finished) noexcept {
  try {
    const uint64_t now_ns = clock_.monotonic_ns();
    if (due_ns_ == 0) due_ns_ = now_ns + kEveryNs;
    const bool limited =
        feed_.options.storage != Storage::kMemory && (feed_.options.retention_ns != 0 || feed_.options.retention_bytes != 0);
    const uint64_t fresh = finished - done_;
    if (limited ? fresh == 0 && now_ns < due_ns_ : fresh < kChunksBetween) return;
    done_ = finished;
    due_ns_ = now_ns + kEveryNs;
    std::string trouble;
    try {
      run(trouble);
    } catch (const std::exception& error) {
      const auto* fault = dynamic_cast<const FeedError*>(&error);
      if (fault != nullptr && fault->fault() == Fault::kBusy) return;  // somebody prunes it just now
      retention_.reset();
      trouble = error.what();
    }
    if (trouble != told_ && !trouble.empty()) log(LogLevel::kWarn, "feed", "housekeeping of feed ", feed_.name, ": ", trouble);
    told_ = std::move(trouble);
  } catch (...) {  // out of memory: the writer has a say in that, not this
  }
}

void Housekeeper::run(std::string& trouble) {
  if (!retention_) {
    RetentionOptions options;
    options.clock = &clock_;
    options.files = &files_;
    retention_.emplace(feed_, options);
  }
  if (feed_.options.storage == Storage::kMemory) {
    retention_->compact();
    return;
  }
  RetentionReport report;
  retention_->run({feed_.options.retention_ns, feed_.options.retention_bytes, 0}, report);
  for (const std::string& warning : report.warnings) trouble += concat(trouble.empty() ? "" : "; ", warning);
  // The files of what has just expired stay for their time of grace: come back for them.
  if (report.waiting != 0 || !report.expired.empty()) due_ns_ = clock_.monotonic_ns() + kGraceNs;
}

}  // namespace tidepool::feed

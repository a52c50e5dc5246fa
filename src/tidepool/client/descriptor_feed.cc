#include "tidepool/client/descriptor_feed.h"

#include <algorithm>

namespace tidepool::client {

void DescriptorFeed::remove(size_t at) noexcept {
  for (size_t i = at; i + 1 < count_; ++i) sources_[i] = std::move(sources_[i + 1]);
  sources_[--count_] = {};
}

void DescriptorFeed::clear() noexcept {
  while (count_ > 0) remove(count_ - 1);
  switching_ = false;
}

void DescriptorFeed::end_epoch() noexcept {
  for (size_t i = 0; i < count_; ++i) sources_[i].head.reset();
  switching_ = false;
}

void DescriptorFeed::take(const std::shared_ptr<transport::Subscription>& shared,
                          const std::shared_ptr<transport::Subscription>& own,
                          const std::shared_ptr<transport::Subscription>& leaving) noexcept {
  const std::array<std::pair<const std::shared_ptr<transport::Subscription>*, bool>, 3> wanted = {
      {{&shared, false}, {&own, true}, {&leaving, true}}};
  bool changed = false;
  for (size_t i = count_; i-- > 0;) {
    const bool stays =
        std::any_of(wanted.begin(), wanted.end(), [&](const auto& w) { return *w.first == sources_[i].subscription; });
    if (sources_[i].draining || stays) continue;
    sources_[i].draining = true;
    changed = true;
  }
  const bool reading = count_ > 0;
  for (const auto& [subscription, is_own] : wanted) {
    if (*subscription == nullptr) continue;
    const auto end = sources_.begin() + static_cast<std::ptrdiff_t>(count_);
    if (const auto known = std::find_if(sources_.begin(), end, [&](const Source& s) { return s.subscription == *subscription; });
        known != end) {
      changed |= std::exchange(known->draining, false);  // wanted again before its end
      continue;
    }
    if (count_ == sources_.size()) {  // switched faster than read: the oldest that is left is given up
      const auto old = std::find_if(sources_.begin(), sources_.end(), [](const Source& s) { return s.draining; });
      remove(static_cast<size_t>(old - sources_.begin()));
    }
    sources_[count_++] = {.subscription = *subscription, .own = is_own, .fresh = reading, .draining = false, .head = std::nullopt};
    changed = true;
  }
  if (changed && reading) switching_ = true;
}

}  // namespace tidepool::client

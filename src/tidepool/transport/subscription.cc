#include <aeronc.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>

#include "tidepool/transport/connection_impl.h"

namespace tidepool::transport {

SubscriptionImpl::SubscriptionImpl(std::shared_ptr<ConnectionImpl> connection, std::unique_ptr<Retired> retired,
                                   std::shared_ptr<ImageState> images, std::string channel, int32_t stream_id)
    : connection_(std::move(connection)),
      retired_(std::move(retired)),
      images_(std::move(images)),
      subscription_(retired_->subscription),
      channel_(std::move(channel)),
      stream_id_(stream_id) {
  if (aeron_fragment_assembler_create(&assembler_, &on_message, this) < 0) {
    const std::string words = take_aeron_words();
    connection_->retire(std::move(retired_));
    throw Error(Code::kInternal, "fragment assembler for ", printable(channel_), " stream ", stream_id_, ": ", words);
  }
}

SubscriptionImpl::~SubscriptionImpl() {
  images_->disarm();  // waits for a handler that is running on Aeron's thread: none runs once we return
  connection_->retire(std::move(retired_));
  aeron_fragment_assembler_delete(assembler_);
}

void SubscriptionImpl::on_message(void* clientd, const uint8_t* buffer, size_t length, aeron_header_t* header) noexcept {
  auto& self = *static_cast<SubscriptionImpl*>(clientd);
  aeron_header_values_t values{};
  aeron_header_values(header, &values);
  const MessageInfo info{values.frame.session_id, aeron_header_position(header)};
  self.sink_(self.sink_self_, Bytes(reinterpret_cast<const std::byte*>(buffer), length), info);
}

int SubscriptionImpl::poll(void (*sink)(void*, Bytes, const MessageInfo&), void* self, int limit) noexcept {
  if (limit <= 0 || sink_ != nullptr) return 0;  // a sink that polls its own subscription gets nothing
  if (images_->any_gone.load(std::memory_order_relaxed)) forget_gone_sessions();
  sink_ = sink;
  sink_self_ = self;
  const int taken =
      aeron_subscription_poll(subscription_, &aeron_fragment_assembler_handler, assembler_, static_cast<size_t>(limit));
  sink_ = nullptr;
  return std::max(taken, 0);
}

void SubscriptionImpl::forget_gone_sessions() noexcept {
  const std::lock_guard lock(images_->mutex);
  images_->any_gone.store(false, std::memory_order_relaxed);
  for (const int32_t session_id : images_->gone) aeron_fragment_assembler_delete_session_buffer(assembler_, session_id);
  images_->gone.clear();
}

// ---- the header's calls ----------------------------------------------------------------------------------------------------

Subscription::~Subscription() = default;

int Subscription::poll_raw(RawSink sink, void* self, int limit) noexcept {
  return SubscriptionImpl::of(*this).poll(sink, self, limit);
}
bool Subscription::connected() const noexcept { return !closed() && image_count() > 0; }
bool Subscription::closed() const noexcept { return aeron_subscription_is_closed(SubscriptionImpl::of(*this).subscription_); }
int Subscription::image_count() const noexcept {
  // Not Aeron's own count: asking for it is part of its protocol with the polling thread.
  return SubscriptionImpl::of(*this).images_->count.load(std::memory_order_relaxed);
}
const std::string& Subscription::channel() const noexcept { return SubscriptionImpl::of(*this).channel_; }
int32_t Subscription::stream_id() const noexcept { return SubscriptionImpl::of(*this).stream_id_; }

}  // namespace tidepool::transport

#include <aeronc.h>

#include <mutex>
#include <utility>

#include "tidepool/base/clock.h"
#include "tidepool/transport/connection_impl.h"

namespace tidepool::transport {
namespace {

SendResult result_of(int64_t position) noexcept {
  if (position >= 0) return SendResult::kOk;
  switch (position) {
    case AERON_PUBLICATION_NOT_CONNECTED: return SendResult::kNotConnected;
    case AERON_PUBLICATION_BACK_PRESSURED: return SendResult::kBackPressured;
    case AERON_PUBLICATION_ADMIN_ACTION: return SendResult::kAdminAction;
    case AERON_PUBLICATION_CLOSED: return SendResult::kClosed;
    case AERON_PUBLICATION_MAX_POSITION_EXCEEDED: return SendResult::kMaxPosition;
    default: return SendResult::kError;
  }
}

}  // namespace

// ---- Publication ---------------------------------------------------------------------------------------------------------

PublicationImpl::PublicationImpl(std::shared_ptr<ConnectionImpl> connection, std::unique_ptr<Retired> retired, std::string channel)
    : connection_(std::move(connection)),
      retired_(std::move(retired)),
      publication_(retired_->publication),
      channel_(std::move(channel)) {
  aeron_publication_constants(publication_, &constants_);
}

PublicationImpl::~PublicationImpl() { connection_->retire(std::move(retired_)); }

// ---- PendingPublication --------------------------------------------------------------------------------------------------

namespace {

class PendingPublicationImpl final : public PendingPublication {
 public:
  PendingPublicationImpl(std::shared_ptr<ConnectionImpl> connection, aeron_async_add_publication_t* async, std::string channel,
                         int32_t stream_id, uint64_t deadline_ns)
      : connection_(std::move(connection)),
        async_(async),
        channel_(std::move(channel)),
        stream_id_(stream_id),
        deadline_ns_(deadline_ns) {}
  ~PendingPublicationImpl() override {
    if (async_ != nullptr) connection_->cancel_publication(async_);
  }

  std::shared_ptr<ConnectionImpl> connection_;
  aeron_async_add_publication_t* async_;  // nullptr: spent
  std::string channel_;
  int32_t stream_id_;
  uint64_t deadline_ns_;

  static PendingPublicationImpl& of(PendingPublication& p) noexcept { return static_cast<PendingPublicationImpl&>(p); }
};

}  // namespace

std::unique_ptr<PendingPublication> ConnectionImpl::start_publication(const std::string& channel, int32_t stream_id) {
  refuse_in_handler("publication");
  auto self = std::static_pointer_cast<ConnectionImpl>(shared_from_this());
  const std::lock_guard in_conductor(conductor_mutex_);
  aeron_async_add_publication_t* async = nullptr;
  if (aeron_async_add_publication(&async, core_->client, channel.c_str(), stream_id) < 0) {
    throw_add_error("publication", channel, stream_id);
  }
  return std::make_unique<PendingPublicationImpl>(std::move(self), async, channel, stream_id,
                                                  monotonic_ns() + options_.add_timeout_ms * kNsPerMs);
}

// ---- the header's calls ----------------------------------------------------------------------------------------------------

std::string_view name_of(SendResult result) noexcept {
  switch (result) {
    case SendResult::kOk: return "ok";
    case SendResult::kNotConnected: return "not connected";
    case SendResult::kBackPressured: return "back pressured";
    case SendResult::kAdminAction: return "admin action";
    case SendResult::kClosed: return "closed";
    case SendResult::kMaxPosition: return "max position exceeded";
    case SendResult::kTooLong: return "too long";
    case SendResult::kError: return "error";
  }
  return "unknown";
}

Publication::~Publication() = default;
PendingPublication::~PendingPublication() = default;
std::shared_ptr<Publication> PendingPublication::poll() {
  PendingPublicationImpl& self = PendingPublicationImpl::of(*this);
  if (self.async_ == nullptr) return nullptr;
  return self.connection_->poll_publication(self.async_, self.channel_, self.stream_id_, self.deadline_ns_);
}

SendResult Publication::send(Bytes message) noexcept {
  const PublicationImpl& self = PublicationImpl::of(*this);
  if (message.size() > self.constants_.max_message_length) return SendResult::kTooLong;
  static constexpr uint8_t kNothing = 0;  // Aeron refuses a null pointer, even for no bytes
  const auto* data = message.empty() ? &kNothing : reinterpret_cast<const uint8_t*>(message.data());
  return result_of(aeron_publication_offer(self.publication_, data, message.size(), nullptr, nullptr));
}

SendResult Publication::reserve(size_t bytes, Reserved& reserved) noexcept {
  const PublicationImpl& self = PublicationImpl::of(*this);
  if (bytes > self.constants_.max_payload_length) return SendResult::kTooLong;
  aeron_buffer_claim_t claim{};
  const SendResult result = result_of(aeron_publication_try_claim(self.publication_, bytes, &claim));
  if (result == SendResult::kOk) {
    reserved.bytes = MutableBytes(reinterpret_cast<std::byte*>(claim.data), claim.length);
    reserved.frame = reinterpret_cast<std::byte*>(claim.frame_header);
  }
  return result;
}

void Publication::commit(const Reserved& reserved) noexcept {
  aeron_buffer_claim_t claim{};
  claim.frame_header = reinterpret_cast<uint8_t*>(reserved.frame);
  claim.data = reinterpret_cast<uint8_t*>(reserved.bytes.data());
  claim.length = reserved.bytes.size();
  aeron_buffer_claim_commit(&claim);
}

size_t Publication::max_payload_bytes() const noexcept { return PublicationImpl::of(*this).constants_.max_payload_length; }
size_t Publication::max_message_bytes() const noexcept { return PublicationImpl::of(*this).constants_.max_message_length; }
bool Publication::connected() const noexcept { return aeron_publication_is_connected(PublicationImpl::of(*this).publication_); }
bool Publication::closed() const noexcept { return aeron_publication_is_closed(PublicationImpl::of(*this).publication_); }
const std::string& Publication::channel() const noexcept { return PublicationImpl::of(*this).channel_; }
int32_t Publication::stream_id() const noexcept { return PublicationImpl::of(*this).constants_.stream_id; }
int32_t Publication::session_id() const noexcept { return PublicationImpl::of(*this).constants_.session_id; }
int64_t Publication::position() const noexcept {
  const int64_t position = aeron_publication_position(PublicationImpl::of(*this).publication_);
  return position < 0 ? 0 : position;  // closed
}

}  // namespace tidepool::transport

#include "tidepool/control/sender.h"

#include <utility>

#include "tidepool/base/error.h"

namespace tidepool::control {

using transport::SendResult;

namespace {

// Once more after the end of a term: the first try has turned it over. Bounded, so it never waits.
template <typename Try>
SendResult with_one_turn(Try&& once) noexcept {
  const SendResult result = once();
  return result == SendResult::kAdminAction ? once() : result;
}

}  // namespace

Sender::Sender(std::shared_ptr<transport::Publication> publication) : publication_(std::move(publication)) {}

MutableBytes Sender::scratch(size_t bytes) {
  if (scratch_.size() < bytes) scratch_.resize(bytes);
  return MutableBytes(scratch_).first(bytes);
}

SendResult Sender::send_bytes(Bytes message) noexcept {
  return with_one_turn([&] { return publication_->send(message); });
}

bool Sender::owe_bytes(Bytes message) {
  if (message.size() > publication_->max_message_bytes()) {
    throw Error(Code::kInvalidArgument, "message of ", message.size(), " bytes on ", publication_->channel(), " stream ",
                publication_->stream_id(), ": the channel takes at most ", publication_->max_message_bytes(),
                " (an eighth of its term-length)");
  }
  flush();
  if (owed_.empty()) {
    switch (send_bytes(message)) {
      case SendResult::kOk: return true;
      case SendResult::kNotConnected: ++dropped_; return true;
      default: break;  // in the queue, then
    }
  }
  if (owed_.size() >= kMaxOwed || owed_bytes_ + message.size() > kMaxOwedBytes) return false;
  owed_.emplace_back(message.begin(), message.end());
  owed_bytes_ += message.size();
  return true;
}

int Sender::flush() noexcept {
  int sent = 0;
  while (!owed_.empty()) {
    switch (send_bytes(owed_.front())) {
      case SendResult::kOk: ++sent; break;
      case SendResult::kNotConnected: ++dropped_; break;
      default:  // back pressure, or a publication that is gone: they stay, in order
        return sent;
    }
    owed_bytes_ -= owed_.front().size();
    owed_.pop_front();
  }
  return sent;
}

SendResult send_descriptor(transport::Publication& publication, const wire::FrameDescriptor& descriptor,
                           DescriptorCounts& counts) noexcept {
  const SendResult result = with_one_turn([&] {
    return publication.send_in_place(wire::FrameDescriptor::kBytes, [&](MutableBytes out) { wire::encode(descriptor, out); });
  });
  switch (result) {
    case SendResult::kOk: ++counts.sent; break;
    case SendResult::kNotConnected: ++counts.not_connected; break;
    case SendResult::kBackPressured: ++counts.back_pressured; break;
    case SendResult::kAdminAction: ++counts.admin_action; break;
    case SendResult::kClosed: ++counts.closed; break;
    case SendResult::kMaxPosition: ++counts.max_position; break;
    case SendResult::kTooLong:
    case SendResult::kError: ++counts.errors; break;
  }
  return result;
}

}  // namespace tidepool::control

#pragma once
// The bodies of sender.h, which includes this file.

#include <vector>

#include "tidepool/control/sender.h"

namespace tidepool::control {

template <typename Message>
transport::SendResult Sender::send(const Message& message) {
  if (flush(); !owed_.empty())
    return publication_->closed() ? transport::SendResult::kClosed : transport::SendResult::kBackPressured;
  const MutableBytes out = scratch(wire::encoded_bytes(message));
  const size_t length = wire::encode(message, out);
  if (length == 0) return transport::SendResult::kTooLong;
  return send_bytes(out.first(length));
}

template <typename Message>
bool Sender::owe(const Message& message) {
  const MutableBytes out = scratch(wire::encoded_bytes(message));
  if (const size_t length = wire::encode(message, out); length != 0) return owe_bytes(out.first(length));
  return owe_bytes(wire::encode_new(message));  // throws, naming the field
}

}  // namespace tidepool::control

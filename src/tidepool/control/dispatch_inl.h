#pragma once
// The bodies of dispatch.h, which includes this file.

#include <concepts>
#include <exception>

#include "tidepool/base/log.h"
#include "tidepool/control/dispatch.h"

namespace tidepool::control {

namespace detail {

template <typename Handler, typename Message>
concept Wants =
    requires(Handler& handler, const Message& message, const transport::MessageInfo& info) { handler.on(message, info); };

template <typename Handler>
concept AnswersUnsupportedAttach =
    requires(Handler& handler, int64_t id, const transport::MessageInfo& info) { handler.on_unsupported_attach(id, info); };

// Nothing may be thrown through Aeron's C frames below us (P-15).
template <typename Call>
void guarded(DispatchCounts& counts, uint16_t template_id, Call&& call) noexcept {
  try {
    call();
  } catch (const std::exception& e) {
    ++counts.failed;
    log(LogLevel::kError, "control", "handling a message of template ", template_id, ": ", e.what());
  } catch (...) {
    ++counts.failed;
    log(LogLevel::kError, "control", "handling a message of template ", template_id, ": something was thrown");
  }
}

template <typename Message, typename Handler>
void deliver(Bytes bytes, const wire::MessageHeader& header, const transport::MessageInfo& info, Handler& handler,
             DispatchCounts& counts) noexcept {
  static_assert(noexcept(wire::decode(bytes, std::declval<Message&>())), "a decoder catches what its codec throws (P-15)");
  if constexpr (Wants<Handler, Message>) {
    Message message;
    switch (wire::decode(bytes, message)) {
      case wire::DecodeStatus::kOk:
        ++counts.handled;
        guarded(counts, Message::kTemplateId, [&] { handler.on(message, info); });
        return;
      case wire::DecodeStatus::kUnsupportedVersion:
        ++counts.unsupported;
        // Only a newer version is answered; one that never was is not a peer of ours (driver.md 5.2 row 1).
        if constexpr (std::same_as<Message, wire::ShmAttachRequest> && AnswersUnsupportedAttach<Handler>) {
          if (header.version > wire::kSchemaVersion) {
            guarded(counts, Message::kTemplateId, [&] { handler.on_unsupported_attach(message.correlation_id, info); });
          }
        }
        return;
      case wire::DecodeStatus::kMalformed: ++counts.malformed; return;
      case wire::DecodeStatus::kForeign: ++counts.foreign; return;
    }
  } else {
    ++(header.version == wire::kSchemaVersion ? counts.ignored : counts.unsupported);
  }
}

}  // namespace detail

template <typename Handler>
void dispatch(Bytes message, const transport::MessageInfo& info, Handler& handler, DispatchCounts& counts) noexcept {
  const auto header = wire::read_header(message);
  if (!header) {
    ++counts.foreign;
    return;
  }
#define TIDEPOOL_CONTROL_CASE(M) \
  case wire::M::kTemplateId: return detail::deliver<wire::M>(message, *header, info, handler, counts);
  if (header->schema_id == wire::kPoolSchemaId) {
    switch (header->template_id) {
      TIDEPOOL_CONTROL_CASE(FrameDescriptor)
      TIDEPOOL_CONTROL_CASE(FrameProgress)
      TIDEPOOL_CONTROL_CASE(ShmPoolAnnounce)
      TIDEPOOL_CONTROL_CASE(ConsumerHello)
      TIDEPOOL_CONTROL_CASE(ConsumerConfig)
      TIDEPOOL_CONTROL_CASE(QosConsumer)
      TIDEPOOL_CONTROL_CASE(QosProducer)
      TIDEPOOL_CONTROL_CASE(DataSourceAnnounce)
      TIDEPOOL_CONTROL_CASE(DataSourceMeta)
      TIDEPOOL_CONTROL_CASE(ControlResponse)
      TIDEPOOL_CONTROL_CASE(MetaBlobAnnounce)
      TIDEPOOL_CONTROL_CASE(MetaBlobChunk)
      TIDEPOOL_CONTROL_CASE(MetaBlobComplete)
      default: break;
    }
  } else if (header->schema_id == wire::kDriverSchemaId) {
    switch (header->template_id) {
      TIDEPOOL_CONTROL_CASE(ShmAttachRequest)
      TIDEPOOL_CONTROL_CASE(ShmAttachResponse)
      TIDEPOOL_CONTROL_CASE(ShmDetachRequest)
      TIDEPOOL_CONTROL_CASE(ShmDetachResponse)
      TIDEPOOL_CONTROL_CASE(ShmLeaseKeepalive)
      TIDEPOOL_CONTROL_CASE(ShmDriverShutdown)
      TIDEPOOL_CONTROL_CASE(ShmLeaseRevoked)
      TIDEPOOL_CONTROL_CASE(ShmDriverShutdownRequest)
      default: break;
    }
  } else if (header->schema_id == wire::kDiscoverySchemaId) {
    switch (header->template_id) {
      TIDEPOOL_CONTROL_CASE(DiscoveryRequest)
      TIDEPOOL_CONTROL_CASE(DiscoveryResponse)
      default: break;
    }
  }
#undef TIDEPOOL_CONTROL_CASE
  ++counts.foreign;  // another schema (902, 903, 904, ...) or a template that we do not know
}

}  // namespace tidepool::control

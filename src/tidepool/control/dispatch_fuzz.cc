// Whatever arrives on a stream, for a handler that wants everything and for one that wants nothing:
//  - nothing is read outside the message (AddressSanitizer) and nothing is thrown;
//  - exactly one count rises, by one, and the handler is called exactly when that one is `handled`;
//  - who wants nothing looks at no body: never handled, never malformed;
//  - both agree on what is foreign, and the unsupported ones of the second are unsupported, or malformed, for the first;
//  - what was delivered can be sent again, and is then delivered as the same.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "tidepool/control/dispatch.h"

namespace {

using tidepool::Bytes;
using tidepool::control::DispatchCounts;
using tidepool::transport::MessageInfo;

void require(bool holds) {
  if (!holds) std::abort();
}

uint64_t total(const DispatchCounts& c) { return c.handled + c.ignored + c.foreign + c.unsupported + c.malformed; }

struct Again {
  template <typename Message>
  void on(const Message& message, const MessageInfo&) {
    ++calls;
    // Longer texts than may be sent are cut on receiving; nothing else that decodes is beyond what encodes.
    const size_t bytes = tidepool::wire::encoded_bytes(message);
    std::vector<std::byte> out(bytes);
    const size_t length = tidepool::wire::encode(message, out);
    if (length == 0) return;  // a value that only a receiver tolerates, as QosConsumer's unknown mode (W-9)
    require(length == bytes);
    Message back;
    require(tidepool::wire::decode(out, back) == tidepool::wire::DecodeStatus::kOk);
    require(back == message);
  }
  void on_unsupported_attach(int64_t, const MessageInfo&) { ++unsupported_attaches; }
  uint64_t calls = 0;
  uint64_t unsupported_attaches = 0;
};
struct None {};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes message = std::as_bytes(std::span(data, size));
  Again again;
  None none;
  DispatchCounts wanted;
  DispatchCounts unwanted;
  tidepool::control::dispatch(message, {}, again, wanted);
  tidepool::control::dispatch(message, {}, none, unwanted);
  require(total(wanted) == 1 && total(unwanted) == 1);
  require(wanted.failed == 0 && unwanted.failed == 0);
  require(again.calls == wanted.handled && again.unsupported_attaches <= wanted.unsupported);
  require(wanted.ignored == 0 && unwanted.handled == 0 && unwanted.malformed == 0);
  require(wanted.foreign == unwanted.foreign);
  require(wanted.unsupported <= unwanted.unsupported && unwanted.unsupported <= wanted.unsupported + wanted.malformed);
  return 0;
}

// Any bytes, given to every decoder of schemas 900, 901 and 910. Held against each input:
// - a message belongs to one type: at most one decoder calls it anything but foreign, and that one is its header's;
// - what is accepted is sound: it encodes (a FrameProgress of state UNKNOWN excepted, which is read but never sent), decodes
//   again to an equal struct and encodes again to the same bytes;
// - nothing is made up: the encoding is no longer than the input (but for the length of a last text that schema 910 lets be left
//   out, DS-40), and where it is as long, it has the input's bytes but for
//   nulls that have one canonical form (absent_as_canonical() below);
// - one byte less is refused.
// AddressSanitizer holds that nothing outside the input is read.

#include <cstdio>
#include <cstdlib>

#include "tidepool/wire/messages.h"
#include "tidepool/wire/test_messages.h"

namespace {

using namespace tidepool;
using namespace tidepool::wire;

void require(bool holds, const char* invariant) {
  if (holds) return;
  std::fprintf(stderr, "messages_fuzz: broken: %s\n", invariant);
  std::abort();
}

template <typename T>
void replace(std::vector<std::byte>& bytes, size_t body_offset, T from, T to) {
  std::byte* at = bytes.data() + kMessageHeaderBytes + body_offset;
  if (load<T>(at) == from) store(at, to);
}
// An empty group may state any entry length from the tabulated one upwards.
void tabulate_empty_group(std::vector<std::byte>& bytes, size_t body_offset, uint16_t block) {
  std::byte* at = bytes.data() + kMessageHeaderBytes + body_offset;
  if (load<uint16_t>(at + 2) == 0) store(at, block);
}

// A response that was accepted, so that every length in it holds.
void tabulate_response(std::vector<std::byte>& bytes) {
  constexpr size_t kStatusAt = kMessageHeaderBytes + 8;
  if (bytes[kStatusAt] < std::byte{1} || bytes[kStatusAt] > std::byte{3}) bytes[kStatusAt] = std::byte{3};  // DS-34
  size_t at = kMessageHeaderBytes + DiscoveryResponse::kBlockLength;
  tabulate_empty_group(bytes, at - kMessageHeaderBytes, 39);
  const auto block = load<uint16_t>(bytes.data() + at);
  const auto results = load<uint16_t>(bytes.data() + at + 2);
  at += 4;
  const auto skip_text = [&] { at += 4 + load<uint32_t>(bytes.data() + at); };
  for (int result = 0; result < results; ++result) {
    at += block;
    tabulate_empty_group(bytes, at - kMessageHeaderBytes, 10);
    const auto pool_block = load<uint16_t>(bytes.data() + at);
    const auto pools = load<uint16_t>(bytes.data() + at + 2);
    at += 4;
    for (int pool = 0; pool < pools; ++pool) {
      at += pool_block;
      skip_text();
    }
    store(bytes.data() + at, uint16_t{0});  // DS-8: 0 or 4
    const auto tags = load<uint16_t>(bytes.data() + at + 2);
    at += 4;
    for (int text = 0; text < tags + 4; ++text) skip_text();
  }
  if (at == bytes.size()) bytes.clear();  // the last text was left out
}

// The input, with what reads as absent written the way that encode() writes it. Empty: nothing to compare with.
template <typename M>
std::vector<std::byte> absent_as_canonical(Bytes input) {
  std::vector<std::byte> bytes(input.begin(), input.end());
  if constexpr (std::is_same_v<M, FrameDescriptor>) replace(bytes, 32, kNull64, uint64_t{0});
  if constexpr (std::is_same_v<M, ConsumerHello>) {
    replace(bytes, 31, kNull32, uint32_t{0});
    replace(bytes, 35, kNull32, uint32_t{0});
  }
  if constexpr (std::is_same_v<M, ConsumerConfig>) {
    replace(bytes, 10, kNull32, uint32_t{0});
    replace(bytes, 14, kNull32, uint32_t{0});
  }
  if constexpr (std::is_same_v<M, QosConsumer>) {
    if (std::byte& mode = bytes[kMessageHeaderBytes + 40]; mode > std::byte{2}) mode = std::byte{0};
  }
  if constexpr (std::is_same_v<M, ShmPoolAnnounce>) tabulate_empty_group(bytes, 35, 10);
  if constexpr (std::is_same_v<M, ShmAttachResponse>) tabulate_empty_group(bytes, 54, 10);
  if constexpr (std::is_same_v<M, DataSourceMeta>) tabulate_empty_group(bytes, 16, 0);
  if constexpr (std::is_same_v<M, DiscoveryRequest>) store(bytes.data() + kMessageHeaderBytes + 32, uint16_t{0});  // DS-8: 0 or 4
  if constexpr (std::is_same_v<M, DiscoveryResponse>) tabulate_response(bytes);
  return bytes;
}

template <typename M>
void check_accepted(Bytes input, const M& once) {
  if constexpr (std::is_same_v<M, FrameProgress>) {
    if (once.state == ProgressState::unknown) return;
  }
  require(over_limit(once).empty(), "what was accepted is within the limits");
  const std::vector<std::byte> bytes = encode_new(once);
  constexpr bool kLastTextMayBeMissing = std::is_same_v<M, DiscoveryRequest> || std::is_same_v<M, DiscoveryResponse>;
  require(bytes.size() <= input.size() + (kLastTextMayBeMissing ? 4 : 0), "an encoding is no longer than what it was decoded from");
  if (bytes.size() == input.size()) {
    const std::vector<std::byte> canonical = absent_as_canonical<M>(input);
    require(canonical.empty() || bytes == canonical, "an encoding has the input's bytes");
  }
  M twice;
  require(decode(bytes, twice) == DecodeStatus::kOk, "an encoding decodes");
  require(once == twice, "an encoding decodes to an equal message");
  require(encode_new(twice) == bytes, "encoding is stable");
  require(decode(Bytes(bytes).first(bytes.size() - 1), twice) != DecodeStatus::kOk, "one byte less is refused");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes input(reinterpret_cast<const std::byte*>(data), size);
  const auto header = read_header(input);
  int claimed = 0;
  test::for_each_message([&]<typename M>(std::type_identity<M>) {
    M message;
    const DecodeStatus status = decode(input, message);
    if (status == DecodeStatus::kForeign) return;
    ++claimed;
    require(header && header->schema_id == test::schema_of<M>() && header->template_id == M::kTemplateId,
            "a decoder claims only its own");
    if (status == DecodeStatus::kOk) check_accepted(input, message);
  });
  require(claimed <= 1, "a message belongs to one type");
  return 0;
}

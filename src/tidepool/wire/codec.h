#pragma once
// What every message's decode() and encode() share: the gate before the body, checked reading of var data and groups,
// and the limits' messages. Private to wire/: the generated codecs (<tidepool_sbe_pool/...>) stay in the .cc files.
//
// Generated codecs throw on short buffers (rulings P-15). Nothing here lets them: every length is checked before the
// codec is asked to move, so their own checks stay cold.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/base/bytes.h"
#include "tidepool/base/error.h"
#include "tidepool/wire/messages.h"

namespace tidepool::wire::detail {

inline constexpr size_t kVarHeaderBytes = 4;
inline constexpr size_t kGroupHeaderBytes = 4;
inline constexpr size_t kPoolBlockBytes = 10;

// Codecs take char* for reading and writing alike; a codec that decodes only reads.
inline char* chars(Bytes bytes) noexcept { return const_cast<char*>(reinterpret_cast<const char*>(bytes.data())); }

inline MessageHeader load_header(Bytes message) noexcept {
  return {load<uint16_t>(message.data()), load<uint16_t>(message.data() + 2), load<uint16_t>(message.data() + 4),
          load<uint16_t>(message.data() + 6)};
}

// The gate: schema and template, then version, then block length, then the block inside the message (W-4, W-5, W-6). On
// kOk `codec` stands behind the block. Schemas 900 (where it tells v1.2 peers from v1.1 ones) and 910 want the exact block
// length; schema 901 lets a longer block pass and skips its surplus (driver.md 16.1).
template <typename Message, typename Codec>
DecodeStatus open(Bytes message, Codec& codec) noexcept {
  static_assert(Message::kTemplateId == Codec::SBE_TEMPLATE_ID && Message::kBlockLength == Codec::SBE_BLOCK_LENGTH);
  static_assert(Codec::SBE_SCHEMA_ID == kPoolSchemaId || Codec::SBE_SCHEMA_ID == kDriverSchemaId ||
                Codec::SBE_SCHEMA_ID == kDiscoverySchemaId);
  static_assert(Codec::SBE_SCHEMA_VERSION == kSchemaVersion);
  if (message.size() < kMessageHeaderBytes) return DecodeStatus::kForeign;
  const MessageHeader header = load_header(message);
  if (header.schema_id != Codec::SBE_SCHEMA_ID || header.template_id != Codec::SBE_TEMPLATE_ID) return DecodeStatus::kForeign;
  if (header.version != kSchemaVersion) return DecodeStatus::kUnsupportedVersion;
  const bool fits = Codec::SBE_SCHEMA_ID != kDriverSchemaId ? header.block_length == Message::kBlockLength
                                                            : header.block_length >= Message::kBlockLength;
  if (!fits || message.size() - kMessageHeaderBytes < header.block_length) return DecodeStatus::kMalformed;
  codec.wrapForDecode(chars(message), kMessageHeaderBytes, header.block_length, header.version, message.size());
  return DecodeStatus::kOk;
}

// What remains of the message behind the codec's position, which open() and the readers below keep inside it.
template <typename Codec>
size_t bytes_left(const Codec& codec, Bytes message) noexcept {
  return message.size() - static_cast<size_t>(codec.sbePosition());
}

// Look at the next var field without copying it; nullopt when it runs past the message.
template <typename Codec, typename LengthOwner, typename ViewOwner>
std::optional<std::string_view> view_var(Bytes message, Codec& codec, uint32_t (LengthOwner::*length_of)() const,
                                         std::string_view (ViewOwner::*view_of)()) {
  const size_t left = bytes_left(codec, message);
  if (left < kVarHeaderBytes || (codec.*length_of)() > left - kVarHeaderBytes) return std::nullopt;
  return (codec.*view_of)();
}

// Read the next var field; false when it runs past the message or is longer than `limit` (W-6, W-93).
template <typename Codec, typename LengthOwner, typename ViewOwner>
bool read_var(Bytes message, Codec& codec, uint32_t (LengthOwner::*length_of)() const, std::string_view (ViewOwner::*view_of)(),
              size_t limit, std::string& out) {
  const auto text = view_var(message, codec, length_of, view_of);
  if (!text || text->size() > limit) return false;
  out.assign(*text);
  return true;
}

// Read a text meant for people. A long one is cut, since the answer that it explains must not be lost to it.
template <typename Codec, typename LengthOwner, typename ViewOwner>
bool read_text(Bytes message, Codec& codec, uint32_t (LengthOwner::*length_of)() const, std::string_view (ViewOwner::*view_of)(),
               std::string& out) {
  const auto text = view_var(message, codec, length_of, view_of);
  if (!text) return false;
  out.assign(text->substr(0, kMaxErrorMessageBytes));
  return true;
}
inline std::string_view cut_text(std::string_view text) noexcept {
  return text.substr(0, std::min(text.size(), kMaxErrorMessageBytes));
}

// The next group's header fits, its entries are at least as long as tabulated and not more than `limit` (W-6, W-93).
// Gives their number.
template <typename Codec>
std::optional<uint16_t> peek_group(Bytes message, const Codec& codec, size_t entry_block_bytes, size_t limit) noexcept {
  if (bytes_left(codec, message) < kGroupHeaderBytes) return std::nullopt;
  const std::byte* at = message.data() + codec.sbePosition();
  const auto count = load<uint16_t>(at + 2);
  if (load<uint16_t>(at) < entry_block_bytes || count > limit) return std::nullopt;
  return count;
}

// Read the payloadPools group, the same in announces and attach responses, its codec given by `group` (from
// Codec::payloadPools()) with the number of entries from peek_group().
template <typename Group>
bool read_pools(Bytes message, Group& group, size_t count, std::vector<PoolEntry>& out) {
  static_assert(Group::sbeBlockLength() == kPoolBlockBytes);
  out.clear();
  out.reserve(std::min(count, bytes_left(group, message) / (kPoolBlockBytes + kVarHeaderBytes)));
  for (size_t i = 0; i < count; ++i) {
    if (bytes_left(group, message) < group.sbeActingBlockLength()) return false;
    group.next();
    PoolEntry& pool = out.emplace_back();
    pool.pool_id = group.poolId();
    pool.nslots = group.poolNslots();
    pool.stride_bytes = group.strideBytes();
    if (!read_var(message, group, &Group::regionUriLength, &Group::getRegionUriAsStringView, kMaxUriBytes, pool.region_uri))
      return false;
  }
  return true;
}

template <typename Codec>
void write_pools(const std::vector<PoolEntry>& pools, Codec& codec) {
  auto& group = codec.payloadPoolsCount(static_cast<uint16_t>(pools.size()));
  for (const PoolEntry& pool : pools) {
    group.next().poolId(pool.pool_id).poolNslots(pool.nslots).strideBytes(pool.stride_bytes);
    group.putRegionUri(std::string_view(pool.region_uri));
  }
}

inline size_t var_bytes(std::string_view text) noexcept { return kVarHeaderBytes + text.size(); }
inline size_t pools_bytes(const std::vector<PoolEntry>& pools) noexcept {
  size_t bytes = kGroupHeaderBytes;
  for (const PoolEntry& pool : pools) bytes += kPoolBlockBytes + var_bytes(pool.region_uri);
  return bytes;
}
inline bool pools_fit(const std::vector<PoolEntry>& pools) noexcept {
  return pools.size() <= kMaxPoolsPerMessage &&
         std::all_of(pools.begin(), pools.end(), [](const PoolEntry& pool) { return pool.region_uri.size() <= kMaxUriBytes; });
}

// A raw enum byte or word of a contiguous enumeration; false when it is undefined (W-9).
template <typename Enum, typename Raw>
bool read_enum(Raw raw, Enum first, Enum last, Enum& out) noexcept {
  if (raw < static_cast<Raw>(first) || raw > static_cast<Raw>(last)) return false;
  out = static_cast<Enum>(raw);
  return true;
}
template <typename Enum>
bool within(Enum value, Enum first, Enum last) noexcept {
  return value >= first && value <= last;
}
inline bool read_bool(uint8_t raw, bool& out) noexcept {
  out = raw == 1;
  return raw <= 1;
}
template <typename T>
std::optional<T> unless_null(T value) noexcept {  // W-7
  return value == static_cast<T>(-1) ? std::nullopt : std::optional<T>(value);
}
template <typename T>
T or_null(std::optional<T> value) noexcept {
  return value.value_or(static_cast<T>(-1));
}
inline uint32_t aeron_stream_id(uint32_t raw) noexcept { return raw == kNull32 ? 0 : raw; }  // W-11

// Start a message in `out`: header written, codec behind the block. 0 when `out` is too small or a field is refused;
// else the message's length. over_limit() names the field that encode() refuses, or is empty.
template <typename Message, typename Codec>
size_t begin(const Message& message, MutableBytes out, Codec& codec) {
  const size_t bytes = encoded_bytes(message);
  if (out.size() < bytes || !over_limit(message).empty()) return 0;
  codec.wrapAndApplyHeader(reinterpret_cast<char*>(out.data()), 0, out.size());
  return bytes;
}

// The same for messages of plain numbers, which are never refused: straight-line on the hot path.
template <typename Message, typename Codec>
size_t begin_fixed(MutableBytes out, Codec& codec) {
  constexpr size_t kBytes = kMessageHeaderBytes + Message::kBlockLength;
  if (out.size() < kBytes) return 0;
  codec.wrapAndApplyHeader(reinterpret_cast<char*>(out.data()), 0, kBytes);
  return kBytes;
}

}  // namespace tidepool::wire::detail

namespace tidepool::wire {

template <typename Message>
std::vector<std::byte> encode_new(const Message& message) {
  if (const std::string_view field = over_limit(message); !field.empty()) {
    throw Error(Code::kInvalidArgument, "message of template ", Message::kTemplateId, ": ", field,
                ": beyond what the protocol allows: see the limits in docs/formats/messages.md");
  }
  std::vector<std::byte> out(encoded_bytes(message));
  if (encode(message, out) != out.size())
    throw Error(Code::kInternal, "message of template ", Message::kTemplateId, ": not encoded");
  return out;
}

}  // namespace tidepool::wire

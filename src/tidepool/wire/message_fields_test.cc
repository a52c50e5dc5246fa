// The receive rules of single fields: nulls, var data, groups, enumerations, ids, limits (wire.md 3.4 to 3.7, driver.md 5.2).

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "tidepool/base/error.h"
#include "tidepool/wire/messages.h"
#include "tidepool/wire/test_bytes.h"
#include "tidepool/wire/test_messages.h"

namespace tidepool::wire::message_fields_test {
namespace {

using test::sample;
using test::sample_of;

template <typename M>
DecodeStatus status_of(Bytes bytes) {
  const test::ExactCopy copy(bytes);
  M message;
  return decode(copy.bytes(), message);
}

template <typename T>
void put(std::vector<std::byte>& bytes, size_t body_offset, T value) {
  const size_t at = kMessageHeaderBytes + body_offset;
  if (at + sizeof value > bytes.size()) throw std::out_of_range("the test writes beyond its message");
  store(bytes.data() + at, value);
}
// Where a var field of `size` bytes that ends the message has its length, as a body offset.
size_t last_length_at(const std::vector<std::byte>& bytes, size_t size) { return bytes.size() - size - 4 - kMessageHeaderBytes; }

// ---- receive rules, by field -------------------------------------------------------------------------------------------

TEST(NullTest, AbsentOptionalsAreWrittenAsTheirNullAndReadAsAbsent) {  // W-7, WX-8
  std::vector<std::byte> bytes = encode_new(FrameDescriptor{});
  EXPECT_EQ(load<uint64_t>(bytes.data() + 8 + 20), kNull64);
  EXPECT_EQ(load<uint32_t>(bytes.data() + 8 + 28), kNull32);
  EXPECT_EQ(load<uint64_t>(bytes.data() + 8 + 32), 0u);  // traceId alone is absent as 0
  put(bytes, 32, kNull64);                               // and one peer's generated null is read as absent too
  FrameDescriptor descriptor;
  descriptor.trace_id = 5;
  ASSERT_EQ(decode(bytes, descriptor), DecodeStatus::kOk);
  EXPECT_EQ(descriptor, FrameDescriptor{});

  bytes = encode_new(ConsumerHello{});
  EXPECT_EQ(test::hex_of(Bytes(bytes).subspan(8 + 19, 12)), "ffffffffffffffffffffffff");
  EXPECT_EQ(load<uint32_t>(encode_new(QosProducer{}).data() + 8 + 24), kNull32);

  bytes = encode_new(ShmAttachRequest{});
  EXPECT_EQ(load<uint8_t>(bytes.data() + 8 + 21), 255);
  EXPECT_EQ(load<uint32_t>(bytes.data() + 8 + 23), kNull32);
}

TEST(NullTest, ZeroIsAValueAndNotAbsent) {  // W-7: the known interop bug the other way round
  std::vector<std::byte> bytes = encode_new(FrameDescriptor{});
  put(bytes, 20, uint64_t{0});
  put(bytes, 28, uint32_t{0});
  FrameDescriptor descriptor;
  ASSERT_EQ(decode(bytes, descriptor), DecodeStatus::kOk);
  EXPECT_EQ(descriptor.timestamp_ns, std::optional<uint64_t>(0));
  EXPECT_EQ(descriptor.meta_version, std::optional<uint32_t>(0));
}

TEST(NullTest, ARefusalCarriesNullsNoPoolsAndNoUri) {  // D-12
  ShmAttachResponse refusal;
  refusal.correlation_id = 9;
  refusal.code = ResponseCode::rejected;
  refusal.error_message = "client_id already attached";
  const std::vector<std::byte> bytes = encode_new(refusal);
  EXPECT_EQ(test::hex_of(Bytes(bytes).subspan(8 + 12, 42)), std::string(84, 'f'));
  EXPECT_EQ(test::hex_of(Bytes(bytes).subspan(8 + 54, 8)), "0a00000000000000");  // group header of no entries, then no URI
  ShmAttachResponse decoded;
  ASSERT_EQ(decode(bytes, decoded), DecodeStatus::kOk);
  EXPECT_EQ(decoded, refusal);
  EXPECT_FALSE(decoded.lease_id || decoded.epoch || decoded.stream_id || decoded.header_slot_bytes);
}

TEST(VarDataTest, EveryVarFieldIsWrittenEvenWhenAbsent) {  // W-8, D-3
  EXPECT_EQ(encode_new(ConsumerHello{}).size(), 55u);
  EXPECT_EQ(encode_new(ConsumerConfig{}).size(), 38u);
  EXPECT_EQ(encode_new(DataSourceAnnounce{}).size(), 36u);
  EXPECT_EQ(encode_new(DataSourceMeta{}).size(), 28u);
  EXPECT_EQ(encode_new(ControlResponse{}).size(), 24u);
  EXPECT_EQ(encode_new(ShmPoolAnnounce{}).size(), 8u + 35 + 4 + 4);
  EXPECT_EQ(encode_new(ShmAttachResponse{}).size(), 8u + 54 + 4 + 4 + 4);
  EXPECT_EQ(encode_new(ShmDriverShutdownRequest{}).size(), 8u + 9 + 4 + 4);
}

TEST(VarDataTest, ALengthBeyondTheMessageIsRefused) {  // W-6
  std::vector<std::byte> bytes = encode_new(sample_of<DataSourceAnnounce>());
  const size_t name_length_at = 20;
  for (const uint32_t length :
       {uint32_t{1000}, uint32_t{1} << 30, (uint32_t{1} << 30) + 1, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu}) {
    put(bytes, name_length_at, length);
    EXPECT_EQ(status_of<DataSourceAnnounce>(bytes), DecodeStatus::kMalformed) << length;
  }
}

TEST(VarDataTest, BytesArriveAsTheyAreWithoutATerminator) {  // wire.md 3.4
  DataSourceAnnounce message;
  message.name = std::string("a\0b\xff\n", 5);
  DataSourceAnnounce decoded;
  ASSERT_EQ(decode(encode_new(message), decoded), DecodeStatus::kOk);
  EXPECT_EQ(decoded.name, message.name);
}

TEST(GroupTest, MoreEntriesThanTheMessageHoldsAreRefused) {  // W-6
  std::vector<std::byte> bytes = encode_new(sample_of<ShmPoolAnnounce>());
  for (const uint16_t count : {uint16_t{3}, uint16_t{256}}) {
    put(bytes, 35 + 2, count);
    EXPECT_EQ(status_of<ShmPoolAnnounce>(bytes), DecodeStatus::kMalformed) << count;
  }
  bytes = encode_new(sample_of<DataSourceMeta>());
  for (const uint16_t count : {uint16_t{3}, uint16_t{1024}}) {
    put(bytes, 16 + 2, count);
    EXPECT_EQ(status_of<DataSourceMeta>(bytes), DecodeStatus::kMalformed) << count;
  }
}

TEST(GroupTest, AnEntryBlockShorterThanTabulatedIsRefused) {  // W-6, with entries and without
  for (const auto& message : {sample_of<ShmPoolAnnounce>(), ShmPoolAnnounce{}}) {
    for (const uint16_t block : {uint16_t{0}, uint16_t{9}}) {
      std::vector<std::byte> bytes = encode_new(message);
      put(bytes, 35, block);
      EXPECT_EQ(status_of<ShmPoolAnnounce>(bytes), DecodeStatus::kMalformed) << block;
    }
  }
}

// Each entry of the group at `group_at` (a body offset) grows from `block` by `extra` bytes; `var_fields` follow each block.
std::vector<std::byte> with_longer_entries(const std::vector<std::byte>& bytes, size_t group_at, size_t block, size_t extra,
                                           int var_fields) {
  size_t at = kMessageHeaderBytes + group_at;
  std::vector<std::byte> out(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(at + 4));
  store(out.data() + at, static_cast<uint16_t>(block + extra));
  const auto count = load<uint16_t>(bytes.data() + at + 2);
  at += 4;
  const auto copy = [&](size_t size) {
    out.insert(out.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.begin() + static_cast<std::ptrdiff_t>(at + size));
    at += size;
  };
  for (uint16_t i = 0; i < count; ++i) {
    copy(block);
    out.insert(out.end(), extra, std::byte{0xCD});
    for (int field = 0; field < var_fields; ++field) copy(4 + load<uint32_t>(bytes.data() + at));
  }
  copy(bytes.size() - at);
  return out;
}

TEST(GroupTest, ALongerEntryBlockIsSkippedBeyondItsKnownPrefix) {  // wire.md 3.6
  for (const size_t extra : {1u, 6u, 300u}) {
    ShmPoolAnnounce announce;
    std::vector<std::byte> bytes = with_longer_entries(encode_new(sample_of<ShmPoolAnnounce>()), 35, 10, extra, 1);
    ASSERT_EQ(decode(bytes, announce), DecodeStatus::kOk) << extra;
    EXPECT_EQ(announce, sample_of<ShmPoolAnnounce>());
    for (size_t size = kMessageHeaderBytes; size < bytes.size(); ++size) {
      EXPECT_EQ(status_of<ShmPoolAnnounce>(Bytes(bytes).first(size)), DecodeStatus::kMalformed) << size;
    }

    DataSourceMeta meta;
    bytes = with_longer_entries(encode_new(sample_of<DataSourceMeta>()), 16, 0, extra, 3);
    ASSERT_EQ(decode(bytes, meta), DecodeStatus::kOk) << extra;
    EXPECT_EQ(meta, sample_of<DataSourceMeta>());

    ShmAttachResponse response;
    bytes = with_longer_entries(encode_new(sample_of<ShmAttachResponse>()), 54, 10, extra, 1);
    ASSERT_EQ(decode(bytes, response), DecodeStatus::kOk) << extra;
    EXPECT_EQ(response, sample_of<ShmAttachResponse>());
  }
}

template <typename M, typename Raw>
void expect_enum(size_t body_offset, std::initializer_list<int> good, std::initializer_list<int> bad) {
  std::vector<std::byte> bytes = encode_new(sample_of<M>());
  for (const int value : good) {
    put(bytes, body_offset, static_cast<Raw>(value));
    EXPECT_EQ(status_of<M>(bytes), DecodeStatus::kOk) << M::kTemplateId << " @" << body_offset << " = " << value;
  }
  for (const int value : bad) {
    put(bytes, body_offset, static_cast<Raw>(value));
    EXPECT_EQ(status_of<M>(bytes), DecodeStatus::kMalformed) << M::kTemplateId << " @" << body_offset << " = " << value;
  }
}

TEST(EnumTest, UndefinedValuesMakeAMessageMalformed) {  // W-9, D-63
  expect_enum<ShmPoolAnnounce, uint8_t>(24, {1, 2}, {0, 3, 255});
  expect_enum<ConsumerHello, uint8_t>(8, {0, 1}, {2, 255});
  expect_enum<ConsumerHello, uint8_t>(9, {0, 1}, {2, 255});
  expect_enum<ConsumerHello, uint8_t>(10, {1, 2}, {0, 3, 255});
  expect_enum<ConsumerConfig, uint8_t>(8, {0, 1}, {2, 255});
  expect_enum<ConsumerConfig, uint8_t>(9, {1, 2}, {0, 3, 255});
  expect_enum<ControlResponse, int32_t>(8, {0, 1, 2, 3, 4}, {-1, 5, 256, INT32_MIN, INT32_MAX});
  expect_enum<FrameProgress, uint8_t>(28, {0, 1, 2, 3}, {4, 255});
  expect_enum<ShmAttachResponse, int32_t>(8, {0, 1, 2, 3, 4}, {-1, 5, 256, INT32_MIN, INT32_MAX});
  expect_enum<ShmDetachResponse, int32_t>(8, {0, 1, 2, 3, 4}, {-1, 5, 256, INT32_MIN, INT32_MAX});
  expect_enum<ShmDriverShutdown, uint8_t>(8, {0, 1, 2}, {3, 255});
  expect_enum<ShmLeaseRevoked, uint8_t>(24, {1, 2}, {0, 3, 255});
  expect_enum<ShmLeaseRevoked, uint8_t>(25, {1, 2, 3}, {0, 4, 255});
  expect_enum<ShmDriverShutdownRequest, uint8_t>(8, {0, 1, 2}, {3, 255});
}

TEST(EnumTest, ARequestKeepsBadValuesSoThatItCanBeAnsweredByName) {  // driver.md 5.2 rows 4, 6, 7
  expect_enum<ShmAttachRequest, uint8_t>(16, {0, 1, 2, 3, 255}, {});
  expect_enum<ShmAttachRequest, uint8_t>(21, {0, 1, 2, 3, 255}, {});
  expect_enum<ShmAttachRequest, uint8_t>(22, {0, 1, 2, 3, 255}, {});
  expect_enum<ShmDetachRequest, uint8_t>(24, {0, 1, 2, 3, 255}, {});
  expect_enum<ShmLeaseKeepalive, uint8_t>(16, {0, 1, 2, 3, 255}, {});
  std::vector<std::byte> bytes = encode_new(ShmAttachRequest{});
  put(bytes, 16, uint8_t{200});
  ShmAttachRequest request;
  ASSERT_EQ(decode(bytes, request), DecodeStatus::kOk);
  EXPECT_EQ(request.role, 200);
}

TEST(EnumTest, AQosConsumerSurvivesAnUnknownMode) {  // W-9, WX-38
  for (const int mode : {0, 3, 255}) {
    std::vector<std::byte> bytes = encode_new(sample_of<QosConsumer>());
    put(bytes, 40, static_cast<uint8_t>(mode));
    QosConsumer qos;
    ASSERT_EQ(decode(bytes, qos), DecodeStatus::kOk) << mode;
    QosConsumer expected = sample_of<QosConsumer>();
    expected.mode = Mode::unknown;
    EXPECT_EQ(qos, expected);
  }
}

TEST(EnumTest, UnknownProgressIsReadButNeverSent) {  // W-9
  std::vector<std::byte> bytes = encode_new(sample_of<FrameProgress>());
  put(bytes, 28, uint8_t{0});
  FrameProgress progress;
  ASSERT_EQ(decode(bytes, progress), DecodeStatus::kOk);
  EXPECT_EQ(progress.state, ProgressState::unknown);
  EXPECT_EQ(encode(progress, bytes), 0u);
}

TEST(EnumTest, UndefinedValuesAreNotSent) {  // W-9
  const auto refused = [](auto message, std::string_view field) {
    std::vector<std::byte> room(4096);
    EXPECT_EQ(over_limit(message), field);
    EXPECT_EQ(encode(message, room), 0u);
    EXPECT_THROW((void)encode_new(message), Error);
  };
  const auto changed = [](auto message, auto change) {
    sample(message);
    change(message);
    return message;
  };
  refused(changed(ShmPoolAnnounce{}, [](auto& m) { m.clock_domain = static_cast<ClockDomain>(3); }), "announceClockDomain");
  refused(changed(ConsumerHello{}, [](auto& m) { m.mode = Mode::unknown; }), "mode");
  refused(changed(ConsumerConfig{}, [](auto& m) { m.mode = static_cast<Mode>(9); }), "mode");
  refused(changed(QosConsumer{}, [](auto& m) { m.mode = static_cast<Mode>(9); }), "mode");
  refused(changed(ControlResponse{}, [](auto& m) { m.code = static_cast<ResponseCode>(5); }), "code");
  refused(changed(FrameProgress{}, [](auto& m) { m.state = static_cast<ProgressState>(4); }), "state");
  refused(changed(ShmAttachResponse{}, [](auto& m) { m.code = static_cast<ResponseCode>(-1); }), "code");
  refused(changed(ShmDetachResponse{}, [](auto& m) { m.code = static_cast<ResponseCode>(5); }), "code");
  refused(changed(ShmDriverShutdown{}, [](auto& m) { m.reason = static_cast<ShutdownReason>(3); }), "reason");
  refused(changed(ShmLeaseRevoked{}, [](auto& m) { m.role = static_cast<Role>(0); }), "role");
  refused(changed(ShmLeaseRevoked{}, [](auto& m) { m.reason = static_cast<RevokeReason>(4); }), "reason");
  refused(changed(ShmDriverShutdownRequest{}, [](auto& m) { m.reason = static_cast<ShutdownReason>(3); }), "reason");
}

TEST(AeronStreamIdTest, TheNullReadsAsZero) {  // W-11
  std::vector<std::byte> bytes = encode_new(sample_of<ConsumerHello>());
  put(bytes, 31, kNull32);
  put(bytes, 35, kNull32);
  ConsumerHello hello;
  ASSERT_EQ(decode(bytes, hello), DecodeStatus::kOk);
  EXPECT_EQ(hello.descriptor_stream_id, 0u);
  EXPECT_EQ(hello.control_stream_id, 0u);

  bytes = encode_new(sample_of<ConsumerConfig>());
  put(bytes, 10, kNull32);
  put(bytes, 14, kNull32);
  ConsumerConfig config;
  ASSERT_EQ(decode(bytes, config), DecodeStatus::kOk);
  EXPECT_EQ(config.descriptor_stream_id, 0u);
  EXPECT_EQ(config.control_stream_id, 0u);
}

TEST(AeronStreamIdTest, AnAssignmentAbove31BitsIsRefused) {  // W-11
  for (const size_t field : {10u, 14u}) {
    for (const uint32_t id : {0x80000000u, 0xFFFFFFFEu}) {
      std::vector<std::byte> bytes = encode_new(sample_of<ConsumerConfig>());
      put(bytes, field, id);
      EXPECT_EQ(status_of<ConsumerConfig>(bytes), DecodeStatus::kMalformed) << id;
    }
    std::vector<std::byte> bytes = encode_new(sample_of<ConsumerConfig>());
    put(bytes, field, 0x7FFFFFFFu);
    EXPECT_EQ(status_of<ConsumerConfig>(bytes), DecodeStatus::kOk);
  }
  ConsumerConfig config = sample_of<ConsumerConfig>();
  config.descriptor_stream_id = 0x80000000;
  EXPECT_EQ(over_limit(config), "descriptorStreamId");
  config = sample_of<ConsumerConfig>();
  config.control_stream_id = 0x80000000;
  EXPECT_EQ(over_limit(config), "controlStreamId");
}

TEST(AeronStreamIdTest, ARequestAbove31BitsArrivesToBeDeclined) {  // W-11, W-70: the rest of the Hello counts
  std::vector<std::byte> bytes = encode_new(sample_of<ConsumerHello>());
  put(bytes, 31, 0x80000000u);
  ConsumerHello hello;
  ASSERT_EQ(decode(bytes, hello), DecodeStatus::kOk);
  EXPECT_EQ(hello.descriptor_stream_id, 0x80000000u);
  EXPECT_EQ(hello.control_stream_id, 32001u);
}

// ---- limits ------------------------------------------------------------------------------------------------------------

// The same message by hand, with its var field of `limit` times 'x' one byte longer.
std::vector<std::byte> one_longer(std::vector<std::byte> bytes, size_t limit) {
  const auto run = std::search_n(bytes.begin(), bytes.end(), static_cast<std::ptrdiff_t>(limit), std::byte{'x'});
  const auto at = static_cast<size_t>(run - bytes.begin());
  put(bytes, at - 4 - kMessageHeaderBytes, static_cast<uint32_t>(limit + 1));
  bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), std::byte{'x'});
  return bytes;
}

// At its limit a field passes both ways; one byte beyond, it is refused when sent and when received.
template <typename M>
void expect_limit(std::string M::* field, size_t limit, std::string_view name) {
  M message = sample_of<M>();
  message.*field = std::string(limit, 'x');
  const std::vector<std::byte> bytes = encode_new(message);
  M decoded;
  ASSERT_EQ(decode(bytes, decoded), DecodeStatus::kOk) << name;
  EXPECT_EQ(decoded, message);

  EXPECT_EQ(status_of<M>(one_longer(bytes, limit)), DecodeStatus::kMalformed) << name;

  message.*field += 'x';
  EXPECT_EQ(over_limit(message), name);
  std::vector<std::byte> room(encoded_bytes(message));
  EXPECT_EQ(encode(message, room), 0u);
  try {
    (void)encode_new(message);
    ADD_FAILURE() << name << ": was encoded";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    EXPECT_NE(std::string_view(error.what()).find(name), std::string_view::npos) << error.what();
  }
}

TEST(LimitTest, OneByteBeyondIsRefusedBothWays) {  // W-93
  expect_limit(&ShmPoolAnnounce::header_region_uri, 4095, "headerRegionUri");
  expect_limit(&ConsumerConfig::payload_fallback_uri, 4095, "payloadFallbackUri");
  expect_limit(&ConsumerConfig::descriptor_channel, 4095, "descriptorChannel");
  expect_limit(&ConsumerConfig::control_channel, 4095, "controlChannel");
  expect_limit(&DataSourceAnnounce::name, kMaxNameBytes, "name");
  expect_limit(&DataSourceAnnounce::summary, kMaxNameBytes, "summary");
  expect_limit(&MetaBlobChunk::bytes, 65536, "bytes");  // W-90
  expect_limit(&ShmAttachResponse::header_region_uri, 4095, "headerRegionUri");
  expect_limit(&ShmDriverShutdownRequest::token, kMaxTokenBytes, "token");
}

TEST(LimitTest, AnEmptyBlobChunkIsNone) {  // W-90
  MetaBlobChunk chunk = sample_of<MetaBlobChunk>();
  std::vector<std::byte> bytes = encode_new(chunk);
  put(bytes, 16, uint32_t{0});
  EXPECT_EQ(status_of<MetaBlobChunk>(bytes), DecodeStatus::kMalformed);
  chunk.bytes.clear();
  EXPECT_EQ(over_limit(chunk), "bytes");
}

TEST(LimitTest, PoolsAndTheirUrisAreBounded) {  // W-93
  ShmPoolAnnounce announce = sample_of<ShmPoolAnnounce>();
  announce.pools.assign(kMaxPoolsPerMessage, PoolEntry{1, 64, 4096, "u"});
  std::vector<std::byte> bytes = encode_new(announce);
  ShmPoolAnnounce decoded;
  ASSERT_EQ(decode(bytes, decoded), DecodeStatus::kOk);
  EXPECT_EQ(decoded, announce);

  announce.pools.push_back(announce.pools.back());
  EXPECT_EQ(over_limit(announce), "payloadPools");
  // All 257 entries are there: it is the number that is refused.
  const std::vector<std::byte> entry(bytes.begin() + 8 + 39, bytes.begin() + 8 + 39 + 15);
  bytes.insert(bytes.begin() + 8 + 39, entry.begin(), entry.end());
  put(bytes, 37, static_cast<uint16_t>(kMaxPoolsPerMessage + 1));
  EXPECT_EQ(status_of<ShmPoolAnnounce>(bytes), DecodeStatus::kMalformed);
  put(bytes, 37, uint16_t{65535});
  EXPECT_EQ(status_of<ShmPoolAnnounce>(bytes), DecodeStatus::kMalformed);

  ShmAttachResponse response = sample_of<ShmAttachResponse>();
  response.pools[1].region_uri = std::string(kMaxUriBytes + 1, 'x');
  EXPECT_EQ(over_limit(response), "payloadPools");
  response.pools[1].region_uri.pop_back();
  EXPECT_EQ(over_limit(response), "");
  bytes = encode_new(response);
  ASSERT_EQ(status_of<ShmAttachResponse>(bytes), DecodeStatus::kOk);
  EXPECT_EQ(status_of<ShmAttachResponse>(one_longer(bytes, kMaxUriBytes)), DecodeStatus::kMalformed);
}

TEST(LimitTest, AttributesAreBounded) {  // W-93
  DataSourceMeta meta;
  meta.attributes.assign(kMaxAttributesPerMessage, Attribute{"k", "", ""});
  std::vector<std::byte> bytes = encode_new(meta);
  ASSERT_EQ(status_of<DataSourceMeta>(bytes), DecodeStatus::kOk);
  bytes.insert(bytes.end(), bytes.end() - 13, bytes.end());  // one more of them
  put(bytes, 18, static_cast<uint16_t>(kMaxAttributesPerMessage + 1));
  EXPECT_EQ(status_of<DataSourceMeta>(bytes), DecodeStatus::kMalformed);
  meta.attributes.emplace_back();
  EXPECT_EQ(over_limit(meta), "attributes");

  const auto one = [](size_t key, size_t format, size_t value) {
    DataSourceMeta message;
    message.attributes = {{std::string(key, 'k'), std::string(format, 'f'), std::string(value, 'v')}};
    return message;
  };
  EXPECT_EQ(status_of<DataSourceMeta>(encode_new(one(kMaxNameBytes, kMaxNameBytes, kMaxAttributeBytes))), DecodeStatus::kOk);
  EXPECT_EQ(over_limit(one(kMaxNameBytes + 1, 0, 0)), "attributes.key");
  EXPECT_EQ(over_limit(one(0, kMaxNameBytes + 1, 0)), "attributes.format");
  EXPECT_EQ(over_limit(one(0, 0, kMaxAttributeBytes + 1)), "attributes.value");
  bytes = encode_new(one(1, 1, kMaxAttributeBytes));
  put(bytes, last_length_at(bytes, kMaxAttributeBytes), static_cast<uint32_t>(kMaxAttributeBytes + 1));
  bytes.push_back(std::byte{'v'});
  EXPECT_EQ(status_of<DataSourceMeta>(bytes), DecodeStatus::kMalformed);
}

template <typename M>
void expect_text_cut() {
  M message = sample_of<M>();
  message.error_message = std::string(kMaxErrorMessageBytes, 'x') + "beyond";
  const std::vector<std::byte> bytes = encode_new(message);
  EXPECT_EQ(bytes.size(), encoded_bytes(message));
  M decoded;
  ASSERT_EQ(decode(bytes, decoded), DecodeStatus::kOk);
  EXPECT_EQ(decoded.error_message, std::string(kMaxErrorMessageBytes, 'x'));

  std::vector<std::byte> longer = bytes;  // as a peer without the limit sends it
  put(longer, last_length_at(longer, kMaxErrorMessageBytes), static_cast<uint32_t>(kMaxErrorMessageBytes + 7));
  longer.resize(longer.size() + 7, std::byte{'y'});
  M received;
  ASSERT_EQ(decode(longer, received), DecodeStatus::kOk);
  EXPECT_EQ(received, decoded);
}

TEST(LimitTest, ALongExplanationIsCutAndItsMessageKept) {  // W-93, D-12
  expect_text_cut<ControlResponse>();
  expect_text_cut<ShmAttachResponse>();
  expect_text_cut<ShmDetachResponse>();
  expect_text_cut<ShmDriverShutdown>();
  expect_text_cut<ShmLeaseRevoked>();
  expect_text_cut<ShmDriverShutdownRequest>();
}

TEST(LimitTest, AChannelTooLongToBeOneLeavesAHelloWithARequestToDecline) {  // W-70, W-93
  for (const bool descriptor : {true, false}) {
    ConsumerHello hello = sample_of<ConsumerHello>();
    std::string& channel = descriptor ? hello.descriptor_channel : hello.control_channel;
    channel = std::string(kMaxUriBytes, 'x');
    const std::vector<std::byte> bytes = encode_new(hello);
    ConsumerHello decoded;
    ASSERT_EQ(decode(bytes, decoded), DecodeStatus::kOk);
    EXPECT_EQ(decoded, hello);

    ASSERT_EQ(decode(one_longer(bytes, kMaxUriBytes), decoded), DecodeStatus::kOk);
    channel += 'x';
    EXPECT_EQ(over_limit(hello), descriptor ? "descriptorChannel" : "controlChannel");  // we never send one
    channel.clear();
    EXPECT_EQ(decoded, hello);
  }
}

// ---- schema 901 --------------------------------------------------------------------------------------------------------

TEST(AttachRequestTest, OfANewerVersionStillTellsWhomToAnswer) {  // D-4, driver.md 5.2 row 1
  std::vector<std::byte> bytes = encode_new(sample_of<ShmAttachRequest>());
  store(bytes.data() + 6, uint16_t{2});
  store(bytes.data(), uint16_t{40});  // whatever that version's block is
  put(bytes, 0, int64_t{-77});
  ShmAttachRequest request;
  ASSERT_EQ(decode(bytes, request), DecodeStatus::kUnsupportedVersion);
  EXPECT_EQ(request.correlation_id, -77);
}

TEST(AttachRequestTest, OfANewerVersionWithoutACorrelationIdIsNotAnswered) {  // D-4
  std::vector<std::byte> bytes = encode_new(sample_of<ShmAttachRequest>());
  store(bytes.data() + 6, uint16_t{2});
  EXPECT_EQ(status_of<ShmAttachRequest>(Bytes(bytes).first(16)), DecodeStatus::kUnsupportedVersion);
  EXPECT_EQ(status_of<ShmAttachRequest>(Bytes(bytes).first(15)), DecodeStatus::kMalformed);
  EXPECT_EQ(status_of<ShmAttachRequest>(Bytes(bytes).first(8)), DecodeStatus::kMalformed);
  store(bytes.data(), uint16_t{7});
  EXPECT_EQ(status_of<ShmAttachRequest>(bytes), DecodeStatus::kMalformed);
}

TEST(AttachRequestTest, KeepsTheExpectedLayoutVersionAsItCame) {  // D-14: 0 and 4294967295 are told apart from 1 by the driver
  for (const uint32_t version : {0u, 1u, 2u, kNull32}) {
    ShmAttachRequest request = sample_of<ShmAttachRequest>();
    request.expected_layout_version = version;
    ShmAttachRequest decoded;
    ASSERT_EQ(decode(encode_new(request), decoded), DecodeStatus::kOk);
    EXPECT_EQ(decoded.expected_layout_version, version);
  }
}

TEST(MetadataTest, AttributesOfUnknownKeysAndFormatsArriveInOrder) {  // W-88: whoever reads them takes the last of a key
  DataSourceMeta meta = sample_of<DataSourceMeta>();
  meta.attributes = {{"gain", "text/plain", "1"}, {"?", "no/such-format", "x"}, {"", "", ""}, {"gain", "text/plain", "2"}};
  DataSourceMeta decoded;
  ASSERT_EQ(decode(encode_new(meta), decoded), DecodeStatus::kOk);
  EXPECT_EQ(decoded, meta);
}

TEST(NameTest, CodesRolesAndReasonsHaveNames) {
  EXPECT_EQ(name_of(ResponseCode::ok), "ok");
  EXPECT_EQ(name_of(ResponseCode::unsupported), "unsupported");
  EXPECT_EQ(name_of(ResponseCode::invalid_params), "invalid params");
  EXPECT_EQ(name_of(ResponseCode::rejected), "rejected");
  EXPECT_EQ(name_of(ResponseCode::internal_error), "internal error");
  EXPECT_EQ(name_of(static_cast<ResponseCode>(77)), "?");
  EXPECT_EQ(name_of(Role::producer), "producer");
  EXPECT_EQ(name_of(Role::consumer), "consumer");
  EXPECT_EQ(name_of(static_cast<Role>(0)), "?");
  EXPECT_EQ(name_of(RevokeReason::detached), "detached");
  EXPECT_EQ(name_of(RevokeReason::expired), "expired");
  EXPECT_EQ(name_of(RevokeReason::revoked), "revoked");
  EXPECT_EQ(name_of(static_cast<RevokeReason>(0)), "?");
}

}  // namespace
}  // namespace tidepool::wire::message_fields_test

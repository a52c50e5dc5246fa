// What schema 910 has of its own: tags by hand, two dialects, a last text that may be missing, entry blocks that may be longer
// (discovery.md 3.3 and 9). What holds for every message: messages_test.cc; golden bytes: vectors_test.cc.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tidepool/base/error.h"
#include "tidepool/wire/messages.h"
#include "tidepool/wire/test_bytes.h"
#include "tidepool/wire/test_messages.h"

namespace tidepool::wire::discovery_messages_test {
namespace {

using test::sample_of;

template <typename M>
DecodeStatus decode_exact(Bytes bytes, M& message) {
  const test::ExactCopy copy(bytes);
  return decode(copy.bytes(), message);
}
template <typename M>
DecodeStatus status_of(Bytes bytes) {
  M message;
  return decode_exact(bytes, message);
}

constexpr size_t kRequestTags = kMessageHeaderBytes + 32;
constexpr size_t kResults = kMessageHeaderBytes + 9;
constexpr size_t kFirstResult = kResults + 4;

// A response of one result without pools and tags: its groups' headers stand at known places.
DiscoveryResponse plain_response() {
  DiscoveryResponse m;
  m.request_id = 5;
  m.results.emplace_back();
  m.results[0].stream_id = 10000;
  m.results[0].driver_control_channel = "aeron:ipc";
  return m;
}
constexpr size_t kPlainPools = kFirstResult + 39;
constexpr size_t kPlainTags = kPlainPools + 4;

TEST(DiscoveryRequestTest, AbsentFiltersAreWrittenAsTheirNullAndZeroIsAValue) {  // DS-24
  std::vector<std::byte> bytes = encode_new(DiscoveryRequest{});
  EXPECT_EQ(test::hex_of(Bytes(bytes).subspan(8 + 16, 16)), std::string(32, 'f'));
  DiscoveryRequest zero;
  zero.stream_id = 0;
  zero.producer_id = 0;
  zero.data_source_id = 0;
  bytes = encode_new(zero);
  EXPECT_EQ(test::hex_of(Bytes(bytes).subspan(8 + 16, 16)), std::string(32, '0'));
  DiscoveryRequest back;
  ASSERT_EQ(decode_exact(bytes, back), DecodeStatus::kOk);
  EXPECT_EQ(back, zero);
}

TEST(DiscoveryRequestTest, TagsAreReadFromBothDialects) {  // DS-8
  const auto sent = sample_of<DiscoveryRequest>();
  std::vector<std::byte> bytes = encode_new(sent);
  ASSERT_EQ(load<uint16_t>(bytes.data() + kRequestTags), 0u);
  store(bytes.data() + kRequestTags, uint16_t{4});
  DiscoveryRequest back;
  ASSERT_EQ(decode_exact(bytes, back), DecodeStatus::kOk);
  EXPECT_EQ(back, sent);
  for (const uint16_t block : {1, 3, 5, 8, 65535}) {
    store(bytes.data() + kRequestTags, block);
    EXPECT_EQ(status_of<DiscoveryRequest>(bytes), DecodeStatus::kMalformed) << block;
  }
}

TEST(DiscoveryRequestTest, AMissingLastTextIsEmpty) {  // DS-40: what the C peer sends
  auto sent = sample_of<DiscoveryRequest>();
  sent.data_source_name.clear();
  const std::vector<std::byte> bytes = encode_new(sent);
  DiscoveryRequest back = sample_of<DiscoveryRequest>();
  ASSERT_EQ(decode_exact(Bytes(bytes).first(bytes.size() - 4), back), DecodeStatus::kOk);
  EXPECT_EQ(back, sent);
  for (const size_t missing : {1u, 2u, 3u, 5u}) {
    EXPECT_EQ(status_of<DiscoveryRequest>(Bytes(bytes).first(bytes.size() - missing)), DecodeStatus::kMalformed) << missing;
  }
}

TEST(DiscoveryRequestTest, CountsAndLengthsBeyondTheMessageAreRefused) {  // DS-29
  const std::vector<std::byte> golden = encode_new(sample_of<DiscoveryRequest>());
  for (const uint16_t count : {5, 1024, 1025, 65534, 65535}) {
    std::vector<std::byte> bytes = golden;
    store(bytes.data() + kRequestTags + 2, count);
    EXPECT_EQ(status_of<DiscoveryRequest>(bytes), DecodeStatus::kMalformed) << count;
  }
  for (const uint32_t length : {1000u, 1073741824u, 0x7FFFFFFFu, 0xFFFFFFFCu, 0xFFFFFFFFu}) {
    std::vector<std::byte> bytes = golden;
    store(bytes.data() + kRequestTags + 4, length);
    EXPECT_EQ(status_of<DiscoveryRequest>(bytes), DecodeStatus::kMalformed) << length;
  }
}

TEST(DiscoveryRequestTest, BytesThatAreNoAsciiPassThrough) {  // discovery.md 9
  DiscoveryRequest sent;
  sent.data_source_name = std::string("\xC3\xA9\0\xFF", 4);
  sent.tags = {"\x80", std::string("a\0b", 3)};
  DiscoveryRequest back;
  ASSERT_EQ(decode_exact(encode_new(sent), back), DecodeStatus::kOk);
  EXPECT_EQ(back, sent);
}

TEST(DiscoveryRequestTest, MoreThanTheLimitsIsNotSent) {  // DS-7
  DiscoveryRequest m;
  m.tags.resize(kMaxTagsPerMessage + 1);
  EXPECT_EQ(over_limit(m), "tags");
  EXPECT_THROW((void)encode_new(m), Error);
  m.tags.clear();
  m.response_channel.assign(kMaxUriBytes + 1, 'x');
  EXPECT_EQ(over_limit(m), "responseChannel");
  m.response_channel.clear();
  m.data_source_name.assign(kMaxNameBytes + 1, 'x');
  EXPECT_EQ(over_limit(m), "dataSourceName");
}

TEST(DiscoveryResponseTest, TagsAreReadFromBothDialects) {  // DS-8
  DiscoveryResponse sent = plain_response();
  sent.results[0].tags = {"cam", ""};
  std::vector<std::byte> bytes = encode_new(sent);
  ASSERT_EQ(load<uint32_t>(bytes.data() + kPlainTags), 0x00020000u);
  store(bytes.data() + kPlainTags, uint16_t{4});
  DiscoveryResponse back;
  ASSERT_EQ(decode_exact(bytes, back), DecodeStatus::kOk);
  EXPECT_EQ(back, sent);
  store(bytes.data() + kPlainTags, uint16_t{2});
  EXPECT_EQ(status_of<DiscoveryResponse>(bytes), DecodeStatus::kMalformed);
}

TEST(DiscoveryResponseTest, AMissingLastTextIsEmpty) {  // DS-40
  const DiscoveryResponse sent = plain_response();
  const std::vector<std::byte> bytes = encode_new(sent);
  DiscoveryResponse back = sample_of<DiscoveryResponse>();
  ASSERT_EQ(decode_exact(Bytes(bytes).first(bytes.size() - 4), back), DecodeStatus::kOk);
  EXPECT_EQ(back, sent);
}

TEST(DiscoveryResponseTest, LongerEntriesAreReadAndShorterOnesAreRefused) {  // discovery.md 9
  const DiscoveryResponse sent = plain_response();
  for (const size_t extra : {1u, 4u, 100u}) {
    std::vector<std::byte> bytes = encode_new(sent);
    store(bytes.data() + kResults, static_cast<uint16_t>(39 + extra));
    bytes.insert(bytes.begin() + kPlainPools, extra, std::byte{0xAB});
    DiscoveryResponse back;
    ASSERT_EQ(decode_exact(bytes, back), DecodeStatus::kOk) << extra;
    EXPECT_EQ(back, sent) << extra;
  }
  std::vector<std::byte> bytes = encode_new(sent);
  store(bytes.data() + kResults, uint16_t{38});
  EXPECT_EQ(status_of<DiscoveryResponse>(bytes), DecodeStatus::kMalformed);
  bytes = encode_new(sent);
  store(bytes.data() + kPlainPools, uint16_t{9});
  EXPECT_EQ(status_of<DiscoveryResponse>(bytes), DecodeStatus::kMalformed);
}

TEST(DiscoveryResponseTest, MoreEntriesThanTheMessageHoldsAreRefused) {  // DS-29: before anything is allocated for them
  std::vector<std::byte> bytes = encode_new(plain_response());
  for (const uint16_t count : {2, 1000, 65534, 65535}) {
    store(bytes.data() + kResults + 2, count);
    EXPECT_EQ(status_of<DiscoveryResponse>(bytes), DecodeStatus::kMalformed) << count;
  }
}

TEST(DiscoveryResponseTest, AnUnknownStatusIsAnError) {  // DS-34
  for (const uint8_t status : {0, 4, 254, 255}) {
    std::vector<std::byte> bytes = encode_new(DiscoveryResponse{});
    store(bytes.data() + kMessageHeaderBytes + 8, status);
    DiscoveryResponse back;
    ASSERT_EQ(decode_exact(bytes, back), DecodeStatus::kOk) << int{status};
    EXPECT_EQ(back.status, DiscoveryStatus::error);
  }
}

TEST(DiscoveryResponseTest, ResultsBesideAnErrorAreSkippedToItsText) {  // DS-34
  DiscoveryResponse sent = plain_response();
  sent.error_message = "gone";
  std::vector<std::byte> bytes = encode_new(sent);
  for (const uint8_t status : {2, 3}) {
    store(bytes.data() + kMessageHeaderBytes + 8, status);
    DiscoveryResponse back;
    ASSERT_EQ(decode_exact(bytes, back), DecodeStatus::kOk);
    EXPECT_TRUE(back.results.empty());
    EXPECT_EQ(back.error_message, "gone");
  }
}

TEST(DiscoveryResponseTest, IsNotSentWithResultsUnlessItIsOk) {  // DS-28
  DiscoveryResponse m = plain_response();
  for (const DiscoveryStatus status : {DiscoveryStatus::not_found, DiscoveryStatus::error}) {
    m.status = status;
    EXPECT_EQ(over_limit(m), "results");
    EXPECT_THROW((void)encode_new(m), Error);
  }
}

TEST(DiscoveryResponseTest, LongErrorTextsAreCut) {  // DS-28
  DiscoveryResponse m;
  m.status = DiscoveryStatus::error;
  m.error_message.assign(5000, 'e');
  DiscoveryResponse back;
  ASSERT_EQ(decode_exact(encode_new(m), back), DecodeStatus::kOk);
  EXPECT_EQ(back.error_message, std::string(1024, 'e'));
}

}  // namespace
}  // namespace tidepool::wire::discovery_messages_test

#include "tidepool/control/dispatch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tidepool/base/log.h"
#include "tidepool/transport/test_media_driver.h"
#include "tidepool/wire/test_messages.h"

namespace tidepool::control::dispatch_test {
namespace {

using ::testing::ElementsAre;
using transport::MessageInfo;
using wire::test::for_each_message;
using wire::test::schema_of;

constexpr MessageInfo kInfo{77, 4'711};

// Wants everything; remembers what it was given.
struct All {
  template <typename Message>
  void on(const Message&, const MessageInfo& info) {
    seen.emplace_back(schema_of<Message>(), Message::kTemplateId);
    session_id = info.session_id;
    position = info.position;
  }
  std::vector<std::pair<uint16_t, uint16_t>> seen;
  int32_t session_id = 0;
  int64_t position = 0;
};

// Wants nothing.
struct None {};

struct OnlyDescriptors {
  void on(const wire::FrameDescriptor& message, const MessageInfo&) { seen.push_back(message); }
  std::vector<wire::FrameDescriptor> seen;
};

struct Driver {
  void on(const wire::ShmAttachRequest& message, const MessageInfo&) { requests.push_back(message.correlation_id); }
  void on_unsupported_attach(int64_t correlation_id, const MessageInfo&) { unsupported.push_back(correlation_id); }
  std::vector<int64_t> requests;
  std::vector<int64_t> unsupported;
};

template <typename Message>
std::vector<std::byte> a_valid() {
  Message message;
  if constexpr (std::is_same_v<Message, wire::ShmPoolAnnounce> || std::is_same_v<Message, wire::ShmAttachResponse>) {
    message.pools.push_back({1, 8, 4096, "shm:file?path=/dev/shm/x/1.pool"});
    message.header_region_uri = "shm:file?path=/dev/shm/x/header.ring";
  }
  if constexpr (std::is_same_v<Message, wire::MetaBlobChunk>) message.bytes = "blob";
  return wire::encode_new(message);
}

// How the counts rose over the call.
template <typename Handler>
DispatchCounts counts_of(Bytes message, Handler&& handler) {
  DispatchCounts counts;
  dispatch(message, kInfo, handler, counts);
  return counts;
}

void set_u16(std::vector<std::byte>& message, size_t at, uint16_t value) { store(message.data() + at, value); }

TEST(DispatchTest, GivesEachMessageToItsHandler) {  // W-2, W-3, D-3, DS-4
  for_each_message([]<typename Message>(std::type_identity<Message>) {
    All all;
    const auto bytes = a_valid<Message>();
    EXPECT_EQ(counts_of(bytes, all), DispatchCounts{.handled = 1});
    EXPECT_THAT(all.seen, ElementsAre(std::pair{schema_of<Message>(), Message::kTemplateId}));
    EXPECT_EQ(all.session_id, kInfo.session_id);
    EXPECT_EQ(all.position, kInfo.position);
  });
}

TEST(DispatchTest, GivesTheFieldsAsTheyWereSent) {
  const wire::FrameDescriptor sent{
      .stream_id = 10'000, .epoch = 7, .seq = 8, .timestamp_ns = 9, .meta_version = {}, .trace_id = 11};
  OnlyDescriptors handler;
  EXPECT_EQ(counts_of(wire::encode_new(sent), handler), DispatchCounts{.handled = 1});
  EXPECT_THAT(handler.seen, ElementsAre(sent));
}

TEST(DispatchTest, IgnoresKnownMessagesThatTheHandlerDoesNotWant) {  // W-94, D-2, DS-4: requests and responses may share a stream
  for_each_message([]<typename Message>(std::type_identity<Message>) {
    EXPECT_EQ(counts_of(a_valid<Message>(), None{}), DispatchCounts{.ignored = 1});
    OnlyDescriptors descriptors;
    counts_of(a_valid<Message>(), descriptors);
    EXPECT_EQ(descriptors.seen.size(), (std::is_same_v<Message, wire::FrameDescriptor>) ? 1u : 0u);
  });
}

TEST(DispatchTest, CountsRuntsAsForeign) {  // W-4
  const auto bytes = a_valid<wire::FrameDescriptor>();
  for (size_t size = 0; size < wire::kMessageHeaderBytes; ++size) {
    EXPECT_EQ(counts_of(Bytes(bytes).first(size), All{}), DispatchCounts{.foreign = 1}) << size;
  }
}

TEST(DispatchTest, CountsOtherSchemasAndUnknownTemplatesAsForeign) {  // W-4, D-2, DS-4
  for_each_message([]<typename Message>(std::type_identity<Message>) {
    auto bytes = a_valid<Message>();
    for (const int schema : {0, 1, 899, 902, 903, 904, 909, 911, 0xFFFF}) {
      set_u16(bytes, 4, static_cast<uint16_t>(schema));
      EXPECT_EQ(counts_of(bytes, All{}), DispatchCounts{.foreign = 1}) << schema;
    }
  });
  auto bytes = a_valid<wire::FrameDescriptor>();
  for (const uint16_t schema : {wire::kPoolSchemaId, wire::kDriverSchemaId, wire::kDiscoverySchemaId}) {
    set_u16(bytes, 4, schema);
    for (const int unknown : {0, 14, 51, 255, 0xFFFF}) {
      set_u16(bytes, 2, static_cast<uint16_t>(unknown));
      EXPECT_EQ(counts_of(bytes, All{}), DispatchCounts{.foreign = 1}) << schema << " " << unknown;
    }
  }
}

TEST(DispatchTest, CountsOtherVersionsAsUnsupportedWantedOrNot) {  // W-5
  for_each_message([]<typename Message>(std::type_identity<Message>) {
    auto bytes = a_valid<Message>();
    for (const int version : {0, 2, 0xFFFF}) {
      set_u16(bytes, 6, static_cast<uint16_t>(version));
      All all;
      EXPECT_EQ(counts_of(bytes, all), DispatchCounts{.unsupported = 1}) << Message::kTemplateId << " " << version;
      EXPECT_TRUE(all.seen.empty());
      EXPECT_EQ(counts_of(bytes, None{}), DispatchCounts{.unsupported = 1});
    }
  });
}

TEST(DispatchTest, CountsAWrongBlockLengthAsMalformed) {  // W-5, D-4
  for_each_message([]<typename Message>(std::type_identity<Message>) {
    auto bytes = a_valid<Message>();
    set_u16(bytes, 0, Message::kBlockLength - 1);
    EXPECT_EQ(counts_of(bytes, All{}), DispatchCounts{.malformed = 1});
    set_u16(bytes, 0, 0xFFFF);
    EXPECT_EQ(counts_of(bytes, All{}), DispatchCounts{.malformed = 1});
  });
}

TEST(DispatchTest, CountsAMessageCutAnywhereAsMalformedAndAppliesNothing) {  // W-6, D-4
  for_each_message([]<typename Message>(std::type_identity<Message>) {
    const auto bytes = a_valid<Message>();
    for (size_t size = wire::kMessageHeaderBytes; size < bytes.size(); ++size) {
      // DS-40: these may end before the length of their last text, which is empty here.
      if (schema_of<Message>() == wire::kDiscoverySchemaId && size + 4 == bytes.size()) continue;
      const std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));  // its end is the heap's
      All all;
      EXPECT_EQ(counts_of(cut, all), DispatchCounts{.malformed = 1}) << Message::kTemplateId << " cut to " << size;
      EXPECT_TRUE(all.seen.empty());
    }
  });
}

TEST(DispatchTest, CountsAnUndefinedEnumValueAsMalformed) {  // W-9
  auto bytes = a_valid<wire::ConsumerHello>();
  bytes[wire::kMessageHeaderBytes + 10] = std::byte{3};  // mode
  EXPECT_EQ(counts_of(bytes, All{}), DispatchCounts{.malformed = 1});
}

TEST(DispatchTest, TellsAnAttachRequestOfANewerVersionByItsCorrelationId) {  // D-4, D-8, W-5
  wire::ShmAttachRequest request;
  request.correlation_id = 0x1122334455667788;
  auto bytes = wire::encode_new(request);
  set_u16(bytes, 6, 2);
  Driver driver;
  EXPECT_EQ(counts_of(bytes, driver), DispatchCounts{.unsupported = 1});
  EXPECT_THAT(driver.unsupported, ElementsAre(request.correlation_id));
  EXPECT_TRUE(driver.requests.empty());

  set_u16(bytes, 6, 0);  // no newer one: nobody to answer
  EXPECT_EQ(counts_of(bytes, driver), DispatchCounts{.unsupported = 1});
  set_u16(bytes, 6, 2);  // the id itself cut off: never answer what cannot be parsed
  EXPECT_EQ(counts_of(Bytes(bytes).first(15), driver), DispatchCounts{.malformed = 1});
  EXPECT_EQ(driver.unsupported.size(), 1u);
}

TEST(DispatchTest, SurvivesAHandlerThatThrows) {  // P-15
  struct Thrower {
    void on(const wire::ShmAttachRequest&, const MessageInfo&) { throw std::runtime_error("a fault of ours"); }
    void on(const wire::FrameDescriptor&, const MessageInfo&) { throw 42; }
    void on_unsupported_attach(int64_t, const MessageInfo&) { throw std::runtime_error("another"); }
  };
  std::vector<std::string> lines;
  set_log_sink([&](LogLevel, std::string_view, std::string_view text) { lines.emplace_back(text); }, LogLevel::kError);
  auto attach = a_valid<wire::ShmAttachRequest>();
  EXPECT_EQ(counts_of(attach, Thrower{}), (DispatchCounts{.handled = 1, .failed = 1}));
  EXPECT_EQ(counts_of(a_valid<wire::FrameDescriptor>(), Thrower{}), (DispatchCounts{.handled = 1, .failed = 1}));
  set_u16(attach, 6, 2);
  EXPECT_EQ(counts_of(attach, Thrower{}), (DispatchCounts{.unsupported = 1, .failed = 1}));
  set_log_sink({}, LogLevel::kError);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], ::testing::HasSubstr("a fault of ours"));
}

TEST(DispatchTest, ToleratesItsOwnMessagesOnASharedStream) {  // W-94, D-2
  transport::testing::TestMediaDriver media_driver;
  auto connection = media_driver.connect();
  const std::string channel = "aeron:ipc?term-length=64k";
  auto publication = connection->add_publication(channel, 1'000);
  auto subscription = connection->add_subscription(channel, 1'000);
  ASSERT_TRUE(transport::testing::poll_until([&] {
    connection->poll();
    return publication->connected();
  }));
  const auto request = a_valid<wire::ShmAttachRequest>();
  const auto response = a_valid<wire::ShmAttachResponse>();
  ASSERT_EQ(publication->send(request), transport::SendResult::kOk);
  ASSERT_EQ(publication->send(response), transport::SendResult::kOk);
  Driver driver;  // hears its own response too, and does not want it
  DispatchCounts counts;
  ASSERT_TRUE(transport::testing::poll_until([&] {
    connection->poll();
    subscription->poll([&](Bytes message, const MessageInfo& info) { dispatch(message, info, driver, counts); }, 10);
    return counts.handled + counts.ignored == 2;
  }));
  EXPECT_EQ(counts, (DispatchCounts{.handled = 1, .ignored = 1}));
}

}  // namespace
}  // namespace tidepool::control::dispatch_test

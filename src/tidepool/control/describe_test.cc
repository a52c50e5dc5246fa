// Messages as words: every field of every golden message under its own name, and nothing but words for hostile bytes.

#include "tidepool/control/describe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>

#include "tidepool/wire/test_bytes.h"
#include "tidepool/wire/test_messages.h"

namespace tidepool::control::describe_test {
namespace {

using Json = nlohmann::ordered_json;
using wire::test::bytes_of_hex;
using Status = Description::Status;

Json golden() {
  std::ifstream file(TIDEPOOL_VECTORS_DIR "/messages.json");
  return Json::parse(file).at("vectors");
}

Json json_of(const std::vector<std::byte>& bytes) { return Json::parse(to_json(describe(bytes))); }

bool is_described(int schema) {
  return schema == wire::kPoolSchemaId || schema == wire::kDriverSchemaId || schema == wire::kDiscoverySchemaId;
}

// What the golden file says in its own way: nulls as numbers, booleans as names, raw data left out, the token not.
void expect_same(const Json& expected, const Json& shown, const std::string& where) {
  if (expected.is_array()) {
    ASSERT_TRUE(shown.is_array()) << where;
    ASSERT_EQ(expected.size(), shown.size()) << where;
    for (size_t i = 0; i < expected.size(); ++i) {
      for (const auto& [name, value] : expected[i].items()) {
        ASSERT_TRUE(shown[i].contains(name)) << where << " " << name;
        expect_same(value, shown[i][name], where + " " + name);
      }
    }
  } else if (expected == "TRUE" || expected == "FALSE") {
    EXPECT_EQ(shown, expected == "TRUE") << where;
  } else if (expected.is_string() && expected.get<std::string>().ends_with(" bytes of raw data")) {
    const size_t bytes = std::stoul(expected.get<std::string>());
    ASSERT_TRUE(shown.is_string()) << where << ": " << shown;
    if (where.ends_with("token")) {
      EXPECT_EQ(shown, "***");
    } else {
      EXPECT_EQ(shown.get<std::string>().size(), bytes) << where << ": " << shown;  // all of these are plain text
    }
  } else if (shown.is_null()) {
    const bool null = expected == "NULL_VALUE" || expected == 0xFFFFu || expected == 0xFFFFFFFFu || expected == 0xFFFFFFFFFFFFFFFFu;
    EXPECT_TRUE(null) << where << " is shown as null, is " << expected;
  } else {
    EXPECT_EQ(expected, shown) << where;
  }
}

TEST(DescribeTest, NamesEveryFieldOfEveryGoldenMessageAsTheTablesDo) {  // W-3, D-3, DS-7, issue 4 "listen"
  std::set<std::string> seen;
  for (const Json& vector : golden()) {
    const int schema = vector.at("schema");
    if (!is_described(schema)) continue;
    const std::string name = vector.at("name");
    const auto bytes = bytes_of_hex(vector.at("hex").get<std::string>());
    const Description description = describe(bytes);
    ASSERT_EQ(description.status, Status::kMessage) << name << ": " << description.why;
    const Json shown = Json::parse(to_json(description));
    EXPECT_EQ(shown.at("message"), vector.at("fields").at("Name")) << name;
    EXPECT_EQ(shown.at("schema"), schema);
    EXPECT_EQ(shown.at("template"), vector.at("template"));
    EXPECT_EQ(shown.at("length"), bytes.size());
    seen.insert(shown.at("message"));
    const std::string text = to_text(description);
    size_t fields = 0;
    for (const auto& [field, value] : vector.at("fields").items()) {
      if (field == "Name" || field == "sbeTemplateId") continue;
      ++fields;
      const std::string shown_as = field == "status" ? "discoveryStatus" : field;
      ASSERT_TRUE(shown.contains(shown_as)) << name << " lacks " << field << ": " << shown;
      expect_same(value, shown[shown_as], name + ": " + field);
      EXPECT_NE(text.find(" " + shown_as + "="), std::string::npos) << text;
    }
    EXPECT_EQ(fields, description.fields.size()) << name << " shows fields that are none: " << shown;
  }
  EXPECT_EQ(seen.size(), 10u + 8u + 2u);  // the file has all but the experimental templates 10, 12 and 13
}

TEST(DescribeTest, ReadsEveryMessageThatWeCanSend) {  // W-4
  wire::test::for_each_message([](auto type) {
    using Message = typename decltype(type)::type;
    const auto bytes = wire::encode_new(wire::test::sample_of<Message>());
    const Description description = describe(bytes);
    EXPECT_EQ(description.status, Status::kMessage) << description.name;
    EXPECT_EQ(description.header.template_id, Message::kTemplateId);
    EXPECT_EQ(description.header.schema_id, wire::test::schema_of<Message>());
    EXPECT_FALSE(description.fields.empty());
    if constexpr (requires(Message m) { m.stream_id.has_value(); }) {
      EXPECT_EQ(description.stream_id(), wire::test::sample_of<Message>().stream_id.value());
    } else if constexpr (requires(Message m) { m.stream_id; }) {
      EXPECT_EQ(description.stream_id(), wire::test::sample_of<Message>().stream_id);
    } else {
      EXPECT_EQ(description.stream_id(), 0u);
    }
    EXPECT_EQ(to_text(description).find('\n'), std::string::npos);
  });
}

TEST(DescribeTest, GivesEachMessageItsPlane) {  // wire.md 2
  const auto plane = [](const auto& message) { return describe(wire::encode_new(message)).plane; };
  EXPECT_EQ(plane(wire::test::sample_of<wire::ShmPoolAnnounce>()), Plane::kAnnounce);
  EXPECT_EQ(plane(wire::test::sample_of<wire::FrameDescriptor>()), Plane::kDescriptor);
  EXPECT_EQ(plane(wire::test::sample_of<wire::FrameProgress>()), Plane::kControl);
  EXPECT_EQ(plane(wire::test::sample_of<wire::QosProducer>()), Plane::kQos);
  EXPECT_EQ(plane(wire::test::sample_of<wire::DataSourceMeta>()), Plane::kMetadata);
  EXPECT_EQ(plane(wire::test::sample_of<wire::ShmLeaseKeepalive>()), Plane::kControl);
  EXPECT_EQ(plane(wire::test::sample_of<wire::DiscoveryRequest>()), Plane::kDiscovery);
  EXPECT_EQ(plane(wire::test::sample_of<wire::DiscoveryResponse>()), Plane::kDiscovery);
  auto unknown = wire::encode_new(wire::test::sample_of<wire::DiscoveryRequest>());
  unknown[2] = std::byte{77};
  EXPECT_EQ(describe(unknown).status, Status::kUnknown);
  EXPECT_EQ(describe(unknown).plane, Plane::kDiscovery);
}

TEST(DescribeTest, ReadsBothDialectsOfADiscoveryRequest) {  // DS-8, DS-40
  wire::DiscoveryRequest request = wire::test::sample_of<wire::DiscoveryRequest>();
  request.data_source_name.clear();
  auto bytes = wire::encode_new(request);
  const Json ours = json_of(bytes);
  EXPECT_EQ(ours["tags"], Json::parse(R"([{"tag":"left"},{"tag":"raw"}])"));
  EXPECT_EQ(ours["dataSourceName"], "");
  bytes[wire::kMessageHeaderBytes + wire::DiscoveryRequest::kBlockLength] = std::byte{4};  // counts the tags' length words
  bytes.resize(bytes.size() - 4);                                                          // and leaves the unset name out
  Json theirs = json_of(bytes);
  EXPECT_EQ(theirs["status"], "ok");
  EXPECT_EQ(theirs["length"], bytes.size());
  theirs["length"] = ours["length"];
  EXPECT_EQ(theirs, ours);
}

TEST(DescribeTest, ShowsAbsentFiltersAsNullAndEachResultWhole) {  // DS-24, DS-28, issue 4 "listen"
  wire::DiscoveryRequest any;
  any.response_channel = "aeron:ipc";
  for (const char* filter : {"streamId", "producerId", "dataSourceId"}) EXPECT_TRUE(json_of(wire::encode_new(any))[filter].is_null());
  const auto response = wire::encode_new(wire::test::sample_of<wire::DiscoveryResponse>());
  const Json shown = json_of(response);
  ASSERT_EQ(shown["results"].size(), 2u);
  EXPECT_EQ(shown["results"][0]["payloadPools"].size(), 2u);
  EXPECT_EQ(shown["results"][0]["driverInstanceId"], "lab");
  EXPECT_EQ(shown["results"][0]["dataSourceId"], 17);
  EXPECT_TRUE(shown["results"][1]["dataSourceId"].is_null());
  EXPECT_TRUE(shown["results"][1]["tags"].empty());
  const Description description = describe(response);
  EXPECT_EQ(description.stream_id(), 0u) << "it is about two";
  EXPECT_TRUE(description.is_about(10001) && description.is_about(10002));
  EXPECT_FALSE(description.is_about(10003));
}

TEST(DescribeTest, ShowsNullsAsNullAndNeverAsTheirNumbers) {  // W-7
  wire::ShmAttachResponse no;
  no.code = wire::ResponseCode::rejected;
  no.error_message = "no";
  const Json refused = json_of(wire::encode_new(no));
  for (const char* field :
       {"leaseId", "leaseExpiryTimestampNs", "streamId", "epoch", "layoutVersion", "headerNslots", "headerSlotBytes", "nodeId"}) {
    EXPECT_TRUE(refused[field].is_null()) << field;
  }
  EXPECT_TRUE(json_of(wire::encode_new(wire::FrameDescriptor{}))["timestampNs"].is_null());
  EXPECT_TRUE(json_of(wire::encode_new(wire::QosProducer{}))["watermark"].is_null());
}

TEST(DescribeTest, ShowsWhatARequestSaysEvenIfItIsNone) {  // driver.md 5.2: requests arrive with any number
  wire::ShmAttachRequest request;
  request.role = 7;
  request.publish_mode = 9;
  const Json shown = json_of(wire::encode_new(request));
  EXPECT_EQ(shown["role"], 7);
  EXPECT_EQ(shown["publishMode"], 9);
  EXPECT_EQ(shown["requireHugepages"], "UNSPECIFIED");
}

TEST(DescribeTest, NeverShowsAToken) {  // driver.md 17
  const auto bytes = wire::encode_new(wire::test::sample_of<wire::ShmDriverShutdownRequest>());
  EXPECT_EQ(to_text(describe(bytes)).find("secret"), std::string::npos);
  EXPECT_EQ(to_json(describe(bytes)).find("secret"), std::string::npos);
  std::vector<std::byte> malformed(bytes.begin(), bytes.end() - 1);  // even its hex could hold one
  const Description cut = describe(malformed);
  ASSERT_EQ(cut.status, Status::kMalformed);
  EXPECT_EQ(to_json(cut).find("736563726574"), std::string::npos);
}

TEST(DescribeTest, EscapesWhatTerminalsObeyAndLosesNothing) {  // W-93
  wire::DataSourceAnnounce announce;
  announce.name = std::string("\x1b[2J\"\\\n\x80\xff\0", 10);
  const std::string text = to_text(describe(wire::encode_new(announce)));
  for (const char c : text) EXPECT_TRUE(c >= 0x20 && c < 0x7F) << int{c};
  const auto shown = json_of(wire::encode_new(announce))["name"].get<std::string>();
  EXPECT_EQ(shown, std::string("\x1b[2J\"\\\n\xc2\x80\xc3\xbf\0", 12));  // byte by byte, as code points
}

TEST(DescribeTest, ShowsAttributesAsTextIfTheyAreAndAsHexIfNot) {  // W-88
  const Json shown = json_of(wire::encode_new(wire::test::sample_of<wire::DataSourceMeta>()));
  EXPECT_EQ(shown["attributes"][0], (Json{{"key", "gain"}, {"format", "text/plain"}, {"value", "1.5"}}));
  EXPECT_EQ(shown["attributes"][1]["value"], (Json{{"length", 2}, {"hex", "00ff"}}));
}

TEST(DescribeTest, NamesForeignSchemasAndUnknownTemplatesAndShowsTheirHead) {  // W-4
  for (const Json& vector : golden()) {
    const int schema = vector.at("schema");
    if (is_described(schema)) continue;
    const auto bytes = bytes_of_hex(vector.at("hex").get<std::string>());
    const Description description = describe(bytes);
    EXPECT_EQ(description.status, Status::kUnknown);
    EXPECT_FALSE(description.schema.empty()) << schema;
    const Json shown = Json::parse(to_json(description));
    EXPECT_EQ(shown["schema"], schema);
    EXPECT_EQ(shown["template"], vector.at("template"));
    EXPECT_EQ(shown["length"], bytes.size());
    EXPECT_TRUE(vector.at("hex").get<std::string>().starts_with(shown["hex"].get<std::string>()));
  }
  auto bytes = wire::encode_new(wire::FrameDescriptor{});
  bytes[2] = std::byte{99};
  EXPECT_EQ(describe(bytes).status, Status::kUnknown);
  EXPECT_NE(describe(bytes).why.find("unknown template"), std::string::npos);
  bytes[4] = std::byte{1};
  bytes[5] = std::byte{0};
  EXPECT_EQ(describe(bytes).status, Status::kUnknown);
}

// What the samples of schema 910 end with: "cam1", "no error".
size_t last_text_bytes(const std::vector<std::byte>& bytes) {
  return describe(bytes).name == "DiscoveryRequest" ? 4 + 4 : 4 + 8;
}

TEST(DescribeTest, TellsNewerCutAndContradictoryMessagesApart) {  // W-5, W-6, W-9
  wire::test::for_each_message([](auto type) {
    using Message = typename decltype(type)::type;
    auto bytes = wire::encode_new(wire::test::sample_of<Message>());
    auto newer = bytes;
    newer[6] = std::byte{2};
    EXPECT_EQ(describe(newer).status, Status::kUnsupported);
    EXPECT_EQ(json_of(newer)["version"], 2);
    EXPECT_EQ(json_of(newer)["message"], std::string(describe(bytes).name));
    auto shorter_block = bytes;
    shorter_block[0] = std::byte{1};
    shorter_block[1] = std::byte{0};
    EXPECT_EQ(describe(shorter_block).status, Status::kMalformed);
    EXPECT_NE(describe(shorter_block).why.find("blockLength is 1"), std::string::npos);
    for (size_t length = 0; length < bytes.size(); ++length) {
      const wire::test::ExactCopy cut(Bytes(bytes).first(length));
      const Description description = describe(cut.bytes());
      if (description.status == Status::kMessage && wire::test::schema_of<Message>() == wire::kDiscoverySchemaId) {
        EXPECT_EQ(length, bytes.size() - last_text_bytes(bytes)) << "only a last text may be left out, with its length (DS-40)";
        continue;
      }
      EXPECT_EQ(description.status, length < wire::kMessageHeaderBytes ? Status::kRunt : Status::kMalformed) << length;
      EXPECT_FALSE(description.why.empty());
      EXPECT_TRUE(Json::accept(to_json(description))) << to_json(description);
    }
  });
  auto progress = wire::encode_new(wire::test::sample_of<wire::FrameProgress>());
  progress.back() = std::byte{9};
  EXPECT_EQ(describe(progress).status, Status::kMalformed);
}

TEST(DescribeTest, MakesOneLineOfAnyBytes) {  // W-6, W-92, P-15
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  std::vector<std::vector<std::byte>> seeds;
  for (const Json& vector : golden()) seeds.push_back(bytes_of_hex(vector.at("hex").get<std::string>()));
  for (int i = 0; i < 4'000; ++i) {
    auto bytes = seeds[random() % seeds.size()];
    for (uint64_t flips = random() % 8; flips > 0; --flips) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    bytes.resize(random() % 4 == 0 ? random() % (bytes.size() + 8) : bytes.size());
    const wire::test::ExactCopy copy(bytes);
    const Description description = describe(copy.bytes());
    const std::string json = to_json(description, {{"session_id", int64_t{-7}}});
    ASSERT_TRUE(Json::accept(json)) << json;
    ASSERT_EQ(json.find('\n'), std::string::npos);
    const std::string text = to_text(description);
    ASSERT_TRUE(std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; })) << text;
  }
}

TEST(DescribeTest, PutsWhereItWasHeardFirst) {
  const auto bytes = wire::encode_new(wire::FrameDescriptor{});
  const std::string json = to_json(describe(bytes), {{"plane", Symbol{"descriptor"}}, {"session_id", int64_t{-5}}});
  EXPECT_TRUE(json.starts_with(R"({"plane":"descriptor","session_id":-5,"message":"FrameDescriptor","status":"ok","schema":900,)"))
      << json;
}

}  // namespace
}  // namespace tidepool::control::describe_test

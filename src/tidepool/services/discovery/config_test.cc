#include "tidepool/services/discovery/config.h"

#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 takes the unused members of a variant that it moves for uninitialised ones.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sstream>
#include <string>

#include "tidepool/base/clock.h"
#include "tidepool/services/discovery/test_discovery.h"

namespace tidepool::discovery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// As much of TOML as these tests need ([a.b], [[a.b]], key = number, "text", true, ["a", "b"]), with the origins of a file.
ConfigValue tree(const std::string& text) {
  ConfigValue root(ConfigTable{}, "lab.toml");
  ConfigTable* at = root.as_table();
  std::istringstream lines(text);
  std::string line;
  const auto value_of = [](const std::string& word, const std::string& origin) -> ConfigValue {
    if (word == "true" || word == "false") return {word == "true", origin};
    if (word.front() == '"') return {word.substr(1, word.size() - 2), origin};
    return {static_cast<int64_t>(std::stoll(word)), origin};
  };
  for (int number = 1; std::getline(lines, line); ++number) {
    const std::string origin = "lab.toml:" + std::to_string(number);
    if (line.empty()) continue;
    if (line.front() == '[') {
      const bool array = line.starts_with("[[");
      std::string path = line.substr(array ? 2 : 1, line.size() - (array ? 4 : 2));
      at = root.as_table();
      for (;;) {
        const size_t dot = path.find('.');
        const std::string name = path.substr(0, dot);
        const bool last = dot == std::string::npos;
        auto found = at->entries.find(name);
        ConfigValue& made = found != at->entries.end() ? found->second
                                                       : at->add(name, array && last ? ConfigValue(ConfigArray{}, origin)
                                                                                     : ConfigValue(ConfigTable{}, origin));
        if (last && array) {
          auto items = *made.as_array();
          items.push_back(ConfigValue(ConfigTable{}, origin));
          made = ConfigValue(std::move(items), made.origin());
          // The element that the following keys belong to.
          at = const_cast<ConfigTable*>(made.as_array()->back().as_table());
        } else {
          at = made.as_table();
        }
        if (last) break;
        path = path.substr(dot + 1);
      }
      continue;
    }
    const size_t equals = line.find(" = ");
    const std::string key = line.substr(0, equals);
    std::string word = line.substr(equals + 3);
    if (word.front() != '[') {
      at->add(key, value_of(word, origin));
      continue;
    }
    ConfigArray items;
    std::istringstream words(word.substr(1, word.size() - 2));
    for (std::string item; std::getline(words, item, ',');)
      items.push_back(value_of(item.substr(item.find_first_not_of(' ')), origin));
    at->add(key, ConfigValue(std::move(items), origin));
  }
  return root;
}

Environment environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    const auto at = values.find(name);
    return at == values.end() ? std::nullopt : std::optional(at->second);
  };
}
LoadedDiscovery load(const std::string& text, std::map<std::string, std::string> variables = {}) {
  return load_discovery_config(tree(text), environment(std::move(variables)));
}
std::string faults(const std::string& text, std::map<std::string, std::string> variables = {}) {
  return load(text, std::move(variables)).error_text();
}
std::string warnings(const LoadedDiscovery& loaded) {
  std::string out;
  for (const auto& problem : loaded.problems) {
    if (!problem.fatal) out += problem.line() + "\n";
  }
  return out;
}

// What a service of its own needs, and nothing more.
const std::string kAlone =
    "[discovery]\n"
    "announce_channel = \"aeron:ipc?term-length=4m\"\n"
    "announce_stream_id = 1001\n"
    "driver_instance_id = \"lab-a\"\n"
    "driver_control_channel = \"aeron:ipc?term-length=4m\"\n"
    "driver_control_stream_id = 1000\n";
const std::string kDriver =
    "[driver]\n"
    "instance_id = \"lab\"\n"
    "control_stream_id = 1500\n"
    "announce_stream_id = 1501\n"
    "[policies]\n"
    "announce_period_ms = 200\n"
    "[profiles.small]\n"
    "[streams.cam1]\n";

TEST(DiscoveryConfigTest, AServiceOfItsOwnHasTheDocumentedDefaults) {  // CFG-17, P-11
  const LoadedDiscovery loaded = load(kAlone);
  ASSERT_TRUE(loaded.ok()) << loaded.error_text();
  const DiscoveryConfig& c = loaded.config;
  EXPECT_EQ(c.request, (Endpoint{"aeron:ipc?term-length=1m", 7000}));
  ASSERT_EQ(c.endpoints.size(), 1u);
  EXPECT_EQ(c.endpoints[0].instance_id, "lab-a");
  EXPECT_EQ(c.endpoints[0].announce, (Endpoint{"aeron:ipc?term-length=4m", 1001}));
  EXPECT_EQ(c.endpoints[0].metadata.stream_id, 0) << "off";
  EXPECT_EQ(c.endpoints[0].control_channel, "aeron:ipc?term-length=4m");
  EXPECT_EQ(c.endpoints[0].control_stream_id, 1000u);
  EXPECT_EQ(c.effective_expiry_ns(), 3 * kNsPerSecond);
  EXPECT_EQ(c.max_results, 1000u);
  EXPECT_EQ(c.response_buf_bytes, 65536u);
  EXPECT_EQ(c.max_tags_per_entry, 16);
  EXPECT_EQ(c.max_pools_per_entry, 16);
  EXPECT_EQ(c.response_linger_ms, 1000u);
  EXPECT_EQ(c.max_response_publications, 64u);
  EXPECT_EQ(c.response_publication_idle_ms, 60'000u);
  EXPECT_FALSE(c.answer_on_stream_zero);
  EXPECT_THAT(c.effective_allowed_channels(), ElementsAre("aeron:ipc"));
}

TEST(DiscoveryConfigTest, BothSpellingsAreTakenAndMayNotContradict) {  // CFG-17
  EXPECT_EQ(load(kAlone + "request_stream_id = 9000\n").config.request.stream_id, 9000);
  EXPECT_EQ(load(kAlone + "stream_id = 9000\nchannel = \"aeron:udp?endpoint=localhost:1\"\n").config.request,
            (Endpoint{"aeron:udp?endpoint=localhost:1", 9000}));
  EXPECT_EQ(load(kAlone + "stream_id = 9000\nrequest_stream_id = 9000\n").error_text(), "");
  EXPECT_THAT(faults(kAlone + "stream_id = 9000\nrequest_stream_id = 9001\n"),
              AllOf(HasSubstr("lab.toml:7: discovery.stream_id"), HasSubstr("discovery.request_stream_id (lab.toml:8)"),
                    HasSubstr("expected one of these spellings")));
  EXPECT_THAT(faults(kAlone + "channel = \"aeron:ipc\"\nrequest_channel = \"aeron:ipc?term-length=1m\"\n"),
              HasSubstr("discovery.channel"));
  // Over the other spelling of a weaker source there is nothing to agree on.
  EXPECT_EQ(load(kAlone + "request_stream_id = 9000\n", {{"DISCOVERY_STREAM_ID", "9002"}}).config.request.stream_id, 9002);
}

TEST(DiscoveryConfigTest, WhatIsMissingIsNamedWithItsTable) {  // CFG-17
  const std::string text = faults("[discovery]\nmax_results = 5\n");
  for (const char* key :
       {"driver_instance_id", "announce_channel", "announce_stream_id", "driver_control_channel", "driver_control_stream_id"}) {
    EXPECT_THAT(text, HasSubstr(std::string("lab.toml:1: discovery.") + key + " is missing: expected"));
  }
  EXPECT_THAT(faults("[discovery_registry]\nstream_id = 7000\n"), HasSubstr("lab.toml:1: discovery_registry has no endpoints"));
  EXPECT_THAT(faults("[discovery_registry]\n[[discovery_registry.endpoints]]\ndriver_instance_id = \"a\"\n"),
              HasSubstr("lab.toml:2: discovery_registry.endpoints[0].announce_channel is missing"));
}

TEST(DiscoveryConfigTest, ABadValueIsNamedWithFileLineAndWhatWasExpected) {  // CFG-17, CFG-1
  EXPECT_THAT(faults(kAlone + "max_results = 0\n"), HasSubstr("lab.toml:7: discovery.max_results is 0: expected 1 to 65534"));
  EXPECT_THAT(faults(kAlone + "max_results = -3\n"), HasSubstr("is -3: expected 1 to 65534"));
  EXPECT_THAT(faults(kAlone + "max_results = \"many\"\n"),
              HasSubstr("lab.toml:7: discovery.max_results is a value of type string: expected an integer"));
  EXPECT_THAT(faults(kAlone + "request_stream_id = 2147483648\n"), HasSubstr("is 2147483648: expected 1 to 2147483647"));
  EXPECT_THAT(faults(kAlone + "request_channel = \"ipc\"\n"),
              HasSubstr("discovery.request_channel is \"ipc\": expected an Aeron channel"));
  EXPECT_THAT(faults(kAlone + "request_channel = \"aeron-spy:aeron:ipc\"\n"), HasSubstr("no spy"));
  EXPECT_THAT(faults(kAlone + "answer_on_stream_zero = 1\n"), HasSubstr("expected true or false"));
  EXPECT_THAT(faults(kAlone + "allowed_response_channels = [\"udp\"]\n"), HasSubstr("expected beginnings of channels"));
  EXPECT_THAT(faults(kAlone + "max_pools_per_entry = 257\n"), HasSubstr("expected 1 to 256"));
  EXPECT_THAT(faults("[discovery]\n" + kAlone.substr(12) + "driver_instance_id = \"" + std::string(129, 'x') + "\"\n"),
              HasSubstr("has 129 bytes: expected 1 to 128"));
  EXPECT_THAT(
      faults("[discovery]\n" + kAlone.substr(12) + "driver_control_channel = \"aeron:ipc?alias=" + std::string(1010, 'x') + "\"\n"),
      HasSubstr("expected at most 1023"));
}

TEST(DiscoveryConfigTest, UnknownKeysAreSaidAndIgnored) {  // CFG-1
  const LoadedDiscovery loaded = load(kAlone + "max_result = 5\n");
  EXPECT_TRUE(loaded.ok());
  EXPECT_THAT(warnings(loaded), HasSubstr("lab.toml:7: discovery.max_result is unknown and ignored"));
}

TEST(DiscoveryConfigTest, TheEnvironmentGoesOverTheFileAndFlagsOverBoth) {  // CFG-1, P-12
  const auto loaded = load(kAlone + "max_results = 5\nannounce_period_ms = 2000\n", {{"DISCOVERY_MAX_RESULTS", "7"},
                                                                                     {"DISCOVERY_ANSWER_ON_STREAM_ZERO", "TRUE"},
                                                                                     {"DISCOVERY_EXPIRY_NS", ""},
                                                                                     {"AERON_DIR", "/a"}});
  ASSERT_TRUE(loaded.ok()) << loaded.error_text();
  EXPECT_EQ(loaded.config.max_results, 7u);
  EXPECT_TRUE(loaded.config.answer_on_stream_zero);
  EXPECT_EQ(loaded.config.effective_expiry_ns(), 6 * kNsPerSecond);
  EXPECT_EQ(loaded.config.aeron_dir, "/a");
  EXPECT_EQ(loaded.origins.at("discovery.max_results"), "environment DISCOVERY_MAX_RESULTS");
  EXPECT_THAT(faults(kAlone, {{"DISCOVERY_MAX_RESULTS", "x"}}),
              HasSubstr("environment DISCOVERY_MAX_RESULTS: discovery.max_results is \"x\": expected a decimal number"));
  ConfigValue root = tree(kAlone);
  root.as_table()->entries.at("discovery").as_table()->add("request_stream_id", ConfigValue(int64_t{5}, "--discovery-stream"));
  EXPECT_EQ(load_discovery_config(root, environment({{"DISCOVERY_STREAM_ID", "6"}, {"DISCOVERY_REQUEST_STREAM_ID", "7"}}))
                .config.request.stream_id,
            5);
}

TEST(DiscoveryConfigTest, AnExplicitExpiryWinsAndZeroIsOne) {  // CFG-17
  EXPECT_EQ(load(kAlone + "expiry_ns = 5\nannounce_period_ms = 100\n").config.effective_expiry_ns(), 5u);
  EXPECT_EQ(load(kAlone + "expiry_ns = 0\n").config.effective_expiry_ns(), 0u);
  EXPECT_EQ(load(kAlone + "announce_period_ms = 0\n").config.effective_expiry_ns(), 3 * kNsPerSecond);
  EXPECT_EQ(load(kAlone + "response_buf_bytes = 0\n").config.response_buf_bytes, 65536u);
}

TEST(DiscoveryConfigTest, MetadataIsOffByAnEmptyChannelOrAStreamOfZero) {  // CFG-17
  EXPECT_EQ(load(kAlone + "metadata_stream_id = 1300\n").config.endpoints[0].metadata,
            (Endpoint{"aeron:ipc?term-length=4m", 1300}));
  EXPECT_EQ(load(kAlone + "metadata_stream_id = 1300\nmetadata_channel = \"\"\n").config.endpoints[0].metadata.stream_id, 0);
  EXPECT_EQ(load(kAlone + "metadata_stream_id = 0\nmetadata_channel = \"aeron:ipc\"\n").config.endpoints[0].metadata.stream_id, 0);
  EXPECT_THAT(warnings(load(kAlone + "metadata_channel = \"aeron:ipc\"\n")), HasSubstr("discovery.metadata_stream_id is missing"));
}

TEST(DiscoveryConfigTest, BesideADriverTheDriversEndpointsStandIn) {  // CFG-17, P-11
  for (const std::string& text : {kDriver, kDriver + "[discovery]\nmax_results = 5\n"}) {
    const LoadedDiscovery loaded = load(text);
    ASSERT_TRUE(loaded.ok()) << loaded.error_text();
    EXPECT_EQ(loaded.config.request.stream_id, 7000);
    ASSERT_EQ(loaded.config.endpoints.size(), 1u);
    const DriverEndpoint& endpoint = loaded.config.endpoints[0];
    EXPECT_EQ(endpoint.instance_id, "lab");
    EXPECT_EQ(endpoint.announce, (Endpoint{"aeron:ipc?term-length=4m", 1501}));
    EXPECT_EQ(endpoint.metadata, (Endpoint{"aeron:ipc?term-length=4m", 1300}));
    EXPECT_EQ(endpoint.control_stream_id, 1500u);
    EXPECT_EQ(loaded.config.effective_expiry_ns(), 600 * kNsPerMs);
  }
  const DriverEndpoint moved =
      load(kDriver + "[discovery]\nannounce_stream_id = 1600\nmetadata_stream_id = 0\n").config.endpoints[0];
  EXPECT_EQ(moved.announce.stream_id, 1600);
  EXPECT_EQ(moved.metadata.stream_id, 0);
  EXPECT_EQ(load("").config.endpoints.at(0).control_stream_id, 1000u)
      << "without any file: the driver that tidepool driver is by default";
  EXPECT_THAT(faults("[driver]\ncontrol_stream_id = \"x\"\n"),
              HasSubstr("lab.toml:2: driver.control_stream_id is a value of type string"));
}

TEST(DiscoveryConfigTest, ADriverTableOfADirectoryAloneIsNoDriver) {  // config.md 4.1: a standalone C file
  const LoadedDiscovery loaded = load("[driver]\naeron_dir = \"/dev/shm/lab\"\n" + kAlone);
  EXPECT_TRUE(loaded.ok()) << loaded.error_text();
  EXPECT_EQ(loaded.config.aeron_dir, "/dev/shm/lab");
  EXPECT_THAT(faults("[driver]\naeron_dir = \"/dev/shm/lab\"\n[discovery]\nmax_results = 5\n"),
              HasSubstr("discovery.announce_channel is missing"));
}

const std::string kRegistry =
    "[discovery_registry]\n"
    "stream_id = 7000\n"
    "[[discovery_registry.endpoints]]\n"
    "driver_instance_id = \"a\"\n"
    "announce_channel = \"aeron:ipc\"\n"
    "announce_stream_id = 1001\n"
    "driver_control_channel = \"aeron:ipc\"\n"
    "driver_control_stream_id = 1000\n"
    "[[discovery_registry.endpoints]]\n"
    "driver_instance_id = \"b\"\n"
    "announce_channel = \"aeron:ipc\"\n"
    "announce_stream_id = 2001\n"
    "driver_control_channel = \"aeron:ipc\"\n"
    "driver_control_stream_id = 2000\n";

TEST(DiscoveryConfigTest, ARegistryHasAnEndpointForEachDriver) {  // CFG-17, DS-10
  const LoadedDiscovery loaded = load(kRegistry, {{"DISCOVERY_REGISTRY_MAX_RESULTS", "12"}});
  ASSERT_TRUE(loaded.ok()) << loaded.error_text();
  ASSERT_EQ(loaded.config.endpoints.size(), 2u);
  EXPECT_EQ(loaded.config.endpoints[1].instance_id, "b");
  EXPECT_EQ(loaded.config.endpoints[1].control_stream_id, 2000u);
  EXPECT_EQ(loaded.config.max_results, 12u);
  std::string twice = kRegistry;
  twice.replace(twice.find("\"b\""), 3, "\"a\"");
  EXPECT_THAT(faults(twice), HasSubstr("lab.toml:10: discovery_registry.endpoints[1].driver_instance_id is \"a\" again"));
  std::string shared = kRegistry;
  shared.replace(shared.find("2001"), 4, "1001");
  EXPECT_THAT(faults(shared),
              HasSubstr("lab.toml:12: discovery_registry.endpoints[1].announce_stream_id is 1001 on the channel of endpoints[0]"));
  EXPECT_THAT(faults(kRegistry + kAlone), HasSubstr("is beside [discovery]"));
}

TEST(DiscoveryConfigTest, TagsAndHiddenStreamsAreConfigured) {  // DS-19, DS-20, CFG-17
  const std::string stream = "[[discovery.streams]]\nstream_id = 10000\n";
  const LoadedDiscovery loaded = load(kAlone + stream + "tags = [\"left\", \"Raw\"]\ndata_source_id = 17\nvisible = false\n");
  ASSERT_TRUE(loaded.ok()) << loaded.error_text();
  ASSERT_EQ(loaded.config.streams.size(), 1u);
  EXPECT_EQ(loaded.config.streams[0].instance_id, "lab-a");
  EXPECT_THAT(loaded.config.streams[0].tags, ElementsAre("left", "Raw"));
  EXPECT_EQ(loaded.config.streams[0].data_source_id, 17u);
  EXPECT_FALSE(loaded.config.streams[0].visible);
  EXPECT_THAT(faults(kAlone + stream + "tags = [\"" + std::string(65, 't') + "\"]\n"),
              AllOf(HasSubstr("lab.toml:9"), HasSubstr("of 65 bytes: expected 1 to 64")));
  EXPECT_THAT(faults(kAlone + "max_tags_per_entry = 1\n" + stream + "tags = [\"a\", \"b\"]\n"),
              HasSubstr("has 2 tags: expected at most max_tags_per_entry, 1"));
  EXPECT_THAT(faults(kAlone + stream + stream), HasSubstr("streams[1].stream_id is 10000 again"));
  EXPECT_THAT(faults(kAlone + "[[discovery.streams]]\ntags = [\"a\"]\n"),
              HasSubstr("lab.toml:7: discovery.streams[0].stream_id is missing"));
  EXPECT_THAT(faults(kRegistry + "[[discovery_registry.streams]]\nstream_id = 5\n"),
              HasSubstr("lab.toml:15: discovery_registry.streams[0].driver_instance_id is missing"));
  EXPECT_THAT(faults(kRegistry + "[[discovery_registry.streams]]\nstream_id = 5\ndriver_instance_id = \"c\"\n"),
              HasSubstr("expected that of an endpoint"));
}

TEST(DiscoveryConfigTest, RequestsWhereTheDriverTakesAttachesAreWarnedOf) {  // discovery.md 8, disagreement 15
  const LoadedDiscovery loaded = load(kAlone + "request_stream_id = 1000\n");
  EXPECT_TRUE(loaded.ok());
  EXPECT_THAT(warnings(loaded), HasSubstr("takes attach requests: some clients refuse that"));
  EXPECT_THAT(warnings(load(kAlone)), Not(HasSubstr("attach requests")));
}

TEST(DiscoveryConfigTest, OneEndpointIsTheSameStreamOnTheSameMedium) {  // DS-10
  EXPECT_TRUE(same_endpoint({"aeron:ipc", 5}, {"aeron:ipc?term-length=1m", 5}));
  EXPECT_FALSE(same_endpoint({"aeron:ipc", 5}, {"aeron:ipc", 6}));
  EXPECT_TRUE(same_endpoint({"aeron:udp?endpoint=h:1", 5}, {"aeron:udp?mtu=1408|endpoint=h:1", 5}));
  EXPECT_FALSE(same_endpoint({"aeron:udp?endpoint=h:1", 5}, {"aeron:udp?endpoint=h:2", 5}));
  EXPECT_FALSE(same_endpoint({"aeron:udp?endpoint=h:1", 5}, {"aeron:ipc", 5}));
}

TEST(DiscoveryConfigTest, TheSchemasVersionIsAConstant) {  // DS-4, disagreement 16
  EXPECT_EQ(wire::kSchemaVersion, 1);
  EXPECT_EQ(wire::kDiscoverySchemaId, 910);
}

}  // namespace
}  // namespace tidepool::discovery

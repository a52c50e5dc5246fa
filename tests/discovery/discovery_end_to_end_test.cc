// Every role a process of its own, one media driver for all: who announces a name is found by it, from the command line and from a
// program, and attached to.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/cli/child.h"
#include "tidepool/client.h"
#include "tidepool/transport/test_media_driver.h"

namespace tidepool {
namespace {

using cli::Child;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using transport::testing::poll_until;

struct Answered {
  int exit = -1;
  json object;
  std::string complaints;
};

class DiscoveryEndToEndTest : public ::testing::Test {
 protected:
  // A driver's file: its own namespace, control stream and metadata stream; one stream.
  std::string write_driver_file(const std::string& instance, int control_stream, int stream_id, const std::string& more = {}) {
    const std::string path = dir_.path() + "/" + instance + ".toml";
    std::filesystem::create_directories(dir_.path() + "/pools");
    std::ofstream(path) << "[driver]\ninstance_id = \"" << instance << "\"\naeron_dir = \"" << dir_.aeron()
                        << "\"\ncontrol_stream_id = " << control_stream << "\n[shm]\nbase_dir = \"" << dir_.path()
                        << "/pools\"\nnamespace = \"" << instance
                        << "\"\n[policies]\nannounce_period_ms = 300\n[profiles.small]\nheader_nslots = 16\n"
                        << "payload_pools = [{ pool_id = 1, stride_bytes = 4096 }]\n[streams.camera]\nstream_id = " << stream_id
                        << "\nprofile = \"small\"\n"
                        << more;
    return path;
  }
  Child start(std::vector<std::string> args) {
    args.insert(args.begin(), TIDEPOOL_BINARY);
    return Child::start(args, {.capture_errors = true});
  }
  Child start_until_ready(const std::vector<std::string>& args) {
    Child child = start(args);
    std::string line;
    while (child.read_line(line, 60'000)) {
      if (line.find("\"ready\"") != std::string::npos) return child;
    }
    ADD_FAILURE() << args[0] << " does not start: " << child.complaints();
    return child;
  }
  Child start_producer(const std::string& file) {
    return start({"publish", "--config", file, "--stream", "camera", "--name", "cam1", "--pattern", "check", "--shape", "512",
                  "--rate", "200", "--wait"});
  }
  Answered query(std::vector<std::string> args) {
    args.insert(args.begin(), {"discovery", "query"});
    args.insert(args.end(), {"--json", "--aeron-dir", dir_.aeron(), "--timeout-ms", "30000", "--retry-ms", "200"});
    Child child = start(args);
    Answered out;
    std::string line, last;
    while (child.read_line(line, 60'000)) last = line;
    out.complaints = child.complaints();
    out.exit = child.wait();
    out.object = json::parse(last, nullptr, false);
    return out;
  }
  // Ask until the exit code is this one.
  Answered query_until(int exit, const std::vector<std::string>& args) {
    Answered out;
    const uint64_t give_up_ns = monotonic_ns() + 60 * kNsPerSecond;
    while ((out = query(args)).exit != exit && monotonic_ns() < give_up_ns) {
    }
    EXPECT_EQ(out.exit, exit) << out.object << " " << out.complaints;
    return out;
  }
  void TearDown() override {
    for (Child& child : children_) child = Child();
  }

  transport::testing::TestDir dir_;
  transport::MediaDriver media_{transport::testing::driver_options(dir_.aeron())};
  std::vector<Child> children_;
};

TEST_F(DiscoveryEndToEndTest, AStreamIsFoundByTheNameThatItsProducerAnnounces) {  // P-11, DS-1, DS-5, DS-11, DS-18, DS-41
  const std::string file =
      write_driver_file("lab", 1600, 10000, "[[discovery.streams]]\nstream_id = 10000\ntags = [\"left\"]\ndata_source_id = 17\n");
  Child driver = start_until_ready({"driver", "--config", file, "--json"});
  Child service = start_until_ready({"discovery", "serve", "--config", file, "--json"});
  Child producer = start_producer(file);

  const Answered found = query_until(0, {"cam1"});
  ASSERT_EQ(found.exit, 0);
  ASSERT_EQ(found.object["results"].size(), 1u) << found.object;
  EXPECT_EQ(found.object["status"], "OK");
  const json result = found.object["results"][0];
  EXPECT_EQ(result["stream_id"], 10000);
  EXPECT_EQ(result["data_source_name"], "cam1");
  EXPECT_EQ(result["driver_instance_id"], "lab");
  EXPECT_EQ(result["driver_control_channel"], "aeron:ipc?term-length=4m");
  EXPECT_EQ(result["driver_control_stream_id"], 1600);
  EXPECT_EQ(result["header_nslots"], 16);
  EXPECT_EQ(result["header_slot_bytes"], 256);
  EXPECT_EQ(result["max_dims"], 8);
  EXPECT_EQ(result["data_source_id"], 17);
  EXPECT_EQ(result["tags"], json({"left"}));
  EXPECT_EQ(result["pools"].size(), 1u);
  EXPECT_EQ(result["pools"][0]["stride_bytes"], 4096);
  EXPECT_THAT(result["header_region_uri"].get<std::string>(), StartsWith("shm:file?path=" + dir_.path()));
  query_until(0, {"--tag", "left", "--stream-id", "10000"});
  EXPECT_EQ(query({"cam1", "--tag", "right"}).exit, 3);

  // A program that knows neither the driver's control stream nor its metadata stream, only the name.
  ClientOptions options;
  options.aeron_dir = dir_.aeron();
  options.metadata.stream_id = 1999;
  options.map_policy.allowed_base_dirs = {dir_.path()};
  options.attach_timeout_ms = 60'000;
  options.announce_period_ms = 100;
  Client client = Client::connect(options);
  Consumer consumer = client.consumer({.stream = "cam1"});
  EXPECT_EQ(consumer.stream_id(), 10000u);
  ASSERT_TRUE(poll_until([&] { return consumer.poll() == PollResult::kFrame; }));
  EXPECT_EQ(consumer.frame().bytes().size(), 512u);

  service.signal(SIGTERM);
  std::string line, last;
  while (service.read_line(line, 60'000)) last = line;
  EXPECT_EQ(service.wait(), 0);
  const json summary = json::parse(last, nullptr, false);
  EXPECT_GE(summary["answers"]["OK"], 3) << last;
  EXPECT_EQ(summary["responses"]["failed"], 0) << last;
}

TEST_F(DiscoveryEndToEndTest, AKilledDriversStreamsGoAndARestartedOnesComeBack) {  // DS-13, DS-15, DS-16
  const std::string file = write_driver_file("lab", 1600, 10000);
  Child driver = start_until_ready({"driver", "--config", file, "--json"});
  const Child service = start_until_ready({"discovery", "serve", "--config", file, "--json"});
  const Child producer = start_producer(file);  // a driver announces what somebody has attached to; it attaches again by itself
  const Answered before = query_until(0, {"--stream-id", "10000"});
  ASSERT_EQ(before.exit, 0);
  driver.signal(SIGKILL);
  (void)driver.wait();
  const Answered gone = query_until(3, {"--stream-id", "10000"});
  EXPECT_EQ(gone.object["status"], "OK");
  EXPECT_TRUE(gone.object["results"].empty());
  driver = start_until_ready({"driver", "--config", file, "--json"});
  const Answered after = query_until(0, {"--stream-id", "10000"});
  ASSERT_EQ(after.exit, 0);
  EXPECT_NE(after.object["results"][0]["epoch"], before.object["results"][0]["epoch"]);
}

TEST_F(DiscoveryEndToEndTest, ARegistryServesTwoDriversThatHaveTheSameStream) {  // DS-3, DS-10, CFG-17
  const std::string file_a = write_driver_file("lab-a", 1600, 10000);
  const std::string file_b = write_driver_file("lab-b", 2600, 10000);
  const Child a = start_until_ready({"driver", "--config", file_a, "--json"});
  const Child b = start_until_ready({"driver", "--config", file_b, "--json"});
  const Child producer_a = start_producer(file_a);
  const Child producer_b = start_producer(file_b);
  const std::string file = dir_.path() + "/registry.toml";
  std::ofstream out(file);
  out << "[driver]\naeron_dir = \"" << dir_.aeron() << "\"\n[discovery_registry]\nannounce_period_ms = 300\n";
  for (const auto& [instance, stream] : {std::pair{"lab-a", 1600}, std::pair{"lab-b", 2600}}) {
    out << "[[discovery_registry.endpoints]]\ndriver_instance_id = \"" << instance
        << "\"\nannounce_channel = \"aeron:ipc?term-length=4m\"\nannounce_stream_id = " << stream
        << "\ndriver_control_channel = \"aeron:ipc?term-length=4m\"\ndriver_control_stream_id = " << stream << "\n";
  }
  out.close();
  const Child service = start_until_ready({"discovery", "serve", "--config", file, "--json"});
  Answered answered;
  const uint64_t give_up_ns = monotonic_ns() + 60 * kNsPerSecond;
  do {
    answered = query_until(0, {});
  } while (answered.object["results"].size() < 2 && monotonic_ns() < give_up_ns);
  ASSERT_EQ(answered.object["results"].size(), 2u) << answered.object;
  EXPECT_EQ(answered.object["results"][0]["driver_instance_id"], "lab-a");
  EXPECT_EQ(answered.object["results"][0]["driver_control_stream_id"], 1600);
  EXPECT_EQ(answered.object["results"][1]["driver_instance_id"], "lab-b");
  EXPECT_EQ(answered.object["results"][1]["driver_control_stream_id"], 2600);
}

TEST_F(DiscoveryEndToEndTest, WithoutAServiceAQuestionFailsAndSaysWhatToStart) {  // DS-42
  Child child = start({"discovery", "query", "--aeron-dir", dir_.aeron(), "--timeout-ms", "200", "--json"});
  std::string line;
  ASSERT_TRUE(child.read_line(line, 60'000));
  EXPECT_EQ(json::parse(line, nullptr, false)["error"]["code"], "timeout");
  while (child.read_line(line, 60'000)) {
  }
  EXPECT_THAT(child.complaints(), HasSubstr("no discovery service answered within 200 ms"));
  EXPECT_EQ(child.wait(), 1);
}

}  // namespace
}  // namespace tidepool

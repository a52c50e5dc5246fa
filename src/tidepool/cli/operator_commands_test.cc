// streams, listen, leases and gc beside real processes that live, and that were killed (issue 4, operations.md 12).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "tidepool/cli/test_lab.h"
#include "tidepool/pool/epoch_names.h"
#include "tidepool/transport/connection.h"
#include "tidepool/wire/messages.h"
#include "tidepool/wire/test_messages.h"

namespace tidepool::cli::operator_commands_test {
namespace {

namespace fs = std::filesystem;
using namespace test;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

std::vector<json> lines_of(const Ran& ran) {
  std::vector<json> out;
  for (size_t at = 0; at < ran.out.size();) {
    const size_t end = std::min(ran.out.find('\n', at), ran.out.size());
    out.push_back(json::parse(ran.out.substr(at, end - at), nullptr, false));
    EXPECT_TRUE(out.back().is_object()) << ran.out.substr(at, end - at);
    at = end + 1;
  }
  return out;
}

class OperatorCommandsTest : public ::testing::Test {
 protected:
  WithEnvironment log_{"TIDEPOOL_LOG", "error"}, aeron_{"AERON_DIR", nullptr};
  Lab lab_;

  Ran streams(std::vector<std::string> more = {}) const {
    std::vector<std::string> args = {"streams", "--shm-dir", lab_.dir(), "--json"};
    args.insert(args.end(), more.begin(), more.end());
    return lab_.run(args);
  }
  json only_stream(std::vector<std::string> more = {}) const {
    const Ran ran = streams(std::move(more));
    EXPECT_EQ(ran.exit, 0) << ran.err;
    const json all = ran.json()["streams"];
    EXPECT_EQ(all.size(), 1u) << all;
    return all.empty() ? json() : all[0];
  }
  json leases(std::vector<std::string> more = {}) const {
    std::vector<std::string> args = {"leases", "--shm-dir", lab_.dir(), "--json"};
    args.insert(args.end(), more.begin(), more.end());
    const Ran ran = lab_.run(args);
    EXPECT_EQ(ran.exit, 0) << ran.err;
    return ran.json();
  }
  json gc(std::vector<std::string> more = {}) const {
    std::vector<std::string> args = {"gc", "--base-dir", lab_.dir(), "--json", "--min-age", "0", "--keep", "0"};
    args.insert(args.end(), more.begin(), more.end());
    const Ran ran = run_process(args);
    EXPECT_EQ(ran.exit, 0) << ran.err;
    return ran.json();
  }
  static std::map<std::string, std::string> actions(const json& report) {
    std::map<std::string, std::string> out;
    for (const json& entry : report["entries"]) out[entry["path"]] = entry["action"];
    return out;
  }
};

// ---- streams ---------------------------------------------------------------------------------------------------------------

TEST_F(OperatorCommandsTest, StreamsShowsWhatLivesWithItsOwnerRateAndName) {  // issue 4, P-7, R-25
  const auto driver = lab_.start_driver();
  const auto publisher = lab_.start_publisher({"--pattern", "check", "--shape", "32,32", "--rate", "200", "--name", "camera one"});
  const auto subscriber = lab_.start({"subscribe", "--stream", "10000", "--quiet"});
  json stream;
  ASSERT_TRUE(eventually([&] {
    stream = only_stream({"--for", "1.5"});
    return stream["announced"].is_object() && !stream["name"].is_null() && !stream["consumers"].empty();
  })) << stream;
  EXPECT_EQ(stream["stream_id"], 10000);
  EXPECT_EQ(stream["state"], "live");
  EXPECT_EQ(stream["name"], "camera one");
  EXPECT_EQ(stream["nslots"], 64);
  EXPECT_EQ(stream["pools"], json::parse(R"([{"pool_id":1,"stride_bytes":4096}])"));
  EXPECT_EQ(stream["namespace"], "lab");
  EXPECT_EQ(stream["driver"]["pid"], driver->pid());
  EXPECT_EQ(stream["driver"]["text"], "driver lab");
  EXPECT_EQ(stream["announced"]["epoch"], stream["epoch"]);
  EXPECT_NE(stream["announced"]["producer_id"], 0);
  EXPECT_GT(stream["newest_seq"], 0);
  EXPECT_GT(stream["rate_hz"].get<double>(), 1.0);
  EXPECT_LT(stream["activity_age_ms"], 60'000);
  EXPECT_GE(stream["bytes"], 64 * 4096);
  EXPECT_EQ(stream["consumers"].size(), 1u);
  EXPECT_EQ(stream["epochs"].back()["owner_alive"], true);

  const Ran text = lab_.run({"streams", "--shm-dir", lab_.dir()});
  EXPECT_EQ(text.exit, 0);
  EXPECT_THAT(text.out, AllOf(HasSubstr("10000"), HasSubstr("live"), HasSubstr("64 x 4.0 KiB"), HasSubstr("driver lab pid")));
}

TEST_F(OperatorCommandsTest, StreamsWorksWithoutAeronAndTellsTheDeadFromTheLiving) {  // R-01, R-25, P-7
  EXPECT_TRUE(streams({"--no-aeron", "--for", "0"}).json()["streams"].empty());
  const auto driver = lab_.start_driver();
  const auto publisher = lab_.start_publisher();
  const json live = only_stream({"--no-aeron", "--for", "0"});
  EXPECT_EQ(live["state"], "live");
  EXPECT_TRUE(live["announced"].is_null());
  driver->kill();
  // The producer writes on for a while: nobody owns it any more, but it is not dead either.
  EXPECT_EQ(only_stream({"--no-aeron", "--for", "0"})["state"], "orphaned");
  EXPECT_TRUE(only_stream({"--no-aeron", "--for", "0"})["driver"].is_null());
  const auto ended = publisher->end(SIGKILL);
  json dead;
  ASSERT_TRUE(eventually([&] { return (dead = only_stream({"--no-aeron", "--for", "0"}))["state"] == "dead"; })) << dead;
  EXPECT_EQ(dead["epochs"].back()["pid_runs"], false);
  EXPECT_EQ(dead["epochs"].back()["pid"], live["epochs"].back()["pid"]);
  EXPECT_EQ(dead["media_driver"], json());
}

TEST_F(OperatorCommandsTest, StreamsWithoutAMediaDriverLooksAtSharedMemoryAlone) {
  const Ran ran = streams({"--for", "0"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.json()["media_driver"]["alive"], false);
  EXPECT_EQ(run_process({"streams", "--shm-dir", lab_ / "nowhere", "--no-aeron"}).exit, 1);
}

// ---- leases ----------------------------------------------------------------------------------------------------------------

TEST_F(OperatorCommandsTest, LeasesAreToldByTheDriverAndHeardFromTheirHolders) {  // operations.md 12, decision 0009
  const auto driver = lab_.start_driver();
  EXPECT_TRUE(leases()["leases"].empty());
  const auto publisher = lab_.start_publisher();
  const auto subscriber = lab_.start({"subscribe", "--stream", "10000", "--follow", "ring", "--quiet"});
  json report;
  ASSERT_TRUE(eventually([&] { return (report = leases())["leases"].size() == 2; })) << report;
  EXPECT_EQ(report["listened"], false);
  EXPECT_EQ(report["drivers"][0]["pid"], driver->pid());
  EXPECT_EQ(report["drivers"][0]["instance_id"], "lab");
  const json producer = report["leases"][0], consumer = report["leases"][1];
  EXPECT_EQ(producer["role"], "producer");
  EXPECT_EQ(consumer["role"], "consumer");
  EXPECT_EQ(producer["source"], "driver");
  EXPECT_EQ(producer["epoch"], consumer["epoch"]);
  EXPECT_GT(producer["expires_in_ms"], -60'000);
  EXPECT_LE(producer["expires_in_ms"], 3000);

  // The same leases, by their keepalives: as of a driver that tells nothing.
  std::set<uint64_t> told = {producer["lease_id"], consumer["lease_id"]}, heard;
  ASSERT_TRUE(eventually([&] {
    const Ran ran = lab_.run({"leases", "--shm-dir", fs::path(lab_.aeron_dir()).string(), "--for", "1.5", "--json"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    const json report_heard = ran.json();
    for (const json& lease : report_heard["leases"]) {
      EXPECT_EQ(lease["source"], "heard");
      EXPECT_TRUE(lease["driver"].is_null());
      heard.insert(lease["lease_id"].get<uint64_t>());
    }
    return heard == told;
  }));
  EXPECT_EQ(leases({"--stream", "4711"})["leases"].size(), 0u);

  const Ran text = lab_.run({"leases", "--shm-dir", lab_.dir()});
  EXPECT_THAT(text.out, AllOf(HasSubstr("driver lab"), HasSubstr("2 leases"), HasSubstr("producer"), HasSubstr("consumer")));

  EXPECT_EQ(subscriber->end(SIGINT).exit, 0);
  ASSERT_TRUE(eventually([&] { return leases()["leases"].size() == 1; })) << "a detached lease is none";
}

TEST_F(OperatorCommandsTest, LeasesOfADeadDriverAreVoid) {  // driver.md 14
  const auto driver = lab_.start_driver();
  const auto publisher = lab_.start_publisher();
  ASSERT_TRUE(eventually([&] { return leases()["leases"].size() == 1; }));
  driver->kill();
  const Ran ran = lab_.run({"leases", "--shm-dir", lab_.dir(), "--json", "--for", "0.01"});
  const json report = ran.json();
  for (const json& lease : report["leases"]) EXPECT_EQ(lease["source"], "heard");  // nobody told any
  EXPECT_EQ(ran.json()["drivers"][0]["alive"], false);
  EXPECT_THAT(ran.json()["drivers"][0]["problem"].get<std::string>(), HasSubstr("is gone"));
}

TEST_F(OperatorCommandsTest, LeasesSaysWhenNobodyCanBeAsked) {
  const Ran ran = lab_.run({"leases", "--shm-dir", lab_.dir(), "--json"});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_TRUE(ran.json()["leases"].empty());
  expect_one_clear_error(ran, "no media driver");
}

// ---- listen ----------------------------------------------------------------------------------------------------------------

TEST_F(OperatorCommandsTest, ListenShowsEveryPlaneOfALiveDeployment) {  // issue 4, W-4
  const auto driver = lab_.start_driver();
  const auto listener = lab_.start({"listen", "--json"});
  const auto publisher = lab_.start_publisher({"--pattern", "check", "--shape", "32,32", "--rate", "50", "--name", "camera one"});
  const auto subscriber = lab_.start({"subscribe", "--stream", "10000", "--quiet"});
  for (const char* message : {"ShmPoolAnnounce", "ShmLeaseKeepalive", "ShmAttachResponse", "ConsumerHello", "FrameDescriptor",
                              "QosProducer", "QosConsumer", "DataSourceAnnounce", "DataSourceMeta"}) {
    EXPECT_TRUE(listener->wait_for_out(concat("\"message\":\"", message, "\""))) << message;
  }
  const Ran ran = listener->end(SIGINT);
  EXPECT_EQ(ran.exit, 0) << ran.err;
  const auto lines = lines_of(ran);
  ASSERT_GT(lines.size(), 9u);
  const json summary = lines.back();
  EXPECT_EQ(summary["messages"], lines.size() - 1);
  EXPECT_EQ(summary["malformed"], 0);
  EXPECT_EQ(summary["unknown"], 0);
  for (size_t i = 0; i + 1 < lines.size(); ++i) {
    EXPECT_EQ(lines[i]["status"], "ok") << lines[i];
    EXPECT_TRUE(lines[i]["session_id"].is_number_integer());
    if (lines[i]["message"] == "FrameDescriptor") {
      EXPECT_EQ(lines[i]["streamId"], 10000);
      EXPECT_EQ(lines[i]["plane"], "descriptor");
      EXPECT_EQ(lines[i]["aeron_stream_id"], 1100);
    }
  }
}

TEST_F(OperatorCommandsTest, ListenFiltersByPlaneStreamAndCount) {
  const auto driver = lab_.start_driver();
  const auto publisher = lab_.start_publisher();
  // Announces share control's Aeron stream here: keepalives on it are not announces.
  const Ran announces = lab_.run({"listen", "--plane", "announce", "--count", "2", "--for", "25", "--json"});
  EXPECT_EQ(announces.exit, 0) << announces.err;
  const auto lines = lines_of(announces);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["message"], "ShmPoolAnnounce");
  EXPECT_EQ(lines[1]["message"], "ShmPoolAnnounce");

  const Ran text = lab_.run({"listen", "--plane", "descriptor", "--stream", "10000", "--count", "3", "--for", "25"});
  EXPECT_EQ(text.exit, 0);
  EXPECT_EQ(std::count(text.out.begin(), text.out.end(), '\n'), 3);
  EXPECT_THAT(text.out, AllOf(HasSubstr("FrameDescriptor streamId=10000"), HasSubstr("1100/")));

  const Ran none = lab_.run({"listen", "--stream", "4711", "--for", "0.2", "--json"});
  EXPECT_EQ(none.exit, 3);
  EXPECT_EQ(none.json()["messages"], 0);
}

TEST_F(OperatorCommandsTest, ListenShowsWhoAsksDiscoveryAndWhatIsAnswered) {  // DS-4, DS-7, issue 4
  const auto driver = lab_.start_driver();
  const auto publisher = lab_.start_publisher();
  const auto service = lab_.start({"discovery", "serve", "--json"});
  ASSERT_TRUE(service->wait_for_out("\"event\":\"ready\"")) << service->err();
  const auto listener = lab_.start({"listen", "--plane", "discovery", "--stream", "10000", "--json"});
  ASSERT_TRUE(eventually([&] {  // until the service has heard an announce, and the listener a query
    lab_.run({"discovery", "query", "--stream-id", "10000", "--timeout-ms", "2000"});
    return listener->has_printed("\"message\":\"DiscoveryResponse\"") || listener->ended();
  })) << listener->err();
  const auto lines = lines_of(listener->end(SIGINT));
  ASSERT_GE(lines.size(), 3u);
  bool asked = false, answered = false;
  for (size_t i = 0; i + 1 < lines.size(); ++i) {
    const json& line = lines[i];
    EXPECT_EQ(line["status"], "ok") << line;
    EXPECT_EQ(line["plane"], "discovery");
    EXPECT_EQ(line["schema"], 910);
    if (line["message"] == "DiscoveryRequest") {
      asked = true;
      EXPECT_EQ(line["aeron_stream_id"], 7000);
      EXPECT_EQ(line["streamId"], 10000);
      EXPECT_TRUE(line["producerId"].is_null());
    } else {
      answered = true;
      EXPECT_EQ(line["message"], "DiscoveryResponse");
      EXPECT_EQ(line["aeron_stream_id"], 7004);
      EXPECT_EQ(line["discoveryStatus"], "OK");
      ASSERT_EQ(line["results"].size(), 1u);
      EXPECT_EQ(line["results"][0]["driverInstanceId"], "lab");
    }
  }
  EXPECT_TRUE(asked && answered);
}

TEST_F(OperatorCommandsTest, ListenSurvivesForeignNewerAndMalformedMessages) {  // W-4, W-5, W-6, R-03
  const Process media({"media-driver", "--aeron-dir", lab_.aeron_dir(), "--json"});
  ASSERT_TRUE(eventually([&] { return media.has_printed("ready"); })) << media.err();
  const auto listener = lab_.start({"listen", "--json"});
  transport::ConnectionOptions options;
  options.aeron_dir = lab_.aeron_dir();
  const auto connection = transport::Connection::open(options);
  const auto publication = connection->add_publication("aeron:ipc?term-length=4m", 1000);
  const auto send = [&](const std::vector<std::byte>& bytes) {
    ASSERT_TRUE(eventually([&] {
      connection->poll();
      return publication->send(bytes) == transport::SendResult::kOk;
    }));
  };
  auto newer = wire::encode_new(wire::test::sample_of<wire::ConsumerHello>());
  newer[6] = std::byte{9};
  auto cut = wire::encode_new(wire::test::sample_of<wire::ShmPoolAnnounce>());
  cut.resize(cut.size() - 3);
  std::vector<std::byte> foreign(40, std::byte{0x5A});
  send({std::byte{1}, std::byte{2}, std::byte{3}});
  send(newer);
  send(cut);
  send(foreign);
  send(wire::encode_new(wire::test::sample_of<wire::ShmDriverShutdownRequest>()));
  EXPECT_TRUE(listener->wait_for_out("ShmDriverShutdownRequest"));
  const auto lines = lines_of(listener->end(SIGINT));
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_EQ(lines[0]["status"], "runt");
  EXPECT_EQ(lines[0]["hex"], "010203");
  EXPECT_EQ(lines[1]["status"], "unsupported");
  EXPECT_EQ(lines[1]["version"], 9);
  EXPECT_EQ(lines[2]["status"], "malformed");
  EXPECT_EQ(lines[2]["message"], "ShmPoolAnnounce");
  EXPECT_EQ(lines[3]["status"], "unknown");
  EXPECT_EQ(lines[3]["schema"], 0x5A5A);
  EXPECT_EQ(lines[3]["length"], 40);
  EXPECT_EQ(lines[4]["token"], "***");
  EXPECT_EQ(lines[5]["malformed"], 2);
}

TEST_F(OperatorCommandsTest, ListenHoldsNobodyBack) {  // P-6: untethered; one that does not read loses, and nobody else
  const auto driver = lab_.start_driver();
  const auto listener = lab_.start({"listen", "--plane", "descriptor", "--json"});
  const auto publisher = lab_.start_publisher({"--pattern", "check", "--shape", "8", "--rate", "10000"});
  ASSERT_TRUE(listener->wait_for_out("FrameDescriptor"));
  listener->signal(SIGSTOP);
  const Ran ran = lab_.run({"subscribe", "--stream", "10000", "--frames", "20000", "--for", "25", "--json"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  listener->signal(SIGCONT);
  EXPECT_EQ(listener->end(SIGINT).exit, 0);
}

TEST_F(OperatorCommandsTest, ListenNeedsAMediaDriver) {  // P-13
  const Ran ran = lab_.run({"listen", "--for", "1", "--json"});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(ran.json()["error"]["code"], "unavailable");
  expect_one_clear_error(ran, lab_.aeron_dir());
}

// ---- gc --------------------------------------------------------------------------------------------------------------------

TEST_F(OperatorCommandsTest, GcRemovesWhatAKilledDriverAndMediaDriverLeftAndNothingLive) {  // P-7, P-8, W-67, R-01
  // Two namespaces in one base directory, each with a driver and a producer of its own.
  Lab other;
  {
    std::ofstream file(other.config());
    file << "[driver]\naeron_dir = \"" << lab_ / "aeron-live" << "\"\n[shm]\nbase_dir = \"" << lab_.dir()
         << "\"\nnamespace = \"live\"\n[profiles.small]\npayload_pools = [{ pool_id = 1, stride_bytes = 4096 "
            "}]\n[streams.cam1]\nstream_id = 10000\nprofile = \"small\"\n";
  }
  const auto live = other.start_driver();
  const auto live_publisher = other.start({"publish", "--stream", "10000", "--pattern", "check", "--shape", "32,32"});
  const auto dead = lab_.start_driver();
  const auto dead_publisher = lab_.start_publisher();
  const std::string space = fs::path(lab_.stream_dir()).parent_path(), user = fs::path(space).parent_path();
  ASSERT_TRUE(eventually([&] { return fs::exists(user + "/live/10000/doorbell"); })) << live_publisher->err();

  json report = gc();
  EXPECT_EQ(report["removed"], 0) << report;
  EXPECT_EQ(actions(report)[space], "keep");
  EXPECT_EQ(actions(report)[lab_.aeron_dir()], "keep");

  dead->kill();
  dead_publisher->kill();
  report = gc({"--dry-run"});
  EXPECT_EQ(actions(report)[lab_.stream_dir()], "remove");
  EXPECT_EQ(actions(report)[lab_.aeron_dir()], "remove");
  EXPECT_EQ(actions(report)[user + "/live"], "keep");
  EXPECT_GT(report["bytes"], 0);
  EXPECT_TRUE(fs::exists(lab_.stream_dir()) && fs::exists(lab_.aeron_dir())) << "a dry run touches nothing";

  EXPECT_GT(gc()["removed"], 0);
  EXPECT_FALSE(fs::exists(lab_.stream_dir()));
  EXPECT_FALSE(fs::exists(lab_.aeron_dir()));
  EXPECT_FALSE(fs::exists(concat(space, "/", pool::kDriverStatusName)));
  EXPECT_TRUE(fs::exists(user + "/live/10000"));
  EXPECT_TRUE(fs::exists(lab_ / "aeron-live"));
  EXPECT_EQ(gc()["removed"], 0) << "there is nothing left to do";
  EXPECT_EQ(other.run({"subscribe", "--stream", "10000", "--frames", "5", "--for", "25", "--verify", "check"}).exit, 0)
      << "the living do not notice";

  // And the dead one's successor starts in what is left.
  const auto next = lab_.start_driver();
  EXPECT_FALSE(next->ended()) << next->err();
  EXPECT_EQ(live->end(SIGINT).exit, 0);
}

TEST_F(OperatorCommandsTest, GcKeepsTheNewestEpochsOfADeadStreamUnlessItIsToldToTakeThem) {  // P-8, R-02
  const auto driver = lab_.start_driver();
  for (int i = 0; i < 3; ++i) {  // an epoch at each attach, another at each end
    const auto publisher = lab_.start_publisher();
    EXPECT_EQ(publisher->end(SIGINT).exit, 0);
  }
  driver->kill();
  const auto epochs = [&] {
    size_t found = 0;
    for (const auto& entry : fs::directory_iterator(lab_.stream_dir())) found += entry.is_directory();
    return found;
  };
  ASSERT_GT(epochs(), 2u);
  EXPECT_EQ(run_process({"gc", "--base-dir", lab_.dir(), "--min-age", "0"}).exit, 0);
  EXPECT_EQ(epochs(), 2u) << "as policies.epoch_gc_keep would";
  EXPECT_EQ(run_process({"gc", "--base-dir", lab_.dir(), "--min-age", "0", "--keep", "0"}).exit, 0);
  EXPECT_FALSE(fs::exists(lab_.stream_dir()));
}

TEST_F(OperatorCommandsTest, GcKeepsAProducersMemoryWhileItWritesThoughItsDriverWasKilled) {  // D-40
  const auto driver = lab_.start_driver();
  const auto publisher = lab_.start_publisher();
  driver->kill();
  const Ran ran = run_process({"gc", "--base-dir", lab_.dir(), "--json"});  // with the default minimum age
  EXPECT_EQ(ran.exit, 0);
  EXPECT_TRUE(fs::exists(lab_.stream_dir()));
  bool said = false;
  const json report = ran.json();
  for (const json& entry : report["entries"])
    said |= entry["kind"] == "epoch" && entry["action"] == "keep" &&
            entry["why"].get<std::string>().find("active") != std::string::npos;
  EXPECT_TRUE(said) << ran.out;
}

TEST_F(OperatorCommandsTest, GcTakesNoAeronDirectoryThatIsNotProvablyOurs) {  // an aeronmd's, somebody else's, a link
  fs::create_directories(lab_ / "aeron-foreign/publications");
  write_file(lab_ / "aeron-foreign/cnc.dat", "x");
  fs::create_directory_symlink(lab_ / "aeron-foreign", lab_ / "aeron-link");
  const auto report = actions(gc());
  EXPECT_EQ(report.at(lab_ / "aeron-foreign"), "keep");
  EXPECT_EQ(report.at(lab_ / "aeron-link"), "keep");
  EXPECT_TRUE(fs::exists(lab_ / "aeron-foreign/cnc.dat"));
}

TEST_F(OperatorCommandsTest, GcTakesWorldsOfKilledDemosAndBenches) {
  const std::string dead = lab_ / "tidepool-demo-999999999-12345-aBcDeF",
                    alive = lab_ / concat("tidepool-demo-", ::getpid(), "-", process_start_ticks(::getpid()), "-aBcDeF"),
                    other = lab_ / "tidepool-demo-notes";
  for (const auto& path : {dead, alive, other}) fs::create_directories(path);
  gc();
  EXPECT_FALSE(fs::exists(dead));
  EXPECT_TRUE(fs::exists(alive));
  EXPECT_TRUE(fs::exists(other));
}

}  // namespace
}  // namespace tidepool::cli::operator_commands_test

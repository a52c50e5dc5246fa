// publish, subscribe and driver as processes, end to end through the built binary: what scripts depend on (issue 3; rulings, command line).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tidepool/cli/npy.h"
#include "tidepool/cli/test_lab.h"

namespace tidepool::cli::stream_commands_test {
namespace {

namespace fs = std::filesystem;
using namespace test;
using testing::AllOf;
using testing::HasSubstr;

// The same bytes as `--pattern check`, by its description and not by its code (rulings P-17).
std::vector<std::byte> check_frame(uint64_t seq, size_t bytes) {
  std::vector<std::byte> out(bytes);
  for (size_t i = 0; i < bytes; ++i)
    out[i] = static_cast<std::byte>(i < 8 ? seq >> (8 * i) : i < 16 ? ~seq >> (8 * (i - 8)) : (seq + i) % 256);
  return out;
}

// What was saved: seq -> bytes, and each file's tensor must be `expected`.
std::map<uint64_t, std::vector<std::byte>> saved_in(const std::string& directory, const wire::TensorHeader& expected) {
  std::map<uint64_t, std::vector<std::byte>> out;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    EXPECT_TRUE(name.starts_with("10000-") && name.ends_with(".npy")) << name;
    const NpyFile file(entry.path(), false);
    EXPECT_EQ(file.tensor().dtype, expected.dtype);
    EXPECT_EQ(file.tensor().ndims, expected.ndims);
    EXPECT_EQ(file.tensor().dims, expected.dims);
    std::vector<std::byte> bytes(file.frame_bytes());
    file.read_frame(0, bytes);
    out.emplace(std::stoull(name.substr(name.rfind('-') + 1)), std::move(bytes));
  }
  return out;
}

class StreamCommandsTest : public ::testing::Test {
 protected:
  WithEnvironment log_{"TIDEPOOL_LOG", "error"};
  Lab lab_;

  Ran subscribe(std::vector<std::string> more) const {
    std::vector<std::string> args = {"subscribe", "--stream", "10000", "--json"};
    args.insert(args.end(), more.begin(), more.end());
    return lab_.run(args);
  }
};

TEST_F(StreamCommandsTest, FramesArriveVerifiedByDescriptorsAndByTheRingUnderTheStableNames) {  // issue 3 item 4, W-36, W-52
  const auto driver = lab_.start_driver();
  const auto publisher = lab_.start_publisher();
  for (const char* follow : {"descriptors", "ring"}) {
    const Ran ran = subscribe({"--follow", follow, "--frames", "40", "--for", "25", "--verify", "check"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    const auto json = ran.json();
    EXPECT_EQ(json["frames"], 40);
    EXPECT_EQ(json["verified"], 40);
    EXPECT_EQ(json["bad"], 0);
    EXPECT_EQ(json["remaps"], 0);
    ASSERT_TRUE(json["first_seq"].is_number_unsigned() && json["last_seq"].is_number_unsigned());
    // Every sequence is a frame or a drop of some kind, so nothing is lost silently.
    const auto number = [&](const char* key) { return json[key].get<uint64_t>(); };
    EXPECT_GE(number("frames") + number("drops_gap") + number("drops_late") + number("skipped"),
              number("last_seq") - number("first_seq") + 1);
    EXPECT_EQ(json["stream_id"], 10000);
  }
  const Ran published = publisher->end(SIGINT);
  EXPECT_EQ(published.exit, 0) << published.err;
  const auto json = published.json();
  EXPECT_GE(json["frames"], 80);
  EXPECT_EQ(json["failed"], 0);
  EXPECT_GT(json["seconds"].get<double>(), 0);
  EXPECT_EQ(json["first_seq"], 0);
  EXPECT_EQ(json["last_seq"], json["frames"].get<uint64_t>() - 1);
  const Ran stopped = driver->end(SIGTERM);
  EXPECT_EQ(stopped.exit, 0);
  EXPECT_EQ(stopped.json()["attach_responses"]["ok"], 3);
  EXPECT_EQ(stopped.json()["leases_revoked"]["detached"], 3);
}

TEST_F(StreamCommandsTest, PublishEndsByItselfAfterAsManyFramesAsAsked) {  // issue 3 item 4
  const auto driver = lab_.start_driver();
  const Ran ran = lab_.run(
      {"publish", "--stream", "cam1", "--pattern", "ramp", "--shape", "32,32", "--rate", "0", "--frames", "500", "--json"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.json()["frames"], 500);
  EXPECT_EQ(ran.json()["stream_id"], 10000);  // by its name in the file, P-11
  const Ran text =
      lab_.run({"publish", "--stream", "10000", "--pattern", "noise", "--shape", "64", "--rate", "0", "--frames", "1"});
  EXPECT_EQ(text.exit, 0);
  EXPECT_THAT(text.out, HasSubstr("1 frame published"));
}

TEST_F(StreamCommandsTest, WrongDataIsExitCodeFour) {  // rulings, exit codes
  const auto driver = lab_.start_driver();
  const auto publisher = lab_.start_publisher({"--pattern", "noise", "--shape", "32,32", "--rate", "200"});
  const Ran ran = subscribe({"--frames", "5", "--for", "25", "--verify", "check"});
  EXPECT_EQ(ran.exit, 4) << ran.err;
  EXPECT_EQ(ran.json()["verified"], 5);
  EXPECT_EQ(ran.json()["bad"], 5);
  EXPECT_THAT(ran.err, HasSubstr("byte 0 of 1024 is wrong"));
  EXPECT_EQ(subscribe({"--frames", "5", "--for", "25"}).exit, 0) << "without --verify nothing is compared";
}

TEST_F(StreamCommandsTest, NothingInTheTimeGivenIsExitCodeThreeAndTooLittleIsOne) {  // rulings, exit codes
  const auto driver = lab_.start_driver();
  const Ran nothing = subscribe({"--for", "0.2"});
  EXPECT_EQ(nothing.exit, 3) << nothing.err;
  EXPECT_EQ(nothing.json()["frames"], 0);
  EXPECT_TRUE(nothing.json()["first_seq"].is_null());
  expect_one_clear_error(nothing, "no frame arrived");

  const auto publisher = lab_.start_publisher();
  const Ran few = subscribe({"--for", "0.5", "--frames", "1000000"});
  EXPECT_EQ(few.exit, 1);
  EXPECT_GT(few.json()["frames"], 0);
  expect_one_clear_error(few, "of 1000000 frames arrived");
}

TEST_F(StreamCommandsTest, AUsageErrorIsExitCodeTwoAndTouchesNothing) {  // rulings, exit codes
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{"publish"},
                                             {"publish", "--pattern", "zebra"},
                                             {"publish", "--pattern", "check", "--stdin"},
                                             {"publish", "--pattern", "check", "--shape", "1,x"},
                                             {"subscribe", "--from", "oldest"},
                                             {"subscribe", "--for", "-1"},
                                             {"driver"},
                                             {"nonsense"}}) {
    const Ran ran = run_process(args);
    EXPECT_EQ(ran.exit, 2) << args.front();
    EXPECT_EQ(ran.out, "");
    expect_one_clear_error(ran, "");
  }
}

TEST_F(StreamCommandsTest, SavesFramesThatAreByteForByteThePattern) {  // issue 3: --save
  const auto driver = lab_.start_driver();
  const auto publisher = lab_.start_publisher({"--pattern", "check", "--shape", "4,8,16", "--dtype", "u16", "--rate", "200"});
  const std::string into = lab_ / "saved";
  const Ran ran = subscribe({"--follow", "ring", "--from", "oldest", "--frames", "6", "--for", "25", "--save", into});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.json()["saved"], 6);
  EXPECT_EQ(ran.json()["unsaved"], 0);
  const auto saved = saved_in(into, wire::contiguous(wire::DType::u16, std::vector<int32_t>{4, 8, 16}));
  ASSERT_EQ(saved.size(), 6u);
  for (const auto& [seq, bytes] : saved) EXPECT_EQ(bytes, check_frame(seq, 4 * 8 * 16 * 2)) << seq;
  expect_one_clear_error(subscribe({"--frames", "1", "--save", lab_.config()}), "lab.toml");  // a file in the way
}

TEST_F(StreamCommandsTest, StdinIsCutIntoFramesAndHalfAFrameAtItsEndIsAnError) {  // issue 3: --stdin
  const auto driver = lab_.start_driver();
  const auto publisher =
      lab_.start({"publish", "--stream", "10000", "--json", "--stdin", "--shape", "3,5", "--dtype", "i32", "--rate", "0"}, true);
  std::string bytes;
  for (int i = 0; i < 7 * 60; ++i) bytes.push_back(static_cast<char>(i * 7));
  publisher->write_stdin(bytes);
  ASSERT_TRUE(eventually([&] { return lab_.newest_seq() == 6 || publisher->ended(); })) << publisher->err();
  const std::string into = lab_ / "saved";
  ASSERT_EQ(subscribe({"--follow", "ring", "--from", "oldest", "--frames", "7", "--for", "25", "--save", into}).exit, 0);
  const auto saved = saved_in(into, wire::contiguous(wire::DType::i32, std::vector<int32_t>{3, 5}));
  ASSERT_EQ(saved.size(), 7u);
  for (const auto& [seq, frame] : saved) EXPECT_EQ(std::memcmp(frame.data(), bytes.data() + seq * 60, 60), 0) << seq;
  publisher->close_stdin();
  const Ran ran = publisher->wait();
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.json()["frames"], 7);

  const auto half =
      lab_.start({"publish", "--stream", "10000", "--json", "--stdin", "--shape", "3,5", "--dtype", "i32", "--rate", "0"}, true);
  half->write_stdin(bytes + "half");
  half->close_stdin();
  const Ran cut = half->wait();
  EXPECT_EQ(cut.exit, 1);
  EXPECT_EQ(cut.json()["error"]["code"], "corrupt");
  expect_one_clear_error(cut, "in the middle of frame 8");
}

TEST_F(StreamCommandsTest, AnNpyFileIsOneFrameOrOneForEachIndexOfItsFirstAxis) {  // issue 3: --npy
  const auto driver = lab_.start_driver();
  const auto cube = wire::contiguous(wire::DType::f32, std::vector<int32_t>{5, 4, 6});
  std::vector<float> values;
  for (int i = 0; i < 5 * 4 * 6; ++i) values.push_back(static_cast<float>(i) * 0.5f);
  const std::string path = lab_ / "cube.npy";
  write_npy(path, cube, std::as_bytes(std::span(values)));

  {
    const auto publisher = lab_.start_publisher({"--npy", path, "--frames-along-first-axis", "--loop", "--rate", "100"});
    const std::string into = lab_ / "slices";
    ASSERT_EQ(subscribe({"--follow", "ring", "--from", "oldest", "--frames", "10", "--for", "25", "--save", into}).exit, 0);
    const auto saved = saved_in(into, wire::contiguous(wire::DType::f32, std::vector<int32_t>{4, 6}));
    ASSERT_EQ(saved.size(), 10u);
    for (const auto& [seq, frame] : saved) EXPECT_EQ(std::memcmp(frame.data(), values.data() + seq % 5 * 24, 96), 0) << seq;
    EXPECT_EQ(publisher->end(SIGINT).exit, 0);
  }
  const auto publisher = lab_.start_publisher({"--npy", path, "--loop", "--rate", "100"});
  const std::string into = lab_ / "whole";
  ASSERT_EQ(subscribe({"--follow", "ring", "--frames", "2", "--for", "25", "--save", into}).exit, 0);
  for (const auto& [seq, frame] : saved_in(into, cube)) EXPECT_EQ(std::memcmp(frame.data(), values.data(), 480), 0) << seq;
}

TEST_F(StreamCommandsTest, ASignalEndsThemInOrderWithTheirSummaries) {  // issue 3 item 4
  const auto driver = lab_.start_driver();
  const auto publisher = lab_.start_publisher();
  for (const int number : {SIGINT, SIGTERM}) {
    const auto subscriber = lab_.start({"subscribe", "--stream", "10000", "--json", "--follow", "ring", "--save", lab_ / "seen"});
    ASSERT_TRUE(eventually([&] { return fs::exists(lab_ / "seen") && !fs::is_empty(lab_ / "seen"); })) << subscriber->err();
    const Ran ran = subscriber->end(number);
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_GT(ran.json()["frames"], 0);
    fs::remove_all(lab_ / "seen");
  }
  const auto frames = publisher->end(SIGTERM).json()["frames"].get<uint64_t>();
  EXPECT_GT(frames, 0u);
  EXPECT_EQ(driver->end(SIGINT).json()["streams"][0]["stream_id"], 10000);
}

TEST_F(StreamCommandsTest, ASecondProducerIsRefusedAndTheFirstGoesOn) {  // D-22, P-13
  const auto driver = lab_.start_driver();
  const auto publisher = lab_.start_publisher();
  const int64_t before = lab_.newest_seq();
  const Ran second =
      lab_.run({"publish", "--stream", "10000", "--pattern", "check", "--shape", "32,32", "--attach-timeout-ms", "400", "--json"});
  EXPECT_EQ(second.exit, 1);
  EXPECT_EQ(second.json()["error"]["code"], "rejected");
  expect_one_clear_error(second, "producer already attached");
  ASSERT_TRUE(eventually([&] { return lab_.newest_seq() > before + 10; })) << "the first one is not disturbed";
  EXPECT_EQ(publisher->end(SIGINT).json()["failed"], 0);
}

TEST_F(StreamCommandsTest, WithoutADriverTheySayWhatToStart) {  // P-13
  const Process media({"media-driver", "--aeron-dir", lab_.aeron_dir(), "--json"});
  ASSERT_TRUE(eventually([&] { return media.has_printed("ready"); })) << media.err();
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{"publish", "--pattern", "check"}, {"subscribe"}}) {
    std::vector<std::string> all = args;
    all.insert(all.end(), {"--stream", "10000", "--attach-timeout-ms", "300", "--json"});
    const Ran ran = lab_.run(all);
    EXPECT_EQ(ran.exit, 1) << ran.err;
    EXPECT_THAT(ran.json()["error"]["code"], testing::AnyOf("unavailable", "timeout"));
    expect_one_clear_error(ran, "tidepool driver");
  }
}

TEST_F(StreamCommandsTest, WithoutAMediaDriverTheySayWhatToStart) {  // P-13
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{"publish", "--pattern", "check"}, {"subscribe"}}) {
    std::vector<std::string> all = args;
    all.insert(all.end(), {"--stream", "10000", "--attach-timeout-ms", "300", "--json"});
    const Ran ran = lab_.run(all);
    EXPECT_EQ(ran.exit, 1);
    EXPECT_EQ(ran.json()["error"]["code"], "unavailable");
    expect_one_clear_error(ran, lab_.aeron_dir());
  }
  const Ran driver = lab_.run({"driver", "--json"});
  EXPECT_EQ(driver.exit, 1);
  expect_one_clear_error(driver, lab_.aeron_dir());
  EXPECT_FALSE(fs::exists(lab_.aeron_dir()));
}

TEST_F(StreamCommandsTest, AShapeThatDoesNotFitIsRefusedBeforeTheFirstFrameWithTheStrideItNeeds) {  // W-50, issue 3
  const auto driver = lab_.start_driver();
  const Ran ran = lab_.run({"publish", "--stream", "10000", "--pattern", "check", "--shape", "100,100", "--frames", "1", "--json"});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(ran.json()["error"]["code"], "invalid argument");
  EXPECT_THAT(ran.err, AllOf(HasSubstr("takes 10000 bytes"), HasSubstr("hold 4096"), HasSubstr("16384")));
  EXPECT_EQ(lab_.run({"publish", "--stream", "10000", "--pattern", "check", "--shape", "64,64", "--frames", "1"}).exit, 0)
      << "exactly a slot";
}

TEST_F(StreamCommandsTest, AWrongPathIsOneClearLine) {  // issue 3: bad input
  const auto driver = lab_.start_driver();
  const std::string nowhere = lab_ / "nowhere";
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{"inspect", nowhere},
                                             {"driver", "--config", nowhere},
                                             {"subscribe", "--config", nowhere},
                                             {"publish", "--npy", nowhere, "--config", lab_.config()},
                                             {"config", "check", nowhere},
                                             {"subscribe", "--save", nowhere + "/below", "--config", lab_.config()}}) {
    const Ran ran = run_process(args);
    EXPECT_EQ(ran.exit, 1) << args.front();
    expect_one_clear_error(ran, "nowhere");
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  }
  EXPECT_FALSE(fs::exists(nowhere));
}

TEST_F(StreamCommandsTest, ATruncatedRegionIsNamedByInspectAndHarmsNobody) {  // R-03, W-29
  const auto driver = lab_.start_driver();
  const auto publisher = lab_.start_publisher();
  const std::string epoch = run_process({"inspect", lab_.stream_dir(), "--json"}).json()["path"];
  const std::string copy = lab_ / "copy.ring";
  fs::copy_file(epoch + "/header.ring", copy);
  EXPECT_EQ(run_process({"inspect", copy}).exit, 0);
  fs::resize_file(copy, fs::file_size(copy) - 1);
  const Ran ran = run_process({"inspect", copy, "--json"});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(ran.json()["error"]["code"], "corrupt");
  expect_one_clear_error(ran, "truncated");

  // The live one cut under everybody: no crash, the driver makes it anew.
  fs::resize_file(epoch + "/1.pool", 4096);
  EXPECT_EQ(run_process({"inspect", epoch}).exit, 1);
  EXPECT_FALSE(driver->ended());
}

TEST_F(StreamCommandsTest, TheExampleDriverServesAnAttach) {  // issue 3: examples/driver.toml
  const std::string example = TIDEPOOL_SOURCE_DIR "/examples/driver.toml";
  const Process::Variables here = {
      {"SHM_BASE_DIR", lab_.dir()}, {"AERON_DIR", lab_.aeron_dir()}, {"SHM_ALLOWED_BASE_DIRS", lab_.dir()}};
  Process driver({"driver", "--config", example, "--embedded", "--json"}, here);
  ASSERT_TRUE(driver.wait_for_out("ready")) << driver.err();
  const Ran published = run_process(
      {"publish", "--config", example, "--stream", "front", "--pattern", "check", "--frames", "20", "--rate", "0", "--json"}, here);
  EXPECT_EQ(published.exit, 0) << published.err;
  EXPECT_EQ(published.json()["stream_id"], 10000);
  EXPECT_EQ(published.json()["frames"], 20);
  const Ran dynamic = run_process(
      {"publish", "--config", example, "--stream", "20001", "--pattern", "check", "--frames", "3", "--rate", "0", "--json"}, here);
  EXPECT_EQ(dynamic.exit, 0) << dynamic.err;
  EXPECT_EQ(driver.end(SIGINT).json()["attach_responses"]["ok"], 2);
}

TEST_F(StreamCommandsTest, ADriverStartsOverWhatAKilledOneLeft) {  // R-01, rulings P-7, P-8, D-42
  for (int round = 0; round < 3; ++round) {
    const auto driver = lab_.start_driver();
    const auto publisher = lab_.start_publisher();
    EXPECT_EQ(subscribe({"--follow", "ring", "--frames", "5", "--for", "25", "--verify", "check"}).exit, 0);
    driver->kill();  // with the media driver in it, and with leases held
  }
}

}  // namespace
}  // namespace tidepool::cli::stream_commands_test

// `tidepool inspect` on regions as the pool makes them, as the protocol's golden vectors have them, and damaged.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <vector>

#include "tidepool/cli/region_report.h"
#include "tidepool/cli/test_command.h"
#include "tidepool/pool/test_support.h"
#include "tidepool/shm/doorbell.h"

namespace tidepool::cli::inspect_test {
namespace {

namespace fs = std::filesystem;
using namespace test;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

// One epoch of the pool's own making with three frames in it: u8 of 64 bytes, f32 2 x 3, and one that is being written.
class InspectTest : public ::testing::Test {
 protected:
  pool::test::Store store_;
  pool::EpochFiles::Created epoch_ = store_.create({.slot_count = 4, .pools = {{1, 256}, {9, 4096}}}, 7);
  pool::PoolWriter writer_{epoch_.map};
  std::string directory_ = fs::path(epoch_.map->regions().header_region_uri.substr(std::strlen("shm:file?path="))).parent_path();
  std::string ring_ = directory_ + "/header.ring";
  WithEnvironment log_{"TIDEPOOL_LOG", "error"};

  void SetUp() override {
    pool::test::write_frame(writer_);
    pool::Claim claim;
    ASSERT_EQ(writer_.claim(wire::contiguous(wire::DType::f32, std::vector<int32_t>{2, 3}), claim), pool::ClaimError::kNone);
    ASSERT_EQ(writer_.commit(claim, {.timestamp_ns = 3'000'000'000, .meta_version = 5}), pool::CommitResult::kOk);
    ASSERT_EQ(writer_.claim(wire::contiguous(wire::DType::u8, std::vector<int32_t>{1000}), open_), pool::ClaimError::kNone);
  }
  // A copy that may be damaged without harm to the one that is mapped.
  std::string copy(const std::string& from) {
    const std::string to = store_.base / ("copy-" + fs::path(from).filename().string());
    fs::copy_file(from, to, fs::copy_options::overwrite_existing);
    return to;
  }
  template <typename T>
  static void poke(const std::string& path, size_t offset, T value) {
    std::string bytes = read_file(path);
    std::memcpy(bytes.data() + offset, &value, sizeof value);
    write_file(path, bytes);
  }
  // One clear line, exit code 1.
  static void expect_damage(const std::string& path, std::string_view fragment) {
    const Ran ran = run({"inspect", path});
    EXPECT_EQ(ran.exit, 1) << path;
    EXPECT_THAT(ran.err, AllOf(StartsWith("tidepool: "), HasSubstr(fragment)));
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  }

  pool::Claim open_;
};

TEST_F(InspectTest, ShowsAnEpochsSuperblocksSlotsAndTensors) {  // issue 3 item 4
  const Ran ran = run({"inspect", directory_, "--json"});
  ASSERT_EQ(ran.exit, 0) << ran.err;
  const auto json = ran.json();
  EXPECT_EQ(json["type"], "epoch");
  EXPECT_EQ(json["stream_id"], 10000);
  EXPECT_EQ(json["epoch"], 7);
  EXPECT_EQ(json["ok"], true);
  const auto& header = json["header"];
  EXPECT_EQ(header["type"], "header_ring");
  EXPECT_EQ(header["nslots"], 4);
  EXPECT_EQ(header["slot_bytes"], 256);
  EXPECT_EQ(header["pid"], ::getpid());
  EXPECT_EQ(header["pid_alive"], true);
  EXPECT_EQ(header["committed"], 2);
  EXPECT_EQ(header["writing"], 1);
  EXPECT_EQ(header["unused"], 1);
  EXPECT_EQ(header["damaged"], 0);
  const auto& slots = header["slots"];
  ASSERT_EQ(slots.size(), 3u);  // newest first
  EXPECT_EQ(slots[0]["seq"], 2);
  EXPECT_EQ(slots[0]["state"], "writing");
  EXPECT_EQ(slots[1]["seq"], 1);
  EXPECT_EQ(slots[1]["seq_commit"], 3);
  EXPECT_EQ(slots[1]["dtype"], "f32");
  EXPECT_EQ(slots[1]["order"], "row");
  EXPECT_EQ(slots[1]["shape"], nlohmann::json({2, 3}));
  EXPECT_EQ(slots[1]["strides"], nlohmann::json({12, 4}));
  EXPECT_EQ(slots[1]["values_len_bytes"], 24);
  EXPECT_EQ(slots[1]["timestamp_ns"], 3'000'000'000);
  EXPECT_EQ(slots[1]["meta_version"], 5);
  EXPECT_TRUE(slots[2]["meta_version"].is_null());
  ASSERT_EQ(json["pools"].size(), 2u);
  EXPECT_EQ(json["pools"][1]["type"], "payload_pool");
  EXPECT_EQ(json["pools"][1]["pool_id"], 9);
  EXPECT_EQ(json["pools"][1]["stride_bytes"], 4096);

  const Ran text = run({"inspect", directory_});
  EXPECT_EQ(text.exit, 0);
  EXPECT_EQ(text.err, "");
  EXPECT_THAT(text.out, AllOf(HasSubstr("header ring"), HasSubstr("payload pool 9"), HasSubstr("2,3"), HasSubstr("12,4"), HasSubstr("(alive)"), HasSubstr("writing")));
}

TEST_F(InspectTest, ShowsSingleRegionsAndTheNewestEpochOfAStream) {
  EXPECT_EQ(run({"inspect", ring_, "--json"}).json()["type"], "header_ring");
  EXPECT_EQ(run({"inspect", directory_ + "/9.pool", "--json"}).json()["stride_bytes"], 4096);
  const auto newer = store_.create({.slot_count = 8, .pools = {{1, 64}}}, 1234567);
  const Ran ran = run({"inspect", fs::path(directory_).parent_path(), "--json"});
  ASSERT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.json()["epoch"], 1234567);
}

TEST_F(InspectTest, ShowsAsManyOfTheNewestSlotsAsAsked) {
  writer_.abort(open_);
  for (int i = 0; i < 10; ++i) pool::test::write_frame(writer_);  // seq 3 to 12 over 4 slots
  const auto slots = run({"inspect", ring_, "--json", "--slots", "3"}).json()["slots"];
  ASSERT_EQ(slots.size(), 3u);
  EXPECT_EQ(slots[0]["seq"], 12);
  EXPECT_EQ(slots[1]["seq"], 11);
  EXPECT_EQ(slots[2]["seq"], 10);
  EXPECT_EQ(run({"inspect", ring_, "--json", "--slots", "0"}).json()["slots"].size(), 0u);
  EXPECT_EQ(run({"inspect", ring_, "--json", "--slots", "4000000000"}).json()["slots"].size(), 4u);
}

TEST_F(InspectTest, ReadsTheGoldenVectors) {  // wire.md 17.1, 17.2, 17.5
  const auto bytes = [](std::string_view hex) {
    std::string out;
    for (size_t at = 0; at + 1 < hex.size(); at += 3) out += static_cast<char>(std::stoi(std::string(hex.substr(at, 2)), nullptr, 16));
    return out;
  };
  std::string ring = bytes(
      "31 4d 48 53 4c 50 4f 54 01 00 00 00 07 00 00 00 00 00 00 00 10 27 00 00 01 00 00 00 08 00 00 00 "
      "00 01 00 00 00 00 00 00 92 10 00 00 00 00 00 00 00 ca 9a 3b 00 00 00 00 00 94 35 77 00 00 00 00 ");
  ring.resize(64 + 8 * 256, '\0');
  const std::string slot = bytes(
      "17 00 00 00 00 00 00 00 18 00 00 00 03 00 00 00 01 00 00 00 00 00 00 5e d0 b2 00 00 00 00 05 00 "
      "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 c0 00 00 00 "
      "b8 00 34 00 84 03 01 00 09 00 01 00 02 00 00 00 00 00 00 02 00 00 00 03 00 00 00 00 00 00 00 00 "
      "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 0c 00 00 00 04 00 00 00 00 00 00 00 00 ");
  ring.replace(832, slot.size(), slot);
  const TemporaryDirectory golden;
  write_file(golden / "header.ring", ring);
  std::string pool = bytes(
      "31 4d 48 53 4c 50 4f 54 01 00 00 00 07 00 00 00 00 00 00 00 10 27 00 00 02 00 01 00 08 00 00 00 "
      "00 10 00 00 00 10 00 00 92 10 00 00 00 00 00 00 00 ca 9a 3b 00 00 00 00 00 94 35 77 00 00 00 00 ");
  pool.resize(64 + 8 * 4096, '\0');
  write_file(golden / "1.pool", pool);

  const Ran ran = run({"inspect", golden.path(), "--json"});
  ASSERT_EQ(ran.exit, 0) << ran.err;
  const auto header = ran.json()["header"];
  EXPECT_EQ(header["pid"], 4242);
  EXPECT_EQ(header["start_timestamp_ns"], 1'000'000'000);
  EXPECT_EQ(header["activity_timestamp_ns"], 2'000'000'000);
  ASSERT_EQ(header["slots"].size(), 1u);
  const auto& frame = header["slots"][0];
  EXPECT_EQ(frame["seq"], 11);
  EXPECT_EQ(frame["slot"], 3);
  EXPECT_EQ(frame["seq_commit"], 0x17);
  EXPECT_EQ(frame["values_len_bytes"], 24);
  EXPECT_EQ(frame["pool_id"], 1);
  EXPECT_EQ(frame["timestamp_ns"], 3'000'000'000);
  EXPECT_EQ(frame["meta_version"], 5);
  EXPECT_EQ(frame["dtype"], "f32");
  EXPECT_EQ(frame["shape"], nlohmann::json({2, 3}));
  EXPECT_EQ(frame["strides"], nlohmann::json({12, 4}));
  EXPECT_EQ(ran.json()["pools"][0]["pool_id"], 1);
}

TEST_F(InspectTest, SaysWhatIsNotThere) {  // issue 3: bad input
  expect_damage(store_.base / "nowhere", "nowhere");
  expect_damage(store_.base.path(), "no header.ring");
  const std::string fifo = store_.base / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  expect_damage(fifo, "no regular file");
  EXPECT_EQ(run({"inspect", store_.base / "nowhere", "--json"}).json()["error"]["code"], "not found");
}

TEST_F(InspectTest, RefusesRegionsThatAreCutAnywhere) {  // R-03, W-17
  const std::string whole = read_file(ring_);
  const std::string cut = store_.base / "cut.ring";
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{65}, size_t{64 + 256}, whole.size() - 1}) {
    write_file(cut, whole.substr(0, bytes));
    expect_damage(cut, "truncated");
  }
  write_file(cut, whole);
  EXPECT_EQ(run({"inspect", cut}).exit, 0);
}

TEST_F(InspectTest, RefusesSuperblocksThatContradictThemselves) {  // W-92
  const auto damaged = [&](size_t offset, auto value, std::string_view fragment, const std::string& region) {
    const std::string path = copy(region);
    poke(path, offset, value);
    expect_damage(path, fragment);
  };
  const std::string pool = directory_ + "/1.pool";
  damaged(0, uint64_t{0}, "no magic", ring_);
  damaged(0, uint64_t{0x1122334455667788}, "is no region", ring_);
  damaged(8, uint32_t{2}, "layout version 2", ring_);
  damaged(12, uint64_t{0}, "epoch", ring_);
  damaged(24, int16_t{3}, "region type is 3", ring_);
  damaged(28, uint32_t{3}, "slot count is 3", ring_);
  damaged(28, uint32_t{0}, "slot count is 0", ring_);
  damaged(28, uint32_t{0x80000000}, "truncated", ring_);
  damaged(32, uint32_t{128}, "slot bytes is 128", ring_);
  damaged(36, uint32_t{100}, "stride bytes is 100", pool);
  damaged(36, uint32_t{0xFFFFFFC0}, "truncated", pool);
}

TEST_F(InspectTest, NamesSlotsThatAreDamagedAndShowsTheRest) {  // W-43
  const auto slot_at = [](uint32_t index) { return size_t{64} + size_t{index} * 256; };
  const std::string path = copy(ring_);
  poke(path, slot_at(1) + 76, uint8_t{9});  // ndims
  expect_damage(path, "slot 1 committed frame 1 has a bad header");
  const auto json = run({"inspect", path, "--json"}).json();
  EXPECT_EQ(json["ok"], false);
  EXPECT_EQ(json["damaged"], 1);
  EXPECT_EQ(json["committed"], 1);
  EXPECT_EQ(json["faults"].size(), 1u);

  const std::string foreign = copy(ring_);
  poke(foreign, slot_at(0), uint64_t{3});  // seq 1 in slot 0
  expect_damage(foreign, "slot 0 holds seq 1, which belongs into slot 1");
  const std::string elsewhere = copy(ring_);
  poke(elsewhere, slot_at(0) + 12, uint32_t{2});
  expect_damage(elsewhere, "payload slot 2");
}

TEST_F(InspectTest, HoldsTheRegionsOfAnEpochAgainstEachOther) {
  const auto broken = [&](const std::string& file, size_t offset, auto value, std::string_view fragment) {
    const TemporaryDirectory whole;
    for (const char* name : {"header.ring", "1.pool", "9.pool"}) fs::copy_file(directory_ + "/" + name, whole / name);
    poke(whole / file, offset, value);
    expect_damage(whole.path(), fragment);
  };
  broken("9.pool", 12, uint64_t{8}, "epoch is 8, header.ring says 7");
  broken("9.pool", 20, uint32_t{10001}, "stream id is 10001, header.ring says 10000");
  broken("9.pool", 28, uint32_t{2}, "slot count is 2, header.ring says 4");
  broken("9.pool", 26, uint16_t{8}, "pool id is 8, its name says 9");
  broken("header.ring", 64 + 16, uint16_t{3}, "names pool 3, which is not here");
  broken("header.ring", 64 + 8, uint32_t{257}, "claims 257 bytes, pool 1 has slots of 256");
  const TemporaryDirectory bare;
  fs::copy_file(ring_, bare / "header.ring");
  const Ran ran = run({"inspect", bare.path()});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_THAT(ran.err, HasSubstr("no pool"));
}

TEST_F(InspectTest, TellsADoorbellFromARegion) {  // P-3
  shm::Doorbell::create(store_.base.directory(), 0660);
  expect_damage(store_.base / "doorbell", "is a doorbell");
}

TEST_F(InspectTest, WritesNothing) {  // issue 3: never maps writable
  const std::string path = copy(ring_);
  const std::string before = read_file(path);
  ASSERT_EQ(::chmod(path.c_str(), 0444), 0);
  EXPECT_EQ(run({"inspect", path}).exit, 0);
  EXPECT_EQ(read_file(path), before);
}

RC_GTEST_FIXTURE_PROP(InspectTest, AnyBytesAreARegionOrAnError, ()) {  // W-92
  std::string bytes = read_file(ring_);
  for (int i = 0; i < 6; ++i) bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
  const std::string path = store_.base / "random.ring";
  write_file(path, bytes);
  try {
    const RegionReport report = examine_region(path, 8);
    RC_ASSERT(report.committed + report.writing + report.unused + report.damaged == (report.superblock.region_type == wire::RegionType::header_ring ? report.superblock.nslots : 0));
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace tidepool::cli::inspect_test

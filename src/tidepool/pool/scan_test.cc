// What `tidepool streams` sees: the files as they are, live, dead and damaged ones beside each other.

#include "tidepool/pool/scan.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tidepool/base/process.h"
#include "tidepool/pool/epoch_life.h"
#include "tidepool/pool/epoch_names.h"
#include "tidepool/pool/test_support.h"
#include "tidepool/shm/doorbell.h"

namespace tidepool::pool {
namespace {

namespace fs = std::filesystem;
using shm::test::Helper;
using shm::test::write_file;
using test::kStream;
using test::Store;

const ScannedStream& only_stream(const std::vector<ScannedNamespace>& spaces) {
  EXPECT_EQ(spaces.size(), 1u);
  EXPECT_EQ(spaces.at(0).streams.size(), 1u) << spaces.at(0).fault;
  return spaces.at(0).streams.at(0);
}

TEST(ScanTest, SeesEpochsGeometryOwnersAndTheNewestFrame) {  // operations.md 12, P-7
  Store store;
  store.create({.slot_count = 4, .pools = {{1, 64}}}, 5);
  const auto created = store.create({.slot_count = 4, .pools = {{1, 256}, {9, 4096}}}, 7);
  shm::Doorbell::create(shm::Directory::open(store.files.stream_path(kStream)), 0660);
  auto spaces = scan(store.base.path());
  ASSERT_EQ(spaces.size(), 1u);
  EXPECT_EQ(spaces[0].user, sanitised_user_name());
  EXPECT_EQ(spaces[0].name, "default");
  EXPECT_FALSE(spaces[0].driver);
  EXPECT_EQ(only_stream(spaces).stream_id, kStream);
  EXPECT_TRUE(only_stream(spaces).doorbell);
  ASSERT_EQ(only_stream(spaces).epochs.size(), 2u);
  const ScannedEpoch& epoch = only_stream(spaces).epochs[1];
  EXPECT_EQ(epoch.fault, "");
  EXPECT_EQ(epoch.epoch, 7u);
  EXPECT_EQ(epoch.geometry, (Geometry{4, {{1, 256}, {9, 4096}}}));
  EXPECT_GE(epoch.bytes, 4u * (256 + 256 + 4096));
  EXPECT_EQ(epoch.pid, static_cast<uint64_t>(::getpid()));
  EXPECT_TRUE(epoch.creator_runs);
  EXPECT_EQ(epoch.next_seq, 0u);
  ASSERT_TRUE(epoch.activity_age_ns);
  EXPECT_LT(*epoch.activity_age_ns, 30 * kNsPerSecond);

  PoolWriter writer(created.map);
  for (int i = 0; i < 6; ++i) test::write_frame(writer);  // seq 0 to 5 over 4 slots
  Claim open;
  ASSERT_EQ(writer.claim(test::bytes_tensor(8), open), ClaimError::kNone);  // seq 6: being written, none yet
  spaces = scan(store.base.path());
  EXPECT_EQ(only_stream(spaces).epochs[1].next_seq, 6u);
  EXPECT_EQ(only_stream(spaces).epochs[0].next_seq, 0u);
  EXPECT_EQ(scan_next_seq(only_stream(spaces).epochs[1].path), 6u);
  EXPECT_EQ(scan_next_seq(store.base / "nowhere"), std::nullopt);
}

TEST(ScanTest, FindsTheNewestFrameOfARingTooBigToReadAsAWhole) {
  Store store;
  const auto created = store.create({.slot_count = 4 * kFullScanSlots, .pools = {{1, 64}}}, 7);
  const std::string path =
      fs::path(created.map->regions().header_region_uri.substr(std::string_view("shm:file?path=").size())).parent_path();
  EXPECT_EQ(scan_next_seq(path), 0u);
  PoolWriter writer(created.map);
  for (int i = 0; i < 11; ++i) test::write_frame(writer, 8);
  EXPECT_EQ(scan_next_seq(path), 11u);
}

TEST(ScanTest, NamesTheDriverThatHoldsTheLockWhoeverMadeTheEpochs) {  // P-7, R-25
  Store store;
  store.create({.slot_count = 4, .pools = {{1, 64}}});
  const auto lock = shm::FileLock::acquire(store.files.namespace_directory(), std::string(kDriverLockName), "driver lab");
  const auto spaces = scan(store.base.path(), ScanDepth::kNamespaces);
  ASSERT_EQ(spaces.size(), 1u);
  ASSERT_TRUE(spaces[0].driver);
  EXPECT_EQ(spaces[0].driver->text, "driver lab");
  EXPECT_EQ(spaces[0].driver->pid, static_cast<uint64_t>(::getpid()));
  EXPECT_TRUE(spaces[0].streams.empty());
}

TEST(ScanTest, TellsALivingMakerFromAKilledOneAndFromOneWhosePidWasReused) {
  Store store;
  Helper maker([&](const Helper& self) {
    store.files.create(kStream, 9, {.slot_count = 4, .pools = {{1, 64}}}, monotonic_ns());
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(maker.wait_ready(), 0);
  EXPECT_TRUE(only_stream(scan(store.base.path())).epochs[0].creator_runs);
  maker.kill();
  EXPECT_FALSE(only_stream(scan(store.base.path())).epochs[0].creator_runs);

  wire::Superblock block;
  block.pid = static_cast<uint64_t>(::getpid());
  block.start_timestamp_ns = monotonic_ns();
  EXPECT_TRUE(creator_runs(block, monotonic_ns()));
  block.start_timestamp_ns = 1;  // long before this process began
  EXPECT_FALSE(creator_runs(block, monotonic_ns()));
}

TEST(ScanTest, SaysWhatIsDamagedAndShowsTheRest) {  // W-92
  Store store;
  const auto created = store.create({.slot_count = 4, .pools = {{1, 64}}}, 7);
  store.create({.slot_count = 4, .pools = {{1, 64}}}, 8);
  const std::string path = store.files.stream_path(kStream) + "/7";
  const auto fault = [&] { return only_stream(scan(store.base.path())).epochs[0].fault; };
  EXPECT_EQ(fault(), "");
  std::string bytes = shm::test::read_file(path + "/header.ring");
  const std::string whole = bytes;
  const auto damaged = [&](size_t at, char value) {
    bytes = whole;
    bytes[at] = value;
    write_file(path + "/header.ring", bytes);
    return fault();
  };
  EXPECT_NE(damaged(0, 0).find("is no region"), std::string::npos);
  EXPECT_NE(damaged(8, 2).find("layout version 2"), std::string::npos);
  EXPECT_NE(damaged(12, 6).find("says epoch 6"), std::string::npos);
  EXPECT_NE(damaged(20, 1).find("says stream"), std::string::npos);
  EXPECT_NE(damaged(28, 3).find("says 3 slots"), std::string::npos);
  EXPECT_NE(damaged(29, 1).find("slots"), std::string::npos);
  write_file(path + "/header.ring", whole.substr(0, whole.size() - 1));
  EXPECT_NE(fault().find("truncated"), std::string::npos);
  write_file(path + "/header.ring", whole.substr(0, 63));
  EXPECT_NE(fault().find("cannot be read"), std::string::npos);
  write_file(path + "/header.ring", whole);
  fs::resize_file(path + "/1.pool", 64);
  EXPECT_NE(fault().find("1.pool is truncated"), std::string::npos);
  fs::remove(path + "/1.pool");
  ASSERT_EQ(::mkfifo((path + "/1.pool").c_str(), 0600), 0);  // nobody hangs on it
  EXPECT_NE(fault().find("1.pool cannot be read"), std::string::npos);
  EXPECT_EQ(only_stream(scan(store.base.path())).epochs[1].fault, "") << "the other epoch is as it was";
}

TEST(ScanTest, FollowsNoLinkAndIgnoresWhatHasNoNumber) {  // W-26, D-34
  Store store;
  store.create({.slot_count = 4, .pools = {{1, 64}}}, 7);
  Store elsewhere;
  elsewhere.create({.slot_count = 4, .pools = {{1, 64}}}, 9, 4711);
  const std::string space = store.files.namespace_directory().path();
  fs::create_symlink(elsewhere.files.stream_path(4711), space + "/4711");
  fs::create_symlink(elsewhere.files.stream_path(4711) + "/9", space + "/10000/9");
  fs::create_directory(space + "/not-a-stream");
  fs::create_directory(store.base / "tensorpool-somebody");
  write_file(store.base / "tensorpool-somebody/file", "x");
  const auto spaces = scan(store.base.path());
  ASSERT_EQ(spaces.size(), 2u);
  const auto& ours = spaces[0].user == "somebody" ? spaces[1] : spaces[0];
  const auto& theirs = spaces[0].user == "somebody" ? spaces[0] : spaces[1];
  EXPECT_NE(theirs.fault, "");
  ASSERT_EQ(ours.streams.size(), 2u);
  EXPECT_NE(ours.streams[0].fault.find("link"), std::string::npos);  // 4711
  EXPECT_TRUE(ours.streams[0].epochs.empty());
  ASSERT_EQ(ours.streams[1].epochs.size(), 2u);
  EXPECT_NE(ours.streams[1].epochs[1].fault.find("link"), std::string::npos);
  test::expect_error(Code::kNotFound, "nowhere", [&] { scan(store.base / "nowhere"); });
}

}  // namespace
}  // namespace tidepool::pool

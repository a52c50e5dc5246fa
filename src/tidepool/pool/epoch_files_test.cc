#include "tidepool/pool/epoch_files.h"

#include <sys/mman.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>

#include "tidepool/base/process.h"
#include "tidepool/pool/test_support.h"
#include "tidepool/shm/doorbell.h"

namespace tidepool::pool {
namespace {

using namespace test;
using shm::test::mode_of;
using shm::test::read_file;
namespace fs = std::filesystem;

const Geometry kGeometry{.slot_count = 8, .pools = {{1, 4096}, {12, 64}}};

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  if (fs::exists(path)) {
    for (const auto& entry : fs::directory_iterator(path)) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class EpochFilesTest : public ::testing::Test {
 protected:
  TemporaryDirectory base_;
  std::string user_ = "tensorpool-" + sanitised_user_name();
  std::string stream_ = concat(base_.path(), "/", user_, "/default/10000");

  EpochFiles files(StoreOptions options = {}) {
    options.base_dir = base_.path();
    return EpochFiles(options);
  }
};

TEST_F(EpochFilesTest, LaysAnEpochOutAsTheProtocolSays) {  // W-21, D-34, W-22
  EpochFiles files = this->files();
  const auto created = files.create(10000, 7, kGeometry, 1234);
  EXPECT_EQ(files.stream_path(10000), stream_);
  EXPECT_EQ(names_in(stream_), (std::vector<std::string>{"7", "doorbell"}));
  EXPECT_EQ(names_in(stream_ + "/7"), (std::vector<std::string>{"1.pool", "12.pool", "header.ring"}));
  EXPECT_EQ(fs::file_size(stream_ + "/7/header.ring"), 64u + 8 * 256);
  EXPECT_EQ(fs::file_size(stream_ + "/7/1.pool"), 64u + 8 * 4096);
  EXPECT_EQ(fs::file_size(stream_ + "/7/12.pool"), 64u + 8 * 64);
  EXPECT_EQ(created.regions, created.map->regions());
  EXPECT_EQ(created.regions.header_region_uri, concat("shm:file?path=", stream_, "/7/header.ring"));
  EXPECT_EQ(created.regions.pools, (std::vector<wire::PoolEntry>{{1, 8, 4096, concat("shm:file?path=", stream_, "/7/1.pool")},
                                                                 {12, 8, 64, concat("shm:file?path=", stream_, "/7/12.pool")}}));
  EXPECT_NO_THROW(created.regions.check());
  EXPECT_EQ(files.streams(), std::vector<uint32_t>{10000});
  EXPECT_EQ(files.epochs(10000), std::vector<uint64_t>{7});
  EXPECT_TRUE(files.epochs(1).empty());
}

TEST_F(EpochFilesTest, WritesSuperblocksThatEveryPeerAccepts) {  // W-18, D-36, W-32, R-01
  const auto created = files().create(10000, 7, kGeometry, 1234);
  const auto block_of = [&](const char* file) {
    const std::string content = read_file(stream_ + "/7/" + file);
    std::byte bytes[wire::kSuperblockBytes];
    std::memcpy(bytes, content.data(), sizeof bytes);
    return wire::decode_superblock(bytes);
  };
  wire::Superblock expected{.magic = wire::kMagic,
                            .layout_version = 1,
                            .epoch = 7,
                            .stream_id = 10000,
                            .region_type = wire::RegionType::header_ring,
                            .pool_id = 0,
                            .nslots = 8,
                            .slot_bytes = 256,
                            .stride_bytes = 0,
                            .pid = static_cast<uint64_t>(::getpid()),
                            .start_timestamp_ns = 1234,
                            .activity_timestamp_ns = 1234};
  EXPECT_EQ(block_of("header.ring"), expected);
  expected.region_type = wire::RegionType::payload_pool;
  expected.pool_id = 12;
  expected.slot_bytes = expected.stride_bytes = 64;
  EXPECT_EQ(block_of("12.pool"), expected);
}

TEST_F(EpochFilesTest, MakesRegionsThatReadAsZeros) {  // W-34
  const auto created = files().create(10000, 7, kGeometry, 1);
  for (const char* const file : {"header.ring", "1.pool", "12.pool"}) {
    const std::string content = read_file(stream_ + "/7/" + file);
    EXPECT_TRUE(std::all_of(content.begin() + 64, content.end(), [](char c) { return c == 0; })) << file;
  }
}

TEST_F(EpochFilesTest, MakesAMapThatIsTheSameAsAnOpenedOne) {  // W-31
  EpochFiles files = this->files();
  const auto created = files.create(10000, 7, kGeometry, monotonic_ns());
  EXPECT_TRUE(created.map->writable());
  EXPECT_NO_THROW(created.map->revalidate({.now_ns = monotonic_ns(), .max_age_ns = 30 * kNsPerSecond}));
  shm::MapPolicy::Options policy;
  policy.allowed_base_dirs = {base_.path()};
  const auto opened = EpochMap::open(created.regions, shm::Access::kReadOnly, shm::MapPolicy(policy), {});
  PoolWriter writer(created.map);
  write_frame(writer);
  EXPECT_EQ(word_of(*opened, 0), word_of(*created.map, 0));
  EXPECT_EQ(opened->activity_ns(), created.map->activity_ns());
}

TEST_F(EpochFilesTest, SetsModesWhateverTheUmaskSays) {  // D-37
  const mode_t before = ::umask(077);
  files().create(10000, 7, kGeometry, 1);
  ::umask(before);
  EXPECT_EQ(mode_of(stream_ + "/7/header.ring"), 0660u);
  EXPECT_EQ(mode_of(stream_ + "/7/12.pool"), 0660u);
  EXPECT_EQ(mode_of(stream_ + "/doorbell"), 0660u);
  for (const auto& directory : {stream_ + "/7", stream_, concat(base_.path(), "/", user_), concat(base_.path(), "/", user_, "/default")}) {
    EXPECT_EQ(mode_of(directory), 0770u) << directory;
  }
}

TEST_F(EpochFilesTest, TakesModesForOneUserAndForAGroup) {  // D-37, P-10
  files({.name_space = "private", .file_mode = 0600}).create(1, 7, kGeometry, 1);
  files({.name_space = "shared", .file_mode = 02660}).create(1, 7, kGeometry, 1);
  files({.name_space = "readable", .file_mode = 0640}).create(1, 7, kGeometry, 1);
  const std::string root = concat(base_.path(), "/", user_);
  EXPECT_EQ(mode_of(root + "/private/1/7"), 0700u);
  EXPECT_EQ(mode_of(root + "/private/1/7/1.pool"), 0600u);
  EXPECT_EQ(mode_of(root + "/shared/1/7"), 02770u);
  EXPECT_EQ(mode_of(root + "/shared/1/7/1.pool"), 0660u);
  EXPECT_EQ(mode_of(root + "/readable/1/7"), 0750u);
  EXPECT_EQ(mode_of(root + "/readable/1/7/1.pool"), 0640u);
}

TEST_F(EpochFilesTest, NeverGrantsAnythingToOthers) {  // D-37
  for (const mode_t mode : {0664, 0666, 0661}) expect_error(Code::kInvalidArgument, "others", [&] { files({.file_mode = mode}); });
  expect_error(Code::kInvalidArgument, "owner", [&] { files({.file_mode = 0060}); });
  expect_error(Code::kInvalidArgument, "bits other than", [&] { files({.file_mode = 0770}); });
  EXPECT_TRUE(names_in(base_.path()).empty());
}

TEST_F(EpochFilesTest, ReservesItsSpace) {  // D-35, R-24
  const Geometry geometry{.slot_count = 8, .pools = {{1, 65536}}};
  files().create(10000, 7, geometry, 1);
  files({.reserve = false}).create(10000, 8, geometry, 1);
  struct stat reserved {}, sparse {};
  ASSERT_EQ(::stat((stream_ + "/7/1.pool").c_str(), &reserved), 0);
  ASSERT_EQ(::stat((stream_ + "/8/1.pool").c_str(), &sparse), 0);
  EXPECT_GE(reserved.st_blocks * 512, 64 + 8 * 65536);
  EXPECT_LE(sparse.st_blocks * 512, 4096);
}

TEST_F(EpochFilesTest, LeavesNothingBehindWhenThereIsNoSpace) {  // D-35, R-24
  const Geometry huge{.slot_count = 1 << 20, .pools = {{1, 4096}, {2, uint32_t{1} << 31}}};
  for (const bool reserve : {true, false}) {
    EpochFiles files = this->files({.reserve = reserve});
    const Error error = error_of([&] { files.create(10000, 7, huge, 1); });
    EXPECT_EQ(error.code(), Code::kNoSpace);
    const std::string text = error.what();
    EXPECT_NE(text.find(std::to_string(huge.total_bytes())), std::string::npos) << text;  // needed
    EXPECT_NE(text.find("are free of"), std::string::npos) << text;
    EXPECT_NE(text.find(base_.path()), std::string::npos) << text;
    EXPECT_FALSE(fs::exists(stream_));
  }
}

TEST_F(EpochFilesTest, LeavesNothingBehindWhenItFailsHalfWay) {  // D-35, W-31
  TIDEPOOL_IN_CHILD([&] {
    EpochFiles files = this->files();
    files.create(10000, 6, kGeometry, 1);
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{40000, 40000};  // the ring and pool 1 may be made, pool 2 may not
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    const Geometry geometry{.slot_count = 8, .pools = {{1, 64}, {2, 8192}}};
    expect_error(Code::kNoSpace, "2.pool", [&] { files.create(10000, 7, geometry, 1); });
    expect_error(Code::kNoSpace, "2.pool", [&] { files.create(10001, 7, geometry, 1); });
    EXPECT_EQ(names_in(stream_), (std::vector<std::string>{"6", "doorbell"}));
    EXPECT_EQ(names_in(stream_ + "/6").size(), 3u);
    EXPECT_EQ(files.streams(), std::vector<uint32_t>{10000});
  });
}

TEST_F(EpochFilesTest, FailsWhenMemoryCannotBeLocked) {  // D-39
  TIDEPOOL_IN_CHILD([&] {
    if (!shm::test::refuse_syscall(SYS_mlock, ENOMEM)) GTEST_SKIP() << "seccomp is not allowed here";
    const int here = 0;
    if (::mlock(&here, 1) == 0) GTEST_SKIP() << "SKIPPED: a sanitizer stands in for mlock and says yes to everything";
    EpochFiles files = this->files({.lock_memory = true});
    expect_error(Code::kNoSpace, "mlock", [&] { files.create(10000, 7, kGeometry, 1); });
    EXPECT_FALSE(fs::exists(stream_));
  });
}

TEST_F(EpochFilesTest, NeverUsesAnEpochsDirectoryAgain) {  // D-42, W-33
  EpochFiles files = this->files();
  const auto first = files.create(10000, 7, kGeometry, 1);
  PoolWriter writer(first.map);
  write_frame(writer);
  expect_error(Code::kRejected, "exists already", [&] { files.create(10000, 7, kGeometry, 2); });
  EXPECT_EQ(word_of(*first.map, 0), 1u);  // untouched
  EXPECT_NO_THROW(first.map->revalidate({}));
  fs::create_directory(stream_ + "/8");  // even an empty one
  expect_error(Code::kRejected, "exists already", [&] { files.create(10000, 8, kGeometry, 2); });
  EXPECT_TRUE(fs::exists(stream_ + "/8"));
}

TEST_F(EpochFilesTest, RefusesReservedEpochsAndBadGeometry) {  // D-31, W-20
  EpochFiles files = this->files();
  expect_error(Code::kInvalidArgument, "epoch 0", [&] { files.create(10000, 0, kGeometry, 1); });
  expect_error(Code::kInvalidArgument, "reserved", [&] { files.create(10000, ~uint64_t{0}, kGeometry, 1); });
  expect_error(Code::kInvalidArgument, "slot count", [&] { files.create(10000, 7, {.slot_count = 3, .pools = {{1, 64}}}, 1); });
  expect_error(Code::kInvalidArgument, "power of two", [&] { files.create(10000, 7, {.slot_count = 4, .pools = {{1, 192}}}, 1); });
  EXPECT_TRUE(files.streams().empty());
}

TEST_F(EpochFilesTest, AnnouncesTheCanonicalPath) {  // D-34, W-22, WX-41
  const std::string link = base_ / "link";
  fs::create_directory(base_ / "real");
  fs::create_directory_symlink(base_ / "real", link);
  StoreOptions options;
  options.base_dir = link;
  const auto created = EpochFiles(options).create(1, 7, kGeometry, 1);
  EXPECT_EQ(created.regions.header_region_uri, concat("shm:file?path=", base_.path(), "/real/", user_, "/default/1/7/header.ring"));
}

TEST_F(EpochFilesTest, RefusesADirectoryThatIsNotSafelyOurs) {  // driver.md 17, D-34
  fs::create_directory(base_ / "elsewhere");
  fs::create_directory_symlink(base_ / "elsewhere", base_ / user_);
  expect_error(Code::kPermission, user_, [&] { files(); });
  EXPECT_TRUE(names_in(base_ / "elsewhere").empty());
  fs::remove(base_ / user_);
  fs::create_directory(base_ / user_);
  ASSERT_EQ(::chmod((base_ / user_).c_str(), 0777), 0);
  expect_error(Code::kPermission, "writable by others", [&] { files(); });
  ASSERT_EQ(::chmod((base_ / user_).c_str(), 0770), 0);
  fs::create_directory_symlink(base_ / "elsewhere", concat(base_ / user_, "/default"));
  expect_error(Code::kPermission, "default", [&] { files(); });
  fs::remove(concat(base_ / user_, "/default"));
  EXPECT_NO_THROW(files());
  if (::geteuid() != 0) GTEST_SKIP() << "the rest needs root: a directory of another user";
  ASSERT_EQ(::chown((base_ / user_).c_str(), 12345, 12345), 0);
  expect_error(Code::kPermission, "belongs to", [&] { files(); });
}

TEST_F(EpochFilesTest, NeverWritesThroughALinkInAStream) {  // D-34, W-26
  EpochFiles files = this->files();
  fs::create_directory(base_ / "elsewhere");
  fs::create_directory_symlink(base_ / "elsewhere", stream_);
  expect_error(Code::kPermission, "10000", [&] { files.create(10000, 7, kGeometry, 1); });
  fs::remove(stream_);
  fs::create_directory(stream_);
  fs::create_directory_symlink(base_ / "elsewhere", stream_ + "/7");
  expect_error(Code::kRejected, "exists already", [&] { files.create(10000, 7, kGeometry, 1); });
  EXPECT_TRUE(names_in(base_ / "elsewhere").empty());
}

TEST_F(EpochFilesTest, ChecksItsOptions) {  // W-21, W-24, D-15, D-38
  for (const char* const name : {"", "a/b", "..", "a b", "a.b", "\xc3\xa4"}) {
    expect_error(Code::kInvalidArgument, "namespace", [&] { files({.name_space = name}); });
  }
  EXPECT_NO_THROW(files({.name_space = "Lab_1-a"}));
  StoreOptions missing;
  missing.base_dir = base_ / "missing";
  expect_error(Code::kNotFound, "missing", [&] { EpochFiles files(missing); });
  expect_error(Code::kPermission, "allowed_base_dirs", [&] { files({.allowed_base_dirs = {"/proc"}}); });
  EXPECT_NO_THROW(files({.allowed_base_dirs = {"/proc", "/dev/shm"}}));
  expect_error(Code::kUnsupported, "hugetlbfs", [&] { files({.use_hugepages = true}); });
}

TEST_F(EpochFilesTest, WorksOnHugepages) {  // D-38, W-28
  const shm::test::ReservedHugepages pages(8);
  TIDEPOOL_IN_CHILD([&] {
    if (!shm::test::mount_private("hugetlbfs", base_.path(), "")) GTEST_SKIP() << "hugetlbfs cannot be mounted here";
    if (shm::file_system_of(base_.path()).free_bytes < (uint64_t{8} << 20)) GTEST_SKIP() << "no free hugepages (vm.nr_hugepages)";
    EpochFiles files = this->files({.use_hugepages = true});
    const auto created = files.create(10000, 7, kGeometry, 1);
    EXPECT_TRUE(created.regions.header_region_uri.ends_with("|require_hugepages=true"));
    EXPECT_EQ(fs::file_size(stream_ + "/7/header.ring") % shm::file_system_of(base_.path()).block_bytes, 0u);
    shm::MapPolicy::Options policy;
    policy.allowed_base_dirs = {base_.path()};
    const auto opened = EpochMap::open(created.regions, shm::Access::kReadOnly, shm::MapPolicy(policy), {});
    PoolWriter writer(created.map);
    write_frame(writer);
    EXPECT_EQ(word_of(*opened, 0), 1u);
  });
}

TEST_F(EpochFilesTest, MakesADoorbellThatOutlivesItsEpochs) {  // P-3
  EpochFiles files = this->files();
  files.create(10000, 7, kGeometry, 1);
  struct stat first {}, second {};
  ASSERT_EQ(::stat((stream_ + "/doorbell").c_str(), &first), 0);
  files.create(10000, 8, kGeometry, 1);
  ASSERT_EQ(::stat((stream_ + "/doorbell").c_str(), &second), 0);
  EXPECT_EQ(first.st_ino, second.st_ino);  // a parked reader need not look for another
  EXPECT_TRUE(shm::Doorbell::open(stream_).has_value());
}

TEST_F(EpochFilesTest, RaisesEveryEpochAboveAllEarlierOnes) {  // D-31, W-65
  EpochFiles files = this->files();
  EXPECT_EQ(files.next_epoch(10000, 0, 500), 500u);
  EXPECT_EQ(files.next_epoch(10000, 0, 0), 1u);
  EXPECT_EQ(files.next_epoch(10000, 500, 500), 501u);
  EXPECT_EQ(files.next_epoch(10000, 800, 500), 801u);
  EXPECT_EQ(files.next_epoch(10000, 0, ~uint64_t{0}), 1u);
  files.create(10000, 9000, kGeometry, 1);  // of a driver before a reboot: its clock was ahead of ours
  EXPECT_EQ(files.next_epoch(10000, 800, 500), 9001u);
  EXPECT_EQ(files.next_epoch(10001, 800, 500), 801u);
  fs::create_directory(stream_ + "/007");  // no name that we would give
  fs::create_directory(stream_ + "/99999x");
  EXPECT_EQ(files.next_epoch(10000, 800, 500), 9001u);
  fs::create_directory(stream_ + "/18446744073709551614");
  expect_error(Code::kRejected, "18446744073709551614", [&] { files.next_epoch(10000, 800, 500); });
}

TEST_F(EpochFilesTest, RemovesAnEpochAndInTheEndTheStream) {  // D-40
  EpochFiles files = this->files();
  files.create(10000, 7, kGeometry, 1);
  files.create(10000, 8, kGeometry, 1);
  files.remove(10000, 7);
  files.remove(10000, 7);  // gone already
  files.remove(10001, 7);
  EXPECT_EQ(files.epochs(10000), std::vector<uint64_t>{8});
  EXPECT_FALSE(files.remove_stream(10000));
  EXPECT_TRUE(fs::exists(stream_ + "/doorbell"));
  files.remove(10000, 8);
  EXPECT_TRUE(files.remove_stream(10000));
  EXPECT_FALSE(fs::exists(stream_));
  EXPECT_TRUE(files.remove_stream(10000));
}

TEST_F(EpochFilesTest, RemovesNothingButItsOwnFiles) {  // D-40, W-67
  EpochFiles files = this->files();
  files.create(10000, 7, kGeometry, 1);
  std::ofstream(stream_ + "/7/notes.txt") << "mine";
  std::ofstream(stream_ + "/7/x.pool") << "mine";
  expect_error(Code::kRejected, "notes.txt", [&] { files.remove(10000, 7); });
  EXPECT_EQ(names_in(stream_ + "/7"), (std::vector<std::string>{"notes.txt", "x.pool"}));
  std::ofstream(base_ / "target") << "precious";
  fs::remove(stream_ + "/7/notes.txt");
  fs::remove(stream_ + "/7/x.pool");
  fs::create_symlink(base_ / "target", stream_ + "/7/3.pool");
  files.remove(10000, 7);  // the link goes, what it names stays
  EXPECT_FALSE(fs::exists(stream_ + "/7"));
  EXPECT_EQ(read_file(base_ / "target"), "precious");
}

// ---- collection -----------------------------------------------------------------------------------------------------

class Collection : public EpochFilesTest {
 protected:
  static constexpr uint64_t kAge = 3 * kNsPerSecond;
  EpochFiles files_ = files();
  EpochFiles::CollectRules rules_{.current_epoch = 5,
                                  .keep = 2,
                                  .min_age_ns = kAge,
                                  .now_ns = monotonic_ns() + 2 * kAge,  // everything below is old enough
                                  .now_realtime_ns = realtime_ns() + 2 * kAge,
                                  .in_use = {},
                                  .dry_run = false};

  void make(std::initializer_list<uint64_t> epochs) {
    for (const uint64_t epoch : epochs) files_.create(10000, epoch, kGeometry, monotonic_ns());
  }
  std::vector<uint64_t> collect() {
    std::vector<uint64_t> epochs;
    for (const auto& one : files_.collect(10000, rules_)) epochs.push_back(one.epoch);
    return epochs;
  }
  // Rewrites 8 bytes of an epoch's header ring: 40 the pid, 48 the start, 56 the activity.
  void set(uint64_t epoch, size_t offset, uint64_t value) {
    std::fstream file(concat(stream_, "/", epoch, "/header.ring"), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(reinterpret_cast<const char*>(&value), sizeof value);
    ASSERT_TRUE(file.good());
  }
};

using V = std::vector<uint64_t>;

TEST_F(Collection, KeepsTheNewestAndReportsTheRest) {  // D-40, W-67, P-8
  make({1, 2, 3, 4, 5});
  const auto collected = files_.collect(10000, rules_);
  ASSERT_EQ(collected.size(), 3u);
  EXPECT_EQ(collected[0].epoch, 1u);
  EXPECT_EQ(collected[0].path, stream_ + "/1");
  EXPECT_GE(collected[0].bytes, kGeometry.total_bytes());
  EXPECT_NE(collected[0].why.find("made by this process"), std::string::npos) << collected[0].why;
  EXPECT_EQ(files_.epochs(10000), (V{4, 5}));
  EXPECT_EQ(collect(), V{});
}

TEST_F(Collection, OnlySaysWhatItWouldDo) {  // R-02, P-8
  make({1, 2, 3, 4, 5});
  rules_.dry_run = true;
  EXPECT_EQ(collect(), (V{1, 2, 3}));
  EXPECT_EQ(files_.epochs(10000), (V{1, 2, 3, 4, 5}));
}

TEST_F(Collection, NeverRemovesTheCurrentEpoch) {  // D-40
  make({1, 2, 3, 4, 5});
  rules_.current_epoch = 1;  // whatever else is there
  rules_.keep = 1;
  EXPECT_EQ(collect(), (V{2, 3, 4}));
  EXPECT_EQ(files_.epochs(10000), (V{1, 5}));
}

TEST_F(Collection, IsOffWhenNothingIsToBeKept) {  // driver.md 8.6, disagreement 15
  make({1, 2, 3});
  rules_.keep = 0;
  EXPECT_EQ(collect(), V{});
}

TEST_F(Collection, KeepsTheNewestWhenNoneIsCurrent) {  // P-8
  make({1, 2, 3});
  rules_.current_epoch = 0;
  rules_.keep = 1;
  EXPECT_EQ(collect(), (V{1, 2}));
  rules_.keep = 7;
  EXPECT_EQ(collect(), V{});
  EXPECT_TRUE(files_.collect(4711, rules_).empty());  // no such stream
}

TEST_F(Collection, SparesWhatALeaseRefersTo) {  // D-40
  make({1, 2, 3, 4, 5});
  rules_.in_use = [](uint64_t epoch) { return epoch == 2; };
  EXPECT_EQ(collect(), (V{1, 3}));
}

TEST_F(Collection, CountsTheAgeFromTheLatestOfActivityAndDirectory) {  // D-40, W-67
  make({1, 2, 3, 4, 5});
  set(1, 56, rules_.now_ns - kAge + 1);  // active one ns too late
  set(2, 56, rules_.now_ns - kAge);      // just old enough
  set(3, 56, rules_.now_ns + kNsPerSecond * 1000);  // an earlier boot's clock says nothing: the directory's age counts
  EXPECT_EQ(collect(), (V{2, 3}));
  rules_.now_ns += kAge;
  rules_.now_realtime_ns = realtime_ns() + kAge / 2;  // the directory was changed too late, by its own clock
  EXPECT_EQ(collect(), V{});
  rules_.now_realtime_ns = 1;  // or in the future
  EXPECT_EQ(collect(), V{});
  rules_.min_age_ns = 0;
  EXPECT_EQ(collect(), V{1});
}

TEST_F(Collection, SparesEpochsWhoseCreatorLives) {  // D-40, R-01
  make({1, 2, 3, 4, 5});
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  set(1, 40, static_cast<uint64_t>(child));
  set(1, 48, monotonic_ns() + kNsPerSecond);  // began before the epoch was made: it may be its creator
  set(2, 40, static_cast<uint64_t>(child));
  set(2, 48, 1);  // the pid was used again: nobody that began this late made it
  EXPECT_EQ(collect(), (V{2, 3}));
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(collect(), V{1});
}

TEST_F(Collection, RemovesWhatACrashLeftHalfMade) {  // D-42, W-67
  make({4, 5});
  fs::create_directory(stream_ + "/1");
  fs::create_directory(stream_ + "/2");
  std::ofstream(stream_ + "/2/header.ring") << "short";
  EXPECT_EQ(collect(), (V{1, 2}));
  fs::create_directory(stream_ + "/3");
  rules_.now_realtime_ns = realtime_ns();  // perhaps being made right now
  EXPECT_EQ(collect(), V{});
}

TEST_F(Collection, NeverFollowsALinkNorRemovesForeignFiles) {  // D-40, D-34
  make({4, 5});
  const std::string target = base_ / "target";
  fs::create_directory(target);
  std::ofstream(target + "/header.ring") << "precious";
  fs::create_directory_symlink(target, stream_ + "/1");
  fs::create_directory(stream_ + "/2");
  fs::create_symlink(target + "/header.ring", stream_ + "/2/header.ring");
  fs::create_directory(stream_ + "/3");
  std::ofstream(stream_ + "/3/foreign") << "mine";
  EXPECT_EQ(collect(), V{2});
  EXPECT_EQ(read_file(target + "/header.ring"), "precious");
  EXPECT_TRUE(fs::is_symlink(stream_ + "/1"));
  EXPECT_TRUE(fs::exists(stream_ + "/3/foreign"));
}

TEST_F(Collection, DisturbsNobodyWhoHasTheEpochMapped) {  // W-67, P-4
  make({4, 5});
  const auto old = files_.create(10000, 1, kGeometry, monotonic_ns());
  PoolWriter writer(old.map);
  write_frame(writer);
  EXPECT_EQ(collect(), V{1});
  PoolReader reader(old.map);
  FrameView view;
  EXPECT_EQ(reader.read(0, view), ReadResult::kFrame);
  EXPECT_TRUE(is_mix(view.bytes(), 1, 1, 0));
}

}  // namespace
}  // namespace tidepool::pool

#include "tidepool/shm/region.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include "tidepool/base/bytes.h"
#include "tidepool/base/log.h"
#include "tidepool/shm/test_support.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace tidepool::shm {
namespace {

using test::expect_error;
using test::TemporaryDirectory;

constexpr uint64_t kMiB = uint64_t{1} << 20;

MapPolicy allow(const std::string& base) { return MapPolicy({.allowed_base_dirs = {base}}); }

Region open_region(const std::string& path, uint64_t min_bytes, const MapPolicy& policy, Access access = Access::kReadOnly) {
  return Region::open(Uri{path, false}, access, min_bytes, policy);
}

// The line of `file` (smaps, status) that begins with `key`, after the mapping at `address` if one is given; 0 if none.
uint64_t kib_in_smaps(const void* address, std::string_view key) {
  std::ifstream smaps("/proc/self/smaps");
  std::ostringstream start;
  start << std::hex << reinterpret_cast<uintptr_t>(address) << '-';
  bool ours = false;
  for (std::string line; std::getline(smaps, line);) {
    if (line.find('-') != std::string::npos && line.find(':') > line.find('-')) ours = line.starts_with(start.str());
    if (ours && line.starts_with(key)) return std::stoull(line.substr(key.size()));
  }
  return 0;
}
// "r--s" and the like of the mapping at `address`.
std::string protection_of(const void* address) {
  std::ifstream maps("/proc/self/maps");
  std::ostringstream start;
  start << std::hex << reinterpret_cast<uintptr_t>(address) << '-';
  for (std::string line; std::getline(maps, line);) {
    if (line.starts_with(start.str())) return line.substr(line.find(' ') + 1, 4);
  }
  return "";
}
// mlock works here and is the kernel's: the sanitizers' own says yes to everything and does nothing.
bool may_lock() {
  const std::byte here{};
  return ::mlock(&here, 1) == 0 && ::mlock(nullptr, 4096) != 0;
}
uint64_t allocated_bytes(const std::string& path) {
  struct stat found{};
  return ::stat(path.c_str(), &found) == 0 ? static_cast<uint64_t>(found.st_blocks) * 512 : 0;
}

// ---- what may be mapped -------------------------------------------------------------------------------------------------

TEST(MapPolicyTest, NeedsAbsoluteDirectoriesThatExist) {  // W-24
  const TemporaryDirectory root;
  test::write_file(root / "file", "x");
  expect_error(Code::kInvalidArgument, "'dev/shm' is not an absolute path", [] { allow("dev/shm"); });
  expect_error(Code::kInvalidArgument, "'' is not an absolute path", [] { allow(""); });
  expect_error(Code::kInvalidArgument, root / "absent", [&] { allow(root / "absent"); });
  expect_error(Code::kInvalidArgument, "is not a directory", [&] { allow(root / "file"); });
}

TEST(MapPolicyTest, ContainsByWholeComponents) {  // W-24
  const TemporaryDirectory root;
  root.directory().make("pool", 0770);
  const auto policy = allow(root / "pool");
  EXPECT_TRUE(policy.contains(root / "pool"));
  EXPECT_TRUE(policy.contains(root / "pool/a/b"));
  EXPECT_FALSE(policy.contains(root / "pool2"));
  EXPECT_FALSE(policy.contains(root / "pool2/a"));
  EXPECT_FALSE(policy.contains(root / "poo"));
  EXPECT_FALSE(policy.contains(root.path()));
  EXPECT_FALSE(policy.contains(""));
  EXPECT_TRUE(allow("/").contains("/etc/passwd"));
  EXPECT_TRUE(allow((root / "pool") + "//").contains(root / "pool/a"));
}

TEST(MapPolicyTest, ResolvesItsDirectoriesOnceAtTheStart) {  // W-24
  const TemporaryDirectory root;
  root.directory().make("first", 0770);
  root.directory().make("second", 0770);
  ASSERT_EQ(::symlink("first", (root / "base").c_str()), 0);
  const auto policy = allow(root / "base");
  ASSERT_EQ(::unlink((root / "base").c_str()), 0);
  ASSERT_EQ(::symlink("second", (root / "base").c_str()), 0);
  EXPECT_EQ(policy.canonical_base_dirs(), std::vector<std::string>{root / "first"});
  EXPECT_TRUE(policy.contains(root / "first/a"));
  EXPECT_FALSE(policy.contains(root / "second/a"));
}

TEST(RegionTest, IsRefusedByAnEmptyAllowList) {  // W-24
  const TemporaryDirectory root;
  test::write_file(root / "r", "12345678");
  const MapPolicy nothing({.allowed_base_dirs = {}});
  expect_error(Code::kPermission, "allowed_base_dirs is empty", [&] { open_region(root / "r", 8, nothing); });
}

TEST(RegionTest, IsRefusedOutsideTheAllowedDirectoriesHoweverItIsSpelled) {  // W-24
  const TemporaryDirectory root;
  root.directory().make("pool", 0770);
  root.directory().make("pool2", 0770);
  test::write_file(root / "pool/in", "12345678");
  test::write_file(root / "pool2/out", "12345678");
  ASSERT_EQ(::symlink("../pool2", (root / "pool/way_out").c_str()), 0);
  const auto policy = allow(root / "pool");
  EXPECT_TRUE(open_region(root / "pool/in", 8, policy));
  EXPECT_TRUE(open_region(root / "pool2/../pool//in", 8, policy));
  for (const auto* path : {"pool2/out", "pool/../pool2/out", "pool/way_out/out", "pool/./../pool2/out"}) {
    expect_error(Code::kPermission, "outside allowed_base_dirs (" + (root / "pool") + ")",
                 [&] { open_region(root / path, 8, policy); });
  }
}

TEST(RegionTest, IsARegularFile) {  // W-25
  const TemporaryDirectory root;
  root.directory().make("directory", 0770);
  ASSERT_EQ(::mkfifo((root / "fifo").c_str(), 0660), 0);
  const int server = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (root / "socket").c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(server, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  for (const auto* name : {"directory", "fifo", "socket"}) {
    for (const auto access : {Access::kReadOnly, Access::kReadWrite}) {
      expect_error(Code::kCorrupt, "not a regular file", [&] { open_region(root / name, 0, allow(root.path()), access); });
    }
  }
  expect_error(Code::kCorrupt, "not a regular file", [&] { open_region("/dev/zero", 0, allow("/dev")); });
  ::close(server);
}

TEST(RegionTest, IsNotALinkEvenToAnAllowedFile) {  // W-26
  const TemporaryDirectory root;
  test::write_file(root / "real", "12345678");
  ASSERT_EQ(::symlink("real", (root / "link").c_str()), 0);
  ASSERT_EQ(::symlink("absent", (root / "dangling").c_str()), 0);
  ASSERT_EQ(::symlink("loop", (root / "loop").c_str()), 0);
  expect_error(Code::kPermission, "is a symbolic link", [&] { open_region(root / "link", 8, allow(root.path())); });
  expect_error(Code::kNotFound, root / "dangling", [&] { open_region(root / "dangling", 8, allow(root.path())); });
  expect_error(Code::kInvalidArgument, root / "loop", [&] { open_region(root / "loop", 8, allow(root.path())); });
}

TEST(RegionTest, MayBeAnnouncedThroughALinkedDirectoryThatStaysInside) {  // W-24, W-26: 7.3 canonicalises first
  const TemporaryDirectory root;
  root.directory().make("real", 0770);
  test::write_file(root / "real/r", "12345678");
  ASSERT_EQ(::symlink("real", (root / "linked").c_str()), 0);
  EXPECT_EQ(open_region(root / "linked/r", 8, allow(root.path())).path(), root / "real/r");
}

TEST(RegionTest, IsOpenedWithoutTheKernelsHelpToo) {  // W-26
  const TemporaryDirectory root;
  test::write_file(root / "real", "12345678");
  ASSERT_EQ(::symlink("real", (root / "link").c_str()), 0);
  TIDEPOOL_IN_CHILD([&] {
    if (!test::refuse_syscall(SYS_openat2, ENOSYS)) GTEST_SKIP() << "SKIPPED: seccomp is not allowed here";
    EXPECT_EQ(open_region(root / "real", 8, allow(root.path())).size_bytes(), 8u);
    expect_error(Code::kPermission, "is a symbolic link", [&] { open_region(root / "link", 8, allow(root.path())); });
  });
}

// One thread puts another file, then a link to a secret, in the region's place, as fast as it can; whatever open() returns
// is an allowed file, whole. The replacement between its two looks is met within the deadline.
TEST(RegionTest, IsNeverAnotherFilePutInItsPlaceWhileItIsOpened) {  // W-26
  const TemporaryDirectory root;
  const TemporaryDirectory outside;
  test::write_file(outside / "secret", "secret!!");
  test::write_file(root / "r", "allowed1");
  const auto policy = allow(root.path());
  std::atomic<bool> stop{false};
  std::thread stranger([&] {
    for (unsigned round = 0; !stop.load(std::memory_order_relaxed); ++round) {
      const std::string fresh = root / "fresh";
      if (round % 3 == 2) {
        if (::symlink((outside / "secret").c_str(), fresh.c_str()) != 0) continue;
      } else {
        const int fd = ::open(fresh.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
        const bool written = ::write(fd, "allowed1", 8) == 8;
        ::close(fd);
        if (!written) continue;
      }
      ::rename(fresh.c_str(), (root / "r").c_str());
    }
  });
  const uint64_t deadline_ns = monotonic_ns() + test::kDeadlineNs;
  uint64_t opened = 0;
  uint64_t replaced = 0;
  while ((opened < 100 || replaced == 0) && monotonic_ns() < deadline_ns) {
    try {
      const Region region = open_region(root / "r", 8, policy);
      EXPECT_EQ(std::memcmp(region.data(), "allowed1", 8), 0);
      ++opened;
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == Code::kPermission || error.code() == Code::kCorrupt || error.code() == Code::kNotFound)
          << error.what();
      if (std::string_view(error.what()).find("replaced while it was opened") != std::string_view::npos) ++replaced;
    }
  }
  stop.store(true, std::memory_order_relaxed);
  stranger.join();
  EXPECT_GE(opened, 100u);
  EXPECT_GE(replaced, 1u);
}

TEST(RegionTest, IsRefusedWhenOthersMayTouchItUnlessThatIsAllowed) {  // W-27
  const TemporaryDirectory root;
  for (const mode_t bit : {mode_t{0001}, mode_t{0002}, mode_t{0004}}) {
    test::write_file(root / "r", "12345678", 0660 | bit);
    expect_error(Code::kPermission, "has bits of 0007", [&] { open_region(root / "r", 8, allow(root.path())); });
    EXPECT_TRUE(open_region(root / "r", 8, MapPolicy({.allowed_base_dirs = {root.path()}, .forbidden_mode = 0})));
  }
  test::write_file(root / "r", "12345678", 0660);
  EXPECT_TRUE(open_region(root / "r", 8, allow(root.path())));
}

TEST(RegionTest, MayBePinnedToAnOwnerAndAGroup) {  // W-27
  const TemporaryDirectory root;
  test::write_file(root / "r", "12345678");
  MapPolicy::Options options{.allowed_base_dirs = {root.path()}};
  options.expected_uid = ::geteuid();
  options.expected_gid = ::getegid();
  EXPECT_TRUE(open_region(root / "r", 8, MapPolicy(options)));
  options.expected_uid = ::geteuid() + 1;
  expect_error(Code::kPermission, "belongs to user", [&] { open_region(root / "r", 8, MapPolicy(options)); });
  options.expected_uid.reset();
  options.expected_gid = ::getegid() + 1;
  expect_error(Code::kPermission, "belongs to group", [&] { open_region(root / "r", 8, MapPolicy(options)); });
}

TEST(RegionTest, IsRefusedWithoutHugepagesWhereTheyAreDemanded) {  // W-28, D-15
  const TemporaryDirectory root;
  test::write_file(root / "r", "12345678");
  const auto policy = allow(root.path());
  expect_error(Code::kUnsupported, "hugepages are required",
               [&] { Region::open(Uri{root / "r", true}, Access::kReadOnly, 8, policy); });
  const MapPolicy demanding({.allowed_base_dirs = {root.path()}, .require_hugepages = true});
  expect_error(Code::kUnsupported, "hugepages are required", [&] { open_region(root / "r", 8, demanding); });
}

TEST(RegionTest, IsNeverAByteTooShort) {  // W-29
  const TemporaryDirectory root;
  test::write_file(root / "r", std::string(319, 'x'));
  expect_error(Code::kCorrupt, "has 319 bytes, what is announced needs 320",
               [&] { open_region(root / "r", 320, allow(root.path())); });
  expect_error(Code::kCorrupt, "needs 18446744073709551615", [&] { open_region(root / "r", UINT64_MAX, allow(root.path())); });
  EXPECT_EQ(open_region(root / "r", 319, allow(root.path())).size_bytes(), 319u);
  EXPECT_EQ(open_region(root / "r", 1, allow(root.path())).size_bytes(), 319u);
  test::write_file(root / "empty", "");
  expect_error(Code::kCorrupt, "has 0 bytes", [&] { open_region(root / "empty", 0, allow(root.path())); });
}

TEST(RegionTest, IsReadOnlyForWhoReads) {  // W-30, R-22
  const TemporaryDirectory root;
  test::write_file(root / "r", "12345678", 0440);
  Region region = open_region(root / "r", 8, allow(root.path()));
  EXPECT_EQ(std::memcmp(region.data(), "12345678", 8), 0);
  EXPECT_EQ(region.mutable_data(), nullptr);
  EXPECT_EQ(protection_of(region.data()), "r--s");
}

TEST(RegionTest, IsSharedBetweenWriterAndReader) {  // W-30
  const TemporaryDirectory root;
  test::write_file(root / "r", std::string(8, '\0'));
  const auto writer = open_region(root / "r", 8, allow(root.path()), Access::kReadWrite);
  const auto reader = open_region(root / "r", 8, allow(root.path()));
  EXPECT_EQ(protection_of(writer.data()), "rw-s");
  store<uint64_t>(writer.mutable_data(), 42);
  EXPECT_EQ(load<uint64_t>(reader.data()), 42u);
}

TEST(RegionTest, IsNeverCreatedTruncatedOrChangedByOpening) {  // W-22, W-33, D-64
  const TemporaryDirectory root;
  expect_error(Code::kNotFound, root / "absent", [&] { open_region(root / "absent", 0, allow(root.path()), Access::kReadWrite); });
  EXPECT_FALSE(root.directory().has("absent"));
  test::write_file(root / "r", "12345678", 0640);
  open_region(root / "r", 4, allow(root.path()), Access::kReadWrite);
  EXPECT_EQ(test::read_file(root / "r"), "12345678");
  EXPECT_EQ(test::mode_of(root / "r"), mode_t{0640});
}

TEST(RegionTest, SaysWhenTheOperatingSystemRefuses) {  // W-30, D-37
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: needs root to become somebody else";
  const TemporaryDirectory root("/tmp");
  ASSERT_EQ(::chmod(root.path().c_str(), 0755), 0);
  test::write_file(root / "r", "12345678", 0640);
  TIDEPOOL_IN_CHILD([&] {
    ASSERT_EQ(::setresuid(65534, 65534, 65534), 0);
    ASSERT_EQ(::setegid(0), 0);  // we stay in the group: it may read, not write
    EXPECT_TRUE(open_region(root / "r", 8, allow(root.path())));
    expect_error(Code::kPermission, "to write: Permission denied",
                 [&] { open_region(root / "r", 8, allow(root.path()), Access::kReadWrite); });
  });
}

TEST(RegionTest, KnowsWhetherItIsStillTheFileUnderItsPath) {  // W-58
  const TemporaryDirectory root;
  const auto policy = allow(root.path());
  const auto reset = [&] {
    ::unlink((root / "r").c_str());
    test::write_file(root / "r", "12345678");
    return open_region(root / "r", 8, policy);
  };
  Region region = reset();
  EXPECT_TRUE(region.still_same_file());
  ASSERT_EQ(::truncate((root / "r").c_str(), 100), 0);
  EXPECT_TRUE(region.still_same_file());  // longer is fine
  ASSERT_EQ(::truncate((root / "r").c_str(), 7), 0);
  EXPECT_FALSE(region.still_same_file());

  region = reset();
  ASSERT_EQ(::unlink((root / "r").c_str()), 0);
  EXPECT_FALSE(region.still_same_file());

  region = reset();
  test::write_file(root / "other", "12345678");
  ASSERT_EQ(::rename((root / "other").c_str(), (root / "r").c_str()), 0);
  EXPECT_FALSE(region.still_same_file());

  region = reset();
  ASSERT_EQ(::rename((root / "r").c_str(), (root / "moved").c_str()), 0);
  ASSERT_EQ(::symlink("moved", (root / "r").c_str()), 0);
  EXPECT_FALSE(region.still_same_file());  // the same file, through a link
  EXPECT_FALSE(Region().still_same_file());
}

TEST(RegionTest, IsUnmappedOnceByItsLastOwner) {
  static_assert(!std::is_copy_constructible_v<Region> && !std::is_copy_assignable_v<Region>);
  const TemporaryDirectory root;
  test::write_file(root / "r", "12345678");
  const void* at = nullptr;
  {
    Region first = open_region(root / "r", 8, allow(root.path()));
    at = first.data();
    Region second = std::move(first);
    EXPECT_FALSE(first);  // NOLINT: moved from on purpose
    EXPECT_EQ(second.data(), at);
    EXPECT_EQ(protection_of(at), "r--s");
  }
  EXPECT_EQ(protection_of(at), "");
}

TEST(RegionTest, WarnsAboutFileSystemsThatAreNotMemory) {  // W-29: 7.3 step 9
  const TemporaryDirectory root("/tmp");
  if (file_system_of(root.path()).tmpfs) GTEST_SKIP() << "SKIPPED: /tmp is a tmpfs here";
  test::write_file(root / "r", "12345678");
  std::string said;
  set_log_sink([&](LogLevel, std::string_view, std::string_view text) { said = text; }, LogLevel::kWarn);
  EXPECT_TRUE(open_region(root / "r", 8, allow(root.path())));
  set_log_sink({}, LogLevel::kInfo);
  EXPECT_NE(said.find("neither on tmpfs nor on hugetlbfs"), std::string::npos) << said;
}

TEST(RegionTest, IsLockedInMemoryOrRefused) {  // D-39, config.md: mlock
  const TemporaryDirectory root;
  test::write_file(root / "r", std::string(kMiB, 'x'));
  const MapPolicy locking({.allowed_base_dirs = {root.path()}, .lock_memory = true});
  TIDEPOOL_IN_CHILD([&] {
    const rlimit none{0, 0};
    if (!may_lock()) GTEST_SKIP() << "SKIPPED: mlock is not allowed here, or a sanitizer stands in for it";
    {
      const Region region = open_region(root / "r", kMiB, locking);
      EXPECT_EQ(kib_in_smaps(region.data(), "Locked:"), 1024u);
    }
    ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &none), 0);
    if (::geteuid() == 0) {
      ASSERT_EQ(::chown((root / "r").c_str(), 65534, 65534), 0);
      ASSERT_EQ(::chmod(root.path().c_str(), 0755), 0);
      ASSERT_EQ(::setresuid(65534, 65534, 65534), 0);
    }
    const Error error = test::error_of([&] { open_region(root / "r", kMiB, locking); });
    EXPECT_TRUE(error.code() == Code::kPermission || error.code() == Code::kNoSpace);
    EXPECT_NE(std::string_view(error.what()).find("raise RLIMIT_MEMLOCK"), std::string_view::npos) << error.what();
    EXPECT_NE(std::string_view(error.what()).find(root / "r"), std::string_view::npos) << error.what();
  });
}

// ---- how regions are made -----------------------------------------------------------------------------------------------

RegionCreator creator_in(const TemporaryDirectory& root, RegionCreator::Options options = {}) {
  return RegionCreator(root.directory().fd(), root.path(), options);
}

TEST(RegionCreatorTest, MakesAFileOfTheExactSizeThatReadsAsZeros) {  // W-32, W-34
  const TemporaryDirectory root;
  for (const bool reserve : {true, false}) {
    const std::string name = reserve ? "reserved" : "lazy";
    const Region region = creator_in(root, {.reserve = reserve}).create(name, 64 + 5 * 256);
    EXPECT_EQ(region.size_bytes(), 64u + 5 * 256);
    EXPECT_EQ(std::filesystem::file_size(root / name), 64u + 5 * 256);
    EXPECT_EQ(region.path(), root / name);
    EXPECT_TRUE(region.still_same_file());
    ASSERT_NE(region.mutable_data(), nullptr);
    EXPECT_TRUE(std::all_of(region.data(), region.data() + region.size_bytes(), [](std::byte b) { return b == std::byte{0}; }));
    store<uint64_t>(region.mutable_data(), 7);
    EXPECT_EQ(load<uint64_t>(open_region(root / name, 64, allow(root.path())).data()), 7u);
  }
}

TEST(RegionCreatorTest, SetsTheModeWhateverTheUmask) {  // D-37
  const TemporaryDirectory root;
  for (const mode_t mode : {mode_t{0660}, mode_t{0600}, mode_t{0640}}) {
    const mode_t umask_before = ::umask(0077);
    creator_in(root, {.file_mode = mode}).create("r", 64);
    ::umask(umask_before);
    EXPECT_EQ(test::mode_of(root / "r"), mode);
    root.directory().unlink_file("r");
  }
}

TEST(RegionCreatorTest, NeverTakesWhatIsThereAlready) {  // W-33, D-34, D-42
  const TemporaryDirectory root;
  test::write_file(root / "file", "kept");
  test::write_file(root / "target", "kept");
  ASSERT_EQ(::symlink("target", (root / "link").c_str()), 0);
  ASSERT_EQ(::symlink("absent", (root / "dangling").c_str()), 0);
  for (const auto* name : {"file", "link", "dangling"}) {
    expect_error(Code::kRejected, "exists already", [&] { creator_in(root).create(name, 64); });
    EXPECT_TRUE(root.directory().has(name));  // a refusal removes nothing
  }
  EXPECT_EQ(test::read_file(root / "file"), "kept");
  EXPECT_EQ(test::read_file(root / "target"), "kept");
  EXPECT_FALSE(root.directory().has("absent"));
}

TEST(RegionCreatorTest, RefusesSizesAndNamesThatCannotBe) {  // W-17, D-34
  const TemporaryDirectory root;
  expect_error(Code::kInvalidArgument, "0 bytes is no size", [&] { creator_in(root).create("r", 0); });
  expect_error(Code::kInvalidArgument, "is no size", [&] { creator_in(root).create("r", uint64_t{1} << 63); });
  expect_error(Code::kInvalidArgument, "is no size", [&] { creator_in(root).create("r", UINT64_MAX); });
  for (const auto* name : {"", ".", "..", "a/b", "../r"}) {
    expect_error(Code::kInvalidArgument, "not the name of a single file", [&] { creator_in(root).create(name, 64); });
  }
  EXPECT_TRUE(root.directory().entries().empty());
}

TEST(RegionCreatorTest, AllocatesEveryBlockBeforeItReturnsUnlessToldNotTo) {  // R-24, D-35
  const TemporaryDirectory root;
  const Region reserved = creator_in(root, {.prefault = false}).create("reserved", 4 * kMiB);
  const Region lazy = creator_in(root, {.reserve = false}).create("lazy", 4 * kMiB);
  EXPECT_GE(allocated_bytes(root / "reserved"), 4 * kMiB);
  EXPECT_LT(allocated_bytes(root / "lazy"), kMiB);
}

TEST(RegionCreatorTest, MapsEveryPageBeforeItReturnsUnlessToldNotTo) {  // D-33, config.md: prefault_shm
  const TemporaryDirectory root;
  const Region touched = creator_in(root).create("touched", 4 * kMiB);
  const Region cold = creator_in(root, {.prefault = false}).create("cold", 4 * kMiB);
  EXPECT_EQ(kib_in_smaps(touched.data(), "Rss:"), 4096u);
  EXPECT_LT(kib_in_smaps(cold.data(), "Rss:"), 1024u);
}

TEST(RegionCreatorTest, MapsEveryPageOnKernelsThatCannotPopulate) {  // D-33
  const TemporaryDirectory root;
  TIDEPOOL_IN_CHILD([&] {
    if (!test::refuse_syscall(SYS_madvise, EINVAL, test::Argument{2, MADV_POPULATE_WRITE}))
      GTEST_SKIP() << "SKIPPED: seccomp is not allowed here";
    const Region touched = creator_in(root).create("touched", 4 * kMiB + 100);
    EXPECT_EQ(kib_in_smaps(touched.data(), "Rss:"), 4096u + 4u);
  });
}

TEST(RegionCreatorTest, WritesZerosWhereBlocksCannotBeReserved) {
  const TemporaryDirectory root;
  TIDEPOOL_IN_CHILD([&] {
    if (!test::refuse_syscall(SYS_fallocate, EOPNOTSUPP)) GTEST_SKIP() << "SKIPPED: seccomp is not allowed here";
    const Region region = creator_in(root).create("r", 3 * kMiB + 100);
    EXPECT_GE(allocated_bytes(root / "r"), 3 * kMiB + 100);
    EXPECT_EQ(std::filesystem::file_size(root / "r"), 3 * kMiB + 100);
  });
}

// What a full memory looks like from here, at each call that can meet it: one Error that names bytes and cure, nothing left.
TEST(RegionCreatorTest, TurnsALimitMetWhileReservingIntoAnErrorAndLeavesNothing) {  // R-24, D-35
  const TemporaryDirectory root;
  const auto refused = [&](long number, int err, std::optional<test::Argument> argument, std::string_view cure) {
    return test::in_child([&] {
      if (!test::refuse_syscall(number, err, argument)) GTEST_SKIP() << "SKIPPED: seccomp is not allowed here";
      expect_error(Code::kNoSpace, cure, [&] { creator_in(root).create("r", 2 * kMiB); });
      expect_error(Code::kNoSpace, "2097152 bytes", [&] { creator_in(root).create("r", 2 * kMiB); });
      EXPECT_TRUE(root.directory().entries().empty());
    });
  };
  using test::ChildOutcome;
  const auto reserve_full =
      refused(SYS_fallocate, ENOSPC, {}, "enlarge it (mount -o remount,size=... /dev/shm, in a container --shm-size)");
  if (reserve_full == ChildOutcome::kSkipped) GTEST_SKIP() << "skipped in its child: see the reason above";
  EXPECT_EQ(refused(SYS_fallocate, ENOMEM, {}, "memory limit of this container or cgroup"), ChildOutcome::kPassed);
  EXPECT_EQ(refused(SYS_ftruncate, EFBIG, {}, "File too large"), ChildOutcome::kPassed);
  EXPECT_EQ(test::in_child([&] {
              if (!test::refuse_syscall(SYS_madvise, EFAULT, test::Argument{2, MADV_POPULATE_WRITE})) return;
              expect_error(Code::kInternal, "touch the pages of", [&] { creator_in(root).create("r", 2 * kMiB); });
              EXPECT_TRUE(root.directory().entries().empty());
            }),
            ChildOutcome::kPassed);
}

TEST(RegionCreatorTest, TurnsAFullTmpfsIntoAnErrorThatNamesNeedFreeAndCure) {  // R-24, D-35
  const TemporaryDirectory root;
  root.directory().make("small", 0770);
  TIDEPOOL_IN_CHILD([&] {
    const std::string small = root / "small";
    if (!test::mount_private("tmpfs", small, "size=1m,mode=770")) GTEST_SKIP() << "SKIPPED: may not mount a tmpfs here";
    const auto directory = Directory::open(small);
    for (const bool reserve : {true, false}) {
      RegionCreator creator(directory.fd(), small, {.reserve = reserve});
      const std::string what = test::error_of([&] { creator.create("r", 2 * kMiB); }).what();
      for (const std::string part : {small + "/r", std::string("2097152 bytes"), std::string("1048576 bytes are free of 1048576"),
                                     "on the tmpfs " + small, "mount -o remount,size=... " + small, std::string("header_nslots")}) {
        EXPECT_NE(what.find(part), std::string::npos) << "'" << part << "' is not in: " << what;
      }
      EXPECT_TRUE(directory.entries().empty());
    }

    RegionCreator creator(directory.fd(), small, {});
    const Region all = creator.create("all", kMiB);  // exactly what there is, each page of it usable
    std::memset(all.mutable_data(), 1, all.size_bytes());
    expect_error(Code::kNoSpace, "it needs 4096 bytes, 0 bytes are free of 1048576", [&] { creator.create("more", 4096); });
    EXPECT_EQ(directory.entries(), std::vector<std::string>{"all"});
  });
}

TEST(RegionCreatorTest, GivesBackWhatItTookWhenTheLimitIsMetHalfWay) {  // R-24, D-35
  const TemporaryDirectory root;
  root.directory().make("small", 0770);
  TIDEPOOL_IN_CHILD([&] {
    const std::string small = root / "small";
    if (!test::mount_private("tmpfs", small, "size=1m,nr_inodes=2,mode=770")) GTEST_SKIP() << "SKIPPED: may not mount a tmpfs here";
    const auto directory = Directory::open(small);
    RegionCreator creator(directory.fd(), small, {});
    const Region one = creator.create("one", 4096);  // the root and this: no inode is left
    expect_error(Code::kNoSpace, "No space left on device", [&] { creator.create("two", 4096); });
    EXPECT_EQ(file_system_of(small).free_bytes, kMiB - 4096);
  });
}

TEST(RegionCreatorTest, LocksWhatItMadeOrRemovesItAgain) {  // D-39
  const TemporaryDirectory root;
  TIDEPOOL_IN_CHILD([&] {
    const rlimit none{0, 0};
    if (!may_lock()) GTEST_SKIP() << "SKIPPED: mlock is not allowed here, or a sanitizer stands in for it";
    {
      const Region region = creator_in(root, {.lock_memory = true}).create("locked", kMiB);
      EXPECT_EQ(kib_in_smaps(region.data(), "Locked:"), 1024u);
    }
    root.directory().unlink_file("locked");
    ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &none), 0);
    if (::geteuid() == 0) {
      ASSERT_EQ(::chmod(root.path().c_str(), 0777), 0);
      ASSERT_EQ(::setresuid(65534, 65534, 65534), 0);
    }
    const Error error = test::error_of([&] { creator_in(root, {.lock_memory = true}).create("r", kMiB); });
    EXPECT_NE(std::string_view(error.what()).find("raise RLIMIT_MEMLOCK"), std::string_view::npos) << error.what();
    EXPECT_TRUE(root.directory().entries().empty());
  });
}

TEST(RegionCreatorTest, RoundsUpToHugepagesAndIsFoundAgainWithThem) {  // W-28, W-29, D-38
  const TemporaryDirectory root;
  root.directory().make("huge", 0770);
  const test::ReservedHugepages pages(4);
  TIDEPOOL_IN_CHILD([&] {
    const std::string huge = root / "huge";
    if (!test::mount_private("hugetlbfs", huge, "mode=770")) GTEST_SKIP() << "SKIPPED: may not mount a hugetlbfs here";
    const auto fs = file_system_of(huge);
    ASSERT_TRUE(fs.hugetlbfs);
    const auto directory = Directory::open(huge);
    RegionCreator creator(directory.fd(), huge, {});
    if (fs.free_bytes < 2 * fs.block_bytes) {
      expect_error(Code::kNoSpace, "raise vm.nr_hugepages", [&] { creator.create("r", 3 * fs.block_bytes); });
      EXPECT_TRUE(directory.entries().empty());
      GTEST_SKIP() << "SKIPPED: needs 2 free hugepages (sysctl vm.nr_hugepages=2)";
    }
    {
      const Region region = creator.create("r", fs.block_bytes + 1);
      EXPECT_EQ(region.size_bytes(), 2 * fs.block_bytes);
      store<uint64_t>(region.mutable_data() + fs.block_bytes, 7);
      const Region opened = Region::open(Uri{huge + "/r", true}, Access::kReadOnly, fs.block_bytes + 1, allow(huge));
      EXPECT_EQ(opened.size_bytes(), 2 * fs.block_bytes);
      EXPECT_EQ(load<uint64_t>(opened.data() + fs.block_bytes), 7u);
    }
    expect_error(Code::kNoSpace, "raise vm.nr_hugepages", [&] { creator.create("too_much", fs.free_bytes + fs.block_bytes); });
    directory.unlink_file("r");
    EXPECT_EQ(file_system_of(huge).free_bytes, fs.free_bytes);  // mappings went too: nothing leaked
  });
}

TEST(FileSystemTest, TellsKindAndSizes) {  // R-24, P-9
  const auto shm = file_system_of("/dev/shm");
  EXPECT_TRUE(shm.tmpfs);
  EXPECT_FALSE(shm.hugetlbfs);
  EXPECT_GT(shm.block_bytes, 0u);
  EXPECT_GE(shm.capacity_bytes == 0 ? UINT64_MAX : shm.capacity_bytes, shm.free_bytes);
  expect_error(Code::kNotFound, "/dev/shm/no-such-directory", [] { file_system_of("/dev/shm/no-such-directory"); });
}

TEST(FileSystemTest, SaysWhenAMountSetsNoLimit) {
  const TemporaryDirectory root;
  TIDEPOOL_IN_CHILD([&] {
    if (!test::mount_private("tmpfs", root.path(), "size=0")) GTEST_SKIP() << "SKIPPED: may not mount a tmpfs here";
    EXPECT_EQ(file_system_of(root.path()).capacity_bytes, 0u);
    EXPECT_EQ(file_system_of(root.path()).free_bytes, UINT64_MAX);
    const auto directory = Directory::open(root.path());
    EXPECT_TRUE(RegionCreator(directory.fd(), root.path(), {}).create("r", 4096));
  });
}

TEST(CanonicalPathTest, ResolvesLinksAndSaysWhatIsMissing) {  // W-24
  const TemporaryDirectory root;
  root.directory().make("real", 0770);
  ASSERT_EQ(::symlink("real", (root / "link").c_str()), 0);
  EXPECT_EQ(canonical_path(root / "link/../link/."), root / "real");
  expect_error(Code::kNotFound, root / "absent", [&] { canonical_path(root / "absent"); });
}

}  // namespace
}  // namespace tidepool::shm

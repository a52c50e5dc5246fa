#include "tidepool/shm/file_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <type_traits>

#include "tidepool/base/process.h"
#include "tidepool/shm/open_file.h"
#include "tidepool/shm/test_support.h"

namespace tidepool::shm {
namespace {

using test::expect_error;
using test::Helper;
using test::TemporaryDirectory;

constexpr const char* kName = "driver.lock";

// A lock held by hand, with a record of our choosing in the file.
Fd hold_with_record(const TemporaryDirectory& root, std::string_view record) {
  Fd fd(::open((root / kName).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0660));
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  EXPECT_EQ(::fcntl(fd.get(), F_OFD_SETLK, &lock), 0);
  EXPECT_EQ(::ftruncate(fd.get(), 0), 0);
  EXPECT_EQ(::pwrite(fd.get(), record.data(), record.size(), 0), static_cast<ssize_t>(record.size()));
  return fd;
}

std::string refusal(const TemporaryDirectory& root) {
  const Error error = test::error_of([&] { FileLock::acquire(root.directory(), kName, "second"); });
  EXPECT_EQ(code_name(error.code()), code_name(Code::kRejected));
  return error.what();
}

TEST(FileLockTest, NamesItsHolderToWhoComesSecond) {  // P-7, R-01
  const TemporaryDirectory root;
  const auto lock = FileLock::acquire(root.directory(), kName, "driver lab-a");
  ASSERT_TRUE(lock);
  const std::string what = refusal(root);
  EXPECT_NE(what.find(root / kName), std::string::npos) << what;
  EXPECT_NE(what.find("held by driver lab-a (pid " + std::to_string(::getpid()) + ", running since 20"), std::string::npos) << what;
}

TEST(FileLockTest, TellsPidStartAndTextOfItsHolderWithoutTakingIt) {  // P-7, R-01, R-25
  const TemporaryDirectory root;
  {
    const auto lock = FileLock::acquire(root.directory(), kName, "driver lab-a");
    for (int look = 0; look < 2; ++look) {
      const auto holder = FileLock::holder(root.directory(), kName);
      ASSERT_TRUE(holder);
      EXPECT_EQ(holder->pid, static_cast<uint64_t>(::getpid()));
      EXPECT_EQ(holder->start_ticks, this_process().start_ticks);
      EXPECT_EQ(holder->text, "driver lab-a");
    }
  }
  EXPECT_FALSE(FileLock::holder(root.directory(), kName));
  const auto again = FileLock::acquire(root.directory(), kName, "driver lab-b");
  EXPECT_EQ(FileLock::holder(root.directory(), kName)->text, "driver lab-b");
}

TEST(FileLockTest, HasNoHolderBeforeAnybodyMadeTheFile) {  // P-7
  const TemporaryDirectory root;
  EXPECT_FALSE(FileLock::holder(root.directory(), kName));
  EXPECT_FALSE(root.directory().has(kName));  // and looking makes none
}

TEST(FileLockTest, IsFreeOnceItsHolderIsKilledWhateverTheRecordSays) {  // P-7, P-8, R-25
  const TemporaryDirectory root;
  Helper holder([&](const Helper& self) {
    const auto lock = FileLock::acquire(root.directory(), kName, "driver lab-a");
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(holder.wait_ready(), 0);
  const auto owner = FileLock::holder(root.directory(), kName);
  ASSERT_TRUE(owner);
  EXPECT_EQ(owner->pid, static_cast<uint64_t>(holder.pid()));
  EXPECT_NE(refusal(root).find("pid " + std::to_string(holder.pid())), std::string::npos);
  holder.kill();
  EXPECT_NE(test::read_file(root / kName).find("driver lab-a"), std::string::npos);  // its record is still there
  EXPECT_FALSE(FileLock::holder(root.directory(), kName));
  EXPECT_TRUE(FileLock::acquire(root.directory(), kName, "driver lab-b"));
}

TEST(FileLockTest, SaysThatAChildHoldsItWhenItsHolderWasKilled) {  // P-7: multiprocessing in Python does that
  const TemporaryDirectory root;
  auto parent = std::make_unique<Helper>([&](const Helper& self) {
    const auto lock = FileLock::acquire(root.directory(), kName, "driver lab-a");
    if (const pid_t child = ::fork(); child != 0) self.ready(child);
    self.sleep_for_ever();
  });
  const pid_t child = parent->wait_ready();
  ASSERT_GT(child, 0);
  const auto gone = std::to_string(parent->pid());
  parent->kill();
  const std::string what = refusal(root);
  const auto owner = FileLock::holder(root.directory(), kName);
  ::kill(child, SIGKILL);
  EXPECT_NE(what.find("driver lab-a (pid " + gone + " has ended, a child of it still holds the lock"), std::string::npos) << what;
  ASSERT_TRUE(owner);
  EXPECT_EQ(std::to_string(owner->pid), gone);
  const uint64_t deadline_ns = monotonic_ns() + test::kDeadlineNs;
  while (FileLock::holder(root.directory(), kName) && monotonic_ns() < deadline_ns) ::usleep(1000);
  EXPECT_FALSE(FileLock::holder(root.directory(), kName));
}

TEST(FileLockTest, IsGivenUpInOrderEvenWhileAChildSharesIt) {  // P-7
  const TemporaryDirectory root;
  auto lock = std::make_unique<FileLock>(FileLock::acquire(root.directory(), kName, "driver lab-a"));
  Helper child([&](const Helper& self) {
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(child.wait_ready(), 0);
  lock.reset();
  EXPECT_FALSE(FileLock::holder(root.directory(), kName));
  EXPECT_EQ(test::read_file(root / kName), "");  // and no record of ours misleads anybody
  EXPECT_TRUE(FileLock::acquire(root.directory(), kName, "driver lab-b"));
}

TEST(FileLockTest, IsNotReleasedByTheCopyInAForkedChild) {  // P-7
  const TemporaryDirectory root;
  auto lock = std::make_unique<FileLock>(FileLock::acquire(root.directory(), kName, "driver lab-a"));
  Helper child([&](const Helper&) { lock.reset(); });
  ASSERT_TRUE(child.join());
  const auto owner = FileLock::holder(root.directory(), kName);
  ASSERT_TRUE(owner);
  EXPECT_EQ(owner->text, "driver lab-a");
}

TEST(FileLockTest, TellsReusedPidsApart) {  // P-7, R-25: our own pid, the start time of another process
  const TemporaryDirectory root;
  const auto self = this_process();
  struct stat pid_namespace{};
  ASSERT_EQ(::stat("/proc/self/ns/pid", &pid_namespace), 0);
  const Fd held = hold_with_record(root, concat("pid ", self.pid, "\nstart_ticks ", self.start_ticks + 1, "\npid_namespace ",
                                                pid_namespace.st_ino, "\ntext driver lab-a\n"));
  EXPECT_NE(refusal(root).find("has ended, a child of it still holds the lock"), std::string::npos);
}

TEST(FileLockTest, DoesNotJudgePidsOfAnotherPidNamespace) {
  const TemporaryDirectory root;
  const Fd held = hold_with_record(root, "pid 1\nstart_ticks 1\npid_namespace 1\ntext driver lab-a\n");
  EXPECT_NE(refusal(root).find("driver lab-a (pid 1 of another container or PID namespace)"), std::string::npos);
}

TEST(FileLockTest, StandsDamagedRecords) {  // P-7, W-93: a record is input
  const TemporaryDirectory root;
  const std::string long_text(100'000, 'x');
  for (const std::string& record :
       {std::string(), std::string("\0\xff\x1b[2J\n\n \n", 10), std::string("pid 99999999999999999999\nstart_ticks -1\n"),
        std::string("pid 12x\ntext a\x1b[2Jb"), "text " + long_text, std::string("pid\npid \ntext\n")}) {
    const Fd held = hold_with_record(root, record);
    const auto owner = FileLock::holder(root.directory(), kName);
    ASSERT_TRUE(owner);
    EXPECT_EQ(owner->pid, 0u);
    const std::string what = refusal(root);
    EXPECT_NE(what.find("left no record of its pid"), std::string::npos) << what;
    EXPECT_LT(what.size(), 1200u);
    for (const char c : what) EXPECT_TRUE(c >= 0x20 && c < 0x7F) << what;
  }
}

TEST(FileLockTest, WritesAnyTextAsOneLine) {  // P-7
  const TemporaryDirectory root;
  const auto lock = FileLock::acquire(root.directory(), kName, "driver\npid 1\ntext forged");
  const auto owner = FileLock::holder(root.directory(), kName);
  ASSERT_TRUE(owner);
  EXPECT_EQ(owner->pid, static_cast<uint64_t>(::getpid()));
  EXPECT_EQ(owner->text, "driver\\x0apid 1\\x0atext forged");
}

TEST(FileLockTest, IsNeverALinkNorAnythingButAFile) {  // D-34, W-25, W-26
  const TemporaryDirectory root;
  test::write_file(root / "target", "kept");
  ASSERT_EQ(::symlink("target", (root / "link").c_str()), 0);
  ASSERT_EQ(::mkfifo((root / "fifo").c_str(), 0660), 0);
  expect_error(Code::kPermission, "is a symbolic link", [&] { FileLock::acquire(root.directory(), "link", "x"); });
  expect_error(Code::kPermission, "is a symbolic link", [&] { FileLock::holder(root.directory(), "link"); });
  expect_error(Code::kPermission, "is not a regular file", [&] { FileLock::acquire(root.directory(), "fifo", "x"); });
  expect_error(Code::kPermission, "is not a regular file", [&] { FileLock::holder(root.directory(), "fifo"); });
  expect_error(Code::kInvalidArgument, "not the name of a single file", [&] { FileLock::acquire(root.directory(), "../x", "x"); });
  EXPECT_EQ(test::read_file(root / "target"), "kept");
}

TEST(FileLockTest, MakesItsFileWithinTheUmask) {  // P-10
  const TemporaryDirectory root;
  const mode_t umask_before = ::umask(0027);
  const auto lock = FileLock::acquire(root.directory(), kName, "x");
  ::umask(umask_before);
  EXPECT_EQ(test::mode_of(root / kName), mode_t{0640});
}

TEST(FileLockTest, MayBeLookedAtByWhoMayOnlyRead) {  // P-7
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: needs root to become somebody else";
  const TemporaryDirectory root;
  const auto lock = FileLock::acquire(root.directory(), kName, "driver lab-a");
  ASSERT_EQ(::chmod((root / kName).c_str(), 0644), 0);
  ASSERT_EQ(::chmod(root.path().c_str(), 0755), 0);
  TIDEPOOL_IN_CHILD([&] {
    ASSERT_EQ(::setresuid(65534, 65534, 65534), 0);
    const auto owner = FileLock::holder(root.directory(), kName);
    ASSERT_TRUE(owner);
    EXPECT_EQ(owner->text, "driver lab-a");
    expect_error(Code::kPermission, root / kName, [&] { FileLock::acquire(root.directory(), kName, "x"); });
  });
}

TEST(FileLockTest, MovesButIsNeverCopied) {
  static_assert(!std::is_copy_constructible_v<FileLock> && !std::is_copy_assignable_v<FileLock>);
  const TemporaryDirectory root;
  auto first = FileLock::acquire(root.directory(), kName, "x");
  FileLock second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT: moved from on purpose
  FileLock third;
  third = std::move(second);
  EXPECT_TRUE(FileLock::holder(root.directory(), kName));
  third = FileLock();
  EXPECT_FALSE(FileLock::holder(root.directory(), kName));
}

}  // namespace
}  // namespace tidepool::shm

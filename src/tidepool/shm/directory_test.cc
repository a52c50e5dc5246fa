#include "tidepool/shm/directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tidepool/shm/test_support.h"

namespace tidepool::shm {
namespace {

using test::expect_error;
using test::TemporaryDirectory;

TEST(DirectoryTest, IsMadeWithExactlyTheModeAskedForWhateverTheUmask) {  // D-37
  const TemporaryDirectory root;
  const mode_t umask_before = ::umask(0077);
  const auto narrow = root.directory().make("narrowed", 0770);
  ::umask(0);
  const auto wide = root.directory().make("widened", 0700);
  const auto group = root.directory().make("shared", 02770);
  ::umask(umask_before);
  EXPECT_EQ(test::mode_of(narrow.path()), mode_t{0770});
  EXPECT_EQ(test::mode_of(wide.path()), mode_t{0700});
  EXPECT_EQ(test::mode_of(group.path()), mode_t{02770});
  EXPECT_EQ(narrow.path(), root / "narrowed");
}

TEST(DirectoryTest, IsTakenAsItIsWhenItExistsAndIsOurs) {  // D-34, D-37
  const TemporaryDirectory root;
  ASSERT_EQ(::mkdir((root / "here").c_str(), 0750), 0);
  const auto here = root.directory().make("here", 0770);
  EXPECT_TRUE(here);
  EXPECT_EQ(test::mode_of(here.path()), mode_t{0750});
}

TEST(DirectoryTest, IsNeverALink) {  // D-34, W-26
  const TemporaryDirectory root;
  root.directory().make("real", 0770);
  ASSERT_EQ(::symlink((root / "real").c_str(), (root / "link").c_str()), 0);
  ASSERT_EQ(::symlink("nowhere", (root / "dangling").c_str()), 0);
  for (const std::string name : {"link", "dangling"}) {
    expect_error(Code::kPermission, "is a symbolic link", [&] { root.directory().make(name, 0770); });
    expect_error(Code::kPermission, "is a symbolic link", [&] { root.directory().child(name); });
    expect_error(Code::kPermission, "is a symbolic link", [&] { Directory::open(root / name); });
  }
  EXPECT_TRUE(root.directory().has("dangling"));  // the entry itself, not what it points to
}

TEST(DirectoryTest, IsNeverAFile) {  // D-34
  const TemporaryDirectory root;
  test::write_file(root / "file", "x");
  expect_error(Code::kPermission, "is not a directory", [&] { root.directory().make("file", 0770); });
  expect_error(Code::kPermission, "is not a directory", [&] { root.directory().child("file"); });
}

TEST(DirectoryTest, IsRefusedWhenSomebodyElseOwnsIt) {  // D-34, D-37, driver.md 17
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: needs root to give a directory away";
  const TemporaryDirectory root;
  ASSERT_EQ(::mkdir((root / "theirs").c_str(), 0770), 0);
  ASSERT_EQ(::chown((root / "theirs").c_str(), 12345, 12345), 0);
  expect_error(Code::kPermission, "belongs to user 12345", [&] { root.directory().make("theirs", 0770); });
  EXPECT_TRUE(root.directory().make("theirs", 0770, /*owned_by_us=*/false));
}

TEST(DirectoryTest, IsRefusedWhenOthersMayWriteIt) {  // D-37, driver.md 17
  const TemporaryDirectory root;
  ASSERT_EQ(::mkdir((root / "open").c_str(), 0770), 0);
  ASSERT_EQ(::chmod((root / "open").c_str(), 0777), 0);
  expect_error(Code::kPermission, "writable by others", [&] { root.directory().make("open", 0770); });
  EXPECT_TRUE(root.directory().make("open", 0770, /*owned_by_us=*/false));
}

TEST(DirectoryTest, NamesSingleEntriesOnly) {  // D-34, D-40
  const TemporaryDirectory root;
  root.directory().make("a", 0770).make("b", 0770);
  for (const std::string_view name : {std::string_view(""), std::string_view("."), std::string_view(".."), std::string_view("a/b"),
                                      std::string_view("/etc"), std::string_view("a\0b", 3)}) {
    expect_error(Code::kInvalidArgument, "not the name of a single", [&] { root.directory().make(name, 0770); });
    expect_error(Code::kInvalidArgument, "not the name of a single", [&] { root.directory().child(name); });
    expect_error(Code::kInvalidArgument, "not the name of a single", [&] { root.directory().unlink_file(name); });
    expect_error(Code::kInvalidArgument, "not the name of a single", [&] { root.directory().remove_directory(name); });
    EXPECT_FALSE(root.directory().has(name));
  }
  EXPECT_FALSE(root.directory().has(std::string(5000, 'a')));
}

TEST(DirectoryTest, SaysWhatIsMissing) {
  const TemporaryDirectory root;
  expect_error(Code::kNotFound, root / "absent", [&] { root.directory().child("absent"); });
  expect_error(Code::kNotFound, root / "absent", [&] { Directory::open(root / "absent"); });
  EXPECT_FALSE(root.directory().has("absent"));
}

TEST(DirectoryTest, ListsItsEntriesSortedEachTimeAnew) {
  const TemporaryDirectory root;
  EXPECT_TRUE(root.directory().entries().empty());
  for (const auto* name : {"b", "a", ".hidden"}) test::write_file(root / name, "");
  const std::vector<std::string> expected{".hidden", "a", "b"};
  EXPECT_EQ(root.directory().entries(), expected);
  EXPECT_EQ(root.directory().entries(), expected);
}

TEST(DirectoryTest, TakesOnlyWholeDecimalNamesAsNumbers) {  // D-31, D-40
  const TemporaryDirectory root;
  for (const auto* name :
       {"10", "9", "0", "18446744073709551615", "18446744073709551616", "007", "1x", "x1", "-1", "+1", "1 ", "0x1", ""}) {
    if (*name != '\0') root.directory().make(name, 0770);
  }
  EXPECT_EQ(root.directory().numbered_entries(), (std::vector<uint64_t>{0, 9, 10, UINT64_MAX}));
}

TEST(DirectoryTest, RemovesOnlyBelowItselfAndOnlyWhatItWasAskedTo) {  // D-34, D-40
  const TemporaryDirectory root;
  const auto dir = root.directory().make("dir", 0770);
  test::write_file(root / "target", "kept");
  test::write_file(root / "dir/file", "");
  ASSERT_EQ(::symlink((root / "target").c_str(), (root / "dir/link").c_str()), 0);

  EXPECT_FALSE(dir.unlink_file("absent"));
  EXPECT_FALSE(dir.remove_directory("absent"));
  expect_error(Code::kRejected, "remove directory", [&] { root.directory().remove_directory("dir"); });
  EXPECT_THROW(root.directory().unlink_file("dir"), Error);
  EXPECT_THROW(dir.remove_directory("file"), Error);
  EXPECT_TRUE(dir.unlink_file("link"));
  EXPECT_TRUE(dir.unlink_file("file"));
  EXPECT_TRUE(root.directory().remove_directory("dir"));
  EXPECT_EQ(test::read_file(root / "target"), "kept");
}

TEST(DirectoryTest, StaysTheOneThatWasOpenedWhenItsPathIsTakenOver) {  // D-34, W-26
  const TemporaryDirectory root;
  const auto victim = root.directory().make("victim", 0770);
  root.directory().make("ours", 0770);
  test::write_file(root / "victim/file", "v");
  ASSERT_EQ(::rename((root / "ours").c_str(), (root / "moved").c_str()), 0);
  const auto ours = root.directory().child("moved");
  ASSERT_EQ(::rename((root / "moved").c_str(), (root / "elsewhere").c_str()), 0);
  ASSERT_EQ(::symlink((root / "victim").c_str(), (root / "moved").c_str()), 0);
  EXPECT_FALSE(ours.unlink_file("file"));
  ours.make("made", 0770);
  EXPECT_FALSE(victim.has("made"));
  EXPECT_EQ(test::read_file(root / "victim/file"), "v");
}

TEST(DirectoryTest, TellsWhenItWasModified) {  // D-40
  const TemporaryDirectory root;
  const timespec times[2] = {{1, 0}, {1'700'000'000, 123'456'789}};
  ASSERT_EQ(::utimensat(AT_FDCWD, root.path().c_str(), times, 0), 0);
  EXPECT_EQ(root.directory().modified_realtime_ns(), 1'700'000'000'123'456'789u);
}

TEST(DirectoryTest, LeavesNothingBehindWhenMovedFrom) {
  const TemporaryDirectory root;
  Directory first = root.directory().make("a", 0770);
  Directory second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT: moved from on purpose
  EXPECT_TRUE(second);
  Directory third;
  third = std::move(second);
  EXPECT_TRUE(third);
  EXPECT_EQ(third.path(), root / "a");
}

}  // namespace
}  // namespace tidepool::shm

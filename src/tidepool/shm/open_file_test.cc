#include "tidepool/shm/open_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "tidepool/shm/test_support.h"

namespace tidepool::shm {
namespace {

using test::TemporaryDirectory;

class OpenWithoutLinksTest : public ::testing::TestWithParam<Walk> {
 protected:
  // 0 when `path` opens, else its errno.
  static int result(const std::string& path, int flags = O_RDONLY) {
    const Fd fd = open_without_links(path, flags, GetParam());
    return fd ? 0 : errno;
  }
};

TEST_P(OpenWithoutLinksTest, OpensARealPath) {  // W-26
  const TemporaryDirectory root;
  root.directory().make("a", 0770).make("b", 0770);
  test::write_file(root / "a/b/file", "bytes");
  const Fd fd = open_without_links(root / "a/b/file", O_RDONLY, GetParam());
  ASSERT_TRUE(fd);
  char buffer[8]{};
  EXPECT_EQ(::read(fd.get(), buffer, sizeof buffer), 5);
  EXPECT_NE(::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(result(root / "a//b///file"), 0);  // empty components mean nothing
  EXPECT_EQ(result(root / "a/b", O_RDONLY | O_DIRECTORY), 0);
}

TEST_P(OpenWithoutLinksTest, RefusesALinkInAnyPlace) {  // W-26
  const TemporaryDirectory root;
  root.directory().make("real", 0770);
  test::write_file(root / "real/file", "bytes");
  ASSERT_EQ(::symlink("real", (root / "link").c_str()), 0);
  ASSERT_EQ(::symlink("file", (root / "real/link").c_str()), 0);
  EXPECT_EQ(result(root / "real/file"), 0);
  EXPECT_EQ(result(root / "link/file"), ELOOP);
  EXPECT_EQ(result(root / "real/link"), ELOOP);
  EXPECT_EQ(result(root / "link", O_RDONLY | O_DIRECTORY) == 0, false);
  EXPECT_EQ(result("/proc/self/root/dev"), ELOOP);  // a magic link is a link
}

TEST_P(OpenWithoutLinksTest, TakesOnlyAbsolutePathsWithoutDots) {  // W-26
  for (const std::string path : {"", "dev", "./dev", "/dev/../dev", "/dev/./shm", "/.."}) EXPECT_EQ(result(path), EINVAL) << path;
  EXPECT_EQ(result(std::string("/dev\0x", 6)), EINVAL);
}

TEST_P(OpenWithoutLinksTest, SaysWhyAPathDoesNotOpen) {
  const TemporaryDirectory root;
  test::write_file(root / "file", "");
  EXPECT_EQ(result(root / "absent"), ENOENT);
  EXPECT_EQ(result(root / "absent/file"), ENOENT);
  EXPECT_EQ(result(root / "file/below"), ENOTDIR);
  EXPECT_EQ(result(root / std::string(256, 'n')), ENAMETOOLONG);
  EXPECT_EQ(result("/" + std::string(5000, 'n')), ENAMETOOLONG);
}

TEST_P(OpenWithoutLinksTest, DoesNotHangOnAPipe) {  // W-25, W-26
  const TemporaryDirectory root;
  ASSERT_EQ(::mkfifo((root / "fifo").c_str(), 0660), 0);
  EXPECT_EQ(result(root / "fifo"), 0);
}

INSTANTIATE_TEST_SUITE_P(Walks, OpenWithoutLinksTest, ::testing::Values(Walk::kKernel, Walk::kComponents),
                         [](const auto& walk) { return walk.param == Walk::kKernel ? "Kernel" : "Components"; });

TEST(OpenWithoutLinksFallbackTest, WalksByItselfWhereTheKernelDoesNotKnowTheCall) {  // W-26
  const TemporaryDirectory root;
  test::write_file(root / "file", "bytes");
  ASSERT_EQ(::symlink("file", (root / "link").c_str()), 0);
  for (const int err : {ENOSYS, EPERM}) {
    TIDEPOOL_IN_CHILD([&] {
      if (!test::refuse_syscall(SYS_openat2, err)) GTEST_SKIP() << "SKIPPED: seccomp is not allowed here";
      EXPECT_TRUE(open_without_links(root / "file", O_RDONLY));
      EXPECT_FALSE(open_without_links(root / "link", O_RDONLY));
      EXPECT_EQ(errno, ELOOP);
    });
  }
}

TEST(FdTest, ClosesOnceAndKeepsErrno) {
  int raw = -1;
  {
    Fd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    raw = fd.get();
    Fd moved = std::move(fd);
    EXPECT_FALSE(fd);  // NOLINT: moved from on purpose
    EXPECT_EQ(moved.get(), raw);
    errno = EXDEV;
  }
  EXPECT_EQ(errno, EXDEV);
  EXPECT_EQ(::fcntl(raw, F_GETFD), -1);
}

TEST(ComponentTest, IsOneNameWithoutMeaning) {  // D-34
  EXPECT_TRUE(is_component("a"));
  EXPECT_TRUE(is_component("..."));
  for (const std::string_view name :
       {std::string_view(""), std::string_view("."), std::string_view(".."), std::string_view("a/b"), std::string_view("a\0", 2)}) {
    EXPECT_FALSE(is_component(name));
  }
}

}  // namespace
}  // namespace tidepool::shm

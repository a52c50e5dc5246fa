#include "tidepool/base/error.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string>

namespace tidepool {
namespace {

TEST(ErrorTest, IsACodeAndASentenceMadeOfItsParts) {
  const Error error(Code::kNoSpace, "create ", std::string("/a"), ": needs ", uint64_t{UINT64_MAX}, " bytes, ", -1, ' ', true);
  EXPECT_EQ(error.code(), Code::kNoSpace);
  EXPECT_STREQ(error.what(), "create /a: needs 18446744073709551615 bytes, -1 true");
}

TEST(ErrorTest, TellsEachLevelsStoryInOneLine) {
  const Error inner(Code::kNotFound, "open /a: no such file");
  const Error outer = inner.within("attach stream ", 10000).within("subscribe");
  EXPECT_EQ(outer.code(), Code::kNotFound);
  EXPECT_STREQ(outer.what(), "subscribe: attach stream 10000: open /a: no such file");
}

TEST(ErrorTest, HasANameForEachCode) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(Code::kInternal); ++code) names.insert(code_name(static_cast<Code>(code)));
  EXPECT_EQ(names.size(), static_cast<size_t>(Code::kInternal) + 1);
  EXPECT_EQ(names.count("unknown"), 0u);
  EXPECT_EQ(code_name(static_cast<Code>(200)), "unknown");
}

TEST(ErrorTest, TurnsErrnoIntoTextAndIntoTheCodeToActOn) {
  errno = EACCES;
  EXPECT_EQ(errno_text(), ": Permission denied");
  EXPECT_EQ(errno_text(ENOENT), ": No such file or directory");
  EXPECT_EQ(code_of_errno(EACCES), Code::kPermission);
  EXPECT_EQ(code_of_errno(EROFS), Code::kPermission);
  EXPECT_EQ(code_of_errno(ENOSPC), Code::kNoSpace);
  EXPECT_EQ(code_of_errno(ENOMEM), Code::kNoSpace);
  EXPECT_EQ(code_of_errno(EMFILE), Code::kNoSpace);
  EXPECT_EQ(code_of_errno(ENOENT), Code::kNotFound);
  EXPECT_EQ(code_of_errno(EEXIST), Code::kRejected);
  EXPECT_EQ(code_of_errno(EINVAL), Code::kInvalidArgument);
  EXPECT_EQ(code_of_errno(EBUSY), Code::kUnavailable);
  EXPECT_EQ(code_of_errno(ETIMEDOUT), Code::kTimeout);
  EXPECT_EQ(code_of_errno(ENOSYS), Code::kUnsupported);
  EXPECT_EQ(code_of_errno(EIO), Code::kInternal);
}

}  // namespace
}  // namespace tidepool

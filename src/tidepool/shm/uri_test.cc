#include "tidepool/shm/uri.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

#include "tidepool/base/error.h"
#include "tidepool/shm/test_support.h"

namespace tidepool::shm {
namespace {

using test::expect_error;

std::string of_size(size_t bytes) {
  std::string text = "shm:file?path=/";
  return text + std::string(bytes - text.size(), 'a');
}

TEST(UriTest, NamesAPath) {  // W-23
  EXPECT_EQ(Uri::parse("shm:file?path=/dev/shm/tensorpool-ada/default/10000/7/header.ring"),
            (Uri{"/dev/shm/tensorpool-ada/default/10000/7/header.ring", false}));
}

TEST(UriTest, TakesHugepagesAsTrueOrFalseInEitherOrder) {  // W-23, W-28
  EXPECT_EQ(Uri::parse("shm:file?path=/a|require_hugepages=true"), (Uri{"/a", true}));
  EXPECT_EQ(Uri::parse("shm:file?path=/a|require_hugepages=false"), (Uri{"/a", false}));
  EXPECT_EQ(Uri::parse("shm:file?require_hugepages=true|path=/a"), (Uri{"/a", true}));
}

TEST(UriTest, KeepsEveryCharacterThatAPathMayHold) {  // W-23: 0x21..0x7E but '?' and '|'; '=' and '&' are plain there
  std::string path = "/";
  for (char c = 0x21; c < 0x7F; ++c) {
    if (c != '?' && c != '|') path.push_back(c);
  }
  EXPECT_EQ(Uri::parse("shm:file?path=" + path).path, path);
}

struct Refusal {
  std::string text;
  std::string reason;
};
class UriRefusalTest : public ::testing::TestWithParam<Refusal> {};

TEST_P(UriRefusalTest, SaysWhichPartIsWrong) {  // W-23
  expect_error(Code::kInvalidArgument, GetParam().reason, [] { Uri::parse(GetParam().text); });
}

INSTANTIATE_TEST_SUITE_P(
    Grammar, UriRefusalTest,
    ::testing::Values(
        Refusal{"", "does not begin with shm:file?"}, Refusal{"shm:file", "does not begin"},
        Refusal{"SHM:file?path=/a", "does not begin"}, Refusal{" shm:file?path=/a", "does not begin"},
        Refusal{"aeron:ipc", "does not begin"}, Refusal{"/dev/shm/a", "does not begin"},
        Refusal{"shm:file:path=/a", "does not begin"}, Refusal{"file:///a", "does not begin"}, Refusal{"shm:file?", "has no '='"},
        Refusal{"shm:file?path", "has no '='"}, Refusal{"shm:file?path=", "'path' is empty"},
        Refusal{"shm:file?path=a/b", "not absolute"}, Refusal{"shm:file?path=C:/a", "not absolute"},
        Refusal{"shm:file?path=/a b", "outside 0x21..0x7E"}, Refusal{"shm:file?path=/a\x7f", "outside 0x21..0x7E"},
        Refusal{"shm:file?path=/\xc3\xa4", "outside 0x21..0x7E"},
        Refusal{std::string("shm:file?path=/a\0b", 18), "outside 0x21..0x7E"}, Refusal{"shm:file?path=/a\n", "outside 0x21..0x7E"},
        Refusal{"shm:file?path=/a?b", "'?' or '|'"}, Refusal{"shm:file?path=/a|", "has no '='"},
        Refusal{"shm:file?|path=/a", "has no '='"}, Refusal{"shm:file?path=/a||require_hugepages=true", "has no '='"},
        Refusal{"shm:file?path=/a|path=/a", "given twice"},
        Refusal{"shm:file?path=/a|require_hugepages=true|require_hugepages=true", "given twice"},
        Refusal{"shm:file?require_hugepages=true", "path is missing"}, Refusal{"shm:file?path=/a|require_hugepages=", "is empty"},
        Refusal{"shm:file?path=/a|require_hugepages=True", "neither true nor false"},
        Refusal{"shm:file?path=/a|require_hugepages=1", "neither true nor false"},
        Refusal{"shm:file?path=/a|require_hugepages=truefalse", "neither true nor false"},
        Refusal{"shm:file?path=/a|require_huge=true", "unknown parameter 'require_huge'"},
        Refusal{"shm:file?path=/a|require_hugepages2=true", "unknown parameter"},
        Refusal{"shm:file?pathname=/a", "unknown parameter"}, Refusal{"shm:file?path=/a|=b", "unknown parameter ''"},
        Refusal{"shm:file?PATH=/a", "unknown parameter 'PATH'"},
        Refusal{"shm:file?path=/a&require_hugepages=true|x=y", "unknown parameter 'x'"}));

TEST(UriTest, IsAtMost4095BytesLong) {  // W-23
  EXPECT_EQ(Uri::parse(of_size(kMaxUriBytes)).text().size(), kMaxUriBytes);
  expect_error(Code::kInvalidArgument, "4096 bytes are more than 4095", [] { Uri::parse(of_size(kMaxUriBytes + 1)); });
}

TEST(UriTest, IsWrittenPathFirstAndHugepagesOnlyWhenTrue) {  // W-23, D-34
  EXPECT_EQ((Uri{"/a/b", false}).text(), "shm:file?path=/a/b");
  EXPECT_EQ((Uri{"/a/b", true}).text(), "shm:file?path=/a/b|require_hugepages=true");
}

TEST(UriTest, IsNotWrittenForAPathThatItCannotExpress) {  // W-22, W-23
  for (const std::string path : {"", "a", "/a b", "/a?", "/a|b", "/\xff"}) {
    expect_error(Code::kInvalidArgument, "the path", [&] { (Uri{path, false}).text(); });
  }
  const Uri longest{"/" + std::string(kMaxUriBytes - 15, 'a'), false};
  EXPECT_EQ(longest.text().size(), kMaxUriBytes);
  expect_error(Code::kInvalidArgument, "more than 4095", [&] { (Uri{longest.path, true}).text(); });
}

TEST(UriTest, RefusalsAreOnePrintableLine) {  // W-93
  const std::string what = test::error_of([] { Uri::parse("shm:file?path=/a|\x1b[2J\n=b"); }).what();
  for (const char c : what) EXPECT_TRUE(c >= 0x20 && c < 0x7F) << what;
}

RC_GTEST_PROP(UriTest, ReadsBackWhatItWrites, ()) {  // W-23
  const auto tail = *rc::gen::container<std::string>(
      rc::gen::suchThat(rc::gen::inRange<char>(0x21, 0x7F), [](char c) { return c != '?' && c != '|'; }));
  const Uri uri{"/" + tail, *rc::gen::arbitrary<bool>()};
  RC_ASSERT(Uri::parse(uri.text()) == uri);
}

RC_GTEST_PROP(UriTest, MeetsAnyBytesWithAnErrorOrAPathItCanWrite, ()) {  // W-23
  const auto text = *rc::gen::oneOf(
      rc::gen::arbitrary<std::string>(),
      rc::gen::map(rc::gen::arbitrary<std::string>(), [](const std::string& tail) { return "shm:file?path=/" + tail; }));
  try {
    const Uri uri = Uri::parse(text);
    RC_ASSERT(Uri::parse(uri.text()) == uri);
  } catch (const Error& error) {
    RC_ASSERT(error.code() == Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace tidepool::shm

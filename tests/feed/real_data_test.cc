// A real data set goes into a feed and comes out as it was (issue 5): real_data.py drives the command and compares by itself.

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

#include "slice.h"
#include "tidepool/base/error.h"
#include "tidepool/shm/test_support.h"

namespace tidepool::feed {
namespace {

// Most of the time goes into the Python that compares: where a sanitizer looks at the command, a part of the rows does.
constexpr int kEvery = test::kSliceDivisor == 1 ? 1 : 10;

TEST(RealData, FlightsComeOutAsTheyWentInAndAreFollowedLive) {  // F-98 to F-102, F-149, F-151, F-152
  if (!std::filesystem::exists(TIDEPOOL_FLIGHTS))
    GTEST_SKIP() << TIDEPOOL_FLIGHTS << " is not here: tools/setup.sh fetches it (need_flights)";
  const shm::test::TemporaryDirectory directory;
  const std::string command =
      concat(TIDEPOOL_PYTHON, " ", TIDEPOOL_REAL_DATA, " ", TIDEPOOL_BINARY, " ", TIDEPOOL_FLIGHTS, " ", directory.path(), " ", kEvery, " 2>&1");
  FILE* pipe = ::popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string text;
  std::array<char, 4096> buffer;
  while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) text.append(buffer.data(), n);
  EXPECT_EQ(::pclose(pipe), 0) << text;
  EXPECT_NE(text.find("follows_live ok"), std::string::npos) << text;
}

}  // namespace
}  // namespace tidepool::feed

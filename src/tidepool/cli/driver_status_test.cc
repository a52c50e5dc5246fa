// The status file as a stranger wrote it: what it says is shown, what it cannot be is refused (docs/formats/driver-status.md).

#include "tidepool/cli/driver_status.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tidepool/cli/test_command.h"

namespace tidepool::cli::driver_status_test {
namespace {

using namespace test;

constexpr const char* kWhole =
    R"({"format":"tidepool driver status","version":1,"pid":41,"start_ticks":7,"instance_id":"lab","lifecycle":"running","media_driver":true,)"
    R"("written_ns":5,"aeron_dir":"/dev/shm/a","control_stream_id":1000,"lease_lifetime_ns":3000000000,"leases_total":1,)"
    R"("leases":[{"lease_id":18446744073709551614,"stream_id":10000,"client_id":77,"role":"producer","node_id":1,"epoch":9,"expiry_ns":12}]})";

std::optional<DriverStatus> parse(const std::string& text) {
  std::string why;
  auto status = parse_driver_status(text, why);
  EXPECT_EQ(status.has_value(), why.empty()) << why;
  return status;
}

TEST(DriverStatusTest, IsReadAsItIsWritten) {
  const auto status = parse(kWhole);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->pid, 41u);
  EXPECT_EQ(status->instance_id, "lab");
  EXPECT_TRUE(status->media_driver);
  ASSERT_EQ(status->leases.size(), 1u);
  EXPECT_EQ(status->leases[0].lease_id, 18446744073709551614u);
  EXPECT_EQ(status->leases[0].role, "producer");
  EXPECT_EQ(status->leases[0].expiry_ns, 12u);
}

TEST(DriverStatusTest, ForgivesWhatIsMissingOrOfAnotherTypeAndRefusesAnotherFormat) {  // R-03
  EXPECT_FALSE(parse(""));
  EXPECT_FALSE(parse("[]"));
  EXPECT_FALSE(parse("{}"));
  EXPECT_FALSE(parse(R"({"format":"tidepool driver status","version":2})"));
  EXPECT_FALSE(parse(std::string(1'000'000, '[')));
  const auto odd = parse(
      R"({"format":"tidepool driver status","version":1,"pid":-1,"instance_id":5,"media_driver":"yes","leases":[1,{"stream_id":99999999999,"role":[]}]})");
  ASSERT_TRUE(odd);
  EXPECT_EQ(odd->pid, 0u);
  EXPECT_EQ(odd->instance_id, "");
  EXPECT_FALSE(odd->media_driver);
  ASSERT_EQ(odd->leases.size(), 1u);
  EXPECT_EQ(odd->leases[0].stream_id, 0u);
  EXPECT_EQ(parse(R"({"format":"tidepool driver status","version":1,"instance_id":"\u001b[2J"})")->instance_id, "\\x1b[2J");
}

RC_GTEST_PROP(DriverStatusTest, AnyBytesAreAStatusOrNone, ()) {  // W-92
  std::string text = kWhole;
  for (int i = 0; i < 4; ++i) text[*rc::gen::inRange<size_t>(0, text.size())] = *rc::gen::arbitrary<char>();
  std::string why;
  const auto status = parse_driver_status(text, why);
  RC_ASSERT(status.has_value() || !why.empty());
}

TEST(DriverStatusTest, FollowsNoLinkAndReadsNoOneElsesFile) {  // W-26
  const TemporaryDirectory directory;
  std::string why;
  EXPECT_FALSE(read_driver_status(directory.path(), why));
  EXPECT_NE(why.find("keeps no status"), std::string::npos);
  why.clear();
  write_file(directory / "real", kWhole);
  std::filesystem::create_symlink(directory / "real", directory / "driver.status");
  EXPECT_FALSE(read_driver_status(directory.path(), why));
  EXPECT_NE(why, "");
  std::filesystem::remove(directory / "driver.status");
  ASSERT_EQ(::mkfifo((directory / "driver.status").c_str(), 0600), 0);
  why.clear();
  EXPECT_FALSE(read_driver_status(directory.path(), why));
  EXPECT_NE(why.find("no regular file"), std::string::npos);
  std::filesystem::remove(directory / "driver.status");
  write_file(directory / "driver.status", kWhole);
  why.clear();
  ASSERT_TRUE(read_driver_status(directory.path(), why)) << why;
  if (::chown((directory / "driver.status").c_str(), 1, 1) != 0) GTEST_SKIP() << "only root may give files away";
  EXPECT_FALSE(read_driver_status(directory.path(), why));
  EXPECT_NE(why.find("user 1"), std::string::npos);
}

}  // namespace
}  // namespace tidepool::cli::driver_status_test

#include "tidepool/base/log.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace tidepool {
namespace {

class LogTest : public ::testing::Test {
 protected:
  void TearDown() override { set_log_sink({}, LogLevel::kInfo); }
  void install(LogLevel threshold) {
    set_log_sink([this](LogLevel, std::string_view role, std::string_view text) { lines.push_back(concat(role, ": ", text)); },
                 threshold);
  }
  std::vector<std::string> lines;
};

TEST_F(LogTest, DropsEverythingWithoutASink) {
  EXPECT_FALSE(log_enabled(LogLevel::kError));
  log(LogLevel::kError, "driver", "nobody hears");
  log_line(LogLevel::kError, "driver", "nobody hears");
  install(LogLevel::kInfo);
  set_log_sink({}, LogLevel::kTrace);
  EXPECT_FALSE(log_enabled(LogLevel::kError));
  log(LogLevel::kError, "driver", "nobody hears");
  EXPECT_TRUE(lines.empty());
}

TEST_F(LogTest, PassesWhatIsAtLeastAsGraveAsTheThreshold) {
  install(LogLevel::kWarn);
  log(LogLevel::kError, "driver", "epoch ", 7);
  log(LogLevel::kWarn, "driver", "slow");
  log(LogLevel::kInfo, "driver", "chatter");
  EXPECT_EQ(lines, (std::vector<std::string>{"driver: epoch 7", "driver: slow"}));
}

TEST_F(LogTest, GivesTheSinkOneLineAtATime) {
  install(LogLevel::kInfo);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 500; ++i) log(LogLevel::kInfo, "client", i);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(lines.size(), 2000u);  // the vector has no lock of its own
}

TEST(PrintableTest, EscapesWhatIsNotPlainAsciiAndCutsWhatIsLong) {  // W-93
  EXPECT_EQ(printable("plain ~ text"), "plain ~ text");
  EXPECT_EQ(printable(std::string_view("a\0\n\x1b\x7f\xff", 6)), "a\\x00\\x0a\\x1b\\x7f\\xff");
  EXPECT_EQ(printable("abcd", 4), "abcd");
  EXPECT_EQ(printable("abcde", 4), "abcd...");
  EXPECT_EQ(printable(""), "");
}

TEST(JsonQuotedTest, QuotesAnyTextAsAJsonStringOfPrintableAscii) {  // W-93
  EXPECT_EQ(json_quoted("plain"), "\"plain\"");
  EXPECT_EQ(json_quoted(std::string("a\"\\\n\t\x1b\x80\0", 8)), R"("a\"\\\n\t\u001b\u0080\u0000")");
  EXPECT_EQ(json_quoted(""), "\"\"");
}

}  // namespace
}  // namespace tidepool

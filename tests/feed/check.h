#pragma once
// What both kinds of test check after a crash: the same feed through two readers that share no code.

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "python_reader.h"
#include "slice.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed::test {

inline uint64_t seed() {
  const char* text = std::getenv("TIDEPOOL_TEST_SEED");
  const uint64_t value = text != nullptr ? std::strtoull(text, nullptr, 10) : realtime_ns();
  std::printf("TIDEPOOL_TEST_SEED=%llu\n", static_cast<unsigned long long>(value));
  return value;
}

// The number that follows "key": in what the Python reader prints.
inline uint64_t number_after(const std::string& text, const std::string& key) {
  const auto at = text.find("\"" + key + "\": ");
  return at == std::string::npos ? ~uint64_t{0} : std::strtoull(text.c_str() + at + key.size() + 4, nullptr, 10);
}

// What the Python reader prints; that it has no complaints is a check.
inline void run_python(const std::vector<std::string>& arguments, std::string& text) {
  PythonReader::instance().ask(arguments, text);
  if (::testing::Test::HasFatalFailure()) return;
  ASSERT_NE(text.find("\"complaints\": []"), std::string::npos) << text;
}

// By Python: every checksum of every file holds, and the feed has exactly the records [first, end).
inline void expect_python_range(const std::string& base, const std::string& name, uint64_t first, uint64_t end, bool live) {
  std::string text;
  run_python({live ? "--live" : "--disk", base, name}, text);
  if (::testing::Test::HasFatalFailure()) return;
  ASSERT_EQ(number_after(text, "first_seq"), first) << text;
  ASSERT_EQ(number_after(text, "count") + number_after(text, "quarantined"), end - first) << text;
  ASSERT_EQ(number_after(text, "next_seq"), end) << text;
}
inline void expect_python(const std::string& base, const std::string& name, uint64_t count, bool live) {
  expect_python_range(base, name, 0, count, live);
}

// By Python: so many payloads, each of which is what its row says.
inline void expect_python_blobs(const std::string& base, const std::string& name, uint64_t blobs, bool live) {
  std::string text;
  run_python({"--blobs", live ? "--live" : "--disk", base, name}, text);
  if (::testing::Test::HasFatalFailure()) return;
  ASSERT_EQ(number_after(text, "blobs"), blobs) << text;
}

// By the library: rows [0, n) whole, each once, then the end. How many.
inline void read_all(const std::string& base, const std::string& name, uint64_t& count) {
  auto reader = FeedReader::open(base, name, {.from = At::oldest(), .stop_when_inactive = true});
  count = 0;
  for (;;) {
    const Item item = reader.next();
    if (item.kind == Item::Kind::kEnded) return;
    ASSERT_EQ(item.kind, Item::Kind::kRow) << "at " << count << ": gap " << item.gap.from << " to " << item.gap.to << " " << item.gap.text;
    ASSERT_EQ(item.seq, count);
    const Row expected = row_of(count);
    ASSERT_EQ(std::memcmp(item.bytes.data(), &expected, sizeof expected), 0) << count;
    ++count;
  }
}

}  // namespace tidepool::feed::test

#include "tidepool/base/id_ranges.h"

#include <gtest/gtest.h>

#include <map>

namespace tidepool {
namespace {

std::string said(const std::vector<ConfigProblem>& problems) {
  std::string out;
  for (const ConfigProblem& problem : problems) out += problem.line() + "\n";
  return out;
}

TEST(IdRangesTest, ARangeHoldsIdsThatNobodyUses) {  // CFG-8
  const Origins origins = {{"a.range", "lab.toml:3"}};
  const NamedId in_use[] = {{"a.control_stream_id", 1000}, {"streams.left.stream_id", 20}};
  const auto check = [&](IdRange range) {
    std::vector<ConfigProblem> problems;
    check_range({"a.range", range}, 2000, in_use, origins, problems);
    return said(problems);
  };
  EXPECT_EQ(check({1, 19}), "");
  EXPECT_EQ(check({1001, 2000}), "");
  EXPECT_EQ(check({0, 5}), "lab.toml:3: a.range is 0-5: expected ids from 1 up, 0 is never one\n");
  EXPECT_EQ(check({6, 5}), "lab.toml:3: a.range is 6-5: expected the smaller id first\n");
  EXPECT_EQ(check({6, 2001}), "lab.toml:3: a.range is 6-2001: expected ids up to 2000\n");
  EXPECT_EQ(check({20, 1000}),
            "lab.toml:3: a.range is 20-1000 and contains 1000, which is a.control_stream_id: expected none of those in use\n"
            "lab.toml:3: a.range is 20-1000 and contains 20, which is streams.left.stream_id: expected none of those in use\n");
}

TEST(IdRangesTest, TwoRangesShareNothingNotEvenOneId) {  // CFG-8
  std::vector<ConfigProblem> problems;
  check_disjoint({"a", {1, 5}}, {"b", {6, 9}}, {}, problems);
  EXPECT_EQ(said(problems), "");
  check_disjoint({"a", {1, 6}}, {"b", {6, 9}}, {}, problems);
  EXPECT_EQ(said(problems), "a is 1-6 and overlaps 6-9 of b: expected disjoint ranges\n");
  problems.clear();
  check_disjoint({"a", {6, 9}}, {"b", {6, 9}}, {}, problems);
  EXPECT_EQ(problems.size(), 1u) << "the same range twice is shared, too";
}

}  // namespace
}  // namespace tidepool

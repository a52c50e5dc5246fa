// Who creates a feed is killed with SIGKILL before, and in the middle of, each of its file operations; and two create one at once.

#include "check.h"
#include "mortal_files.h"
#include "tidepool/feed/repair.h"

namespace tidepool::feed::create_crash_test {
namespace {

using test::Helper;
using test::MortalFiles;
using test::SharedTold;

class CreateCrash : public test::FeedTest {
 protected:
  FeedOptions tiny() const {
    auto tiny = options(Storage::kTiered);
    tiny.chunk_bytes = 4096;
    return tiny;
  }
  // Killed before step `last`; false: it came to its end.
  bool killed_at(uint64_t last, const std::string& name) const {
    SharedTold told;
    Helper creator([&](const Helper&) {
      MortalFiles files(*told, last);
      create_feed(base(), name, test::row_schema(), tiny(), files);
    });
    return !creator.join();
  }
  // What a killed creation of `name` leaves: the feed whole, or none; and a later one works as if nothing had been.
  void expect_whole_or_none(const std::string& name) {
    bool there = false;
    try {
      const auto registry = GlobalRegistry::open(base());
      EXPECT_TRUE(registry.warnings().empty()) << registry.warnings().front();
      there = registry.find(name) != nullptr;
      if (there) {
        auto reader = read({.from = At::oldest()}, name);
        expect_idle(reader);
        EXPECT_EQ(reader.feed().schema, test::row_schema());
      }
    } catch (const FeedError& error) {
      ASSERT_EQ(fault_name(error.fault()), "BASE_NOT_FOUND") << error.what();  // the base itself had not come so far
    }
    create_feed(base(), name, test::row_schema(), tiny());
    ASSERT_FALSE(create_feed(base(), name, test::row_schema(), tiny()));
    for (const std::string& entry : names_in(base() + "/feeds")) ASSERT_FALSE(entry.starts_with(".tmp-")) << entry;
    {
      auto writer = FeedWriter::open(base(), name);
      append(writer, 0, 200);
    }
    uint64_t count = 0;
    test::read_all(base(), name, count);
    ASSERT_EQ(count, 200u);
  }
};

TEST_F(CreateCrash, AtEveryStepLeavesTheFeedWholeOrNone) {  // F-7, F-3, F-156, G-1
  uint64_t last = 1;
  for (; killed_at(last, "trades"); ++last) {
    expect_whole_or_none("trades");
    if (HasFatalFailure()) {
      ADD_FAILURE() << "killed before step " << last;
      return;
    }
    std::filesystem::remove_all(root.path());
    std::filesystem::create_directory(root.path());
  }
  EXPECT_GT(last, 20u) << "so many steps there are at least";
}

TEST_F(CreateCrash, AtEveryStepHarmsNoFeedThatIsThere) {  // F-7, F-9, F-156
  create_feed(base(), "old", test::row_schema(), tiny());
  {
    auto writer = FeedWriter::open(base(), "old");
    append(writer, 0, 300);
  }
  uint64_t last = 1;
  for (; killed_at(last, "trades"); ++last) {
    uint64_t count = 0;
    test::read_all(base(), "old", count);
    ASSERT_EQ(count, 300u) << "killed before step " << last;
    if (last % 5 == 0) test::expect_python(base(), "old", 300, false);
    if (last % 3 == 0) {
      // Repair sweeps what a creator left, as the next creation does.
      ASSERT_FALSE(repair_base(base()).failed());
      for (const std::string& entry : names_in(base() + "/feeds")) ASSERT_FALSE(entry.starts_with(".tmp-")) << entry;
      ASSERT_TRUE(verify_base(base()).sound()) << "killed before step " << last;
    }
    delete_feed(base(), "trades", true);
  }
  EXPECT_GT(last, 12u);
  expect_whole_or_none("trades");
}

TEST_F(CreateCrash, OfTwoCreatorsOneWinsAndTheOtherFindsItThere) {  // F-7, F-6, F-4
  for (int round = 0; round < 10; ++round) {
    const std::string name = concat("feed", round);
    const auto create = [&](const Helper& self) { self.ready(create_feed(base(), name, test::row_schema(), tiny()) ? 1 : 0); };
    Helper first(create);
    Helper second(create);
    EXPECT_EQ(first.wait_ready() + second.wait_ready(), 1) << round;
    EXPECT_TRUE(first.join());
    EXPECT_TRUE(second.join());
  }
  EXPECT_EQ(GlobalRegistry::open(base()).feeds().size(), 10u);
  EXPECT_TRUE(verify_base(base()).sound());
}

}  // namespace
}  // namespace tidepool::feed::create_crash_test

// Counters as the media driver's counters file shows them (operations.md 3, OP-4 to OP-6).
#include "tidepool/transport/counters.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "tidepool/base/error.h"
#include "tidepool/transport/test_counters.h"
#include "tidepool/transport/test_media_driver.h"

namespace tidepool::transport {
namespace {

using testing::counter_value;
using testing::counters_named;
using testing::poll_until;
using testing::read_counters;
using testing::TestMediaDriver;

constexpr CounterKind kTwo[] = {{1, "TotalDutyCycles"}, {3, "FramesPublished"}};

TEST(CounterEncodingTest, NeverTakesATypeIdOfAeronsNorANegativeOne) {
  for (const uint32_t id : {0u, 1u, 32767u, 32768u, 65536u, 0x80000000u, 0xFFFFFFFFu, 10000u, 59999u}) {
    const uint16_t owner = counter_owner_of(id);
    EXPECT_GE(owner, 1) << id;
    EXPECT_LE(owner, kMaxCounterOwner) << id;
    EXPECT_GT(counter_type_id(owner, 1), 65535) << id;
  }
  EXPECT_EQ(counter_owner_of(77), 77);
  EXPECT_EQ(counter_owner_of(0x12340000), 32766);
  EXPECT_EQ(counter_type_id(77, 3), 77 << 16 | 3);
}

TEST(CounterEncodingTest, FitsIntoAeronsKeyAndLabelHoweverLongTheNameIs) {
  const CounterOwner owner{.id = 1, .owner_id = 1, .name = std::string(500, 'x')};
  EXPECT_EQ(counter_key(owner).size(), 112u);
  EXPECT_LE(counter_label(owner, "DescriptorMaxPositionExceeded").size(), 380u);
}

TEST(CounterSetTest, ShowsWhatIsSetInTheMediaDriversFile) {
  TestMediaDriver media;
  const auto connection = media.connect();
  const CounterOwner owner{.id = 0x1'0000'004D, .owner_id = 77, .name = "Producer stream=10000 instance=4294967373"};
  auto set = connection->add_counters(owner, kTwo);
  set->set(0, 11);  // before the media driver has accepted it
  ASSERT_TRUE(poll_until([&] {
    connection->poll();
    set->poll();
    return set->settled();
  }));
  set->set(1, 22);
  set->set(9, 1);  // none of ours
  const auto seen = counters_named(media.dir(), "Producer");
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].type_id, 77 << 16 | 1);
  EXPECT_EQ(seen[0].key_id, owner.id);
  EXPECT_EQ(seen[0].key_name, owner.name);
  EXPECT_EQ(seen[0].label, "TotalDutyCycles: NodeId=77 Name=Producer stream=10000 instance=4294967373");
  EXPECT_EQ(seen[0].value, 11);
  EXPECT_EQ(seen[1].type_id, 77 << 16 | 3);
  EXPECT_EQ(seen[1].label, "FramesPublished: NodeId=77 Name=Producer stream=10000 instance=4294967373");
  EXPECT_EQ(seen[1].value, 22);
  // Aeron's own are there, and none of them has a type id of ours.
  const auto in = connection->add_subscription("aeron:ipc?term-length=64k", 1);
  const auto out = connection->add_publication("aeron:ipc?term-length=64k", 1);
  ASSERT_TRUE(poll_until([&] {
    connection->poll();
    return out->connected();
  }));
  std::set<int32_t> others;
  for (const auto& one : read_counters(media.dir()))
    if (one.label.find("Name=Producer") == std::string::npos) others.insert(one.type_id);
  EXPECT_GT(others.size(), 3u);
  for (const auto& one : seen) EXPECT_FALSE(others.contains(one.type_id));
  EXPECT_LT(*others.rbegin(), 65536);
}

TEST(CounterSetTest, IsGoneFromTheFileWithItsOwner) {
  TestMediaDriver media;
  const auto connection = media.connect();
  auto set = connection->add_counters({.id = 5, .owner_id = 5, .name = "Consumer stream=1 instance=5"}, kTwo);
  auto in_a_hurry = connection->add_counters({.id = 6, .owner_id = 6, .name = "Consumer stream=1 instance=6"}, kTwo);
  in_a_hurry.reset();  // before they are there
  ASSERT_TRUE(poll_until([&] {
    connection->poll();
    set->poll();
    return set->settled() && counters_named(media.dir(), "Consumer").size() == 2;
  }));
  set.reset();
  ASSERT_TRUE(poll_until([&] {
    connection->poll();
    return counters_named(media.dir(), "Consumer").empty();
  }));
}

TEST(CounterSetTest, OutlivesItsMediaDriver) {
  TestMediaDriver media;
  auto options = testing::connection_options(media.dir());
  options.driver_timeout_ms = 200;
  const auto connection = Connection::open(options);
  auto set = connection->add_counters({.id = 5, .owner_id = 5, .name = "Driver"}, kTwo);
  ASSERT_TRUE(poll_until([&] {
    connection->poll();
    set->poll();
    return set->settled();
  }));
  auto unfinished = connection->add_counters({.id = 6, .owner_id = 6, .name = "Driver"}, kTwo);
  media.stop();
  ASSERT_TRUE(poll_until([&] {
    connection->poll();
    set->set(0, 1);
    return !connection->alive();
  }));
  set->set(0, 2);
  unfinished->poll();
  EXPECT_THROW((void)connection->add_counters({.id = 7, .owner_id = 7, .name = "Driver"}, kTwo), Error);
}

TEST(CounterSetTest, WorksWithAeronsOwnThreadToo) {
  TestMediaDriver media;
  auto options = testing::connection_options(media.dir());
  options.invoker = false;
  const auto connection = Connection::open(options);
  auto set =
      connection->add_counters({.id = kDriverCounterOwner, .owner_id = kDriverCounterOwner, .name = "Driver instance=lab"}, kTwo);
  ASSERT_TRUE(poll_until([&] {
    set->poll();
    return set->settled();
  }));
  set->set(1, 33);
  EXPECT_EQ(counter_value(media.dir(), "Driver instance=lab", "FramesPublished"), 33);
}

}  // namespace
}  // namespace tidepool::transport

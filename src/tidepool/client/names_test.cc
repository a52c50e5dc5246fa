#include "tidepool/client/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidepool::client::names_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

wire::DataSourceAnnounce announce(uint32_t stream_id, const std::string& name, uint64_t epoch = 1) {
  wire::DataSourceAnnounce out;
  out.stream_id = stream_id;
  out.epoch = epoch;
  out.name = name;
  return out;
}

TEST(NameDirectoryTest, FindsStreamsByTheNameHeardLast) {  // P-11
  NameDirectory names;
  names.heard(announce(10000, "cam1"), 100);
  names.heard(announce(10001, "cam2"), 100);
  EXPECT_THAT(names.streams_of("cam1", 0), ElementsAre(10000));
  names.heard(announce(10000, "left", 2), 200);
  EXPECT_THAT(names.streams_of("cam1", 0), IsEmpty());
  EXPECT_THAT(names.streams_of("left", 0), ElementsAre(10000));
  EXPECT_THAT(names.names(0), ElementsAre("cam2", "left"));
}

TEST(NameDirectoryTest, ListensToNoProducerThatIsGone) {  // P-11, W-89
  NameDirectory names;
  names.heard(announce(10000, "new", 5), 100);
  names.heard(announce(10000, "old", 4), 200);
  EXPECT_THAT(names.streams_of("new", 0), ElementsAre(10000));
  EXPECT_THAT(names.streams_of("old", 0), IsEmpty());
}

TEST(NameDirectoryTest, ForgetsWhatWasNotHeardForLong) {
  NameDirectory names;
  names.heard(announce(10000, "cam1"), 100);
  EXPECT_THAT(names.streams_of("cam1", 101), IsEmpty());
  EXPECT_THAT(names.names(101), IsEmpty());
}

TEST(NameDirectoryTest, NamesAllStreamsOfOneName) {
  NameDirectory names;
  names.heard(announce(2, "cam"), 100);
  names.heard(announce(1, "cam"), 100);
  names.heard(announce(3, ""), 100);
  EXPECT_THAT(names.streams_of("cam", 0), ElementsAre(1, 2));
  EXPECT_THAT(names.streams_of("", 0), IsEmpty()) << "no name is no name";
}

TEST(NameDirectoryTest, HoldsABoundedNumberOfStreams) {  // W-93
  NameDirectory names;
  for (uint32_t i = 0; i < NameDirectory::kMaxStreams + 10; ++i) names.heard(announce(i, std::to_string(i)), 100 + i);
  EXPECT_EQ(names.names(0).size(), NameDirectory::kMaxStreams);
  EXPECT_THAT(names.streams_of("9", 0), IsEmpty());
  EXPECT_THAT(names.streams_of("10", 0), ElementsAre(10));
}

}  // namespace
}  // namespace tidepool::client::names_test

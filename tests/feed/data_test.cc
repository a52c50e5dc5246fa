// What feeds hold besides plain rows, by the reader that shares no code with the library: blobs, versions of a schema, marks.

#include <random>
#include <thread>

#include "check.h"
#include "tidepool/feed/blob.h"
#include "tidepool/feed/settings.h"

namespace tidepool::feed {
namespace {

using test::Helper;
using test::row_of;

class Data : public test::FeedTest {};
INSTANTIATE_TEST_SUITE_P(Storages, Data, ::testing::Values(Storage::kTiered, Storage::kDurable), test::storage_test_name);

std::vector<std::byte> payload_of(uint64_t number) {
  std::vector<std::byte> payload(1 + test::mix(number) % 3000);
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::byte>(number + i);
  return payload;
}

TEST_P(Data, OfAWriterKilledAtAnyMomentHasNoRowWithoutItsPayload) {  // F-122, X-1, X-15, F-156
  std::mt19937_64 random(test::seed());
  auto tiny = options(GetParam());
  tiny.chunk_bytes = 8192;
  tiny.sync_interval_ns = kNsPerMs;
  create_blob_feed(base(), "shots", test::row_schema(), {.columns = {"image"}, .chunk_bytes = 32768}, tiny);
  uint64_t expected = 0;
  const int last_round = test::rounds(6, 200);
  for (int round = 0; round < last_round; ++round) {
    Helper writer([&](const Helper& self) {
      auto opened = BlobWriter::open(base(), "shots");
      self.ready();
      for (uint64_t number = opened.rows().next_seq();; ++number) {
        const auto image = payload_of(number);
        const BlobPart parts[] = {{0, image}};
        if (!opened.append(row_of(number), parts)) return;
      }
    });
    ASSERT_EQ(writer.wait_ready(), 0);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));  // the moment is the point: any will do
    writer.kill();
    auto rows = FeedReader::open(base(), "shots", {.from = At::oldest(), .stop_when_inactive = true});
    auto blobs = BlobReader::open(base(), "shots");
    uint64_t count = 0;
    for (Item row = rows.next(); row.kind != Item::Kind::kEnded; row = rows.next(), ++count) {
      ASSERT_EQ(row.kind, Item::Kind::kRow) << row.gap.text;
      const Blob blob = blobs.get(row, 0);
      ASSERT_EQ(blob.status, Blob::Status::kOk) << "row " << count << ": " << blob.problem;
      ASSERT_TRUE(std::ranges::equal(blob.payload, payload_of(count))) << count;
    }
    ASSERT_GE(count, expected) << "what was committed stays";
    expected = count;
    if (round % 3 == 0) test::expect_python_blobs(base(), "shots", count, true);
    if (HasFatalFailure()) return;
  }
  BlobWriter::open(base(), "shots").close();
  EXPECT_EQ(check_blobs(base(), "shots").bad, 0u);
  test::expect_python_blobs(base(), "shots", expected, false);
}

TEST_P(Data, OfSeveralVersionsIsReadByItsPages) {  // F-16, F-17, F-18, F-39
  {
    auto writer = make(GetParam());
    append(writer, 0, 1500);
    writer.mark(1400, 3, "snapshot");
  }
  auto schema = test::row_schema().with({{"side", "uint8{buy=1,sell=2}"}, {"venue", "int32"}});
  evolve_feed(base(), "trades", schema.set_unit("venue", "code").describe("side", "of the book"));
  {
    auto writer = FeedWriter::open(base(), "trades");
    std::vector<std::byte> row(writer.feed().record_bytes);
    for (uint64_t number = 1500; number < 3000; ++number) {
      const test::Row front = row_of(number);
      std::memcpy(row.data(), &front, sizeof front);
      ASSERT_TRUE(writer.append(row));
    }
  }
  test::expect_python(base(), "trades", 3000, false);
}

}  // namespace
}  // namespace tidepool::feed

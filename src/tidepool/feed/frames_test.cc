// Frames: records of any size, their headers kept verbatim.


#include <fcntl.h>

#include "tidepool/feed/crc32c.h"
#include "tidepool/feed/index.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed {
namespace {

class Frames : public test::FeedTest {
 protected:
  FeedWriter make_frames(Storage storage, uint64_t chunk_bytes = 64 * 1024) const {
    auto frame_options = options(storage);
    frame_options.chunk_bytes = chunk_bytes;
    return FeedWriter::create(base(), "cam", Schema::frames({"time_ns", "wall_ns"}), frame_options);
  }
  FeedReader read_frames(const ReaderOptions& reader_options = {}) const { return FeedReader::open(base(), "cam", reader_options); }
  static std::vector<std::byte> payload_of(uint64_t number) {
    std::vector<std::byte> bytes(number * 97 % 5000);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(test::mix(number) >> (i % 8 * 8) ^ i);
    return bytes;
  }
  static std::vector<std::byte> meta_of(uint64_t number) { return std::vector<std::byte>(256, static_cast<std::byte>(number)); }
  static FrameMeta frame_of(uint64_t number) { return {{100 + number, 1'000'000 + number, 0}, 7, number * 2, static_cast<uint16_t>(number % 3)}; }
  static void append_frames(FeedWriter& writer, uint64_t from, uint64_t to) {
    for (uint64_t number = from; number < to; ++number) {
      const Appended done = writer.append_frame(frame_of(number), meta_of(number), payload_of(number));
      ASSERT_EQ(append_status_name(done.status), "ok");
      ASSERT_EQ(done.seq, number);
    }
  }
  static void expect_frames(FeedReader& reader, uint64_t from, uint64_t to) {
    for (uint64_t number = from; number < to; ++number) {
      const Item item = reader.next(30 * kNsPerSecond);
      ASSERT_EQ(item.kind, Item::Kind::kFrame) << number << " gap " << item.gap.from << " to " << item.gap.to << " " << item.gap.text;
      ASSERT_EQ(item.seq, number);
      const auto payload = payload_of(number);
      ASSERT_TRUE(std::equal(payload.begin(), payload.end(), item.bytes.begin(), item.bytes.end())) << number;
      const auto meta = meta_of(number);
      ASSERT_TRUE(std::equal(meta.begin(), meta.end(), item.meta.begin(), item.meta.end()));
      ASSERT_EQ(reinterpret_cast<uintptr_t>(item.bytes.data()) % 64, 0u);
      ASSERT_EQ(item.frame.stream_epoch, 7u);
      ASSERT_EQ(item.frame.stream_seq, number * 2);
      ASSERT_EQ(item.frame.type, number % 3);
      ASSERT_EQ(item.clock(1), 1'000'000 + number);
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Storages, Frames, ::testing::Values(Storage::kTiered, Storage::kDurable, Storage::kMemory), test::storage_test_name);

TEST_P(Frames, OfAnySizeComeBackAsTheyWere) {  // F-119, F-j, F-47
  auto writer = make_frames(GetParam());
  auto reader = read_frames();
  for (uint64_t at = 0; at < 200; at += 20) {
    append_frames(writer, at, at + 20);
    expect_frames(reader, at, at + 20);
    expect_idle(reader);
  }
  EXPECT_GT(writer.health().rotations, 3u);
}

TEST_P(Frames, LargerThanAChunkAreRefusedWithoutASideEffect) {  // F-32, F-119, F-50
  auto writer = make_frames(GetParam());
  std::vector<std::byte> large(65 * 1024);
  EXPECT_EQ(writer.append_frame(frame_of(0), {}, large).status, AppendStatus::kTooLarge);
  EXPECT_EQ(writer.claim_frame(0, ~uint64_t{0}).status, AppendStatus::kTooLarge);
  EXPECT_EQ(writer.append(test::row_of(0)).status, AppendStatus::kWrongSize);
  append_frames(writer, 0, 3);
  auto reader = read_frames({.from = At::oldest()});
  expect_frames(reader, 0, 3);
}

TEST_P(Frames, AreFilledInPlaceAndMayTurnOutShorter) {  // F-46, F-119
  auto writer = make_frames(GetParam());
  auto reader = read_frames();
  const Claim claim = writer.claim_frame(256, 5000);
  ASSERT_TRUE(claim);
  std::fill(claim.bytes.begin(), claim.bytes.end(), std::byte{0xEE});
  const auto meta = meta_of(0);
  std::copy(meta.begin(), meta.end(), claim.meta.begin());
  EXPECT_TRUE(writer.commit(claim, frame_of(0), 0));
  expect_frames(reader, 0, 1);  // frame 0 has an empty payload
  append_frames(writer, 1, 30);
  expect_frames(reader, 1, 30);
}

TEST_P(Frames, AreFoundBySequenceAndByTime) {  // F-38, F-74, F-101
  auto writer = make_frames(GetParam(), 4 << 20);
  append_frames(writer, 0, 300);
  auto reader = read_frames({.from = At::sequence(123)});
  expect_frames(reader, 123, 130);
  EXPECT_EQ(reader.first_after(100 + 200), 200u);
  EXPECT_EQ(reader.first_before(1'000'000 + 77, 1), 77u);
  EXPECT_EQ(reader.first_after(100 + 300), std::nullopt);
  EXPECT_EQ(reader.read(250).seq, 250u);
}

TEST_P(Frames, SurviveTheirWriter) {  // X-1, F-52, F-67
  make_frames(GetParam());
  test::Helper crash([&](const test::Helper& self) {
    auto writer = FeedWriter::open(base(), "cam");
    for (uint64_t number = 0; number < 60; ++number) EXPECT_TRUE(writer.append_frame(frame_of(number), meta_of(number), payload_of(number)));
    const Claim half = writer.claim_frame(256, 3000);  // killed in the middle of a frame
    std::fill(half.bytes.begin(), half.bytes.end(), std::byte{0xEE});
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(crash.wait_ready(), 0);
  crash.kill();
  auto writer = FeedWriter::open(base(), "cam");
  EXPECT_EQ(writer.recovery().next_seq, 60u);
  append_frames(writer, 60, 90);
  auto reader = read_frames({.from = At::oldest()});
  expect_frames(reader, 0, 90);
}

class FramesTest : public Frames {};

TEST_F(FramesTest, HaveADenseIndexWithTheChecksumOfEachPayload) {  // F-33, F-b, F-n
  {
    auto writer = make_frames(Storage::kTiered, 1 << 20);
    append_frames(writer, 0, 50);
    writer.close();
  }
  const std::string directory = base() + "/feeds/cam";
  const File data = File::open(Files::system(), directory + "/" + chunk_name(1), O_RDONLY);
  const DiskChunk chunk = examine_chunk(data, true);
  ASSERT_TRUE(chunk.footer);
  EXPECT_TRUE(chunk.remarks.empty());
  const std::string bytes = shm::test::read_file(directory + "/" + index_name(1));
  const auto entries = decode_index(std::as_bytes(std::span(bytes)), chunk.header, 0);
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 50u);
  for (uint64_t number = 0; number < 50; ++number) {
    const IndexEntry& entry = (*entries)[number];
    EXPECT_EQ(entry.payload_crc, crc32c(payload_of(number)));
    EXPECT_EQ(entry.stream_seq, number * 2);
    EXPECT_EQ(entry.min[1], 1'000'000 + number);
  }
}

}  // namespace
}  // namespace tidepool::feed

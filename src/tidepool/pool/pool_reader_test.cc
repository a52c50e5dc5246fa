#include "tidepool/pool/pool_reader.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <thread>

#include "tidepool/pool/test_support.h"

namespace tidepool::pool {
namespace {

using namespace test;
using shm::CommitWord;

class PoolReaderTest : public ::testing::Test {
 protected:
  Store store_;
  EpochFiles::Created epoch_ = store_.create({.slot_count = 8, .pools = {{1, 4096}, {2, 64}}});
  EpochMap& map_ = *epoch_.map;
  PoolWriter writer_{epoch_.map};
  PoolReader reader_{store_.open(epoch_.regions)};
  FrameView view_;

  std::byte* slot(uint64_t seq) { return map_.mutable_slot(static_cast<uint32_t>(seq) & map_.slot_mask()); }
};

TEST_F(PoolReaderTest, ReadsAFrameWithAllThatBelongsToIt) {  // W-42, W-16
  const auto tensor = wire::contiguous(wire::DType::u16, std::vector<int32_t>{3, 4});
  Claim claim;
  ASSERT_EQ(writer_.claim_seq(13, tensor, claim), ClaimError::kNone);
  std::memset(claim.bytes().data(), 0x5A, claim.bytes().size());
  ASSERT_EQ(writer_.commit(claim, {.timestamp_ns = 123, .meta_version = 9}), CommitResult::kOk);

  ASSERT_EQ(reader_.read(13, view_, 77), ReadResult::kFrame);
  EXPECT_TRUE(view_);
  EXPECT_EQ(view_.stream_id(), kStream);
  EXPECT_EQ(view_.epoch(), 7u);
  EXPECT_EQ(view_.seq(), 13u);
  EXPECT_EQ(view_.timestamp_ns(), 123u);
  EXPECT_EQ(view_.meta_version(), 9u);
  EXPECT_EQ(view_.trace_id(), 77u);
  EXPECT_EQ(view_.tensor(), tensor);
  EXPECT_EQ(std::vector<int32_t>(view_.shape().begin(), view_.shape().end()), (std::vector<int32_t>{3, 4}));
  EXPECT_EQ(view_.bytes().size(), 24u);
  EXPECT_EQ(view_.bytes()[23], std::byte{0x5A});
  EXPECT_EQ(view_.bytes().data() - reader_.map().pools()[1].slots, 5 * 64);
  EXPECT_TRUE(view_.still_valid());
  EXPECT_FALSE(reader_.map().writable());  // W-30
}

TEST_F(PoolReaderTest, TellsAbsentValuesFromZero) {  // W-7
  write_frame(writer_);
  poke(slot(0) + 22, wire::kNull64);
  ASSERT_EQ(reader_.read(0, view_), ReadResult::kFrame);
  EXPECT_EQ(view_.timestamp_ns(), std::nullopt);
  EXPECT_EQ(view_.meta_version(), std::nullopt);
  EXPECT_EQ(view_.trace_id(), 0u);
}

TEST_F(PoolReaderTest, DoesNotTakeAFreshSlotForFrameZero) {  // W-34
  EXPECT_EQ(reader_.read(0, view_), ReadResult::kUncommitted);
  EXPECT_EQ(reader_.read(3, view_), ReadResult::kUncommitted);
  EXPECT_FALSE(view_);
}

TEST_F(PoolReaderTest, DropsAFrameThatIsBeingWritten) {  // W-42, W-44
  Claim claim;
  ASSERT_EQ(writer_.claim(bytes_tensor(64), claim), ClaimError::kNone);
  EXPECT_EQ(reader_.read(0, view_), ReadResult::kUncommitted);
  ASSERT_EQ(writer_.commit(claim), CommitResult::kOk);
  EXPECT_EQ(reader_.read(0, view_), ReadResult::kFrame);
}

TEST_F(PoolReaderTest, DropsAnotherFrameInTheSlot) {  // W-42
  write_frame(writer_);
  EXPECT_EQ(reader_.read(8, view_), ReadResult::kIdentity);  // announced, not written
  for (int i = 0; i < 8; ++i) write_frame(writer_);
  EXPECT_EQ(reader_.read(0, view_), ReadResult::kIdentity);  // overwritten
  EXPECT_EQ(reader_.read(8, view_), ReadResult::kFrame);
}

TEST_F(PoolReaderTest, TellsWhatRemainsWhenAFrameWasOvertaken) {  // W-42, P-1
  Store store;
  const auto made = store.create({.slot_count = 8, .pools = {{1, 64}}}, 9);
  PoolWriter ahead(made.map);
  PoolReader behind(made.map);
  const auto write = [&](uint64_t until) {
    while (ahead.next_seq() < until) ASSERT_EQ(ahead.offer(bytes_tensor(8), std::vector<std::byte>(8)), ClaimError::kNone);
  };
  EXPECT_FALSE(behind.remains_if_overtaken(0)) << "nothing was written";
  write(8);
  EXPECT_FALSE(behind.remains_if_overtaken(0)) << "it is there";
  EXPECT_FALSE(behind.remains_if_overtaken(8)) << "it is to come";
  for (uint64_t written = 9; written < 30; ++written) {
    write(written);
    const auto remains = behind.remains_if_overtaken(0);
    ASSERT_TRUE(remains) << written;
    EXPECT_EQ(remains->oldest, written - 8);
    EXPECT_EQ(remains->newest, written - 1);
  }
  Claim open;  // takes the slot of the oldest, and is no frame yet
  ASSERT_EQ(ahead.claim(bytes_tensor(8), open), ClaimError::kNone);
  for (const uint64_t seq : {3, 21}) {  // whose slot holds a frame, and whose holds the claim
    const auto remains = behind.remains_if_overtaken(seq);
    ASSERT_TRUE(remains);
    EXPECT_EQ(remains->oldest, 22u);
    EXPECT_EQ(remains->newest, 28u);
  }
}

TEST_F(PoolReaderTest, DropsASlotThatWentBackwards) {  // W-49
  for (int i = 0; i < 9; ++i) write_frame(writer_);
  ASSERT_EQ(reader_.read(8, view_), ReadResult::kFrame);
  ASSERT_EQ(reader_.read(8, view_), ReadResult::kFrame);  // the same one again is no step back
  poke(slot(0), CommitWord::committed(0));
  EXPECT_EQ(reader_.read(0, view_), ReadResult::kChanged);
  EXPECT_FALSE(view_);
  PoolReader fresh(reader_.shared_map());
  EXPECT_EQ(fresh.read(0, view_), ReadResult::kFrame);
}

TEST_F(PoolReaderTest, DropsAFrameOverwrittenWhileItIsRead) {  // W-42
  write_frame(writer_);
  // A stranger turns the word as fast as it can, until a turn falls between the reader's two looks.
  std::atomic<bool> stop{false};
  std::thread stranger([&] {
    while (!stop.load(std::memory_order_relaxed)) {
      CommitWord(slot(0)).begin(8);
      CommitWord(slot(0)).begin(0);
      (void)!CommitWord(slot(0)).commit(0);
    }
  });
  const uint64_t deadline_ns = monotonic_ns() + 30 * kNsPerSecond;
  bool changed = false;
  bool other = false;
  while (!changed && monotonic_ns() < deadline_ns) {
    const ReadResult result = reader_.read(0, view_);
    changed = result == ReadResult::kChanged;
    other = other || (result != ReadResult::kFrame && result != ReadResult::kUncommitted && result != ReadResult::kChanged);
    EXPECT_EQ(static_cast<bool>(view_), result == ReadResult::kFrame);
  }
  stop = true;
  stranger.join();
  EXPECT_TRUE(changed);
  EXPECT_FALSE(other);
}

struct Fault {
  const char* what;
  std::function<void(std::byte*)> make;
};

TEST_F(PoolReaderTest, DropsAHeaderThatBreaksAnyRule) {  // W-43, W-46, W-92
  const Fault faults[] = {
      {"headerBytes length", [](std::byte* s) { poke<uint32_t>(s + 60, 191); }},
      {"block length", [](std::byte* s) { poke<uint16_t>(s + 64, 183); }},
      {"template", [](std::byte* s) { poke<uint16_t>(s + 66, 51); }},
      {"schema", [](std::byte* s) { poke<uint16_t>(s + 68, 901); }},
      {"version", [](std::byte* s) { poke<uint16_t>(s + 70, 2); }},
      {"payload offset", [](std::byte* s) { poke<uint32_t>(s + 18, 64); }},
      {"payload slot", [](std::byte* s) { poke<uint32_t>(s + 12, 1); }},
      {"payload slot beyond the pool", [](std::byte* s) { poke<uint32_t>(s + 12, 8); }},
      {"dtype unknown", [](std::byte* s) { poke<int16_t>(s + 72, 0); }},
      {"dtype unassigned", [](std::byte* s) { poke<int16_t>(s + 72, 12); }},
      {"dtype null", [](std::byte* s) { poke<int16_t>(s + 72, -32768); }},
      {"order unknown", [](std::byte* s) { poke<int16_t>(s + 74, 0); }},
      {"order undefined", [](std::byte* s) { poke<int16_t>(s + 74, 3); }},
      {"ndims 0", [](std::byte* s) { poke<uint8_t>(s + 76, 0); }},
      {"ndims 9", [](std::byte* s) { poke<uint8_t>(s + 76, 9); }},
      {"ndims 255", [](std::byte* s) { poke<uint8_t>(s + 76, 255); }},
      {"progress unit", [](std::byte* s) { poke<uint8_t>(s + 78, 3); }},
      {"progress stride of rows", [](std::byte* s) { poke<uint8_t>(s + 78, 1), poke<uint32_t>(s + 79, 63); }},
      {"progress of columns in one dimension", [](std::byte* s) { poke<uint8_t>(s + 78, 2); }},
      {"negative dimension", [](std::byte* s) { poke<int32_t>(s + 83, -1); }},
      {"negative stride", [](std::byte* s) { poke<int32_t>(s + 115, -1); }},
      {"stride below the element", [](std::byte* s) { poke<int16_t>(s + 72, 9), poke<int32_t>(s + 115, 3); }},
      {"overlapping rows", [](std::byte* s) { poke<uint8_t>(s + 76, 2), poke<int32_t>(s + 87, 8), poke<int32_t>(s + 115, 7), poke<int32_t>(s + 119, 1); }},
      {"negative dimension in the third line", [](std::byte* s) { poke<uint8_t>(s + 76, 8), poke<int32_t>(s + 143, -1); }},
  };
  for (const Fault& fault : faults) {
    SCOPED_TRACE(fault.what);
    write_frame(writer_);
    const uint64_t good = writer_.committed_seq();
    ASSERT_EQ(reader_.read(good, view_), ReadResult::kFrame);  // the last good shape is remembered: it must not hide a bad one
    write_frame(writer_);
    const uint64_t bad = writer_.committed_seq();
    fault.make(slot(bad));
    EXPECT_EQ(reader_.read(bad, view_), ReadResult::kHeaderInvalid);
    EXPECT_FALSE(view_);
    EXPECT_TRUE(view_.bytes().empty());
    EXPECT_FALSE(view_.still_valid());
    EXPECT_EQ(reader_.read(good, view_), ReadResult::kFrame);
    // The writer knows nothing of what the stranger did to bytes that it need not store again.
    std::memset(slot(bad), 0, wire::kSlotBytes);
    writer_ = PoolWriter(epoch_.map, writer_.next_seq());
  }
}

TEST_F(PoolReaderTest, DropsAPayloadThatIsNotThere) {  // W-43, W-84
  write_frame(writer_);
  write_frame(writer_);
  ASSERT_EQ(reader_.read(0, view_), ReadResult::kFrame);
  poke<uint16_t>(slot(1) + 16, 3);
  EXPECT_EQ(reader_.read(1, view_), ReadResult::kPayloadInvalid);
  poke<uint16_t>(slot(1) + 16, 2);
  poke<uint32_t>(slot(1) + 8, 65);
  EXPECT_EQ(reader_.read(1, view_), ReadResult::kPayloadInvalid);
  poke<uint32_t>(slot(1) + 8, 0xFFFFFFFF);
  EXPECT_EQ(reader_.read(1, view_), ReadResult::kPayloadInvalid);
  poke<uint32_t>(slot(1) + 8, 64);
  EXPECT_EQ(reader_.read(1, view_), ReadResult::kFrame);
}

TEST_F(PoolReaderTest, IgnoresPaddingAndUnusedDimensions) {  // wire.md 6.3, 6.4
  write_frame(writer_);
  std::memset(slot(0) + 34, 0xEE, 26);
  poke<uint8_t>(slot(0) + 77, 0xEE);
  std::memset(slot(0) + 83 + 4, 0xEE, 28);
  std::memset(slot(0) + 115 + 4, 0xEE, 28);
  std::memset(slot(0) + 147, 0xEE, 109);
  ASSERT_EQ(reader_.read(0, view_), ReadResult::kFrame);
  EXPECT_EQ(view_.tensor(), bytes_tensor(64));
}

TEST_F(PoolReaderTest, ReadsEightDimensions) {  // W-46
  const auto tensor = wire::contiguous(wire::DType::u8, std::vector<int32_t>{2, 1, 3, 1, 2, 1, 1, 5});
  const auto small = bytes_tensor(60);
  for (int round = 0; round < 3; ++round) {
    for (const wire::TensorHeader& shape : {tensor, small}) {
      const uint64_t seq = writer_.next_seq();
      ASSERT_EQ(writer_.offer(shape, std::vector<std::byte>(60)), ClaimError::kNone);
      ASSERT_EQ(reader_.read(seq, view_), ReadResult::kFrame);
      EXPECT_EQ(view_.tensor(), shape);
      EXPECT_EQ(view_.bytes().size(), 60u);
    }
  }
}

TEST_F(PoolReaderTest, ReadsNothingOnceTheMappingIsDead) {  // P-4, W-59
  write_frame(writer_);
  const auto map = store_.open(epoch_.regions);
  PoolReader reader(map);
  FrameView before;
  ASSERT_EQ(reader.read(0, before), ReadResult::kFrame);
  map->mark_dead();
  EXPECT_FALSE(before.still_valid());
  std::vector<std::byte> copy(64);
  EXPECT_FALSE(before.copy_to(copy));
  EXPECT_TRUE(is_mix(before.bytes(), 1, 7, 0));  // still memory, still the old bytes
  EXPECT_EQ(reader.read(0, view_), ReadResult::kDead);
  EXPECT_FALSE(view_);
}

TEST_F(PoolReaderTest, AViewKeepsItsMemoryWhenAllElseIsGone) {  // P-4
  auto created = store_.create({.slot_count = 2, .pools = {{1, 4096}}}, 8);
  FrameView view;
  {
    PoolWriter writer(std::move(created.map));
    write_frame(writer);
    PoolReader reader(store_.open(created.regions));
    ASSERT_EQ(reader.read(0, view), ReadResult::kFrame);
  }
  store_.files.remove(kStream, 8);
  EXPECT_TRUE(view.still_valid());
  EXPECT_TRUE(is_mix(view.bytes(), 1, 8, 0));
}

TEST_F(PoolReaderTest, LetsOneViewFollowSeveralMappings) {  // P-4
  const auto other = store_.create({.slot_count = 2, .pools = {{1, 4096}}}, 8);
  PoolWriter writer(other.map);
  write_frame(writer);
  write_frame(writer_);
  PoolReader second(other.map);
  const auto counted = reader_.shared_map().use_count();
  ASSERT_EQ(reader_.read(0, view_), ReadResult::kFrame);
  EXPECT_EQ(view_.epoch(), 7u);
  EXPECT_EQ(reader_.shared_map().use_count(), counted + 1);
  ASSERT_EQ(reader_.read(0, view_), ReadResult::kFrame);
  EXPECT_EQ(reader_.shared_map().use_count(), counted + 1);
  ASSERT_EQ(second.read(0, view_), ReadResult::kFrame);
  EXPECT_EQ(view_.epoch(), 8u);
  EXPECT_TRUE(is_mix(view_.bytes(), 1, 8, 0));
  EXPECT_EQ(reader_.shared_map().use_count(), counted);
}

TEST_F(PoolReaderTest, DeliversAnEmptyFrame) {  // W-48
  ASSERT_EQ(writer_.offer(bytes_tensor(0), {}), ClaimError::kNone);
  ASSERT_EQ(reader_.read(0, view_), ReadResult::kFrame);
  EXPECT_TRUE(view_);
  EXPECT_TRUE(view_.bytes().empty());
  EXPECT_TRUE(view_.copy_to({}));
}

TEST_F(PoolReaderTest, GivesElementsOnlyWhereTheExtentLiesWithinThePayload) {  // W-47
  const auto tensor = wire::contiguous(wire::DType::u32, std::vector<int32_t>{2, 4});
  Claim claim;
  ASSERT_EQ(writer_.claim(tensor, claim), ClaimError::kNone);
  ASSERT_EQ(writer_.commit(claim), CommitResult::kOk);
  ASSERT_EQ(writer_.claim(tensor, claim, 31), ClaimError::kNone);  // one byte short
  ASSERT_EQ(writer_.commit(claim), CommitResult::kOk);
  ASSERT_EQ(reader_.read(0, view_), ReadResult::kFrame);
  EXPECT_EQ(view_.as<uint32_t>().size(), 8u);
  EXPECT_TRUE(view_.as<uint16_t>().empty());
  EXPECT_TRUE(view_.as<double>().empty());
  ASSERT_EQ(reader_.read(1, view_), ReadResult::kFrame);
  EXPECT_FALSE(view_.fits_extent());
  EXPECT_TRUE(view_.as<uint32_t>().empty());
  EXPECT_EQ(view_.bytes().size(), 31u);  // raw bytes all the same
}

TEST_F(PoolReaderTest, AViewIsInvalidOnceItsSlotIsUsedAgain) {  // W-45
  write_frame(writer_);
  ASSERT_EQ(reader_.read(0, view_), ReadResult::kFrame);
  std::vector<std::byte> copy(64);
  EXPECT_TRUE(view_.copy_to(copy));
  EXPECT_TRUE(is_mix(copy, 1, 7, 0));
  for (int i = 0; i < 7; ++i) write_frame(writer_);
  EXPECT_TRUE(view_.still_valid());
  Claim claim;
  ASSERT_EQ(writer_.claim(bytes_tensor(64), claim), ClaimError::kNone);  // the mark is enough
  EXPECT_FALSE(view_.still_valid());
  EXPECT_FALSE(view_.copy_to(copy));
  ASSERT_EQ(writer_.commit(claim), CommitResult::kOk);
  EXPECT_FALSE(view_.still_valid());
}

TEST_F(PoolReaderTest, CopiesOnlyIntoWhatIsLargeEnough) {  // W-45
  std::vector<std::byte> payload(61);
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::byte>(i + 1);
  ASSERT_EQ(writer_.offer(bytes_tensor(61), payload), ClaimError::kNone);
  ASSERT_EQ(reader_.read(0, view_), ReadResult::kFrame);
  std::vector<std::byte> copy(62, std::byte{0xCC});
  EXPECT_FALSE(view_.copy_to(MutableBytes(copy).first(60)));
  EXPECT_EQ(copy[0], std::byte{0xCC});
  EXPECT_TRUE(view_.copy_to(copy));
  EXPECT_EQ(std::memcmp(copy.data(), payload.data(), 61), 0);
  EXPECT_EQ(copy[61], std::byte{0xCC});
}

TEST_F(PoolReaderTest, AViewWithoutAFrameIsEmpty) {  // W-45
  const FrameView none;
  EXPECT_FALSE(none);
  EXPECT_FALSE(none.still_valid());
  EXPECT_TRUE(none.bytes().empty());
  EXPECT_FALSE(none.copy_to({}));
}

TEST_F(PoolReaderTest, HandsOutTheSlotHeaderVerbatim) {  // rulings F-k
  for (const uint8_t ndims : {uint8_t{2}, uint8_t{8}}) {
    wire::TensorHeader tensor{.dtype = wire::DType::u8, .ndims = ndims, .dims = {2, 2, 1, 1, 1, 1, 1, 1}, .strides = {}};
    for (size_t i = ndims; i < wire::kMaxDims; ++i) tensor.dims[i] = 0;
    const uint64_t seq = writer_.next_seq();
    ASSERT_EQ(writer_.offer(tensor, std::vector<std::byte>(4)), ClaimError::kNone);
    ASSERT_EQ(reader_.read(seq, view_), ReadResult::kFrame);
    std::byte copy[wire::kSlotBytes];
    view_.copy_slot_header(copy);
    EXPECT_EQ(std::memcmp(copy, slot(seq), sizeof copy), 0);
  }
}

RC_GTEST_PROP(PoolReader, NeverTrustsWhatItReads, ()) {  // W-92, R-03
  static Store store;
  static const auto created = store.create({.slot_count = 4, .pools = {{1, 4096}, {9, 64}}});
  static const auto map = store.open(created.regions);
  PoolReader reader(map);
  FrameView view;
  const auto seq = *rc::gen::inRange<uint64_t>(0, 1000);
  std::byte* const slot = created.map->mutable_slot(static_cast<uint32_t>(seq % 4));
  // A good header with some of its bytes changed, so that the changes get past the first checks.
  std::byte bytes[wire::kSlotBytes];
  wire::SlotHeader header{.values_len_bytes = 64, .payload_slot = static_cast<uint32_t>(seq % 4), .pool_id = 1, .tensor = bytes_tensor(64)};
  wire::encode_slot_header(header, bytes);
  const auto changes = *rc::gen::inRange(0, 6);
  for (int i = 0; i < changes; ++i) bytes[*rc::gen::inRange<size_t>(8, 160)] = static_cast<std::byte>(*rc::gen::arbitrary<uint8_t>());
  shm::store_words(slot, bytes, wire::kSlotBytes / 8);
  poke(slot, CommitWord::committed(seq));
  const ReadResult result = reader.read(seq, view);
  RC_ASSERT((result == ReadResult::kFrame) == static_cast<bool>(view));
  if (result != ReadResult::kFrame) return;
  const EpochMap::Pool* const pool = map->pool(load<uint16_t>(bytes + 16));
  RC_ASSERT(pool != nullptr);
  RC_ASSERT(view.bytes().size() <= pool->stride_bytes);
  RC_ASSERT(view.bytes().data() == pool->slots + (seq % 4) * pool->stride_bytes);
  RC_ASSERT(view.shape().size() >= 1u && view.shape().size() <= 8u);
  for (const int32_t dim : view.shape()) RC_ASSERT(dim >= 0);
  wire::TensorHeader judged = view.tensor();
  RC_ASSERT(wire::check_and_infer(judged) == wire::TensorFault::kNone);
  RC_ASSERT(judged == view.tensor());
}

TEST(DropCounts, CountEachCauseOnceAndInTheSum) {  // W-84
  DropCounts counts;
  for (const ReadResult why : {ReadResult::kUncommitted, ReadResult::kChanged, ReadResult::kIdentity, ReadResult::kHeaderInvalid,
                               ReadResult::kPayloadInvalid, ReadResult::kFrame, ReadResult::kDead}) {
    counts.count_late(why);
  }
  EXPECT_EQ(counts.drops_late, 5u);
  EXPECT_EQ(counts.uncommitted, 1u);
  EXPECT_EQ(counts.changed, 1u);
  EXPECT_EQ(counts.identity, 1u);
  EXPECT_EQ(counts.header_invalid, 1u);
  EXPECT_EQ(counts.payload_invalid, 1u);
  EXPECT_EQ(counts.drops_gap, 0u);
}

}  // namespace
}  // namespace tidepool::pool

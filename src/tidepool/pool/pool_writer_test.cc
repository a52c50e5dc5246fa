#include "tidepool/pool/pool_writer.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "tidepool/pool/test_support.h"

namespace tidepool::pool {
namespace {

using namespace test;
using shm::CommitWord;

static_assert(!std::is_copy_constructible_v<Claim> && !std::is_copy_assignable_v<Claim>);  // two commits of one slot
static_assert(std::is_nothrow_move_constructible_v<Claim>);

class PoolWriterTest : public ::testing::Test {
 protected:
  Store store_;
  EpochFiles::Created epoch_ = store_.create({.slot_count = 8, .pools = {{1, 4096}, {2, 64}, {3, 64}}});
  EpochMap& map_ = *epoch_.map;
  PoolWriter writer_{epoch_.map};

  std::byte* slot(uint64_t seq) { return map_.mutable_slot(static_cast<uint32_t>(seq) & map_.slot_mask()); }
};

constexpr unsigned char kGoldenSlot[128] = {  // wire.md 17.5; bytes 0x80 to 0xff are zero
    0x17, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x18, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x5e, 0xd0, 0xb2, 0x00, 0x00, 0x00, 0x00, 0x05, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xc0, 0x00, 0x00, 0x00,
    0xb8, 0x00, 0x34, 0x00, 0x84, 0x03, 0x01, 0x00, 0x09, 0x00, 0x01, 0x00, 0x02, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x0c, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

TEST_F(PoolWriterTest, WritesTheGoldenSlotOfTheProtocol) {  // W-36, W-37, W-39
  const auto created = store_.create({.slot_count = 8, .pools = {{1, 4096}}}, 8);
  PoolWriter writer(created.map);
  Claim claim;
  ASSERT_EQ(writer.claim_seq(11, wire::contiguous(wire::DType::f32, std::vector<int32_t>{2, 3}), claim), ClaimError::kNone);
  EXPECT_EQ(claim.seq(), 11u);
  EXPECT_EQ(claim.epoch(), 8u);
  EXPECT_EQ(claim.bytes().size(), 24u);
  EXPECT_EQ(claim.bytes().data() - created.map->pools()[0].region.data(), 12352);
  const auto* const ring = reinterpret_cast<const unsigned char*>(created.map->slot(0)) - wire::kSuperblockBytes;
  EXPECT_EQ(ring[832], 0x16);  // being written
  ASSERT_EQ(writer.commit(claim, {.timestamp_ns = 3'000'000'000, .meta_version = 5}), CommitResult::kOk);
  EXPECT_EQ(std::memcmp(ring + 832, kGoldenSlot, sizeof kGoldenSlot), 0);
  EXPECT_TRUE(std::all_of(ring + 832 + 128, ring + 832 + 256, [](unsigned char byte) { return byte == 0; }));
}

TEST_F(PoolWriterTest, CountsSequencesFromZeroAndReusesSlotsWithoutAsking) {  // W-36, W-51
  for (uint64_t seq = 0; seq < 20; ++seq) {
    EXPECT_EQ(writer_.next_seq(), seq);
    write_frame(writer_);
    EXPECT_EQ(writer_.committed_seq(), seq);
    EXPECT_EQ(word_of(map_, seq), CommitWord::committed(seq));
  }
  EXPECT_EQ(writer_.counts().frames, 20u);
}

TEST_F(PoolWriterTest, OverwritesWhateverAStrangerLeftInTheSlot) {  // W-39
  std::memset(slot(0) + 8, 0xAA, wire::kSlotBytes - 8);
  write_frame(writer_);
  std::byte expected[wire::kSlotBytes];
  wire::SlotHeader header;
  std::byte copy[wire::kSlotBytes];
  std::memcpy(copy, slot(0), sizeof copy);
  ASSERT_EQ(wire::decode_slot_header(copy, header), wire::SlotFault::kNone);
  wire::encode_slot_header(header, expected);
  EXPECT_EQ(std::memcmp(expected + 8, copy + 8, sizeof copy - 8), 0);
}

RC_GTEST_PROP(PoolWriter, LeavesExactlyTheFramesHeaderWhateverShapesTheSlotHeldBefore, ()) {  // W-39
  Store store;
  const auto created = store.create({.slot_count = 2, .pools = {{1, 4096}}});
  PoolWriter writer(created.map);
  const auto count = *rc::gen::inRange(1, 40);
  Claim held;
  for (int i = 0; i < count; ++i) {
    wire::TensorHeader tensor{.dtype = *rc::gen::element(wire::DType::u8, wire::DType::f32), .dims = {}, .strides = {}};
    tensor.ndims = *rc::gen::element<uint8_t>(1, 2, 4, 8);
    for (size_t d = 0; d < tensor.ndims; ++d) tensor.dims[d] = *rc::gen::inRange(0, 3);
    Claim claim;
    RC_ASSERT(writer.claim(tensor, claim) == ClaimError::kNone);
    wire::SlotHeader header{.values_len_bytes = static_cast<uint32_t>(claim.bytes().size()),
                            .payload_slot = static_cast<uint32_t>(claim.seq() % 2),
                            .pool_id = 1,
                            .timestamp_ns = *rc::gen::arbitrary<uint64_t>(),
                            .meta_version = *rc::gen::arbitrary<uint32_t>(),
                            .tensor = claim.tensor()};
    const auto seq = claim.seq();
    const bool another_shape_between = *rc::gen::arbitrary<bool>();
    if (another_shape_between) RC_ASSERT(writer.claim(bytes_tensor(100), held) == ClaimError::kNone);
    RC_ASSERT(writer.commit(claim, {.timestamp_ns = header.timestamp_ns, .meta_version = header.meta_version}) == CommitResult::kOk);
    writer.abort(held);
    std::byte expected[wire::kSlotBytes];
    wire::encode_slot_header(header, expected);
    tidepool::store(expected, CommitWord::committed(seq));
    RC_ASSERT(std::memcmp(expected, created.map->slot(static_cast<uint32_t>(seq % 2)), sizeof expected) == 0);
  }
}

TEST_F(PoolWriterTest, MarksTheSlotAtTheClaimAndLeavesItSoOnAbort) {  // W-37, W-41
  write_frame(writer_);
  for (int i = 0; i < 7; ++i) write_frame(writer_);
  Claim claim;
  ASSERT_EQ(writer_.claim(bytes_tensor(10), claim), ClaimError::kNone);
  EXPECT_EQ(word_of(map_, 8), CommitWord::writing(8));
  writer_.abort(claim);
  EXPECT_FALSE(claim);
  EXPECT_EQ(word_of(map_, 8), CommitWord::writing(8));
  EXPECT_EQ(writer_.next_seq(), 9u);  // burnt
  EXPECT_EQ(writer_.counts().aborted, 1u);
  writer_.abort(claim);
  EXPECT_EQ(writer_.counts().aborted, 1u);
}

TEST_F(PoolWriterTest, CommitsOnlyInTheOrderOfItsClaims) {  // P-1, W-66
  Claim first, second;
  ASSERT_EQ(writer_.claim(bytes_tensor(10), first), ClaimError::kNone);
  ASSERT_EQ(writer_.claim(bytes_tensor(10), second), ClaimError::kNone);
  EXPECT_EQ(writer_.commit(second), CommitResult::kOutOfOrder);
  EXPECT_TRUE(second);
  EXPECT_EQ(word_of(map_, 1), CommitWord::writing(1));
  EXPECT_EQ(writer_.commit(first), CommitResult::kOk);
  EXPECT_EQ(writer_.commit(second), CommitResult::kOk);
}

TEST_F(PoolWriterTest, AnAbortAnywhereLetsTheNextOneCommit) {  // P-1
  Claim claims[4];
  for (Claim& claim : claims) ASSERT_EQ(writer_.claim(bytes_tensor(10), claim), ClaimError::kNone);
  writer_.abort(claims[2]);  // in the middle
  EXPECT_EQ(writer_.commit(claims[1]), CommitResult::kOutOfOrder);
  writer_.abort(claims[0]);  // the oldest
  EXPECT_EQ(writer_.commit(claims[1]), CommitResult::kOk);
  EXPECT_EQ(writer_.commit(claims[3]), CommitResult::kOk);  // the newest is the oldest now
  EXPECT_EQ(writer_.counts().frames, 2u);
  EXPECT_EQ(writer_.counts().aborted, 2u);
  write_frame(writer_);
}

TEST_F(PoolWriterTest, NeverCommitsASequenceTwice) {  // W-40
  Claim claim;
  ASSERT_EQ(writer_.claim(bytes_tensor(10), claim), ClaimError::kNone);
  ASSERT_EQ(writer_.commit(claim), CommitResult::kOk);
  EXPECT_EQ(writer_.commit(claim), CommitResult::kNotOpen);
  EXPECT_EQ(writer_.claim_seq(0, bytes_tensor(10), claim), ClaimError::kInvalidSeq);
  EXPECT_EQ(writer_.counts().frames, 1u);
}

TEST_F(PoolWriterTest, RefusesAnEpochThatAlreadyHoldsItsSequences) {  // W-40, W-65
  write_frame(writer_);
  write_frame(writer_);
  expect_error(Code::kRejected, "already holds frame", [&] { PoolWriter again(epoch_.map); });
  expect_error(Code::kRejected, "already holds frame 1", [&] { PoolWriter again(epoch_.map, 1); });
  PoolWriter above(epoch_.map, 2);
  EXPECT_EQ(above.next_seq(), 2u);
}

TEST_F(PoolWriterTest, RefusesAMappingWithoutWriteAccess) {  // W-30
  expect_error(Code::kInvalidArgument, "write access", [&] { PoolWriter reader(store_.open(epoch_.regions)); });
  expect_error(Code::kInvalidArgument, "write access", [&] { PoolWriter none(nullptr); });
  expect_error(Code::kInvalidArgument, "63 bits", [&] { PoolWriter late(epoch_.map, uint64_t{1} << 63); });
}

TEST_F(PoolWriterTest, OpensAsManyClaimsAsThereAreSlots) {  // W-41
  Claim claims[8], ninth;
  for (Claim& claim : claims) ASSERT_EQ(writer_.claim(bytes_tensor(10), claim), ClaimError::kNone);
  EXPECT_EQ(writer_.claim(bytes_tensor(10), ninth), ClaimError::kTooManyClaims);
  EXPECT_EQ(writer_.next_seq(), 8u);  // nothing consumed
  EXPECT_EQ(word_of(map_, 8), CommitWord::writing(0));
  EXPECT_EQ(writer_.commit(claims[0]), CommitResult::kOk);
  EXPECT_EQ(writer_.claim(bytes_tensor(10), ninth), ClaimError::kNone);
  EXPECT_EQ(ninth.seq(), 8u);
}

TEST_F(PoolWriterTest, AfterAJumpDoesNotLendASlotTwice) {  // W-41
  Claim first, second;
  ASSERT_EQ(writer_.claim(bytes_tensor(10), first), ClaimError::kNone);
  EXPECT_EQ(writer_.claim_seq(16, bytes_tensor(10), second), ClaimError::kTooManyClaims);  // slot 0, like sequence 0
  EXPECT_EQ(writer_.next_seq(), 1u);
  EXPECT_EQ(writer_.claim_seq(17, bytes_tensor(10), second), ClaimError::kNone);
  EXPECT_EQ(writer_.commit(first), CommitResult::kOk);
  EXPECT_EQ(writer_.commit(second), CommitResult::kOk);
  EXPECT_EQ(word_of(map_, 17), CommitWord::committed(17));
}

TEST_F(PoolWriterTest, CarriesSequencesOfTheCallerUpTo63Bits) {  // W-36
  constexpr uint64_t kMax = (uint64_t{1} << 63) - 1;
  Claim claim;
  ASSERT_EQ(writer_.claim_seq(5000, bytes_tensor(10), claim), ClaimError::kNone);
  ASSERT_EQ(writer_.commit(claim), CommitResult::kOk);
  EXPECT_EQ(writer_.claim_seq(4999, bytes_tensor(10), claim), ClaimError::kInvalidSeq);
  EXPECT_EQ(writer_.claim_seq(kMax + 1, bytes_tensor(10), claim), ClaimError::kInvalidSeq);
  EXPECT_EQ(writer_.claim_seq(kMax, bytes_tensor(10), claim), ClaimError::kNone);
  EXPECT_EQ(writer_.commit(claim), CommitResult::kOk);
  EXPECT_EQ(word_of(map_, kMax), ~uint64_t{0});
  EXPECT_EQ(writer_.claim(bytes_tensor(10), claim), ClaimError::kInvalidSeq);  // the epoch is used up
}

TEST_F(PoolWriterTest, NoticesThatSomebodyElseWroteTheSlot) {  // W-35, W-41
  Claim claim;
  ASSERT_EQ(writer_.claim(bytes_tensor(10), claim), ClaimError::kNone);
  CommitWord(slot(0)).begin(8);
  EXPECT_EQ(writer_.commit(claim), CommitResult::kOverwritten);
  EXPECT_FALSE(claim);
  EXPECT_EQ(word_of(map_, 0), CommitWord::writing(8));
  EXPECT_EQ(writer_.counts().overwritten, 1u);
  EXPECT_EQ(writer_.counts().frames, 0u);
  write_frame(writer_);  // the next one is not held up
}

TEST_F(PoolWriterTest, TakesTheSmallestPoolThatFits) {  // W-50
  const auto pool_of = [&](uint32_t length) {
    Claim claim;
    EXPECT_EQ(writer_.claim(bytes_tensor(1), claim, length), ClaimError::kNone);
    const auto seq = claim.seq();
    EXPECT_EQ(claim.bytes().size(), length);
    EXPECT_EQ(writer_.commit(claim), CommitResult::kOk);
    return load<uint16_t>(slot(seq) + 16);
  };
  EXPECT_EQ(pool_of(0), 2);   // two of 64 bytes: the first in configuration order
  EXPECT_EQ(pool_of(64), 2);
  EXPECT_EQ(pool_of(65), 1);
  EXPECT_EQ(pool_of(4096), 1);
}

TEST_F(PoolWriterTest, DropsWhatNoPoolHoldsAndConsumesNothing) {  // W-50
  Claim claim;
  EXPECT_EQ(writer_.claim(bytes_tensor(4097), claim), ClaimError::kTooLarge);
  EXPECT_EQ(writer_.claim(bytes_tensor(1), claim, 4097), ClaimError::kTooLarge);
  // An extent beyond 32 bits: the length field could not say it.
  EXPECT_EQ(writer_.claim(wire::contiguous(wire::DType::f64, std::vector<int32_t>{65536, 16384}), claim), ClaimError::kTooLarge);
  EXPECT_FALSE(claim);
  EXPECT_EQ(writer_.next_seq(), 0u);
  EXPECT_EQ(word_of(map_, 0), 0u);
  EXPECT_EQ(writer_.counts().too_large, 3u);
  EXPECT_EQ(PoolWriter::needed_stride_bytes(0), 64u);
  EXPECT_EQ(PoolWriter::needed_stride_bytes(64), 64u);
  EXPECT_EQ(PoolWriter::needed_stride_bytes(4097), 8192u);
  EXPECT_EQ(PoolWriter::needed_stride_bytes(uint64_t{1} << 33), uint64_t{1} << 33);
  EXPECT_EQ(PoolWriter::needed_stride_bytes(~uint64_t{0}), ~uint64_t{0});
}

TEST_F(PoolWriterTest, RefusesTensorsThatBreakTheRules) {  // W-46
  const auto refused = [&](auto&& change) {
    wire::TensorHeader tensor = wire::contiguous(wire::DType::u16, std::vector<int32_t>{4, 5});
    Claim claim;
    EXPECT_EQ(writer_.claim(tensor, claim), ClaimError::kNone);  // so that the last good one is remembered
    writer_.abort(claim);
    const auto seq = writer_.next_seq();
    change(tensor);
    EXPECT_EQ(writer_.claim(tensor, claim), ClaimError::kInvalidTensor);
    EXPECT_FALSE(claim);
    EXPECT_EQ(writer_.next_seq(), seq);
  };
  refused([](wire::TensorHeader& t) { t.dtype = wire::DType::unknown; });
  refused([](wire::TensorHeader& t) { t.order = wire::MajorOrder::unknown; });
  refused([](wire::TensorHeader& t) { t.ndims = 0; });
  refused([](wire::TensorHeader& t) { t.ndims = 9; });
  refused([](wire::TensorHeader& t) { t.dims[1] = -1; });
  refused([](wire::TensorHeader& t) { t.dims[0] = -1; });
  refused([](wire::TensorHeader& t) { t.strides[0] = 9; });
  refused([](wire::TensorHeader& t) { t.strides[1] = 1; });
  refused([](wire::TensorHeader& t) { t.progress_unit = wire::ProgressUnit::rows; });
  refused([](wire::TensorHeader& t) {
    t.progress_unit = wire::ProgressUnit::columns;
    t.progress_stride_bytes = 3;
  });
  EXPECT_EQ(writer_.counts().invalid, 10u);
}

TEST_F(PoolWriterTest, InfersStridesAndClaimsTheExtent) {  // W-46
  wire::TensorHeader tensor{.dtype = wire::DType::f32, .ndims = 2, .dims = {3, 5}, .strides = {}};
  Claim claim;
  ASSERT_EQ(writer_.claim(tensor, claim), ClaimError::kNone);
  EXPECT_EQ(claim.tensor().strides[0], 20);
  EXPECT_EQ(claim.tensor().strides[1], 4);
  EXPECT_EQ(claim.bytes().size(), 60u);
}

TEST_F(PoolWriterTest, GivesAnEmptyFrameAnEmptyPayload) {  // W-48
  Claim claim;
  ASSERT_EQ(writer_.claim(bytes_tensor(0), claim), ClaimError::kNone);
  EXPECT_TRUE(claim.bytes().empty());
  EXPECT_EQ(writer_.commit(claim), CommitResult::kOk);
  EXPECT_EQ(load<uint32_t>(slot(0) + 8), 0u);
}

TEST_F(PoolWriterTest, PublishesNothingOnceTheMappingIsDead) {  // P-4
  Claim before;
  ASSERT_EQ(writer_.claim(bytes_tensor(64), before), ClaimError::kNone);
  EXPECT_TRUE(before.alive());
  map_.mark_dead();
  EXPECT_FALSE(before.alive());
  std::memset(before.bytes().data(), 1, before.bytes().size());  // memory-safe all the same
  EXPECT_EQ(writer_.commit(before), CommitResult::kDetached);
  EXPECT_FALSE(before);
  EXPECT_EQ(word_of(map_, 0), CommitWord::writing(0));
  Claim after;
  EXPECT_EQ(writer_.claim(bytes_tensor(64), after), ClaimError::kDetached);
  EXPECT_EQ(writer_.offer(bytes_tensor(0), {}), ClaimError::kDetached);
  EXPECT_EQ(writer_.next_seq(), 1u);
}

TEST_F(PoolWriterTest, AClaimKeepsItsMemoryWhenWriterAndMappingAreGone) {  // P-4
  auto created = store_.create({.slot_count = 2, .pools = {{1, 4096}}}, 9);
  std::weak_ptr<EpochMap> watch = created.map;
  Claim claim;
  {
    PoolWriter writer(std::move(created.map));
    ASSERT_EQ(writer.claim(bytes_tensor(4096), claim), ClaimError::kNone);
  }
  store_.files.remove(kStream, 9);
  EXPECT_FALSE(watch.expired());
  std::memset(claim.bytes().data(), 1, claim.bytes().size());
  claim = Claim();
  EXPECT_TRUE(watch.expired());
}

TEST_F(PoolWriterTest, ADestroyedClaimIsAborted) {  // P-1, W-41
  {
    Claim dropped;
    ASSERT_EQ(writer_.claim(bytes_tensor(10), dropped), ClaimError::kNone);
  }
  EXPECT_EQ(writer_.counts().aborted, 1u);
  write_frame(writer_);  // not held up by it
  EXPECT_EQ(writer_.committed_seq(), 1u);
}

TEST_F(PoolWriterTest, AClaimMovesAsOne) {  // P-1
  Claim a, b;
  ASSERT_EQ(writer_.claim(bytes_tensor(10), a), ClaimError::kNone);
  ASSERT_EQ(writer_.claim(bytes_tensor(10), b), ClaimError::kNone);
  Claim moved(std::move(a));
  EXPECT_EQ(writer_.commit(a), CommitResult::kNotOpen);
  EXPECT_EQ(moved.seq(), 0u);
  moved = std::move(b);  // aborts sequence 0
  EXPECT_EQ(writer_.counts().aborted, 1u);
  EXPECT_EQ(moved.seq(), 1u);
  EXPECT_EQ(writer_.commit(moved), CommitResult::kOk);
  EXPECT_EQ(writer_.claim(bytes_tensor(10), a), ClaimError::kNone);
  EXPECT_EQ(writer_.claim(bytes_tensor(10), a), ClaimError::kNone);  // passed in open: aborted first
  EXPECT_EQ(a.seq(), 3u);
  EXPECT_EQ(writer_.commit(a), CommitResult::kOk);
}

TEST_F(PoolWriterTest, DoesNotCommitTheClaimOfAnotherWriter) {  // P-1, P-4
  const auto other = store_.create({.slot_count = 8, .pools = {{1, 4096}}}, 8);
  PoolWriter second(other.map);
  Claim claim, old;
  ASSERT_EQ(second.claim(bytes_tensor(10), claim), ClaimError::kNone);
  ASSERT_EQ(second.claim(bytes_tensor(10), old), ClaimError::kNone);
  EXPECT_EQ(writer_.commit(claim), CommitResult::kNotOpen);
  other.map->mark_dead();  // as after a new epoch
  EXPECT_EQ(writer_.commit(old), CommitResult::kDetached);
  EXPECT_EQ(second.counts().aborted, 2u);
  EXPECT_EQ(writer_.counts().frames, 0u);
}

TEST_F(PoolWriterTest, StampsTheTimeOfTheClaimUnlessTold) {  // W-54
  const auto stamp_of = [&](const FrameInfo& info) {
    Claim claim;
    EXPECT_EQ(writer_.claim(bytes_tensor(10), claim), ClaimError::kNone);
    const auto seq = claim.seq();
    EXPECT_EQ(writer_.commit(claim, info), CommitResult::kOk);
    return load<uint64_t>(slot(seq) + 22);
  };
  const uint64_t before = monotonic_ns();
  const uint64_t stamped = stamp_of({});
  EXPECT_GE(stamped, before);
  EXPECT_LE(stamped, monotonic_ns());
  EXPECT_EQ(stamp_of({.timestamp_ns = 42}), 42u);
  writer_.stamp_claims(false);
  EXPECT_EQ(stamp_of({.timestamp_ns = 43}), 43u);
  EXPECT_GE(stamp_of({}), stamped);  // at the commit then, never a made-up 0 (W-7)
}

TEST_F(PoolWriterTest, ShowsTheFinalHeaderWhileTheSlotIsBeingWritten) {  // W-81
  for (const bool stamped : {true, false}) {
    writer_.stamp_claims(stamped);
    Claim claim;
    ASSERT_EQ(writer_.claim(bytes_tensor(64), claim), ClaimError::kNone);
    const auto seq = claim.seq();
    writer_.publish_header_early(claim, {.meta_version = 3});
    std::byte early[wire::kSlotBytes];
    std::memcpy(early, slot(seq), sizeof early);
    EXPECT_EQ(load<uint64_t>(early), CommitWord::writing(seq));
    wire::SlotHeader header;
    EXPECT_EQ(wire::decode_slot_header(early, header), wire::SlotFault::kNone);
    ASSERT_EQ(writer_.commit(claim, {.meta_version = 3}), CommitResult::kOk);
    EXPECT_EQ(std::memcmp(early + 8, slot(seq) + 8, sizeof early - 8), 0);
    writer_.publish_header_early(claim, {.meta_version = 4});  // closed: the frame stays as it is
    EXPECT_EQ(std::memcmp(early + 8, slot(seq) + 8, sizeof early - 8), 0);
  }
}

TEST_F(PoolWriterTest, OffersACopyOfAnyLength) {  // W-37, W-50
  for (const size_t length : {size_t{0}, size_t{1}, size_t{7}, size_t{8}, size_t{63}, size_t{4096}}) {
    std::vector<std::byte> payload(length);
    for (size_t i = 0; i < length; ++i) payload[i] = static_cast<std::byte>(i * 7 + length);
    const auto seq = writer_.next_seq();
    ASSERT_EQ(writer_.offer(bytes_tensor(static_cast<int32_t>(length)), payload), ClaimError::kNone);
    const EpochMap::Pool* const pool = map_.pool(load<uint16_t>(slot(seq) + 16));
    ASSERT_NE(pool, nullptr);
    EXPECT_TRUE(std::equal(payload.begin(), payload.end(), pool->slots + (seq % 8) * pool->stride_bytes)) << length;
    EXPECT_EQ(word_of(map_, seq), CommitWord::committed(seq));
  }
  const std::vector<std::byte> large(4097);
  EXPECT_EQ(writer_.offer(bytes_tensor(4097), large), ClaimError::kTooLarge);
  EXPECT_EQ(writer_.offer(wire::TensorHeader{}, large), ClaimError::kInvalidTensor);
}

TEST_F(PoolWriterTest, DoesNotOfferPastAnOpenClaim) {  // P-1
  Claim open;
  ASSERT_EQ(writer_.claim(bytes_tensor(10), open), ClaimError::kNone);
  EXPECT_EQ(writer_.offer(bytes_tensor(0), {}), ClaimError::kTooManyClaims);
  EXPECT_EQ(writer_.next_seq(), 1u);
  EXPECT_EQ(writer_.commit(open), CommitResult::kOk);
  EXPECT_EQ(writer_.offer(bytes_tensor(0), {}), ClaimError::kNone);
}

}  // namespace
}  // namespace tidepool::pool

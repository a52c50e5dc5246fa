// Blobs, put together and taken apart (wire.md 14).
#include <gtest/gtest.h>

#include <cstring>
#include <span>

#include "tidepool/base/clock.h"
#include "tidepool/client/blob_assembler.h"
#include "tidepool/client/blob_sender.h"
#include "tidepool/client/crc32c.h"
#include "tidepool/client/test_stage.h"

namespace tidepool::client::blob_test {
namespace {

using testing::FakePort;

constexpr uint32_t kStream = 10000;
constexpr uint32_t kVersion = 5;
constexpr int32_t kSession = 7;

uint32_t crc_of(const std::string& bytes) { return crc32c(std::as_bytes(std::span(bytes))); }

wire::MetaBlobAnnounce announce(uint64_t length, uint64_t checksum = 0, uint32_t version = kVersion, uint32_t type = 1) {
  return {.stream_id = kStream, .meta_version = version, .blob_type = type, .total_len = length, .checksum = checksum};
}
wire::MetaBlobChunk chunk(uint64_t offset, const std::string& bytes, uint32_t version = kVersion) {
  return {.stream_id = kStream, .meta_version = version, .chunk_offset = offset, .bytes = bytes};
}
wire::MetaBlobComplete complete(uint64_t checksum = 0, uint32_t version = kVersion) {
  return {.stream_id = kStream, .meta_version = version, .checksum = checksum};
}

TEST(Crc32cTest, IsCastagnolisOfAnyLengthAndInParts) {  // W-90
  EXPECT_EQ(crc_of(""), 0u);
  EXPECT_EQ(crc_of("123456789"), 0xE3069283u);
  // RFC 3720, B.4.
  EXPECT_EQ(crc_of(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc_of(std::string(32, '\xff')), 0x62A8AB43u);
  std::string ascending;
  for (char c = 0; c < 32; ++c) ascending += c;
  EXPECT_EQ(crc_of(ascending), 0x46DD794Eu);
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  const Bytes bytes = std::as_bytes(std::span(text));
  for (size_t cut = 0; cut <= bytes.size(); ++cut)
    ASSERT_EQ(crc32c(bytes.subspan(cut), crc32c(bytes.first(cut))), crc32c(bytes)) << cut;
}

struct BlobAssemblerTest : ::testing::Test {
  template <typename Message>
  void hear(const Message& message, int32_t session = kSession) {
    assembler.heard(message, session, now_ns);
  }
  // The blob's bytes when its end was heard, or "none".
  std::string end(uint64_t checksum = 0, uint32_t version = kVersion, int32_t session = kSession) {
    const auto finished = assembler.heard(complete(checksum, version), session, now_ns);
    if (!finished) return "none";
    EXPECT_EQ(finished->meta_version, version);
    return finished->blob->bytes;
  }
  const BlobCounters& counters() const { return assembler.counters(); }

  uint64_t now_ns = 1'000 * kNsPerSecond;
  BlobAssembler assembler{{.max_blob_bytes = 1000, .max_in_progress = 2, .patience_ns = kNsPerSecond}};
};

TEST_F(BlobAssemblerTest, PutsChunksTogether) {  // W-90
  hear(announce(9, crc_of("123456789"), kVersion, 42));
  hear(chunk(0, "1234"));
  hear(chunk(4, "5"));
  hear(chunk(5, "6789"));
  const auto finished = assembler.heard(complete(crc_of("123456789")), kSession, now_ns);
  ASSERT_TRUE(finished);
  EXPECT_EQ(finished->blob->bytes, "123456789");
  EXPECT_EQ(finished->blob->type, 42u);
  EXPECT_EQ(counters().completed, 1u);
  EXPECT_EQ(counters().discarded(), 0u);
  EXPECT_EQ(assembler.in_progress(), 0u);
}

TEST_F(BlobAssemblerTest, TakesAnEmptyBlobAndOneWithoutChecksum) {  // W-90
  hear(announce(0));
  EXPECT_EQ(end(), "");
  hear(announce(2));
  hear(chunk(0, "ab"));
  EXPECT_EQ(end(), "ab");
}

TEST_F(BlobAssemblerTest, DiscardsABlobWithAGap) {  // W-90
  hear(announce(6));
  hear(chunk(0, "ab"));
  hear(chunk(3, "def"));
  EXPECT_EQ(counters().gaps, 1u);
  hear(chunk(2, "c"));  // there is no repair
  hear(chunk(3, "def"));
  EXPECT_EQ(end(), "none");
  EXPECT_EQ(counters().orphans, 3u);
}

TEST_F(BlobAssemblerTest, DiscardsABlobThatDoesNotBeginAtZero) {  // W-90
  hear(announce(6));
  hear(chunk(2, "cdef"));
  EXPECT_EQ(counters().gaps, 1u);
  EXPECT_EQ(end(), "none");
}

TEST_F(BlobAssemblerTest, DiscardsABlobWithAnOverlap) {  // W-90
  hear(announce(4));
  hear(chunk(0, "ab"));
  hear(chunk(0, "ab"));
  EXPECT_EQ(counters().overlaps, 1u);
  EXPECT_EQ(end(), "none");
  hear(announce(4, 1));
  hear(chunk(0, "ab"));
  hear(chunk(1, "bcd"));
  EXPECT_EQ(counters().overlaps, 2u);
  EXPECT_EQ(end(1), "none");
}

TEST_F(BlobAssemblerTest, DiscardsABlobThatRunsOver) {  // W-90
  hear(announce(4));
  hear(chunk(0, "abc"));
  hear(chunk(3, "de"));
  EXPECT_EQ(counters().overruns, 1u);
  EXPECT_EQ(end(), "none");
  hear(announce(0, 1));
  hear(chunk(0, "a"));
  EXPECT_EQ(counters().overruns, 2u);
  // An offset whose end would not fit 64 bits.
  hear(announce(4, 2));
  hear(chunk(UINT64_MAX - 1, "abcd"));
  EXPECT_EQ(counters().gaps, 1u);
}

TEST_F(BlobAssemblerTest, DiscardsABlobThatEndsEarly) {  // W-90
  hear(announce(4));
  hear(chunk(0, "abc"));
  EXPECT_EQ(end(), "none");
  EXPECT_EQ(counters().incomplete, 1u);
  EXPECT_EQ(assembler.in_progress(), 0u);
}

TEST_F(BlobAssemblerTest, DiscardsABlobOfAnotherChecksum) {  // W-90
  const auto send = [&](uint64_t announced) {
    hear(announce(9, announced));
    hear(chunk(0, "123456789"));
  };
  const uint64_t good = crc_of("123456789");
  send(good + 1);
  EXPECT_EQ(end(good + 1), "none") << "not what came";
  send(good);
  EXPECT_EQ(end(good + 1), "none") << "not what was announced";
  send(good);
  EXPECT_EQ(end(0), "none") << "none at the end is not what was announced either";
  send(good | 1ull << 40);
  EXPECT_EQ(end(good | 1ull << 40), "none") << "nothing is above the low 32 bits";
  EXPECT_EQ(counters().checksums, 4u);
  send(good);
  EXPECT_EQ(end(good), "123456789");
}

TEST_F(BlobAssemblerTest, BreaksOffWhatIsAnnouncedAnewInTheMiddle) {  // W-90
  hear(announce(4));
  hear(chunk(0, "ab"));
  hear(announce(3));
  EXPECT_EQ(counters().gaps, 1u);
  hear(chunk(0, "xyz"));
  EXPECT_EQ(end(), "xyz");
}

TEST_F(BlobAssemblerTest, IgnoresWhatItDidNotHearBegin) {  // W-90
  hear(chunk(0, "ab"));
  EXPECT_EQ(end(), "none");
  EXPECT_EQ(counters().orphans, 2u);
  EXPECT_EQ(counters().discarded(), 0u);
}

TEST_F(BlobAssemblerTest, HoldsTwoPublishersAndTwoVersionsApart) {  // W-90
  hear(announce(2), 1);
  hear(announce(2, 0, kVersion + 1), 1);
  hear(chunk(0, "a"), 1);
  hear(chunk(0, "x", kVersion + 1), 1);
  hear(chunk(1, "b"), 1);
  hear(chunk(1, "y", kVersion + 1), 1);
  EXPECT_EQ(end(0, kVersion + 1, 1), "xy");
  hear(announce(2), 2);
  hear(chunk(0, "mn"), 2);
  EXPECT_EQ(end(0, kVersion, 2), "mn");
  EXPECT_EQ(end(0, kVersion, 1), "ab");
}

TEST_F(BlobAssemblerTest, HoldsABoundedNumberAndSize) {  // W-93, W-90
  hear(announce(1001));
  EXPECT_EQ(counters().too_large, 1u);
  hear(announce(UINT64_MAX));
  EXPECT_EQ(counters().too_large, 2u);
  EXPECT_EQ(assembler.in_progress(), 0u);
  for (uint32_t version = 1; version <= 10; ++version) {
    ++now_ns;
    hear(announce(1000, 0, version));
    EXPECT_LE(assembler.in_progress(), 2u);
  }
  EXPECT_EQ(counters().incomplete, 8u) << "the ones not continued for longest went";
  hear(chunk(0, "a", 10));
  EXPECT_EQ(counters().orphans, 0u) << "the newest is there";
}

TEST_F(BlobAssemblerTest, WaitsForNoneForEver) {  // W-93
  hear(announce(4));
  now_ns += kNsPerSecond + 1;
  hear(announce(1, 0, kVersion + 1));
  EXPECT_EQ(assembler.in_progress(), 1u);
  EXPECT_EQ(counters().incomplete, 1u);
}

TEST_F(BlobAssemblerTest, DoesNotKeepTwiceWhatIsSentAgain) {  // W-90: repeated for latecomers
  const auto send = [&] {
    hear(announce(2));
    hear(chunk(0, "ab"));
    return end();
  };
  EXPECT_EQ(send(), "ab");
  EXPECT_EQ(send(), "none");
  EXPECT_EQ(counters().repeated, 1u);
  EXPECT_EQ(counters().completed, 1u);
  assembler.clear();
  EXPECT_EQ(send(), "ab") << "another epoch's";
}

TEST_F(BlobAssemblerTest, TakesNothingWhenNothingIsWanted) {  // WX-9: off by default
  BlobAssembler off{{}};
  off.heard(announce(0), kSession, now_ns);
  EXPECT_FALSE(off.heard(complete(), kSession, now_ns));
  EXPECT_EQ(off.counters().orphans + off.counters().discarded(), 0u);
}

// ---- sending ---------------------------------------------------------------------------------------------------------------

std::shared_ptr<const Blob> blob(uint32_t type, std::string bytes) {
  return std::make_shared<const Blob>(Blob{.type = type, .bytes = std::move(bytes)});
}
std::string noise(size_t length) {
  std::string out(length, '\0');
  for (size_t i = 0; i < length; ++i) out[i] = static_cast<char>(i * 31 + (i >> 8));
  return out;
}

struct BlobSenderTest : ::testing::Test {
  // Lets it send until it rests.
  void run() {
    for (int i = 0; i < 1000; ++i) sender.step(port, kStream, now_ns);
  }
  // What a consumer makes of all that was sent.
  std::vector<Blob> received() {
    BlobAssembler assembler{{.max_blob_bytes = 10 << 20, .patience_ns = kNsPerSecond}};
    std::vector<Blob> out;
    for (const auto& sent : port.messages) {
      if (const auto* a = std::get_if<wire::MetaBlobAnnounce>(&sent)) assembler.heard(*a, kSession, now_ns);
      if (const auto* c = std::get_if<wire::MetaBlobChunk>(&sent)) {
        EXPECT_EQ(wire::over_limit(*c), "");
        EXPECT_LE(wire::encoded_bytes(*c), port.max_message_bytes);
        assembler.heard(*c, kSession, now_ns);
      }
      if (const auto* c = std::get_if<wire::MetaBlobComplete>(&sent)) {
        if (const auto finished = assembler.heard(*c, kSession, now_ns)) out.push_back(*finished->blob);
      }
    }
    EXPECT_EQ(assembler.counters().discarded(), 0u);
    EXPECT_EQ(assembler.counters().orphans, 0u);
    return out;
  }

  FakePort port;
  BlobSender sender;
  uint64_t now_ns = 1'000 * kNsPerSecond;
};

TEST_F(BlobSenderTest, SendsEachBlobWholeOneAfterTheOther) {  // W-90
  const std::vector<std::shared_ptr<const Blob>> blobs = {blob(1, noise(200'000)), blob(2, ""), blob(3, noise(65536)),
                                                          blob(4, "x")};
  sender.set(blobs, kVersion, kNsPerSecond);
  run();
  const auto got = received();
  ASSERT_EQ(got.size(), 4u);
  for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], *blobs[i]) << i;
  EXPECT_EQ(port.all<wire::MetaBlobAnnounce>()[0].checksum, crc_of(blobs[0]->bytes));
  EXPECT_EQ(port.count<wire::MetaBlobChunk>(), 4u + 0 + 1 + 1);
}

TEST_F(BlobSenderTest, CutsChunksToWhatTheChannelTakes) {  // W-90, W-12
  port.max_message_bytes = 8192;
  sender.set({blob(1, noise(50'000))}, kVersion, 0);
  run();
  ASSERT_EQ(received().size(), 1u);
  EXPECT_GE(port.count<wire::MetaBlobChunk>(), 7u);
}

TEST_F(BlobSenderTest, GivesOthersTheirTurn) {
  sender.set({blob(1, noise(10 << 20))}, kVersion, 0);
  sender.step(port, kStream, now_ns);
  EXPECT_LE(port.messages.size(), 16u) << "a duty cycle is not for blobs alone";
}

TEST_F(BlobSenderTest, GoesOnWhereBackPressureStoppedIt) {  // W-90, W-53
  sender.set({blob(1, noise(1 << 20))}, kVersion, 0);
  for (int i = 0; i < 100; ++i) {
    port.result = i % 3 == 1   ? transport::SendResult::kBackPressured
                  : i % 3 == 2 ? transport::SendResult::kAdminAction
                               : transport::SendResult::kOk;
    sender.step(port, kStream, now_ns);
  }
  const auto got = received();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].bytes, noise(1 << 20));
}

TEST_F(BlobSenderTest, BeginsAnewWhenNobodyListened) {  // W-90
  sender.set({blob(1, noise(1 << 20))}, kVersion, 0);
  sender.step(port, kStream, now_ns);
  port.result = transport::SendResult::kNotConnected;
  sender.step(port, kStream, now_ns);
  port.messages.clear();  // who was there is gone
  port.result = transport::SendResult::kOk;
  sender.step(port, kStream, now_ns);
  EXPECT_TRUE(port.messages.empty()) << "not at once again";
  now_ns += kNsPerSecond;
  run();
  EXPECT_EQ(received().size(), 1u);
}

TEST_F(BlobSenderTest, SendsAgainForLatecomers) {  // wire.md 14
  sender.set({blob(1, "a"), blob(2, "b")}, kVersion, 10 * kNsPerSecond);
  run();
  EXPECT_EQ(port.count<wire::MetaBlobComplete>(), 2u);
  now_ns += 10 * kNsPerSecond - 1;
  run();
  EXPECT_EQ(port.count<wire::MetaBlobComplete>(), 2u);
  now_ns += 1;
  run();
  EXPECT_EQ(port.count<wire::MetaBlobComplete>(), 4u);
}

TEST_F(BlobSenderTest, SendsOnceWhenToldSo) {
  sender.set({blob(1, "a")}, kVersion, 0);
  run();
  now_ns += 1000 * kNsPerSecond;
  run();
  EXPECT_EQ(port.count<wire::MetaBlobComplete>(), 1u);
  sender.restart();  // another epoch
  run();
  EXPECT_EQ(port.count<wire::MetaBlobComplete>(), 2u);
}

TEST_F(BlobSenderTest, LeavesAVersionThatHasPassed) {  // W-90
  sender.set({blob(1, noise(1 << 20))}, kVersion, 0);
  sender.step(port, kStream, now_ns);
  sender.set({blob(1, "new")}, kVersion + 1, 0);
  run();
  EXPECT_EQ(port.all<wire::MetaBlobComplete>().size(), 1u);
  EXPECT_EQ(port.all<wire::MetaBlobComplete>()[0].meta_version, kVersion + 1);
  sender.set({}, kVersion + 2, 0);
  port.messages.clear();
  run();
  EXPECT_TRUE(port.messages.empty());
}

}  // namespace
}  // namespace tidepool::client::blob_test

#include "tidepool/cli/pattern.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <tuple>
#include <vector>

namespace tidepool::cli::pattern_test {
namespace {

using Buffer = std::vector<std::byte>;

Buffer checked(size_t bytes, uint64_t seq) {
  Buffer out(bytes, std::byte{0xAA});
  fill_check(out, seq);
  return out;
}
Buffer mixed(size_t bytes, uint64_t run, uint64_t epoch, uint64_t seq) {
  Buffer out(bytes, std::byte{0xAA});
  fill_mix(out, run, epoch, seq);
  return out;
}

// The words of issue and ruling, byte by byte: what any stranger would write.
uint8_t check_byte(uint64_t seq, size_t i) {
  if (i < 8) return static_cast<uint8_t>(seq >> (8 * i));
  if (i < 16) return static_cast<uint8_t>(~seq >> (8 * (i - 8)));
  return static_cast<uint8_t>((seq + i) % 256);
}

TEST(PatternTest, CheckHoldsTheSequenceItsComplementAndACount) {  // P-17
  for (const uint64_t seq : {uint64_t{0}, uint64_t{1}, uint64_t{255}, uint64_t{256}, uint64_t{0x0123456789ABCDEF}, UINT64_MAX}) {
    const Buffer payload = checked(3 * 4096 + 37, seq);  // over two seams of the copying
    for (size_t i = 0; i < payload.size(); ++i) ASSERT_EQ(static_cast<uint8_t>(payload[i]), check_byte(seq, i)) << "seq " << seq << " byte " << i;
    EXPECT_EQ(find_check_mismatch(payload, seq), std::nullopt);
  }
}

TEST(PatternTest, CheckFillsAShortPayloadAsFarAsItGoes) {  // P-17
  for (size_t bytes = 0; bytes <= 20; ++bytes) {
    Buffer around(bytes + 1, std::byte{0x5A});
    fill_check(MutableBytes(around).first(bytes), 0xFEDCBA9876543210);
    for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(static_cast<uint8_t>(around[i]), check_byte(0xFEDCBA9876543210, i)) << bytes << " bytes, byte " << i;
    EXPECT_EQ(around[bytes], std::byte{0x5A}) << "wrote beyond " << bytes;
    EXPECT_EQ(find_check_mismatch(Bytes(around).first(bytes), 0xFEDCBA9876543210), std::nullopt);
  }
}

RC_GTEST_PROP(PatternTest, CheckFindsTheFirstByteThatIsWrong, (uint64_t seq)) {  // P-17
  const auto bytes = *rc::gen::inRange<size_t>(1, 10'000);
  Buffer payload = checked(bytes, seq);
  const auto at = *rc::gen::inRange<size_t>(0, bytes), later = *rc::gen::inRange<size_t>(at, bytes);
  payload[at] ^= std::byte{1};
  if (later != at) payload[later] ^= std::byte{0x80};
  RC_ASSERT(find_check_mismatch(payload, seq) == Mismatch(at));
}

TEST(PatternTest, CheckOfAnotherFrameIsWrong) {
  EXPECT_EQ(find_check_mismatch(checked(64, 5), 6), Mismatch(0));
  EXPECT_EQ(find_check_mismatch(checked(64, 5), 5 + 256), Mismatch(1));  // only the sequence itself tells these apart
}

TEST(PatternTest, MixIsTheSameForEverybody) {  // P-17: computed by an independent script
  const uint64_t run = mix_run(0x12345678);
  EXPECT_EQ(run, 0x12345678edcba987u);
  const Buffer payload = mixed(32, run, 7, 11);
  const uint64_t expected[] = {0x7fdc98544ea00db4, 0x7071b4856573374d, 0x7a43001ae2b9f03f, 0x98fd4abab204e10a};
  EXPECT_EQ(std::memcmp(payload.data(), expected, sizeof expected), 0);
}

TEST(PatternTest, EveryWordOfMixDependsOnRunEpochSequenceAndIndex) {  // P-17
  std::set<uint64_t> words;
  size_t count = 0;
  for (const auto& [run, epoch, seq] : {std::tuple{1u, 7u, 11u}, {2u, 7u, 11u}, {1u, 8u, 11u}, {1u, 7u, 12u}, {1u, 7u, 11u + 256u}}) {
    const Buffer payload = mixed(4096, mix_run(run), epoch, seq);
    for (size_t w = 0; w < 512; ++w, ++count) words.insert(load<uint64_t>(payload.data() + w * 8));
  }
  EXPECT_EQ(words.size(), count);
}

RC_GTEST_PROP(PatternTest, MixIsJudgedWithoutBeingToldTheRun, (uint32_t random, uint64_t epoch, uint64_t seq)) {  // P-17
  const auto bytes = *rc::gen::inRange<size_t>(kMixMinBytes, 5'000);
  Buffer payload = mixed(bytes, mix_run(random), epoch, seq);
  MixJudge judge;
  RC_ASSERT(judge.find_mismatch(payload, epoch, seq) == std::nullopt);
  const auto at = *rc::gen::inRange<size_t>(0, bytes);
  payload[at] ^= std::byte{0x10};
  const Mismatch found = judge.find_mismatch(payload, epoch, seq);
  RC_ASSERT(found.has_value());
  RC_ASSERT(*found == at || at < 8);  // the first word as a whole is the run
}

TEST(PatternTest, MixTornBetweenFramesThatCheckCannotTellApartIsWrong) {  // P-17
  const uint64_t run = mix_run(99);
  const Buffer old = mixed(1024, run, 7, 10), fresh = mixed(1024, run, 7, 10 + 256);
  Buffer torn = fresh;
  std::copy(old.begin() + 512, old.end(), torn.begin() + 512);
  MixJudge judge;
  EXPECT_EQ(judge.find_mismatch(fresh, 7, 266), std::nullopt);
  EXPECT_EQ(judge.find_mismatch(torn, 7, 266), Mismatch(512));
  EXPECT_TRUE(judge.find_mismatch(old, 7, 266).has_value());    // stale as a whole
  EXPECT_TRUE(judge.find_mismatch(fresh, 8, 266).has_value());  // of another epoch
}

TEST(PatternTest, MixOfASecondRunInOneEpochIsWrong) {  // P-17, D-22
  MixJudge judge;
  EXPECT_EQ(judge.find_mismatch(mixed(64, mix_run(1), 7, 0), 7, 0), std::nullopt);
  EXPECT_EQ(judge.find_mismatch(mixed(64, mix_run(2), 7, 1), 7, 1), Mismatch(0));
  EXPECT_EQ(judge.find_mismatch(mixed(64, mix_run(2), 8, 0), 8, 0), std::nullopt);  // a new epoch may have a new producer
  EXPECT_EQ(judge.find_mismatch(mixed(64, mix_run(1), 8, 1), 8, 1), Mismatch(0));
}

TEST(PatternTest, MixHasNoRoomInLessThanAWord) {
  MixJudge judge;
  for (size_t bytes = 0; bytes < kMixMinBytes; ++bytes) EXPECT_EQ(judge.find_mismatch(mixed(bytes, mix_run(1), 7, 0), 7, 0), Mismatch(0));
}

template <typename T>
T element(const Buffer& payload, size_t index) {
  return load<T>(payload.data() + index * sizeof(T));
}

TEST(PatternTest, RampIsAGradientThatMoves) {
  const int32_t dims[] = {300, 5000};  // wider than a copied chunk
  const wire::TensorHeader tensor = wire::contiguous(wire::DType::u8, dims);
  Buffer payload(300 * 5000);
  for (const uint64_t frame : {uint64_t{0}, uint64_t{1}, uint64_t{200}}) {
    fill_ramp(payload, tensor, frame);
    for (size_t row = 0; row < 300; row += 23) {
      for (size_t column = 0; column < 5000; column += 7) {
        ASSERT_EQ(static_cast<uint8_t>(payload[row * 5000 + column]), static_cast<uint8_t>(row + column + frame)) << row << ',' << column << " frame " << frame;
      }
    }
  }
}

TEST(PatternTest, RampFitsEveryElementType) {
  const int32_t rgb[] = {4, 6, 3};
  for (const auto dtype : {wire::DType::u8, wire::DType::u16, wire::DType::u64, wire::DType::f32, wire::DType::f64, wire::DType::boolean}) {
    const wire::TensorHeader tensor = wire::contiguous(dtype, rgb);
    Buffer payload(4 * 6 * 3 * wire::element_bytes(dtype), std::byte{0xEE});
    fill_ramp(payload, tensor, 250);
    const size_t at = (2 * 6 + 5) * 3 + 1;            // row 2, column 5, channel 1
    const uint64_t step = 2 + 5 + 85 + 250;
    switch (dtype) {
      case wire::DType::u8: EXPECT_EQ(element<uint8_t>(payload, at), static_cast<uint8_t>(step)); break;
      case wire::DType::u16: EXPECT_EQ(element<uint16_t>(payload, at), step); break;
      case wire::DType::u64: EXPECT_EQ(element<uint64_t>(payload, at), step); break;
      case wire::DType::f32: EXPECT_EQ(element<float>(payload, at), static_cast<float>(step % 256) / 256); break;
      case wire::DType::f64: EXPECT_EQ(element<double>(payload, at), static_cast<double>(step % 256) / 256); break;
      default:
        for (const std::byte value : payload) ASSERT_LE(static_cast<uint8_t>(value), 1);
    }
  }
}

TEST(PatternTest, NoiseIsTheSameForTheSameSeedAndFrameOnly) {
  const auto noise = [](uint64_t seed, uint64_t frame, size_t bytes = 1001) {
    Buffer out(bytes);
    fill_noise(out, wire::DType::u8, seed, frame);
    return out;
  };
  EXPECT_EQ(noise(1, 5), noise(1, 5));
  EXPECT_NE(noise(1, 5), noise(2, 5));
  EXPECT_NE(noise(1, 5), noise(1, 6));
  const Buffer shorter = noise(1, 5, 499);  // no multiple of a word, yet the same bytes
  EXPECT_TRUE(std::equal(shorter.begin(), shorter.end(), noise(1, 5).begin()));
  std::array<int, 256> histogram{};
  for (const std::byte value : noise(3, 3, 256 * 1024)) ++histogram[static_cast<uint8_t>(value)];
  const auto [low, high] = std::minmax_element(histogram.begin(), histogram.end());  // 1024 expected, sigma 32
  EXPECT_GT(*low, 800);
  EXPECT_LT(*high, 1250);
}

TEST(PatternTest, NoiseOfFloatsIsUniformAndOfBooleansIsBoolean) {
  Buffer payload(8 * 4096);
  fill_noise(payload, wire::DType::f32, 1, 0);
  double sum = 0;
  for (size_t i = 0; i < 8192; ++i) {
    const float value = element<float>(payload, i);
    ASSERT_TRUE(value >= 0 && value < 1) << value;
    sum += value;
  }
  EXPECT_NEAR(sum / 8192, 0.5, 0.02);
  fill_noise(payload, wire::DType::f64, 1, 0);
  for (size_t i = 0; i < 4096; ++i) ASSERT_TRUE(element<double>(payload, i) >= 0 && element<double>(payload, i) < 1);
  fill_noise(payload, wire::DType::boolean, 1, 0);
  for (const std::byte value : payload) ASSERT_LE(static_cast<uint8_t>(value), 1);
}

TEST(PatternTest, HasNames) {
  EXPECT_EQ(pattern_from_name("check"), Pattern::kCheck);
  EXPECT_EQ(pattern_from_name("mix"), Pattern::kMix);
  EXPECT_EQ(pattern_from_name("ramp"), Pattern::kRamp);
  EXPECT_EQ(pattern_from_name("noise"), Pattern::kNoise);
  EXPECT_EQ(pattern_from_name("Check"), std::nullopt);
}

}  // namespace
}  // namespace tidepool::cli::pattern_test

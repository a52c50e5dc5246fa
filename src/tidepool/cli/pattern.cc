#include "tidepool/cli/pattern.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace tidepool::cli {
namespace {

constexpr size_t kHeadBytes = 16;   // of `check`: seq and its complement
constexpr size_t kChunkBytes = 4096;

// 0, 1, ..., 255, 0, 1, ...: long enough that any phase of it gives a whole chunk.
constexpr auto kCounting = [] {
  std::array<uint8_t, kChunkBytes + 256> table{};
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<uint8_t>(i);
  return table;
}();
static_assert(kChunkBytes % 256 == 0, "every chunk begins in the same phase");

std::array<uint8_t, kHeadBytes> check_head(uint64_t seq) noexcept {
  std::array<uint8_t, kHeadBytes> head;
  store(head.data(), seq);
  store(head.data() + 8, ~seq);
  return head;
}

// Offset of the first difference between equally long byte runs that are known to differ.
size_t first_difference(const std::byte* a, const void* b, size_t bytes) noexcept {
  return static_cast<size_t>(std::mismatch(a, a + bytes, static_cast<const std::byte*>(b)).first - a);
}

// A bijection in which every input bit reaches every output bit.
constexpr uint64_t mix64(uint64_t x) noexcept {
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93;
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93;
  return x ^ (x >> 32);
}
constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;

constexpr uint64_t frame_key(uint64_t epoch, uint64_t seq) noexcept { return mix64(mix64(epoch + kGolden) ^ (seq * kGolden + 1)); }
constexpr uint64_t run_key(uint64_t run, uint64_t key) noexcept { return mix64(run + key); }
constexpr uint64_t mix_word(uint64_t key, uint64_t index) noexcept { return mix64(key + index * kGolden); }
constexpr bool is_run(uint64_t run) noexcept { return static_cast<uint32_t>(run >> 32) == static_cast<uint32_t>(~run); }

// Element values of a ramp: integers wrap, floating point runs from 0 up to 1 in 256 steps.
template <typename T>
T ramp_value(uint64_t step) noexcept {
  if constexpr (std::is_floating_point_v<T>) {
    return static_cast<T>(step & 255) / T{256};
  } else {
    return static_cast<T>(step);
  }
}

template <typename T>
void fill_ramp_as(MutableBytes payload, uint64_t width, uint64_t channels, uint64_t frame) noexcept {
  const uint64_t count = payload.size() / sizeof(T);
  uint64_t at = 0;
  for (uint64_t row = 0; at < count; ++row) {
    for (uint64_t column = 0; column < width && at < count; ++column) {
      for (uint64_t channel = 0; channel < channels && at < count; ++channel, ++at) {
        store(payload.data() + at * sizeof(T), ramp_value<T>(row + column + channel * 85 + frame));
      }
    }
  }
}

// One-channel bytes are runs of counting: copied, not computed.
void fill_ramp_bytes(MutableBytes payload, uint64_t width, uint64_t frame) noexcept {
  size_t at = 0;
  for (uint64_t row = 0; at < payload.size(); ++row) {
    size_t left = static_cast<size_t>(std::min<uint64_t>(width, payload.size() - at));
    const uint8_t* counting = kCounting.data() + ((row + frame) & 255);
    while (left > 0) {
      const size_t bytes = std::min(left, kChunkBytes);
      std::memcpy(payload.data() + at, counting, bytes);
      at += bytes;
      left -= bytes;
    }
  }
}

template <typename T, typename ValueOf>
void fill_words(MutableBytes payload, uint64_t key, ValueOf value_of) noexcept {
  const size_t count = payload.size() / sizeof(T);
  for (size_t i = 0; i < count; ++i) store(payload.data() + i * sizeof(T), static_cast<T>(value_of(mix_word(key, i))));
}

}  // namespace

std::optional<Pattern> pattern_from_name(std::string_view name) noexcept {
  if (name == "check") return Pattern::kCheck;
  if (name == "mix") return Pattern::kMix;
  if (name == "ramp") return Pattern::kRamp;
  if (name == "noise") return Pattern::kNoise;
  return std::nullopt;
}

void fill_check(MutableBytes payload, uint64_t seq) noexcept {
  if (payload.empty()) return;
  const auto head = check_head(seq);
  const size_t head_bytes = std::min(payload.size(), kHeadBytes);
  std::memcpy(payload.data(), head.data(), head_bytes);
  const uint8_t* counting = kCounting.data() + ((seq + kHeadBytes) & 255);
  for (size_t at = head_bytes; at < payload.size(); at += kChunkBytes) {
    std::memcpy(payload.data() + at, counting, std::min(kChunkBytes, payload.size() - at));
  }
}

Mismatch find_check_mismatch(Bytes payload, uint64_t seq) noexcept {
  if (payload.empty()) return std::nullopt;
  const auto head = check_head(seq);
  const size_t head_bytes = std::min(payload.size(), kHeadBytes);
  if (std::memcmp(payload.data(), head.data(), head_bytes) != 0) return first_difference(payload.data(), head.data(), head_bytes);
  const uint8_t* counting = kCounting.data() + ((seq + kHeadBytes) & 255);
  for (size_t at = head_bytes; at < payload.size(); at += kChunkBytes) {
    const size_t bytes = std::min(kChunkBytes, payload.size() - at);
    if (std::memcmp(payload.data() + at, counting, bytes) != 0) return at + first_difference(payload.data() + at, counting, bytes);
  }
  return std::nullopt;
}

uint64_t mix_run(uint32_t random) noexcept { return uint64_t{random} << 32 | static_cast<uint32_t>(~random); }

void fill_mix(MutableBytes payload, uint64_t run, uint64_t epoch, uint64_t seq) noexcept {
  if (payload.empty()) return;
  const uint64_t key = frame_key(epoch, seq);
  const uint64_t word0 = run ^ key;
  std::memcpy(payload.data(), &word0, std::min(payload.size(), sizeof word0));
  const uint64_t words_key = run_key(run, key);
  const size_t words = payload.size() / 8;
  for (size_t w = 1; w < words; ++w) store(payload.data() + w * 8, mix_word(words_key, w));
  if (words > 0 && payload.size() % 8 != 0) {
    const uint64_t last = mix_word(words_key, words);
    std::memcpy(payload.data() + words * 8, &last, payload.size() % 8);
  }
}

Mismatch MixJudge::find_mismatch(Bytes payload, uint64_t epoch, uint64_t seq) {
  if (payload.size() < kMixMinBytes) return 0;  // no room for a run: nobody fills `mix` so small
  const uint64_t key = frame_key(epoch, seq);
  const uint64_t run = load<uint64_t>(payload.data()) ^ key;
  if (!is_run(run) || (epoch == epoch_ && run_ != 0 && run != run_)) return 0;
  const uint64_t words_key = run_key(run, key);
  const size_t words = payload.size() / 8;
  for (size_t w = 1; w < words; ++w) {
    const uint64_t expected = mix_word(words_key, w);
    if (load<uint64_t>(payload.data() + w * 8) != expected) return w * 8 + first_difference(payload.data() + w * 8, &expected, 8);
  }
  if (const size_t rest = payload.size() % 8; rest != 0) {
    const uint64_t expected = mix_word(words_key, words);
    if (std::memcmp(payload.data() + words * 8, &expected, rest) != 0) return words * 8 + first_difference(payload.data() + words * 8, &expected, rest);
  }
  epoch_ = epoch;  // only a frame that is right says which run its epoch belongs to
  run_ = run;
  return std::nullopt;
}

void fill_ramp(MutableBytes payload, const wire::TensorHeader& tensor, uint64_t frame) noexcept {
  const uint64_t width = std::max<uint64_t>(1, static_cast<uint64_t>(tensor.dims[tensor.ndims > 1 ? 1 : 0]));
  uint64_t channels = 1;
  for (size_t d = 2; d < tensor.ndims; ++d) channels *= std::max<uint64_t>(1, static_cast<uint64_t>(tensor.dims[d]));
  using enum wire::DType;
  switch (tensor.dtype) {
    case u16:
    case i16: return fill_ramp_as<uint16_t>(payload, width, channels, frame);
    case u32:
    case i32: return fill_ramp_as<uint32_t>(payload, width, channels, frame);
    case u64:
    case i64: return fill_ramp_as<uint64_t>(payload, width, channels, frame);
    case f32: return fill_ramp_as<float>(payload, width, channels, frame);
    case f64: return fill_ramp_as<double>(payload, width, channels, frame);
    case boolean:
      fill_ramp_as<uint8_t>(payload, width, channels, frame);
      for (std::byte& value : payload) value = (value >> 3) & std::byte{1};  // stripes eight wide
      return;
    default:
      if (channels == 1) return fill_ramp_bytes(payload, width, frame);
      return fill_ramp_as<uint8_t>(payload, width, channels, frame);
  }
}

void fill_noise(MutableBytes payload, wire::DType dtype, uint64_t seed, uint64_t frame) noexcept {
  const uint64_t key = run_key(seed, frame_key(0, frame));
  switch (dtype) {
    case wire::DType::f32: return fill_words<float>(payload, key, [](uint64_t word) { return static_cast<float>(word >> 40) * 0x1p-24F; });
    case wire::DType::f64: return fill_words<double>(payload, key, [](uint64_t word) { return static_cast<double>(word >> 11) * 0x1p-53; });
    case wire::DType::boolean: return fill_words<uint8_t>(payload, key, [](uint64_t word) { return word & 1; });
    default: break;
  }
  fill_words<uint64_t>(payload, key, [](uint64_t word) { return word; });
  if (const size_t rest = payload.size() % 8; rest != 0) {
    const uint64_t last = mix_word(key, payload.size() / 8);
    std::memcpy(payload.data() + payload.size() - rest, &last, rest);
  }
}

}  // namespace tidepool::cli

#pragma once
// What the tests of this folder share: epochs in temporary directories, and payloads that tell whose they are.

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tidepool/base/bytes.h"
#include "tidepool/base/clock.h"
#include "tidepool/base/error.h"
#include "tidepool/pool/epoch_files.h"
#include "tidepool/pool/frame_view.h"
#include "tidepool/pool/pool_reader.h"
#include "tidepool/pool/pool_writer.h"
#include "tidepool/shm/commit_word.h"
#include "tidepool/shm/test_support.h"
#include "tidepool/shm/words.h"

namespace tidepool::pool::test {

using shm::test::error_of;
using shm::test::expect_error;
using shm::test::TemporaryDirectory;

inline constexpr uint32_t kStream = 10000;

inline StoreOptions options_at(const std::string& base) {
  StoreOptions options;
  options.base_dir = base;
  return options;
}

// A base directory with one namespace, and epochs in it.
struct Store {
  TemporaryDirectory base;
  EpochFiles files{options_at(base.path())};

  EpochFiles::Created create(const Geometry& geometry, uint64_t epoch = 7, uint32_t stream_id = kStream) {
    return files.create(stream_id, epoch, geometry, monotonic_ns());
  }
  shm::MapPolicy policy() const {
    shm::MapPolicy::Options options;
    options.allowed_base_dirs = {base.path()};
    return shm::MapPolicy(options);
  }
  std::shared_ptr<EpochMap> open(const EpochRegions& regions, shm::Access access = shm::Access::kReadOnly,
                                 const Freshness& freshness = {}) const {
    return EpochMap::open(regions, access, policy(), freshness);
  }
};

inline wire::TensorHeader bytes_tensor(int32_t count) { return wire::contiguous(wire::DType::u8, std::vector<int32_t>{count}); }

// The 8-byte word of frame `seq` at `index`: it differs for every run, epoch, frame and place (rulings P-17, `mix`).
inline uint64_t mix(uint64_t run, uint64_t epoch, uint64_t seq, uint64_t index) noexcept {
  uint64_t x = run ^ (epoch * 0x9E3779B97F4A7C15) ^ (seq * 0xBF58476D1CE4E5B9) ^ (index * 0x94D049BB133111EB);
  x ^= x >> 30;
  x *= 0xBF58476D1CE4E5B9;
  x ^= x >> 27;
  x *= 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// By relaxed atomic words, so that ThreadSanitizer sees a defined race (S-19).
inline void fill_mix(MutableBytes payload, uint64_t run, uint64_t epoch, uint64_t seq) noexcept {
  for (size_t i = 0; i < payload.size() / 8; ++i) {
    const uint64_t word = mix(run, epoch, seq, i);
    shm::store_words(payload.data() + 8 * i, reinterpret_cast<const std::byte*>(&word), 1);
  }
}

inline bool is_mix(Bytes payload, uint64_t run, uint64_t epoch, uint64_t seq) noexcept {
  for (size_t i = 0; i < payload.size() / 8; ++i) {
    if (load<uint64_t>(payload.data() + 8 * i) != mix(run, epoch, seq, i)) return false;
  }
  return true;
}

// Claim, fill with the frame's own pattern, commit.
inline void write_frame(PoolWriter& writer, int32_t bytes = 64) {
  Claim claim;
  ASSERT_EQ(writer.claim(bytes_tensor(bytes), claim), ClaimError::kNone);
  fill_mix(claim.bytes(), 1, writer.map().epoch(), claim.seq());
  ASSERT_EQ(writer.commit(claim), CommitResult::kOk);
}

inline uint64_t word_of(const EpochMap& map, uint64_t seq) {
  return shm::CommitWord(map.slot(static_cast<uint32_t>(seq) & map.slot_mask())).load();
}

// Bytes of a slot or superblock as a stranger might leave them.
template <typename T>
void poke(std::byte* at, T value) {
  store(at, value);
}

}  // namespace tidepool::pool::test

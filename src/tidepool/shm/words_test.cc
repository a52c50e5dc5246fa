#include "tidepool/shm/words.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <thread>
#include <vector>

#include "tidepool/base/bytes.h"

namespace tidepool::shm {
namespace {

TEST(WordsTest, AreCopiedToAndFromAnyPrivateAddress) {  // W-13, W-92
  alignas(8) std::array<std::byte, 32> shared{};
  std::array<std::byte, 40> from{};
  std::array<std::byte, 40> to{};
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i + 1);
  store_words(shared.data(), from.data() + 3, 3);
  EXPECT_EQ(std::memcmp(shared.data(), from.data() + 3, 24), 0);
  EXPECT_EQ(load<uint64_t>(shared.data() + 24), 0u);  // not a word more
  copy_words(to.data() + 5, shared.data(), 3);
  EXPECT_EQ(std::memcmp(to.data() + 5, from.data() + 3, 24), 0);
  EXPECT_EQ(to[4], std::byte{0});
  EXPECT_EQ(to[29], std::byte{0});
}

TEST(ActivityWordTest, GivesTheLastTimeStored) {  // W-62
  alignas(8) std::array<std::byte, 8> word{};
  ActivityWord(word.data()).touch(0x0102030405060708);
  EXPECT_EQ(ActivityWord(static_cast<const std::byte*>(word.data())).load(), 0x0102030405060708u);
  EXPECT_EQ(word[0], std::byte{8});  // W-1: little-endian in memory
}

TEST(MagicWordTest, ShowsTheWholeSuperblockToWhoSeesIt) {  // W-32
  struct alignas(64) Block {
    std::array<std::byte, 64> bytes{};
  };
  std::vector<Block> blocks(20'000);
  uint64_t torn = 0;
  std::thread reader([&] {
    for (uint64_t i = 0; i < blocks.size(); ++i) {
      const std::byte* block = blocks[i].bytes.data();
      for (int spins = 0; MagicWord(block).load() != i + 1; ++spins) {
        if (spins > 1000) std::this_thread::yield();
      }
      for (size_t at = 8; at < 64; at += 8) torn += load<uint64_t>(block + at) != i + at;  // a plain load: [ready] orders it
    }
  });
  for (uint64_t i = 0; i < blocks.size(); ++i) {
    std::byte* block = blocks[i].bytes.data();
    for (size_t at = 8; at < 64; at += 8) store<uint64_t>(block + at, i + at);
    MagicWord(block).publish(i + 1);
  }
  reader.join();
  EXPECT_EQ(torn, 0u);
}

}  // namespace
}  // namespace tidepool::shm

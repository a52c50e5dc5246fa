#include "tidepool/shm/words.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <thread>

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
  for (uint64_t round = 1; round <= 2000; ++round) {
    alignas(8) std::array<std::byte, 64> block{};
    std::atomic<bool> running{false};
    std::thread reader([&] {
      running.store(true, std::memory_order_release);
      while (MagicWord(static_cast<const std::byte*>(block.data())).load() != round) std::this_thread::yield();
      for (size_t at = 8; at < block.size(); at += 8) ASSERT_EQ(load<uint64_t>(block.data() + at), round + at);  // plain: [ready]
    });
    while (!running.load(std::memory_order_acquire)) std::this_thread::yield();
    for (size_t at = 8; at < block.size(); at += 8) store<uint64_t>(block.data() + at, round + at);
    MagicWord(block.data()).publish(round);
    reader.join();
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace tidepool::shm

// Pins and checkpoints, cut at every byte and with every bit of every byte changed: the one before, or told; never another one.

#include <fstream>

#include "tidepool/feed/checkpoint.h"
#include "tidepool/feed/pins.h"
#include "tidepool/feed/retention.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed::small_files_test {
namespace {

class SmallFiles : public test::FeedTest {
 protected:
  static void put(const std::string& path, std::string_view content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  }
  // `content` with each damage that there is, told what it was.
  static void with_each_damage(const std::string& content, const std::function<void(const std::string& damaged, const std::string& what)>& body) {
    for (size_t at = 0; at < content.size(); ++at) {
      body(content.substr(0, at), concat("cut at ", at));
      std::string changed = content;
      changed[at] = static_cast<char>(changed[at] ^ 1 << at % 8);
      body(changed, concat("bit ", at % 8, " of byte ", at));
      if (HasFatalFailure()) return;
    }
  }
};

TEST_F(SmallFiles, ADamagedCheckpointIsNeverUsedAndTheOneBeforeIs) {  // F-85, F-156, X-9, G-6
  const std::string directory = root / "checkpoints";
  Checkpoint first;
  first.base_id = random_id128();
  first.feed_id = random_id128();
  first.next_seq = 41;
  Checkpoint second = first;
  second.next_seq = 42;
  first.save("mine", directory);
  second.save("mine", directory);
  const std::string path = concat(directory, "/", hex(first.feed_id), "-mine");
  const std::string content = shm::test::read_file(path);
  const std::string before = shm::test::read_file(path + ".previous");
  ASSERT_EQ(content.size(), Checkpoint::kBytes);
  with_each_damage(content, [&](const std::string& damaged, const std::string& what) {
    put(path, damaged);
    const auto found = Checkpoint::load("mine", first.feed_id, directory);
    ASSERT_TRUE(found) << what;
    ASSERT_EQ(found->next_seq, 41u) << what;
    ASSERT_EQ(found->encode(), first.encode()) << what;
  });
  if (HasFatalFailure()) return;
  put(path, "");
  with_each_damage(before, [&](const std::string& damaged, const std::string& what) {
    put(path + ".previous", damaged);
    ASSERT_FALSE(Checkpoint::load("mine", first.feed_id, directory)) << what;
  });
}

TEST_F(SmallFiles, ADamagedPinIsToldAndNeverTakenForAnother) {  // F-130, F-156, X-9, G-6
  {
    auto writer = make(Storage::kDurable);
    append(writer, 0, 5000);
  }
  pin_feed(base(), "trades", {.name = "mine", .seq = 50});
  const FeedInfo feed = find_feed(base(), "trades", Files::system());
  const std::string directory = feed.directory + "/pins";
  ASSERT_EQ(names_in(directory).size(), 1u);
  const std::string path = concat(directory, "/", names_in(directory)[0]);
  const std::string content = shm::test::read_file(path);
  ASSERT_EQ(content.size(), Pin::kBytes);
  uint64_t turn = 0;
  with_each_damage(content, [&](const std::string& damaged, const std::string& what) {
    put(path, damaged);
    std::vector<std::string> told;
    ASSERT_TRUE(pins_of(feed, told).empty()) << what;
    ASSERT_EQ(told, std::vector<std::string>{path}) << what;
    if (++turn % 64 != 0) return;
    // It may hold anything: so nothing goes, and retention says why.
    PruneOptions prune;
    prune.limits.chunks = 1;
    const RetentionReport report = prune_base(base(), prune);
    ASSERT_TRUE(report.expired.empty()) << what;
    std::string told_by_retention;
    for (const std::string& warning : report.warnings) told_by_retention += warning + "\n";
    ASSERT_NE(told_by_retention.find(path), std::string::npos) << what << ": " << told_by_retention;
    ASSERT_EQ(shm::test::read_file(path), damaged) << what;
  });
}

}  // namespace
}  // namespace tidepool::feed::small_files_test

// The power fails before any operation of anybody: writers of rows and frames, create, delete, evolve, change, pin, prune, compaction and
// repair, over the disk of power_disk.h, which forgets names as well as pages. What was said to be durable is there, before anybody
// repairs anything, after the next cut during recovery, and after recovery; by three readers (judge.h).

#include <random>

#include "judge.h"
#include "power_disk.h"
#include "tidepool/feed/pins.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/repair.h"
#include "tidepool/feed/retention.h"
#include "tidepool/feed/settings.h"

namespace tidepool::feed::power_loss_test {
namespace {

using test::FeedFacts;
using test::Judge;
using test::PowerDisk;
using test::row_of;

constexpr size_t kFeeds = 3;
constexpr const char* kFeedNames[kFeeds] = {"tiered", "durable", "frames"};

// What was said to be so. All is copied in the moment of the cut.
struct Claims {
  struct OfFeed {
    bool exists = false;
    uint64_t acknowledged = 0;
    uint64_t pending = 0;
    uint64_t durable = 0;
  };
  OfFeed feeds[kFeeds];
  enum class Extra : uint8_t { kUnknown, kThere, kGone } extra = Extra::kGone;
  uint32_t extra_version = 0;
  uint64_t extra_chunk_bytes = 0;
  bool pinned = false;
};

class PowerLoss : public test::FeedTest {
 protected:
  FeedOptions tiny(Storage storage) {
    auto made = options(storage);
    made.chunk_bytes = 4096 << random() % 3;
    made.live_chunks = 2;
    made.sync = random() % 2 == 0 ? SyncMode::kExplicit : SyncMode::kInterval;
    made.sync_interval_ns = kNsPerMs;
    return made;
  }
  static Schema schema_of_feed(size_t feed) { return feed == 2 ? Schema::frames({"time_ns"}) : test::row_schema(); }

  void write(const std::string& where, PowerDisk& disk, size_t feed) {
    Claims::OfFeed& claim = claims.feeds[feed];
    if (!claim.exists) create_feed(where, kFeedNames[feed], schema_of_feed(feed), tiny(feed == 1 ? Storage::kDurable : Storage::kTiered), disk);
    claim.exists = true;
    auto writer = FeedWriter::open(where, kFeedNames[feed], {.files = &disk});
    ASSERT_EQ(writer.next_seq(), claim.acknowledged);
    for (uint64_t left = random() % 300; left > 0; --left) {
      const uint64_t number = claim.acknowledged;
      claim.pending = 1;
      ASSERT_TRUE(feed == 2 ? writer.append_frame(test::frame_of(number), {}, test::payload_of(number)) : writer.append(row_of(number)));
      claim.acknowledged = number + 1;
      if (random() % 80 == 0) writer.sync();
      if (random() % 150 == 0) writer.rotate();
      if (random() % 90 == 0) writer.mark(number, 1);
      if (random() % 120 == 0) writer.mark_segment_boundary("here");
      claim.durable = writer.durable_seq();
    }
    writer.close();
    claim.durable = claim.acknowledged;
  }
  void act_on_extra(const std::string& where, PowerDisk& disk) {
    const Claims::Extra was = std::exchange(claims.extra, Claims::Extra::kUnknown);
    if (was == Claims::Extra::kGone) {
      claims.extra_version = 0;
      claims.extra_chunk_bytes = 0;
      create_feed(where, "extra", test::row_schema(), options(Storage::kTiered), disk);
      claims.extra_version = 1;
      claims.extra_chunk_bytes = options(Storage::kTiered).chunk_bytes;
      claims.extra = Claims::Extra::kThere;
    } else if (random() % 3 == 0) {
      delete_feed(where, "extra", false, disk);
      claims.extra = Claims::Extra::kGone;
    } else if (random() % 2 == 0) {
      claims.extra = was;
      const FeedInfo now = find_feed(where, "extra", disk);
      evolve_feed(where, "extra", now.schema.with({{concat("more", now.schema_id), "int32"}}), disk);
      claims.extra_version = now.schema_id + 1;
    } else {
      claims.extra = was;
      auto changed = find_feed(where, "extra", disk).options;
      claims.extra_chunk_bytes = 0;
      changed.chunk_bytes += 4096;
      change_feed(where, "extra", changed, disk);
      claims.extra_chunk_bytes = changed.chunk_bytes;
    }
  }
  void play(const std::string& where, PowerDisk& disk) {
    for (int turn = 0; turn < 9; ++turn) {
      switch (random() % 9) {
        case 0: act_on_extra(where, disk); break;
        case 1:
          if (claims.feeds[0].exists) {
            FeedRegistry::open(find_feed(where, "tiered", disk), disk, true).compact(1);
          }
          break;
        case 2:
          if (claims.feeds[0].exists) {
            PruneOptions prune;
            prune.run.grace_ns = 0;
            prune.run.files = &disk;
            prune.limits.chunks = 4;
            prune_base(where, prune);
          }
          break;
        case 3:
          if (claims.feeds[1].exists) {
            pin_feed(where, "durable", {.name = "mine", .seq = claims.feeds[1].acknowledged}, disk);
            claims.pinned = true;
          }
          break;
        case 4:
          if (claims.feeds[0].exists) {
            ASSERT_FALSE(repair_base(where, {.files = &disk}).failed());
          }
          break;
        default: write(where, disk, random() % kFeeds);
      }
      ASSERT_FALSE(HasFatalFailure());
    }
  }

  // What is left of a base, while nobody has touched it.
  void look(const std::string& where, std::map<std::string, FeedFacts>& facts, const Claims& said) {
    bool anything = said.extra == Claims::Extra::kThere;
    for (const auto& feed : said.feeds) anything |= feed.exists;
    if (!std::filesystem::exists(where + "/registry.bin")) {
      ASSERT_FALSE(anything) << "the base is gone";
      return;
    }
    const auto registry = GlobalRegistry::open(where);
    std::vector<std::string> names;
    for (size_t feed = 0; feed < kFeeds; ++feed) {
      const bool there = registry.find(kFeedNames[feed]) != nullptr;
      ASSERT_TRUE(there || !said.feeds[feed].exists) << kFeedNames[feed] << " is gone";
      if (there) names.emplace_back(kFeedNames[feed]);
    }
    const FeedInfo* extra = registry.find("extra");
    const bool extra_there = extra != nullptr && !extra->deleting;
    if (said.extra == Claims::Extra::kThere) {
      ASSERT_TRUE(extra_there) << "extra is gone";
      ASSERT_GE(extra->schema_id, said.extra_version);
      if (said.extra_chunk_bytes != 0) {
        ASSERT_EQ(extra->options.chunk_bytes, said.extra_chunk_bytes);
      }
    } else if (said.extra == Claims::Extra::kGone) {
      ASSERT_EQ(extra, nullptr) << "extra is back";
    }
    if (extra_there) names.emplace_back("extra");
    judge.look(where, where, names, false, facts);
    if (HasFatalFailure()) return;
    for (size_t feed = 0; feed < kFeeds; ++feed) {
      const uint64_t end = facts[kFeedNames[feed]].end_seq;
      ASSERT_GE(end, said.feeds[feed].durable) << kFeedNames[feed] << ": G-3";
      ASSERT_LE(end, said.feeds[feed].acknowledged + said.feeds[feed].pending) << kFeedNames[feed] << ": G-1";
    }
    if (said.pinned) {
      std::vector<std::string> damaged;
      ASSERT_EQ(pins_of(find_feed(where, "durable", Files::system()), damaged).size(), 1u);
      ASSERT_TRUE(damaged.empty());
    }
  }
  // The next writer of each: it finds what readers found, says what is lost, and goes on.
  void recover(const std::string& where, const std::map<std::string, FeedFacts>& facts, const Claims& said, Files& files, bool all) {
    if (!std::filesystem::exists(where + "/registry.bin")) return;
    for (size_t feed = 0; feed < kFeeds; ++feed) {
      const std::string name = kFeedNames[feed];
      if (GlobalRegistry::open(where).find(name) == nullptr) continue;
      auto writer = FeedWriter::open(where, name, {.files = &files});
      const uint64_t end = facts.at(name).end_seq;
      ASSERT_EQ(writer.recovery().next_seq, end) << name;
      if (end < said.feeds[feed].acknowledged) {
        // Now, or by the recovery that the second cut ended.
        ASSERT_FALSE(FeedReader::open(where, name).losses().empty()) << name << ": G-3, loss of " << end << " to " << said.feeds[feed].acknowledged << " is not recorded";
        ++losses;
      }
      if (!all) continue;
      for (uint64_t number = end; number < end + 5; ++number) {
        ASSERT_TRUE(feed == 2 ? writer.append_frame(test::frame_of(number), {}, test::payload_of(number)) : writer.append(row_of(number)));
      }
    }
    create_feed(where, "extra-2", test::row_schema(), options(Storage::kTiered), files);  // F-7
  }

  void one_round() {
    const std::string before = root / "a/base";
    const std::string after = root / "b/base";
    const std::string last = root / "c/base";
    for (const char* name : {"a", "b", "c"}) std::filesystem::create_directory(root / name);
    claims = {};
    Claims said;
    {
      PowerDisk disk(root / "a");
      disk.cut_before(1 + random() % operations, [&] {
        said = claims;
        disk.leave(root / "a", root / "b", random_of_cut);
      });
      play(before, disk);
      operations = std::max<uint64_t>(100, disk.operations());
      disk.cut_now();
    }
    if (HasFatalFailure()) return;
    std::map<std::string, FeedFacts> facts;
    look(after, facts, said);
    if (HasFatalFailure()) return;
    {  // during recovery, too
      PowerDisk disk(root / "b");
      disk.cut_before(1 + random() % recovery_operations, [&] { disk.leave(root / "b", root / "c", random_of_cut); });
      recover(after, facts, said, disk, false);
      recovery_operations = std::max<uint64_t>(20, disk.operations());
      disk.cut_now();
    }
    if (HasFatalFailure()) return;
    std::map<std::string, FeedFacts> again;
    look(last, again, said);
    ASSERT_FALSE(HasFatalFailure()) << "after a cut during recovery";
    recover(last, again, said, Files::system(), true);
    ASSERT_FALSE(HasFatalFailure()) << "after a cut during recovery";
    if (!std::filesystem::exists(last + "/registry.bin")) return;
    Claims then = said;
    for (size_t feed = 0; feed < kFeeds; ++feed) {
      if (GlobalRegistry::open(last).find(kFeedNames[feed]) != nullptr) then.feeds[feed] = {true, again[kFeedNames[feed]].end_seq + 5, 0, again[kFeedNames[feed]].end_seq + 5};
    }
    look(last, again, then);
    ASSERT_FALSE(HasFatalFailure()) << "in the end";
    ASSERT_FALSE(repair_base(last).failed());
    ASSERT_TRUE(repair_base(last).actions.empty()) << "a second repair has something to do";
    ASSERT_TRUE(verify_base(last).sound());
  }

  std::mt19937_64 random;
  std::mt19937_64 random_of_cut;  // of its own: the cut may be in another thread
  Claims claims;
  Judge judge;
  uint64_t operations = 700;
  uint64_t recovery_operations = 60;
  int losses = 0;
};

TEST_F(PowerLoss, BeforeAnyOperationCostsNothingDurable) {  // F-156, X-2, X-6, F-7, F-51, F-62, F-64, F-128, F-m, G-1, G-2, G-3, G-4, G-5, G-6
  const uint64_t seed = test::seed();
  const int last_round = test::rounds(8, 1000);
  const uint64_t began_ns = monotonic_ns();
  for (int round = 0; round < last_round; ++round) {
    random.seed(seed + static_cast<uint64_t>(round));
    random_of_cut.seed(seed ^ static_cast<uint64_t>(round) << 32);
    one_round();
    ASSERT_FALSE(HasFatalFailure()) << "round " << round << " of seed " << seed;
    std::filesystem::remove_all(root.path());
    std::filesystem::create_directory(root.path());
  }
  std::printf("%d cuts, %d feeds that lost what was not durable, %llu looks, %llu ms\n", 2 * last_round, losses,
              static_cast<unsigned long long>(judge.looks()), static_cast<unsigned long long>((monotonic_ns() - began_ns) / kNsPerMs));
  // In a few rounds chance may have it so.
  if (last_round >= 100) {
    EXPECT_GT(losses, 0) << "no cut ever cost anything: the test cuts nothing";
  }
}

}  // namespace
}  // namespace tidepool::feed::power_loss_test

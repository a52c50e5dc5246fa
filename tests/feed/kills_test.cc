// SIGKILL to everybody who changes a base: writers (and the persister in them), persistd, repair, prune, compaction, delete, create.
// At any moment and at every named step, over one base that lives through it all: 1,000 kills in the long form (TIDEPOOL_TEST_FULL=1).
// After each one G-1 to G-6, as judge.h looks at them.

#include <signal.h>

#include <random>
#include <set>
#include <thread>

#include "judge.h"
#include "mortal_files.h"
#include "tidepool/feed/persistd.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/repair.h"
#include "tidepool/feed/retention.h"

namespace tidepool::feed::kills_test {
namespace {

using test::Death;
using test::FeedFacts;
using test::Helper;
using test::Judge;
using test::MortalFiles;
using test::row_of;
using test::SharedTold;
using test::Told;

enum class Role : uint8_t { kTiered, kDurable, kFrames, kMemory, kPersistd, kRepair, kPrune, kCompaction, kDelete, kCreate };
constexpr size_t kRoles = 10;
constexpr const char* kRoleNames[kRoles] = {"Tiered", "Durable", "Frames", "Memory", "Persistd", "Repair", "Prune", "Compaction", "Delete", "Create"};
constexpr const char* kFeedNames[] = {"tiered", "durable", "frames", "memory"};  // by writer
constexpr size_t kWriters = 4;
constexpr uint64_t kKeptChunks = 12;
constexpr uint64_t kSpareRows = 150;

class Kills : public test::FeedTest {
 protected:
  FeedOptions tiny(Storage storage) const {
    auto made = options(storage);
    made.chunk_bytes = storage == Storage::kTiered ? 4096 : 8192;
    made.live_chunks = storage == Storage::kMemory ? 40 : 2;
    made.sync_interval_ns = kNsPerMs;
    return made;
  }
  static Schema schema_of_feed(size_t feed) { return feed == 2 ? Schema::frames({"time_ns"}) : test::row_schema(); }
  void begin() {
    std::filesystem::remove_all(root.path());
    std::filesystem::create_directory(root.path());
    constexpr Storage kStorages[] = {Storage::kTiered, Storage::kDurable, Storage::kTiered, Storage::kMemory};
    for (size_t feed = 0; feed < kWriters; ++feed) create_feed(base(), kFeedNames[feed], schema_of_feed(feed), tiny(kStorages[feed]));
    create_spare(*spare_, {});
  }

  // ---- the roles: each in a process of its own, through MortalFiles -------------------------------------------------------------

  // One append of one record, or of several at once. What `rows` rows from there are, is known to the parent before they are committed.
  static bool append_some(FeedWriter& writer, Told& told, size_t feed) {
    const uint64_t number = told.acknowledged;
    uint64_t rows = feed != 2 && test::mix(number) % 7 == 0 ? 1 + test::mix(number) % 40 : 1;
    told.pending = rows;
    Appended done;
    if (feed == 2) {
      done = writer.append_frame(test::frame_of(number), {}, test::payload_of(number));
    } else {
      std::vector<test::Row> batch;
      for (uint64_t i = 0; i < rows; ++i) batch.push_back(row_of(number + i));
      done = rows == 1 ? writer.append(batch[0]) : writer.append_batch(std::as_bytes(std::span(batch)));
    }
    if (done.status != AppendStatus::kOk) return false;
    told.acknowledged = number + rows;
    return true;
  }
  // With `stay`, it neither closes nor ends: somebody kills it.
  void write(Told& told, const Death& death, size_t feed, uint64_t appends, const Helper* stay = nullptr) const {
    MortalFiles files(told, death);
    auto writer = FeedWriter::open(base(), kFeedNames[feed], {.wait_for_lock_ns = 30 * kNsPerSecond, .files = &files});
    // G-3: nobody has rebooted, so nothing is lost, and the numbers go on where they were.
    ASSERT_FALSE(writer.recovery().loss);
    ASSERT_GE(writer.recovery().next_seq, told.acknowledged);
    ASSERT_LE(writer.recovery().next_seq, told.acknowledged + told.pending);
    told.pending = writer.recovery().next_seq - told.acknowledged;  // still one or the other, should we die right now
    told.acknowledged = writer.recovery().next_seq;
    const bool stored = feed != 3;
    for (uint64_t turn = 1; turn <= appends; ++turn) {
      ASSERT_TRUE(append_some(writer, told, feed));
      if (turn % 101 == 0) writer.rotate();
      if (turn % 67 == 0) writer.mark_segment_boundary("turn");
      if (turn % 43 == 0) writer.mark(told.acknowledged - 1, 1, "mark");
      if (turn % 59 == 0 && stored) writer.sync();
      told.durable = writer.durable_seq();
    }
    if (stay != nullptr) stay->sleep_for_ever();
    if (stored) {
      writer.close();
      told.durable = told.acknowledged.load();
    } else {
      ::raise(SIGKILL);  // to close a memory feed is to give its records up
    }
  }
  void persist(Told& told, const Death& death) const {
    MortalFiles files(told, death);
    auto daemon = Persistd::open(base(), {.retention_every_ns = 0, .files = &files});
    for (int turn = 0; turn < 30; ++turn) daemon->poll();
    ASSERT_EQ(daemon->status().failures, 0u) << daemon->trouble();
  }
  void repair(Told& told, const Death& death) const {
    MortalFiles files(told, death);
    const RepairReport report = repair_base(base(), {.files = &files});
    ASSERT_FALSE(report.failed());
  }
  void prune(Told& told, const Death& death) const {
    MortalFiles files(told, death);
    PruneOptions prune;
    prune.run.grace_ns = 0;
    prune.run.files = &files;
    prune.limits.chunks = kKeptChunks;
    prune_base(base(), prune);
  }
  void compact(Told& told, const Death& death) const {
    MortalFiles files(told, death);
    for (const char* name : kFeedNames) FeedRegistry::open(find_feed(base(), name, files), files, true).compact(1);
  }
  void create_spare(Told& told, const Death& death) const {
    MortalFiles files(told, death);
    auto writer = FeedWriter::create(base(), "spare", test::row_schema(), tiny(Storage::kTiered), {.wait_for_lock_ns = 30 * kNsPerSecond, .files = &files});
    for (uint64_t number = writer.next_seq(); number < kSpareRows; ++number) ASSERT_TRUE(writer.append(row_of(number)));
    writer.close();
  }
  void act(Role role, Told& told, const Death& death, uint64_t appends) const {
    switch (role) {
      case Role::kPersistd: persist(told, death); break;
      case Role::kRepair: repair(told, death); break;
      case Role::kPrune: prune(told, death); break;
      case Role::kCompaction: compact(told, death); break;
      case Role::kDelete: {
        MortalFiles files(told, death);
        delete_feed(base(), "spare", true, files);
        break;
      }
      case Role::kCreate: create_spare(told, death); break;
      default: write(told, death, static_cast<size_t>(role), appends);
    }
    told.finished = true;
  }
  // Where its told numbers are kept from life to life.
  Told& told_of(Role role) { return static_cast<size_t>(role) < kWriters ? *writers_[static_cast<size_t>(role)] : *others_; }

  // ---- what holds after each kill ----------------------------------------------------------------------------------------------

  void look() {
    std::vector<std::string> names(std::begin(kFeedNames), std::end(kFeedNames));
    bool spare = false;
    {
      const auto registry = GlobalRegistry::open(base());
      const FeedInfo* found = registry.find("spare");
      spare = found != nullptr && !found->deleting;  // whole, or on its way out; nothing in between
      if (spare) names.emplace_back("spare");
    }
    std::map<std::string, FeedFacts> facts;
    judge_.look(root.path(), base(), names, true, facts);
    if (HasFatalFailure()) return;
    for (size_t feed = 0; feed < kWriters; ++feed) {
      const FeedFacts& found = facts[kFeedNames[feed]];
      Told& told = *writers_[feed];
      ASSERT_GE(found.end_seq, told.acknowledged) << kFeedNames[feed] << ": G-3, something committed is gone";
      ASSERT_TRUE(found.end_seq == told.acknowledged || found.end_seq == told.acknowledged + told.pending)
          << kFeedNames[feed] << ": G-1, " << found.end_seq << " is part of an append: " << told.acknowledged << " and " << told.pending << " more";
      ASSERT_GE(found.first_seq, floors_[feed]) << kFeedNames[feed] << ": what was expired is back";
      if (found.first_seq != 0 && feed != 3) {
        ASSERT_GE(found.readable_chunks, kKeptChunks) << kFeedNames[feed];
      }
      floors_[feed] = found.first_seq;
    }
    if (spare) {
      ASSERT_LE(facts["spare"].end_seq, kSpareRows);
    }
  }

  // What tells a defect of following from one of the files.
  std::string lost_thread(size_t feed) {
    FeedReader& follower = *followers_[feed];
    std::string text = concat("a second look of it gives kind ", static_cast<int>(follower.next().kind));
    auto fresh = read({.from = At::sequence(followed_[feed])}, kFeedNames[feed]);
    text += concat(", a new reader kind ", static_cast<int>(fresh.next().kind), "; chunks that it knows and the new one knows:");
    for (FeedReader* reader : {&follower, &fresh}) {
      text += "\n ";
      for (const ChunkInfo& chunk : reader->chunks()) {
        if (chunk.settled() && chunk.end_seq() < followed_[feed]) continue;
        text += concat(" ", chunk.ordinal, " epoch ", chunk.epoch, " state ", static_cast<int>(chunk.state), " from ", chunk.first_seq, " to ", chunk.end_seq(), ";");
      }
    }
    return text;
  }

  // Somebody reads all the while, each record once (G-2).
  void follow() {
    for (size_t feed = 0; feed < kWriters; ++feed) {
      if (!followers_[feed]) {
        followers_[feed].emplace(read({.from = At::oldest(), .stalled_after_ns = 60 * kNsPerSecond}, kFeedNames[feed]));
        followed_[feed] = followers_[feed]->next_seq();
      }
      for (;;) {
        const Item item = followers_[feed]->next();
        if (item.kind == Item::Kind::kIdle) break;
        if (item.kind == Item::Kind::kGap) {
          ASSERT_EQ(item.gap.from, followed_[feed]);
          ASSERT_EQ(item.gap.cause, feed == 3 ? GapCause::kLiveWindow : GapCause::kRetention) << kFeedNames[feed] << " " << item.gap.text;
          followed_[feed] = item.gap.to;
          continue;
        }
        ASSERT_TRUE(item.is_record()) << kFeedNames[feed] << " at " << followed_[feed];
        ASSERT_EQ(item.seq, followed_[feed]) << kFeedNames[feed] << ": G-2";
        ++followed_[feed];
      }
      ASSERT_GE(followed_[feed], writers_[feed]->acknowledged) << kFeedNames[feed] << ": G-2, the follower lost the thread; " << lost_thread(feed);
      ASSERT_LE(followed_[feed], writers_[feed]->acknowledged + writers_[feed]->pending) << kFeedNames[feed];
    }
  }

  // A copy without shared memory: the machine was restarted right then (kernel's pages were written, memory objects are gone).
  void look_after_reboot() {
    const std::string copy = root / "copy";
    std::filesystem::copy(base(), copy, std::filesystem::copy_options::recursive);
    std::map<std::string, FeedFacts> facts;
    judge_.look(root.path(), copy, {kFeedNames[0], kFeedNames[1], kFeedNames[2]}, false, facts);
    if (HasFatalFailure()) return;
    for (size_t feed = 0; feed < kWriters - 1; ++feed) {
      const uint64_t end = facts[kFeedNames[feed]].end_seq;
      ASSERT_GE(end, writers_[feed]->durable) << kFeedNames[feed] << ": G-3, something durable is gone";
      auto writer = FeedWriter::open(copy, kFeedNames[feed]);
      ASSERT_EQ(writer.recovery().next_seq, end) << kFeedNames[feed];
      // G-3: what is lost is recorded.
      if (end < writers_[feed]->acknowledged) {
        ASSERT_TRUE(writer.recovery().loss) << kFeedNames[feed] << ": " << end << " of " << writers_[feed]->acknowledged;
      }
    }
    std::filesystem::remove_all(copy);
  }

  void put_the_spare_back() {
    Told& told = *spare_;
    create_spare(told, {});
  }

  SharedTold writers_[kWriters];
  SharedTold others_;
  SharedTold spare_;
  uint64_t floors_[kWriters] = {};
  std::optional<FeedReader> followers_[kWriters];
  uint64_t followed_[kWriters] = {};
  Judge judge_;
};

// Two at a time at most: somebody who keeps the base in order, and at times a writer that lives until right after.
TEST_F(Kills, OfAnybodyAtAnyMomentCostNothing) {  // F-156, X-1, X-3, X-15, F-47, F-52, F-67, F-128, F-132, G-1, G-2, G-3, G-4, G-5, G-6
  std::mt19937_64 random(test::seed());
  const int wanted = test::rounds(60, 1000);
  begin();
  follow();
  int kills[kRoles] = {};
  int total = 0;
  uint64_t steps[kRoles];
  std::fill(std::begin(steps), std::end(steps), 60);
  const uint64_t began_ns = monotonic_ns();
  for (int round = 0; total < wanted && round < 10 * wanted; ++round) {
    size_t chosen = random() % kRoles;
    if (const size_t other = random() % kRoles; kills[other] < kills[chosen]) chosen = other;
    const auto role = static_cast<Role>(chosen);
    const bool maintenance = role >= Role::kPersistd && role <= Role::kCompaction;
    const size_t companion = maintenance && random() % 2 == 0 ? random() % kWriters : kWriters;
    const bool by_step = random() % 2 == 0;
    Told& told = told_of(role);
    told.steps = 0;
    told.finished = false;
    const Death death{.step = by_step ? 1 + random() % (steps[static_cast<size_t>(role)] + 2) : 0};
    const uint64_t appends = 20 + random() % 300;
    const uint64_t moment_us = random() % (chosen < kWriters ? 4000 : 1500);
    const std::string where = concat("round ", round, ": ", kRoleNames[static_cast<size_t>(role)], by_step ? " before step " : " after us ",
                                     by_step ? death.step : moment_us, companion < kWriters ? " beside a writer of " : "",
                                     companion < kWriters ? kFeedNames[companion] : "");
    SCOPED_TRACE(where);
    std::optional<Helper> beside;
    if (companion < kWriters) {
      writers_[companion]->finished = false;
      beside.emplace([&](const Helper& self) {
        self.ready();
        write(*writers_[companion], {}, companion, appends, &self);
      });
      ASSERT_EQ(beside->wait_ready(), 0);
    }
    Helper victim([&](const Helper& self) {
      self.ready();
      try {
        act(role, told, death, appends);
      } catch (const FeedError& error) {
        // Beside a writer that dies too, and holds locks until then, a refusal is an honest answer (G-6).
        if (companion == kWriters || (error.fault() != Fault::kBusy && error.fault() != Fault::kWriterBusy && error.fault() != Fault::kRegistryBusy)) throw;
        told.finished = true;
      }
    });
    ASSERT_EQ(victim.wait_ready(), 0);
    bool ended_well = false;
    if (by_step) {
      ended_well = victim.join();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(moment_us));  // the moment is the point: any will do
      victim.kill();
    }
    if (beside) {
      beside->kill();
      ++kills[companion];
      ++total;
    }
    const bool killed = !told.finished;
    ASSERT_TRUE(killed || !by_step || ended_well) << "it failed by itself";
    if (killed) {
      ++kills[static_cast<size_t>(role)];
      ++total;
    } else {
      steps[static_cast<size_t>(role)] = std::max<uint64_t>(told.steps, 4);
    }
    look();
    if (HasFatalFailure()) return;
    follow();
    if (HasFatalFailure()) return;
    if (round % 8 == 5) look_after_reboot();
    if (HasFatalFailure()) return;
    if (role == Role::kDelete || role == Role::kCreate) {
      if (random() % 2 == 0) put_the_spare_back();  // F-7: a later create never fails because of it
      if (random() % 8 == 0) delete_feed(base(), "spare", true);
    }
    if (round % 16 == 11) {  // F-132: and whatever is left, repair makes whole, and once is enough
      ASSERT_FALSE(repair_base(base()).failed());
      const RepairReport again = repair_base(base());
      ASSERT_TRUE(again.actions.empty()) << text_of(again.actions.front());
      ASSERT_TRUE(again.left.sound()) << text_of(again.left.findings.front());
      prune(*spare_, {});  // so that no look takes longer than another
    }
  }
  std::string text;
  for (size_t role = 0; role < kRoles; ++role) text += concat(" ", kRoleNames[role], "=", kills[role]);
  std::printf("%d kills:%s; %llu looks, %llu by Python, %llu ms\n", total, text.c_str(), static_cast<unsigned long long>(judge_.looks()),
              static_cast<unsigned long long>(test::PythonReader::instance().asked()), static_cast<unsigned long long>((monotonic_ns() - began_ns) / kNsPerMs));
  EXPECT_GE(total, wanted);
}

// ---- every named step ------------------------------------------------------------------------------------------------------------

// Steps that there must be, or the test no longer sees what it is there for: F-47, F-64, F-128, F-7, F-11, F-27.
const std::map<Role, std::vector<std::string>>& named_steps() {
  static const std::map<Role, std::vector<std::string>> names = {
      {Role::kTiered,
       {"create live chunk.data", "write disk feed_registry.bin", "sync disk feed_registry.bin", "create disk .tmp-chunk.data",
        "rename disk chunk.data", "write disk chunk.data", "sync disk chunk.data", "sync directory disk tiered", "resize disk chunk.data",
        "create disk .tmp-chunk.idx", "rename disk chunk.idx", "rename live .tmp-spare", "unlink live chunk.data", "unlink live live",
        "remove directory live directory"}},
      {Role::kDurable, {"create live chunk.data", "create disk .tmp-chunk.data", "rename disk chunk.data", "sync disk chunk.data", "resize disk chunk.data"}},
      {Role::kFrames, {"create live chunk.data", "write disk chunk.data", "sync disk chunk.data", "rename disk chunk.idx"}},
      {Role::kMemory, {"create live chunk.data", "write disk feed_registry.bin", "write live chunk.idx"}},
      {Role::kPersistd, {"write disk feed_registry.bin", "sync disk chunk.data", "resize disk chunk.data", "unlink live chunk.data"}},
      {Role::kRepair, {"write disk feed_registry.bin", "sync disk chunk.data", "unlink live chunk.data"}},
      {Role::kPrune, {"write disk feed_registry.bin", "sync disk feed_registry.bin", "unlink disk chunk.data", "unlink disk chunk.idx"}},
      {Role::kCompaction, {"create disk .tmp-feed_registry.bin", "sync disk .tmp-feed_registry.bin", "rename disk feed_registry.bin", "sync directory disk tiered"}},
      {Role::kDelete, {"write disk registry.bin", "sync disk registry.bin", "unlink disk chunk.data", "remove directory disk spare", "sync directory disk feeds"}},
      {Role::kCreate,
       {"make directory disk .tmp-feed", "write disk .tmp-feed_registry.bin", "rename disk schema.bin", "rename disk definition.bin",
        "rename disk spare", "sync directory disk feeds", "write disk registry.bin", "sync disk registry.bin"}},
  };
  return names;
}

class KillsAt : public Kills {
 protected:
  // A base with something to do for that role; the same each time.
  void prepare(Role role) {
    begin();
    for (size_t feed = 0; feed < kWriters; ++feed) {
      floors_[feed] = 0;
      Told& told = *writers_[feed];
      told.acknowledged = told.pending = told.durable = 0;
    }
    if (role == Role::kCreate) delete_feed(base(), "spare");
    const bool many = role == Role::kPrune || role == Role::kCompaction;
    Helper writer([&](const Helper&) {
      for (size_t feed = 0; feed < kWriters; ++feed) {
        for (int life = 0; life < (role == Role::kCompaction ? 3 : 1); ++life) {
          const bool crashes = feed == 3 || role == Role::kPersistd || role == Role::kRepair || static_cast<size_t>(role) == feed;
          if (crashes) {
            Helper crashing([&](const Helper&) { write_and_die(feed, many ? 500 : 120); });
            crashing.join();
          } else {
            write(*writers_[feed], {}, feed, many ? 500 : 120);
          }
        }
      }
    });
    ASSERT_TRUE(writer.join());
    if (role == Role::kCompaction) {
      SharedTold told;
      prune(*told, {});
    }
  }
  void write_and_die(size_t feed, uint64_t appends) {
    Told& told = *writers_[feed];
    auto writer = FeedWriter::open(base(), kFeedNames[feed]);
    for (uint64_t turn = 0; turn < appends; ++turn) ASSERT_TRUE(append_some(writer, told, feed));
    ::raise(SIGKILL);
  }
  void life(Role role, Told& told, const Death& death) {
    told.steps = told.names = 0;
    told.finished = false;
    Helper victim([&](const Helper&) { act(role, told, death, 250); });
    victim.join();
  }

  void every_step(Role role) {
    std::map<std::string, uint64_t> names;  // and how often
    prepare(role);
    if (HasFatalFailure()) return;
    life(role, told_of(role), {.tell_names = true});
    const SharedTold& told = static_cast<size_t>(role) < kWriters ? writers_[static_cast<size_t>(role)] : others_;
    for (const std::string& name : told.names()) ++names[name];
    std::string all;
    for (const auto& [name, count] : names) all += concat(name, " x ", count, "\n");
    for (const std::string& name : named_steps().at(role)) ASSERT_EQ(names.count(name), 1u) << "no step is '" << name << "', but:\n" << all;
    look();
    ASSERT_FALSE(HasFatalFailure()) << "without a kill";
    const bool full = std::getenv("TIDEPOOL_TEST_FULL") != nullptr;
    const uint64_t seed = test::seed();
    uint64_t turn = seed;
    const auto nth = std::clamp<uint64_t>(names.size() / 2, 1, 5 * test::kSliceDivisor);  // of a slice; two at least, if there are two
    uint64_t looks = 0;
    uint64_t kills = 0;
    for (const auto& [name, count] : names) {
      for (uint64_t occurrence = 1; occurrence <= std::min<uint64_t>(count, full ? 3 : 1); ++occurrence) {
        if (!full && turn++ % nth != 0) continue;
        prepare(role);
        ASSERT_FALSE(HasFatalFailure());
        life(role, told_of(role), {.name = name, .occurrence = occurrence});
        kills += told->finished ? 0 : 1;
        look();
        ASSERT_FALSE(HasFatalFailure()) << "killed before '" << name << "', for the " << occurrence << ". time";
        if (looks++ % 3 == 0 || full) look_after_reboot();
        ASSERT_FALSE(HasFatalFailure()) << "killed before '" << name << "', for the " << occurrence << ". time, then a reboot";
        // G-6: who comes next does all of it.
        life(role, told_of(role), {});
        ASSERT_TRUE(told->finished || role == Role::kMemory) << "after '" << name << "', for the " << occurrence << ". time";
        look();
        ASSERT_FALSE(HasFatalFailure()) << "killed before '" << name << "', for the " << occurrence << ". time, and done again";
      }
    }
    std::printf("%llu kills at %zu named steps\n", static_cast<unsigned long long>(kills), names.size());
    EXPECT_GT(kills, 0u);
  }
};

TEST_F(KillsAt, EveryNamedStepOfATieredWriterCostNothing) {  // F-156, F-47, F-52, F-64, X-1, X-3, X-15, G-1, G-2, G-3, G-4, G-5, G-6
  every_step(Role::kTiered);
}

TEST_F(KillsAt, EveryNamedStepOfADurableWriterCostNothing) {  // F-156, F-47, F-52, F-64, X-1, X-3, X-15, G-1, G-2, G-3, G-4, G-5, G-6
  every_step(Role::kDurable);
}

TEST_F(KillsAt, EveryNamedStepOfAWriterOfFramesCostNothing) {  // F-156, F-47, F-52, F-119, X-1, X-3, X-15, G-1, G-2, G-3, G-4, G-5, G-6
  every_step(Role::kFrames);
}

TEST_F(KillsAt, EveryNamedStepOfAWriterInMemoryCostNothing) {  // F-156, F-47, X-1, X-3, X-15, G-1, G-2, G-4, G-5, G-6
  every_step(Role::kMemory);
}

TEST_F(KillsAt, EveryNamedStepOfThePersisterCostNothing) {  // F-156, F-63, F-64, F-67, G-1, G-2, G-3, G-4, G-5, G-6
  every_step(Role::kPersistd);
}

TEST_F(KillsAt, EveryNamedStepOfRepairCostNothing) {  // F-156, F-132, F-134, G-1, G-2, G-3, G-4, G-5, G-6
  every_step(Role::kRepair);
}

TEST_F(KillsAt, EveryNamedStepOfPruneCostNothing) {  // F-156, F-128, X-14, G-1, G-2, G-4, G-5, G-6
  every_step(Role::kPrune);
}

TEST_F(KillsAt, EveryNamedStepOfCompactionCostNothing) {  // F-156, F-27, G-1, G-2, G-3, G-4, G-5, G-6
  every_step(Role::kCompaction);
}

TEST_F(KillsAt, EveryNamedStepOfDeleteCostNothing) {  // F-156, F-11, G-1, G-4, G-5, G-6
  every_step(Role::kDelete);
}

TEST_F(KillsAt, EveryNamedStepOfCreateCostNothing) {  // F-156, F-7, G-1, G-4, G-5, G-6
  every_step(Role::kCreate);
}

}  // namespace
}  // namespace tidepool::feed::kills_test

// Other users, other containers, and processes that have no file left to open: what real kernels refuse.

#include <fcntl.h>
#include <grp.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <algorithm>
#include <filesystem>

#include "tidepool/feed/health.h"
#include "tidepool/feed/repair.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed::rights_test {
namespace {

using test::expect_fault;
using test::row_of;

constexpr uid_t kOwner = 65532;
constexpr uid_t kStranger = 65533;
constexpr gid_t kGroup = 65531;

// For a child alone: somebody without any right but his own.
void become(uid_t uid, gid_t gid) {
  ASSERT_EQ(::setgroups(0, nullptr), 0);
  ASSERT_EQ(::setresgid(gid, gid, gid), 0);
  ASSERT_EQ(::setresuid(uid, uid, uid), 0);
}

class RightsTest : public test::FeedTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: needs root to become somebody else";
    std::filesystem::create_directory(base());
    for (const std::string& path : {root.path(), base()}) {
      ASSERT_EQ(::chown(path.c_str(), kOwner, kGroup), 0);
      ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
    }
  }
  FeedOptions tiny() const {
    FeedOptions tiny = options(Storage::kTiered);
    tiny.chunk_bytes = 4096;  // 128 rows
    return tiny;
  }
  // As the owner: rows [0, rows).
  void write_as_owner(uint64_t rows) const {
    ASSERT_EQ(shm::test::in_child([&] {
                become(kOwner, kGroup);
                auto writer = FeedWriter::create(base(), "trades", test::row_schema(), tiny());
                append(writer, 0, rows);
              }),
              shm::test::ChildOutcome::kPassed);
  }
  std::string directory() const { return base() + "/feeds/trades"; }
};

TEST_F(RightsTest, EachRefusalNamesWhatWasWantedOfWhat) {  // X-21, F-125
  write_as_owner(300);
  const auto expect_refused = [&](const std::string& path, const std::string& what, const std::function<void()>& body) {
    const FeedError error = test::fault_of(body);
    EXPECT_EQ(fault_name(error.fault()), "PERMISSION_DENIED") << error.what();
    EXPECT_NE(std::string_view(error.what()).find(what), std::string_view::npos) << "'" << what << "' is not in: " << error.what();
    EXPECT_NE(std::string_view(error.what()).find(path), std::string_view::npos) << path << " is not in: " << error.what();
  };
  const std::string registry = base() + "/registry.bin";
  const std::string chunk = concat(directory(), "/", chunk_name(2));
  // Each of them closed in turn, to a member of the group.
  for (const std::string& path : {registry, directory() + "/schema.bin", directory() + "/feed_registry.bin"}) {
    const mode_t before = shm::test::mode_of(path);
    ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
    TIDEPOOL_IN_CHILD([&] {
      become(kStranger, kGroup);
      expect_refused(path, "open for reading ", [&] { read(); });
    });
    ASSERT_EQ(::chmod(path.c_str(), before), 0);
  }
  ASSERT_EQ(::chmod(chunk.c_str(), 0600), 0);
  TIDEPOOL_IN_CHILD([&] {
    become(kStranger, kGroup);
    auto reader = read({.from = At::oldest()});
    expect_rows(reader, 0, 128);
    expect_refused(chunk, "open for reading ", [&] { static_cast<void>(reader.next()); });
    expect_refused(chunk, "open for reading ", [&] { static_cast<void>(reader.next()); });  // and never as if it had been read
    EXPECT_EQ(reader.next_seq(), 128u);
    // The right to read is none to write, make, change or remove.
    expect_refused(directory() + "/writer.lock", "lock ", [&] { FeedWriter::open(base(), "trades"); });
    expect_refused(base() + "/registry.lock", "lock ", [&] { create_feed(base(), "new", test::row_schema(), tiny()); });
    expect_refused(base() + "/registry.lock", "lock ", [&] { delete_feed(base(), "trades"); });
    expect_refused(base() + "/registry.lock", "lock ", [&] { repair_base(base()); });
    expect_refused(base() + "/sub", "make directory ", [&] { create_base(base() + "/sub"); });
  });
  ASSERT_EQ(::chmod(chunk.c_str(), 0640), 0);
  // The owner, where live objects may not be made.
  ASSERT_EQ(::chown(root.path().c_str(), 0, 0), 0);
  TIDEPOOL_IN_CHILD([&] {
    become(kOwner, kGroup);
    expect_refused(concat(root.path(), "/tidepool-"), "make directory ", [&] { FeedWriter::open(base(), "trades"); });
  });
}

TEST_F(RightsTest, AnotherUserOfTheGroupReadsHistoryAndWhatComes) {  // F-94, X-21, F-81, F-109, G-4
  TIDEPOOL_IN_CHILD([&] {
    become(kOwner, kGroup);
    create_feed(base(), "trades", test::row_schema(), tiny());
  });
  for (const bool may_ring : {true, false}) {
    int go[2];
    ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
    test::Helper process([&](const test::Helper& self) {
      become(kOwner, kGroup);
      auto writer = FeedWriter::open(base(), "trades");
      const uint64_t first = writer.next_seq();
      append(writer, first, first + 500);
      self.ready();
      char followed = 0;
      EXPECT_EQ(::read(go[0], &followed, 1), 1);
      append(writer, first + 500, first + 1000);
      self.sleep_for_ever();
    });
    ASSERT_EQ(process.wait_ready(), 0);
    const uint64_t first = may_ring ? 0 : 1000;
    const FeedInfo info = find_feed(base(), "trades", Files::system());
    const std::string doorbell = live_directory_path(info) + "/doorbell";
    EXPECT_EQ(shm::test::mode_of(doorbell), mode_t{0660});
    ASSERT_EQ(::chmod(doorbell.c_str(), may_ring ? 0660 : 0600), 0);
    TIDEPOOL_IN_CHILD([&] {
      become(kStranger, kGroup);
      auto reader = read({.from = At::sequence(first), .stalled_after_ns = 60 * kNsPerSecond});
      expect_rows(reader, first, first + 500);
      EXPECT_EQ(::write(go[1], "!", 1), 1);
      expect_rows(reader, first + 500, first + 1000);
      EXPECT_EQ(reader.writer_state(), WriterState::kActive);
      EXPECT_TRUE(reader.latest_chunk()->live);
    });
    TIDEPOOL_IN_CHILD([&] {
      become(kStranger, kStranger);  // not of the group
      EXPECT_THROW(read(), FeedError);
    });
    process.kill();
    TIDEPOOL_IN_CHILD([&] {
      become(kOwner, kGroup);
      FeedWriter::open(base(), "trades").close();
    });
    ::close(go[0]);
    ::close(go[1]);
  }
}

TEST_F(RightsTest, ASnapshotIsReadByWhoMayOnlyRead) {  // F-94, F-153, X-20, G-5
  TIDEPOOL_IN_CHILD([&] {
    become(kOwner, kGroup);
    create_feed(base(), "trades", test::row_schema(), tiny());
  });
  test::Helper process([&](const test::Helper& self) {
    become(kOwner, kGroup);
    auto writer = FeedWriter::open(base(), "trades");
    append(writer, 0, 300);
    writer.sync();
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(process.wait_ready(), 0);
  namespace fs = std::filesystem;
  const std::string snapshot = root / "snapshot";
  copy_in_use(base(), snapshot);  // of a feed that is being written
  for (const auto& entry : fs::recursive_directory_iterator(snapshot))
    ASSERT_EQ(::chmod(entry.path().c_str(), entry.is_directory() ? 0555 : 0444), 0);
  ASSERT_EQ(::chmod(snapshot.c_str(), 0555), 0);
  TIDEPOOL_IN_CHILD([&] {
    become(kStranger, kStranger);
    auto reader = FeedReader::open(snapshot, "trades", {.from = At::oldest(), .stop_when_inactive = true});
    expect_rows(reader, 0, 300);
    EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
    EXPECT_EQ(reader.first_after(row_of(200).time_ns), 200u);
    EXPECT_TRUE(verify_base(snapshot).sound());
  });
}

TEST_F(RightsTest, LockFilesAreNoBusinessOfReaders) {  // F-105, F-43, G-4
  const std::string locks[] = {base() + "/registry.lock", directory() + "/writer.lock", directory() + "/append.lock"};
  const auto expect_read = [&](uint64_t rows, WriterState state) {
    TIDEPOOL_IN_CHILD([&] {
      become(kStranger, kGroup);
      auto reader = read({.from = At::oldest(), .stalled_after_ns = 60 * kNsPerSecond});
      expect_rows(reader, 0, rows);
      EXPECT_EQ(writer_state_name(reader.writer_state()), writer_state_name(state));
      EXPECT_TRUE(reader.has_data_since(row_of(rows - 1).time_ns));
    });
  };
  TIDEPOOL_IN_CHILD([&] {
    become(kOwner, kGroup);
    create_feed(base(), "trades", test::row_schema(), tiny());
  });
  {
    int go[2];
    ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
    test::Helper process([&](const test::Helper& self) {
      become(kOwner, kGroup);
      auto writer = FeedWriter::open(base(), "trades");
      append(writer, 0, 300);
      self.ready();
      char looked = 0;
      EXPECT_EQ(::read(go[0], &looked, 1), 1);
      append(writer, 300, 310);
      writer.close();
    });
    ASSERT_EQ(process.wait_ready(), 0);
    for (const std::string& lock : locks) ASSERT_EQ(::chmod(lock.c_str(), 0), 0);
    expect_read(300, WriterState::kActive);
    // Gone, while the writer holds its own: what is read is no other.
    for (const std::string& lock : locks) std::filesystem::remove(lock);
    TIDEPOOL_IN_CHILD([&] {
      become(kStranger, kGroup);
      auto reader = read({.from = At::oldest()});
      expect_rows(reader, 0, 300);
    });
    EXPECT_EQ(::write(go[1], "!", 1), 1);
    EXPECT_TRUE(process.join());
    ::close(go[0]);
    ::close(go[1]);
  }
  for (const std::string& lock : locks) std::filesystem::remove(lock);
  expect_read(310, WriterState::kClosed);
}

TEST_F(RightsTest, AReadOnlyMountIsEnough) {  // F-94, X-21, G-5
  write_as_owner(300);
  TIDEPOOL_IN_CHILD([&] {
    const std::string path = base();
    const char* at = path.c_str();
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount(at, at, nullptr, MS_BIND, nullptr) != 0 ||
        ::mount("none", at, nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0)
      GTEST_SKIP() << "SKIPPED: no mounts here";
    ASSERT_EQ(::open((path + "/registry.bin").c_str(), O_RDWR | O_CLOEXEC), -1);
    ASSERT_EQ(errno, EROFS);
    auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
    expect_rows(reader, 0, 300);
    EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
    EXPECT_TRUE(verify_base(path).sound());
    expect_fault(Fault::kPermission, "Read-only file system", [&] { FeedWriter::open(path, "trades"); });
  });
}

TEST_F(RightsTest, APidOfAnotherNamespaceIsNeverJudged) {  // X-17, F-43, X-10
  create_feed(base(), "trades", test::row_schema(), tiny());
  // The writer is pid 1 of a namespace of its own; here pid 1 is somebody else, who lives as well.
  test::Helper process([&](const test::Helper& self) {
    if (::unshare(CLONE_NEWPID) != 0) return self.ready(1);
    const pid_t inner = ::fork();
    if (inner != 0) self.sleep_for_ever();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    EXPECT_EQ(::getpid(), 1);
    auto writer = FeedWriter::open(base(), "trades");
    append(writer, 0, 100);
    self.ready();
    self.sleep_for_ever();
  });
  const int ready = process.wait_ready();
  if (ready == 1) GTEST_SKIP() << "SKIPPED: no PID namespaces here";
  ASSERT_EQ(ready, 0);
  auto reader = read({.from = At::oldest(), .stalled_after_ns = 60 * kNsPerSecond});
  expect_rows(reader, 0, 100);
  EXPECT_EQ(reader.writer_state(), WriterState::kActive);
  expect_fault(Fault::kWriterBusy, "(pid 1 of another container or PID namespace)", [&] { FeedWriter::open(base(), "trades"); });
  expect_fault(Fault::kWriterBusy, "of another container", [&] { delete_feed(base(), "trades"); });
  EXPECT_EQ(repair_base(base()).skipped.size(), 1u);
  process.kill();
  // Its lock tells that it has ended, though pid 1 is there for ever.
  until([&] { return reader.writer_state() == WriterState::kCrashed; });
  auto next = FeedWriter::open(base(), "trades");
  EXPECT_EQ(next.recovery().next_seq, 100u);
}

// ---- nothing left to open with -------------------------------------------------------------------------------------------------------

class LimitsTest : public test::FeedTest {
 protected:
  void write_many() const {
    FeedOptions tiny = options(Storage::kTiered);
    tiny.chunk_bytes = 4096;
    auto writer = FeedWriter::create(base(), "trades", test::row_schema(), tiny);
    append(writer, 0, 5000);  // 40 chunks
  }
};

TEST_F(LimitsTest, AReaderWithoutAFileDescriptorSaysSoAndGoesOnWithOne) {  // X-24, G-2, G-6
  if (shm::test::kAddressSanitizer) GTEST_SKIP() << "UndefinedBehaviorSanitizer looks at objects through a pipe, and takes them for broken where it gets none";
  write_many();
  TIDEPOOL_IN_CHILD([&] {
    auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
    expect_rows(reader, 0, 200);  // the second chunk
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none{3, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    expect_rows(reader, 200, 256);  // what is mapped needs none
    for (int i = 0; i < 3; ++i) {
      expect_fault(Fault::kNoSpace, "Too many open files", [&] { static_cast<void>(reader.next()); });
      EXPECT_EQ(reader.next_seq(), 256u) << "nothing is passed over";
    }
    expect_fault(Fault::kNoSpace, "registry.bin", [&] { read(); });
    EXPECT_NE(reader.writer_state(), WriterState::kCrashed);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    expect_rows(reader, 256, 5000);
    EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
  });
}

// A process that may have so many mappings.
class FewMappings : public SystemFiles {
 public:
  void* map(int fd, size_t bytes, bool writable) noexcept override {
    if (mapped >= 8) {
      ++refused;
      errno = ENOMEM;
      return nullptr;
    }
    void* at = SystemFiles::map(fd, bytes, writable);
    if (at != nullptr) ++mapped;
    return at;
  }
  int unmap(void* at, size_t bytes) noexcept override {
    --mapped;
    return SystemFiles::unmap(at, bytes);
  }
  int mapped = 0;
  int refused = 0;
};

TEST_F(LimitsTest, AReaderWithoutAMappingGivesBackWhatItUsedLongestAgo) {  // X-24, F-97
  write_many();
  FewMappings files;
  auto reader = read({.from = At::oldest(), .stop_when_inactive = true, .mapped_chunks_max = 1000, .files = &files});
  expect_rows(reader, 0, 5000);
  EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
  EXPECT_GE(files.refused, 20) << "it came to the limit again and again";
  EXPECT_GE(files.mapped, 5) << "and gave back no more than was needed";
}

}  // namespace
}  // namespace tidepool::feed::rights_test

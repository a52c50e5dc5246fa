// What is asked of the machine: memory of a kind, modes of files, locks that can be asked, file systems that are this host's.

#include <fcntl.h>
#include <sys/syscall.h>

#include <atomic>
#include <thread>

#include "tidepool/feed/health.h"
#include "tidepool/feed/network_fs.h"
#include "tidepool/feed/registry_parts.h"
#include "tidepool/feed/settings.h"
#include "tidepool/feed/test_support.h"

namespace tidepool::feed::memory_test {
namespace {

using test::expect_fault;
using test::row_of;

// F-154: what cannot be otherwise where this builds.
static_assert(sizeof(void*) == 8 && std::endian::native == std::endian::little);
static_assert(page_floor(0x12345678, 4096) == 0x12345000 && page_floor(0x12345678, 16384) == 0x12344000 &&
              page_floor(0x12345678, 65536) == 0x12340000);
// F-106: where 64-bit atomics are not lock-free, nothing builds; the commit word has its cache line to itself.
static_assert(std::atomic_ref<uint64_t>::is_always_lock_free && std::atomic_ref<uint32_t>::is_always_lock_free);

class MemoryTest : public test::FeedTest {
 protected:
  FeedOptions asking() const {
    FeedOptions asking = options(Storage::kTiered);
    asking.huge_pages = true;
    asking.lock_memory = true;
    return asking;
  }
  FeedWriter make_asking(Files& files) const {
    return FeedWriter::create(base(), "trades", test::row_schema(), asking(), {.files = &files});
  }
  std::string live_directory() const { return live_directory_path(find_feed(base(), "trades", Files::system())); }
};

// What is asked for and how often; refused or granted.
class AskedFiles : public SystemFiles {
 public:
  explicit AskedFiles(bool grants) : grants_(grants) {}
  int advise_huge(int, void*, size_t) noexcept override { return ++huge, answer(EOPNOTSUPP); }
  int lock_memory(void*, size_t) noexcept override { return ++locked, answer(ENOMEM); }
  int populate(void* at, size_t bytes) noexcept override { return grants_ ? SystemFiles::populate(at, bytes) : answer(EINVAL); }
  std::atomic<int> huge{0};
  std::atomic<int> locked{0};

 private:
  int answer(int err) const noexcept {
    errno = err;
    return grants_ ? 0 : -1;
  }
  bool grants_;
};

TEST_F(MemoryTest, ThatIsRefusedIsToldAndDoneWithout) {  // F-69
  AskedFiles files(false);
  auto writer = make_asking(files);
  append(writer, 0, 5000);
  const std::string refused = writer.health().memory_refused;
  for (const char* what : {"huge pages", "Operation not supported", "locked memory", "Cannot allocate memory",
                           "touching pages ahead", "Invalid argument"})
    EXPECT_NE(refused.find(what), std::string::npos) << refused;
  EXPECT_TRUE(writer.health().trouble.empty()) << "it is none";
  writer.close();
  auto reader = read({.from = At::oldest(), .stop_when_inactive = true});
  expect_rows(reader, 0, 5000);
}

TEST_F(MemoryTest, IsAskedForOnlyWhereTheFeedWantsIt) {  // F-69
  AskedFiles files(true);
  auto writer = make_asking(files);
  append(writer, 0, 3000);
  EXPECT_GE(files.huge.load(), 2);
  EXPECT_EQ(files.locked.load(), files.huge.load());
  EXPECT_EQ(writer.health().memory_refused, "");
  writer.close();
  AskedFiles others(true);
  auto plain = FeedWriter::create(base(), "plain", test::row_schema(), options(Storage::kDurable), {.files = &others});
  append(plain, 0, 3000);
  EXPECT_EQ(others.huge.load() + others.locked.load(), 0);
}

TEST_F(MemoryTest, StaysInMemoryWhereTheMachineAllowsIt) {  // F-69
  TIDEPOOL_IN_CHILD([&] {
    auto writer = make_asking(Files::system());
    append(writer, 0, 3000);
    const std::string refused = writer.health().memory_refused;
    const std::string status = shm::test::read_file("/proc/self/status");
    const auto at = status.find("VmLck:");
    ASSERT_NE(at, std::string::npos);
    const bool any = std::strtoull(status.c_str() + at + 6, nullptr, 10) != 0;
    EXPECT_EQ(any, refused.find("locked memory") == std::string::npos) << refused << "\n" << status.substr(at, 40);
  });
}

TEST_F(MemoryTest, OptionsAreKeptAndCanBeChanged) {  // F-69, F-10, F-154
  FeedOptions wanted = asking();
  wanted.file_mode = 0600;
  wanted.shm_mode = 0644;
  create_feed(base(), "trades", test::row_schema(), wanted);
  EXPECT_EQ(find_feed(base(), "trades", Files::system()).options, wanted);
  std::string why;
  const auto definition = read_definition(Files::system(), base() + "/feeds/trades", why);
  ASSERT_TRUE(definition) << why;
  EXPECT_EQ(definition->options, wanted);
  wanted.huge_pages = false;
  wanted.shm_mode = 0;
  EXPECT_TRUE(change_feed(base(), "trades", wanted));
  EXPECT_EQ(find_feed(base(), "trades", Files::system()).options, wanted);
}

TEST_F(MemoryTest, AndFilesHaveTheModesThatTheFeedWants) {  // F-154
  using shm::test::mode_of;
  const mode_t umask_before = ::umask(0);
  const auto expect_modes = [&](mode_t file, mode_t live) {
    auto writer = FeedWriter::open(base(), "trades");
    append(writer, writer.next_seq(), writer.next_seq() + 1500);
    writer.sync();
    const std::string directory = base() + "/feeds/trades";
    int chunks = 0;
    for (const std::string& name : names_in(directory)) {
      if (name.ends_with(".lock")) continue;  // a lock takes the right to write, and gives none
      EXPECT_EQ(mode_of(concat(directory, "/", name)), file) << name;
      chunks += ordinal_of(name) ? 1 : 0;
    }
    EXPECT_GE(chunks, 1);
    EXPECT_EQ(mode_of(directory), directory_mode(file));
    for (const std::string& name : names_in(live_directory())) {
      if (!ordinal_of(name) && name != LivePage::kName) continue;
      EXPECT_EQ(mode_of(concat(live_directory(), "/", name)), live) << name;
    }
    EXPECT_EQ(mode_of(live_directory()), directory_mode(live));
  };
  FeedOptions modes = options(Storage::kTiered);
  create_feed(base(), "trades", test::row_schema(), modes);
  expect_modes(0640, 0640);  // the owner reads and writes, the group reads
  delete_feed(base(), "trades");
  modes.file_mode = 0600;
  modes.shm_mode = 0644;
  create_feed(base(), "trades", test::row_schema(), modes);
  expect_modes(0600, 0644);
  ::umask(umask_before);
  for (const uint32_t wrong : {0777u, 0400u, 0u, 04640u}) {
    modes.file_mode = wrong;
    expect_fault(Fault::kUsage, "file_mode", [&] { create_feed(base(), "other", test::row_schema(), modes); });
  }
}

TEST_F(MemoryTest, CommitWordsHaveACacheLineToThemselves) {  // F-106, F-108
  alignas(64) std::byte page[kChunkPageBytes] = {};
  const ChunkWords words(page);
  words.committed().publish(0x1122334455667788);
  words.state().publish(2);
  words.durable().publish(7);
  // What the persister writes lies in other lines than what the appending thread writes.
  EXPECT_EQ(load<uint64_t>(page + 256), 0x1122334455667788u);
  EXPECT_EQ(256 % 64, 0);
  EXPECT_EQ(words.committed().load(), 0x1122334455667788u);
  for (size_t at = 0; at < sizeof page; ++at) {
    if (page[at] == std::byte{0} || (at >= 256 && at < 264)) continue;
    EXPECT_TRUE(at < 256 || at >= 320) << at;
  }
}

// In a child: as on a file system whose locks cannot be asked.
bool refuse_to_ask() { return shm::test::refuse_syscall(SYS_fcntl, ENOLCK, shm::test::Argument{1, F_OFD_GETLK}); }

// ---- locks -----------------------------------------------------------------------------------------------------------------------

TEST_F(MemoryTest, ALockThatCannotBeAskedIsUnknownAndNeverFree) {  // F-43, X-17
  make(Storage::kTiered).close();
  test::Helper crash([&](const test::Helper& self) {
    auto writer = FeedWriter::open(base(), "trades");
    append(writer, 0, 10);
    self.ready();
    self.sleep_for_ever();
  });
  ASSERT_EQ(crash.wait_ready(), 0);
  TIDEPOOL_IN_CHILD([&] {
    if (!refuse_to_ask()) GTEST_SKIP() << "SKIPPED: no seccomp here";
    auto reader = read({.from = At::oldest()});
    until([&] { return reader.writer_state() == WriterState::kActive; });  // by its heart
  });
  crash.kill();
  TIDEPOOL_IN_CHILD([&] {
    if (!refuse_to_ask()) GTEST_SKIP() << "SKIPPED: no seccomp here";
    auto reader = read({.from = At::oldest(), .stop_when_inactive = true, .stalled_after_ns = kNsPerMs});
    expect_rows(reader, 0, 10);
    until([&] { return reader.writer_state() == WriterState::kUnknown; });
    EXPECT_EQ(writer_state_name(reader.writer_state()), "unknown");
    EXPECT_EQ(reader.next(30 * kNsPerSecond).kind, Item::Kind::kStalled) << "told once, and never that it has ended";
    EXPECT_EQ(reader.next(kNsPerMs).kind, Item::Kind::kIdle);
  });
  auto reader = read({.from = At::oldest()});
  EXPECT_EQ(reader.writer_state(), WriterState::kCrashed) << "where it can be asked it is known";
  FeedWriter::open(base(), "trades").close();
  TIDEPOOL_IN_CHILD([&] {
    if (!refuse_to_ask()) GTEST_SKIP() << "SKIPPED: no seccomp here";
    EXPECT_EQ(read().writer_state(), WriterState::kClosed) << "that it closed is its own word";
  });
}

TEST_F(MemoryTest, AskingWhoWritesNeverKeepsAWriterOut) {  // F-43
  make(Storage::kTiered).close();
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> asked{0};
  std::thread asker([&] {
    auto reader = read();
    while (!stop) {
      static_cast<void>(reader.writer_state());
      asked.fetch_add(1);
    }
  });
  for (int i = 0; i < 10; ++i) {
    const uint64_t before = asked.load();
    until([&] { return asked.load() > before + 3; });
    EXPECT_NO_THROW(FeedWriter::open(base(), "trades").close()) << i;
  }
  stop = true;
  asker.join();
}

// ---- file systems ------------------------------------------------------------------------------------------------------------------

class RemoteFiles : public SystemFiles {
 public:
  RemoteFiles(std::string fragment, uint32_t magic) : fragment_(std::move(fragment)), magic_(magic) {}
  uint32_t file_system(const std::string& path) noexcept override {
    return path.find(fragment_) == std::string::npos ? SystemFiles::file_system(path) : magic_;
  }

 private:
  std::string fragment_;
  uint32_t magic_;
};

TEST_F(MemoryTest, FilesOfAnotherHostAreNotWrittenUnlessForced) {  // F-70
  make(Storage::kTiered).close();
  RemoteFiles nfs("feeds/trades", 0x6969);
  expect_fault(Fault::kUnsupportedFs, "(nfs)", [&] { FeedWriter::open(base(), "trades", {.files = &nfs}); });
  EXPECT_EQ(read().epochs().size(), 1u) << "and nothing was begun";
  RemoteFiles live(root.path(), 0xFF534D42);  // the shm_root, where mappings are what it is all about
  expect_fault(Fault::kUnsupportedFs, "(cifs)", [&] { FeedWriter::open(base(), "trades", {.files = &live}); });
  {
    auto forced = FeedWriter::open(base(), "trades", {.files = &nfs, .allow_network_fs = true});
    append(forced, 0, 3000);
  }
  // Sealed chunks may be read there.
  auto reader = read({.from = At::oldest(), .stop_when_inactive = true, .files = &nfs});
  expect_rows(reader, 0, 3000);
  EXPECT_EQ(reader.next().kind, Item::Kind::kEnded);
}

TEST_F(MemoryTest, FileSystemsOfOtherHostsAreKnownByName) {  // F-70, F-154
  EXPECT_EQ(network_file_system(0x6969), "nfs");
  EXPECT_EQ(network_file_system(0x517B), "smb");
  EXPECT_EQ(network_file_system(0xFE534D42), "smb3");
  EXPECT_EQ(network_file_system(0x01021997), "9p");
  EXPECT_EQ(network_file_system(0x00C36400), "ceph");
  // ext4, xfs, tmpfs, btrfs
  for (const uint32_t local : {0xEF53u, 0x58465342u, 0x01021994u, 0x9123683Eu, 0u}) EXPECT_EQ(network_file_system(local), "");
  EXPECT_EQ(Files::system().file_system(root.path()), 0x01021994u) << "the tests' own directory is a tmpfs";
  EXPECT_EQ(Files::system().file_system(root / "nowhere"), 0u);
}

}  // namespace
}  // namespace tidepool::feed::memory_test

#include "tidepool/transport/media_driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "tidepool/base/error.h"
#include "tidepool/transport/connection.h"
#include "tidepool/transport/test_media_driver.h"

namespace tidepool::transport {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using testing::connection_options;
using testing::driver_options;
using ::testing::HasSubstr;
using testing::poll_until;
using testing::TestDir;

TEST(MediaDriverTest, RunsInItsDirectoryAndDeletesItAtTheEnd) {
  const TestDir dir;
  {
    const MediaDriver driver(driver_options(dir.aeron()));
    EXPECT_EQ(driver.dir(), dir.aeron());
    EXPECT_TRUE(driver.running());
    const MediaDriverStatus status = media_driver_status(dir.aeron());
    EXPECT_TRUE(status.cnc_present);
    EXPECT_TRUE(status.alive) << status.problem;
    EXPECT_EQ(status.pid, static_cast<uint64_t>(::getpid()));
    EXPECT_EQ(status.client_liveness_ms, 10'000u);
    EXPECT_EQ(status.problem, "");
  }
  EXPECT_FALSE(fs::exists(dir.aeron()));
  EXPECT_TRUE(fs::is_empty(dir.path()));
}

TEST(MediaDriverTest, KeepsItsDirectoryWhenAskedAndTheNextOneTakesItAtOnce) {
  const TestDir dir;
  auto options = driver_options(dir.aeron());
  options.delete_dir_on_shutdown = false;
  {
    const MediaDriver driver(options);
  }
  EXPECT_TRUE(fs::exists(dir.aeron() + "/cnc.dat"));
  const MediaDriverStatus status = media_driver_status(dir.aeron());
  EXPECT_FALSE(status.alive);
  EXPECT_THAT(status.problem, HasSubstr("shut down"));
  const MediaDriver next(options);
  EXPECT_TRUE(next.running());
}

TEST(MediaDriverTest, IsRefusedWhereAnotherIsAlive) {
  const TestDir dir;
  const MediaDriver first(driver_options(dir.aeron()));
  try {
    const MediaDriver second(driver_options(dir.aeron()));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kRejected);
    EXPECT_THAT(e.what(), AllOf(HasSubstr(dir.aeron()), HasSubstr(std::to_string(::getpid())), HasSubstr("last heartbeat")));
  }
  EXPECT_TRUE(first.running());
  auto connection = Connection::open(connection_options(dir.aeron()));
  EXPECT_NE(connection->add_publication("aeron:ipc?term-length=64k", 7), nullptr);
}

TEST(MediaDriverTest, IsRefusedWhereAnotherIsAliveEvenIfThatMissesItsHeartbeats) {
  // A lock that somebody holds is life, whatever the heartbeat says: here of a driver that has just made its lock.
  const TestDir dir;
  auto options = driver_options(dir.aeron());
  options.driver_timeout_ms = options.timer_interval_ms + 1;
  const MediaDriver first(options);
  EXPECT_THROW(const MediaDriver second(options), Error);
}

TEST(MediaDriverTest, IsRefusedWhereAForeignDriverBeatsAndTakesOverOnceItIsSilent) {
  const TestDir dir;
  auto options = driver_options(dir.aeron());
  options.delete_dir_on_shutdown = false;
  auto foreign = std::make_unique<MediaDriver>(options);
  fs::remove(dir.aeron() + "/tidepool.lock");  // which aeronmd does not make
  EXPECT_THROW(const MediaDriver second(options), Error);
  foreign.reset();
  const MediaDriver next(options);
  EXPECT_TRUE(next.running());
}

TEST(MediaDriverTest, StartsOnceWhenManyStartAtOnce) {
  const TestDir dir;
  std::atomic<int> refused{0};
  std::atomic<int> failed{0};
  std::vector<std::unique_ptr<MediaDriver>> drivers(4);
  std::vector<std::thread> threads;
  for (auto& driver : drivers) {
    threads.emplace_back([&] {
      try {
        driver = std::make_unique<MediaDriver>(driver_options(dir.aeron()));
      } catch (const Error& e) {
        ++(e.code() == Code::kRejected ? refused : failed);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(refused, 3);
  EXPECT_EQ(failed, 0);
  for (const auto& driver : drivers) {
    EXPECT_TRUE(driver == nullptr || driver->running());
  }
}

TEST(MediaDriverTest, TakesOverALivingDirectoryWhenToldToAndTheOldOneLeavesItAlone) {
  const TestDir dir;
  auto options = driver_options(dir.aeron());
  auto old = std::make_unique<MediaDriver>(options);
  options.delete_dir_on_start = true;
  const MediaDriver next(options);
  EXPECT_FALSE(old->running());
  old.reset();
  EXPECT_TRUE(fs::exists(dir.aeron() + "/cnc.dat"));
  EXPECT_TRUE(next.running());
}

TEST(MediaDriverTest, IsNotRunningOnceItsDirectoryIsDeletedUnderIt) {
  const TestDir dir;
  const MediaDriver driver(driver_options(dir.aeron()));
  fs::remove_all(dir.aeron());
  EXPECT_FALSE(driver.running());
}

TEST(MediaDriverTest, LeavesAnUnreadableCncFileAloneUntilItIsOld) {
  const TestDir dir;
  fs::create_directory(dir.aeron());
  std::ofstream(dir.aeron() + "/cnc.dat") << "of another Aeron";
  auto options = driver_options(dir.aeron());
  options.driver_timeout_ms = 60'000;
  try {
    const MediaDriver driver(options);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kRejected);
    EXPECT_THAT(e.what(), HasSubstr("may be alive"));
  }
  EXPECT_TRUE(fs::exists(dir.aeron() + "/cnc.dat"));
  const timespec long_ago[2] = {{1'000'000, 0}, {1'000'000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (dir.aeron() + "/cnc.dat").c_str(), long_ago, 0), 0);
  const MediaDriver driver(options);
  EXPECT_TRUE(driver.running());
}

TEST(MediaDriverTest, TakesOverADirectoryWhoseMakerWasKilledAtIt) {
  const TestDir dir;
  fs::create_directory(dir.aeron());
  std::ofstream(dir.aeron() + "/cnc.dat") << std::string(4'096, '\0');
  const MediaDriver driver(driver_options(dir.aeron()));
  EXPECT_TRUE(driver.running());
}

TEST(MediaDriverTest, RefusesTimesAndSizesThatAeronWouldRefuseBeforeItTouchesTheDirectory) {
  const TestDir dir;
  const auto refused = [&](auto change, const char* name) {
    auto options = driver_options(dir.aeron());
    change(options);
    try {
      const MediaDriver driver(options);
      ADD_FAILURE() << name;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::kInvalidArgument);
      EXPECT_THAT(e.what(), HasSubstr(name));
    }
    EXPECT_FALSE(fs::exists(dir.aeron()));
  };
  refused([](auto& o) { o.timer_interval_ms = 0; }, "timer_interval_ms");
  refused([](auto& o) { o.client_liveness_ms = o.timer_interval_ms; }, "client_liveness_ms");
  refused([](auto& o) { o.driver_timeout_ms = 1; }, "driver_timeout_ms");
  refused([](auto& o) { o.untethered_window_limit_ms = o.timer_interval_ms; }, "untethered_window_limit_ms");
  refused([](auto& o) { o.untethered_resting_ms = o.timer_interval_ms; }, "untethered_resting_ms");
  refused([](auto& o) { o.client_liveness_ms = ~0ull; }, "client_liveness_ms");
  refused([](auto& o) { o.ipc_term_bytes = 65'535; }, "ipc_term_bytes");
  refused([](auto& o) { o.udp_term_bytes = (1ull << 30) + 1; }, "udp_term_bytes");
  refused([](auto& o) { o.dir.assign(5'000, 'd'); }, "too long");
}

TEST(MediaDriverTest, ShipsTheUntetheredTimesOfTheRulings) {  // P-6
  const MediaDriverOptions options;
  EXPECT_EQ(options.untethered_window_limit_ms, 100u);
  EXPECT_EQ(options.untethered_resting_ms, 1'000u);
  const TestDir dir;
  auto as_shipped = options;
  as_shipped.dir = dir.aeron();
  const MediaDriver driver(as_shipped);  // and Aeron takes them as they are
  EXPECT_TRUE(driver.running());
}

TEST(MediaDriverTest, RunsOnDedicatedThreadsToo) {
  const TestDir dir;
  auto options = driver_options(dir.aeron());
  options.dedicated_threads = true;
  const MediaDriver driver(options);
  auto connection = Connection::open(connection_options(dir.aeron()));
  EXPECT_NE(connection->add_publication("aeron:ipc?term-length=64k", 7), nullptr);
}

TEST(MediaDriverTest, PrintsNothing) {
  const TestDir dir;
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  {
    auto options = driver_options(dir.aeron());
    options.delete_dir_on_shutdown = false;
    {
      const MediaDriver driver(options);
      auto connection = Connection::open(connection_options(dir.aeron()));
      EXPECT_THROW(connection->add_publication("nonsense", 1), Error);  // ends up in the driver's error log
    }
    const MediaDriver again(driver_options(dir.aeron()));  // replaces a directory with errors in it
  }
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_TRUE(fs::is_empty(dir.path())) << "something was left beside the directory";
}

TEST(MediaDriverTest, SaysWhereItMayNotMakeItsDirectory) {
  MediaDriverOptions options = driver_options("/proc/tidepool-test/aeron");
  try {
    const MediaDriver driver(options);
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), AllOf(HasSubstr("media driver"), HasSubstr("/proc/tidepool-test")));
  }
}

TEST(MediaDriverTest, SaysWhenThereIsNoSpace) {
  const TestDir dir;
  const std::string small = dir.path() + "/small";
  fs::create_directory(small);
  if (::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=16m") != 0) GTEST_SKIP() << "may not mount a small tmpfs here";
  const struct Unmount {
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
    const std::string& path;
  } unmount{small};
  {
    std::ofstream(small + "/filler") << std::string(8 << 20, 'f');
    try {
      const MediaDriver driver(driver_options(small + "/aeron"));
      ADD_FAILURE();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::kNoSpace) << e.what();
      EXPECT_THAT(e.what(), HasSubstr(small));
    }
    EXPECT_FALSE(fs::exists(small + "/aeron"));
    fs::remove(small + "/filler");
    // Room for the driver, not for a log of 12 MiB: the log is refused, the driver goes on.
    const MediaDriver driver(driver_options(small + "/aeron"));
    auto connection = Connection::open(connection_options(small + "/aeron"));
    try {
      connection->add_publication("aeron:ipc?term-length=4m", 7);
      ADD_FAILURE();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::kNoSpace) << e.what();
    }
    EXPECT_NE(connection->add_publication("aeron:ipc?term-length=64k", 7), nullptr);
  }
}

TEST(MediaDriverStatusTest, IsNotAliveForAMissingOrDamagedDirectory) {
  const TestDir dir;
  EXPECT_FALSE(media_driver_status(dir.aeron()).alive);
  EXPECT_FALSE(media_driver_status(dir.aeron()).cnc_present);
  EXPECT_FALSE(media_driver_status("/proc/self/mem/nothing").alive);
  EXPECT_FALSE(media_driver_status(std::string(10'000, 'x')).alive);
  fs::create_directory(dir.aeron());
  for (const size_t size : {0, 1, 127, 128, 129, 4096, 1 << 20}) {
    for (const char fill : {'\0', '\x01', '\x7f', '\xff'}) {
      std::ofstream(dir.aeron() + "/cnc.dat", std::ios::trunc) << std::string(size, fill);
      const MediaDriverStatus status = media_driver_status(dir.aeron());
      EXPECT_TRUE(status.cnc_present);
      EXPECT_FALSE(status.alive) << size;
      EXPECT_NE(status.problem, "");
    }
  }
}

TEST(MediaDriverStatusTest, KnowsOneOfOursDeadByItsLockAndSilentByItsHeartbeat) {
  const TestDir dir;
  auto options = driver_options(dir.aeron());
  const MediaDriver driver(options);
  EXPECT_TRUE(media_driver_status(dir.aeron()).alive);
  // A timeout that every heartbeat has passed: it holds its lock, so it is not called dead.
  std::string problem;
  ASSERT_TRUE(testing::poll_until([&] {
    const MediaDriverStatus silent = media_driver_status(dir.aeron(), 0);
    problem = silent.problem;
    return !silent.alive;
  }));
  EXPECT_THAT(problem, HasSubstr("lives, by its kernel lock, but is silent"));

  // As after a SIGKILL: the file is there with a young heartbeat, and nobody holds the lock.
  const TestDir other;
  std::filesystem::create_directory(other.aeron());
  for (const char* name : {"/cnc.dat", "/tidepool.lock"}) std::filesystem::copy_file(dir.aeron() + name, other.aeron() + name);
  const MediaDriverStatus killed = media_driver_status(other.aeron(), 60'000);
  EXPECT_FALSE(killed.alive);
  EXPECT_THAT(killed.problem, HasSubstr("its kernel lock is free"));
  // One that made no lock, as aeronmd: its heartbeat is all there is.
  std::filesystem::remove(other.aeron() + "/tidepool.lock");
  EXPECT_TRUE(media_driver_status(other.aeron(), 60'000).alive);
}

TEST(MediaDriverStatusTest, SurvivesACncFileCutOrChangedAnywhere) {
  const TestDir dir;
  auto options = driver_options(dir.aeron());
  options.delete_dir_on_shutdown = false;
  {
    const MediaDriver driver(options);
  }
  const std::string path = dir.aeron() + "/cnc.dat";
  std::string whole;
  {
    std::ifstream in(path, std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(in), {});
  }
  ASSERT_GT(whole.size(), 1u << 20);
  for (size_t at = 0; at < 56; ++at) {  // every byte of the CnC's own header
    for (const char value : {'\0', '\x7f', '\xff'}) {
      std::string changed = whole.substr(0, 4096);
      changed[at] = value;
      std::fstream(path, std::ios::in | std::ios::out | std::ios::binary)
          .write(changed.data(), static_cast<std::streamsize>(changed.size()));
      const MediaDriverStatus status = media_driver_status(dir.aeron());
      EXPECT_TRUE(status.cnc_present);
      EXPECT_FALSE(status.alive);
    }
  }
  for (const size_t size : {whole.size() - 1, size_t{1} << 20, size_t{4096}, size_t{129}}) {
    std::ofstream(path, std::ios::binary | std::ios::trunc).write(whole.data(), static_cast<std::streamsize>(size));
    EXPECT_FALSE(media_driver_status(dir.aeron()).alive) << size;
  }
}

TEST(DefaultAeronDirTest, FollowsTheEnvironment) {
  const char* before = std::getenv("AERON_DIR");
  const std::string saved = before != nullptr ? before : "";
  ::setenv("AERON_DIR", "/dev/shm/somewhere", 1);
  EXPECT_EQ(default_aeron_dir(), "/dev/shm/somewhere");
  EXPECT_EQ(media_driver_status("").dir, "/dev/shm/somewhere");
  ::unsetenv("AERON_DIR");
  EXPECT_THAT(default_aeron_dir(), HasSubstr("aeron-"));
  if (before != nullptr) ::setenv("AERON_DIR", saved.c_str(), 1);
}

}  // namespace
}  // namespace tidepool::transport

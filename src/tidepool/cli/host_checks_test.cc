#include "tidepool/cli/host_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "tidepool/base/process.h"
#include "tidepool/cli/test_command.h"
#include "tidepool/shm/file_lock.h"

namespace tidepool::cli::host_checks_test {
namespace {

namespace fs = std::filesystem;
using namespace test;
using testing::HasSubstr;
using Status = Check::Status;

// A machine made of files.
class HostChecksTest : public ::testing::Test {
 protected:
  TemporaryDirectory root_;
  WithEnvironment log_{"TIDEPOOL_LOG", "error"};
  Host host_{.proc = root_ / "proc", .sys = root_ / "sys", .base_dir = root_ / "shm", .aeron_dir = root_ / "shm/aeron"};
  std::string user_ = host_.base_dir + "/tensorpool-" + sanitised_user_name();

  void SetUp() override {
    fs::create_directories(host_.base_dir);
    fs::create_directories(host_.proc + "/self");
    fs::create_directories(host_.sys + "/fs/cgroup");
  }
  void make_user_dir(mode_t mode) {
    fs::create_directories(user_);
    ASSERT_EQ(::chmod(user_.c_str(), mode), 0);
  }
};

TEST_F(HostChecksTest, MissingMediaDriverIsAWarningWithTheCommandToType) {
  const Check check = check_media_driver(host_);
  EXPECT_EQ(check.status, Status::kWarn);
  EXPECT_THAT(check.todo, HasSubstr("tidepool media-driver --aeron-dir " + host_.aeron_dir));
}

TEST_F(HostChecksTest, SharedMemoryMustBeThereAndWritable) {
  EXPECT_NE(check_shared_memory(host_).status, Status::kFail);
  EXPECT_THAT(check_shared_memory(host_).detail, HasSubstr("tmpfs"));
  host_.base_dir = root_ / "nowhere";
  const Check gone = check_shared_memory(host_);
  EXPECT_EQ(gone.status, Status::kFail);
  EXPECT_NE(gone.todo, "");
}

TEST_F(HostChecksTest, UserDirectoryMustBeOnesOwnAndClosedToOthers) {  // P-10, R-23
  EXPECT_EQ(check_permissions(host_).status, Status::kOk);
  EXPECT_THAT(check_permissions(host_).detail, HasSubstr("not there yet"));
  make_user_dir(0700);
  EXPECT_EQ(check_permissions(host_).status, Status::kOk);
  make_user_dir(0770);
  EXPECT_EQ(check_permissions(host_).status, Status::kOk);
  EXPECT_THAT(check_permissions(host_).detail, HasSubstr("600"));
  make_user_dir(0755);
  EXPECT_EQ(check_permissions(host_).status, Status::kWarn);
  make_user_dir(0707);
  EXPECT_EQ(check_permissions(host_).status, Status::kFail);
  fs::remove(user_);
  fs::create_symlink("/tmp", user_);
  EXPECT_EQ(check_permissions(host_).status, Status::kFail);
  EXPECT_THAT(check_permissions(host_).todo, HasSubstr("rm "));
  fs::remove(user_);
  write_file(user_, "");
  EXPECT_EQ(check_permissions(host_).status, Status::kFail);
}

TEST_F(HostChecksTest, SmallCgroupsAreSaid) {  // F-q
  write_file(host_.proc + "/meminfo", "MemTotal:       16000000 kB\nHugePages_Total:       0\n");
  EXPECT_EQ(check_memory_limit(host_).status, Status::kOk);
  write_file(host_.proc + "/self/cgroup", "0::/box/service\n");
  fs::create_directories(host_.sys + "/fs/cgroup/box/service");
  write_file(host_.sys + "/fs/cgroup/box/service/memory.max", "max\n");
  EXPECT_EQ(check_memory_limit(host_).status, Status::kOk);
  write_file(host_.sys + "/fs/cgroup/box/memory.max", "268435456\n");  // an ancestor's holds too
  const Check small = check_memory_limit(host_);
  EXPECT_EQ(small.status, Status::kWarn);
  EXPECT_THAT(small.detail, HasSubstr("256.0 MiB"));
  write_file(host_.sys + "/fs/cgroup/box/memory.max", "8589934592\n");
  EXPECT_EQ(check_memory_limit(host_).status, Status::kOk);
  EXPECT_THAT(check_memory_limit(host_).detail, HasSubstr("8.0 GiB"));
}

TEST_F(HostChecksTest, HugepagesAreCounted) {
  write_file(host_.proc + "/meminfo", "HugePages_Total:      16\nHugePages_Free:        3\nHugepagesize:       2048 kB\n");
  write_file(host_.proc + "/self/mounts", "tmpfs /dev/shm tmpfs rw 0 0\nnodev /mnt/huge hugetlbfs rw 0 0\n");
  EXPECT_EQ(check_hugepages(host_).detail, "3 of 16 free, 2.0 MiB each; hugetlbfs at /mnt/huge");
  write_file(host_.proc + "/meminfo", "");
  EXPECT_EQ(check_hugepages(host_).status, Status::kOk);
}

TEST_F(HostChecksTest, LeftoversOfDeadDriversAreFoundAndLiveOnesNamed) {  // P-7, P-8, R-01
  EXPECT_EQ(check_leftovers(host_).front().status, Status::kOk);
  fs::create_directories(user_ + "/lab/10000/7");
  write_file(user_ + "/lab/10000/7/1.pool", std::string(2 << 20, 'x'));
  const Check left = check_leftovers(host_).front();
  EXPECT_EQ(left.status, Status::kWarn);
  EXPECT_THAT(left.detail, HasSubstr("2.0 MiB left behind"));
  EXPECT_THAT(left.todo, HasSubstr("rm -r " + user_ + "/lab"));
  {
    const auto lock = shm::FileLock::acquire(shm::Directory::open(user_ + "/lab"), "driver.lock", "driver lab-a");
    const Check alive = check_leftovers(host_).front();
    EXPECT_EQ(alive.status, Status::kOk);
    EXPECT_THAT(alive.detail, HasSubstr("pid " + std::to_string(::getpid())));
    EXPECT_THAT(alive.detail, HasSubstr("driver lab-a"));
  }
  EXPECT_EQ(check_leftovers(host_).front().status, Status::kWarn);
  {
    const auto lock = shm::FileLock::acquire(shm::Directory::open(user_ + "/lab"), "producer-10000.lock",
                                             "producer of stream 10000 without a driver");
    const Check alive = check_leftovers(host_).front();
    EXPECT_EQ(alive.status, Status::kOk) << "nobody is told to remove what somebody writes";
    EXPECT_THAT(alive.detail, HasSubstr("no driver; producer of stream 10000 without a driver (pid "));
  }
  EXPECT_EQ(check_leftovers(host_).front().status, Status::kWarn);
}

TEST_F(HostChecksTest, AConfigurationIsCheckedWithTheMachine) {  // CFG-1
  const std::string config = root_ / "lab.toml";
  write_file(config, "[shm]\nbase_dir = \"" + host_.base_dir +
                         "\"\n[profiles.small]\nheader_nslots = 8\npayload_pools = [{ pool_id = 1, stride_bytes = 4096 }]\n"
                         "[streams.cam1]\nstream_id = 10000\nprofile = \"small\"\n");
  const Ran good = run({"doctor", "--config", config, "--aeron-dir", host_.aeron_dir, "--json"});
  EXPECT_EQ(good.json()["checks"][0]["name"], "configuration");
  EXPECT_EQ(good.json()["checks"][0]["status"], "ok");
  write_file(config, "[profiles.small]\nheader_nslots = 7\n");
  const Ran bad = run({"doctor", "--config", config, "--aeron-dir", host_.aeron_dir, "--json"});
  EXPECT_EQ(bad.exit, 1);
  EXPECT_EQ(bad.json()["ok"], false);
  EXPECT_EQ(bad.json()["checks"][0]["status"], "fail");
}

TEST_F(HostChecksTest, DoctorTellsEveryCheckItsStatusAndWhatToDo) {  // issue 3 item 4
  const Ran ran = run({"doctor", "--aeron-dir", host_.aeron_dir, "--base-dir", host_.base_dir, "--json"});
  const auto json = ran.json();
  EXPECT_EQ(ran.exit, json["ok"] == true ? 0 : 1);
  std::vector<std::string> names;
  for (const auto& check : json["checks"]) {
    names.push_back(check["name"]);
    EXPECT_THAT((std::vector<std::string>{"ok", "warn", "fail"}), testing::Contains(check["status"].get<std::string>()));
    if (check["status"] != "ok") {
      EXPECT_NE(check["todo"], "") << check.dump();
    }
  }
  for (const char* name : {"media driver", "shared memory", "memory limit", "permissions", "limits", "clock", "membarrier", "hugepages", "processors", "ffmpeg"}) {
    EXPECT_THAT(names, testing::Contains(name));
  }
  fs::create_directories(host_.base_dir);
  write_file(user_, "");  // now something fails
  const Ran failing = run({"doctor", "--aeron-dir", host_.aeron_dir, "--base-dir", host_.base_dir});
  EXPECT_EQ(failing.exit, 1);
  EXPECT_THAT(failing.out, HasSubstr("fail  permissions"));
}

}  // namespace
}  // namespace tidepool::cli::host_checks_test

#pragma once
// What the tests of this folder share: a base in a temporary directory, rows whose bytes follow from their number, and a file
// system that fails on demand.

#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tidepool/feed/reader.h"
#include "tidepool/feed/writer.h"
#include "tidepool/shm/test_support.h"

namespace tidepool::feed::test {

using shm::test::Helper;
using shm::test::TemporaryDirectory;

struct Row {
  uint64_t time_ns;
  uint64_t number;
  double value;
  uint64_t check;
};

inline uint64_t mix(uint64_t x) {
  x ^= x >> 33;
  x *= 0xFF51AFD7ED558CCD;
  x ^= x >> 33;
  return x;
}

inline Row row_of(uint64_t number) { return {1'000'000 + number * 10, number, static_cast<double>(number) / 2, mix(number)}; }

inline Schema row_schema() {
  return schema_of<Row>({{"time_ns", &Row::time_ns}, {"number", &Row::number}, {"value", &Row::value}, {"check", &Row::check}});
}

// 4096-byte blocks and chunks of 1,024 rows, so that a few thousand rows rotate a few times.
inline FeedOptions small_options(const std::string& shm_root, Storage storage = Storage::kTiered) {
  FeedOptions options;
  options.storage = storage;
  options.chunk_bytes = 1024 * sizeof(Row);
  options.block_bytes = 4096;
  options.live_chunks = 3;
  options.shm_root = shm_root;
  return options;
}

// Runs `body`; what it must throw.
inline FeedError fault_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const FeedError& error) {
    return error;
  } catch (const Error& error) {
    ADD_FAILURE() << "an Error without a fault: " << error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return FeedError(Fault::kUsage, "nothing was thrown");
}

inline void expect_fault(Fault fault, std::string_view fragment, const std::function<void()>& body) {
  const FeedError error = fault_of(body);
  EXPECT_EQ(fault_name(error.fault()), fault_name(fault)) << error.what();
  EXPECT_NE(std::string_view(error.what()).find(fragment), std::string_view::npos) << "'" << fragment << "' is not in: " << error.what();
}

class FeedTest : public ::testing::TestWithParam<Storage> {
 protected:
  std::string base() const { return root / "base"; }
  FeedOptions options(Storage storage) const { return small_options(root.path(), storage); }
  FeedWriter make(Storage storage, const std::string& name = "trades") const {
    return FeedWriter::create(base(), name, row_schema(), options(storage));
  }
  FeedReader read(const ReaderOptions& reader_options = {}, const std::string& name = "trades") const {
    return FeedReader::open(base(), name, reader_options);
  }
  static void append(FeedWriter& writer, uint64_t from, uint64_t to) {
    for (uint64_t number = from; number < to; ++number) {
      const Appended done = writer.append(row_of(number));
      ASSERT_EQ(append_status_name(done.status), "ok") << number;
      ASSERT_EQ(done.seq, number);
    }
  }
  // In a child process that ends with _exit(): a thread that has entered strict mode may read, write and end itself; any other call
  // kills the process.
  static void append_without_calls(FeedWriter& writer, uint64_t from, uint64_t to) {
    std::atomic<uint64_t> appended{from};
    std::thread strict([&, from] {
      if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) ::_exit(77);
      for (uint64_t number = from; number < to; ++number) {
        if (writer.append(row_of(number))) appended.store(number + 1);
      }
      ::syscall(SYS_exit, 0);
    });
    until([&] { return appended.load() == to; });
    strict.detach();  // it ended by itself, and not as threads do
  }
  // By another process, which then dies where it stands.
  void write_and_be_killed(uint64_t from, uint64_t to, bool sync = false) const {
    Helper crash([&](const Helper& self) {
      auto writer = FeedWriter::open(base(), "trades");
      append(writer, from, to);
      if (sync) writer.sync();
      self.ready();
      self.sleep_for_ever();
    });
    ASSERT_EQ(crash.wait_ready(), 0);
    crash.kill();
  }
  // Rows [from, to) come, each once and whole, and then nothing.
  static void expect_rows(FeedReader& reader, uint64_t from, uint64_t to) {
    for (uint64_t number = from; number < to; ++number) {
      const Item item = reader.next(30 * kNsPerSecond);
      ASSERT_EQ(item.kind, Item::Kind::kRow) << "at " << number << ", gap " << item.gap.from << " to " << item.gap.to << " " << item.gap.text;
      ASSERT_EQ(item.seq, number);
      const Row expected = row_of(number);
      ASSERT_EQ(std::memcmp(item.bytes.data(), &expected, sizeof expected), 0) << number;
    }
  }
  static void expect_idle(FeedReader& reader) {
    const Item item = reader.next();
    EXPECT_EQ(item.kind, Item::Kind::kIdle) << "seq " << item.seq << " gap " << item.gap.from << " to " << item.gap.to;
  }
  // A copy of a directory whose files may change meanwhile: the standard library takes one that is cut for a broken disk.
  static void copy_in_use(const std::filesystem::path& from, const std::filesystem::path& to) {
    for (const uint64_t deadline_ns = monotonic_ns() + shm::test::kDeadlineNs;;) {
      try {
        std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
        return;
      } catch (const std::filesystem::filesystem_error&) {
        if (monotonic_ns() > deadline_ns) throw;
        std::filesystem::remove_all(to);
      }
    }
  }
  // Poll until `done`, 30 s at most.
  template <typename Done>
  static void until(Done&& done) {
    const uint64_t deadline_ns = monotonic_ns() + shm::test::kDeadlineNs;
    while (!done()) {
      ASSERT_LT(monotonic_ns(), deadline_ns);
      const timespec pause{0, 1'000'000};
      ::nanosleep(&pause, nullptr);
    }
  }

  TemporaryDirectory root;
};

inline std::string storage_test_name(const ::testing::TestParamInfo<Storage>& info) {
  std::string name(storage_name(info.param));
  name[0] = static_cast<char>(name[0] - 'a' + 'A');
  return name;
}

}  // namespace tidepool::feed::test

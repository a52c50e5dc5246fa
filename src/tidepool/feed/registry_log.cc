#include "tidepool/feed/registry_log.h"

#include <fcntl.h>
#include <sys/random.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "tidepool/base/clock.h"
#include "tidepool/base/random.h"
#include "tidepool/feed/crc32c.h"
#include "tidepool/feed/fault.h"
#include "tidepool/shm/published_word.h"

namespace tidepool::feed {
namespace {

constexpr size_t kIdentityBytes = kLogIdentityBytes;
constexpr size_t kCountAt = kLogCountAt;
constexpr size_t kSupersededAt = kLogMarkAt;
constexpr size_t kEntriesAtOnce = 4096;

bool all_zero(Bytes bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace

Id random_id128() {
  Id id;
  store(id.data(), random_u64());
  store(id.data() + 8, random_u64());
  return id;
}

Id this_boot_id() {
  static const Id id = [] {
    Id found{};
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string text;
    std::getline(file, text);
    std::erase(text, '-');
    for (size_t i = 0; i < found.size() && text.size() == 32; ++i) {
      unsigned value = 0;
      if (std::sscanf(text.c_str() + 2 * i, "%2x", &value) != 1) return kNoId;
      found[i] = static_cast<std::byte>(value);
    }
    return found;
  }();
  return id;
}

std::string hex(const Id& id) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : id) {
    text += kDigits[static_cast<unsigned>(byte) >> 4];
    text += kDigits[static_cast<unsigned>(byte) & 15];
  }
  return text;
}

std::vector<std::byte> RegistryLog::empty(const Identity& identity) {
  std::vector<std::byte> bytes(kLogHeaderBytes);
  std::byte* at = bytes.data();
  store(at, identity.magic);
  store(at + 8, kMajor);
  store(at + 10, kMinor);
  store(at + 12, identity.entry_bytes);
  store(at + 16, identity.base_id);
  store(at + 32, identity.feed_id);
  store(at + 48, identity.created_wall_ns);
  store(at + 56, identity.generation);
  store(at + kIdentityBytes, crc32c(Bytes(bytes).first(kIdentityBytes)));
  set_count(bytes, 0);
  return bytes;
}

std::vector<std::byte> RegistryLog::entry(const Identity& identity, uint16_t type, uint64_t position, uint64_t wall_ns, Bytes body) {
  std::vector<std::byte> bytes(identity.entry_bytes);
  store(bytes.data() + 4, type);
  store(bytes.data() + 6, uint16_t{1});
  store(bytes.data() + 8, position);
  store(bytes.data() + 16, wall_ns);
  std::memcpy(bytes.data() + kEntryHeadBytes, body.data(), std::min(body.size(), bytes.size() - kEntryHeadBytes));
  store(bytes.data(), crc32c(Bytes(bytes).subspan(4)));
  return bytes;
}

void RegistryLog::set_count(std::vector<std::byte>& log, uint64_t count) {
  store(log.data() + kCountAt, count);
  store(log.data() + kLogCheckAt, ~count);
  store(log.data() + kLogBootAt, kNoId);  // it is no file yet
}

Id counter_mark(const File& file) {
  Id mark = this_boot_id();
  if (mark == kNoId) return kNoId;
  const struct stat found = file.stat();
  store(mark.data(), load<uint64_t>(mark.data()) ^ uint64_t{found.st_ino});
  store(mark.data() + 8, load<uint64_t>(mark.data() + 8) ^ uint64_t{found.st_dev});
  return mark;
}

RegistryLog RegistryLog::open(Files& files, const std::string& path, uint64_t magic, uint32_t entry_bytes, bool writable) {
  RegistryLog log;
  log.file_ = File::open(files, path, writable ? O_RDWR : O_RDONLY);
  std::byte head[kIdentityBytes + 4];
  if (log.file_.read(head, 0).size() < sizeof head || log.file_.size() < kLogHeaderBytes) {
    throw FeedError(Fault::kCorrupt, path, " is shorter than the header of a registry: repair can rebuild it from the chunks (X-8)");
  }
  if (load<uint64_t>(head) != magic) throw FeedError(Fault::kCorrupt, path, " does not begin like a registry of this kind");
  if (load<uint16_t>(head + 8) > kMajor) {
    throw FeedError(Fault::kUnsupportedVersion, path, " has format ", load<uint16_t>(head + 8), ", this program knows ", kMajor, ": use a newer one");
  }
  if (crc32c(Bytes(head).first(kIdentityBytes)) != load<uint32_t>(head + kIdentityBytes) || load<uint32_t>(head + 12) != entry_bytes) {
    throw FeedError(Fault::kCorrupt, path, ": the checksum of its header is wrong: repair can rebuild it from the chunks (X-8)");
  }
  log.identity_ = {.magic = magic,
                   .entry_bytes = entry_bytes,
                   .base_id = load<Id>(head + 16),
                   .feed_id = load<Id>(head + 32),
                   .generation = load<uint64_t>(head + 56),
                   .created_wall_ns = load<uint64_t>(head + 48)};
  log.counter_ = counter_mark(log.file_);
  log.header_ = Mapping::of(log.file_, kLogHeaderBytes, writable);
  return log;
}

bool RegistryLog::has_news() const noexcept {
  const std::byte* header = header_.data();
  return shm::PublishedWord(header + kCountAt).load() != seen_count_ || superseded();
}

RegistryLog::Mark RegistryLog::mark() const noexcept {
  const std::byte* header = header_.data();
  switch (shm::PublishedFlag(header + kSupersededAt).load()) {
    case 0: return Mark::kNone;
    case 1: return Mark::kGone;
    default: return Mark::kReplaced;  // also what no program wrote: look, and go on if it is not so
  }
}

uint64_t RegistryLog::count() const noexcept {
  const std::byte* header = header_.data();
  return shm::PublishedWord(header + kCountAt).load();
}

// [count] The entry, then the count, then what makes the count certain: somebody killed in between leaves a count that is right, or
// one that is not believed, and never one that is wrong.
void RegistryLog::publish_count(uint64_t count) noexcept {
  std::byte* header = header_.data();
  shm::PublishedWord(header + kCountAt).publish(count);
  shm::PublishedWord(header + kLogCheckAt).publish(~count);
  const auto counter = load<std::array<uint64_t, 2>>(counter_.data());
  for (size_t i = 0; i < 2; ++i) shm::PublishedWord(header + kLogBootAt + 8 * i).publish(counter[i]);
}

std::optional<uint64_t> RegistryLog::counted() const noexcept {
  const std::byte* header = header_.data();
  const auto counter = load<std::array<uint64_t, 2>>(counter_.data());
  if (counter_ == kNoId) return std::nullopt;
  for (size_t i = 0; i < 2; ++i) {
    if (shm::PublishedWord(header + kLogBootAt + 8 * i).load() != counter[i]) return std::nullopt;
  }
  for (int look = 0; look < 1000; ++look) {  // who counts is soon done, or dead
    const uint64_t check = shm::PublishedWord(header + kLogCheckAt).load();
    const uint64_t count = shm::PublishedWord(header + kCountAt).load();
    if (count == ~check) return count;
  }
  return std::nullopt;
}

size_t RegistryLog::refresh(const Taker& taker) {
  const std::byte* header = header_.data();
  const auto certain = first_ ? counted() : std::nullopt;
  const uint64_t published = certain ? *certain : shm::PublishedWord(header + kCountAt).load();
  seen_count_ = published;
  const uint64_t size = file_.size();
  const uint64_t in_file = size <= kLogHeaderBytes ? 0 : (size - kLogHeaderBytes) / identity_.entry_bytes;
  // The count of another boot or file is a hint: it may be behind or ahead of the entries, whose checksums decide. One of
  // this boot and file keeps us from looking at an entry that is being written, or was written by somebody who died before he counted it.
  const uint64_t end = first_ && !certain ? in_file : std::min(published, in_file);
  std::vector<std::byte> buffer;
  std::vector<std::pair<uint64_t, const char*>> doubtful;  // damaged, or not yet written: what follows tells
  size_t taken = 0;
  for (uint64_t position = taken_; position < end;) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(end - position, kEntriesAtOnce));
    buffer.resize(count * identity_.entry_bytes);
    const auto got = file_.read(buffer, kLogHeaderBytes + position * identity_.entry_bytes);
    const size_t whole = got.size() / identity_.entry_bytes;
    if (whole == 0) break;
    for (size_t i = 0; i < whole; ++i, ++position) {
      const Bytes bytes = Bytes(buffer).subspan(i * identity_.entry_bytes, identity_.entry_bytes);
      if (taker.passes_over && !all_zero(bytes) && taker.passes_over(bytes)) continue;
      const char* why = nullptr;
      if (all_zero(bytes)) {
        why = "it never reached the disk";
      } else if (crc32c(bytes.subspan(4)) != load<uint32_t>(bytes.data())) {
        why = "checksum";
      } else if (load<uint64_t>(bytes.data() + 8) != position) {
        why = "position";
      }
      if (why != nullptr) {
        doubtful.emplace_back(position, why);
        continue;
      }
      for (const auto& [at, reason] : doubtful) taker.damaged(at, reason);
      doubtful.clear();
      taker.entry({load<uint16_t>(bytes.data() + 4), position, load<uint64_t>(bytes.data() + 16), bytes});
      ++taken;
      taken_ = position + 1;
    }
  }
  // At the end of the file: published but unreadable is damage; unpublished is a torn or half-written entry, which never was.
  for (const auto& [at, reason] : doubtful) {
    if (at >= published) break;
    taker.damaged(at, reason);
    taken_ = at + 1;
  }
  if (first_ && published > in_file) taker.damaged(in_file, concat("cut off: ", published, " entries were published"));
  first_ = false;
  return taken;
}

void RegistryLog::settle() {
  const uint64_t published = shm::PublishedWord(header_.data() + kCountAt).load();
  const uint64_t size = file_.size();
  uint64_t end = size <= kLogHeaderBytes ? 0 : (size - kLogHeaderBytes) / identity_.entry_bytes;  // a part of a slot was never finished
  std::vector<std::byte> bytes(identity_.entry_bytes);
  for (; end > 0; --end) {
    const Bytes slot = file_.read(bytes, kLogHeaderBytes + (end - 1) * identity_.entry_bytes);
    if (all_zero(slot)) continue;
    // A good entry is the end. So is a damaged one that was published, which has rotted and must not be written over; one that was
    // not is what a killed writer left half done.
    const bool good = crc32c(slot.subspan(4)) == load<uint32_t>(slot.data()) && load<uint64_t>(slot.data() + 8) == end - 1;
    if (good || end - 1 < published) break;
  }
  // What was never finished goes, for good: were it only written over, a power cut could bring it back below the count, where it is damage.
  if (const uint64_t whole = kLogHeaderBytes + end * identity_.entry_bytes; size > whole) {
    file_.resize(whole);
    file_.sync();
  }
  publish_count(end);
}

bool RegistryLog::good_at(uint64_t position) const {
  std::vector<std::byte> bytes(identity_.entry_bytes);
  const Bytes slot = file_.read(bytes, kLogHeaderBytes + position * identity_.entry_bytes);
  return slot.size() == bytes.size() && crc32c(slot.subspan(4)) == load<uint32_t>(slot.data()) && load<uint64_t>(slot.data() + 8) == position;
}

uint64_t RegistryLog::append(uint16_t type, uint64_t wall_ns, Bytes body, bool sync) {
  if (!counted() || good_at(count())) settle();
  const uint64_t position = count();
  const auto bytes = entry(identity_, type, position, wall_ns, body);
  file_.write(bytes, kLogHeaderBytes + position * identity_.entry_bytes);
  try {
    if (sync) file_.sync();
  } catch (const FeedError&) {
    // It was not made, then, and nobody may take it in later as if it had been.
    try {
      file_.write(std::vector<std::byte>(bytes.size()), kLogHeaderBytes + position * identity_.entry_bytes);
    } catch (const FeedError&) {  // a disk that takes nothing any more
    }
    throw;
  }
  publish_count(position + 1);
  return position;
}

void RegistryLog::set_mark(Mark mark) noexcept { shm::PublishedFlag(header_.data() + kSupersededAt).publish(static_cast<uint32_t>(mark)); }

}  // namespace tidepool::feed

#include "tidepool/feed/deepwater.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "tidepool/base/log.h"
#include "tidepool/feed/fault.h"
#include "tidepool/feed/user_file.h"

namespace tidepool::feed {
namespace {

constexpr size_t kHeaderBytes = 128;
constexpr size_t kEntryBytes = 128;
constexpr uint64_t kFeedsMax = 16'383;
constexpr uint64_t kChunksMax = 1'048'576;
constexpr size_t kDeepwaterReadBytes = size_t{1} << 20;

std::vector<std::byte> read_part(const UserFile& file, uint64_t offset, uint64_t bytes) {
  std::vector<std::byte> out(static_cast<size_t>(offset >= file.size() ? 0 : std::min(bytes, file.size() - offset)));
  out.resize(file.read_at(out, offset).size());
  return out;
}

// ---- MessagePack, as far as a schema needs it ------------------------------------------------------------------------------

class Msgpack {
 public:
  Msgpack(Bytes bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  uint64_t array() {
    const uint8_t head = byte();
    if (head >> 4 == 0x9) return head & 15;
    if (head == 0xDC) return big(2);
    if (head == 0xDD) return big(4);
    fail("an array");
  }
  uint64_t number() {
    const uint8_t head = byte();
    if (head < 0x80) return head;
    if (head >= 0xCC && head <= 0xCF) return big(size_t{1} << (head - 0xCC));
    if (head >= 0xD0 && head <= 0xD3) {
      const size_t size = size_t{1} << (head - 0xD0);
      const uint64_t value = big(size);
      if (value >> (8 * size - 1) != 0) fail("a number of 0 or more");
      return value;
    }
    fail("a number");
  }
  std::string text() {
    const uint8_t head = byte();
    uint64_t size = 0;
    if (head >> 5 == 5) {
      size = head & 31;
    } else if (head == 0xD9 || head == 0xC4) {
      size = big(1);
    } else if (head == 0xDA || head == 0xC5) {
      size = big(2);
    } else if (head == 0xDB || head == 0xC6) {
      size = big(4);
    } else {
      fail("a text");
    }
    if (size > bytes_.size() - at_) fail("a text that does not end");
    std::string out(reinterpret_cast<const char*>(bytes_.data()) + at_, static_cast<size_t>(size));
    at_ += static_cast<size_t>(size);
    return out;
  }

 private:
  [[noreturn]] void fail(const char* wanted) const {
    throw FeedError(Fault::kCorrupt, path_, ": at byte ", at_, ": expected ", wanted);
  }
  uint8_t byte() {
    if (at_ >= bytes_.size()) fail("more");
    return static_cast<uint8_t>(bytes_[at_++]);
  }
  uint64_t big(size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) value = value << 8 | byte();
    return value;
  }
  Bytes bytes_;
  const std::string& path_;
  size_t at_ = 0;
};

constexpr std::string_view kDeepwaterTypes[] = {"_",     "char",   "bool",    "int8",  "uint8",  "int16",   "uint16", "float16",
                                       "int32", "uint32", "float32", "int64", "uint64", "float64", "bytes"};
constexpr uint64_t kTypeBytes[] = {1, 1, 1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 1};

// [1, "<", record_size, clock_level, [[name, type_id, offset, size]...]]
Schema read_schema(const std::string& path) {
  const UserFile file = UserFile::open(path);
  const std::vector<std::byte> bytes = read_part(file, 0, uint64_t{4} << 20);
  Msgpack in(bytes, path);
  const auto corrupt = [&](const auto&... parts) { throw FeedError(Fault::kCorrupt, path, ": ", parts...); };
  if (in.array() != 5) corrupt("a schema has five parts");
  if (const uint64_t version = in.number(); version != 1)
    throw FeedError(Fault::kUnsupportedVersion, path, ": schema version ", version, " is not known here");
  if (in.text() != "<") corrupt("only little-endian records are known");
  const uint64_t record_bytes = in.number(), clocks = in.number(), count = in.array();
  if (record_bytes > kRecordBytesMax || count > kFieldsMax) corrupt("a record of ", record_bytes, " bytes with ", count, " fields");
  std::vector<FieldText> fields;
  uint64_t at = 0;
  const auto pad_to = [&](uint64_t offset) {
    if (offset > at) fields.push_back({concat("_gap", at), concat("_", offset - at)});
    at = std::max(at, offset);
  };
  for (uint64_t i = 0; i < count; ++i) {
    if (in.array() != 4) corrupt("a field has four parts");
    const std::string name = in.text();
    const uint64_t type = in.number(), offset = in.number(), size = in.number();
    if (type >= std::size(kDeepwaterTypes)) corrupt("field '", printable(name), "' is of the unknown type ", type);
    if (offset < at || offset > record_bytes || size > record_bytes - offset || size == 0 || size % kTypeBytes[type] != 0) {
      corrupt("field '", printable(name), "' lies at ", offset, " with ", size, " bytes, which it cannot");
    }
    pad_to(offset);
    const uint64_t elements = size / kTypeBytes[type];
    const bool counted = type == 0 || type == 14;
    fields.push_back({name.empty() ? concat("_pad", at) : name, counted         ? concat(kDeepwaterTypes[type], size)
                                                                : elements == 1 ? std::string(kDeepwaterTypes[type])
                                                                                : concat(kDeepwaterTypes[type], "[", elements, "]")});
    at = offset + size;
  }
  pad_to(record_bytes);
  Schema schema = Schema::rows(fields, static_cast<size_t>(std::min<uint64_t>(clocks, 99)));
  for (size_t k = 0; k < schema.clocks(); ++k) schema.set_clock(k, {ClockUnit::kUs, ClockOrder::kLoose, ClockDomain::kWall});
  return schema;
}

// ---- registries -------------------------------------------------------------------------------------------------------------

struct DeepwaterEntry {
  std::string name;
  uint32_t chunk_bytes = 0, retention_hours = 0;
  uint16_t flags = 0, clock_level = 0;
};

std::vector<DeepwaterEntry> read_global(const std::string& base) {
  const std::string path = base + "/registry/global_registry.bin";
  if (!std::filesystem::exists(path))
    throw FeedError(Fault::kBaseNotFound, "there is no ", path, ": is that the directory of a Deepwater base?");
  const UserFile file = UserFile::open(path);
  const std::vector<std::byte> bytes = read_part(file, 0, kHeaderBytes + kFeedsMax * kEntryBytes);
  if (bytes.size() < kHeaderBytes) throw FeedError(Fault::kCorrupt, path, ": shorter than its header");
  const uint64_t count = load<uint64_t>(bytes.data());
  if (count > (bytes.size() - kHeaderBytes) / kEntryBytes)
    throw FeedError(Fault::kCorrupt, path, ": it says ", count, " feeds and has no room for them");
  std::vector<DeepwaterEntry> out;
  for (uint64_t i = 0; i < count; ++i) {
    const std::byte* at = bytes.data() + kHeaderBytes + i * kEntryBytes;
    const std::string_view name(reinterpret_cast<const char*>(at), 32);
    out.push_back({std::string(name.substr(0, name.find('\0'))), load<uint32_t>(at + 32), load<uint32_t>(at + 40),
                   load<uint16_t>(at + 44), load<uint16_t>(at + 46)});
  }
  return out;
}

std::string chunk_path(const DeepwaterFeed& feed, uint64_t id) {
  char name[40];
  std::snprintf(name, sizeof name, "/chunk_%08llu.bin", static_cast<unsigned long long>(id));
  return feed.directory + name;
}

void read_chunks(DeepwaterFeed& feed) {
  const std::string path = concat(feed.directory, "/", feed.name, ".reg");
  const UserFile file = UserFile::open(path);
  const std::vector<std::byte> header = read_part(file, 0, kHeaderBytes);
  if (header.size() < kHeaderBytes) throw FeedError(Fault::kCorrupt, path, ": shorter than its header");
  uint64_t count = load<uint64_t>(header.data());
  const uint64_t room = std::min<uint64_t>((file.size() - kHeaderBytes) / kEntryBytes, kChunksMax);
  if (count > room) {
    feed.remarks.push_back(concat(path, ": it says ", count, " chunks and has entries for ", room));
    count = room;
  }
  const std::vector<std::byte> entries = read_part(file, kHeaderBytes, count * kEntryBytes);
  const uint64_t record_bytes = feed.schema.record_bytes();
  for (uint64_t i = 0; i < entries.size() / kEntryBytes; ++i) {
    const std::byte* at = entries.data() + i * kEntryBytes;
    DeepwaterChunk chunk{.id = i + 1, .records = 0, .told_records = load<uint64_t>(at + 24), .missing = false};
    const uint64_t write_pos = load<uint64_t>(at + 16);
    std::error_code failed;
    const uint64_t size = std::filesystem::file_size(chunk_path(feed, chunk.id), failed);
    chunk.missing = static_cast<bool>(failed);
    if (!chunk.missing) chunk.records = std::min(write_pos, size) / record_bytes;
    feed.chunks.push_back(chunk);
  }
}

class DeepwaterSource final : public RowSource {
 public:
  explicit DeepwaterSource(const DeepwaterFeed& feed) : feed_(feed), record_bytes_(feed.schema.record_bytes()) {
    for (const DeepwaterChunk& chunk : feed_.chunks) total_ += chunk.records * record_bytes_;
  }
  const Schema& schema() const override { return feed_.schema; }
  uint64_t bytes_done() const override { return done_; }
  uint64_t bytes_total() const override { return total_; }

  bool read(std::vector<std::byte>& rows, std::vector<uint64_t>& places, uint64_t max_rows,
            const std::function<void(Rejected)>& reject) override {
    while (next_ >= usable_) {
      if (chunk_ == feed_.chunks.size()) return false;
      open(feed_.chunks[chunk_++], reject);
    }
    const uint64_t count = std::min(max_rows, usable_ - next_);
    const size_t at = rows.size();
    rows.resize(at + static_cast<size_t>(count * record_bytes_));
    if (file_.read_at(MutableBytes(rows).subspan(at), next_ * record_bytes_).size() != count * record_bytes_) {
      throw FeedError(Fault::kCorrupt, file_.path(), ": the file has become shorter while it was read");
    }
    for (uint64_t i = 0; i < count; ++i) places.push_back(row_++);
    next_ += count;
    done_ += count * record_bytes_;
    return true;
  }

 private:
  void open(const DeepwaterChunk& chunk, const std::function<void(Rejected)>& reject) {
    next_ = usable_ = 0;
    if (chunk.missing) {
      if (chunk.told_records > 0) reject({row_, concat("chunk ", chunk.id, " is missing: ", chunk.told_records, " records")});
      return;
    }
    if (chunk.records < chunk.told_records) {
      reject({row_, concat("chunk ", chunk.id, " holds ", chunk.records, " of the ", chunk.told_records,
                           " records that its registry says")});
    }
    file_ = UserFile::open(chunk_path(feed_, chunk.id));
    usable_ = without_zero_tail(chunk.records);
    if (usable_ < chunk.records) {
      reject({row_ + usable_,
              concat("chunk ", chunk.id, " ends with ", chunk.records - usable_, " records of zeros, which nobody wrote")});
      done_ += (chunk.records - usable_) * record_bytes_;
    }
  }
  uint64_t without_zero_tail(uint64_t records) const {
    const uint64_t at_once = std::max<uint64_t>(1, kDeepwaterReadBytes / record_bytes_);
    std::vector<std::byte> buffer;
    while (records > 0) {
      const uint64_t count = std::min(at_once, records);
      buffer.resize(static_cast<size_t>(count * record_bytes_));
      const MutableBytes got = file_.read_at(buffer, (records - count) * record_bytes_);
      const auto last = std::find_if(got.rbegin(), got.rend(), [](std::byte byte) { return byte != std::byte{0}; });
      if (last != got.rend())
        return records - count +
               static_cast<uint64_t>(got.rend() - last + static_cast<std::ptrdiff_t>(record_bytes_) - 1) / record_bytes_;
      records -= count;
    }
    return 0;
  }

  DeepwaterFeed feed_;
  uint64_t record_bytes_;
  UserFile file_;
  size_t chunk_ = 0;
  uint64_t next_ = 0, usable_ = 0, row_ = 0, done_ = 0, total_ = 0;
};

}  // namespace

std::vector<std::string> deepwater_feeds(const std::string& base) {
  std::vector<std::string> out;
  for (const DeepwaterEntry& entry : read_global(base)) out.push_back(entry.name);
  return out;
}

DeepwaterFeed open_deepwater_feed(const std::string& base, const std::string& name) {
  const std::vector<DeepwaterEntry> all = read_global(base);
  const auto found = std::find_if(all.begin(), all.end(), [&](const DeepwaterEntry& entry) { return entry.name == name; });
  if (found == all.end()) {
    std::string known;
    for (const DeepwaterEntry& entry : all) known += concat(known.empty() ? "" : ", ", printable(entry.name, 32));
    throw FeedError(Fault::kFeedNotFound, "the Deepwater base ", base, " has no feed ", printable(name, 32),
                    known.empty() ? "" : concat("; it has ", known));
  }
  check_feed_name(name);  // before a path is made of it (F-8)
  DeepwaterFeed feed;
  feed.name = name;
  feed.directory = concat(base, "/data/", name);
  feed.schema = read_schema(feed.directory + "/feed_schema.msgpack");
  if (feed.schema.clocks() != found->clock_level) {
    feed.remarks.push_back(
        concat("the registry says ", found->clock_level, " clocks, the schema ", feed.schema.clocks(), ": the schema counts"));
  }
  const bool persist = (found->flags & 1) != 0, ring = (found->flags & 8) != 0;
  if (!persist) feed.remarks.push_back("the feed lives in shared memory alone: only what lies on disk is taken");
  feed.options.storage = ring || !persist ? Storage::kTiered : Storage::kDurable;
  feed.options.segments = (found->flags & 2) != 0;
  feed.options.prefault = (found->flags & 4) != 0;
  feed.options.retention_ns = found->retention_hours * 3'600 * kNsPerSecond;
  feed.options.chunk_bytes = std::max<uint64_t>({found->chunk_bytes, 4096, uint64_t{feed.schema.record_bytes()} * 16});
  read_chunks(feed);
  return feed;
}

std::unique_ptr<RowSource> deepwater_rows(const DeepwaterFeed& feed) { return std::make_unique<DeepwaterSource>(feed); }

}  // namespace tidepool::feed

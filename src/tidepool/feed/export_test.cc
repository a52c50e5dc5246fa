#include "tidepool/feed/export.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tidepool/feed/npy.h"
#include "tidepool/feed/test_support.h"
#include "tidepool/feed/values.h"

namespace tidepool::feed {
namespace {

using shm::test::read_file;
using test::expect_fault;

std::string sha_of(std::string_view text) {
  Sha256 sha;
  // In odd pieces, so that blocks are put together from them.
  for (size_t at = 0; at < text.size(); at += 7) sha.add(std::as_bytes(std::span(text.substr(at, 7))));
  return sha.hex();
}

TEST(Sha256Test, IsThatOfTheStandard) {  // F-151; FIPS 180-4's examples
  EXPECT_EQ(sha_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha_of(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

class ExportTest : public test::FeedTest {
 protected:
  ExportOptions options(RowFormat format, std::vector<std::string> columns = {}) const {
    ExportOptions out;
    out.style.format = format;
    out.style.columns = std::move(columns);
    return out;
  }
  // 3,000 rows over three chunks, closed.
  void make_rows(uint64_t count = 3000) {
    FeedWriter writer = make(Storage::kTiered);
    append(writer, 0, count);
    writer.close();
  }
  static std::string text_of(FeedReader& reader, const ExportOptions& options, ExportReport* report = nullptr) {
    std::string out;
    const ExportReport done =
        export_rows(reader, options, [&](Bytes bytes) { out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()); });
    if (report != nullptr) *report = done;
    return out;
  }
  std::string path(const std::string& name) const { return root / name; }
};

TEST_F(ExportTest, GivesEveryFormatItsBytes) {  // F-99, F-102, F-151
  make_rows(3);
  FeedReader reader = read();
  EXPECT_EQ(text_of(reader, options(RowFormat::kCsv, {"time_ns", "value"})), "time_ns,value\n1000000,0\n1000010,0.5\n1000020,1\n");
  ExportOptions lines = options(RowFormat::kJsonLines, {"number", "value"});
  lines.style.sequence = true;
  EXPECT_EQ(text_of(reader, lines),
            "{\"seq\":0,\"number\":0,\"value\":0}\n{\"seq\":1,\"number\":1,\"value\":0.5}\n{\"seq\":2,\"number\":2,\"value\":1}\n");
  const test::Row rows[] = {test::row_of(0), test::row_of(1), test::row_of(2)};
  EXPECT_EQ(text_of(reader, options(RowFormat::kRaw)), std::string(reinterpret_cast<const char*>(rows), sizeof rows));
  const std::string npy = text_of(reader, options(RowFormat::kNpy));
  ASSERT_EQ(npy.size() % 64, (sizeof rows) % 64);
  EXPECT_EQ(npy.substr(npy.size() - sizeof rows), std::string(reinterpret_cast<const char*>(rows), sizeof rows));
  EXPECT_NE(npy.find("'descr': [('time_ns', '<u8'), ('number', '<u8'), ('value', '<f8'), ('check', '<u8')], 'fortran_order': "
                     "False, 'shape': (3,), }"),
            std::string::npos)
      << npy;
  const std::string column = text_of(reader, options(RowFormat::kNpy, {"value"}));
  EXPECT_NE(column.find("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }"), std::string::npos);
  EXPECT_EQ(load<double>(column.data() + column.size() - 8), 1.0);
  expect_fault(Fault::kUsage, "there is no field 'nothing'", [&] { text_of(reader, options(RowFormat::kCsv, {"nothing"})); });
}

TEST_F(ExportTest, TakesTheSameRecordsByTimeAndByNumber) {  // F-98, F-99, F-100
  make_rows();
  FeedReader reader = read();
  ExportOptions by_seq = options(RowFormat::kCsv), by_time = options(RowFormat::kCsv);
  by_seq.range.from_seq = 1000;
  by_seq.range.to_seq = 2100;
  by_time.range.by_time = true;
  by_time.range.time = {test::row_of(1000).time_ns, test::row_of(2100).time_ns, 0};
  ExportReport report;
  EXPECT_EQ(text_of(reader, by_seq, &report), text_of(reader, by_time));
  EXPECT_EQ(report.records, 1100u);
  EXPECT_EQ(report.first_seq, 1000u);
  EXPECT_EQ(report.end_seq, 2100u);
  by_time.range.time.to = by_time.range.time.from;
  EXPECT_EQ(text_of(reader, by_time, &report), "time_ns,number,value,check\n");
  EXPECT_EQ(report.records, 0u);
  by_seq.limit = 3;
  text_of(reader, by_seq, &report);
  EXPECT_EQ(report.records, 3u);
  EXPECT_EQ(report.end_seq, 1003u);
}

TEST_F(ExportTest, AFileIsThereWholeWithItsCountAndChecksumBesideIt) {  // F-151
  make_rows();
  FeedReader reader = read();
  const ExportReport report = export_file(reader, options(RowFormat::kCsv), path("rows.csv"));
  const std::string text = read_file(path("rows.csv"));
  EXPECT_EQ(report.records, 3000u);
  EXPECT_EQ(report.bytes, text.size());
  EXPECT_EQ(report.sha256, sha_of(text));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3001);
  const std::string meta = read_file(path("rows.csv.meta.json"));
  EXPECT_NE(meta.find("\"records\": 3000,"), std::string::npos);
  EXPECT_NE(meta.find(concat("\"sha256\": \"", report.sha256, "\"")), std::string::npos);
  EXPECT_NE(meta.find("\"end_seq\": 3000"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(path("rows.csv.partial")));
  EXPECT_EQ(export_file(reader, options(RowFormat::kNpy), path("rows.npy")).records, 3000u);
}

TEST_F(ExportTest, AnInterruptedOneIsResumedToTheSameBytes) {  // F-151
  make_rows(70'000);
  FeedReader reader = read();
  for (const RowFormat format : {RowFormat::kCsv, RowFormat::kNpy}) {
    const std::string whole = path(concat("whole.", format_name(format))), cut = path(concat("cut.", format_name(format)));
    const ExportReport expected = export_file(reader, options(format), whole);
    ExportOptions partly = options(format);
    partly.keep_partial = true;
    int calls = 0;
    partly.progress = [&](uint64_t, uint64_t) { return ++calls < 2; };
    ASSERT_TRUE(export_file(reader, partly, cut).interrupted);
    EXPECT_FALSE(std::filesystem::exists(cut));
    ASSERT_TRUE(std::filesystem::exists(cut + ".partial"));
    // What a killed process wrote beyond the state that it saved is cut off.
    std::filesystem::resize_file(cut + ".partial", std::filesystem::file_size(cut + ".partial") + 1000);
    partly.resume = true;
    partly.progress = nullptr;
    const ExportReport report = export_file(reader, partly, cut);
    EXPECT_GT(report.resumed_records, 0u);
    EXPECT_LT(report.resumed_records, 70'000u);
    EXPECT_EQ(report.records, 70'000u);
    EXPECT_EQ(report.sha256, expected.sha256);
    EXPECT_EQ(read_file(cut), read_file(whole));
    EXPECT_FALSE(std::filesystem::exists(cut + ".partial.state"));
  }
}

TEST_F(ExportTest, AnotherRangeIsNotContinuedButBegunAnew) {  // F-151
  make_rows(70'000);
  FeedReader reader = read();
  ExportOptions partly = options(RowFormat::kCsv);
  partly.keep_partial = true;
  int calls = 0;
  partly.progress = [&](uint64_t, uint64_t) { return ++calls < 2; };
  ASSERT_TRUE(export_file(reader, partly, path("rows")).interrupted);
  ExportOptions other = options(RowFormat::kCsv, {"number"});
  other.resume = true;
  EXPECT_EQ(export_file(reader, other, path("rows")).resumed_records, 0u);
  EXPECT_EQ(read_file(path("rows")).substr(0, 9), "number\n0\n");
}

TEST_F(ExportTest, AGapEndsItWithNothingLeftOrIsSkippedAndReported) {  // F-104, F-151
  make_rows();
  FeedReader clean = read();
  uint64_t removed = 0;
  for (const ChunkInfo& chunk : clean.chunks()) {
    if (chunk.first_seq == 0 || removed != 0 || chunk.count == 0) continue;
    removed = chunk.count;
    std::filesystem::remove(concat(clean.feed().directory, "/", chunk_name(chunk.ordinal)));
  }
  ASSERT_GT(removed, 0u);
  FeedReader reader = read();
  expect_fault(Fault::kCorrupt, "cannot be read", [&] { export_file(reader, options(RowFormat::kCsv), path("rows.csv")); });
  for (const char* name : {"rows.csv", "rows.csv.partial", "rows.csv.meta.json"})
    EXPECT_FALSE(std::filesystem::exists(path(name))) << name;
  for (const RowFormat format : {RowFormat::kCsv, RowFormat::kNpy}) {
    ExportOptions skip = options(format);
    skip.on_gap = OnGap::kSkip;
    const ExportReport report = export_file(reader, skip, path("rows"));
    EXPECT_EQ(report.records, 3000 - removed);
    ASSERT_EQ(report.gaps.size(), 1u);
    EXPECT_EQ(report.gaps[0].to - report.gaps[0].from, removed);
    EXPECT_NE(read_file(path("rows.meta.json")).find(concat("{\"from\": ", report.gaps[0].from)), std::string::npos);
  }
}

TEST_F(ExportTest, AFullDiskOrAMissingDirectoryLeavesNothing) {  // F-151, X-4
  make_rows(10);
  FeedReader reader = read();
  expect_fault(Fault::kFileNotFound, path("nowhere"),
               [&] { export_file(reader, options(RowFormat::kCsv), path("nowhere/rows.csv")); });
  EXPECT_THROW(export_rows(reader, options(RowFormat::kCsv), [](Bytes) { throw FeedError(Fault::kNoSpace, "full"); }), FeedError);
}

TEST(NpyTest, AHeaderIsReadBackAsItWasWritten) {  // F-102, F-151, F-152
  const Schema schema = Schema::rows(
      {{"t", "u64"}, {"it's", "f32[3]"}, {"h", "f16"}, {"s", "text[5]"}, {"raw", "bytes4"}, {"b", "bool"}, {"c", "char"}});
  const std::string header = npy_header(schema.fields(), 7, false);
  EXPECT_EQ(header.size() % 64, 0u);
  EXPECT_EQ(npy_header(schema.fields(), ~uint64_t{0}, false).size(), header.size());
  const NpyLayout layout = parse_npy(std::as_bytes(std::span(header)), header.size() + 7 * schema.record_bytes(), "x.npy");
  EXPECT_EQ(layout.count, 7u);
  EXPECT_EQ(layout.element_bytes, schema.record_bytes());
  ASSERT_EQ(layout.fields.size(), schema.fields().size());
  for (size_t i = 0; i < layout.fields.size(); ++i) {
    EXPECT_EQ(layout.fields[i].name, schema.fields()[i].name);
    EXPECT_EQ(layout.fields[i].offset, schema.fields()[i].offset);
    EXPECT_EQ(layout.fields[i].bytes, schema.fields()[i].bytes());
  }
  expect_fault(Fault::kCorrupt, "shorter than its header says",
               [&] { parse_npy(std::as_bytes(std::span(header)), header.size() + 7 * schema.record_bytes() - 1, "x.npy"); });
}

TEST(NpyTest, AHeaderCutOrChangedAnywhereIsRefusedOrHarmless) {  // F-152
  const std::string header = npy_header(Schema::rows({{"t", "u64"}, {"x", "f32[3]"}}).fields(), 7, false);
  for (size_t size = 0; size < header.size(); ++size) {
    EXPECT_THROW(parse_npy(std::as_bytes(std::span(header)).first(size), size, "x.npy"), FeedError) << size;
  }
  for (size_t at = 0; at < header.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = header;
      changed[at] = static_cast<char>(changed[at] ^ 1 << bit);
      try {
        const NpyLayout layout = parse_npy(std::as_bytes(std::span(changed)), header.size() + 7 * 20, "x.npy");
        EXPECT_LE(layout.count * layout.element_bytes + layout.data_offset, header.size() + 7 * 20);
      } catch (const FeedError&) {
      }
    }
  }
}

}  // namespace
}  // namespace tidepool::feed

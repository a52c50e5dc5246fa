#include "tidepool/feed/import.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>

#include "tidepool/feed/export.h"
#include "tidepool/feed/test_support.h"
#include "tidepool/feed/values.h"

namespace tidepool::feed {
namespace {

using shm::test::write_file;
using test::expect_fault;

class ImportTest : public test::FeedTest {
 protected:
  std::string file(const std::string& name, const std::string& content) const {
    write_file(root / name, content);
    return root / name;
  }
  FeedWriter writer(const Schema& schema, const std::string& name = "rows") const {
    FeedOptions feed_options = options(Storage::kTiered);
    return FeedWriter::create(base(), name, schema, feed_options);
  }
  ImportReport import(RowSource& source, FeedWriter& into, uint64_t batch = 1024) const {
    ImportReport report;
    ImportOptions how;
    how.batch_rows = batch;
    import_rows(source, into, how, report);
    return report;
  }
  ImportReport import_csv(const std::string& content, const SourceOptions& source_options = {},
                          const std::string& name = "rows") const {
    const std::string path = file(name + ".csv", content);
    const Schema schema = guess_csv_schema(path, source_options);
    FeedWriter into = writer(schema, name);
    const ImportReport report = import(*open_csv(path, schema, source_options), into);
    into.close();
    return report;
  }
  std::string csv_of(const std::string& name = "rows") const {
    FeedReader reader = read({}, name);
    std::string out;
    (void)export_rows(reader, {}, [&](Bytes bytes) { out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()); });
    return out;
  }
  static std::string types_of(const Schema& schema) {
    std::string out;
    for (const Field& field : schema.fields()) out += concat(field.name, ":", type_text(field), " ");
    return out;
  }
};

TEST(CsvReaderTest, UndoesQuotesAndLineEndsWhereverTheReadsAreCut) {  // F-152
  const std::string text = "\xEF\xBB\xBFtime,\"a \"\"quoted\"\" name\"\r\n\r\n1,\"x,y\"\n2,\"two\nlines\"\n3,\n4,5\" pipe";
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  size_t sent = 0;
  // One byte at a time: each read() gives one.
  CsvReader reader(ends[0], "pipe", ',', [&](int) {
    if (sent == text.size()) return false;
    EXPECT_EQ(::write(ends[1], &text[sent++], 1), 1);
    return true;
  });
  std::vector<std::vector<std::string>> found;
  std::vector<uint64_t> lines;
  for (std::vector<std::string_view> values; reader.next(values);) {
    found.emplace_back(values.begin(), values.end());
    lines.push_back(reader.line());
  }
  const std::vector<std::vector<std::string>> expected = {
      {"time", "a \"quoted\" name"}, {"1", "x,y"}, {"2", "two\nlines"}, {"3", ""}, {"4", "5\" pipe"}};
  EXPECT_EQ(found, expected);
  EXPECT_EQ(lines, (std::vector<uint64_t>{1, 3, 4, 6, 7}));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(ImportTest, AQuoteThatDoesNotEndIsRefused) {  // F-152
  const std::string path = file("open.csv", "time,a\n1,\"never\n2,3\n");
  expect_fault(Fault::kCorrupt, "open.csv:2: a quote does not end", [&] { guess_csv_schema(path, {}); });
}

TEST_F(ImportTest, GuessesASchemaFromTheWholeFile) {  // F-152, rulings F-q
  const std::string path = file("x.csv",
                                "id,when,price,name,flag,big,delay\n1,2013-01-01T10:00:00Z,1.5,ab,true,18446744073709551615,3\n-2,"
                                "2013-01-01T11:00:00Z,2,abcd,false,1,NA\n");
  const Schema schema = guess_csv_schema(path, {});
  EXPECT_EQ(types_of(schema), "when:uint64 id:int64 price:float64 name:text[4] flag:bool big:uint64 delay:float64 ");
  EXPECT_EQ(schema.clock(0).unit, ClockUnit::kNs);
  EXPECT_EQ(schema.clock(0).domain, ClockDomain::kWall);
  SourceOptions two;
  two.clocks = {"when", "big"};
  EXPECT_EQ(types_of(guess_csv_schema(path, two)),
            "when:uint64 big:uint64 id:int64 price:float64 name:text[4] flag:bool delay:float64 ");
  two.clocks = {"never"};
  expect_fault(Fault::kInvalidSchema, "there is no column 'never' to be a clock; there are id, when",
               [&] { guess_csv_schema(path, two); });
  const std::string timeless = file("y.csv", "a,b\n1,2\n");
  expect_fault(Fault::kInvalidSchema, "say which is the clock with --clock", [&] { guess_csv_schema(timeless, {}); });
  SourceOptions rows;
  rows.clock_from_row = true;
  EXPECT_EQ(types_of(guess_csv_schema(timeless, rows)), "row:uint64 a:int64 b:int64 ");
  expect_fault(Fault::kInvalidSchema, "empty", [&] { guess_csv_schema(file("z.csv", ""), {}); });
}

TEST_F(ImportTest, WhatComesOutIsWhatWentIn) {  // F-152, F-151
  const std::string text = "ts,price,name,flag\n10,1.5,\"a,b\",true\n5,-0.1,\"say \"\"hi\"\"\",false\n7,1e+300,,true\n";
  const ImportReport report = import_csv(text);
  EXPECT_EQ(report.records, 3u);
  EXPECT_EQ(report.rejected, 0u);
  EXPECT_EQ(report.end_seq, 3u);
  EXPECT_EQ(csv_of(), text);
}

TEST_F(ImportTest, RowsThatAreNoRecordsAreRefusedWithTheirPlaceAndReason) {  // F-152
  const std::string path =
      file("bad.csv", "ts,price,n\n1,1.5,1\n2,abc,1\n3,1\n-4,1.5,1\n5,NA,1\n6,1.5,300\n99999999999999999999,1,1\n8,1,2\n");
  const Schema schema = Schema::rows({{"ts", "uint64"}, {"price", "float32"}, {"n", "uint8"}});
  FeedWriter into = writer(schema);
  const ImportReport report = import(*open_csv(path, schema, {}), into);
  EXPECT_EQ(report.records, 3u);
  EXPECT_EQ(report.rejected, 5u);
  ASSERT_EQ(report.first_rejected.size(), 5u);
  const std::pair<uint64_t, const char*> expected[] = {{3, "price: 'abc' is no float32"},
                                                       {4, "2 values, expected 3"},
                                                       {5, "ts: '-4' is before the clock's zero"},
                                                       {7, "n: '300' does not fit uint8"},
                                                       {8, "does not fit 64 bits"}};
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(report.first_rejected[i].place, expected[i].first);
    EXPECT_NE(report.first_rejected[i].why.find(expected[i].second), std::string::npos) << report.first_rejected[i].why;
  }
  into.close();
  EXPECT_EQ(csv_of(), "ts,price,n\n1,1.5,1\n5,nan,1\n8,1,2\n");
}

TEST_F(ImportTest, ClocksAreConvertedToTheFeedsUnit) {  // F-15, F-152
  Schema schema = Schema::rows({{"ts", "uint64"}, {"x", "int8"}});
  schema.set_clock(0, {ClockUnit::kUs, ClockOrder::kLoose, ClockDomain::kWall});
  const std::string path = file(
      "t.csv", "ts,x\n5,1\n1.25,2\n2013-01-01T10:00:00.5Z,3\n2013-01-01 11:00:00+01:00,4\n18446744073709551615,5\nyesterday,6\n");
  FeedWriter into = writer(schema);
  SourceOptions seconds;
  seconds.clock_unit = ClockUnit::kS;
  const ImportReport report = import(*open_csv(path, schema, seconds), into);
  EXPECT_EQ(report.rejected, 2u);
  into.close();
  EXPECT_EQ(csv_of(), "ts,x\n5000000,1\n1250000,2\n1357034400500000,3\n1357034400000000,4\n");
}

TEST_F(ImportTest, AStrictClockThatGoesBackRefusesThatRowAlone) {  // F-152, X-11
  Schema schema = Schema::rows({{"ts", "uint64"}, {"x", "int8"}});
  schema.set_clock(0, {ClockUnit::kNs, ClockOrder::kStrict, ClockDomain::kUser});
  const std::string path = file("t.csv", "ts,x\n1,1\n5,2\n4,3\n5,4\n6,5\n");
  FeedWriter into = writer(schema);
  const ImportReport report = import(*open_csv(path, schema, {}), into);
  into.close();
  EXPECT_EQ(report.records + report.rejected, 5u);
  ASSERT_FALSE(report.first_rejected.empty());
  EXPECT_EQ(report.first_rejected[0].place, 4u);
  EXPECT_NE(report.first_rejected[0].why.find("CLOCK_BACKWARDS"), std::string::npos);
  EXPECT_EQ(csv_of().substr(0, 13), "ts,x\n1,1\n5,2\n");
}

TEST_F(ImportTest, ColumnsThatAreNotTheFieldsAreNamed) {  // F-152
  const std::string path = file("t.csv", "ts,other\n1,2\n");
  const Schema schema = Schema::rows({{"ts", "uint64"}, {"x", "int8"}});
  FeedWriter into = writer(schema);
  expect_fault(Fault::kSchemaConflict, "only in the file: other\nonly in the feed: x",
               [&] { import(*open_csv(path, schema, {}), into); });
  SourceOptions columns;
  columns.columns = {"ts", "x"};
  EXPECT_EQ(import(*open_csv(file("u.csv", "ts,other,x\n1,2,3\n"), schema, columns), into).records, 1u);
  SourceOptions bare;
  bare.header = false;
  EXPECT_EQ(import(*open_csv(file("v.csv", "7,8\n"), schema, bare), into).records, 1u);
  into.close();
  EXPECT_EQ(csv_of(), "ts,x\n1,3\n7,8\n");
}

TEST_F(ImportTest, AnArrayComesBackFromItsFile) {  // F-152, F-151
  {
    FeedWriter first = make(Storage::kTiered);
    append(first, 0, 3000);
    first.close();
  }
  FeedReader reader = read();
  ExportOptions npy;
  npy.style.format = RowFormat::kNpy;
  (void)export_file(reader, npy, root / "rows.npy");
  const Schema schema = npy_schema(root / "rows.npy", {});
  EXPECT_EQ(types_of(schema), "time_ns:uint64 number:uint64 value:float64 check:uint64 ");
  FeedWriter into = writer(schema);
  EXPECT_EQ(import(*open_npy(root / "rows.npy", schema, {}), into).records, 3000u);
  into.close();
  EXPECT_EQ(csv_of("rows"), csv_of("trades"));
}

std::string npy_text(std::string descr, std::string_view shape, std::string_view data) {
  std::string dictionary = concat("{'descr': ", descr, ", 'fortran_order': False, 'shape': ", shape, ", }");
  dictionary.append(63 - (10 + dictionary.size()) % 64, ' ');
  dictionary += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(dictionary.size() & 0xFF);
  out += static_cast<char>(dictionary.size() >> 8);
  return out + dictionary + std::string(data);
}

TEST_F(ImportTest, ForeignArraysAreTurnedIntoFields) {  // F-152
  // Big-endian numbers, padding, UCS-4 text, datetime64[us]: two elements.
  std::string data;
  const auto element = [&](uint64_t us, uint16_t big, std::u32string_view text) {
    data.append(reinterpret_cast<const char*>(&us), 8);
    data += static_cast<char>(big >> 8);
    data += static_cast<char>(big & 0xFF);
    data.append(4, '\x55');
    char32_t padded[3] = {};
    text.copy(padded, 3);
    data.append(reinterpret_cast<const char*>(padded), 12);
  };
  element(1'000, 258, U"h\u00e9!");
  element(1ULL << 63, 1, U"x");  // NaT
  const std::string path =
      file("a.npy", npy_text("[('when', '<M8[us]'), ('big', '>u2'), ('', '|V4'), ('s', '<U3')]", "(2,)", data));
  const Schema schema = npy_schema(path, {});
  EXPECT_EQ(types_of(schema), "when:uint64 big:uint16 s:text[12] ");
  EXPECT_EQ(schema.clock(0).unit, ClockUnit::kUs);
  FeedWriter into = writer(schema);
  const ImportReport report = import(*open_npy(path, schema, {}), into);
  EXPECT_EQ(report.rejected, 1u);
  into.close();
  EXPECT_EQ(csv_of(), "when,big,s\n1000,258,h\xC3\xA9!\n");
  SourceOptions rows;
  rows.clock_from_row = true;
  const std::string plain = file(
      "p.npy",
      npy_text("'<f4'", "(2, 3)", std::string_view("\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40", 24)));
  const Schema plain_schema = npy_schema(plain, rows);
  EXPECT_EQ(types_of(plain_schema), "row:uint64 value:float32[3] ");
  FeedWriter other = writer(plain_schema, "plain");
  EXPECT_EQ(import(*open_npy(plain, plain_schema, rows), other).records, 2u);
  other.close();
  EXPECT_EQ(csv_of("plain"), "row,value\n0,1 2 3\n1,1 2 3\n");
  expect_fault(Fault::kInvalidSchema, "cannot be a field", [&] { npy_schema(file("o.npy", npy_text("'|O'", "(2,)", "")), rows); });
}

TEST_F(ImportTest, RawRowsGoInAsTheyAreAndAHalfOneIsTold) {  // F-152
  std::string raw;
  for (uint64_t number = 0; number < 10; ++number) {
    const test::Row row = test::row_of(number);
    raw.append(reinterpret_cast<const char*>(&row), sizeof row);
  }
  FeedWriter into = make(Storage::kTiered);
  const ImportReport report = import(*open_raw(file("r.raw", raw + "half"), into.feed().schema), into, 3);
  EXPECT_EQ(report.records, 10u);
  EXPECT_EQ(report.rejected, 1u);
  EXPECT_EQ(report.first_rejected.at(0).why, "the last row has 4 of 32 bytes");
  into.close();
  FeedReader reader = read({.from = At::oldest()});
  expect_rows(reader, 0, 10);
}

}  // namespace
}  // namespace tidepool::feed

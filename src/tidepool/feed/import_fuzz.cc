// Invariants: no .npy header and no CSV text crashes or hangs; what a header promises lies within the file; a CSV record's values
// are no longer than the text; reading it in other pieces gives the same records.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/feed/csv.h"
#include "tidepool/feed/fault.h"
#include "tidepool/feed/npy.h"

namespace {
using namespace tidepool;

void require(bool holds) {
  if (!holds) std::abort();
}

void try_npy(Bytes bytes) {
  const uint64_t file_bytes = bytes.size() + 100'000;  // as if data followed
  try {
    const feed::NpyLayout layout = feed::parse_npy(bytes, file_bytes, "fuzz.npy");
    require(layout.element_bytes > 0 && layout.data_offset <= file_bytes);
    require(layout.count <= (file_bytes - layout.data_offset) / layout.element_bytes);
    for (const feed::NpyField& field : layout.fields) {
      require(field.bytes > 0 && uint64_t{field.offset} + field.bytes <= layout.element_bytes);
    }
  } catch (const Error&) {
  }
}

// All records, or "!" where it ends with an error.
std::vector<std::vector<std::string>> records_of(int fd, size_t size) {
  std::vector<std::vector<std::string>> out;
  ::lseek(fd, 0, SEEK_SET);
  feed::CsvReader reader(fd, "fuzz.csv");
  try {
    for (std::vector<std::string_view> values; reader.next(values);) {
      size_t bytes = 0;
      for (const std::string_view value : values) bytes += value.size();
      require(!values.empty() && bytes <= size);
      out.emplace_back(values.begin(), values.end());
    }
  } catch (const Error&) {
    out.push_back({"!"});
  }
  return out;
}

void try_csv(std::string_view text) {
  const int fd = ::memfd_create("fuzz.csv", MFD_CLOEXEC);
  require(fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  const auto whole = records_of(fd, text.size());
  // A line end behind the last record, if it has none, changes nothing.
  const bool open = !text.empty() && text.back() != '\n' && (whole.empty() || whole.back() != std::vector<std::string>{"!"});
  if (open) require(::write(fd, "\n", 1) == 1);
  if (open) require(records_of(fd, text.size() + 1) == whole || text.back() == '\r');
  ::close(fd);
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'n') {
    try_npy(std::as_bytes(std::span(text)));
  } else {
    try_csv(text);
  }
  return 0;
}

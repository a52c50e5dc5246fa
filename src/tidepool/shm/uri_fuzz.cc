// Invariants: no bytes crash Uri::parse(); what it refuses it refuses with kInvalidArgument and one printable line; what it
// accepts has an absolute path within the grammar, and reads back from its own text as the same URI (W-23).

#include "tidepool/shm/uri.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tidepool/base/error.h"

namespace {
void require(bool holds) {
  if (!holds) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using tidepool::shm::Uri;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const Uri uri = Uri::parse(text);
    require(!uri.path.empty() && uri.path.front() == '/');
    require(text.size() <= tidepool::shm::kMaxUriBytes && text.find(uri.path) != std::string_view::npos);
    for (const char c : uri.path) require(c >= 0x21 && c <= 0x7E && c != '?' && c != '|');
    require(Uri::parse(uri.text()) == uri);
  } catch (const tidepool::Error& error) {
    require(error.code() == tidepool::Code::kInvalidArgument);
    for (const char c : std::string_view(error.what())) require(c >= 0x20 && c < 0x7F);
  }
  return 0;
}

// Invariants: no text crashes parse_toml(); what it refuses it refuses with kInvalidArgument and one printable line that names
// the file and a line; what it accepts goes through the loader of each service (driver, supervisor, discovery), whose every
// complaint is one printable line with a key, and whose verdict is the same when asked again (CFG-1).

#include "tidepool/cli/toml_file.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tidepool/base/error.h"
#include "tidepool/services/discovery/config.h"
#include "tidepool/services/driver/config.h"
#include "tidepool/services/supervisor/config.h"

namespace {
void require(bool holds) {
  if (!holds) std::abort();
}
void require_printable(std::string_view text) {
  for (const char c : text) require(c >= 0x20 && c < 0x7F);
}
template <typename Load>
void check_loader(const Load& load) {
  const auto loaded = load();
  for (const auto& problem : loaded.problems) {
    require(!problem.key.empty() && !problem.text.empty());
    require_printable(problem.line());
  }
  require(loaded.ok() == tidepool::fatal_text(loaded.problems).empty());
  require(tidepool::fatal_text(load().problems) == tidepool::fatal_text(loaded.problems));
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tidepool;
  tidepool::ConfigValue tree;
  try {
    tree = cli::parse_toml({reinterpret_cast<const char*>(data), size}, "fuzz.toml");
  } catch (const Error& error) {
    require(error.code() == Code::kInvalidArgument);
    require(std::string_view(error.what()).starts_with("fuzz.toml:"));
    require_printable(error.what());
    return 0;
  }
  const Environment nothing = [](const std::string&) { return std::optional<std::string>{}; };
  check_loader([&] { return driver::load_driver_config(tree, nothing); });
  check_loader([&] { return supervisor::load_supervisor_config(tree, nothing); });
  check_loader([&] { return discovery::load_discovery_config(tree, nothing); });
  return 0;
}

#pragma once
// Ranges of ids that a configuration sets aside, held against each other and against ids in use (CFG-8).

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/base/config_reader.h"

namespace tidepool {

struct NamedRange {
  std::string key;  // of the configuration, for the complaint
  IdRange range;
};
struct NamedId {
  std::string key;
  uint32_t id = 0;
};

std::vector<NamedRange> named(const std::string& key, const std::vector<IdRange>& ranges);
std::string origin_of(const Origins& origins, std::string_view key);

// `named` by itself, from 1 to `highest`, and against the ids in use: what is wrong is added to `problems`.
void check_range(const NamedRange& named, uint32_t highest, std::span<const NamedId> in_use, const Origins& origins,
                 std::vector<ConfigProblem>& problems);
void check_disjoint(const NamedRange& a, const NamedRange& b, const Origins& origins, std::vector<ConfigProblem>& problems);

}  // namespace tidepool

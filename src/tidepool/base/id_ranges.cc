#include "tidepool/base/id_ranges.h"

#include <utility>

#include "tidepool/base/error.h"

namespace tidepool {

std::vector<NamedRange> named(const std::string& key, const std::vector<IdRange>& ranges) {
  std::vector<NamedRange> out;
  for (const auto& range : ranges) out.push_back({key, range});
  return out;
}

std::string origin_of(const Origins& origins, std::string_view key) {
  const auto at = origins.find(key);
  return at == origins.end() ? std::string{} : at->second;
}

void check_range(const NamedRange& named, uint32_t highest, std::span<const NamedId> in_use, const Origins& origins,
                 std::vector<ConfigProblem>& problems) {
  const IdRange& range = named.range;
  const auto bad = [&](std::string text) { problems.push_back({named.key, origin_of(origins, named.key), std::move(text)}); };
  if (range.first == 0) return bad(concat("is ", text_of(range), ": expected ids from 1 up, 0 is never one"));
  if (range.first > range.last) return bad(concat("is ", text_of(range), ": expected the smaller id first"));
  if (range.last > highest) return bad(concat("is ", text_of(range), ": expected ids up to ", highest));
  for (const NamedId& other : in_use) {
    if (range.contains(other.id))
      bad(concat("is ", text_of(range), " and contains ", other.id, ", which is ", other.key, ": expected none of those in use"));
  }
}

void check_disjoint(const NamedRange& a, const NamedRange& b, const Origins& origins, std::vector<ConfigProblem>& problems) {
  if (a.range.overlaps(b.range))
    problems.push_back(
        {a.key, origin_of(origins, a.key),
         concat("is ", text_of(a.range), " and overlaps ", text_of(b.range), " of ", b.key, ": expected disjoint ranges")});
}

}  // namespace tidepool

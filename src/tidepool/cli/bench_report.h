#pragma once
// What `tidepool bench` and `tidepool feed bench` print: the machine, then each figure beside its limit.

#include <string>
#include <utility>
#include <vector>

#include "harness.h"
#include "tidepool/cli/command.h"

namespace tidepool::cli {

using BenchHead = std::vector<std::pair<std::string, std::string>>;

// CPU, kernel, flags, commit. Before anything is pinned.
BenchHead bench_head();
void show_bench_progress(const Context& context, const std::string& what);
void end_bench_progress(const Context& context);
// As a table, or with --json as one object: {"machine": {...}, "results": [{name, value, unit, limit, limit_name, ratio, spread}]}.
void print_bench_results(const Context& context, const BenchHead& head, const std::vector<bench::Result>& results);

}  // namespace tidepool::cli

#pragma once
// A driver's configuration for people: every value and where it came from.

#include <string>
#include <utility>
#include <vector>

#include "tidepool/cli/command.h"
#include "tidepool/services/driver/config.h"

namespace tidepool::cli {

// CFG-21: every scalar key with its effective value and origin, the token masked; then profiles and streams. With
// context.json one object {key: {value, origin}}.
void print_effective(const Context& context, const driver::LoadedConfig& loaded);

// Every scalar key with its effective value, the token masked.
std::vector<std::pair<std::string, std::string>> effective_values(const driver::LoadedConfig& loaded);

// "64 slots of 1.0 MiB, 64.0 MiB an epoch"
std::string describe_geometry(const pool::Geometry& geometry);

}  // namespace tidepool::cli

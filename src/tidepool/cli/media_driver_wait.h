#pragma once

#include <string>

namespace tidepool::cli {

// Look until a media driver is alive in `aeron_dir`; false when a signal came first. Says once what it waits for.
bool wait_for_media_driver(const std::string& aeron_dir);

}  // namespace tidepool::cli

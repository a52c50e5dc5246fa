#pragma once

#include <memory>
#include <string>

#include "tidepool/transport/media_driver.h"

namespace tidepool::cli {

// Look until a media driver is alive in `aeron_dir`; false when a signal came first. Says once what it waits for.
bool wait_for_media_driver(const std::string& aeron_dir);

// A media driver in this process, or nullptr: one is alive in `aeron_dir` already, which the log then says for `role`. Throws Error.
std::unique_ptr<transport::MediaDriver> embed_media_driver(const std::string& aeron_dir, std::string_view role);

}  // namespace tidepool::cli

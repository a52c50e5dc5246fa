#include "tidepool/cli/media_driver_wait.h"

#include <chrono>
#include <thread>

#include "tidepool/base/log.h"
#include "tidepool/cli/listening.h"
#include "tidepool/cli/signals.h"

namespace tidepool::cli {

bool wait_for_media_driver(const std::string& aeron_dir) {
  bool said = false;
  while (!media_driver_alive(aeron_dir)) {
    if (stop_requested()) return false;
    if (!said) log(LogLevel::kInfo, "driver", "waiting for a media driver at ", aeron_dir);
    said = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return true;
}

std::unique_ptr<transport::MediaDriver> embed_media_driver(const std::string& aeron_dir, std::string_view role) {
  if (media_driver_alive(aeron_dir)) {  // one that was killed a moment ago has a young heartbeat still
    log(LogLevel::kInfo, role, "the media driver of pid ", transport::media_driver_status(aeron_dir).pid, " is alive at ", aeron_dir, ": using that one");
    return nullptr;
  }
  auto media = std::make_unique<transport::MediaDriver>(transport::MediaDriverOptions{.dir = aeron_dir});
  log(LogLevel::kInfo, role, "media driver embedded at ", media->dir());
  return media;
}

}  // namespace tidepool::cli

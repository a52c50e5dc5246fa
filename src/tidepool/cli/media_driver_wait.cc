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

}  // namespace tidepool::cli

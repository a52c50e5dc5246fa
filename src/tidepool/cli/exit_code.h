#pragma once
// What the command line's exit codes mean; scripts depend on them (docs/guide/command-line.md).

namespace tidepool::cli {

enum class Exit : int {
  kOk = 0,         // did what was asked
  kFailed = 1,     // could not
  kUsage = 2,      // the command line or an environment variable makes no sense
  kNothing = 3,    // nothing arrived in the time given
  kWrongData = 4,  // data was not what it should be
};

}  // namespace tidepool::cli

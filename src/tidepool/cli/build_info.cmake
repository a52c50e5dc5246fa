# cmake -D SOURCE_DIR=... -D OUTPUT=... -D BUILD_TYPE=... -P build_info.cmake: writes OUTPUT when something in it changed.
find_package(Git QUIET)
set(commit "")
if(GIT_FOUND)
  execute_process(COMMAND "${GIT_EXECUTABLE}" describe --always --dirty --abbrev=12 --match=NeVeR WORKING_DIRECTORY "${SOURCE_DIR}"
                  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(commit STREQUAL "")
  set(commit "unknown")
endif()
file(CONFIGURE OUTPUT "${OUTPUT}" @ONLY CONTENT [[
#include "tidepool/cli/build_info.h"
namespace tidepool::cli {
const char* const kCommit = "@commit@";
const char* const kBuildType = "@BUILD_TYPE@";
const char* const kCompiler = "@COMPILER@";
const char* const kSanitizer = "@SANITIZER@";
const char* const kAeronVersion = "@AERON_VERSION@";
const char* const kTomlVersion = "@TOML_VERSION@";
}  // namespace tidepool::cli
]])

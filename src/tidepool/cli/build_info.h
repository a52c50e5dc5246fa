#pragma once
// Facts of this build that no source knows; build_info.cc is written by build_info.cmake at each build.

namespace tidepool::cli {

extern const char* const kCommit;     // "1a2b3c4d5e6f", with "-dirty" for uncommitted changes; "unknown" outside a repository
extern const char* const kBuildType;
extern const char* const kCompiler;
extern const char* const kSanitizer;  // empty: none
extern const char* const kAeronVersion;
extern const char* const kTomlVersion;

}  // namespace tidepool::cli

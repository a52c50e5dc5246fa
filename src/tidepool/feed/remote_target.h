#pragma once
// Targets on another host: `host:/abs/path` and `scheme://host[:port]/abs/path`. Reading those is to come (F-141); until then they are
// refused before anything local is looked at, so that "nothing there" never means a local directory of that name (F-88).

#include <string_view>

namespace tidepool::feed {

bool is_remote_target(std::string_view base) noexcept;
// Throws FeedError kUsage for one.
void refuse_remote_target(std::string_view base);

}  // namespace tidepool::feed

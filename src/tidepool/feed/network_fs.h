#pragma once
// Which file systems are another host's: a mapping of a file that grows is not to be relied on there (F-70). Private to feed/.

#include <cstdint>
#include <string>
#include <string_view>

#include "tidepool/feed/file_seam.h"

namespace tidepool::feed {

// "nfs", "cifs", ...; empty: none of them. `magic` is statfs' f_type.
std::string_view network_file_system(uint32_t magic) noexcept;
// Throws FeedError kUnsupportedFs, naming the kind of mount.
void refuse_network_file_system(Files& files, const std::string& path);

}  // namespace tidepool::feed

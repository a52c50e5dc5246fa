#pragma once
// Writes 8-bit RGB pictures as PNG, and contact sheets of many.

#include <cstdint>
#include <string>
#include <vector>

namespace tidepool::cli {

struct Picture {
  uint32_t width = 0;
  uint32_t height = 0;
  std::vector<uint8_t> rgb;  // width * height * 3, row by row
};

// Throws Error naming the file. Written under a temporary name first: the file is whole or not there.
void write_png(const std::string& path, const Picture& picture);

// `pictures` scaled to thumbnails of `thumb_width`, `columns` side by side, a gap of 4 pixels around each.
Picture contact_sheet(const std::vector<Picture>& pictures, uint32_t columns, uint32_t thumb_width);

}  // namespace tidepool::cli

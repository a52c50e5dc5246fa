#include "tidepool/cli/png.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <memory>

#include "tidepool/base/error.h"

namespace tidepool::cli {
namespace {

void put_be32(std::vector<uint8_t>& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<uint8_t>(value >> shift));
}

void put_chunk(std::vector<uint8_t>& out, const char (&type)[5], const std::vector<uint8_t>& data) {
  put_be32(out, static_cast<uint32_t>(data.size()));
  const size_t start = out.size();
  out.insert(out.end(), type, type + 4);
  out.insert(out.end(), data.begin(), data.end());
  put_be32(out, static_cast<uint32_t>(::crc32(0, out.data() + start, static_cast<uInt>(out.size() - start))));
}

}  // namespace

void write_png(const std::string& path, const Picture& picture) {
  if (picture.width == 0 || picture.height == 0 || picture.rgb.size() != size_t{picture.width} * picture.height * 3) {
    throw Error(Code::kInvalidArgument, "write ", path, ": the picture is ", picture.width, " x ", picture.height, " with ",
                picture.rgb.size(), " bytes: expected width * height * 3");
  }
  std::vector<uint8_t> raw;  // each row behind its filter byte 0
  const size_t row_bytes = size_t{picture.width} * 3;
  raw.reserve((row_bytes + 1) * picture.height);
  for (uint32_t y = 0; y < picture.height; ++y) {
    raw.push_back(0);
    raw.insert(raw.end(), picture.rgb.begin() + static_cast<std::ptrdiff_t>(y * row_bytes),
               picture.rgb.begin() + static_cast<std::ptrdiff_t>((y + 1) * row_bytes));
  }
  uLongf packed_bytes = ::compressBound(static_cast<uLong>(raw.size()));
  std::vector<uint8_t> packed(packed_bytes);
  if (::compress2(packed.data(), &packed_bytes, raw.data(), static_cast<uLong>(raw.size()), 6) != Z_OK) {
    throw Error(Code::kInternal, "write ", path, ": zlib could not compress it");
  }
  packed.resize(packed_bytes);

  std::vector<uint8_t> file = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  std::vector<uint8_t> header;
  put_be32(header, picture.width);
  put_be32(header, picture.height);
  header.insert(header.end(), {8, 2, 0, 0, 0});  // 8 bits, RGB, deflate, no filter choice, not interlaced
  put_chunk(file, "IHDR", header);
  put_chunk(file, "IDAT", packed);
  put_chunk(file, "IEND", {});

  const std::string part = path + ".part";
  const std::unique_ptr<FILE, int (*)(FILE*)> out(std::fopen(part.c_str(), "wb"), [](FILE* f) { return f != nullptr ? std::fclose(f) : 0; });
  if (!out || std::fwrite(file.data(), 1, file.size(), out.get()) != file.size() || std::fflush(out.get()) != 0 ||
      std::rename(part.c_str(), path.c_str()) != 0) {
    const int err = errno;
    std::remove(part.c_str());
    throw Error(code_of_errno(err), "write ", path, errno_text(err));
  }
}

Picture contact_sheet(const std::vector<Picture>& pictures, uint32_t columns, uint32_t thumb_width) {
  constexpr uint32_t kGap = 4;
  Picture sheet;
  if (pictures.empty() || columns == 0 || thumb_width == 0) return sheet;
  const Picture& first = pictures.front();
  const uint32_t thumb_height = std::max<uint32_t>(1, first.height * thumb_width / std::max<uint32_t>(1, first.width));
  const auto rows = static_cast<uint32_t>((pictures.size() + columns - 1) / columns);
  sheet.width = kGap + columns * (thumb_width + kGap);
  sheet.height = kGap + rows * (thumb_height + kGap);
  sheet.rgb.assign(size_t{sheet.width} * sheet.height * 3, 0x20);
  for (size_t i = 0; i < pictures.size(); ++i) {
    const Picture& from = pictures[i];
    const uint32_t left = kGap + static_cast<uint32_t>(i % columns) * (thumb_width + kGap);
    const uint32_t top = kGap + static_cast<uint32_t>(i / columns) * (thumb_height + kGap);
    for (uint32_t y = 0; y < thumb_height; ++y) {
      for (uint32_t x = 0; x < thumb_width; ++x) {
        // The mean of the source pixels under this one.
        const uint32_t x0 = x * from.width / thumb_width, x1 = std::max(x0 + 1, (x + 1) * from.width / thumb_width);
        const uint32_t y0 = y * from.height / thumb_height, y1 = std::max(y0 + 1, (y + 1) * from.height / thumb_height);
        std::array<uint32_t, 3> sum{};
        for (uint32_t sy = y0; sy < y1; ++sy) {
          for (uint32_t sx = x0; sx < x1; ++sx) {
            for (size_t c = 0; c < 3; ++c) sum[c] += from.rgb[(size_t{sy} * from.width + sx) * 3 + c];
          }
        }
        for (size_t c = 0; c < 3; ++c) {
          sheet.rgb[(size_t{top + y} * sheet.width + left + x) * 3 + c] = static_cast<uint8_t>(sum[c] / ((x1 - x0) * (y1 - y0)));
        }
      }
    }
  }
  return sheet;
}

}  // namespace tidepool::cli

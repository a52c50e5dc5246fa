#include "tidepool/feed/network_fs.h"

#include "tidepool/feed/fault.h"

namespace tidepool::feed {

std::string_view network_file_system(uint32_t magic) noexcept {
  switch (magic) {  // linux/magic.h, and the file systems' own sources for those that are not in it
    case 0x6969: return "nfs";
    case 0x517B: return "smb";
    case 0xFF534D42: return "cifs";
    case 0xFE534D42: return "smb3";
    case 0x01021997: return "9p";
    case 0x00C36400: return "ceph";
    case 0x5346414F: return "afs";
    case 0x6B414653: return "kafs";
    case 0x73757245: return "coda";
    case 0x564C: return "ncpfs";
    case 0x0BD00BD0: return "lustre";
    case 0x47504653: return "gpfs";
    case 0x19830326: return "beegfs";
    case 0x01161970: return "gfs2";
    case 0x7461636F: return "ocfs2";
    case 0x786F4256: return "vboxsf";
    default: return {};
  }
}

void refuse_network_file_system(Files& files, const std::string& path) {
  const std::string_view kind = network_file_system(files.file_system(path));
  if (kind.empty()) return;
  throw FeedError(Fault::kUnsupportedFs, path, " is on a network file system (", kind,
                  "), where mappings of a growing file are not to be relied on: write to a local disk, or force it with "
                  "WriterOptions::allow_network_fs, --allow-network-fs; sealed chunks may be read there");
}

}  // namespace tidepool::feed

#include "tidepool/feed/blob_export.h"

#include <fcntl.h>
#include <unistd.h>

#include "tidepool/base/log.h"

namespace tidepool::feed {
namespace {

const char* ending_of(uint64_t codec) {
  switch (static_cast<BlobCodec>(codec)) {
    case BlobCodec::kRaw: return "bin";
    case BlobCodec::kMsgpack: return "msgpack";
    case BlobCodec::kJson: return "json";
    case BlobCodec::kZstd: return "zst";
    case BlobCodec::kNpy: return "npy";
  }
  return "bin";
}

}  // namespace

BlobExport::BlobExport(const std::string& base, const std::string& name, const std::string& directory, bool over, Files& files)
    : reader_(BlobReader::open(base, name, files)), directory_(directory), files_(files) {
  if (!over && !names_in(directory).empty())
    throw FeedError(Fault::kUsage, directory, " is not empty: payloads go to a directory of their own");
  make_directory(files_, directory_, 0777);
  for (const BlobColumn& column : reader_.columns()) make_directory(files_, concat(directory_, "/", column.name), 0777);
}

void BlobExport::take(Bytes rows, uint64_t count, uint64_t first_seq, uint32_t row_bytes) {
  for (uint64_t i = 0; i < count; ++i) {
    for (size_t column = 0; column < reader_.columns().size(); ++column) {
      const Blob blob = reader_.get(rows.subspan(i * row_bytes, row_bytes), column);
      if (blob.status == Blob::Status::kOk) {
        write(first_seq + i, reader_.columns()[column].name, blob);
      } else if (blob.status != Blob::Status::kNull) {
        bad_.push_back({first_seq + i, reader_.columns()[column].name, blob.problem});
      }
    }
  }
}

// Whole under its name; synced all together at the end.
void BlobExport::write(uint64_t seq, const std::string& column, const Blob& blob) {
  const std::string path = concat(directory_, "/", column, "/", seq, ".", ending_of(blob.ref.codec));
  const File file = File::open(files_, path + ".partial", O_RDWR | O_CREAT | O_TRUNC, 0666);
  file.write(blob.payload, 0);
  rename_file(files_, path + ".partial", path);
  ++payloads_;
  bytes_ += blob.payload.size();
}

void BlobExport::finish() {
  const int fd = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw FeedError(fault_of_errno(errno), "open ", directory_, errno_text());
  const int failed = ::syncfs(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (failed != 0) {
    errno = failed;
    throw FeedError(fault_of_errno(failed), "sync ", directory_, errno_text());
  }
}

}  // namespace tidepool::feed

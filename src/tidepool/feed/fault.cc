#include "tidepool/feed/fault.h"

#include <cerrno>

namespace tidepool::feed {

std::string_view fault_name(Fault fault) noexcept {
  switch (fault) {
    case Fault::kBaseNotFound: return "BASE_NOT_FOUND";
    case Fault::kFeedNotFound: return "FEED_NOT_FOUND";
    case Fault::kFileNotFound: return "FILE_NOT_FOUND";
    case Fault::kInvalidName: return "INVALID_NAME";
    case Fault::kInvalidSchema: return "INVALID_SCHEMA";
    case Fault::kInvalidSize: return "INVALID_SIZE";
    case Fault::kSchemaConflict: return "SCHEMA_CONFLICT";
    case Fault::kSchemaMismatch: return "SCHEMA_MISMATCH";
    case Fault::kImmutable: return "IMMUTABLE";
    case Fault::kWriterBusy: return "WRITER_BUSY";
    case Fault::kFenced: return "FENCED";
    case Fault::kRegistryBusy: return "REGISTRY_BUSY";
    case Fault::kNoSpace: return "NO_SPACE";
    case Fault::kNoShmSpace: return "NO_SHM_SPACE";
    case Fault::kIo: return "IO_ERROR";
    case Fault::kPermission: return "PERMISSION_DENIED";
    case Fault::kUnsupportedVersion: return "UNSUPPORTED_VERSION";
    case Fault::kUnsupportedFs: return "UNSUPPORTED_FS";
    case Fault::kCorrupt: return "DAMAGED";
    case Fault::kFeedReplaced: return "FEED_REPLACED";
    case Fault::kFeedDeleted: return "FEED_DELETED";
    case Fault::kFeedDamaged: return "FEED_DAMAGED";
    case Fault::kOutOfRange: return "OUT_OF_RANGE";
    case Fault::kGap: return "GAP";
    case Fault::kRecordTooLarge: return "RECORD_TOO_LARGE";
    case Fault::kResultTooLarge: return "RESULT_TOO_LARGE";
    case Fault::kNoLiveData: return "NO_LIVE_DATA";
    case Fault::kBackpressure: return "BACKPRESSURE_TIMEOUT";
    case Fault::kNoPersister: return "NO_PERSISTER";
    case Fault::kBusy: return "BUSY";
    case Fault::kUsage: return "USAGE";
  }
  return "UNKNOWN";
}

Code code_of(Fault fault) noexcept {
  switch (fault) {
    case Fault::kBaseNotFound:
    case Fault::kFeedNotFound:
    case Fault::kFileNotFound:
    case Fault::kFeedDeleted:
    case Fault::kNoLiveData:
    case Fault::kGap:
    case Fault::kOutOfRange: return Code::kNotFound;
    case Fault::kInvalidName:
    case Fault::kInvalidSchema:
    case Fault::kInvalidSize:
    case Fault::kRecordTooLarge:
    case Fault::kUsage: return Code::kInvalidArgument;
    case Fault::kSchemaConflict:
    case Fault::kImmutable:
    case Fault::kWriterBusy:
    case Fault::kFenced:
    case Fault::kBusy:
    case Fault::kFeedReplaced: return Code::kRejected;
    case Fault::kRegistryBusy:
    case Fault::kNoPersister:
    case Fault::kBackpressure: return Code::kTimeout;
    case Fault::kNoSpace:
    case Fault::kNoShmSpace:
    case Fault::kResultTooLarge: return Code::kNoSpace;
    case Fault::kPermission: return Code::kPermission;
    case Fault::kUnsupportedVersion:
    case Fault::kUnsupportedFs: return Code::kUnsupported;
    case Fault::kSchemaMismatch:
    case Fault::kCorrupt:
    case Fault::kFeedDamaged: return Code::kCorrupt;
    case Fault::kIo: return Code::kInternal;
  }
  return Code::kInternal;
}

Fault fault_of_errno(int err, bool shared_memory) noexcept {
  switch (err) {
    case EACCES:
    case EPERM:
    case EROFS: return Fault::kPermission;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:  // RLIMIT_FSIZE: refused, and nothing was lost
    case ENOMEM:
    case EMFILE:
    case ENFILE: return shared_memory ? Fault::kNoShmSpace : Fault::kNoSpace;
    case ENOENT: return Fault::kFileNotFound;
    default: return Fault::kIo;
  }
}

}  // namespace tidepool::feed

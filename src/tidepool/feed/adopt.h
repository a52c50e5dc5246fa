#pragma once
// Chunk files that were copied from another base become chunks of a feed of this one (F-153): restoring a backup file by file, or
// bringing history from another machine. Numbers, ordinals, epochs and the feed's id stay what they were.
//
// Each file is checked whole before it is taken; the files that are given stay as they are. Killed at any point, what is half done is
// an orphan that repair takes in, or is done again by the next call. Thread safety: functions without state.

#include <cstdint>
#include <string>
#include <vector>

#include "tidepool/feed/registry.h"

namespace tidepool::feed {

struct AdoptOptions {
  bool dry_run = false;       // look at all files, say what would be done
  bool replace_damaged = false;  // a whole copy of a chunk that is damaged, or gone, here takes its place
  FeedOptions feed_options{};  // of a feed that is made; sizes of chunks and blocks are those of the files
  Files* files = &Files::system();
};

struct AdoptedChunk {
  enum class Outcome : uint8_t {
    kAdopted,
    kReplaced,     // in place of one that was damaged, of which a copy is in quarantine/ now
    kRefused,      // its ordinal or its records are there, it is another feed's, or no chunk: nothing was done
    kQuarantined,  // a checksum is wrong: a copy is in quarantine/, and its records are told as a gap
  };
  std::string path;
  Outcome outcome = Outcome::kRefused;
  uint64_t ordinal = 0;
  uint64_t first_seq = 0;  // [first_seq, end_seq); equal: unknown
  uint64_t end_seq = 0;
  std::string why;
};
std::string_view outcome_name(AdoptedChunk::Outcome outcome) noexcept;  // "adopted", "replaced", "refused", "quarantined"

struct AdoptReport {
  bool created = false;  // the feed was not there
  std::vector<AdoptedChunk> chunks;  // in the order of their ordinals
  uint64_t count(AdoptedChunk::Outcome outcome) const noexcept;
};

// `paths`: files of sealed chunks (<ordinal>.data; their indexes are made again from the records). The feed is made if there is none of
// that name. Throws FeedError kSchemaConflict when `name` is another feed, or the feed has another name here; kWriterBusy while
// somebody writes it; kCorrupt when no file is whole and there is no feed yet; kInvalidName, kNoSpace, kIo, kFileNotFound (a path).
AdoptReport adopt_chunks(const std::string& base, const std::string& name, const std::vector<std::string>& paths,
                         const AdoptOptions& options = {});

}  // namespace tidepool::feed

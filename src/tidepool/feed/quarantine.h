#pragma once
// Where damaged files go: quarantine/ of a feed or a base, never deleted, each with a note beside it that says what, why, when and
// which records (F-134, F-135). Private to feed/.

#include <string>

#include "tidepool/feed/file_seam.h"

namespace tidepool::feed {

struct QuarantineNote {
  std::string feed{};
  std::string by{};  // "recovery", "repair", "adoption"
  std::string why{};
  uint64_t first_seq = 0;  // [first_seq, end_seq); equal: unknown
  uint64_t end_seq = 0;
};

// Move `name` of `directory` to quarantine/<name>.<wall clock>, with a note. False: there was no room, so it stays where it is, and
// what the registry says of it must keep readers away.
bool quarantine_file(Files& files, const std::string& directory, const std::string& name, const QuarantineNote& note);
// The same for a file of elsewhere, which stays where it is: a copy of it goes to quarantine.
void quarantine_copy(const File& from, const std::string& directory, const std::string& name, const QuarantineNote& note);
// A note for something that stays in place: a block of a chunk. Written once: the same `what` again is nothing new.
void note_damage(Files& files, const std::string& directory, const std::string& what, const QuarantineNote& note);
bool has_note(const std::string& directory, const std::string& what);
// The notes for what was damaged in `name`, which is whole again; those of files that were moved away stay.
void forget_notes(Files& files, const std::string& directory, const std::string& name);

}  // namespace tidepool::feed

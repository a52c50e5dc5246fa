#include "tidepool/feed/quarantine.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <span>

#include "tidepool/base/clock.h"
#include "tidepool/base/log.h"
#include "tidepool/feed/registry_parts.h"

namespace tidepool::feed {
namespace {

std::string utc_text(uint64_t wall_ns) {
  const auto seconds = static_cast<time_t>(wall_ns / kNsPerSecond);
  tm parts{};
  char text[32];
  if (::gmtime_r(&seconds, &parts) == nullptr || std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
    return "unknown";
  return text;
}

std::string text_of(const std::string& what, const QuarantineNote& note, uint64_t wall_ns) {
  return concat("what: ", what, "\nwhy: ", note.why, "\nwhen: ", utc_text(wall_ns), "\nby: ", note.by,
                "\nfeed: ", note.feed.empty() ? "-" : note.feed,
                "\nrecords: ", note.end_seq > note.first_seq ? concat(note.first_seq, " to ", note.end_seq) : "unknown", "\n");
}

}  // namespace

bool quarantine_file(Files& files, const std::string& directory, const std::string& name, const QuarantineNote& note) {
  const std::string aside = concat(directory, "/", kQuarantineName);
  const uint64_t now_ns = realtime_ns();
  const std::string to = concat(name, ".", now_ns);
  try {
    make_durable_directory(files, directory, kQuarantineName, 0750);
    // The note first: a file in quarantine without one would be a riddle.
    const std::string text = text_of(name, note, now_ns);
    write_file_atomically(files, aside, concat(to, ".note"), std::as_bytes(std::span(text)), 0640);
    rename_file(files, concat(directory, "/", name), concat(aside, "/", to));
    sync_directory(files, aside);  // its new name before the old one goes: a power cut must not cost both
    sync_directory(files, directory);
    return true;
  } catch (const FeedError& error) {
    if (is_missing(error.fault())) return true;  // somebody did it before
    if (error.fault() != Fault::kNoSpace) throw;
    log(LogLevel::kWarn, "feed", "cannot put ", directory, "/", name, " aside: ", error.what());
    return false;
  }
}

void quarantine_copy(const File& from, const std::string& directory, const std::string& name, const QuarantineNote& note) {
  Files& files = from.files();
  const std::string aside = concat(directory, "/", kQuarantineName);
  make_durable_directory(files, directory, kQuarantineName, 0750);
  const uint64_t now_ns = realtime_ns();
  const std::string text = text_of(name, note, now_ns);
  const std::string temporary = concat(aside, "/.tmp-", name);  // a second try writes over what the first one left
  const File to = File::open(files, temporary, O_RDWR | O_CREAT | O_TRUNC, 0640);
  std::vector<std::byte> window(uint64_t{1} << 20);
  uint64_t at = 0;
  for (auto got = from.read(window, at); !got.empty(); got = from.read(window, at)) {
    to.write(got, at);
    at += got.size();
  }
  to.sync();
  write_file_atomically(files, aside, concat(name, ".", now_ns, ".note"), std::as_bytes(std::span(text)), 0640);
  rename_file(files, temporary, concat(aside, "/", name, ".", now_ns));
  sync_directory(files, aside);
}

bool has_note(const std::string& directory, const std::string& what) {
  struct stat found{};
  return ::lstat(concat(directory, "/", kQuarantineName, "/", what, ".note").c_str(), &found) == 0;
}

void note_damage(Files& files, const std::string& directory, const std::string& what, const QuarantineNote& note) {
  if (has_note(directory, what)) return;
  const std::string aside = concat(directory, "/", kQuarantineName);
  make_durable_directory(files, directory, kQuarantineName, 0750);
  const std::string text = text_of(what, note, realtime_ns());
  write_file_atomically(files, aside, concat(what, ".note"), std::as_bytes(std::span(text)), 0640);
}

void forget_notes(Files& files, const std::string& directory, const std::string& name) {
  constexpr std::string_view kEnding = ".note";
  const std::string aside = concat(directory, "/", kQuarantineName);
  const auto names = names_in(aside);
  for (const std::string& note : names) {
    if (!note.starts_with(name + ".") || !note.ends_with(kEnding)) continue;
    if (!std::binary_search(names.begin(), names.end(), note.substr(0, note.size() - kEnding.size()))) unlink_file(files, concat(aside, "/", note));
  }
}

}  // namespace tidepool::feed

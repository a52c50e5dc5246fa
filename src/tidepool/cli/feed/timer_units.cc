#include "tidepool/cli/feed/timer_units.h"

#include <algorithm>
#include <filesystem>

#include "tidepool/base/log.h"

namespace tidepool::cli {
namespace {

std::string program_path() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "tidepool" : path.string();
}

bool is_plain_word(const std::string& word) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("_-./:=,+@").find(c) != std::string_view::npos;
  };
  return !word.empty() && std::all_of(word.begin(), word.end(), plain);
}

std::string shell_word(const std::string& word) {
  if (is_plain_word(word)) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

// systemd: double quotes, backslash; % and $ have a meaning of their own.
std::string systemd_word(const std::string& word) {
  if (is_plain_word(word)) return word;
  std::string quoted = "\"";
  for (const char c : word) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c == '%' || c == '$') quoted += c;
    quoted += c;
  }
  return quoted + "\"";
}

std::string joined(const std::vector<std::string>& words, std::string (*quote)(const std::string&)) {
  std::string line = quote(program_path());
  for (const std::string& word : words) line += " " + quote(word);
  return line;
}

}  // namespace

std::string shell_command(const std::vector<std::string>& words) { return joined(words, shell_word); }

std::string systemd_units(const std::string& name, const std::string& description, const std::vector<std::string>& words) {
  return concat("# ", name, ".service\n[Unit]\nDescription=", description, "\n\n[Service]\nType=oneshot\nExecStart=",
                joined(words, systemd_word), "\n\n# ", name, ".timer\n[Unit]\nDescription=", description,
                ", every 15 minutes\n\n[Timer]\nOnCalendar=*:0/15\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n\n"
                "# Nothing was installed. To do so: write the two parts to ~/.config/systemd/user/ (or /etc/systemd/system/) under these "
                "names, then\n#   systemctl --user daemon-reload && systemctl --user enable --now ",
                name, ".timer\n");
}

std::string cron_line(const std::vector<std::string>& words) {
  std::string command = shell_command(words);
  std::string escaped;  // in a crontab % is the end of the line
  for (const char c : command) escaped += c == '%' ? std::string("\\%") : std::string(1, c);
  return concat("# Nothing was installed. To do so: crontab -e, and add this line\n*/15 * * * * ", escaped, "\n");
}

}  // namespace tidepool::cli

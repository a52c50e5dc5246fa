#pragma once
// What makes a machine run a command by itself: offered as text, never installed (F-131).

#include <string>
#include <vector>

namespace tidepool::cli {

// The command that is running now with these words, as a shell reads it; the program by its full path.
std::string shell_command(const std::vector<std::string>& words);
// A service and a timer of systemd, every 15 minutes, missed runs made up for; with the two file names as comments.
std::string systemd_units(const std::string& name, const std::string& description, const std::vector<std::string>& words);
// A line of crontab, every 15 minutes.
std::string cron_line(const std::vector<std::string>& words);

}  // namespace tidepool::cli

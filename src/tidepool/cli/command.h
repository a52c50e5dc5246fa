#pragma once
// The `tidepool` command as a function, so that tests run it in their own process.

#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "tidepool/cli/exit_code.h"

namespace CLI {
class App;
}

namespace tidepool::cli {

// What every verb gets. A verb's add_<name>() (verbs.h) declares its options and sets `action` when it is chosen; the
// action runs once the whole command line has been understood.
struct Context {
  std::FILE* out = stdout;  // results, and nothing else
  std::FILE* err = stderr;  // errors, logs, progress
  bool json = false;        // --json: results as one object on the last line of `out`
  bool quiet = false;       // --quiet: no progress line
  std::string log;          // --log: level, empty for TIDEPOOL_LOG or info
  std::function<Exit()> action;
  int write_errno = 0;  // why results could not be written, once that is known
};

// Thrown by an action for what the parser cannot see: exit code 2, with a hint at the verb's --help.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// --json, --quiet and --log, which every verb has.
void add_common_flags(CLI::App& verb, Context& context);

// Parse, run, report. Never throws; returns what main() returns. argv[0] is the program's name.
int run_command(int argc, const char* const* argv, std::FILE* out, std::FILE* err) noexcept;

// "tidepool: first line", the text's further lines indented by two blanks.
void print_error(std::FILE* to, std::string_view text);

// One JSON object on a line of its own, flushed, so that a reader of the pipe sees it at once.
void print_json_line(const Context& context, std::string_view json);

}  // namespace tidepool::cli

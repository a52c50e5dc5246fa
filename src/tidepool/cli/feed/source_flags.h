#pragma once
// How rows are read from a file or a pipe: the options that import and write share.

#include <string>
#include <vector>

#include "tidepool/cli/command.h"
#include "tidepool/feed/import.h"

namespace tidepool::cli {

struct SourceFlags {
  std::vector<std::string> clocks, columns, missing;
  std::string clock_unit = "ns", delimiter = ",";
  bool clock_from_row = false, no_header = false;
  std::string rejects;      // file for all refused rows
  double replay = 0;        // times real time; 0: as fast as it goes
  bool allow_network_fs = false;
};
void add_source_flags(CLI::App& verb, SourceFlags& flags);
feed::SourceOptions source_options(const SourceFlags& flags);

// Appends all of `source` with progress, SIGINT and the list of refusals; closes the writer; prints the result. kWrongData if rows
// were refused. `extra`: more keys of the JSON summary.
Exit import_into(const Context& context, feed::RowSource& source, feed::FeedWriter& writer, const SourceFlags& flags,
                 const std::string& name, bool pipe, bool created);

// Waits on a pipe until there is something or SIGINT came: for feed::SourceOptions::may_read.
bool wait_readable(int fd);

}  // namespace tidepool::cli

#include <cstdio>

#include "tidepool/cli/command.h"

int main(int argc, char** argv) { return tidepool::cli::run_command(argc, argv, stdout, stderr); }

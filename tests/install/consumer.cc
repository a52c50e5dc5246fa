// A program of somebody else's, against the installed library: it links, runs, and catches the library's own exception.
#include <tidepool/client.h>

#include <cstdio>
#include <string_view>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    auto client = tidepool::Client::connect({.aeron_dir = argv[1], .attach_timeout_ms = 50});
    std::fputs("connected to a media driver that is not there\n", stderr);
    return 1;
  } catch (const tidepool::Error& error) {
    // The type crosses the library's boundary, and the message names what is missing.
    std::printf("as it should: %s\n", error.what());
    return error.code() == tidepool::Code::kUnavailable && std::string_view(error.what()).find(argv[1]) != std::string_view::npos ? 0 : 1;
  }
}

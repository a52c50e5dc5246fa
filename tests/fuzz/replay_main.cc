// replay_main FILE|FOLDER...: what the fuzzers run outside the fuzz preset, as plain tests with any compiler.
//
// Gives every file (of folders, every file in them, sorted) to LLVMFuzzerTestOneInput, then what can be made of each
// without chance: every prefix and, at every byte, a few flips. Each input has an allocation of its own size, so that
// AddressSanitizer sees a read one byte beyond. Exits 1, naming the argument, if there was nothing to replay. Whatever ends
// it early (an invariant's abort, a sanitizer, a signal) leaves a line with the file and the change that did it.

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

namespace {

namespace fs = std::filesystem;

// Corpora hold small files. Of a big one, found by fuzzing, not every byte is tried, or replaying would take minutes.
constexpr size_t kMaxPlaces = 8192;

// What is being replayed, for the line that a failing invariant leaves behind.
char g_replaying[4096];

void describe(const std::string& file, const char* change, size_t at) {
  std::snprintf(g_replaying, sizeof g_replaying, "replay: failed on %s, %s %zu\n", file.c_str(), change, at);
}

void tell() { [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, g_replaying, std::strlen(g_replaying)); }

extern "C" void on_signal(int signal) {
  tell();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void tell_when_it_dies() {
  std::signal(SIGABRT, on_signal);
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(tell);  // the other signals are the sanitizer's own
  } else {
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, on_signal);
  }
}

void run(const uint8_t* data, size_t size) {
  const std::unique_ptr<uint8_t[]> exact(new uint8_t[size]);
  std::copy_n(data, size, exact.get());
  LLVMFuzzerTestOneInput(exact.get(), size);
}

size_t replay(const fs::path& path) {
  const std::string name = path.string();
  std::ifstream file(path, std::ios::binary);
  std::vector<uint8_t> input{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad() || !file.is_open()) throw fs::filesystem_error("cannot read", path, std::make_error_code(std::errc::io_error));

  std::printf("%s\n", name.c_str());
  std::fflush(stdout);  // a hang is told by nothing else
  size_t runs = 1;
  describe(name, "whole, bytes:", input.size());
  run(input.data(), input.size());

  const size_t step = input.size() / kMaxPlaces + 1;
  for (size_t size = 0; size < input.size(); size += step, ++runs) {
    describe(name, "cut to bytes:", size);
    run(input.data(), size);
  }
  for (size_t at = 0; at < input.size(); at += step) {
    const uint8_t original = input[at];
    for (const int changed : {original ^ 0x01, original ^ 0x80, original ^ 0xFF, 0x00, 0x7F, 0xFF, original + 1, original - 1}) {
      input[at] = static_cast<uint8_t>(changed);
      describe(name, "changed byte:", at);
      run(input.data(), input.size());
      ++runs;
    }
    input[at] = original;
  }
  return runs;
}

std::vector<fs::path> files_of(const fs::path& argument) {
  std::vector<fs::path> files;
  if (fs::is_directory(argument)) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(argument)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  } else if (fs::is_regular_file(argument)) {
    files.push_back(argument);
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  tell_when_it_dies();
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s FILE|FOLDER...\n", argv[0]);
    return 2;
  }
  try {
    size_t inputs = 0;
    size_t runs = 0;
    for (int i = 1; i < argc; ++i) {
      const std::vector<fs::path> files = files_of(argv[i]);
      if (files.empty()) {
        std::fprintf(stderr, "replay: nothing to replay in %s: expected a file or a folder with seeds\n", argv[i]);
        return 1;
      }
      for (const fs::path& file : files) runs += replay(file);
      inputs += files.size();
    }
    std::printf("replayed %zu inputs, %zu runs\n", inputs, runs);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%sreplay: %s\n", g_replaying, error.what());
    return 1;
  }
  return 0;
}

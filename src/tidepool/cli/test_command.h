#pragma once
// Runs `tidepool` in the test's own process.

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tidepool/cli/command.h"
#include "tidepool/shm/test_support.h"

namespace tidepool::cli::test {

using shm::test::TemporaryDirectory;
using shm::test::error_of;
using shm::test::expect_error;
using shm::test::read_file;
using shm::test::write_file;

struct Ran {
  int exit = -1;
  std::string out;
  std::string err;

  // The last line of stdout, which with --json is an object.
  nlohmann::json json() const {
    const std::string text = out.empty() ? out : out.substr(0, out.size() - 1);
    const size_t line = text.rfind('\n');
    auto parsed = nlohmann::json::parse(line == std::string::npos ? text : text.substr(line + 1), nullptr, false);
    EXPECT_TRUE(parsed.is_object()) << "stdout: " << out << "\nstderr: " << err;
    return parsed;
  }
};

inline std::string content_of(std::FILE* file) {
  std::fflush(file);
  std::rewind(file);
  std::string text;
  char chunk[4096];
  for (size_t got; (got = std::fread(chunk, 1, sizeof chunk, file)) > 0;) text.append(chunk, got);
  return text;
}

inline Ran run(const std::vector<std::string>& args) {
  std::vector<const char*> argv = {"tidepool"};
  for (const auto& arg : args) argv.push_back(arg.c_str());
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::tmpfile(), std::fclose), err(std::tmpfile(), std::fclose);
  Ran ran;
  ran.exit = run_command(static_cast<int>(argv.size()), argv.data(), out.get(), err.get());
  ran.out = content_of(out.get());
  ran.err = content_of(err.get());
  return ran;
}

// An environment variable for the length of a test; nullptr unsets it.
class WithEnvironment {
 public:
  WithEnvironment(const std::string& name, const char* value) : name_(name) {
    if (const char* before = ::getenv(name.c_str()); before != nullptr) before_ = before;
    set(value);
  }
  ~WithEnvironment() { set(before_ ? before_->c_str() : nullptr); }
  WithEnvironment(const WithEnvironment&) = delete;
  WithEnvironment& operator=(const WithEnvironment&) = delete;

 private:
  void set(const char* value) const {
    if (value != nullptr) {
      ::setenv(name_.c_str(), value, 1);
    } else {
      ::unsetenv(name_.c_str());
    }
  }
  std::string name_;
  std::optional<std::string> before_;
};

}  // namespace tidepool::cli::test

#include "tidepool/cli/toml_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>
#include <tuple>
#include <utility>
#include <vector>

#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"

namespace tidepool::cli {
namespace {

class Converter {
 public:
  explicit Converter(const std::string& name) : name_(name) {}

  ConfigValue convert(const toml::node& node) const {
    const std::string origin = origin_of(node.source());
    switch (node.type()) {
      case toml::node_type::boolean: return {node.as_boolean()->get(), origin};
      case toml::node_type::integer: return {node.as_integer()->get(), origin};
      case toml::node_type::floating_point: return {node.as_floating_point()->get(), origin};
      case toml::node_type::string: return {node.as_string()->get(), origin};
      case toml::node_type::array: {
        ConfigArray array;
        array.reserve(node.as_array()->size());
        for (const toml::node& item : *node.as_array()) array.push_back(convert(item));
        return {std::move(array), origin};
      }
      case toml::node_type::table: return {convert_table(*node.as_table()), origin};
      case toml::node_type::date: return {text_of(*node.as_date()), origin};
      case toml::node_type::time: return {text_of(*node.as_time()), origin};
      case toml::node_type::date_time: return {text_of(*node.as_date_time()), origin};
      case toml::node_type::none: break;
    }
    throw Error(Code::kInternal, origin, ": a TOML node without a type");
  }

 private:
  // The tree has no dates, and no key of ours wants one: they become their text.
  template <typename Value>
  static std::string text_of(const toml::value<Value>& value) {
    std::ostringstream out;
    out << value.get();
    return out.str();
  }

  ConfigTable convert_table(const toml::table& table) const {
    // toml++ sorts by name; the places of the keys bring the file's order back.
    std::vector<std::pair<const toml::key*, const toml::node*>> entries;
    for (auto&& [key, node] : table) entries.emplace_back(&key, &node);
    std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return place(*a.first) < place(*b.first); });
    ConfigTable out;
    for (const auto& [key, node] : entries) out.add(std::string(key->str()), convert(*node));
    return out;
  }

  static std::tuple<toml::source_index, toml::source_index> place(const toml::key& key) {
    return {key.source().begin.line, key.source().begin.column};
  }

  std::string origin_of(const toml::source_region& source) const {
    return source.begin.line == 0 ? name_ : concat(name_, ":", source.begin.line);
  }

  const std::string& name_;
};

std::string read_all(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int err = errno;
    throw Error(code_of_errno(err), "open ", path, errno_text(err), err == ENOENT ? ": does the configuration file exist?" : "");
  }
  struct Closer {
    int fd;
    ~Closer() { ::close(fd); }
  } const closer{fd};

  struct stat status {};
  if (::fstat(fd, &status) != 0) throw Error(code_of_errno(errno), "examine ", path, errno_text());
  if (S_ISDIR(status.st_mode)) throw Error(Code::kInvalidArgument, path, " is a directory: expected a TOML file");
  std::string text;
  char block[65536];
  for (;;) {
    const ssize_t got = ::read(fd, block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(code_of_errno(errno), "read ", path, errno_text());
    if (got == 0) return text;
    text.append(block, static_cast<size_t>(got));
    if (text.size() > kMaxTomlBytes)
      throw Error(Code::kInvalidArgument, path, " is longer than ", kMaxTomlBytes, " bytes: is it a configuration file?");
  }
}

}  // namespace

ConfigValue parse_toml(std::string_view text, const std::string& name) {
  try {
    const toml::table table = toml::parse(text, std::string_view(name));
    const ConfigValue tree = Converter(name).convert(table);
    return {tree.data(), name};  // the root begins where the file does
  } catch (const toml::parse_error& error) {
    const auto& at = error.source().begin;
    throw Error(Code::kInvalidArgument, name, ":", at.line, ":", at.column, ": ", printable(error.description()));
  }
}

ConfigValue read_toml_file(const std::string& path) { return parse_toml(read_all(path), path); }

}  // namespace tidepool::cli

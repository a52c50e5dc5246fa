#include "tidepool/shm/uri.h"

#include <optional>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"

namespace tidepool::shm {
namespace {

constexpr std::string_view kPrefix = "shm:file?";
constexpr std::string_view kPathKey = "path";
constexpr std::string_view kHugepagesKey = "require_hugepages";

// Empty when `path` can stand in a URI, else what is wrong with it.
std::string_view objection_to(std::string_view path) noexcept {
  if (path.empty()) return "the path is empty";
  if (path.front() != '/') return "the path is not absolute";
  for (const char c : path) {
    if (c < 0x21 || c > 0x7E) return "the path holds a character outside 0x21..0x7E";
    if (c == '?' || c == '|') return "the path holds '?' or '|'";
  }
  return {};
}

template <typename... Parts>
[[noreturn]] void refuse(std::string_view text, const Parts&... why) {
  throw Error(Code::kInvalidArgument, "region URI '", printable(text), "': ", why...,
              ": expected shm:file?path=/absolute/path, then optionally |require_hugepages=true or false");
}

}  // namespace

Uri Uri::parse(std::string_view text) {
  if (text.size() > kMaxUriBytes) refuse(text, text.size(), " bytes are more than ", kMaxUriBytes);
  if (!text.starts_with(kPrefix)) refuse(text, "it does not begin with ", kPrefix);

  std::optional<std::string_view> path;
  std::optional<bool> hugepages;
  std::string_view rest = text.substr(kPrefix.size());
  for (bool more = true; more;) {
    const auto bar = rest.find('|');
    const auto parameter = rest.substr(0, bar);
    more = bar != std::string_view::npos;
    if (more) rest.remove_prefix(bar + 1);

    const auto equals = parameter.find('=');
    if (equals == std::string_view::npos) refuse(text, "parameter '", printable(parameter, 64), "' has no '='");
    const auto key = parameter.substr(0, equals);
    const auto value = parameter.substr(equals + 1);
    if (value.empty()) refuse(text, "parameter '", printable(key, 64), "' is empty");
    if (key == kPathKey) {
      if (path) refuse(text, "path is given twice");
      if (const auto objection = objection_to(value); !objection.empty()) refuse(text, objection);
      path = value;
    } else if (key == kHugepagesKey) {
      if (hugepages) refuse(text, "require_hugepages is given twice");
      if (value != "true" && value != "false")
        refuse(text, "require_hugepages is '", printable(value, 64), "', neither true nor false");
      hugepages = value == "true";
    } else {
      refuse(text, "unknown parameter '", printable(key, 64), "'");
    }
  }
  if (!path) refuse(text, "path is missing");
  return Uri{std::string(*path), hugepages.value_or(false)};
}

std::string Uri::text() const {
  std::string out = concat(kPrefix, kPathKey, "=", path);
  if (require_hugepages) out += concat("|", kHugepagesKey, "=true");
  if (const auto objection = objection_to(path); !objection.empty()) refuse(out, objection);
  if (out.size() > kMaxUriBytes) refuse(out, out.size(), " bytes are more than ", kMaxUriBytes);
  return out;
}

}  // namespace tidepool::shm

#include "tidepool/transport/channel_uri.h"

#include <charconv>
#include <cstdint>
#include <map>
#include <optional>

#include "tidepool/base/error.h"
#include "tidepool/base/log.h"

namespace tidepool::transport {
namespace {

struct Channel {
  std::string media;
  std::map<std::string, std::string, std::less<>> parameters;
  std::string fault;

  std::string_view get(std::string_view key) const {
    const auto at = parameters.find(key);
    return at == parameters.end() ? std::string_view{} : std::string_view(at->second);
  }
};

Channel parse(std::string_view text) {
  Channel out;
  const auto fault = [&out](std::string why) {
    out.fault = std::move(why);
    return out;
  };
  for (const char c : text)
    if (c <= 0x20 || c >= 0x7f) return fault("expected printable characters without blanks");
  constexpr std::string_view kScheme = "aeron:";
  constexpr std::string_view kSpy = "aeron-spy:";
  if (text.starts_with(kSpy)) text.remove_prefix(kSpy.size());
  if (!text.starts_with(kScheme)) return fault("expected an Aeron channel, aeron:ipc or aeron:udp?endpoint=...");
  text.remove_prefix(kScheme.size());
  const auto question = text.find('?');
  out.media = text.substr(0, question);
  if (out.media != "ipc" && out.media != "udp") return fault("expected the medium ipc or udp after aeron:");
  if (question != std::string_view::npos) {
    std::string_view rest = text.substr(question + 1);
    for (;;) {
      const auto bar = rest.find('|');
      const auto pair = rest.substr(0, bar);
      const auto equals = pair.find('=');
      if (equals == std::string_view::npos || equals == 0 || equals + 1 == pair.size())
        return fault("expected key=value pairs separated by | after the question mark");
      if (!out.parameters.emplace(pair.substr(0, equals), pair.substr(equals + 1)).second)
        return fault(concat("expected each parameter once, ", printable(pair.substr(0, equals)), " is there again"));
      if (bar == std::string_view::npos) break;
      rest = rest.substr(bar + 1);
    }
  }
  if (out.media == "udp" && out.get("endpoint").empty() && out.get("control").empty())
    return fault("expected endpoint=host:port or control=host:port for udp");
  return out;
}

}  // namespace

std::string channel_fault(std::string_view channel) { return parse(channel).fault; }

std::string channel_clash(std::string_view a, std::string_view b) {
  const Channel one = parse(a);
  const Channel two = parse(b);
  if (!one.fault.empty() || !two.fault.empty() || one.media != two.media) return {};
  for (const char* key : {"endpoint", "control", "interface"})
    if (one.get(key) != two.get(key)) return {};
  for (const char* key : {"term-length", "mtu"}) {
    const auto x = one.get(key);
    const auto y = two.get(key);
    if (x.empty() || y.empty() || x == y) continue;
    const auto x_bytes = channel_size(x);  // anything that is no size compares as text
    if (!x_bytes || x_bytes != channel_size(y)) return key;
  }
  return {};
}

std::optional<uint64_t> channel_size(std::string_view text) noexcept {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  unsigned shift = 0;
  if (unit == "k" || unit == "K") {
    shift = 10;
  } else if (unit == "m" || unit == "M") {
    shift = 20;
  } else if (unit == "g" || unit == "G") {
    shift = 30;
  } else if (!unit.empty()) {
    return std::nullopt;
  }
  if (value > (UINT64_MAX >> shift)) return std::nullopt;
  return value << shift;
}

}  // namespace tidepool::transport

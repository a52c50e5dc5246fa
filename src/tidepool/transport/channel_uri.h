#pragma once
// Aeron channel URIs as far as a configuration is judged by them (CFG-15): aeron:ipc?term-length=4m,
// aeron:udp?endpoint=host:port|mtu=1408. Aeron itself has the last word when a publication is added.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::transport {

// What is wrong with `channel`, as "expected ...", or empty.
std::string channel_fault(std::string_view channel);

// For two channels that parse and are used with the same stream id: which of term-length and mtu differs although both go
// to the same medium and address. Empty: no clash. Leaving a parameter out joins whatever exists.
std::string channel_clash(std::string_view a, std::string_view b);

// A size as Aeron writes it, "4m", "64k", "4194304", in bytes; nullopt: it is none, or more than 64 bits hold.
std::optional<uint64_t> channel_size(std::string_view text) noexcept;

}  // namespace tidepool::transport

#pragma once
// What Aeron's C API says, made fit for our errors. Private to this folder; names no Aeron type.

#include <string>
#include <string_view>

namespace tidepool::transport {

// This thread's last Aeron error as one printable line, without Aeron's source positions; "" if there is none. Clears it.
std::string take_aeron_words();
// Its number: negative for Aeron's own codes, positive for an errno.
int aeron_error_number() noexcept;
std::string one_line(std::string_view text);

// Aeron prints warnings to stderr; the library never does: they go to the log. Idempotent.
void route_aeron_prints_to_log();

}  // namespace tidepool::transport

// Any bytes, told as text and as JSON. Held against each input:
// - the status is what the decoders say: exactly one of them claims a message of ours, and describe() names it;
// - what is whole has its fields, in the text, too; what is not has a reason and its first bytes, and no fields;
// - the text is one line of printable ASCII, the JSON one line of valid JSON in which no name is there twice;
// - of a shutdown request no more is shown than the block: its token never.
// AddressSanitizer holds that nothing outside the input is read.

#include "tidepool/control/describe.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tidepool/wire/messages.h"
#include "tidepool/wire/test_messages.h"

namespace {

using namespace tidepool;
using namespace tidepool::control;
using Status = Description::Status;

void require(bool holds, const char* invariant) {
  if (holds) return;
  std::fprintf(stderr, "describe_fuzz: broken: %s\n", invariant);
  std::abort();
}

// What the decoders make of it.
Status judged(Bytes input) {
  if (input.size() < wire::kMessageHeaderBytes) return Status::kRunt;
  Status status = Status::kUnknown;
  int claimed = 0;
  wire::test::for_each_message([&]<typename M>(std::type_identity<M>) {
    M message;
    switch (wire::decode(input, message)) {
      case wire::DecodeStatus::kForeign: return;
      case wire::DecodeStatus::kOk: status = Status::kMessage; break;
      case wire::DecodeStatus::kUnsupportedVersion: status = Status::kUnsupported; break;
      case wire::DecodeStatus::kMalformed: status = Status::kMalformed; break;
    }
    ++claimed;
  });
  require(claimed <= 1, "a message belongs to one type");
  return status;
}

bool is_one_printable_line(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

// Valid JSON; no name twice in one object.
bool is_sound_json(const std::string& text) {
  bool sound = true;
  std::vector<std::set<std::string>> names;
  const auto watch = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    if (event == nlohmann::json::parse_event_t::object_start) names.emplace_back();
    if (event == nlohmann::json::parse_event_t::object_end) names.pop_back();
    if (event == nlohmann::json::parse_event_t::key) sound &= names.back().insert(value.get<std::string>()).second;
    return true;
  };
  const auto parsed = nlohmann::json::parse(text, watch, false);
  return sound && parsed.is_object();
}

void check_secret(const Description& description) {
  if (description.name != "ShmDriverShutdownRequest") return;
  for (const Field& field : description.fields) {
    if (field.name != "token") continue;
    const auto* token = std::get_if<std::string>(&field.value);
    require(token != nullptr && (token->empty() || *token == "***"), "a token is not shown");
  }
  require(description.hex.size() <= 2 * (wire::kMessageHeaderBytes + wire::ShmDriverShutdownRequest::kBlockLength),
          "nor the bytes that may hold one");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes input = std::as_bytes(std::span(data, size));
  const Description description = describe(input);
  require(description.status == judged(input), "the decoders and the description agree");
  require(description.length == size, "the length is the message's");
  const bool whole = description.status == Status::kMessage;
  require(whole == !description.fields.empty(), "a whole message, and no other, has fields");
  require(whole == description.why.empty(), "what is not whole has a reason");
  require(whole ? description.hex.empty() : description.hex.size() == 2 * std::min(size, kHexHeadBytes) || description.name == "ShmDriverShutdownRequest",
          "what is not whole shows its head");
  if (description.stream_id() != 0) require(description.is_about(description.stream_id()), "it is about its stream");
  check_secret(description);

  const std::string text = to_text(description);
  require(is_one_printable_line(text), "the text is one printable line");
  for (const Field& field : description.fields)
    require(text.find(std::string(" ").append(field.name).append("=")) != std::string::npos, "every field is in the text");
  const std::string json = to_json(description, {{"session_id", int64_t{-1}}});
  require(is_one_printable_line(json) && is_sound_json(json), "the JSON is one line of JSON");
  return 0;
}

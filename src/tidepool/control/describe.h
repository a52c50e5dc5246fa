#pragma once
// Any message as words: its name and its fields, named as in the protocol's tables, for tools that listen (operations.md 12). One
// has another name: a DiscoveryResponse's status is `discoveryStatus`, since `status` says of every message how it could be read.
// Every byte is input: whatever cannot be read is described by its header, its length and its first bytes instead.
//
// Thread safety: functions without state. They allocate, and throw nothing but std::bad_alloc.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tidepool/base/bytes.h"
#include "tidepool/wire/messages.h"

namespace tidepool::control {

struct Field;
using Fields = std::vector<Field>;

struct Null {  // the protocol's null (wire.md 3.5)
  bool operator==(const Null&) const = default;
};
struct Symbol {  // a value of an enumeration, by its name in the tables
  std::string_view name;
  bool operator==(const Symbol&) const = default;
};
struct Raw {  // bytes that may be anything
  std::string bytes;
  bool operator==(const Raw&) const = default;
};
using Value = std::variant<Null, bool, uint64_t, int64_t, Symbol, std::string, Raw, std::vector<Fields>>;

struct Field {
  std::string_view name;  // a literal
  Value value;
  bool operator==(const Field&) const = default;
};

// Where a message belongs (wire.md 2, discovery.md 2); what nobody knows counts as control's, since requests of all schemas go there.
enum class Plane : uint8_t { kControl, kAnnounce, kDescriptor, kQos, kMetadata, kDiscovery };
std::string_view name_of(Plane plane) noexcept;

struct Description {
  enum class Status : uint8_t {
    kMessage,      // whole: `fields` has all of it
    kUnknown,      // another schema, or a template that we do not know: foreign, and no fault (W-4)
    kUnsupported,  // ours, of another version (W-5)
    kMalformed,    // ours, but lengths or values contradict the tables (W-5, W-6, W-9)
    kRunt,         // too short for a header
  };
  Status status = Status::kRunt;
  std::string_view name;       // of the message, if the template is known
  std::string_view schema;     // of the schema, if it is known
  Plane plane = Plane::kControl;
  wire::MessageHeader header;  // but for kRunt
  size_t length = 0;           // whole message, with its header
  Fields fields;               // kMessage: in the order of the tables
  std::string why;             // all others: a few words
  std::string hex;             // all others: the first kHexHeadBytes bytes

  // The pool stream that the message is about; 0: none, several, or it cannot be told.
  uint32_t stream_id() const noexcept;
  // It is about `stream`, alone or among others (a discovery response's results).
  bool is_about(uint32_t stream) const noexcept;
};
std::string_view name_of(Description::Status status) noexcept;
inline constexpr size_t kHexHeadBytes = 64;

// The shutdown token is shown as "***": tools print to logs (driver.md 17).
Description describe(Bytes message);

// "ShmPoolAnnounce streamId=10000 ... payloadPools=[{poolId=1 ...}] headerRegionUri=\"shm:...\"": one line, printable ASCII.
std::string to_text(const Description& description);
// {"message":"ShmPoolAnnounce","schema":900,...,"streamId":10000,...}: one line. `envelope` comes first: where it was heard.
std::string to_json(const Description& description, const Fields& envelope = {});

}  // namespace tidepool::control

#include "tidepool/feed/npy.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "tidepool/base/log.h"
#include "tidepool/feed/fault.h"

namespace tidepool::feed {
namespace {

constexpr std::string_view kNpyMagic("\x93NUMPY", 6);
constexpr size_t kCountDigits = 20;  // room for any count, so that a header's size is known before the count is
constexpr uint32_t kElementBytesMax = kRecordBytesMax;

// The Python literal that a header is: a dictionary of strings, booleans, tuples and lists.
class Literal {
 public:
  Literal(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  template <typename... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw FeedError(Fault::kCorrupt, path_, ": the .npy header is damaged: ", parts...);
  }
  void skip() noexcept {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\n' || text_.front() == '\t')) text_.remove_prefix(1);
  }
  bool next_is(char c) noexcept {
    skip();
    return !text_.empty() && text_.front() == c;
  }
  bool take(char c) noexcept {
    if (!next_is(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  void need(char c) {
    if (!take(c)) fail("expected '", c, "' before '", printable(text_.substr(0, 20)), "'");
  }
  std::string string() {
    skip();
    const char quote = text_.empty() ? '\0' : text_.front();
    if (quote != '\'' && quote != '"') fail("expected a string");
    text_.remove_prefix(1);
    std::string out;
    for (;; text_.remove_prefix(1)) {
      if (text_.empty()) fail("a string does not end");
      if (text_.front() == quote) break;
      if (text_.front() == '\\') {
        text_.remove_prefix(1);
        if (text_.empty() || (text_.front() != '\\' && text_.front() != '\'' && text_.front() != '"'))
          fail("an escape in a name is not supported");
      }
      out += text_.front();
    }
    text_.remove_prefix(1);
    return out;
  }
  bool boolean() {
    skip();
    for (const auto& [word, value] : {std::pair<std::string_view, bool>{"True", true}, {"False", false}}) {
      if (!text_.starts_with(word)) continue;
      text_.remove_prefix(word.size());
      return value;
    }
    fail("expected True or False");
  }
  uint64_t number() {
    skip();
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (error != std::errc()) fail("expected a number");
    text_.remove_prefix(static_cast<size_t>(end - text_.data()));
    return value;
  }
  // "(3, 4)", "(3,)", "()", and a bare number, which NumPy 1.x wrote for sub-arrays of one dimension.
  std::vector<uint64_t> shape() {
    if (!next_is('(')) return {number()};
    need('(');
    std::vector<uint64_t> out;
    while (!take(')')) {
      out.push_back(number());
      if (out.size() > 32) fail("more than 32 dimensions");
      if (!take(',') && !next_is(')')) fail("a shape does not end");
    }
    return out;
  }

 private:
  std::string_view text_;
  const std::string& path_;
};

struct Kind {
  char kind;
  uint32_t bytes;
  Type type;
};
constexpr Kind kKinds[] = {{'b', 1, Type::kBool},    {'i', 1, Type::kInt8},    {'u', 1, Type::kUint8},  {'i', 2, Type::kInt16},
                           {'u', 2, Type::kUint16},  {'f', 2, Type::kFloat16}, {'i', 4, Type::kInt32},  {'u', 4, Type::kUint32},
                           {'f', 4, Type::kFloat32}, {'i', 8, Type::kInt64},   {'u', 8, Type::kUint64}, {'f', 8, Type::kFloat64}};

std::optional<ClockUnit> time_unit(std::string_view text) noexcept {
  if (text == "[ns]") return ClockUnit::kNs;
  if (text == "[us]") return ClockUnit::kUs;
  if (text == "[ms]") return ClockUnit::kMs;
  if (text == "[s]") return ClockUnit::kS;
  return std::nullopt;
}

// '<f8', '|S12', '>u4', '<M8[ns]'.
NpyField field_of(const std::string& text, const std::string& path) {
  const auto unsupported = [&] {
    throw FeedError(Fault::kInvalidSchema, path, ": element type '", printable(text, 40), "' cannot be a field");
  };
  NpyField field;
  if (text.size() < 3) unsupported();
  field.swapped = text[0] == '>';
  const char kind = text[1];
  uint32_t size = 0;
  const auto [end, error] = std::from_chars(text.data() + 2, text.data() + text.size(), size);
  const std::string_view rest(end, static_cast<size_t>(text.data() + text.size() - end));
  if (error != std::errc() || (text[0] != '<' && text[0] != '>' && text[0] != '|' && text[0] != '=')) unsupported();
  if (kind == 'M') {
    const auto unit = time_unit(rest);
    if (!unit || size != 8) unsupported();
    field.type = Type::kInt64;
    field.bytes = 8;
    field.is_time = true;
    field.time_unit = *unit;
    return field;
  }
  if (!rest.empty() || size > kElementBytesMax) unsupported();
  if (kind == 'S' || kind == 'V' || kind == 'U') {
    field.type = kind == 'V' ? Type::kBytes : Type::kText;
    field.utf32 = kind == 'U';
    if (size > kElementBytesMax / 4) unsupported();
    field.count = kind == 'U' ? size * 4 : size;  // four bytes are enough for any character in UTF-8, too
    field.bytes = field.count;
    if (kind != 'U') field.swapped = false;
    return field;
  }
  for (const Kind& known : kKinds) {
    if (known.kind != kind || known.bytes != size) continue;
    field.type = known.type;
    field.bytes = size;
    return field;
  }
  unsupported();
  return field;
}

void repeat(NpyField& field, const std::vector<uint64_t>& shape, const std::string& path) {
  uint64_t count = 1;
  for (const uint64_t extent : shape) {
    if (__builtin_mul_overflow(count, extent, &count) || count > kElementBytesMax) {
      throw FeedError(Fault::kInvalidSchema, path, ": field '", printable(field.name), "' is larger than ", kElementBytesMax,
                      " bytes");
    }
  }
  if (shape.empty()) return;
  if (count == 0 || field.type == Type::kText || field.type == Type::kBytes || field.is_time ||
      uint64_t{field.bytes} * count > kElementBytesMax) {
    throw FeedError(Fault::kInvalidSchema, path, ": field '", printable(field.name), "' is an array that cannot be a field");
  }
  field.count = static_cast<uint32_t>(count);
  field.bytes *= field.count;
}

// [('a', '<u8'), ('b', '<f4', (3,)), ('', '|V4')]
void read_structure(Literal& in, NpyLayout& layout, const std::string& path) {
  in.need('[');
  uint64_t at = 0;
  while (!in.take(']')) {
    in.need('(');
    if (in.next_is('(')) throw FeedError(Fault::kInvalidSchema, path, ": fields with titles are not supported");
    const std::string name = in.string();
    in.need(',');
    if (in.next_is('['))
      throw FeedError(Fault::kInvalidSchema, path, ": field '", printable(name),
                      "' is a structure itself: only flat ones are supported");
    const std::string type = in.string();
    const bool padding = name.empty() && type.starts_with("|V");
    NpyField field = field_of(type, path);
    field.name = name;
    field.offset = static_cast<uint32_t>(at);
    if (in.take(',') && !in.next_is(')')) repeat(field, in.shape(), path);
    in.take(',');
    in.need(')');
    in.take(',');
    at += field.bytes;
    if (at > kElementBytesMax)
      throw FeedError(Fault::kInvalidSchema, path, ": an element is larger than ", kElementBytesMax, " bytes");
    if (!padding && field.bytes > 0) layout.fields.push_back(std::move(field));
    if (layout.fields.size() > kFieldsMax) throw FeedError(Fault::kInvalidSchema, path, ": more than ", kFieldsMax, " fields");
  }
  layout.element_bytes = static_cast<uint32_t>(at);
}

std::string npy_quoted(const std::string& name) {
  std::string out = "'";
  for (const char c : name) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

// '{...}' of the header, and where the data begin.
std::string_view dictionary_of(Bytes beginning, uint64_t file_bytes, const std::string& path, uint64_t& data_offset) {
  const std::string_view all(reinterpret_cast<const char*>(beginning.data()), beginning.size());
  if (all.size() < 10 || !all.starts_with(kNpyMagic)) throw FeedError(Fault::kCorrupt, path, ": not an .npy file");
  const int major = static_cast<uint8_t>(all[6]);
  if (major < 1 || major > 3) throw FeedError(Fault::kUnsupportedVersion, path, ": .npy format ", major, " is not known here");
  const size_t head = major == 1 ? 10 : 12;
  if (all.size() < head) throw FeedError(Fault::kCorrupt, path, ": the file ends within its header");
  const uint64_t length = major == 1 ? load<uint16_t>(beginning.data() + 8) : load<uint32_t>(beginning.data() + 8);
  data_offset = head + length;
  if (data_offset > file_bytes || data_offset > all.size())
    throw FeedError(Fault::kCorrupt, path, ": the file ends within its header");
  return all.substr(head, length);
}

}  // namespace

NpyLayout parse_npy(Bytes beginning, uint64_t file_bytes, const std::string& path) {
  NpyLayout layout;
  Literal in(dictionary_of(beginning, file_bytes, path, layout.data_offset), path);
  std::optional<std::vector<uint64_t>> shape;
  std::optional<NpyField> plain;
  bool fortran = false, described = false;
  in.need('{');
  while (!in.take('}')) {
    const std::string key = in.string();
    in.need(':');
    if (key == "descr") {
      described = true;
      if (in.next_is('[')) {
        read_structure(in, layout, path);
      } else {
        plain = field_of(in.string(), path);
      }
    } else if (key == "fortran_order") {
      fortran = in.boolean();
    } else if (key == "shape") {
      shape = in.shape();
    } else {
      in.fail("unknown key '", printable(key, 40), "'");
    }
    if (!in.take(',') && !in.next_is('}')) in.fail("it does not end");
  }
  if (!described || !shape) in.fail("descr or shape is missing");
  if (shape->empty()) throw FeedError(Fault::kInvalidSchema, path, ": a single value has no rows");
  layout.count = shape->front();
  std::vector<uint64_t> inner(shape->begin() + 1, shape->end());
  if (fortran && !inner.empty())
    throw FeedError(Fault::kInvalidSchema, path, ": in Fortran order rows do not lie side by side; save np.ascontiguousarray(a)");
  if (plain) {
    repeat(*plain, inner, path);
    layout.element_bytes = plain->bytes;
    layout.fields.push_back(std::move(*plain));
  } else if (!inner.empty()) {
    throw FeedError(Fault::kInvalidSchema, path, ": a structured array must have one dimension");
  }
  if (layout.element_bytes == 0) throw FeedError(Fault::kInvalidSchema, path, ": its elements have no bytes");
  if (layout.count > (file_bytes - layout.data_offset) / layout.element_bytes) {
    throw FeedError(Fault::kCorrupt, path, ": the file is shorter than its header says: ", layout.count, " elements of ",
                    layout.element_bytes, " bytes");
  }
  return layout;
}

std::string npy_type(const Field& field) {
  if (field.type == Type::kText || field.type == Type::kChar) return concat("|S", field.count);
  if (field.type == Type::kBytes || field.type == Type::kPad) return concat("|V", field.count);
  for (const Kind& known : kKinds) {
    if (known.type == field.type) return concat(known.bytes == 1 ? "|" : "<", known.kind, known.bytes);
  }
  return "|V1";
}

std::string npy_header(const std::vector<Field>& fields, uint64_t count, bool plain) {
  const auto is_array = [](const Field& field) {
    return field.count > 1 && field.type != Type::kText && field.type != Type::kChar && field.type != Type::kBytes;
  };
  std::string descr;
  std::string shape = std::to_string(count);
  const size_t room = kCountDigits - shape.size();
  if (plain) {
    descr = concat("'", npy_type(fields.at(0)), "'");
    shape += is_array(fields[0]) ? concat(", ", fields[0].count) : ",";
  } else {
    descr = "[";
    for (const Field& field : fields) {
      descr += concat(descr.size() == 1 ? "" : ", ", "(", npy_quoted(field.name), ", '", npy_type(field), "'",
                      is_array(field) ? concat(", (", field.count, ",)") : "", ")");
    }
    descr += "]";
    shape += ",";
  }
  std::string dictionary =
      concat("{'descr': ", descr, ", 'fortran_order': False, 'shape': (", shape, "), }", std::string(room, ' '));
  const bool wide = dictionary.size() + 64 > 65535;
  const bool unicode = std::any_of(fields.begin(), fields.end(), [](const Field& field) {
    return std::any_of(field.name.begin(), field.name.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  });
  const size_t head = wide || unicode ? 12 : 10;
  dictionary.append((64 - (head + dictionary.size() + 1) % 64) % 64, ' ');
  dictionary += '\n';
  std::string out(kNpyMagic);
  out += static_cast<char>(unicode ? 3 : wide ? 2 : 1);
  out += '\0';
  const auto length = static_cast<uint32_t>(dictionary.size());
  out.append(reinterpret_cast<const char*>(&length), head == 12 ? 4 : 2);
  return out + dictionary;
}

}  // namespace tidepool::feed

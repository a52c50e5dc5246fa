#include "tidepool/base/config.h"

namespace tidepool {

ConfigValue& ConfigTable::add(std::string key, ConfigValue value) {
  auto [at, inserted] = entries.insert_or_assign(key, std::move(value));
  if (inserted) order.push_back(std::move(key));
  return at->second;
}

std::string_view ConfigValue::type_name() const noexcept {
  static constexpr std::string_view kNames[] = {"boolean", "integer", "float", "string", "array", "table"};
  return kNames[data_.index()];
}

const ConfigValue* ConfigValue::find(std::string_view dotted_key) const noexcept {
  const ConfigValue* at = this;
  while (at != nullptr && !dotted_key.empty()) {
    const auto dot = dotted_key.find('.');
    const auto* table = at->as_table();
    if (table == nullptr) return nullptr;
    const auto entry = table->entries.find(dotted_key.substr(0, dot));
    if (entry == table->entries.end()) return nullptr;
    at = &entry->second;
    dotted_key = dot == std::string_view::npos ? std::string_view{} : dotted_key.substr(dot + 1);
  }
  return at;
}

}  // namespace tidepool

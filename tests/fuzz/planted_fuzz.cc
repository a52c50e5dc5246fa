// Fails on purpose: proves that the rig (coverage feedback, AddressSanitizer, exit code, run_fuzzer.sh) finds a defect. A
// record of eight bytes begins with a magic, then a length that is trusted. Never part of the library.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kRecordBytes = 8;
  if (size < kRecordBytes || std::memcmp(data, "tide", 4) != 0) return 0;
  const auto record = std::make_unique<uint8_t[]>(kRecordBytes);
  std::memcpy(record.get(), data, kRecordBytes);
  volatile uint8_t sink = 0;
  for (size_t i = 0; i <= record[4] % 16u; ++i) sink = record[i];  // the planted defect: a length that nobody checked
  (void)sink;
  return 0;
}

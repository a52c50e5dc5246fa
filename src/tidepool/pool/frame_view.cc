#include "tidepool/pool/frame_view.h"

#include "tidepool/pool/racing_copy.h"
#include "tidepool/pool/slot_words.h"

namespace tidepool::pool {

bool FrameView::copy_to(MutableBytes to) const noexcept {
  const Bytes from = bytes();
  if (to.size() < from.size()) return false;
  if (!from.empty()) copy_from_slot(to.data(), from.data(), from.size());
  return still_valid();  // W-45
}

void FrameView::copy_slot_header(std::byte (&slot)[wire::kSlotBytes]) const noexcept {
  static_assert(sizeof words_ == kUsedWords * 8);
  std::memcpy(slot, words_, sizeof words_);
  std::memcpy(slot, &word_, sizeof word_);
  std::memset(slot + sizeof words_, 0, sizeof slot - sizeof words_);
}

}  // namespace tidepool::pool

#pragma once
// For tests of any layer: what was thrown, to look at.

#include <utility>

#include "tidepool/base/error.h"

namespace tidepool {

// The Error that `call` throws; one of kInternal, "nothing was thrown", if it throws none.
template <typename Call>
Error thrown_by(Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (const Error& error) {
    return error;
  }
  return Error(Code::kInternal, "nothing was thrown");
}

}  // namespace tidepool

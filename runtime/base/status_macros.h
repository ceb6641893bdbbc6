// Early return on a Status that is not OK.
#ifndef BLOCKSERVE_RUNTIME_BASE_STATUS_MACROS_H_
#define BLOCKSERVE_RUNTIME_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns from the enclosing function if `expression` is not OK.
#define RETURN_IF_ERROR(expression)                       \
  do {                                                    \
    if (::absl::Status status_macro_value = (expression); \
        !status_macro_value.ok()) {                       \
      return status_macro_value;                          \
    }                                                     \
  } while (false)

#define BLOCKSERVE_CONCAT_INNER(a, b) a##b
#define BLOCKSERVE_CONCAT(a, b) BLOCKSERVE_CONCAT_INNER(a, b)

// `ASSIGN_OR_RETURN(auto x, F());` assigns the value or returns the error.
#define ASSIGN_OR_RETURN(lhs, expression)                                   \
  BLOCKSERVE_ASSIGN_OR_RETURN(BLOCKSERVE_CONCAT(status_or_, __LINE__), lhs, \
                              expression)

#define BLOCKSERVE_ASSIGN_OR_RETURN(holder, lhs, expression) \
  auto holder = (expression);                                \
  if (!holder.ok()) return std::move(holder).status();       \
  lhs = *std::move(holder)

#endif  // BLOCKSERVE_RUNTIME_BASE_STATUS_MACROS_H_

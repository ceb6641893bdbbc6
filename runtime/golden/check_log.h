// What a golden run prints and counts: one line per check.
#ifndef BLOCKSERVE_RUNTIME_GOLDEN_CHECK_LOG_H_
#define BLOCKSERVE_RUNTIME_GOLDEN_CHECK_LOG_H_

#include <cstdint>
#include <ostream>
#include <string>

#include "absl/types/span.h"

namespace blockserve {

// |got - expected| <= absolute + relative * |expected|.
struct Tolerance {
  double absolute = 0;
  double relative = 0;
};

// Writes `PASS name detail`, `FAIL name expected ... got ... at ...` or
// `SKIP name reason`.
class CheckLog {
 public:
  // `out` must outlive the log.
  explicit CheckLog(std::ostream& out) : out_(out) {}

  void Pass(const std::string& name, const std::string& detail);
  void Fail(const std::string& name, const std::string& expected,
            const std::string& got, const std::string& where);
  void Skip(const std::string& name, const std::string& reason);

  void ExpectEqual(const std::string& name, const std::string& expected,
                   const std::string& got);
  // Same length, same ids; the first difference is reported.
  void ExpectSameIds(const std::string& name,
                     absl::Span<const int32_t> expected,
                     absl::Span<const int32_t> got);
  // Same length, each value within the tolerance (NaN never is); the worst
  // value is reported.
  void ExpectNear(const std::string& name, absl::Span<const float> expected,
                  absl::Span<const float> got, Tolerance tolerance);

  int passed() const { return passed_; }
  int failed() const { return failed_; }

 private:
  std::ostream& out_;
  int passed_ = 0;
  int failed_ = 0;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_GOLDEN_CHECK_LOG_H_

#include "runtime/golden/check_log.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace blockserve {

void CheckLog::Pass(const std::string& name, const std::string& detail) {
  ++passed_;
  out_ << "PASS " << name << " " << detail << "\n";
}

void CheckLog::Fail(const std::string& name, const std::string& expected,
                    const std::string& got, const std::string& where) {
  ++failed_;
  out_ << "FAIL " << name << " expected " << expected << " got " << got
       << " at " << where << "\n";
}

void CheckLog::Skip(const std::string& name, const std::string& reason) {
  out_ << "SKIP " << name << " " << reason << "\n";
}

void CheckLog::ExpectEqual(const std::string& name, const std::string& expected,
                           const std::string& got) {
  if (expected == got) return Pass(name, got);
  Fail(name, expected, got, "value");
}

void CheckLog::ExpectSameIds(const std::string& name,
                             absl::Span<const int32_t> expected,
                             absl::Span<const int32_t> got) {
  const size_t common = std::min(expected.size(), got.size());
  for (size_t i = 0; i < common; ++i) {
    if (expected[i] == got[i]) continue;
    return Fail(name, absl::StrCat("id ", expected[i]), absl::StrCat(got[i]),
                absl::StrCat("index ", i));
  }
  if (expected.size() != got.size()) {
    return Fail(name, absl::StrCat(expected.size(), " ids"),
                absl::StrCat(got.size()), "the end");
  }
  Pass(name, absl::StrCat(got.size(), " ids equal"));
}

void CheckLog::ExpectNear(const std::string& name,
                          absl::Span<const float> expected,
                          absl::Span<const float> got, Tolerance tolerance) {
  if (expected.size() != got.size()) {
    return Fail(name, absl::StrCat(expected.size(), " values"),
                absl::StrCat(got.size()), "the end");
  }
  double worst_excess = -INFINITY;
  double largest = 0;
  size_t worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(double{got[i]} - double{expected[i]});
    const double allowed =
        tolerance.absolute + tolerance.relative * std::abs(double{expected[i]});
    // Not a number is worse than anything.
    const double excess =
        std::isnan(difference) ? INFINITY : difference - allowed;
    if (excess > worst_excess) {
      worst_excess = excess;
      worst = i;
    }
    largest = std::max(largest, difference);
  }
  if (worst_excess > 0) {
    return Fail(name, absl::StrFormat("%.6f", expected[worst]),
                absl::StrFormat("%.6f", got[worst]),
                absl::StrFormat("index %d (tolerance %g + %g relative)", worst,
                                tolerance.absolute, tolerance.relative));
  }
  Pass(name, absl::StrFormat("%d values, largest difference %.2g",
                             expected.size(), largest));
}

}  // namespace blockserve

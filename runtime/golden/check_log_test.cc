#include "runtime/golden/check_log.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

namespace blockserve {
namespace {

TEST(CheckLogTest, CountsAndPrintsOneLineACheck) {
  std::ostringstream out;
  CheckLog log(out);
  log.ExpectEqual("a", "1", "1");
  log.ExpectEqual("b", "1", "2");
  log.Skip("c", "no data");
  log.ExpectSameIds("d", {1, 2, 3}, {1, 2, 4});
  log.ExpectSameIds("e", {1, 2}, {1, 2, 3});
  log.ExpectSameIds("f", {1, 2}, {1, 2});
  EXPECT_EQ(log.passed(), 2);
  EXPECT_EQ(log.failed(), 3);
  EXPECT_EQ(out.str(),
            "PASS a 1\n"
            "FAIL b expected 1 got 2 at value\n"
            "SKIP c no data\n"
            "FAIL d expected id 3 got 4 at index 2\n"
            "FAIL e expected 2 ids got 3 at the end\n"
            "PASS f 2 ids equal\n");
}

TEST(CheckLogTest, BoundsAreAbsoluteAndRelative) {
  std::ostringstream out;
  CheckLog log(out);
  log.ExpectNear("a", {1.0f}, {1.05f}, {0.1, 0});
  log.ExpectNear("b", {100.0f}, {100.9f}, {0, 0.01});
  EXPECT_EQ(log.failed(), 0);
  log.ExpectNear("c", {1.0f, 2.0f}, {1.0f, 2.2f}, {0.1, 0});
  log.ExpectNear("d", {1.0f}, {NAN}, {0.1, 0});
  log.ExpectNear("e", {NAN}, {1.0f}, {0.1, 0});
  log.ExpectNear("f", {1.0f}, {}, {0.1, 0});
  log.ExpectNear("g", {1.0f}, {INFINITY}, {0.1, 1});
  EXPECT_EQ(log.failed(), 5);
  EXPECT_NE(out.str().find("FAIL c expected 2.000000 got 2.200000 at index 1"),
            std::string::npos);
}

}  // namespace
}  // namespace blockserve

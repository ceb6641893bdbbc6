#include "runtime/serving/log_line.h"

#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace blockserve {
namespace {

TEST(LogLineTest, WritesKeysAndValues) {
  std::ostringstream out;
  out << LogLine("request_done", {{"request_id", "a-1"},
                                  {"tokens", 7},
                                  {"share", 0.5},
                                  {"address", std::string("[::1]:80")}});
  EXPECT_EQ(out.str(),
            "event=request_done request_id=a-1 tokens=7 share=0.5 "
            "address=[::1]:80");
}

TEST(LogLineTest, StaysOneLineWhateverTheValue) {
  const LogLine line("x", {{"a", "two\nlines"},
                           {"b", "quo\"te"},
                           {"c", ""},
                           {"d", "\x1b[31m"},
                           {"e", "sp ace"}});
  EXPECT_EQ(line.text(),
            R"(event=x a="two\nlines" b="quo\"te" c="" d="\x1b[31m" )"
            R"(e="sp ace")");
}

TEST(LogLineTest, CutsLongValues) {
  const LogLine line("x", {{"a", std::string(100000, 'y')}});
  EXPECT_LT(line.text().size(), 600u);
  EXPECT_THAT(line.text(), ::testing::EndsWith("yyy...\""));
}

}  // namespace
}  // namespace blockserve

#include "runtime/base/json.h"

#include <gtest/gtest.h>

#include <string>

namespace blockserve {
namespace {

TEST(ParseJsonTest, ReadsAValue) {
  const auto value = ParseJson(R"({"a": [1, "x\"}]"], "b": null})", "file");
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ((*value)["a"][1], "x\"}]");
}

TEST(ParseJsonTest, SameKeyInDifferentObjectsIsFine) {
  EXPECT_TRUE(ParseJson(R"({"a": {"k": 1}, "b": {"k": 1}, "k": 1})", "f").ok());
}

TEST(ParseJsonTest, RefusesKeyGivenTwice) {
  const auto value = ParseJson(R"({"a": {"k": 1, "k": 2}})", "file");
  EXPECT_EQ(value.status().message(), "file: key \"k\" is given twice");
}

TEST(ParseJsonTest, RefusesDeepNesting) {
  EXPECT_TRUE(ParseJson(std::string(64, '[') + std::string(64, ']'), "f").ok());
  EXPECT_FALSE(
      ParseJson(std::string(65, '[') + std::string(65, ']'), "f").ok());
  EXPECT_FALSE(ParseJson(std::string(1 << 20, '['), "f").ok());
}

TEST(ParseJsonTest, RefusesMalformedText) {
  for (const char* text :
       {"", "{", "[1,]", "nul", "1e999", "{\"a\":1}}", "\"\xff\"", "[1] 2",
        "{\"a\" 1}", "\"\\u12\"", "]", "}{", "[}", "NaN"}) {
    EXPECT_EQ(ParseJson(text, "f").status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
}

}  // namespace
}  // namespace blockserve

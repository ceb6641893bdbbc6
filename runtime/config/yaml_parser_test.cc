#include "runtime/config/yaml_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

namespace blockserve {
namespace {

using ::testing::HasSubstr;

TEST(ParseYamlTest, ReadsMapsListsAndScalars) {
  const auto root =
      ParseYaml("a: 1\nb:\n  c: [x, 'y z']\n  d: ~\ne: \"3\"\n", "file");
  ASSERT_TRUE(root.ok()) << root.status();
  EXPECT_EQ((*root)->Find("a")->text, "1");
  EXPECT_EQ((*root)->Find("a")->line, 1);
  const ConfigNode* b = (*root)->Find("b");
  ASSERT_EQ(b->Find("c")->elements.size(), 2u);
  EXPECT_EQ(b->Find("c")->elements[1]->text, "y z");
  EXPECT_EQ(b->Find("d")->kind, ConfigNode::Kind::kNull);
  EXPECT_EQ(b->Find("d")->line, 4);
  EXPECT_TRUE((*root)->Find("e")->quoted);
  EXPECT_EQ((*root)->Find("none"), nullptr);
}

TEST(ParseYamlTest, ExpandsAliases) {
  const auto root = ParseYaml("a: &x {k: v}\nb: *x\n", "file");
  ASSERT_TRUE(root.ok()) << root.status();
  EXPECT_EQ((*root)->Find("b")->Find("k")->text, "v");
}

struct BadYaml {
  const char* text;
  const char* message;
};

class BadYamlTest : public ::testing::TestWithParam<BadYaml> {};

TEST_P(BadYamlTest, IsRefusedWithItsLine) {
  const auto root = ParseYaml(GetParam().text, "file");
  ASSERT_FALSE(root.ok());
  EXPECT_EQ(root.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(root.status().message()),
              HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadYamlTest,
    ::testing::Values(BadYaml{"a: 1\nb: 2\na: 3\n",
                              "file:3: key \"a\" is given"},
                      BadYaml{"x:\n  a: 1\n  a: 1\n", "file:3: key \"a\""},
                      BadYaml{"", "expected a map"},
                      BadYaml{"- a\n- b\n", "expected a map"},
                      BadYaml{"just text", "expected a map"},
                      BadYaml{"a: [1, 2\nb: 3\n", "file:"},
                      BadYaml{"a: *nothing\n", "file:1: "},
                      BadYaml{"a: &x {b: *x}\n", "file:1: "},
                      BadYaml{"a: &x {b: 1}\nc:\n  <<: *x\n", "merge keys"},
                      BadYaml{"? [a, b]\n: 1\n", "expected a name"},
                      BadYaml{"a: 1\n---\nb: 2\n", "one document"},
                      BadYaml{"\ta: 1\n", "file:"}));

TEST(ParseYamlTest, RefusesDeepNesting) {
  for (const int depth : {100, 1000, 100000}) {
    const auto root =
        ParseYaml("a: " + std::string(static_cast<size_t>(depth), '['), "file");
    EXPECT_EQ(root.status().code(), absl::StatusCode::kInvalidArgument);
  }
  std::string nested;
  for (int i = 0; i < 40; ++i) nested += std::string(i, ' ') + "a:\n";
  EXPECT_THAT(std::string(ParseYaml(nested, "file").status().message()),
              HasSubstr("nested too deeply"));
}

TEST(ParseYamlTest, RefusesAnAliasBomb) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string name = "a" + std::to_string(i);
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += name + ": &" + name + " [" + last;
    for (int j = 0; j < 8; ++j) bomb += ", " + last;
    bomb += "]\n";
  }
  EXPECT_THAT(std::string(ParseYaml(bomb, "file").status().message()),
              HasSubstr("too many aliases"));
}

TEST(ParseYamlTest, RefusesTooMuch) {
  EXPECT_FALSE(ParseYaml(std::string(1 << 20, 'a') + ": 1", "file").ok());
  std::string many = "a: [";
  for (int i = 0; i < 20000; ++i) many += "1,";
  EXPECT_THAT(std::string(ParseYaml(many + "]", "file").status().message()),
              HasSubstr("too many values"));
}

// Every answer is a tree or one line: no crash, no exception.
TEST(ParseYamlTest, SurvivesMutations) {
  const std::string seed =
      "a: &x {k: v, l: [1, 2, 3]}\nb:\n  - *x\n  - 'q'\n  - \"d\\n\"\nc: |\n"
      "  text\n  more\nd: >-\n  fold\n? e\n: f\n# comment\ng: !tag 1\n";
  std::mt19937 random(7);
  for (int i = 0; i < 5000; ++i) {
    std::string text = seed;
    const int num_changes = 1 + static_cast<int>(random() % 4);
    for (int j = 0; j < num_changes; ++j) {
      const size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = static_cast<char>(random() % 256);
          break;
        case 1:
          text.erase(at, random() % 5);
          break;
        default:
          text.insert(at, 1, "[]{}:*&!|>'\"%@`-?,#\n\t "[random() % 23]);
      }
    }
    const auto root = ParseYaml(text, "file");
    if (!root.ok()) {
      EXPECT_EQ(root.status().message().find('\n'), std::string::npos)
          << root.status();
    }
  }
}

}  // namespace
}  // namespace blockserve

// How fast text becomes tokens: 1 MB of English in less than 200 ms, and no
// text that takes more than a small multiple of that.
//
// Measured on one core of a Xeon with AVX512-bf16: English takes 16 ms
// with the demo tokenizer and 23 ms with GPT-NeoX's, whose slowest text here,
// all white space, takes 210 ms.
#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/tokenizer/tokenizer.h"

namespace blockserve {
namespace {

constexpr size_t kTextBytes = 1 << 20;

// Jane Austen, Pride and Prejudice (1813), chapter 1.
constexpr char kEnglish[] =
    "It is a truth universally acknowledged, that a single man in possession "
    "of a good fortune, must be in want of a wife. However little known the "
    "feelings or views of such a man may be on his first entering a "
    "neighbourhood, this truth is so well fixed in the minds of the "
    "surrounding families, that he is considered as the rightful property of "
    "some one or other of their daughters. \"My dear Mr. Bennet,\" said his "
    "lady to him one day, \"have you heard that Netherfield Park is let at "
    "last?\" Mr. Bennet replied that he had not. \"But it is,\" returned she; "
    "\"for Mrs. Long has just been here, and she told me all about it.\" Mr. "
    "Bennet made no answer. \"Do not you want to know who has taken it?\" "
    "cried his wife, impatiently. \"You want to tell me, and I have no "
    "objection to hearing it.\" This was invitation enough. \"Why, my dear, "
    "you must know, Mrs. Long says that Netherfield is taken by a young man "
    "of large fortune from the north of England; that he came down on Monday "
    "in a chaise and four to see the place, and was so much delighted with it "
    "that he agreed with Mr. Morris immediately; that he is to take "
    "possession before Michaelmas, and some of his servants are to be in the "
    "house by the end of next week.\"";

// The words of kEnglish in random order, every tenth one with letters changed,
// so that no two stretches are alike and not every word is a token.
std::string MakeEnglish() {
  std::vector<std::string> words(1);
  for (char c : std::string(kEnglish)) {
    if (c == ' ') {
      words.emplace_back();
    } else {
      words.back().push_back(c);
    }
  }
  std::mt19937 random(1);
  std::string text;
  while (text.size() < kTextBytes) {
    std::string word = words[random() % words.size()];
    if (random() % 10 == 0) {
      word[random() % word.size()] = static_cast<char>('a' + random() % 26);
    }
    text += word;
    text += random() % 15 == 0 ? "\n" : " ";
  }
  text.resize(kTextBytes);
  return text;
}

std::string Repeat(const std::string& part) {
  std::string text;
  while (text.size() + part.size() <= kTextBytes) text += part;
  return text;
}

// Time on the processor, not on the clock: tests may run side by side.
double CpuMilliseconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return 1e3 * static_cast<double>(time.tv_sec) +
         1e-6 * static_cast<double>(time.tv_nsec);
}

double BestMilliseconds(const Tokenizer& tokenizer, const std::string& text,
                        int num_runs) {
  double best = 1e9;
  for (int i = 0; i < num_runs; ++i) {
    const double start = CpuMilliseconds();
    const auto ids = tokenizer.Encode(text);
    best = std::min(best, CpuMilliseconds() - start);
    EXPECT_TRUE(ids.ok());
  }
  return best;
}

std::vector<std::string> TokenizerFiles() {
  std::vector<std::string> files = {"models/demo-block/tokenizer.json"};
  if (const char* shared = std::getenv("BLOCKSERVE_SHARED_DIR")) {
    const std::string neox =
        std::string(shared) + "/tokenizer/gpt_neox_20b.tokenizer.json";
    if (std::filesystem::exists(neox)) files.push_back(neox);
  }
  return files;
}

TEST(ThroughputTest, OneMegabyteOfEnglish) {
  const std::string text = MakeEnglish();
  for (const std::string& file : TokenizerFiles()) {
    const auto tokenizer = LoadTokenizer(file);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    const double best = BestMilliseconds(**tokenizer, text, 8);
    std::cout << file << ": 1 MB in " << best << " ms\n";
    EXPECT_LT(best, 200) << file;
  }
}

// A merge loop that is quadratic in the length of a word takes minutes here, a
// quadratic normalisation hours.
TEST(ThroughputTest, NoTextIsMuchSlower) {
  struct Text {
    const char* name;
    std::string text;
  };
  const Text texts[] = {
      {"one letter", Repeat("a")},
      {"two letters", Repeat("ab")},
      {"spaces", Repeat(" ")},
      {"lines", Repeat("\n ")},
      {"apostrophes", Repeat("'")},
      {"marks", Repeat("\u0345\u0334")},
      {"letters with marks", Repeat("e\u0323\u0301")},
      {"Hangul letters", Repeat("\u1100\u1161\u11A8")},
      {"ideographs", Repeat("\u4E2D")},
      {"added tokens", Repeat("<|endoftext|>")},
      {"beginnings of added tokens", Repeat("<|end")},
  };
  for (const std::string& file : TokenizerFiles()) {
    const auto tokenizer = LoadTokenizer(file);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    for (const auto& [name, text] : texts) {
      const double best = BestMilliseconds(**tokenizer, text, 2);
      std::cout << file << ": " << name << " in " << best << " ms\n";
      EXPECT_LT(best, 1500) << file << ", " << name;
    }
  }
}

}  // namespace
}  // namespace blockserve

#include "runtime/tokenizer/byte_pair_encoder.h"

#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace blockserve {
namespace {

using testing::ElementsAre;

// A vocabulary of letters and of what the merges make of them.
class SpecBuilder {
 public:
  explicit SpecBuilder(std::string_view letters) {
    for (char letter : letters) AddToken(std::string(1, letter));
  }
  int32_t AddToken(const std::string& token) {
    return spec_.vocab
        .try_emplace(token, static_cast<int32_t>(spec_.vocab.size()))
        .first->second;
  }
  SpecBuilder& Merge(const std::string& left, const std::string& right) {
    const MergeSpec merge = {AddToken(left), AddToken(right),
                             AddToken(left + right)};
    spec_.merges.push_back(merge);
    return *this;
  }
  TokenizerSpec spec_;
};

std::vector<int32_t> Encode(const TokenizerSpec& spec, std::string_view word) {
  std::vector<int32_t> ids;
  BytePairEncoder(spec).Encode(word, ids);
  return ids;
}

// The definition: of the merges that fit somewhere the first in the list, at
// its leftmost place, until none fits.
std::vector<int32_t> EncodePlainly(const TokenizerSpec& spec,
                                   std::string_view word) {
  std::vector<int32_t> ids;
  for (char letter : word) ids.push_back(spec.vocab.at(std::string(1, letter)));
  bool merged = true;
  while (merged) {
    merged = false;
    for (const MergeSpec& merge : spec.merges) {
      for (size_t i = 0; i + 1 < ids.size() && !merged; ++i) {
        if (ids[i] != merge.left || ids[i + 1] != merge.right) continue;
        ids[i] = merge.result;
        ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        merged = true;
      }
      if (merged) break;
    }
  }
  return ids;
}

TEST(BytePairEncoderTest, MergesByRankAndThenFromTheLeft) {
  SpecBuilder builder("abc");
  builder.Merge("b", "c").Merge("a", "b").Merge("a", "a");
  const auto& vocab = builder.spec_.vocab;
  EXPECT_THAT(Encode(builder.spec_, "abc"),
              ElementsAre(vocab.at("a"), vocab.at("bc")));
  EXPECT_THAT(Encode(builder.spec_, "aaa"),
              ElementsAre(vocab.at("aa"), vocab.at("a")));
  EXPECT_THAT(Encode(builder.spec_, ""), ElementsAre());
}

TEST(BytePairEncoderTest, AgreesWithTheDefinitionOnWordsOfAnyLength) {
  std::mt19937 random(1);
  for (int round = 0; round < 60; ++round) {
    SpecBuilder builder("abc");
    std::vector<std::string> tokens = {"a", "b", "c"};
    for (int i = 0; i < 40; ++i) {
      const std::string left = tokens[random() % tokens.size()];
      const std::string right = tokens[random() % tokens.size()];
      if (builder.spec_.vocab.contains(left + right)) continue;
      builder.Merge(left, right);
      tokens.push_back(left + right);
    }
    // Ranks that do not rise with the length of the tokens.
    if (round % 2 == 1) {
      std::shuffle(builder.spec_.merges.begin(), builder.spec_.merges.end(),
                   random);
    }
    const BytePairEncoder encoder(builder.spec_);
    for (int i = 0; i < 60; ++i) {
      std::string word(random() % (i % 3 == 0 ? 200 : 50), 'a');
      for (char& letter : word) letter = "aaabbc"[random() % 6];
      std::vector<int32_t> ids;
      encoder.Encode(word, ids);
      ASSERT_EQ(ids, EncodePlainly(builder.spec_, word)) << word;
    }
  }
}

TEST(BytePairEncoderTest, BytesWithoutATokenAreLeftOut) {
  SpecBuilder builder("ab");
  builder.Merge("a", "b");
  builder.AddToken("axb");
  const int32_t ab = builder.spec_.vocab.at("ab");
  EXPECT_THAT(Encode(builder.spec_, "axb"), ElementsAre(ab));
  EXPECT_THAT(Encode(builder.spec_, "xyz"), ElementsAre());
  EXPECT_THAT(Encode(builder.spec_, "ab" + std::string(100, 'x') + "ab"),
              ElementsAre(ab, ab));
}

TEST(BytePairEncoderTest, IgnoresMergesForWholeWordsOnRequest) {
  SpecBuilder builder("abc");
  builder.Merge("a", "b");
  const int32_t whole = builder.AddToken("abcc");
  EXPECT_THAT(Encode(builder.spec_, "abcc"), testing::SizeIs(3));
  builder.spec_.ignore_merges = true;
  EXPECT_THAT(Encode(builder.spec_, "abcc"), ElementsAre(whole));
  EXPECT_THAT(Encode(builder.spec_, "abc"), testing::SizeIs(2));
}

TEST(BytePairEncoderTest, OfAPairListedTwiceTheLaterRankCounts) {
  SpecBuilder builder("abc");
  builder.Merge("a", "b").Merge("b", "c").Merge("a", "b");
  EXPECT_THAT(
      Encode(builder.spec_, "abc"),
      ElementsAre(builder.spec_.vocab.at("a"), builder.spec_.vocab.at("bc")));
}

}  // namespace
}  // namespace blockserve

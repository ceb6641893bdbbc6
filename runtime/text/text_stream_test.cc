#include "runtime/text/text_stream.h"

#include <algorithm>
#include <random>
#include <string_view>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/base/utf8.h"

namespace blockserve {
namespace {

// Tokens that are given as bytes; the last one is special.
class FakeTokenizer : public Tokenizer {
 public:
  explicit FakeTokenizer(std::vector<std::string> tokens)
      : tokens_(std::move(tokens)) {}

  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view) const override {
    return absl::UnimplementedError("Encode");
  }
  std::string_view TokenBytes(int32_t id, bool skip_special) const override {
    if (id < 0 || id >= vocab_size()) return {};
    if (skip_special && id + 1 == vocab_size()) return {};
    return tokens_[id];
  }
  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids,
                                     bool skip_special) const override {
    std::string bytes;
    for (int32_t id : ids) bytes.append(TokenBytes(id, skip_special));
    std::string text;
    AppendUtf8Lossy(bytes, text);
    return text;
  }
  int vocab_size() const override { return static_cast<int>(tokens_.size()); }
  std::optional<int32_t> TokenToId(std::string_view) const override {
    return std::nullopt;
  }

 private:
  std::vector<std::string> tokens_;
};

// Characters of one to four bytes in pieces, stray bytes, and letters.
const FakeTokenizer& Pieces() {
  static const FakeTokenizer tokenizer(
      {"a", "b", "ab", "c\xC3", "\xA9", "\xE2\x82", "\xAC", "\xE2", "\x82",
       "\xF0\x9F", "\x98\x80", "\x80", "\xFF", "\u20AC",
       "\xAC"
       "a",
       "", "<end>"});
  return tokenizer;
}

struct Cut {
  std::string text;
  std::string matched_stop;
  bool stopped = false;
};

// What the stream must add up to: the decoded text up to the stop string that
// ends first, the longest of those that end together.
Cut CutPlainly(const std::string& text, const TextStreamOptions& options) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::string longest;
    for (const std::string& stop : options.stop) {
      if (stop.size() <= end && stop.size() > longest.size() &&
          text.compare(end - stop.size(), stop.size(), stop) == 0) {
        longest = stop;
      }
    }
    if (longest.empty()) continue;
    const size_t kept =
        options.include_stop_in_output ? end : end - longest.size();
    return {text.substr(0, kept), longest, true};
  }
  return {text, "", false};
}

// Pushes `ids` in the pieces that end at `ends` and checks each output.
Cut Stream(const TextStreamOptions& options, const std::vector<int32_t>& ids,
           const std::vector<size_t>& ends, int* num_tokens = nullptr) {
  const auto stream = TextStream::Create(Pieces(), options);
  Cut cut;
  size_t begin = 0;
  int total = 0;
  for (size_t end : ends) {
    const absl::Span<const int32_t> piece =
        absl::MakeConstSpan(ids).subspan(begin, end - begin);
    const TextStreamOutput output = stream->Push(piece);
    EXPECT_TRUE(IsValidUtf8(output.text));
    cut.text += output.text;
    total += output.num_tokens;
    begin = end;
    if (output.stopped) {
      cut.stopped = true;
      cut.matched_stop = output.matched_stop;
      break;
    }
    EXPECT_EQ(output.num_tokens, static_cast<int>(piece.size()));
  }
  if (!cut.stopped) {
    const std::string rest = stream->Finish();
    EXPECT_TRUE(IsValidUtf8(rest));
    cut.text += rest;
  }
  if (num_tokens != nullptr) *num_tokens = total;
  return cut;
}

TextStreamOptions RandomOptions(std::mt19937& random) {
  static const std::vector<std::string> kStops = {
      "a",      "ab",           "ba",      "bb",         "aab",
      "\u20AC", "\u20AC\u20AC", "b\u00E9", "\U0001F600", "\u00E9a",
      "<end>",  "nd>a",         "abab",    "c\u00E9"};
  TextStreamOptions options;
  const int num_stops = random() % 4;
  for (int i = 0; i < num_stops; ++i) {
    options.stop.push_back(kStops[random() % kStops.size()]);
  }
  options.include_stop_in_output = random() % 2 == 0;
  options.skip_special_tokens = random() % 2 == 0;
  return options;
}

TEST(TextStreamTest, EverySplitAddsUpToTheCutDecoding) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const TextStreamOptions options = RandomOptions(random);
    std::vector<int32_t> ids(1 + random() % 9);
    for (int32_t& id : ids) {
      id = static_cast<int32_t>(random() % Pieces().vocab_size());
    }
    const Cut expected =
        CutPlainly(*Pieces().Decode(ids, options.skip_special_tokens), options);
    // Each set of cuts between two tokens, from one call to a call a token.
    int num_tokens_of_first = -1;
    for (uint32_t cuts = 0; cuts < 1u << (ids.size() - 1); ++cuts) {
      std::vector<size_t> ends;
      for (size_t i = 1; i < ids.size(); ++i) {
        if (cuts >> (i - 1) & 1) ends.push_back(i);
      }
      ends.push_back(ids.size());
      int num_tokens = 0;
      const Cut cut = Stream(options, ids, ends, &num_tokens);
      ASSERT_EQ(cut.text, expected.text) << round << " " << cuts;
      if (num_tokens_of_first < 0) num_tokens_of_first = num_tokens;
      ASSERT_EQ(num_tokens, num_tokens_of_first);
      // U+FFFD is in no stop string here, so a stop is found at a token.
      ASSERT_EQ(cut.stopped, expected.stopped);
      ASSERT_EQ(cut.matched_stop, expected.matched_stop);
    }
  }
}

TEST(TextStreamTest, SendsEverythingButBeginningsOfStops) {
  std::mt19937 random(2);
  for (int round = 0; round < 2000; ++round) {
    const TextStreamOptions options = RandomOptions(random);
    const auto stream = TextStream::Create(Pieces(), options);
    std::string bytes;
    std::string sent;
    for (int i = 0; i < 12; ++i) {
      const int32_t id = static_cast<int32_t>(random() % Pieces().vocab_size());
      bytes.append(Pieces().TokenBytes(id, options.skip_special_tokens));
      const TextStreamOutput output = stream->Push({id});
      if (output.stopped) break;
      sent += output.text;
      std::string whole;
      AppendUtf8Lossy(std::string_view(bytes).substr(
                          0, bytes.size() - UnfinishedUtf8SuffixLength(bytes)),
                      whole);
      size_t held = 0;
      for (const std::string& stop : options.stop) {
        for (size_t length = 1; length < stop.size(); ++length) {
          if (length <= whole.size() &&
              whole.compare(whole.size() - length, length, stop, 0, length) ==
                  0) {
            held = std::max(held, length);
          }
        }
      }
      ASSERT_EQ(sent, whole.substr(0, whole.size() - held));
    }
  }
}

TEST(TextStreamTest, CountsTheTokensUpToTheStop) {
  const auto stream = TextStream::Create(Pieces(), {.stop = {"bb"}});
  // a, b, ab, b, a: "abab|b" ends in the fourth token.
  const TextStreamOutput output = stream->Push({0, 1, 2, 1, 0});
  EXPECT_TRUE(output.stopped);
  EXPECT_EQ(output.num_tokens, 4);
  EXPECT_EQ(output.text, "aba");
  EXPECT_EQ(output.matched_stop, "bb");
  EXPECT_EQ(stream->Finish(), "");
}

TEST(TextStreamTest, IncludesTheStopOnRequest) {
  const auto stream = TextStream::Create(
      Pieces(), {.stop = {"bb"}, .include_stop_in_output = true});
  EXPECT_EQ(stream->Push({0, 1}).text, "a");
  EXPECT_EQ(stream->Push({1, 0}).text, "bb");
}

TEST(TextStreamTest, SpecialTokensAreTextOnRequest) {
  const int32_t end = Pieces().vocab_size() - 1;
  EXPECT_EQ(TextStream::Create(Pieces(), {})->Push({0, end, 1}).text, "ab");
  EXPECT_EQ(
      TextStream::Create(Pieces(), {.stop = {}, .skip_special_tokens = false})
          ->Push({0, end, 1})
          .text,
      "a<end>b");
}

TEST(TextStreamTest, HoldsACharacterBackUntilItIsWhole) {
  const auto stream = TextStream::Create(Pieces(), {});
  EXPECT_EQ(stream->Push({7}).text, "");
  EXPECT_EQ(stream->Push({8}).text, "");
  EXPECT_EQ(stream->Push({6}).text, "\u20AC");
  EXPECT_EQ(stream->Push({7}).text, "");
  EXPECT_EQ(stream->Push({0}).text, "\uFFFDa");
  EXPECT_EQ(stream->Push({9}).text, "");
  EXPECT_EQ(stream->Finish(), "\uFFFD");
}

// The end may show that bytes never become a character, and so complete a stop
// string that has the replacement character in it.
TEST(TextStreamTest, FinishCutsAtAStopAsWell) {
  const auto stream = TextStream::Create(Pieces(), {.stop = {"\uFFFD"}});
  EXPECT_EQ(stream->Push({0, 7}).text, "a");
  EXPECT_EQ(stream->Finish(), "");
}

TEST(TextStreamTest, UnknownIdsAreNoText) {
  const auto stream = TextStream::Create(Pieces(), {});
  EXPECT_EQ(stream->Push({0, -1, 1 << 20, 1}).text, "ab");
}

TEST(TextStreamDeathTest, NothingMayFollowAStop) {
  const auto stream = TextStream::Create(Pieces(), {.stop = {"a"}});
  ASSERT_TRUE(stream->Push({0}).stopped);
  EXPECT_DEATH(stream->Push({0}), "after the end");
}

}  // namespace
}  // namespace blockserve

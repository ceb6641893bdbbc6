#include "runtime/group/step_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace blockserve {
namespace {

using ::testing::HasSubstr;

// A step with everything in it, kept alive by the fixture.
class StepCodecTest : public ::testing::Test {
 protected:
  StepCodecTest() {
    chunks_.resize(2);
    chunks_[0].tokens = tokens_;
    chunks_[0].token_mask = mask_;
    chunks_[0].pages = pages_;
    chunks_[0].num_outputs = 1;
    chunks_[1].tokens = absl::MakeConstSpan(tokens_).first(4);
    chunks_[1].pages = pages_;
    chunks_[1].unit_begin = 17;
    chunks_[1].cache_length = 16;
    chunks_[1].num_outputs = 1;
    rows_.resize(2);
    SampleRow& row = rows_[0].sampling;
    row.temperature = 0.7f;
    row.top_k = 40;
    row.top_p = 0.9f;
    row.min_p = 0.05f;
    row.repetition_penalty = 1.1f;
    row.frequency_penalty = 0.2f;
    row.presence_penalty = -0.3f;
    row.seed = 0xfedcba9876543210;
    row.position = uint64_t{1} << 40;
    row.num_forced = 2;
    row.num_logprobs = 5;
    row.ban_until_offset = 3;
    row.banned_ids = banned_;
    row.bias_ids = bias_ids_;
    row.bias_values = bias_values_;
    row.history = history_;
    rows_[0].forced_tokens = absl::MakeConstSpan(tokens_).first(2);
    rows_[0].forced_mask = absl::MakeConstSpan(mask_).first(2);
    input_ = {chunks_, rows_, 3};
  }

  std::string Encode() const {
    std::vector<uint8_t> frame;
    EncodeStep(input_, 4, frame);
    return std::string(frame.begin(), frame.end());
  }

  const std::vector<int32_t> tokens_ = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::vector<uint8_t> mask_ = {0, 0, 1, 1, 1, 1, 1, 1};
  const std::vector<int32_t> pages_ = {9, 8, 7, 6};
  const std::vector<int32_t> banned_ = {0, 2};
  const std::vector<int32_t> bias_ids_ = {11, 12, 13};
  const std::vector<float> bias_values_ = {-1.5f, 2.0f, 100.0f};
  const std::vector<TokenCount> history_ = {{5, 2, true}, {6, 0, false}};
  std::vector<SequenceChunk> chunks_;
  std::vector<DecodeRow> rows_;
  StepInput input_;
};

TEST_F(StepCodecTest, RanksGetWhatTheLeaderPlanned) {
  StepDecoder decoder;
  const std::string frame = Encode();
  const auto decoded = decoder.Decode(frame);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->num_tokens, 3);
  ASSERT_EQ(decoded->chunks.size(), 2u);
  EXPECT_EQ(decoded->chunks[0].tokens, input_.chunks[0].tokens);
  EXPECT_EQ(decoded->chunks[0].token_mask, input_.chunks[0].token_mask);
  EXPECT_EQ(decoded->chunks[1].tokens, input_.chunks[1].tokens);
  EXPECT_TRUE(decoded->chunks[1].token_mask.empty());
  EXPECT_EQ(decoded->chunks[1].unit_begin, 17);
  EXPECT_EQ(decoded->chunks[1].cache_length, 16);
  EXPECT_EQ(decoded->chunks[1].num_outputs, 1);
  ASSERT_EQ(decoded->rows.size(), 2u);
  const SampleRow& row = decoded->rows[0].sampling;
  EXPECT_EQ(row.temperature, 0.7f);
  EXPECT_EQ(row.top_k, 40);
  EXPECT_EQ(row.top_p, 0.9f);
  EXPECT_EQ(row.min_p, 0.05f);
  EXPECT_EQ(row.repetition_penalty, 1.1f);
  EXPECT_EQ(row.frequency_penalty, 0.2f);
  EXPECT_EQ(row.presence_penalty, -0.3f);
  EXPECT_EQ(row.seed, 0xfedcba9876543210);
  EXPECT_EQ(row.position, uint64_t{1} << 40);
  EXPECT_EQ(row.num_forced, 2);
  EXPECT_EQ(row.num_logprobs, 5);
  EXPECT_EQ(row.ban_until_offset, 3);
  EXPECT_EQ(row.banned_ids, absl::MakeConstSpan(banned_));
  EXPECT_EQ(row.bias_ids, absl::MakeConstSpan(bias_ids_));
  EXPECT_EQ(row.bias_values, absl::MakeConstSpan(bias_values_));
  ASSERT_EQ(row.history.size(), 2u);
  EXPECT_EQ(row.history[0].id, 5);
  EXPECT_EQ(row.history[0].output_count, 2);
  EXPECT_TRUE(row.history[0].in_prompt);
  EXPECT_FALSE(row.history[1].in_prompt);
  EXPECT_EQ(decoded->rows[0].forced_tokens, input_.rows[0].forced_tokens);
  EXPECT_EQ(decoded->rows[0].forced_mask, input_.rows[0].forced_mask);
  EXPECT_TRUE(decoded->rows[1].forced_tokens.empty());
}

TEST_F(StepCodecTest, OnlyPagesInUseGoAlong) {
  StepDecoder decoder;
  const std::string frame = Encode();
  const auto decoded = decoder.Decode(frame);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->chunks[0].pages, absl::MakeConstSpan(pages_).first(1));
  EXPECT_EQ(decoded->chunks[1].pages, absl::MakeConstSpan(pages_).first(2));
}

TEST_F(StepCodecTest, ADecoderIsUsedAgain) {
  StepDecoder decoder;
  ASSERT_TRUE(decoder.Decode(Encode()).ok());
  input_.rows = input_.rows.subspan(1);
  const std::string frame = Encode();
  const auto decoded = decoder.Decode(frame);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ASSERT_EQ(decoded->rows.size(), 1u);
  EXPECT_EQ(decoded->rows[0].sampling.temperature, 0.0f);
  EXPECT_EQ(decoded->chunks[0].tokens, absl::MakeConstSpan(tokens_));
}

TEST_F(StepCodecTest, EveryTruncatedFrameIsRefused) {
  StepDecoder decoder;
  const std::string frame = Encode();
  for (size_t length = 0; length < frame.size(); ++length) {
    const auto decoded = decoder.Decode(frame.substr(0, length));
    EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(decoded.status().message()), HasSubstr("byte"));
  }
  EXPECT_FALSE(decoder.Decode(frame + "x").ok());
}

TEST_F(StepCodecTest, RubbishIsRefusedOrDecodedNeverMore) {
  StepDecoder decoder;
  std::mt19937 random(7);
  const std::string frame = Encode();
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = frame;
    for (int flip = 0; flip <= i % 4; ++flip) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const auto decoded = decoder.Decode(bytes);
    if (!decoded.ok()) continue;
    for (const SequenceChunk& chunk : decoded->chunks) {
      EXPECT_LE(chunk.tokens.size(), bytes.size());
    }
  }
}

TEST_F(StepCodecTest, AHugeLengthTakesNoMemory) {
  std::string frame = Encode();
  frame.replace(4, 4, "\xff\xff\xff\x7f");
  StepDecoder decoder;
  const auto decoded = decoder.Decode(frame);
  EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace blockserve

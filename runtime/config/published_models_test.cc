#include "runtime/config/published_models.h"

#include <gtest/gtest.h>

#include <string>

namespace blockserve {
namespace {

TEST(PublishedModelsTest, EveryNameHasAConfigurationOfTheFullVocabulary) {
  EXPECT_EQ(PublishedModelNames().size(), 13u);
  for (const std::string& name : PublishedModelNames()) {
    const auto config = PublishedModelConfig(name);
    ASSERT_TRUE(config.ok()) << name << ": " << config.status();
    EXPECT_EQ(config->name, name);
    EXPECT_EQ(config->vocab_size, 50304) << name;
    EXPECT_EQ(config->token_decoder.vocab_size, 50304) << name;
  }
}

TEST(PublishedModelsTest, HeadsAndInnerWidthFollowFromTheWidth) {
  const ModelConfig config = *PublishedModelConfig("block_main_b4_1.2b");
  EXPECT_EQ(config.block_decoder.num_layers, 12);
  EXPECT_EQ(config.block_decoder.hidden_dim, 2048);
  EXPECT_EQ(config.block_decoder.num_heads, 16);
  EXPECT_EQ(config.block_decoder.ffn_dim, 8192);
  EXPECT_EQ(config.embedder.hidden_dim, 512);
  EXPECT_EQ(config.strategy, DecodingStrategy::kPrefix);
  EXPECT_EQ(config.expansion_ratio, 2);
}

TEST(PublishedModelsTest, MegabyteSumsIntoASmallerTokenDecoder) {
  const ModelConfig config = *PublishedModelConfig("block_megabyte_b4_85");
  EXPECT_EQ(config.block_decoder.num_layers, 11);
  EXPECT_EQ(config.token_decoder.num_layers, 4);
  EXPECT_EQ(config.token_decoder.hidden_dim, 512);
  EXPECT_EQ(config.token_decoder.num_heads, 8);
  EXPECT_EQ(config.strategy, DecodingStrategy::kSummation);
  EXPECT_EQ(config.expansion_ratio, 4);
}

TEST(PublishedModelsTest, VanillaHasTheHeadsOfItsFile) {
  const ModelConfig config = *PublishedModelConfig("vanilla_160");
  EXPECT_EQ(config.family, ModelFamily::kVanilla);
  EXPECT_EQ(config.token_decoder.num_layers, 12);
  EXPECT_EQ(config.token_decoder.num_heads, 12);
  EXPECT_EQ(config.token_decoder.ffn_dim, 3072);
}

TEST(PublishedModelsTest, AnUnknownNameIsToldWhatThereIs) {
  const auto config = PublishedModelConfig("block_main_b4_86");
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  const std::string message(config.status().message());
  EXPECT_NE(message.find("block_main_b4_86"), std::string::npos);
  EXPECT_NE(message.find("vanilla_410"), std::string::npos);
}

}  // namespace
}  // namespace blockserve

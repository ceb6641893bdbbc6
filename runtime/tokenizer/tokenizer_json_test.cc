#include "runtime/tokenizer/tokenizer_json.h"

#include <functional>
#include <nlohmann/json.hpp>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/tokenizer/byte_alphabet.h"

namespace blockserve {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// A tokenizer of the 256 bytes, "th", "the", and one added token.
json SmallTokenizer() {
  json vocab = json::object();
  for (int byte = 0; byte < 256; ++byte) {
    vocab[SpellByte(static_cast<uint8_t>(byte))] = byte;
  }
  vocab["th"] = 256;
  vocab["the"] = 257;
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens",
           {{{"id", 258},
             {"content", "<end>"},
             {"single_word", false},
             {"lstrip", false},
             {"rstrip", false},
             {"normalized", false},
             {"special", true}}}},
          {"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer",
           {{"type", "ByteLevel"},
            {"add_prefix_space", false},
            {"trim_offsets", true}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"vocab", vocab},
            {"merges", {"t h", "th e"}}}}};
}

absl::StatusOr<TokenizerSpec> Parse(const json& document) {
  return ParseTokenizerJson(document.dump(), "dir/tokenizer.json");
}

TEST(TokenizerJsonTest, ReadsASmallTokenizer) {
  const auto spec = Parse(SmallTokenizer());
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_TRUE(spec->normalize_nfc);
  EXPECT_FALSE(spec->add_prefix_space);
  EXPECT_TRUE(spec->split_words);
  EXPECT_FALSE(spec->ignore_merges);
  EXPECT_EQ(spec->vocab.size(), 258u);
  ASSERT_EQ(spec->merges.size(), 2u);
  EXPECT_EQ(spec->merges[1].left, 256);
  EXPECT_EQ(spec->merges[1].right, 'e');
  EXPECT_EQ(spec->merges[1].result, 257);
  ASSERT_EQ(spec->added_tokens.size(), 1u);
  EXPECT_EQ(spec->added_tokens[0].id, 258);
  EXPECT_TRUE(spec->added_tokens[0].special);
}

TEST(TokenizerJsonTest, ReadsOtherSpellingsOfTheSame) {
  json document = SmallTokenizer();
  document["model"].erase("type");
  document["model"]["merges"] = {"#version: 0.2", {"t", "h"}, {"th", "e"}};
  document["model"]["unk_token"] = "";
  document["model"]["continuing_subword_prefix"] = "";
  document["model"]["dropout"] = 0.0;
  document["model"]["byte_fallback"] = true;
  document["truncation"] = {{"max_length", 5}};
  document.erase("normalizer");
  document.erase("added_tokens");
  document["pre_tokenizer"]["use_regex"] = false;
  const auto spec = Parse(document);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->merges.size(), 2u);
  EXPECT_FALSE(spec->normalize_nfc);
  EXPECT_FALSE(spec->split_words);
  EXPECT_TRUE(spec->added_tokens.empty());
}

struct Damage {
  const char* message;  // what the error must say: the key and what is wrong
  std::function<void(json&)> apply;
};

TEST(TokenizerJsonTest, NamesTheFileAndTheKeyThatIsWrong) {
  const Damage kDamages[] = {
      {"expected an object, got array", [](json& d) { d = json::array(); }},
      {"version: expected \"1.0\", got \"2.0\"",
       [](json& d) { d["version"] = "2.0"; }},
      {"normalizer.type: expected \"NFC\", got \"NFKC\"",
       [](json& d) { d["normalizer"]["type"] = "NFKC"; }},
      {"normalizer.type: expected \"NFC\", got nothing",
       [](json& d) { d["normalizer"] = "NFC"; }},
      {"pre_tokenizer.type: expected \"ByteLevel\", got nothing",
       [](json& d) { d["pre_tokenizer"] = nullptr; }},
      {"pre_tokenizer.add_prefix_space: expected true or false, got 1",
       [](json& d) { d["pre_tokenizer"]["add_prefix_space"] = 1; }},
      {"decoder.type: expected \"ByteLevel\", got \"WordPiece\"",
       [](json& d) { d["decoder"]["type"] = "WordPiece"; }},
      {"model: expected an object, got nothing",
       [](json& d) { d.erase("model"); }},
      {"model.type: expected \"BPE\", got \"Unigram\"",
       [](json& d) { d["model"]["type"] = "Unigram"; }},
      {"model.dropout: expected null",
       [](json& d) { d["model"]["dropout"] = 0.1; }},
      {"model.end_of_word_suffix: expected \"\", got \"</w>\"",
       [](json& d) { d["model"]["end_of_word_suffix"] = "</w>"; }},
      {"model.ignore_merges: expected true or false",
       [](json& d) { d["model"]["ignore_merges"] = "no"; }},
      {"model.vocab: expected an object, got array",
       [](json& d) { d["model"]["vocab"] = json::array(); }},
      {"model.vocab[\"the\"]: expected an id in [0, 4194304), got -1",
       [](json& d) { d["model"]["vocab"]["the"] = -1; }},
      {"model.vocab[\"the\"]: expected an id in [0, 4194304), got 4194304",
       [](json& d) { d["model"]["vocab"]["the"] = 4194304; }},
      {"model.vocab[\"the\"]: expected an id in [0, 4194304), got 1.5",
       [](json& d) { d["model"]["vocab"]["the"] = 1.5; }},
      {"model.vocab[\"the\"]: expected an id that no other token has, got 256",
       [](json& d) { d["model"]["vocab"]["the"] = 256; }},
      {"model.merges: expected an array, got object",
       [](json& d) { d["model"]["merges"] = json::object(); }},
      {"model.merges[1]: expected two tokens",
       [](json& d) { d["model"]["merges"][1] = "t h e"; }},
      {"model.merges[1]: expected two tokens",
       [](json& d) { d["model"]["merges"][1] = {"t"}; }},
      {"model.merges[1][0]: expected a string, got 3",
       [](json& d) {
         d["model"]["merges"][1] = {3, "e"};
       }},
      {"model.merges[1]: expected tokens that are in model.vocab",
       [](json& d) { d["model"]["merges"][1] = "t e"; }},
      {"model.unk_token: expected null, or a vocab with all 256 bytes",
       [](json& d) {
         d["model"]["vocab"].erase("Q");
         d["model"]["unk_token"] = "<end>";
       }},
      {"added_tokens: expected an array",
       [](json& d) { d["added_tokens"] = "none"; }},
      {"added_tokens[0]: expected an object",
       [](json& d) { d["added_tokens"][0] = 1; }},
      {"added_tokens[0].lstrip: expected true or false, got nothing",
       [](json& d) { d["added_tokens"][0].erase("lstrip"); }},
      {"added_tokens[0].id: expected 258, the next free id, got 300",
       [](json& d) { d["added_tokens"][0]["id"] = 300; }},
      {"added_tokens[0].id: expected 257, its id in model.vocab, got 258",
       [](json& d) { d["added_tokens"][0]["content"] = "the"; }},
      {"added_tokens[1].content: expected a token that is not listed before",
       [](json& d) { d["added_tokens"].push_back(d["added_tokens"][0]); }},
      {"added_tokens[0].id: expected an id that no token of model.vocab has",
       [](json& d) { d["model"]["vocab"]["the"] = 258; }},
  };
  ASSERT_TRUE(Parse(SmallTokenizer()).ok());
  for (const Damage& damage : kDamages) {
    json document = SmallTokenizer();
    damage.apply(document);
    const auto spec = Parse(document);
    EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument)
        << damage.message;
    EXPECT_THAT(
        std::string(spec.status().message()),
        HasSubstr(std::string("dir/tokenizer.json: ") + damage.message));
  }
}

TEST(TokenizerJsonTest, RefusesWhatIsNotJson) {
  for (const char* text : {"", "{", "{}{}", "\xFF", "[1,]", "nul"}) {
    EXPECT_EQ(ParseTokenizerJson(text, "f").status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
  const std::string deep(1 << 20, '[');
  EXPECT_THAT(std::string(ParseTokenizerJson(deep, "f").status().message()),
              HasSubstr("deeper than"));
}

}  // namespace
}  // namespace blockserve

#include "router/request_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "router/testing/byte_tokenizer.h"

namespace blockserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RequestParserTest : public testing::Test {
 protected:
  RequestParserTest() {
    ServedModel model;
    model.name = "m";
    model.block_length = 4;
    model.vocab_size = 200;
    model.context_length = 32;
    context_ = {&tokenizer_, model, &random_};
    request_.mutable_input_ids()->add_ids(5);
  }

  std::optional<RpcError> Parse() {
    return ParseGenerate(request_, context_, &spec_);
  }
  // "field" of each violation.
  std::vector<std::string> Fields() {
    std::vector<std::string> fields;
    if (auto error = Parse()) {
      EXPECT_EQ(error->code, grpc::StatusCode::INVALID_ARGUMENT);
      for (const auto& violation : error->violations) {
        fields.push_back(violation.field);
      }
    }
    return fields;
  }
  v1::SamplingParams& params() { return *request_.mutable_sampling_params(); }

  ByteTokenizer tokenizer_;
  RandomSource random_{1};
  ParserContext context_;
  v1::GenerateRequest request_;
  GenerateSpec spec_;
};

TEST_F(RequestParserTest, FillsDefaults) {
  ASSERT_THAT(Fields(), IsEmpty());
  EXPECT_THAT(spec_.prompt_ids, ElementsAre(5));
  EXPECT_EQ(spec_.sampling.temperature(), 1.0f);
  EXPECT_EQ(spec_.sampling.top_p(), 1.0f);
  EXPECT_EQ(spec_.sampling.repetition_penalty(), 1.0f);
  EXPECT_EQ(spec_.sampling.max_tokens(), 16);
  EXPECT_EQ(spec_.sampling.logprobs(), -1);
  EXPECT_EQ(spec_.num_choices, 1);
  EXPECT_TRUE(spec_.text.skip_special_tokens);
}

TEST_F(RequestParserTest, DrawsASeedPerRequestUnlessGiven) {
  ASSERT_FALSE(Parse());
  const uint64_t first = spec_.sampling.seed();
  ASSERT_FALSE(Parse());
  EXPECT_NE(spec_.sampling.seed(), first);
  params().set_seed(0);
  ASSERT_FALSE(Parse());
  EXPECT_EQ(spec_.sampling.seed(), 0u);
}

TEST_F(RequestParserTest, ChoicesGetSeedsOfTheirOwn) {
  EXPECT_EQ(ChoiceSeed(9, 0), 9u);
  EXPECT_NE(ChoiceSeed(9, 1), ChoiceSeed(9, 2));
  EXPECT_NE(ChoiceSeed(9, 1), ChoiceSeed(10, 1));
}

TEST_F(RequestParserTest, ReportsAllViolationsAtOnce) {
  request_.mutable_input_ids()->add_ids(200);
  params().set_temperature(std::nanf(""));
  params().set_top_p(2);
  params().set_max_tokens(-1);
  params().set_n(1000000000);
  params().add_stop("fine");
  params().add_stop("");
  EXPECT_THAT(Fields(),
              ElementsAre("sampling_params.temperature",
                          "sampling_params.top_p", "sampling_params.max_tokens",
                          "sampling_params.min_tokens", "sampling_params.n",
                          "sampling_params.stop[1]", "input_ids.ids[1]"));
}

TEST_F(RequestParserTest, RefusesAnEmptyPromptInEveryForm) {
  request_.clear_prompt();
  EXPECT_THAT(Fields(), ElementsAre("prompt"));
  request_.mutable_input_ids();
  EXPECT_THAT(Fields(), ElementsAre("input_ids"));
  request_.set_text("");
  EXPECT_THAT(Fields(), ElementsAre("text"));
}

TEST_F(RequestParserTest, NamesIdsOutOfRangeWithoutFloodingTheAnswer) {
  request_.mutable_input_ids()->clear_ids();
  for (int i = 0; i < 1000; ++i) {
    request_.mutable_input_ids()->add_ids(std::numeric_limits<uint32_t>::max());
  }
  const auto error = Parse();
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->violations.size(), 17u);
  EXPECT_THAT(error->violations[0].description, HasSubstr("got 4294967295"));
  EXPECT_THAT(error->violations[16].description, HasSubstr("1000 ids"));
}

TEST_F(RequestParserTest, RefusesOutOfRangeStopAndBiasIds) {
  params().add_stop_token_ids(200);
  params().add_stop_token_ids(std::numeric_limits<uint32_t>::max());
  (*params().mutable_logit_bias())[4000000000u] = 1;
  EXPECT_THAT(Fields(), ElementsAre("sampling_params.stop_token_ids",
                                    "sampling_params.stop_token_ids",
                                    "sampling_params.logit_bias"));
}

TEST_F(RequestParserTest, ClampsLogitBiasAndRefusesNan) {
  (*params().mutable_logit_bias())[3] = 1e9f;
  ASSERT_FALSE(Parse());
  EXPECT_EQ(spec_.sampling.logit_bias().at(3), 100.0f);
  (*params().mutable_logit_bias())[3] = std::nanf("");
  EXPECT_THAT(Fields(), ElementsAre("sampling_params.logit_bias"));
}

TEST_F(RequestParserTest, LimitsStopStrings) {
  for (int i = 0; i < 1'000'000; ++i) params().add_stop("x");
  EXPECT_THAT(Fields(), ElementsAre("sampling_params.stop"));
  params().clear_stop();
  params().add_stop(std::string(1024, 'x'));
  EXPECT_THAT(Fields(), IsEmpty());
  params().add_stop(std::string(1025, 'x'));
  EXPECT_THAT(Fields(), ElementsAre("sampling_params.stop[1]"));
}

TEST_F(RequestParserTest, SeveralChoicesNeedSampling) {
  params().set_n(2);
  EXPECT_THAT(Fields(), IsEmpty());
  params().set_temperature(0);
  EXPECT_THAT(Fields(), ElementsAre("sampling_params.n"));
  params().set_n(0);
  EXPECT_THAT(Fields(), ElementsAre("sampling_params.n"));
}

TEST_F(RequestParserTest, ContextLengthIsExact) {
  request_.mutable_input_ids()->clear_ids();
  for (int i = 0; i < 16; ++i) request_.mutable_input_ids()->add_ids(1);
  params().set_max_tokens(16);
  EXPECT_FALSE(Parse().has_value());
  params().set_max_tokens(17);
  const auto error = Parse();
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->reason, kContextLengthExceeded);
  EXPECT_THAT(error->metadata, ElementsAre(testing::Pair("limit", "32"),
                                           testing::Pair("given", "33")));
  params().set_max_tokens(std::numeric_limits<int32_t>::max());
  EXPECT_EQ(Parse()->reason, kContextLengthExceeded);
}

TEST_F(RequestParserTest, KnowsItsModelByName) {
  request_.set_model("m");
  EXPECT_FALSE(Parse().has_value());
  request_.set_model("other");
  EXPECT_EQ(Parse()->reason, kModelNotFound);
}

TEST_F(RequestParserTest, TextAndStopStringsNeedATokenizer) {
  context_.tokenizer = nullptr;
  EXPECT_FALSE(Parse().has_value());
  params().add_stop("x");
  EXPECT_EQ(Parse()->reason, kFeatureDisabled);
  params().clear_stop();
  request_.set_text("hi");
  EXPECT_EQ(Parse()->reason, kFeatureDisabled);
  params().set_top_p(0);
  EXPECT_EQ(Parse()->reason, kInvalidParameter);
}

TEST_F(RequestParserTest, WithoutAModelOnlyThePlainlyWrongIsRefused) {
  context_.model.reset();
  request_.set_model("any");
  request_.mutable_input_ids()->add_ids(1'000'000);
  EXPECT_THAT(Fields(), IsEmpty());
  params().set_min_p(-1);
  EXPECT_THAT(Fields(), ElementsAre("sampling_params.min_p"));
}

TEST_F(RequestParserTest, ChecksTheStreamInterval) {
  v1::GenerateStreamRequest request;
  request.mutable_input_ids()->add_ids(5);
  EXPECT_FALSE(ParseGenerateStream(request, context_, &spec_).has_value());
  EXPECT_EQ(spec_.stream_interval, 1);
  request.set_stream_interval(0);
  const auto error = ParseGenerateStream(request, context_, &spec_);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->violations[0].field, "stream_interval");
}

TEST_F(RequestParserTest, ChecksScores) {
  v1::ScoreRequest request;
  ScoreSpec spec;
  request.set_top_logprobs(21);
  auto error = ParseScore(request, context_, &spec);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->violations.size(), 3u);
  request.set_top_logprobs(20);
  request.set_context_text("ab");
  request.mutable_continuation_ids()->add_ids(7);
  EXPECT_FALSE(ParseScore(request, context_, &spec).has_value());
  EXPECT_THAT(spec.context_ids, ElementsAre('a', 'b'));
  EXPECT_THAT(spec.continuation_ids, ElementsAre(7));
  for (int i = 0; i < 30; ++i) request.mutable_continuation_ids()->add_ids(7);
  EXPECT_EQ(ParseScore(request, context_, &spec)->reason,
            kContextLengthExceeded);
}

}  // namespace
}  // namespace blockserve

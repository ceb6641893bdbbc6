// Log-probabilities and alternatives, and the logits themselves.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/conformance/sampling_fixture.h"

namespace blockserve {
namespace {

// A log-sum-exp over some thousand numbers in fp32.
constexpr double kTolerance = 1e-5;

std::vector<double> LogSoftmax(const std::vector<float>& logits) {
  double sum = 0.0;
  for (float logit : logits) sum += std::exp(static_cast<double>(logit));
  std::vector<double> logprobs;
  for (float logit : logits) logprobs.push_back(logit - std::log(sum));
  return logprobs;
}

}  // namespace

class LogprobsConformance : public SamplingFixture {};

TEST_P(LogprobsConformance, AreThoseOfTheModel) {
  for (const int vocab_size : {3, 17, 1003, 5999}) {
    SCOPED_TRACE(vocab_size);
    const std::vector<float> logits = Random(vocab_size, 6.0f);
    const std::vector<double> expected = LogSoftmax(logits);
    // Neither of these changes what the model said.
    const std::vector<int32_t> ids = {1};
    const std::vector<float> values = {100.0f};
    SampleRow row;
    row.num_logprobs = 3;
    row.temperature = 2.0f;
    row.bias_ids = ids;
    row.bias_values = values;
    const SampleResult result = Sample({logits}, {row});
    EXPECT_EQ(result.tokens[0], 1);
    EXPECT_NEAR(result.logprobs[0], expected[1], kTolerance);
    std::vector<int32_t> order(vocab_size);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return logits[a] > logits[b];
    });
    for (int k = 0; k < 3; ++k) {
      EXPECT_EQ(result.top_ids[k], order[k]);
      EXPECT_NEAR(result.top_logprobs[k], expected[order[k]], kTolerance);
    }
  }
}

TEST_P(LogprobsConformance, AsManyAlternativesAsAskedFor) {
  const std::vector<float> logits = Random(300);
  std::vector<SampleRow> rows(4);
  const std::vector<int> counts = {-1, 0, 1, kMaxLogprobs};
  for (int i = 0; i < 4; ++i) rows[i].num_logprobs = counts[i];
  const SampleResult result = Sample(Logits(4, logits), rows);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(std::isnan(result.logprobs[i]), counts[i] < 0);
    const auto begin = result.top_ids.begin() + i * kMaxLogprobs;
    EXPECT_EQ(
        kMaxLogprobs - std::count(begin, begin + kMaxLogprobs, kUnwritten),
        std::max(counts[i], 0));
  }
}

TEST_P(LogprobsConformance, EqualAlternativesComeInOrderOfTheirIds) {
  for (const int vocab_size : {20, 64, 1003}) {
    SCOPED_TRACE(vocab_size);
    std::vector<float> logits(vocab_size, 1.0f);
    logits[vocab_size - 1] = 2.0f;
    logits[3] = 0.0f;
    SampleRow row;
    row.num_logprobs = 6;
    const SampleResult result = Sample({logits}, {row});
    EXPECT_EQ(std::vector<int32_t>(result.top_ids.begin(),
                                   result.top_ids.begin() + 6),
              (std::vector<int32_t>{vocab_size - 1, 0, 1, 2, 4, 5}));
  }
}

TEST_P(LogprobsConformance, TinyVocabularyRunsOutOfAlternatives) {
  SampleRow row;
  row.num_logprobs = 5;
  const SampleResult result = Sample({{1, 2, 0}}, {row});
  EXPECT_EQ(
      std::vector<int32_t>(result.top_ids.begin(), result.top_ids.begin() + 6),
      (std::vector<int32_t>{1, 0, 2, kInvalidToken, kInvalidToken,
                            kUnwritten}));
  EXPECT_EQ(result.top_logprobs[4], -std::numeric_limits<float>::infinity());
}

TEST_P(LogprobsConformance, LargeLogitsDoNotOverflow) {
  SampleRow row;
  row.num_logprobs = 2;
  const SampleResult result = Sample({{-4096, 4096, 4096}}, {row});
  EXPECT_EQ(result.tokens[0], 1);
  EXPECT_NEAR(result.logprobs[0], std::log(0.5), kTolerance);
  EXPECT_NEAR(result.top_logprobs[1], std::log(0.5), kTolerance);
}

// Real projections instead of unit vectors.
TEST_P(LogprobsConformance, LogitsOfAProjection) {
  struct Case {
    int64_t rows, dim, vocab_size;
  };
  for (const auto& [num_rows, dim, vocab_size] :
       {Case{1, 1, 1}, Case{1, 64, 1000}, Case{3, 33, 17}, Case{70, 96, 1003},
        Case{300, 16, 50}, Case{8, 256, 5999}}) {
    SCOPED_TRACE(testing::Message()
                 << num_rows << " x " << dim << " -> " << vocab_size);
    const Twin input =
        MakeT({num_rows, dim}, Random(num_rows * dim), Room::kPaddedRows);
    const TwinMatrix head = Pack(Random(vocab_size * dim), vocab_size, dim);
    SampleRow row;
    row.num_logprobs = 1;
    const auto [got, want] =
        SampleProjected(input, head, std::vector<SampleRow>(num_rows, row));
    // fp32 sums of exact products; logits are not rounded to bf16.
    for (size_t i = 0; i < got.logits.size(); ++i) {
      ASSERT_NEAR(got.logits[i], want.logits[i], 1e-6 + 1e-7 * dim);
    }
    for (int64_t i = 0; i < num_rows; ++i) {
      // The two best may be closer than the sums are exact.
      EXPECT_NEAR(want.logits[i * vocab_size + got.tokens[i]],
                  want.logits[i * vocab_size + want.tokens[i]],
                  2e-6 + 2e-7 * dim);
      EXPECT_NEAR(got.logprobs[i], want.logprobs[i], 1e-5 + 2e-7 * dim);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, LogprobsConformance,
                         testing::ValuesIn(BackendCases()), NameOfCase);

}  // namespace blockserve

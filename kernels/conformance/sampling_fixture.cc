#include "kernels/conformance/sampling_fixture.h"

#include <cmath>
#include <utility>

namespace blockserve {
namespace {

template <typename T>
std::vector<T> ReadAs(Ops& ops, const TensorView& view) {
  std::vector<T> values(view.num_elements());
  ops.CopyToHost(view.data(), values.data(), view.num_bytes());
  EXPECT_TRUE(ops.Synchronize().ok());
  return values;
}

}  // namespace

std::array<SampleResult, 2> SamplingFixture::SampleProjected(
    const Twin& input, const TwinMatrix& head,
    const std::vector<SampleRow>& rows, SampleCall call) {
  const int64_t num_rows = rows.size();
  const int64_t num_tokens = num_rows * call.tokens_per_step;
  if (call.tokens.empty()) call.tokens.assign(num_tokens, kUnwritten);
  const Shape shape = {num_rows, call.tokens_per_step};
  const Shape top_shape = {num_rows, call.tokens_per_step, kMaxLogprobs};
  const Twin tokens = MakeInts(shape, call.tokens);
  const Twin logprobs = OutputFloat(shape);
  const Twin top_ids = MakeInts(
      top_shape, std::vector<int32_t>(num_tokens * kMaxLogprobs, kUnwritten));
  const Twin top_logprobs = OutputFloat(top_shape);
  const Twin logits = OutputFloat({num_rows, head.matrices[0]->out_dim()});
  std::array<SampleResult, 2> results;
  OnBothSides([&](const Side& side) {
    side->SampleTokens(side(input), *side(head),
                       {.rows = rows,
                        .offset = call.offset,
                        .tokens = side(tokens),
                        .logprobs = side(logprobs),
                        .top_ids = side(top_ids),
                        .top_logprobs = side(top_logprobs),
                        .logits = side(logits)});
    ASSERT_TRUE(side->Synchronize().ok());
    results[side.index()] = {
        ReadAs<int32_t>(side.ops(), side(tokens)),
        ReadAs<float>(side.ops(), side(logprobs)),
        ReadAs<int32_t>(side.ops(), side(top_ids)),
        ReadAs<float>(side.ops(), side(top_logprobs)),
        ReadAs<float>(side.ops(), side(logits)),
    };
  });
  return results;
}

std::array<SampleResult, 2> SamplingFixture::SampleBoth(
    const Logits& logits, const std::vector<SampleRow>& rows, SampleCall call) {
  CHECK_EQ(logits.size(), rows.size());
  const int64_t num_rows = rows.size();
  const int64_t vocab_size = logits.front().size();
  std::vector<float> unit_vectors(num_rows * num_rows, 0.0f);
  std::vector<float> head(vocab_size * num_rows);
  for (int64_t row = 0; row < num_rows; ++row) {
    unit_vectors[row * num_rows + row] = 1.0f;
    for (int64_t id = 0; id < vocab_size; ++id) {
      head[id * num_rows + row] = logits[row][id];
    }
  }
  return SampleProjected(
      MakeT({num_rows, num_rows}, unit_vectors, Room::kPaddedRows),
      Pack(head, vocab_size, num_rows), rows, std::move(call));
}

SampleResult SamplingFixture::Sample(const Logits& logits,
                                     const std::vector<SampleRow>& rows,
                                     SampleCall call) {
  std::array<SampleResult, 2> results =
      SampleBoth(logits, rows, std::move(call));
  EXPECT_EQ(results[0].tokens, results[1].tokens);
  return std::move(results[0]);
}

int32_t SamplingFixture::SampleOne(const std::vector<float>& logits,
                                   const SampleRow& row) {
  return Sample({logits}, {row}).tokens[0];
}

std::vector<float> LogitsOf(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (double probability : probabilities) {
    logits.push_back(static_cast<float>(std::log(probability)));
  }
  return logits;
}

}  // namespace blockserve

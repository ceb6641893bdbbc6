#include "runtime/bench/serve/request_shape.h"

#include <gtest/gtest.h>

#include <set>

namespace blockserve {
namespace {

std::vector<uint32_t> IdsOf(const v1::GenerateStreamRequest& request) {
  return {request.input_ids().ids().begin(), request.input_ids().ids().end()};
}

TEST(RequestShapeTest, HasTheLengthsThatWereAskedFor) {
  const auto request = MakeBenchRequest({.prompt_tokens = 37, .max_tokens = 19},
                                        /*vocab_size=*/100, 0);
  EXPECT_EQ(request.input_ids().ids_size(), 37);
  EXPECT_EQ(request.sampling_params().max_tokens(), 19);
  EXPECT_TRUE(request.sampling_params().ignore_eos());
  EXPECT_EQ(request.sampling_params().temperature(), 0);
}

TEST(RequestShapeTest, DrawsFromTheWholeVocabulary) {
  const auto ids =
      IdsOf(MakeBenchRequest({.prompt_tokens = 1000}, /*vocab_size=*/10, 0));
  EXPECT_EQ(std::set<uint32_t>(ids.begin(), ids.end()),
            (std::set<uint32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(RequestShapeTest, DiffersByIndexAndSeedAndIsRepeatable) {
  const RequestShape shape = {.prompt_tokens = 64, .seed = 5};
  RequestShape other = shape;
  other.seed = 5 + (uint64_t{1} << 32);
  const auto ids = IdsOf(MakeBenchRequest(shape, 4096, 3));
  EXPECT_EQ(IdsOf(MakeBenchRequest(shape, 4096, 3)), ids);
  EXPECT_NE(IdsOf(MakeBenchRequest(shape, 4096, 4)), ids);
  EXPECT_NE(IdsOf(MakeBenchRequest(other, 4096, 3)), ids);
}

}  // namespace
}  // namespace blockserve

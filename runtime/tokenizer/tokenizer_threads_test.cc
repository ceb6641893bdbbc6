// Apart from tokenizer_test so that it is quick under ThreadSanitizer.
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/tokenizer/tokenizer.h"

namespace blockserve {
namespace {

TEST(TokenizerThreadsTest, ThreadsGetTheSameIds) {
  const auto tokenizer = LoadTokenizer("models/demo-block/tokenizer.json");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  std::string text;
  for (int i = 0; i < 200; ++i) {
    text += "It is 1813, he'd say cafe\u0301 <|endoftext|>";
    text += std::string(i, 'a');
  }
  std::vector<std::vector<int32_t>> ids(4);
  std::vector<std::thread> threads;
  for (std::vector<int32_t>& result : ids) {
    threads.emplace_back([&] {
      result = *(*tokenizer)->Encode(text);
      EXPECT_FALSE((*tokenizer)->Decode(result, true)->empty());
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<int32_t> expected = *(*tokenizer)->Encode(text);
  EXPECT_THAT(ids, testing::Each(expected));
}

}  // namespace
}  // namespace blockserve

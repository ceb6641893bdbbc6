// A model over several ranks: the same tokens as alone, a share of the bytes
// each, and no more collectives than the design says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/profile/forwarding_ops.h"
#include "parallel/fake/fake_communicator.h"
#include "runtime/backend/backend.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/test_support.h"
#include "runtime/group/in_process_group.h"
#include "runtime/model/model.h"

namespace blockserve {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

const char* const kDemoBlock = "models/demo-block";
const char* const kDemoVanilla = "models/demo-vanilla";
std::string Golden(const std::string& name) {
  return absl::StrCat("tests/testdata/golden/", name);
}

// A group and what its ranks asked of each other.
struct TestGroup {
  std::unique_ptr<InProcessGroup> model;
  std::vector<std::shared_ptr<CallLog>> logs;
  std::vector<FakeCommunicator*> communicators;
};

absl::StatusOr<TestGroup> LoadGroup(const std::string& directory,
                                    const std::string& backend, int size) {
  TestGroup group;
  InProcessGroupOptions options;
  options.size = size;
  options.model.limits = {.max_units_per_step = 128,
                          .max_rows_per_step = 16,
                          .max_sequences_per_step = 16,
                          .max_units_per_sequence = 64,
                          .num_pages = 16 * 64 / kPageLength};
  options.create_ops = [&](int) {
    return CreateBackend(
        {.backend = backend, .dtype = "fp32", .num_threads = 1});
  };
  options.wrap_communicator = [&](int, std::unique_ptr<Communicator> inner) {
    auto fake = std::make_unique<FakeCommunicator>(std::move(inner));
    group.logs.push_back(fake->call_log());
    group.communicators.push_back(fake.get());
    return fake;
  };
  auto model = InProcessGroup::Load(directory, options);
  if (!model.ok()) return model.status();
  group.model = *std::move(model);
  return group;
}

// A mixed load: greedy and sampled, with and without log-probabilities,
// penalties and a minimum of tokens, of many lengths.
std::vector<GenerateRequest> MixedRequests(int vocab_size) {
  std::vector<GenerateRequest> requests;
  std::mt19937 random(11);
  for (int i = 0; i < 12; ++i) {
    GenerateRequest request;
    request.request_id = absl::StrCat("r", i);
    const int num_prompt_tokens = 1 + static_cast<int>(random() % 40);
    for (int t = 0; t < num_prompt_tokens; ++t) {
      request.prompt.push_back(
          static_cast<int32_t>(random() % static_cast<uint32_t>(vocab_size)));
    }
    SamplingParams& sampling = request.sampling;
    sampling.max_tokens = 5 + static_cast<int>(random() % 30);
    sampling.ignore_eos = true;
    sampling.temperature = i % 3 == 0 ? 0.0f : 0.8f;
    sampling.seed = random();
    if (i % 2 == 0) sampling.top_p = 0.95f;
    if (i % 4 == 1) sampling.logprobs = 3;
    if (i % 5 == 1) sampling.repetition_penalty = 1.2f;
    requests.push_back(std::move(request));
  }
  return requests;
}

std::vector<std::vector<int32_t>> RunAll(
    std::unique_ptr<Model> model,
    const std::vector<GenerateRequest>& requests) {
  EngineOptions options;
  options.max_context_tokens = 128;
  const auto engine = Engine::Create(std::move(model), options);
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (const GenerateRequest& request : requests) {
    sinks.push_back(std::make_shared<RecordingSink>());
    const absl::Status status = engine->Generate(request, sinks.back());
    EXPECT_TRUE(status.ok()) << status;
  }
  std::vector<std::vector<int32_t>> tokens;
  for (const auto& sink : sinks) {
    const RequestResult result = sink->Wait();
    EXPECT_TRUE(result.status.ok()) << result.status;
    tokens.push_back(sink->tokens());
  }
  return tokens;
}

struct SameTokensCase {
  std::string directory;
  std::string backend;
};

class RankGroupTokensTest : public ::testing::TestWithParam<SameTokensCase> {};

TEST_P(RankGroupTokensTest, AnyNumberOfRanksGivesTheSameTokens) {
  const auto& [directory, backend] = GetParam();
  std::vector<std::vector<int32_t>> expected;
  for (const int size : {1, 2, 3, 4}) {
    auto group = LoadGroup(directory, backend, size);
    ASSERT_TRUE(group.ok()) << group.status();
    const auto requests = MixedRequests(group->model->config().vocab_size);
    const auto tokens = RunAll(std::move(group->model), requests);
    if (size == 1) {
      expected = tokens;
      continue;
    }
    for (size_t i = 0; i < tokens.size(); ++i) {
      EXPECT_THAT(tokens[i], ElementsAreArray(expected[i]))
          << size << " ranks, request " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, RankGroupTokensTest,
    ::testing::Values(SameTokensCase{Golden("a_main_b4_r2_hd32"), "reference"},
                      SameTokensCase{Golden("d8_block_length_8"), "cpu"},
                      SameTokensCase{Golden("f_summation"), "cpu"},
                      SameTokensCase{Golden("j_gpt_neo"), "reference"},
                      SameTokensCase{Golden("k_vanilla"), "reference"},
                      SameTokensCase{kDemoBlock, "cpu"}),
    [](const auto& info) {
      std::string name = info.param.directory + "_" + info.param.backend;
      for (char& c : name) {
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
      }
      return name;
    });

int64_t BytesOf(const Model& model, const std::string& part) {
  for (const PartSize& size : model.parts()) {
    if (size.name == part) return size.num_bytes;
  }
  ADD_FAILURE() << "no part " << part;
  return 0;
}

// 4 heads and 32 columns of 32 in the FFN of the demo: divisible by 2 and 4.
TEST(RankGroupTest, WeightsAndKeysOfTheBlockDecoderFallAsOneOverN) {
  auto alone = LoadGroup(kDemoBlock, "cpu", 1);
  ASSERT_TRUE(alone.ok()) << alone.status();
  const Model& whole = alone->model->rank_model(0);
  for (const int size : {2, 4}) {
    auto group = LoadGroup(kDemoBlock, "cpu", size);
    ASSERT_TRUE(group.ok()) << group.status();
    size_t kv_bytes = 0;
    for (int rank = 0; rank < size; ++rank) {
      const Model& part = group->model->rank_model(rank);
      kv_bytes += part.kv_bytes_per_page();
      EXPECT_EQ(part.kv_bytes_per_page() * size, whole.kv_bytes_per_page());
      // Norms and the biases of outputs are not sharded: some 2%.
      const double share = static_cast<double>(BytesOf(part, "block_decoder")) /
                           static_cast<double>(BytesOf(whole, "block_decoder"));
      EXPECT_GT(share, 1.0 / size);
      EXPECT_LT(share, 1.02 / size);
      EXPECT_EQ(BytesOf(part, "token_decoder"),
                BytesOf(whole, "token_decoder"));
    }
    EXPECT_EQ(kv_bytes, whole.kv_bytes_per_page());
  }
}

TEST(RankGroupTest, ARankReadsItsShareOfTheShardedTensors) {
  const auto bytes_read = [](int size, int rank) {
    auto ops = CreateBackend({.backend = "cpu", .dtype = "fp32"});
    EXPECT_TRUE(ops.ok());
    const RankGroup group = {rank, size, nullptr};
    ModelOptions options;
    options.group = &group;
    options.limits = {.max_units_per_step = 8,
                      .max_rows_per_step = 1,
                      .max_sequences_per_step = 1,
                      .max_units_per_sequence = 8,
                      .num_pages = 1};
    int64_t read = 0;
    const auto model = LoadModel(kDemoBlock, options, **ops,
                                 [&](int64_t bytes, int64_t) { read = bytes; });
    EXPECT_TRUE(model.ok()) << model.status();
    return std::make_pair(read, BytesOf(**model, "block_decoder"));
  };
  const auto [all_read, all_held] = bytes_read(1, 0);
  for (const int size : {2, 4}) {
    for (int rank = 0; rank < size; ++rank) {
      const auto [read, held] = bytes_read(size, rank);
      // What this rank does not hold it has not read; the file is fp16 or wider
      // than a hundredth of the difference, whatever its dtype.
      const double saved = static_cast<double>(all_read - read);
      const double sharded =
          saved / (1.0 - 1.0 / size);  // of the sharded tensors, in the file
      EXPECT_NEAR(sharded / static_cast<double>(all_held), 0.5, 0.01)
          << size << " ranks, rank " << rank;
    }
  }
}

// One step of one sequence of `num_units` units with its output wanted.
absl::Status StepOnce(Model& model, int num_units, int num_outputs) {
  const int length = model.tokens_per_step();
  const std::vector<int32_t> tokens(static_cast<size_t>(num_units * length), 1);
  const std::vector<int32_t> pages = {0, 1};
  SequenceChunk chunk;
  chunk.tokens = tokens;
  chunk.pages = pages;
  chunk.num_outputs = num_outputs;
  const std::vector<DecodeRow> rows(static_cast<size_t>(num_outputs));
  return model
      .Step({.chunks = absl::MakeConstSpan(&chunk, 1),
             .rows = rows,
             .num_tokens = length})
      .status();
}

TEST(RankGroupTest, AStepPaysOneCollectiveALayerAndOneForTheTokens) {
  const struct {
    std::string directory;
    int num_layers;
    int sums_per_layer;
  } cases[] = {{Golden("a_main_b4_r2_hd32"), 3, 1},
               {Golden("f_summation"), 3, 1},
               {kDemoBlock, 3, 1},
               {kDemoVanilla, 2, 1},
               {Golden("j_gpt_neo"), 3, 2}};  // a sequential residual
  for (const auto& test : cases) {
    auto group = LoadGroup(test.directory, "cpu", 2);
    ASSERT_TRUE(group.ok()) << group.status();
    const auto& config = group->model->config().cached_trunk();
    ASSERT_EQ(config.num_layers, test.num_layers) << test.directory;
    for (const int num_outputs : {1, 3}) {
      for (const auto& log : group->logs) log->Clear();
      ASSERT_TRUE(StepOnce(*group->model, 5, num_outputs).ok());
      for (const auto& log : group->logs) {
        EXPECT_EQ(log->CountOf(CollectiveOp::kAllReduce),
                  test.num_layers * test.sums_per_layer - 1)
            << test.directory;
        EXPECT_EQ(log->CountOf(CollectiveOp::kReduceScatter), 1);
        EXPECT_EQ(log->CountOf(CollectiveOp::kAllGather), 1);
        EXPECT_EQ(log->size(), test.num_layers * test.sums_per_layer + 1);
        // The tokens come last: nothing is exchanged while they are written.
        EXPECT_EQ(log->calls().back().op, CollectiveOp::kAllGather);
      }
    }
    // Without outputs the last layer only keeps keys and values.
    for (const auto& log : group->logs) log->Clear();
    ASSERT_TRUE(StepOnce(*group->model, 5, 0).ok());
    EXPECT_EQ(group->logs[1]->size(),
              (test.num_layers - 1) * test.sums_per_layer);
  }
}

TEST(RankGroupTest, AFailedCollectiveEndsTheStepOnAllRanks) {
  auto group = LoadGroup(kDemoBlock, "cpu", 2);
  ASSERT_TRUE(group.ok()) << group.status();
  ASSERT_TRUE(StepOnce(*group->model, 5, 1).ok());
  group->communicators[1]->Inject(
      {.kind = CollectiveFault::Kind::kFail,
       .op = CollectiveOp::kReduceScatter,
       .call = 1,
       .error = absl::UnavailableError("the cable was cut")});
  const absl::Status failed = StepOnce(*group->model, 5, 1);
  EXPECT_EQ(failed.code(), absl::StatusCode::kUnavailable) << failed;
}

TEST(RankGroupTest, MoreRanksThanTheFfnHasColumnsAreRefused) {
  const auto group = LoadGroup(Golden("a_main_b4_r2_hd32"), "cpu", 1025);
  EXPECT_EQ(group.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(group.status().message()), HasSubstr("1025"));
}

// A device whose memory is its own, as far as its users can see.
class DeviceOps final : public ForwardingOps {
 public:
  explicit DeviceOps(std::unique_ptr<Ops> ops)
      : ForwardingOps(*ops), ops_(std::move(ops)) {}
  void* native_stream() const override { return ops_.get(); }

 private:
  std::unique_ptr<Ops> ops_;
};

// Collectives between threads would read a GPU's memory as their own.
TEST(RankGroupTest, RanksOnDevicesNeedCommunicatorsOfTheirOwn) {
  InProcessGroupOptions options;
  options.size = 2;
  options.create_ops = [](int) -> absl::StatusOr<std::unique_ptr<Ops>> {
    auto ops = CreateBackend({.backend = "reference", .dtype = "fp32"});
    if (!ops.ok()) return ops.status();
    return std::make_unique<DeviceOps>(*std::move(ops));
  };
  const absl::Status status =
      InProcessGroup::Load(kDemoBlock, options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(status.message(), HasSubstr("one rank"));
}

}  // namespace
}  // namespace blockserve

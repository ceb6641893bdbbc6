// Times of single operations at the shapes of the paper's main model
// (dim 768, 12 heads of 64, FFN 3072, vocabulary 50304).
//
//   bazel run //kernels/cpu:ops_benchmark -- --benchmark_filter=Linear
//
// The weights of Linear rotate through as much memory as a model's, as in a
// step: a single matrix would stay in the second-level cache.
#include <benchmark/benchmark.h>
#include <glog/logging.h>

#include <cstdint>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/api/ops.h"
#include "kernels/cpu/cpu_ops.h"

namespace blockserve {
namespace {

constexpr int kNumHeads = 12;
constexpr int kHeadDim = 64;
constexpr int64_t kDim = kNumHeads * kHeadDim;
constexpr int64_t kVocabSize = 50304;

// bf16 where the CPU has it.
Ops& BenchmarkOps() {
  static Ops* const ops = [] {
    const DType dtype = CpuHasBFloat16() ? DType::kBFloat16 : DType::kFloat32;
    auto created = CreateCpuOps(dtype, 0);
    CHECK(created.ok()) << created.status();
    LOG(INFO) << (*created)->Describe();
    return created->release();
  }();
  return *ops;
}

std::vector<float> RandomValues(int64_t count) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

// Tensors that live as long as a benchmark.
class Tensors {
 public:
  TensorView Make(DType dtype, std::initializer_list<int64_t> shape) {
    const TensorView shape_only(nullptr, dtype, shape);
    buffers_.push_back(*BenchmarkOps().Allocate(shape_only.num_bytes()));
    return buffers_.back().View(dtype, shape);
  }

  // Standard normal.
  TensorView Random(DType dtype, std::initializer_list<int64_t> shape) {
    const TensorView view = Make(dtype, shape);
    std::vector<float> values = RandomValues(view.num_elements());
    BenchmarkOps().Cast(
        TensorView(values.data(), DType::kFloat32, {view.num_elements()}),
        view);
    return view;
  }

  void* Bytes(size_t num_bytes) {
    buffers_.push_back(*BenchmarkOps().Allocate(num_bytes));
    return buffers_.back().data();
  }

 private:
  std::vector<Buffer> buffers_;
};

void BM_Linear(benchmark::State& state) {
  Ops& ops = BenchmarkOps();
  const int64_t rows = state.range(0);
  const int64_t out_dim = state.range(1);
  const int64_t in_dim = state.range(2);
  const auto activation = static_cast<Activation>(state.range(3));
  const bool accumulate = state.range(4) != 0;
  const int num_weights =
      static_cast<int>((int64_t{128} << 20) / (out_dim * in_dim));
  std::vector<std::unique_ptr<Matrix>> weights;
  const std::vector<float> values = RandomValues(out_dim * in_dim);
  for (int i = 0; i < num_weights; ++i) {
    weights.push_back(*ops.PackMatrix(values.data(), out_dim, in_dim));
  }
  Tensors tensors;
  const int64_t padded = ops.PaddedRows(rows);
  const TensorView input =
      tensors.Random(ops.dtype(), {padded, in_dim}).Rows(0, rows);
  const TensorView output =
      tensors
          .Make(accumulate ? DType::kFloat32 : ops.dtype(), {padded, out_dim})
          .Rows(0, rows);
  const TensorView bias = tensors.Random(DType::kFloat32, {out_dim});
  size_t i = 0;
  for (auto _ : state) {
    ops.Linear({.input = input,
                .weight = weights[i++ % weights.size()].get(),
                .bias = bias,
                .activation = activation,
                .accumulate = accumulate,
                .output = output});
  }
  state.counters["GFLOP/s"] =
      benchmark::Counter(2e-9 * rows * out_dim * in_dim * state.iterations(),
                         benchmark::Counter::kIsRate);
}
BENCHMARK(BM_Linear)
    ->ArgNames({"rows", "out", "in", "activation", "accumulate"})
    // Query, key and value; up with exact GELU; down into the residual stream.
    ->ArgsProduct({{1, 2, 4, 16, 64, 256, 512, 1024}, {2304}, {768}, {0}, {0}})
    ->ArgsProduct({{1, 2, 4, 16, 64, 256, 512, 1024}, {3072}, {768}, {1}, {0}})
    ->ArgsProduct({{1, 2, 4, 16, 64, 256, 512, 1024}, {768}, {3072}, {0}, {1}})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

// `sequences` sequences of `keys` keys in shuffled pages, `queries` new rows
// each.
void BM_PagedAttention(benchmark::State& state) {
  Ops& ops = BenchmarkOps();
  const auto num_sequences = static_cast<int32_t>(state.range(0));
  const auto num_keys = static_cast<int32_t>(state.range(1));
  const auto num_queries = static_cast<int32_t>(state.range(2));
  const int32_t pages_each = (num_keys + kPageLength - 1) / kPageLength;
  const int32_t num_pages = num_sequences * pages_each;
  const int64_t rows = int64_t{num_sequences} * num_queries;
  Tensors tensors;
  const TensorView pages =
      tensors.Make(DType::kInt32, {num_sequences, pages_each});
  std::iota(pages.as<int32_t>(), pages.as<int32_t>() + num_pages, 0);
  std::shuffle(pages.as<int32_t>(), pages.as<int32_t>() + num_pages,
               std::mt19937(1));
  const TensorView offsets = tensors.Make(DType::kInt32, {num_sequences + 1});
  const TensorView begin = tensors.Make(DType::kInt32, {rows});
  const TensorView end = tensors.Make(DType::kInt32, {rows});
  for (int32_t s = 0; s < num_sequences; ++s) {
    offsets.as<int32_t>()[s + 1] = (s + 1) * num_queries;
    for (int32_t i = 0; i < num_queries; ++i) {
      end.as<int32_t>()[s * num_queries + i] = num_keys - num_queries + 1 + i;
    }
  }
  // As many layers as a model has, so that no layer stays in a cache.
  constexpr int kNumLayers = 6;
  const size_t layer_bytes = num_pages * ops.KvPageBytes(kNumHeads, kHeadDim);
  std::vector<KvLayer> layers;
  for (int layer = 0; layer < kNumLayers; ++layer) {
    layers.push_back({.data = tensors.Bytes(layer_bytes),
                      .num_pages = num_pages,
                      .num_heads = kNumHeads,
                      .head_dim = kHeadDim});
  }
  const TensorView qkv =
      tensors.Random(ops.dtype(), {rows, kNumHeads, 3, kHeadDim});
  const TensorView output =
      tensors.Make(ops.dtype(), {rows, kNumHeads, kHeadDim});
  size_t layer = 0;
  for (auto _ : state) {
    ops.PagedAttention({.qkv = qkv,
                        .query_offsets = offsets,
                        .page_table = pages,
                        .key_begin = begin,
                        .key_end = end,
                        .scale = 0.125f,
                        .cache = layers[layer++ % kNumLayers],
                        .output = output});
  }
  state.counters["GB/s"] = benchmark::Counter(
      1e-9 * layer_bytes * state.iterations(), benchmark::Counter::kIsRate);
}
BENCHMARK(BM_PagedAttention)
    ->ArgNames({"sequences", "keys", "queries"})
    ->Args({1, 288, 1})
    ->Args({64, 288, 1})
    ->Args({256, 288, 1})
    ->Args({1, 512, 512})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

// What the machine can do: a sum over 2 GiB, which no cache holds.
void BM_ReadMemory(benchmark::State& state) {
  Tensors tensors;
  const TensorView x = tensors.Make(DType::kInt32, {int64_t{512} << 20});
  int32_t sum = 0;
  for (auto _ : state) {
#pragma omp parallel for reduction(+ : sum)
    for (int64_t i = 0; i < x.num_elements(); ++i) sum += x.as<int32_t>()[i];
  }
  benchmark::DoNotOptimize(sum);
  state.counters["GB/s"] = benchmark::Counter(
      1e-9 * x.num_bytes() * state.iterations(), benchmark::Counter::kIsRate);
}
BENCHMARK(BM_ReadMemory)->UseRealTime()->Unit(benchmark::kMicrosecond);

void BM_RotaryStoreKv(benchmark::State& state) {
  Ops& ops = BenchmarkOps();
  const auto rows = static_cast<int32_t>(state.range(0));
  Tensors tensors;
  const TensorView slots = tensors.Make(DType::kInt32, {rows});
  for (int32_t i = 0; i < rows; ++i) slots.as<int32_t>()[i] = i;
  const TensorView positions = tensors.Make(DType::kInt32, {rows});
  const TensorView rotary = tensors.Make(DType::kFloat32, {1, 16});
  const int32_t num_pages = rows / kPageLength + 1;
  const KvLayer cache = {
      .data = tensors.Bytes(num_pages * ops.KvPageBytes(kNumHeads, kHeadDim)),
      .num_pages = num_pages,
      .num_heads = kNumHeads,
      .head_dim = kHeadDim};
  const TensorView qkv =
      tensors.Make(ops.dtype(), {rows, kNumHeads, 3, kHeadDim});
  for (auto _ : state) {
    ops.RotaryStoreKv({.qkv = qkv,
                       .rotary = rotary,
                       .positions = positions,
                       .slots = slots,
                       .cache = cache});
  }
}
BENCHMARK(BM_RotaryStoreKv)
    ->Arg(1)
    ->Arg(256)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

void BM_LocalAttention(benchmark::State& state) {
  Ops& ops = BenchmarkOps();
  const int64_t rows = state.range(0);
  constexpr int kMaxLength = 5;
  Tensors tensors;
  const TensorView qkv =
      tensors.Make(ops.dtype(), {rows, kNumHeads, 3, kHeadDim});
  const TensorView rotary = tensors.Make(DType::kFloat32, {1, 16});
  const TensorView positions = tensors.Make(DType::kInt32, {1});
  const TensorView output =
      tensors.Make(ops.dtype(), {rows, kNumHeads, kHeadDim});
  void* cache =
      tensors.Bytes(ops.LocalKvBytes(rows, kNumHeads, kHeadDim, kMaxLength));
  for (auto _ : state) {
    ops.LocalAttention({.qkv = qkv,
                        .num_queries = 1,
                        .past_length = 3,
                        .max_length = kMaxLength,
                        .scale = 0.125f,
                        .rotary = rotary,
                        .positions = positions,
                        .cache = cache,
                        .output = output});
  }
}
BENCHMARK(BM_LocalAttention)
    ->Arg(1)
    ->Arg(256)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

void BM_DualLayerNorm(benchmark::State& state) {
  Ops& ops = BenchmarkOps();
  const int64_t rows = state.range(0);
  Tensors tensors;
  const TensorView input = tensors.Random(DType::kFloat32, {rows, kDim});
  const TensorView weight = tensors.Random(DType::kFloat32, {kDim});
  const TensorView a = tensors.Make(ops.dtype(), {rows, kDim});
  const TensorView b = tensors.Make(ops.dtype(), {rows, kDim});
  for (auto _ : state) {
    ops.DualLayerNorm({.input = input,
                       .gamma_a = weight,
                       .beta_a = weight,
                       .gamma_b = weight,
                       .beta_b = weight,
                       .output_a = a,
                       .output_b = b});
  }
}
BENCHMARK(BM_DualLayerNorm)
    ->Arg(1)
    ->Arg(256)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

// Projection and choice together.
void BM_SampleTokens(benchmark::State& state, const SampleRow& row) {
  Ops& ops = BenchmarkOps();
  const int64_t rows = state.range(0);
  Tensors tensors;
  const TensorView input =
      tensors.Random(ops.dtype(), {ops.PaddedRows(rows), kDim}).Rows(0, rows);
  // Logits of a standard deviation of about 3, as trained models have.
  std::vector<float> values = RandomValues(kVocabSize * kDim);
  for (float& value : values) value *= 0.1f;
  const std::unique_ptr<Matrix> head =
      *ops.PackMatrix(values.data(), kVocabSize, kDim);
  CHECK(ops.Reserve({.max_rows = rows,
                     .max_sample_rows = rows,
                     .vocab_size = kVocabSize})
            .ok());
  std::vector<SampleRow> sample_rows(rows, row);
  const SampleArgs args = {
      .rows = sample_rows,
      .tokens = tensors.Make(DType::kInt32, {rows, 1}),
      .logprobs = tensors.Make(DType::kFloat32, {rows, 1}),
      .top_ids = tensors.Make(DType::kInt32, {rows, 1, kMaxLogprobs}),
      .top_logprobs = tensors.Make(DType::kFloat32, {rows, 1, kMaxLogprobs})};
  for (auto _ : state) {
    for (SampleRow& sample_row : sample_rows) ++sample_row.position;
    ops.SampleTokens(input, *head, args);
  }
}
#define BLOCKSERVE_SAMPLE_BENCHMARK(name, ...)                    \
  BENCHMARK_CAPTURE(BM_SampleTokens, name, SampleRow __VA_ARGS__) \
      ->Arg(1)                                                    \
      ->Arg(64)                                                   \
      ->Arg(256)                                                  \
      ->UseRealTime()                                             \
      ->Unit(benchmark::kMicrosecond)
BLOCKSERVE_SAMPLE_BENCHMARK(greedy, {});
BLOCKSERVE_SAMPLE_BENCHMARK(temperature, {.temperature = 0.8f});
BLOCKSERVE_SAMPLE_BENCHMARK(top_k, {.temperature = 0.8f, .top_k = 50});
BLOCKSERVE_SAMPLE_BENCHMARK(top_p, {.temperature = 0.8f, .top_p = 0.95f});
BLOCKSERVE_SAMPLE_BENCHMARK(logprobs, {.num_logprobs = 5});

}  // namespace
}  // namespace blockserve

BENCHMARK_MAIN();

#include "runtime/bench/engine_benchmark.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace blockserve {
namespace {

EngineBenchOptions Tiny() {
  EngineBenchOptions options;
  options.random = "block_main_b4_5";
  options.backend = {.backend = "cpu", .dtype = "fp32", .num_threads = 1};
  options.batch = 2;
  options.prefill = 9;
  options.decode = 8;
  options.repeat = 1;
  options.bandwidth_bytes = size_t{1} << 22;
  return options;
}

TEST(EngineBenchmarkTest, MeasuresAndAddsUp) {
  const auto report = RunEngineBenchmark(Tiny());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->model, "block_main_b4_5");
  EXPECT_EQ(report->shape.batch, 2);
  EXPECT_GT(report->MedianTokensPerSecond(), 0);
  EXPECT_GT(report->RooflineShare(), 0);
  EXPECT_GT(report->peaks.gemm_flops, 0);
  EXPECT_GT(report->memory.weights, 33'000'000 * 4);
  EXPECT_GT(report->resident_bytes, report->memory.weights);
  for (int i = 0; i < kNumPhases; ++i) {
    const absl::Duration time = report->phases.times[i];
    EXPECT_GE(time, absl::ZeroDuration()) << i;
    EXPECT_EQ(time > absl::ZeroDuration(),
              static_cast<Phase>(i) != Phase::kCollectives)
        << i;
  }
}

TEST(EngineBenchmarkTest, RanksSpendTimeInCollectives) {
  EngineBenchOptions options = Tiny();
  options.num_ranks = 2;
  const auto report = RunEngineBenchmark(options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->num_ranks, 2);
  EXPECT_GT(report->phases.of(Phase::kCollectives), absl::ZeroDuration());
  EXPECT_GT(report->phases.of(Phase::kScheduling), absl::ZeroDuration());
}

TEST(EngineBenchmarkTest, AutoFindsABatchWithinTheLimit) {
  EngineBenchOptions options = Tiny();
  options.random = "vanilla_31";
  options.batch = 0;
  options.phases = false;
  options.memory_limit = int64_t{160} << 20;
  const auto report = RunEngineBenchmark(options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_GT(report->shape.batch, 4);
  EXPECT_LE(report->memory.total(), options.memory_limit);
  EXPECT_FALSE(report->has_phases);
}

TEST(EngineBenchmarkTest, WhatDoesNotFitSaysWhatWouldDo) {
  EngineBenchOptions options = Tiny();
  options.memory_limit = int64_t{100} << 20;
  const auto report = RunEngineBenchmark(options);
  EXPECT_EQ(report.status().code(), absl::StatusCode::kResourceExhausted);
  const std::string message(report.status().message());
  EXPECT_NE(message.find("--batch"), std::string::npos) << message;
  EXPECT_NE(message.find("104857600"), std::string::npos) << message;
  options.batch = 0;
  EXPECT_EQ(RunEngineBenchmark(options).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(EngineBenchmarkTest, OptionsThatMakeNoSenseAreRefused) {
  const auto code = [](void (*change)(EngineBenchOptions&)) {
    EngineBenchOptions options = Tiny();
    change(options);
    return RunEngineBenchmark(options).status().code();
  };
  const auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code([](auto& options) { options.random = ""; }), kInvalid);
  EXPECT_EQ(code([](auto& options) { options.model = "x"; }), kInvalid);
  EXPECT_EQ(code([](auto& options) { options.random = "b4"; }), kInvalid);
  EXPECT_EQ(code([](auto& options) { options.decode = 0; }), kInvalid);
  EXPECT_EQ(code([](auto& options) { options.repeat = 0; }), kInvalid);
  EXPECT_EQ(code([](auto& options) { options.backend.dtype = "int3"; }),
            kInvalid);
}

}  // namespace
}  // namespace blockserve

#include "runtime/bench/serve/serving_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/bench/serve/client_run.h"

namespace blockserve {
namespace {

// One request of 10 tokens in blocks of four, and one that was lost.
bench::v1::ClientRun MakeRun(double start_seconds, double ttft_ms) {
  LoadOptions options;
  options.shape = {.prompt_tokens = 16, .max_tokens = 10, .seed = 5};
  options.num_requests = 2;
  options.concurrency = 2;
  const RequestSample good = {.start_seconds = start_seconds,
                              .ttft_ms = ttft_ms,
                              .e2el_ms = ttft_ms + 60,
                              .input_tokens = 16,
                              .output_tokens = 10,
                              .first_chunk_tokens = 4,
                              .itl_ms = {40, 20}};
  const RequestSample lost = {
      .start_seconds = start_seconds, .e2el_ms = 1, .error = "UNAVAILABLE"};
  bench::v1::ClientRun run =
      MakeClientRun(options, {.samples = {good, lost}, .cpu_seconds = 0.5});
  *run.mutable_environment() = DescribeEnvironment("blockserve bench", "here");
  run.add_servers("127.0.0.1:50051");
  run.mutable_model()->set_name("demo");
  return run;
}

nlohmann::json JsonOf(std::vector<bench::v1::ClientRun> runs) {
  const auto report = MakeReport(runs);
  EXPECT_TRUE(report.ok()) << report.status();
  return nlohmann::json::parse(ToJson(*report));
}

TEST(ServingReportTest, HasTheKeysOfVllm) {
  const nlohmann::json json = JsonOf({MakeRun(1000, 100)});
  for (const char* key :
       {"date", "model_id", "num_prompts", "request_rate", "burstiness",
        "max_concurrency", "duration", "completed", "failed",
        "total_input_tokens", "total_output_tokens", "request_throughput",
        "request_goodput", "output_throughput", "total_token_throughput"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  for (const char* name : {"ttft", "tpot", "itl", "e2el"}) {
    for (const char* statistic :
         {"mean", "median", "std", "p50", "p90", "p95", "p99"}) {
      EXPECT_TRUE(json.contains(std::string(statistic) + "_" + name + "_ms"))
          << statistic << " " << name;
    }
  }
  EXPECT_EQ(json["mean_tpot_ms"], 10);
  EXPECT_EQ(json["mean_itl_ms"], 30);
  EXPECT_EQ(json["failures"], (nlohmann::json{{"UNAVAILABLE", 1}}));
  EXPECT_EQ(json["environment"]["clients"][0]["label"], "here");
  EXPECT_TRUE(json["request_rate"].is_null());
  EXPECT_EQ(json["max_concurrency"], 2);
}

TEST(ServingReportTest, MergesClientsByTheirSamples) {
  // The second begins a second later, and ends at 1001.36.
  const nlohmann::json json = JsonOf({MakeRun(1000, 100), MakeRun(1001, 300)});
  EXPECT_EQ(json["completed"], 2);
  EXPECT_EQ(json["failed"], 2);
  EXPECT_EQ(json["num_prompts"], 4);
  EXPECT_EQ(json["max_concurrency"], 4);
  EXPECT_EQ(json["total_output_tokens"], 20);
  EXPECT_NEAR(json["duration"], 1.36, 1e-6);
  EXPECT_NEAR(json["output_throughput"], 20 / 1.36, 1e-3);
  EXPECT_EQ(json["mean_ttft_ms"], 200);
  EXPECT_EQ(json["p99_ttft_ms"], 298);
  EXPECT_EQ(json["client_cpu_seconds"], 1);
  EXPECT_EQ(json["environment"]["clients"].size(), 2u);
}

TEST(ServingReportTest, RefusesRunsThatDoNotBelongTogether) {
  bench::v1::ClientRun other_model = MakeRun(1000, 100);
  other_model.mutable_model()->set_name("another");
  bench::v1::ClientRun other_shape = MakeRun(1000, 100);
  other_shape.mutable_load()->set_max_tokens(11);
  bench::v1::ClientRun other_loop = MakeRun(1000, 100);
  other_loop.mutable_load()->set_concurrency(0);
  for (const auto& other : {other_model, other_shape, other_loop}) {
    EXPECT_EQ(MakeReport({MakeRun(1000, 100), other}).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(MakeReport({}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ServingReportTest, TableNamesFailuresAndPercentiles) {
  const std::string table = ToTable(*MakeReport({MakeRun(1000, 100)}));
  EXPECT_NE(table.find("UNAVAILABLE"), std::string::npos) << table;
  EXPECT_NE(table.find("TTFT"), std::string::npos) << table;
  EXPECT_NE(table.find("2 at once"), std::string::npos) << table;
}

}  // namespace
}  // namespace blockserve

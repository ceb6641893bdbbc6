#include "runtime/bench/serve/client_run.h"

#include <gtest/gtest.h>

namespace blockserve {
namespace {

RequestSample MakeSample() {
  return {.start_seconds = 1.7e9 + 0.123456,
          .send_lag_ms = 0.25,
          .ttft_ms = 12.5,
          .e2el_ms = 99.75,
          .input_tokens = 16,
          .output_tokens = 10,
          .first_chunk_tokens = 4,
          .migrations = 2,
          .itl_ms = {30.5f, 40.25f},
          .error = "UNAVAILABLE"};
}

TEST(ClientRunTest, FileHoldsWhatWasMeasured) {
  LoadOptions options;
  options.shape = {.prompt_tokens = 16, .max_tokens = 10, .seed = 1ull << 63};
  options.num_requests = 1;
  options.num_warmup = 3;
  options.arrivals = {.rate = 12.5, .burstiness = 0.5};
  bench::v1::ClientRun run =
      MakeClientRun(options, {.samples = {MakeSample()}, .cpu_seconds = 1.5});
  *run.mutable_environment() = DescribeEnvironment("the command", "the label");
  const auto text = ClientRunToJson(run);
  ASSERT_TRUE(text.ok()) << text.status();

  const auto read = ParseClientRun(*text, "file");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->SerializeAsString(), run.SerializeAsString());
  EXPECT_EQ(read->load().seed(), 1ull << 63);
  EXPECT_EQ(read->load().rate(), 12.5);
  EXPECT_EQ(read->environment().command(), "the command");
  EXPECT_GT(read->environment().core_count(), 0);

  const std::vector<RequestSample> samples = SamplesOf(*read);
  ASSERT_EQ(samples.size(), 1u);
  const RequestSample expected = MakeSample();
  EXPECT_EQ(samples[0].start_seconds, expected.start_seconds);
  EXPECT_EQ(samples[0].send_lag_ms, expected.send_lag_ms);
  EXPECT_EQ(samples[0].ttft_ms, expected.ttft_ms);
  EXPECT_EQ(samples[0].e2el_ms, expected.e2el_ms);
  EXPECT_EQ(samples[0].input_tokens, expected.input_tokens);
  EXPECT_EQ(samples[0].output_tokens, expected.output_tokens);
  EXPECT_EQ(samples[0].first_chunk_tokens, expected.first_chunk_tokens);
  EXPECT_EQ(samples[0].migrations, expected.migrations);
  EXPECT_EQ(samples[0].itl_ms, expected.itl_ms);
  EXPECT_EQ(samples[0].error, expected.error);
}

TEST(ClientRunTest, OtherFilesAreRefusedByName) {
  for (const char* text : {"", "{", "[]", "{\"duration\": 1}", "{}",
                           "{\"format_version\": \"FORMAT_VERSION_9\"}"}) {
    const auto run = ParseClientRun(text, "some.json");
    EXPECT_EQ(run.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(run.status().message().find("some.json: expected "), 0u)
        << run.status();
  }
}

}  // namespace
}  // namespace blockserve

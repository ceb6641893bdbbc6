#include "runtime/bench/engine_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace blockserve {
namespace {

EngineBenchReport Report() {
  EngineBenchReport report;
  report.model = "block_main_b4_85";
  report.dtype = "bf16";
  report.tokens_per_step = 4;
  report.shape = {.batch = 2, .prefill = 100, .decode = 50};
  report.tokens_per_second = {8, 10, 20};
  report.times.prefill = absl::Seconds(3);
  report.times.decode = absl::Seconds(12);
  report.times.decode_tokens = 240;  // of 3 x 2 x 50
  report.peaks = {.gemm_flops = 1e12, .read_bytes_per_second = 1e10};
  report.prefill_work = {.flop = 1e12, .bytes = 1e10};
  report.decode_work = {.flop = 3e12, .bytes = 2e10};
  report.has_phases = true;
  report.phases.of(Phase::kEmbed) = absl::Seconds(1);
  report.phases.of(Phase::kScheduling) = absl::Seconds(3);
  return report;
}

TEST(EngineBenchReportTest, SharesAreTheWorkOfATokenTimesTokensASecond) {
  const EngineBenchReport report = Report();
  EXPECT_DOUBLE_EQ(report.MedianTokensPerSecond(), 10);
  // 2 + 5 seconds at the peaks for 100 tokens.
  EXPECT_DOUBLE_EQ(report.RooflineShare(), 7.0 / 100 * 10);
  EXPECT_DOUBLE_EQ(report.DecodeTokensPerSecond(), 20);
  EXPECT_DOUBLE_EQ(report.DecodeRooflineShare(), 5.0 / 100 * 20);
  EXPECT_DOUBLE_EQ(report.PrefillTokensPerSecond(), 200);
  // A fifth of the tokens came in steps with prompt units: 2 + 1 seconds a
  // batch, three of them in three.
  EXPECT_DOUBLE_EQ(report.PrefillRooflineShare(), 3);
}

TEST(EngineReportTest, JsonHasWhatProgramsLookFor) {
  const auto json = nlohmann::json::parse(ToJson(
      Report(),
      {.command = "c", .label = "l", .date = absl::UnixEpoch(), .cpu = "X"}));
  EXPECT_EQ(json.at("tokens_per_second"), 10.0);
  EXPECT_EQ(json.at("gemm_peak_flops"), 1e12);
  EXPECT_EQ(json.at("read_bandwidth_bytes_per_second"), 1e10);
  EXPECT_EQ(json.at("batch"), 2);
  EXPECT_EQ(json.at("phases").at("embed").at("seconds"), 1.0);
  EXPECT_EQ(json.at("phases").at("scheduling").at("share"), 0.75);
  EXPECT_FALSE(json.at("phases").contains("collectives"));
  EXPECT_EQ(json.at("date"), "1970-01-01T00:00:00Z");
  EXPECT_EQ(json.at("machine").at("cpu"), "X");
}

TEST(EngineReportTest, WhatIsNotKnownIsNull) {
  EngineBenchReport report = Report();
  report.decode_work = report.prefill_work = {};
  report.has_phases = false;
  const auto json = nlohmann::json::parse(ToJson(report, {}));
  EXPECT_TRUE(json.at("roofline_share").is_null());
  EXPECT_TRUE(json.at("phases").is_null());
}

TEST(EngineReportTest, SaysWhenOthersTookPartOfTheMachine) {
  EngineBenchReport report = Report();
  EXPECT_EQ(ToTable(report, RunContext()).find("other processes"),
            std::string::npos);
  report.others_cpu_share = 0.01;
  EXPECT_EQ(ToTable(report, RunContext()).find("not the machine"),
            std::string::npos);
  report.others_cpu_share = 0.5;
  EXPECT_NE(ToTable(report, RunContext()).find("50% of the cores' time: these"),
            std::string::npos);
}

TEST(EngineReportTest, TheTableAlignsItsValues) {
  RunContext context;
  context.command = "blockserve bench engine";
  const std::string table = ToTable(Report(), context);
  size_t begin = 0;
  while (begin < table.size()) {
    const size_t end = table.find('\n', begin);
    const std::string line = table.substr(begin, end - begin);
    ASSERT_GT(line.size(), 26u) << line;
    EXPECT_EQ(line[25], ' ') << line;
    begin = end + 1;
  }
  EXPECT_NE(table.find("roofline share            0.700"), std::string::npos)
      << table;
}

}  // namespace
}  // namespace blockserve

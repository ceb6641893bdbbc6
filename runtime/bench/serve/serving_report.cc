#include "runtime/bench/serve/serving_report.h"

#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "runtime/base/status_macros.h"
#include "runtime/bench/serve/client_run.h"

namespace blockserve {
namespace {

using nlohmann::ordered_json;

absl::Status CheckSame(const char* what, const std::string& first,
                       const std::string& other) {
  if (first == other) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "expected runs of the same ", what, ", got ", first, " and ", other));
}

std::string ShapeOf(const bench::v1::Load& load) {
  return absl::StrCat(load.prompt_tokens(), "/", load.max_tokens());
}

const char* LoopOf(const bench::v1::Load& load) {
  return load.concurrency() > 0 ? "closed" : "open";
}

absl::Status CheckAlike(const bench::v1::ClientRun& first,
                        const bench::v1::ClientRun& other) {
  RETURN_IF_ERROR(
      CheckSame("model", first.model().name(), other.model().name()));
  RETURN_IF_ERROR(CheckSame("prompt_tokens/max_tokens", ShapeOf(first.load()),
                            ShapeOf(other.load())));
  return CheckSame("loop", LoopOf(first.load()), LoopOf(other.load()));
}

void AddLoad(const bench::v1::Load& load, bench::v1::Load& sum) {
  sum.set_request_count(sum.request_count() + load.request_count());
  sum.set_warmup_count(sum.warmup_count() + load.warmup_count());
  sum.set_concurrency(sum.concurrency() + load.concurrency());
  sum.set_rate(sum.rate() + load.rate());
}

void AddLatency(const char* name, const LatencySummary& summary,
                ordered_json& json) {
  const auto add = [&](const char* statistic, double value) {
    json[absl::StrCat(statistic, "_", name, "_ms")] = value;
  };
  add("mean", summary.mean);
  add("median", summary.median);
  add("std", summary.std);
  add("p50", summary.p50);
  add("p90", summary.p90);
  add("p95", summary.p95);
  add("p99", summary.p99);
}

// What was measured, by the names that vLLM has for it.
void AddSettings(const ServingReport& report, ordered_json& json) {
  const bench::v1::Load& load = report.load;
  json["date"] = report.clients[0].environment().date();
  json["endpoint_type"] = "blockserve.v1";
  json["model_id"] = report.model.name();
  json["num_prompts"] = load.request_count();
  json["prompt_tokens"] = load.prompt_tokens();
  json["max_tokens"] = load.max_tokens();
  json["num_warmups"] = load.warmup_count();
  // null is for "as fast as may be" there, and here for the other loop.
  json["request_rate"] = nullptr;
  json["burstiness"] = nullptr;
  json["max_concurrency"] = nullptr;
  if (load.concurrency() > 0) {
    json["max_concurrency"] = load.concurrency();
  } else {
    json["request_rate"] = load.rate();
    json["burstiness"] = load.burstiness();
  }
}

ordered_json GoodputToJson(const ServingMetrics& metrics) {
  ordered_json json = ordered_json::array();
  for (size_t i = 0; i < kGoodputBounds.size(); ++i) {
    json.push_back({{"ttft_ms", kGoodputBounds[i].ttft_ms},
                    {"tpot_ms", kGoodputBounds[i].tpot_ms},
                    {"requests_per_second", metrics.goodput[i]}});
  }
  return json;
}

ordered_json EnvironmentToJson(const ServingReport& report) {
  const blockserve::v1::Model& model = report.model;
  ordered_json json;
  json["model"] = {{"name", model.name()},
                   {"family", model.family()},
                   {"block_length", model.block_length()},
                   {"vocab_size", model.vocab_size()},
                   {"parameters", model.parameter_count()},
                   {"dtype", model.dtype()},
                   {"backend", model.backend()},
                   {"workers", model.worker_count()}};
  json["clients"] = ordered_json::array();
  for (const bench::v1::ClientRun& client : report.clients) {
    const bench::v1::Environment& environment = client.environment();
    json["clients"].push_back(
        {{"host", environment.host()},
         {"cpu", environment.cpu()},
         {"cores", environment.core_count()},
         {"os", environment.os()},
         {"date", environment.date()},
         {"command", environment.command()},
         {"label", environment.label()},
         {"servers", std::vector<std::string>(client.servers().begin(),
                                              client.servers().end())},
         {"seed", client.load().seed()},
         {"cpu_seconds", client.cpu_seconds()}});
  }
  return json;
}

double CpuSeconds(const ServingReport& report) {
  double seconds = 0;
  for (const auto& client : report.clients) seconds += client.cpu_seconds();
  return seconds;
}

double TokensPerChunk(const ServingMetrics& metrics) {
  return metrics.total_chunks == 0
             ? 0
             : static_cast<double>(metrics.total_output_tokens) /
                   static_cast<double>(metrics.total_chunks);
}

double ChunkThroughput(const ServingMetrics& metrics) {
  return metrics.duration > 0
             ? static_cast<double>(metrics.total_chunks) / metrics.duration
             : 0;
}

}  // namespace

absl::StatusOr<ServingReport> MakeReport(
    absl::Span<const bench::v1::ClientRun> runs) {
  if (runs.empty()) return absl::InvalidArgumentError("expected a run");
  ServingReport report;
  std::vector<RequestSample> samples;
  for (const bench::v1::ClientRun& run : runs) {
    RETURN_IF_ERROR(CheckAlike(runs[0], run));
    if (report.clients.empty()) {
      report.load = run.load();
      report.model = run.model();
    } else {
      AddLoad(run.load(), report.load);
    }
    for (RequestSample& sample : SamplesOf(run)) {
      samples.push_back(std::move(sample));
    }
    report.clients.push_back(run);
    report.clients.back().clear_samples();
  }
  report.metrics = ComputeMetrics(samples);
  return report;
}

std::string ToJson(const ServingReport& report) {
  const ServingMetrics& metrics = report.metrics;
  ordered_json json;
  AddSettings(report, json);
  json["duration"] = metrics.duration;
  json["completed"] = metrics.completed;
  json["failed"] = metrics.failed;
  json["failures"] = ordered_json(metrics.failures);
  json["migrations"] = metrics.migrations;
  json["total_input_tokens"] = metrics.total_input_tokens;
  json["total_output_tokens"] = metrics.total_output_tokens;
  json["request_throughput"] = metrics.request_throughput;
  // One number there: by the widest bound here.
  json["request_goodput"] = metrics.goodput[0];
  json["goodput"] = GoodputToJson(metrics);
  json["output_throughput"] = metrics.output_throughput;
  json["total_token_throughput"] = metrics.total_token_throughput;
  json["chunk_throughput"] = ChunkThroughput(metrics);
  json["tokens_per_chunk"] = TokensPerChunk(metrics);
  AddLatency("ttft", metrics.ttft, json);
  AddLatency("tpot", metrics.tpot, json);
  AddLatency("itl", metrics.itl, json);
  AddLatency("e2el", metrics.e2el, json);
  AddLatency("send_lag", metrics.send_lag, json);
  json["client_cpu_seconds"] = CpuSeconds(report);
  json["environment"] = EnvironmentToJson(report);
  return json.dump(1, ' ', false, ordered_json::error_handler_t::replace) +
         "\n";
}

std::string ToTable(const ServingReport& report) {
  const ServingMetrics& metrics = report.metrics;
  const bench::v1::Load& load = report.load;
  std::string text;
  const auto add = [&text](const std::string& name, const std::string& value) {
    absl::StrAppendFormat(&text, "%-22s %s\n", name, value);
  };
  add("model", report.model.name());
  add("prompt / new tokens",
      absl::StrCat(load.prompt_tokens(), " / ", load.max_tokens()));
  add("load", load.concurrency() > 0
                  ? absl::StrCat(load.concurrency(), " at once")
                  : absl::StrFormat("%g/s, burstiness %g", load.rate(),
                                    load.burstiness()));
  add("clients", absl::StrFormat("%d, %.2f s of CPU time",
                                 static_cast<int>(report.clients.size()),
                                 CpuSeconds(report)));
  add("duration", absl::StrFormat("%.3f s", metrics.duration));
  add("completed / failed",
      absl::StrCat(metrics.completed, " / ", metrics.failed));
  for (const auto& [error, count] : metrics.failures) {
    add(absl::StrCat("  ", error), absl::StrCat(count));
  }
  add("requests/s", absl::StrFormat("%.2f", metrics.request_throughput));
  for (size_t i = 0; i < kGoodputBounds.size(); ++i) {
    add(absl::StrFormat("  in %g / %g ms", kGoodputBounds[i].ttft_ms,
                        kGoodputBounds[i].tpot_ms),
        absl::StrFormat("%.2f", metrics.goodput[i]));
  }
  add("output tokens/s", absl::StrFormat("%.1f", metrics.output_throughput));
  add("total tokens/s",
      absl::StrFormat("%.1f", metrics.total_token_throughput));
  add("chunks/s",
      absl::StrFormat("%.1f of %.2f tokens", ChunkThroughput(metrics),
                      TokensPerChunk(metrics)));
  absl::StrAppendFormat(&text, "%-22s %10s %10s %10s %10s %10s\n",
                        "milliseconds", "mean", "p50", "p90", "p95", "p99");
  const auto add_latency = [&text](const char* name,
                                   const LatencySummary& summary) {
    absl::StrAppendFormat(&text, "%-22s %10.3f %10.3f %10.3f %10.3f %10.3f\n",
                          name, summary.mean, summary.p50, summary.p90,
                          summary.p95, summary.p99);
  };
  add_latency("TTFT", metrics.ttft);
  add_latency("TPOT", metrics.tpot);
  add_latency("ITL, per chunk", metrics.itl);
  add_latency("E2E", metrics.e2el);
  add_latency("client sent late by", metrics.send_lag);
  return text;
}

}  // namespace blockserve

#include "runtime/bench/engine_report.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace blockserve {
namespace {

using nlohmann::ordered_json;

constexpr int kNameWidth = 25;
// Others' share of a machine on which figures mean something.
constexpr double kBusyShare = 0.05;

double MiB(int64_t bytes) {
  return static_cast<double>(bytes) / static_cast<double>(1 << 20);
}

std::string DateText(absl::Time date) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", date, absl::UTCTimeZone());
}

double ShareOf(const EngineBenchReport& report, Phase phase) {
  const absl::Duration total = report.phases.total();
  return total > absl::ZeroDuration()
             ? absl::FDivDuration(report.phases.of(phase), total)
             : 0;
}

// Without it no phase: collectives of a rank alone.
bool IsShown(const EngineBenchReport& report, Phase phase) {
  return phase != Phase::kCollectives || report.num_ranks > 1;
}

bool HasRooflineWork(const EngineBenchReport& report) {
  return report.decode_work.flop > 0;
}

bool HasPeaks(const EngineBenchReport& report) {
  return report.peaks.gemm_flops > 0;
}

// Of one new token of a whole batch.
Work WorkPerToken(const EngineBenchReport& report) {
  Work work = report.prefill_work;
  work += report.decode_work;
  return 1.0 / (double{1} * report.shape.batch * report.shape.decode) * work;
}

class Table {
 public:
  void Add(std::string_view name, const std::string& value) {
    absl::StrAppendFormat(&text_, "%-*s %s\n", kNameWidth, std::string(name),
                          value);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string OthersText(double share) {
  std::string text = absl::StrFormat("%.0f%% of the cores' time", 100 * share);
  if (share > kBusyShare)
    absl::StrAppend(&text, ": these figures are not the machine's");
  return text;
}

void AddRoofline(const EngineBenchReport& report, Table& table) {
  if (!HasPeaks(report)) {
    table.Add("roofline", "not measured on this device");
    return;
  }
  table.Add("GEMM peak", absl::StrFormat("%.1f GFLOP/s (oneDNN 256x3072x768)",
                                         report.peaks.gemm_flops * 1e-9));
  table.Add(
      "read bandwidth",
      absl::StrFormat("%.2f GB/s", report.peaks.read_bytes_per_second * 1e-9));
  if (!HasRooflineWork(report)) return;
  const Work work = WorkPerToken(report);
  table.Add("work per token",
            absl::StrFormat("%.1f MFLOP, %.3f MB", work.flop * 1e-6,
                            work.bytes * 1e-6));
  table.Add("roofline share",
            absl::StrFormat(
                "%.3f (prefill %.3f, decode %.3f)", report.RooflineShare(),
                report.PrefillRooflineShare(), report.DecodeRooflineShare()));
}

void AddPhases(const EngineBenchReport& report, Table& table) {
  if (!report.has_phases) return;
  table.Add("phases", "one more run, with clocks");
  for (int i = 0; i < kNumPhases; ++i) {
    const auto phase = static_cast<Phase>(i);
    if (!IsShown(report, phase)) continue;
    table.Add(absl::StrCat("  ", std::string(NameOf(phase))),
              absl::StrFormat("%9.3f s %6.1f%%",
                              absl::ToDoubleSeconds(report.phases.of(phase)),
                              100 * ShareOf(report, phase)));
  }
}

ordered_json PhasesToJson(const EngineBenchReport& report) {
  if (!report.has_phases) return nullptr;
  ordered_json json = ordered_json::object();
  for (int i = 0; i < kNumPhases; ++i) {
    const auto phase = static_cast<Phase>(i);
    if (!IsShown(report, phase)) continue;
    json[std::string(NameOf(phase))] = {
        {"seconds", absl::ToDoubleSeconds(report.phases.of(phase))},
        {"share", ShareOf(report, phase)}};
  }
  return json;
}

void AddRooflineToJson(const EngineBenchReport& report, ordered_json& json) {
  json["gemm_peak_flops"] = report.peaks.gemm_flops;
  json["read_bandwidth_bytes_per_second"] = report.peaks.read_bytes_per_second;
  if (!HasPeaks(report)) {
    json["gemm_peak_flops"] = nullptr;
    json["read_bandwidth_bytes_per_second"] = nullptr;
  }
  if (!HasRooflineWork(report) || !HasPeaks(report)) {
    for (const char* name :
         {"flop_per_token", "bytes_per_token", "roofline_share",
          "prefill_roofline_share", "decode_roofline_share"}) {
      json[name] = nullptr;
    }
    return;
  }
  const Work work = WorkPerToken(report);
  json["flop_per_token"] = work.flop;
  json["bytes_per_token"] = work.bytes;
  json["roofline_share"] = report.RooflineShare();
  json["prefill_roofline_share"] = report.PrefillRooflineShare();
  json["decode_roofline_share"] = report.DecodeRooflineShare();
}

}  // namespace

std::string CpuName() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "";
}

std::string ToTable(const EngineBenchReport& report,
                    const RunContext& context) {
  Table table;
  table.Add("model",
            absl::StrCat(report.model,
                         report.has_random_weights ? ", random weights" : ""));
  table.Add("machine", absl::StrCat(context.cpu, "; ", report.backend));
  table.Add("ranks x threads",
            absl::StrCat(report.num_ranks, " x ", report.num_threads));
  table.Add("prompt / new tokens",
            absl::StrCat(report.shape.prefill, " / ", report.shape.decode));
  table.Add("batch", absl::StrCat(report.shape.batch));
  table.Add("tokens/s",
            absl::StrFormat("%.1f (%.1f to %.1f in %d runs)",
                            report.MedianTokensPerSecond(),
                            report.tokens_per_second.front(),
                            report.tokens_per_second.back(),
                            static_cast<int>(report.tokens_per_second.size())));
  table.Add("  decode only",
            absl::StrFormat("%.1f", report.DecodeTokensPerSecond()));
  table.Add("  prompt tokens/s",
            absl::StrFormat("%.1f", report.PrefillTokensPerSecond()));
  if (report.others_cpu_share.has_value()) {
    table.Add("other processes", OthersText(*report.others_cpu_share));
  }
  AddRoofline(report, table);
  table.Add(
      "memory",
      absl::StrFormat("%.1f MiB weights, %.1f MiB KV cache, %.1f MiB "
                      "scratch; %.1f MiB resident",
                      MiB(report.memory.weights), MiB(report.memory.kv_cache),
                      MiB(report.memory.scratch), MiB(report.resident_bytes)));
  AddPhases(report, table);
  table.Add("date", DateText(context.date));
  if (!context.label.empty()) table.Add("label", context.label);
  table.Add("command", context.command);
  return table.text();
}

std::string ToJson(const EngineBenchReport& report, const RunContext& context) {
  ordered_json json;
  json["model"] = report.model;
  json["random_weights"] = report.has_random_weights;
  json["dtype"] = report.dtype;
  json["machine"] = {{"cpu", context.cpu},
                     {"backend", report.backend},
                     {"ranks", report.num_ranks},
                     {"threads", report.num_threads}};
  json["prefill"] = report.shape.prefill;
  json["decode"] = report.shape.decode;
  json["batch"] = report.shape.batch;
  json["max_prefill_units"] = report.shape.max_prefill_units;
  json["repeat"] = report.tokens_per_second.size();
  json["seed"] = report.seed;
  json["tokens_per_second"] = report.MedianTokensPerSecond();
  json["tokens_per_second_min"] = report.tokens_per_second.front();
  json["tokens_per_second_max"] = report.tokens_per_second.back();
  json["decode_tokens_per_second"] = report.DecodeTokensPerSecond();
  json["prefill_tokens_per_second"] = report.PrefillTokensPerSecond();
  json["other_processes_cpu_share"] = nullptr;
  if (report.others_cpu_share.has_value()) {
    json["other_processes_cpu_share"] = *report.others_cpu_share;
  }
  AddRooflineToJson(report, json);
  json["phases"] = PhasesToJson(report);
  json["memory"] = {{"weights", report.memory.weights},
                    {"kv_cache", report.memory.kv_cache},
                    {"scratch", report.memory.scratch},
                    {"resident", report.resident_bytes}};
  json["load_seconds"] = absl::ToDoubleSeconds(report.load_time);
  json["date"] = DateText(context.date);
  json["label"] = context.label;
  json["command"] = context.command;
  return json.dump(1) + "\n";
}

}  // namespace blockserve

// The report of the engine benchmark, for people and for programs.
#ifndef BLOCKSERVE_RUNTIME_BENCH_ENGINE_REPORT_H_
#define BLOCKSERVE_RUNTIME_BENCH_ENGINE_REPORT_H_

#include <string>

#include "absl/time/time.h"
#include "runtime/bench/engine_benchmark.h"

namespace blockserve {

// What a report says beside what was measured.
struct RunContext {
  std::string command;
  std::string label;  // a commit, a machine: the user's word
  absl::Time date = absl::UnixEpoch();
  std::string cpu;  // "" where the system does not tell
};

// The CPU's name as the system tells it.
std::string CpuName();

// Lines of a name and its values, aligned.
std::string ToTable(const EngineBenchReport& report, const RunContext& context);

// One JSON object, indented. Times are seconds, sizes bytes.
std::string ToJson(const EngineBenchReport& report, const RunContext& context);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_ENGINE_REPORT_H_

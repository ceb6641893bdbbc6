// How much of the machine other processes took while a benchmark ran: figures
// of a busy machine are not the machine's.
#ifndef BLOCKSERVE_RUNTIME_BENCH_MACHINE_LOAD_H_
#define BLOCKSERVE_RUNTIME_BENCH_MACHINE_LOAD_H_

#include <optional>
#include <string>
#include <string_view>

namespace blockserve {

// Seconds of CPU time over all cores, since the machine started.
struct CpuTimes {
  double total = 0;
  double idle = 0;
  double own = 0;  // of this process
};

// The first line of /proc/stat, in ticks of 1 / `ticks_per_second`; `own` stays
// 0. None if it is not such a line.
std::optional<CpuTimes> ParseCpuTimes(std::string_view line,
                                      double ticks_per_second);

// None where the system does not tell.
std::optional<CpuTimes> ReadCpuTimes();

// The share of all cores' time that was neither idle nor this process's, in
// [0, 1].
double OthersShare(const CpuTimes& begin, const CpuTimes& end);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_MACHINE_LOAD_H_

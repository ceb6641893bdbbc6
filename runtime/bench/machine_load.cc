#include "runtime/bench/machine_load.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace blockserve {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * time.tv_usec;
}

}  // namespace

std::optional<CpuTimes> ParseCpuTimes(std::string_view line,
                                      double ticks_per_second) {
  std::istringstream fields{std::string(line)};
  std::string name;
  // User, nice, system, idle, iowait, irq, softirq, steal; guests' time is in
  // user's already.
  double ticks[8] = {};
  fields >> name;
  for (double& value : ticks) fields >> value;
  if (!fields || name != "cpu") return std::nullopt;
  CpuTimes times;
  for (const double value : ticks) times.total += value / ticks_per_second;
  times.idle = (ticks[3] + ticks[4]) / ticks_per_second;
  return times;
}

std::optional<CpuTimes> ReadCpuTimes() {
  std::ifstream file("/proc/stat");
  std::string line;
  rusage usage;
  if (!std::getline(file, line) || getrusage(RUSAGE_SELF, &usage) != 0) {
    return std::nullopt;
  }
  std::optional<CpuTimes> times =
      ParseCpuTimes(line, static_cast<double>(sysconf(_SC_CLK_TCK)));
  if (times.has_value()) {
    times->own = Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
  }
  return times;
}

double OthersShare(const CpuTimes& begin, const CpuTimes& end) {
  const double total = end.total - begin.total;
  if (total <= 0) return 0;
  const double others = total - (end.idle - begin.idle) - (end.own - begin.own);
  return std::clamp(others / total, 0.0, 1.0);
}

}  // namespace blockserve

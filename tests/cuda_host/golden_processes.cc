#include "tests/cuda_host/golden_processes.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "tests/cuda_host/host_devices.h"

namespace blockserve {

std::vector<int> RunGoldenProcesses(
    const GoldenProcesses& run,
    const std::function<int(int, const absl::StatusOr<GoldenResult>&,
                            const std::string&)>& report) {
  std::string folder =
      (std::filesystem::temp_directory_path() / "golden.XXXXXX").string();
  const int num_ranks = run.options.num_ranks;
  std::vector<int> codes(static_cast<size_t>(num_ranks), -1);
  if (mkdtemp(folder.data()) == nullptr) return codes;
  std::vector<pid_t> processes;
  for (int rank = 0; rank < num_ranks; ++rank) {
    const pid_t process = fork();
    if (process == 0) {
      GoldenOptions options = run.options;
      options.devices = HostCudaDeviceOfProcess(
          folder + "/group", rank, num_ranks, run.seed, run.graphs);
      std::ostringstream log;
      const auto result = RunGoldenCase(run.directory, options, log);
      _exit(report(rank, result, log.str()));
    }
    processes.push_back(process);
  }
  for (size_t rank = 0; rank < processes.size(); ++rank) {
    int status = 0;
    if (waitpid(processes[rank], &status, 0) != processes[rank]) continue;
    codes[rank] = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  }
  std::filesystem::remove_all(folder);
  return codes;
}

}  // namespace blockserve

#include "runtime/cli/report.h"

#include <iostream>
#include <string>

#include "runtime/serving/process.h"

namespace blockserve {

int ReportError(const absl::Status& status) {
  std::cerr << "error: " << status.message() << " ("
            << absl::StatusCodeToString(status.code()) << ")\n";
  return ExitCodeFor(status);
}

int ReportError(const grpc::Status& status) {
  const int exit_code = ReportError(
      absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                   status.error_message()));
  // An answer of a server is never about a port of ours.
  return exit_code == kExitPortInUse ? kExitFailure : exit_code;
}

int ReportBadFlag(absl::string_view message) {
  std::cerr << "error: " << message << "\n";
  return kExitBadInput;
}

}  // namespace blockserve

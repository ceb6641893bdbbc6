// How commands tell of errors: one line on standard error, and an exit code.
#ifndef BLOCKSERVE_RUNTIME_CLI_REPORT_H_
#define BLOCKSERVE_RUNTIME_CLI_REPORT_H_

#include <grpcpp/grpcpp.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace blockserve {

// Prints "error: MESSAGE (CODE)" and returns the exit code that tells `status`.
int ReportError(const absl::Status& status);
int ReportError(const grpc::Status& status);

// Wrong flags that the parser cannot see: prints the line, returns
// kExitBadInput.
int ReportBadFlag(absl::string_view message);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CLI_REPORT_H_

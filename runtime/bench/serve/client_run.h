// What one client process did and saw, and its file.
#ifndef BLOCKSERVE_RUNTIME_BENCH_SERVE_CLIENT_RUN_H_
#define BLOCKSERVE_RUNTIME_BENCH_SERVE_CLIENT_RUN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "blockserve/bench/v1/client_run.pb.h"
#include "runtime/bench/serve/load_run.h"
#include "runtime/bench/serve/request_sample.h"

namespace blockserve {

// Host, CPU and date as the system tells them.
bench::v1::Environment DescribeEnvironment(absl::string_view command,
                                           absl::string_view label);

// Environment, servers and model are left to set.
bench::v1::ClientRun MakeClientRun(const LoadOptions& options,
                                   const LoadResult& result);

std::vector<RequestSample> SamplesOf(const bench::v1::ClientRun& run);

// The file of a run: one JSON object (client_run.proto).
absl::StatusOr<std::string> ClientRunToJson(const bench::v1::ClientRun& run);
// INVALID_ARGUMENT, with `source` in front, for what ClientRunToJson did not
// write.
absl::StatusOr<bench::v1::ClientRun> ParseClientRun(absl::string_view text,
                                                    absl::string_view source);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_SERVE_CLIENT_RUN_H_

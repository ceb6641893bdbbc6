// A BlobExchange between forked processes of a test.
#ifndef BLOCKSERVE_PARALLEL_CONFORMANCE_PROCESS_EXCHANGE_H_
#define BLOCKSERVE_PARALLEL_CONFORMANCE_PROCESS_EXCHANGE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "parallel/api/bootstrap.h"

namespace blockserve {

// Made before the ranks are forked, in memory that they share. A rank that dies
// leaves the others waiting for 10 s in an exchange, and then UNAVAILABLE.
class ProcessExchange {
 public:
  explicit ProcessExchange(int size);
  ~ProcessExchange();

  ProcessExchange(const ProcessExchange&) = delete;
  ProcessExchange& operator=(const ProcessExchange&) = delete;

  // Must not outlive the ProcessExchange.
  BlobExchange ForRank(int rank);

 private:
  struct Shared;

  absl::StatusOr<std::vector<std::string>> Exchange(int rank,
                                                    const std::string& mine);

  const int size_;
  Shared* const shared_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_PARALLEL_CONFORMANCE_PROCESS_EXCHANGE_H_

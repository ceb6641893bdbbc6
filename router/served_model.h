// What the router knows of the model its workers serve.
#ifndef BLOCKSERVE_ROUTER_SERVED_MODEL_H_
#define BLOCKSERVE_ROUTER_SERVED_MODEL_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "blockserve/v1/model.pb.h"
#include "blockserve/worker/v1/worker.pb.h"

namespace blockserve {

// The version of blockserve.worker.v1 that this router speaks.
inline constexpr int kWorkerProtocolVersion = 1;

struct ServedModel {
  std::string name;
  std::string family;
  int block_length = 1;
  int vocab_size = 0;
  int context_length = 0;
  uint32_t bos_token_id = 0;
  uint32_t eos_token_id = 0;
  int64_t parameter_count = 0;
  std::string dtype;
  std::string backend;

  // FAILED_PRECONDITION for another protocol version, INVALID_ARGUMENT for
  // sizes that cannot be.
  static absl::StatusOr<ServedModel> FromIdentity(
      const worker::v1::GetIdentityResponse& identity);

  // Whether a request may run on either: all but dtype and backend agree.
  bool SameModel(const ServedModel& other) const;

  int64_t NumBlocks(int64_t num_tokens) const {
    return (num_tokens + block_length - 1) / block_length;
  }
  v1::Model ToProto(int worker_count) const;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_SERVED_MODEL_H_

// Between blockserve.worker.v1 and the engine's structs.
#ifndef BLOCKSERVE_RUNTIME_WORKER_WORKER_CONVERSION_H_
#define BLOCKSERVE_RUNTIME_WORKER_WORKER_CONVERSION_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "blockserve/worker/v1/worker.pb.h"
#include "google/protobuf/duration.pb.h"
#include "runtime/engine/engine.h"
#include "runtime/request/request.h"

namespace blockserve {

// `now` is what the timeouts count from. Ids beyond int32 become the largest
// one, which no vocabulary has.
GenerateRequest ToGenerateRequest(const worker::v1::GenerateCommand& command,
                                  std::string engine_id, absl::Time now);
ScoreRequest ToScoreRequest(const worker::v1::ScoreCommand& command,
                            std::string engine_id, absl::Time now);

void AppendTokens(const TokenDelta& delta, worker::v1::RequestEvent& event);
// `reason`: see ErrorReason.
void SetDone(const RequestResult& result, absl::string_view reason,
             worker::v1::Done& done);

worker::v1::WatchLoadResponse ToLoad(const EngineLoad& load,
                                     worker::v1::WorkerState state);

void SetDuration(absl::Duration duration, google::protobuf::Duration& proto);
absl::Duration FromProto(const google::protobuf::Duration& proto);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_WORKER_CONVERSION_H_

// One request of an Execute stream, as the engine's sink.
#ifndef BLOCKSERVE_RUNTIME_WORKER_STREAM_REQUEST_H_
#define BLOCKSERVE_RUNTIME_WORKER_STREAM_REQUEST_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "blockserve/worker/v1/worker.pb.h"
#include "runtime/base/monotonic_clock.h"
#include "runtime/request/request.h"

namespace blockserve {

class ExecuteStream;

// Who asked for the end of a request.
enum class AbortCause { kNone, kClient, kAbortRpc };

struct StreamRequestInfo {
  std::string id;         // the router's
  std::string engine_id;  // unique among all streams
  int num_prompt_tokens = 0;
  bool is_scoring = false;
  bool exceeds_context = false;  // prompt + max_tokens is above the limit
};

// Passes everything on to its stream.
class StreamRequest final : public RequestSink {
 public:
  StreamRequest(std::shared_ptr<ExecuteStream> stream, StreamRequestInfo info);
  ~StreamRequest() override;

  void OnTokens(const TokenDelta& delta) override;
  void OnDone(const RequestResult& result) override;

  const StreamRequestInfo info;
  const absl::Time submit_time = MonotonicNow();

  // The engine thread's.
  absl::Time last_tokens_time = absl::InfinitePast();

  // Guarded by the stream's mutex. The request's event in the pending frame, if
  // that has the number `pending_frame`.
  uint64_t pending_frame = 0;
  worker::v1::RequestEvent* pending_event = nullptr;
  AbortCause abort_cause = AbortCause::kNone;
  // Its id went to a later request: it has nothing more to say.
  bool is_replaced = false;

 private:
  const std::shared_ptr<ExecuteStream> stream_;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_WORKER_STREAM_REQUEST_H_

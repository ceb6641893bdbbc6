// What a benchmark's client saw of one request.
#ifndef BLOCKSERVE_RUNTIME_BENCH_SERVE_REQUEST_SAMPLE_H_
#define BLOCKSERVE_RUNTIME_BENCH_SERVE_REQUEST_SAMPLE_H_

#include <string>
#include <vector>

namespace blockserve {

// Times are measured on a clock that never jumps. They count from `start`:
// in an open loop when the request was due, however late it was sent; in a
// closed loop when it was sent.
struct RequestSample {
  double start_seconds = 0;  // since the Unix epoch, to line up processes
  double send_lag_ms = 0;    // of the client: sent after `start`
  double ttft_ms = 0;        // the first tokens
  double e2el_ms = 0;        // the end of the stream
  int input_tokens = 0;
  int output_tokens = 0;
  int first_chunk_tokens = 0;
  int migrations = 0;  // moves to another worker
  // Between chunks (messages with tokens): a block each, unless messages were
  // held up and joined on the way.
  std::vector<float> itl_ms = {};
  // Empty: completed. Else why not: the name of the status code, or
  // kWrongLength.
  std::string error = {};

  bool completed() const { return error.empty(); }
  // There is a token after the first chunk.
  bool has_tpot() const { return output_tokens > first_chunk_tokens; }
  // Time per token after the first chunk. For chunks of one token this is
  // vLLM's (E2E - TTFT) / (tokens - 1); a first chunk of several tokens must
  // not be counted as if they had come one by one.
  double tpot_ms() const {
    return (e2el_ms - ttft_ms) / (output_tokens - first_chunk_tokens);
  }
};

// The stream ended well, but not after as many tokens as were asked for.
inline constexpr char kWrongLength[] = "WRONG_LENGTH";

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_BENCH_SERVE_REQUEST_SAMPLE_H_

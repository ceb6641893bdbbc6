#include "runtime/bench/serve/token_stream.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "runtime/base/monotonic_clock.h"

namespace blockserve {
namespace {

std::string NameOf(grpc::StatusCode code) {
  return absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
}

}  // namespace

TokenStream::TokenStream(v1::GenerateStreamRequest request, absl::Time start,
                         Callback on_done)
    : request_(std::move(request)),
      start_(start),
      on_done_(std::move(on_done)) {
  sample_.input_tokens = request_.input_ids().ids_size();
  sample_.send_lag_ms = absl::ToDoubleMilliseconds(MonotonicNow() - start_);
}

void TokenStream::Begin(v1::InferenceService::Stub& stub,
                        v1::GenerateStreamRequest request, absl::Time start,
                        absl::Duration timeout, Callback on_done) {
  auto* stream = new TokenStream(std::move(request), start, std::move(on_done));
  stream->context_.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  stub.async()->GenerateStream(&stream->context_, &stream->request_, stream);
  stream->StartRead(&stream->response_);
  stream->StartCall();
}

void TokenStream::OnReadDone(bool ok) {
  if (!ok) return;
  const int num_tokens = response_.token_ids_size();
  if (num_tokens > 0) {
    const absl::Time now = MonotonicNow();
    if (sample_.output_tokens == 0) {
      sample_.ttft_ms = absl::ToDoubleMilliseconds(now - start_);
      sample_.first_chunk_tokens = num_tokens;
    } else {
      sample_.itl_ms.push_back(
          static_cast<float>(absl::ToDoubleMilliseconds(now - last_chunk_)));
    }
    last_chunk_ = now;
    sample_.output_tokens += num_tokens;
  }
  sample_.migrations += response_.migration_count();
  StartRead(&response_);
}

void TokenStream::OnDone(const grpc::Status& status) {
  sample_.e2el_ms = absl::ToDoubleMilliseconds(MonotonicNow() - start_);
  if (!status.ok()) {
    sample_.error = NameOf(status.error_code());
  } else if (sample_.output_tokens != request_.sampling_params().max_tokens()) {
    sample_.error = kWrongLength;
  }
  RequestSample sample = std::move(sample_);
  Callback on_done = std::move(on_done_);
  // First: whoever is told may take the channel away, which this thread must
  // not hold the last part of.
  delete this;
  on_done(std::move(sample));
}

}  // namespace blockserve

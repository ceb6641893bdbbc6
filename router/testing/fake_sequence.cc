#include "router/testing/fake_sequence.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "router/random_source.h"
#include "router/served_model.h"

namespace blockserve {
namespace {

constexpr int kBlockLength = 4;
constexpr int kVocabSize = 256;
constexpr uint32_t kEndOfText = 0;

}  // namespace

uint32_t HashedToken(const worker::v1::GenerateCommand& command, int position) {
  uint64_t hash = command.sampling_params().seed();
  for (uint32_t id : command.prompt_ids()) hash = MixBits(hash * 31 + id + 1);
  return 1 + MixBits(hash + position) % (kVocabSize - 1);
}

uint32_t EchoedToken(const worker::v1::GenerateCommand& command, int position) {
  return command.prompt_ids(position % command.prompt_ids_size());
}

worker::v1::GetIdentityResponse FakeIdentity() {
  worker::v1::GetIdentityResponse identity;
  identity.set_worker_id("fake");
  identity.set_instance_id("fake-1");
  identity.set_group_epoch(1);
  identity.set_model_name("fake-model");
  identity.set_family("block_transformer");
  identity.set_block_length(kBlockLength);
  identity.set_vocab_size(kVocabSize);
  identity.set_context_length(512);
  identity.set_eos_token_id(kEndOfText);
  identity.set_parameter_count(1234);
  identity.set_dtype("fp32");
  identity.set_backend("fake");
  identity.set_protocol_version(kWorkerProtocolVersion);
  return identity;
}

FakeSequence::FakeSequence(const worker::v1::GenerateCommand& command,
                           FakeTokenFunction token)
    : command_(command), token_(std::move(token)) {
  for (uint32_t id : command_.resume_ids()) {
    CHECK_EQ(id, token_(command_, num_tokens_)) << "at " << num_tokens_;
    ++num_tokens_;
  }
}

bool FakeSequence::IsStop(uint32_t token) const {
  const auto& params = command_.sampling_params();
  const auto& stops = params.stop_token_ids();
  return std::find(stops.begin(), stops.end(), token) != stops.end() ||
         (token == kEndOfText && !params.ignore_eos());
}

void FakeSequence::AddToken(uint32_t token,
                            worker::v1::RequestEvent* event) const {
  event->add_token_ids(token);
  const int num_top = command_.sampling_params().logprobs();
  if (num_top < 0) return;
  const float logprob = -0.5f - 0.125f * static_cast<float>(num_tokens_);
  auto* logprobs = event->add_logprobs();
  logprobs->set_logprob(logprob);
  for (int top = 0; top < num_top; ++top) {
    logprobs->add_top_ids((token + top) % kVocabSize);
    logprobs->add_top_logprobs(logprob - static_cast<float>(top));
  }
}

worker::v1::RequestEvent FakeSequence::Step() {
  const int max_tokens = command_.sampling_params().max_tokens();
  worker::v1::RequestEvent event;
  event.set_request_id(command_.request_id());
  uint32_t token = 0;
  bool stopped = false;
  if (command_.resume_ids_size() == num_tokens_ && num_tokens_ > 0) {
    token = command_.resume_ids(num_tokens_ - 1);
    stopped = IsStop(token);
  }
  while (!stopped && num_tokens_ < max_tokens) {
    token = token_(command_, num_tokens_);
    AddToken(token, &event);
    stopped = IsStop(token);
    if (++num_tokens_ % kBlockLength == 0) break;
  }
  if (!stopped && num_tokens_ < max_tokens) return event;
  worker::v1::Done& done = *event.mutable_done();
  if (stopped) done.set_matched_stop_token_id(token);
  done.set_stopped(stopped);
  done.set_prompt_tokens(command_.prompt_ids_size());
  done.set_completion_tokens(num_tokens_);
  done.mutable_queue_time()->set_nanos(1000);
  done.mutable_total_time()->set_nanos(5000);
  return event;
}

worker::v1::RequestEvent FakeScore(const worker::v1::ScoreCommand& command) {
  worker::v1::RequestEvent event;
  event.set_request_id(command.request_id());
  for (uint32_t id : command.continuation_ids()) {
    event.add_token_ids(id);
    auto* logprobs = event.add_logprobs();
    logprobs->set_logprob(-0.25f);
    for (int top = 0; top < command.top_logprobs(); ++top) {
      logprobs->add_top_ids((id & ~1u) + top);
      logprobs->add_top_logprobs(-0.25f - static_cast<float>(top));
    }
  }
  event.mutable_done()->set_completion_tokens(command.continuation_ids_size());
  return event;
}

}  // namespace blockserve

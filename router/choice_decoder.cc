#include "router/choice_decoder.h"

#include <algorithm>
#include <utility>

namespace blockserve {
namespace {

std::string TokenText(uint32_t id, const Tokenizer* tokenizer) {
  if (tokenizer == nullptr) return "";
  const int32_t ids[] = {static_cast<int32_t>(id)};
  // The vocabulary may be padded beyond the tokenizer's: no text then.
  return tokenizer->Decode(ids, /*skip_special=*/false).value_or("");
}

}  // namespace

v1::TokenLogprob ToTokenLogprob(uint32_t token_id,
                                const worker::v1::TokenLogprobs& logprobs,
                                const Tokenizer* tokenizer) {
  v1::TokenLogprob out;
  out.set_token_id(token_id);
  out.set_logprob(logprobs.logprob());
  out.set_token(TokenText(token_id, tokenizer));
  const int num_top =
      std::min(logprobs.top_ids_size(), logprobs.top_logprobs_size());
  for (int i = 0; i < num_top; ++i) {
    v1::TopLogprob* top = out.add_top();
    top->set_token_id(logprobs.top_ids(i));
    top->set_logprob(logprobs.top_logprobs(i));
    top->set_token(TokenText(logprobs.top_ids(i), tokenizer));
  }
  return out;
}

ChoiceDecoder::ChoiceDecoder(ChoiceDecoderOptions options)
    : options_(std::move(options)),
      text_(options_.tokenizer == nullptr
                ? nullptr
                : TextStream::Create(*options_.tokenizer, options_.text)) {}

void ChoiceDecoder::Decode(const worker::v1::RequestEvent& event,
                           v1::GenerateStreamResponse* delta) {
  const int num_kept = DecodeTokens(
      absl::MakeConstSpan(event.token_ids().data(), event.token_ids_size()),
      delta);
  num_tokens_ += num_kept;
  for (int i = 0; i < num_kept; ++i) {
    delta->add_token_ids(event.token_ids(i));
    if (i < event.logprobs_size()) {
      *delta->add_logprobs() = ToTokenLogprob(
          event.token_ids(i), event.logprobs(i), options_.tokenizer);
    }
  }
  if (delta->finish_reason() != v1::FINISH_REASON_UNSPECIFIED ||
      !event.has_done()) {
    return;
  }
  if (text_ != nullptr) delta->mutable_text_delta()->append(text_->Finish());
  if (!event.done().stopped()) {
    delta->set_finish_reason(v1::FINISH_REASON_LENGTH);
    return;
  }
  delta->set_finish_reason(v1::FINISH_REASON_STOP);
  if (event.done().has_matched_stop_token_id()) {
    delta->mutable_matched_stop()->set_stop_token_id(
        event.done().matched_stop_token_id());
  }
}

int ChoiceDecoder::DecodeTokens(absl::Span<const uint32_t> ids,
                                v1::GenerateStreamResponse* delta) {
  if (text_ == nullptr || ids.empty()) return static_cast<int>(ids.size());
  // The worker stops at a stop token, so one is always the last.
  const bool hide_last =
      IsStopToken(ids.back()) && !options_.include_stop_token_text;
  if (!hide_last) return PushText(ids, delta);
  const int num_kept = PushText(ids.first(ids.size() - 1), delta);
  const bool stopped = delta->finish_reason() != v1::FINISH_REASON_UNSPECIFIED;
  return stopped ? num_kept : num_kept + 1;
}

bool ChoiceDecoder::IsStopToken(uint32_t id) const {
  return std::find(options_.stop_token_ids.begin(),
                   options_.stop_token_ids.end(),
                   id) != options_.stop_token_ids.end();
}

int ChoiceDecoder::PushText(absl::Span<const uint32_t> ids,
                            v1::GenerateStreamResponse* delta) {
  const std::vector<int32_t> tokens(ids.begin(), ids.end());
  TextStreamOutput output = text_->Push(tokens);
  delta->mutable_text_delta()->append(output.text);
  if (output.stopped) {
    delta->set_finish_reason(v1::FINISH_REASON_STOP);
    delta->mutable_matched_stop()->set_stop_string(
        std::move(output.matched_stop));
  }
  return output.num_tokens;
}

}  // namespace blockserve

#include "router/request_parser.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/request/sampling_params.h"

namespace blockserve {
namespace {

constexpr int kMaxStopStrings = 64;
constexpr size_t kMaxStopBytes = 1024;
constexpr int kMaxChoices = 16;
constexpr int kMaxId = std::numeric_limits<int32_t>::max();
// Of a list with many bad entries these are named.
constexpr int kMaxNamedEntries = 16;

// Ids that no int32 holds stay out of range of every vocabulary.
int32_t ToInt32(uint32_t id) {
  return static_cast<int32_t>(std::min<uint32_t>(id, kMaxId));
}

// Collects what is wrong with one request.
class Parser {
 public:
  explicit Parser(const ParserContext& context)
      : context_(context),
        vocab_size_(context.model ? context.model->vocab_size : kMaxId) {}

  void Add(std::string field, std::string description) {
    violations_.push_back({std::move(field), std::move(description)});
  }

  // The ids of a prompt given as `text` or as `ids`, named by their fields;
  // both null: none was given.
  std::vector<uint32_t> Prompt(const std::string& what, const std::string* text,
                               const std::string& text_field,
                               const v1::TokenIds* ids,
                               const std::string& ids_field) {
    std::vector<uint32_t> prompt;
    if (ids != nullptr) {
      CheckIds(ids_field, *ids);
      prompt.assign(ids->ids().begin(), ids->ids().end());
    } else if (text != nullptr && text->empty()) {
      Add(text_field, "must have at least one token, got empty text");
    } else if (text != nullptr) {
      prompt = Encode(*text, text_field);
    } else {
      Add(what, absl::StrCat("one of ", text_field, " and ", ids_field,
                             " must be set"));
    }
    return prompt;
  }

  void Sampling(const v1::SamplingParams& params, GenerateSpec* spec);
  void StreamInterval(int interval, GenerateSpec* spec) {
    if (interval < 1) {
      Add("stream_interval", absl::StrCat("must be >= 1, got ", interval));
    }
    spec->stream_interval = interval;
  }
  void TopLogprobs(int count) {
    if (count < 0 || count > kMaxTopLogprobs) {
      Add("top_logprobs",
          absl::StrCat("must be in [0, ", kMaxTopLogprobs, "], got ", count));
    }
  }

  // The first error in the order that the header promises; `num_tokens` is the
  // prompt with what is to follow.
  std::optional<RpcError> Finish(const std::string& length_field,
                                 int64_t num_tokens) {
    if (!violations_.empty()) {
      return InvalidParameterError(std::move(violations_));
    }
    if (needs_tokenizer_) {
      return FeatureDisabledError(
          "text needs a tokenizer and this server has none: send token ids "
          "and no stop strings");
    }
    if (context_.model && num_tokens > context_.model->context_length) {
      return ContextLengthError(length_field, context_.model->context_length,
                                num_tokens);
    }
    return std::nullopt;
  }

 private:
  void CheckIds(const std::string& field, const v1::TokenIds& ids);
  std::vector<uint32_t> Encode(const std::string& text,
                               const std::string& field);
  void Stops(const v1::SamplingParams& params, GenerateSpec* spec);

  const ParserContext& context_;
  const int vocab_size_;
  bool needs_tokenizer_ = false;
  std::vector<FieldViolation> violations_;
};

void Parser::CheckIds(const std::string& field, const v1::TokenIds& ids) {
  if (ids.ids().empty()) {
    Add(field, "must have at least one token, got none");
  }
  int num_bad = 0;
  for (int i = 0; i < ids.ids_size(); ++i) {
    if (ids.ids(i) < static_cast<uint32_t>(vocab_size_)) continue;
    if (++num_bad > kMaxNamedEntries) continue;
    Add(absl::StrCat(field, ".ids[", i, "]"),
        absl::StrCat("must be in [0, ", vocab_size_, "), got ", ids.ids(i)));
  }
  if (num_bad > kMaxNamedEntries) {
    Add(absl::StrCat(field, ".ids"),
        absl::StrCat(num_bad, " ids are out of range"));
  }
}

std::vector<uint32_t> Parser::Encode(const std::string& text,
                                     const std::string& field) {
  if (context_.tokenizer == nullptr) {
    needs_tokenizer_ = true;
    return {};
  }
  const auto ids = context_.tokenizer->Encode(text);
  if (!ids.ok()) {
    Add(field, std::string(ids.status().message()));
    return {};
  }
  if (ids->empty()) Add(field, "must have at least one token, got none");
  return std::vector<uint32_t>(ids->begin(), ids->end());
}

void Parser::Stops(const v1::SamplingParams& params, GenerateSpec* spec) {
  if (params.stop_size() > kMaxStopStrings) {
    Add("sampling_params.stop",
        absl::StrCat("must have at most ", kMaxStopStrings, " entries, got ",
                     params.stop_size()));
    return;
  }
  for (int i = 0; i < params.stop_size(); ++i) {
    const size_t size = params.stop(i).size();
    if (size > 0 && size <= kMaxStopBytes) continue;
    Add(absl::StrCat("sampling_params.stop[", i, "]"),
        absl::StrCat("must have 1 to ", kMaxStopBytes, " bytes, got ", size));
  }
  if (params.stop_size() > 0 && context_.tokenizer == nullptr) {
    needs_tokenizer_ = true;
  }
  spec->text.stop.assign(params.stop().begin(), params.stop().end());
  spec->text.include_stop_in_output = params.include_stop_str_in_output();
  spec->include_stop_token_text = params.include_stop_str_in_output();
  spec->text.skip_special_tokens =
      !params.has_skip_special_tokens() || params.skip_special_tokens();
}

SamplingParams ToSamplingParams(const v1::SamplingParams& in) {
  SamplingParams out;
  if (in.has_temperature()) out.temperature = in.temperature();
  if (in.has_top_p()) out.top_p = in.top_p();
  if (in.has_top_k()) out.top_k = in.top_k();
  if (in.has_min_p()) out.min_p = in.min_p();
  if (in.has_presence_penalty()) out.presence_penalty = in.presence_penalty();
  if (in.has_frequency_penalty()) {
    out.frequency_penalty = in.frequency_penalty();
  }
  if (in.has_repetition_penalty()) {
    out.repetition_penalty = in.repetition_penalty();
  }
  if (in.has_max_tokens()) out.max_tokens = in.max_tokens();
  if (in.has_min_tokens()) out.min_tokens = in.min_tokens();
  for (uint32_t id : in.stop_token_ids()) {
    out.stop_token_ids.push_back(ToInt32(id));
  }
  out.ignore_eos = in.ignore_eos();
  if (in.has_logprobs()) out.logprobs = in.logprobs();
  for (const auto& [id, bias] : in.logit_bias()) {
    // clamp() lets NaN through to be refused.
    out.logit_bias.emplace_back(ToInt32(id), std::clamp(bias, -100.0f, 100.0f));
  }
  return out;
}

worker::v1::TokenSamplingParams ToProto(const SamplingParams& in,
                                        uint64_t seed) {
  worker::v1::TokenSamplingParams out;
  out.set_temperature(in.temperature);
  out.set_top_p(in.top_p);
  out.set_top_k(in.top_k);
  out.set_min_p(in.min_p);
  out.set_presence_penalty(in.presence_penalty);
  out.set_frequency_penalty(in.frequency_penalty);
  out.set_repetition_penalty(in.repetition_penalty);
  out.set_max_tokens(in.max_tokens);
  out.set_min_tokens(in.min_tokens);
  for (int32_t id : in.stop_token_ids) out.add_stop_token_ids(id);
  out.set_ignore_eos(in.ignore_eos);
  out.set_seed(seed);
  out.set_logprobs(in.logprobs);
  for (const auto& [id, bias] : in.logit_bias) {
    (*out.mutable_logit_bias())[id] = bias;
  }
  return out;
}

void Parser::Sampling(const v1::SamplingParams& params, GenerateSpec* spec) {
  const SamplingParams sampling = ToSamplingParams(params);
  for (auto& violation : ValidateSamplingParams(sampling, vocab_size_)) {
    Add(absl::StrCat("sampling_params.", violation.field),
        std::move(violation.description));
  }
  if (params.has_logprobs() && params.logprobs() == -1) {
    Add("sampling_params.logprobs",
        absl::StrCat("must be in [0, ", kMaxTopLogprobs, "], got -1"));
  }
  spec->num_choices = params.has_n() ? params.n() : 1;
  if (spec->num_choices < 1 || spec->num_choices > kMaxChoices) {
    Add("sampling_params.n", absl::StrCat("must be in [1, ", kMaxChoices,
                                          "], got ", spec->num_choices));
  } else if (spec->num_choices > 1 && sampling.temperature == 0.0f) {
    Add("sampling_params.n",
        absl::StrCat("must be 1 if temperature is 0, got ", spec->num_choices));
  }
  Stops(params, spec);
  const uint64_t seed =
      params.has_seed() ? params.seed() : context_.random->Next();
  spec->sampling = ToProto(sampling, seed);
}

template <typename Request>
std::optional<RpcError> ParseAny(const Request& request,
                                 const ParserContext& context,
                                 int stream_interval, GenerateSpec* spec) {
  if (auto error = CheckModelName(request.model(), context.model)) return error;
  Parser parser(context);
  parser.Sampling(request.sampling_params(), spec);
  parser.StreamInterval(stream_interval, spec);
  spec->prompt_ids = parser.Prompt(
      "prompt", request.has_text() ? &request.text() : nullptr, "text",
      request.has_input_ids() ? &request.input_ids() : nullptr, "input_ids");
  return parser.Finish("prompt + max_tokens",
                       static_cast<int64_t>(spec->prompt_ids.size()) +
                           spec->sampling.max_tokens());
}

}  // namespace

uint64_t ChoiceSeed(uint64_t request_seed, int index) {
  if (index == 0) return request_seed;
  return MixBits(request_seed +
                 static_cast<uint64_t>(index) * 0x9e3779b97f4a7c15u);
}

std::optional<RpcError> ParseGenerate(const v1::GenerateRequest& request,
                                      const ParserContext& context,
                                      GenerateSpec* spec) {
  return ParseAny(request, context, /*stream_interval=*/1, spec);
}

std::optional<RpcError> ParseGenerateStream(
    const v1::GenerateStreamRequest& request, const ParserContext& context,
    GenerateSpec* spec) {
  const int interval =
      request.has_stream_interval() ? request.stream_interval() : 1;
  return ParseAny(request, context, interval, spec);
}

std::optional<RpcError> ParseScore(const v1::ScoreRequest& request,
                                   const ParserContext& context,
                                   ScoreSpec* spec) {
  if (auto error = CheckModelName(request.model(), context.model)) return error;
  Parser parser(context);
  spec->context_ids = parser.Prompt(
      "context", request.has_context_text() ? &request.context_text() : nullptr,
      "context_text",
      request.has_context_ids() ? &request.context_ids() : nullptr,
      "context_ids");
  spec->continuation_ids = parser.Prompt(
      "continuation",
      request.has_continuation_text() ? &request.continuation_text() : nullptr,
      "continuation_text",
      request.has_continuation_ids() ? &request.continuation_ids() : nullptr,
      "continuation_ids");
  spec->top_logprobs = request.top_logprobs();
  parser.TopLogprobs(spec->top_logprobs);
  return parser.Finish("context + continuation",
                       static_cast<int64_t>(spec->context_ids.size()) +
                           static_cast<int64_t>(spec->continuation_ids.size()));
}

std::optional<RpcError> CheckModelName(
    const std::string& name, const std::optional<ServedModel>& model) {
  if (name.empty() || !model.has_value() || name == model->name) {
    return std::nullopt;
  }
  return ModelNotFoundError(name);
}

}  // namespace blockserve

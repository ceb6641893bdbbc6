#include "runtime/model/fake_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/base/status_macros.h"
#include "runtime/config/model_config.h"

namespace blockserve {
namespace {

// The finalizer of SplitMix64.
uint64_t Mix(uint64_t value) {
  value += 0x9E3779B97F4A7C15u;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

uint64_t Mix(uint64_t hash, uint64_t value) { return Mix(hash ^ Mix(value)); }

template <typename... Parts>
absl::Status Violation(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

bool HasPenalty(const SampleRow& row) {
  return row.repetition_penalty != 1.0f || row.frequency_penalty != 0.0f ||
         row.presence_penalty != 0.0f;
}

}  // namespace

FakeModel::FakeModel(FakeModelOptions options) : options_(std::move(options)) {
  config_.name = "fake";
  config_.block_length = options_.tokens_per_step;
  config_.vocab_size = options_.vocab_size;
  if (options_.max_positions > 0) {
    config_.block_decoder.kind = TrunkKind::kGptNeo;
    config_.block_decoder.max_positions = options_.max_positions;
  }
  config_.special.eos = kEos;
  config_.special.prompt_pad = kPromptPad;
  const ModelLimits& limits = options_.limits;
  entries_.resize(static_cast<size_t>(limits.num_pages) * kPageLength);
  page_step_.assign(limits.num_pages, -1);
  token_mark_.assign(options_.vocab_size, -1);
  contexts_.reserve(limits.max_rows_per_step);
  const size_t num_tokens =
      static_cast<size_t>(limits.max_rows_per_step) * options_.tokens_per_step;
  tokens_.resize(num_tokens);
  logprobs_.resize(num_tokens);
  top_ids_.resize(num_tokens * kMaxLogprobs);
  top_logprobs_.resize(num_tokens * kMaxLogprobs);
}

absl::StatusOr<StepOutput> FakeModel::Step(const StepInput& input) {
  if (is_broken_) return absl::InternalError("a step after an error");
  absl::Status status;
  if (options_.before_step) status = options_.before_step(num_steps_, input);
  if (status.ok()) {
    status = CheckStep(input);
    if (!status.ok()) {
      violation_ = absl::InternalError(
          absl::StrCat("step ", num_steps_, ": ", status.message()));
    }
  }
  ++num_steps_;
  if (!status.ok()) {
    // A model whose group broke may be used again.
    is_broken_ = !absl::IsUnavailable(status);
    return status;
  }
  contexts_.clear();
  for (const SequenceChunk& chunk : input.chunks) RunChunk(chunk);
  for (size_t i = 0; i < input.rows.size(); ++i) {
    WriteRow(input.rows[i], contexts_[i], input.num_tokens, i);
  }
  const size_t num_tokens = input.rows.size() * options_.tokens_per_step;
  return StepOutput{
      .tokens = absl::MakeConstSpan(tokens_).first(num_tokens),
      .logprobs = absl::MakeConstSpan(logprobs_).first(num_tokens),
      .top_ids = absl::MakeConstSpan(top_ids_).first(num_tokens * kMaxLogprobs),
      .top_logprobs =
          absl::MakeConstSpan(top_logprobs_).first(num_tokens * kMaxLogprobs)};
}

absl::Status FakeModel::CheckStep(const StepInput& input) {
  const ModelLimits& limits = options_.limits;
  if (input.chunks.empty()) return Violation("no chunk");
  if (static_cast<int>(input.chunks.size()) > limits.max_sequences_per_step) {
    return Violation(input.chunks.size(), " chunks");
  }
  if (static_cast<int>(input.rows.size()) > limits.max_rows_per_step) {
    return Violation(input.rows.size(), " rows");
  }
  if (input.num_tokens < 1 || input.num_tokens > options_.tokens_per_step) {
    return Violation("num_tokens ", input.num_tokens);
  }
  int num_units = 0;
  size_t num_outputs = 0;
  for (const SequenceChunk& chunk : input.chunks) {
    RETURN_IF_ERROR(CheckChunk(chunk));
    num_units +=
        static_cast<int>(chunk.tokens.size()) / options_.tokens_per_step;
    num_outputs += static_cast<size_t>(chunk.num_outputs);
  }
  if (num_units > limits.max_units_per_step) {
    return Violation(num_units, " units");
  }
  if (num_outputs != input.rows.size()) {
    return Violation(num_outputs, " outputs, ", input.rows.size(), " rows");
  }
  for (const DecodeRow& row : input.rows) {
    RETURN_IF_ERROR(CheckRow(row, input.num_tokens));
  }
  return absl::OkStatus();
}

absl::Status FakeModel::CheckChunk(const SequenceChunk& chunk) {
  const int num_units =
      static_cast<int>(chunk.tokens.size()) / options_.tokens_per_step;
  if (num_units < 1 || chunk.tokens.size() % options_.tokens_per_step != 0) {
    return Violation(chunk.tokens.size(), " tokens are not whole units");
  }
  for (int32_t token : chunk.tokens) {
    if (token < 0 || token >= options_.vocab_size) {
      return Violation("token ", token);
    }
  }
  if (chunk.unit_begin != chunk.cache_length) {
    return Violation("unit_begin ", chunk.unit_begin, ", cache_length ",
                     chunk.cache_length);
  }
  const int unit_end = chunk.unit_begin + num_units;
  if (unit_end > options_.limits.max_units_per_sequence ||
      (options_.max_positions > 0 && unit_end > options_.max_positions)) {
    return Violation("unit ", unit_end - 1);
  }
  if (chunk.num_outputs < 0 || chunk.num_outputs > num_units) {
    return Violation(chunk.num_outputs, " outputs of ", num_units, " units");
  }
  if (static_cast<int>(chunk.pages.size()) * kPageLength <
      chunk.cache_length + num_units) {
    return Violation(chunk.pages.size(), " pages");
  }
  RETURN_IF_ERROR(CheckMask(chunk));
  return CheckPages(chunk);
}

// Padding may only lead the first unit, and not fill it.
absl::Status FakeModel::CheckMask(const SequenceChunk& chunk) const {
  if (chunk.token_mask.empty()) return absl::OkStatus();
  if (chunk.token_mask.size() != chunk.tokens.size()) {
    return Violation(chunk.token_mask.size(), " of ", chunk.tokens.size(),
                     " tokens have a mask");
  }
  for (size_t i = 0; i < chunk.tokens.size(); ++i) {
    if (chunk.token_mask[i] != 0) continue;
    const bool leads = i == 0 || chunk.token_mask[i - 1] == 0;
    if (chunk.unit_begin != 0 || !leads || chunk.tokens[i] != kPromptPad ||
        static_cast<int>(i) + 1 >= options_.tokens_per_step) {
      return Violation("padding at ", i, " after unit ", chunk.unit_begin);
    }
  }
  return absl::OkStatus();
}

// No page belongs to two sequences, and the cache holds what the chunk says.
absl::Status FakeModel::CheckPages(const SequenceChunk& chunk) {
  for (int32_t page : chunk.pages) {
    if (page < 0 || page >= options_.limits.num_pages) {
      return Violation("page ", page);
    }
    if (page_step_[page] == num_steps_) {
      return Violation("page ", page, " belongs to two chunks");
    }
    page_step_[page] = num_steps_;
  }
  for (int unit = 0; unit < chunk.cache_length; ++unit) {
    const Entry& entry = EntryOf(chunk, unit);
    if (entry.unit != unit || entry.run != EntryOf(chunk, 0).run) {
      return Violation("unit ", unit, " of ", chunk.cache_length,
                       " is not in the cache");
    }
  }
  return absl::OkStatus();
}

absl::Status FakeModel::CheckRow(const DecodeRow& row, int num_tokens) {
  const SampleRow& sampling = row.sampling;
  if (sampling.num_forced < 0 || sampling.num_forced > num_tokens ||
      row.forced_tokens.size() != static_cast<size_t>(sampling.num_forced)) {
    return Violation(sampling.num_forced, " forced of ", num_tokens,
                     " tokens, ", row.forced_tokens.size(), " given");
  }
  if (sampling.position % options_.tokens_per_step != 0) {
    return Violation("row at position ", sampling.position);
  }
  if (sampling.num_logprobs < -1 || sampling.num_logprobs > kMaxLogprobs) {
    return Violation("num_logprobs ", sampling.num_logprobs);
  }
  if (sampling.bias_ids.size() != sampling.bias_values.size()) {
    return Violation(sampling.bias_ids.size(), " biased ids, ",
                     sampling.bias_values.size(), " values");
  }
  ++num_marks_;
  for (const TokenCount& count : sampling.history) {
    if (count.id < 0 || count.id >= options_.vocab_size ||
        std::exchange(token_mark_[count.id], num_marks_) == num_marks_) {
      return Violation("history of token ", count.id);
    }
  }
  return absl::OkStatus();
}

FakeModel::Entry& FakeModel::EntryOf(const SequenceChunk& chunk, int unit) {
  return entries_[static_cast<size_t>(chunk.pages[unit / kPageLength]) *
                      kPageLength +
                  unit % kPageLength];
}

void FakeModel::RunChunk(const SequenceChunk& chunk) {
  const int length = options_.tokens_per_step;
  const int num_units = static_cast<int>(chunk.tokens.size()) / length;
  const bool is_new = chunk.cache_length == 0;
  const int64_t run = is_new ? num_runs_++ : EntryOf(chunk, 0).run;
  uint64_t hash = is_new ? 0 : EntryOf(chunk, chunk.cache_length - 1).hash;
  for (int i = 0; i < num_units; ++i) {
    for (int j = i * length; j < (i + 1) * length; ++j) {
      const bool is_token =
          chunk.token_mask.empty() || chunk.token_mask[j] != 0;
      hash = Mix(hash, is_token ? chunk.tokens[j] : ~uint64_t{0});
    }
    EntryOf(chunk, chunk.cache_length + i) = {
        .run = run, .unit = chunk.unit_begin + i, .hash = hash};
    if (i >= num_units - chunk.num_outputs) contexts_.push_back(hash);
  }
}

void FakeModel::WriteRow(const DecodeRow& row, uint64_t hash, int num_tokens,
                         size_t index) {
  const size_t begin = index * options_.tokens_per_step;
  for (int i = 0; i < options_.tokens_per_step; ++i) {
    int32_t& token = tokens_[begin + i];
    token = kNotComputed;
    if (i >= num_tokens) continue;
    token = i < row.sampling.num_forced ? row.forced_tokens[i]
                                        : SampleToken(row.sampling, hash, i);
    if (row.sampling.num_logprobs >= 0) WriteLogprobs(hash, token, begin + i);
    if (options_.is_invalid && options_.is_invalid(row, i)) {
      token = kInvalidToken;
    }
    hash = Mix(hash, static_cast<uint64_t>(token));
  }
}

void FakeModel::WriteLogprobs(uint64_t hash, int32_t token, size_t place) {
  const int32_t best = PickToken(hash);
  logprobs_[place] = LogprobOf(hash, token);
  for (int k = 0; k < kMaxLogprobs; ++k) {
    const int32_t id = (best + k) % options_.vocab_size;
    top_ids_[place * kMaxLogprobs + k] = id;
    top_logprobs_[place * kMaxLogprobs + k] = LogprobOf(hash, id);
  }
}

// The most likely token.
int32_t FakeModel::PickToken(uint64_t hash) const {
  const uint64_t word = Mix(hash, 1);
  if (options_.eos_period > 0 &&
      word % static_cast<uint64_t>(options_.eos_period) == 0) {
    return kEos;
  }
  const int32_t token = static_cast<int32_t>(
      (word >> 20) % static_cast<uint64_t>(options_.vocab_size));
  return token == kEos ? token + 1 : token;
}

int32_t FakeModel::SampleToken(const SampleRow& row, uint64_t hash,
                               int offset) const {
  for (size_t i = 0; i < row.bias_ids.size(); ++i) {
    hash = Mix(hash, static_cast<uint64_t>(row.bias_ids[i]));
  }
  if (HasPenalty(row)) {
    uint64_t sum = 0;  // whatever the order
    for (const TokenCount& count : row.history) {
      sum += Mix(static_cast<uint64_t>(count.id) * 2 + count.in_prompt,
                 static_cast<uint64_t>(count.output_count));
    }
    hash = Mix(hash, sum);
  }
  if (row.temperature > 0.0f) {
    hash = Mix(Mix(hash, row.seed), row.position + offset);
  }
  int32_t token = PickToken(hash);
  while (offset < row.ban_until_offset &&
         std::find(row.banned_ids.begin(), row.banned_ids.end(), token) !=
             row.banned_ids.end()) {
    hash = Mix(hash, 2);
    token = PickToken(hash);
  }
  return token;
}

// Falls with the distance from the most likely token, and differs between
// places.
float FakeModel::LogprobOf(uint64_t hash, int32_t token) const {
  const int vocab_size = options_.vocab_size;
  const int distance = (token - PickToken(hash) + vocab_size) % vocab_size;
  const uint64_t place = Mix(hash, 3) % 1024;
  return -0.125f * static_cast<float>(1 + distance) -
         static_cast<float>(place) / 16384.0f;
}

}  // namespace blockserve

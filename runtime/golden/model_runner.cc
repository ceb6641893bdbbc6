#include "runtime/golden/model_runner.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "runtime/backend/backend.h"
#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

// Prefills of long batches are split over steps of this many units.
constexpr int kMaxUnitsPerStep = 2048;

PaddedTokens WithoutPadding(const PaddedTokens& padded) {
  PaddedTokens tokens;
  for (size_t i = 0; i < padded.ids.size(); ++i) {
    if (padded.mask[i] != 0) tokens.ids.push_back(padded.ids[i]);
  }
  tokens.mask.assign(tokens.ids.size(), 1);
  return tokens;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ModelRunner>> ModelRunner::Create(
    const std::string& directory, const RunnerBackend& backend,
    PrefixPositions positions, const RunnerLimits& limits,
    TensorRecorder* recorder) {
  std::unique_ptr<ModelRunner> runner(new ModelRunner());
  InProcessGroupOptions group;
  group.size = backend.num_ranks;
  group.only_rank = backend.devices.only_rank;
  group.connect = backend.devices.connect;
  group.create_ops =
      [&backend](int rank) -> absl::StatusOr<std::unique_ptr<Ops>> {
    if (backend.devices.create_ops) {
      return backend.devices.create_ops(backend.dtype, rank);
    }
    BackendOptions options;
    options.backend = backend.name;
    options.dtype = backend.dtype;
    // Ranks share the cores.
    if (backend.num_ranks > 1) options.num_threads = 1;
    return CreateBackend(options);
  };

  runner->pages_per_sequence_ =
      (limits.max_units_per_sequence + kPageLength - 1) / kPageLength;
  ModelOptions& options = group.model;
  options.prefix_positions = positions;
  options.limits.max_units_per_sequence = limits.max_units_per_sequence;
  options.limits.max_sequences_per_step = limits.max_sequences;
  options.limits.max_units_per_step =
      std::max(limits.max_units_per_sequence,
               static_cast<int>(std::min<int64_t>(
                   kMaxUnitsPerStep, int64_t{limits.max_sequences} *
                                         limits.max_units_per_sequence)));
  options.limits.max_rows_per_step =
      std::max(limits.max_sequences, limits.max_units_per_sequence);
  options.limits.num_pages = limits.max_sequences * runner->pages_per_sequence_;
  if (recorder != nullptr) {
    group.observer = [recorder, &num_steps = runner->num_steps_](
                         int rank, std::string_view name,
                         const TensorView& tensor) {
      recorder->Add(rank, num_steps, name, tensor);
    };
  }
  ASSIGN_OR_RETURN(runner->model_, InProcessGroup::Load(directory, group));
  // Pages backwards, so that order of pages and of sequences differ.
  for (int page = options.limits.num_pages - 1; page >= 0; --page) {
    runner->pages_.push_back(page);
  }
  return runner;
}

int ModelRunner::UnitsOf(const Work& work) const {
  return static_cast<int>(work.ids.size()) / model_->tokens_per_step();
}

DecodeRow ModelRunner::FreeRow() const {
  DecodeRow row;
  row.sampling.temperature = 0;
  row.sampling.num_logprobs = 2;
  return row;
}

DecodeRow ModelRunner::ForcedRow(absl::Span<const int32_t> ids,
                                 absl::Span<const uint8_t> mask) const {
  DecodeRow row = FreeRow();
  row.sampling.num_forced = static_cast<int32_t>(ids.size());
  row.forced_tokens = ids;
  row.forced_mask = mask;
  return row;
}

absl::Status ModelRunner::RunStep(absl::Span<Work> work, int num_tokens,
                                  std::vector<RowOutput>& outputs) {
  const int unit_length = model_->tokens_per_step();
  std::vector<SequenceChunk> chunks;
  std::vector<DecodeRow> rows;
  for (const Work& item : work) {
    SequenceChunk chunk;
    chunk.tokens = item.ids;
    chunk.token_mask = item.mask;
    chunk.pages = absl::MakeConstSpan(pages_).subspan(
        static_cast<size_t>(item.sequence->index) * pages_per_sequence_,
        pages_per_sequence_);
    chunk.unit_begin = item.sequence->num_units;
    chunk.cache_length = item.sequence->cache_length;
    chunk.num_outputs = static_cast<int>(item.rows.size());
    chunks.push_back(chunk);
    rows.insert(rows.end(), item.rows.begin(), item.rows.end());
  }
  StepInput input;
  input.chunks = chunks;
  input.rows = rows;
  input.num_tokens = num_tokens;
  ++num_steps_;
  ASSIGN_OR_RETURN(const StepOutput output, model_->Step(input));

  for (Work& item : work) {
    item.sequence->num_units += UnitsOf(item);
    if (item.mask.empty()) {
      item.sequence->cache_length += UnitsOf(item);
      continue;
    }
    for (const uint8_t visible : BlockMask(item.mask, unit_length)) {
      item.sequence->cache_length += visible;
    }
  }
  for (size_t row = 0; row < rows.size(); ++row) {
    RowOutput copy;
    for (int offset = 0; offset < num_tokens; ++offset) {
      const size_t at = row * unit_length + offset;
      copy.ids.push_back(output.tokens[at]);
      copy.logprobs.push_back(output.logprobs[at]);
      for (size_t i = 0; i < 2; ++i) {
        copy.top_ids.push_back(output.top_ids[at * kMaxLogprobs + i]);
        copy.top_logprobs.push_back(output.top_logprobs[at * kMaxLogprobs + i]);
      }
    }
    outputs.push_back(std::move(copy));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ModelRunner::RowOutput>> ModelRunner::Run(
    absl::Span<Work> work, int num_tokens) {
  const ModelLimits& limits = model_->limits();
  std::vector<RowOutput> outputs;
  while (!work.empty()) {
    size_t count = 0;
    int num_units = 0;
    int num_rows = 0;
    for (const Work& item : work) {
      num_units += UnitsOf(item);
      num_rows += static_cast<int>(item.rows.size());
      if (count > 0 && (num_units > limits.max_units_per_step ||
                        num_rows > limits.max_rows_per_step)) {
        break;
      }
      ++count;
    }
    RETURN_IF_ERROR(RunStep(work.first(count), num_tokens, outputs));
    work.remove_prefix(count);
  }
  return outputs;
}

int ModelRunner::TakeValid(const RowOutput& output,
                           GreedyResult& result) const {
  int num_valid = 0;
  for (size_t i = 0; i < output.ids.size() && !result.ended; ++i, ++num_valid) {
    result.generated.push_back(output.ids[i]);
    result.logprobs.push_back(output.logprobs[i]);
    result.gaps.push_back(output.top_logprobs[2 * i] -
                          output.top_logprobs[2 * i + 1]);
    result.ended = output.ids[i] == config().special.eos;
  }
  result.num_valid += num_valid;
  return num_valid;
}

absl::StatusOr<std::vector<GreedyResult>> ModelRunner::Generate(
    absl::Span<const PaddedTokens> rows, int row_length, int max_length) {
  const int unit_length = model_->tokens_per_step();
  const SpecialTokens& special = config().special;
  if (row_length >= max_length) {
    return absl::InvalidArgumentError(
        absl::StrCat("no room to generate: expected a prompt shorter than "
                     "max_length ",
                     max_length, ", got ", row_length, " tokens"));
  }
  std::vector<PaddedTokens> prompts(rows.begin(), rows.end());
  if (config().family == ModelFamily::kVanilla) {
    // Padding has no position there (FORMAT.md 5.8).
    for (PaddedTokens& prompt : prompts) prompt = WithoutPadding(prompt);
  }
  std::vector<GreedyResult> results(rows.size());
  std::vector<Sequence> sequences(rows.size());
  std::vector<std::vector<int32_t>> blocks(rows.size());  // the newest
  const int padded_length = static_cast<int>(rows[0].ids.size());
  for (int k = 0;; ++k) {
    const int num_tokens =
        std::min(max_length - (row_length + k * unit_length), unit_length);
    std::vector<Work> work;
    std::vector<size_t> alive;
    for (size_t i = 0; i < rows.size(); ++i) {
      sequences[i].index = static_cast<int>(i);
      if (results[i].ended) continue;
      alive.push_back(i);
      Work item;
      item.sequence = &sequences[i];
      item.ids = k == 0 ? absl::MakeConstSpan(prompts[i].ids)
                        : absl::MakeConstSpan(blocks[i]);
      if (k == 0) item.mask = prompts[i].mask;
      item.rows.push_back(FreeRow());
      work.push_back(std::move(item));
    }
    ASSIGN_OR_RETURN(const std::vector<RowOutput> outputs,
                     Run(absl::MakeSpan(work), num_tokens));
    CHECK_EQ(outputs.size(), alive.size());

    int num_steps = 0;  // until every row met EOS
    for (size_t j = 0; j < alive.size(); ++j) {
      GreedyResult& result = results[alive[j]];
      num_steps = std::max(num_steps, TakeValid(outputs[j], result));
      blocks[alive[j]] = outputs[j].ids;
    }
    // What the reference leaves in a row after EOS: one filler while other rows
    // of its block went on, another one after that.
    for (const size_t i : alive) {
      results[i].generated.resize(k * unit_length + num_steps,
                                  special.finished_row_pad);
    }
    bool all_ended = true;
    for (GreedyResult& result : results) {
      result.generated.resize(k * unit_length + num_tokens, special.fill);
      all_ended = all_ended && result.ended;
    }
    if (all_ended || padded_length + (k + 1) * unit_length >= max_length) {
      return results;
    }
  }
}

absl::StatusOr<std::vector<ScoredToken>> ModelRunner::Score(
    const PaddedTokens& blocks, absl::Span<const ScoreTarget> targets) {
  const int unit_length = model_->tokens_per_step();
  CHECK(!targets.empty());
  CHECK_GE(targets.front().index, unit_length);
  const int first_block = targets.front().index / unit_length;
  const int last_block = targets.back().index / unit_length;
  CHECK_LE((last_block + 1) * unit_length, static_cast<int>(blocks.ids.size()));
  // A target may stand where the row holds something else (padding in place of
  // the last token): it is forced all the same, and nothing scored follows it.
  std::vector<int32_t> ids = blocks.ids;
  for (const ScoreTarget& target : targets) ids[target.index] = target.id;

  Sequence sequence;
  Work work;
  work.sequence = &sequence;
  const size_t context_length = static_cast<size_t>(last_block) * unit_length;
  work.ids = absl::MakeConstSpan(blocks.ids).first(context_length);
  work.mask = absl::MakeConstSpan(blocks.mask).first(context_length);
  for (int block = first_block; block <= last_block; ++block) {
    work.rows.push_back(ForcedRow(
        absl::MakeConstSpan(ids).subspan(block * unit_length, unit_length),
        absl::MakeConstSpan(blocks.mask)
            .subspan(block * unit_length, unit_length)));
  }
  ASSIGN_OR_RETURN(const std::vector<RowOutput> outputs,
                   Run(absl::MakeSpan(&work, 1), unit_length));
  std::vector<ScoredToken> scored;
  for (const ScoreTarget& target : targets) {
    const RowOutput& output = outputs[target.index / unit_length - first_block];
    const int offset = target.index % unit_length;
    scored.push_back({output.logprobs[offset], output.top_ids[2 * offset]});
  }
  return scored;
}

absl::Status ModelRunner::RunForced(const PaddedTokens& blocks, int num_outputs,
                                    absl::Span<const int32_t> following) {
  const int unit_length = model_->tokens_per_step();
  CHECK_EQ(static_cast<int>(following.size()), num_outputs * unit_length);
  Sequence sequence;
  Work work;
  work.sequence = &sequence;
  work.ids = blocks.ids;
  work.mask = blocks.mask;
  for (int i = 0; i < num_outputs; ++i) {
    work.rows.push_back(
        ForcedRow(following.subspan(i * unit_length, unit_length), {}));
  }
  return Run(absl::MakeSpan(&work, 1), unit_length).status();
}

absl::Status ModelRunner::RunForcedByStep(const PaddedTokens& blocks,
                                          int num_prompt_units,
                                          absl::Span<const int32_t> following) {
  const int unit_length = model_->tokens_per_step();
  const int num_units = static_cast<int>(blocks.ids.size()) / unit_length;
  CHECK_EQ(static_cast<int>(following.size()),
           (num_units - num_prompt_units + 1) * unit_length);
  Sequence sequence;
  int begin = 0;
  for (int end = num_prompt_units; end <= num_units; ++end) {
    Work work;
    work.sequence = &sequence;
    work.ids = absl::MakeConstSpan(blocks.ids)
                   .subspan(begin * unit_length, (end - begin) * unit_length);
    work.mask = absl::MakeConstSpan(blocks.mask)
                    .subspan(begin * unit_length, (end - begin) * unit_length);
    work.rows.push_back(ForcedRow(
        following.subspan((end - num_prompt_units) * unit_length, unit_length),
        {}));
    RETURN_IF_ERROR(Run(absl::MakeSpan(&work, 1), unit_length).status());
    begin = end;
  }
  return absl::OkStatus();
}

}  // namespace blockserve

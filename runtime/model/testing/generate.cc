#include "runtime/model/testing/generate.h"

#include <algorithm>
#include <random>

#include "runtime/base/status_macros.h"

namespace blockserve {
namespace {

// One sequence under way.
struct Sequence {
  std::vector<int32_t> tokens;  // prompt and what was generated
  std::vector<uint8_t> mask;
  std::vector<int32_t> pages;
  int num_prompt_units = 0;
  int num_run_units = 0;  // units the model has seen
  int cache_length = 0;   // of those, the ones with a token
  Generated generated;
};

int NumUnits(const Sequence& sequence, int length) {
  return static_cast<int>(sequence.tokens.size()) / length;
}

// Units of [begin, end) that have a token.
int CountKept(const Sequence& sequence, int begin, int end, int length) {
  int count = 0;
  for (int unit = begin; unit < end; ++unit) {
    const auto first = sequence.mask.begin() + unit * length;
    count += std::any_of(first, first + length, [](uint8_t m) { return m; });
  }
  return count;
}

std::vector<Sequence> MakeSequences(const Model& model,
                                    const std::vector<TestPrompt>& prompts,
                                    const GenerateOptions& options) {
  const int length = model.tokens_per_step();
  std::vector<int32_t> pages(model.limits().num_pages);
  for (size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<int>(i);
  if (options.scatter_pages) {
    std::shuffle(pages.begin(), pages.end(), std::mt19937(7));
  }
  std::vector<Sequence> sequences;
  size_t next_page = 0;
  for (const TestPrompt& prompt : prompts) {
    Sequence sequence;
    sequence.tokens = prompt.tokens;
    sequence.mask = prompt.mask;
    sequence.mask.resize(prompt.tokens.size(), 1);
    sequence.num_prompt_units = NumUnits(sequence, length);
    const int num_pages =
        (sequence.num_prompt_units + options.num_units + kPageLength - 1) /
        kPageLength;
    for (int i = 0; i < num_pages && next_page < pages.size(); ++i) {
      sequence.pages.push_back(pages[next_page++]);
    }
    sequences.push_back(sequence);
  }
  return sequences;
}

// Adds the next chunk of `sequence` to the step; returns whether it has an
// output.
bool AddChunk(const Sequence& sequence, int num_units, int length,
              std::vector<SequenceChunk>& chunks) {
  SequenceChunk chunk;
  const size_t begin = static_cast<size_t>(sequence.num_run_units) * length;
  const size_t count = static_cast<size_t>(num_units) * length;
  chunk.tokens = absl::MakeConstSpan(sequence.tokens).subspan(begin, count);
  chunk.token_mask = absl::MakeConstSpan(sequence.mask).subspan(begin, count);
  chunk.pages = sequence.pages;
  chunk.unit_begin = sequence.num_run_units;
  chunk.cache_length = sequence.cache_length;
  chunk.num_outputs =
      sequence.num_run_units + num_units == NumUnits(sequence, length) ? 1 : 0;
  chunks.push_back(chunk);
  return chunk.num_outputs == 1;
}

}  // namespace

std::vector<int32_t> RandomTokens(int count, int vocab_size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) {
    token = 1 + static_cast<int32_t>(random() % (vocab_size - 1));
  }
  return tokens;
}

absl::StatusOr<std::vector<Generated>> Generate(
    Model& model, const std::vector<TestPrompt>& prompts,
    const GenerateOptions& options) {
  const int length = model.tokens_per_step();
  const int num_tokens = options.num_tokens > 0 ? options.num_tokens : length;
  std::vector<Sequence> sequences = MakeSequences(model, prompts, options);
  while (true) {
    std::vector<SequenceChunk> chunks;
    std::vector<DecodeRow> rows;
    std::vector<std::pair<Sequence*, int>> running;  // and its new units
    std::vector<Sequence*> decoding;                 // one per row
    for (Sequence& sequence : sequences) {
      const int target = sequence.num_prompt_units + options.num_units;
      if (NumUnits(sequence, length) == target) continue;
      const int num_units =
          std::min(options.chunk_units,
                   NumUnits(sequence, length) - sequence.num_run_units);
      running.emplace_back(&sequence, num_units);
      if (!AddChunk(sequence, num_units, length, chunks)) continue;
      DecodeRow row;
      row.sampling.num_logprobs = 0;
      rows.push_back(row);
      decoding.push_back(&sequence);
    }
    if (chunks.empty()) break;
    ASSIGN_OR_RETURN(const StepOutput output,
                     model.Step({chunks, rows, num_tokens}));
    for (const auto& [sequence, num_units] : running) {
      const int begin = sequence->num_run_units;
      sequence->num_run_units += num_units;
      sequence->cache_length +=
          CountKept(*sequence, begin, begin + num_units, length);
    }
    for (size_t row = 0; row < decoding.size(); ++row) {
      Sequence& sequence = *decoding[row];
      for (int i = 0; i < length; ++i) {
        const size_t at = row * length + i;
        sequence.tokens.push_back(output.tokens[at]);
        sequence.mask.push_back(1);
        if (i >= num_tokens) continue;
        sequence.generated.tokens.push_back(output.tokens[at]);
        sequence.generated.logprobs.push_back(output.logprobs[at]);
      }
    }
  }
  std::vector<Generated> result;
  for (Sequence& sequence : sequences) result.push_back(sequence.generated);
  return result;
}

}  // namespace blockserve

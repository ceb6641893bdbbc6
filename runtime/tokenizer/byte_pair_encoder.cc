#include "runtime/tokenizer/byte_pair_encoder.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "runtime/tokenizer/byte_alphabet.h"

namespace blockserve {
namespace {

constexpr uint32_t kNoMerge = std::numeric_limits<uint32_t>::max();

// Up to this many bytes the quadratic loop over an array on the stack is
// faster than a heap.
constexpr size_t kMaxShortWord = 48;

uint64_t PairKey(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 |
         static_cast<uint32_t>(right);
}

}  // namespace

BytePairEncoder::BytePairEncoder(const TokenizerSpec& spec) {
  byte_ids_.fill(-1);
  for (int byte = 0; byte < 256; ++byte) {
    const auto found = spec.vocab.find(SpellByte(static_cast<uint8_t>(byte)));
    if (found != spec.vocab.end()) byte_ids_[byte] = found->second;
  }
  merges_.reserve(spec.merges.size());
  results_.reserve(spec.merges.size());
  for (const MergeSpec& merge : spec.merges) {
    const uint32_t rank = static_cast<uint32_t>(results_.size());
    results_.push_back(merge.result);
    // Of a pair that is listed twice the later rank counts.
    merges_[PairKey(merge.left, merge.right)] = {rank, merge.result};
  }

  whole_words_.reserve(spec.vocab.size());
  std::vector<int32_t> ids;
  for (const auto& [token, id] : spec.vocab) {
    std::optional<std::string> bytes = BytesOfToken(token);
    if (!bytes.has_value()) continue;  // no text is encoded to it
    if (!spec.ignore_merges) {
      ids.clear();
      Encode(*bytes, ids);
      // Other merges may come first, or bytes of it have no token.
      if (ids.size() != 1 || ids[0] != id) continue;
    }
    longest_whole_word_ = std::max(longest_whole_word_, bytes->size());
    whole_words_.emplace(*std::move(bytes), id);
  }
}

const BytePairEncoder::Merge* BytePairEncoder::FindMerge(int32_t left,
                                                         int32_t right) const {
  const auto found = merges_.find(PairKey(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void BytePairEncoder::Encode(std::string_view word,
                             std::vector<int32_t>& ids) const {
  if (word.size() <= longest_whole_word_) {
    const auto found = whole_words_.find(word);
    if (found != whole_words_.end()) {
      ids.push_back(found->second);
      return;
    }
  }
  if (word.size() <= kMaxShortWord) {
    MergeShort(word, ids);
  } else {
    MergeLong(word, ids);
  }
}

void BytePairEncoder::MergeShort(std::string_view word,
                                 std::vector<int32_t>& ids) const {
  int32_t symbols[kMaxShortWord];
  uint32_t ranks[kMaxShortWord];  // of the merge with the next symbol
  int num_symbols = 0;
  for (char byte : word) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(byte)];
    if (id >= 0) symbols[num_symbols++] = id;
  }
  const auto rank_at = [&](int i) {
    if (i + 1 >= num_symbols) return kNoMerge;
    const Merge* merge = FindMerge(symbols[i], symbols[i + 1]);
    return merge == nullptr ? kNoMerge : merge->rank;
  };
  for (int i = 0; i < num_symbols; ++i) ranks[i] = rank_at(i);
  while (num_symbols > 1) {
    uint32_t* const lowest = std::min_element(ranks, ranks + num_symbols);
    if (*lowest == kNoMerge) break;
    const int i = static_cast<int>(lowest - ranks);
    symbols[i] = results_[*lowest];
    std::copy(symbols + i + 2, symbols + num_symbols, symbols + i + 1);
    std::copy(ranks + i + 2, ranks + num_symbols, ranks + i + 1);
    --num_symbols;
    ranks[i] = rank_at(i);
    if (i > 0) ranks[i - 1] = rank_at(i - 1);
  }
  ids.insert(ids.end(), symbols, symbols + num_symbols);
}

void BytePairEncoder::MergeLong(std::string_view word,
                                std::vector<int32_t>& ids) const {
  struct Symbol {
    int32_t id;  // -1: merged into one on its left
    int32_t previous;
    int32_t next;
  };
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (char byte : word) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(byte)];
    if (id < 0) continue;
    const int32_t position = static_cast<int32_t>(symbols.size());
    symbols.push_back({id, position - 1, position + 1});
  }
  const int32_t num_symbols = static_cast<int32_t>(symbols.size());

  // Candidates as rank << 32 | position, so the smallest is the next merge.
  // Those of the start are sorted once; the heap holds only what merges add.
  const auto candidate_at = [&](int32_t position) -> std::optional<uint64_t> {
    const int32_t next = symbols[position].next;
    if (next >= num_symbols) return std::nullopt;
    const Merge* merge = FindMerge(symbols[position].id, symbols[next].id);
    if (merge == nullptr) return std::nullopt;
    return uint64_t{merge->rank} << 32 | static_cast<uint32_t>(position);
  };
  std::vector<uint64_t> initial;
  for (int32_t i = 0; i < num_symbols; ++i) {
    if (const auto candidate = candidate_at(i)) initial.push_back(*candidate);
  }
  std::sort(initial.begin(), initial.end());
  std::vector<uint64_t> heap;
  const auto push = [&](int32_t position) {
    if (const auto candidate = candidate_at(position)) {
      heap.push_back(*candidate);
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
    }
  };

  size_t num_taken = 0;
  while (num_taken < initial.size() || !heap.empty()) {
    uint64_t candidate;
    if (heap.empty() ||
        (num_taken < initial.size() && initial[num_taken] < heap.front())) {
      candidate = initial[num_taken++];
    } else {
      candidate = heap.front();
      std::pop_heap(heap.begin(), heap.end(), std::greater<>());
      heap.pop_back();
    }
    const int32_t position = static_cast<int32_t>(candidate & 0xFFFFFFFFu);
    Symbol& symbol = symbols[position];
    // Out of date: one of the two was merged with another neighbour.
    if (symbol.id < 0 || candidate_at(position) != candidate) continue;
    Symbol& right = symbols[symbol.next];
    symbol.id = results_[candidate >> 32];
    symbol.next = right.next;
    right.id = -1;
    if (symbol.next < num_symbols) symbols[symbol.next].previous = position;
    push(position);
    if (symbol.previous >= 0) push(symbol.previous);
  }
  for (const Symbol& symbol : symbols) {
    if (symbol.id >= 0) ids.push_back(symbol.id);
  }
}

}  // namespace blockserve

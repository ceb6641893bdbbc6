#include "kernels/cpu/vocabulary_scan.h"

#include <algorithm>
#include <cstddef>

#include "runtime/base/philox.h"

// clang-format off
#include "kernels/cpu/highway_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/vocabulary_scan.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// clang-format on
#include "hwy/contrib/math/math-inl.h"
#include "kernels/cpu/vector_io-inl.h"
#include "kernels/cpu/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace blockserve::cpu {
namespace HWY_NAMESPACE {

using FloatTag = hn::CappedTag<float, 16>;
using IntTag = hn::Rebind<int32_t, FloatTag>;
using FloatVector = hn::Vec<FloatTag>;

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// body(vector, id of its first lane) over all logits; lanes beyond the last
// are -infinity.
template <class Body>
HWY_INLINE void ForEachLogits(const float* logits, int64_t size,
                              const Body& body) {
  const FloatTag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t id = 0;
  for (; id + lanes <= size; id += lanes) body(hn::LoadU(d, logits + id), id);
  if (id == size) return;
  const auto in_row = hn::FirstN(d, size - id);
  body(hn::IfThenElse(in_row, LoadPartial(d, logits + id, size - id),
                      hn::Set(d, kMinusInfinity)),
       id);
}

// The best of the lanes' candidates.
LargestLogit BestLane(FloatVector logits, hn::Vec<IntTag> ids) {
  const FloatTag d;
  HWY_ALIGN float lane_logits[hn::MaxLanes(d)];
  HWY_ALIGN int32_t lane_ids[hn::MaxLanes(d)];
  hn::Store(logits, d, lane_logits);
  hn::Store(ids, IntTag(), lane_ids);
  LargestLogit best;
  for (size_t i = 0; i < hn::Lanes(d); ++i) {
    if (lane_ids[i] < 0) continue;
    if (lane_logits[i] > best.logit ||
        (lane_logits[i] == best.logit && lane_ids[i] < best.id)) {
      best.logit = lane_logits[i];
      best.id = lane_ids[i];
    }
  }
  return best;
}

LargestLogit FindLargestLogit(const float* logits, int64_t size) {
  const FloatTag d;
  const auto infinity = hn::Set(d, std::numeric_limits<float>::infinity());
  auto best = hn::Set(d, kMinusInfinity);
  auto best_ids = hn::Set(IntTag(), -1);
  auto largest_magnitude_ok = hn::Eq(best, best);
  ForEachLogits(logits, size, [&](FloatVector v, int64_t id) HWY_ATTR {
    const auto ids = hn::Iota(IntTag(), static_cast<int32_t>(id));
    const auto better = hn::Gt(v, best);
    best = hn::IfThenElse(better, v, best);
    best_ids = hn::IfThenElse(hn::RebindMask(IntTag(), better), ids, best_ids);
    // False for NaN too.
    largest_magnitude_ok = hn::And(largest_magnitude_ok, hn::Lt(v, infinity));
  });
  LargestLogit largest = BestLane(best, best_ids);
  largest.valid = hn::AllTrue(d, largest_magnitude_ok);
  return largest;
}

// (logit - largest) / temperature. Multiplies, since a division takes as long
// as all the rest.
class ScaledLogits {
 public:
  explicit ScaledLogits(const Share& share)
      : largest_(hn::Set(FloatTag(), share.largest)),
        // Kept finite, so that the largest logit gives 0, not NaN.
        factor_(
            hn::Set(FloatTag(), std::min(1.0f / share.temperature,
                                         std::numeric_limits<float>::max()))) {}

  HWY_INLINE FloatVector operator()(FloatVector logits) const {
    return hn::Mul(hn::Sub(logits, largest_), factor_);
  }

 private:
  FloatVector largest_;
  FloatVector factor_;
};

double SumOfLogitShares(const float* logits, int64_t size, const Share& share) {
  const FloatTag d;
  const ScaledLogits scaled(share);
  auto sum = hn::Zero(d);
  ForEachLogits(logits, size, [&](FloatVector v, int64_t) HWY_ATTR {
    sum = hn::Add(sum, ExpOfNonPositive(d, scaled(v)));
  });
  HWY_ALIGN float lanes[hn::MaxLanes(d)];
  hn::Store(sum, d, lanes);
  double total = 0.0;
  for (size_t i = 0; i < hn::Lanes(d); ++i) total += lanes[i];
  return total;
}

// One bit a lane; FloatTag has at most 16.
HWY_INLINE unsigned BitsOf(hn::Mask<FloatTag> mask) {
  uint8_t bytes[8] = {};
  hn::StoreMaskBits(FloatTag(), mask, bytes);
  return bytes[0] | (unsigned{bytes[1]} << 8);
}

// Appends the keys of the lanes in `mask`; returns the new end.
HWY_INLINE TokenKey* AppendKeys(hn::Mask<FloatTag> mask, const float* logits,
                                int64_t id, TokenKey* end) {
  for (unsigned bits = BitsOf(mask); bits != 0; bits &= bits - 1) {
    const int64_t hit = id + std::countr_zero(bits);
    *end++ = KeyOf(logits[hit], static_cast<int32_t>(hit));
  }
  return end;
}

// Bucket numbers of scaled logits, as floats.
HWY_INLINE FloatVector BucketsOf(FloatVector scaled, float width) {
  const FloatTag d;
  const auto numbers = hn::Mul(scaled, hn::Set(d, -1.0f / width));
  return hn::Min(hn::Floor(numbers), hn::Set(d, MassBuckets::kCount - 1));
}

void AddLogitMasses(const float* logits, int64_t size,
                    const MassBuckets& buckets, double* masses) {
  const FloatTag d;
  const ScaledLogits scaled(buckets.share);
  const auto last = hn::Set(d, MassBuckets::kCount - 1);
  HWY_ALIGN float shares[hn::MaxLanes(d)];
  HWY_ALIGN int32_t numbers[hn::MaxLanes(d)];
  ForEachLogits(logits, size, [&](FloatVector v, int64_t) HWY_ATTR {
    const auto x = scaled(v);
    const auto bucket = BucketsOf(x, buckets.width);
    const auto counts = hn::Lt(bucket, last);
    if (hn::AllFalse(d, counts)) return;
    hn::Store(ExpOfNonPositive(d, x), d, shares);
    hn::Store(hn::ConvertTo(IntTag(), bucket), IntTag(), numbers);
    for (unsigned bits = BitsOf(counts); bits != 0; bits &= bits - 1) {
      const int lane = std::countr_zero(bits);
      masses[numbers[lane]] += shares[lane];
    }
  });
}

int64_t CollectLogitBucket(const float* logits, int64_t size,
                           const MassBuckets& buckets, int bucket,
                           TokenKey* keys) {
  const FloatTag d;
  const ScaledLogits scaled(buckets.share);
  const auto wanted = hn::Set(d, static_cast<float>(bucket));
  TokenKey* end = keys;
  ForEachLogits(logits, size, [&](FloatVector v, int64_t id) HWY_ATTR {
    const auto hits =
        hn::And(hn::Eq(BucketsOf(scaled(v), buckets.width), wanted),
                hn::Gt(v, hn::Set(d, kMinusInfinity)));
    if (HWY_UNLIKELY(!hn::AllFalse(d, hits))) {
      end = AppendKeys(hits, logits, id, end);
    }
  });
  return end - keys;
}

int64_t CollectBestLogits(const float* logits, int64_t size, int64_t count,
                          TokenKey* keys) {
  const FloatTag d;
  // Room for some more than `count`, so that thinning out is rare.
  const int64_t capacity = std::min(size, std::max(4 * count, count + 1024));
  auto threshold = hn::Set(d, kMinusInfinity);
  TokenKey* end = keys;
  ForEachLogits(logits, size, [&](FloatVector v, int64_t id) HWY_ATTR {
    // Later ids lose ties against the ones that are in.
    const auto hits = hn::Gt(v, threshold);
    if (HWY_LIKELY(hn::AllFalse(d, hits))) return;
    end = AppendKeys(hits, logits, id, end);
    if (end - keys < capacity || end - keys <= count) return;
    std::nth_element(keys, keys + count - 1, end);
    end = keys + count;
    threshold = hn::Set(d, LogitOf(keys[count - 1]));
  });
  if (end - keys > count) {
    std::nth_element(keys, keys + count - 1, end);
    end = keys + count;
  }
  return end - keys;
}

// --- Gumbel noise ----------------------------------------------------------

// Vectors of logits that share one vector of random words.
constexpr int kSliceVectors = HWY_TARGET == HWY_SCALAR ? 4 : 2;
constexpr size_t kMaxSliceLength = kSliceVectors * hn::MaxLanes(FloatTag());

// The words of a slice of ids that begins at 4 * group, as SamplingWords gives
// them.
#if HWY_TARGET == HWY_SCALAR
HWY_INLINE void StoreSamplingWords(uint64_t seed, uint64_t position,
                                   int64_t group, uint32_t* words) {
  const auto four = SamplingWords(seed, position, static_cast<uint32_t>(group));
  std::copy(four.begin(), four.end(), words);
}
#else
// 64-bit lanes that hold 32-bit words; each lane yields the words of four ids.
using WordTag = hn::Repartition<uint64_t, FloatTag>;
using WordVector = hn::Vec<WordTag>;

HWY_INLINE WordVector MultiplyWords(WordVector a, uint32_t b) {
  const hn::Repartition<uint32_t, WordTag> d;
  return hn::MulEven(hn::BitCast(d, a), hn::Set(d, b));
}

HWY_INLINE void StoreSamplingWords(uint64_t seed, uint64_t position,
                                   int64_t group, uint32_t* words) {
  const WordTag d;
  const auto low_word = hn::Set(d, uint64_t{0xffffffff});
  auto counter_0 = hn::Iota(d, static_cast<uint64_t>(group));
  auto counter_1 = hn::Set(d, position & 0xffffffff);
  auto counter_2 = hn::Set(d, position >> 32);
  auto counter_3 = hn::Zero(d);
  auto key_0 = static_cast<uint32_t>(seed);
  auto key_1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const auto product_0 = MultiplyWords(counter_0, 0xD2511F53u);
    const auto product_1 = MultiplyWords(counter_2, 0xCD9E8D57u);
    counter_0 = hn::Xor(hn::Xor(hn::ShiftRight<32>(product_1), counter_1),
                        hn::Set(d, uint64_t{key_0}));
    counter_1 = hn::And(product_1, low_word);
    counter_2 = hn::Xor(hn::Xor(hn::ShiftRight<32>(product_0), counter_3),
                        hn::Set(d, uint64_t{key_1}));
    counter_3 = hn::And(product_0, low_word);
    key_0 += 0x9E3779B9u;
    key_1 += 0xBB67AE85u;
  }
  // Pairs of words, in memory in the order of ids.
  const auto first = hn::Or(counter_0, hn::ShiftLeft<32>(counter_1));
  const auto second = hn::Or(counter_2, hn::ShiftLeft<32>(counter_3));
  hn::StoreInterleaved2(first, second, d, reinterpret_cast<uint64_t*>(words));
}
#endif

// The uniform numbers in (0, 1) of GumbelFromWord.
HWY_INLINE FloatVector UniformFromWords(const uint32_t* words) {
  const FloatTag d;
  const hn::Rebind<uint32_t, FloatTag> d_words;
  const auto high = hn::ShiftRight<9>(hn::Load(d_words, words));
  const auto number = hn::ConvertTo(d, hn::BitCast(IntTag(), high));
  return hn::Mul(hn::Add(number, hn::Set(d, 0.5f)), hn::Set(d, 0x1p-23f));
}

HWY_INLINE FloatVector GumbelFromUniform(FloatVector uniform) {
  const FloatTag d;
  return hn::Neg(hn::Log(d, hn::Neg(hn::Log(d, uniform))));
}

// Draws over the vocabulary slice by slice. Most ids are out of the race
// before their noise is known: `bound_` is a score that the winner has.
class TokenDraw {
 public:
  explicit TokenDraw(const Draw& draw) : draw_(draw), scaled_(draw.share) {
    const FloatTag d;
    best_ = hn::Set(d, kMinusInfinity);
    best_ids_ = hn::Set(IntTag(), -1);
    // The largest logit takes part, and its scaled logit is zero.
    const auto words = SamplingWords(
        draw.seed, draw.position, static_cast<uint32_t>(draw.largest_id) / 4);
    bound_ = GumbelFromWord(words[draw.largest_id % 4]) - kRounding;
  }

  static int64_t SliceLength() { return kSliceVectors * hn::Lanes(FloatTag()); }

  // `logits`: SliceLength() of them, from id `begin` on, a multiple of it.
  HWY_INLINE void AddSlice(const float* logits, int64_t begin) {
    const FloatTag d;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    FloatVector scores[kSliceVectors];
    auto largest = hn::Set(d, kMinusInfinity);
    for (int i = 0; i < kSliceVectors; ++i) {
      scores[i] = Score(hn::LoadU(d, logits + i * lanes), begin + i * lanes);
      largest = hn::Max(largest, scores[i]);
    }
    const auto reachable = hn::Set(d, bound_ - kLargestNoise);
    if (hn::AllFalse(d, hn::Ge(largest, reachable))) return;

    HWY_ALIGN uint32_t words[kMaxSliceLength];
    StoreSamplingWords(draw_.seed, draw_.position, begin / 4, words);
    for (int i = 0; i < kSliceVectors; ++i) {
      const auto uniform = UniformFromWords(words + i * lanes);
      if (HWY_LIKELY(!MayWin(scores[i], uniform))) continue;
      Consider(hn::Add(scores[i], GumbelFromUniform(uniform)),
               begin + i * lanes);
    }
  }

  int32_t Winner() const { return BestLane(best_, best_ids_).id; }

 private:
  static constexpr float kLargestNoise = 16.7f;
  // Errors of scores and logarithms.
  static constexpr float kRounding = 1e-3f;

  // The scaled logits; -infinity for ids that do not take part.
  HWY_INLINE FloatVector Score(FloatVector logits, int64_t begin) const {
    const FloatTag d;
    const auto last = hn::Set(d, draw_.last_logit);
    const auto ids = hn::Iota(IntTag(), static_cast<int32_t>(begin));
    const auto late =
        hn::RebindMask(d, hn::Gt(ids, hn::Set(IntTag(), draw_.last_id)));
    const auto takes_part =
        hn::Or(hn::Gt(logits, last), hn::AndNot(late, hn::Eq(logits, last)));
    return hn::IfThenElse(takes_part, scaled_(logits),
                          hn::Set(d, kMinusInfinity));
  }

  // score + noise >= bound needs noise >= t = bound - score, that is
  // uniform >= exp(-exp(-t)) >= 1 - exp(-t): one exponential instead of two
  // logarithms, and hardly ever true.
  HWY_INLINE bool MayWin(FloatVector score, FloatVector uniform) const {
    const FloatTag d;
    const auto minus_t = hn::Sub(score, hn::Set(d, bound_ - kRounding));
    const auto tail = ExpOfNonPositive(d, hn::Min(minus_t, hn::Zero(d)));
    return !hn::AllFalse(d, hn::Le(hn::Sub(hn::Set(d, 1.0f), uniform), tail));
  }

  HWY_INLINE void Consider(FloatVector scores, int64_t begin) {
    const FloatTag d;
    const auto ids = hn::Iota(IntTag(), static_cast<int32_t>(begin));
    const auto better = hn::Gt(scores, best_);
    best_ = hn::IfThenElse(better, scores, best_);
    best_ids_ =
        hn::IfThenElse(hn::RebindMask(IntTag(), better), ids, best_ids_);
    bound_ =
        std::max(bound_, hn::GetLane(hn::MaxOfLanes(d, scores)) - kRounding);
  }

  const Draw& draw_;
  const ScaledLogits scaled_;
  float bound_;
  FloatVector best_;
  hn::Vec<IntTag> best_ids_;
};

int32_t DrawLargest(const float* logits, int64_t size, const Draw& draw) {
  TokenDraw token_draw(draw);
  const int64_t slice = TokenDraw::SliceLength();
  int64_t id = 0;
  for (; id + slice <= size; id += slice) {
    token_draw.AddSlice(logits + id, id);
  }
  if (id < size) {
    HWY_ALIGN float rest[kMaxSliceLength];
    std::fill(std::copy(logits + id, logits + size, rest), rest + slice,
              kMinusInfinity);
    token_draw.AddSlice(rest, id);
  }
  return token_draw.Winner();
}

}  // namespace HWY_NAMESPACE
}  // namespace blockserve::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace blockserve::cpu {

HWY_EXPORT(FindLargestLogit);
HWY_EXPORT(SumOfLogitShares);
HWY_EXPORT(AddLogitMasses);
HWY_EXPORT(CollectLogitBucket);
HWY_EXPORT(CollectBestLogits);
HWY_EXPORT(DrawLargest);

LargestLogit FindLargest(absl::Span<const float> logits) {
  return HWY_DYNAMIC_DISPATCH(FindLargestLogit)(logits.data(), logits.size());
}

double SumOfShares(absl::Span<const float> logits, const Share& share) {
  return HWY_DYNAMIC_DISPATCH(SumOfLogitShares)(logits.data(), logits.size(),
                                                share);
}

void AddMasses(absl::Span<const float> logits, const MassBuckets& buckets,
               double* masses) {
  HWY_DYNAMIC_DISPATCH(AddLogitMasses)
  (logits.data(), logits.size(), buckets, masses);
}

int64_t CollectBucket(absl::Span<const float> logits,
                      const MassBuckets& buckets, int bucket, TokenKey* keys) {
  return HWY_DYNAMIC_DISPATCH(CollectLogitBucket)(logits.data(), logits.size(),
                                                  buckets, bucket, keys);
}

int64_t CollectBest(absl::Span<const float> logits, int64_t count,
                    TokenKey* keys) {
  return HWY_DYNAMIC_DISPATCH(CollectBestLogits)(logits.data(), logits.size(),
                                                 count, keys);
}

int32_t DrawToken(absl::Span<const float> logits, const Draw& draw) {
  return HWY_DYNAMIC_DISPATCH(DrawLargest)(logits.data(), logits.size(), draw);
}

}  // namespace blockserve::cpu
#endif  // HWY_ONCE

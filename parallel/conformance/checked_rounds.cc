#include "parallel/conformance/checked_rounds.h"

#include <algorithm>

namespace blockserve {
namespace {

// Rows that two or three ranks have different numbers of.
constexpr int64_t kRows = 61;
constexpr int64_t kDim = 300;
static_assert(CheckedRounds::kBytes == kRows * kDim * sizeof(float));

// Whole numbers, whose sums are exact.
float ValueOf(int rank, int round, int64_t i) {
  return static_cast<float>((rank + 1) * (round % 100 + 1) + i % 7);
}

float SumOf(int size, int round, int64_t i) {
  float sum = 0;
  for (int rank = 0; rank < size; ++rank) sum += ValueOf(rank, round, i);
  return sum;
}

}  // namespace

CheckedRounds::CheckedRounds(Communicator& communicator)
    : communicator_(communicator), values_(kRows * kDim) {}

bool CheckedRounds::Run(int round) {
  const int size = communicator_.size();
  const ShardRange own = RowsOf(kRows, communicator_.rank(), size);
  const ShardRange all = {0, kRows};
  const auto sum = [&](int64_t i) { return SumOf(size, round, i); };
  bool is_right = true;

  Fill(round, all);
  communicator_.AllReduce(data());
  is_right &= Holds(all, sum);

  Fill(round, all);
  communicator_.ReduceScatter(data());
  is_right &= Holds(own, sum);

  Fill(round, own);
  communicator_.AllGather({data()});
  for (int rank = 0; rank < size; ++rank) {
    is_right &= Holds(RowsOf(kRows, rank, size),
                      [&](int64_t i) { return ValueOf(rank, round, i); });
  }

  const int root = round % size;
  Fill(round, all);
  communicator_.Broadcast(data(), root);
  is_right &= Holds(all, [&](int64_t i) { return ValueOf(root, round, i); });
  return is_right;
}

TensorView CheckedRounds::data() {
  return TensorView(values_.data(), DType::kFloat32, {kRows, kDim});
}

void CheckedRounds::Fill(int round, ShardRange rows) {
  std::fill(values_.begin(), values_.end(), -1.0f);
  for (int64_t i = rows.begin * kDim; i < rows.end * kDim; ++i) {
    values_[static_cast<size_t>(i)] = ValueOf(communicator_.rank(), round, i);
  }
}

// After an error tensors hold anything.
bool CheckedRounds::Holds(ShardRange rows,
                          absl::FunctionRef<float(int64_t)> expected) {
  if (!communicator_.Synchronize().ok()) return true;
  for (int64_t i = rows.begin * kDim; i < rows.end * kDim; ++i) {
    if (values_[static_cast<size_t>(i)] != expected(i)) return false;
  }
  return true;
}

}  // namespace blockserve

#include "kernels/cuda_host/warp_op.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "kernels/cuda_host/failure.h"

namespace blockserve::cuda_host {
namespace {

using Lanes = std::array<LaneRequest*, kLanes>;

// The lane whose value `lane` gets.
int SourceOf(int lane, const LaneRequest& request) {
  const int begin = lane & ~(request.width - 1);
  const int end = begin + request.width;
  int source = lane;
  switch (request.op) {
    case WarpOp::kShuffle:
      return begin + (request.argument & (request.width - 1));
    case WarpOp::kShuffleUp:
      source = lane - request.argument;
      return source < begin ? lane : source;
    case WarpOp::kShuffleDown:
      source = lane + request.argument;
      return source >= end ? lane : source;
    default:
      source = lane ^ request.argument;
      return source >= end ? lane : source;
  }
}

void Shuffle(const Lanes& lanes) {
  for (int lane = 0; lane < kLanes; ++lane) {
    if (lanes[lane] == nullptr) continue;
    const int source = SourceOf(lane, *lanes[lane]);
    if (lanes[source] == nullptr) {
      Fail("shuffle reads lane " + std::to_string(source) +
           ", which is not in the mask");
    }
    lanes[lane]->result = lanes[source]->value;
  }
}

uint64_t Reduce(const Lanes& lanes, WarpOp op) {
  uint64_t ballot = 0;
  uint32_t sum = 0;
  uint64_t largest = 0;
  uint64_t smallest = ~uint64_t{0};
  for (int lane = 0; lane < kLanes; ++lane) {
    if (lanes[lane] == nullptr) continue;
    const uint64_t value = lanes[lane]->value;
    ballot |= (value & 1) << lane;
    sum += static_cast<uint32_t>(value);
    largest = std::max(largest, value);
    smallest = std::min(smallest, value);
  }
  switch (op) {
    case WarpOp::kBallot:
      return ballot;
    case WarpOp::kReduceAdd:
      return sum;
    case WarpOp::kReduceMax:
      return largest;
    default:
      return smallest;
  }
}

// The lower or upper half of a register, as bf16.
float Half(uint32_t fragment, int half) {
  return std::bit_cast<float>(half == 0 ? fragment << 16
                                        : fragment & 0xffff0000u);
}

void MultiplyMatrices(const Lanes& lanes) {
  float a[16][16];  // [row][k]
  float b[16][8];   // [k][column]
  for (int lane = 0; lane < kLanes; ++lane) {
    const auto& operands =
        *reinterpret_cast<const MmaOperands*>(lanes[lane]->value);
    const int group = lane / 4;
    const int pair = lane % 4 * 2;
    for (int half = 0; half < 2; ++half) {
      a[group][pair + half] = Half(operands.a[0], half);
      a[group + 8][pair + half] = Half(operands.a[1], half);
      a[group][pair + 8 + half] = Half(operands.a[2], half);
      a[group + 8][pair + 8 + half] = Half(operands.a[3], half);
      b[pair + half][group] = Half(operands.b[0], half);
      b[pair + 8 + half][group] = Half(operands.b[1], half);
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    auto& operands = *reinterpret_cast<MmaOperands*>(lanes[lane]->value);
    for (int element = 0; element < 4; ++element) {
      const int row = lane / 4 + (element >= 2 ? 8 : 0);
      const int column = lane % 4 * 2 + element % 2;
      float sum = operands.c[element];
      for (int k = 0; k < 16; ++k) sum += a[row][k] * b[k][column];
      operands.d[element] = sum;
    }
  }
}

// Four matrices of 8 x 8 elements of 16 bits; lanes 8j ... 8j + 7 name the
// rows of the j-th.
void LoadMatrices(const Lanes& lanes, bool is_transposed) {
  const auto row_of = [&](int lane) {
    return reinterpret_cast<const MatrixRow*>(lanes[lane]->value)->row;
  };
  for (int lane = 0; lane < kLanes; ++lane) {
    if (reinterpret_cast<uintptr_t>(row_of(lane)) % 16 != 0) {
      Fail("ldmatrix: the row of lane " + std::to_string(lane) +
           " is not aligned to 16 bytes");
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    auto& request = *reinterpret_cast<MatrixRow*>(lanes[lane]->value);
    for (int matrix = 0; matrix < 4; ++matrix) {
      uint16_t elements[2];
      for (int half = 0; half < 2; ++half) {
        const int major = lane / 4;
        const int minor = lane % 4 * 2 + half;
        const int row = is_transposed ? minor : major;
        const int column = is_transposed ? major : minor;
        std::memcpy(
            &elements[half],
            static_cast<const uint16_t*>(row_of(matrix * 8 + row)) + column,
            sizeof(uint16_t));
      }
      std::memcpy(&request.fragments[matrix], elements, sizeof(elements));
    }
  }
}

void NeedAllLanes(const Lanes& lanes) {
  for (const LaneRequest* lane : lanes) {
    if (lane == nullptr) Fail("a matrix operation needs all lanes of a warp");
  }
}

}  // namespace

void PerformWarpOp(const Lanes& lanes) {
  const LaneRequest& any = **std::find_if(
      lanes.begin(), lanes.end(), [](auto* lane) { return lane != nullptr; });
  switch (any.op) {
    case WarpOp::kSync:
      return;
    case WarpOp::kShuffle:
    case WarpOp::kShuffleUp:
    case WarpOp::kShuffleDown:
    case WarpOp::kShuffleXor:
      return Shuffle(lanes);
    case WarpOp::kMmaBFloat16:
      NeedAllLanes(lanes);
      return MultiplyMatrices(lanes);
    case WarpOp::kLoadMatrix:
    case WarpOp::kLoadMatrixTransposed:
      NeedAllLanes(lanes);
      return LoadMatrices(lanes, any.op == WarpOp::kLoadMatrixTransposed);
    default: {
      const uint64_t result = Reduce(lanes, any.op);
      for (LaneRequest* lane : lanes) {
        if (lane != nullptr) lane->result = result;
      }
    }
  }
}

}  // namespace blockserve::cuda_host

// Tiles of keys and values of one head in shared memory, in the order that
// ldmatrix reads without conflicts. Included by .cu files.
#ifndef BLOCKSERVE_KERNELS_CUDA_KEY_TILES_H_
#define BLOCKSERVE_KERNELS_CUDA_KEY_TILES_H_

#include <cstdint>

#include "kernels/cuda/compat.h"
#include "kernels/cuda/page.h"
#include "kernels/cuda/paged_attention.h"
#include "kernels/cuda/piece.h"
#include "kernels/cuda/row_tile.h"

namespace blockserve::cuda {

template <int kHeadDim>
class KeyTiles {
 public:
  using T = __nv_bfloat16;
  enum Part { kKeys, kValues };
  // Two slots of both parts are 32 KB at most.
  static constexpr int kKeysPerTile = kHeadDim > 64 ? 32 : 64;
  static constexpr int kPiecesPerKey = kHeadDim / kElementsPerPiece<T>;
  static constexpr int kPiecesPerPart = kKeysPerTile * kPiecesPerKey;
  static constexpr int kPiecesPerSlot = 2 * kPiecesPerPart;

  // pieces: kPiecesPerSlot of shared memory for each slot
  __device__ KeyTiles(const PagedAttentionProblem& problem, const RowTile& rows,
                      int head, uint4* pieces)
      : problem_(problem),
        rows_(rows),
        head_(head),
        pages_(problem.page_table +
               static_cast<int64_t>(rows.sequence) * problem.max_pages),
        pieces_(pieces) {}

  // Piece `piece` of a key of the tile. Eight keys' pieces of the same number
  // lie in different banks: eight rows of a matrix are read at once.
  __device__ uint4* At(int slot, Part part, int key, int piece) const {
    constexpr int kKeysPerLine = kPiecesPerKey < 8 ? 8 / kPiecesPerKey : 1;
    constexpr int kMask = kPiecesPerKey < 8 ? kPiecesPerKey - 1 : 7;
    const int turned = piece ^ (key / kKeysPerLine & kMask);
    return pieces_ + slot * kPiecesPerSlot + part * kPiecesPerPart +
           key * kPiecesPerKey + turned;
  }

  // Starts to copy tile `tile`, all threads together. What no row sees is zero:
  // a weight of zero would not hide a NaN.
  __device__ void Fetch(int tile, int slot) const {
    for (int i = static_cast<int>(threadIdx.x); i < kPiecesPerPart;
         i += kRowTileThreads) {
      const int in_tile = i / kPiecesPerKey;
      const int piece = i % kPiecesPerKey;
      const int key = tile * kKeysPerTile + in_tile;
      uint4* const key_piece = At(slot, kKeys, in_tile, piece);
      uint4* const value_piece = At(slot, kValues, in_tile, piece);
      if (key < rows_.key_begin || key >= rows_.key_end || !rows_.IsSeen(key)) {
        *key_piece = make_uint4(0, 0, 0, 0);
        *value_piece = make_uint4(0, 0, 0, 0);
        continue;
      }
      const PageOfHead<T> page(problem_.cache, pages_[key / kKeysPerPage],
                               problem_.num_heads, head_, kHeadDim);
      const int offset =
          key % kKeysPerPage * kHeadDim + piece * kElementsPerPiece<T>;
      CopyAsync16(key_piece, page.keys() + offset);
      CopyAsync16(value_piece, page.values() + offset);
    }
  }

 private:
  const PagedAttentionProblem& problem_;
  const RowTile& rows_;
  int head_;
  const int32_t* pages_;
  uint4* pieces_;
};

}  // namespace blockserve::cuda

#endif  // BLOCKSERVE_KERNELS_CUDA_KEY_TILES_H_

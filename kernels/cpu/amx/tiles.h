// The tile unit: whether there is one, and its set-up.
//
// Tile registers 0-3 hold sums, 4 and 5 rows of activations, 6 and 7 weights.
// A tile is 16 rows of 64 bytes: 16 fp32 sums, or 16 pairs of bf16.
#ifndef BLOCKSERVE_KERNELS_CPU_AMX_TILES_H_
#define BLOCKSERVE_KERNELS_CPU_AMX_TILES_H_

#include <cstdint>

#include "kernels/cpu/amx/target.h"

namespace blockserve::cpu::amx {

inline constexpr int kTileHeight = 16;
// Inputs that one tile instruction sums over.
inline constexpr int kTileDepth = 32;

// True if this CPU has AMX for bf16, ONEDNN_MAX_CPU_ISA does not forbid it, and
// the kernel lets this process use it (it must be asked; the answer holds for
// all threads). False under AddressSanitizer (see highway_targets.h).
bool HasTiles();

AMX_TARGET_BEGIN

// As the CPU reads it (LDTILECFG).
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t num_rows[16] = {};

  // Whole tiles, but of activations and sums only the first `height` rows.
  static TileConfig WithHeight(int height) {
    TileConfig config;
    for (int tile = 0; tile < 8; ++tile) {
      config.row_bytes[tile] = 64;
      config.num_rows[tile] = tile < 6 ? height : kTileHeight;
    }
    return config;
  }
};

// The compiler does not know what memory the tile instructions read.
inline void FinishStores() { asm volatile("" ::: "memory"); }

// Configures this thread's tiles, and releases them: a thread that keeps tiles
// pays for them at every context switch. oneDNN releases them after its own
// products, so nothing set up earlier can be relied on.
class ScopedTiles {
 public:
  explicit ScopedTiles(const TileConfig& config) { Configure(config); }
  ScopedTiles(const ScopedTiles&) = delete;
  ScopedTiles& operator=(const ScopedTiles&) = delete;
  ~ScopedTiles() { _tile_release(); }

  void Configure(const TileConfig& config) {
    FinishStores();
    _tile_loadconfig(&config);
  }
};

// Tile products take subnormal numbers as zero. So does vector code while this
// lives, so that both give the same bits.
class ScopedFlushSubnormals {
 public:
  ScopedFlushSubnormals() : before_(_mm_getcsr()) {
    _mm_setcsr(before_ | _MM_FLUSH_ZERO_ON | kSubnormalsAreZero);
  }
  ScopedFlushSubnormals(const ScopedFlushSubnormals&) = delete;
  ScopedFlushSubnormals& operator=(const ScopedFlushSubnormals&) = delete;
  ~ScopedFlushSubnormals() { _mm_setcsr(before_); }

 private:
  static constexpr unsigned kSubnormalsAreZero = 0x40;

  const unsigned before_;
};

AMX_TARGET_END

}  // namespace blockserve::cpu::amx

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_TILES_H_

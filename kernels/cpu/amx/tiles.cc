#include "kernels/cpu/amx/tiles.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "oneapi/dnnl/dnnl.hpp"

namespace blockserve::cpu::amx {
namespace {

bool MayUseTiles() {
#if defined(__SANITIZE_ADDRESS__)
  return false;
#else
  // oneDNN looks at the CPU and at ONEDNN_MAX_CPU_ISA: one setting for all.
  const auto have = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto want = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_amx);
  if ((have & want) != want) return false;
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#endif
}

}  // namespace

bool HasTiles() {
  static const bool has_tiles = MayUseTiles();
  return has_tiles;
}

}  // namespace blockserve::cpu::amx

// Code between AMX_TARGET_BEGIN and AMX_TARGET_END is compiled for CPUs with
// AMX and AVX512-BF16, whatever the rest of the program is compiled for. It may
// run only where HasTiles() (tiles.h) is true.
//
// A pragma instead of compiler flags: with flags, inline functions of headers
// would be compiled for these CPUs too, and the linker could pick those copies
// for the whole program.
#ifndef BLOCKSERVE_KERNELS_CPU_AMX_TARGET_H_
#define BLOCKSERVE_KERNELS_CPU_AMX_TARGET_H_

#include <immintrin.h>

// (AVX512-BF16 includes the rest of AVX-512 that is used here.)
#define AMX_TARGET_BEGIN      \
  _Pragma("GCC push_options") \
      _Pragma("GCC target(\"avx512dq,avx512bf16,amx-tile,amx-bf16\")")
#define AMX_TARGET_END _Pragma("GCC pop_options")

#endif  // BLOCKSERVE_KERNELS_CPU_AMX_TARGET_H_

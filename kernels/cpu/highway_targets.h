// Which instruction sets our kernels are compiled for. Include before any
// header of Highway.
//
// AVX-512, AVX2 and the portable baseline: machines between the last two
// (SSSE3, SSE4) are older than 2013 and not worth a fourth copy of each kernel.
#ifndef BLOCKSERVE_KERNELS_CPU_HIGHWAY_TARGETS_H_
#define BLOCKSERVE_KERNELS_CPU_HIGHWAY_TARGETS_H_

#if defined(__SANITIZE_ADDRESS__)
// GCC's AddressSanitizer puts 64-byte vectors on the stack misaligned (GCC bug
// 110027), so AVX-512 code crashes; it checks the same kernels as AVX2.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3)
#else
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)
#endif

#endif  // BLOCKSERVE_KERNELS_CPU_HIGHWAY_TARGETS_H_

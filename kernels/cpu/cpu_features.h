// What this CPU can do, and how many of its cores this process may use.
#ifndef BLOCKSERVE_KERNELS_CPU_CPU_FEATURES_H_
#define BLOCKSERVE_KERNELS_CPU_CPU_FEATURES_H_

#include <string>

namespace blockserve::cpu {

// True where the CPU multiplies bf16 natively (AVX512-BF16 or AMX).
bool HasBFloat16();

// Keeps Highway's kernels within the instruction set that oneDNN may use, so
// that one setting (ONEDNN_MAX_CPU_ISA, which oneDNN reads) limits both.
void AlignHighwayWithOneDnn();

// "2.6.3".
std::string OneDnnVersion();

// "AVX512-BF16": the best instruction set oneDNN uses here.
std::string OneDnnIsaName();

// "AVX3": the best target that our kernels are compiled for and run here.
std::string HighwayTargetName();

// Cores in the calling thread's affinity mask, or OMP_NUM_THREADS if smaller.
int NumUsableCores();

}  // namespace blockserve::cpu

#endif  // BLOCKSERVE_KERNELS_CPU_CPU_FEATURES_H_

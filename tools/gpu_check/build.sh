#!/usr/bin/env bash
# Builds what gpu_check.sh runs on a GPU, without Bazel: g++, nvcc and the CUDA
# libraries, and of other libraries what pack.sh has put beside it.
#   tools/gpu_check/build.sh OUT
# ARCHITECTURES="80 90 100", JOBS, CUDA_HOME and CXX may say otherwise.
#
# A program is its roots and, of every project header that is included from
# there, the .cc and .cu of the same name: which is how the project names files.
# What does not follow that stands below.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${1:?usage: tools/gpu_check/build.sh OUT}
cuda=${CUDA_HOME:-/usr/local/cuda}
vendor=$PWD/tools/gpu_check/vendor
jobs=${JOBS:-$(nproc)}
compiler=${CXX:-g++}
architectures=${ARCHITECTURES:-80 90 100}

if [ -d "$vendor" ]; then
  include=(-isystem "$vendor/include")
  libraries=$vendor/lib
else
  include=()
  libraries=/usr/lib/$(uname -m)-linux-gnu
fi

declare -A roots=(
  [gpu_conformance]="kernels/conformance/cuda_device_test.cc
    $(echo kernels/conformance/*_conformance.cc)"
  [gpu_check]="tools/gpu_check/check_main.cc
    runtime/backend/linked_cuda.cc"
  [gpu_nccl]="parallel/nccl/nccl_device_test.cc"
)
declare -A links=([gpu_conformance]=gtest [gpu_check]="" [gpu_nccl]=gtest)
# Other sources for a header, or none.
declare -A instead=(
  [runtime/backend/backend.h]=tools/gpu_check/gpu_backend.cc
  [kernels/profile/machine_peaks.h]=tools/gpu_check/no_machine_peaks.cc
  [runtime/model/model.h]=runtime/model/load_model.cc
  [runtime/model/trunk/pre_norm_trunk.h]="runtime/model/trunk/pre_norm_trunk.cc
    runtime/model/trunk/gpt_neo_weights.cc
    runtime/model/trunk/gpt_neox_weights.cc"
)

# The sources of the program whose roots are given, one a line.
sources_of() {
  local -A seen=()
  local queue=("$@") file header source
  while [ ${#queue[@]} -gt 0 ]; do
    file=${queue[0]}
    queue=("${queue[@]:1}")
    [ -z "${seen[$file]:-}" ] || continue
    seen[$file]=1
    case $file in *.cc | *.cu) echo "$file" ;; esac
    while read -r header; do
      [ -f "$header" ] || continue
      queue+=("$header")
      if [ -n "${instead[$header]:-}" ]; then
        # shellcheck disable=SC2206
        queue+=(${instead[$header]})
        continue
      fi
      for source in "${header%.h}.cc" "${header%.h}.cu"; do
        [ ! -f "$source" ] || queue+=("$source")
      done
    done < <(sed -nE 's/^#include "([^"]+)".*/\1/p' "$file")
  done
}

object_of() { echo "$out/objects/${1//\//__}.o"; }

compile() {
  local source=$1 object
  object=$(object_of "$source")
  case $source in
    *.cu)
      local codes=() architecture
      for architecture in $architectures; do
        codes+=("-gencode=arch=compute_$architecture,code=sm_$architecture")
      done
      "$cuda/bin/nvcc" -std=c++20 -O3 -Werror=all-warnings "${codes[@]}" \
        -Xcompiler=-Wall,-Wextra -I. -c "$source" -o "$object"
      ;;
    *)
      "$compiler" -std=c++20 -O2 -DNDEBUG -Wall -Wextra -I. "${include[@]}" \
        -isystem "$cuda/include" -c "$source" -o "$object"
      ;;
  esac
}
export -f compile object_of
export out cuda architectures compiler

mkdir -p "$out/objects"
declare -A programs=()
for program in "${!roots[@]}"; do
  # shellcheck disable=SC2086
  programs[$program]=$(sources_of ${roots[$program]})
done
# Arrays are not exported.
declare -p include >"$out/include.sh"
printf '%s\n' "${programs[@]}" | sort -u |
  xargs -P "$jobs" -I{} bash -euo pipefail -c ". '$out/include.sh'; compile {}"

archives() {
  local name
  for name in "$libraries"/libabsl_*.a; do echo "$name"; done
  for name in "$@" glog gflags unwind lzma yaml-cpp xxhash; do
    echo "$libraries/lib$name.a"
  done
}
for program in "${!programs[@]}"; do
  objects=()
  for source in ${programs[$program]}; do objects+=("$(object_of "$source")"); done
  extra=()
  if [ "${links[$program]}" = gtest ]; then extra=(gmock_main gmock gtest); fi
  mapfile -t group < <(archives "${extra[@]}")
  "$compiler" "${objects[@]}" -Wl,--start-group "${group[@]}" -Wl,--end-group \
    -L"$cuda/lib64" -Wl,-rpath,"$cuda/lib64" -lcudart -lcublasLt -lnccl \
    -lpthread -ldl -no-pie -o "$out/$program"
done
echo "built: ${!programs[*]}"

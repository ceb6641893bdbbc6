#!/usr/bin/env bash
# build.sh makes programs that run with NVIDIA's libraries, as far as that goes.
set -euo pipefail
# The script reads the checkout, which it does not name file by file.
root=$(dirname "$(readlink -f WORKSPACE)")
JOBS=${JOBS:-2} "$root/tools/gpu_check/build.sh" "$TEST_TMPDIR/bin"
for program in gpu_check gpu_conformance gpu_nccl; do
  readelf -d "$TEST_TMPDIR/bin/$program" | grep -q 'libcudart' || {
    echo "$program is not linked with the CUDA runtime" >&2
    exit 1
  }
done
if nvidia-smi -L >/dev/null 2>&1; then exit 0; fi
status=0
said=$("$TEST_TMPDIR/bin/gpu_check" golden \
  --case="$root/tests/testdata/golden/k_vanilla" 2>&1) || status=$?
[ "$status" = 2 ] || { echo "exit code $status without a GPU: $said" >&2; exit 1; }
case $said in
  *"CUDA: looking for devices"*) ;;
  *) echo "expected a word about devices: $said" >&2; exit 1 ;;
esac

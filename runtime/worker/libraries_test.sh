#!/bin/sh
# Which libraries a binary is linked with:
#   libraries_test.sh BINARY needs|lacks
# all of the CUDA toolkit's that the backend for GPUs uses.
needed=$(readelf -d "$1" | grep NEEDED) || exit 1
status=0
for library in cudart cublasLt nccl; do
  case "$needed" in
    *lib$library.so*) found=needs ;;
    *) found=lacks ;;
  esac
  if [ "$found" != "$2" ]; then
    echo "$1 $found lib$library.so, expected: $2" >&2
    status=1
  fi
done
exit $status

#!/usr/bin/env bash
# Copies what build.sh needs of Debian's packages beside it, for a machine that
# lacks them: headers and static libraries. Not to be committed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
libraries=/usr/lib/$(uname -m)-linux-gnu
rm -rf vendor
mkdir -p vendor/include vendor/lib
for name in absl CLI gflags glog gmock gtest nlohmann xxhash.h yaml-cpp; do
  cp -r "/usr/include/$name" vendor/include/
done
for name in gflags glog gmock gmock_main gtest lzma unwind xxhash yaml-cpp; do
  cp "$libraries/lib$name.a" vendor/lib/
done
cp "$libraries"/libabsl_*.a vendor/lib/
du -sh vendor

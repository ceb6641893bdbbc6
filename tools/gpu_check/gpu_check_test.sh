#!/usr/bin/env bash
# gpu_check.sh from end to end with the device emulated.
set -euo pipefail
binaries=$TEST_TMPDIR/bin
cases=$TEST_TMPDIR/golden
mkdir -p "$binaries" "$cases"
ln -sf "$PWD/kernels/conformance/cuda_host_test" "$binaries/gpu_conformance"
ln -sf "$PWD/kernels/cuda_host/fake_cuda_graph_test" "$binaries/gpu_graphs"
ln -sf "$PWD/tools/gpu_check/gpu_check_host" "$binaries/gpu_check"
# The smallest of both kinds; the others are golden_test's.
for case in k_vanilla d8_block_length_8; do
  ln -sfn "$PWD/tests/testdata/golden/$case" "$cases/$case"
done

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# One kind of operation stands for the suite, which has a test of its own.
export GTEST_FILTER='*Norm*:*PagedAttention*Ranges*:FakeCudaGraph*'
tools/gpu_check.sh --mode=host --binaries="$binaries" --golden="$cases" \
  --out="$TEST_TMPDIR/good" || fail "a check: $(cat "$TEST_TMPDIR/good/gpu_check.log")"

/usr/bin/python3 - "$TEST_TMPDIR/good" <<'PYTHON'
import json
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
assert sorted(file.name for file in folder.iterdir()) == ["gpu_check.json", "gpu_check.log"]
report = json.loads((folder / "gpu_check.json").read_text())
assert report["mode"] == "host" and report["failures"] == 0, report
assert report["device"] == "emulated on the host", report
results = {step["name"]: step["result"] for step in report["steps"]}
for name in ("conformance", "golden k_vanilla fp32", "golden d8_block_length_8 fp32",
             "golden on 2 GPUs", "gpu_graphs", "bench block_main_b4_5 8+4", "bench vanilla_31 8+4"):
    assert results[name] == "passed", (name, report)
assert results["golden on 4 GPUs"] == results["gpu_nccl"] == "skipped", report
assert [bench["model"] for bench in report["benchmarks"]] == ["block_main_b4_5", "vanilla_31"]
for bench in report["benchmarks"]:
    assert bench["tokens_per_second"] > 0 and "emulated" in bench["machine"]["backend"], bench
log = (folder / "gpu_check.log").read_text()
assert "golden: " in log and "[  PASSED  ]" in log
PYTHON

# What fails, hangs or has no time left is told, and the report is written.
printf '#!/bin/sh\nexit 3\n' >"$TEST_TMPDIR/broken"
printf '#!/bin/sh\nsleep 100\n' >"$TEST_TMPDIR/hangs"
chmod +x "$TEST_TMPDIR/broken" "$TEST_TMPDIR/hangs"
ln -sf "$TEST_TMPDIR/broken" "$binaries/gpu_conformance"
ln -sf "$TEST_TMPDIR/hangs" "$binaries/gpu_check"
status=0
tools/gpu_check.sh --mode=host --binaries="$binaries" --golden="$cases" \
  --seconds=8 --out="$TEST_TMPDIR/bad" || status=$?
[ "$status" = 1 ] || fail "exit code $status of broken checks"
/usr/bin/python3 - "$TEST_TMPDIR/bad/gpu_check.json" <<'PYTHON'
import json
import sys

report = json.load(open(sys.argv[1]))
steps = {step["name"]: step for step in report["steps"]}
assert steps["conformance"]["result"] == "failed", report
assert "exit 3" in steps["conformance"]["detail"], report
assert "not done in" in steps["golden d8_block_length_8 fp32"]["detail"], report
assert steps["bench vanilla_31 8+4"]["detail"] == "out of time", report
assert report["benchmarks"] == [], report
PYTHON

# Without a GPU its own mode says so, after the build.
if ! nvidia-smi -L >/dev/null 2>&1; then
  status=0
  tools/gpu_check.sh --binaries="$binaries" --out="$TEST_TMPDIR/none" || status=$?
  [ "$status" = 1 ] || fail "exit code $status without a GPU"
  grep -q 'no GPU' "$TEST_TMPDIR/none/gpu_check.json" || fail "no word of the GPU"
fi

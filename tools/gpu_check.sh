#!/usr/bin/env bash
# Checks the CUDA backend on a machine with a GPU, or, with --mode=host, what is
# checked there on the host; see --help.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
  cat <<'TEXT'
Usage: tools/gpu_check.sh [--mode=gpu|host] [--out=DIR] [--binaries=DIR]
                          [--golden=DIR] [--seconds=N] [--build-only]

Builds the checks (g++, nvcc, the CUDA libraries; no Bazel, no gRPC; for a machine
without Debian's -dev packages tools/gpu_check/pack.sh puts them beside build.sh),
runs the conformance suite, golden vectors, graphs, NCCL and compute-sanitizer,
then the engine's benchmark for block and vanilla models in both settings of the
authors' protocol. Leaves DIR/gpu_check.json and DIR/gpu_check.log.

  --mode=host     the same on the host: binaries with the device emulated, tiny
                  benchmarks whose figures mean nothing
  --out=DIR       default: gpu_check.out
  --binaries=DIR  with gpu_conformance, gpu_check, ..., already built
  --golden=DIR    folder of golden cases; default: tests/testdata/golden
  --seconds=N     what does not fit into this time is skipped and said to be;
                  default 520
  --build-only    stop behind the build
TEXT
}

mode=gpu out=gpu_check.out binaries="" golden=$root/tests/testdata/golden
seconds=520 build_only=""
for argument in "$@"; do
  case $argument in
    --mode=gpu | --mode=host) mode=${argument#*=} ;;
    --out=*) out=${argument#*=} ;;
    --binaries=*) binaries=$(cd "${argument#*=}" && pwd) || exit 2 ;;
    --golden=*) golden=${argument#*=} ;;
    --seconds=*) seconds=${argument#*=} ;;
    --build-only) build_only=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      echo "error: unknown argument '$argument' (see --help)" >&2
      exit 2
      ;;
  esac
done
if [ "$mode" = host ] && [ -z "$binaries" ]; then
  echo "error: --mode=host needs --binaries: they are Bazel's" >&2
  exit 2
fi

mkdir -p "$out"
out=$(cd "$out" && pwd)
log=$out/gpu_check.log
steps=$out/steps
: >"$log"
: >"$steps"
SECONDS=0
failures=0

say() { printf '==> [%3ds] %s\n' "$SECONDS" "$*" | tee -a "$log" >&2; }
left() { echo $((seconds - SECONDS)); }

quoted() {
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  printf '"%s"' "${text//[[:cntrl:]]/ }"
}

# record NAME RESULT SECONDS DETAIL: one step's line of the report.
record() {
  printf '{"name": %s, "result": %s, "seconds": %d, "detail": %s}\n' \
    "$(quoted "$1")" "$(quoted "$2")" "$3" "$(quoted "$4")" >>"$steps"
  [ "$2" != failed ] || failures=$((failures + 1))
  say "$2: $1${4:+ ($4)}"
}
skip() { record "$1" skipped 0 "$2"; }

# step NAME LIMIT COMMAND...: runs it for at most LIMIT seconds and as long as
# there is time; its last line of words is the detail.
step() {
  local name=$1 limit=$2 begin=$SECONDS status=0 text
  shift 2
  if [ "$(left)" -lt 5 ]; then
    skip "$name" "out of time"
    return 1
  fi
  if [ "$limit" -gt "$(left)" ]; then limit=$(left); fi
  printf '\n--- %s: %s\n' "$name" "$*" >>"$log"
  timeout --kill-after=5 "$limit" "$@" >"$out/step.log" 2>&1 || status=$?
  cat "$out/step.log" >>"$log"
  text=$(grep -E '^golden:|PASSED|FAILED|^tokens/s|error|ERROR SUMMARY|built' \
    "$out/step.log" | tail -n 1)
  if [ "$status" = 124 ] || [ "$status" = 137 ]; then
    record "$name" failed $((SECONDS - begin)) "not done in $limit s"
  elif [ "$status" != 0 ]; then
    record "$name" failed $((SECONDS - begin)) "exit $status; $text"
  else
    record "$name" passed $((SECONDS - begin)) "$text"
  fi
  return "$status"
}

finish() {
  local device
  device=$(nvidia-smi --query-gpu=name,driver_version,memory.total \
    --format=csv,noheader 2>/dev/null | head -n 1)
  [ "$mode" = gpu ] || device="emulated on the host"
  {
    printf '{\n"mode": %s,\n"device": %s,\n"date": "%s",\n' \
      "$(quoted "$mode")" "$(quoted "${device:-none}")" \
      "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    printf '"seconds": %d,\n"failures": %d,\n"steps": [\n' "$SECONDS" \
      "$failures"
    sed '$!s/$/,/' "$steps"
    printf '],\n"benchmarks": [\n'
    local separator="" file
    for file in "$out"/bench-*.json; do
      [ -s "$file" ] || continue
      printf '%s' "$separator"
      cat "$file"
      separator=","
    done
    printf ']\n}\n'
  } >"$out/gpu_check.json"
  rm -f "$steps" "$out/step.log" "$out"/bench-*.json
  say "$failures failures; $out/gpu_check.json"
  [ "$failures" = 0 ] || exit 1
  exit 0
}

if [ "$mode" = gpu ] && [ -z "$binaries" ]; then
  binaries=$out/bin
  # Of the device alone, for speed.
  ARCHITECTURES=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader \
    2>/dev/null | head -n 1 | tr -d .)
  if [[ $ARCHITECTURES =~ ^[0-9]+$ ]]; then
    export ARCHITECTURES
  else
    unset ARCHITECTURES
  fi
  step build "$seconds" "$root/tools/gpu_check/build.sh" "$binaries" || finish
fi
[ -z "$build_only" ] || finish
if [ "$mode" = gpu ] && ! nvidia-smi -L >/dev/null 2>&1; then
  record device failed 0 "no GPU: nvidia-smi finds none"
  finish
fi

# What is fast to run comes first: if time runs out, it is benchmarks that lack.
step conformance 120 "$binaries/gpu_conformance"
first_case=""
for case in "$golden"/*/; do
  first_case=${first_case:-$case}
  name=$(basename "$case")
  step "golden $name fp32" 60 "$binaries/gpu_check" golden --case="$case" \
    --dtype=fp32
  [ ! -f "$case/bf16.json" ] ||
    step "golden $name bf16" 60 "$binaries/gpu_check" golden --case="$case" \
      --dtype=bf16
done
num_gpus=2  # emulated
[ "$mode" = host ] || num_gpus=$(nvidia-smi -L | grep -c '^GPU ')
for ranks in 2 4; do
  if [ "$num_gpus" -lt "$ranks" ]; then
    skip "golden on $ranks GPUs" "there are $num_gpus"
    continue
  fi
  step "golden on $ranks GPUs" 60 "$binaries/gpu_check" golden \
    --case="$first_case" --dtype=fp32 --ranks="$ranks"
done
for program in gpu_graphs gpu_nccl; do
  if [ -x "$binaries/$program" ]; then
    step "$program" 60 "$binaries/$program"
  else
    skip "$program" "not among the binaries"
  fi
done

sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
for tool in memcheck racecheck; do
  if [ "$mode" = gpu ] && [ -x "$sanitizer" ]; then
    step "compute-sanitizer $tool" 60 "$sanitizer" --tool="$tool" \
      --error-exitcode=9 "$binaries/gpu_conformance" \
      --gtest_filter='*PagedAttention*Length*:*LocalAttention*:*Norm*'
  else
    skip "compute-sanitizer $tool" "not on this machine"
  fi
done

# The largest batch of each model, in the two settings of the authors; first the
# pairs that their paper compares.
models="block_main_b4_85 vanilla_160 block_main_b4_1.2b vanilla_410
  block_main_b4_5 vanilla_31 block_main_b4_19 vanilla_70 block_main_b4_300
  block_main_b4_800"
settings="2048:128 128:2048"
limits=(--batch=0)
if [ "$mode" = host ]; then
  models="block_main_b4_5 vanilla_31" settings="8:4"
  limits=(--batch=1)
fi
for model in $models; do
  for setting in $settings; do
    step "bench $model ${setting/:/+}" 90 "$binaries/gpu_check" bench \
      --random="$model" --prefill="${setting%:*}" --decode="${setting#*:}" \
      "${limits[@]}" --json="$out/bench-$model-${setting/:/+}.json"
  done
done
finish

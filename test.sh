#!/usr/bin/env bash
# Installs what the tests need, builds, runs all tests; see --help.
set -euo pipefail
BLOCKSERVE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$BLOCKSERVE_ROOT"
. deploy/local/setup.sh

usage() {
  cat <<'TEXT'
Usage: ./test.sh [--long]

Installs what the tests need (Debian 12 packages as root or through sudo, and
Python packages into .venv), builds BlockServe, runs all its tests and closes
with a line "N passed, M failed, K skipped".

  --long   also what takes longer: the whole suite under AddressSanitizer and
           UndefinedBehaviorSanitizer, servers under ThreadSanitizer, more seeds
  --help   this text

With a folder ../shared beside the clone, its golden cases and tokenizer are
tested in addition.
TEXT
}

long=""
for argument in "$@"; do
  case "$argument" in
    --long) long=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      echo "error: unknown argument '$argument' (see ./test.sh --help)" >&2
      exit 2
      ;;
  esac
done

install_packages "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}"

venv=$BLOCKSERVE_ROOT/.venv
stamp=$venv/requirements.txt
if ! cmp -s tests/requirements.txt "$stamp"; then
  say "Python packages for the tests into .venv"
  rm -rf "$venv"
  /usr/bin/python3 -m venv --system-site-packages "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check \
    -r tests/requirements.txt || fail "pip could not install the packages (above)"
  cp tests/requirements.txt "$stamp"
fi

mapfile -t flags < <(bazel_flags)
flags+=("--test_env=BLOCKSERVE_PYTHON=$venv/bin/python3" --keep_going
  --show_progress_rate_limit=30 --test_summary=terse)
if [ -d ../shared/golden ]; then
  flags+=("--test_env=BLOCKSERVE_SHARED_DIR=$(cd ../shared && pwd)")
fi

# Runs bazel test and adds its test cases to the totals. Each pass is counted
# before the next one overwrites bazel-testlogs.
events=$(mktemp -d)
trap 'rm -rf "$events"' EXIT
status=0
run_tests() {
  local name=$1
  shift
  say "tests: $name"
  bazel test "${flags[@]}" --build_event_json_file="$events/$name.json" "$@" ||
    status=$?
  /usr/bin/python3 tests/support/count_tests.py "$events/$name.json" \
    >>"$events/totals" || status=1
}

# The CUDA toolkit is no package of ours: where it is, what needs it is tested.
cuda=""
if [ -e /usr/local/cuda/lib64/libnccl.so ]; then cuda=yes; fi

if [ -n "$long" ]; then
  run_tests default --test_tag_filters=-gpu //...
  run_tests tsan --config=tsan --build_tests_only \
    --test_tag_filters=-no_tsan,-python,-gpu //parallel/... //router/... \
    //runtime/engine/... //runtime/group/... //runtime/serving/... \
    //runtime/text/... //runtime/tokenizer/... //runtime/worker/...
  run_tests asan --config=asan --test_tag_filters=-gpu,-no_asan //...
else
  run_tests default --test_tag_filters=-gpu,-slow //...
  # Servers join under --long: now and then ThreadSanitizer reports what gRPC,
  # which is not built with it, does to its own objects.
  run_tests tsan --config=tsan --build_tests_only \
    --test_tag_filters=-no_tsan,-gpu,-slow \
    //parallel/... //runtime/engine/... //runtime/group/... \
    //runtime/tokenizer:tokenizer_threads_test
fi
if [ -n "$cuda" ]; then
  # What reads machine code needs a disassembler; without it that is skipped.
  .venv/bin/pip install --quiet -r tests/requirements-cuda.txt || true
  cuda_tags=-gpu
  if [ -z "$long" ]; then cuda_tags=-gpu,-slow; fi
  run_tests cuda --config=cuda --build_tests_only \
    --test_tag_filters="$cuda_tags" \
    //kernels/cuda/... //kernels/cuda_host/... //kernels/conformance/... \
    //parallel/backends/... //parallel/nccl/... //runtime/backend/... \
    //runtime/worker:worker_cuda_test //runtime/worker:worker_cuda_libraries_test \
    //tests/cli:cuda_test //tests/cuda_host/... //tools/gpu_check/...
else
  say "tests: cuda: skipped, no CUDA toolkit in /usr/local/cuda"
  echo "0 0 1" >>"$events/totals"
fi
gpu_tests=$(bazel query --noshow_progress 'attr(tags, "\bgpu\b", tests(//...))' \
  2>/dev/null | wc -l)

awk -v skipped_gpu="$gpu_tests" '
  { passed += $1; failed += $2; skipped += $3 }
  END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped + skipped_gpu }
' "$events/totals"
exit "$status"

#!/usr/bin/env bash
# Builds BlockServe and serves the embedded demo model; see --help.
set -euo pipefail
BLOCKSERVE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$BLOCKSERVE_ROOT"
. deploy/local/setup.sh

usage() {
  cat <<'TEXT'
Usage: ./quickstart.sh [--once PROMPT]

Installs the packages BlockServe builds with (Debian 12, as root or through
sudo), builds it, serves the embedded demo model on this machine with a router
and a group of two ranks, which share the model's weights and cache, streams the
answer to a prompt, and serves until Ctrl-C.

  --once PROMPT   print one completion of PROMPT to standard output and exit,
                  leaving nothing running
  --help          this text

Environment: PORT (gRPC, default 50051) and METRICS_PORT (default 9090).
TEXT
}

once=""
prompt="It was a truth"
while [ $# -gt 0 ]; do
  case "$1" in
    --once)
      [ $# -ge 2 ] && [ -n "$2" ] ||
        { echo "error: --once needs a prompt" >&2; exit 2; }
      once=yes
      prompt=$2
      shift 2
      ;;
    --once=?*)
      once=yes
      prompt=${1#--once=}
      shift
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      echo "error: unknown argument '$1' (see ./quickstart.sh --help)" >&2
      exit 2
      ;;
  esac
done

install_packages "${BUILD_PACKAGES[@]}"

say "building (the first time takes some minutes)"
mapfile -t flags < <(bazel_flags)
bazel build "${flags[@]}" --show_progress_rate_limit=10 \
  //runtime/cli:blockserve //router:blockserve_router \
  //runtime/worker:blockserve_worker >&2 || fail "the build failed (above)"
blockserve=$BLOCKSERVE_ROOT/bazel-bin/runtime/cli/blockserve
model=$BLOCKSERVE_ROOT/models/demo-block
ranks=(--tensor_parallel_size=2)
sampling=(--temperature=0.6 --max_tokens=60)

if [ -n "$once" ]; then
  bazel shutdown >/dev/null 2>&1 || true
  say "completing with the demo model on a group of two ranks"
  exec "$blockserve" generate --model="$model" --prompt="$prompt" \
    "${ranks[@]}" "${sampling[@]}"
fi

port=${PORT:-50051}
metrics_port=${METRICS_PORT:-9090}
log=$(mktemp -t blockserve.XXXXXX.log)
say "starting a router and a group of two ranks on the demo model (log: $log)"
"$blockserve" serve --model="$model" "${ranks[@]}" --port="$port" \
  --metrics_port="$metrics_port" >"$log" 2>&1 &
server=$!
stop() {
  trap - INT TERM EXIT
  kill -TERM "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  say "stopped"
}
trap 'stop; exit 0' INT TERM
trap stop EXIT

for _ in $(seq 300); do
  kill -0 "$server" 2>/dev/null || { tail -n 5 "$log" >&2; fail "the server ended (log above)"; }
  grep -q "^ready " "$log" && break
  sleep 0.1
done
grep -q "^ready " "$log" || { tail -n 5 "$log" >&2; fail "the server is not ready after 30 s (log above)"; }

say "\"$prompt\", continued by the demo model at temperature 0.6:"
echo
"$blockserve" generate --server="localhost:$port" --prompt="$prompt" \
  "${sampling[@]}"
cat <<TEXT

API:      localhost:$port   (gRPC, blockserve.v1.InferenceService, with reflection)
Metrics:  http://localhost:$metrics_port/metrics   (router)
$(sed -n '/^ready /s| worker_metrics=\(\S*\)|\n          \1   (rank)|gp' "$log" | tail -n +2)

Try next, in another terminal:
  bazel-bin/runtime/cli/blockserve generate --server=localhost:$port --prompt="Call me" --temperature=0.6 --max_tokens=80
  bazel-bin/runtime/cli/blockserve score --server=localhost:$port --context="And the LORD spake unto Moses, saying, Speak unto the children of" --continuation=" Israel"
  bazel-bin/runtime/cli/blockserve inspect --model=models/demo-block

Serving until Ctrl-C.
TEXT
wait "$server"

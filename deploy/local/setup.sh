# What quickstart.sh and test.sh share: packages, Bazel, messages. Sourced, not
# run. Expects BLOCKSERVE_ROOT to be the workspace.

BUILD_PACKAGES=(
  bazel-bootstrap g++ ca-certificates
  libgrpc++-dev libgrpc-dev libprotobuf-dev protobuf-compiler
  protobuf-compiler-grpc libabsl-dev libgoogle-glog-dev
  libgtest-dev libgmock-dev libbenchmark-dev prometheus-cpp-dev
  libdnnl-dev libgloo-dev libhwy-dev libpcre2-dev libutf8proc-dev
  nlohmann-json3-dev libyaml-cpp-dev libhwloc-dev libxxhash-dev libcli11-dev libssl-dev
)
TEST_PACKAGES=(
  clang-format git iproute2 nftables python3 python3-venv python3-numpy python3-torch
)

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "installing packages needs root or sudo: run '$*' yourself"
  fi
}

# Installs those of the named packages that are missing.
install_packages() {
  local missing=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null |
      grep -q 'install ok installed' || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    say "packages: all $# are installed"
    return
  fi
  command -v apt-get >/dev/null ||
    fail "this script installs Debian 12 packages with apt-get, which is not here"
  say "packages: installing ${#missing[@]}: ${missing[*]}"
  local log
  log=$(mktemp)
  if ! { as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q &&
    as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -q --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    fail "apt-get could not install the packages (last lines above)"
  fi
  rm -f "$log"
}

# Leaves a third of the memory to whatever else runs here.
memory_for_build() {
  awk '/MemTotal/ { printf "%d", $2 / 1024 * 2 / 3 }' /proc/meminfo
}

bazel_flags() {
  printf '%s\n' "--local_ram_resources=$(memory_for_build)" \
    "--jobs=$(nproc)" --color=no --curses=no
}

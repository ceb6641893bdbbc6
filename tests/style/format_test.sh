#!/bin/sh
# Every C++ file of the checkout is as clang-format leaves it.
set -eu
# The test sees links to the checkout; git needs the real folder.
root=$(dirname "$(readlink -f WORKSPACE)")
cd "$root"
if ! git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
  files=$(find . -name '.git' -prune -o -path './bazel-*' -prune -o \
    \( -name '*.cc' -o -name '*.h' \) -print)
else
  files=$(git -c safe.directory="$root" ls-files '*.cc' '*.h')
fi
[ -n "$files" ] || { echo "no C++ files found in $root" >&2; exit 1; }
# shellcheck disable=SC2086
clang-format --dry-run --Werror $files
echo "$(echo "$files" | wc -l) files are formatted"

#!/bin/sh
# Runs a Python test with the interpreter that has the tests' packages:
#   python_test.sh SCRIPT [ARGUMENT ...]
if [ -z "$BLOCKSERVE_PYTHON" ]; then
  echo "BLOCKSERVE_PYTHON is not set: run ./test.sh, or name a Python that has" >&2
  echo "tests/requirements.txt with --test_env=BLOCKSERVE_PYTHON=..." >&2
  exit 1
fi
export PYTHONDONTWRITEBYTECODE=1
exec "$BLOCKSERVE_PYTHON" "$@"

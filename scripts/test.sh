#!/usr/bin/env bash
# Lint, types and tests, in .venv. Arguments go to pytest: scripts/test.sh -m slow
set -euo pipefail
source "$(dirname "$0")/environment.sh"
install test
if [ $# -eq 0 ]; then
  .venv/bin/ruff check .
  .venv/bin/ruff format --check .
  .venv/bin/mypy
  .venv/bin/lint-imports --no-logo --no-cache
fi
# One process for each core with one thread each: the tests' networks are too small for more threads.
export OMP_NUM_THREADS=1
# Many processes import the same files: each would compile them again.
unset PYTHONDONTWRITEBYTECODE
exec .venv/bin/python -m pytest --quiet --numprocesses "$(.venv/bin/python -c 'import os; print(len(os.sched_getaffinity(0)))')" --dist loadfile "$@"

# To be sourced. `install [EXTRA]` creates .venv if there is none, and installs ganlab and what it needs into
# it, again whenever pyproject.toml has changed.
cd "$(dirname "${BASH_SOURCE[0]}")/.."

install() {
  local extra="${1:+[$1]}" stamp=".venv/ganlab-${1:-plain}.stamp"
  if [ ! -x .venv/bin/python ]; then
    "${PYTHON:-python3}" -m venv .venv || {
      echo "Python's venv module is missing; on Debian: apt-get install python3-venv" >&2
      exit 1
    }
  fi
  if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    echo "installing ganlab$extra and what it needs into .venv ..."
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".$extra"
    touch "$stamp"
  fi
}

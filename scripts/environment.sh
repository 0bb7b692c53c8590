# Sourced: makes .venv once, and again whenever pyproject.toml changed, and installs ganlab into it.
#   install [EXTRA]
cd "$(dirname "${BASH_SOURCE[0]}")/.."

install() {
  local wanted="${1:+[$1]}" stamp=".venv/ganlab-${1:-plain}.stamp"
  if [ ! -x .venv/bin/python ]; then
    "${PYTHON:-python3}" -m venv .venv || {
      echo "Python's venv module is missing; on Debian: apt-get install python3-venv" >&2
      exit 1
    }
  fi
  if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    echo "installing ganlab$wanted and what it needs into .venv ..."
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".$wanted"
    touch "$stamp"
  fi
}

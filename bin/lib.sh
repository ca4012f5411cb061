# Shared by the commands in bin/: makes or reuses .venv and installs what is needed, only when it changed.
# Written for the bash 3.2 of macOS as well as for Linux. Sourced, not run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV="$ROOT/.venv"
PYTHON="$VENV/bin/python"
LOCK="$ROOT/.venv.lock"
SUPPORTED='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'

cd "$ROOT" || exit 1
export PYTHONUNBUFFERED=1 OBJC_DISABLE_INITIALIZE_FORK_SAFETY=YES

say() { printf '%s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

# The first Python of a supported version: CRMSYNC_PYTHON, or the newest on the PATH.
find_python() {
  local name
  for name in ${CRMSYNC_PYTHON:-} python3.14 python3.13 python3.12 python3.11 python3 python; do
    if command -v "$name" >/dev/null 2>&1 && "$name" -c "$SUPPORTED" 2>/dev/null; then
      command -v "$name"
      return 0
    fi
  done
  say "No Python 3.11 to 3.14 was found."
  say "Install one (Debian/Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.13,"
  say "or https://www.python.org/downloads/), or name one: CRMSYNC_PYTHON=/path/to/python3.12 $0"
  return 1
}

# What must be installed for $1 (run or dev), as one number that changes when it does.
wanted() {
  if [ "$1" = dev ]; then cat requirements.txt requirements-dev.txt; else cat requirements.txt; fi | cksum
}

is_ready() {
  [ "$(cat "$VENV/.installed-$1" 2>/dev/null)" = "$(wanted "$1")" ] && "$PYTHON" -c "$SUPPORTED" 2>/dev/null
}

# One installer at a time; a lock whose owner is gone, or that has had none for five seconds, is taken over.
take_lock() {
  local owner told="" nobody=0
  until mkdir "$LOCK" 2>/dev/null; do
    owner=$(cat "$LOCK/pid" 2>/dev/null)
    if [ -n "$owner" ]; then nobody=0; else nobody=$((nobody + 1)); fi
    if { [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; } || [ "$nobody" -gt 5 ]; then
      rm -rf "$LOCK" || die "Cannot take over $LOCK."
      nobody=0
      continue
    fi
    [ -n "$told" ] || say "Another command (process ${owner:-?}) is installing packages: waiting for it."
    told=yes
    sleep 1
  done
  echo $$ >"$LOCK/pid"
  trap 'rm -rf "$LOCK"' EXIT
}

make_venv() {
  local base
  base=$(find_python) || return 1
  say "Making .venv with $("$base" -V) ($base)."
  rm -rf "$VENV"
  if "$base" -c 'import ensurepip, venv' 2>/dev/null; then
    "$base" -m venv "$VENV"
  elif "$base" -c 'import venv' 2>/dev/null && "$base" -m pip --version >/dev/null 2>&1; then
    # Debian without python3-venv: the system's pip can fill an environment that has none.
    "$base" -m venv --without-pip "$VENV" && "$base" -m pip --python "$PYTHON" install --quiet pip
  else
    say "This Python cannot make virtual environments: its venv, ensurepip or pip part is missing."
    say "Debian/Ubuntu: apt install python3-venv python3-pip. Elsewhere: install Python from python.org."
    return 1
  fi
}

# bootstrap run|dev: when it returns, $PYTHON works and has what is needed.
bootstrap() {
  is_ready "$1" && return 0
  take_lock
  if ! is_ready "$1"; then
    "$PYTHON" -c "$SUPPORTED" 2>/dev/null || make_venv || exit 1
    say "Installing packages into .venv (a minute or two the first time, then not again until they change)."
    local file=requirements.txt
    [ "$1" = run ] || file=requirements-dev.txt
    rm -f "$VENV"/.installed-*
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-input --prefer-binary -r "$file" ||
      die "Installing the packages failed; pip's words are above. Is this machine online?"
    wanted run >"$VENV/.installed-run"
    [ "$1" = run ] || wanted dev >"$VENV/.installed-dev"
  fi
  rm -rf "$LOCK"
  trap - EXIT
}

#!/usr/bin/env bash
# Names every missing tool at once, with the command that installs it on Debian.
set -uo pipefail

missing=()
need() { # need COMMAND "how to get it"
  command -v "$1" >/dev/null 2>&1 || missing+=("$1: $2")
}

need python3 "apt install python3 python3-venv"
need cargo "https://rustup.rs (Rust 1.90 or later)"
need node "apt install nodejs npm (Node 20 or later)"
need npm "apt install npm"
need cc "apt install gcc"
need cmake "apt install cmake"
need make "apt install make"

if command -v python3 >/dev/null 2>&1; then
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
    || missing+=("python3: 3.10 or later is needed, this is $(python3 --version)")
  python3 -c 'import ensurepip, venv' 2>/dev/null \
    || missing+=("python3-venv: apt install python3-venv")
fi
if command -v node >/dev/null 2>&1; then
  node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' \
    || missing+=("node: 20 or later is needed, this is $(node --version)")
fi

if ((${#missing[@]})); then
  echo "Please install first:" >&2
  printf '  %s\n' "${missing[@]}" >&2
  exit 1
fi

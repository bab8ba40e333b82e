#!/usr/bin/env bash
# Installs what only the tests need, where it may; otherwise says exactly what to install.
set -euo pipefail

declare -A packages=(
  [chromium]=chromium
  [firefox-esr]=firefox-esr
)
missing=()
for command in "${!packages[@]}"; do
  command -v "$command" >/dev/null 2>&1 || missing+=("${packages[$command]}")
done
((${#missing[@]})) || exit 0

install="apt-get install -y --no-install-recommends ${missing[*]}"
if command -v apt-get >/dev/null 2>&1 && [[ $(id -u) == 0 ]]; then
  echo "installing ${missing[*]} for the browser tests"
  log=$(mktemp)
  if { apt-get update && DEBIAN_FRONTEND=noninteractive $install; } >"$log" 2>&1; then
    rm -f "$log"
    exit 0
  fi
  tail -n 20 "$log" >&2
fi
echo "The browser tests need: sudo $install" >&2
[[ ${CI:-} != true ]]

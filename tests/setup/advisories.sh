#!/usr/bin/env bash
# Checks the Rust dependencies against the advisory database where it can be fetched.
# usage: advisories.sh CARGO_DENY
set -uo pipefail

report=$("$1" --log-level error --manifest-path runtime/Cargo.toml check advisories 2>&1)
status=$?
if grep -qiE 'failed to fetch|could not (resolve|connect)|unable to fetch|error fetching|advisory database' <<<"$report" && ((status != 0)) \
  && ! grep -q 'RUSTSEC-' <<<"$report"; then
  echo "cargo-deny advisories skipped: the advisory database cannot be reached from here"
  exit 0
fi
((status == 0)) || echo "$report" >&2
exit "$status"

#!/usr/bin/env bash
# Runs each fuzz target for FUZZ_SECONDS, from its seeds and from what earlier runs found.
set -euo pipefail
cd "$(dirname "$0")"

# libFuzzer needs flags that stable compilers keep for themselves.
export RUSTC_BOOTSTRAP=1
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/fuzz"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

"$CARGO_FUZZ" build --fuzz-dir .
for program in fuzz_targets/*.rs; do
  target=$(basename "$program" .rs)
  corpora=("corpus/$target")
  mkdir -p "${corpora[0]}"
  if [ "$target" = sdp ]; then corpora+=(../crates/peer/tests/data); fi
  if [ -d "seeds/$target" ]; then corpora+=("seeds/$target"); fi
  if ! "$CARGO_FUZZ" run --fuzz-dir . "$target" "${corpora[@]}" -- -max_len=65536 \
    -max_total_time="$FUZZ_SECONDS" -rss_limit_mb=2048 -print_final_stats=1 >"$log" 2>&1; then
    tail -n 60 "$log"
    exit 1
  fi
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  echo "$target: nothing found in $runs runs"
done

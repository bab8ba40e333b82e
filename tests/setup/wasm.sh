#!/usr/bin/env bash
# The pure crates also build for the browser; says so where the target cannot be had.
set -euo pipefail

target=wasm32-unknown-unknown
if ! command -v rustup >/dev/null 2>&1 || ! rustup target add "$target" >/dev/null 2>&1; then
  echo "build for $target skipped: rustup cannot add the target here"
  exit 0
fi
cargo check --manifest-path runtime/Cargo.toml --locked --quiet --target "$target" \
  -p remotemedia-core -p remotemedia-wire -p remotemedia-dsp -p remotemedia-executor

#!/usr/bin/env bash
# Runs the main job on a tenth of the images twice, with and without kills, and compares accuracy and loss digit by digit.
set -euo pipefail
build=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

job() {
  local name=$1
  shift
  if ! "$build/bin/fashion-demo" --images 6000 --epochs 1 --checkpoint-steps 20 --require-accuracy 0.6 --log "$scratch/$name.log" "$@" \
    >"$scratch/$name.out"; then
    cat "$scratch/$name.out" "$scratch/$name.log" >&2
    exit 1
  fi
  tail -n 1 "$scratch/$name.out" | grep -oE '"(accuracy|train_loss|train_steps|lost|duplicated)":[0-9.]+' >"$scratch/$name.result"
}

job killed
job undisturbed --no-kill
diff "$scratch/killed.result" "$scratch/undisturbed.result"

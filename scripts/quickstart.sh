#!/usr/bin/env bash
# Install ganlab into .venv, train two variants on handwritten digits that need no download, and compare them.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
install
output=$(mktemp)
trap 'rm -f "$output"' EXIT
for experiment in hinge_sn r3gan; do
  printf '\n== %s ==\n' "$experiment"
  .venv/bin/ganlab fit --config "experiments/digits/$experiment.yaml" --trainer.max_steps "${STEPS:-2000}" | tee -a "$output"
done
mapfile -t runs < <(sed -n 's/^run folder: //p' "$output")
printf '\n== which is better? (Fréchet distances of 10,000 samples; lower is better) ==\n'
.venv/bin/ganlab compare "${runs[@]}" --out report
printf '\nSamples, from the same latents:\n'
for run in "${runs[@]}"; do
  ls "$run"/samples/*.png | tail -n 1
done

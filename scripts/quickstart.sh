#!/usr/bin/env bash
# Install ganlab into .venv, train two variants on handwritten digits that need no download, and score them.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
install
said=$(mktemp)
trap 'rm -f "$said"' EXIT
for experiment in hinge_sn r3gan; do
  printf '\n== %s ==\n' "$experiment" | tee -a "$said"
  .venv/bin/ganlab fit --config "experiments/digits/$experiment.yaml" --trainer.max_steps "${STEPS:-2000}" | tee -a "$said"
done
printf '\nFréchet distances of 10,000 samples, and what images that were never trained on score; lower is better:\n'
grep -E '^(==|real floor|step)' "$said"
printf '\nSamples, from the same latents:\n'
for experiment in hinge_sn r3gan; do
  ls -d runs/digits/"$experiment"/*/samples/*.png | tail -n 1
done

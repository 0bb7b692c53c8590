#!/usr/bin/env bash
# Install ganlab into .venv and train two variants on handwritten digits that need no download.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
install
for experiment in hinge_sn r3gan; do
  echo
  echo "== $experiment =="
  .venv/bin/ganlab fit --config "experiments/digits/$experiment.yaml" --trainer.max_steps "${STEPS:-2000}"
done
echo
echo "Samples, from the same latents:"
for experiment in hinge_sn r3gan; do
  ls -d runs/digits/"$experiment"/*/samples/*.png | tail -n 1
done

#!/bin/bash
# One experiment on a SLURM cluster, submitted by hand; edit the options below for your cluster:
#   sbatch scripts/slurm.sh experiments/digits/r3gan.yaml [any option of ganlab fit]
# Submitted again or requeued, it resumes the run. `ganlab launch` writes such a script for many experiments
# and seeds, and shows the states of their runs.
#SBATCH --job-name=ganlab
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --time=4:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.log
set -euo pipefail
# A process for each GPU; two minutes before the limit the run is saved and its job requeued.
srun --kill-on-bad-exit=1 "${PYTHON:-.venv/bin/python}" -m ganlab fit --config "$@" --resume auto \
  --trainer.num_nodes="$SLURM_NNODES" --trainer.devices="$SLURM_NTASKS_PER_NODE"

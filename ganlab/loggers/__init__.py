"""Where a run's numbers and pictures go: its own files, Weights & Biases, TensorBoard."""

from ganlab.loggers.tensorboard import TensorBoard
from ganlab.loggers.wandb import SteadyWandbLogger

__all__ = ["SteadyWandbLogger", "TensorBoard"]

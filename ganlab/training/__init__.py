"""Lightning's Trainer with other defaults, and the strategy that trains two players on several devices."""

from ganlab.training.strategy import TwoPlayers
from ganlab.training.trainer import Trainer

__all__ = ["Trainer", "TwoPlayers"]

"""Lightning's Trainer and the strategy for two players."""

from ganlab.training.strategy import TwoPlayers
from ganlab.training.trainer import Trainer

__all__ = ["Trainer", "TwoPlayers"]

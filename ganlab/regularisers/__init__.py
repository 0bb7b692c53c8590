"""Terms, and changes of what the discriminator is shown, that join any game: `regularisers: [LeCam]`."""

from ganlab.game.parts import Regulariser
from ganlab.regularisers.ada import ADA
from ganlab.regularisers.approximated import ApproximatedPenalty
from ganlab.regularisers.bcr import BCR
from ganlab.regularisers.chain import CHAIN
from ganlab.regularisers.historical_averaging import HistoricalAveraging
from ganlab.regularisers.lecam import LeCam
from ganlab.regularisers.orthogonal import Orthogonal
from ganlab.regularisers.path_length import PathLength
from ganlab.regularisers.san import SAN
from ganlab.regularisers.temperature import Temperature

__all__ = [
    "ADA",
    "BCR",
    "CHAIN",
    "SAN",
    "ApproximatedPenalty",
    "HistoricalAveraging",
    "LeCam",
    "Orthogonal",
    "PathLength",
    "Regulariser",
    "Temperature",
]

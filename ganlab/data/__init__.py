"""The real samples: data sets, and the endless stream that training reads them from."""

from ganlab.data.order import Blocks, Shuffled, Stream
from ganlab.data.rows import Rows
from ganlab.data.sets.blanked import Blanked
from ganlab.data.sets.cats_vs_dogs import CatsVsDogs
from ganlab.data.sets.celeba import CelebA
from ganlab.data.sets.cifar10 import CIFAR10
from ganlab.data.sets.clips import Clips
from ganlab.data.sets.degraded import Degraded, Downscaled, Masked
from ganlab.data.sets.digits import Digits
from ganlab.data.sets.folder import ImageFolder
from ganlab.data.sets.gaussians import Gaussians
from ganlab.data.sets.labelled import Labelled
from ganlab.data.sets.lines import Lines
from ganlab.data.sets.mnist import EMNIST, KMNIST, MNIST, FashionMNIST
from ganlab.data.sets.moving_digits import MovingDigits
from ganlab.data.sets.one_class import LeaveOut, OneClass
from ganlab.data.sets.pairs import Pairs
from ganlab.data.sets.stacked_mnist import StackedMNIST
from ganlab.data.sets.unpaired import Unpaired
from ganlab.data.sets.waveforms import Waveforms
from ganlab.data.stream import StreamData

__all__ = [
    "CIFAR10",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "Blanked",
    "Blocks",
    "CatsVsDogs",
    "CelebA",
    "Clips",
    "Degraded",
    "Digits",
    "Downscaled",
    "FashionMNIST",
    "Gaussians",
    "ImageFolder",
    "Labelled",
    "LeaveOut",
    "Lines",
    "Masked",
    "MovingDigits",
    "OneClass",
    "Pairs",
    "Rows",
    "Shuffled",
    "StackedMNIST",
    "Stream",
    "StreamData",
    "Unpaired",
    "Waveforms",
]

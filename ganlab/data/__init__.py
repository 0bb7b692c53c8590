"""The real samples: data sets, and the endless stream that training reads them from."""

from ganlab.data.rows import Rows
from ganlab.data.sets.cats_vs_dogs import CatsVsDogs
from ganlab.data.sets.celeba import CelebA
from ganlab.data.sets.cifar10 import CIFAR10
from ganlab.data.sets.digits import Digits
from ganlab.data.sets.folder import ImageFolder
from ganlab.data.sets.gaussians import Gaussians
from ganlab.data.sets.mnist import EMNIST, KMNIST, MNIST, FashionMNIST
from ganlab.data.sets.pairs import Pairs
from ganlab.data.sets.stacked_mnist import StackedMNIST
from ganlab.data.stream import Blocks, Shuffled, Stream, StreamData

__all__ = [
    "CIFAR10",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "Blocks",
    "CatsVsDogs",
    "CelebA",
    "Digits",
    "FashionMNIST",
    "Gaussians",
    "ImageFolder",
    "Pairs",
    "Rows",
    "Shuffled",
    "StackedMNIST",
    "Stream",
    "StreamData",
]

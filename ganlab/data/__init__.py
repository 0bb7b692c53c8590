"""What the discriminator is shown as real."""

from ganlab.data.cats_vs_dogs import CatsVsDogs
from ganlab.data.celeba import CelebA
from ganlab.data.cifar10 import CIFAR10
from ganlab.data.digits import Digits
from ganlab.data.folder import ImageFolder
from ganlab.data.gaussians import Gaussians
from ganlab.data.mnist import EMNIST, KMNIST, MNIST, FashionMNIST
from ganlab.data.rows import Rows
from ganlab.data.stacked_mnist import StackedMNIST
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
    "Rows",
    "Shuffled",
    "StackedMNIST",
    "Stream",
    "StreamData",
]

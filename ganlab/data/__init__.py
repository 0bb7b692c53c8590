"""What the discriminator is shown as real."""

from ganlab.data.digits import Digits
from ganlab.data.gaussians import Gaussians
from ganlab.data.mnist import MNIST, FashionMNIST
from ganlab.data.stream import Blocks, Shuffled, Stream, StreamData

__all__ = ["MNIST", "Blocks", "Digits", "FashionMNIST", "Gaussians", "Shuffled", "Stream", "StreamData"]

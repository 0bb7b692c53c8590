"""Words whose characters are a softmax each: Gulrajani et al. 2017, arXiv:1704.00028, section 5."""

import torch
from torch import nn
from torch.nn.functional import one_hot
from torch.utils.data import TensorDataset

from ganlab.data import StreamData
from ganlab.media import Medium
from ganlab.metrics import Extractor, Seen

ALPHABET = "abcdefgh"


class Characters(Medium):
    form = "numbers of characters, bytes of shape (n, length)"
    suffix = ".txt"

    def played(self, stored, dtype=torch.float32):
        return stored if stored.is_floating_point() else one_hot(stored.long(), len(ALPHABET)).to(dtype)

    def stored(self, items):
        return items.argmax(-1).byte() if items.is_floating_point() else items

    @classmethod
    def holds(cls, items):
        return items.dtype == torch.uint8 and items.ndim == 2

    def write(self, path, item):
        path.write_text("".join(ALPHABET[number] for number in item))


class Words(StreamData):
    def __init__(self, length: int = 6, **base):
        super().__init__(**base)
        self.shape = (length, len(ALPHABET))

    @property
    def media(self):
        return (Characters(self.shape),)

    def load(self):
        first, steps = torch.arange(8)[:, None, None], torch.tensor([1, 2, 3])[:, None]
        words = ((first + steps * torch.arange(self.shape[0])) % 8).flatten(0, 1).byte()
        return TensorDataset(words[::2]), TensorDataset(words[1::2])


class Pairs(Extractor):
    """How often each character follows each other one."""

    name, suffix, medium = "pairs", "_pairs", Characters

    def protocol(self):
        return {"alphabet": ALPHABET}

    def see(self, words):
        pairs = words[:, :-1].long() * len(ALPHABET) + words[:, 1:]
        return Seen(one_hot(pairs, len(ALPHABET) ** 2).float().mean(1), None)


class Writer(nn.Sequential):
    def __init__(self, *, shape: tuple[int, ...], latent_size: int = 8):
        size = shape[0] * shape[1]
        super().__init__(nn.Linear(latent_size, size), nn.Unflatten(1, tuple(shape)), nn.Softmax(2))


class Reader(nn.Sequential):
    def __init__(self, *, shape: tuple[int, ...]):
        size = shape[0] * shape[1]
        super().__init__(nn.Flatten(), nn.Linear(size, 16), nn.ReLU(), nn.Linear(16, 1), nn.Flatten(0))

"""Raw sound of 16 bits: a medium, data, features of the loudness of frequencies, and two networks."""

import wave
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import TensorDataset

from ganlab.data import StreamData
from ganlab.media import Medium
from ganlab.metrics import Extractor, Seen

SIZE = 64


class Sound(Medium):
    form = "16-bit samples of shape (n, samples)"
    suffix = ".wav"

    def played(self, stored, dtype=torch.float32):
        return stored if stored.is_floating_point() else stored.to(dtype) / 32768

    def stored(self, items):
        levels = (items.float() * 32768).round().clamp(-32768, 32767).short()
        return levels if items.is_floating_point() else items

    @classmethod
    def holds(cls, items):
        return items.dtype == torch.int16

    drawable = True

    def sheet(self, items, columns=None):
        levels = self.played(self.stored(items)).abs().clamp(max=1)
        return Image.fromarray((levels * 255).byte().numpy())

    def write(self, path, item):
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 8000, len(item), "NONE", ""))
            file.writeframes(item.numpy().tobytes())

    @classmethod
    def read(cls, content):
        with wave.open(BytesIO(content)) as file:
            if file.getsampwidth() != 2:
                raise ValueError("not of 16 bits")
            return torch.from_numpy(np.frombuffer(file.readframes(file.getnframes()), "<i2").copy())


class Heard(Extractor):
    name, suffix, medium = "heard", "_heard", Sound

    def protocol(self):
        return {"bins": 8}

    def see(self, sounds):
        return Seen(torch.fft.rfft(sounds.float()).abs()[:, :8], None)


class Tones(StreamData):
    def __init__(self, **base):
        super().__init__(**base)
        self.shape = (SIZE,)

    @property
    def media(self):
        return (Sound(self.shape),)

    def load(self):
        time, pitch = torch.arange(SIZE), torch.arange(1, 41)[:, None]
        tones = (torch.sin(0.1 * pitch * time) * 20000).short()
        return TensorDataset(tones), TensorDataset(tones[:8])


class Net(nn.Sequential):
    def __init__(self, *, shape: tuple[int, ...], latent_size: int = 8):
        super().__init__(nn.Linear(latent_size, *shape), nn.Tanh())


class Judge(nn.Sequential):
    def __init__(self, *, shape: tuple[int, ...]):
        super().__init__(nn.Linear(*shape, 1), nn.Flatten(0))

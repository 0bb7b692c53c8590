"""Small runs that are sampled, exported and loaded."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from command_line import SMALL, here, run_folders, write

FAST = "generator_optimizer: {class_path: Adam, init_args: {lr: 0.01}}"  # so that the average falls behind
SCORED = SMALL.replace("latent_size: 4", f"latent_size: 4\n    ema_ramp: null\n    {FAST}")
SCORED += "evaluation: {extractor: Pixels, samples: 40, every_n_steps: 4}\n"
NETWORKS = {
    "batch": "DCGANGenerator, init_args: {width: 4, normalization: batch}",
    "spectral": "DCGANGenerator, init_args: {width: 4, normalization: spectral}",
    "residual": "ResNetGenerator, init_args: {width: 4, normalization: spectral_batch}",
    "r3gan": "R3GANGenerator, init_args: {width: 8, blocks: 1, group_size: 8}",
    "styles": "StyleGAN2Generator, init_args: {width: 4, max_width: 4, depth: 2, noise: false}",
    "linear": "MLPGenerator, init_args: {hidden: [16], activation: silu}",
}
LARGER_NETWORKS = {
    "biggan": "BigGANGenerator, init_args: {width: 4}",
    "attention": "ResNetGenerator, init_args: {width: 4, attention: [8]}",
    "transformer": "TransformerGenerator, init_args: {width: 16, blocks: 1}",
}
GAME = f"""\
model:
  class_path: HingeGAN
  init_args:
    latent_size: 4
    latent_distribution: uniform
    ema_ramp: null
    {FAST}
    generator: {{class_path: NETWORK}}
    discriminator: {{class_path: MLPDiscriminator, init_args: {{hidden: [16]}}}}
data: {{class_path: Digits, init_args: {{size: 8, batch_size: 8}}}}
trainer: {{max_steps: 5, accelerator: cpu}}
"""
MY_GENERATOR = '''\
import torch
from torch import nn


class MyGenerator(nn.Module):
    """A generator that, if it `hides`, depends on numbers that are no weights."""

    def __init__(self, *, shape: tuple[int, ...], latent_size: int = 4, hides: bool = False):
        super().__init__()
        self.shape = tuple(shape)
        self.layer = nn.Linear(latent_size, 64)
        self.hidden = torch.randn(64) if hides else 0

    def forward(self, latent):
        return (self.layer(latent) + self.hidden).tanh().unflatten(1, self.shape)
'''

POINTS = """\
model:
  class_path: HingeGAN
  init_args:
    latent_size: 4
    generator: {class_path: MLPGenerator, init_args: {hidden: [16], bounded: false}}
    discriminator: {class_path: MLPDiscriminator, init_args: {hidden: [16]}}
data: {class_path: Gaussians, init_args: {batch_size: 8}}
trainer: {max_steps: 2, accelerator: cpu}
"""
CONDITIONAL = """\
import torch
from torch import nn

from ganlab import GAN, losses

print("my_conditional is imported")


class MyGenerator(nn.Module):
    def __init__(self, *, shape: tuple[int, ...], latent_size: int = 4, classes: int = 10):
        super().__init__()
        self.shape = tuple(shape)
        self.shades = nn.Embedding(classes, 1)

    def forward(self, latent, label):
        return self.shades(label).tanh()[:, :, None, None].expand(-1, *self.shape)


class MyDiscriminator(nn.Module):
    def __init__(self, *, shape: tuple[int, ...]):
        super().__init__()
        self.layer = nn.Linear(shape[1] * shape[2], 1)

    def forward(self, images, label):
        return self.layer(images.flatten(1)).squeeze(1)


class MyConditional(GAN):
    loss = losses.hinge

    def condition(self, batch):
        return batch[1]

    def fake(self, generator, latent, condition):
        # Sample pictures during training are drawn without labels.
        labels = torch.arange(len(latent), device=latent.device) % 10
        return generator(latent, labels if condition is None else condition)
"""
CONDITIONAL_CONFIG = """\
model:
  class_path: my_conditional.MyConditional
  init_args:
    latent_size: 4
    generator: {class_path: my_conditional.MyGenerator}
    discriminator: {class_path: my_conditional.MyDiscriminator}
data: {class_path: Digits, init_args: {size: 8, batch_size: 8}}
trainer: {max_steps: 2, accelerator: cpu}
"""
OURS_LABELLED = """
model:
  class_path: HingeGAN
  init_args:
    conditional: true
    latent_size: 4
    generator: {class_path: DCGANGenerator, init_args: {width: 4, conditioning: normalization}}
    discriminator: {class_path: DCGANDiscriminator, init_args: {width: 4, normalization: spectral}}
data: {class_path: Digits, init_args: {size: 8, batch_size: 8}}
trainer: {max_steps: 2, accelerator: cpu}
"""
NEGATIVES = """\
import torch
from torch import nn
from torch.utils.data import TensorDataset

from ganlab import GAN, losses
from ganlab.data import StreamData
from ganlab.media import Pictures


class Negatives(StreamData):
    '''Pictures, and beside each its negative, which it is made from.'''

    def __init__(self, *, held_out: int = 260, **base):
        super().__init__(**base)
        self.shape, self.held_out = (3, 8, 8), held_out

    @property
    def media(self):
        return Pictures(self.shape), Pictures(self.shape)

    def load(self):
        source = torch.Generator().manual_seed(0)
        images = torch.randint(256, (270, *self.shape), dtype=torch.uint8, generator=source)
        pairs = TensorDataset(images, 255 - images)
        return pairs, TensorDataset(*(column[: self.held_out] for column in pairs.tensors))


class Negative(nn.Module):
    def __init__(self, *, shape: tuple[int, ...]):
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, latent, source):
        return 0 * self.nothing - source


class Judge(nn.Module):
    def __init__(self, *, shape: tuple[int, ...]):
        super().__init__()
        self.layer = nn.Linear(2 * 3 * 8 * 8, 1)

    def forward(self, images, source):
        return self.layer(torch.cat([images, source], 1).flatten(1)).squeeze(1)


class Repainted(GAN):
    '''Told each picture itself, with a hole.'''

    loss = losses.hinge

    def condition(self, batch):
        holed = batch[0].clone()
        holed[..., :4] = 0
        return holed
"""
NEGATIVES_CONFIG = """\
model:
  class_path: HingeGAN
  init_args:
    conditional: true
    latent_size: 4
    generator: {class_path: my_negatives.Negative}
    discriminator: {class_path: my_negatives.Judge}
data: {class_path: my_negatives.Negatives, init_args: {batch_size: 8}}
trainer: {max_steps: 2, accelerator: cpu}
"""
REPAINTED_CONFIG = NEGATIVES_CONFIG.replace("class_path: HingeGAN", "class_path: my_negatives.Repainted")
REPAINTED_CONFIG = REPAINTED_CONFIG.replace("    conditional: true\n", "")


def train_run(home: Path, text: str, *arguments: str, name: str = "small") -> Path:
    """Train with the configuration given and return the run's folder."""
    write(home, text, f"{name}.yaml")
    before = run_folders(home)
    answer = here("fit", "--config", f"{name}.yaml", *arguments, folder=home)
    assert answer.code == 0, answer
    (new,) = set(run_folders(home)) - set(before)
    return new


def import_for_test(monkeypatch: pytest.MonkeyPatch, name: str) -> ModuleType:
    """Import a module that is forgotten again after the test."""
    module = import_module(name)
    del sys.modules[name]
    monkeypatch.setitem(sys.modules, name, module)
    return module


def defined_classes(module: ModuleType) -> list[type]:
    return [each for each in vars(module).values() if getattr(each, "__module__", "") == module.__name__]


def export_run(run: Path, out: Path, *options: str) -> Path:
    """Export a run and return the export's folder."""
    answer = here("export", run, "--out", out, *options, folder=out.parent)
    assert answer.code == 0, answer
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []
    return out

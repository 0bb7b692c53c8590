"""Which classes a file that is read may name: no other is built, unless its reader says so."""

from torch import nn, optim
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from ganlab import fidelity, losses, media, networks, penalties, regularisers, variants
from ganlab.game.gan import GAN
from ganlab.game.parts import Penalty

# Classes that open no path, fetch nothing, and call nothing that a file can pass to them.
ALLOWED: dict[str, type] = {
    "ganlab.GAN": GAN,
    **{
        f"ganlab.media.{kind.__name__}": kind
        for kind in (
            *(media.LabelMap, media.Labels, media.Pictures, media.PicturesWithHoles),
            *(media.Points, media.Sound, media.Spectrogram, media.Text, media.Video),
        )
    },
    **{f"ganlab.networks.{name}": vars(networks)[name] for name in networks.__all__},
    **{
        f"ganlab.regularisers.{name}": vars(regularisers)[name]
        for name in regularisers.__all__
        if name != "Regulariser"
    },
    **{f"ganlab.variants.{name}": vars(variants)[name] for name in variants.__all__},
    **{
        f"{module.__name__}.{name}": kind
        for module, root in (
            (fidelity, fidelity.Fidelity),
            (losses, losses.Loss),
            (penalties, Penalty),
            (nn, nn.Module),
            (optim, Optimizer),
            (lr_scheduler, LRScheduler),
        )
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, root) and kind is not root and name[0] != "_"
        if kind not in (nn.DataParallel, lr_scheduler.LambdaLR, lr_scheduler.MultiplicativeLR)
    },
}

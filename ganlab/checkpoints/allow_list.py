"""Which classes a file that is read may name: no other is built, unless its reader says so."""

from torch import nn, optim
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from ganlab import losses, media, networks, variants
from ganlab.game.gan import GAN

# Classes that open no path, fetch nothing, and call nothing that a file can pass to them.
ALLOWED: dict[str, type] = {
    "ganlab.GAN": GAN,
    **{f"ganlab.media.{kind.__name__}": kind for kind in (media.Labels, media.Pictures, media.Points)},
    **{f"ganlab.networks.{name}": vars(networks)[name] for name in networks.__all__},
    **{f"ganlab.variants.{name}": vars(variants)[name] for name in variants.__all__},
    **{
        f"{module.__name__}.{name}": kind
        for module, root in (
            (losses, losses.Loss),
            (nn, nn.Module),
            (optim, Optimizer),
            (lr_scheduler, LRScheduler),
        )
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, root) and kind is not root and name[0] != "_"
        if kind not in (nn.DataParallel, lr_scheduler.LambdaLR, lr_scheduler.MultiplicativeLR)
    },
}

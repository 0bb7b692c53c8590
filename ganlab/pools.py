"""A history of generated images, from which a discriminator is shown some again."""

import torch
from torch import Tensor, nn

from ganlab import bounds


class Pool(nn.Module):
    """Images that a generator made in earlier steps (Shrivastava et al. 2017, arXiv:1612.07828, section 2.3).

    Once `size` of them are stored, for each image that comes in an older one goes out with probability one
    half, and the new one takes its place (Zhu et al. 2017, arXiv:1703.10593, section 4, with 50 images). Of
    one call at most `size` at a time do so, each with another.

    It couples samples, and each process has its own: a game names it in `per_process`, and gives it images
    once a micro-batch, in the discriminator's turn alone. It draws from the device's global generator, which
    the step has seeded, and never waits for the device.

    Args:
        size: Images that are stored; 0: every image goes out as it came in.
        shape: Of one of them.
    """

    images: Tensor
    stored: Tensor

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        bounds.at_least(0, self, size=size)
        self.size = size
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("stored", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """As many images, detached, some of which were stored before."""
        images = images.detach().to(self.images.dtype)
        return torch.cat([self._exchange(some) for some in images.split(self.size)]) if self.size else images

    def _exchange(self, images: Tensor) -> Tensor:
        count, device = len(images), images.device
        place = self.stored + torch.arange(count, device=device)
        empty = place < self.size
        # No two images have one place, so that the order of writing does not matter.
        self._put(images, place % self.size, empty)
        chosen = torch.rand(self.size, device=device).argsort()[:count]
        older = self.images[chosen]
        exchanged = ~empty & (torch.rand(count, device=device) < 0.5)
        self._put(images, chosen, exchanged)
        self.stored.add_(count).clamp_(max=self.size)
        return _where(exchanged, older, images)

    def _put(self, images: Tensor, places: Tensor, these: Tensor) -> None:
        self.images[places] = _where(these, images, self.images[places])


def _where(these: Tensor, images: Tensor, others: Tensor) -> Tensor:
    """For each sample the image if it is one of these, else the other."""
    return torch.where(these.view(-1, *[1] * (images.ndim - 1)), images, others)

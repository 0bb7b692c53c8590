from typing import Any

import torch
from torch import Tensor

from ganlab import bounds, losses
from ganlab.diffusion import MOST, Diffused, diffuse, some_steps
from ganlab.errors import Refused
from ganlab.game import checks
from ganlab.game.gan import GAN
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.losses import Loss
from ganlab.networks.several import single_networks
from ganlab.regularisers.overfitting import Overfitting


class DiffusionGAN(GAN):
    """Wang et al. 2022, arXiv:2206.02262: the discriminator is shown diffused samples, and told how diffused.

    Half of the samples are as they are, the others have taken t steps of diffusion, up to T, which rises
    while the discriminator overfits. It is called with samples and t, and with the condition if there is one:
    `networks.ToldSteps` makes such a discriminator of any that takes images.
    Couples samples: all of them set T, and each process draws noise of its own.

    Args:
        loss: The non-saturating one by default. Relativistic and Wasserstein logits do not tell overfitting.
        sigma: Standard deviation of the noise, in the numbers of samples.
        shortest: T at the beginning.
        longest: The largest T.
        target: T rises while `diffusion_overfitting` in the log is above (Karras et al. 2020,
            arXiv:2006.06676, eq. 1).
        kimg: Thousands of images in which T can rise all the way.
        every: Turns of the discriminator from one change of T to the next.
    """

    loss: Loss = losses.non_saturating

    def __init__(
        self,
        *,
        loss: Loss | None = None,
        sigma: float = 0.05,
        shortest: int = 10,
        longest: int = MOST,
        target: float = 0.6,
        kimg: float = 100.0,
        every: int = 4,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        bounds.at_least(0, self, sigma=sigma)
        bounds.between(2, MOST, self, shortest=shortest, longest=longest)
        bounds.at_least(shortest, self, longest=longest)
        self.loss = loss or self.loss
        self.boundary = losses.boundary_of(self.loss, self, self)
        self.sigma, self.shortest, self.longest = sigma, shortest, longest
        self.overfitting = Overfitting(self, target=target, kimg=kimg, every=every)
        for network in single_networks(self.discriminator):
            if not checks.takes(network, "images", "steps"):
                raise Refused(
                    "DiffusionGAN tells its discriminator how diffused images are, which\n"
                    f"{type(network).__name__} does not take: put it into networks.ToldSteps."
                )
            if self.conditional:
                checks.takes_condition(network, "discriminator", "images", "steps")

    @property
    def most_steps(self) -> Tensor:
        """T, a whole number."""
        return (self.shortest + self.overfitting.strength * (self.longest - self.shortest)).round()

    def augmented(self, images: Any) -> Diffused:
        images, longest = super().augmented(images), self.most_steps
        steps = some_steps(len(images), longest)
        return Diffused(diffuse(images, steps, longest, self.sigma), steps)

    def judge(self, images: Any, condition: Any) -> Any:
        if not isinstance(images, Diffused):  # as held-out reals are not
            images = Diffused(images, torch.zeros(len(images), dtype=torch.long, device=images.device))
        samples, steps = images
        return self.discriminator(samples, steps, *[] if condition is None else [condition])

    def discriminator_terms(self, turn: Turn) -> Terms:
        turn.note("diffusion_overfitting", self.overfitting.seen_in(turn.real_logits, self.boundary))
        turn.note("diffusion_steps", self.most_steps)
        return super().discriminator_terms(turn)

    def after_discriminator_step(self, logged: Terms) -> None:
        self.overfitting.follow(logged["diffusion_overfitting"], self.images_per_step // self.critic_steps)

from collections.abc import Sequence
from typing import Any

from torch import nn

from ganlab import bounds, losses
from ganlab.errors import Refused
from ganlab.fidelity import L1, L2, Fidelity
from ganlab.game.gan import GAN
from ganlab.game.players import SIDES, Name
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn


class Restoration(GAN):
    """Pictures from what is left of them, held near the real ones: super-resolution, inpainting, denoising.

    With little of the adversary it is SRGAN (Ledig et al. 2017, arXiv:1609.04802, eq. 3), ESRGAN or a context
    encoder (Pathak et al. 2016, arXiv:1604.07379, eq. 4), by its networks, data and terms. A stage of the
    generator alone trains it beforehand by fidelity (stages).

    Args:
        fidelity: Terms that hold what is made near the real, such as `L1`; each has a name of its own.
        loss: Of the adversary; none: non-saturating.
        adversarial_weight: Of the generator's term of that loss beside fidelity.
        tells: The players that are told what is left: a critic needs to take it, and to take its size.
        latent_size: Numbers in a latent; without any, a source makes one picture.
        conditional: Always true: there is nothing else to restore.
    """

    def __init__(
        self,
        *,
        fidelity: Sequence[Fidelity],
        loss: losses.Loss | None = None,
        adversarial_weight: float = 1.0,
        tells: Sequence[Name] = ("generator",),
        latent_size: int = 0,
        conditional: bool = True,
        **base: Any,
    ) -> None:
        super().__init__(latent_size=latent_size, conditional=conditional, **base)
        bounds.at_least(0, self, adversarial_weight=adversarial_weight)
        if not conditional or "generator" not in tells:
            raise Refused(
                f"{type(self).__name__} makes pictures from pictures, of which it would be told none:\n"
                "leave conditional out, and keep generator in tells."
            )
        names = [term.name for term in fidelity]
        if not names or len({*names}) < len(names):
            raise Refused(
                f"{type(self).__name__}: fidelity has the terms {', '.join(names) or 'none'}.\n"
                "It needs one, such as L1, or several of different names."
            )
        self.loss, self.tells = loss or losses.non_saturating, tuple(tells)
        self.adversarial_weight, self.fidelity = adversarial_weight, nn.ModuleList(fidelity)

    def generator_terms(self, turn: Turn) -> Terms:
        adversarial = super().generator_terms(turn)
        terms = {name: self.adversarial_weight * term for name, term in adversarial.items()}
        return {**terms, **{str(each.name): each(turn.fake, turn.real) for each in self.fidelity}}


class Pix2Pix(Restoration):
    """Isola et al. 2017, arXiv:1611.07004: pictures from source pictures, also held near the real ones.

    Both networks are told the source, the batch's second column; a map of logits is averaged over its places.

    Args:
        l1_weight: Weight of the mean absolute difference between made and real, the paper's lambda (eq. 4).
    """

    def __init__(self, *, l1_weight: float = 100.0, **base: Any) -> None:
        bounds.at_least(0, self, l1_weight=l1_weight)
        super().__init__(fidelity=[L1(l1_weight)], tells=SIDES, **base)
        self.l1_weight = l1_weight


class SRGAN(Restoration):
    """Ledig et al. 2017, arXiv:1609.04802, eq. 3: larger pictures from smaller ones (`data.Downscaled`).

    Args:
        fidelity: The paper's squared error, of pixels, or in their place of VGG's features (`Features`).
        adversarial_weight: Of the adversary's term beside them; the paper's.
    """

    def __init__(
        self, *, fidelity: Sequence[Fidelity] = (), adversarial_weight: float = 1e-3, **base: Any
    ) -> None:
        super().__init__(fidelity=fidelity or [L2()], adversarial_weight=adversarial_weight, **base)

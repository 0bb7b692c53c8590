from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ganlab import bounds, losses
from ganlab.errors import Refused
from ganlab.game import checks
from ganlab.game.codes import Codes
from ganlab.game.draws import Draws
from ganlab.game.gan import GAN
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.judgements import head, mean_over_critics


class InfoGAN(GAN):
    """Chen et al. 2016, arXiv:1606.03657: codes in the latent that a head of the discriminator guesses.

    A latent ends in its codes, and `latent_size` counts them: of 74 numbers 62 are noise beside a categorical
    code of ten values and two continuous ones. The head, named `code` (`networks.Heads`), has a number for
    each number of the codes. As in the authors' code both sides pay for its error: the discriminator, trunk
    and head, learns to guess codes, and the generator to be guessed.

    Args:
        categorical: Values of each categorical code.
        continuous: Codes that are uniform between -1 and 1.
        code_weight: Weight of the categorical codes' error, lambda in eq. 6.
        continuous_weight: Weight of the continuous codes' error.
    """

    loss = losses.non_saturating

    def __init__(
        self,
        *,
        categorical: Sequence[int] = (10,),
        continuous: int = 2,
        code_weight: float = 1.0,
        continuous_weight: float = 1.0,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        bounds.at_least(0, self, code_weight=code_weight, continuous_weight=continuous_weight)
        checks.heads_of_samples(self)
        self.codes, self.weights = Codes(categorical, continuous), (code_weight, continuous_weight)
        self.still_on_walks = self.codes.size
        if not 0 < self.codes.size <= self.latent_size:
            raise Refused(
                f"latent_size is {self.latent_size}, and {self.codes.size} numbers of it are codes.\n"
                "It counts noise and codes: give at least one code, and a latent_size of at least as many."
            )

    def latent(
        self, draws: Draws, *, truncation: float | None = None, code: Any = None, continuous: Any = None
    ) -> Tensor:
        """Noise, then codes.

        Args:
            truncation: The largest absolute value of a number of the noise.
            code: The value of the first categorical code, or a list for several; None: drawn.
            continuous: The same of continuous codes.
        """
        noise = super().latent(draws, truncation=truncation)[:, : self.latent_size - self.codes.size]
        return torch.cat([noise, self.codes.drawn(draws, code, continuous, noise.dtype)], 1)

    def code_error(self, turn: Turn) -> Tensor:
        equation = partial(self._error, codes=turn.latent[:, -self.codes.size :])
        return mean_over_critics(equation, head(turn.fake_heads, "code"))

    def _error(self, guessed: Tensor, codes: Tensor) -> Tensor:
        categorical, continuous = self.codes.errors(guessed, codes)
        return self.weights[0] * categorical + self.weights[1] * continuous

    def discriminator_terms(self, turn: Turn) -> Terms:
        return super().discriminator_terms(turn) | {"code": self.code_error(turn)}

    def generator_terms(self, turn: Turn) -> Terms:
        if not turn.adversarial:
            return {}
        return super().generator_terms(turn) | {"generator_code": self.code_error(turn)}

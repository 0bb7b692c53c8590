from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganlab import bounds, losses
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.game.players import Name
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.pools import Pool

DOMAINS = ("target", "source")


class CycleGAN(GAN):
    """Zhu et al. 2017, arXiv:1703.10593: pictures of one domain from those of another, without pairs.

    The generator is `Several` networks: `there` makes targets, a batch's first column, of sources, its
    second, and `back` makes sources of targets. Of the discriminator's, too, each of `target` and `source`
    judges its own domain. Samples are what `there` makes, unless the `direction` is back.

    Couples samples: critics are shown a history of what was made (section 4), which each process has its own.

    Args:
        cycle_weight: Weight of the way there and back again, the paper's lambda (eq. 3).
        identity_weight: Weight of leaving alone what is of the wanted domain already (section 5.2).
        pool_size: Pictures of each domain in that history; 0: critics are shown the newest.
        shape: Of a picture, of both domains; the data tell it.
        latent_size: Numbers in a latent; without any, a source makes one picture.
        conditional: Always true: this game makes pictures from pictures.
    """

    loss = losses.least_squares
    tells = ("generator",)
    directions = ("there", "back")
    direction = "there"
    per_process = ("pools",)

    def __init__(
        self,
        *,
        cycle_weight: float = 10.0,
        identity_weight: float = 5.0,
        pool_size: int = 50,
        shape: tuple[int, ...] | None = None,
        latent_size: int = 0,
        conditional: bool = True,
        **base: Any,
    ) -> None:
        super().__init__(latent_size=latent_size, conditional=conditional, **base)
        bounds.at_least(0, self, cycle_weight=cycle_weight, identity_weight=identity_weight)
        name = type(self).__name__
        if not conditional:
            raise Refused(f"{name} makes pictures from pictures: leave conditional out.")
        if shape is None:
            raise Refused(f"{name} keeps pictures that were made, and needs their shape: shape=(3, 64, 64).")
        if self.penalty_terms:
            raise Refused(
                f"{name} has two critics, of which penalty_terms would reach one: take spectral norm in both."
            )
        self.cycle_weight, self.identity_weight = cycle_weight, identity_weight
        self.pools = nn.ModuleDict({domain: Pool(pool_size, shape) for domain in DOMAINS})

    def tie(self) -> None:
        for player, names in ((self.generator, self.directions), (self.discriminator, DOMAINS)):
            try:
                _ = [player[name] for name in names]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                game, one = type(self).__name__, type(player).__name__
                raise Refused(
                    f"{game} plays with {' and '.join(names)}, not with one {one}:\n"
                    f"{{class_path: Several, init_args: {{names: [{', '.join(names)}], networks: [...]}}}}."
                ) from None

    def fake(self, generator: nn.Module, latent: Tensor, condition: Any) -> Any:
        return generator[self.direction](latent, condition)  # type: ignore[index]

    def judge(self, images: Any, condition: Any) -> Any:
        each = images if isinstance(images, Mapping) else {"target": images}
        return {domain: self.discriminator[domain](some) for domain, some in each.items()}  # type: ignore[index]

    def discriminator_terms(self, turn: Turn) -> Terms:
        with torch.no_grad():
            made = {"target": turn.fake, "source": self.way("back", turn, turn.real)}
        fakes = turn.logits({domain: self.pools[domain](some) for domain, some in made.items()})
        # A loss is the mean over both critics, whose losses the paper adds up; its authors' code halves them.
        return {"discriminator": 2 * self.loss.discriminator(self.reals(turn), fakes)}

    def generator_terms(self, turn: Turn) -> Terms:
        source, target = turn.condition, turn.real
        made_source = self.way("back", turn, target)
        cycle = (self.way("back", turn, turn.fake) - source).abs().mean()
        cycle = cycle + (self.way("there", turn, made_source) - target).abs().mean()
        terms = {"cycle": self.cycle_weight * cycle}
        if turn.adversarial:
            fakes: Any = {**turn.fake_logits, **turn.logits({"source": made_source})}
            # The paper's squares are not halved, as those of `losses.least_squares` are.
            terms["generator"] = 4 * self.loss.generator(fakes, lambda: self.reals(turn))
        if self.identity_weight:
            same = (self.way("there", turn, target) - target).abs().mean()
            same = same + (self.way("back", turn, source) - source).abs().mean()
            terms["identity"] = self.identity_weight * same
        return terms

    def reals(self, turn: Turn) -> Any:
        return {**turn.real_logits, **turn.logits({"source": turn.condition})}

    def way(self, which: str, turn: Turn, pictures: Tensor) -> Tensor:
        return self.generator[which](turn.latent, pictures)  # type: ignore[index, no-any-return]


class NICEGAN(CycleGAN):
    """Chen et al. 2020, arXiv:2003.00273: a generator begins with the encoder of the critic of its sources.

    The critics alone learn the encoders (section 3.2), by telling reals from fakes. In place of the identity,
    a picture is made again of its own code (eq. 4). Networks: `EncodingDiscriminator`, `EncodedGenerator`.

    Couples samples as CycleGAN does.

    Args:
        reconstruction_weight: Weight of that; the paper has 10.
        identity_weight: None in the paper.
    """

    def __init__(
        self, *, reconstruction_weight: float = 10.0, identity_weight: float = 0.0, **base: Any
    ) -> None:
        super().__init__(identity_weight=identity_weight, **base)
        bounds.at_least(0, self, reconstruction_weight=reconstruction_weight)
        self.reconstruction_weight = reconstruction_weight

    def tie(self) -> None:
        super().tie()
        for way, domain in (("there", "source"), ("back", "target")):
            try:
                self.generator[way].encoder = self.discriminator[domain].encoder  # type: ignore[index]
            except AttributeError:
                raise Refused("NICEGAN's critics are EncodingDiscriminators: they have an encoder.") from None

    def learns(self, side: Name) -> Mapping[str, nn.Parameter]:
        own = super().learns(side)
        if side == "discriminator":
            return own
        return {name: each for name, each in own.items() if ".encoder." not in name}

    def generator_terms(self, turn: Turn) -> Terms:
        there, back = self.generator["there"], self.generator["back"]  # type: ignore[index]
        again = (back.decoder(there.encoder(turn.condition)) - turn.condition).abs().mean()
        again = again + (there.decoder(back.encoder(turn.real)) - turn.real).abs().mean()
        return super().generator_terms(turn) | {"reconstruction": self.reconstruction_weight * again}

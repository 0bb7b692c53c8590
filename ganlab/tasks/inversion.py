"""Latents whose samples are nearest to pictures that are given, by search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils._pytree import tree_leaves

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.game.chunks import CHUNK_SIZE
from ganlab.game.gan import GAN
from ganlab.game.players import evaluating, frozen
from ganlab.game.rebuilding import Rebuilds
from ganlab.judgements import judged
from ganlab.networks.last_layer import last_layer
from ganlab.networks.random_layers import SampleNoise, drawing
from ganlab.networks.several import single_networks

Features = Callable[[Tensor], Tensor]
CANDIDATES = 256  # latents by chance, of which a search begins at the nearest


class Inverted(NamedTuple):
    """Of each picture the latent that was found, what is made of it, and how far that is.

    Attributes:
        pictures: As networks play with them.
        distances: In float64.
        steps: After so many of the search it was found.
    """

    latents: Tensor
    pictures: Tensor
    distances: Tensor
    steps: Tensor


class Search(NamedTuple):
    """How latents are sought: by gradient descent (Adam) from the nearest of some latents by chance.

    Schlegl et al. 2017 (AnoGAN), arXiv:1703.05921, section 2.2: the distance is that of pixels, and for a
    share of it that of the discriminator's features, each the mean absolute difference.

    Attributes:
        steps: At most.
        restarts: Searches from so many different latents, of which the best is kept.
        patience: A search ends for a picture after so many steps without a nearer one.
        feature_share: Lambda; 0: pixels alone.
        seed: Of the latents that searches begin with, the same for all pictures.
    """

    steps: int = 500
    restarts: int = 1
    rate: float = 0.05
    patience: int = 100
    feature_share: float = 0.1
    seed: int = 0


def invert(game: GAN, pictures: Tensor, search: Search | None = None) -> Inverted:
    """The latents of pictures, each by itself: neither their number nor their order matters.

    They are sought, or given at once by a game that makes pictures again, such as `Encoder`.

    Args:
        pictures: As data store them (bytes), or as networks play with them.
    """
    if isinstance(game, Rebuilds):
        rebuilt = [game.rebuild(chunk) for chunk in whole(as_played(game, pictures))]
        codes, made, apart = (torch.cat(column)[: len(pictures)] for column in zip(*rebuilt, strict=True))
        return Inverted(codes, made, apart.double(), torch.zeros(len(pictures), dtype=torch.long))
    search = search or Search()
    bounds.at_least(1, search, steps=search.steps, patience=search.patience)
    bounds.between(1, CANDIDATES, search, restarts=search.restarts)
    bounds.above(0, search, rate=search.rate)
    bounds.between(0, 1, search, feature_share=search.feature_share)
    if game.is_conditional or game.latent_size == 0:
        raise Refused(
            f"{type(game).__name__} makes samples of what it is told: latents are sought for games that are\n"
            "told nothing."
        )
    pictures = as_played(game, pictures)
    with evaluating(game.ema.network, game.discriminator), frozen(game.parameters()):
        found = [_searched(game, chunk, search) for chunk in whole(pictures)]
    return Inverted(*(torch.cat(column)[: len(pictures)] for column in zip(*found, strict=True)))


def as_played(game: GAN, pictures: Tensor) -> Tensor:
    medium = game.medium(pictures)
    if tuple(pictures.shape[1:]) != tuple(medium.shape):
        raise Refused(
            f"{type(game).__name__} makes samples of {tuple(medium.shape)}: those of\n"
            f"{tuple(pictures.shape[1:])} are none."
        )
    dtype = cast(torch.dtype, game.dtype)
    return medium.played(pictures.to(game.device), dtype) if not pictures.is_floating_point() else pictures


def whole(pictures: Tensor) -> Iterator[Tensor]:
    """All pictures in chunks of one size, which networks round alike; the last is filled up by its first."""
    for chunk in pictures.split(CHUNK_SIZE):
        yield chunk[torch.arange(CHUNK_SIZE) % len(chunk)]


def _searched(game: GAN, pictures: Tensor, search: Search) -> Inverted:
    noise = SampleNoise(search.seed, [0] * len(pictures))
    features, share = features_of(game.discriminator), search.feature_share
    wanted = features(pictures).detach() if share else pictures

    def distances(made: Tensor) -> Tensor:
        pixels = (made - pictures).abs().flatten(1).mean(1)
        if not share:
            return pixels
        return (1 - share) * pixels + share * (features(made) - wanted).abs().flatten(1).mean(1)

    def make(latents: Tensor) -> Tensor:
        with drawing(noise):
            return game.fake(game.ema.network, latents, None)

    best: Inverted | None = None
    for start in _starts(game, pictures, search):
        found = _descended(make, distances, start, search)
        nearer = found.distances < best.distances if best else torch.ones_like(found.steps, dtype=torch.bool)
        best = Inverted(*(_where(nearer, *pair) for pair in zip(found, best or found, strict=True)))
    assert best
    return best


def _starts(game: GAN, pictures: Tensor, search: Search) -> list[Tensor]:
    """For each restart a latent of each picture: of some by chance the nearest ones."""
    latents = game.latents(CANDIDATES, seed=search.seed)
    if not isinstance(latents, Tensor):
        raise Refused(
            f"{type(game).__name__} makes a sample of several latents at once: none is sought (invert)."
        )
    made = game.generate(latents, seed=search.seed)
    apart = torch.cat([(each - made).abs().flatten(1).mean(1)[None] for each in pictures])
    nearest = apart.topk(search.restarts, largest=False).indices
    return [latents[nearest[:, number]] for number in range(search.restarts)]


def _descended(
    make: Callable[[Tensor], Tensor], distances: Callable[[Tensor], Tensor], start: Tensor, search: Search
) -> Inverted:
    latents = start.clone().requires_grad_()
    adam = Adam([latents], lr=search.rate)
    best: Inverted | None = None
    for step in range(search.steps + 1):
        made = make(latents)
        apart = distances(made)
        now = Inverted(
            latents.detach().clone(),
            made.detach(),
            apart.detach().double(),
            torch.full((len(start),), step, device=start.device),
        )
        if best is None:
            best = now
        else:
            nearer = (now.distances < best.distances) & (step - best.steps <= search.patience)
            best = Inverted(*(_where(nearer, *pair) for pair in zip(now, best, strict=True)))
        if step == search.steps or bool((step - best.steps >= search.patience).all()):
            break
        (latents.grad,) = torch.autograd.grad(apart.sum(), [latents])
        adam.step()
    assert best
    return best


def _where(chosen: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return torch.where(chosen.view(-1, *[1] * (one.ndim - 1)), one, other)


def features_of(discriminator: nn.Module) -> Features:
    """What the last layer of a critic is given; of several, of each; else its logits."""
    layers = [layer for network in single_networks(discriminator) if (layer := last_layer(network))]

    def features(pictures: Tensor) -> Tensor:
        seen: list[Tensor] = []
        hooks = [
            layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for layer in layers
        ]
        try:
            said = judged(discriminator(pictures))
        finally:
            for hook in hooks:
                hook.remove()
        found: list[Any] = seen or tree_leaves(said.logits)
        return torch.cat([each.flatten(1) if each.ndim > 1 else each[:, None] for each in found], 1)

    return features

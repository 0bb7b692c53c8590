"""Several networks as one player: many critics, critics at several scales, the two generators of a cycle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any, Protocol

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from ganlab import bounds
from ganlab.class_paths import keyword_arguments, made_by
from ganlab.errors import Refused
from ganlab.media import Medium, Pictures
from ganlab.networks.layers import picture
from ganlab.networks.pretrained import Pretrained

MOST_COPIES = 1_000


class Factory(Protocol):
    """Makes a network that is told the facts of the data: of these it takes those that it has arguments for.

    In a configuration it is a class path with all other arguments.
    """

    def __call__(
        self,
        *,
        shape: tuple[int, ...] = ...,
        classes: int | None = ...,
        condition: Medium | None = ...,
        latent_size: int = ...,
    ) -> nn.Module: ...


class Wrapping(nn.Module):
    """The base of networks around another one, which they tell the condition that they are told."""

    @property
    def wrapped(self) -> nn.Module:
        return self.get_submodule("network")


class Several(nn.Module):
    """Networks that play one side together: as critics they all judge, and losses are means over critics.

    A list, or a mapping by name, in YAML of class paths with arguments, in Python of what makes each network:
    `MLPDiscriminator`, or `partial(MLPDiscriminator, hidden=(64,))`. Each is told those of the facts below
    that it takes as arguments; a shape or condition that it was given in Python stands.

    `several[0]`, `several["name"]`, `len` and iteration are those of `nn.ModuleList` and `nn.ModuleDict`.

    Args:
        networks: What makes each of them.
        copies: So many of each network of a list, each with weights of its own.
        names: Instead, a copy of the list's only network by each of these names.
        shape: Of a sample.
        classes: How many the data have.
        condition: What a batch's second column holds, in a conditional game.
        latent_size: Numbers in a latent.
    """

    def __init__(
        self,
        *,
        networks: list[Factory] | dict[str, Factory],
        copies: int = 1,
        names: Sequence[str] = (),
        shape: tuple[int, ...] | None = None,
        classes: int | None = None,
        condition: Medium | None = None,
        latent_size: int | None = None,
    ) -> None:
        super().__init__()
        bounds.between(1, MOST_COPIES, self, copies=copies)
        if not networks:
            raise Refused(f"{type(self).__name__}: networks is empty; name at least one network.")
        if names:
            networks = self._named(networks, names)
        self.shape = shape and tuple(shape)
        facts = {"shape": shape, "classes": classes, "condition": condition, "latent_size": latent_size}
        self.networks: nn.ModuleList | nn.ModuleDict
        if isinstance(networks, Mapping):
            if copies > 1:
                raise Refused(f"{type(self).__name__}: copies are made of a list of networks, not of names.")
            self.networks = by_name(self, {name: told(make, facts) for name, make in networks.items()})
        else:
            self.networks = nn.ModuleList(told(make, facts) for make in networks for _ in range(copies))

    def _named(self, networks: Any, names: Sequence[str]) -> dict[str, Factory]:
        if isinstance(networks, Mapping) or len(networks) != 1 or len({*names}) != len(names):
            raise Refused(
                f"{type(self).__name__}: names are of copies of one network: give networks a list of one,\n"
                "and each copy another name."
            )
        return dict.fromkeys(names, networks[0])

    def __getitem__(self, which: Any) -> Any:
        return self.networks[which]

    def __len__(self) -> int:
        return len(self.networks)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.networks)

    def forward(self, inputs: Any, condition: Any = None) -> Any:
        """What each network returns, in a list or by name.

        Of inputs, and of conditions, by just the networks' names each network is given its own; all others
        are given to all.
        """
        if isinstance(self.networks, nn.ModuleList):
            return [_called(network, inputs, condition) for network in self.networks]
        return {
            name: _called(network, self._own(inputs, name), self._own(condition, name))
            for name, network in self.networks.items()
        }

    def _own(self, values: Any, name: str) -> Any:
        by_name = isinstance(values, Mapping) and values.keys() == {*self.networks}
        return values[name] if by_name else values


class MultiScale(Several):
    """Critics of images at several scales: Wang et al. 2018 (pix2pixHD), arXiv:1711.11585, section 3.2.

    The k-th is shown images whose pixels are means over squares of `scales[k]` pixels a side, and is told
    their smaller shape. Pictures that are the condition are made smaller too; labels are what they are.

    Args:
        networks: What makes the critic of every scale, or a list of one for each.
        scales: By how much images are made smaller for each critic; 1 leaves them as they are.
        shape: Of an image.
        classes: How many the data have.
        condition: What a batch's second column holds, in a conditional game.
    """

    def __init__(
        self,
        *,
        networks: list[Factory] | Factory,
        scales: Sequence[int] = (1, 2),
        shape: tuple[int, ...],
        classes: int | None = None,
        condition: Medium | None = None,
    ) -> None:
        bounds.at_least(1, self, **{f"scales[{index}]": scale for index, scale in enumerate(scales)})
        each = [networks] if callable(networks) else [*networks]
        if len(each) == 1:  # The command line makes a list of it where one of its arguments is changed.
            each *= len(scales)
        if len(each) != len(scales):
            raise Refused(f"MultiScale has {len(each)} networks for {len(scales)} scales.")
        smaller = [(_smaller(shape, scale), _smaller_medium(condition, scale)) for scale in scales]
        facts = [{"shape": size, "classes": classes, "condition": medium} for size, medium in smaller]
        super().__init__(networks=[partial(told, *pair) for pair in zip(each, facts, strict=True)])
        self.shape, self.scales = tuple(shape), tuple(scales)
        self.told_pictures = isinstance(condition, Pictures)

    def forward(self, images: Tensor, condition: Any = None) -> list[Any]:
        return [
            _called(network, _averaged(images, scale), self._condition(condition, scale))
            for network, scale in zip(self, self.scales, strict=True)
        ]

    def _condition(self, condition: Any, scale: int) -> Any:
        return _averaged(condition, scale) if self.told_pictures and condition is not None else condition


def single_networks(network: nn.Module) -> Iterator[nn.Module]:
    """The networks that a player consists of: itself, unless it is several, or holds a finished one."""
    if not isinstance(network, Several | Pretrained):
        yield network
        return
    parts = network.networks.children() if isinstance(network, Several) else [network.network]
    for part in parts:
        yield from single_networks(part)


def wrapped_networks(network: nn.Module) -> Iterator[nn.Module]:
    """The networks within a network, if it wraps some, the outer ones first."""
    for inner in single_networks(network.wrapped) if isinstance(network, Wrapping) else ():
        yield inner
        yield from wrapped_networks(inner)


def told(make: Factory, facts: Mapping[str, Any]) -> nn.Module:
    """A network, told the facts that it takes; but for latent_size, one that it was given stands."""
    kind, given = made_by(make)
    taken = keyword_arguments(kind)
    fitting = {name: fact for name, fact in facts.items() if fact is not None and name in taken}
    own = {name for name in fitting if given.get(name) is not None} - {"latent_size"}
    return make(**{name: fact for name, fact in fitting.items() if name not in own})


def by_name(owner: nn.Module, networks: dict[str, nn.Module]) -> nn.ModuleDict:
    """Networks by names that torch can give them."""
    try:
        return nn.ModuleDict(networks)
    except (KeyError, TypeError) as error:  # torch's own, of names with a dot and of its methods' names
        name = type(owner).__name__
        raise Refused(f"{name} cannot name its networks so: {error.args[0]}. Take other names.") from error


def _called(network: nn.Module, inputs: Any, condition: Any) -> Any:
    return network(inputs) if condition is None else network(inputs, condition)


def _averaged(images: Tensor, scale: int) -> Tensor:
    return images if scale == 1 else avg_pool2d(images, scale)


def _smaller(shape: tuple[int, ...], scale: int) -> tuple[int, ...]:
    channels, height, width = picture(shape)
    if height % scale or width % scale:
        raise Refused(
            f"Pictures of {height} x {width} pixels have no means over squares of {scale} x {scale}\n"
            "(MultiScale's scales): choose scales that divide both sides, or another size in the data."
        )
    return channels, height // scale, width // scale


def _smaller_medium(condition: Medium | None, scale: int) -> Medium | None:
    if not isinstance(condition, Pictures):
        return condition
    smaller = copy(condition)
    smaller.shape = _smaller(condition.shape, scale)
    return smaller

"""What `ganlab evaluate` compares fakes with: a data set, an experiment's, or anybody's images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch import LightningDataModule
from torch import Tensor

from ganlab import data
from ganlab.cli.arguments import is_path
from ganlab.cli.parser import instantiated
from ganlab.data.pictures.archive import reading
from ganlab.data.pictures.decode import Transparency
from ganlab.data.stream import Split, StreamData
from ganlab.errors import Refused
from ganlab.media import Medium
from ganlab.metrics.contract import Contract
from ganlab.metrics.given import Given
from ganlab.metrics.given_items import given
from ganlab.metrics.observed import Reals
from ganlab.metrics.reference import contract_of, given_reals, parameters_of, prepare_reference
from ganlab.metrics.scorer import Scorer
from ganlab.system.untrusted import readable, yaml_config


class Reference(NamedTuple):
    """What fakes are compared with.

    Attributes:
        floor: The scores of reals that were never trained on; empty for images from elsewhere.
        transparency: What became of transparent pictures among the reals, if there were any.
    """

    reals: Reals
    contract: Contract
    floor: dict[str, Any]
    transparency: Transparency | None = None


def named_reference(chosen: Any, settings: dict[str, Any]) -> StreamData | Path:
    """The data, or where the items from elsewhere lie, that scores compare with."""
    reference = chosen.reference or settings.get("data")
    if not reference:
        raise Refused(
            "Images from elsewhere and exports need something to be compared with:\n"
            "--reference with a data class (CelebA), an experiment file or images."
        )
    if isinstance(reference, str) and reference not in data.__all__ and is_path(reference):
        reference = _path_to(reference)
    if isinstance(reference, Path) and reference.suffix in (".yaml", ".yml"):
        reference = yaml_config(reference, []).get("data")
    if not reference:
        raise Refused(f"{chosen.reference} is no experiment's file: it names no data (--reference).")
    if isinstance(reference, Path):
        return reference
    stream: StreamData = instantiated("data", LightningDataModule, reference)
    return stream


def compared_with(
    reference: StreamData | Path, chosen: Any, medium: type[Medium], read: Callable[[bytes], Tensor]
) -> StreamData | Given:
    """The data, prepared, or the items of a medium from elsewhere, which `read` makes of files."""
    if isinstance(reference, Path):
        return given(reference, medium, chosen.transparency, read)
    reference.prepare_data()
    return reference


def reference_of(
    compared: StreamData | Given,
    split: Split,
    scorer: Scorer,
    **fakes: Any,
) -> Reference:
    """The reals, and the contract of samples that are scored against them.

    Args:
        fakes: What the contract says of these: fakes, seed, conditions, choices.
    """
    if isinstance(compared, StreamData):
        reals, floor = prepare_reference(scorer, compared, split)
        contract = contract_of(scorer, compared, split, **fakes)
        return Reference(reals, contract, floor)
    if scorer.needs("training"):
        raise Refused(
            "The score copied compares with training images, by others that were held out: name a data\n"
            "class or an experiment file by --reference, or leave copied out of --scores."
        )
    reals = given_reals(scorer, compared)
    identity = scorer.extractor.identity(), compared.identity
    parameters = parameters_of(scorer, compared.total)
    if scorer.needs("classes") and compared.sorted_classes:
        # The images' identity is their pixels', in whatever folders they lie.
        for score in (name for name, row in scorer.rows.items() if row.needs == "classes"):
            parameters.setdefault(score, {})["classes"] = compared.sorted_classes.digest
    counts = compared.total, scorer.samples
    contract = Contract(*identity, *counts, **fakes, parameters=parameters)
    return Reference(reals, contract, {}, compared.told_transparency())


def _path_to(reference: str) -> Path:
    path = Path(reference).expanduser()
    with reading(path):
        if not path.is_file() and not path.is_dir():
            raise Refused(f"There is no {readable(reference)} to compare with (--reference).")
    return path

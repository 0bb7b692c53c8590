"""What is told beside scores that look better than the samples are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ganlab.metrics.class_scores import agreement
from ganlab.metrics.observed import Reals
from ganlab.metrics.scorer import Scorer
from ganlab.metrics.scores import wilson


def cautions(
    scorer: Scorer, real: Reals, values: Mapping[str, float | None], floor: Mapping[str, Any]
) -> Iterator[str]:
    """A sentence for each thing that is to be said of these scores."""
    known = {score: values.get(scorer.names(score)[0]) for score in scorer.rows}
    copied, share = known.get("copied"), known.get("class_agreement")
    if copied and real.training and real.training.alarms(copied, scorer.samples):
        eyes = scorer.extractor.name
        yield f"about {copied:.0%} of the samples are copies of training images, as {eyes} sees them"
    of_reals = _agreement_of_reals(scorer, real, floor) if share else None
    if share and of_reals and wilson(share, scorer.samples)[0] > wilson(*of_reals)[1]:
        yield (
            f"{share:.1%} of the samples look like the class that they were told, and of reals"
            f" {of_reals[0]:.1%}:\nwhere class_variance is far below 1 they are caricatures, alike in a class"
        )


def _agreement_of_reals(scorer: Scorer, real: Reals, floor: Mapping[str, Any]) -> tuple[float, int] | None:
    """The share of reals that look like their class, and of how many: of the floor, else of the reference."""
    count = int(floor.get("samples", 0))
    name = scorer.of(max(count, 2)).names("class_agreement")[0]
    if floor.get(name) is not None:
        return float(floor[name]), count
    if not (real.classes and real.rows and real.rows.logits is not None):
        return None
    return agreement(real.rows.logits, real.classes), len(real.rows.logits)

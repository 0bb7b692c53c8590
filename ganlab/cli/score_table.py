"""The scores of an evaluation with their floors, as a table or as JSON."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ganlab.metrics.reference import numbers_of

UNSEEN = "reals that were never trained on"


def print_scores(row: dict[str, Any], *, as_json: bool) -> None:
    scores, floor = row["scores"], row["floor"]
    if as_json:
        answer = {"scores": {name: {"value": value} for name, value in scores.items()}, "floor": floor}
        names = ("beside_floor", "step", "checkpoint", "selected_among", "reasons", "contract")
        answer |= {name: row[name] for name in names if name in row}
        print(json.dumps(answer, allow_nan=False))
        return
    table = Table("score", "value", "real floor", box=None)
    # The floor's names hold its number of samples, so that each stands beside a score of as many.
    for name, value in {**scores, **numbers_of(row["beside_floor"])}.items():
        text = row["reasons"].get(name, "") if value is None else f"{value:.5g}"
        low = floor.get(name)
        table.add_row(Text(name), Text(text), "" if low is None else f"{low:.5g}")
    Console().print(table)
    step = f"step {row['step']:,} ({row['checkpoint']})" if "checkpoint" in row else ""
    for line in filter(None, (*row["cautions"], step, row["note"])):
        print(line)
    print(f"{row['says']}  (contract {row['contract']['hash'][:12]})")
    if floor:
        others = "training images" if row["contract"]["data"]["split"] == "held_out" else UNSEEN
        print(f"real floor: {floor['samples']:,} {others}, in place of the fakes")

"""Comparisons of runs written by hand: groups, tables, troubles, damaged files, and the command."""

import csv
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from command_line import Answer, here
from scipy import stats

from ganlab.cli.compare import read_runs
from ganlab.comparison import read_wandb, tables, text
from ganlab.comparison.ranking import Question
from ganlab.comparison.read import find_run_folders, read_run
from ganlab.comparison.report import words
from ganlab.comparison.report.samples import images_at
from ganlab.comparison.result import Comparison, Table
from ganlab.comparison.settings import settings_of
from ganlab.errors import Refused
from ganlab.metrics.contract import Contract
from ganlab.metrics.names import hash_of
from ganlab.runs.records import evaluations

CONTRACT = Contract(
    extractor={"name": "digits", "sha256": "ab", "dtype": "float32"},
    data={"class": "Digits", "split": "train", "fingerprint": "cd"},
    reals=1497,
    samples=10_000,
    fakes="ema",
    seed=0,
).plain()
OTHER = Contract(**{**{k: v for k, v in CONTRACT.items() if k != "hash"}, "reals": 9}).plain()
FLOOR = {"samples": 10_000, "fid10k_digits": 0.5, "is10k_digits": 8.0}
STEPS, BATCH = 1000, 64


def config(**changed: Any) -> dict[str, Any]:
    """A run's configuration, with settings changed by their dotted names."""
    tree: dict[str, Any] = {
        "seed_everything": 0,
        "trainer": {"devices": 1, "num_nodes": 1, "max_steps": STEPS, "precision": "32", "logger": None},
        "model": {
            "class_path": "ganlab.variants.R3GAN",
            "init_args": {
                "gamma": 1.0,
                "critic_steps": 1,
                "penalty_every": 1,
                "accumulation": 1,
                "generator": {"class_path": "ganlab.networks.DCGANGenerator", "init_args": {"width": 16}},
                "discriminator": {
                    "class_path": "ganlab.networks.DCGANDiscriminator",
                    "init_args": {"width": 16},
                },
            },
        },
        "data": {"class_path": "ganlab.data.Digits", "init_args": {"batch_size": BATCH, "root": "/here"}},
        "evaluation": {"samples": 10_000, "every_n_steps": 500},
        "samples": {"count": 64},
        "init_from": None,
    }
    for key, value in changed.items():
        *parents, last = key.split(".")
        branch = tree
        for name in parents:
            branch = branch[name]
        branch[last] = value
    return tree


GAMMA, WIDTH = "model.init_args.gamma", "model.init_args.generator.init_args.width"
ROWS = [(500, 30.0), (1000, 20.0)]


def row(step: int, value: float | None, name: str = "fid10k_digits", **more: Any) -> dict[str, Any]:
    return {
        "step": step,
        "images": step * BATCH,
        "scores": {name: value},
        "reasons": {},
        "floor": FLOOR,
        "contract": CONTRACT,
        **more,
    }


def make(
    home: Path,
    experiment: str = "hinge",
    seed: int = 0,
    last: float = 20.0,
    *,
    rows: list[dict[str, Any]] | None = None,
    state: str = "done",
    step: int = STEPS,
    time: str = "20261121-120000",
    status: dict[str, Any] | None = None,
    verdict: str = "",
    **changed: Any,
) -> Path:
    """Write a run's folder and return it."""
    folder = home / "runs" / "digits" / experiment / f"{time}-seed{seed}"
    folder.mkdir(parents=True)
    settings = config(**{"seed_everything": seed, **changed})
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    written = {"state": state, "host": "far", "pid": 1, "time": 0, "step": step, "max_steps": STEPS}
    (folder / "status.json").write_text(json.dumps({**written, **(status or {})}))
    rows = (
        [row(at, value) for at, value in [(500, last * 1.5), (1000, last)] if at <= step]
        if rows is None
        else rows
    )
    (folder / "scores.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    clock = [{"step": s, "images": s * BATCH, "seconds": s * 3.6, "memory": 2**30 + s} for s in (0, step)]
    (folder / "clock.jsonl").write_text("".join(json.dumps(each) + "\n" for each in clock))
    (folder / "metrics.csv").write_text("generator,images,step\n1.5,64.0,1\nnan,128.0,2\n")
    environment = {"command": ["ganlab", "fit"], "cpu": "AMD EPYC", "cores": 2, "gpus": []}
    (folder / "environment.json").write_text(json.dumps(environment))
    if verdict:
        content = {"verdict": verdict, "collapsed": verdict.startswith("collapsed"), "alarms": []}
        (folder / "verdict.json").write_text(json.dumps(content))
    return folder


def make_seeds(home: Path, experiment: str, *last: float, **changed: Any) -> None:
    """Write a run for each last score, with seeds 0, 1, …"""
    for seed, value in enumerate(last):
        make(home, experiment, seed, value, **changed)


def compared(home: Path, **options: Any) -> Comparison:
    return tables.compare([read_run(folder) for folder in find_run_folders([home])], **options)


def names(result: Comparison) -> list[str]:
    return [group.name for group in result.groups]


def only_table(result: Comparison) -> Table:
    (table,) = result.tables
    return table


# Groups and their names


def test_a_group_is_named_by_its_experiment_and_what_sets_it_apart(tmp_path: Path) -> None:
    make_seeds(tmp_path, "hinge", 20, 21, 22)
    make_seeds(tmp_path, "hinge", 10, 11, 12, time="20261121-130000", **{GAMMA: 2.0})
    make_seeds(tmp_path, "r3gan", 5, 6, 7, **{WIDTH: 32, GAMMA: 5.0})
    result = compared(tmp_path)
    assert names(result) == ["hinge", "hinge gamma=2", "r3gan"]
    assert [len(group.runs) for group in result.groups] == [3, 3, 3]
    assert [group.differs for group in result.groups] == [
        {"gamma": 1.0, "generator.width": 16},
        {"gamma": 2.0, "generator.width": 16},
        {"gamma": 5.0, "generator.width": 32},
    ]


def test_a_name_is_the_shortest_that_is_not_ambiguous(tmp_path: Path) -> None:
    make(tmp_path)
    make(tmp_path, seed=1, **{WIDTH: 64})
    make(tmp_path, seed=2, **{"model.class_path": "ganlab.variants.WGAN"})
    network = {"class_path": "ganlab.networks.MLPGenerator", "init_args": {"hidden": [8]}}
    make(tmp_path, seed=3, **{"model.init_args.generator": network})
    assert sorted(names(compared(tmp_path))) == [
        "hinge",
        "hinge generator.width=64",
        "hinge generator=MLPGenerator",
        "hinge model=WGAN",
    ]


def test_a_class_that_comes_first_is_not_named_by_an_argument_of_its_own(tmp_path: Path) -> None:
    losses = [{"class_path": "NonSaturating", "init_args": {"smoothing": 0}}, "Hinge", "LeastSquares"]
    for seed, loss in enumerate(losses):
        loss = loss if isinstance(loss, dict) else {"class_path": loss}
        make(tmp_path, seed=seed, **{"model.init_args.loss": loss})
    assert names(compared(tmp_path)) == ["hinge", "hinge loss=Hinge", "hinge loss=LeastSquares"]


def test_a_swapped_class_is_named_with_its_arguments_where_they_differ(tmp_path: Path) -> None:
    make(tmp_path)
    for seed, hidden in enumerate(([8], [9]), 1):
        network = {"class_path": "ganlab.networks.MLPGenerator", "init_args": {"hidden": hidden}}
        make(tmp_path, seed=seed, **{"model.init_args.generator": network})
    result = names(compared(tmp_path))
    assert len(set(result)) == 3
    assert all(any(f"hidden=[{size}]" in name for name in result) for size in (8, 9))


@pytest.mark.parametrize(
    "changed",
    [
        {"data.init_args.root": "/elsewhere"},
        {"data.init_args.of": {"init_args": {"root": "/elsewhere"}}},
        {"data.init_args.workers": 2},
        {"trainer.logger": [{"class_path": "WandbLogger", "init_args": {"project": "x"}}]},
        {"trainer.log_every_n_steps": 7},
        {"trainer.accelerator": "gpu"},
        {"trainer.strategy": "ddp"},
        {"trainer.devices": 2, "data.init_args.batch_size": BATCH // 2},
        {"trainer.devices": "0,1", "data.init_args.batch_size": BATCH // 2},
        {"trainer.num_nodes": 4, "data.init_args.batch_size": BATCH // 4},
        {"trainer.devices": "auto", "data.init_args.batch_size": BATCH // 8},
        {"evaluation.every_n_steps": 100},
        {"samples.count": 9},
        {"model.init_args.accumulation": 4},
        {"model.init_args.gamma": 1},
        {"runs": "elsewhere"},
        {"model.init_args.new_setting": None},
    ],
)
def test_settings_that_leave_training_unchanged_split_no_group(
    changed: dict[str, Any], tmp_path: Path
) -> None:
    make(tmp_path)
    make(tmp_path, seed=1, **changed)
    assert names(compared(tmp_path)) == ["hinge"]


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"trainer.max_steps": 2000}, "hinge max_steps=2000"),
        ({"data.init_args.batch_size": 32}, "hinge batch_size=32"),
        ({"trainer.devices": 2}, "hinge batch_size=128"),
        ({"model.init_args.penalty_every": 4}, "hinge penalty_every=4"),
        ({"trainer.precision": "bf16-mixed"}, "hinge precision=bf16-mixed"),
        ({"trainer.callbacks": [{"class_path": "my.Own"}]}, "hinge callbacks.0=Own"),
        (
            {"init_from": "runs/mnist/r3gan/20261121-120000-seed3/checkpoints/a.ckpt"},
            "hinge init_from=runs/mnist/r3gan",
        ),
        ({"data.class_path": "ganlab.data.MNIST"}, "hinge data=MNIST"),
    ],
)
def test_settings_that_change_training_split_a_group(
    changed: dict[str, Any], name: str, tmp_path: Path
) -> None:
    for seed, settings in enumerate(({}, {}, changed)):
        # Without a clock the batch's size comes from the configuration.
        (make(tmp_path, seed=seed, **settings) / "clock.jsonl").unlink()
    assert names(compared(tmp_path)) == ["hinge", name]


def test_steps_in_which_the_discriminator_rests_are_no_other_batch(tmp_path: Path) -> None:
    """Two seeds, of which one is further, of a run whose generator plays alone for 200 steps."""
    for seed, moments in enumerate(((0, 100, 200, 450, 1000), (0, 450))):
        folder = make(tmp_path, seed=seed, step=moments[-1])
        clock = [{"step": s, "images": max(0, s - 200) * BATCH, "seconds": s * 3.6} for s in moments]
        (folder / "clock.jsonl").write_text("".join(json.dumps(each) + "\n" for each in clock))
    (group,) = {run.group.name: run.group for run in only_table(compared(tmp_path)).rows}.values()
    assert len(group.runs) == 2
    assert {run.settings["data.init_args.batch_size"] for run in group.runs} == {BATCH}


def test_samples_of_a_stage_without_a_discriminator_stand_at_no_images(tmp_path: Path) -> None:
    rows = [row(step, 20.0) | {"images": max(0, step - 500) * BATCH} for step in (250, 500, 750, 1000)]
    run = read_run(make(tmp_path, rows=rows))
    run.images = 500 * BATCH
    assert [images_at(run, step) for step in (250, 400, 500, 625, 1000)] == [
        0, 0, 0, 125 * BATCH, 500 * BATCH
    ]  # fmt: skip


def test_a_setting_may_label_groups_but_pools_none(tmp_path: Path) -> None:
    make_seeds(tmp_path, "hinge", 20, 21, 22)
    make_seeds(tmp_path, "hinge", 10, 11, 12, time="20261121-130000", **{GAMMA: 2.0})
    make_seeds(tmp_path, "other", 5, 6, 7, **{GAMMA: 2.0, WIDTH: 32})
    labelled = compared(tmp_path, by="gamma")
    assert names(labelled) == ["gamma=1", "gamma=2 (hinge gamma=2)", "gamma=2 (other)"]
    assert [row.seeds for row in only_table(labelled).rows] == [3, 3, 3]
    assert names(compared(tmp_path, by=GAMMA)) == names(labelled)


def test_settings_are_pooled_on_request_only_and_a_note_says_so(tmp_path: Path) -> None:
    make_seeds(tmp_path, "hinge", 20, 21, 22)
    make_seeds(tmp_path, "hinge", 10, 11, 12, time="20261121-130000", **{GAMMA: 2.0})
    make_seeds(tmp_path, "other", 5, 6, 7, **{GAMMA: 2.0, WIDTH: 32})
    by_experiment = compared(tmp_path, pool=True)
    assert [(row.group.name, row.seeds) for row in only_table(by_experiment).rows] == [
        ("other", 3),
        ("hinge", 6),
    ]
    assert "hinge pools runs of different gamma" in by_experiment.notes
    assert by_experiment.groups[0].differs["gamma"] == "1 | 2"
    by_gamma = compared(tmp_path, by="gamma", pool=True)
    assert [(row.group.name, row.seeds) for row in only_table(by_gamma).rows] == [
        ("gamma=2", 6),
        ("gamma=1", 3),
    ]
    assert "gamma=2 pools runs of different generator.width" in by_gamma.notes


@pytest.mark.parametrize(
    ("by", "words"), [("gama", ["gama", "gamma"]), ("width", ["more than one", "generator.width"])]
)
def test_a_label_that_is_no_setting_is_refused(by: str, words: list[str], tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(Refused) as refused:
        compared(tmp_path, by=by)
    assert all(word in str(refused.value) for word in words)


def test_a_seed_that_ran_twice_counts_once(tmp_path: Path) -> None:
    """A second run of a seed is no further evidence, but would shrink the interval."""
    make_seeds(tmp_path, "hinge", 20, 21)
    make(tmp_path, seed=1, last=99.0, time="20261121-130000")
    make(tmp_path, seed=1, last=98.0, time="20261121-140000", state="failed")
    (row,) = only_table(compared(tmp_path)).rows
    assert row.last == [20, 99]
    assert [line.split(":")[0] for line in row.trouble] == ["seed 1 was run again"] * 2
    assert "20261121-120000-seed1" in row.trouble[0]
    assert "failed" in row.trouble[1]


def test_where_a_seed_ran_twice_the_newest_with_a_contract_counts_there(tmp_path: Path) -> None:
    make_seeds(tmp_path, "hinge", 20, 21, 22)
    rerun = make(tmp_path, seed=1, rows=[row(1000, 5.0, contract=OTHER)], time="20261121-130000")
    first, second = compared(tmp_path).tables
    assert (first.contract, first.rows[0].last) == (CONTRACT, [20, 21, 22])
    assert (second.contract, second.rows[0].last) == (OTHER, [None, 5.0, None])
    assert any(rerun.name in trouble and "again" in trouble for trouble in first.rows[0].trouble)


# Scores, intervals and tests


def test_the_table_is_what_scipy_says(tmp_path: Path) -> None:
    scores = {"good": (5.0, 5.5, 6.0), "same": (5.2, 5.6, 6.1), "bad": (20.0, 21.0, 22.0)}
    for name, values in scores.items():
        make_seeds(tmp_path, name, *values, **{GAMMA: len(name) + values[0]})
    table = only_table(compared(tmp_path))
    logs = {name: [math.log(value) for value in values] for name, values in scores.items()}
    good, same, bad = table.rows
    assert [row.group.name for row in table.rows] == ["good", "same", "bad"]
    assert (table.better, table.scale, table.floor, table.reference) == ("min", "log", 0.5, "good")
    level = 0.95 ** (1 / 3)
    for row in table.rows:
        values = logs[row.group.name]
        ends = stats.t.interval(level, 2, stats.tmean(values), stats.sem(values))
        expected = [math.exp(each) for each in (stats.tmean(values), *ends)]
        assert [row.mean, row.low, row.high] == pytest.approx(expected)
        assert row.best_mean == pytest.approx(stats.gmean(scores[row.group.name]))
    pairs = (("good", "bad"), ("same", "bad"), ("good", "same"))
    raw = {pair: stats.ttest_ind(*(logs[name] for name in pair), equal_var=False) for pair in pairs}
    p = {pair: test.pvalue for pair, test in raw.items()}
    assert p["same", "bad"] < p["good", "bad"], "Holm's factors: 3 for the smallest, then 2 and 1"
    assert good.p == pytest.approx({"bad": 2 * p["good", "bad"], "same": p["good", "same"]})
    interval = raw["good", "bad"].confidence_interval(level)
    contrast = [1 / math.exp(each) for each in (interval.high, interval.low)]
    assert [bad.contrast_low, bad.contrast_high] == pytest.approx(contrast)
    assert (good.standing, same.standing, bad.standing) == ("best", "open", "worse")
    assert (good.wins_over, same.wins_over, bad.wins_over) == (["bad"], ["bad"], [])


@pytest.mark.parametrize(
    ("name", "better", "scale"),
    [
        ("fid10k_digits", "min", "log"),
        ("fid_infinity10k", "min", "log"),
        ("mode_kl10k_points", "min", "log"),
        ("kid10k_clean", "min", "raw"),
        ("kid10k_full", "min", "raw"),
        ("class_distance10k", "min", "raw"),
        ("is50k", "max", "raw"),
        ("modes10k_points", "max", "raw"),
        ("recall10k_k3", "max", "raw"),
        ("coverage359_k5_bf16", "max", "raw"),
    ],
)
def test_a_scores_name_decides_which_direction_is_better(
    name: str, better: str, scale: str, tmp_path: Path
) -> None:
    for experiment, value in (("low", 2.0), ("high", 4.0)):
        for seed in (0, 1):
            rows = [row(at, value + 0.1 * seed, name) for at in (500, 1000)]
            make(tmp_path, experiment, seed, rows=rows, **{GAMMA: value})
    table = only_table(compared(tmp_path))
    assert (table.better, table.scale) == (better, scale)
    assert table.rows[0].group.name == ("low" if better == "min" else "high")
    (low,) = (row for row in table.rows if row.group.name == "low")
    assert low.mean == pytest.approx(math.sqrt(2 * 2.1) if scale == "log" else 2.05)


def test_the_best_and_the_last_score_are_listed_and_the_last_is_tested(tmp_path: Path) -> None:
    for seed in (0, 1):
        make(tmp_path, seed=seed, rows=[row(500, 4.0), row(1000, 16.0 + seed)])
    (result,) = only_table(compared(tmp_path)).rows
    assert (result.best, result.last) == ([4, 4], [16, 17])
    assert (result.best_mean, result.mean) == (pytest.approx(4), pytest.approx(math.sqrt(16 * 17)))


def test_one_seed_has_no_interval_and_says_so(tmp_path: Path) -> None:
    make(tmp_path, "a", last=5.0)
    make(tmp_path, "b", last=50.0, **{GAMMA: 2.0})
    table = only_table(compared(tmp_path))
    for result in table.rows:
        assert (result.low, result.high, result.p, result.wins_over) == (None, None, {}, [])
        assert (result.standing, result.contrast_low) == ("untested", None)
        assert "one seed" in result.missing["low"]
    assert any("one seed" in note and "no test" in note for note in table.notes)


def test_without_spread_no_group_wins(tmp_path: Path) -> None:
    make_seeds(tmp_path, "a", 5, 5, 5)
    make_seeds(tmp_path, "b", 6, 6, 6, **{GAMMA: 2.0})
    table = only_table(compared(tmp_path))
    assert [result.wins_over for result in table.rows] == [[], []]
    assert any("no spread" in note for note in table.notes)


def outputs(home: Path, *arguments: str) -> list[str]:
    """What the terminal, the Markdown and the page say, without markup and line breaks."""
    answer = compare_here(home, "runs", *arguments)
    assert answer.code == 0, answer.err
    written = [(home / "report" / name).read_text() for name in ("table.md", "report.html")]
    texts = [
        re.sub(r"<style.*?</style>|<script.*?</script>|<[^>]*>", " ", each, flags=re.S) for each in written
    ]
    return [" ".join(each.replace("\\", "").split()) for each in (answer.out, *texts)]


def test_headline_table_and_page_take_their_words_from_one_test(tmp_path: Path) -> None:
    """A pooled variance finds narrow significantly better here, and Welch's test does not."""
    make_seeds(tmp_path, "narrow", 10, 10.01, 10.02)
    make_seeds(tmp_path, "wide", 20, 50, 80, **{GAMMA: 2.0})
    for output in outputs(tmp_path):
        assert "the other is not told apart from it (could be up to" in output
        assert output.count("not told apart") >= 2, output
        assert not re.search("significant|confirm|tied|worse by", output)


def test_words_are_for_three_cases(tmp_path: Path) -> None:
    for experiment, values in {"a": (9, 10, 11), "b": (10, 11, 12), "c": (90, 100, 110)}.items():
        make_seeds(tmp_path, experiment, *values, **{GAMMA: values[0]})
    table = only_table(compared(tmp_path))
    best, near, far = ([*words.standing(row, table)] for row in table.rows)
    assert best == ["best", "best", ""]
    logs = [[math.log(value) for value in values] for values in ((9, 10, 11), (10, 11, 12), (90, 100, 110))]
    level = 0.95 ** (1 / 3)
    low, high = stats.ttest_ind(logs[1], logs[0], equal_var=False).confidence_interval(level)
    limits = f"could be up to {1 - math.exp(low):.0%} better or {math.exp(high) - 1:.0%} worse"
    assert near == ["open", "not told apart", limits.replace("%", " %")]
    low, _ = stats.ttest_ind(logs[2], logs[0], equal_var=False).confidence_interval(level)
    assert far == ["worse", "worse", f"by at least {100 * math.exp(low) - 100:.0f} %"]
    assert (words.contrast(table.rows[1], table), words.p_value(table.rows[1], table)) == (
        "1.10× [0.81, 1.50]",
        "p\u00a0=\u00a00.29",
    )


def test_differences_of_shares_are_told_in_the_scores_own_units(tmp_path: Path) -> None:
    for experiment, value in (("a", 0.5), ("b", 0.9)):
        for seed in range(3):
            rows = [row(1000, value + 0.01 * seed, "recall10k_k3")]
            make(tmp_path, experiment, seed, rows=rows, **{GAMMA: value})
    table = only_table(compared(tmp_path))
    assert table.rows[0].group.name == "b"
    interval = stats.ttest_ind([0.9, 0.91, 0.92], [0.5, 0.51, 0.52]).confidence_interval(0.95)
    assert words.standing(table.rows[1], table) == ("worse", "worse", f"by at least {interval.low:.2g}")
    assert table.rows[1].contrast == pytest.approx(-0.4)


def test_seeds_that_would_tell_groups_apart_are_told_with_their_power_and_spread(tmp_path: Path) -> None:
    make_seeds(tmp_path, "a", 9, 10, 11)
    make_seeds(tmp_path, "b", 11, 12, 13, **{GAMMA: 2.0})
    notes = only_table(compared(tmp_path)).notes
    (plan,) = (note for note in notes if "would tell" in note)
    said = re.search(r"power 0.9, .*: b about (\d+) \(20 % at sd 0.092 of logarithms\)\.$", plan)
    assert said, plan
    deviation = math.sqrt((stats.tvar(np.log([9, 10, 11])) + stats.tvar(np.log([11, 12, 13]))) / 2)
    effect = math.log(stats.gmean([11, 12, 13]) / stats.gmean([9, 10, 11])) / deviation
    scores = np.random.default_rng(0).normal(0, 1, (2, 20_000, int(said[1])))
    found = stats.ttest_ind(scores[0] + effect, scores[1], axis=-1, equal_var=False).pvalue <= 0.05
    assert 0.89 < found.mean() < 0.97
    assert any(note.startswith("3 seeds tell little: at sd 0.092") for note in notes)
    # The mean of the least of two normal numbers is 1 / sqrt(pi) standard deviations below theirs.
    flattery = 100 * (math.exp(deviation / math.sqrt(3 * math.pi)) - 1)
    assert any(f"it would look {flattery:.0f} % better than it is" in note for note in notes)


@pytest.mark.parametrize("pooled", [False, True])
def test_groups_whose_seeds_agree_among_others_that_spread_are_no_error(tmp_path: Path, pooled: bool) -> None:
    groups = {"a": (5, 5, 5), "b": (5.1, 5.1, 5.1), "c": (9, 10, 11), "d": (20, 25, 30), "e": (5.2,)}
    for experiment, values in groups.items():
        make_seeds(tmp_path, experiment, *values, **{GAMMA: values[0]})
    table = only_table(compared(tmp_path, question=Question(pooled)))
    assert [row.standing for row in table.rows[:2]] == ["best", "open"]
    assert any("would tell from a" in note for note in table.notes)
    assert any(note.startswith("Pooled") for note in table.notes) == pooled


def test_five_seeds_are_not_called_few(tmp_path: Path) -> None:
    make_seeds(tmp_path, "a", 9, 10, 11, 10, 10.5)
    make_seeds(tmp_path, "b", 11, 12, 13, 12, 11.5, **{GAMMA: 2.0})
    assert not any("tell little" in note for note in only_table(compared(tmp_path)).notes)


def test_two_seeds_have_an_interval_and_no_test(tmp_path: Path) -> None:
    make_seeds(tmp_path, "a", 5, 5.1)
    make_seeds(tmp_path, "b", 50, 51, 52, **{GAMMA: 2.0})
    table = only_table(compared(tmp_path))
    best, other = table.rows
    assert (best.standing, other.standing, best.p, other.p) == ("untested", "untested", {}, {})
    assert best.low is not None
    assert other.contrast_low is not None
    assert any("Two seeds: a, which have an interval but allow no test." in note for note in table.notes)
    assert "two seeds: an interval, no test" in words.standing(other, table)[1]


def test_one_seed_is_tested_by_nobody_elses_spread(tmp_path: Path) -> None:
    make_seeds(tmp_path, "a", 10, 10.1, 10.2)
    make_seeds(tmp_path, "b", 10.2, 10.1, 10.3, **{GAMMA: 2.0})
    make(tmp_path, "single", 0, 40.0, **{WIDTH: 32})
    for arguments in ({}, {"question": Question(pooled=True)}):
        rows = {row.group.name: row for row in only_table(compared(tmp_path, **arguments)).rows}
        assert (rows["single"].p, rows["single"].standing, rows["a"].wins_over) == ({}, "untested", [])


def test_a_declared_comparison_has_a_smaller_family(tmp_path: Path) -> None:
    for experiment, values in {"a": (9, 10, 11), "b": (12, 14, 15), "c": (11, 12, 13)}.items():
        make_seeds(tmp_path, experiment, *values, **{GAMMA: values[0]})
    table = only_table(compared(tmp_path, question=Question(against="b")))
    rows = {row.group.name: row for row in table.rows}
    raw = [stats.ttest_ind(np.log([12, 14, 15]), np.log(values), equal_var=False).pvalue
           for values in ((9, 10, 11), (11, 12, 13))]  # fmt: skip
    assert rows["b"].p == pytest.approx({"a": 2 * raw[0], "c": max(2 * raw[0], raw[1])})
    assert rows["a"].p.keys() == {"b"}
    assert [rows[name].standing for name in "abc"] == ["better", "reference", "open"]
    for output in outputs(tmp_path, "--against", "b"):
        assert "against b" in output
        assert "; against b: a is better by at least" in output


def test_a_declared_group_that_is_not_there_is_refused(home: Path) -> None:
    answer = compare_here(home, "runs", "--against", "hing")
    assert answer.code == 2
    assert "--against" in answer.err
    assert "hinge gamma=2" in answer.err


def test_pooling_is_asked_for_and_its_assumption_is_told(tmp_path: Path) -> None:
    make_seeds(tmp_path, "narrow", 10, 10.01, 10.02)
    make_seeds(tmp_path, "wide", 20, 50, 80, **{GAMMA: 2.0})
    for output in outputs(tmp_path, "--pooled"):
        assert "Pooled: all groups are taken to spread alike; here their spreads differ" in output
        assert "the other is worse by at least" in output


def test_values_without_logarithms_are_compared_as_they_are(tmp_path: Path) -> None:
    make_seeds(tmp_path, "a", 0.0, 0.2, 0.1)
    table = only_table(compared(tmp_path))
    assert table.scale == "raw"
    assert table.rows[0].mean == pytest.approx(0.1)
    assert any("logarithms" in note for note in table.notes)


# Contracts


def test_contracts_are_never_mixed(tmp_path: Path) -> None:
    make_seeds(tmp_path, "a", 5, 6, 7)
    for seed in range(3):
        rows = [row(1000, 1.0 + seed, contract=OTHER), row(1000, 50.0 + seed)]
        make(tmp_path, "b", seed, rows=rows if seed else rows[:1], **{GAMMA: 2.0})
    first, second = compared(tmp_path).tables
    assert [first.contract["reals"], second.contract["reals"]] == [1497, 9]
    assert [(each.group.name, each.last) for each in first.rows] == [("a", [5, 6, 7]), ("b", [None, 51, 52])]
    assert "seed 0 has no fid10k_digits of this contract" in first.rows[1].trouble
    assert [(each.group.name, each.last) for each in second.rows] == [("b", [1, 2, 3])]


def test_contracts_are_not_mixed_where_a_record_has_the_hash_of_another(tmp_path: Path) -> None:
    make_seeds(tmp_path, "a", 5, 6, 7)
    forged = {**CONTRACT, "samples": 100}
    make(tmp_path, "b", rows=[row(1000, 1.0, contract=forged)], **{GAMMA: 2.0})
    result = compared(tmp_path)
    assert [[each.group.name for each in table.rows] for table in result.tables] == [["a"], ["b"]]
    assert any("hash" in note and "/b/" in note for note in result.notes)


def test_a_contract_keeps_its_hash_through_a_record(tmp_path: Path) -> None:
    run = read_run(make(tmp_path))
    assert not run.problems
    assert run.evaluations[0].contract == CONTRACT


def test_each_score_of_a_contract_has_a_table(tmp_path: Path) -> None:
    both = {"fid10k_digits": 5.0, "is10k_digits": 9.0, "is10k_std_digits": 0.1, "own_score": 3.0}
    make(tmp_path, rows=[row(1000, 5.0, scores=both)])
    result = compared(tmp_path)
    assert [(table.score, table.floor) for table in result.tables] == [
        ("fid10k_digits", 0.5),
        ("is10k_digits", 8.0),
    ]
    assert any(note.startswith("own_score") for note in result.notes)
    for chosen in ("is", "is10k_digits"):
        assert only_table(compared(tmp_path, score=chosen)).score == "is10k_digits"
    with pytest.raises(Refused, match="fid10k_digits, is10k_digits"):
        compared(tmp_path, score="kid")


def test_a_floor_of_fewer_samples_than_reals_is_of_the_same_score_against_all_reals(tmp_path: Path) -> None:
    few = {"samples": 10_000, "fid10k_full": 3.0}
    make(tmp_path, rows=[row(1000, 2.0, "fid50k", floor={**few, "fid10k_full": 1.0}, beside_floor=few)])
    table = only_table(compared(tmp_path))
    assert (table.score, table.few_score, table.few_floor) == ("fid50k", "fid10k_full", 1.0)
    assert table.rows[0].few_mean == pytest.approx(3)
    assert words.few_label(table) == "at n\u00a0=\u00a010k, real floor 1"


# Scores of checkpoints that were selected by a score


MANY = Contract(**{**{k: v for k, v in CONTRACT.items() if k != "hash"}, "samples": 50_000}).plain()


def selected(step: int, value: float, name: str = "fid50k_digits", **more: Any) -> dict[str, Any]:
    """A row that `ganlab evaluate --checkpoint best` added."""
    new = {"contract": MANY, "floor": {}, "selected_among": 12, "checkpoint": "best.ckpt", **more}
    return {key: each for key, each in row(step, value, name, **new).items() if key != "images"}


@pytest.mark.parametrize("step", [500, 1000])
def test_a_selected_checkpoints_score_is_a_best_of_run_and_no_last(step: int, tmp_path: Path) -> None:
    for seed in range(2):
        own = [row(500, 30.0), row(1000, 20.0)]
        make(tmp_path, seed=seed, rows=[*own, selected(step, 4.0 + seed)])
    first, table = compared(tmp_path).tables
    assert (first.rows[0].last, first.rows[0].evaluations) == ([20, 20], [2, 2])
    (result,) = table.rows
    assert (result.seeds, result.last, result.mean, result.lost) == (0, [None, None], None, 0)
    assert (result.best, result.evaluations) == ([4, 5], [12, 12])
    assert result.best_mean == pytest.approx(math.sqrt(20))
    among = (
        "seed 0 has no last fid50k_digits, only one of a checkpoint that was selected among 12 evaluations"
    )
    assert result.trouble[0] == among
    for output in outputs(tmp_path, "--score", "fid50k_digits"):
        assert re.search(r"4\.47 (of )?12", output), output
        assert "No group has a last fid50k_digits to compare." in output
    page = (tmp_path / "report" / "report.html").read_text()
    assert '<figure class="plot">' not in page.split("contract-line")[1].split("</section>")[0]


def test_a_selected_checkpoints_score_leaves_the_last_as_it_is(tmp_path: Path) -> None:
    """It is of the last step here, where a run has a score of its own as well; and of another in kid."""
    both = {"fid10k_digits": 3.0, "kid10k_digits": 0.1}
    chosen = selected(1000, 3.0, contract=CONTRACT, scores=both, beside_floor={"fid300_digits": 0.1})
    make(tmp_path, "a", 0, rows=[{**beside(7.0, 9.0), "step": 500}, beside(5.0, 2.0), chosen])
    make(tmp_path, "a", 1, rows=[{**beside(7.0, 9.0), "step": 500}, chosen, beside(6.0, 2.0)])
    fid, kid = compared(tmp_path).tables
    assert (fid.rows[0].last, fid.rows[0].best, fid.rows[0].evaluations) == ([5, 6], [5, 6], [2, 2])
    assert (kid.rows[0].last, kid.rows[0].best) == ([None, None], [0.1, 0.1])
    assert fid.rows[0].few_mean == pytest.approx(2)


def test_a_selected_checkpoints_score_is_the_best_of_a_run_with_a_last(tmp_path: Path) -> None:
    own = [row(500, 9.0, "fid50k_digits", contract=MANY), row(1000, 8.0, "fid50k_digits", contract=MANY)]
    make(tmp_path, rows=[*own, selected(700, 5.0)])
    (result,) = only_table(compared(tmp_path)).rows
    assert (result.last, result.best, result.evaluations) == ([8], [5], [12])


def test_a_seeds_rerun_with_a_selected_score_alone_replaces_no_last(tmp_path: Path) -> None:
    make(tmp_path, rows=[row(1000, 8.0, "fid50k_digits", contract=MANY)])
    make(tmp_path, rows=[selected(1000, 5.0)], time="20261121-130000")
    assert only_table(compared(tmp_path)).rows[0].last == [8]


@pytest.mark.parametrize("among", ["x", -1, 1e999, [], {}, True, 0, 10**30])
def test_a_selected_score_with_a_garbled_number_is_no_last_either(among: Any, tmp_path: Path) -> None:
    make(tmp_path, rows=[selected(1000, 5.0, selected_among=among)])
    result = compared(tmp_path)
    (only,) = only_table(result).rows
    assert (only.last, only.best, only.seeds) == ([None], [5], 0)
    json.dumps(text.plain(result), allow_nan=False)


@pytest.mark.parametrize(
    "few", [[], 3, {"fid300_digits": "x"}, {"fid300_digits": math.nan}, {"fid300_digits": {}}]
)
def test_a_garbled_score_beside_a_floor_is_none(few: Any, tmp_path: Path) -> None:
    make(tmp_path, rows=[{**beside(5.0, 1.0), "beside_floor": few}])
    result = compared(tmp_path)
    assert only_table(result).rows[0].few_mean is None
    json.dumps(text.plain(result), allow_nan=False)


# Numbers that say nothing alone


@pytest.mark.parametrize(
    "score", ["precision10k_k3_digits", "precision", "precision_k3", "precision_recall", None]
)
def test_precision_is_shown_with_recall_and_after_it(score: str | None, tmp_path: Path) -> None:
    overlap = {"precision10k_k3_digits": 0.9, "recall10k_k3_digits": 0.2}
    make(tmp_path, "a", rows=[row(1000, 0.0, scores=overlap)])
    make(tmp_path, "b", rows=[row(1000, 0.0, scores=overlap, contract=OTHER)], **{GAMMA: 2.0})
    result = compared(tmp_path, score=score)
    assert [(table.contract["reals"], table.score) for table in result.tables] == [
        (reals, name) for reals in (1497, 9) for name in sorted(overlap, reverse=True)
    ]
    for output in outputs(tmp_path, *(("--score", score) if score else ())):
        assert output.index("recall10k_k3_digits") < output.index("precision10k_k3_digits")


def test_density_is_shown_with_coverage_and_recall_alone_where_it_is_asked_for(tmp_path: Path) -> None:
    names = ("density10k_k5", "coverage10k_k5", "precision10k_k3", "recall10k_k3", "kid10k", "kid10k_all")
    make(tmp_path, rows=[row(1000, 0.0, scores=dict.fromkeys(names, 0.5))])
    shown = {
        "density": ["coverage10k_k5", "density10k_k5"],
        "recall": ["recall10k_k3"],
        "coverage10k_k5": ["coverage10k_k5"],
        "kid": ["kid10k"],
        "kid10k_all": ["kid10k_all"],
    }
    for score, expected in shown.items():
        assert [table.score for table in compared(tmp_path, score=score).tables] == expected
    coverage, density = compared(tmp_path, score="density", target=0.4).tables
    assert (coverage.target, density.target, density.rows[0].reached) == (None, 0.4, 1)


# Troubles


TROUBLES: list[tuple[dict[str, Any], str]] = [
    ({"state": "failed", "step": 40, "status": {"error": "The term 'r1' became nan"}},
     "seed 1 failed at step 40 of 1,000: The term 'r1' became nan"),
    ({"state": "running", "step": 700}, "seed 1 failed at step 700 of 1,000: it ended without a word"),
    ({"state": "running", "step": 700, "status": {"time": 1e12}}, "seed 1 still runs, at step 700 of 1,000"),
    ({"state": "starting", "step": 2, "status": {"time": 1e12}}, "seed 1 still runs, at step 2 of 1,000"),
    ({"state": "preempted", "step": 700}, "seed 1 stopped at step 700 of 1,000"),
    ({"state": "stopped", "step": 700}, "seed 1 stopped at step 700 of 1,000"),
    ({"rows": [row(1000, None, reasons={"fid10k_digits": "some samples are not finite"})]},
     "seed 1 has no last fid10k_digits: some samples are not finite"),
    ({"rows": [row(1000, math.inf)]}, "seed 1 has no last fid10k_digits: it is no finite number"),
    ({"rows": [row(500, 10.0)]}, "seed 1 was last scored at step 500 of 1,000"),
    ({"rows": []}, "seed 1 has no fid10k_digits of this contract"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "sentence"), TROUBLES)
def test_an_unfinished_run_is_listed_and_not_in_the_mean(
    arguments: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    make(tmp_path, seed=0, last=20.0)
    make(tmp_path, seed=1, **arguments)
    make(tmp_path, seed=2, last=22.0)
    (result,) = only_table(compared(tmp_path)).rows
    assert result.trouble == [sentence]
    assert (result.seeds, result.last, result.best) == (2, [20, None, 22], [20, None, 22])


def test_failed_and_collapsed_runs_leave_the_mean_and_their_share_stands_beside(tmp_path: Path) -> None:
    verdict = "collapsed at 1.2 M images; best 49.0 at 0.9 M, now 137"
    make(tmp_path, seed=0, last=20.0, verdict="healthy")
    make(tmp_path, seed=1, last=137.0, verdict=verdict)
    early = [row(500, 49.0), row(700, 140.0)]
    make(tmp_path, seed=2, rows=early, verdict=verdict, state="stopped", step=700)
    make(tmp_path, seed=3, state="failed", step=40)
    make(tmp_path, seed=4, state="stopped", step=700)
    make(tmp_path, seed=5, last=21.0)
    table = only_table(compared(tmp_path))
    (result,) = table.rows
    assert result.last == [20, None, None, None, None, 21]
    assert result.trouble[:2] == [f"seed 1 {verdict}", f"seed 2 {verdict}"]
    # Nobody knows what the run that was stopped would have come to.
    assert (result.seeds, result.lost) == (2, 3)
    expected = stats.binomtest(3, 5).proportion_ci(method="exact")
    assert (result.share_low, result.share_high) == pytest.approx((expected.low, expected.high))
    share = f"3 of 5 [{100 * expected.low:.0f}–{100 * expected.high:.0f} %]"
    for output in outputs(tmp_path):
        assert output.count(share) >= 2, output
        assert f"{share} of its runs failed or collapsed and are not in that mean" in output


def test_a_run_without_a_number_at_its_end_counts_as_lost(tmp_path: Path) -> None:
    make(tmp_path, seed=0)
    make(tmp_path, seed=1, rows=[row(1000, None, reasons={"fid10k_digits": "some samples are not finite"})])
    (result,) = only_table(compared(tmp_path)).rows
    assert (result.seeds, result.lost) == (1, 1)


def test_a_group_without_any_score_is_in_the_table(tmp_path: Path) -> None:
    make(tmp_path, "a")
    for seed in (0, 1):
        make(tmp_path, "b", seed, rows=[], state="failed", step=3, status={"error": "no"}, **{GAMMA: 2.0})
    _, result = only_table(compared(tmp_path)).rows
    assert (result.group.name, result.seeds, result.mean) == ("b", 0, None)
    assert result.missing["mean"]
    assert result.trouble == [f"seed {seed} failed at step 3 of 1,000: no" for seed in (0, 1)]


def test_runs_without_any_score_are_noted(tmp_path: Path) -> None:
    make(tmp_path, rows=[])
    result = compared(tmp_path)
    assert not result.tables
    assert "it has no score" in result.notes[0]


def test_a_later_row_of_the_same_step_replaces_the_earlier_in_any_order(tmp_path: Path) -> None:
    unordered = [row(1000, 7.0), row(500, 9.0), row(1000, 8.0)]
    for each in unordered:
        del each["images"], each["floor"]
    make(tmp_path, rows=unordered)
    (run,) = (read_run(folder) for folder in find_run_folders([tmp_path]))
    expected = [(500, 32_000, 1800.0, 9.0), (1000, 64_000, 3600.0, 8.0)]
    result = [(e.step, e.images, e.seconds, e.scores["fid10k_digits"]) for e in run.evaluations]
    assert result == expected


def test_a_later_row_erases_neither_a_floor_nor_other_scores(tmp_path: Path) -> None:
    make(tmp_path, rows=[row(1000, 7.0), row(1000, 9.0, "is10k_digits", floor={})])
    assert [(table.score, table.rows[0].last, table.floor) for table in compared(tmp_path).tables] == [
        ("fid10k_digits", [7.0], 0.5),
        ("is10k_digits", [9.0], 8.0),
    ]


def test_a_floor_of_another_number_of_samples_stands_beside_no_score(tmp_path: Path) -> None:
    floor = {"samples": 300, "fid300_digits": 0.5}
    make(tmp_path, rows=[row(1000, 1.5, floor=floor, scores={"fid10k_digits": 1.5, "fid300_digits": 2.0})])
    big, small = compared(tmp_path).tables
    assert (big.score, big.floor, small.score, small.floor) == ("fid10k_digits", None, "fid300_digits", 0.5)
    assert "No floor of as many samples was recorded, but fid300_digits 0.5." in big.notes
    for output in outputs(tmp_path):
        assert "real floor, n = 300" in output


def test_floors_that_differ_are_not_mixed(tmp_path: Path) -> None:
    make(tmp_path, "a")
    make(tmp_path, "b", rows=[row(1000, 9.0, floor={**FLOOR, "fid10k_digits": 0.7})], **{GAMMA: 2.0})
    table = only_table(compared(tmp_path))
    assert table.floor is None
    assert "Recorded floors differ, from 0.5 to 0.7: none is shown." in table.notes


def beside(value: float, few: float, **more: Any) -> dict[str, Any]:
    """A last row with a floor of 300 samples, and the score of as many beside it."""
    floor = {"samples": 300, "fid300_digits": 0.44}
    few_scores = {"samples": 300, "fid300_digits": few}
    return row(1000, value, floor=floor, beside_floor=few_scores, **more)


def test_a_floor_of_fewer_samples_stands_beside_the_scores_of_as_many(tmp_path: Path) -> None:
    for seed, few in enumerate((1.0, 2.0)):
        rows = [
            {**beside(9.0, 50.0), "step": 500},
            beside(0.3, few),
            row(1000, 8.0, "is10k_digits", floor={}),
        ]
        make(tmp_path, "a", seed, rows=rows)
        make(tmp_path, "b", seed, rows=[beside(0.6, 3.0)], **{GAMMA: 2.0})
    make(tmp_path, "b", 2, rows=[beside(0.1, 0.1)], state="failed", **{GAMMA: 2.0})
    for output in outputs(tmp_path, "--score", "fid"):
        assert "at n = 300, real floor 0.44" in output.replace("\xa0", " ")
        assert re.search(r"\b1\.41", output), output
        assert "3.00" in output
        assert not re.search(r"real floor, n = 10k 0", output.replace("\xa0", " "))
    table = compared(tmp_path, score="fid").tables[0]
    assert (table.floor, table.few_score, table.few_floor) == (None, "fid300_digits", 0.44)
    assert [each.few_mean for each in table.rows] == [pytest.approx(math.sqrt(2)), pytest.approx(3)]
    assert not any("floor" in note for note in table.notes)
    plain = json.loads((tmp_path / "report" / "scores.json").read_text())["tables"][0]
    written = [plain["few_score"], plain["few_floor"], plain["rows"][1]["few_mean"], plain["floor"]]
    assert written == ["fid300_digits", 0.44, pytest.approx(3), None]
    with (tmp_path / "report" / "table.csv").open(newline="") as file:
        first, _ = csv.DictReader(file)
    few = [first[name] for name in ("few_score", "few_floor", "few_mean", "floor")]
    assert few == ["fid300_digits", "0.44", str(table.rows[0].few_mean), ""]


def test_runs_of_which_some_recorded_no_score_beside_their_floor_have_no_mean_of_it(tmp_path: Path) -> None:
    make(tmp_path, "a", 0, rows=[beside(0.3, 1.0)])
    make(
        tmp_path, "a", 1, rows=[{**beside(0.3, 1.0), "beside_floor": {"samples": 300, "kid300_digits": 1.0}}]
    )
    make(tmp_path, "b", 0, rows=[beside(0.6, 3.0)], **{GAMMA: 2.0})
    table = only_table(compared(tmp_path))
    assert [each.few_mean for each in table.rows] == [None, pytest.approx(3)]
    assert table.rows[0].missing["few_mean"] == "1 of 2 runs did not record it"
    assert "few_mean" not in table.rows[1].missing
    assert "No floor of as many samples was recorded, but fid300_digits 0.44." in table.notes


@pytest.mark.parametrize(
    ("other", "note"),
    [
        (
            {"samples": 300, "fid300_digits": 0.7},
            "Recorded floors differ, from 0.44 to 0.7: none is shown.",
        ),
        (
            {"samples": 500, "fid500_digits": 0.3},
            "No floor of as many samples was recorded, but fid300_digits 0.44, fid500_digits 0.3.",
        ),
    ],
)
def test_floors_of_fewer_samples_are_not_mixed(other: dict[str, Any], note: str, tmp_path: Path) -> None:
    make(tmp_path, "a", rows=[beside(0.3, 1.0)])
    make(tmp_path, "b", rows=[{**beside(0.6, 3.0), "floor": other, "beside_floor": other}], **{GAMMA: 2.0})
    table = only_table(compared(tmp_path))
    assert (table.few_score, table.few_floor, table.floor) == ("", None, None)
    assert [each.few_mean for each in table.rows] == [None, None]
    assert note in table.notes


def test_the_best_of_run_stands_after_the_last_with_the_number_it_was_selected_from(tmp_path: Path) -> None:
    for seed in range(3):
        make(tmp_path, "a", seed, rows=[row(step, 5.0 + step % 7) for step in range(100, 1001, 100)])
        make(tmp_path, "b", seed, rows=[row(step, 6.0 + step % 7) for step in (500, 1000)], **{GAMMA: 2.0})
    table = only_table(compared(tmp_path))
    assert [row.evaluations for row in table.rows] == [[10] * 3, [2] * 3]
    assert any("not evaluated equally often" in note for note in table.notes)
    heads = [column.name for column in text.columns(table)]
    assert heads.index("last [95 %]") < heads.index("best of run")
    cells = dict(zip(heads, (column.cell(table.rows[0]) for column in text.columns(table)), strict=True))
    assert cells["best of run"] == "5.00 of 10"


# Targets and costs


def test_images_and_hours_to_a_target_are_the_median_over_all_seeds(tmp_path: Path) -> None:
    scores = [[(250, 9.0), (500, 5.0), (1000, 7.0)], [(250, 5.0), (1000, 4.0)], [(250, 9.0), (1000, 8.0)]]
    for seed, points in enumerate(scores):
        make(tmp_path, seed=seed, rows=[row(*point) for point in points])
    (result,) = only_table(compared(tmp_path, target=5.0)).rows
    assert (result.reached, result.images_to_target, result.hours_to_target) == (2, 500 * BATCH, 0.5)
    (result,) = only_table(compared(tmp_path, target=4.0)).rows
    assert (result.reached, result.images_to_target, result.hours_to_target) == (1, None, None)
    assert result.missing["hours_to_target"] == "1 of 3 seeds reached it"


def test_a_target_of_shares_is_reached_from_below(tmp_path: Path) -> None:
    make(tmp_path, rows=[row(500, 0.4, "recall10k_k3"), row(1000, 0.7, "recall10k_k3")])
    (result,) = only_table(compared(tmp_path, target=0.6)).rows
    assert result.images_to_target == 1000 * BATCH


def test_a_target_needs_one_score(tmp_path: Path) -> None:
    make(tmp_path, rows=[row(1000, 5.0, scores={"fid10k_digits": 5.0, "is10k_digits": 9.0})])
    with pytest.raises(Refused, match="--score"):
        compared(tmp_path, target=5.0)
    assert compared(tmp_path, target=5.0, score="fid").tables[0].rows[0].reached == 1


def test_costs_are_listed(tmp_path: Path) -> None:
    make_seeds(tmp_path, "hinge", 20, 21)
    (result,) = only_table(compared(tmp_path)).rows
    assert (result.steps, result.images, result.hours) == (1000, 64_000, 1.0)
    assert result.images_per_second == pytest.approx(64_000 / 3600)
    assert (result.peak_memory, result.hardware) == (2**30 + 1000, "AMD EPYC, 2 cores")


def test_hardware_is_that_of_all_starts(tmp_path: Path) -> None:
    folder = make(tmp_path)
    for number, gpus in ((2, ["H200", "H200"]), (10, [])):
        environment = {"gpus": gpus, "cpu": "AMD EPYC", "cores": 2}
        (folder / f"environment-{number}.json").write_text(json.dumps(environment))
    assert read_run(folder).hardware == "AMD EPYC, 2 cores, then 2 x H200"


# Files that are missing, garbled or hostile

FILES = [
    "config.yaml",
    "status.json",
    "scores.jsonl",
    "clock.jsonl",
    "metrics.csv",
    "environment.json",
    "verdict.json",
]
BOMB = "a: &a [x]\n" + "\n".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
CONTENTS = {
    "nothing": b"",
    "bytes": b"\x00\xff\xfe\x80,\n\x00",
    "a list": b"[]",
    "null": b"null\n",
    "a number": b"1\n2\n",
    "half": b'{"step": 1, "sc',
    "wrong kinds": b'{"state": [], "step": "x", "scores": 3, "contract": "c", "trainer": 7, "gpus": 1}',
    "huge": b'{"step": 1e999, "images": -5, "seconds": NaN, "scores": {}, "contract": {}}',
    "deep": b"[" * 100_000,
    "a bomb": BOMB.encode(),
    "a table": b"images,step\nx,y\n\xff,1\n3,inf\n",
}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", FILES)
def test_a_garbled_file_stops_no_comparison(name: str, content: str, tmp_path: Path) -> None:
    make_seeds(tmp_path, "good", 5, 6, 7)
    bad = make(tmp_path, "bad", last=30.0, **{GAMMA: 2.0})
    (bad / name).write_bytes(CONTENTS[content])
    result = compared(tmp_path)
    good = next(each for each in only_table(result).rows if each.group.name == "good")
    assert (good.seeds, good.low is None) == (3, False)
    notes = [note for note in result.notes if "/bad/" in note]
    notes += [line for each in only_table(result).rows for line in each.trouble]
    harmless = name in ("metrics.csv", "environment.json", "verdict.json", "clock.jsonl")
    assert notes or harmless or any(each.mean == pytest.approx(30) for each in only_table(result).rows)
    json.dumps(text.plain(result), allow_nan=False)
    text.markdown(result)


@pytest.mark.parametrize("name", FILES[:-1])
@pytest.mark.parametrize("folder", [False, True])
def test_a_missing_file_or_a_folder_in_its_place_stops_no_comparison(
    name: str, folder: bool, tmp_path: Path
) -> None:
    make_seeds(tmp_path, "good", 5, 6, 7)
    bad = make(tmp_path, "bad", last=30.0, **{GAMMA: 2.0})
    (bad / name).unlink()
    if folder:
        (bad / name).mkdir()
    result = compared(tmp_path)
    assert only_table(result).rows[0].seeds == 3
    if name == "config.yaml":
        assert any("/bad/" in note and "config.yaml" in note for note in result.notes)
        assert any("/bad/" in note and "no group" in note for note in result.notes)
    if name == "status.json":
        assert only_table(result).rows[1].mean == pytest.approx(30), "its scores reach its budget"


def test_a_row_that_was_cut_off_costs_only_itself(tmp_path: Path) -> None:
    folder = make(tmp_path)
    with (folder / "scores.jsonl").open("a") as file:
        file.write('{"step": 1500, "scores": {"fid')
    run = read_run(folder)
    assert [each.step for each in run.evaluations] == [500, 1000]
    assert run.problems == ["line 3 of scores.jsonl cannot be read"]


HOSTILE = "<script>alert(1)</script>|[red]x[/red]\x1b[31m\n\u202e`*"


def test_a_hostile_name_is_spelt_out_everywhere(tmp_path: Path) -> None:
    home = tmp_path / "runs" / "digits"
    for seed, value in enumerate((5.0, 6.0)):
        folder = make(tmp_path, "plain", seed, value, verdict=f"collapsed {HOSTILE}")
        folder.rename(folder.with_name(f"20261121-12000{seed}-seed{seed}"))
    (home / "plain").rename(home / HOSTILE.replace("/", "_"))
    make(tmp_path, "good", last=4.0, **{GAMMA: 2.0})
    answer = compare_here(tmp_path, "runs")
    assert answer.code == 0, answer.err
    written = "".join(
        (tmp_path / "report" / name).read_text() for name in ("table.md", "table.csv", "scores.json")
    )
    for output in (answer.out, answer.err, written):
        assert "\x1b" not in output.replace("\x1b[1m", "")
        assert "\u202e" not in output
    assert "\\x1b[31m" in answer.out
    markdown = (tmp_path / "report" / "table.md").read_text()
    assert "<script>" not in markdown
    (line,) = (line for line in markdown.splitlines() if line.startswith("| &lt;script"))
    assert len(re.split(r"(?<!\\)\|", line)) == len(re.split(r"(?<!\\)\|", markdown.splitlines()[4]))
    assert "good" in answer.out


def test_a_name_cannot_become_a_spreadsheets_formula(tmp_path: Path) -> None:
    make(tmp_path, "=cmd()", last=4.0)
    (result,) = csv.DictReader(text.table_csv(compared(tmp_path)).splitlines())
    assert result["group"] == "'=cmd()"


# Finding runs


def test_runs_are_found_by_folder_pattern_and_launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [make(tmp_path, experiment, seed) for experiment in ("a", "b") for seed in (0, 1)]
    assert find_run_folders([tmp_path]) == find_run_folders([tmp_path / "runs" / "*" / "*" / "*"]) == runs
    overlapping = [runs[1], runs[1] / "config.yaml", tmp_path / "runs" / "digits" / "a"]
    assert find_run_folders(overlapping) == runs[:2]
    assert find_run_folders([f"{tmp_path}/**/b/*"]) == runs[2:]
    launch = tmp_path / "runs" / "launches" / "20261121-110000"
    launch.mkdir(parents=True)
    lines = [str(run.relative_to(tmp_path)) for run in runs[:3]]
    (launch / "runs.txt").write_text("\n".join([*lines, "runs/digits/a/gone"]) + "\n")
    for place in (tmp_path, tmp_path.parent):
        monkeypatch.chdir(place)
        *result, gone = sorted(find_run_folders([launch]), key=lambda run: run.name == "gone")
        assert {run.resolve() for run in result} == set(runs[:3])
    assert "config.yaml" in read_run(gone).problems[0]


def test_brackets_in_a_name_are_no_pattern(tmp_path: Path) -> None:
    folder = make(tmp_path, "a[0-9]")
    assert find_run_folders([folder]) == [folder]


def test_a_run_named_by_two_paths_counts_once(tmp_path: Path) -> None:
    folder = make(tmp_path)
    (tmp_path / "link").symlink_to(folder)
    assert len(find_run_folders([folder, tmp_path / "link"])) == 1


@pytest.mark.parametrize("pattern", ["nowhere", "no*where", "."])
def test_a_place_without_runs_is_refused(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"There (is|are) no"):
        find_run_folders([tmp_path / pattern])


# The command


def compare_here(folder: Path, *arguments: str) -> Answer:
    return here("compare", *arguments, folder=folder, COLUMNS="300")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_seeds(tmp_path, "hinge", 20, 21, 22)
    make_seeds(tmp_path, "hinge", 10, 11, 12, time="20261121-130000", **{GAMMA: 2.0})
    make(
        tmp_path,
        "hinge",
        3,
        10.0,
        time="20261121-130000",
        state="failed",
        step=400,
        status={"error": "no"},
        **{GAMMA: 2.0},
    )
    make(tmp_path, "single", 0, 40.0, **{WIDTH: 32})
    return tmp_path


def test_the_command_prints_and_writes(home: Path) -> None:
    answer = compare_here(home, "runs", "--target", "25")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0] == "fid10k_digits, lower is better"
    (first,) = (line for line in lines if re.match(r"hinge gamma=2\s+3 ", line))
    interval = r"\s3\s+11\.0 \[7\.9, 15\.2\]\s+best\s+1 of 4 \[1–81 %\]\s+11\.0 of 2"
    assert re.search(rf"{interval}\s.*\s3 of 4\s+1$", first.rstrip()), first
    assert any(re.match(r"hinge\s+3 .*worse: by at\s+1\.91× ", line) for line in lines)
    assert "hinge gamma=2: seed 3 failed at step 400 of 1,000: no" in lines
    assert any("One seed: single" in line for line in lines)
    assert any("real floor, n\u00a0=\u00a010k 0.5" in line for line in lines)
    assert "report/report.html" in lines[-1]
    assert {path.name for path in (home / "report").iterdir()} >= {
        "table.md",
        "table.csv",
        "scores.json",
        "report.html",
    }
    markdown = (home / "report" / "table.md").read_text()
    assert "| gamma | 1 | 2 | 1 |" in markdown
    assert "seed 3 failed" in markdown
    with (home / "report" / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["group"] for row in rows] == ["hinge gamma=2", "hinge", "single"]
    assert float(rows[0]["mean"]) == pytest.approx(stats.gmean([10, 11, 12]))
    assert (rows[2]["low"], rows[0]["reached"]) == ("", "3")


def test_json_has_null_and_the_reason(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(home, "bad", 0, math.nan, rows=[row(1000, math.inf)], **{GAMMA: 9.0})
    answer = compare_here(home, "runs", "--json", "--out", "there", "--target", "0.01")
    assert answer.code == 0, answer.err

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    content = json.loads(answer.out, parse_constant=refuse)
    assert content == json.loads((home / "there" / "scores.json").read_text(), parse_constant=refuse)
    rows = {row["group"]: row for row in content["tables"][0]["rows"]}
    for name, why in {"mean": "no run", "low": "no run"}.items():
        assert rows["bad"][name] is None
        assert why in rows["bad"]["missing"][name]
    assert "finite" in rows["bad"]["trouble"][0]
    assert rows["single"]["low"] is None
    assert "one seed" in rows["single"]["missing"]["low"]
    assert rows["hinge"]["missing"]["images_to_target"] == "0 of 3 seeds reached it"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "Name runs"),
        ("nowhere", "nowhere"),
        ("runs --score kid", "fid10k_digits"),
        ("runs --by gama", "gamma"),
        ("runs --targt 3", "target"),
        ("runs --from elsewhere:a/b", "wandb:entity/project"),
        ("runs --from wandb:project", "wandb:entity/project"),
        ("runs --out runs/digits/single/20261121-120000-seed0/config.yaml", "--out"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: str, words: str, home: Path) -> None:
    answer = compare_here(home, *arguments.split())
    assert answer.code == 2, answer
    assert 1 <= len(answer.err.splitlines()) <= 3, answer.err
    assert words in answer.err


# Weights & Biases


def make_wandb_folder(home: Path) -> Path:
    """Write a folder as W&B does for one start of a run."""
    folder = home / "wandb" / "offline-run-20261121_120000-abc"
    (folder / "files").mkdir(parents=True)
    (folder / "run-abc.wandb").write_bytes(b":W&B")
    (folder / "files" / "config.yaml").write_text("_wandb: {value: {}}\n")
    return folder


def test_wandbs_folder_within_a_runs_folder_is_that_run(tmp_path: Path) -> None:
    run, other = make(tmp_path, "a"), make(tmp_path, "b")
    wandb_folder = make_wandb_folder(run)
    for path in (
        wandb_folder,
        wandb_folder / "files",
        wandb_folder / "run-abc.wandb",
        wandb_folder.parent,
        run,
    ):
        assert [each.resolve() for each in find_run_folders([path])] == [run], path
    assert len(find_run_folders([wandb_folder, run, f"{run}/wandb/*"])) == 1
    assert find_run_folders([tmp_path]) == [run, other]
    (result,) = read_runs(SimpleNamespace(runs=[str(wandb_folder)]))
    assert [each.step for each in result.evaluations] == [500, 1000]
    assert not result.problems


def test_wandbs_folder_without_a_run_is_refused_with_what_to_do(tmp_path: Path) -> None:
    wandb_folder = make_wandb_folder(tmp_path)
    for path in (wandb_folder, wandb_folder / "run-abc.wandb", wandb_folder.parent):
        answer = compare_here(tmp_path, str(path))
        assert answer.code == 2
        assert len(answer.err.splitlines()) <= 3
        assert f"wandb sync {wandb_folder}" in answer.err
        assert "--from wandb:entity/project" in answer.err
    run = make(tmp_path)
    assert find_run_folders([tmp_path]) == [run], "and it stops no comparison of runs beside it"


def fake_run(name: str, values: list[float], state: str = "finished", **settings: Any) -> Any:
    rows = [
        {
            "_step": i,
            "images": at * BATCH,
            "trainer/global_step": at,
            "fid10k_digits": value,
            "generator": None,
        }
        for i, (at, value) in enumerate(zip((500, 1000), values, strict=False))
    ]
    logged = {**config(**settings), "contract": CONTRACT, "_wandb": {}}
    return SimpleNamespace(
        id=name, name=name, state=state, config=logged, summary={}, metadata={"gpu": "H200", "gpu_count": 2},
        scan_history=lambda: iter(rows),
    )  # fmt: skip


class FakeApi:
    def __init__(self, *runs: Any) -> None:
        self.all_runs = runs

    def runs(self, project: str) -> list[Any]:
        assert project == "me/gans"
        return list(self.all_runs)


def test_runs_on_wandbs_server_are_read() -> None:
    def broken() -> Any:
        raise ConnectionError("gone\nmore")

    lost = fake_run("lost-seed0", [])
    lost.scan_history = broken
    api = FakeApi(
        fake_run("hinge-seed0", [9.0, 5.0], seed_everything=0),
        fake_run("hinge-seed1", [9.0, 6.0], seed_everything=1),
        fake_run("hinge-seed2", [9.0], state="crashed", seed_everything=2),
        fake_run("hinge-seed3", [9.0], seed_everything=3),
        lost,
    )
    result = tables.compare(read_wandb.read_project("wandb:me/gans", api))
    row = next(row for row in only_table(result).rows if row.group.name.startswith("hinge"))
    assert row.last == [5, 6, None, None]
    assert row.trouble[:2] == ["seed 2 failed at step 500 of 1,000", "seed 3 stopped at step 500 of 1,000"]
    assert row.hardware == "2 x H200"
    assert "me/gans/lost-seed0: W&B does not tell all of it: gone" in result.notes


def test_a_wandb_run_with_only_its_games_hyperparameters_is_read() -> None:
    run = fake_run("hinge-seed4", [9.0, 5.0])
    run.config = {"_class_path": "ganlab.variants.R3GAN", "gamma": 2.0, "seed": 4, "contract": CONTRACT}
    (result,) = read_wandb.read_project("wandb:me/gans", FakeApi(run))
    assert (result.seed, result.data, result.experiment) == (4, "digits", "hinge")
    assert result.settings == {"model.class_path": "ganlab.variants.R3GAN", "model.init_args.gamma": 2.0}


OWN = {"class": "my_file.Vowels", "values": [["vowels{n}", "max", "log"], ["vowels{n}_error", None, "raw"]]}


def test_a_users_score_is_told_by_the_contract_that_came_with_it() -> None:
    """From W&B, where nothing else of the class is known, and garbled tellings are none."""
    for judged, scale in ((0, "log"), (9, None)):
        run = fake_run("hinge-seed0", [9.0, 5.0])
        run.config["contract"] = {**CONTRACT, "parameters": {"vowels": {**OWN, "judged": judged}}}
        rows = [{**row, "vowels100": 0.5, "vowels100_error": 0.1} for row in run.scan_history()]
        run.scan_history = lambda rows=rows: iter(rows)
        result = tables.compare(read_wandb.read_project("wandb:me/gans", FakeApi(run)))
        known = {table.score: (table.better, table.scale) for table in result.tables}
        own = {"vowels100": ("max", scale)} if scale else {}
        assert known == {"fid10k_digits": ("min", "log"), **own}
    (table,) = tables.compare(
        read_wandb.read_project("wandb:me/gans", FakeApi(fake_run("hinge-seed0", [9.0, 5.0])))
    ).tables
    assert table.score == "fid10k_digits"


def test_rows_of_one_step_keep_each_what_its_scores_depend_on() -> None:
    """As where `ganlab evaluate` adds other scores to a step that has some."""
    own = {"vowels": {**OWN, "judged": 0}, "psnr": {"crop": 0}}
    rows = [
        {"step": 5, "scores": {"vowels100": 0.5, "fid100_pixels": 1.0}, "contract": {"parameters": own}},
        {"step": 5, "scores": {"psnr100": 20.0}, "contract": {"parameters": {"psnr": {"crop": 4}}}},
        {"step": 5, "scores": {"fid100_pixels": 2.0}, "contract": {}},
    ]
    (first, *_), (both,) = ([*evaluations(part, [], [])] for part in (rows[:1], rows))
    assert both.scores == {"vowels100": 0.5, "fid100_pixels": 2.0, "psnr100": 20.0}
    assert hash_of(both.contract, "vowels100") == hash_of(first.contract, "vowels100")
    assert hash_of(both.contract, "psnr100") != hash_of(first.contract, "psnr100")
    assert hash_of(both.contract, "fid100_pixels") == both.contract["hash"]


def test_scores_without_a_contract_are_in_no_table() -> None:
    run = fake_run("hinge-seed0", [9.0, 5.0])
    del run.config["contract"]
    result = tables.compare(read_wandb.read_project("wandb:me/gans", FakeApi(run)))
    assert not result.tables
    assert any("no contract" in note for note in result.notes)


def test_without_a_wandb_account_it_is_refused_without_a_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    answer = here("compare", "--from", "wandb:me/gans", folder=tmp_path, NETRC="/nowhere")
    assert answer.code == 2
    assert "wandb login" in answer.err


def test_a_game_is_named_by_its_parts_as_one_writes_them() -> None:
    first = {"class_path": "ganlab.penalties.R1", "init_args": {"gamma": 0.5}}
    second = {"class_path": "my_file.Mine", "init_args": {}}
    settings = settings_of({"model": {"init_args": {"penalty_terms": [first, second], "regularisers": []}}})
    assert settings == {"model.init_args.penalty_terms": "R1(gamma=0.5) + my_file.Mine"}

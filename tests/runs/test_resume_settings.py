"""Which run is resumed, which settings may change, and that one process at a time trains it."""

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from command_line import contents, run_folders, write
from commands import GAME, Answer, Command, assert_same_end, at, begun, fit, signalled, steps
from fuzzing import state_of

from ganlab.checkpoints.checksummed import write_checksummed
from ganlab.errors import Refused
from ganlab.runs import folder as runs
from ganlab.runs.resume import differences


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped after five of its thirteen steps."""
    folder = tmp_path_factory.mktemp("stopped")
    with signalled(step=5):
        assert fit("--config", write(folder, GAME), folder=folder).code == 75
    assert steps(begun(folder)) == [5, 3]
    return begun(folder)


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    write(tmp_path, GAME)
    return shutil.copytree(stopped, tmp_path / "runs" / "digits" / "small" / stopped.name)


def refused(answer: Answer) -> str:
    assert answer.code == 2, answer
    assert 1 <= len(answer.err.splitlines()) <= 3, answer.err
    assert answer.err.startswith("ganlab: ")
    assert "Traceback" not in answer.err
    return answer.err


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


# What may change

FREE = {
    "trainer.max_steps": 12,
    "checkpoints.every_n_steps": 2,
    "samples.every_n_steps": 4,
    "evaluation.every_n_steps": 4,
    "trainer.log_every_n_steps": 3,
    "data.init_args.workers": 1,
    "trainer.logger.class_path": "lightning.pytorch.loggers.CSVLogger",
    "trainer.logger.init_args.save_dir": "also",
    "runs": "elsewhere",
}


@pytest.mark.parametrize("name", ["root", "download", "placement", "workers"])
def test_where_wrapped_data_lie_and_how_they_are_read_may_change(name: str) -> None:
    def config(value: Any) -> dict[str, Any]:
        return {
            "data": {"init_args": {"of": {"init_args": {"of": {"init_args": {name: value, "size": 64}}}}}}
        }

    assert not differences(config("here"), config("there"))
    other = config("here")
    other["data"]["init_args"]["of"]["init_args"]["of"]["init_args"]["size"] = 32
    assert differences(config("here"), other) == ["data.init_args.of.init_args.of.init_args.size: 64 -> 32"]


def setting(tree: Any, key: str) -> Any:
    """A setting by its dotted name."""
    for name in key.split("."):
        tree = tree[name]
    return tree


@pytest.mark.slow
def test_budget_cadences_and_loggers_may_change(run: Path, straight: Path, tmp_path: Path) -> None:
    began = yaml.safe_load((run / "config.yaml").read_text())
    options = [word for key, value in FREE.items() for word in (f"--{key}", value)]
    options[options.index("--checkpoints.every_n_steps")] = "--checkpoint_every"
    answer = fit("--resume", run, *options, folder=tmp_path)
    assert answer.code == 0, answer
    assert "resuming" in answer.out
    assert steps(run)[:2] == [12, 10]
    resumed = yaml.safe_load((run / "config.yaml").read_text())
    for key, value in FREE.items():
        assert setting(resumed, key) == value, key
        assert ".logger" in key or setting(began, key) != value, key
    assert not (tmp_path / "elsewhere").exists()
    assert len([*(tmp_path / "also").rglob("metrics.csv")]) == 1
    one, other = weights(at(run, 12)), weights(at(straight, 12))
    assert all(torch.equal(one[name], value) for name, value in other.items())


# What may not

FIXED = [
    ("--model.discriminator.hidden [8]", "model.init_args.discriminator.init_args.hidden", [16], [8]),
    ("--model.generator.latent_size 6 --model.latent_size 6", "model.init_args.latent_size", 4, 6),
    ("--seed_everything 1", "seed_everything", 0, 1),
    ("--data.size 16", "data.init_args.size", 8, 16),
    ("--trainer.precision bf16-mixed", "trainer.precision", "32-true", "bf16-mixed"),
    ("--model.critic_steps 1", "model.init_args.critic_steps", 2, 1),
    ("--model.instance_noise 0.2", "model.init_args.instance_noise", 0.1, 0.2),
    ("--model.penalty_every 2", "model.init_args.penalty_every", 1, 2),
    ("--model.generator_optimizer.lr 0.1", "model.init_args.generator_optimizer.init_args.lr", 0.0002, 0.1),
    ("--model.gamma 2", "model.init_args.gamma", 1.0, 2.0),
    ("--evaluation.samples 50", "evaluation.samples", 40, 50),
]


@pytest.mark.parametrize(("options", "key", "old", "new"), FIXED, ids=[row[0] for row in FIXED])
def test_settings_that_change_training_are_refused(
    options: str, key: str, old: Any, new: Any, run: Path, tmp_path: Path
) -> None:
    before = contents(run)
    message = refused(fit("--resume", run, *options.split(), folder=tmp_path))
    assert f"{key}: {old} -> {new}" in message
    assert str(run) in message
    assert contents(run) == before


def test_a_changed_batch_is_refused_before_a_step(run: Path, tmp_path: Path) -> None:
    """The batch of all processes counts: devices and batch_size may change if their product does not."""
    before = [at(run, step).read_bytes() for step in (5, 3)]
    message = refused(fit("--resume", run, "--data.batch_size", "4", folder=tmp_path))
    assert " 16 " in message
    assert " 8." in message
    assert steps(run) == [5, 3]
    assert [at(run, step).read_bytes() for step in (5, 3)] == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--resume nowhere", ("nowhere", "config.yaml")),
        ("--resume runs", ("runs", "config.yaml", "In runs here")),
        ("--resume nowhere/step-000000001.ckpt", ("There is no checkpoint",)),
        ("--resume RUN --ckpt_path RUN/checkpoints/step-000000003.ckpt", ("--ckpt_path",)),
        ("--restart", ("--resume RUN --restart",)),
        ("--resume auto --restart", ("--resume RUN --restart",)),
        ("--resume RUN/checkpoints/step-000000003.ckpt --restart", ("--resume RUN --restart",)),
    ],
)
def test_a_target_that_is_no_run_is_refused(
    arguments: str, words: tuple[str, ...], run: Path, tmp_path: Path
) -> None:
    answer = fit("--config", "small.yaml", *arguments.replace("RUN", str(run)).split(), folder=tmp_path)
    message = refused(answer)
    for word in words:
        assert word in message
    assert run_folders(tmp_path) == [run]


# Which run


def test_a_checkpoint_is_resumed_in_its_own_run(run: Path, straight: Path, tmp_path: Path) -> None:
    answer = fit("--resume", at(run, 3), folder=tmp_path)
    assert answer.code == 0, answer
    assert f"resuming {run} from step-000000003.ckpt" in answer.out
    assert run_folders(tmp_path) == [run]
    assert_same_end(run, straight)


def test_auto_resumes_the_newest_whole_checkpoint_of_the_same_settings(
    run: Path, straight: Path, tmp_path: Path
) -> None:
    """Beside it lie an older one, one that is damaged, one of another seed, and one of other settings."""

    def copy_run(name: str, change: tuple[str, str] = ("", "")) -> Path:
        copy = shutil.copytree(run, run.with_name(name))
        config = (copy / "config.yaml").read_text()
        assert change[0] in config
        (copy / "config.yaml").write_text(config.replace(*change))
        return copy

    older, damaged = copy_run("1-seed0"), copy_run("2-seed0")
    copy_run("3-seed1", ("seed_everything: 0", "seed_everything: 1"))
    copy_run("4-seed0", ("gamma: 1.0", "gamma: 2.0"))
    for path in damaged.glob("checkpoints/*"):
        path.write_bytes(path.read_bytes()[:5000])
    now = time.time()
    for number, place in enumerate((older, run, damaged)):
        for path in place.glob("checkpoints/*"):
            os.utime(path, (now, now - 100 + number))
    answer = fit("--config", "small.yaml", "--resume", "auto", folder=tmp_path)
    assert answer.code == 0, answer
    assert f"resuming {run.relative_to(tmp_path)} from step-000000005.ckpt" in answer.out
    assert_same_end(run, straight)
    assert [steps(place)[0] for place in (older, damaged)] == [5, 5]


@pytest.mark.parametrize("options", ["--seed_everything 2", "--model.gamma 2"])
def test_auto_begins_anew_where_no_run_is_the_same(options: str, run: Path, tmp_path: Path) -> None:
    before = contents(run)
    short = ("--trainer.max_steps", "1", "--evaluation.extractor", "null")
    answer = fit("--config", "small.yaml", "--resume", "auto", *options.split(), *short, folder=tmp_path)
    assert answer.code == 0, answer
    assert "begins anew" in answer.out
    assert contents(run) == before
    (other,) = set(run_folders(tmp_path)) - {run}
    assert steps(other) == [1]


def test_a_new_run_begins_with_the_weights_of_another(run: Path, tmp_path: Path) -> None:
    still = ("--model.generator_optimizer.lr", "0", "--model.discriminator_optimizer.lr", "0")
    short = ("--trainer.max_steps", "1", "--trainer.log_every_n_steps", "1", "--seed_everything", "3")
    before = contents(run)
    for source in (run, at(run, 3)):
        known = set(run_folders(tmp_path))
        answer = fit("--config", "small.yaml", "--init_from", source, *still, *short, folder=tmp_path)
        assert answer.code == 0, answer
        (other,) = set(run_folders(tmp_path)) - known
        saved = torch.load(at(other, 1), weights_only=True)
        assert saved["global_step"] == 1
        turns = [
            {each["step"].item() for each in state["state"].values()} for state in saved["optimizer_states"]
        ]
        assert turns == [{2}, {1}]
        began = weights(at(run, 5 if source == run else 3))
        for name, value in began.items():
            if name.startswith(("generator", "discriminator")):
                assert torch.equal(saved["state_dict"][name], value), name
    assert contents(run) == before


def test_weights_of_another_shape_are_refused(run: Path, tmp_path: Path) -> None:
    other = ("--model.generator.hidden", "[8]", "--init_from", run)
    message = refused(fit("--config", "small.yaml", *other, folder=tmp_path))
    assert "init_from" in message
    assert "generator" in message
    assert str(at(run, 5)) in message
    assert run_folders(tmp_path) == [run]


# One process at a time


def test_a_run_that_is_being_trained_is_not_trained_by_another(
    straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "import time, ganlab.game.gan; old = ganlab.game.gan.GAN.training_step\n" + (
        "ganlab.game.gan.GAN.training_step = lambda *arguments: (time.sleep(0.1), old(*arguments))[1]"
    )
    first = Command("fit", "--config", write(tmp_path, GAME), folder=tmp_path, patch=slow)
    first.until(lambda: [*tmp_path.glob("runs/*/*/*/checkpoints/step-*.ckpt")])
    run = begun(tmp_path)
    first.signal(signal.SIGSTOP)
    before = contents(run)
    monkeypatch.setattr(runs, "LOCK_TIMEOUT", 0)
    message = refused(fit("--resume", run, folder=tmp_path))
    assert str(run) in message
    assert contents(run) == before
    # A second process that waits resumes from what the first saves when it ends.
    second = Command("fit", "--resume", run, "--checkpoints.keep", "1", folder=tmp_path)
    time.sleep(1.5)
    assert second.runs
    first.signal(signal.SIGCONT)
    first.until(lambda: steps(run)[0] >= 6)
    first.signal(signal.SIGTERM)
    assert first.end().code == 75
    newest = steps(run)[0]
    answer = second.end()
    assert answer.code == 0, answer
    assert f"from step-{newest:09d}.ckpt" in answer.out
    assert_same_end(run, straight)


# A refusal changes nothing


def refuse_to_load(*arguments: Any) -> None:
    raise Refused("The pictures cannot be read.")


REFUSALS = {
    "an earlier checkpoint, other batch": ("--resume EARLIER --data.batch_size 4", "images a step"),
    "other batch": ("--resume RUN --data.batch_size 4", "images a step"),
    "other batch and a logger": ("--resume RUN --data.batch_size 4 --trainer.logger TensorBoard", "images"),
    "no data": ("--resume EARLIER", "cannot be read"),
    "no room": ("--resume EARLIER", "MB left"),
    "the best is gone": ("--rollback RUN", "no best checkpoint"),
}


@pytest.mark.slow
def test_a_refused_resume_changes_nothing(
    run: Path, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other: none hinders the next, and after all of them the run goes on."""
    before = state_of(tmp_path)
    for why, (arguments, word) in REFUSALS.items():
        words = arguments.replace("RUN", str(run)).replace("EARLIER", str(at(run, 3))).split()
        with monkeypatch.context() as patch:
            if why == "no data":
                patch.setattr("ganlab.data.Digits.load", refuse_to_load)
            if why == "no room":
                usage = shutil.disk_usage(tmp_path)._replace(free=10_000)
                patch.setattr("ganlab.callbacks.preflight.shutil.disk_usage", lambda path, u=usage: u)
            message = refused(fit(*words, folder=tmp_path))
        assert word in message, why
        after = state_of(tmp_path)
        assert {name for name in after.keys() - before.keys() if "digits" in name} == set(), why
        assert {name: after.get(name) for name in before} == before, why
    assert fit("--resume", run, folder=tmp_path).code == 0
    assert_same_end(run, straight)


LATER = ("penalty_share", "penalty_terms", "regularisers")  # options that came later than others


@pytest.mark.parametrize(("options", "code"), [("", 0), ("--model.penalty_share 0.5", 2)])
def test_options_that_are_newer_than_a_run_were_at_their_defaults(
    options: str, code: int, run: Path, tmp_path: Path
) -> None:
    record = yaml.safe_load((run / "config.yaml").read_text())
    for name in LATER:
        del record["model"]["init_args"][name]
    (run / "config.yaml").write_text(yaml.safe_dump(record, sort_keys=False))
    for path in (run / "checkpoints").glob("*.ckpt"):
        checkpoint = torch.load(path, weights_only=True)
        for name in LATER:
            del checkpoint["settings"][f"model.init_args.{name}"]
        write_checksummed(path, checkpoint)
    answer = fit("--resume", run, "--trust_code", *options.split(), folder=tmp_path)
    assert answer.code == code, answer
    assert not options or "penalty_share: 1.0 -> 0.5" in refused(answer)


CHANGED = {
    "lr: 0.0002": "lr: 0.1",
    "seed_everything: 0": "seed_everything: 5",
    "gamma: 1.0": "gamma: 2.0",
    "size: 8": "size: 16",
}


@pytest.mark.parametrize("old", CHANGED)
def test_settings_that_were_changed_in_the_file_are_refused(old: str, run: Path, tmp_path: Path) -> None:
    """Compared with those that the checkpoint was trained with, even where the user trusts the file."""
    config = (run / "config.yaml").read_text()
    assert old in config
    (run / "config.yaml").write_text(config.replace(old, CHANGED[old]))
    before = contents(run)
    message = refused(fit("--resume", run, "--trust_code", folder=tmp_path))
    assert f"{old} -> {CHANGED[old].split()[-1]}" in message
    assert contents(run) == before


def test_checkpoints_may_lie_on_another_disk(run: Path, straight: Path, tmp_path: Path) -> None:
    (run / "checkpoints").rename(tmp_path / "scratch")
    (run / "checkpoints").symlink_to(tmp_path / "scratch")
    answer = fit("--resume", at(run, 3), folder=tmp_path)
    assert answer.code == 0, answer
    assert f"resuming {run} from" in answer.out
    assert_same_end(run, straight)
    assert (run / "checkpoints").is_symlink()


def test_a_garbled_run_beside_it_stops_no_other(run: Path, straight: Path, tmp_path: Path) -> None:
    for number, text in enumerate([b"seed_everything: 0\n: [", b"\xff\xfe", b""]):
        (other := run.with_name(f"{number}-seed0")).mkdir()
        (other / "config.yaml").write_bytes(text)
    assert fit("--config", "small.yaml", "--resume", "auto", folder=tmp_path).code == 0
    assert_same_end(run, straight)


def test_a_run_is_resumed_in_the_process_that_began_it(
    straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a notebook, twice."""
    monkeypatch.setattr(runs, "LOCK_TIMEOUT", 0)  # A claim that was not released would be refused at once.
    config = write(tmp_path, GAME)
    assert fit("--config", config, "--trainer.max_steps", "4", folder=tmp_path).code == 0
    run = begun(tmp_path)
    for steps_now in (9, 13):
        answer = fit("--resume", run, "--trainer.max_steps", str(steps_now), folder=tmp_path)
        assert answer.code == 0, answer
    assert [steps(run)[0], steps(straight)[0]] == [13, 13]
    one, other = weights(at(run, 13)), weights(at(straight, 13))
    assert all(torch.equal(one[name], value) for name, value in other.items())

"""Values of options that cannot work end in a sentence that names the option, and leave nothing behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml
from command_line import (
    COMMAND,
    SMALL,
    alone,
    checkpoint,
    here,
    process,
    refused,
    run_folders,
    weights,
    write,
)
from commands import fit
from later import later

from ganlab.testing import assert_same

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")
TINY = SMALL.replace("max_steps: 7", "max_steps: 2")


# An option of each kind by default: of the trainer, the model, the data and the callbacks.
AT_ONCE = {
    *("--trainer.devices 0", "--trainer.accelerator gpu", "--trainer.strategy ddp", "--trainer.max_steps -2"),
    *("--trainer.gradient_clip_val 1", "--samples.count 1000000000000", "--model.ema_half_life .nan"),
    "--model.generator_scheduler StepLR --model.generator_scheduler.step_size 0",
}
REFUSED = [
    ("--trainer.devices 0", ("trainer.devices", "at least 1")),
    ("--trainer.devices 100000", ("devices is 100000",)),
    ("--trainer.accelerator gpu", ("trainer.accelerator", "gpu", "auto")),
    ("--trainer.accelerator tpu", ("trainer.accelerator", "torch_xla", "auto")),
    ("--trainer.gradient_clip_val 1", ("gradient_clip_val", "discriminator_clip", "generator_clip")),
    ("--trainer.accumulate_grad_batches 2", ("accumulate_grad_batches", "model.accumulation")),
    ("--trainer.limit_train_batches 0", ("limit_train_batches is 0", "from 1")),
    ("--trainer.strategy ddp", ("strategy ddp", "auto", "TwoPlayers")),
    ("--trainer.strategy nonsense", ("trainer.strategy", "nonsense", "auto")),
    ("--trainer.strategy deepspeed", ("trainer.strategy", "DeepSpeed", "auto")),
    ("--trainer.profiler nonsense", ("trainer.profiler", "simple, advanced")),
    ("--trainer.max_time nonsense", ("trainer.max_time", "nonsense", "DD:HH:MM:SS")),
    ("--trainer.max_steps -2", ("trainer.max_steps", "-2")),
    ("--seed_everything -1", ("seed_everything", "-1", "4294967295")),
    ("--checkpoint_every 0", ("Checkpoints", "every_n_steps is 0")),
    ("--samples.count 1000000000000", ("Samples", "count", "GB")),
    ("--model.ema_half_life .nan", ("ema_half_life is nan",)),
    ("--model.generator.hidden [1000000000000]", ("GB", "hidden")),
    ("--model.latent_size 1000000000000", ("GB", "latent_size")),
    ("--data.batch_size 1000000000000", ("GB", "batch_size 1000000000000")),
    ("--model.generator_scheduler StepLR --model.generator_scheduler.step_size 0", ("StepLR",)),
]


@pytest.mark.parametrize(
    ("arguments", "words"), later(REFUSED, [case for case in REFUSED if case[0] in AT_ONCE])
)
def test_what_cannot_work_names_the_option(arguments: str, words: tuple[str, ...], tmp_path: Path) -> None:
    answer = here("fit", "--config", write(tmp_path, TINY), *arguments.split(), folder=tmp_path)
    assert answer.code == 2, answer
    assert 1 <= len(answer.err.splitlines()) <= 4, answer.err
    assert "Traceback" not in answer.err
    assert not run_folders(tmp_path)
    for word in words:
        assert word in re.sub(r"\s+", " ", answer.err).replace("'", "")


@pytest.mark.parametrize("command", later(["fit", "validate"], ["fit"]))
def test_a_ckpt_path_that_is_no_checkpoint_is_refused(command: str, tmp_path: Path) -> None:
    config = write(tmp_path, TINY)
    (tmp_path / "a folder.ckpt").mkdir()
    (tmp_path / "text.ckpt").write_text("root:x:0:0:root:/root:/bin/bash\n")
    torch.save({"state": 1}, tmp_path / "other.pt")
    for name in ("missing", "a folder.ckpt", "text.ckpt", "other.pt"):
        answer = here(command, "--config", config, "--ckpt_path", tmp_path / name, folder=tmp_path)
        assert str(tmp_path / name) in refused(answer, tmp_path)


def test_a_run_that_never_logs_trains_and_resumes_as_any_other(tmp_path: Path) -> None:
    scored = SMALL + "evaluation: {extractor: Pixels, samples: 40, every_n_steps: 3}\n"
    config, never = write(tmp_path, scored), ("--trainer.log_every_n_steps", "0")
    assert fit("--config", config, *never, "--trainer.max_steps", "5", folder=tmp_path).code == 0
    (run,) = run_folders(tmp_path)
    resumed = fit("--resume", run, "--trainer.max_steps", "7", folder=tmp_path)
    assert resumed.code == 0, resumed
    logging = fit("--config", config, "--runs", tmp_path / "logging" / "runs", folder=tmp_path)
    assert logging.code == 0, logging
    assert_same(weights(run), weights(*run_folders(tmp_path / "logging")), what="the run that logs")
    table = (run / "metrics.csv").read_text() if (run / "metrics.csv").exists() else ""
    assert not set(re.split(r"[,\n]", table)) & {"discriminator", "generator", "real_logit"}
    assert (run / "scores.jsonl").read_text().count("\n") >= 3
    compared = here("compare", run, folder=tmp_path)
    assert compared.code == 0, compared
    assert "fid" in compared.out


def test_the_strategy_may_be_named_in_a_file_and_repeated_from_the_runs_own(tmp_path: Path) -> None:
    strategy = "strategy: {class_path: ganlab.training.TwoPlayers, init_args: {bucket_megabytes: 3}}"
    config = write(tmp_path, TINY.replace("max_steps: 2", f"max_steps: 2, {strategy}"))
    answer = here("fit", "--config", config, folder=tmp_path)
    assert answer.code == 0, answer
    (run,) = run_folders(tmp_path)
    written = yaml.safe_load((run / "config.yaml").read_text())["trainer"]["strategy"]
    assert written["init_args"]["bucket_megabytes"] == 3
    again = here("fit", "--config", run / "config.yaml", folder=tmp_path)
    assert again.code == 0, again
    assert_same(*(weights(each, 2) for each in run_folders(tmp_path)), what="the repeated run")
    unknown = config.read_text().replace("bucket_megabytes: 3", "find_unused_parameters: true")
    answer = here("fit", "--config", write(tmp_path, unknown), folder=tmp_path)
    assert answer.code == 2
    assert "find_unused_parameters" in answer.err


def test_a_checkpoint_does_not_change_the_settings(tmp_path: Path) -> None:
    config = write(tmp_path, TINY)
    assert here("fit", "--config", config, folder=tmp_path).code == 0
    (run,) = run_folders(tmp_path)
    path = run / "checkpoints" / "step-000000002.ckpt"
    changed = ("--model.gamma", "7", "--ckpt_path", str(path), "--trainer.max_steps", "3")
    answer = here("fit", "--config", config, *changed, folder=tmp_path)
    assert answer.code == 0, answer
    (other,) = (each for each in run_folders(tmp_path) if each != run)
    assert yaml.safe_load((other / "config.yaml").read_text())["model"]["init_args"]["gamma"] == 7
    assert checkpoint(other, 3)["hyper_parameters"]["gamma"] == 7
    wider = ("--model.generator.hidden", "[17]", "--ckpt_path", str(path))
    answer = here("fit", "--config", config, *wider, folder=tmp_path)
    assert answer.code == 2, answer
    assert "do not fit this game" in answer.err


@pytest.mark.parametrize("command", ["list --json", "--help", "list"])
def test_a_reader_that_is_gone_ends_a_command_quietly(command: str, tmp_path: Path) -> None:
    line = f'{COMMAND} {command} | true; echo "${{PIPESTATUS[0]}}"'
    answer = process("bash", "-c", line, folder=tmp_path)
    assert answer.err == ""
    assert answer.out.strip() in ("0", "1", "141")


def test_the_installed_command_still_prints(tmp_path: Path) -> None:
    assert alone("--version", folder=tmp_path).out.startswith("ganlab ")


def test_a_defect_of_ones_own_class_keeps_its_traceback(tmp_path: Path) -> None:
    """It is no refusal: where it was raised is what its author needs."""
    broken = "from ganlab.variants import R3GAN\nclass Mine(R3GAN):\n    def __init__(self, **given):\n"
    broken += "        super().__init__(**given)\n        raise RuntimeError('no such card')\n"
    (tmp_path / "my_broken.py").write_text(broken)
    write(tmp_path, SMALL.replace("R3GAN", "my_broken.Mine"))
    with pytest.raises(ValueError, match="no such card") as raised:
        here("fit", "--config", "small.yaml", folder=tmp_path)
    assert isinstance(raised.value.__cause__, RuntimeError)

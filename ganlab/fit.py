"""`ganlab fit` and `ganlab validate`: a configuration becomes a game, data and a Trainer."""

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as pl
import yaml
from jsonargparse import ActionConfigFile, Namespace
from lightning.pytorch import LightningDataModule
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only

# Imported, a class is known by its bare name.
from ganlab import data, metrics, networks, runs, user_code, variants, wandb_logger  # noqa: F401
from ganlab.callbacks import Checkpoints, Evaluation, Progress, Samples
from ganlab.gan import GAN
from ganlab.hardware import best_precision, keep_freed_memory
from ganlab.recipe import accepted
from ganlab.record import NonFiniteError
from ganlab.refused import Refused
from ganlab.suggestions import config_files, explain
from ganlab.trainer import Trainer

PLAYERS = ("generator", "discriminator")
TOLD_BY_DATA = ("image_shape", "classes")
RUN_FOLDER = "GANLAB_RUN_FOLDER"
DECLINING = ("lightning.pytorch.trainer.connectors", "torch.optim")


class Parser(LightningArgumentParser):
    made: ClassVar[list["Parser"]] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)
        if self.exit_on_error:
            self.made.append(self)

    def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
        """Three lines with the nearest known names, exit code 2."""
        if not self.exit_on_error:
            super().error(message, ex)
        keys = {action.dest for parser in self.made for action in parser._actions}
        print(explain(message, keys), file=sys.stderr)
        raise SystemExit(2)


class GanCLI(LightningCLI):
    """Joins the four choices: nobody types twice what one of them knows."""

    folders: ClassVar[list[Path]] = []
    opened: ClassVar[Path | None] = None

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        parser = Parser(**kwargs)
        parser.add_argument(
            "-c", "--config", action=ActionConfigFile, help="An experiment file, or several, merged in order."
        )
        return parser

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        hidden = {
            "model",
            "datamodule",
            "train_dataloaders",
            "val_dataloaders",
            "dataloaders",
            "weights_only",
        }
        return {"fit": hidden, "validate": hidden}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--runs", type=str, default="runs", help="The folder that collects all runs.")
        parser.add_lightning_class_args(Samples, "samples")
        parser.add_lightning_class_args(Evaluation, "evaluation")
        parser.add_lightning_class_args(Checkpoints, "checkpoints")
        for player in PLAYERS:
            for fact in TOLD_BY_DATA:
                target = f"model.init_args.{player}.init_args.{fact}"
                parser.link_arguments(f"data.{fact}", target, apply_on="instantiate")
        latent = "init_args.latent_size"
        parser.link_arguments(f"model.{latent}", f"model.init_args.generator.{latent}")
        parser.link_arguments("seed_everything", "model.init_args.seed")
        parser.link_arguments("seed_everything", "data.init_args.seed")

    def before_instantiate_classes(self) -> None:
        settings = self.settings
        # Lightning knows other words (last, best) and addresses elsewhere.
        if (
            (path := settings.ckpt_path)
            and path.endswith(".ckpt")
            and "://" not in path
            and not Path(path).exists()
        ):
            raise Refused(f"There is no checkpoint {path} (ckpt_path).")
        if settings.trainer.precision == "auto":
            settings.trainer.precision = best_precision(settings.trainer.accelerator)
        self._parser(self.subcommand).add_instantiator(self._build, GAN, prepend=True)
        if self.subcommand == "fit" and not settings.trainer.fast_dev_run:
            self._open_folder()

    @property
    def settings(self) -> Namespace:
        return self.config[self.subcommand]

    def _open_folder(self) -> None:
        settings = self.settings
        played_on, variant = (settings[part].class_path.rsplit(".", 1)[-1] for part in ("data", "model"))
        files = [Path(str(path)) for path in settings.get("config") or []]
        experiment = runs.experiment_name(files[-1] if files else None, variant)
        if _leads():
            folder = runs.create(
                Path(settings.runs), data=played_on, experiment=experiment, seed=settings.seed_everything
            )
            (folder / "config.yaml").write_text(self._parser(self.subcommand).dump(settings, skip_none=False))
            runs.write_environment(folder)
            # The other processes of this machine are started later and inherit it.
            os.environ[RUN_FOLDER] = str(folder)
            GanCLI.opened = folder
        settings.trainer.default_root_dir = os.environ.get(RUN_FOLDER, settings.runs)
        wandb_logger.prepare(settings.trainer, name=f"{experiment}-seed{settings.seed_everything}")

    def _build(
        self, game: type[GAN], *args: Any, applied_instantiation_links: dict[str, Any], **kwargs: Any
    ) -> GAN:
        """Give the game plain hyperparameters, in Lightning's form, that rebuild it without data."""
        text = self._parser(self.subcommand).dump(self.settings, skip_link_targets=False, skip_none=False)
        model = yaml.safe_load(text)["model"]
        told = {target.rsplit(".", 1)[1]: value for target, value in applied_instantiation_links.items()}
        for player in PLAYERS:
            network = model["init_args"][player]
            # What was linked is left out of the dump.
            values = {**vars(self.settings.model.init_args[player].init_args), **told}
            known = accepted(network["class_path"])
            linked = {key: _plain(value) for key, value in values.items() if key in known}
            network["init_args"] = {**linked, **network.get("init_args", {})}
        built = game(*args, **kwargs)
        instantiator = "lightning.pytorch.cli.instantiate_module"
        path = {"_class_path": model["class_path"], "_instantiator": instantiator}
        built.save_hyperparameters({**model["init_args"], **path})
        return built

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        folder = self.settings.trainer.default_root_dir
        chosen = self.config_init[self.subcommand].trainer.logger
        if self.subcommand != "fit":
            kwargs["logger"] = False
        elif folder:
            others = [] if chosen in (None, True, False) else chosen if isinstance(chosen, list) else [chosen]
            home = Path(folder)
            kwargs["logger"] = [CSVLogger(home.parent, name="", version=home.name), *others]
        return super().instantiate_trainer(**kwargs)

    def before_fit(self) -> None:
        if self.opened:
            user_code.keep(self.folders, self.opened)

    def after_fit(self) -> None:
        if self.opened:
            print(f"run folder: {self.opened}")


def _leads() -> bool:
    return getattr(rank_zero_only, "rank", 0) == 0


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def main(arguments: list[str]) -> int:
    keep_freed_memory()
    quieten()
    GanCLI.opened = None
    GanCLI.folders = user_code.find(Path(path) for path in config_files(arguments))
    try:
        return answered(lambda: _play(arguments))
    except NonFiniteError as error:
        print(f"ganlab: {error}", file=sys.stderr)
        return 1


def _play(arguments: list[str]) -> None:
    try:
        GanCLI(
            GAN,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            trainer_class=Trainer,
            trainer_defaults={"callbacks": [Progress()], "enable_model_summary": False},
            seed_everything_default=0,
            save_config_callback=None,
            auto_configure_optimizers=False,
            args=None if arguments == sys.argv[1:] else arguments,
        )
    except Exception as error:
        # Where nothing was trained, a folder opened for this run would only be in the way.
        if refusal(error) and GanCLI.opened and not (GanCLI.opened / "checkpoints").exists():
            runs.discard(GanCLI.opened)
        raise


def answered(work: Callable[[], None]) -> int:
    """Do a command's work; what cannot work is told in a sentence, with the exit code 2."""
    try:
        work()
    except Exception as error:
        if not (refused := refusal(error)):
            raise
        print(f"ganlab: {refused}", file=sys.stderr)
        return 2
    return 0


def refusal(error: BaseException | None) -> BaseException | None:
    """The parser wraps what a constructor raises."""
    while error and not isinstance(error, Refused) and not _declined(error):
        error = error.__cause__ or error.__context__
    return error


def _declined(error: BaseException) -> bool:
    """Whether Lightning's Trainer or an optimizer of torch did not take an argument's value."""
    last = [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)][-1:]
    return isinstance(error, ValueError) and last[0].startswith(DECLINING)


def quieten() -> None:
    """Lightning's advertisements, and warnings of what is meant here."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for meant in (
        "Experiment logs directory .* exists and is not empty",  # the run's own folder
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # within Lightning
        r"Found \d+ module\(s\) in eval mode",  # the generator's average
        "The '.*_dataloader' does not have many workers",  # batches are slices of one tensor
        "You called .* but have no logger configured",  # `ganlab validate` prints its table
        "Checkpoint directory .* exists and is not empty",
    ):
        warnings.filterwarnings("ignore", message=f".*{meant}")

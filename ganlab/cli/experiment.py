"""From a configuration to a game, data and a Trainer, in a run's folder."""

from copy import deepcopy
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import yaml
from jsonargparse import ActionConfigFile, Namespace
from lightning.pytorch import LightningDataModule
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

# Imported, a class is known by its bare name.
from ganlab import data, metrics, networks, variants  # noqa: F401
from ganlab.callbacks import Preemption, Preflight, Progress, Status, Watchdog
from ganlab.callbacks.beginning import Beginning
from ganlab.callbacks.rollback import Rollback
from ganlab.checkpoints.pretrained import pretrained_in, remember
from ganlab.class_paths import accepted, imported, name_publicly
from ganlab.cli.arguments import AUTO
from ganlab.cli.options import PLAYERS, add_options
from ganlab.cli.parser import Parser
from ganlab.cli.pretrained import FinishedGames, refuse_other_latents
from ganlab.cli.run_folder import RunFolder
from ganlab.comparison import groups
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.game.players import SIDES
from ganlab.game.stages import Name
from ganlab.loggers import dispatch, tensorboard, wandb  # noqa: F401
from ganlab.loggers.csv import MetricsCSV
from ganlab.media import Medium
from ganlab.networks.pretrained import Pretrained
from ganlab.runs import rollback, user_code
from ganlab.runs.folder import (
    experiment_name,
    new_run_path,
    snake_case,
)
from ganlab.runs.load import begin_with_weights, read_checkpoint, refuse_unfit
from ganlab.runs.own import is_own
from ganlab.runs.resume import config_of, lasting
from ganlab.system.hardware import best_precision
from ganlab.system.processes import is_first_process
from ganlab.training.trainer import Trainer


class GanCLI(LightningCLI):
    """Joins variant, networks, data and optimizers; what one of them knows is filled in for the others."""

    def __init__(self, *arguments: Any, run_folder: RunFolder, **options: Any) -> None:
        self.run_folder, self._finished_games = run_folder, FinishedGames()
        self._chosen = options["args"][0]
        super().__init__(*arguments, **options)

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        parser = Parser(**kwargs)
        parser.add_argument(
            "-c", "--config", action=ActionConfigFile, help="An experiment file, or several, merged in order."
        )
        return parser

    @classmethod
    def read(cls, arguments: list[str], run_folder: RunFolder) -> "GanCLI":
        """Parse a command's arguments, `fit` or `validate` first, and run that in a run's folder."""
        return cls(
            GAN,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            trainer_class=Trainer,
            trainer_defaults={
                "callbacks": [Preflight(), Progress(), Status()],
                "enable_model_summary": False,
            },
            seed_everything_default=0,
            save_config_callback=None,
            auto_configure_optimizers=False,
            args=arguments,
            run_folder=run_folder,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """The one that was chosen, and what it is not asked: another's options would take as long to read."""
        hidden = {
            "model",
            "datamodule",
            "train_dataloaders",
            "val_dataloaders",
            "dataloaders",
            "weights_only",
        }
        return {self._chosen: hidden}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        add_options(parser)
        for player in SIDES:
            target = f"model.init_args.{player}.init_args.condition"
            told = partial(self._told, player)
            parser.link_arguments("data.condition", target, compute_fn=told, apply_on="instantiate")

    def _told(self, player: Name, condition: Medium | None) -> Medium | None:
        """What a player is told of a batch's second column: nothing, unless the game is conditional."""
        model = self.settings.model
        players = model.init_args.get("tells") or imported(model.class_path).tells
        return condition if model.init_args.get("conditional") and player in players else None

    def before_instantiate_classes(self) -> None:
        settings = self.settings
        self.normalise_settings()
        for build, kind in ((self._build, GAN), (self._finished_games.build, Pretrained)):
            self._parser(self.subcommand).add_instantiator(build, kind, prepend=True)
        if self.subcommand == "fit":
            self._choose_start()
        self._fill_in_finished_networks()
        if settings.trainer.precision == "auto":
            settings.trainer.precision = best_precision(settings.trainer.accelerator)
        if self.subcommand == "fit" and not settings.trainer.fast_dev_run:
            self._open_folder()
        if self.run_folder.checkpoint:
            settings.ckpt_path = str(self.run_folder.checkpoint)
        # Lightning dumps its settings, too, unless it finds them: checked once more, and of all subcommands.
        self.config_dump = _read(self._dump(settings, skip_link_targets=False))

    def _parse_ckpt_path(self) -> None:
        """Leave the settings as they are; Lightning would replace the model's by those of the checkpoint."""

    def normalise_settings(self) -> None:
        """Replace short forms of settings by the full ones, and refuse a checkpoint that is not there."""
        settings = self.settings
        name_publicly(settings)
        # Lightning also takes words (last, best) and URLs.
        if (path := settings.ckpt_path) and path not in ("best", "last", "hpc") and "://" not in path:
            if not Path(path).is_file():
                raise Refused(f"There is no checkpoint {path} (ckpt_path).")
            read_checkpoint(Path(path))
        if settings.checkpoint_every is not None:
            settings.checkpoints.every_n_steps, settings.checkpoint_every = settings.checkpoint_every, None

    @property
    def settings(self) -> Namespace:
        return self.config[self.subcommand]

    def _choose_start(self) -> None:
        """Choose between new weights and a checkpoint: of the run to resume, or of one to roll back to."""
        settings = self.settings
        if settings.restart and (settings.resume in (None, AUTO) or settings.resume.endswith(".ckpt")):
            raise Refused("--restart begins a run anew: name its folder, --resume RUN --restart.")
        if settings.resume:
            if settings.ckpt_path:
                raise Refused("--resume names the checkpoint itself: leave out --ckpt_path.")
            now = _read(self.dump_settings())
            self.run_folder.restart = settings.restart
            began_with = self.run_folder.resume(
                settings.resume, self.planned_path, now, trust_code=settings.trust_code
            )
            if began_with:
                settings.rollback = began_with.get("rollback")
                if settings.trainer.precision == "auto":
                    settings.trainer.precision = began_with["trainer"]["precision"]
        if settings.rollback and not self.run_folder.checkpoint and not settings.ckpt_path:
            self.run_folder.rollback_checkpoint = rollback.chosen_checkpoint(settings.rollback)

    def _fill_in_finished_networks(self) -> None:
        settings, run = self.settings, self.run_folder
        if not any(pretrained_in(settings.model)):
            return
        if run.resumed and (settings.trust_code or is_own(run.resumed.folder)):
            remember(settings.model, config_of(run.resumed.folder))
            run.code_folders += filter(None, [user_code.add_copy(run.resumed.folder)])
        begins = not (run.checkpoint or settings.ckpt_path or settings.get("init_from"))
        run.code_folders += self._finished_games.fill_in(
            settings.model, begins=begins, trust_code=settings.trust_code
        )
        refuse_other_latents(settings.model)

    def _open_folder(self) -> None:
        settings = self.settings
        folder = self.run_folder.open(self.planned_path, settings.resume, self.dump_settings())
        settings.trainer.default_root_dir = str(folder)
        dispatch.fill_in_settings(
            settings.trainer.logger,
            folder,
            first_step=self.run_folder.first_step,
            group=self.group,
            seed=settings.seed_everything,
            tags=[snake_case(self._class_names["data"]), self._class_names["model"]],
        )

    def group(self) -> str:
        """The name that `ganlab compare` gives this run's group beside runs of the unchanged experiment."""
        files = [Path(str(path)) for path in self.settings.get("config") or []]
        experiment, settings = self.planned_path.parent.name, _load_settings(self.dump_settings())
        repeated_run = next((file.parent for file in files if file.name == "config.yaml"), None)
        known = wandb.remembered(repeated_run).get("group") if repeated_run else experiment
        if not files or not known:
            return groups.unique_name(settings, experiment)
        parser = self._parser(self.subcommand)
        usual = parser.parse_args([f"--config={file}" for file in files])
        remember(usual.model, self.settings.model)
        return groups.name_among_usual(_load_settings(self._dump(usual)), settings, known)

    @cached_property
    def planned_path(self) -> Path:
        """The folder that a new run would have."""
        settings = self.settings
        files = [Path(str(path)) for path in settings.get("config") or []]
        experiment = experiment_name(files[-1] if files else None, self._class_names["model"])
        seed = settings.seed_everything
        data_name = self._class_names["data"]
        return new_run_path(Path(settings.runs), data=data_name, experiment=experiment, seed=seed)

    @property
    def _class_names(self) -> dict[str, str]:
        """The bare names of the classes of the data and of the model."""
        return {part: self.settings[part].class_path.rsplit(".", 1)[-1] for part in ("data", "model")}

    def dump_settings(self) -> str:
        """The YAML text that repeats the run from its beginning."""
        settings = self.settings.clone()
        settings.resume = settings.ckpt_path = None
        settings.restart = settings.trust_code = False
        return self._dump(settings)

    def _dump(self, settings: Namespace, **options: Any) -> str:
        """As YAML text; what the parser has read need not be checked again, which takes twice as long."""
        parser = self._parser(self.subcommand)
        return parser.dump(settings, skip_none=False, skip_validation=True, **options)

    def _build(
        self, game: type[GAN], *args: Any, applied_instantiation_links: dict[str, Any], **kwargs: Any
    ) -> GAN:
        """Give the game plain hyperparameters, in Lightning's form, that rebuild it without data."""
        model = deepcopy(self.config_dump["model"])
        links = applied_instantiation_links
        for player in PLAYERS:
            own = {target: value for target, value in links.items() if f".{player}." in target}
            facts = {target.rsplit(".", 1)[1]: value for target, value in own.items()}
            network = model["init_args"][player]
            # The dump leaves out linked arguments.
            # Of a class whose constructor takes nothing there are no arguments at all.
            values = {**vars(self.settings.model.init_args[player].get("init_args", Namespace())), **facts}
            names = accepted(network["class_path"])
            linked = {name: _plain(value) for name, value in values.items() if name in names}
            network["init_args"] = {**linked, **network.get("init_args", {})}
        # A link to the game itself would have the networks built in another order, of other random numbers.
        shape = next((value for target, value in links.items() if target.endswith(".shape")), None)
        if shape is not None and "shape" in kwargs and kwargs["shape"] is None:
            kwargs["shape"] = shape
            model["init_args"]["shape"] = _plain(shape)
        built = game(*args, **kwargs)
        instantiator = "lightning.pytorch.cli.instantiate_module"
        path = {"_class_path": model["class_path"], "_instantiator": instantiator}
        built.save_hyperparameters({**model["init_args"], **path})
        return built

    def instantiate_classes(self) -> None:
        """Tell the game the media of the data, with which it is rebuilt, too.

        A link would have the networks built in another order, of other random numbers.
        """
        super().instantiate_classes()
        self._finished_games.clear()
        if isinstance(self.datamodule, data.StreamData):
            self.model.media = self.datamodule.media
            self.model.hparams["media"] = [medium.plain() for medium in self.datamodule.media]

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        folder = self.settings.trainer.default_root_dir
        chosen = self.config_init[self.subcommand].trainer.logger
        if self.subcommand != "fit":
            kwargs["logger"] = False
        elif folder:
            others = [] if chosen in (None, True, False) else chosen if isinstance(chosen, list) else [chosen]
            kwargs["logger"] = [MetricsCSV(Path(folder))]
        trainer = super().instantiate_trainer(**kwargs)
        if folder and self.run_folder.path:
            settings = lasting(_read(self.run_folder.config))
            cast(Any, trainer).callbacks.append(Beginning(self.run_folder.begin, others, settings))
        if self.run_folder.rollback_checkpoint:
            cast(Any, trainer).callbacks.append(Rollback())
        # A run that is about to be killed must be saved first, with what the watchdog has just seen.
        order = {Beginning: 0, Watchdog: 1, Preemption: 2}
        cast(Any, trainer).callbacks.sort(key=lambda callback: order.get(type(callback), 3))
        return trainer

    def before_fit(self) -> None:
        if self.settings.init_from and not self.settings.ckpt_path:
            begin_with_weights(self.model, Path(self.settings.init_from))
        if checkpoint := self.run_folder.rollback_checkpoint:
            refuse_unfit(self.model, read_checkpoint(checkpoint)["state_dict"], checkpoint, "rollback")

    def after_fit(self) -> None:
        if is_first_process() and self.run_folder.path:
            first, end = self.run_folder.first_step, self.trainer.max_steps
            if first >= end > 0:
                print(f"It was done already, at step {first:,}: trainer.max_steps is {end:,}.")
            print(f"run folder: {self.run_folder.path}")


def _read(text: str) -> Any:
    """YAML by libyaml, which takes a tenth of the time."""
    return yaml.load(text, yaml.CSafeLoader)


def _load_settings(text: str) -> dict[str, Any]:
    """Settings from YAML text, with precision auto replaced by what it means on this machine."""
    settings = _read(text)
    if settings["trainer"]["precision"] == "auto":
        settings["trainer"]["precision"] = best_precision(settings["trainer"]["accelerator"])
    return settings


def _plain(value: Any) -> Any:
    if isinstance(value, Medium):
        return value.plain()
    return list(value) if isinstance(value, tuple) else value

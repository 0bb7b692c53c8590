"""The options of `ganlab fit` besides those of the game, the data and the Trainer."""

from lightning.pytorch.cli import LightningArgumentParser

from ganlab.callbacks import Preemption, Watchdog
from ganlab.callbacks.checkpoints import Checkpoints
from ganlab.callbacks.evaluation import Evaluation
from ganlab.callbacks.samples import Samples
from ganlab.cli.parser import TRUST_HELP

PLAYERS = ("generator", "discriminator")
FACTS_OF_DATA = ("shape", "classes", "alphabet")  # filled in for networks that take arguments of these names
RESUME = "Go on with this run's folder or checkpoint; auto: with the newest run of the same settings."
RESTART = "Begin the run that is resumed anew: its records and checkpoints are removed."
INIT_FROM = "Begin a new run with the weights of this run or checkpoint."
ROLLBACK = "Begin a new run where this run was best, or with its checkpoint, and with what is changed here."


def add_options(parser: LightningArgumentParser) -> None:
    parser.add_argument("--runs", type=str, default="runs", help="The folder that collects all runs.")
    parser.add_lightning_class_args(Samples, "samples")
    parser.add_lightning_class_args(Evaluation, "evaluation")
    parser.add_lightning_class_args(Checkpoints, "checkpoints")
    parser.add_lightning_class_args(Preemption, "preemption")
    parser.add_lightning_class_args(Watchdog, "watchdog")
    parser.add_argument("--resume", type=str | None, help=RESUME)
    parser.add_argument("--restart", action="store_true", help=RESTART)
    parser.add_argument("--trust_code", action="store_true", help=TRUST_HELP)
    parser.add_argument("--init_from", type=str | None, help=INIT_FROM)
    parser.add_argument("--rollback", type=str | None, help=ROLLBACK)
    parser.add_argument(
        "--checkpoint_every",
        type=int | None,
        help="Short for checkpoints.every_n_steps, which it replaces.",
    )
    for player in PLAYERS:
        for fact in FACTS_OF_DATA:
            target = f"model.init_args.{player}.init_args.{fact}"
            parser.link_arguments(f"data.{fact}", target, apply_on="instantiate")
    latent = "init_args.latent_size"
    parser.link_arguments(f"model.{latent}", f"model.init_args.generator.{latent}")
    parser.link_arguments("seed_everything", "model.init_args.seed")
    parser.link_arguments("seed_everything", "data.init_args.seed")

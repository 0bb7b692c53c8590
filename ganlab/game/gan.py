"""The base class of all variants: the one training step, and the methods that a variant overrides.

The file is longer than others, because these are one idea, which is read in one go.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, cast

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.strategies import ParallelStrategy
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.data import extract_batch_size
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, get_total_norm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganlab import bounds, losses
from ganlab.augment import Augmentation, augment
from ganlab.class_paths import configured
from ganlab.data.stream import Completion, StreamData
from ganlab.errors import Refused
from ganlab.game import checks, per_process
from ganlab.game.conditions import LabelFrequencies, conditions_of
from ganlab.game.draws import TRUNCATED, Draws
from ganlab.game.ema import Average, share_kept
from ganlab.game.parts import Penalty, Regulariser, heard_after
from ganlab.game.passes import Pass, passing
from ganlab.game.players import (
    SIDES,
    Side,
    frozen,
    fused,
    keep_channels_last,
    learned,
    refuse_forgotten,
    sides,
)
from ganlab.game.recording import Recording
from ganlab.game.sampling import Sampling
from ganlab.game.stages import Name, Stage, stage_at
from ganlab.game.terms import (
    TermRecord,
    Terms,
    explained,
    joined,
    refuse_non_finite,
    rests_alike,
)
from ganlab.game.turn import Turn, at_least_float32, split
from ganlab.judgements import judged, mean_over_critics
from ganlab.media import Medium
from ganlab.networks.critics import packing_of
from ganlab.networks.several import single_networks
from ganlab.seeds import reseed, seed_for
from ganlab.version import VERSION


class GAN(Sampling, Recording):
    """A GAN without a loss. A variant overrides the smallest of these that says what is new:

    `loss`, `penalties`, `discriminator_terms` and `generator_terms`, `judge`, `fake` / `real` / `latent` /
    `condition`, `after_discriminator_step` / `after_generator_step`, `learns`, `tie`. It never writes a loop.

    Args:
        generator: Network from latents (and conditions) to images.
        discriminator: Network from images (and conditions) to logits.
        generator_optimizer: Makes an optimizer of parameters.
        generator_scheduler: Makes a learning rate's schedule of an optimizer, in the steps of its side.
        latent_size: Numbers in a latent.
        latent_distribution: Standard normal, or uniform on [-1, 1].
        conditional: Tell both networks the batch's second column: labels, or whatever samples are made from.
        critic_steps: The discriminator's turns before each turn of the generator, each with fresh reals.
        accumulation: Micro-batches that a turn's batch is cut into; their gradients are averaged.
        generator_clip: Largest norm of the generator's gradient.
        discriminator_clip: Largest norm of the discriminator's gradient.
        penalty_every: Penalise in each k-th generator step only, k times as hard.
        penalty_precision: Of the discriminator where it is penalised; bf16 puts 3 % of error on the gradient
            of penalties.
        penalty_share: Penalise this share of a batch's samples (1, 0.5, 0.25, ...), which are judged once
            more for it; all are judged for the loss in the run's own precision, compiled if the run is.
        penalty_terms: Gradient penalties of the discriminator, besides those of the variant.
        regularisers: Terms, and changes of what the discriminator is shown, besides those of the variant.
        ema_half_life: Images after which weights count half in the generator's average.
        ema_ramp: The half-life is at most this share of the images seen so far.
        instance_noise: Standard deviation of the noise on every image that the discriminator sees.
        instance_noise_steps: Generator steps in which that noise falls linearly to 0; null: it stays.
        augmentations: Differentiable augmentations of every image that the discriminator sees, in this order.
        stages: What is played at the beginning, one after the other; then both sides play.
        compile: Compile both players with torch.compile; pays on GPUs, not on CPUs.
        channels_last: Keep the weights of convolutions in the layout that is fast in half precision.
        media: Of a batch's columns; the data tell them.
        seed: All of the run's random numbers follow from it.

    Attributes:
        packing: Samples that the discriminator judges as one, for a logit of all; a variant sets it, if not
            the network (`networks.Packed`).
        tells: The players that are told the condition; a variant sets it.
        per_process: Buffers that differ by process, such as a pool's, or modules of such buffers, by their
            names in the game. They are changed once a micro-batch, in the discriminator's turn alone.
    """

    loss: losses.Loss
    completion: Completion | None = None  # of the data
    packing = 1
    tells: tuple[Name, ...] = SIDES
    per_process: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        generator: nn.Module,
        discriminator: nn.Module,
        generator_optimizer: OptimizerCallable = configured(torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999)),
        discriminator_optimizer: OptimizerCallable = configured(
            torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999)
        ),
        generator_scheduler: LRSchedulerCallable | None = None,
        discriminator_scheduler: LRSchedulerCallable | None = None,
        latent_size: int = 128,
        latent_distribution: Literal["normal", "uniform"] = "normal",
        conditional: bool = False,
        critic_steps: int = 1,
        accumulation: int = 1,
        generator_clip: float | None = None,
        discriminator_clip: float | None = None,
        penalty_every: int = 1,
        penalty_precision: Literal["32", "bf16"] = "32",
        penalty_share: float = 1.0,
        penalty_terms: Sequence[Penalty] = (),
        regularisers: Sequence[Regulariser] = (),
        ema_half_life: float = 10_000,
        ema_ramp: float | None = 0.05,
        instance_noise: float = 0.0,
        instance_noise_steps: int | None = None,
        augmentations: Sequence[Augmentation] = (),
        stages: Sequence[Stage] = (),
        compile: bool = False,
        channels_last: bool = True,
        media: Sequence[Medium] = (),
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator = generator, discriminator
        self.tie()
        if channels_last:
            keep_channels_last(generator, discriminator)
        self.packing *= packing_of(discriminator)
        self.ema = Average(generator)
        self.generator_optimizer, self.discriminator_optimizer = generator_optimizer, discriminator_optimizer
        self.generator_scheduler, self.discriminator_scheduler = generator_scheduler, discriminator_scheduler
        self.latent_size, self.latent_distribution = latent_size, latent_distribution
        self.critic_steps, self.accumulation = critic_steps, accumulation
        self.generator_clip, self.discriminator_clip = generator_clip, discriminator_clip
        self.penalty_every, self.penalty_precision = penalty_every, penalty_precision
        self.penalty_share, self.penalty_terms = penalty_share, [*penalty_terms]
        self.ema_half_life, self.ema_ramp = ema_half_life, ema_ramp
        self.instance_noise, self.instance_noise_steps = instance_noise, instance_noise_steps
        self.augmentations, self.compiled, self.seed = tuple(augmentations), compile, seed
        self.conditional, self.media, self.stages = conditional, tuple(media), tuple(stages)
        checks.numbers(self)
        self._saved_layout: dict[str, int] = {}
        self.images_per_step, self.images_seen, self._batch_checked = 0, 0, False
        self.stage, self.last_played = 0, dict.fromkeys(SIDES, 0)
        self.record = TermRecord()
        self.register_buffer("skipped_steps", torch.zeros(2, dtype=torch.long))
        self.regularisers = nn.ModuleList(regularisers)
        for regulariser in regularisers:
            regulariser.attach(self)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.training_step is not GAN.training_step:
            raise TypeError(
                f"{cls.__name__} overrides training_step, which ganlab owns. Override what is new: loss,\n"
                "penalties, discriminator_terms, generator_terms, judge, fake, real, latent, condition,\n"
                "after_discriminator_step, after_generator_step, learns or tie."
            )

    # What a variant overrides

    def penalties(self, turn: Turn) -> Terms:
        """Named extra terms of the discriminator that need gradients with respect to images."""
        return {penalty.name: penalty(turn) for penalty in self.penalty_terms}

    def discriminator_terms(self, turn: Turn) -> Terms:
        """What the discriminator minimises besides penalties; {}: it rests, if the generator does not."""
        return {"discriminator": self.loss.discriminator(turn.real_logits, turn.fake_logits)}

    def generator_terms(self, turn: Turn) -> Terms:
        """What the generator minimises; {}: it rests."""
        if not turn.adversarial:
            return {}
        return {"generator": self.loss.generator(turn.fake_logits, lambda: turn.real_logits)}

    def judge(self, images: Any, condition: Any) -> Any:
        told = condition is not None and "discriminator" in self.tells
        return self.discriminator(images, condition) if told else self.discriminator(images)

    def fake(self, generator: nn.Module, latent: Tensor, condition: Any) -> Any:
        """Images of latents. `generator` is this game's, or its average."""
        told = condition is not None and "generator" in self.tells
        return generator(latent, condition) if told else generator(latent)

    def real(self, batch: Any) -> Any:
        """A batch is the images, or a tuple that begins with them: (images, labels)."""
        return batch if isinstance(batch, Tensor) else batch[0]

    def latent(self, draws: Draws, *, truncation: float | None = None) -> Tensor:
        """What a turn or a sample begins with. Its keyword arguments are the choices that samples may be
        drawn with; training leaves them out.

        Args:
            truncation: The largest absolute value of a number in a latent.
        """
        normal = self.latent_distribution == "normal"
        drawn = draws.normal(self.latent_size) if normal else 2 * draws.uniform(self.latent_size) - 1
        if truncation is None:
            return drawn
        bounds.above(0, self, truncation=truncation, latent_size=self.latent_size)
        return TRUNCATED[self.latent_distribution](drawn, truncation)

    def condition(self, batch: Any) -> Any:
        """What both players are given besides latents and images; None: nothing."""
        return batch[1] if self.conditional else None

    def held_out_notes(self, batch: Any) -> Terms:
        """Named quantities of held-out items, such as an accuracy: their means are logged."""
        return {}

    def after_discriminator_step(self, logged: Terms) -> None:
        """Called with the turn's terms and notes, averaged over the batches of all processes.

        What it changes lies in buffers, which are then the same on all processes, and in checkpoints.
        """

    def after_generator_step(self, logged: Terms) -> None:
        """The same of the generator's turn."""

    def learns(self, side: Name) -> Mapping[str, nn.Parameter]:
        """The parameters that a side moves: those of its own player. A part may belong to the other side, or
        to both. During a turn all others are frozen.
        """
        return dict((self.generator if side == "generator" else self.discriminator).named_parameters())

    def tie(self) -> None:
        """Make modules of the two players one, if they share some; called before the average is made, when
        the variant's own constructor has not come to its own arguments.
        """

    # The step

    def training_step(self, batch: Any, batch_idx: int) -> None:
        if not self._batch_checked:
            self.check_batch(batch)
        self.images_per_step = extract_batch_size(batch) * self.trainer.world_size
        discriminator, generator = self._sides
        turns, played = split(batch, self.critic_steps), False
        stage = self._stage()
        logged: Terms = {}
        for index, samples in enumerate(turns):
            values = self._play_turn(discriminator, samples, index, stage)
            logged |= values
            if not discriminator.rests:
                played = True
                self.images_seen += self.images_per_step // self.critic_steps
                self._tell_after_step(discriminator, values)
        made = self._play_turn(generator, turns[-1], self.critic_steps, stage)
        logged = made | logged
        if generator.rests:
            self._let_the_clock_go_on(played)
        else:
            keep = share_kept(self.images_per_step, self.images_seen, self.ema_half_life, self.ema_ramp)
            self.ema.update(self.generator, keep)
            self._tell_after_step(generator, made)
        for side, moved in ((discriminator, played), (generator, not generator.rests)):
            if moved:
                self.last_played[side.name] = self.global_step
                if side.scheduler:
                    side.scheduler.step()
        self.record.keep(self.global_step, logged)
        if self.logs_at(self.global_step):
            self._log_terms()
        elif self.record.is_long:
            self._check_terms()

    def _play_turn(self, side: Side, batch: Any, index: int, stage: Stage) -> Terms:
        """Add up the gradients of a turn's micro-batches, step the optimizer, and return what to log."""
        if not stage.is_played_by(side.name):
            side.rests = True
            return {}
        step, size = self.global_step, extract_batch_size(batch) // self.accumulation
        penalised = side.penalised and step % self.penalty_every == 0
        draws = self._draws(
            seed_for(self.seed, step, index), size * self.accumulation * self.trainer.world_size
        )
        logged: Terms = {}
        rests = set()
        with frozen(side.others), explained(side.source):
            for micro, samples in enumerate(split(batch, self.accumulation)):
                start = (self.global_rank * self.accumulation + micro) * size
                draws.restart(slice(start, start + size))
                reseed(seed_for(self.seed, step, index, self.global_rank, micro), self.device)
                how = {"generating": side.generating, "penalised": penalised and self.penalty_share == 1}
                turn = Turn(self, samples, draws, **how, adversarial=stage.has_adversary)
                terms = self._terms(side, turn, penalised)
                self._backward(terms, last=micro == self.accumulation - 1)
                rests.add(not terms)
                self.record.add(step, terms, turn.notes, side.source)
                for name, value in (terms | turn.notes).items():
                    logged[name] = logged.get(name, 0) + value.detach() / self.accumulation
        side.rests = rests_alike(rests, side.source)
        if not side.rests:
            self._optimise(side, logged)
        return logged

    def _terms(self, side: Side, turn: Turn, penalised: bool) -> Terms:
        """A side's terms with its penalties and what regularisers add to them; {}: it rests."""
        with self._penalty_autocast() if turn.penalised else nullcontext():
            terms = side.checked_terms(turn)
        if terms and penalised:
            share = turn if turn.penalised else turn.share(round(1 / self.penalty_share), penalised=True)
            with self._penalty_autocast():
                penalties, source = self.penalties(share), f"{type(self).__name__}.penalties"
            terms = joined(terms, side.source, penalties, source, factor=self.penalty_every)
            checks.penalties(penalties, self.penalty_terms, source)
        for regulariser in self.regularisers if terms else ():
            more = cast(Regulariser, regulariser).terms(turn)
            terms = joined(terms, side.source, more, f"{type(regulariser).__name__}.terms")
        return terms

    def _backward(self, terms: Terms, *, last: bool) -> None:
        if not terms:
            return
        strategy = self.trainer.strategy
        deferred = isinstance(strategy, ParallelStrategy) and not last
        # Within autocast a linear layer's (double) backward pass would compute in half precision again.
        with cast(Any, strategy).block_backward_sync() if deferred else nullcontext():
            with torch.autocast(self.device.type, enabled=False):
                self.manual_backward(torch.stack([*terms.values()]).sum() / self.accumulation)

    def _optimise(self, side: Side, logged: Terms) -> None:
        self._current_turn = side, logged
        if side.generating:
            self.optimizers()[1].step()  # type: ignore[index]
        else:
            # Lightning counts each LightningOptimizer.step() in global_step, where only the
            # generator's shall count.
            self.trainer.strategy.optimizer_step(side.optimizer, lambda: None)
        side.optimizer.zero_grad()

    def _stage(self) -> Stage:
        number, stage = stage_at(self.stages, self.global_step)
        if self.stages and number != self.stage:
            rank_zero_only(print)(f"step {self.global_step:,}  {stage.words}")
        self.stage = number
        return stage

    def _tell_after_step(self, side: Side, values: Terms) -> None:
        """Tell the variant and its regularisers the terms of a side's step, if any of them listens."""
        own = self.after_generator_step if side.generating else self.after_discriminator_step
        others = [listener for each in self.regularisers if (listener := heard_after(side.generating, each))]
        if not others and getattr(own, "__func__", own) in (
            GAN.after_discriminator_step,
            GAN.after_generator_step,
        ):
            return
        if self.trainer.world_size > 1:
            values = dict(zip(values, self._reduced(values).unbind(), strict=True))
        with torch.no_grad():
            own(values)
            for listener in others:
                listener(values, self.images_per_step // self.critic_steps)

    def _let_the_clock_go_on(self, discriminator_played: bool) -> None:
        """Count a step in which the generator rests, which Lightning counts by its optimizer's steps."""
        if not discriminator_played:
            raise Refused(
                f"Both sides of {type(self).__name__} rest at step {self.global_step}: neither has a term.\n"
                "Nothing would be learned. One of discriminator_terms and generator_terms returns some."
            )
        clock = cast(Any, self.trainer).fit_loop.epoch_loop.manual_optimization.optim_step_progress
        clock.increment_ready()
        clock.increment_completed()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip and measure gradients here, the only place where a gradient scaler has unscaled them."""
        side, logged = self._current_turn
        gradients = [p.grad for p in side.learned if p.grad is not None]
        if self._has_scaler:
            self.skipped_steps[side.generating] += ~get_total_norm(gradients, torch.inf).isfinite()
        if side.clip is not None:
            logged[f"{side.name}_gradient_norm"] = clip_grad_norm_(side.learned, side.clip)
        elif self.logs_at(self.global_step + 1):
            logged[f"{side.name}_gradient_norm"] = get_total_norm(gradients)

    # Parts of the step

    def completed(self, batch: Any, draws: Draws) -> Any:
        """A batch with those of its columns that data make within the step, by the turn's draws."""
        return self.completion(batch, draws) if self.completion else batch

    def augmented(self, images: Any) -> Any:
        """Images as the discriminator sees them, or mappings and lists of some: with instance noise, then
        augmented, then changed by regularisers.
        """
        return apply_to_collection(images, Tensor, self._augmented)

    def _augmented(self, images: Tensor) -> Tensor:
        if self.instance_noise:
            share = 1 - self.global_step / self.instance_noise_steps if self.instance_noise_steps else 1.0
            images = images + self.instance_noise * max(share, 0.0) * torch.randn_like(images)
        images = augment(images, self.augmentations)
        for regulariser in self.regularisers:
            images = cast(Regulariser, regulariser).seen(images)
        return images

    def uncompiled(self, penalised: bool) -> AbstractContextManager:
        """Runs networks uncompiled if `penalised`: compiled ones have no double backward."""
        return torch.compiler.set_stance("force_eager") if penalised and self.compiled else nullcontext()

    def _penalty_autocast(self) -> AbstractContextManager:
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.penalty_precision == "bf16"
        )

    @property
    def _has_penalties(self) -> bool:
        return bool(self.penalty_terms) or type(self).penalties is not GAN.penalties

    @property
    def is_conditional(self) -> bool:
        return self.conditional or type(self).condition is not GAN.condition

    def meet(self, data: StreamData) -> None:
        """Learn from data what is made, and what samples are told where nothing else is said."""
        self.media, self.completion = data.media, data.completion
        if self.is_conditional:
            self.conditions = conditions_of(data, checks.takes_labels_alone(self))

    # Lightning's hooks

    def setup(self, stage: str) -> None:
        if isinstance(data := cast(Any, self.trainer).datamodule, StreamData):
            self.meet(data)
        checks.loss(self, GAN)
        checks.augmentations(self)
        checks.parts(self, has_penalties=self._has_penalties)
        if self.conditional:
            checks.networks_of_conditions(self, GAN)
        checks.trainer_settings(self)
        per_process.keep_apart(self)

    def configure_model(self) -> None:
        if not self.compiled:
            return
        # Else what was compiled for a game without CHAIN or SAN would be taken in one with their hooks.
        torch._dynamo.config.skip_nnmodule_hook_guards = False
        players = self.generator, self.discriminator
        for network in (each for player in players for each in single_networks(player)):
            if network._compiled_call_impl is None:
                network.compile()

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        refuse_forgotten(self)
        optimizers = self.new_optimizers()
        schedules = self.discriminator_scheduler, self.generator_scheduler
        made = [make and make(optimizer) for make, optimizer in zip(schedules, optimizers, strict=True)]
        self._sides = sides(self, optimizers, made, penalised=self._has_penalties)
        return optimizers, [scheduler for scheduler in made if scheduler]

    def new_optimizers(self) -> list[Optimizer]:
        """As they are configured, in the order of the turns."""
        makers = self.discriminator_optimizer, self.generator_optimizer
        # torch refuses an optimizer of nothing, as of a side whose networks have no parameters.
        nothing = [nn.Parameter(torch.zeros(0), requires_grad=False)]
        parameters = ([*learned(self, side).values()] or nothing for side in SIDES)
        return [fused(make(each)) for make, each in zip(makers, parameters, strict=True)]

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the logit of held-out reals: far below `real_logit`, the discriminator memorises its reals."""
        batch = checks.whole_packs(batch, self.packing)
        real = self.real(batch)
        if isinstance(real, Tensor) and len(real):
            with passing(Pass(of_reals=True)):
                logits = at_least_float32(judged(self.judge(real, self.condition(batch))).logits)
            mean = mean_over_critics(Tensor.mean, logits)
            notes = {"held_out_logit": mean, **self.held_out_notes(batch)}
            self.log_dict(notes, batch_size=len(real), sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._check_terms()
        per_process.save(self, checkpoint)
        refuse_non_finite(checkpoint["state_dict"])
        checkpoint["terms"] = self.record.state(self._means)
        checkpoint["played"] = {**checks.step_layout(self), "images_seen": self.images_seen}
        checkpoint["last_played"] = dict(self.last_played)
        checkpoint["ganlab"] = VERSION
        if self.conditions:
            checkpoint["conditions"] = self.conditions.plain()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        per_process.restore(self, checkpoint)
        self.record.restore(checkpoint.get("terms", {}))
        self._saved_layout = checkpoint.get("played", {})
        self.conditions = self.conditions or LabelFrequencies.rebuilt(checkpoint.get("conditions"))
        self.images_per_step = self._saved_layout.get("images_per_step", 0)
        steps = checkpoint["global_step"]
        self.images_seen = self._saved_layout.get("images_seen", steps * self.images_per_step)
        self.last_played = dict.fromkeys(SIDES, steps) | checkpoint.get("last_played", {})
        # Lightning makes the weights float64 only after it has loaded them, rounded to float32.
        if self._trainer is not None and self._trainer.precision == "64-true":
            self.double()

    def check_batch(self, batch: Any) -> None:
        """Refuse what cannot work and shows only once there is a batch; once a run, before its first step."""
        self._batch_checked = True
        self.images_per_step = extract_batch_size(batch) * self.trainer.world_size
        checks.batch_size(extract_batch_size(batch), self)
        checks.resumed(self._saved_layout, checks.step_layout(self), self.per_process)
        few = checks.first_packs(batch, self.packing)
        draws = self._draws(self.seed, extract_batch_size(few))
        turn = Turn(self, few, draws, generating=False, penalised=False)
        checks.players(turn, self.generator, self.discriminator, self.packing)
        if not all(stage.has_adversary for stage in self.stages):
            draws.restart(draws.rows)
            turn = Turn(self, few, draws, generating=True, penalised=False, adversarial=False)
            with checks.keeping_buffers(self):
                checks.generator_alone(turn, self.generator_terms, self.generator, self.discriminator)

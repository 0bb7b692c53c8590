"""Two processes compute what one does with twice the batch."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
import several_processes
import torch
from command_line import COMMAND, SMALL, alone, bare, run_folders, weights, write
from hypothesis import given
from hypothesis import strategies as some
from lightning.pytorch import Callback
from lightning.pytorch.plugins.precision import MixedPrecision
from plain_games import COUPLED, GAMES, SHIPPED, Plain, PlainGenerator, plain
from torch import Tensor, nn

from ganlab.game.gan import GAN
from ganlab.game.players import SIDES
from ganlab.regularisers import ADA
from ganlab.sampling.plan import first_process_buffers
from ganlab.testing import Generator, Specks, assert_same, new, play, state, tried_with
from ganlab.training.strategy import TwoPlayers, average_gradients, buckets
from ganlab.training.trainer import Trainer
from ganlab.variants import (
    ACGAN,
    BEGAN,
    DRAGAN,
    R1GAN,
    R3GAN,
    WGANGP,
    HingeGAN,
    NonSaturatingGAN,
    Pix2Pix,
)

STRATEGIES = {"TwoPlayers": "auto", "DDP": "ddp_find_unused_parameters_true"}
BATCH, STEPS = 8, 6
CLIPS = {"generator_clip": 0.02, "discriminator_clip": 0.05}
BUCKETS = (1, 300, 2**30)  # bytes: less than one parameter, some parameters, all
SCALE = 2.0**10
# Half a minute by themselves; each is played by two processes in the laws of its own, too.
LATER = [kind.__name__ for kind in SHIPPED if kind not in (R3GAN, ACGAN, DRAGAN, Pix2Pix)]
AT_ONCE = [name for name in GAMES if name not in LATER]
POOLS = ("pool.", "pools.")  # how the names of what each process keeps for itself begin

Results = dict[str, Any]
State = dict[str, Tensor]


# What is played, by one process or by two


def exact(game: GAN, *, batch: int, callbacks: Any = None, **trainer: Any) -> Trainer:
    data = tried_with(type(game)).data(batch_size=batch)
    return play(game, data, steps=STEPS, precision="64-true", callbacks=callbacks, **trainer)


def clipped() -> GAN:
    # Adam would hide a wrong norm: it divides by it.
    descent = partial(torch.optim.SGD, lr=0.5)
    return plain(WGANGP, generator_optimizer=descent, discriminator_optimizer=descent, **CLIPS)


def seldom(**settings: Any) -> State:
    """What is logged of a penalty that was played before the step that logs."""
    game = plain(R1GAN, penalty_every=4)
    return exact(game, log_every_n_steps=STEPS, **settings).callback_metrics


def began() -> GAN:
    return plain(BEGAN, gamma=1.0, rate=0.1)


def told(game: GAN, *, batch: int, **trainer: Any) -> State:
    """The game's own buffers after ten steps, which follow from what `after_discriminator_step` was told."""
    play(game, Specks(batch_size=batch), steps=10, precision="64-true", **trainer)
    return {name: value for name, value in state(game).items() if name.split(".")[0] not in (*SIDES, "ema")}


def augmented_as_needed() -> GAN:
    # Every third turn changes the strength: after ten steps one turn is told and not yet acted upon.
    return plain(NonSaturatingGAN, regularisers=[ADA(target=0.0, kimg=0.4, every=3)])


class Idle(PlainGenerator):
    """With a layer that nobody uses."""

    def __init__(self) -> None:
        super().__init__()
        self[0].spare = nn.Linear(3, 3)
        self[0].forward = self._without_it  # type: ignore[method-assign]

    def _without_it(self, latent: Tensor) -> Tensor:
        for name, layer in self[0].named_children():
            latent = latent if name == "spare" else layer(latent)
        return latent


def idle() -> GAN:
    decaying = partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.1)
    torch.manual_seed(0)
    return new(HingeGAN, generator=Idle(), discriminator=Plain(), generator_optimizer=decaying)


def gradient(parameter: Tensor, index: int, rank: int) -> Tensor:
    source = torch.Generator().manual_seed(10 * index + rank)
    return torch.randn(parameter.shape, dtype=parameter.dtype, generator=source)


def parameters() -> dict[str, nn.Parameter]:
    single, double = ({"dtype": dtype} for dtype in (torch.float32, torch.float64))
    tensors = {
        "matrix": torch.zeros(3, 4, **single),
        "nobody's": torch.zeros(5, **single),
        "kernel": torch.zeros(4, 3, 3, 3, **single).to(memory_format=torch.channels_last),
        "double": torch.zeros(5, 2, **double),
        "frozen": torch.zeros(2, **double),
        "the second's": torch.zeros(2, 3, 2, 2, **double).to(memory_format=torch.channels_last),
        "number": torch.zeros((), **single),
        "the first's": torch.zeros(70, **single),
    }
    return {name: nn.Parameter(value, requires_grad=name != "frozen") for name, value in tensors.items()}


def has_gradient(name: str, rank: int) -> bool:
    return name not in ("nobody's", "frozen", "the second's" if rank == 0 else "the first's")


# What two processes do


def cuts(strategy: str, played: str) -> tuple[int, ...]:
    """Into how many parts a game's batches are cut with a strategy.

    A variant that ships is played whole with one strategy and cut with the other, the next one the other way
    round: so each is played with both and in both ways, and each strategy in both. The others, which have
    something to a strategy that variants have not, are played in all four ways.
    """
    names = [variant.__name__ for variant in SHIPPED]
    if played not in names:
        return (1, 2)
    return (1 + (names.index(played) + [*STRATEGIES].index(strategy)) % 2,)


def by_two(names: list[str]) -> Results:
    results: Results = {}
    for name, strategy in STRATEGIES.items():
        for played in names:
            for parts in cuts(name, played):
                game = GAMES[played](accumulation=parts)
                trainer = exact(game, devices=2, batch=BATCH, strategy=strategy)
                results[f"{name} {played} {parts}"] = state(game, trainer)
                results[f"{name} is"] = type(trainer.strategy).__name__
    return results


def together() -> Results:
    rank = int(os.environ["LOCAL_RANK"])
    results = by_two(AT_ONCE)
    for name, strategy in STRATEGIES.items():
        pair = partial(exact, devices=2, batch=BATCH, strategy=strategy)
        results[f"{name} seldom"] = dict(seldom(devices=2, batch=BATCH, strategy=strategy))
        game = clipped()
        results[f"{name} clipped"] = state(game, pair(game))
        results[f"{name} begun"] = begun_apart(rank, pair)
        results[f"{name} scaled"] = scaled(rank, strategy)
        game = idle()
        before = state(game)
        results[f"{name} idle"] = before, state(game, pair(game))
    games = {"BEGAN": began(), "ADA": augmented_as_needed()}
    results["told"] = {name: told(game, batch=BATCH, devices=2) for name, game in games.items()}
    results["normalised"] = normalised()
    results["averaged"] = {size: averaged(rank, size) for size in BUCKETS}
    results["refused"] = refused()
    return results


class Watched(Callback):
    def __init__(self) -> None:
        self.states: list[State] = []

    def on_train_start(self, trainer: Any, game: Any) -> None:
        self.states.append(state(game))

    def on_train_batch_end(self, trainer: Any, game: Any, *_: Any) -> None:
        self.states.append(state(game))


def begun_apart(rank: int, pair: Callable[..., Any]) -> tuple[State, State]:
    """Before and after all were given the first's."""
    torch.manual_seed(rank)
    game = new(HingeGAN, generator=Generator(), discriminator=Plain())
    game.generator[2].running_mean += rank
    before, watched = state(game), Watched()
    pair(game, callbacks=[watched])
    # Meanwhile Lightning has converted the weights to float64.
    return before, {name: value.to(before[name].dtype) for name, value in watched.states[0].items()}


def scaled(rank: int, strategy: str) -> Results:
    """The second's critic meets an infinity in the third step, the first's generator in the fifth."""
    game, watched = plain(HingeGAN), Watched()

    def poison(player: nn.Module, who: int, step: int) -> None:
        def poisoned(gradient: Tensor) -> Tensor:
            met = rank == who and game.global_step == step
            return torch.full_like(gradient, torch.inf) if met else gradient

        next(player.parameters()).register_hook(poisoned)

    poison(game.discriminator, who=1, step=2)
    poison(game.generator, who=0, step=4)
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE, growth_interval=1000)
    plugins = [MixedPrecision("16-mixed", "cpu", scaler)]
    settings = dict(devices=2, strategy=strategy, precision=None, plugins=plugins, callbacks=[watched])
    trainer = play(game, Specks(batch_size=BATCH), steps=STEPS, **settings)
    return {"steps": watched.states, "scale": scaler.get_scale(), "state": state(game, trainer)}


def normalised() -> dict[str, State]:
    """Buffers before, within and after an evaluation."""
    game = new(HingeGAN)
    play(game, Specks(batch_size=BATCH), steps=STEPS, devices=2)
    results = {"before": state(game)}
    with first_process_buffers(game):
        results["within"] = state(game)
    return {**results, "after": state(game)}


def averaged(rank: int, bucket_bytes: int) -> Results:
    named = parameters()
    for index, (name, parameter) in enumerate(named.items()):
        if has_gradient(name, rank):
            layout = torch.channels_last if parameter.ndim == 4 else torch.contiguous_format
            parameter.grad = gradient(parameter, index, rank).to(memory_format=layout)
    first, *others = named.values()
    average_gradients(torch.optim.SGD([{"params": [first]}, {"params": others}]), bucket_bytes)
    return {name: parameter.grad for name, parameter in named.items()}


def refused() -> str:
    try:
        play(new(HingeGAN), steps=1, devices=2, sync_batchnorm=True)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "it was not"


def synchronised(folder: Path) -> None:
    game = with_normalisation()
    trainer = exact(game, devices=2, batch=BATCH, accelerator="gpu", sync_batchnorm=True)
    if trainer.is_global_zero:
        torch.save(state(game), folder / "0.pt")


def with_normalisation() -> GAN:
    return new(HingeGAN, discriminator=Plain())


def run(folder: Path) -> None:
    """This file in two processes: Lightning starts the second."""
    command = [sys.executable, "-W", "ignore", __file__, str(folder)]
    environment = bare(folder / "home")
    environment["PYTHONPATH"] += f"{os.pathsep}{Path(__file__).parents[1]}"
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, cwd=folder)
    assert done.returncode == 0, done.stderr


# What comes of it


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    return several_processes.together(together, 2, tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def results_of_the_others(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    return several_processes.together(partial(by_two, LATER), 2, tmp_path_factory.mktemp("two"))


@pytest.fixture
def by_two_processes(name: str, request: pytest.FixtureRequest) -> list[Results]:
    """What two processes came to, of those games that `name` was played with."""
    return request.getfixturevalue("results_of_the_others" if name in LATER else "results")


def distance(one: State, other: State) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one if one[name].numel())


def assert_same_but_for_pools(results: list[Results], name: str) -> None:
    first, second = ({n: v for n, v in each[name].items() if not n.startswith(POOLS)} for each in results)
    assert_same(first, second, what=name)


each_game = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LATER else ()) for name in GAMES]
)


@pytest.fixture(scope="module")
def alone_with_the_double_batch() -> Callable[[str], State]:
    played: dict[str, State] = {}

    def state_of(name: str) -> State:
        if name not in played:
            game = GAMES[name]()
            played[name] = state(game, exact(game, batch=2 * BATCH))
        return played[name]

    return state_of


def test_each_game_is_played_with_each_strategy_whole_and_cut() -> None:
    for name in GAMES:
        assert {parts for strategy in STRATEGIES for parts in cuts(strategy, name)} == {1, 2}
    for strategy in STRATEGIES:
        assert {parts for variant in SHIPPED for parts in cuts(strategy, variant.__name__)} == {1, 2}


@pytest.mark.parametrize("strategy", STRATEGIES)
@each_game
def test_two_processes_are_one_with_the_double_batch(
    name: str,
    strategy: str,
    by_two_processes: list[Results],
    alone_with_the_double_batch: Callable[[str], State],
) -> None:
    """Whether or not their batches are cut. A term that couples samples sees those of one process only: the
    averages of RelativisticGAN and the width of DRAGAN's noise are those of fewer samples.
    """
    one, couples = alone_with_the_double_batch(name), name in {kind.__name__ for kind in COUPLED}
    for parts in cuts(strategy, name):
        apart = distance(one, by_two_processes[0][f"{strategy} {name} {parts}"])
        assert (apart > 1e-6) if couples else (apart <= 1e-12), (parts, apart)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_seldom_penalty_is_logged_as_one_process_logs_it(strategy: str, results: list[Results]) -> None:
    one = seldom(batch=2 * BATCH)
    for values in results:
        assert values[f"{strategy} seldom"]["r1"] == pytest.approx(float(one["r1"]), rel=1e-12)


def test_the_strategies_that_were_compared_are_two(results: list[Results]) -> None:
    assert [results[0][f"{name} is"] for name in STRATEGIES] == [TwoPlayers.__name__, "DDPStrategy"]


@each_game
def test_all_processes_end_with_the_same_parameters_and_optimizers(
    name: str, by_two_processes: list[Results]
) -> None:
    for strategy in STRATEGIES:
        for parts in cuts(strategy, name):
            assert_same_but_for_pools(by_two_processes, f"{strategy} {name} {parts}")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_all_processes_clip_alike(strategy: str, results: list[Results]) -> None:
    assert_same_but_for_pools(results, f"{strategy} clipped")


@pytest.mark.parametrize("parts", [1, 2])
def test_each_process_keeps_a_pool_of_its_own_by_either_strategy(parts: int, results: list[Results]) -> None:
    first, second = (each[f"TwoPlayers Pooled {parts}"] for each in results)
    assert [int(each["pool.stored"]) for each in (first, second)] == [10, 10]
    pairs = product(first["pool.images"], second["pool.images"])
    assert not any(torch.equal(one, other) for one, other in pairs)
    for each in results:
        assert distance(each[f"TwoPlayers Pooled {parts}"], each[f"DDP Pooled {parts}"]) <= 1e-12


@pytest.mark.parametrize(("name", "buffer"), [("BEGAN", "k"), ("ADA", "regularisers.0.overfitting.strength")])
def test_what_a_game_keeps_of_its_terms_is_the_same_on_both_processes(
    name: str, buffer: str, results: list[Results]
) -> None:
    first, second = (each["told"][name] for each in results)
    assert 0 < first[buffer] < 1
    assert_same(first, second, what=name)


def test_it_is_that_of_one_process_where_no_term_couples_samples(results: list[Results]) -> None:
    assert distance(told(began(), batch=2 * BATCH), results[0]["told"]["BEGAN"]) <= 1e-12


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_gradients_are_clipped_by_the_norm_of_their_mean(strategy: str, results: list[Results]) -> None:
    game = clipped()
    trainer = exact(game, batch=2 * BATCH)
    for name, clip in CLIPS.items():
        assert trainer.callback_metrics[name.replace("clip", "gradient_norm")] > 2 * clip
    assert distance(state(game, trainer), results[0][f"{strategy} clipped"]) <= 1e-12


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_infinity_that_one_process_meets_makes_all_skip_the_step(
    strategy: str, results: list[Results]
) -> None:
    first, second = (each[f"{strategy} scaled"] for each in results)
    for step, (one, other) in enumerate(zip(first["steps"], second["steps"], strict=True)):
        assert_same(one, other, what=f"after {step} steps")
    assert_same(first["state"], second["state"], what="at the end")
    assert first["state"]["skipped_steps"].tolist() == [1, 1]
    assert first["scale"] == second["scale"] == SCALE / 4
    for player, skipped in (("discriminator", 3), ("generator", 5)):
        states = [{n: v for n, v in step.items() if n.startswith(player)} for step in first["steps"]]
        same = [all(torch.equal(a[n], b[n]) for n in a) for a, b in pairwise(states)]
        assert [step for step, unchanged in enumerate(same, start=1) if unchanged] == [skipped]
        assert all(value.isfinite().all() for value in states[-1].values())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_all_begin_with_the_weights_and_buffers_of_the_first(strategy: str, results: list[Results]) -> None:
    (built, begun), (built_second, begun_second) = (each[f"{strategy} begun"] for each in results)
    differed = {name for name in built if not torch.equal(built[name], built_second[name])}
    assert {"discriminator.1.weight", "generator.2.running_mean", "ema.network.0.weight"} <= differed
    assert_same(built, begun, what="the first process")
    assert_same(built, begun_second, what="the second process")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_layer_that_nobody_uses_stays_what_it_is(strategy: str, results: list[Results]) -> None:
    """Weight decay would shrink whatever has a gradient, be it zero."""
    before, after = results[1][f"{strategy} idle"]
    unused = [name for name in before if "generator" in name and "spare" in name]
    assert len(unused) == 2
    for name in unused:
        assert torch.equal(before[name].double(), after[name]), name
    assert not torch.equal(before["generator.0.1.weight"].double(), after["generator.0.1.weight"])
    moved = {name.split()[2] for name in after if name.startswith("optimizer 1")}
    assert len(moved) == 4


@pytest.mark.parametrize("bucket_bytes", BUCKETS)
def test_a_missing_gradient_counts_as_zeros_if_another_process_has_one(
    bucket_bytes: int, results: list[Results]
) -> None:
    for rank in (0, 1):
        grads = results[rank]["averaged"][bucket_bytes]
        for index, (name, parameter) in enumerate(parameters().items()):
            owners = [rank for rank in (0, 1) if has_gradient(name, rank)]
            if not owners:
                assert grads[name] is None, name
                continue
            expected = sum(gradient(parameter, index, owner) for owner in owners) / 2
            assert torch.equal(grads[name], expected), name
            assert grads[name].stride() == parameter.stride(), name
            assert grads[name].dtype == parameter.dtype, name


sizes = some.lists(some.tuples(some.integers(0, 4), some.sampled_from([torch.float32, torch.float64])))


@given(sizes, some.integers(1, 40))
def test_buckets_hold_all_in_order_and_no_more_than_they_may(
    kinds: list[tuple[int, torch.dtype]], most: int
) -> None:
    given = [nn.Parameter(torch.zeros(size, dtype=dtype)) for size, dtype in kinds]
    result = list(buckets(given, most))
    assert [id(p) for bucket in result for p in bucket] == [id(p) for p in given]
    totals = [sum(p.nbytes for p in bucket) for bucket in result]
    for bucket, total in zip(result, totals, strict=True):
        assert len({p.dtype for p in bucket}) == 1
        assert total <= most or len(bucket) == 1
    for (full, total), following in zip(zip(result, totals, strict=True), result[1:], strict=False):
        assert full[0].dtype != following[0].dtype or total + following[0].nbytes > most


def test_an_evaluation_has_the_buffers_of_the_first_and_leaves_each_its_own(results: list[Results]) -> None:
    first, second = ({when: dict(at) for when, at in each["normalised"].items()} for each in results)
    counted = [n for n in first["before"] if "running" in n]
    assert len(counted) == 4
    for name in counted:
        assert not torch.equal(first["before"][name], second["before"][name]), name
    assert_same(first["before"], first["within"], what="the first process")
    assert_same(first["before"], second["within"], what="the second process")
    for states in (first, second):
        assert_same(states["before"], states["after"], what="after it")


def test_synchronised_normalisation_is_refused_without_gpus(results: list[Results]) -> None:
    for message in (each["refused"] for each in results):
        assert message.startswith("Refused: trainer.sync_batchnorm works on GPUs only"), message
        assert len(message.splitlines()) <= 3


@pytest.mark.gpu
def test_synchronised_normalisation_makes_two_gpus_one(tmp_path: Path) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    run(tmp_path)
    game = with_normalisation()
    exact(game, batch=2 * BATCH, accelerator="gpu")
    assert distance(state(game), torch.load(tmp_path / "0.pt", map_location=game.device)) <= 1e-9


@pytest.mark.evidence  # as two nodes of SLURM do, which are slow
def test_two_nodes_of_torchrun_are_one_with_two_devices(tmp_path: Path) -> None:
    config = write(tmp_path, SMALL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meet = f"127.0.0.1:{free.getsockname()[1]}"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    torchrun += ["--rdzv-backend", "c10d", "--rdzv-endpoint", meet, "--rdzv-id", "two"]
    fit = ["fit", "--config", config.name, "--trainer.precision", "32"]
    nodes, devices = (tmp_path / name for name in ("nodes", "devices"))
    settings = ["--trainer.num_nodes", "2", "--trainer.devices", "1", "--runs", str(nodes / "runs")]
    command = [*torchrun, COMMAND, *fit, *settings]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
    agents = [
        subprocess.Popen(command, cwd=tmp_path, env=bare(tmp_path / "home"), text=True, **pipes)
        for _ in range(2)
    ]
    outputs = [agent.communicate(timeout=200)[0] for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], outputs
    answer = alone(*fit, "--trainer.devices", "2", "--runs", devices / "runs", folder=tmp_path)
    assert answer.code == 0, answer.err
    (run_of_nodes,), (run_of_devices,) = run_folders(nodes), run_folders(devices)
    assert "".join(outputs).count(f"run folder: {run_of_nodes}") == 1
    assert_same(weights(run_of_nodes), weights(run_of_devices), what="two nodes and two devices")


if __name__ == "__main__":
    synchronised(Path(sys.argv[1]))

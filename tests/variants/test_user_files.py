"""Games of a user's own files (tests/user_files, 60 lines or fewer, networks included) go the whole way."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from shutil import copy, rmtree
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
from command_line import checkpoint, here, run_folders
from PIL import Image
from trained_runs import import_for_test

import ganlab
from ganlab.data import Digits
from ganlab.media import Labels, Pictures
from ganlab.networks import MLPDiscriminator, MLPGenerator, Pretrained, ResNetDiscriminator, Several
from ganlab.testing import CHECKS, OF_TWO_PROCESSES, Game, assert_same
from ganlab.variants import R1GAN, WGANGP, HingeGAN

FILES = Path(__file__).resolve().parents[1] / "user_files"
GAMES = sorted(path.stem for path in FILES.glob("*.py"))
# Games that make pictures from pictures, and what makes their data, of a user's module.
FROM_PICTURES: dict[str, Callable[[ModuleType], Any]] = {
    "my_cyclegan": lambda user: user.Negatives,
    "my_fanogan": lambda user: Digits,
    "my_pix2pix": lambda user: user.Edges,
    "my_shared_encoder": lambda user: Digits,
    "my_srgan": lambda user: Digits,
    "my_super_resolution": lambda user: Digits,
}
LINES, STEPS = 60, 6


class Trained(NamedTuple):
    """A run of a user's file, and one that was stopped and resumed."""

    name: str
    home: Path
    straight: Path
    resumed: Path


# What they show, others of these files, and games that ship, show, too.
LATER = ("my_characters", "my_fanogan", "my_shared_encoder")
SELDOM = (
    "my_concatenation",
    "my_cyclegan",
    "my_pix2pix",
    "my_projection",
    "my_srgan",
    "my_style",
    "my_super_resolution",
)
MARKS = dict.fromkeys(LATER, pytest.mark.slow) | dict.fromkeys(SELDOM, pytest.mark.evidence)
PARAMS = [pytest.param(name, marks=MARKS.get(name, ())) for name in GAMES]


@pytest.fixture(scope="module", params=PARAMS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    name, home = request.param, tmp_path_factory.mktemp(request.param)
    for path in (*FILES.glob(f"{name}.*"), *FILES.glob(f"{name}_first.yaml")):
        copy(path, home)

    def fit(*options: str, config: str = name) -> Path:
        before = run_folders(home)
        always = ("--trainer.accelerator", "cpu", "--samples.every_n_steps", "3")
        answer = here("fit", "--config", f"{config}.yaml", *always, *options, folder=home)
        assert answer.code == 0, answer
        return ({*run_folders(home)} - {*before} or {*before}).pop()

    if has_first := (home / f"{name}_first.yaml").exists():
        fit("--trainer.max_steps", "3", config=f"{name}_first").rename(home / "first")
        rmtree(home / "runs")
    stopped = fit("--trainer.max_steps", "3")
    assert fit("--trainer.max_steps", str(STEPS), "--resume", "auto") == stopped
    straight = fit("--trainer.max_steps", str(STEPS))
    if has_first:  # Nothing needs it any more.
        rmtree(home / "first")
    return Trained(name, home, straight, stopped)


def scores(run: Path) -> dict[str, float]:
    return json.loads((run / "scores.jsonl").read_text().splitlines()[-1])["scores"]


@pytest.mark.parametrize("name", GAMES)
def test_a_users_file_is_short(name: str) -> None:
    written = [line for line in (FILES / f"{name}.py").read_text().splitlines() if line.strip()]
    assert len(written) <= LINES


def test_a_resumed_run_is_the_straight_one(trained: Trained) -> None:
    one, other = (checkpoint(run, STEPS)["state_dict"] for run in (trained.straight, trained.resumed))
    assert_same(one, other, what="the resumed run")
    assert scores(trained.straight) == scores(trained.resumed)


def test_sheets_are_kept_of_what_can_be_drawn(trained: Trained) -> None:
    drawn = [path.name for path in sorted((trained.straight / "samples").glob("*.png"))]
    expected = [f"step-{step:09}.png" for step in (3, 6)]
    assert drawn == ([] if trained.name == "my_characters" else expected)


def test_the_command_and_python_draw_the_same(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained.straight
    assert here("sample", run, "--out", "x.npz", "--count", "5", folder=trained.home).code == 0
    monkeypatch.syspath_prepend(str(trained.home))
    user = import_for_test(monkeypatch, trained.name)
    game = ganlab.load(run, trust_code=True)
    if trained.name in FROM_PICTURES:
        game.meet(FROM_PICTURES[trained.name](user)(size=8))
    with np.load(trained.home / "x.npz") as file:
        (array,) = file.values()
    made = game.sample(5, seed=0)
    medium = game.medium(made)
    assert np.array_equal(array, medium.as_array(medium.stored(made)))


def test_evaluate_takes_the_score_that_the_run_took(trained: Trained) -> None:
    expected = scores(trained.straight)
    answer = here("evaluate", trained.straight, "--samples", "60", "--json", folder=trained.home)
    assert answer.code == 0, answer
    found = json.loads(answer.out)["scores"]
    assert {name: value["value"] for name, value in found.items()} == pytest.approx(expected)


def test_an_export_draws_what_the_run_draws(trained: Trained) -> None:
    home, run = trained.home, trained.straight
    assert here("export", run, "--out", "mine", folder=home).code == 0
    draw = ("--count", "5", "--trust_code")
    if trained.name in FROM_PICTURES:  # These are somebody's: an export holds none.
        answer = here("sample", "mine", "--out", "mine.npz", *draw, folder=home)
        assert answer.code == 2, answer
        assert "--given" in answer.err
        given = home / "given"
        given.mkdir()
        for number in range(5):
            shades = np.full((8, 8), 50 * number, np.uint8)
            Image.fromarray(shades).save(given / f"{number}.png")
        draw = ("--given", str(given), "--trust_code")
    drawn = []
    for source in ("mine", run):
        assert here("sample", source, "--out", "drawn.npz", *draw, folder=home).code == 0
        drawn.append((home / "drawn.npz").read_bytes())
    assert drawn[0] == drawn[1]


def test_compare_tells_the_runs_score(trained: Trained) -> None:
    answer = here("compare", "runs", "--json", folder=trained.home)
    assert answer.code == 0, answer
    (score,) = {name for name in scores(trained.straight) if name.startswith("fid")}
    (group,) = json.loads(answer.out)["groups"]
    assert group["name"] == trained.name
    (run,) = group["runs"]  # Of two runs of one seed the newest counts.
    assert run["evaluations"][-1]["scores"][score] == scores(trained.straight)[score]


DIGITS = partial(Digits, size=8, batch_size=8)
IMAGES: dict[str, Any] = {"shape": (1, 8, 8)}
WORDS: dict[str, Any] = {"shape": (6, 8)}


def game_of(name: str, user: ModuleType) -> Game:
    """As somebody hands a game to `conformance`."""

    def players(generator: Any, discriminator: Any, **told: Any) -> dict[str, Any]:
        return {"generator": partial(generator, **told), "discriminator": partial(discriminator, **told)}

    match name:
        case "my_characters":
            data = partial(user.Words, batch_size=8)
            return Game(WGANGP, data, players(user.Writer, user.Reader, **WORDS))
        case "my_concatenation":
            return Game(user.ConditionalGAN, DIGITS, players(user.Generator, user.Discriminator, **IMAGES))
        case "my_critics":
            critics = {"discriminator": partial(Several, networks=[user.Critic], copies=2, **IMAGES)}
            return Game(HingeGAN, DIGITS, {"generator": partial(user.Generator, **IMAGES), **critics})
        case "my_cyclegan":
            data = partial(user.Negatives, size=8, batch_size=8)
            told = {"conditional": True, "latent_size": 0, "pool": 20, **IMAGES}
            return Game(user.MyCycleGAN, data, {**told, **players(user.Translators, user.Critics, **IMAGES)})
        case "my_fanogan":
            decoder = Pretrained(network=MLPGenerator(latent_size=8, **IMAGES))
            finished = {
                "generator": user.Reconstruction(decoder=decoder, **IMAGES),
                "discriminator": Pretrained(network=MLPDiscriminator(**IMAGES)),
            }
            return Game(user.FAnoGAN, DIGITS, {"latent_size": 0, **finished})
        case "my_pix2pix":
            data = partial(user.Edges, size=8, batch_size=8)
            networks = players(user.Generator, user.Discriminator, condition=Pictures(**IMAGES))
            return Game(user.MyPix2Pix, data, {"conditional": True, "latent_size": 0, **networks})
        case "my_projection":
            networks = players(user.Generator, user.Discriminator, condition=Labels(10), **IMAGES)
            return Game(HingeGAN, DIGITS, {"conditional": True, **networks})
        case "my_shared_encoder":
            networks = players(user.Translator, user.Critic, **IMAGES)
            return Game(user.SharedEncoder, DIGITS, {"latent_size": 0, **networks})
        case "my_srgan":
            networks = players(user.SRResNet, user.Critic, **IMAGES)
            return Game(user.SRGAN, DIGITS, {"latent_size": 0, **networks})
        case "my_super_resolution":
            networks = players(user.Generator, user.Discriminator, **IMAGES)
            return Game(user.SuperResolution, DIGITS, {"latent_size": 0, **networks})
        case "my_sound":
            data = partial(user.Tones, batch_size=8)
            return Game(HingeGAN, data, players(user.Net, user.Judge, shape=(64,)))
        case "my_style":
            critic = partial(ResNetDiscriminator, width=8, normalization="none")
            return Game(R1GAN, DIGITS, players(user.StyleGenerator, critic, **IMAGES))
    raise AssertionError(f"{name} is held to no laws")


LAWS = [
    pytest.param(law, id=law.__name__, marks=[pytest.mark.slow] if law in OF_TWO_PROCESSES else [])
    for law in CHECKS
]


@pytest.mark.parametrize("check", LAWS)
@pytest.mark.parametrize("name", PARAMS)
def test_a_users_variant_keeps_the_laws(
    name: str, check: Callable[[Game], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FILES))
    check(game_of(name, import_for_test(monkeypatch, name)))

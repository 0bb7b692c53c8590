"""Runs on lines go the whole way: training, resuming, samples in files, sheets, exports, scores, report."""

import json
from pathlib import Path

import pytest
from command_line import checkpoint, here, run_folders, write
from PIL import Image
from trained_runs import train_run

import ganlab
from ganlab.data import Lines
from ganlab.media import Text
from ganlab.media.text import lines_of
from ganlab.testing import assert_same

POEM = "春眠不觉晓\n处处闻啼鸟\n夜来风雨声\n花落知多少\n床前明月光\n疑是地上霜\n举头望明月\n低头思故乡\n"
CONFIG = """\
model:
  class_path: WGANGP
  init_args:
    critic_steps: 2
    latent_size: 4
    generator: {class_path: GRUGenerator, init_args: {width: 8, distribution: straight_through}}
    discriminator: {class_path: TextResNetDiscriminator, init_args: {width: 8, blocks: 1}}
data: {class_path: Lines, init_args: {root: poem.txt, held_out: 0.3, batch_size: 4}}
trainer: {max_steps: 4, accelerator: cpu}
samples: {every_n_steps: 2, count: 5}
evaluation: {scores: [ngram_js, self_bleu], samples: 20, split: held_out}
"""
BLANKS = """\
model:
  class_path: HingeGAN
  init_args:
    conditional: true
    latent_size: 4
    generator:
      class_path: Composited
      init_args: {network: {class_path: TextTransformerGenerator, init_args: {width: 8, blocks: 1, heads: 2}}}
    discriminator: {class_path: TextTransformerDiscriminator, init_args: {width: 8, blocks: 1, heads: 2}}
data:
  class_path: Blanked
  init_args: {of: {class_path: Lines, init_args: {root: poem.txt, held_out: 0.3}}, blank: □, batch_size: 4}
trainer: {max_steps: 2, accelerator: cpu}
evaluation: {scores: [blank_accuracy]}
"""


def home_with_poem(home: Path) -> Path:
    (home / "poem.txt").write_text(POEM, "utf-8")
    return home


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_run(home_with_poem(tmp_path_factory.mktemp("lines")), CONFIG)


@pytest.fixture(scope="module")
def blanks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_run(home_with_poem(tmp_path_factory.mktemp("blanks")), BLANKS)


def test_a_run_keeps_sheets_and_files_of_lines(run: Path) -> None:
    sheets = sorted((run / "samples").glob("*.png"))
    assert [sheet.name for sheet in sheets] == ["step-000000002.png", "step-000000004.png"]
    assert Image.open(sheets[0]).size == Image.open(sheets[1]).size
    game = ganlab.load(run)
    assert isinstance(game.media[0], Text)
    assert {*game.media[0].alphabet} == {*POEM} - {"\n"}
    kept = [(run / "samples" / f"step-000000004-{number}.txt").read_text("utf-8") for number in range(5)]
    assert all({*line.removesuffix("\n")} <= {*POEM} for line in kept)


def test_samples_are_a_line_each_in_one_file_or_a_file_each(run: Path, tmp_path: Path) -> None:
    for out in ("lines.txt", "folder", "lines.npz", "sheet.png"):
        answer = here("sample", run, "--out", out, "--count", "3", "--seed", "5", folder=tmp_path)
        assert answer.code == 0, answer
    lines = (tmp_path / "lines.txt").read_text("utf-8").split("\n")[:-1]
    each = [(tmp_path / "folder" / f"{number:06}.txt").read_text("utf-8") for number in range(3)]
    assert [f"{line}\n" for line in lines] == each
    game = ganlab.load(run)
    assert lines == lines_of(game.media[0].stored(game.sample(3, seed=5)))


@pytest.mark.slow
def test_pictures_are_not_written_to_a_text_file(tmp_path: Path) -> None:
    small = CONFIG.replace("root: poem.txt, held_out: 0.3", "size: 8").replace("Lines", "Digits")
    for old, new in (
        ("GRUGenerator, init_args: {width: 8, distribution: straight_through}", "MLPGenerator"),
        ("TextResNetDiscriminator, init_args: {width: 8, blocks: 1}", "MLPDiscriminator"),
        ("evaluation: {scores: [ngram_js, self_bleu], samples: 20, split: held_out}\n", ""),
    ):
        small = small.replace(old, new)
    pictures = train_run(tmp_path, small.replace("max_steps: 4", "max_steps: 1"))
    answer = here("sample", pictures, "--out", "digits.txt", folder=tmp_path)
    assert answer.code == 2
    assert "samples of Pictures are not written to such a file" in answer.err
    assert not (tmp_path / "digits.txt").exists()


def test_an_export_draws_what_the_run_draws(run: Path, tmp_path: Path) -> None:
    assert here("export", run, "--out", "mine", folder=tmp_path).code == 0
    for source in (run, tmp_path / "mine"):
        out = f"{source.name}.txt"
        assert here("sample", source, "--out", out, "--count", "9", folder=tmp_path).code == 0
    assert (tmp_path / "mine.txt").read_text("utf-8") == (tmp_path / f"{run.name}.txt").read_text("utf-8")


@pytest.mark.slow
def test_a_resumed_run_is_the_straight_one(run: Path, tmp_path: Path) -> None:
    home_with_poem(tmp_path)
    stopped = train_run(tmp_path, CONFIG.replace("max_steps: 4", "max_steps: 2"))
    again = here("fit", "--resume", stopped, "--trainer.max_steps", "4", folder=tmp_path)
    assert again.code == 0, again
    one, other = (checkpoint(each, 4)["state_dict"] for each in (run, stopped))
    assert_same(one, other, what="the resumed run")


def scores(what: object, reference: object, home: Path, *options: str) -> dict[str, float]:
    answer = here("evaluate", what, "--reference", reference, "--json", *options, folder=home)
    assert answer.code == 0, answer
    return {name: each["value"] for name, each in json.loads(answer.out)["scores"].items()}


def test_anybodys_lines_are_scored_in_a_file_a_folder_or_an_npz(run: Path, tmp_path: Path) -> None:
    home = home_with_poem(tmp_path)
    named = ("--scores", "ngram_js,self_bleu")
    (home / "folder").mkdir()
    for number, line in enumerate(POEM.split("\n")[:-1]):
        (home / "folder" / f"{number}.txt").write_text(line, "utf-8")
    same = scores("folder", "poem.txt", home, *named)
    assert same["ngram_js8_4"] == pytest.approx(0, abs=1e-9)
    write(home, "明月光\n多少\n", "other.txt")
    assert scores("other.txt", "poem.txt", home, *named)["ngram_js2_1"] > 0.1
    write(home, "data: {class_path: Lines, init_args: {root: poem.txt, held_out: 0}}\n", "poem.yaml")
    by_data = scores("folder", "poem.yaml", home)
    assert [*by_data] == [f"ngram_js8_{order}" for order in (1, 2, 3, 4)], "the scores of text"
    assert by_data["ngram_js8_2"] == pytest.approx(0, abs=1e-9)


def test_a_run_is_evaluated_by_the_scores_of_text(run: Path) -> None:
    answer = here("evaluate", run, "--samples", "20", "--split", "held_out", "--json", folder=run.parents[3])
    assert answer.code == 0, answer
    row = json.loads((run / "scores.jsonl").read_text().splitlines()[0])
    name = "ngram_js20_1"
    assert json.loads(answer.out)["scores"][name]["value"] == pytest.approx(row["scores"][name])
    assert row["contract"]["data"]["split"] == "held_out"
    assert row["floor"]["samples"] < 20


def test_lines_that_are_given_are_filled_in_and_else_kept(blanks: Path, tmp_path: Path) -> None:
    write(tmp_path, "春□不觉晓\n□头\n", "given.txt")
    answer = here("sample", blanks, "--given", "given.txt", "--out", "made.txt", folder=tmp_path)
    assert answer.code == 0, answer
    first, second = (tmp_path / "made.txt").read_text("utf-8").split("\n")[:-1]
    assert (first[0], first[2:]) == ("春", "不觉晓")
    assert "□" not in first + second
    sheet = here("sample", blanks, "--out", "sheet.png", folder=blanks.parents[3])
    assert sheet.code == 0, sheet


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("春□\n春x□", "line 2: the character 'x' at column 2 is not in the alphabet"),
        ("春□不觉晓春", "line 1: it has 6 characters, and 5 at most are played"),
        ("", "it is empty"),
    ],
)
def test_lines_that_cannot_be_given_are_named(blanks: Path, tmp_path: Path, given: str, said: str) -> None:
    write(tmp_path, given, "given.txt")
    answer = here("sample", blanks, "--given", "given.txt", "--out", "made.txt", folder=tmp_path)
    assert answer.code == 2
    assert said in answer.err
    assert 1 <= len(answer.err.strip().splitlines()) <= 3
    assert not (tmp_path / "made.txt").exists()


def test_blanks_are_scored_by_the_characters_that_were_taken_out(blanks: Path) -> None:
    (row,) = map(json.loads, (blanks / "scores.jsonl").read_text().splitlines())
    ((name, value),) = row["scores"].items()
    assert name.startswith("blank_accuracy")
    assert 0 <= value <= 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("scores: [valid]", "Nobody knows which lines Lines would hold"),
        pytest.param("extractor: Pixels", "The extractor Pixels takes bytes", marks=pytest.mark.slow),
    ],
)
def test_scores_that_lines_cannot_have_are_refused_before_the_first_step(
    tmp_path: Path, wrong: str, said: str
) -> None:
    home_with_poem(tmp_path)
    write(tmp_path, CONFIG.replace("scores: [ngram_js, self_bleu]", wrong), "small.yaml")
    answer = here("fit", "--config", "small.yaml", folder=tmp_path)
    assert answer.code == 2, answer
    assert said in answer.err
    assert not run_folders(tmp_path) or not [*run_folders(tmp_path)[0].glob("checkpoints/*")]


@pytest.mark.slow
def test_data_check_shows_lines(tmp_path: Path) -> None:
    home_with_poem(tmp_path)
    answer = here("data", "check", "Lines", "--root", "poem.txt", folder=tmp_path)
    assert answer.code == 0, answer
    assert Image.open(tmp_path / "lines.png").width > 20
    assert (tmp_path / "lines-0.txt").read_text("utf-8").strip() in POEM


def test_the_report_shows_lines(run: Path, tmp_path: Path) -> None:
    answer = here("compare", run.parents[2], "--out", "page", folder=tmp_path)
    assert answer.code == 0, answer
    line = (run / "samples" / "step-000000004-0.txt").read_text("utf-8").strip()
    (page,) = (tmp_path / "page").glob("*.html")
    assert line in page.read_text("utf-8")


def test_an_alphabet_is_the_datas_however_they_are_named(run: Path) -> None:
    assert Lines(root=str(run.parents[3] / "poem.txt")).alphabet == ganlab.load(run).media[0].alphabet  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "is empty"), (b"ok\nna\xefve\n", "is no .txt of ganlab.media.Text")]
)
def test_files_that_hold_no_lines_are_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "given.txt").write_bytes(content)
    answer = here("evaluate", "given.txt", "--reference", "Lines", folder=tmp_path)
    assert answer.code == 2
    assert f"given.txt {said}" in answer.err


def test_a_file_among_others_that_holds_several_lines_is_named(tmp_path: Path) -> None:
    for name, text in (("a", "one"), ("b", "two\nthree"), ("c", "four")):
        write(tmp_path, text, f"{name}.txt")
    answer = here("evaluate", tmp_path, "--reference", "Lines", folder=tmp_path)
    assert answer.code == 2
    assert "b.txt is no whole .txt of ganlab.media.Text" in answer.err
    assert "here are 2" in answer.err

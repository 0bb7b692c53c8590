"""`report.html` is complete, harmless and readable whatever was compared."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from browser import CHROMIUM, Browser, started
from comparisons import STEPS, comparison, contract, draw, run, table
from jinja2 import UndefinedError
from PIL import Image

from ganlab.comparison import ranking, report
from ganlab.comparison.read import Group, Run
from ganlab.comparison.report import memorisation, samples
from ganlab.comparison.report import words as sentences
from ganlab.comparison.report.axis import Scale, decimals
from ganlab.comparison.report.curves import score_lines
from ganlab.comparison.report.svg import element
from ganlab.comparison.report.templates import ENVIRONMENT, writable
from ganlab.comparison.result import Comparison

PARTS = ["samples", "terms", "settings", "memorisation", "troubles", "commands"]
HOSTILE = "<script>alert(1)</script>\"'>&</style><img src=http://x.test/a onerror=alert(1)>\x00\x1b"
FETCHING = {"src", "href", "srcset", "data", "action", "poster", "background", "xlink:href"}
VOID = {"meta", "img", "input", "br", "wbr"}


class Page(HTMLParser):
    """The elements of a page with their attributes, and the text in each part."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.parts: dict[str, str] = {}
        self._open: list[str] = []
        self._part = ""
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "section":
            self._part = dict(attrs)["id"] or ""
            self.parts[self._part] = ""

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "section":
            self._part = ""

    def handle_data(self, data: str) -> None:
        if self._part:
            self.parts[self._part] += data

    def elements_named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(folder: Path, compared: Comparison) -> Page:
    return Page(report.write(folder, compared).read_text())


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Path]:
    folder = tmp_path_factory.mktemp("report")
    compared = comparison(folder / "runs", ("hinge", "r3gan", "wgan"))
    failed = compared.groups[2].runs[1]
    failed.state, failed.reason, failed.step = "failed", "the term r1 is no number", 200
    failed.evaluations = failed.evaluations[:2]
    compared.tables = [table(compared.groups)]
    return compared, report.write(folder / "out", compared)


def test_all_groups_are_in_all_parts(written: tuple[Comparison, Path]) -> None:
    compared, path = written
    page = Page(path.read_text())
    assert list(page.parts) == ["contract-1", *PARTS]
    for part, text in page.parts.items():
        if part != "troubles":
            assert all(group.name in text for group in compared.groups), part
    assert "the term r1 is no number (step 200 of 400)" in page.parts["troubles"]
    assert "--seed_everything 2" in page.parts["commands"]
    assert "10k · digits · train 1,497 · ema" in page.parts["contract-1"]


def test_the_page_fetches_nothing(written: tuple[Comparison, Path]) -> None:
    text = written[1].read_text()
    page = Page(text)
    for tag, attributes in page.elements:
        for name in FETCHING & attributes.keys():
            assert str(attributes[name]).startswith(("data:image/", "#")), (tag, name)
    assert not {tag for tag, _ in page.elements} & {"link", "iframe", "object", "embed", "base", "form"}
    assert "url(" not in text
    assert "@import" not in text


def test_plots_beside_the_page_are_complete(written: tuple[Comparison, Path]) -> None:
    folder = written[1].parent / "plots"
    plots = {path.name for path in folder.glob("*.svg")}
    terms = {f"term-{name}.svg" for name in ("discriminator", "generator", "r1")}
    curves = {f"curve-1-fid10k_digits-{axis}.svg" for axis in ("images", "minutes")}
    assert plots == terms | curves | {"interval-1-fid10k_digits.svg"}
    for path in folder.glob("*.svg"):
        text = path.read_text()
        assert "var(" not in text
        words = " ".join(ElementTree.fromstring(text).itertext())
        assert all(group.name in words for group in written[0].groups)
    assert len([*folder.glob("nearest-*.png")]) == 3


def test_plots_of_an_earlier_comparison_are_removed(tmp_path: Path) -> None:
    report.write(tmp_path / "out", comparison(tmp_path / "a"))
    users_file = tmp_path / "out" / "plots" / "mine.svg"
    users_file.write_text("")
    report.write(tmp_path / "out", Comparison([], []))
    assert [*(tmp_path / "out" / "plots").iterdir()] == [users_file]


def test_one_part_for_each_contract(tmp_path: Path) -> None:
    compared = comparison(tmp_path / "runs")
    other = contract("Inception")
    for each in (each for group in compared.groups for each in group.runs):
        last = each.evaluations[-1]
        scores = {"fid50k": 7.0 + each.seed}
        each.evaluations.append(replace(last, scores=scores, contract=other))
    compared.tables.append(table(compared.groups, "fid50k", other))
    page = page_of(tmp_path / "out", compared)
    assert list(page.parts)[:2] == ["contract-1", "contract-2"]
    assert "fid50k" not in page.parts["contract-1"]
    assert "fid10k_digits" not in page.parts["contract-2"]
    assert "Scores of different contracts are never compared" in page.parts["contract-2"]


def test_a_hostile_name_is_only_text(tmp_path: Path) -> None:
    compared = comparison(tmp_path / "runs")
    harmless = len(page_of(tmp_path / "plain", compared).elements)
    group, hostile = compared.groups[0], compared.groups[0].runs[0]
    group.name = hostile.experiment = HOSTILE
    group.differs = {HOSTILE: HOSTILE, "model.init_args.gamma": 0, "model.class_path": [HOSTILE]}
    hostile.command = hostile.source = hostile.data = hostile.reason = HOSTILE
    hostile.terms = {HOSTILE: hostile.terms["r1"]}
    compared.notes = [HOSTILE]
    top = compared.tables[0]
    top.notes, top.rows[0].hardware, top.rows[0].trouble = [HOSTILE], HOSTILE, [HOSTILE]
    top.rows[0].missing = {"images_per_second": HOSTILE}
    top.contract["extractor"]["name"] = HOSTILE
    for evaluation in hostile.evaluations:
        evaluation.scores[HOSTILE] = 1.0
    path = report.write(tmp_path / "out", compared)
    text = path.read_text()
    page = Page(text)
    assert len(page.elements_named("script")) == len(page.elements_named("style")) == 1
    assert all(str(image["src"]).startswith("data:image/") for image in page.elements_named("img"))
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert text.count("<script>") == 1
    assert "\x00" not in text
    assert "\x1b" not in text
    assert len(page.elements) > harmless * 0.5
    for plot in (tmp_path / "out" / "plots").iterdir():
        assert re.fullmatch(r"[A-Za-z0-9_-]+\.(svg|png)", plot.name)
        if plot.suffix == ".svg":
            names = {each.tag.rpartition("}")[2] for each in ElementTree.parse(plot).iter()}
            assert not names & {"script", "img", "foreignObject"}


def test_a_policy_lets_no_other_script_run(written: tuple[Comparison, Path]) -> None:
    rules = [
        each["content"]
        for each in Page(written[1].read_text()).elements_named("meta")
        if "http-equiv" in each
    ]
    assert len(rules) == 1
    assert "default-src 'none'" in str(rules[0])
    assert re.search(r"script-src 'sha256-[^']+'$", str(rules[0]))


def test_nothing_to_compare(tmp_path: Path) -> None:
    page = page_of(tmp_path, Comparison([], [], ["a/b: there is nothing in it"]))
    assert "No run has a score yet" in page.parts["scores"]
    assert "there is nothing in it" in page.parts["troubles"]


def test_runs_without_scores_samples_or_terms(tmp_path: Path) -> None:
    compared = comparison(tmp_path / "runs")
    for each in (each for group in compared.groups for each in group.runs):
        each.evaluations, each.terms, each.folder, each.command, each.seconds = [], {}, None, "", None
    compared.tables = []
    page = page_of(tmp_path / "out", compared)
    assert "No run has a score yet" in page.parts["scores"]
    assert "No samples on this machine: hinge and r3gan." in page.parts["samples"]
    assert "No run has kept its terms." in page.parts["terms"]
    assert "No nearest training images on this machine: hinge and r3gan." in page.parts["memorisation"]
    assert page.parts["commands"].count("Not recorded.") == 2


def test_one_group_with_one_seed(tmp_path: Path) -> None:
    page = page_of(tmp_path / "out", comparison(tmp_path / "runs", ("ns",), 1))
    assert "one seed: no interval" in page.parts["contract-1"]
    assert "first, not tested" in page.parts["contract-1"]


def test_a_group_without_a_score_keeps_its_row(tmp_path: Path) -> None:
    compared = comparison(tmp_path / "runs")
    for each in compared.groups[1].runs:
        each.state, each.reason = "failed", "it broke"
    compared.tables = [table(compared.groups)]
    page = page_of(tmp_path / "out", compared)
    values = [
        each["data-v"]
        for each in page.elements_named("td")
        if each.get("class") == "score" and "data-v" in each
    ]
    assert values[1] == ""
    assert "0 of 3" in page.parts["contract-1"]


@pytest.mark.slow
def test_the_page_of_twelve_groups_of_five_seeds_is_small(tmp_path: Path) -> None:
    names = tuple(f"group{i}" for i in range(12))
    compared = comparison(tmp_path / "runs", names, 5)
    path = report.write(tmp_path / "out", compared)
    assert path.stat().st_size < 15e6
    hues = {marks[1] for marks in re.finditer(r'class="mean (g\d)"', path.read_text())}
    assert len(hues) == 6


@pytest.mark.slow
def test_large_pictures_are_shrunk(tmp_path: Path) -> None:
    compared = comparison(tmp_path / "runs", ("hinge", "r3gan"), 1)
    for group in compared.groups:
        folder = group.runs[0].folder
        assert folder
        noise = Image.effect_noise((2400, 2400), 80)
        for step in range(500, 1700, 100):
            noise.save(folder / "samples" / f"step-{step:09d}.png")
    path = report.write(tmp_path / "out", compared)
    assert path.stat().st_size < 15e6
    frames = [image for image in Page(path.read_text()).elements_named("img") if "data-from" in image]
    assert max(int(image["width"] or 0) for image in frames) == 2400
    assert len({image["data-from"] for image in frames}) >= samples.FEWEST_MOMENTS


def test_damaged_pictures_are_left_out(tmp_path: Path) -> None:
    compared = comparison(tmp_path / "runs")
    folder = compared.groups[0].runs[0].folder
    assert folder
    (folder / "samples" / "step-000000200.png").write_bytes(b"no picture")
    (folder / "samples" / "step-000000400.png").write_bytes(b"")
    newest(compared.groups[0].runs[0]).write_bytes(b"no picture")
    page = page_of(tmp_path / "out", compared)
    assert "No nearest training images on this machine: hinge." in page.parts["memorisation"]
    assert len([image for image in page.elements_named("img") if "data-from" in image]) == 2 * len(STEPS) - 2


def newest(run: Run) -> Path:
    assert run.folder
    return max((run.folder / "nearest").glob("*.png"))


def test_memorisation_says_what_the_runs_drew(tmp_path: Path) -> None:
    compared = comparison(tmp_path / "runs")
    page = page_of(tmp_path / "out", compared)
    part = page.parts["memorisation"]
    assert "median distance of 64 samples 0.0, of unseen images" in part
    assert "64 of 64 are nearer than" in part
    assert "0 of 64 are nearer than" in part
    assert "In time were searched" not in part
    for group, file in zip(compared.groups, sorted((tmp_path / "out" / "plots").glob("*.png")), strict=True):
        drawn, copy = (Image.open(path) for path in (newest(group.runs[0]), file))
        assert drawn.tobytes() == copy.tobytes()


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ('{"samples": 64, "distance": 20, "searched": 1, "total": 9}', "20.0. In time were searched 1 of 9"),
        ('{"samples": 9, "distance": 20, "unseen": 27, "nearer": "<b>", "searched": 1, "total": 1}', "20.0."),
        ('{"samples": 64, "distance": NaN, "searched": 1, "total": 1}', "its distances cannot be read"),
        ('{"samples": "<script>", "distance": [], "total": -1}', "its distances cannot be read"),
        ("[[[", "its distances cannot be read"),
        (None, "its distances cannot be read"),
    ],
)
def test_numbers_beside_a_picture_may_be_anything(tmp_path: Path, numbers: str | None, words: str) -> None:
    compared = comparison(tmp_path / "runs", ("hinge",), 1)
    file = newest(compared.groups[0].runs[0]).with_suffix(".json")
    file.write_text(numbers) if numbers else file.unlink()
    assert words in page_of(tmp_path / "out", compared).parts["memorisation"]


def test_nearest_images_are_of_the_best_run(tmp_path: Path) -> None:
    compared = comparison(tmp_path / "runs", ("hinge",))
    group = compared.groups[0]
    for each in group.runs[1:]:
        draw(each)
    last = [float(each.evaluations[-1].scores["fid10k_digits"] or 0) for each in group.runs]
    ranked = [run for _, run in sorted(zip(last, group.runs, strict=True), key=lambda pair: pair[0])]
    for expected in ranked:
        nearest = memorisation.best_run_nearest(group, compared)
        assert nearest
        assert nearest.run is expected
        newest(expected).write_bytes(b"no picture")
    assert memorisation.best_run_nearest(group, compared) is None


def test_a_mean_goes_as_far_as_all_seeds(tmp_path: Path) -> None:
    runs = [run(tmp_path, "hinge", 0, seed) for seed in range(3)]
    runs[1].evaluations = runs[1].evaluations[:2]
    groups = [Group("hinge", runs)]
    line = score_lines(table(groups), groups, "images")[0]
    assert [x for x, _ in line.mean] == [6400.0, 12800.0]
    values = [each.evaluations[1].scores["fid10k_digits"] or 0 for each in runs]
    product = values[0] * values[1] * values[2]
    assert line.mean[1][1] == pytest.approx(product ** (1 / 3))
    assert line.band[1] == pytest.approx((12800.0, min(values), max(values)))


def test_sentences_on_the_best_group(tmp_path: Path) -> None:
    compared = comparison(tmp_path / "runs")
    scores = compared.tables[0]
    assert re.search(r"over 3 seeds; the other is worse by at least \d+ %\.$", sentences.summarise(scores))
    wide = [2.0, 3.0, 4.6]
    for row, values in zip(scores.rows, (wide, [value * 1.2 for value in wide]), strict=True):
        row.last = [*values]
    ranking.rank(scores)
    assert re.search(
        r"the other is not told apart from it \(could be up to \d+ % better or .* worse\)\.$",
        sentences.summarise(scores),
    )
    single = comparison(tmp_path / "single", seeds=1).tables[0]
    assert "one seed has no interval" in sentences.summarise(single)
    assert sentences.contract_line({"hash": "abc", "extractor": 3}) == "contract abc"


def test_scales() -> None:
    scale = Scale.over([2.0, 200.0], 0, 100, log=True)
    assert scale(20.0) == pytest.approx(50)
    assert scale.ticks(8) == [2, 5, 10, 20, 50, 100, 200]
    assert len(Scale.over([3.0, 3.1], 0, 100, log=True).ticks(4)) >= 2
    assert Scale.over([], 0, 100, log=True).ticks(6)
    assert Scale.over([0.0, 0.0], 0, 100)(0.0) == 50
    assert decimals([2.413, 140.0]) == 2
    assert decimals([0.0123]) == 4


def test_markup_is_not_escaped_twice() -> None:
    inner = element("b", "<&>")
    drawn = element("a", inner, "<", title='"', class_="x", data_x=None)
    assert drawn == '<a title="&#34;" class="x"><b>&lt;&amp;&gt;</b>&lt;</a>'
    template = ENVIRONMENT.from_string("{{ inner }}{{ name }}")
    assert template.render(inner=inner, name="<'>") == f"{inner}&lt;&#39;&gt;"
    with pytest.raises(UndefinedError):
        template.render(inner=inner)
    assert writable("a\x00\ud800\t") == "a\ufffd\ufffd\t"


@pytest.fixture(scope="module")
def browser() -> Browser:  # type: ignore[misc]
    if not CHROMIUM:
        pytest.skip("there is no chromium here (apt-get install chromium)")
    with started() as running:
        yield running  # type: ignore[misc]


NAMES = "[...document.querySelectorAll('.scores tbody th .named')].map(each => each.textContent)"
SHOWN = "[...document.querySelectorAll('.frames .now')].map(each => each.dataset.told)"


def click(column: str) -> str:
    heads = "[...document.querySelectorAll('.scores thead button')]"
    return f"{heads}.find(each => each.textContent === '{column}').click()"


@pytest.mark.slow
def test_in_a_browser_clicks_sort(written: tuple[Comparison, Path], browser: Browser) -> None:
    browser.open(written[1])
    names = [row.group.name for row in written[0].tables[0].rows]
    assert browser.run(NAMES) == names
    sorted_by = "document.querySelector('[aria-sort]').getAttribute('aria-sort')"
    browser.run(click("fid10k_digits"))
    assert (browser.run(NAMES), browser.run(sorted_by)) == (names, "ascending")
    browser.run(click("fid10k_digits"))
    assert (browser.run(NAMES), browser.run(sorted_by)) == (names[::-1], "descending")
    browser.run(click("group"))
    assert browser.run(NAMES) == sorted(names)
    assert browser.run("document.querySelectorAll('[aria-sort]').length") == 1


@pytest.mark.slow
def test_in_a_browser_one_slider_moves_all_groups(written: tuple[Comparison, Path], browser: Browser) -> None:
    browser.open(written[1])
    assert browser.run(SHOWN) == ["25.6k images · step 400"] * 3
    browser.run("slider.value = 0; slider.dispatchEvent(new Event('input'))")
    assert browser.run(SHOWN) == ["6,400 images · step 100"] * 3
    assert browser.run("document.getElementById('moment-told').textContent") == "6,400 images"
    all_loaded = "[...document.querySelectorAll('img')].every(each => each.complete && each.naturalWidth)"
    browser.run("Promise.all([...document.images].map(each => each.decode()))")
    assert browser.run(all_loaded) is True


@pytest.mark.slow
def test_in_a_browser_nothing_leaves_the_page(written: tuple[Comparison, Path], browser: Browser) -> None:
    browser.requests.clear()
    browser.complaints.clear()
    browser.open(written[1])
    browser.run("all('button').forEach(each => each.click())")
    assert {address.split(":")[0] for address in browser.requests} <= {"file", "data"}
    assert [address for address in browser.requests if address.startswith("file:")] == [written[1].as_uri()]
    assert browser.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_in_a_browser_the_page_fits(
    written: tuple[Comparison, Path], browser: Browser, width: int, scheme: str
) -> None:
    browser.scheme(scheme)
    browser.size(width, 900, phone=width < 500)
    browser.open(written[1])
    assert browser.run("document.documentElement.scrollWidth") == width
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", paper)[0]) > 128) == (scheme == "light")


@pytest.mark.slow
def test_in_a_browser_a_hostile_name_runs_nothing(tmp_path: Path, browser: Browser) -> None:
    compared = comparison(tmp_path / "runs", ("<img src=x onerror=document.title='caught'>", "r3gan"))
    browser.requests.clear()
    browser.open(report.write(tmp_path / "out", compared))
    browser.run("all('button').forEach(each => each.click())")
    assert "caught" not in browser.run("document.title.replace(/<.*>/, '')")
    assert len([address for address in browser.requests if not address.startswith("data:")]) == 1


@pytest.mark.slow
def test_in_a_browser_without_scripts_the_table_stays(written: tuple[Comparison, Path]) -> None:
    if not CHROMIUM:
        pytest.skip("there is no chromium here (apt-get install chromium)")
    with started() as browser:
        browser.without_scripts()
        browser.open(written[1])
        visible = "document.querySelector('{}').checkVisibility()"
        assert browser.run(visible.format(".scores tbody")) is True
        assert browser.run(visible.format(".frames img:last-child")) is True
        assert browser.run(visible.format(".slider")) is False

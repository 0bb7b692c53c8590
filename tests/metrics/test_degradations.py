"""The script whose tables tell what scores make of spoiled images."""

import runpy
from pathlib import Path

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "degradations.py"))


def test_a_table_has_the_scores_that_its_images_are_enough_for(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path))
    SCRIPT["table"]("digits", SCRIPT["ROWS"]["digits"], "", ["fid", "fid_infinity", "copied"])
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert lines[3] == ["FID", "copied"]
    cells = {what: values for what, *values in lines[5:-2]}
    assert list(cells) == list(SCRIPT["SPOILED"])
    assert cells["held-out images"][0] == "1.00"
    assert cells["copies of the training set"][1] == "1.000"
    assert cells["tinted"] == ["refused", "refused"]
    fid = {what: float(first) for what, (first, _) in cells.items() if what != "tinted"}
    # Of fewer images, over the floor of as many.
    assert 4 < fid["one class left out"] < fid["10 % black images"]
    assert 2 * fid["shifted by a pixel"] < fid["10 % black images"]

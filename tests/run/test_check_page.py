"""The page on compression: its commands do what it says, and its figures are what they print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyechart.analysis.loss_bounds import upper_bound
from eyechart.cli import run_args
from tests.vlms.chat_server import about_a_ramp, serve

PAGE = Path(__file__).parents[2] / "docs" / "how-far-may-i-compress.md"
FIRST = 3  # commands of the page's first run
ON_PAGE = "--vlm openai:model=NAME,base_url=URL"


def commands_on_page() -> list[str]:
    return [line for line in PAGE.read_text().splitlines() if line.startswith("eyechart ")]


def figures(shown: str) -> list[list[float]]:
    """Level, kB, share of the own files and agreement in each row of the check's table."""
    rows = [line.split()[:4] for line in shown.splitlines() if re.match(r" +\d+ +[\d.]+ ", line)]
    return [[float(cell) for cell in row] for row in rows]


@pytest.mark.slow
def test_the_first_run_of_the_documentation_shows_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As written, with the built-in VLM on all images of its chart."""
    monkeypatch.chdir(tmp_path)
    export, check, policy = commands_on_page()[:FIRST]
    assert run_args(shlex.split(export)[1:]) == 0
    capsys.readouterr()
    assert run_args([*shlex.split(check)[1:], "--workers", "0", "--device", "cpu"]) == 0
    shown = capsys.readouterr()
    page = PAGE.read_text()
    assert shown.err.splitlines()[-1] in page
    written = page.partition("```text\n")[2].partition("```")[0]
    expected = figures(written)[:5]
    assert len(expected) == 5
    for found, row in zip(figures(shown.out)[:5], expected, strict=True):
        assert found[:3] == pytest.approx(row[:3], rel=0.05, abs=0.1)
        assert found[3] == pytest.approx(row[3], abs=2)  # other CPUs round differently
    for text in (shown.out, written):
        assert "Recommended for eyechart-mini-s: JPEG 75, which loses" in " ".join(text.split())
    assert run_args(shlex.split(policy)[1:]) == 0
    assert "def compressed(path)" in capsys.readouterr().out
    assert Path("chart.json").is_file()


def test_the_page_says_how_many_images_are_needed() -> None:
    rows = re.findall(r"^\| (\d+)[^|]* \| (\d+) \| (\d+) \| (\d+) \|$", PAGE.read_text(), re.M)
    assert [int(row[0]) for row in rows] == [10, 5, 2]
    for tolerance, *counts in rows:
        for codecs, count in zip((3, 4, 6), map(int, counts), strict=True):
            bounds = [100 * upper_bound(np.zeros(n), 0.05 / codecs) for n in (count - 1, count)]
            assert bounds[0] > float(tolerance) >= bounds[1]


@pytest.mark.parametrize("behind_a_server", [False, True])
def test_the_commands_of_the_documentation_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    behind_a_server: bool,
) -> None:
    """As written, but with a tolerance that six images can meet, and at two settings only."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    Path("photos").mkdir()
    for n in range(6):
        Image.linear_gradient("L").rotate(60 * n).resize((56, 56)).save(f"photos/{n}.jpg")
    lines = commands_on_page()[FIRST:]
    checks = [line for line in lines if line.startswith("eyechart check ")]
    assert (len(lines), len(checks), ON_PAGE in checks[0]) == (10, 3, True)
    with serve(about_a_ramp) as server:
        vlm = f"--vlm openai:model=m,base_url={server.url},image_tokens=gpt-4o"
        if not behind_a_server:
            vlm = "--vlm eyechart-mini --device cpu"
        for line in lines:
            typed = line.replace("--tolerate 5", "--tolerate 95").replace(ON_PAGE, "")
            if line in checks:
                typed = f"{typed} {vlm} --workers 0 --codecs jpeg:levels=[50,90]"
            assert run_args(typed.split()[1:]) == 0, line
        assert bool(server.asked) == behind_a_server
    shown = capsys.readouterr().out
    assert "6 of them JPEG at quality 75" in shown
    assert "it agrees with itself to 100.0 %" in " ".join(shown.split())
    assert "def compressed(path)" in shown
    assert "as many US dollars as the files" in " ".join(shown.split())
    for name in ("times.svg", "front.svg", "policy.json", "tokens.svg"):
        assert Path(name).stat().st_size > 0

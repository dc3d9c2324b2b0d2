"""The page on compression: its commands do what it says, and its figures are what they print."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyechart.analysis.loss_bounds import upper_bound
from eyechart.cli import run_args
from tests.vlms.chat_server import about_a_ramp, serve

PAGE = Path(__file__).parents[2] / "docs" / "how-far-may-i-compress.md"
WALK = "## From a folder and a server to a policy file\n"
SETTINGS = 5  # of the check in it
ON_PAGE = "--vlm openai:model=NAME,base_url=URL"


def walk_and_rest() -> tuple[str, str]:
    """The section that is run as written, and what follows it."""
    walk, _, rest = PAGE.read_text().partition(WALK)[2].partition("\n## ")
    return walk, rest


def commands(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("eyechart ")]


def figures(shown: str) -> list[list[float]]:
    """Level, kB, share of the own files and agreement in each row of the check's table."""
    rows = [line.split()[:4] for line in shown.splitlines() if re.match(r" +\d+ +[\d.]+ ", line)]
    return [[float(cell) for cell in row] for row in rows]


@contextmanager
def running(command: list[str]) -> Iterator[str]:
    """A command that runs until it is ended; -> the first line that it prints."""
    with subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline()
        finally:
            process.terminate()


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


@pytest.mark.slow
def test_the_walk_from_a_folder_and_a_server_to_a_policy_runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every block of the section in its order; only the port is another."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    port = free_port()
    walk = walk_and_rest()[0].replace("8000", port)
    blocks = re.findall(r"([^\n]*)\n\n```(\w*)\n(.*?)```", walk, re.DOTALL)
    assert [kind for _, kind, _ in blocks].count("python") == 3
    ran, printed = [], ""
    with ExitStack() as servers:
        for before, kind, block in blocks:
            if kind == "python":
                (name,) = re.findall(r"`(\w+\.py)`", before)
                Path(name).write_text(block)
                assert name != "client.py" or printed.endswith(f"in Python:\n\n{block}\n")
            elif kind == "text":
                assert_shown(block, printed or Path("questions.csv").read_text())
            for line in () if kind else block.splitlines():
                verb, *given = shlex.split(line)
                ran.append(" ".join([verb, *given[:1]]))
                if ran[-1] == "eyechart serve":
                    said = servers.enter_context(running([verb, *given]))
                    assert f"base_url=http://127.0.0.1:{port}/v1" in said
                elif verb == "eyechart":
                    assert run_args(given) == 0
                    shown = capsys.readouterr()
                    printed = shown.out if given[0] != "export" else ""
                    asking = re.findall("^asking .*$", shown.err, re.M)
                    assert all(f"`{one}`" in walk for one in asking)
                else:
                    command = [sys.executable if verb == "python" else verb, *given]
                    done = subprocess.run(command, check=True, capture_output=True, text=True)
                    assert f"`{done.stdout.strip()}`" in walk or not done.stdout
    assert ran == [
        *("eyechart export", "mv chart/images/POPE_source_lossless", "eyechart serve"),
        *("python questions.py", "eyechart check", "eyechart recommend", "python compress.py"),
    ]
    sizes = [file.stat().st_size for file in Path("compressed").iterdir()]
    measured = json.loads(Path("policy.json").read_text())["bytes_per_image"]
    assert np.mean(sizes) == pytest.approx(measured, abs=0.5)


def assert_shown(written: str, shown: str) -> None:
    """What the page shows of a file is its beginning; of the check, its figures and sentences."""
    expected = figures(written)[:SETTINGS]  # on the page the other columns follow below them
    if not expected:
        assert shown.startswith(written)
        return
    assert len(expected) == SETTINGS
    for found, row in zip(figures(shown)[:SETTINGS], expected, strict=True):
        assert found[:3] == pytest.approx(row[:3], rel=0.05, abs=0.1)
        assert found[3] == pytest.approx(row[3], abs=2)  # other CPUs round differently
    for text in (shown, written):
        assert "Recommended for eyechart-mini-s: WebP 5, which loses" in " ".join(text.split())


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
    lines = commands(walk_and_rest()[1])
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
    assert "the VLM agrees with itself to 100.0 %" in " ".join(shown.split())
    assert "def compressed(path)" in shown
    assert "as many US dollars as the files" in " ".join(shown.split())
    for name in ("times.svg", "front.svg", "policy.json", "tokens.svg"):
        assert Path(name).stat().st_size > 0

"""Commands whose input or output must be a local file or folder, given a URL."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from eyechart.cli import run_args
from eyechart.core.images import encode_png

URL = "s3://bucket/there"


@pytest.mark.parametrize(
    "command",
    [
        f"check {URL}",
        f"codec bench {URL} --codec jpeg",
        f"codec decode {URL} out.png --codec jpeg",
        f"codec train tic-mini {URL} --lambda 0.01 --out out",
        f"adapter list {URL}",
        f"vlm ask {URL}.png What?",
        f"bd --curve {URL}.csv",
        f"score POPE --data eyechart-mini --predictions {URL}.csv",
        f"codec encode images/a.png {URL}.bin --codec jpeg --level 1",
        f"codec bench images --codec jpeg --json {URL}.json",
        f"codec bench images --codec jpeg --plot {URL}.svg",
        f"codec bench images --codec jpeg --compressai-json {URL}",
        f"codec train tic-mini images --lambda 0.01 --out {URL}",
        f"adapter train images --codecs jpeg --out {URL}",
        f"adapter export universal --codec jpeg --out {URL}",
        f"export tsv POPE --codecs jpeg --data eyechart-mini --out copies --json {URL}.json",
        f"figure curves run --out {URL}.svg",
        f"recommend run --policy {URL}.json",
        f"score POPE --data eyechart-mini --predictions a.csv --json {URL}.json",
    ],
)
def test_what_must_be_local_is_no_url(
    command: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    Path("images/a.png").write_bytes(encode_png(np.zeros((64, 64, 3), np.uint8)))
    assert run_args(command.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(rf"{URL}\S*: is a URL; allowed here: a local path", line)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]

"""The step of a training's saved state, after any end of the training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eyechart.core.images import encode_png
from eyechart.core.training_state import ADAPTER_STATE, CODEC_STATE, saved_step


def test_the_step_is_that_of_the_file(tmp_path: Path) -> None:
    save_file = pytest.importorskip("safetensors.numpy").save_file
    state = tmp_path / CODEC_STATE
    save_file({"weight": np.zeros(3)}, state, {"step": "12", "about": "x" * 10_000})
    assert saved_step(state) == 12
    save_file({"weight": np.zeros(3)}, state)
    assert saved_step(state) == 0


@pytest.mark.parametrize(
    "content", [b"", b"\x05", b"\xff" * 100, b"\x02" + bytes(7) + b"[]", b"\x02" + bytes(7) + b"{}"]
)
def test_a_file_that_cannot_be_read_has_no_step(content: bytes, tmp_path: Path) -> None:
    assert saved_step(tmp_path / "none") == saved_step(tmp_path) == 0
    (tmp_path / "state").write_bytes(content)
    assert saved_step(tmp_path / "state") == 0


# Torch is stopped while it is imported, and cannot be imported again.
INTERRUPTED = """
import sys
from importlib.abc import MetaPathFinder

class Finder(MetaPathFinder):
    stopped = False
    def find_spec(self, name, path, target=None):
        if name == "torch":
            if Finder.stopped:
                raise AttributeError("partially initialized module 'torch'")
            Finder.stopped = True
            raise KeyboardInterrupt

sys.meta_path.insert(0, Finder())
from eyechart.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("command", "state"),
    [
        ("codec train elic-mini photos --lambda 0.01 --out out", CODEC_STATE),
        ("adapter train photos --codecs jpeg --out out", ADAPTER_STATE),
    ],
)
def test_ctrl_c_while_torch_is_imported_says_what_is_kept(
    command: str, state: str, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.numpy").save_file
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(encode_png(np.zeros((64, 64, 3), np.uint8)))
    (tmp_path / "out").mkdir()
    save_file({"weight": np.zeros(3)}, tmp_path / "out" / state, {"step": "7"})
    child = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *command.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 130
    (line,) = child.stderr.splitlines()
    assert line.startswith("eyechart: stopped; the state after step 7 is kept in out. Continue")

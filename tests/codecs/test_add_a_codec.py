"""docs/add-a-codec.md works as written: its code is built into a package, installed and run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from eyechart.core.images import encode_png, read_image
from eyechart.testing.codecs import sample_image
from tests.installed import Distribution, eyechart_in, install, python_in

PAGE = (Path(__file__).parents[2] / "docs" / "add-a-codec.md").read_text(encoding="utf-8")
MODULES = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE, re.DOTALL))
(PYPROJECT,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
(COMMANDS,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {name: code for name, code in MODULES.items() if "/" in name}
    documented = Distribution(name="my-codecs", files=files, pyproject=PYPROJECT)
    return install(tmp_path_factory.mktemp("installed"), documented)


@pytest.fixture(scope="module")
def folder(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photo.png and the weights that the page's script makes."""
    folder = tmp_path_factory.mktemp("work")
    photo = sample_image(60, 90, np.random.default_rng(1))
    (folder / "photo.png").write_bytes(encode_png(photo))
    done = python_in(site, "-c", MODULES["make_palettes.py"], cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_both_codecs_pass_the_check(site: Path, folder: Path) -> None:
    done = python_in(site, "-c", MODULES["check_my_codecs.py"], cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("passed  fresh process") == 2
    assert "passed  other weights" in done.stdout


def test_the_commands_work_as_written(site: Path, folder: Path) -> None:
    for line in COMMANDS.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "eyechart"
        done = eyechart_in(site, *arguments, cwd=folder)
        assert done.returncode == 0, done.stderr
        if arguments[1] == "list":
            lines = {one.split()[0]: one for one in done.stdout.splitlines() if one.strip()}
            assert "ready" in lines["grey"]
            assert "no checkpoint in" in lines["palette"]
    assert read_image(folder / "decoded.png").shape == (60, 90, 3)


def test_a_codec_in_the_calling_script_must_move_to_a_module(site: Path, folder: Path) -> None:
    script = folder / "one_script.py"
    check = "\nfrom eyechart.testing import check_codec\nprint(check_codec(GreyCodec()))\n"
    own = MODULES["my_codecs/grey.py"].replace('name = "grey"', 'name = "mine"')
    script.write_text(own + check)
    done = python_in(site, str(script), cwd=folder)
    assert done.returncode == 1
    assert "move it to a module of its own" in done.stderr


@pytest.mark.slow
def test_a_run_uses_both_codecs(site: Path, folder: Path) -> None:
    out = str(folder / "run")
    plan = ["--vlm", "eyechart-mini", "--codecs", "grey,palette:weights=palettes"]
    limits = ["--tasks", "POPE", "--max-images", "2", "--no-report", "--workers", "1"]
    done = eyechart_in(
        site, "run", *plan, "--data", "eyechart-mini", *limits, "--out", out, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    table = eyechart_in(site, "table", "scores", out, "--format", "md", cwd=folder).stdout
    assert "grey" in table
    assert "palette" in table

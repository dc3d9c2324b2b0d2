"""The class in docs/add-a-vlm.md passes the check and runs as printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eyechart.cli import run_args
from eyechart.store import Store
from tests.installed import Distribution, eyechart_in, install, python_in

PAGE = (Path(__file__).parents[2] / "docs" / "add-a-vlm.md").read_text(encoding="utf-8")
MODULES = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE, re.DOTALL))
(PYPROJECT,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {"my_package.py": MODULES["my_package.py"]}
    documented = Distribution(name="my-package", files=files, pyproject=PYPROJECT)
    return install(tmp_path_factory.mktemp("installed"), documented)


@pytest.fixture
def my_vlm(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process finds the installed package."""
    monkeypatch.syspath_prepend(site)


def run(out: Path, *more: str) -> int:
    return run_args(
        f"run --vlm my-vlm --tasks POPE --codecs source --max-images 1 --out {out} "
        "--workers 0 --no-report".split()
        + list(more)
    )


def test_the_class_passes_the_check_and_is_listed(site: Path) -> None:
    done = python_in(site, "-c", MODULES["check_my_vlm.py"])
    assert (done.returncode, done.stderr) == (0, "")
    done = eyechart_in(site, "vlm", "list")
    assert "my-vlm" in done.stdout


@pytest.mark.usefixtures("my_vlm")
def test_the_class_runs_and_its_options_are_in_the_cells_key(tmp_path: Path) -> None:
    assert run(tmp_path / "a") == 0
    (cell,) = Store(tmp_path / "a").cells()
    assert {record.answer for record in cell.records()} <= {"Yes", "No"}
    assert cell.cell.vlm.options == {"threshold": 128}
    assert run(tmp_path / "b", "--vlm", "my-vlm:threshold=0") == 0
    (cell,) = Store(tmp_path / "b").cells()
    assert {record.answer for record in cell.records()} == {"Yes"}


@pytest.mark.usefixtures("my_vlm")
@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--device", "cuda:1"), "vlm my-vlm: takes no device, not 'cuda:1'; allowed: auto"),
        (("--device", "cpu,cpu"), "vlm my-vlm: takes no device, not 'cpu,cpu'; allowed: auto"),
        (("--adapter", "none,universal"), "vlm my-vlm: takes no adapter; allowed: none"),
    ],
)
def test_what_it_does_not_take_is_refused_in_one_line(
    tmp_path: Path, more: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "out", *more) == 2
    assert capsys.readouterr().err == f"eyechart: {message}\n"
    assert not (tmp_path / "out").exists()


def test_a_server_takes_no_adapter_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "out", "--vlm", "gpt-4o", "--adapter", "universal") == 2
    assert capsys.readouterr().err == "eyechart: vlm gpt-4o: takes no adapter; allowed: none\n"

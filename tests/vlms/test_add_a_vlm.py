"""The class in docs/add-a-vlm.md passes the check and runs as printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eyechart.cli import run_args
from eyechart.store import Store
from eyechart.testing.vlms import check_vlm

PAGE = Path(__file__).parents[2] / "docs" / "add-a-vlm.md"


@pytest.fixture(autouse=True)
def my_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a module and metadata with its entry point."""
    blocks = re.findall(r"```(?:python|toml)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    (code,) = (block for block in blocks if "class MyVLM" in block)
    (point,) = re.findall(r'my-vlm = "(.*?)"', "".join(blocks))
    assert point == "my_package:MyVLM"
    site = tmp_path / "site"
    (site / "my_package-1.dist-info").mkdir(parents=True)
    (site / "my_package.py").write_text(code)
    metadata = site / "my_package-1.dist-info" / "METADATA"
    metadata.write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1\n")
    entries = site / "my_package-1.dist-info" / "entry_points.txt"
    entries.write_text(f"[eyechart.vlms]\nmy-vlm = {point}\n")
    monkeypatch.syspath_prepend(site)


def run(out: Path, *more: str) -> int:
    return run_args(
        f"run --vlm my-vlm --tasks POPE --codecs source --max-images 1 --out {out} "
        "--workers 0 --no-report".split()
        + list(more)
    )


def test_the_class_passes_the_check_opened_by_its_name() -> None:
    check_vlm("my-vlm")


def test_the_class_runs_and_its_options_are_in_the_cells_key(tmp_path: Path) -> None:
    assert run(tmp_path / "a") == 0
    (cell,) = Store(tmp_path / "a").cells()
    assert {record.answer for record in cell.records()} <= {"Yes", "No"}
    assert cell.cell.vlm.options == {"threshold": 128}
    assert run(tmp_path / "b", "--vlm", "my-vlm:threshold=0") == 0
    (cell,) = Store(tmp_path / "b").cells()
    assert {record.answer for record in cell.records()} == {"Yes"}


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

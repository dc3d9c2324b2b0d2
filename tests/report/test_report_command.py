"""`eyechart report`."""

from __future__ import annotations

from pathlib import Path

import pytest

from eyechart.analysis.files import write_analysis
from eyechart.cli import run_args
from tests.report.synthetic_analysis import minimal_analysis


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    write_analysis(minimal_analysis(), tmp_path / "analysis.json")
    return tmp_path


def test_the_report_is_in_the_folder_of_the_analysis(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_args(["report", str(run_dir)]) == 0
    assert capsys.readouterr().out.strip() == str(run_dir / "report.html")
    assert "eyechart-mini" in (run_dir / "report.html").read_text("utf-8")


def test_the_report_is_written_to_the_given_path(run_dir: Path) -> None:
    assert run_args(["report", str(run_dir), "--out", str(run_dir / "page.html")]) == 0
    assert (run_dir / "page.html").exists()
    assert not (run_dir / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{dir}/nowhere"], "nowhere: no eyechart run here"),
        (["{dir}", "--out", "{dir}/no/page.html"], "there is no folder"),
        (["{dir}", "--out", "{dir}"], "is a folder"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], said: str, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_args(["report", *(text.format(dir=run_dir) for text in arguments)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_damaged_analysis_is_one_line_and_no_report(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run_dir / "analysis.json").write_text('{"title": 3')
    assert run_args(["report", str(run_dir)]) == 2
    assert "not an analysis" in capsys.readouterr().err
    assert not (run_dir / "report.html").exists()


def test_a_folder_that_is_no_run_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_args(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []

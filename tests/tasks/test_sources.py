"""Where data is looked for, and the messages if it is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from eyechart.cli import run_args
from eyechart.core.errors import InputError
from eyechart.tasks.mmbench import MmBench
from eyechart.tasks.pope import Pope
from eyechart.tasks.sources import find
from eyechart.zoo import chart_dir
from tests.tasks.tsv_files import png_base64, write_tsv

POPE = Pope().official
MMBENCH = MmBench().official


def folder_with(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def test_data_overrides_the_variables_in_order(tmp_path: Path) -> None:
    data, mine, theirs = (folder_with(tmp_path / name, "POPE.tsv") for name in "abc")
    both = {"EYECHART_DATA": str(mine), "LMUData": str(theirs)}
    assert find(POPE, str(data), environ=both).path == data / "POPE.tsv"
    assert find(POPE, None, environ=both).path == mine / "POPE.tsv"
    assert find(POPE, None, environ={"LMUData": str(theirs)}).origin == "$LMUData"
    assert find(POPE, str(data / "POPE.tsv"), environ={}).path == data / "POPE.tsv"


def test_the_first_named_folder_decides_even_without_the_file(tmp_path: Path) -> None:
    empty, full = folder_with(tmp_path / "a"), folder_with(tmp_path / "b", "POPE.tsv")
    environ = {"EYECHART_DATA": str(empty), "LMUData": str(full)}
    message = (
        r"no POPE\.tsv in .*a \(\$EYECHART_DATA\); get it from https://.*/POPE\.tsv "
        r"\(md5 c12f5acb142f2ef1f85a26ba2fbe41d5\)"
    )
    with pytest.raises(InputError, match=message):
        find(POPE, None, environ=environ)


def test_without_any_place_it_is_the_built_in_chart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chart = folder_with(tmp_path / "chart", "POPE.tsv")
    monkeypatch.setattr("eyechart.tasks.sources.chart_dir", lambda: chart)
    assert find(POPE, None, environ={}).origin == "eyechart-mini"
    environ = {"EYECHART_DATA": str(tmp_path)}
    assert find(POPE, "eyechart-mini", environ=environ).path == chart / "POPE.tsv"
    assert chart_dir().name == "chart"


def test_mmbench_has_two_files_and_an_option_for_the_second(tmp_path: Path) -> None:
    v10, v11 = "MMBench_DEV_EN.tsv", "MMBench_DEV_EN_V11.tsv"
    both, second = folder_with(tmp_path / "a", v10, v11), folder_with(tmp_path / "b", v11)
    assert find(MMBENCH, str(both)).path.name == v10
    assert find(MMBENCH, str(second)).path.name == v11
    task = MmBench(str(both), file=v11)
    assert task.path.name == v11
    assert task.options == {"file": v11}


def test_a_place_that_is_not_there_and_an_unknown_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent \(data\) does not exist; allowed: a folder or"):
        find(POPE, str(tmp_path / "absent"))
    with pytest.raises(InputError, match=r"no X\.tsv in .*; official: MMBench_DEV_EN\.tsv, "):
        find(MMBENCH, str(tmp_path), file="X.tsv")


def test_task_show_prints_brackets_of_a_path_and_a_category(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "[bold]data"
    folder.mkdir()
    row = {"index": 1, "image": png_base64(0), "question": "[red]Is it?[/x]", "answer": "Yes"}
    write_tsv(folder / "POPE.tsv", [{**row, "category": "[/odd]"}])
    assert run_args(["task", "show", "POPE", "--data", str(folder)]) == 0
    shown = capsys.readouterr().out
    for text in ("[bold]data", "[red]Is it?[/x]", "[/odd]"):
        assert text in shown.replace("\n", "")

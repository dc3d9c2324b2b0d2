"""Where data is looked for, and what people are told who lack it."""

from __future__ import annotations

from pathlib import Path

import pytest

from eyechart.core.errors import InputError
from eyechart.tasks.mmbench import MmBench
from eyechart.tasks.pope import Pope
from eyechart.tasks.sources import find
from eyechart.zoo import chart_dir

POPE = Pope().official
MMBENCH = MmBench().official


def folder_with(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def test_data_comes_before_the_variables_and_these_in_order(tmp_path: Path) -> None:
    data, mine, theirs = (folder_with(tmp_path / name, "POPE.tsv") for name in "abc")
    both = {"EYECHART_DATA": str(mine), "LMUData": str(theirs)}
    assert find(POPE, str(data), environ=both).path == data / "POPE.tsv"
    assert find(POPE, None, environ=both).path == mine / "POPE.tsv"
    assert find(POPE, None, environ={"LMUData": str(theirs)}).origin == "$LMUData"
    assert find(POPE, str(data / "POPE.tsv"), environ={}).path == data / "POPE.tsv"


def test_the_first_place_named_decides_even_where_it_lacks_the_file(tmp_path: Path) -> None:
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
    with pytest.raises(InputError, match=r"absent \(--data\) does not exist; allowed: a folder or"):
        find(POPE, str(tmp_path / "absent"))
    with pytest.raises(InputError, match=r"no X\.tsv in .*; official: MMBench_DEV_EN\.tsv, "):
        find(MMBENCH, str(tmp_path), file="X.tsv")

"""Sizes and qualities of the user's own files: kept beside a check, and not needed by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from eyechart.store.own_files import OwnFiles, read_own_files, write_own_files


def test_own_files_round_trip(tmp_path: Path) -> None:
    assert read_own_files(tmp_path) is None
    own = OwnFiles(files=3, mean_bytes=900.5, jpeg_qualities=[85, 95], sizes={"a.jpg": 900})
    write_own_files(tmp_path, own)
    assert read_own_files(tmp_path) == own
    assert str(own) == "3 files of 0.9 kB on average, 2 of them JPEG at quality 85 to 95"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"files":0,"mean_bytes":1,"jpeg_qualities":[]}',
        '{"files":1,"mean_bytes":"1","jpeg_qualities":[]}',
        '{"files":1,"mean_bytes":1,"jpeg_qualities":5}',
        '{"files":1,"mean_bytes":1,"jpeg_qualities":["a"]}',
        '{"files":1,"mean_bytes":1,"sizes":{"a.jpg":"1"}}',
        '{"files":1,"mean_bytes":1,"sizes":[1]}',
    ],
)
def test_a_damaged_file_counts_as_missing(text: str, tmp_path: Path) -> None:
    (tmp_path / "own_files.json").write_text(text + "\n")
    assert read_own_files(tmp_path) is None

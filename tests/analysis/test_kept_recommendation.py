"""What was asked last is kept in the run directory, with its prices."""

from __future__ import annotations

from pathlib import Path

import pytest

from eyechart import api
from eyechart.analysis.kept_recommendation import FILE_NAME, kept
from tests.analysis import toy


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    toy.a_run(tmp_path, {("source", 0, ""): 0.9, ("grey", 1, ""): 0.9, ("grey", 2, ""): 0.9})
    return tmp_path


def usd(run_dir: Path, usd_per_gb: float | None = None) -> float | None:
    (found,) = api.recommend(run_dir, tolerance=30, usd_per_gb=usd_per_gb, keep=True)
    return found.uncompressed.usd


def test_prices_that_are_not_given_again_are_those_of_before(run_dir: Path) -> None:
    assert usd(run_dir) is None
    first = usd(run_dir, 0.1)
    assert first is not None
    assert usd(run_dir) == usd(run_dir) == first
    assert usd(run_dir, 0.2) == pytest.approx(2 * first)
    asked = kept(run_dir)
    assert asked is not None
    assert asked.usd_per_gb == 0.2
    api.recommend(run_dir, tolerance=30, usd_per_million=(2.5, 10.0), keep=True)
    asked = kept(run_dir)
    assert asked is not None
    assert (asked.usd_per_million, asked.usd_per_gb) == ([2.5, 10.0], 0.2)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"tolerance":2,"usd_per_gb":-1}', '{"tolerance":2,"usd_per_million":"abc"}'],
)
def test_a_file_that_cannot_be_used_has_no_prices(run_dir: Path, text: str) -> None:
    (run_dir / FILE_NAME).write_text(text)
    assert usd(run_dir) is None

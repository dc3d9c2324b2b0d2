"""Codecs adapted to machines beside their base codec, as in the paper's Table 6."""

from __future__ import annotations

from pathlib import Path

import pytest

from eyechart.analysis.analyse import analyse
from eyechart.analysis.files import FILE_NAME, read_analysis, write_analysis
from eyechart.analysis.render import FORMATS, render
from eyechart.analysis.result import Analysis
from eyechart.analysis.tables import tables_of
from eyechart.core.records import USUAL_FACTS, CodecFacts
from eyechart.core.types import Component
from eyechart.report.html import render_report
from tests.analysis import toy

ADAPTER = Component(name="universal", version="1", options={"trained_codecs": ["grey"]})


def a_run(root: Path, codecs: dict[str, float], *, base: str = "grey") -> Analysis:
    """Every codec with and without an adapter; `prompted` is adapted from `base`."""
    store = toy.a_run(root, {("source", 0, ""): 0.95})
    for codec, best in codecs.items():
        facts = CodecFacts(adapted_from=base) if codec == "prompted" else USUAL_FACTS
        for rank in range(3):
            for adapter, gained in ((None, 0.0), (ADAPTER, 0.1)):
                stored = store.add(toy.cell(codec, rank, adapter), facts)
                size_bytes = 10 * (rank + 1) + (codec == "prompted")
                right = best - 0.1 * (2 - rank) + gained
                stored.append_records(toy.records(right, size_bytes))
    return analyse(root, samples=100, examples=0, created="", load=toy.load)


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    return a_run(tmp_path_factory.mktemp("run"), {"grey": 0.6, "blue": 0.7, "prompted": 0.75})


def test_the_base_is_zero_and_every_other_curve_is_compared_with_it(analysis: Analysis) -> None:
    rows = [(icm.codec, icm.adapter) for icm in analysis.icm]
    plain, prompted = ("grey", ""), ("prompted", "")
    assert rows == [plain, prompted, ("grey", "universal"), ("prompted", "universal")]
    assert {icm.base for icm in analysis.icm} == {"grey"}
    figures = [icm.bd for icm in analysis.icm]
    base, *others = figures
    assert base is not None
    assert base.low == base.value == base.high == 0
    for bd in others:
        assert bd is not None
        assert 0 < bd.low < bd.value < bd.high
    gained = [bd.bd for bd in analysis.bd if (bd.codec, bd.baseline) == ("grey", "no adapter")]
    assert figures[2] == gained[0]


def test_the_table_has_both_comparisons_in_every_format(analysis: Analysis) -> None:
    (table,) = tables_of(analysis, "icm")
    assert table.columns == ("grey", "uncompressed")
    assert [row.keys[2] for row in table.rows] == [
        "grey",
        "prompted",
        "grey + universal",
        "prompted + universal",
    ]
    against = {(bd.codec, bd.adapter): bd.bd for bd in analysis.bd if bd.baseline != "no adapter"}
    for row, icm in zip(table.rows, analysis.icm, strict=True):
        whole = against[icm.codec, icm.adapter]
        assert whole is not None
        assert row.entries[1].value == whole.value
    assert [row.entries[0].mark for row in table.rows] == ["", "gain", "gain", "gain"]
    for form in FORMATS:
        assert "prompted + universal" in render([table], form)


def test_it_is_stored_with_the_analysis_and_shown_in_the_report(
    analysis: Analysis, tmp_path: Path
) -> None:
    write_analysis(analysis, tmp_path / FILE_NAME)
    assert read_analysis(tmp_path / FILE_NAME) == analysis
    assert '"icm":' in render_report(analysis).replace(" ", "")


@pytest.mark.parametrize(("codecs", "base"), [({"grey": 0.6}, "grey"), ({"prompted": 0.6}, "tic")])
def test_without_both_there_is_no_table(
    codecs: dict[str, float], base: str, tmp_path: Path
) -> None:
    analysis = a_run(tmp_path, codecs, base=base)
    assert analysis.icm == ()
    assert tables_of(analysis, "icm") == []
    write_analysis(analysis, tmp_path / FILE_NAME)
    assert '"icm"' not in (tmp_path / FILE_NAME).read_text()

"""The report file: self-contained, inert for any text, written in one step."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyechart.analysis.files import analysis_json
from eyechart.analysis.result import Interval
from eyechart.core.errors import StoreError
from eyechart.report.html import SCRIPTS, render_report, script_json, write_report
from eyechart.store.own_files import OwnFiles
from tests.report.synthetic_analysis import (
    NASTY,
    a_recommendation,
    empty_analysis,
    full_analysis,
    minimal_analysis,
)

# A declaration at the start of a line: its name, or the names in [a, b] or { a, b }.
_DECLARED = re.compile(
    r"^(?:const|let|var|class|(?:async )?function) +([\w$]+|\[[^\]]*\]|\{[^}]*\})", re.M
)


@pytest.fixture(scope="module")
def full_page() -> str:
    return render_report(full_analysis())


def _embedded(page: str, name: str) -> str:
    found = re.search(
        rf'<script type="application/json" id="{name}-data">(.*?)</script>', page, re.S
    )
    assert found is not None
    return found[1]


def test_nothing_is_fetched_from_anywhere(full_page: str) -> None:
    # The name of the SVG namespace looks like an address, but is not requested.
    assert set(re.findall(r"https?://[^\s\"'<>)]+", full_page)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<link\b|@import|\bsrc=\"|url\(", full_page)
    assert "default-src 'none'" in full_page


def test_answers_that_look_like_markup_stay_data(full_page: str) -> None:
    assert NASTY not in full_page
    assert full_page.count("</script>") == 3  # two blocks of data and the page's own script
    assert "<img src=x" not in full_page


def test_no_two_scripts_declare_the_same_name() -> None:
    """They share one scope, in which a second declaration is an error that stops the page."""
    folder = resources.files("eyechart.report") / "assets"
    scripts = {
        file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".js")
    }
    assert set(scripts) == set(SCRIPTS)
    places: defaultdict[str, list[str]] = defaultdict(list)
    for script, text in scripts.items():
        for declared in _DECLARED.findall(text):
            for name in re.findall(r"[\w$]+", declared):
                places[name].append(script)
    assert len(places) > len(scripts)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def _title(page: str) -> str:
    title = re.search(r"<h1[^>]*>(.*?)</h1>", page, re.S)
    assert title is not None
    return title[1].strip()


def test_a_title_has_no_full_stop() -> None:
    for recommended in ([], [a_recommendation()]):
        assert not _title(render_report(minimal_analysis(), recommended)).endswith(".")


def test_a_report_opens_with_the_recommendation() -> None:
    page = render_report(
        minimal_analysis(), [a_recommendation()], OwnFiles(files=9, mean_bytes=1e4)
    )
    title = re.sub("<[^>]*>", "", _title(page))
    assert title.startswith("Recommended for eyechart-mini: JPEG q75@256, which loses at most ")
    assert "points (5 allowed), with 5.0 kB an image" in title
    assert "<li>That is 50 % fewer bytes than the files" in page
    (shown,) = json.loads(_embedded(page, "page"))["settings"]
    assert [row["name"] for row in shown["rows"]] == [
        "own files",
        "JPEG 75",
        "JPEG 10",
        "JPEG q75@256",
    ]
    assert [row["best"] for row in shown["rows"]] == [False, False, False, True]
    assert [(point["cost"], point["front"]) for point in shown["points"]] == [
        (5.0, True),
        (7.0, False),
        (9.0, False),
    ]


def test_no_loss_of_the_run_is_not_said_below_a_recommendation() -> None:
    analysis = minimal_analysis()
    zero = Interval(value=0.0, low=-1.0, high=1.0)
    flat = replace(analysis, cells=tuple(replace(c, loss=zero) for c in analysis.cells))
    assert "No significant loss" in render_report(flat)
    assert "No significant loss" not in render_report(flat, [a_recommendation()])
    assert " costs eyechart-mini " in render_report(analysis, [a_recommendation()])


def test_names_in_the_title_are_escaped() -> None:
    cells = tuple(replace(c, vlm=NASTY, task="<b>&T</b>") for c in minimal_analysis().cells)
    page = render_report(replace(minimal_analysis(), title=NASTY, cells=cells))
    assert NASTY not in page
    assert "<b>&T" not in page
    assert "&lt;b&gt;&amp;T&lt;/b&gt;" in page


def test_text_that_looks_like_a_placeholder_is_not_filled_in() -> None:
    page = render_report(replace(minimal_analysis(), title="{{script}} {{analysis}} {{nothing}}"))
    assert "<title>{{script}} {{analysis}} {{nothing}}: eyechart report</title>" in page


@given(text=st.text(alphabet=st.characters(), max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_is_inert_and_round_trips(text: str) -> None:
    embedded = script_json({"answer": text, text: 1})
    assert not set("<>&") & set(embedded)
    assert embedded.isascii()
    assert json.loads(embedded) == {"answer": text, text: 1}


def test_the_embedded_analysis_is_the_analysis(full_page: str) -> None:
    pictures = json.loads(_embedded(full_page, "page"))["pictures"]
    restored = re.sub(
        r'("png_base64": )"@(\d+)"',
        lambda match: match[1] + json.dumps(pictures[int(match[2])]),
        _embedded(full_page, "analysis"),
    )
    analysis = full_analysis()
    assert json.loads(restored) == json.loads(json.dumps(analysis_json(analysis)))
    assert len(pictures) == len({v.png_base64 for e in analysis.examples for v in e.views})


def test_the_same_analysis_gives_the_same_bytes(full_page: str) -> None:
    assert render_report(full_analysis()) == full_page


def test_nan_and_infinity_become_null() -> None:
    text = script_json({"a": math.nan, "b": [math.inf, 1.5]})
    assert json.loads(text) == {"a": None, "b": [None, 1.5]}


def test_a_lone_surrogate_in_a_name_is_still_a_file(tmp_path: Path) -> None:
    write_report(replace(minimal_analysis(), title="broken \ud83d"), tmp_path / "report.html")
    assert "broken ?" in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize("make", [full_analysis, minimal_analysis, empty_analysis])
def test_the_file_is_complete_and_no_other_is_written(make: object, tmp_path: Path) -> None:
    assert callable(make)
    write_report(make(), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text("utf-8").endswith("</html>\n")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"report\.html"):
        write_report(minimal_analysis(), tmp_path / "missing" / "report.html")


def test_an_older_report_survives_a_failed_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("older")

    def full_disk(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(StoreError, match="No space left"):
        write_report(minimal_analysis(), path)
    assert path.read_text() == "older"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]

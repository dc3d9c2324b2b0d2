"""The page in a real browser: drawn, clickable, offline, and free of errors."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from eyechart.analysis.codec_names import codec_label
from eyechart.analysis.result import BdResult, Interval
from eyechart.report.html import write_report
from eyechart.store.own_files import OwnFiles
from tests.report.acuity_analysis import acuity_analysis
from tests.report.browser import CHROMIUM, Browser
from tests.report.synthetic_analysis import (
    ADAPTER,
    CODECS,
    NASTY,
    TASKS,
    a_recommendation,
    empty_analysis,
    full_analysis,
    minimal_analysis,
    with_every_column,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(full_analysis(), path)
    return path


@pytest.fixture
def page(browser: Browser, full: Path) -> Iterator[Browser]:
    browser.view(1280)
    browser.open(full)
    yield browser
    assert _errors(browser) is None


def _errors(browser: Browser) -> str | None:
    found: str | None = browser.run("document.documentElement.dataset.errors")
    return found


def _count(browser: Browser, selector: str) -> int:
    found: int = browser.run(f"document.querySelectorAll({json.dumps(selector)}).length")
    return found


def _text(browser: Browser, selector: str) -> str:
    found: str = browser.run(f"document.querySelector({json.dumps(selector)}).innerText")
    return found


def _shown(browser: Browser, selector: str) -> int:
    found: int = browser.run(
        f"[...document.querySelectorAll({json.dumps(selector)})]"
        ".filter((node) => node.getClientRects().length > 0).length"
    )
    return found


def test_everything_is_drawn(page: Browser) -> None:
    assert page.run("document.documentElement.dataset.ready") == "true"
    assert _count(page, "#curves .chart") == len(TASKS)
    assert _count(page, "#curves .curve .line") == len(TASKS) * len(CODECS)
    assert _count(page, "#curves .curve .band") == len(TASKS) * len(CODECS)
    assert _count(page, "#curves .curve .point") == len(TASKS) * len(CODECS) * 4
    assert _count(page, "#curves .ceiling") == len(TASKS)
    assert _count(page, "#radar .radar") == len(CODECS)
    assert _count(page, "#radar .shape") == len(CODECS) * 4
    assert _count(page, "#shares .bd-bar") == len(_against_uncompressed())
    assert _count(page, "#shares .radar") == 1  # paper Fig. 3b
    assert _count(page, "#vlms .radar") == 1 + len(CODECS) + len(TASKS)  # Fig. 10, 20 and 3a
    assert _count(page, "#vlms tbody tr:not(.group)") == 2 * len(TASKS)
    assert _count(page, "#scaling .chart") == len(TASKS)
    assert _count(page, "#scores details") == len(TASKS) + 1  # one more asked with a choice set
    assert _count(page, "#icm tbody tr:not(.group)") == _count(page, "#icm .curve") == 4
    assert _count(page, "#gap .gap-bar rect") == 2 * 3 * 3 * 5
    paths = page.run("[...document.querySelectorAll('svg path')].map((p) => p.getAttribute('d'))")
    assert not [d for d in paths if "NaN" in d or "Infinity" in d or "undefined" in d]


def _against_uncompressed() -> list[BdResult]:
    """Of the first VLM, with and without its adapter."""
    first = full_analysis().bd[0].vlm
    return [
        bd
        for bd in full_analysis().bd
        if bd.vlm == first and bd.baseline == "uncompressed" and bd.bd is not None
    ]


def test_costs_are_in_percent_of_the_uncompressed_score(page: Browser) -> None:
    found = next(bd for bd in _against_uncompressed() if not bd.adapter)
    cells = full_analysis().cells
    best = next(
        cell.score.value
        for cell in cells
        if (cell.vlm, cell.task, cell.codec) == (found.vlm, found.task, "source")
    )
    assert found.bd is not None
    table = json.loads(
        page.run(
            "JSON.stringify([...document.querySelectorAll('#shares table tr')].map((row) =>"
            "[...row.cells].map((cell) => (cell.querySelector('.value') || cell).textContent)))"
        )
    )
    column = table[0].index(codec_label(found.codec))
    row = next(row for row in table if row[0] == found.task)
    assert row[column] == f"{100 * found.bd.value / best:+.1f}".replace("-", "\u2212")
    page.click(f"#toolbar [data-toggle='{found.codec}']")
    assert codec_label(found.codec) not in _text(page, "#shares table thead")


def test_bars_of_almost_no_loss_have_a_readable_axis(browser: Browser, tmp_path: Path) -> None:
    analysis = minimal_analysis()
    tiny = Interval(value=-1e-7, low=-2e-7, high=0.0)
    bds = tuple(replace(bd, bd=tiny if bd.bd else None) for bd in analysis.bd)
    write_report(replace(analysis, bd=bds), tmp_path / "small.html")
    browser.view(390)
    browser.open(tmp_path / "small.html")
    ticks = "[...document.querySelectorAll('#shares .chart .tick')].map((one) => one.textContent)"
    percents = [tick for tick in browser.run(ticks) if tick.endswith("%")]
    assert percents
    assert all(len(tick) < 8 for tick in percents)
    heights = (
        "[...document.querySelectorAll('#shares rect')].map((one) => +one.getAttribute('height'))"
    )
    assert max(browser.run(heights)) <= 1
    assert _errors(browser) is None


def test_the_settings_of_a_recommendation_come_first(browser: Browser, tmp_path: Path) -> None:
    write_report(full_analysis(), tmp_path / "page.html", [a_recommendation()])
    for width_px in (1280, 390):
        browser.view(width_px)
        browser.open(tmp_path / "page.html")
        assert browser.run("document.documentElement.scrollWidth") <= width_px
    assert _count(browser, "#settings tbody tr") == 4
    assert _text(browser, "#settings tr.best").split("\n")[0].startswith("JPEG q75@256")
    assert _count(browser, "#settings .front .point") == 3
    place = "document.getElementById('settings').compareDocumentPosition"
    assert browser.run(f"{place}(document.getElementById('bd'))") == 4  # the other follows
    browser.open(tmp_path / "page.html", "#vlm=Qwen2.5-VL-3B")
    assert browser.run("document.getElementById('settings').hidden") is True
    assert _errors(browser) is None


def test_settings_with_every_column_fit_a_wide_window(browser: Browser, tmp_path: Path) -> None:
    found = with_every_column(a_recommendation())
    own = OwnFiles(files=200, mean_bytes=812_345.0, jpeg_qualities=[95] * 200)
    write_report(full_analysis(), tmp_path / "page.html", [found], own)
    browser.view(1400)
    browser.open(tmp_path / "page.html")
    tables = "document.querySelectorAll('#settings .scroll')"
    assert browser.run(f"{tables}.length") == 2  # the second: agreement by rule
    assert browser.run(f"{tables}[0].querySelectorAll('thead th').length") == 17
    over = f"[...{tables}].map((one) => one.scrollWidth - one.clientWidth)"
    assert browser.run(over) == [0, 0]
    text = _text(browser, "#settings")
    assert "the same yes or no (150)" in text
    assert "Asked again, the VLM agrees with itself to 97.5 %" in text
    assert _errors(browser) is None


def test_the_adapter_is_a_switch_of_the_curves(page: Browser) -> None:
    _choose(page, "#curves select", ADAPTER)
    assert _count(page, "#curves .chart") == len(TASKS)
    assert _count(page, "#curves .curve .line") == len(TASKS) * len(CODECS) * 2
    assert _count(page, "#curves .curve.adapted") == len(TASKS) * len(CODECS)
    assert _count(page, "#curves .gain") == len(TASKS) * len(CODECS)
    assert _count(page, "#curves .curve .band") == 0
    assert "adapter=universal" in page.run("location.hash")


def test_charts_and_tables_follow_the_codecs_that_are_shown(page: Browser) -> None:
    """JPEG has the highest rates: without it the rate axis ends earlier."""
    last = "[...document.querySelectorAll('#curves .chart')][0].innerHTML.includes('>0.3<')"
    assert page.run(last)
    columns = _count(page, "#bd thead tr:last-child th")
    page.click("#toolbar [data-toggle=jpeg]")
    assert not page.run(last)
    assert (
        _count(page, "#bd thead tr:last-child th") == columns - 2
    )  # and the table of the choice set
    assert _count(page, "#scores .c1") == 0
    page.click("#toolbar [data-toggle=jpeg]")
    assert _count(page, "#bd thead tr:last-child th") == columns
    page.run("document.querySelector('#curves .controls button').click()")
    assert "logarithmic" in _text(page, "#curves .panels")
    assert "rate=log" in page.run("location.hash")


def test_a_chart_is_shown_large_and_saved(page: Browser) -> None:
    page.run("document.querySelector('#curves .chart-tools button').click()")
    assert page.run("document.querySelector('#lightbox').open")
    assert _count(page, "#lightbox .chart") == 1
    assert _count(page, "#lightbox .about .key") == len(CODECS)
    page.run("document.querySelector('#lightbox .close').click()")
    page.run("URL.createObjectURL = (blob) => { window.saved = blob; return 'data:,'; }")
    page.run("document.querySelectorAll('#curves .chart-tools button')[1].click()")
    saved = page.run("window.saved.text()")
    assert saved.startswith("<svg")
    assert "stroke" in saved
    assert "ELIC" in saved


def test_wide_tables_are_parted_on_paper(page: Browser) -> None:
    page.run("window.dispatchEvent(new Event('beforeprint'))")
    tables = _count(page, ".score-table.on-screen")
    assert tables == len(TASKS) + 1
    on_paper = ".score-table:not(.on-screen)"
    assert _count(page, on_paper) > tables
    # A heading that a page repeats may hold no button: the browser leaves it empty.
    assert _count(page, f"{on_paper} button") == 0
    assert page.run(f"document.querySelector({json.dumps(on_paper)}).tHead.innerText") != ""
    columns = f"[...document.querySelectorAll({json.dumps(on_paper)})].map((one) => [...one.rows]"
    assert page.run(
        f"{columns}.map((row) => row.cells.length)).every((row) => row.every((n) => n === row[0]))"
    )
    page.run("window.dispatchEvent(new Event('afterprint'))")
    assert _count(page, ".score-table.on-screen") == 0
    assert _count(page, ".score-table") == len(TASKS) + 1


def _choose(browser: Browser, selector: str, value: str) -> None:
    select = f"document.querySelector({json.dumps(selector)})"
    browser.run(f"{select}.value = {json.dumps(value)}")
    browser.run(f"{select}.dispatchEvent(new Event('change'))")


def test_a_wide_range_of_rates_has_a_logarithmic_axis(browser: Browser, tmp_path: Path) -> None:
    analysis = full_analysis()
    wide = max(analysis.cells, key=lambda cell: (cell.codec != "source") * cell.bpp)
    cells = [replace(cell, bpp=20.0) if cell is wide else cell for cell in analysis.cells]
    write_report(replace(analysis, cells=tuple(cells)), tmp_path / "wide.html")
    chart = "document.querySelector('#curves .chart').textContent"
    browser.view(1280)
    browser.open(tmp_path / "wide.html")
    assert "logarithmic" in browser.run(chart)
    browser.click("#curves .controls button")
    assert "logarithmic" not in browser.run(chart)
    browser.open(tmp_path / "wide.html", browser.run("location.hash"))
    assert "logarithmic" not in browser.run(chart)


def test_nothing_but_the_file_is_loaded(page: Browser) -> None:
    addresses = {address.split(":")[0] for address in page.requests if address != "about:blank"}
    assert addresses == {"file", "data"}
    assert sum(address.startswith("file") for address in page.requests) == 1
    assert page.run("[...document.images].every((i) => i.complete && i.naturalWidth > 0)")


def test_bd_table_shows_its_rates_flags_and_missing_values(page: Browser) -> None:
    assert _count(page, "#bd tbody tr:not(.group)") == 2 * len(TASKS) + 1
    assert "0.031 to 0.205 bpp" in _text(page, "#bd thead")
    assert _count(page, "#bd td.none") == 1
    assert "fewer than two rates" in _text(page, "#bd .footnotes")
    assert "3 of 4 levels" in _text(page, "#bd .footnotes")
    assert "not seen in training" in _text(page, "#adapters .footnotes")


def test_codecs_are_compared_in_either_order(page: Browser) -> None:
    """The analysis has each pair once; chosen the other way round, signs and bounds change."""
    choose = "document.querySelector('#pairs select').value = '{}';"
    change = "document.querySelector('#pairs select').dispatchEvent(new Event('change'));"
    row = "[...document.querySelectorAll('#pairs tbody')[{}].rows[0].cells].map((c) => c.innerText)"
    page.run(choose.format("vvc") + change)
    assert _count(page, "#pairs tbody tr") == 2 * len(TASKS)
    hevc = [page.run(row.format(table))[2].split("\n") for table in (0, 1)]
    page.run(choose.format("hevc") + change)
    vvc = [page.run(row.format(table))[2].split("\n") for table in (0, 1)]
    assert hevc[0][0] == "-2.0".replace("-", "\u2212")
    assert vvc[0][0] == "+2.0"
    assert hevc[1][0] == "+25.0 %"
    assert vvc[1][0] == "\u221220.0 %"


def test_the_papers_findings_are_listed_with_their_verdicts(page: Browser) -> None:
    assert _count(page, "#findings li") == 5
    assert _count(page, "#findings li.supported, #findings li.contradicted") > 0
    assert "Generative codecs lead" in _text(page, "#findings")


def test_codecs_are_grouped_by_category(page: Browser) -> None:
    heads = "[...document.querySelectorAll('#bd .categories')].map((row) => row.innerText.trim())"
    assert page.run(heads)[0].split() == ["traditional", "learned"]
    for place in ("#radar h3.category", "#stage h3.category", "#toolbar .category"):
        assert _count(page, place) == 2


def test_failures_are_shown_before_the_results(page: Browser) -> None:
    assert "6 questions failed" in _text(page, "#alarm summary")
    assert page.run(
        "document.getElementById('alarm').getBoundingClientRect().top <"
        "document.getElementById('hero').getBoundingClientRect().top"
    )
    scores = page.run("document.getElementById('scores').textContent")
    assert "6 failed" in scores
    assert "3 of 240" in scores


def test_no_text_of_the_run_becomes_markup(page: Browser) -> None:
    for number in range(5):
        page.run(f"document.getElementById('question').value = {number}")
        page.run("document.getElementById('question').dispatchEvent(new Event('change'))")
        if number == 2:
            assert NASTY in page.run("document.getElementById('stage').textContent")
    page.run("new Promise((done) => setTimeout(done, 0))")
    assert page.run("document.documentElement.dataset.pwned") is None
    assert _count(page, "img[src=x]") == 0
    assert _count(page, "script") == 3


def test_the_legend_toggles_a_codec_in_every_chart(page: Browser) -> None:
    before = _shown(page, "[data-codec=jpeg]")
    assert before > 2 * len(TASKS)
    page.click("#toolbar [data-toggle=jpeg]")
    assert _shown(page, "[data-codec=jpeg]") == 0
    assert _shown(page, "#curves [data-codec=vvc]") == len(TASKS)
    assert page.run("location.hash") == "#codec=hevc,vvc,elic"
    page.click("#toolbar [data-toggle=jpeg]")
    assert _shown(page, "[data-codec=jpeg]") == before
    assert page.run("location.hash") == ""


def test_a_link_restores_the_view(browser: Browser, full: Path) -> None:
    browser.view(1280)
    browser.open(full, "#codec=jpeg&vlm=Qwen2.5-VL-3B&example=1")
    assert _shown(browser, "#curves [data-codec=jpeg]") == len(TASKS)  # no adapter on this VLM
    for codec in set(CODECS) - {"jpeg"}:
        assert _shown(browser, f"[data-codec={codec}]") == 0
    assert "What is written on the sign?" in _text(browser, "#stage .question")
    assert browser.run("document.getElementById('adapters').hidden") is False  # its BD table
    assert browser.run("document.getElementById('gap').hidden") is True
    assert _errors(browser) is None


@pytest.mark.parametrize("link", ["#codec=", "#codec=nothing&example=99&vlm=x", "#bd", "#%E0%A4%A"])
def test_an_invalid_link_changes_nothing(browser: Browser, full: Path, link: str) -> None:
    browser.open(full, link)
    assert browser.run("document.documentElement.dataset.ready") == "true"
    assert _count(browser, "#curves .chart") == len(TASKS)
    assert _errors(browser) is None


def test_a_point_shows_its_numbers(page: Browser) -> None:
    page.hover("#curves .panel:nth-child(2) .curve[data-codec=jpeg] .point")
    assert _shown(page, "#tooltip") == 1
    tip = _text(page, "#tooltip")
    for part in ("JPEG", "bpp", "95 % interval", "answered", "unparsed"):
        assert part in tip
    page.press("Escape")
    assert _shown(page, "#tooltip") == 0


def test_charts_answer_to_the_keyboard(page: Browser) -> None:
    page.run("document.querySelector('#curves .chart').focus()")
    page.press("ArrowRight")
    first = _text(page, "#tooltip")
    page.press("ArrowRight")
    assert first != _text(page, "#tooltip")
    assert "POPE" not in first
    assert "F1" in first


def test_scores_sort_by_a_column(page: Browser) -> None:
    def values() -> list[float]:
        found: list[float] = page.run(
            "[...document.querySelectorAll('#scores details:first-of-type tbody tr')].map((row) =>"
            "Number(row.querySelector('td b').textContent))"
        )
        return found

    button = "#scores details:first-of-type th:nth-child(6) button"
    assert "F1" in _text(page, button)
    page.click(button)
    assert values() == sorted(values(), reverse=True)
    page.click(button)
    assert values() == sorted(values())
    heads = "#scores details:first-of-type th:nth-child(6)"
    assert page.run(f"document.querySelector('{heads}').getAttribute('aria-sort')") == "ascending"


def test_an_image_enlarges_unsmoothed_and_compares(page: Browser) -> None:
    page.click("#pictures .codec-row .picture")
    assert page.run("document.getElementById('lightbox').open") is True
    image = "document.querySelector('#lightbox .canvas img')"
    assert page.run(f"getComputedStyle({image}).imageRendering") == "pixelated"
    first = page.run(f"{image}.src")
    page.press("ArrowRight")
    assert page.run(f"{image}.src") != first
    page.click("#lightbox [data-zoom='4']")
    assert page.run(f"{image}.clientWidth") == 4 * 160
    own = page.run(f"{image}.src")
    page.run("document.querySelector('#lightbox .compare').dispatchEvent(new Event('pointerdown'))")
    assert page.run(f"{image}.src") != own
    page.run("document.querySelector('#lightbox .compare').dispatchEvent(new Event('pointerup'))")
    assert page.run(f"{image}.src") == own
    page.click("#lightbox .close")
    assert page.run("document.getElementById('lightbox').open") is False


def test_an_answer_that_is_right_only_at_the_lowest_rate_is_not_called_right_everywhere(
    browser: Browser, tmp_path: Path
) -> None:
    analysis = full_analysis()
    example = analysis.examples[0]
    lowest = min(view.bpp for view in example.views if view.codec == "jpeg")
    views = tuple(
        replace(view, right=view.bpp == lowest) if view.codec == "jpeg" else view
        for view in example.views
    )
    path = tmp_path / "report.html"
    write_report(replace(analysis, examples=(replace(example, views=views),)), path)
    browser.view(1280)
    browser.open(path)
    assert _text(browser, "#stage [data-codec=jpeg] h3 small") == "1 of 4 right"


def test_with_an_adapter_one_image_has_both_answers(page: Browser) -> None:
    assert _count(page, "#stage .frame") == 1 + 4 * len(CODECS)
    assert _count(page, "#stage .codec-row .answer") == 2 * 4 * len(CODECS)
    assert ADAPTER in _text(page, "#stage .codec-row .answer + .answer")


def test_the_download_is_the_analysis(page: Browser) -> None:
    # The link's target is made when it is clicked; the file itself is not written here.
    page.run(
        "URL.createObjectURL = (blob) => { window.saved = blob; return 'blob:x'; };"
        "document.addEventListener('click', (event) => event.preventDefault(), true); 0"
    )
    page.click("#methods .button")
    saved = json.loads(page.run("window.saved.text()"))
    analysis = full_analysis()
    assert saved["title"] == analysis.title
    assert (
        saved["examples"][0]["views"][3]["png_base64"] == analysis.examples[0].views[3].png_base64
    )
    assert str(analysis.seed) in page.run("window.saved.text()")  # digits a JS number would lose


def test_quality_stands_beside_scores_with_its_numbers_as_csv(page: Browser) -> None:
    analysis = full_analysis()
    assert _count(page, "#quality table") == 3  # all cells, within codecs, between codecs
    assert _count(page, "#quality tbody tr") == 3 * 5
    heads = page.run("[...document.querySelectorAll('#quality h3')].map((one) => one.innerText)")
    assert [head[head.rindex("(") :] for head in heads] == [
        f"({count} points)" for count in (4 * len(CODECS), 4 * len(CODECS), len(CODECS))
    ]
    # Only what the interval resolves is coloured: four codecs give any correlation by chance.
    for kind, coloured in (("sure", True), ("unsure", False)):
        found = page.run(
            f"[...document.querySelectorAll('#quality td.{kind}')]"
            ".map((one) => one.style.getPropertyValue('--depth'))"
        )
        assert found
        assert all((float(depth) > 0) == coloured for depth in found)
    page.run(
        "URL.createObjectURL = (blob) => { window.saved = blob; return 'blob:x'; };"
        "document.addEventListener('click', (event) => event.preventDefault(), true); 0"
    )
    page.click("#quality .button")
    rows = list(csv.DictReader(io.StringIO(page.run("window.saved.text()"))))
    assert len(rows) == len(analysis.correlations)
    first = analysis.correlations[0]
    assert first.pearson is not None
    assert float(rows[0]["pearson_low"]) == first.pearson.low


@pytest.mark.parametrize("width_px", [390, 820, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_its_window(browser: Browser, full: Path, width_px: int, dark: bool) -> None:
    browser.view(width_px, dark=dark)
    browser.open(full)
    assert browser.run("document.documentElement.scrollWidth") <= width_px
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(18, 20, 24)" if dark else "rgb(250, 249, 246)")
    outside = browser.run(
        "[...document.querySelectorAll('.panel svg text')].filter((text) => {"
        "const own = text.getBoundingClientRect();"
        "const card = text.closest('.panel').getBoundingClientRect();"
        "return own.width && (own.left < card.left || own.right > card.right); })"
        ".map((text) => text.textContent)"
    )
    assert outside == []


def test_wide_tables_fit_on_paper(browser: Browser, full: Path) -> None:
    browser.view(794, 1123)  # A4 at 96 dots an inch
    browser.open(full)
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run("document.querySelectorAll('details:not([open])').length") == 0
    assert browser.run("document.documentElement.scrollWidth") <= 794
    browser.call("Emulation.setEmulatedMedia", media="")


def test_one_task_and_one_codec_are_enough(browser: Browser, tmp_path: Path) -> None:
    write_report(minimal_analysis(), tmp_path / "minimal.html")
    browser.view(1280)
    browser.open(tmp_path / "minimal.html")
    assert _errors(browser) is None
    assert _count(browser, "#curves .curve .line") == 1
    assert _count(browser, "#curves .band") == 0 or _shown(browser, "#bd small") > 0
    for absent in ("hero", "radar", "vlms", "pictures", "adapters", "icm", "gap"):
        assert browser.run(f"document.getElementById('{absent}').hidden") is True
    assert _count(browser, "#alarm *") == 0
    assert "null" not in _text(browser, "body")
    assert _count(browser, "#bd .places b") == 0  # one codec is neither best nor second
    assert "This analysis has no bootstrap" in _text(browser, "#methods")


def test_the_acuity_chart_says_how_small_letters_are_read(browser: Browser, tmp_path: Path) -> None:
    write_report(acuity_analysis(), tmp_path / "report.html")
    browser.view(1280)
    browser.open(tmp_path / "report.html")
    assert _text(browser, "#acuity h2") == "How small may letters be?"
    ends = "[...document.querySelectorAll('#scores td.num')].map((cell) => cell.textContent)"
    shown = browser.run(ends)
    assert "> 42" in shown  # an open end
    assert "\u2013" in shown  # of the level at which nothing is read
    assert "Rows of three letters, 42 to 6 pixels high" in _text(browser, "#acuity")
    assert "smallest letters read, px" in _text(browser, "#acuity .panel")
    said = browser.run("[...document.querySelectorAll('.sample p')].map((one) => one.innerText)")
    assert said[0].startswith("reads from 7.0 px")  # uncompressed
    assert "threshold outside 6 to 42 px" in said
    assert "reads from 30.0 px [24.0, 42.0]" in said  # an open end is that of the chart
    assert len(said) == 5
    assert _errors(browser) is None


def test_an_empty_run_is_a_page(browser: Browser, tmp_path: Path) -> None:
    write_report(empty_analysis(), tmp_path / "empty.html")
    browser.open(tmp_path / "empty.html")
    assert _errors(browser) is None
    assert "Nothing has been scored yet" in _text(browser, "h1")
    assert browser.run("document.documentElement.dataset.ready") == "true"

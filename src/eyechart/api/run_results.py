"""What a run directory holds: analysis, tables, report, figures, findings, records."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from eyechart.core.files import check_out, is_dir
from eyechart.store.remote import reading, url_of, writing

if TYPE_CHECKING:
    from eyechart.analysis.findings import PaperFinding
    from eyechart.analysis.result import Analysis
    from eyechart.analysis.tables import TableKind
    from eyechart.runner.export_records import RecordRow
    from eyechart.runner.rescore import RescoreResult


def analyse(
    run_directory: str | Path,
    *,
    fresh: bool = False,
    data: str | Path | None = None,
    axis: str = "bpp",
    usd_per_million: tuple[float, float] | None = None,
) -> Analysis:
    """The analysis of a run: scores, curves, BD-Metrics with 95 % intervals, gaps.

    It is stored as `analysis.json` in the run directory and made again when answers or scores
    change.

    fresh: make it again in any case. data: folder with the tasks' files, if it has moved.
    axis: what curves and BD-Metrics are over: `bpp`, `bytes` (kB an image), `tokens` (visual tokens
        an image) or `usd` (US dollars per 1,000 questions). Over tokens and dollars each setting of
        a codec has a curve over its sizes. An analysis over another axis than bpp is not stored.
    usd_per_million: prices of tokens of questions and of answers, for `usd`; None: those of the
        kept recommendation, else list prices, where known.

    Raises:
        InputError: not a run directory, no answers in it, a task or its data not found; an unknown
            axis, or one of which the run knows nothing.
        StoreError: a damaged record.

    Examples:
        >>> analysis = eyechart.analyse("out/first")
        >>> sorted({cell.codec for cell in analysis.cells})
        ['jpeg', 'source']
        >>> [bd.codec for bd in analysis.bd]
        ['jpeg']
    """
    from eyechart.analysis.axis import axis_named
    from eyechart.analysis.deployment import TokenPrices
    from eyechart.analysis.files import FILE_NAME, analysis_of, current_analysis
    from eyechart.store import Store

    chosen = axis_named(axis)

    def images(folder: Path) -> bool:  # the examples of a new analysis show them
        stored = axis == "bpp" and current_analysis(folder / FILE_NAME, Store(folder)) is not None
        return fresh or not stored

    with reading(run_directory, images=images) as folder:
        return analysis_of(
            folder,
            fresh=fresh,
            data=None if data is None else str(data),
            axis=chosen,
            prices=TokenPrices.of(usd_per_million),
        )


def table(
    run_directory: str | Path,
    kind: TableKind = "bd",
    form: Literal["md", "csv", "csv-wide", "latex", "json"] = "md",
    *,
    axis: str = "bpp",
    usd_per_million: tuple[float, float] | None = None,
) -> str:
    """A table of a run as text; empty if the run has no table of that kind.

    axis, usd_per_million: as for `analyse`.

    Examples:
        >>> "POPE" in eyechart.table("out/first", "bd", "csv")
        True
    """
    from eyechart.analysis.render import render
    from eyechart.analysis.tables import tables_of

    found = analyse(run_directory, axis=axis, usd_per_million=usd_per_million)
    return render(tables_of(found, kind), form)


def write_report(
    run_directory: str | Path,
    out: str | Path | None = None,
    *,
    fresh: bool = False,
    data: str | Path | None = None,
    title: str = "",
    full_size: bool = False,
    axis: str = "bpp",
    usd_per_million: tuple[float, float] | None = None,
) -> Path:
    """Write the HTML report of a run, one file that needs no network; -> its path.

    It opens with the recommendation that `eyechart check` or `recommend` was asked for last.

    out: the file; None: `report.html` in the run directory. fresh, data: as for `analyse`.
    title: instead of the run's. full_size: images as the VLM received them, not reduced; the
    analysis is then made for this report and not stored. axis, usd_per_million: as for `analyse`.

    Raises:
        InputError: as `analyse`; the file cannot be written.

    Examples:
        >>> eyechart.write_report("out/first").name
        'report.html'
    """
    from eyechart.analysis.axis import axis_named
    from eyechart.analysis.deployment import TokenPrices
    from eyechart.analysis.files import analysis_of
    from eyechart.analysis.kept_recommendation import kept_found
    from eyechart.report.html import write_report as write
    from eyechart.store.own_files import read_own_files

    if out is not None and (is_dir(run_directory) or url_of(run_directory)):
        check_out(Path(out))
    if not full_size:
        analysis = analyse(
            run_directory, fresh=fresh, data=data, axis=axis, usd_per_million=usd_per_million
        )
    with reading(run_directory, images=lambda folder: full_size) as folder:
        path = folder / "report.html" if out is None else Path(out)
        if is_dir(folder):
            check_out(path)
        if full_size:
            analysis = analysis_of(
                folder,
                data=None if data is None else str(data),
                axis=axis_named(axis),
                prices=TokenPrices.of(usd_per_million),
                side_px=None,
            )
        recommended = kept_found(folder)
        own = read_own_files(folder) if recommended else None
        write(replace(analysis, title=title) if title else analysis, path, recommended, own)
    return path


def findings(run_directory: str | Path, *, data: str | Path | None = None) -> list[PaperFinding]:
    """The five findings of the paper, each supported, contradicted or not shown by a run.

    data: as for `analyse`. Returns `number`, `claim`, `verdict` and `evidence` of each.

    Raises:
        InputError: as `analyse`.

    Examples:
        >>> [finding.verdict for finding in eyechart.findings("out/first")]
        ['not shown', 'not shown', 'not shown', 'not shown', 'not shown']
    """
    from eyechart.analysis.findings import paper_findings

    return paper_findings(analyse(run_directory, data=data))


def write_figure(
    run_directory: str | Path,
    name: str,
    out: str | Path,
    *,
    width_mm: float = 88.0,
    vlm: str | None = None,
    task: str | None = None,
    data: str | Path | None = None,
    axis: str = "bpp",
    usd_per_million: tuple[float, float] | None = None,
) -> tuple[Path, Path]:
    """Draw a figure of the paper from a run; -> its file, and the CSV with its numbers beside it.

    name: the paper's number or a word (`3a` or `radar-vlms`, `4` or `curves`, ...). out: a .svg,
    .pdf or .png file. width_mm: a column of a paper has about 88. vlm, task: show only this one.
    data, axis, usd_per_million: as for `analyse`.

    Raises:
        InputError: as `analyse`; no such figure, VLM or task; the run lacks what the figure shows.
        PluginError: matplotlib is not installed (the extra `plot`).
        StoreError: a file cannot be written.

    Examples:
        >>> figure, numbers = eyechart.write_figure("out/first", "curves", "curves.svg")
        >>> numbers.name
        'curves.csv'
    """
    from eyechart.report.figures import check_figure
    from eyechart.report.figures import write_figure as write

    check_figure(name, Path(out), width_mm)  # before an analysis, which takes time
    analysis = analyse(run_directory, data=data, axis=axis, usd_per_million=usd_per_million)
    return write(analysis, name, Path(out), width_mm=width_mm, vlm=vlm, task=task)


def figure_gaps(
    analysis: Analysis, name: str, *, vlm: str | None = None, task: str | None = None
) -> str:
    """Which curves of a run's codecs, VLMs and tasks a figure lacks; "" if none.

    Raises InputError: as `write_figure`.
    """
    from eyechart.report.figures import figure_gaps as gaps

    return gaps(analysis, name, vlm=vlm, task=task)


def records(run_directory: str | Path, *, data: str | Path | None = None) -> list[RecordRow]:
    """Every answered or failed question of a run as one row, ready for `pandas.DataFrame`.

    All rows have the same columns; docs/export.md describes them. Values that a failed question
    lacks are None. The run may still be going on.

    Raises:
        InputError: not a run directory, no records, a task or its data not found.
        StoreError: a damaged record.

    Examples:
        >>> rows = eyechart.records("out/first")
        >>> {row["codec"] for row in rows} == {"source", "jpeg"}
        True
        >>> all(0 <= row["score"] <= 1 and row["bpp"] > 0 for row in rows)
        True
    """
    from eyechart.runner.export_records import record_rows
    from eyechart.store import Store

    with reading(run_directory) as folder:
        store = Store(folder)
        store.require()
        return list(record_rows(store, None if data is None else str(data)))


def export_records(
    run_directory: str | Path,
    out: str | Path,
    form: Literal["csv", "parquet"] | None = None,
    *,
    data: str | Path | None = None,
) -> int:
    """Write the rows of `records` to a file; -> their number. Parquet needs the extra `parquet`.

    form: None: by the file's ending.

    Raises:
        InputError, StoreError: as `records`; the file cannot be written.

    Examples:
        >>> eyechart.export_records("out/first", "first.csv") == len(eyechart.records("out/first"))
        True
    """
    from eyechart.runner.export_records import export_records as write
    from eyechart.runner.export_records import format_of
    from eyechart.store import Store

    path = Path(out)
    chosen = format_of(path) if form is None else form
    with reading(run_directory) as folder:
        store = Store(folder)
        store.require()
        check_out(path)
        return write(store, path, chosen, None if data is None else str(data))


def rescore(
    run_directory: str | Path, *, data: str | Path | None = None, wait: bool = False
) -> RescoreResult:
    """Score the stored answers of a run again with the scorers of this version. No VLM is run.

    data: folder with the tasks' files, if it has moved. wait: wait while a run writes to the
        directory, instead of raising.

    Returns the numbers of `cells`, of `records` and of scores that `changed`.

    Raises:
        InputError: not a run directory, a task or its data not found, other questions than those
            that were answered.
        StoreError: a damaged record; a run writes to the directory.

    Examples:
        >>> eyechart.rescore("out/first").changed
        0
    """
    from eyechart.runner.rescore import rescore as rescore_run
    from eyechart.store import Store

    with ExitStack() as stack:
        store = Store(stack.enter_context(writing(run_directory, wait=wait, images=False)))
        store.require()
        stack.enter_context(store.rewriting(wait=wait))
        return rescore_run(store, None if data is None else str(data))

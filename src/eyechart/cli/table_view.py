"""Tables in the terminal, in blocks of columns that fit into the window.

title
       traditional        learned            groups of columns, where there are several
vlm           jpeg           elic            column names, broken at spaces and underscores
─────────────────────────────────
eyechart-mini                                the first key heads its rows
  POPE       -7.10         -3.02●¹           figure, mark, footnote
         -9.3 … -5.2   -4.1 … -1.9           interval
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.box import Box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table as Grid
from rich.text import Text

from eyechart.cli.console import PLAIN_SIGNS

if TYPE_CHECKING:
    from eyechart.api.results import Entry, Mark, Table

_HEADER_WIDTH = 11  # longer column names are broken
_MARKS: dict[Mark, tuple[str, str, str]] = {  # glyph, style, meaning
    "best": ("●", "bold green", "best"),
    "second": ("○", "cyan", "second best"),
    "gain": ("▲", "green", "better: its interval excludes 0"),
    "loss": ("▼", "red", "worse: its interval excludes 0"),
}
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_RULE = Box("    \n    \n ── \n    \n    \n    \n    \n    \n")  # a line below the column names


def show(tables: Sequence[Table], console: Console) -> None:
    """Print every table with its legend and footnotes."""
    unicode = console.encoding.lower().startswith("utf")
    for number, table in enumerate(tables):
        if number:
            console.print()
        for part in _parts(table, console, unicode=unicode):
            console.print(part if unicode else _Encodable(part))


class _Encodable:
    """The same in characters that the terminal can show."""

    def __init__(self, part: RenderableType) -> None:
        self._part = part

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        drawn = options.copy()
        drawn.encoding = "utf-8"  # otherwise rich draws a box around the table
        for text, style, control in console.render(self._part, drawn):
            plain = text.translate(PLAIN_SIGNS).encode(console.encoding, "replace")
            yield Segment(plain.decode(console.encoding), style, control)


def _parts(table: Table, console: Console, *, unicode: bool) -> Iterator[RenderableType]:
    yield Text(table.title, "bold")
    height = max((len(_broken(name)) for name in table.columns), default=1)
    columns = [
        _column(table, place, height, unicode=unicode) for place in range(len(table.columns))
    ]
    starts = [  # the same, each as the first of a block
        _column(table, place, height, unicode=unicode, first=True) for place in range(len(columns))
    ]
    for number, block in enumerate(_blocks(table, columns, starts, console)):
        if number:
            yield ""
        yield block
    legend = Text()
    for mark, (glyph, style, meaning) in _MARKS.items():
        if table.has(mark):
            legend.append(glyph, style).append(f" {meaning}   ", "dim")
    legend.append(table.legend, "dim")
    legend.rstrip()
    if legend:
        yield legend
    for place, note in enumerate(table.notes, start=1):
        yield Text(f"{_footnote(place, unicode=unicode)} {note}", "yellow")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """A column of figures: its name and a cell for each row, aligned on the last digit."""

    header: Text
    cells: tuple[Text, ...]


def _column(
    table: Table, place: int, height: int, *, unicode: bool, first: bool = False
) -> _Column:
    """height: lines of the column names. first: of a block, so that its group is named."""
    entries = [row.entries[place] for row in table.rows]
    names = _broken(table.columns[place])
    names = ("",) * (height - len(names)) + names
    if table.groups:
        first = first or place == 0 or table.groups[place] != table.groups[place - 1]
        names = (table.groups[place] if first else "", *names)
    intervals = [_interval(entry) for entry in entries]
    figures = [*names, *(entry.text for entry in entries)]
    width = max(map(len, figures if table.compact else [*figures, *intervals]))
    behind = max(map(len, intervals), default=0)  # width of an interval behind its figure
    marks = [_mark(entry, table, unicode=unicode) for entry in entries]
    tail = max((len(mark.plain) for mark in marks), default=0)
    cells = []
    for entry, interval, mark in zip(entries, intervals, marks, strict=True):
        style = _MARKS[entry.mark][1] if entry.mark else ""
        cell = Text.assemble((f"{entry.text:>{width}}", style), mark)
        if table.compact and behind:
            cell.append(" " * (tail - len(mark.plain)))
            cell.append(f"  {interval:>{behind}}", "dim")
        elif interval and not table.compact:
            cell.append(f"\n{interval:>{width}}", "dim")
        cells.append(cell)
    header = Text("\n".join(f"{name:>{width}}" for name in names), "not dim bold")
    return _Column(header=header, cells=tuple(cells))


def _mark(entry: Entry, table: Table, *, unicode: bool) -> Text:
    """What is behind a figure: the glyph of its mark, and its footnotes."""
    notes = [_footnote(table.notes.index(note) + 1, unicode=unicode) for note in entry.notes]
    glyph, style, _ = _MARKS[entry.mark] if entry.mark else ("", "", "")
    return Text.assemble((glyph, style), (("," if unicode else "").join(notes), "yellow"))


def _interval(entry: Entry) -> str:
    return " … ".join(entry.bounds) if entry.bounds else ""


def _blocks(
    table: Table, columns: Sequence[_Column], starts: Sequence[_Column], console: Console
) -> list[Grid]:
    """Columns in as few blocks as fit into the console, evenly filled; each has at least one."""
    blocks = _filled(table, columns, starts, console, len(columns))
    even = _filled(table, columns, starts, console, -(-len(columns) // len(blocks)))
    return even if len(even) == len(blocks) else blocks


def _filled(
    table: Table,
    columns: Sequence[_Column],
    starts: Sequence[_Column],
    console: Console,
    most: int,
) -> list[Grid]:
    """Columns from left to right, each block as wide as the console and `most` columns allow.

    starts: the columns as the first of a block.
    """
    blocks: list[Grid] = []
    first = 0
    while first < len(columns) or not blocks:
        block = _grid(table, starts[first : first + 1])
        last = first + 1
        while last < min(len(columns), first + most):
            wider = _grid(table, [starts[first], *columns[first + 1 : last + 1]])
            if not _fits(wider, console):
                break
            block, last = wider, last + 1
        blocks.append(block)
        first = last
    return blocks


def _fits(grid: Grid, console: Console) -> bool:
    # The options bound the measurement, so they must not be those of the window.
    unbounded = console.options.update(width=console.width + 1)
    return Measurement.get(console, unbounded, grid).maximum <= console.width


def _grid(table: Table, columns: Sequence[_Column]) -> Grid:
    """The rows with some of the columns. The first of several keys has lines of its own."""
    grid = Grid(header_style="", box=_RULE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    heads = len(table.keys) > 1
    indent = "  " if heads else ""
    for place, key in enumerate(table.keys[1:] if heads else table.keys):
        above = "\n" * max((column.header.plain.count("\n") for column in columns), default=0)
        grid.add_column(Text(f"{above}{'' if place else indent}{key}", "dim"), overflow="fold")
    for column in columns:
        grid.add_column(column.header, no_wrap=True)
    heading = None
    for number, row in enumerate(table.rows):
        if heads and row.keys[0] != heading:
            heading = row.keys[0]
            grid.add_row(Text(heading, "bold magenta"))
        first, *others = row.keys[1:] if heads else row.keys
        keys = [Text(f"{indent}{first}"), *map(Text, others)]
        grid.add_row(*keys, *(column.cells[number] for column in columns))
    return grid


def _footnote(number: int, *, unicode: bool) -> str:
    """A footnote's mark: superscript digits, or brackets, so that no digit joins the figure."""
    return str(number).translate(_SUPERSCRIPT) if unicode else f"[{number}]"


def _broken(name: str) -> tuple[str, ...]:
    """A column name in lines of about `_HEADER_WIDTH` characters."""
    lines = [""]
    for part in re.findall(r"[^ _]+[ _]*", name) or [name]:
        if lines[-1] and len(lines[-1]) + len(part.rstrip(" ")) > _HEADER_WIDTH:
            lines.append("")
        lines[-1] += part
    return tuple(line.rstrip(" ") for line in lines)

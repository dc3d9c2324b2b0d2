"""Tables in the terminal: aligned, and split into blocks of columns in a narrow window.

    title
                 jpeg           hevc            column names, broken at spaces and underscores
    ─────────────────────────────────
    vlm                                         the first key heads its rows
      POPE     -7.10         -3.02 ●¹           figure, mark, footnote
           -9.3 … -5.2    -4.1 … -1.9           interval

rich's own tables have no rows that span columns, no blocks of columns for a narrow window, and
cannot align a figure on its last digit with a mark behind it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from eyechart.api.results import Entry, Mark, Table, TableRow

_HEADER_WIDTH = 11  # longer column names are broken
_GAP = 2  # blanks between columns
_MARKS: dict[Mark, tuple[str, str, str]] = {  # glyph, style, meaning
    "best": ("●", "bold green", "best"),
    "second": ("○", "cyan", "second best"),
    "gain": ("▲", "green", "interval above 0"),
    "loss": ("▼", "red", "interval below 0"),
}
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_PLAIN = str.maketrans("●○▲▼…–─·×±−", "*+^v~---x+-")  # for terminals that are not UTF-8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """Widths of one column: figures right-aligned in `width`, then marks and notes in `tail`, then,
    in compact tables, the interval in `behind`."""

    index: int
    header: tuple[str, ...]
    width: int
    tail: int
    behind: int

    @property
    def full_width(self) -> int:
        return _GAP + self.width + self.tail + self.behind


def show(tables: Sequence[Table], console: Console) -> None:
    """Print every table with its legend and footnotes."""
    for number, table in enumerate(tables):
        if number:
            console.print()
        unicode = console.encoding.lower().startswith("utf")
        for line in _lines(table, console.width, unicode=unicode):
            if not unicode:
                plain = line.plain.translate(_PLAIN)
                line.plain = plain.encode(console.encoding, "replace").decode(console.encoding)
            console.print(line, soft_wrap=False, highlight=False)


def _lines(table: Table, width: int, *, unicode: bool) -> Iterator[Text]:
    from rich.text import Text

    yield Text(table.title, style="bold")
    key_width = _key_width(table)
    if not table.columns:
        yield from _key_lines(table, min(key_width, width))
    else:
        for number, block in enumerate(_blocks(table, width - key_width, unicode=unicode)):
            if number:
                yield Text()
            yield from _block_lines(table, block, key_width, unicode=unicode)
    legend = Text()
    for mark, (glyph, style, meaning) in _MARKS.items():
        if table.has(mark):
            legend.append(glyph, style).append(f" {meaning}   ", "dim")
    legend.append(table.legend, "dim")
    legend.rstrip()
    if legend:
        yield legend
    for place, note in enumerate(table.notes, start=1):
        yield Text(f"{_footnote(place, unicode=unicode)} {note}", style="yellow")


def _block_lines(
    table: Table, block: Sequence[_Column], key_width: int, *, unicode: bool
) -> Iterator[Text]:
    from rich.text import Text

    height = max((len(column.header) for column in block), default=1)
    for level in range(height):
        keys = _key_text(table, table.keys) if level == height - 1 else ""
        line = Text(keys.ljust(key_width), style="dim")
        for column in block:
            above = height - len(column.header)
            name = column.header[level - above] if level >= above else ""
            line.append(_placed(name, column), "not dim bold")
        yield line
    yield Text("─" * (key_width + sum(column.full_width for column in block)), style="dim")
    heading = None
    for row in table.rows:
        if len(table.keys) > 1 and row.keys[0] != heading:
            heading = row.keys[0]
            yield Text(heading, style="bold magenta")
        yield from _row_lines(table, row, block, key_width, unicode=unicode)


def _key_lines(table: Table, width: int) -> Iterator[Text]:
    """Rows of a table without figures; the last key is wrapped."""
    from rich.text import Text

    yield Text(_key_text(table, table.keys)[:width].rstrip(), style="dim")
    yield Text("─" * width, style="dim")
    heading = None
    for row in table.rows:
        if len(table.keys) > 1 and row.keys[0] != heading:
            heading = row.keys[0]
            yield Text(heading, style="bold magenta")
        line = _key_text(table, row.keys).rstrip()
        indent = len(line) - len(row.keys[-1])
        yield from map(Text, textwrap.wrap(line, width, subsequent_indent=" " * indent))


def _row_lines(
    table: Table, row: TableRow, block: Sequence[_Column], key_width: int, *, unicode: bool
) -> Iterator[Text]:
    from rich.text import Text

    figures = Text(_key_text(table, row.keys).ljust(key_width))
    below = Text(" " * key_width, style="dim")
    for column in block:
        entry = row.entries[column.index]
        glyph, style, _ = _MARKS.get(entry.mark, ("", "", ""))
        notes = " " * (_any_mark(table) - len(glyph)) + _note_marks(entry, table, unicode=unicode)
        behind = f"{_interval(entry):>{column.behind}}" if table.compact else ""
        figures.append(f"{entry.text:>{_GAP + column.width}}{glyph}", style)
        figures.append(notes.ljust(column.tail - len(glyph)), "yellow").append(behind, "dim")
        below.append(_placed(_interval(entry), column))
    yield figures
    if below.plain.strip() and not table.compact:
        yield below


def _blocks(table: Table, width: int, *, unicode: bool) -> list[list[_Column]]:
    """Columns in as few groups as fit into `width`, evenly filled; a single column may be wider."""
    columns = [_measured(table, index, unicode=unicode) for index in range(len(table.columns))]
    blocks = _filled(columns, width, len(columns))
    even = _filled(columns, width, -(-len(columns) // len(blocks)))
    return even if len(even) == len(blocks) else blocks


def _filled(columns: Sequence[_Column], width: int, most: int) -> list[list[_Column]]:
    """Columns from left to right, each group as wide as `width` and `most` columns allow."""
    blocks: list[list[_Column]] = [[]]
    left = width
    for column in columns:
        if blocks[-1] and (column.full_width > left or len(blocks[-1]) >= most):
            blocks.append([])
            left = width
        blocks[-1].append(column)
        left -= column.full_width
    return blocks


def _measured(table: Table, index: int, *, unicode: bool) -> _Column:
    entries = [row.entries[index] for row in table.rows]
    header = _broken(table.columns[index])
    intervals = max((len(_interval(entry)) for entry in entries), default=0)
    figures = max(map(len, (*header, *(entry.text for entry in entries))))
    notes = max((len(_note_marks(entry, table, unicode=unicode)) for entry in entries), default=0)
    return _Column(
        index=index,
        header=header,
        width=figures if table.compact else max(figures, intervals),
        tail=_any_mark(table) + notes,
        behind=intervals + _GAP if table.compact and intervals else 0,
    )


def _key_width(table: Table) -> int:
    return max(len(_key_text(table, keys)) for keys in (table.keys, *(r.keys for r in table.rows)))


def _key_text(table: Table, keys: Sequence[str]) -> str:
    """The keys of a line, padded to their columns; the first one is above its rows."""
    if len(keys) == 1:
        return keys[0]
    columns = [*zip(table.keys, *(row.keys for row in table.rows), strict=True)][1:]
    padded = [
        key.ljust(max(map(len, column))) for key, column in zip(keys[1:], columns, strict=True)
    ]
    return "  " + "  ".join(padded)


def _placed(text: str, column: _Column) -> str:
    return f"{text:>{_GAP + column.width}}".ljust(column.full_width)


def _interval(entry: Entry) -> str:
    return " … ".join(entry.bounds) if entry.bounds else ""


def _any_mark(table: Table) -> int:
    return int(any(table.has(mark) for mark in _MARKS))


def _note_marks(entry: Entry, table: Table, *, unicode: bool) -> str:
    if not entry.notes:
        return ""
    notes = table.notes
    marks = [_footnote(notes.index(note) + 1, unicode=unicode) for note in entry.notes]
    return ",".join(marks) if unicode else "".join(marks)


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

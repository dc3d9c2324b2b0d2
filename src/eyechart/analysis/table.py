"""A table as a value, without formatting, which `render` and `cli.table_view` do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal, TypeAlias

from eyechart.analysis.result import Interval

Mark: TypeAlias = Literal["", "best", "second", "gain", "loss"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One figure. value: None if there is none. notes: the reason, or warnings. words: what is
    shown instead of digits, as `> 42` for what is beyond a scale."""

    value: float | None
    low: float | None = None  # 95 % interval
    high: float | None = None
    decimals: int = 2
    mark: Mark = ""
    notes: tuple[str, ...] = ()
    words: str = ""

    @property
    def text(self) -> str:
        """The figure as digits; an en dash if there is none."""
        if self.words:
            return self.words
        return "–" if self.value is None else _digits(self.value, self.decimals)

    @property
    def bounds(self) -> tuple[str, str] | None:
        """The interval as digits, with one decimal less than the figure."""
        if self.low is None or self.high is None:
            return None
        decimals = max(0, self.decimals - 1)
        return _digits(self.low, decimals), _digits(self.high, decimals)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row: its keys (VLM, task, ...) and one entry for each column."""

    keys: tuple[str, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A titled table. keys: names of the key columns. column_kind: what the columns are
    ("codec", "metric"); the first key groups the rows. compact: the terminal keeps an interval on
    the line of its figure. aliases: VLMEvalKit's names of metrics. groups: what a column belongs
    to, which heads neighbours of one group."""

    title: str
    keys: tuple[str, ...]
    column_kind: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    legend: str = ""
    compact: bool = False
    aliases: tuple[str, ...] = ()  # other names of the columns, which JSON uses; () for none
    groups: tuple[str, ...] = ()  # one for each column; () for none

    @property
    def notes(self) -> tuple[str, ...]:
        """Footnotes in order of appearance, numbered from 1."""
        every = (note for row in self.rows for entry in row.entries for note in entry.notes)
        return tuple(dict.fromkeys(every))

    @property
    def spans(self) -> tuple[tuple[str, int], ...]:
        """Groups of neighbouring columns, and how many they are."""
        return tuple((name, len(list(own))) for name, own in groupby(self.groups))

    def has(self, mark: Mark) -> bool:
        """Whether any entry has this mark."""
        return any(entry.mark == mark for row in self.rows for entry in row.entries)


def entry_of(interval: Interval | None, *, notes: tuple[str, ...] = ()) -> Entry:
    """An entry with its interval; without resampling (equal bounds) just the value."""
    if interval is None:
        return Entry(value=None, notes=notes)
    if interval.low == interval.high == interval.value:
        return Entry(value=interval.value, notes=notes)
    return Entry(value=interval.value, low=interval.low, high=interval.high, notes=notes)


def marked(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The highest of at least two entries marked best, the next of at least three second.

    Entries with the same digits get the same mark.
    """
    shown = [float(entry.text) for entry in entries if entry.value is not None]
    ranks = sorted(set(shown), reverse=True)
    marks: dict[float, Mark] = {}
    if len(shown) >= 2 and len(ranks) >= 2:
        marks[ranks[0]] = "best"
    if len(shown) >= 3 and len(ranks) >= 3:
        marks[ranks[1]] = "second"
    return tuple(
        entry if entry.value is None else replace(entry, mark=marks.get(float(entry.text), ""))
        for entry in entries
    )


def signed(entries: Iterable[Entry], *, fewer_is_better: bool = False) -> tuple[Entry, ...]:
    """Entries with the whole interval above 0 marked as gain, below 0 as loss; with
    `fewer_is_better` the other way round."""
    above: Mark = "loss" if fewer_is_better else "gain"
    below: Mark = "gain" if fewer_is_better else "loss"

    def mark(entry: Entry) -> Mark:
        if entry.low is None or entry.high is None:
            return ""
        return above if entry.low > 0 else below if entry.high < 0 else ""

    return tuple(replace(entry, mark=mark(entry)) for entry in entries)


def same_decimals(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Decimals as in the paper: two, or one for scores in the hundreds (OCRBench, MME)."""
    largest = max((abs(entry.value) for entry in entries if entry.value is not None), default=0.0)
    return tuple(replace(entry, decimals=1 if largest >= 100 else 2) for entry in entries)


def _digits(value: float, decimals: int) -> str:
    digits = f"{value:.{decimals}f}"
    return digits.removeprefix("-") if float(digits) == 0 else digits

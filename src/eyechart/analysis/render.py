"""Tables as Markdown, CSV, LaTeX (booktabs) and JSON. `cli.table_view` prints them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence

from eyechart.analysis.table import Entry, Table, TableRow
from eyechart.core.errors import InputError
from eyechart.core.files import csv_text

FORMATS = ("md", "csv", "csv-wide", "latex", "json")
_WIDE_COLUMNS = 6  # columns of figures that one column of a two-column paper has no room for

_NOTHING = "–"  # what an entry without a figure shows
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "…": r"\dots{}", "–": "--", "·": r"$\cdot$",
}  # fmt: skip


def render(tables: Sequence[Table], form: str) -> str:
    """All tables as one text, with a newline at its end.

    Raises:
        InputError: `form` is none of FORMATS.
    """
    if form not in FORMATS:
        raise InputError(f"unknown format {form!r}; allowed: {', '.join(FORMATS)}")
    if form == "json":
        return json.dumps([_object(table) for table in tables], indent=1, ensure_ascii=False) + "\n"
    if form == "csv":
        return _csv(tables)
    if form == "csv-wide":
        return _csv_wide(tables)
    one = _markdown if form == "md" else _latex
    return "\n".join("\n".join(one(table)) + "\n" for table in tables)


# --- Markdown ---------------------------------------------------------------------------------


def _markdown(table: Table) -> Iterator[str]:
    yield f"### {table.title}"
    yield ""
    yield "| " + " | ".join(map(_cell, (*table.keys, *table.columns))) + " |"
    yield "|" + " --- |" * len(table.keys) + " ---: |" * len(table.columns)
    for row, keys in _grouped(table):
        figures = [_markdown_entry(entry, table) for entry in row.entries]
        yield "| " + " | ".join((*map(_cell, keys), *figures)) + " |"
    yield ""
    if legend := _legend(table, best="**bold**: best", second="_italic_: second best"):
        yield legend
        yield ""
    for number, note in enumerate(table.notes, start=1):
        yield f"{number}. {note}"


def _markdown_entry(entry: Entry, table: Table) -> str:
    wrap = {"best": "**", "gain": "**", "second": "_", "loss": "_"}.get(entry.mark, "")
    text = f"{wrap}{entry.text}{wrap}"
    if entry.bounds:
        text += " ({} … {})".format(*entry.bounds)
    numbers = ",".join(map(str, _numbers(entry, table)))
    return f"{text}<sup>{numbers}</sup>" if numbers else text


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")


# --- LaTeX ------------------------------------------------------------------------------------


def _latex(table: Table) -> Iterator[str]:
    yield "% needs \\usepackage{booktabs}"
    wide = len(table.columns) >= _WIDE_COLUMNS
    environment = "table*" if wide else "table"
    yield rf"\begin{{{environment}}}[t]"
    yield r"\centering\footnotesize\setlength{\tabcolsep}{3pt}" if wide else r"\centering\small"
    yield rf"\caption{{{_tex(table.title)}}}"
    heads = int(wide and len(table.keys) > 1)  # the first key has lines of its own
    named = (*table.keys[heads:], *table.columns)
    yield rf"\begin{{tabular}}{{{'l' * (len(table.keys) - heads)}{'r' * len(table.columns)}}}"
    yield r"\toprule"
    yield from _latex_groups(table, len(table.keys) - heads)
    yield " & ".join(map(_tex, named)) + r" \\"
    yield r"\midrule"
    for index, (row, whole) in enumerate(_grouped(table)):
        if index and whole[0]:
            yield r"\midrule"
        if heads and whole[0]:
            yield rf"\multicolumn{{{len(named)}}}{{l}}{{{_tex(whole[0])}}} \\"
        keys = whole[heads:]
        figures = [_latex_entry(entry, table) for entry in row.entries]
        yield " & ".join((*map(_tex, keys), *figures)) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"
    lines = [_legend(table, best="bold: best", second="underlined: second best")]
    lines += [f"${{}}^{{{n}}}$ {_tex(note)}" for n, note in enumerate(table.notes, start=1)]
    for line in filter(None, lines):
        yield rf"\par\smallskip{{\footnotesize {line if line[0] == '$' else _tex(line)}}}"
    yield rf"\end{{{environment}}}"


def _latex_groups(table: Table, keys: int) -> Iterator[str]:
    """A line above the column names that names their groups. keys: columns before them."""
    if not table.groups:
        return
    names = [rf"\multicolumn{{{count}}}{{c}}{{{_tex(name)}}}" for name, count in table.spans]
    yield " & ".join([*[""] * keys, *names]) + r" \\"
    first = keys + 1
    rules = []
    for name, count in table.spans:
        rules += [rf"\cmidrule(lr){{{first}-{first + count - 1}}}"] if name else []
        first += count
    yield " ".join(rules)


def _latex_entry(entry: Entry, table: Table) -> str:
    if entry.value is None or entry.text == _NOTHING:  # no character of math
        text = "--"
    else:
        text = f"${entry.text}$"
        if entry.mark in ("best", "gain"):
            text = rf"$\mathbf{{{entry.text}}}$"
        if entry.mark in ("second", "loss"):
            text = rf"\underline{{{text}}}"
    if entry.bounds:
        text += r" {{\scriptsize $[{}, {}]$}}".format(*entry.bounds)
    numbers = ",".join(map(str, _numbers(entry, table)))
    return f"{text}${{}}^{{{numbers}}}$" if numbers else text


def _tex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


# --- CSV and JSON -----------------------------------------------------------------------------


def _csv(tables: Sequence[Table]) -> str:
    """One line for each figure, with full precision, for spreadsheets and data frames."""
    buffer = io.StringIO()
    keys = list(dict.fromkeys(key for table in tables for key in table.keys))
    kinds = list(dict.fromkeys(table.column_kind for table in tables))
    writer = csv.writer(buffer, lineterminator="\n")

    def write(cells: Sequence[str]) -> None:
        writer.writerow(map(csv_text, cells))

    write(["table", *keys, *kinds, "value", "low", "high", "mark", "notes"])
    for table in tables:
        for row in table.rows:
            named = dict(zip(table.keys, row.keys, strict=True))
            if not table.columns:
                places = [named.get(key, "") for key in keys]
                write([table.title, *places, *("" for _ in (*kinds, *range(5)))])
            for column, entry in zip(table.columns, row.entries, strict=True):
                named[table.column_kind] = column
                places = [named.get(key, "") for key in (*keys, *kinds)]
                figures = [_digits(entry.value), _digits(entry.low), _digits(entry.high)]
                write([table.title, *places, *figures, entry.mark, "; ".join(entry.notes)])
    return buffer.getvalue()


def _csv_wide(tables: Sequence[Table]) -> str:
    """One line for each row, a column for each figure and the bounds of its interval."""
    buffer = io.StringIO()
    keys = list(dict.fromkeys(key for table in tables for key in table.keys))
    columns: dict[str, bool] = {}  # name -> whether it has intervals
    for table in tables:
        for row in table.rows:
            for column, entry in zip(table.columns, row.entries, strict=True):
                columns[column] = columns.get(column, False) or entry.low is not None
    names = [
        name
        for column, bounds in columns.items()
        for name in ((column, f"{column} low", f"{column} high") if bounds else (column,))
    ]
    several = ["table"] if len(tables) > 1 else []
    notes = ["notes"] if any(table.notes for table in tables) else []
    header = [*several, *keys, *names, *notes]
    writer = csv.DictWriter(buffer, header, restval="", lineterminator="\n")
    writer.writerow({name: csv_text(name) for name in header})
    for table in tables:
        for row in table.rows:
            line = dict(zip(table.keys, row.keys, strict=True))
            for column, entry in zip(table.columns, row.entries, strict=True):
                line[column] = _digits(entry.value)
                if columns[column]:
                    line[f"{column} low"] = _digits(entry.low)
                    line[f"{column} high"] = _digits(entry.high)
            if several:
                line["table"] = table.title
            if notes:
                every = (note for entry in row.entries for note in entry.notes)
                line["notes"] = "; ".join(dict.fromkeys(every))
            writer.writerow({name: csv_text(text) for name, text in line.items()})
    return buffer.getvalue()


def _digits(value: float | None) -> str:
    return "" if value is None else repr(float(value))


def _object(table: Table) -> dict[str, object]:
    return {
        "title": table.title,
        "legend": table.legend,
        "rows": [
            {
                **dict(zip(table.keys, row.keys, strict=True)),
                table.column_kind: {
                    alias: {
                        **({} if alias == column else {"label": column}),
                        "value": entry.value,
                        "low": entry.low,
                        "high": entry.high,
                        "mark": entry.mark,
                        "notes": list(entry.notes),
                    }
                    for alias, column, entry in zip(
                        table.aliases or table.columns, table.columns, row.entries, strict=True
                    )
                },
            }
            for row in table.rows
        ],
    }


# --- shared -----------------------------------------------------------------------------------


def _grouped(table: Table) -> Iterator[tuple[TableRow, tuple[str, ...]]]:
    """Rows with the keys to print. A first key equal to that of the row above is left blank."""
    before = ""
    for row in table.rows:
        first, *rest = row.keys
        yield row, ("" if first == before else first, *rest)
        before = first


def _numbers(entry: Entry, table: Table) -> list[int]:
    notes = table.notes
    return [notes.index(note) + 1 for note in entry.notes]


def _legend(table: Table, *, best: str, second: str) -> str:
    parts = [best] if table.has("best") else []
    parts += [second] if table.has("second") else []
    parts += [f"{best.split(':')[0]}: better, the interval excludes 0"] if table.has("gain") else []
    parts += (
        [f"{second.split(':')[0]}: worse, the interval excludes 0"] if table.has("loss") else []
    )
    return " · ".join([*parts, table.legend] if table.legend else parts)

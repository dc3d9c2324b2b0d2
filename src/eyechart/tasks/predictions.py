"""Scores of answers that another program made (`eyechart score`).

A file has the columns index and prediction (others are ignored), as xlsx, tsv, csv, json or jsonl.
VLMEvalKit's result files have this form; lmms-eval's sample files (jsonl) are read, too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from eyechart.core import plugins
from eyechart.core.errors import InputError, PluginError, one_line
from eyechart.core.files import is_file, read_text
from eyechart.core.foreign import foreign_file, parse_json
from eyechart.core.types import Score, Task
from eyechart.core.units import counted

_MAX_CELL_CHARS = 1 << 24
_MOST_BYTES = 64 << 20  # of a file that is read whole; Python needs up to 20 times as much memory
_MOST_LINES_BYTES = 1 << 30  # of a file that is read line by line
_MOST_INFLATED_BYTES = 64 << 20  # of all parts of a workbook
_WANTED = {
    ".jsonl": "lines of JSON",
    ".json": "JSON",
    ".csv": "rows of cells",
    ".tsv": "rows of cells",
    ".xlsx": "an xlsx workbook",
}
_NULL = object()  # JSON null, unlike an empty cell
NO_ANSWER = "Failed to obtain answer"  # what VLMEvalKit stores for a question that failed
_Pair = tuple[object, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Scores of one prediction file.

    metrics: by name, as from Task.summarize. unparsed_percent: answers from which nothing could be
    extracted, in percent of those given. missing: ids of questions without a prediction, which are
    not scored.
    """

    metrics: Mapping[str, float]
    answered: int
    unparsed_percent: float
    missing: tuple[str, ...]


def score_predictions(task: Task, answers: Mapping[str, str], name: str) -> Result:
    """Score answers, given by question id. name: their file, for messages.

    Raises:
        InputError: an id that the task does not have, or no answers.
    """
    with plugins.guarded(plugins.name_of(task)):
        return _scored(task, answers, name)


def _scored(task: Task, answers: Mapping[str, str], name: str) -> Result:
    questions = task.questions()
    foreign = sorted(answers.keys() - {question.id for question in questions})
    if foreign or not answers:
        what = f"index {foreign[0]!r} is no question" if foreign else "no predictions"
        raise InputError(f"{name}: {what} of {task.name} (version {task.version})")
    scores: list[Score] = [
        task.score(question, answers[question.id])
        for question in questions
        if question.id in answers
    ]
    unparsed = sum(not score.parsed for score in scores)
    return Result(
        metrics=task.summarize(scores),
        answered=len(scores),
        unparsed_percent=100 * unparsed / len(scores),
        missing=tuple(question.id for question in questions if question.id not in answers),
    )


def read_predictions(path: Path) -> dict[str, str]:
    """Answers by question id.

    An empty cell is the empty answer. JSON null, and the text that VLMEvalKit stores for a failed
    question, are no answer.

    Raises:
        InputError: no such file, another format, a missing column, a broken row, an index twice.
        PluginError: xlsx without openpyxl.
    """
    readers = {".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".tsv": _csv, ".xlsx": _xlsx}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{one_line(str(path))}: format {one_line(path.suffix)!r} is unknown; "
            "allowed: jsonl, json, csv, tsv, xlsx"
        )
    if not is_file(path):
        raise InputError(f"{one_line(str(path))}: no such file")
    size_bytes = path.stat().st_size
    most_bytes = _MOST_LINES_BYTES if reader is _jsonl else _MOST_BYTES
    if size_bytes > most_bytes:
        raise InputError(f"{one_line(str(path))}: {size_bytes:,} bytes; allowed are {most_bytes:,}")
    answers: dict[str, str] = {}
    with foreign_file(path, _WANTED[path.suffix.lower()]):
        for row, (index, prediction) in enumerate(reader(path), start=1):
            question_id = _text(path, row, index).strip()
            if not question_id or question_id in answers:
                what = f"index {one_line(question_id)} occurs twice" if question_id else "no index"
                raise InputError(f"{path}, row {row}: {what}")
            answers[question_id] = (
                NO_ANSWER if prediction is _NULL else _text(path, row, prediction)
            )
    return {index: text for index, text in answers.items() if not text.startswith(NO_ANSWER)}


def _text(path: Path, row: int, value: object) -> str:
    """A cell as text. Spreadsheets store the index 3 as 3.0; lmms-eval puts answers into lists."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None:
        return ""
    if isinstance(value, list | dict):
        kind = f"a list of {len(value)}" if isinstance(value, list) else "an object"
        raise InputError(f"{path}, row {row}: a prediction is {kind}; allowed: text or a number")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _jsonl(path: Path) -> Iterator[_Pair]:
    with path.open(encoding="utf-8-sig") as file:
        number = 0
        while line := file.readline(_MAX_CELL_CHARS + 1):
            number += 1
            if len(line) > _MAX_CELL_CHARS:
                raise InputError(
                    f"{path}, line {number}: more than {_MAX_CELL_CHARS:,} characters, the limit"
                )
            if line.strip():
                with foreign_file(f"{path}, line {number}", "JSON"):
                    row = parse_json(line, nan=True)
                yield _json_pair(f"{path}, line {number}", row)


def _json(path: Path) -> Iterator[_Pair]:
    rows = parse_json(read_text(path, _MOST_BYTES, encoding="utf-8-sig"), nan=True)
    for number, row in enumerate(rows if isinstance(rows, list) else [rows], start=1):
        yield _json_pair(f"{path}, row {number}", row)


def _json_pair(where: str, row: object) -> _Pair:
    """Index and prediction of an object, with keys of these names or those of lmms-eval.

    lmms-eval: `filtered_resps` (or `resps`) are the answers. The index is that of the data set's
    row `doc` if it has one, else the position `doc_id`.
    """
    if isinstance(row, dict):
        doc = row.get("doc")
        own_index = doc.get("index") if isinstance(doc, dict) else None
        index = row.get("index", row.get("doc_id") if own_index is None else own_index)
        for key in ("prediction", "filtered_resps", "resps"):
            if key in row and index is not None:
                return index, _NULL if row[key] is None else row[key]
    raise InputError(f"{where}: needs the keys index and prediction")


def _csv(path: Path) -> Iterator[_Pair]:
    """Rows of quoted cells. If the quotes do not match (an answer that begins with a quote was
    written without escaping it), every line is a row and quotes are ordinary characters."""
    csv.field_size_limit(_MAX_CELL_CHARS)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    text = read_text(path, _MOST_BYTES, encoding="utf-8-sig")
    lines = list(io.StringIO(text, newline=""))
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        plain = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
        rows = list(plain)
    yield from _columns(path, rows)


def _xlsx(path: Path) -> Iterator[_Pair]:
    try:
        import openpyxl
    except ImportError as error:
        raise PluginError(f"{path}: needs openpyxl; pip install 'eyechart[xlsx]'") from error

    with ZipFile(path) as parts:  # a workbook, which may inflate to a thousand times its size
        size_bytes = sum(part.file_size for part in parts.infolist())
        if size_bytes > _MOST_INFLATED_BYTES:
            raise InputError(
                f"{path}: inflates to {size_bytes:,} bytes; allowed are {_MOST_INFLATED_BYTES:,}"
            )
        # openpyxl inflates a part at once, also one that is larger than it says.
        if (damaged := parts.testzip()) is not None:
            raise InputError(
                f"{path}: not an xlsx workbook (its part {one_line(damaged)} is damaged)"
            )
    # Formulas are read as text: an answer that begins with "=" was stored as a formula.
    book = openpyxl.load_workbook(path, read_only=True)
    sheet = book.active
    sheet.reset_dimensions()  # the size that some writers store is too small
    yield from _columns(path, sheet.iter_rows(values_only=True))


def _columns(path: Path, rows: Iterable[Iterable[object]]) -> Iterator[_Pair]:
    """The columns index and prediction of rows with a header."""
    table = iter(rows)
    header = [_text(path, 0, cell).strip() for cell in next(table, ())]
    for column in ("index", "prediction"):
        if header.count(column) != 1:
            problem = "more than one column" if column in header else "no column"
            there = one_line(", ".join(header)) or "none"
            raise InputError(f"{path}: {problem} {column!r}; its columns: {there}")
    index, prediction = header.index("index"), header.index("prediction")
    for number, row in enumerate(table, start=1):
        cells = list(row)
        if not any(cell not in (None, "") for cell in cells):
            continue
        if len(cells) <= max(index, prediction):
            there = counted(len(cells), "cell")
            raise InputError(f"{path}, row {number}: {there}, the header {len(header)}")
        yield cells[index], cells[prediction]

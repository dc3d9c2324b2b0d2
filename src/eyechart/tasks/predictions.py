"""Answers that another program made, and the scores they get: what `eyechart score` does.

A file has the columns index and prediction (others are passed over), as xlsx, tsv, csv, json or
jsonl; VLMEvalKit's own result files are of this form.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from eyechart.core.errors import InputError, PluginError
from eyechart.core.types import Score, Task

_MAX_CELL_CHARS = 1 << 24
NO_ANSWER = "Failed to obtain answer"  # what VLMEvalKit stores for a question that failed
_Pair = tuple[object, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Scores of one prediction file.

    metrics: as Task.summarize names them. unreadable_percent: answers nobody can read, in
    percent of those given. missing: ids of questions without a prediction, which count nowhere.
    """

    metrics: Mapping[str, float]
    answered: int
    unreadable_percent: float
    missing: tuple[str, ...]


def score_predictions(task: Task, answers: Mapping[str, str], name: str) -> Result:
    """Score answers by question id. name: of their file, for messages.

    Raises:
        InputError: an id that the task does not have, or no answers.
    """
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
    unreadable = sum(not score.readable for score in scores)
    return Result(
        metrics=task.summarize(scores),
        answered=len(scores),
        unreadable_percent=100 * unreadable / len(scores),
        missing=tuple(question.id for question in questions if question.id not in answers),
    )


def read_predictions(path: Path) -> dict[str, str]:
    """Answers by question id. An empty cell or null is the empty answer; VLMEvalKit's word for a
    question that failed is no answer.

    Raises:
        InputError: no such file, another format, a missing column, a broken row, an index twice.
        PluginError: xlsx without openpyxl.
    """
    readers = {".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".tsv": _csv, ".xlsx": _xlsx}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path}: format {path.suffix!r} is unknown; allowed: jsonl, json, csv, tsv, xlsx"
        )
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    answers: dict[str, str] = {}
    try:
        for row, (index, prediction) in enumerate(reader(path), start=1):
            question_id = _text(index).strip()
            if not question_id or question_id in answers:
                what = f"index {question_id} stands twice" if question_id else "no index"
                raise InputError(f"{path}, row {row}: {what}")
            answers[question_id] = _text(prediction)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error.reason})") from error
    return {index: text for index, text in answers.items() if not text.startswith(NO_ANSWER)}


def _text(value: object) -> str:
    """A cell as text; spreadsheets make 3.0 of the index 3."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _jsonl(path: Path) -> Iterator[_Pair]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"{path}, line {number}: not JSON ({error.msg})") from error
            if not isinstance(row, dict) or not {"index", "prediction"} <= row.keys():
                raise InputError(f"{path}, line {number}: needs the keys index and prediction")
            yield row["index"], row["prediction"]


def _json(path: Path) -> Iterator[_Pair]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON ({error.msg}, line {error.lineno})") from error
    for number, row in enumerate(rows if isinstance(rows, list) else [rows], start=1):
        if not isinstance(row, dict) or not {"index", "prediction"} <= row.keys():
            raise InputError(f"{path}, row {number}: needs the keys index and prediction")
        yield row["index"], row["prediction"]


def _csv(path: Path) -> Iterator[_Pair]:
    csv.field_size_limit(_MAX_CELL_CHARS)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            yield from _columns(path, csv.reader(file, delimiter=delimiter))
        except csv.Error as error:
            raise InputError(f"{path}: not rows of cells ({error})") from error


def _xlsx(path: Path) -> Iterator[_Pair]:
    try:
        import openpyxl
    except ImportError as error:
        raise PluginError(f"{path}: needs openpyxl; pip install 'eyechart[xlsx]'") from error
    import zipfile

    try:
        # Formulas as text: an answer that begins with "=" was taken for one when it was written.
        book = openpyxl.load_workbook(path, read_only=True)
        yield from _columns(path, book.active.iter_rows(values_only=True))
    except (zipfile.BadZipFile, KeyError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: not an xlsx workbook ({error})") from error


def _columns(path: Path, rows: Iterable[Iterable[object]]) -> Iterator[_Pair]:
    """The two columns that matter, of rows under a header."""
    table = iter(rows)
    header = [_text(cell).strip() for cell in next(table, ())]
    for column in ("index", "prediction"):
        if column not in header:
            there = ", ".join(header) or "none"
            raise InputError(f"{path}: no column {column!r}; its columns: {there}")
    index, prediction = header.index("index"), header.index("prediction")
    for number, row in enumerate(table, start=1):
        cells = list(row)
        if not any(cell not in (None, "") for cell in cells):
            continue
        if len(cells) <= max(index, prediction):
            raise InputError(f"{path}, row {number}: {len(cells)} cells, the header {len(header)}")
        yield cells[index], cells[prediction]

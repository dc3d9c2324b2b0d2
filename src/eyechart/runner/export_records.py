"""A run's records as one table with a row for each question of a cell, for pandas or R."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

from eyechart.core import plugins
from eyechart.core.errors import InputError, PluginError
from eyechart.core.files import csv_text
from eyechart.core.identity import canonical_json
from eyechart.core.records import Cell, Failure, Record
from eyechart.core.types import Question, Task
from eyechart.runner.rescore import open_tasks_of
from eyechart.store import Store, StoredCell
from eyechart.store.files import open_atomic

RecordFormat: TypeAlias = Literal["csv", "parquet"]
RecordRow: TypeAlias = dict[str, str | int | float | bool | None]

# Column -> its type in parquet. Values that a failed question lacks are null, and empty in csv.
COLUMNS = {
    "cell": "string",
    "vlm": "string",
    "vlm_version": "string",
    "vlm_options": "string",
    "adapter": "string",
    "adapter_version": "string",
    "codec": "string",
    "codec_version": "string",
    "codec_options": "string",
    "level": "string",
    "level_rank": "int32",
    "task": "string",
    "task_version": "string",
    "decoding": "string",
    "index": "string",
    "image": "string",
    "category": "string",
    "question": "string",
    "answer": "string",
    "prediction": "string",
    "truncated": "bool",
    "parsed_answer": "string",
    "parsed": "bool",
    "score": "float64",
    "payload_bytes": "int64",
    "height_px": "int32",
    "width_px": "int32",
    "bpp": "float64",
    "shown_height_px": "int32",
    "shown_width_px": "int32",
    "visual_tokens": "int32",
    "answer_tokens": "int32",
    "input_tokens": "int32",
    "failure": "string",
}


def format_of(path: Path) -> RecordFormat:
    """The format by a file's ending. Raises InputError."""
    ending = path.suffix.lower()
    if ending == ".csv":
        return "csv"
    if ending == ".parquet":
        return "parquet"
    raise InputError(f"{path}: name the format (csv, parquet), or a file that ends so")


def export_records(store: Store, path: Path, form: RecordFormat, data: str | None = None) -> int:
    """Write all records and failures of a run; -> number of rows. The run may still be going on.

    data: folder with the tasks' files, if it has moved.

    Raises:
        InputError: no records, a task or its data is missing, or its questions are not those that
            were answered.
        PluginError: parquet without pyarrow.
        StoreError: a record file is damaged, the table cannot be written.
    """
    if form == "parquet" and find_spec("pyarrow") is None:
        raise PluginError(f"{path}: parquet needs pyarrow; pip install 'eyechart[parquet]'")
    write = _write_parquet if form == "parquet" else _write_csv
    cells = store.cells()
    tasks = open_tasks_of(store, cells, data)
    with open_atomic(path) as file:
        tables = (_rows(stored, task) for stored, task in zip(cells, tasks, strict=True))
        rows = write(file, filter(None, tables))
        if not rows:
            raise InputError(f"{store.root}: no question was answered here yet")
    return rows


def record_rows(store: Store, data: str | None = None) -> Iterator[RecordRow]:
    """The rows that `export_records` writes, each with all columns; missing values are None.

    Raises:
        InputError: as `export_records`.
        StoreError: a record file is damaged.
    """
    cells = store.cells()
    found = False
    for stored, task in zip(cells, open_tasks_of(store, cells, data), strict=True):
        for row in _rows(stored, task):
            found = True
            yield {column: row.get(column) for column in COLUMNS}
    if not found:
        raise InputError(f"{store.root}: no question was answered here yet")


def _rows(stored: StoredCell, task: Task) -> list[RecordRow]:
    cell = _cell(stored)
    found: list[Record | Failure] = [*stored.records(), *stored.failures()]
    with plugins.guarded(stored.cell.task.name):
        questions = {question.id: question for question in task.questions()}
        return [
            {**cell, **_question(questions[one.question_id]), **_result(one), "image": one.image}
            for one in found
        ]


def _cell(stored: StoredCell) -> RecordRow:
    cell: Cell = stored.cell
    return {
        "cell": stored.key[:16],
        "vlm": cell.vlm.name,
        "vlm_version": cell.vlm.version,
        "vlm_options": canonical_json(cell.vlm.options),
        "adapter": "" if cell.adapter is None else cell.adapter.name,
        "adapter_version": "" if cell.adapter is None else cell.adapter.version,
        "codec": cell.codec.name,
        "codec_version": cell.codec.version,
        "codec_options": canonical_json(cell.codec.options),
        "level": cell.level.name,
        "level_rank": cell.level.rank,
        "task": cell.task.name,
        "task_version": cell.task.version,
        "decoding": canonical_json(cell.decoding),
    }


def _question(question: Question) -> RecordRow:
    return {
        "index": question.id,
        "category": question.category,
        "question": question.text,
        "answer": question.answer,
    }


def _result(found: Record | Failure) -> RecordRow:
    if isinstance(found, Failure):
        return {"failure": f"{found.stage}: {found.message}"}
    return {
        "prediction": found.answer,
        "truncated": found.truncated,
        "parsed_answer": found.parsed_answer,
        "parsed": found.parsed,
        "score": float(found.value),
        "payload_bytes": found.payload_bytes,
        "height_px": found.height_px,
        "width_px": found.width_px,
        "bpp": found.bpp,
        "shown_height_px": found.shown_height_px or found.height_px,
        "shown_width_px": found.shown_width_px or found.width_px,
        "visual_tokens": found.visual_tokens,
        "answer_tokens": found.answer_tokens,
        "input_tokens": found.input_tokens,
        "failure": "",
    }


def _write_csv(file: BinaryIO, cells: Iterable[list[RecordRow]]) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
    writer = csv.DictWriter(text, list(COLUMNS), restval="", lineterminator="\n")
    writer.writeheader()
    rows = 0
    for table in cells:
        writer.writerows(
            {key: csv_text(cell) if isinstance(cell, str) else cell for key, cell in row.items()}
            for row in table
        )
        rows += len(table)
    text.detach()  # flushes; the caller closes the file
    return rows


def _write_parquet(file: BinaryIO, cells: Iterable[list[RecordRow]]) -> int:
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema(
        [(name, pyarrow.type_for_alias(kind)) for name, kind in COLUMNS.items()]
    )
    rows = 0
    with parquet.ParquetWriter(file, schema) as writer:
        for table in cells:
            writer.write_table(pyarrow.Table.from_pylist(table, schema))
            rows += len(table)
    return rows

"""Arbitrary answers to the questions of every task, and damaged files of answers."""

from __future__ import annotations

import csv
import io
import json
import math
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from benchmarks.faults.damage import damaged
from benchmarks.faults.trial import FaultTrial, Verdict, command, judge
from eyechart.core import plugins
from eyechart.core.built_in import BUILT_IN_DATA
from eyechart.tasks import open_tasks
from eyechart.tasks.tsv_task import TsvTask

_PIECES = (
    *("Yes", "No", "yes and no", "A", "A.", "(B)", "Answer: C", "none of the above", "a man"),
    *(
        "",
        " ",
        "\n",
        "\t",
        "\x00",
        "\x1b[31m",
        "\u202e",
        "\ud800",
        "\U0001f600",
        "\u00df",
        "\u0130",
    ),
    *("9" * 5000, "a" * 20_000, "a " * 5000, "(" * 3000, "\\" * 500, "[bold]", "[/", "{}", "=1+1"),
    *("1e400", "nan", "-0", "\u0660\u0661", "$\\frac{1}{2}$", "<think>no</think>yes", "A B C D"),
)
_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".xlsx")
_PERCENT_OF = {"COCO-Caption": 1000.0, "OCRBench": 1000.0, "MME": 2800.0}  # else 100


def trials(count: int, chance: Random, folder: Path) -> Iterator[FaultTrial]:
    """`eyechart score` of `count` files of answers for each task and `count` damaged ones for each
    format."""
    for name in plugins.names("eyechart.tasks"):
        (task,) = open_tasks([name], BUILT_IN_DATA)
        if not isinstance(task, TsvTask):  # own images have no built-in data
            continue
        ids = [question.id for question in task.questions()]
        for _ in range(count):
            path = folder / "answers.jsonl"
            _write(path, ids, [arbitrary_answer(chance) for _ in ids])
            yield _score(f"answers to {name}", name, path, folder / "scores.json", None)
    (task,) = open_tasks(["POPE"], BUILT_IN_DATA)
    ids = [question.id for question in task.questions()]
    said = [chance.choice(("Yes", "No", 'He said: "yes"', "no,\nnone")) for _ in ids]
    for suffix in _SUFFIXES:
        path, whole = folder / f"answers{suffix}", folder / f"whole{suffix}"
        _write(whole, ids, said)
        out = folder / "scores.json"
        assert command(*_arguments("POPE", whole, out)).code == 0
        right = _metrics(out)
        for _ in range(count):
            path.write_bytes(damaged(whole.read_bytes(), chance))
            yield _score(f"damaged {suffix[1:]}", "POPE", path, out, right)
    workbook = (folder / "whole.xlsx").read_bytes()
    for _ in range(count):
        path, out = folder / "answers.xlsx", folder / "scores.json"
        path.write_bytes(_inflating(workbook, chance))
        yield _score("inflating xlsx", "POPE", path, out, None)


def _inflating(workbook: bytes, chance: Random) -> bytes:
    """A workbook with a part that inflates a thousandfold, and that may state another size."""
    made = io.BytesIO()
    size = chance.choice((1 << 20, 100 << 20, 300 << 20))
    with zipfile.ZipFile(io.BytesIO(workbook)) as parts:
        grown = chance.choice(parts.namelist())
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bomb:
            for name in parts.namelist():
                data = parts.read(name)
                end = data.rfind(b"</") if name == grown else len(data)
                bomb.writestr(name, data[:end] + b" " * (size * (name == grown)) + data[end:])
    data = made.getvalue()
    if chance.random() < 0.5:  # the size is in the directory at the end of the file
        return data
    told = zipfile.ZipFile(io.BytesIO(data)).getinfo(grown).file_size
    return data.replace(told.to_bytes(4, "little"), (1000).to_bytes(4, "little"))


def _score(
    row: str, task: str, path: Path, out: Path, right: dict[str, float] | None
) -> FaultTrial:
    out.unlink(missing_ok=True)
    most = _PERCENT_OF.get(task, 100.0)

    def check() -> Verdict:
        found = _metrics(out)
        if not all(math.isfinite(value) and 0 <= value <= most for value in found.values()):
            return Verdict.wrong
        if right is None:
            return Verdict.right
        return Verdict.right if found == right else Verdict.other

    return judge(row, command(*_arguments(task, path, out)), check)


def _arguments(task: str, path: Path, out: Path) -> list[str]:
    arguments = ["score", task, "--data", BUILT_IN_DATA, "--predictions", str(path)]
    return [*arguments, "--json", str(out)]


def _metrics(out: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads(out.read_text())["metrics"]
    return found


def arbitrary_answer(chance: Random) -> str:
    """Random characters, or texts that a scorer may stumble over."""
    if chance.random() < 0.2:
        return "".join(chr(chance.randrange(0x110000)) for _ in range(chance.randrange(40)))
    return " ".join(chance.choice(_PIECES) for _ in range(chance.choice((1, 1, 2, 5))))


def _write(path: Path, ids: Sequence[str], answers: Sequence[str]) -> None:
    pairs = list(zip(ids, answers, strict=True))
    objects = [{"index": index, "prediction": answer} for index, answer in pairs]
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(f"{json.dumps(one)}\n" for one in objects))
        case ".json":
            path.write_text(json.dumps(objects))
        case ".xlsx":
            import openpyxl

            book = openpyxl.Workbook()
            for row in (("index", "prediction"), *pairs):
                book.active.append(row)
            book.save(path)
        case suffix:
            with path.open("w", newline="") as file:
                writer = csv.writer(file, delimiter="\t" if suffix == ".tsv" else ",")
                writer.writerows([("index", "prediction"), *pairs])

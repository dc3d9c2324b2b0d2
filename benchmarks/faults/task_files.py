"""Malformed task files: damaged bytes, and cells with wrong contents."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random

from benchmarks.faults.damage import damaged
from benchmarks.faults.toy import pope, run_arguments
from benchmarks.faults.trial import FaultTrial, Verdict, command, judge
from eyechart.store import Store

_CELLS = (
    *("", " ", "\x00", "\r", "\x1b[2J", "None", "nan", "=1+1", "[bold]", "[/]", '"', '""', "'"),
    *("9" * 5000, "x" * 200_000, "[" * 5000, "['a', 'b']", "../../etc/passwd", "/dev/zero"),
    *("/proc/self/mem", "/", ".", "\u202e", "\U0001f600", "1e400", "-1", "{}", "a\x85b"),
    *("A" * 68, "iVBORw0KGgo" + "A" * 100, "image.png"),
)


def trials(count: int, chance: Random, folder: Path) -> Iterator[FaultTrial]:
    """`count` tries for each way of damage: a run with a VLM that answers at once."""
    whole = pope(folder / "data", chance).read_bytes()
    ways: dict[str, Callable[[], bytes]] = {
        "bytes": lambda: damaged(whole, chance),
        "cells": lambda: _other_cells(whole, chance),
        "rows and columns": lambda: _other_shape(whole, chance),
        "encodings": lambda: _other_encoding(whole, chance),
    }
    for row, way in ways.items():
        for _ in range(count):
            path, out = folder / "data" / "POPE.tsv", folder / "run"
            made = way()
            path.write_bytes(made)
            shutil.rmtree(out, ignore_errors=True)
            ended = command(*run_arguments(path, out))
            yield judge(row, ended, partial(_complete, made, out))


def _complete(made: bytes, out: Path) -> Verdict:
    """Whether each row with an image, as Python's csv module counts them, has its records."""
    # A carriage return inside a line is text: cut there, its row would lack cells.
    whole = re.sub("\r(?!\n)", " ", made.decode("utf-8-sig"))
    text = io.StringIO(whole, newline="")
    csv.field_size_limit(1 << 28)
    rows = list(csv.reader(text, delimiter="\t"))
    header = rows[0]
    pictures = [header.index(name) for name in ("image", "image_path") if name in header]
    asked = [row for row in rows[1:] if any(len(row) > at and row[at].strip() for at in pictures)]
    counts = {len(stored.records()) for stored in Store(out).cells()}
    return Verdict.right if counts == {len(asked)} else Verdict.wrong


def _other_cells(whole: bytes, chance: Random) -> bytes:
    rows = [line.split("\t") for line in whole.decode().splitlines()]
    for _ in range(chance.choice((1, 1, 3))):
        row = chance.randrange(len(rows)) if chance.random() < 0.1 else chance.randrange(1, 4)
        rows[row][chance.randrange(len(rows[row]))] = chance.choice(_CELLS)
    return "\n".join("\t".join(row) for row in rows).encode() + b"\n"


def _other_shape(whole: bytes, chance: Random) -> bytes:
    rows = [line.split("\t") for line in whole.decode().splitlines()]
    for _ in range(chance.choice((1, 2))):
        column, row = chance.randrange(5), chance.randrange(1, len(rows))
        match chance.randrange(6):
            case 0:
                rows = [cells[:column] + cells[column + 1 :] for cells in rows]
            case 1:
                rows = [[*cells, *cells[column % max(1, len(cells)) :][:1]] for cells in rows]
            case 2:
                del rows[row % len(rows)]
            case 3:
                rows.append(rows[row % len(rows)])
            case 4:
                rows[row % len(rows)] = rows[row % len(rows)][:column]
            case 5:
                chance.shuffle(rows)
    return "\n".join("\t".join(row) for row in rows).encode() + b"\n"


def _other_encoding(whole: bytes, chance: Random) -> bytes:
    text = whole.decode()
    encoding = chance.choice(("utf-16", "utf-8-sig", "utf-32", "cp037", "utf-8", "latin-1"))
    if chance.random() < 0.5:
        text = text.replace("red", chance.choice(("r\u00e9d", "\u00df", "\u00b2")))
    if chance.random() < 0.5:
        text = text.replace("\n", chance.choice(("\r\n", "\r", "\n\n")))
    if chance.random() < 0.3:
        text = text.replace("\t", chance.choice((",", ";", "\t\t")))
    return text.encode(encoding, "replace")

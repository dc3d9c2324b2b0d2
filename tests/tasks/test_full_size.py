"""All seven files with the official number of rows, read in bounded memory by one process."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from eyechart.core.images import encode_png
from eyechart.tasks import open_tasks
from eyechart.tasks.tsv_task import TsvTask

PICTURE_BYTES = 24_000  # 32 KB of base64: of the official images' order, and quick to write
LIMIT_BYTES = 1 << 30

# Rows as officially; images as officially, or somewhat fewer.
FILES = {
    "POPE.tsv": (5127, 500),
    "GQA_TestDev_Balanced.tsv": (12578, 398),
    "COCO_VAL.tsv": (5000, 5000),
    "OCRBench.tsv": (1000, 1000),
    "MME.tsv": (2374, 1187),
    "MMBench_DEV_EN.tsv": (4329, 1164),
    "SEEDBench_IMG.tsv": (14232, 14232),
}

CHILD = """
import json, re, sys
from pathlib import Path
from eyechart.core.types import Score
from eyechart.tasks import open_tasks

def peak_bytes():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

found = {"start": peak_bytes(), "questions": {}, "shapes": []}
for task in open_tasks(data=sys.argv[1]):
    if task.name in ("Acuity", "OwnImages"):  # have no official file
        continue
    questions = task.questions()
    found["questions"][task.path.name] = len(questions)
    found["shapes"].append(task.image(questions[-1].image).shape)
    scores = [task.score(question, question.answer) for question in questions]
    sums = task.image_sums(scores).sums
    assert abs(task.headline(sums.sum(0)) - task.summarize(scores)[task.headline_metric]) < 1e-6
    task.version
found["peak"] = peak_bytes()
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to see memory")
def test_official_sizes_fit_into_memory(tmp_path: Path) -> None:
    size_bytes = sum(write_official_size(tmp_path / name) for name in FILES)
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    found = json.loads(child.stdout)
    assert found["questions"] == {name: rows for name, (rows, _) in FILES.items()}
    assert set(map(tuple, found["shapes"])) == {(30, 40, 3)}
    assert found["peak"] < LIMIT_BYTES
    assert found["peak"] - found["start"] < size_bytes / 2  # the images were not kept


@pytest.mark.parametrize(
    "task",
    [task for task in open_tasks() if isinstance(task, TsvTask)],
    ids=lambda task: task.name,
)
def test_row_counts_are_those_that_task_show_prints(task: TsvTask) -> None:
    official = task.official[0]
    assert official.rows == FILES[official.name][0]


def write_official_size(path: Path) -> int:
    """A synthetic file with the official columns and row count; its size in bytes."""
    rows, pictures = FILES[path.name]
    cells = picture_cells()
    with path.open("w", encoding="utf-8") as file:
        columns = list(text_cells(path.name, 0))
        file.write("\t".join(["index", "image", *columns]) + "\n")
        for row in range(rows):
            index = row % pictures + row // pictures * 1_000_000 if "MMB" in path.name else row
            image = next(cells) if row < pictures else str(row % pictures)
            texts = text_cells(path.name, row % pictures if "MMB" in path.name else row)
            file.write("\t".join([str(index), image, *texts.values()]) + "\n")
    return path.stat().st_size


def picture_cells() -> Iterator[str]:
    """Endless images, all different, of one size in bytes (what follows a PNG's end is idle)."""
    rng = np.random.default_rng(0)
    png = encode_png(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    body = png + bytes(PICTURE_BYTES - len(png))
    start = base64.b64encode(body).decode()
    number = 0
    while True:
        yield start + base64.b64encode(number.to_bytes(6)).decode()
        number += 1


def text_cells(name: str, row: int) -> dict[str, str]:
    """The other columns of a file, with texts of the usual length."""
    yes_no = "Yes" if row % 2 else "No"
    question = f"Is there a thing number {row} to be seen in this image? Please answer yes or no."
    letters = {letter: f"the option {letter} of {row}" for letter in "ABCD"}
    if name == "POPE.tsv":
        return {"question": question, "answer": yes_no, "category": "popular,random"}
    if name == "MME.tsv":
        path = f"existence/{row % 1187}.jpg"
        cells = {"question": question, "answer": yes_no, "category": "existence"}
        return {**cells, "image_path": path}
    if name == "COCO_VAL.tsv":
        words = [f"word{(row * 7 + at * at) % 4000}" for at in range(55)]
        captions = [" ".join(words[start : start + 11]) for start in range(0, 55, 11)]
        return {"answer": str(captions), "image_path": f"{row}.jpg"}
    if name == "OCRBench.tsv":
        return {"question": question, "answer": f"['{row}']", "category": "Doc-oriented VQA"}
    if name == "GQA_TestDev_Balanced.tsv":
        return {"question": question, "answer": "left", "category": "query"}
    cells = {"question": question, **letters, "answer": "C", "category": f"kind {row % 9}"}
    return {**cells, "l2-category": "coarse_perception", "hint": "a hint of some length " * 3}

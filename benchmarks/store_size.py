"""Time and memory of `table`, `report` and a resumed run over a large run directory.

    python -m benchmarks.store_size DIR [--records 1000000] [--images 278] [--per-image 18]

DIR gets a grid that a fake VLM has answered completely: 40 cells a VLM (uncompressed, and 39 levels
of jpeg, webp and avif), 18 questions about 278 images each, written by the store's own writer.
Then every command runs as a user would start it, first without the files that it derives from the
records, then again. Peak memory is that of the command's process. Without DIR/run/run.json the grid
is made, which takes about a minute for each million records.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eyechart.core.images import encode_png
from eyechart.core.records import Record
from eyechart.core.types import Answer, Decoding, Json, Request
from eyechart.runner.plan import load_plan
from eyechart.runner.resolve import resolve, run_info
from eyechart.runner.work import TaskWork, pending_cells
from eyechart.store import Store

IMAGES, PER_IMAGE = 278, 18
LEVELS = 13  # of each of the three codecs
_CODECS = ("jpeg", "webp", "avif")
_BATCH = 4096  # records that are appended at once


@dataclass
class InstantVlm:
    """Answers Yes. Each seed is another VLM."""

    seed: int = 0
    version: str = "1"
    family: str = "default"

    @property
    def name(self) -> str:
        """Differs for each seed."""
        return f"instant-{self.seed}"

    @property
    def options(self) -> Mapping[str, Json]:
        """The seed."""
        return {"seed": self.seed}

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> list[list[Answer]]:
        """One answer a question."""
        return [[Answer(text="Yes", tokens=1)] * len(request.prompts) for request in requests]


def main() -> None:
    """Make the grid if it is not there, and print what each command takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--per-image", type=int, default=PER_IMAGE)
    arguments = parser.parse_args()
    folder = arguments.directory
    plan = folder / "plan.yaml"
    run = folder / "run"
    register(folder / "plugin")
    if not (run / "run.json").exists():
        write_questions(folder / "data", arguments.images, arguments.per_image)
        cells = arguments.records / (arguments.images * arguments.per_image)
        _make(folder, plan, run, max(1, round(cells / (1 + LEVELS * len(_CODECS)))))
    for name in ("cells/*/index.json", "cells/*/sums.json", "analysis.json"):
        for derived in run.glob(name):
            derived.unlink()
    table = ["table", "scores", str(run), "--format", "csv"]
    bd = ["table", "bd", str(run), "--format", "csv"]
    resume = ["run", str(plan), "--out", str(run), "--no-report", "--workers", "0"]
    for name, arguments_of in (
        ("table", table),
        ("table again", table),
        ("table bd", bd),
        ("report", ["report", str(run)]),
        ("report again", ["report", str(run)]),
        ("resume", resume),
        ("resume again", resume),
    ):
        _time(name, arguments_of, folder / "plugin")


def _time(name: str, arguments: Sequence[str], plugin: Path) -> None:
    """Run one command in a process of its own, and print its time and peak memory."""
    path = os.pathsep.join([str(plugin), str(Path.cwd())])
    start_s = time.perf_counter()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "eyechart", *arguments],
        {**os.environ, "PYTHONPATH": path},
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(pid, 0)
    seconds, cpu_s = time.perf_counter() - start_s, usage.ru_utime + usage.ru_stime
    code = os.waitstatus_to_exitcode(status)
    peak_mb = usage.ru_maxrss / 1024
    print(f"{name:14} {seconds:6.1f} s  {cpu_s:6.1f} s CPU  {peak_mb:6.0f} MB  exit {code}")


def register(plugin: Path) -> None:
    """Register the fake VLM and codec as an installed package does."""
    info = plugin / "instant_vlm-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: instant-vlm\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[eyechart.vlms]\ninstant = benchmarks.store_size:InstantVlm\n"
        "[eyechart.codecs]\ninstant-codec = benchmarks.driver_time:InstantCodec\n"
    )
    sys.path.append(str(plugin))


def _make(folder: Path, plan_file: Path, out: Path, vlms: int) -> None:
    """Write the plan and a finished run directory."""
    levels = ",".join(str(1 + 5 * n) for n in range(LEVELS))
    codecs = ", ".join(["source", *(f"'{name}:levels=[{levels}]'" for name in _CODECS)])
    plan_file.write_text(
        "title: Grid\n"
        f"vlms: [{', '.join(f'instant:seed={n}' for n in range(vlms))}]\n"
        "tasks: [POPE]\n"
        f"data: {folder / 'data'}\n"
        f"codecs: [{codecs}]\n"
    )
    plan = load_plan(str(plan_file))
    work, store = resolve(plan), Store(out)
    store.create()
    store.write_info(run_info(plan))
    (part,) = work.tasks
    random = np.random.default_rng(0)
    for model in work.models:
        for cell in pending_cells(work, model, part, store, retry_failed=False):
            made = list(_records(part, 400 + 40 * cell.level.rank, random))
            for start in range(0, len(made), _BATCH):
                cell.stored.append_records(made[start : start + _BATCH])
        store.make_current(
            cell.stored for cell in pending_cells(work, model, part, store, retry_failed=False)
        )


def _records(part: TaskWork, payload_bytes: int, random: np.random.Generator) -> Iterator[Record]:
    """A record of every question, with answers of which about two thirds are right."""
    for image, questions in part.images:
        size_bytes = payload_bytes + int(random.integers(40))
        for question, luck in zip(questions, random.random(len(questions)), strict=True):
            right = question.answer if luck < 2 / 3 else {"Yes": "No", "No": "Yes"}[question.answer]
            score = part.task.score(question, right)
            yield Record(
                question_id=question.id,
                image=image,
                answer=right,
                value=score.value,
                parsed_answer=score.parsed_answer,
                parsed=score.parsed,
                payload_bytes=size_bytes,
                height_px=24,
                width_px=32,
            )


def write_questions(folder: Path, images: int = IMAGES, per_image: int = PER_IMAGE) -> None:
    """POPE.tsv, with images of noise."""
    noise = np.random.default_rng(0)
    rows = ["index\timage\tquestion\tanswer\tcategory"]
    for image in range(images):
        png = base64.b64encode(encode_png(noise.integers(0, 256, (24, 32, 3), np.uint8))).decode()
        for number in range(per_image):
            index = image * per_image + number
            cell = png if number == 0 else str(image * per_image)
            split = ("random", "popular", "adversarial")[index % 3]
            rows.append(f"{index}\t{cell}\tIs {index} red?\t{('Yes', 'No')[index % 2]}\t{split}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "POPE.tsv").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()

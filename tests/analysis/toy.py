"""A task, a codec and a run small enough to compute by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eyechart.analysis.cells import CellData
from eyechart.core.identity import image_digest
from eyechart.core.records import Cell, Record
from eyechart.core.types import (
    Bitstream,
    Component,
    Decoding,
    Floats,
    ImageSums,
    Json,
    Level,
    Question,
    Rgb8,
    Score,
)
from eyechart.store import RunInfo, Store, TaskSize

IMAGES = 20
PER_IMAGE = 3
SIDE_PX = 32
QUESTIONS = IMAGES * PER_IMAGE
WHOLE = TaskSize(questions=QUESTIONS, images=IMAGES)


class ToyTask:
    """Twenty noise images, three questions each; the metric is the share answered `yes`, x100."""

    name = "toy"
    version = "1"
    headline_metric = "accuracy"
    options: Mapping[str, Json] = {}

    def questions(self) -> Sequence[Question]:
        return [
            Question(id=str(i), image=f"p{i // PER_IMAGE}", text=f"question {i}?", answer="yes")
            for i in range(QUESTIONS)
        ]

    def image(self, key: str) -> Rgb8:
        rng = np.random.default_rng(int(key[1:]))
        return rng.integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)

    def prompt(self, question: Question, vlm_family: str) -> str:
        return question.text

    def max_new_tokens(self, question: Question) -> int:
        return 4

    def score(self, question: Question, answer: str) -> Score:
        right = float(answer == "yes")
        return Score(question_id=question.id, value=right, parsed_answer=answer, parsed=True)

    def summarize(self, scores: Sequence[Score]) -> dict[str, float]:
        values = [score.value for score in scores]
        return {"accuracy": 100 * sum(values) / len(values), "asked": float(len(values))}

    def image_sums(self, scores: Sequence[Score]) -> ImageSums:
        sums: dict[str, list[float]] = {}
        for score in scores:
            row = sums.setdefault(f"p{int(score.question_id) // PER_IMAGE}", [0.0, 0.0])
            row[0] += score.value
            row[1] += 1
        return ImageSums(images=tuple(sums), sums=np.array(list(sums.values())))

    def headline(self, sums: Floats) -> Floats:
        return np.asarray(100 * sums[..., 0] / sums[..., 1])


class GreyCodec:
    """Decodes every payload to a grey image."""

    name = "grey"
    version = "1"
    options: Mapping[str, Json] = {}
    levels = tuple(Level(name=str(rank), rank=rank, knobs={"q": rank}) for rank in range(3))

    def encode(self, rgb8: Rgb8, level: Level) -> Bitstream:
        raise AssertionError("an analysis encodes nothing")

    def decode(self, bitstream: Bitstream) -> Rgb8:
        return np.full((bitstream.height_px, bitstream.width_px, 3), 128, np.uint8)


def load(group: str, name: str, options: Mapping[str, Any] | None = None) -> Any:
    """Replaces core.plugins.load."""
    return {"eyechart.tasks": ToyTask, "eyechart.codecs": GreyCodec}[group]()


def data_of(cell: Cell, records: Sequence[Record]) -> CellData:
    """A cell with its records, as `read_cells` gives it."""
    return CellData(
        cell=cell,
        key="k",
        vlm=cell.vlm.name,
        adapter="",
        task=cell.task.name,
        codec=cell.codec.name,
        records=records,
        failures=(),
        asked=None,
    )


def cell(
    codec: str = "grey", rank: int = 0, adapter: Component | None = None, vlm: str = "reader"
) -> Cell:
    level = Level(name="", rank=0, knobs={}) if codec == "source" else GreyCodec.levels[rank]
    return Cell(
        task=Component(name="toy", version="1"),
        codec=Component(name=codec, version="1"),
        level=level,
        vlm=Component(name=vlm, version="1"),
        adapter=adapter,
        decoding=Decoding(max_new_tokens=4),
    )


def records(
    right: float, payload_bytes: int, seed: int = 0, count: int = QUESTIONS
) -> list[Record]:
    """`right`: probability of a right answer; payloads vary by image around `payload_bytes`."""
    luck = np.random.default_rng(seed).random(QUESTIONS)
    task = ToyTask()
    return [
        Record(
            question_id=question.id,
            image=question.image,
            answer="yes" if luck[i] < right else "no",
            value=float(luck[i] < right),
            parsed_answer="yes" if luck[i] < right else "no",
            parsed=True,
            payload_bytes=payload_bytes + i // PER_IMAGE,
            height_px=SIDE_PX,
            width_px=SIDE_PX,
        )
        for i, question in enumerate(task.questions()[:count])
    ]


def a_run(root: Path, rights: Mapping[tuple[str, int, str], float]) -> Store:
    """A stored run. rights: (codec, rank, adapter) -> probability of a right answer.

    An adapter `for-grey` was trained on grey alone, any other on grey and blue.
    """
    store = Store(root)
    store.create()
    store.write_info(RunInfo(title="a toy run"))
    for (codec, rank, name), right in rights.items():
        trained = ["source", "grey"] if name == "for-grey" else ["source", "grey", "blue"]
        options: dict[str, Json] = {"trained_codecs": trained}
        adapter = Component(name=name, version="1", options=options) if name else None
        size_bytes = 3000 if codec == "source" else 10 * (rank + 1)
        stored = store.add(cell(codec, rank, adapter))
        stored.ask(WHOLE)
        stored.append_records(records(right, size_bytes))
    blobs = store.images.bitstreams
    for key in (f"p{i}" for i in range(IMAGES)):
        digest = image_digest(ToyTask().image(key))
        for level in GreyCodec.levels:
            blobs.put(blobs.path(Component(name="grey", version="1"), level, digest), b"stream")
    return store
